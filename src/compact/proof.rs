//! Both networks on the same inputs.
//!
//! Each sum is taken in f32, one product after the other in the order of the indices, from +0.0 on, and the bias comes last.
//! So no sum is ever -0.0 (0 + -0 is +0, and what cancels is +0), and a product with an exact zero leaves any sum as
//! it is: what the large network has more than the small one changes no bit. Where nothing was folded, the outputs must
//! agree bit for bit; any NaN agrees with any other.
//!
//! Where something was folded, both networks are f32 evaluations of one function, and each lies within its running error
//! bound of it: a sum of n products and a bias has an error of at most g (sum |w| |a| + |b|) + sum |w| e + n 2^-149, with
//! g = (n+1) u / (1 - (n+1) u), u = 2^-24, e the errors of its inputs, and n counting weights that are not zero; a folded
//! bias adds its distance from its float64 value. ReLU and maximum enlarge no error. The outputs must agree within
//! the sum of the two bounds.
//!
//! Convolutions have stride 1 and zero padding that keeps the size. The pictures are as small as lets each weight of a
//! kernel matter, and before a dense layer the maximum is taken over runs of positions, down to as many as it has inputs
//! per channel.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rayon::prelude::*;
use serde::Serialize;

use super::chain::{self, Link};
use super::{Compact, Layer};
use crate::error::{Error, Result, require, shape};

/// The inputs of a proof: independent standard normal numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// How many inputs, at least 1.
    pub inputs: usize,
    /// Their seed.
    pub seed: u64,
}

impl Default for Probe {
    fn default() -> Self {
        Probe { inputs: 64, seed: 20 }
    }
}

/// What the comparison of the large and the small network found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Proof {
    /// How many random inputs both were given.
    pub inputs: usize,
    /// The seed of the inputs.
    pub seed: u64,
    /// Outputs per input.
    pub outputs: usize,
    /// Whether all outputs are equal bit for bit. They are, unless something was folded.
    pub bitwise_equal: bool,
    /// The largest difference of two outputs.
    pub max_difference: f64,
    /// The largest of the bounds that the differences keep; 0 where nothing was folded.
    pub max_bound: f64,
    /// The largest ratio of a difference to its own bound; 0 where nothing differs.
    pub worst_share_of_bound: f64,
    /// For how many inputs the largest output is the same one.
    pub predictions_equal: usize,
}

/// A network as it is evaluated.
struct Network<'a> {
    layers: &'a [Layer],
    links: Vec<Link>,
    /// The biases before their rounding, where they have been.
    exact: &'a [Option<Vec<f64>>],
}

impl Compact {
    /// Evaluates this network and the one that it was made from on random inputs, and keeps what it found in
    /// [`Report::proof`](super::Report::proof). It takes the layers as they are now: biases may have been rounded to
    /// another type since.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where an output differs, by more than the bound if something was folded, or where a bias is more
    /// than a rounding away from what was folded into it; [`Error::Domain`]
    /// for no inputs; [`Error::Shape`] where `large` is not the network that this one was made from.
    pub fn prove(&mut self, large: &[Layer], probe: Probe) -> Result<()> {
        require(probe.inputs > 0, "proof", "inputs", probe.inputs, "[1, inf)")?;
        let large = Network { layers: large, links: chain::links(large)?, exact: &[] };
        let small = Network { layers: &self.layers, links: chain::links(&self.layers)?, exact: &self.exact };
        for (end, got, expected) in
            [("inputs", small.inputs(), large.inputs()), ("outputs", small.outputs(), large.outputs())]
        {
            if got != expected {
                let expected = format!("{expected} as in the large one");
                return Err(shape("proof", format!("{end} of the small network"), got, expected));
            }
        }
        small.only_rounded()?;
        let folded = self.exact.iter().any(Option::is_some);
        let size = large.size();
        let found: Vec<Result<Proof>> = (0..probe.inputs)
            .into_par_iter()
            .map(|k| {
                let input = normal(probe.seed, k as u64, large.inputs() * size[0] * size[1]);
                let outputs = [&large, &small].map(|network| network.forward(&input, size, folded));
                Proof::of_one(probe.seed, k, &outputs)
            })
            .collect();
        // in order: of several mismatches the first is reported
        let found: Vec<Proof> = found.into_iter().collect::<Result<_>>()?;
        self.report.proof = found.into_iter().reduce(Proof::and);
        Ok(())
    }
}

