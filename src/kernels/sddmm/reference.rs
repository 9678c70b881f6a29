//! The float64 reference: the sums, and how far what WGSL permits may lie from them.

use rayon::prelude::*;

use crate::accuracy::{FLUSH, RELATIVE};
use crate::kernels::backward::cases::Numbers;
use crate::kernels::backward::reference::{Layer, Near, Sum};
use crate::matrix::Pattern;

/// A row of values with their errors.
struct Row {
    values: Vec<f64>,
    errors: Vec<f64>,
    most: Vec<f64>,
}

impl Row {
    fn new(of: impl Iterator<Item = Near>) -> Self {
        let (mut values, mut errors, mut most) = (Vec::new(), Vec::new(), Vec::new());
        for near in of {
            values.push(near.value);
            errors.push(near.error);
            most.push(near.most());
        }
        Row { values, errors, most }
    }

    /// The products with another row, summed.
    fn dot(&self, other: &Row) -> Sum {
        let (mut value, mut error, mut magnitude) = (0.0, 0.0, 0.0);
        for c in 0..self.values.len() {
            value += self.values[c] * other.values[c];
            error += self.errors[c] * other.most[c] + self.most[c] * other.errors[c];
            magnitude += self.most[c] * other.most[c];
        }
        error += RELATIVE * magnitude + 2.0 * FLUSH * self.values.len() as f64;
        Sum { value, error, magnitude }
    }
}

/// The derivative by every entry of the pattern, for m columns; all cores work on it.
pub(super) fn sums(pattern: &Pattern, layer: &Layer, numbers: &Numbers, given: bool) -> Vec<Sum> {
    let n = pattern.rows() as usize;
    let m = numbers.x.len() / n;
    let rows = |of: &(dyn Fn(usize, usize) -> Near + Sync)| -> Vec<Row> {
        (0..n).into_par_iter().map(|i| Row::new((0..m).map(|c| of(i, i * m + c)))).collect()
    };
    let e = rows(&|i, k| layer.e(i, layer.v(i, numbers.u[k])));
    let grad_u = rows(&|i, k| layer.grad_u(i, layer.v(i, numbers.u[k]), numbers.w[k]));
    let y_bar = rows(&|_, k| layer.y_bar(numbers.grad_output[k]));
    let r = rows(&|_, k| layer.r(numbers.x[k], numbers.data[k], given));
    let entries: Vec<(u32, u32)> = pattern.entries().collect();
    entries
        .into_par_iter()
        .map(|(i, j)| {
            let (i, j) = (i as usize, j as usize);
            let mut sum = e[i].dot(&y_bar[j]);
            sum.merge(grad_u[i].dot(&r[j]));
            sum
        })
        .collect()
}

/// That by one entry.
pub(super) fn sum(layer: &Layer, numbers: &Numbers, given: bool, n: usize, (i, j): (u32, u32)) -> Sum {
    let m = numbers.x.len() / n;
    let row = |of: &dyn Fn(usize) -> Near, i: usize| Row::new((i * m..(i + 1) * m).map(of));
    let (i, j) = (i as usize, j as usize);
    let e = row(&|k| layer.e(i, layer.v(i, numbers.u[k])), i);
    let grad_u = row(&|k| layer.grad_u(i, layer.v(i, numbers.u[k]), numbers.w[k]), i);
    let y_bar = row(&|k| layer.y_bar(numbers.grad_output[k]), j);
    let r = row(&|k| layer.r(numbers.x[k], numbers.data[k], given), j);
    let mut sum = e.dot(&y_bar);
    sum.merge(grad_u.dot(&r));
    sum
}
