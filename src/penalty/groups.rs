//! Which weights of a tensor form a group: the indices of an axis, blocks, index ranges, and a weight per group.
//!
//! A tensor is contiguous and row-major: its last axis varies fastest. Every regular layout is the middle axis of the
//! tensor seen as `[outer, groups, inner]`: group g holds the elements `o * groups * inner + g * inner + i`. Its members
//! are counted by k = o * inner + i. For axis K of a shape, outer is the product of the axes before it, inner that of the
//! axes after it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::domain::WEIGHT;
use crate::error::{self, Error, Result, require, same};
use crate::shape::elements;
use crate::text::there_are;

/// How a tensor is divided into groups.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Layout {
    /// `axis:K`: one group per index of axis K, counted from 0, of a tensor of any rank from 1 on. Group i holds every
    /// element whose index along that axis is i. The weights into one neuron are axis 0 of a matrix `[outputs, inputs]`
    /// (PyTorch) and axis 1 of one `[inputs, outputs]` (Burn).
    Axis(usize),
    /// `rows`: axis 0 of a tensor of two axes or more. In a weight matrix `[outputs, inputs]` the weights into one neuron.
    Rows,
    /// `columns`: axis 1 of a tensor of two axes or more. In `[outputs, inputs]` the weights out of one neuron.
    Columns,
    /// `filters`: axis 0, the output channels, of `[outputs, inputs, ...]` with three axes or more.
    Filters,
    /// `channels`: axis 1, the input channels, of `[outputs, inputs, ...]` with three axes or more.
    Channels,
    /// `blocks:K`: runs of K elements; the last may be shorter.
    Blocks(u64),
    /// `whole`: the tensor is one group.
    Whole,
    /// Consecutive index ranges, by their borders: group g is `offsets[g]..offsets[g + 1]`. The first border is 0, the
    /// last the number of elements. Has no text form.
    Ragged(Arc<[u64]>),
}

/// The text forms.
const TEXTS: [&str; 7] = ["rows", "columns", "filters", "channels", "axis:K", "blocks:K", "whole"];

/// A tensor's shape as `[outer, groups, inner]`, where the groups are the indices of axis `k`, which it has.
fn around(shape: &[u64], k: usize) -> [u64; 3] {
    // saturating: the axes of an empty tensor may be of any length
    let product = |axes: &[u64]| axes.iter().fold(1_u64, |n, &axis| n.saturating_mul(axis));
    [product(&shape[..k]), shape[k], product(&shape[k + 1..])]
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Layout::Axis(k) => write!(f, "axis:{k}"),
            Layout::Rows => f.write_str("rows"),
            Layout::Columns => f.write_str("columns"),
            Layout::Filters => f.write_str("filters"),
            Layout::Channels => f.write_str("channels"),
            Layout::Blocks(k) => write!(f, "blocks:{k}"),
            Layout::Whole => f.write_str("whole"),
            Layout::Ragged(offsets) => write!(f, "ragged:{}", offsets.len().saturating_sub(1)),
        }
    }
}

impl FromStr for Layout {
    type Err = Error;

    /// Reads `rows`, `columns`, `filters`, `channels`, `axis:K`, `blocks:K` or `whole`.
    ///
    /// # Errors
    /// [`Error::Text`] for anything else; [`Error::Domain`] for blocks of 0 elements.
    fn from_str(text: &str) -> Result<Self> {
        let wrong =
            || Error::Text { place: "groups".into(), text: text.into(), reason: there_are(text, TEXTS) };
        let (name, number) = match text.trim().split_once(':') {
            Some((name, number)) => (name, Some(number.trim())),
            None => (text.trim(), None),
        };
        match (name, number) {
            ("rows", None) => Ok(Layout::Rows),
            ("columns", None) => Ok(Layout::Columns),
            ("filters", None) => Ok(Layout::Filters),
            ("channels", None) => Ok(Layout::Channels),
            ("whole", None) => Ok(Layout::Whole),
            ("axis", Some(k)) => k.parse().map(Layout::Axis).map_err(|_| wrong()),
            ("blocks", Some(size)) => {
                let size: u64 = size.parse().map_err(|_| wrong())?;
                require(size >= 1, "groups", "elements per block", size as f64, "[1, 2^64)")?;
                Ok(Layout::Blocks(size))
            }
            _ => Err(wrong()),
        }
    }
}