impl Proof {
    /// For one input, from the outputs of the large and the small network with their error bounds; no bounds stand for
    /// bounds of 0.
    fn of_one(seed: u64, input: usize, [large, small]: &[(Vec<f32>, Vec<f64>); 2]) -> Result<Self> {
        let mut one = Proof {
            inputs: 1,
            seed,
            outputs: large.0.len(),
            bitwise_equal: true,
            max_difference: 0.0,
            max_bound: 0.0,
            worst_share_of_bound: 0.0,
            predictions_equal: usize::from(prediction(&large.0) == prediction(&small.0)),
        };
        for (k, (&a, &b)) in large.0.iter().zip(&small.0).enumerate() {
            let error = |errors: &[f64]| errors.get(k).copied().unwrap_or(0.0);
            // A little more, for the roundings of the bound itself: 2^-53 for each of 2^-24.
            let bound = (error(&large.1) + error(&small.1)) * (1.0 + 1e-6);
            one.max_bound = one.max_bound.max(bound);
            if a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan() {
                continue;
            }
            one.bitwise_equal = false;
            let difference = (f64::from(a) - f64::from(b)).abs();
            // Neither a NaN nor an endless bound proves anything.
            if !(difference <= bound && bound.is_finite() && bound > 0.0) {
                return Err(Error::Mismatch(format!(
                    "output {k} of random input {input} is {a} in the large network and {b} in the small one; the \
                     bound of the difference is {bound:e}"
                )));
            }
            one.max_difference = one.max_difference.max(difference);
            one.worst_share_of_bound = one.worst_share_of_bound.max(difference / bound);
        }
        Ok(one)
    }

    /// For the inputs of both.
    fn and(self, other: Proof) -> Self {
        Proof {
            inputs: self.inputs + other.inputs,
            bitwise_equal: self.bitwise_equal && other.bitwise_equal,
            max_difference: self.max_difference.max(other.max_difference),
            max_bound: self.max_bound.max(other.max_bound),
            worst_share_of_bound: self.worst_share_of_bound.max(other.worst_share_of_bound),
            predictions_equal: self.predictions_equal + other.predictions_equal,
            ..self
        }
    }
}

/// The index of the largest value.
fn prediction(values: &[f32]) -> usize {
    (1..values.len()).fold(0, |best, k| if values[k] > values[best] { k } else { best })
}

/// Standard normal numbers, by Box and Muller from the stream's own words, so that no library's method matters.
fn normal(seed: u64, stream: u64, count: usize) -> Vec<f32> {
    let mut words = ChaCha8Rng::seed_from_u64(seed);
    words.set_stream(stream);
    let mut uniform = || ((words.next_u64() >> 11) as f64 + 0.5) * 2f64.powi(-53);
    let mut next = || {
        let (radius, angle) = ((-2.0 * uniform().ln()).sqrt(), std::f64::consts::TAU * uniform());
        (radius * angle.cos()) as f32
    };
    (0..count).map(|_| next()).collect()
}

/// The bound of the relative error of a sum, for `count` roundings that each term may pass.
fn gamma(count: usize) -> f64 {
    let units = count as f64 * 2f64.powi(-24);
    if units < 1.0 { units / (1.0 - units) } else { f64::INFINITY }
}

/// The largest value of each run; a NaN counts as that.
fn pool<T: Copy + PartialOrd>(values: &[T], run: usize) -> Vec<T> {
    let larger = |a: T, b: T| if a >= b || a.partial_cmp(&a).is_none() { a } else { b };
    values.chunks(run).filter_map(|run| run.iter().copied().reduce(larger)).collect()
}

