//! The learned numbers of one layer, in float64.

use std::sync::Arc;

use super::ParameterLayout;
use crate::error::{Result, require, same, unsupported};
use crate::matrix::Pattern;
use crate::penalty::{Activation, in_f32, raised};

/// The smallest values that slopes, scales and L may take: what projections keep to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Floors {
    /// For eta1, eta2 and q.
    pub epsilon: f64,
    /// For L.
    pub l: f64,
}

impl Default for Floors {
    fn default() -> Self {
        Floors { epsilon: 1e-3, l: 0.6 }
    }
}

impl Floors {
    /// Refuses floors outside their domains.
    pub(crate) fn check(self, place: &str) -> Result<()> {
        let Floors { epsilon, l } = self;
        require((1e-6..=1.0).contains(&epsilon), place, "floor of slopes and scales", epsilon, "[1e-6, 1]")?;
        require((1e-6..=1e6).contains(&l), place, "floor of L", l, "[1e-6, 1e6]")
    }
}

/// The parameters of a layer: Â on its pattern, the scales q, the offsets b, the activation, and L.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// Which entries of Â may be nonzero; square.
    pub pattern: Arc<Pattern>,
    /// The entries of Â in the pattern's order.
    pub values: Vec<f64>,
    /// q, positive: the component i of Âx is multiplied by q_i before the activation.
    pub q: Vec<f64>,
    /// b, subtracted after the activation. Zero by default: with any other b the layer maps 0 to -Âᵀb, no output is
    /// exactly zero, and G is negative somewhere.
    pub b: Vec<f64>,
    /// The activation.
    pub activation: Activation,
    /// L: the layer's step size is 1/L. Positive.
    pub l: f64,
}

impl Parameters {
    /// Â = I on the pattern, q = 1, b = 0.
    ///
    /// # Errors
    /// As [`Parameters::check`].
    pub fn identity(pattern: Arc<Pattern>, activation: Activation, l: f64) -> Result<Self> {
        let n = pattern.rows() as usize;
        let values = pattern.entries().map(|(i, j)| f64::from(u8::from(i == j))).collect();
        let made = Parameters { pattern, values, q: vec![1.0; n], b: vec![0.0; n], activation, l };
        made.check("parameters")?;
        Ok(made)
    }

    /// n.
    #[must_use]
    pub fn components(&self) -> u32 {
        self.pattern.rows()
    }

    /// Where the numbers lie in a vector of f32.
    #[must_use]
    pub fn places(&self) -> ParameterLayout {
        ParameterLayout { components: self.components(), nonzeros: self.pattern.nonzeros() }
    }

    /// Checks shapes and domains: a square pattern with its diagonal, finite values and b, q and L in [1e-6, 1e6] when rounded to f32, the
    /// activation as [`Activation::check`].
    ///
    /// # Errors
    /// [`crate::Error::Shape`], [`crate::Error::Domain`] or [`crate::Error::Unsupported`], naming `place`.
    pub fn check(&self, place: &str) -> Result<()> {
        let n = self.components() as usize;
        let lengths = [
            ("columns of the pattern", self.pattern.columns() as usize, n),
            ("number of values", self.values.len(), self.pattern.nonzeros() as usize),
            ("length of q", self.q.len(), n),
            ("length of b", self.b.len(), n),
        ];
        lengths.into_iter().try_for_each(|(name, got, expected)| same(place, name, got, expected))?;
        if !self.pattern.has_diagonal() {
            return Err(unsupported(
                place,
                "a pattern of Â without its whole diagonal",
                "patterns that hold the diagonal; others are often singular",
            ));
        }
        let (largest, positive) = (f64::from(f32::MAX), "[1e-6, 1e6]");
        for (name, numbers) in [("Â", &self.values), ("b", &self.b)] {
            for (k, &x) in numbers.iter().enumerate() {
                let allowed = x.abs() <= largest;
                require(allowed, place, format_args!("{name}[{k}]"), x, "the finite numbers of f32")?;
            }
        }
        for (k, &q) in self.q.iter().enumerate() {
            require(in_f32(1e-6, q, 1e6), place, format_args!("q[{k}]"), q, positive)?;
        }
        require(in_f32(1e-6, self.l, 1e6), place, "L", self.l, positive)?;
        self.activation.check(place)
    }

    /// Checks several sets, which are to be on one pattern; `before` comes before `layer K` in messages.
    pub(crate) fn check_all(sets: &[Parameters], before: &str) -> Result<()> {
        for (k, p) in sets.iter().enumerate() {
            let place = format!("{before}layer {k}");
            p.check(&place)?;
            if p.pattern != sets[0].pattern {
                let what = "a pattern of Â that differs from layer 0's";
                return Err(unsupported(place, what, "one pattern for all layers"));
            }
        }
        Ok(())
    }

