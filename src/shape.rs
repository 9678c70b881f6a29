//! Shapes of contiguous row-major tensors, whose last axis varies fastest.

/// The number of elements, the product of the axes: 1 without axes, `None` for 2^64 or more.
pub(crate) fn elements(shape: &[u64]) -> Option<u64> {
    // one axis of length 0 leaves no element, whatever the product of the others
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1_u64, |n, &axis| n.checked_mul(axis))
}

/// From an index of each axis to the next, in elements: the product of the axes after it. Axes of length 0 count as 1.
pub(crate) fn strides(shape: &[u64]) -> Vec<u64> {
    let mut strides = vec![1_u64; shape.len()];
    for k in (1..shape.len()).rev() {
        strides[k - 1] = strides[k].saturating_mul(shape[k].max(1));
    }
    strides
}

/// Whether these strides, one per axis, lay the elements side by side in row-major order. The stride of an axis of one
/// index is never taken, and none is where there is no element.
pub(crate) fn contiguous(shape: &[u64], given: &[u64]) -> bool {
    let taken = |(k, expected): (usize, u64)| shape[k] == 1 || given[k] == expected;
    shape.len() == given.len() && (shape.contains(&0) || strides(shape).into_iter().enumerate().all(taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_the_product_of_the_axes() {
        for (shape, expected) in [
            (vec![], Some(1)),
            (vec![7], Some(7)),
            (vec![2, 3, 4], Some(24)),
            (vec![1 << 40, 1 << 40, 0], Some(0)),
            (vec![0, 1 << 40, 1 << 40], Some(0)),
            (vec![1 << 32, 1 << 31, 1], Some(1 << 63)),
            (vec![1 << 32, 1 << 32], None),
        ] {
            assert_eq!(elements(&shape), expected, "{shape:?}");
        }
    }

    /// Against the definition: counting the indices up, the last one fastest, the offsets are 0, 1, 2, ...
    #[test]
    fn contiguous_strides_count_the_elements_in_order() {
        let counted = |shape: &[u64], strides: &[u64]| {
            (0..elements(shape).unwrap()).all(|at| {
                let (mut rest, mut offset) = (at, 0);
                for (&axis, stride) in shape.iter().zip(strides).rev() {
                    offset += rest % axis * stride;
                    rest /= axis;
                }
                offset == at
            })
        };
        let some = [0, 1, 2, 3, 4, 6, 8, 12];
        let mut found = [0, 0];
        for shape in [[2, 3, 4], [1, 3, 4], [4, 1, 2], [3, 2, 1], [1, 1, 1], [0, 3, 2], [3, 0, 2]] {
            assert!(contiguous(&shape, &strides(&shape)), "{shape:?}");
            for given in some.iter().flat_map(|&a| some.iter().flat_map(move |&b| some.map(|c| [a, b, c]))) {
                let expected = counted(&shape, &given);
                assert_eq!(contiguous(&shape, &given), expected, "{shape:?} {given:?}");
                found[usize::from(expected)] += 1;
            }
        }
        assert!(found.iter().all(|&n| n > 100), "{found:?}");
        assert_eq!(strides(&[2, 3, 4]), [12, 4, 1]);
        assert!(contiguous(&[], &[]) && !contiguous(&[2], &[]) && !contiguous(&[2], &[1, 1]));
        assert!(contiguous(&[u64::MAX, u64::MAX, 0], &[1, 1, 1]), "nothing overflows");
    }
}