impl Network<'_> {
    fn inputs(&self) -> usize {
        self.links.first().map_or(0, |link| link.units)
    }

    fn outputs(&self) -> usize {
        self.links.last().map_or(0, |link| link.outputs)
    }

    /// Checks that each bias that something was folded into is that value, rounded to f32, f16 or bf16.
    fn only_rounded(&self) -> Result<()> {
        for (layer, exact) in self.layers.iter().zip(self.exact) {
            for (k, (&bias, &exact)) in layer.bias.iter().flatten().zip(exact.iter().flatten()).enumerate() {
                // 2^-8 is half a unit of bf16, 2^-25 half the smallest f16; what is no number stays as it is
                let near = (f64::from(bias) - exact).abs() <= exact.abs() * 2f64.powi(-8) + 2f64.powi(-25);
                if exact.is_finite() && !near {
                    return Err(Error::Mismatch(format!(
                        "bias {k} of layer {:?} is {bias} in the small network; it should be {exact}, rounded",
                        layer.name
                    )));
                }
            }
        }
        Ok(())
    }

    /// Rows and columns of the pictures: none smaller than a kernel, and a multiple of what the dense layer behind the
    /// convolutions takes.
    fn size(&self) -> [usize; 2] {
        let largest = self.links.iter().filter_map(|link| link.kernel).flatten().max();
        let Some(largest) = largest else { return [1, 1] };
        let positions = self.links.iter().find(|link| link.kernel.is_none()).map_or(1, |link| link.span);
        let rows = (1..=positions.isqrt()).rev().find(|rows| positions % rows == 0).unwrap_or(1);
        let times = largest.max(4).div_ceil(rows);
        [rows * times, positions / rows * times]
    }

    /// The outputs for one input, channel by channel; with their error bounds where `bounded`.
    fn forward(&self, input: &[f32], size: [usize; 2], bounded: bool) -> (Vec<f32>, Vec<f64>) {
        let mut values = input.to_vec();
        let mut errors = vec![0.0; if bounded { values.len() } else { 0 }];
        let mut positions = size[0] * size[1];
        for (k, (layer, link)) in self.layers.iter().zip(&self.links).enumerate() {
            if link.kernel.is_none() {
                let run = positions / link.span;
                (values, errors) = (pool(&values, run), pool(&errors, run));
                positions = 1;
            }
            let weights = chain::row_major(&layer.weight);
            let exact = self.exact.get(k).and_then(Option::as_ref);
            let last = k + 1 == self.layers.len();
            let mut next = (Vec::with_capacity(link.outputs * positions), Vec::new());
            for (neuron, row) in weights.chunks(link.units * link.span).enumerate() {
                let bias = layer.bias.as_ref().map_or(0.0, |bias| bias[neuron]);
                let mut sums = vec![0.0_f32; positions];
                link.visit(row, size, |to, from, w| sums[to] += w * values[from]);
                next.0.extend(sums.iter().map(|sum| match sum + bias {
                    z if z < 0.0 && !last => 0.0,
                    z => z,
                }));
                if !bounded {
                    continue;
                }
                let bias = f64::from(bias);
                let rounded = exact.map_or(0.0, |exact| (exact[neuron] - bias).abs());
                let mut terms = vec![(0_usize, bias.abs(), rounded); positions];
                link.visit(row, size, |to, from, w| {
                    let w = f64::from(w.abs());
                    let (count, magnitude, error) = &mut terms[to];
                    *count += usize::from(w != 0.0);
                    *magnitude += w * f64::from(values[from].abs());
                    *error += w * errors[from];
                });
                next.1.extend(terms.into_iter().map(|(count, magnitude, error)| {
                    gamma(count + 1) * magnitude + error + count as f64 * 2f64.powi(-149)
                }));
            }
            (values, errors) = next;
        }
        (values, errors)
    }
}

impl Link {
    /// Calls `term(output position, index of the input, weight)` for each product of one neuron, those of a position in
    /// the order of the weights.
    fn visit(&self, row: &[f32], [rows, columns]: [usize; 2], mut term: impl FnMut(usize, usize, f32)) {
        let Some([high, wide]) = self.kernel else {
            for (from, &w) in row.iter().enumerate() {
                term(0, from, w);
            }
            return;
        };
        for (k, &w) in row.iter().enumerate() {
            let (channel, i, j) = (k / self.span, k % self.span / wide, k % wide);
            // The input of output position y is y + i - (high - 1) / 2, if there is one.
            let (up, left) = ((high - 1) / 2, (wide - 1) / 2);
            for y in up.saturating_sub(i)..(rows + up).saturating_sub(i).min(rows) {
                let from = (channel * rows + y + i - up) * columns;
                for x in left.saturating_sub(j)..(columns + left).saturating_sub(j).min(columns) {
                    term(y * columns + x, from + x + j - left, w);
                }
            }
        }
    }
}
