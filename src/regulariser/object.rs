//! The learned regulariser of one layer as an object: its prox, its values, and what is known about it.
//!
//! ```text
//! G(y) = sum_i (g(v_i) + v_i^2/2) / q_i - ||y||^2/2,   v = Â^-T y + b          MAF-SRL, eq. (9), corrected
//! prox_G(x) = xi(x) = Âᵀ [ xi(diag(q) Â x) - b ]                              MAF-SRL, eq. (17) and Theorem 1
//! ```
//!
//! g is the penalty of the activation. With q > 0 and Â invertible, both of which are checked, xi(x) is the global
//! minimiser of 1/2 ||y - x||^2 + G(y). In a layer, which takes gradient steps of size 1/L, the regulariser in effect
//! is L G.
//!
//! # Cost
//!
//! The prox takes two products with the sparse Â. Values take Â^-1: 2 n^3 multiplications once, n^2 numbers kept, n^2
//! multiplications each. Up to [`Regulariser::AT_ONCE`] components the inverse is computed at the start, else when
//! first asked for, and beyond [`Regulariser::INVERTIBLE`] never. One core of 2.6 GHz takes under a millisecond for
//! 64 components, half a second for 784, four seconds for 1500.

use std::fmt;
use std::sync::{Arc, OnceLock};

use nalgebra::{DMatrix, DVector};

use super::Parameters;
use crate::error::{Error, Result, require, same};

/// How far above 1 a norm may be and count as 1: numbers learned in f32, and projected there, are off by less.
const SLACK: f64 = 1e-6;

/// A learned regulariser G, fixed.
#[derive(Clone, Debug)]
pub struct Regulariser {
    parameters: Parameters,
    /// As the norm, shared by the scaled ones, which have the same q and Â.
    inverse: Arc<OnceLock<Result<Inverse>>>,
    norm: Arc<OnceLock<f64>>,
}

/// Of the same numbers.
impl PartialEq for Regulariser {
    fn eq(&self, other: &Self) -> bool {
        self.parameters == other.parameters
    }
}

/// Â^-1 and the condition number ||Â||_1 ||Â^-1||_1.
#[derive(Debug)]
pub(super) struct Inverse {
    matrix: DMatrix<f64>,
    condition: f64,
}

/// What is known about a regulariser.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Diagnostics {
    /// n.
    pub components: u32,
    /// The share of Â's entries that may be nonzero.
    pub density: f64,
    /// ||Â||_1 ||Â^-1||_1; `None` beyond [`Regulariser::AT_ONCE`] components until a value was asked for.
    pub condition: Option<f64>,
    /// ||diag(sqrt q) Â||_2; beyond [`Regulariser::AT_ONCE`] components an upper bound of it.
    pub norm: f64,
    /// max(eta1, eta2) norm^2: the prox has no larger Lipschitz constant.
    pub lipschitz: f64,
    /// Whether that is at most 1, or 1e-6 above: then the prox is nonexpansive and G convex. Where it is not, G may
    /// be convex all the same.
    pub nonexpansive: bool,
    /// Whether b = 0, norm <= 1 and g >= 0, both up to 1e-6: then G >= 0. With b != 0, G is negative at -Âᵀb; else,
    /// where it is false, G may be nonnegative all the same.
    pub nonnegative: bool,
    /// b = 0: whether the prox maps 0 to 0. Else it maps 0 to -Âᵀb.
    pub zeros_preserved: bool,
    /// Where b = 0: the prox maps x to 0 if ||x||_2 is at most this, and no larger radius has that property.
    pub zero_radius: Option<f64>,
}

impl Regulariser {
    /// Up to so many components Â is inverted when a regulariser is made.
    pub const AT_ONCE: u32 = 1500;
    /// Beyond so many components Â is not inverted at all; at it the inverse takes half a gibibyte.
    pub const INVERTIBLE: u32 = 8192;
    /// The largest condition number with which Â counts as invertible: four digits of float64 are left in Â^-1.
    pub const CONDITION: f64 = 1e12;

    /// The regulariser of a layer with these parameters; its L is not used.
    ///
    /// # Errors
    /// As [`Parameters::check`]. [`Error::Domain`] where Â is singular, or so nearly that its condition number
    /// exceeds [`Regulariser::CONDITION`]: up to [`Regulariser::AT_ONCE`] components; beyond that
    /// [`Regulariser::value`] finds it.
    pub fn new(parameters: Parameters) -> Result<Self> {
        parameters.check("regulariser")?;
        let made = Regulariser { parameters, inverse: Arc::default(), norm: Arc::default() };
        if made.parameters.components() <= Regulariser::AT_ONCE {
            made.inverse()?;
        }
        Ok(made)
    }