/// The groups of one tensor.
///
/// ```
/// use maf_srl::penalty::{Groups, Layout};
/// let groups = Groups::new(Layout::Columns, &[3, 4])?;
/// assert_eq!((groups.count(), groups.size(0)), (4, 3));
/// assert_eq!(groups.members(1).collect::<Vec<_>>(), [1, 5, 9]);
/// # Ok::<(), maf_srl::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Groups {
    layout: Layout,
    shape: Arc<[u64]>,
    /// Elements of the tensor.
    length: u64,
    outer: u64,
    count: u64,
    inner: u64,
    weights: Option<Arc<[f32]>>,
}

impl Groups {
    /// The groups of a tensor of this shape.
    ///
    /// # Errors
    /// [`Error::Shape`] where the layout does not fit the shape, or ranges do not cover it in order.
    pub fn new(layout: Layout, shape: &[u64]) -> Result<Self> {
        let wrong = |expected: &str| {
            error::shape(format!("groups {layout}"), "shape", format!("{shape:?}"), expected)
        };
        let length = elements(shape).ok_or_else(|| wrong("fewer than 2^64 elements"))?;
        let [outer, count, inner] = match &layout {
            Layout::Rows | Layout::Columns if shape.len() < 2 => return Err(wrong("two axes or more")),
            Layout::Filters | Layout::Channels if shape.len() < 3 => {
                return Err(wrong("three axes or more: outputs, inputs, kernel"));
            }
            Layout::Axis(k) if *k >= shape.len() => {
                let rank = shape.len();
                return Err(wrong(&format!(
                    "a shape with axis {k}; this one is of rank {rank}, axes count from 0"
                )));
            }
            Layout::Axis(k) => around(shape, *k),
            Layout::Rows | Layout::Filters => around(shape, 0),
            Layout::Columns | Layout::Channels => around(shape, 1),
            Layout::Blocks(0) => return Err(wrong("one element per block or more")),
            Layout::Blocks(size) => [1, length.div_ceil(*size), *size],
            Layout::Whole => [1, u64::from(length > 0), length],
            Layout::Ragged(offsets) => {
                let ends = offsets.first().zip(offsets.last());
                let ordered = offsets.windows(2).all(|pair| pair[0] <= pair[1]);
                if ends != Some((&0, &length)) || !ordered {
                    return Err(wrong("borders in order, from 0 to the number of elements"));
                }
                [1, offsets.len() as u64 - 1, 0]
            }
        };
        Ok(Groups { layout, shape: shape.into(), length, outer, count, inner, weights: None })
    }

    /// One group per index of axis `k` of a contiguous row-major tensor of this shape: [`Layout::Axis`].
    ///
    /// ```
    /// use maf_srl::penalty::Groups;
    /// // an output neuron is axis 0 of PyTorch's [outputs, inputs] and axis 1 of Burn's [inputs, outputs]
    /// let (torch, burn) = (Groups::axis(0, &[2, 3])?, Groups::axis(1, &[3, 2])?);
    /// assert_eq!(torch.members(1).collect::<Vec<_>>(), [3, 4, 5]);
    /// assert_eq!(burn.members(1).collect::<Vec<_>>(), [1, 3, 5]);
    /// # Ok::<(), maf_srl::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] naming axis and rank where the tensor has no such axis, and for 2^64 elements or more.
    pub fn axis(k: usize, shape: &[u64]) -> Result<Self> {
        Groups::new(Layout::Axis(k), shape)
    }

    /// The same groups, the penalty of each multiplied by its own weight: one number per group, in [0, 1e6].
    ///
    /// # Errors
    /// [`Error::Shape`] where there are more or fewer weights than groups; [`Error::Domain`] for one outside its range.
    pub fn with_weights(self, weights: &[f32]) -> Result<Self> {
        let place = format!("groups {}", self.layout);
        same(place, "number of weights", weights.len() as u64, self.count)?;
        for (g, &weight) in weights.iter().enumerate() {
            let weight = f64::from(weight);
            require(WEIGHT.contains(weight), "groups", format_args!("weight of group {g}"), weight, WEIGHT)?;
        }
        Ok(Groups { weights: Some(weights.into()), ..self })
    }