    /// L, eta1, eta2, delta1, delta2: the numbers at the head of the [`ParameterLayout`], in their order.
    pub(crate) fn head(&self) -> [f64; 5] {
        let Activation { eta1, eta2, delta1, delta2 } = self.activation;
        [self.l, eta1, eta2, delta1, delta2]
    }

    /// Replaces them.
    pub(crate) fn set_head(&mut self, [l, eta1, eta2, delta1, delta2]: [f64; 5]) {
        (self.l, self.activation) = (l, Activation { eta1, eta2, delta1, delta2 });
    }

    /// The numbers as f32, at their [`ParameterLayout`].
    #[must_use]
    pub fn packed(&self) -> Vec<f32> {
        let places = self.places();
        let mut all = vec![0.0; places.length() as usize];
        let kinds: [(_, &[f64]); 4] = [
            (0..5, &self.head()),
            (places.q(), &self.q),
            (places.b(), &self.b),
            (places.values(), &self.values),
        ];
        for (range, numbers) in kinds {
            all[range].iter_mut().zip(numbers).for_each(|(to, &x)| *to = x as f32);
        }
        all
    }

    /// What [`Parameters::packed`] has written, or a device; nothing is checked but the length.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] for another length.
    pub fn unpacked(pattern: Arc<Pattern>, packed: &[f32]) -> Result<Self> {
        let places = ParameterLayout { components: pattern.rows(), nonzeros: pattern.nonzeros() };
        same("parameters", "length", packed.len(), places.length() as usize)?;
        let numbers = |range: std::ops::Range<usize>| packed[range].iter().map(|&x| f64::from(x)).collect();
        let [l, eta1, eta2, delta1, delta2] = std::array::from_fn(|at| f64::from(packed[at]));
        Ok(Parameters {
            values: numbers(places.values()),
            q: numbers(places.q()),
            b: numbers(places.b()),
            activation: Activation { eta1, eta2, delta1, delta2 },
            l,
            pattern,
        })
    }

    /// Every number rounded to f32: what a kernel computes with.
    #[must_use]
    pub fn rounded(&self) -> Self {
        let round = |x: f64| f64::from(x as f32);
        let mut made = self.clone();
        made.set_head(self.head().map(round));
        for numbers in [&mut made.values, &mut made.q, &mut made.b] {
            numbers.iter_mut().for_each(|x| *x = round(*x));
        }
        made
    }

    /// Projects slopes, knees, scales and L: MAF-SRL, eq. (28) to (31), corrected, and L, which the paper leaves out.
    pub fn project(&mut self, floors: Floors) {
        self.activation = self.activation.projected(floors.epsilon);
        self.q.iter_mut().for_each(|q| *q = raised(*q, floors.epsilon));
        self.l = raised(self.l, floors.l);
    }

    /// Âᵀ e of e_i = `of(i, u_i)`, with u = Â x.
    pub(super) fn through(&self, x: &[f64], mut of: impl FnMut(usize, f64) -> f64) -> Vec<f64> {
        let mut y = vec![0.0; x.len()];
        for i in 0..x.len() {
            let row = self.pattern.row(i as u32);
            let entries = || self.pattern.indices()[row.clone()].iter().zip(&self.values[row.clone()]);
            let e = of(i, entries().map(|(&j, a)| a * x[j as usize]).sum());
            entries().for_each(|(&j, a)| y[j as usize] += a * e);
        }
        y
    }

    /// ||diag(sqrt q) Â||_2 by `rounds` power iterations from `start`, which is left as the latest vector: a lower
    /// bound that grows with each round.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where `start` has not n components.
    pub fn norm(&self, start: &mut [f64], rounds: usize) -> Result<f64> {
        same("norm of Â", "length of the first vector", start.len(), self.q.len())?;
        let size = |of: &[f64]| of.iter().map(|x| x * x).sum::<f64>().sqrt();
        let mut sigma = 0.0;
        for _ in 0..rounds {
            let mut before = 0.0;
            let next = self.through(start, |i, u| {
                before += self.q[i] * u * u;
                self.q[i] * u
            });
            let length = size(start);
            if length == 0.0 {
                return Ok(0.0);
            }
            sigma = before.sqrt() / length;
            let grown = size(&next);
            if grown == 0.0 || !grown.is_finite() {
                return Ok(sigma);
            }
            start.iter_mut().zip(&next).for_each(|(to, x)| *to = x / grown);
        }
        Ok(sigma)
    }
}