    /// The parameters.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// xi(x) = argmin_y 1/2 ||y - x||^2 + G(y). A NaN in x makes what depends on it NaN; -0.0 never comes out.
    ///
    /// # Errors
    /// [`Error::Shape`] where x has not n components.
    pub fn prox(&self, x: &[f64]) -> Result<Vec<f64>> {
        self.check_length("x", x)?;
        let Parameters { q, b, activation, .. } = &self.parameters;
        Ok(self.parameters.through(x, |i, u| activation.value(q[i] * u) - b[i]))
    }

    /// G(y). NaN where y is not finite or its square overflows.
    ///
    /// # Errors
    /// [`Error::Shape`] where y has not n components; [`Error::Domain`] where Â has more than
    /// [`Regulariser::INVERTIBLE`] of them, or was not inverted before and cannot be.
    pub fn value(&self, y: &[f64]) -> Result<f64> {
        self.check_length("y", y)?;
        let Parameters { q, b, activation, .. } = &self.parameters;
        let y = DVector::from_column_slice(y);
        let v = self.inverse()?.matrix.tr_mul(&y);
        // g apart from the squares: they cancel for orthogonal Â, and it does not
        let (mut penalties, mut squares) = (0.0, 0.0);
        for ((&v, &q), &b) in v.iter().zip(q).zip(b) {
            penalties += activation.penalty_value(v + b) / q;
            squares += (v + b) * (v + b) / q;
        }
        Ok(penalties + 0.5 * (squares - y.norm_squared()))
    }

    /// s^2 G(. / s), whose prox is s prox_G(x / s): delta1, delta2 and b times s. Zeros, convexity and the Lipschitz
    /// constant stay; thresholds grow with s.
    ///
    /// # Errors
    /// [`Error::Domain`] where s is not positive and finite, or a number leaves the domain of [`Parameters::check`].
    pub fn scaled(&self, s: f64) -> Result<Self> {
        require(s > 0.0 && s.is_finite(), "regulariser", "scale", s, "(0, inf)")?;
        let mut parameters = self.parameters.clone();
        parameters.activation.delta1 *= s;
        parameters.activation.delta2 *= s;
        parameters.b.iter_mut().for_each(|b| *b *= s);
        parameters.check("regulariser")?;
        Ok(Regulariser { parameters, inverse: self.inverse.clone(), norm: self.norm.clone() })
    }

    /// What is known about it; the cost is that of [`Regulariser::norm`].
    #[must_use]
    pub fn diagnostics(&self) -> Diagnostics {
        let Parameters { pattern, values, q, b, activation, .. } = &self.parameters;
        let norm = self.norm();
        let lipschitz = activation.lipschitz() * norm * norm;
        let zeros_preserved = b.iter().all(|&b| b == 0.0);
        let longest = (q.iter().enumerate())
            .map(|(i, q)| q * values[pattern.row(i as u32)].iter().map(|a| a * a).sum::<f64>().sqrt())
            .fold(0.0, f64::max);
        Diagnostics {
            components: self.parameters.components(),
            density: pattern.density(),
            condition: self.inverse.get().and_then(|i| i.as_ref().ok()).map(|i| i.condition),
            norm,
            lipschitz,
            nonexpansive: lipschitz <= 1.0 + SLACK,
            nonnegative: zeros_preserved && norm <= 1.0 + SLACK && activation.penalty_is_nonnegative(),
            zeros_preserved,
            zero_radius: zeros_preserved.then_some(activation.delta1 / longest),
        }
    }

    /// ||diag(sqrt q) Â||_2, as [`Diagnostics::norm`]. In a step that has this regulariser
    /// ([`Spec::with_regulariser`](crate::schedule::Spec::with_regulariser)) its square multiplies the rate: 1 / norm^2 is the rate
    /// scale with which the step is no longer than without. About 2 n^3 multiplications, once.
    #[must_use]
    pub fn norm(&self) -> f64 {
        *self.norm.get_or_init(|| norm(&self.parameters))
    }

    /// Â^-T, row by row: n x n numbers.
    ///
    /// # Errors
    /// [`Error::Domain`] where Â has more than [`Regulariser::INVERTIBLE`] components, or was not inverted before and
    /// cannot be.
    pub fn inverse_transposed(&self) -> Result<&[f64]> {
        // column by column it is Â^-1
        Ok(self.inverse()?.matrix.as_slice())
    }

    fn inverse(&self) -> Result<&Inverse> {
        let found = self.inverse.get_or_init(|| invert(&self.parameters, "regulariser"));
        found.as_ref().map_err(Clone::clone)
    }