    /// How the tensor is divided.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The tensor's shape, contiguous and row-major.
    #[must_use]
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Refuses a tensor of another shape that the layout would divide into other groups, though the number of elements
    /// may be the same: `[64, 128]` where rows of `[128, 64]` are meant. A shape that comes to the same division is
    /// right: `[128, 8, 8]` has the rows of `[128, 64]`, and blocks, ranges and a whole tensor ask for the number of
    /// elements alone. `place` is the tensor's name in the message.
    ///
    /// # Errors
    /// [`Error::Shape`] naming both shapes.
    pub fn fits(&self, place: &str, shape: &[u64]) -> Result<()> {
        // the axis itself: a kernel's filters are also those of the kernel flattened to a matrix
        let layout = match &self.layout {
            Layout::Rows | Layout::Filters => Layout::Axis(0),
            Layout::Columns | Layout::Channels => Layout::Axis(1),
            other => other.clone(),
        };
        let division = |groups: &Groups| [groups.length, groups.outer, groups.count, groups.inner];
        if Groups::new(layout, shape).is_ok_and(|other| division(&other) == division(self)) {
            return Ok(());
        }
        let expected = format!("{:?}, which groups {} are made for", self.shape, self.layout);
        Err(error::shape(place, "shape", format!("{shape:?}"), expected))
    }

    /// How many groups there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Elements of the tensor.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether the tensor has no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Elements of group `g`; 0 where there is no such group.
    #[must_use]
    pub fn size(&self, g: u64) -> u64 {
        match &self.layout {
            _ if g >= self.count => 0,
            Layout::Ragged(offsets) => offsets[g as usize + 1] - offsets[g as usize],
            Layout::Blocks(size) => (*size).min(self.length - g * size),
            _ => self.outer * self.inner,
        }
    }

