//! Group lasso: P(y) = w |y|_2, w = 1 or the root of the group's size. Groups of norm t w or less become zero.
//!
//! prox(x) = x (r - t w) / r with r = |x|_2, not x (1 - t w / r), which loses its digits near the threshold. After the
//! soft threshold of l1 it is the exact prox of the sparse group lasso; after other elementwise operators the
//! composition is an algorithm of its own (integrated TL1, SGL0, SGSCAD, ...), see [`exact`](super::exact()).

use super::{Described, GroupPenalty, Groupwise, Shrink, ends, norm};
use crate::penalty::Parameter;
use crate::penalty::domain::SHARE;

/// What a group's size does to its penalty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weight {
    /// Nothing: w = 1 (Ma et al.).
    #[default]
    One,
    /// w is the root of the group's size (Bui et al.).
    SqrtSize,
}

/// P(y) = w |y|_2.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lasso {
    /// w.
    pub weight: Weight,
}

impl Lasso {
    /// w = sqrt(size).
    pub const SQRT_SIZE: Lasso = Lasso { weight: Weight::SqrtSize };
}

impl Described<GroupPenalty> for Lasso {
    fn name(&self) -> &'static str {
        "lasso"
    }
    fn formula(&self) -> &'static str {
        "w |y|_2, w = 1 or sqrt(size)"
    }
    fn source(&self) -> &'static str {
        "Ma et al., eq. (18) for w = 1; Bui et al., eq. (2) for w = sqrt(size)"
    }
    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter { name: "weight", value: f64::from(self.weight as u8), domain: SHARE }]
    }
    fn words(&self) -> &'static [&'static str] {
        &["one", "sqrt-size"] // in the order of `Weight`
    }
    fn with(&self, values: &[f64]) -> GroupPenalty {
        Lasso { weight: if values[0] == 0.0 { Weight::One } else { Weight::SqrtSize } }.into()
    }
    fn examples(&self) -> Vec<GroupPenalty> {
        vec![Lasso::default().into(), Lasso::SQRT_SIZE.into()]
    }
}

impl Groupwise for Lasso {
    fn value(&self, y: &[f64]) -> f64 {
        self.size_weight(y.len() as u64) * norm(y.iter().copied())
    }
    fn shrink(&self, t: f64, x: &[f64]) -> Shrink {
        let r = norm(x.iter().copied());
        if r <= t { Shrink::ZERO } else { Shrink { after: (r - t) / r, ..Shrink::IDENTITY } }
    }
    fn convex(&self) -> bool {
        true
    }
    fn range(&self, t: f64, x: &[f64], error: &[f64]) -> Vec<(f64, f64)> {
        // the factor increases with every magnitude
        let (low, high) = ends(x, error);
        let (small, large) = (self.shrink(t, &low).after, self.shrink(t, &high).after);
        low.iter().zip(&high).map(|(low, high)| (low * small, high * large)).collect()
    }
    fn size_weight(&self, size: u64) -> f64 {
        match self.weight {
            Weight::One => 1.0,
            Weight::SqrtSize => (size as f64).sqrt(),
        }
    }
}