    fn check_length(&self, name: &str, x: &[f64]) -> Result<()> {
        same("regulariser", format_args!("length of {name}"), x.len(), self.parameters.q.len())
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Diagnostics { components, norm, lipschitz, .. } = self;
        write!(f, "{components} components, {:.1} % of Â", 100.0 * self.density)?;
        match self.condition {
            Some(condition) => writeln!(f, ", condition number {condition:.3e}")?,
            None => writeln!(f, ", condition number not computed")?,
        }
        let convex = if self.nonexpansive { "G is convex" } else { "G may be nonconvex" };
        writeln!(f, "||diag(sqrt q) Â|| <= {norm:.6}, Lipschitz constant <= {lipschitz:.6}: {convex}")?;
        match (self.nonnegative, self.zeros_preserved) {
            (true, _) => writeln!(f, "G >= 0")?,
            (false, true) => writeln!(f, "G may be negative somewhere")?,
            (false, false) => writeln!(f, "G is negative at -Âᵀb, as with every b other than 0")?,
        }
        match self.zero_radius {
            Some(radius) => write!(f, "zero stays zero, and so does all within {radius:.6} of it"),
            None => write!(f, "zero does not stay zero: b is not 0"),
        }
    }
}

impl Parameters {
    /// The condition number ||Â||_1 ||Â^-1||_1, infinite for a singular Â, computed with 2 n^3 multiplications.
    ///
    /// # Errors
    /// As [`Parameters::check`]; [`Error::Domain`] beyond [`Regulariser::INVERTIBLE`] components.
    pub fn conditioning(&self) -> Result<f64> {
        self.check("conditioning")?;
        Ok(inverted(self, "conditioning")?.1)
    }
}

/// Â as a dense matrix, its row i times `scale(i)`.
fn dense(p: &Parameters, scale: impl Fn(usize) -> f64) -> DMatrix<f64> {
    let n = p.q.len();
    let mut matrix = DMatrix::zeros(n, n);
    for ((i, j), &a) in p.pattern.entries().zip(&p.values) {
        matrix[(i as usize, j as usize)] = scale(i as usize) * a;
    }
    matrix
}

/// Â^-1, or the error that it is as good as singular.
pub(super) fn invert(p: &Parameters, place: &str) -> Result<Inverse> {
    match inverted(p, place)? {
        (Some(matrix), condition) if condition <= Regulariser::CONDITION => Ok(Inverse { matrix, condition }),
        (_, value) => {
            let (place, name, most) = (place.into(), "condition number of Â".into(), Regulariser::CONDITION);
            let allowed = format!("[1, {most:e}]: Â is singular, or so nearly that float64 cannot tell");
            Err(Error::Domain { place, name, value: value.into(), allowed })
        }
    }
}

/// Â^-1, where there is one, and the condition number.
fn inverted(p: &Parameters, place: &str) -> Result<(Option<DMatrix<f64>>, f64)> {
    let n = p.components();
    let allowed = format!("[1, {}], for which Â can be inverted", Regulariser::INVERTIBLE);
    require(n <= Regulariser::INVERTIBLE, place, "components", n, allowed)?;
    let matrix = dense(p, |_| 1.0);
    let largest = |m: &DMatrix<f64>| {
        m.column_iter().map(|c| c.iter().map(|x| x.abs()).sum::<f64>()).fold(0.0, f64::max)
    };
    let before = largest(&matrix);
    let inverse = matrix.lu().try_inverse().filter(|m| m.iter().all(|x| x.is_finite()));
    let condition = inverse.as_ref().map_or(f64::INFINITY, |m| before * largest(m));
    Ok((inverse, condition))
}

/// ||diag(sqrt q) Â||_2, or for a large n a bound above it: sqrt(||.||_1 ||.||_inf), or the Frobenius norm.
fn norm(p: &Parameters) -> f64 {
    let root = |i: usize| p.q[i].sqrt();
    if p.components() <= Regulariser::AT_ONCE {
        let matrix = dense(p, root);
        // scaled, so that no square leaves the range
        let scale = matrix.amax();
        if scale == 0.0 {
            return 0.0;
        }
        let matrix = matrix / scale;
        let largest = matrix.tr_mul(&matrix).symmetric_eigenvalues().max();
        return scale * largest.max(0.0).sqrt();
    }
    let (mut rows, mut columns, mut squares) = (vec![0.0; p.q.len()], vec![0.0; p.q.len()], 0.0);
    for ((i, j), a) in p.pattern.entries().zip(&p.values) {
        let a = root(i as usize) * a.abs();
        rows[i as usize] += a;
        columns[j as usize] += a;
        squares += a * a;
    }
    let largest = |sums: Vec<f64>| sums.into_iter().fold(0.0, f64::max);
    (largest(rows) * largest(columns)).sqrt().min(f64::sqrt(squares))
}