    /// Elements of the largest group; 0 without groups.
    #[must_use]
    pub fn largest(&self) -> u64 {
        match &self.layout {
            Layout::Ragged(offsets) => offsets.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0),
            // only the last block may be shorter
            _ => self.size(0),
        }
    }

    /// The user's weight of group `g`; 1 without weights or group.
    #[must_use]
    pub fn weight(&self, g: u64) -> f32 {
        self.weights.as_ref().and_then(|weights| weights.get(g as usize)).map_or(1.0, |w| *w)
    }

    /// Whether the groups have weights of their own.
    #[must_use]
    pub fn weighted(&self) -> bool {
        self.weights.is_some()
    }

    /// The elements of group `g`, in the order in which ties are broken. From layout and shape anew, and from nothing that the
    /// kernels count by: references go by it.
    pub fn members(&self, g: u64) -> impl Iterator<Item = usize> + Clone + use<> {
        let axis = match &self.layout {
            Layout::Axis(k) => Some(*k),
            Layout::Rows | Layout::Filters => Some(0),
            Layout::Columns | Layout::Channels => Some(1),
            Layout::Blocks(_) | Layout::Whole | Layout::Ragged(_) => None,
        };
        let there = self.length > 0 && g < self.count;
        // the elements of an index of an axis: every `period`-th run of `run` elements
        let (first, run, period) = match (&self.layout, axis) {
            _ if !there => (self.length, 1, 1),
            (_, Some(k)) => {
                let run: u64 = self.shape[k + 1..].iter().product();
                (g * run, run, self.shape[k] * run)
            }
            (Layout::Blocks(size), _) => (g * size, *size, self.length),
            (Layout::Ragged(ends), _) => {
                let first = ends[g as usize];
                (first, ends[g as usize + 1] - first, self.length)
            }
            _ => (0, self.length, self.length),
        };
        let end = self.length;
        let runs = (first..end).step_by(period.max(1) as usize);
        runs.flat_map(move |start| start..end.min(start.saturating_add(run))).map(|k| k as usize)
    }

    /// The first element of group `g`.
    pub(crate) fn start(&self, g: u64) -> u64 {
        match &self.layout {
            Layout::Ragged(offsets) => offsets.get(g as usize).map_or(self.length, |start| *start),
            _ => g.saturating_mul(self.inner),
        }
    }

    /// Members of a group that lie side by side; 0 where all of them do.
    pub(crate) fn run_length(&self) -> u64 {
        if self.outer > 1 { self.inner } else { 0 }
    }

    /// From one such run of a group to its next.
    pub(crate) fn run_stride(&self) -> u64 {
        self.count.saturating_mul(self.inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_in_one_group() {
        let ragged = Layout::Ragged([0, 3, 3, 4, 120].into());
        for layout in [
            Layout::Rows,
            Layout::Columns,
            Layout::Filters,
            Layout::Channels,
            Layout::Axis(0),
            Layout::Axis(1),
            Layout::Axis(2),
            Layout::Axis(3),
            Layout::Blocks(7),
            Layout::Blocks(1000),
            Layout::Whole,
            ragged,
        ] {
            let groups = Groups::new(layout.clone(), &[4, 5, 3, 2]).unwrap();
            let mut seen = [0; 120];
            for g in 0..groups.count() {
                assert_eq!(groups.members(g).count() as u64, groups.size(g));
                assert!(groups.size(g) <= groups.largest());
                groups.members(g).for_each(|k| seen[k] += 1);
            }
            assert_eq!(seen, [1; 120], "{layout}");
            assert!((0..groups.count()).any(|g| groups.size(g) == groups.largest()), "{layout}");
        }
        for layout in [Layout::Rows, Layout::Whole, Layout::Blocks(3)] {
            assert_eq!(Groups::new(layout, &[0, 5]).unwrap().len(), 0);
        }
        // what is not there has no members; products that nothing needs may leave the range
        let groups = Groups::new(Layout::Blocks(u64::MAX - 1), &[5]).unwrap();
        assert_eq!((groups.members(0).count(), groups.members(1).count(), groups.weight(1)), (5, 0, 1.0));
        assert_eq!(Groups::new(Layout::Rows, &[0, 1 << 40, 1 << 40]).unwrap().count(), 0);
    }

    /// Against the definition: the index along axis k of each element, the last axis fastest.
    #[test]
    fn an_axis_divides_by_its_index() {
        let shapes: [&[u64]; 9] = [
            &[6],
            &[1],
            &[3, 4],
            &[4, 5, 3],
            &[2, 3, 4, 5],
            &[1, 4, 1],
            &[5, 1, 2],
            &[2, 1, 3, 2, 2],
            &[3, 1, 1],
        ];
        for shape in shapes {
            for k in 0..shape.len() {
                let groups = Groups::axis(k, shape).unwrap();
                assert_eq!((groups.count(), groups.shape()), (shape[k], shape));
                let after: u64 = shape[k + 1..].iter().product();
                for g in 0..groups.count() {
                    let of = |i: &usize| *i as u64 / after % shape[k] == g;
                    let expected: Vec<usize> = (0..groups.len() as usize).filter(of).collect();
                    assert_eq!(groups.members(g).collect::<Vec<_>>(), expected, "axis {k} of {shape:?}");
                    // what the kernels count by: the first member, and runs that jump
                    let run = if groups.run_length() == 0 { groups.size(g) } else { groups.run_length() };
                    let at = |m: u64| groups.start(g) + m / run * groups.run_stride() + m % run;
                    assert!((0..groups.size(g)).map(|m| at(m) as usize).eq(expected), "{k} of {shape:?}");
                }
            }
        }
    }

    #[test]
    fn named_axes_are_axes() {
        for (named, k) in
            [(Layout::Rows, 0), (Layout::Columns, 1), (Layout::Filters, 0), (Layout::Channels, 1)]
        {
            let (named, axis) =
                (Groups::new(named, &[4, 5, 3]).unwrap(), Groups::axis(k, &[4, 5, 3]).unwrap());
            assert_eq!(Groups { layout: Layout::Axis(k), ..named }, axis);
        }
    }

    #[test]
    fn axes_of_empty_tensors_have_no_members() {
        for shape in [[0, 5, 3], [5, 0, 3], [5, 3, 0], [1 << 40, 1 << 40, 0], [0, 1 << 40, 1 << 40]] {
            for k in 0..3 {
                let groups = Groups::axis(k, &shape).unwrap();
                assert_eq!((groups.len(), groups.count(), groups.largest()), (0, shape[k], 0), "{shape:?}");
                assert_eq!(groups.members(0).count(), 0, "axis {k} of {shape:?}");
            }
        }
    }

    #[test]
    fn a_shape_that_is_divided_otherwise_is_refused() {
        let rows = Groups::new(Layout::Rows, &[128, 64]).unwrap();
        let error = rows.fits("w", &[64, 128]).unwrap_err();
        let text = "w: shape is [64, 128], expected [128, 64], which groups rows are made for";
        assert!(matches!(error, Error::Shape { .. }) && error.to_string() == text, "{error}");
        let of = |layout: &Layout, shape: &[u64]| Groups::new(layout.clone(), shape).unwrap();
        let filters = of(&Layout::Filters, &[8, 4, 3, 3]);
        let ragged = Layout::Ragged([0, 5, 12].into());
        for (groups, shape, right) in [
            (&rows, &[128, 64][..], true),
            (&rows, &[128, 8, 8], true),
            (&rows, &[8192], false),
            (&rows, &[128, 65], false),
            (&rows, &[], false),
            (&rows, &[1 << 40, 1 << 40], false),
            (&filters, &[8, 36], true),
            (&filters, &[4, 8, 3, 3], false),
            (&of(&Layout::Channels, &[8, 4, 3, 3]), &[8, 4, 9], true),
            (&of(&Layout::Channels, &[8, 4, 3, 3]), &[4, 8, 3, 3], false),
            (&of(&Layout::Axis(2), &[2, 3, 4]), &[3, 2, 4], true),
            (&of(&Layout::Axis(2), &[2, 3, 4]), &[6, 4], false),
            (&of(&Layout::Blocks(5), &[3, 4]), &[4, 3], true),
            (&of(&Layout::Blocks(5), &[3, 4]), &[4, 4], false),
            (&of(&Layout::Whole, &[12]), &[4, 3], true),
            (&of(&Layout::Whole, &[12]), &[13], false),
            (&of(&ragged, &[12]), &[3, 4], true),
            (&of(&ragged, &[12]), &[11], false),
        ] {
            assert_eq!(groups.fits("w", shape).is_ok(), right, "{} {shape:?}", groups.layout());
        }
    }

    #[test]
    fn layouts_that_do_not_fit_are_refused() {
        for (layout, shape) in [
            (Layout::Rows, vec![5]),
            (Layout::Columns, vec![5]),
            (Layout::Filters, vec![5, 5]),
            (Layout::Ragged([0, 4].into()), vec![5]),
            (Layout::Ragged([1, 5].into()), vec![5]),
            (Layout::Ragged([0, 4, 3, 5].into()), vec![5]),
            (Layout::Ragged([].into()), vec![0]),
            (Layout::Blocks(0), vec![5]),
            (Layout::Axis(0), vec![]),
            (Layout::Axis(1), vec![5]),
            (Layout::Axis(2), vec![5, 0]),
            (Layout::Axis(usize::MAX), vec![5, 5]),
            (Layout::Axis(0), vec![1 << 32, 1 << 32]),
        ] {
            let error = Groups::new(layout, &shape).unwrap_err();
            assert!(matches!(error, Error::Shape { .. }), "{error}");
        }
        let error = Groups::axis(2, &[128, 64]).unwrap_err().to_string();
        let text = "groups axis:2: shape is [128, 64], expected a shape with axis 2";
        assert!(error.starts_with(text) && error.contains("rank 2"), "{error}");
        let groups = Groups::new(Layout::Rows, &[2, 3]).unwrap();
        assert!(matches!(groups.clone().with_weights(&[1.0]), Err(Error::Shape { .. })));
        assert!(matches!(groups.with_weights(&[1.0, f32::NAN]), Err(Error::Domain { .. })));
    }

    #[test]
    fn text_goes_both_ways() {
        for text in ["rows", "columns", "filters", "channels", "axis:0", "axis:12", "blocks:16", "whole"] {
            assert_eq!(text.parse::<Layout>().unwrap().to_string(), text);
        }
        for text in [
            "row",
            "blocks:",
            "blocks:0",
            "blocks:-1",
            "axis",
            "axis:",
            "axis:-1",
            "axis:two",
            "axis:1:2",
            "rows:1",
            "whole:",
            "",
        ] {
            assert!(text.parse::<Layout>().is_err(), "{text}");
        }
    }
}
