//! Elastic net: p(y) = mix |y| + (1 - mix) y^2 / 2, between weight decay (mix = 0) and l1 (mix = 1).
//!
//! With t = step * lambda: prox(x) = sign(x) max(|x| - t mix, 0) / (1 + t (1 - mix)), the soft threshold
//! followed by the shrinkage. One regime, continuous; the threshold is t mix. Domain: 0 <= mix <= 1.
//!
//! Source: Zou and Hastie 2005.

use std::ops::Bound::Included;

use super::domain::{Domain, Parameter};
use super::{CONSTANTS, Elementwise, Penalty, Threshold};

/// p(y) = mix |y| + (1 - mix) y^2 / 2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ElasticNet {
    /// The share of l1, in [0, 1].
    pub mix: f64,
}

impl Default for ElasticNet {
    fn default() -> Self {
        ElasticNet { mix: 0.5 }
    }
}

impl Elementwise for ElasticNet {
    fn name(&self) -> &'static str {
        "elastic-net"
    }
    fn formula(&self) -> &'static str {
        "mix |y| + (1-mix) y^2 / 2"
    }
    fn source(&self) -> &'static str {
        "Zou and Hastie 2005"
    }
    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter { name: "mix", value: self.mix, domain: Domain(Included(0.0), Included(1.0)) }]
    }
    fn with(&self, values: &[f64]) -> Penalty {
        ElasticNet { mix: values[0] }.into()
    }
    fn value(&self, lambda: f64, y: f64) -> f64 {
        lambda * y * (self.mix + 0.5 * (1.0 - self.mix) * y)
    }
    fn slope(&self, lambda: f64, y: f64) -> f64 {
        lambda * (self.mix + (1.0 - self.mix) * y)
    }
    fn curvature(&self, lambda: f64, _: f64) -> f64 {
        lambda * (1.0 - self.mix)
    }
    fn threshold(&self, step: f64, lambda: f64) -> Threshold {
        Threshold { at: step * lambda * self.mix, jump: 0.0 }
    }
    fn magnitude(&self, step: f64, lambda: f64, threshold: Threshold, ax: f64) -> f64 {
        (ax - threshold.at) / (1.0 + step * lambda * (1.0 - self.mix))
    }
    fn examples(&self) -> Vec<Penalty> {
        [0.5, 0.0, 0.9, 1.0].map(|mix| ElasticNet { mix }.into()).to_vec()
    }
    fn backward_ulps(&self) -> f64 {
        10.0 // 1.5 ULP of the subtraction and 4 * 2^-23 of the quotient (see l2sq)
    }
    fn constant_names(&self) -> [&'static str; CONSTANTS] {
        ["threshold", "decay", "unused2", "unused3", "unused4", "unused5", "unused6", "unused7"]
    }
    fn constants(&self, step: f64, lambda: f64, threshold: Threshold) -> [f64; CONSTANTS] {
        let decay = step * lambda * (1.0 - self.mix);
        [threshold.at, decay, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    }
    fn per_element_step(&self) -> bool {
        true
    }
}
