//! The float64 reference, the learned regulariser and its files, against vectors of another program and against theory.

use std::path::Path;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::reference::{
    Gradient, Phi, layer, layer_back, loss_gradient, separable, separable_outputs, unfolded,
};

use crate::accuracy::Approx;
use crate::error::Error;
use crate::kernels::layer::reference::Layer;
use crate::kernels::{Format, dsrl};
use crate::matrix::Pattern;
use crate::penalty::Activation;
use crate::regulariser::{self, Parameters, Regulariser, file};

/// Made with an independent float64 implementation (numpy); `tests/data/oracle_network.py` says how.
fn oracle<T: serde::de::DeserializeOwned>(part: &str) -> T {
    let mut all: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/data/oracle_network.json")).unwrap();
    serde_json::from_value(all[part].take()).unwrap()
}

type Rows = Vec<Vec<f64>>;

fn array(rows: &Rows) -> Array2<f64> {
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

fn activation([eta1, eta2, delta1, delta2]: [f64; 4]) -> Activation {
    Activation { eta1, eta2, delta1, delta2 }
}

fn parameters(matrix: &Rows, q: &[f64], b: &[f64], of: Activation) -> Parameters {
    let n = matrix.len() as u32;
    let pattern = Arc::new(Pattern::full(n, n).unwrap());
    Parameters { pattern, values: matrix.concat(), q: q.into(), b: b.into(), activation: of, l: 1.0 }
}

#[track_caller]
fn close(what: &str, got: &[f64], expected: &[f64], relative: f64) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let size = expected.iter().fold(1.0f64, |m, x| m.max(x.abs()));
    for (k, (a, b)) in got.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= relative * size, "{what}[{k}]: {a:e}, expected {b:e}");
    }
}

fn flat(x: &Array2<f64>) -> Vec<f64> {
    x.iter().copied().collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Â and the rest at random: well away from singular most of the time.
fn random(n: u32, density: f64, offsets: bool, rng: &mut ChaCha8Rng) -> Parameters {
    let pattern = Arc::new(Pattern::random(n, density, rng.random()).unwrap());
    let values = pattern.entries().map(|(i, j)| rng.random_range(-0.5..0.5) + f64::from(u8::from(i == j)));
    let values = values.collect();
    let mut many = |low: f64, high: f64| (0..n).map(|_| rng.random_range(low..high)).collect::<Vec<f64>>();
    let (q, b) = (many(0.3, 2.0), many(-0.3, 0.3));
    let delta2 = rng.random_range(0.1..1.5);
    let activation = Activation {
        eta1: rng.random_range(0.3..2.0),
        eta2: rng.random_range(0.1..1.3),
        delta1: rng.random_range(0.0..delta2),
        delta2,
    };
    let b = if offsets { b } else { vec![0.0; n as usize] };
    Parameters { pattern, values, q, b, activation, l: rng.random_range(0.7..4.0) }
}

fn point(n: usize, size: f64, rng: &mut ChaCha8Rng) -> Vec<f64> {
    (0..n).map(|_| size * rng.random_range(-1.0..1.0)).collect()
}

#[derive(serde::Deserialize)]
struct Activations {
    activation: [f64; 4],
    v: Vec<f64>,
    xi: Vec<f64>,
    g: Vec<f64>,
    partials: Rows,
}

#[test]
fn the_activation_agrees_with_the_oracle() {
    let all: Vec<Activations> = oracle("activations");
    assert_eq!(all.len(), 7);
    for of in all {
        let a = activation(of.activation);
        let map = |f: &dyn Fn(f64) -> f64| of.v.iter().map(|&v| f(v)).collect::<Vec<f64>>();
        close("xi", &map(&|v| a.value(v)), &of.xi, 1e-15);
        close("g", &map(&|v| a.penalty_value(v)), &of.g, 4e-15);
        close("by v", &map(&|v| a.partials(v).v), &of.partials[0], 0.0);
        close("by eta1", &map(&|v| a.partials(v).eta1), &of.partials[1], 1e-15);
        close("by eta2", &map(&|v| a.partials(v).eta2), &of.partials[2], 1e-15);
        close("by delta1", &map(&|v| a.partials(v).delta1), &of.partials[3], 0.0);
        close("by delta2", &map(&|v| a.partials(v).delta2), &of.partials[4], 1e-15);
    }
}

#[test]
fn derivatives_are_those_from_the_right_at_every_knee() {
    let a = Activation { eta1: 0.7, eta2: 0.3, delta1: 0.25, delta2: 0.75 };
    for (knee, slope) in [(0.75, 0.3), (0.25, 0.7), (-0.25, 0.0), (-0.75, 0.7)] {
        let h = 1e-7;
        let right = (a.value(knee + h) - a.value(knee)) / h;
        assert!((right - slope).abs() < 1e-7, "{knee}: {right}");
        assert_eq!(a.partials(knee).v, slope, "{knee}");
        assert_eq!(a.partials(knee), a.partials(knee + 1e-300), "{knee}");
    }
    // just below each knee it is another
    for (knee, slope) in [(0.75f64, 0.7), (0.25, 0.0), (-0.25, 0.7), (-0.75, 0.3)] {
        assert_eq!(a.partials(knee.next_down()).v, slope, "{knee}");
    }
}

#[test]
fn the_layer_takes_the_derivative_from_the_right() {
    // one component, Â = q = 1, far phi: v = r = x
    let a = Activation { eta1: 0.5, eta2: 0.25, delta1: 0.25, delta2: 0.75 };
    let p = Parameters::identity(Arc::new(Pattern::diagonal(1).unwrap()), a, 1e6).unwrap();
    for (knee, slope) in [(0.75, 0.25), (0.25, 0.5), (-0.25, 0.0), (-0.75, 0.5)] {
        let x = Array2::from_elem((1, 1), knee);
        // at c = x the gradient of phi is 0, and r = x exactly
        let phi = Phi::Near(x.view());
        let passed = layer(&p, &phi, &x);
        let (grad_output, _) = layer_back(&p, &phi, &passed, &Array2::from_elem((1, 1), 1.0));
        assert!((grad_output[[0, 0]] - slope * (1.0 - 1e-6)).abs() < 1e-15, "{knee}: {grad_output}");
    }
}

#[test]
fn the_penalty_is_nonnegative_where_it_says_so() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut yes = 0;
    let learned = Activation { eta1: 1.7, eta2: 1.0, delta1: 0.0, delta2: 0.9 }.projected(1e-3);
    let rounded = |x: f64| f64::from(x as f32);
    let (delta1, delta2) = (rounded(learned.delta1), rounded(learned.delta2));
    assert!(Activation { eta1: rounded(1.7), delta1, delta2, ..learned }.penalty_is_nonnegative());
    for _ in 0..4000 {
        let delta2 = rng.random_range(0.0..2.0);
        let a = Activation {
            eta1: rng.random_range(0.1..4.0),
            eta2: rng.random_range(0.05..1.3),
            delta1: delta2 * rng.random_range(0.0..1.0),
            delta2,
        };
        let lowest = (0..4000).map(|k| a.penalty_value(k as f64 * 0.01)).fold(f64::INFINITY, f64::min);
        let far = a.penalty_value(-1e6);
        match a.penalty_is_nonnegative() {
            true => assert!(lowest >= -1e-4 && far >= -10.0, "{a:?}: {lowest:e}, {far:e}"),
            // as far as the grid sees
            false => assert!(lowest < 1e-4 || far < 0.0, "{a:?}: {lowest:e}, {far:e}"),
        }
        yes += u32::from(a.penalty_is_nonnegative());
    }
    assert!((1000..3500).contains(&yes), "{yes}");
}

#[derive(serde::Deserialize)]
struct Regularisers {
    matrix: Rows,
    q: Vec<f64>,
    b: Vec<f64>,
    activation: [f64; 4],
    x: Rows,
    xi: Rows,
    least: Rows,
    y: Rows,
    g: Vec<f64>,
}

#[test]
fn prox_and_value_agree_with_the_oracle_and_with_the_enumeration_of_all_pieces() {
    let all: Vec<Regularisers> = oracle("regularisers");
    assert_eq!(all.len(), 42);
    for of in all {
        let p = parameters(&of.matrix, &of.q, &of.b, activation(of.activation));
        let condition = p.conditioning().unwrap();
        let made = Regulariser::new(p).unwrap();
        for ((x, xi), least) in of.x.iter().zip(&of.xi).zip(&of.least) {
            let got = made.prox(x).unwrap();
            close("xi", &got, xi, 1e-14);
            close("minimiser", &got, least, 1e-13 * condition.max(10.0));
        }
        for (y, &g) in of.y.iter().zip(&of.g) {
            let got = made.value(y).unwrap();
            // the squares that cancel are up to condition^2 ||y||^2 large
            let size = g.abs() + condition * condition * dot(y, y) + 1.0;
            assert!((got - g).abs() <= 1e-14 * size, "G: {got:e}, expected {g:e}");
        }
    }
}

/// 1/2 ||y - x||^2 + G(y).
fn objective(of: &Regulariser, x: &[f64], y: &[f64]) -> f64 {
    let apart: f64 = x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum();
    0.5 * apart + of.value(y).unwrap()
}

#[test]
fn the_prox_minimises() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut tried = 0;
    while tried < 300 {
        let n = 2 + tried % 2;
        let p = random(n, 1.0, tried % 3 == 0, &mut rng);
        if p.conditioning().unwrap() > 100.0 {
            continue;
        }
        let of = Regulariser::new(p).unwrap();
        let size = [0.3, 1.0, 4.0][tried as usize % 3];
        let x = point(n as usize, size, &mut rng);
        let y = of.prox(&x).unwrap();
        let least = objective(&of, &x, &y);
        for k in 0..400 {
            let step = point(n as usize, 10f64.powf(k as f64 / 400.0 * 9.0 - 7.0), &mut rng);
            let other: Vec<f64> = y.iter().zip(&step).map(|(y, d)| y + d).collect();
            let value = objective(&of, &x, &other);
            // rounding of the squares: 1e4 at the condition number 100
            let noise = 1e-12 * (1.0 + dot(&other, &other) + dot(&y, &y) + dot(&x, &x));
            assert!(value >= least - noise, "{of:?} at {x:?}: {value:e} at {other:?} < {least:e} at {y:?}");
        }
        tried += 1;
    }
}

#[test]
fn the_scaled_regulariser_has_the_scaled_prox_and_value() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for s in [0.01, 0.5, 1.0, 3.0, 70.0] {
        let of = Regulariser::new(random(4, 0.6, true, &mut rng)).unwrap();
        let scaled = of.scaled(s).unwrap();
        for _ in 0..20 {
            let x = point(4, 3.0, &mut rng);
            let small: Vec<f64> = x.iter().map(|x| x / s).collect();
            let expected: Vec<f64> = of.prox(&small).unwrap().iter().map(|y| s * y).collect();
            close("prox", &scaled.prox(&x).unwrap(), &expected, 1e-13);
            let value = s * s * of.value(&small).unwrap();
            close("value", &[scaled.value(&x).unwrap()], &[value], 1e-9);
        }
        let (before, after) = (of.diagnostics(), scaled.diagnostics());
        assert_eq!(before.lipschitz, after.lipschitz);
        assert_eq!(before.condition, after.condition);
    }
    let of = Regulariser::new(random(2, 1.0, false, &mut rng)).unwrap();
    for s in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(of.scaled(s), Err(Error::Domain { .. })), "{s}");
    }
    assert!(of.scaled(1e9).unwrap_err().to_string().contains("delta2"));
}

#[test]
fn what_lies_in_the_zero_radius_is_mapped_to_zero_and_no_more() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    for round in 0..200 {
        let n = 1 + round % 6;
        let of = Regulariser::new(random(n, 0.7, false, &mut rng)).unwrap();
        let found = of.diagnostics();
        let radius = found.zero_radius.unwrap();
        assert!(found.zeros_preserved);
        let p = of.parameters();
        for _ in 0..50 {
            let x = point(n as usize, 1.0, &mut rng);
            let length = dot(&x, &x).sqrt();
            let x: Vec<f64> = x.iter().map(|x| x / length * radius * (1.0 - 1e-12)).collect();
            let y = of.prox(&x).unwrap();
            assert!(y.iter().all(|y| y.to_bits() == 0), "{x:?} -> {y:?}");
        }
        let row = |i: u32| {
            let mut a = vec![0.0; n as usize];
            p.pattern.row(i).for_each(|k| a[p.pattern.indices()[k] as usize] = p.values[k]);
            a
        };
        let weight = |i: u32| p.q[i as usize] * dot(&row(i), &row(i)).sqrt();
        let worst = (0..n).max_by(|&i, &j| weight(i).total_cmp(&weight(j))).unwrap();
        let a = row(worst);
        let x: Vec<f64> = a.iter().map(|x| x / dot(&a, &a).sqrt() * radius * 1.001).collect();
        assert!(of.prox(&x).unwrap().iter().any(|&y| y != 0.0), "{x:?}");
    }
    let of = Regulariser::new(random(3, 0.7, true, &mut rng)).unwrap();
    let found = of.diagnostics();
    assert!(found.zero_radius.is_none() && !found.zeros_preserved && !found.nonnegative);
    assert!(found.to_string().ends_with("zero does not stay zero: b is not 0"));
}

#[test]
fn a_norm_above_one_can_make_it_negative() {
    let a = activation([1.0, 1.0, 0.1, 0.2]);
    let p = parameters(&vec![vec![2.0, 0.0], vec![0.0, 2.0]], &[1.0, 1.0], &[0.0, 0.0], a);
    let of = Regulariser::new(p).unwrap();
    for (t, g) in [(0.2, -0.005), (1.0, -0.325), (10.0, -37.0), (100.0, -3745.0)] {
        let got = of.value(&[t, 0.0]).unwrap();
        assert!((got - g).abs() < 1e-12 * g.abs().max(1.0), "{t}: {got}");
    }
    let found = of.diagnostics();
    assert!((found.norm - 2.0).abs() < 1e-14 && !found.nonnegative && !found.nonexpansive);
    assert_eq!(found.condition, Some(1.0));
    assert_eq!(
        found.to_string(),
        "2 components, 100.0 % of Â, condition number 1.000e0\n\
         ||diag(sqrt q) Â|| <= 2.000000, Lipschitz constant <= 4.000000: G may be nonconvex\n\
         G may be negative somewhere\n\
         zero stays zero, and so does all within 0.050000 of it"
    );
}

#[test]
fn every_offset_makes_it_negative() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for round in 0..100 {
        let n = 1 + round % 5;
        let p = random(n, 0.8, true, &mut rng);
        if p.conditioning().unwrap() > 1e3 {
            continue;
        }
        // at -Âᵀb, where v = 0
        let mut y = vec![0.0; n as usize];
        for ((i, j), a) in p.pattern.entries().zip(&p.values) {
            y[j as usize] -= a * p.b[i as usize];
        }
        let of = Regulariser::new(p).unwrap();
        let (value, expected) = (of.value(&y).unwrap(), -0.5 * dot(&y, &y));
        assert!((value - expected).abs() < 1e-10 && value < 0.0, "{value:e}, expected {expected:e}");
    }
}

#[test]
fn the_identity_gives_the_activation_and_its_penalty() {
    let a = activation([0.94, 0.085, 0.4, 0.82]);
    let p = Parameters::identity(Arc::new(Pattern::diagonal(64).unwrap()), a, 1.0).unwrap();
    let of = Regulariser::new(p).unwrap();
    let found = of.diagnostics();
    assert!((found.norm - 1.0).abs() < 1e-14 && found.nonexpansive && found.nonnegative, "{found}");
    assert_eq!((found.condition, found.zero_radius), (Some(1.0), Some(0.4)));
    let y: Vec<f64> = (0..64).map(|k| f64::from(k) * 1e4 - 3e5).collect();
    let g: f64 = y.iter().map(|&y| a.penalty_value(y)).sum();
    assert_eq!(of.value(&y).unwrap(), g);
    assert_eq!(of.prox(&y).unwrap(), y.iter().map(|&y| a.value(y)).collect::<Vec<_>>());
}

#[test]
fn bad_regularisers_are_named() {
    let a = activation([1.0, 1.0, 0.1, 0.5]);
    let matrix = |m: [[f64; 2]; 2]| parameters(&m.map(Vec::from).to_vec(), &[1.0, 1.0], &[0.0, 0.0], a);
    let said = |m| Regulariser::new(matrix(m)).unwrap_err().to_string();
    assert_eq!(
        said([[1.0, 2.0], [2.0, 4.0]]),
        "regulariser: condition number of Â = inf is outside [1, 1e12]: Â is singular, or so nearly that float64 \
         cannot tell"
    );
    let near = said([[1.0, 1.0], [1.0, 1.0 + 1e-13]]);
    assert!(near.starts_with("regulariser: condition number of Â = 4003"), "{near}");
    // badly scaled is not singular
    assert!(Regulariser::new(matrix([[1e-5, 0.0], [0.0, 1e5]])).is_ok());
    assert!(said([[f64::NAN, 0.0], [0.0, 1.0]]).contains("Â[0]"));
    let of = Regulariser::new(matrix([[1.0, 0.0], [0.0, 1.0]])).unwrap();
    let expected = "regulariser: length of x is 3, expected 2";
    assert_eq!(of.prox(&[0.0; 3]).unwrap_err().to_string(), expected);
    assert!(of.value(&[0.0]).unwrap_err().to_string().contains("length of y is 1, expected 2"));
}

#[test]
fn what_is_not_finite_stays_so() {
    let a = activation([1.0, 0.5, 0.1, 0.5]);
    let p = parameters(&vec![vec![1.0, 0.5], vec![0.25, 1.0]], &[1.0, 1.0], &[0.0, 0.0], a);
    let of = Regulariser::new(p).unwrap();
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for at in 0..2 {
            let mut x = [0.0, 0.0];
            x[at] = bad;
            assert!(of.prox(&x).unwrap().iter().all(|y| !y.is_finite()), "{x:?}");
            assert!(of.value(&x).unwrap().is_nan(), "{x:?}: {:?}", of.value(&x));
        }
    }
}

#[test]
fn a_large_matrix_is_inverted_when_asked_or_never() {
    let a = activation([1.0, 1.0, 0.1, 0.5]);
    // not inverted at the start: the singular matrix is found by its value
    let n = Regulariser::AT_ONCE + 1;
    let mut p = Parameters::identity(Arc::new(Pattern::diagonal(n).unwrap()), a, 1.0).unwrap();
    p.values[7] = 0.0;
    let of = Regulariser::new(p).unwrap();
    assert_eq!(of.diagnostics().condition, None);
    assert_eq!(of.diagnostics().norm, 1.0);
    assert!(of.diagnostics().to_string().contains("condition number not computed"));
    assert_eq!(of.prox(&vec![1.0; n as usize]).unwrap()[6..9], [0.9, 0.0, 0.9]);

    let p = Parameters::identity(Arc::new(Pattern::diagonal(Regulariser::INVERTIBLE + 1).unwrap()), a, 1.0)
        .unwrap();
    let said = p.conditioning().unwrap_err().to_string();
    assert_eq!(said, "conditioning: components = 8193 is outside [1, 8192], for which Â can be inverted");
    let of = Regulariser::new(p).unwrap();
    assert!(matches!(of.value(&vec![0.0; 8193]), Err(Error::Domain { .. })));
}

#[test]
fn pruning_keeps_the_diagonal_and_the_largest() {
    let pruned = |p: &Parameters, density| {
        regulariser::pruned(std::slice::from_ref(p), density).map(|mut all| all.swap_remove(0))
    };
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    for n in [1u32, 2, 5, 16] {
        let mut p = random(n, 0.8, true, &mut rng);
        // a small diagonal stays all the same
        p.values[0] = if n > 1 { 0.01 } else { 1.0 };
        for density in [0.01, 0.3, 0.5, 0.8, 1.0] {
            let Ok(pruned) = pruned(&p, density) else { continue };
            let wanted = ((density * f64::from(n * n)).round() as u32).max(n).min(p.pattern.nonzeros());
            assert_eq!(pruned.pattern.nonzeros(), wanted, "{n} {density}");
            pruned.check("pruned").unwrap();
            let weight = |i: u32, a: f64| p.q[i as usize].sqrt() * a.abs();
            let mut least = f64::INFINITY;
            for ((i, j), &a) in pruned.pattern.entries().zip(&pruned.values) {
                assert_eq!(p.values[p.pattern.find(i, j).unwrap()], a);
                least = if i == j { least } else { least.min(weight(i, a)) };
            }
            for ((i, j), &a) in p.pattern.entries().zip(&p.values) {
                assert!(pruned.pattern.find(i, j).is_some() || weight(i, a) <= least, "{i} {j}");
            }
        }
        assert_eq!(pruned(&p, 1.0).unwrap(), p);
    }
    let a = activation([1.0, 1.0, 0.1, 0.5]);
    let turned = parameters(&vec![vec![0.0, 1.0], vec![1.0, 0.0]], &[1.0, 1.0], &[0.0, 0.0], a);
    assert_eq!(turned.conditioning().unwrap(), 1.0);
    assert!(
        pruned(&turned, 0.5)
            .unwrap_err()
            .to_string()
            .starts_with("pruning: layer 0: condition number of Â = inf")
    );
    for density in [0.0, 1.5, f64::NAN] {
        assert!(pruned(&turned, density).unwrap_err().to_string().contains("density"));
    }
}

#[test]
fn the_norm_bounds_what_power_iterations_find() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    for n in [1u32, 2, 7, 40] {
        let p = random(n, 0.5, false, &mut rng);
        let norm = Regulariser::new(p.clone()).unwrap().diagnostics().norm;
        let found = p.norm(&mut point(n as usize, 1.0, &mut rng), 3000).unwrap();
        assert!((norm - found).abs() < 1e-6 * norm && norm >= found * (1.0 - 1e-13), "{norm} {found}");
    }
}

#[derive(serde::Deserialize)]
struct Numbers {
    values: Vec<f64>,
    q: Vec<f64>,
    b: Vec<f64>,
    activation: [f64; 4],
    l: f64,
}

#[derive(serde::Deserialize)]
struct Network {
    pattern: Vec<(u32, u32)>,
    parameters: Vec<Numbers>,
    layers: usize,
    d: Option<Rows>,
    y: Rows,
    x: Rows,
    target: Rows,
    outputs: Vec<Rows>,
    loss: f64,
    gradients: Vec<Numbers>,
    #[serde(rename = "x_bar")]
    grad_input: Rows,
}

impl Network {
    fn sets(&self) -> Vec<Parameters> {
        let n = self.x.len() as u32;
        let pattern = Arc::new(Pattern::new(n, n, self.pattern.iter().copied()).unwrap());
        let of = |p: &Numbers| Parameters {
            pattern: pattern.clone(),
            values: p.values.clone(),
            q: p.q.clone(),
            b: p.b.clone(),
            activation: activation(p.activation),
            l: p.l,
        };
        self.parameters.iter().map(of).collect()
    }
}

/// One set of parameters for all layers, or one each.
fn spread(sets: &[Parameters], layers: usize) -> Vec<&Parameters> {
    (0..layers).map(|k| &sets[k % sets.len()]).collect()
}

/// Layer by layer, or the sum where one set is shared.
fn gathered(gradients: Vec<Gradient>, sets: &[Parameters]) -> Vec<Gradient> {
    if sets.len() == gradients.len() {
        return gradients;
    }
    let mut sum = Gradient::zeros(&sets[0]);
    gradients.iter().for_each(|g| sum.add(g));
    vec![sum]
}

#[test]
fn networks_and_their_gradients_agree_with_the_oracle() {
    let all: Vec<Network> = oracle("networks");
    assert_eq!(all.len(), 18);
    for of in all {
        let sets = of.sets();
        sets.iter().for_each(|p| p.check("oracle").unwrap());
        let (x, y, target, d) = (array(&of.x), array(&of.y), array(&of.target), of.d.as_ref().map(array));
        let phi = match &d {
            None => Phi::Near(y.view()),
            Some(d) => Phi::Linear { d: d.view(), y: y.view() },
        };
        let layers = spread(&sets, of.layers);
        let passed = unfolded(&layers, &phi, &x);
        assert_eq!(passed.len(), of.outputs.len());
        for (passed, expected) in passed.iter().zip(&of.outputs) {
            close("output", &flat(&passed.y), &expected.concat(), 1e-13);
        }
        let (loss, gradients, grad_input) = loss_gradient(&layers, &phi, &x, target.view(), 0.0);
        close("loss", &[loss], &[of.loss], 1e-13);
        close("grad_input", &flat(&grad_input), &of.grad_input.concat(), 1e-12);
        let gradients = gathered(gradients, &sets);
        assert_eq!(gradients.len(), of.gradients.len());
        for (got, expected) in gradients.iter().zip(&of.gradients) {
            close("values", &got.values, &expected.values, 1e-12);
            close("q", &got.q, &expected.q, 1e-12);
            close("b", &got.b, &expected.b, 1e-12);
            close("activation", &got.activation, &expected.activation, 1e-12);
            close("l", &[got.l], &[expected.l], 1e-12);
        }
    }
}

/// Every learned number of a layer in turn, to be changed.
fn number(p: &mut Parameters, k: usize) -> Option<&mut f64> {
    let (values, n) = (p.values.len(), p.q.len());
    let a = &mut p.activation;
    match k {
        0 => Some(&mut p.l),
        1 => Some(&mut a.eta1),
        2 => Some(&mut a.eta2),
        3 => Some(&mut a.delta1),
        4 => Some(&mut a.delta2),
        _ if k < 5 + n => Some(&mut p.q[k - 5]),
        _ if k < 5 + 2 * n => Some(&mut p.b[k - 5 - n]),
        _ if k < 5 + 2 * n + values => Some(&mut p.values[k - 5 - 2 * n]),
        _ => None,
    }
}

/// The derivative in the same place.
fn derivative(g: &Gradient, k: usize) -> f64 {
    let n = g.q.len();
    match k {
        0 => g.l,
        1..5 => g.activation[k - 1],
        _ if k < 5 + n => g.q[k - 5],
        _ if k < 5 + 2 * n => g.b[k - 5 - n],
        _ => g.values[k - 5 - 2 * n],
    }
}

/// With steps of 1e-6 on inputs that stay 1e-3 away from every knee, with the l1 norm of the outputs where they stay away
/// from its kink.
#[test]
fn gradients_agree_with_central_differences() {
    let mut sparse = 0;
    for of in oracle::<Vec<Network>>("networks") {
        let sets = of.sets();
        let (x, y, target, d) = (array(&of.x), array(&of.y), array(&of.target), of.d.as_ref().map(array));
        let phi = match &d {
            None => Phi::Near(y.view()),
            Some(d) => Phi::Linear { d: d.view(), y: y.view() },
        };
        let outputs = of.outputs.last().unwrap().concat();
        let away = outputs.iter().all(|&y| y == 0.0 || y.abs() > 1e-4);
        let lambda = if away { 0.4 } else { 0.0 };
        sparse += usize::from(away);
        let loss = |sets: &[Parameters], x: &Array2<f64>| {
            loss_gradient(&spread(sets, of.layers), &phi, x, target.view(), lambda).0
        };
        let (value, gradients, grad_input) =
            loss_gradient(&spread(&sets, of.layers), &phi, &x, target.view(), lambda);
        let gradients = gathered(gradients, &sets);
        let h = 1e-6;
        let near = |got: f64, high: f64, low: f64, what: &str| {
            let expected = (high - low) / (2.0 * h);
            // a rounding of the loss over 2h, and the second order
            let allowed = 1e-8 * (1.0 + value + got.abs());
            assert!((got - expected).abs() < allowed, "{what}: {got:e}, differences give {expected:e}");
        };
        for set in 0..sets.len() {
            let mut k = 0;
            while let Some(&mut before) = number(&mut sets[set].clone(), k) {
                let at = |x: f64| {
                    let mut all = sets.clone();
                    *number(&mut all[set], k).unwrap() = x;
                    all
                };
                let (high, low) = (loss(&at(before + h), &x), loss(&at(before - h), &x));
                near(derivative(&gradients[set], k), high, low, &format!("set {set}, number {k}"));
                k += 1;
            }
            assert_eq!(k, 5 + 2 * sets[set].q.len() + sets[set].values.len());
        }
        for (at, &got) in grad_input.indexed_iter() {
            let moved = |by: f64| {
                let mut x = x.clone();
                x[at] += by;
                loss(&sets, &x)
            };
            near(got, moved(h), moved(-h), &format!("x{at:?}"));
        }
    }
    assert!(sparse > 9, "{sparse}");
}

/// The way element by element is that of the identity's matrix, loss and gradient, with the l1 norm and without.
#[test]
fn separable_networks_are_those_of_the_identity() {
    let mut rng = ChaCha8Rng::seed_from_u64(51);
    let (n, m) = (61usize, 150usize);
    for lambda in [0.0, 0.3] {
        for sets in [1, 4] {
            let pattern = Arc::new(Pattern::diagonal(n as u32).unwrap());
            let mut set = || {
                let a = activation([rng.random_range(0.5..1.5), 0.6, 0.25, rng.random_range(0.3..0.9)]);
                Parameters::identity(pattern.clone(), a, rng.random_range(0.6..2.0)).unwrap()
            };
            let all: Vec<Parameters> = (0..sets).map(|_| set()).collect();
            let layers = spread(&all, 4);
            let mut numbers = || -> Vec<f32> { (0..n * m).map(|_| rng.random_range(-1.5..1.5)).collect() };
            let (mut c, target) = (numbers(), numbers());
            c.iter_mut().step_by(5).for_each(|c| *c = 0.0);
            let wide = |x: &[f32]| Array2::from_shape_fn((n, m), |(i, k)| f64::from(x[k * n + i]));
            let x = wide(&c);
            let (loss, gradients, _) =
                loss_gradient(&layers, &Phi::Near(x.view()), &x, wide(&target).view(), lambda);
            let (own_loss, own) = separable(&layers, &c, &target, lambda);
            close("loss", &[own_loss], &[loss], 1e-13);
            for (own, other) in own.iter().zip(&gradients) {
                close("slopes and knees", &own.activation, &other.activation, 1e-12);
                close("L", &[own.l], &[other.l], 1e-12);
            }
            let outputs = &unfolded(&layers, &Phi::Near(x.view()), &x)[3].y;
            let expected: Vec<f32> = outputs.t().iter().map(|&y| y as f32).collect();
            assert_eq!(separable_outputs(&layers, &c), expected);
        }
    }
}

#[test]
fn packing_keeps_what_f32_holds() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for n in [1, 2, 3, 16] {
        let p = random(n, 0.5, true, &mut rng);
        let rounded = p.rounded();
        assert_eq!(Parameters::unpacked(p.pattern.clone(), &p.packed()).unwrap(), rounded);
        assert_eq!(rounded.packed(), p.packed());
        let mut short = p.packed();
        short.pop();
        assert!(matches!(Parameters::unpacked(p.pattern.clone(), &short), Err(Error::Shape { .. })));
    }
}

#[test]
fn checks_name_what_is_wrong() {
    let a = activation([1.0, 1.0, 0.1, 0.5]);
    let good = Parameters::identity(Arc::new(Pattern::full(2, 2).unwrap()), a, 1.0).unwrap();
    let said = |change: &dyn Fn(&mut Parameters)| {
        let mut p = good.clone();
        change(&mut p);
        p.check("here").unwrap_err().to_string()
    };
    assert_eq!(said(&|p| p.q[1] = 0.0), "here: q[1] = 0 is outside [1e-6, 1e6]");
    assert_eq!(said(&|p| p.l = -1.0), "here: L = -1 is outside [1e-6, 1e6]");
    assert_eq!(said(&|p| p.b[0] = f64::NAN), "here: b[0] = NaN is outside the finite numbers of f32");
    assert_eq!(said(&|p| p.values[3] = 1e39), "here: Â[3] = 1e39 is outside the finite numbers of f32");
    assert_eq!(said(&|p| p.activation.eta2 = 0.0), "here: eta2 = 0 is outside [1e-6, 1e6]");
    assert_eq!(said(&|p| p.activation.delta1 = 0.6), "here: delta1 = 0.6 is outside [0, delta2 = 0.5]");
    assert_eq!(said(&|p| p.b.push(0.0)), "here: length of b is 3, expected 2");
    assert_eq!(said(&|p| p.values.clear()), "here: number of values is 0, expected 4");
    let missing = Arc::new(Pattern::new(2, 2, [(0, 0), (1, 0)]).unwrap());
    let no_diagonal = said(&|p| (p.pattern, p.values) = (missing.clone(), vec![1.0; 2]));
    assert!(no_diagonal.starts_with("here: a pattern of Â without its whole diagonal"), "{no_diagonal}");
    let wide = Arc::new(Pattern::full(2, 3).unwrap());
    assert!(said(&|p| p.pattern = wide.clone()).contains("columns of the pattern is 3, expected 2"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_prox_is_monotone(seed: u64, n in 1u32..9, offsets: bool, size in 0.01f64..10.0) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let p = random(n, 0.6, offsets, &mut rng);
        prop_assume!(p.conditioning().unwrap() < Regulariser::CONDITION);
        let of = Regulariser::new(p).unwrap();
        let found = of.diagnostics();
        for _ in 0..20 {
            let (x, z) = (point(n as usize, size, &mut rng), point(n as usize, size, &mut rng));
            let minus = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>();
            let inputs = minus(&x, &z);
            let outputs = minus(&of.prox(&x).unwrap(), &of.prox(&z).unwrap());
            let noise = 1e-12 * (1.0 + size * size);
            prop_assert!(dot(&inputs, &outputs) >= -noise);
            // and no steeper than its bound
            let (moved, allowed) = (dot(&outputs, &outputs).sqrt(), found.lipschitz * dot(&inputs, &inputs).sqrt());
            prop_assert!(moved <= allowed + noise, "{moved} {allowed}");
        }
    }

    #[test]
    fn g_is_nonnegative_and_convex_where_the_diagnostics_say_so(seed: u64, n in 1u32..7) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut p = random(n, 0.6, false, &mut rng);
        prop_assume!(p.conditioning().unwrap() < 1e4);
        let norm = Regulariser::new(p.clone()).unwrap().diagnostics().norm;
        p.values.iter_mut().for_each(|a| *a /= norm);
        p.activation = p.activation.projected(1e-3);
        let of = Regulariser::new(p).unwrap();
        let found = of.diagnostics();
        prop_assert!(found.nonnegative, "{found}");
        for k in 0..100 {
            let size = 10f64.powf(f64::from(k) / 20.0 - 3.0);
            let (x, z) = (point(n as usize, size, &mut rng), point(n as usize, size, &mut rng));
            let middle: Vec<f64> = x.iter().zip(&z).map(|(x, z)| 0.5 * (x + z)).collect();
            let [x, z, middle] = [x, z, middle].map(|y| of.value(&y).unwrap());
            let noise = 1e-8 * size * size + 1e-12;
            prop_assert!(x >= -noise && z >= -noise, "{x:e} {z:e}");
            prop_assert!(!found.nonexpansive || middle <= 0.5 * (x + z) + noise);
        }
    }

    #[test]
    fn files_keep_every_bit(seed: u64, n in 1u32..9, sets in 1usize..4) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let first = random(n, 0.5, true, &mut rng);
        let mut all = vec![first.clone()];
        for _ in 1..sets {
            let other = random(n, 1.0, true, &mut rng);
            let values = (0..first.values.len()).map(|_| rng.random_range(-2.0..2.0)).collect();
            all.push(Parameters { pattern: first.pattern.clone(), values, ..other });
        }
        let layers = if sets == 1 { 4 } else { sets as u32 };
        let bytes = file::to_bytes(&all, layers).unwrap();
        prop_assert_eq!(file::from_bytes(&bytes, Path::new("x")).unwrap(), (all, layers));
    }

    #[test]
    fn damaged_files_never_panic(seed: u64, at in 0usize..2000, flips in 1usize..4, cut in 0usize..2000) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut bytes = file::to_bytes(&[random(3, 0.7, true, &mut rng)], 2).unwrap();
        for k in 0..flips {
            let at = (at * (k + 1)) % bytes.len();
            bytes[at] ^= 1 << rng.random_range(0..8);
        }
        if seed % 2 == 0 {
            bytes.truncate(cut);
        }
        match file::from_bytes(&bytes, Path::new("x")) {
            Ok((sets, layers)) => prop_assert!(sets[0].check("read").is_ok() && layers >= 1),
            Err(e) => prop_assert!(matches!(e, Error::File { .. }), "{e:?}"),
        }
    }
}

fn small() -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    file::to_bytes(&[random(3, 0.7, true, &mut rng)], 2).unwrap()
}

#[track_caller]
fn refused(bytes: &[u8]) -> String {
    let error = file::from_bytes(bytes, Path::new("a.safetensors")).unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn every_truncation_and_every_flip_of_a_byte_is_survived() {
    let bytes = small();
    for length in 0..bytes.len() {
        assert!(refused(&bytes[..length]).starts_with("a.safetensors: header: "), "{length}");
    }
    assert!(refused(&[&bytes[..], &[0]].concat()).contains("its header says otherwise"));
    for at in 0..bytes.len() {
        for flip in [1, 0x20, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[at] ^= flip;
            match file::from_bytes(&bytes, Path::new("x")) {
                // another number in its domain
                Ok((sets, _)) => sets[0].check("read").unwrap(),
                Err(e) => assert!(matches!(e, Error::File { .. }), "{at}: {e:?}"),
            }
        }
    }
}

/// The file with other contents: a tensor replaced, left out or added, or another text in the metadata.
fn changed(
    tensor: &str,
    to: Option<(safetensors::Dtype, Vec<usize>, Vec<u8>)>,
    head: Option<&str>,
) -> Vec<u8> {
    use safetensors::SafeTensors;
    use safetensors::tensor::TensorView;
    let bytes = small();
    let all = SafeTensors::deserialize(&bytes).unwrap();
    let (_, about) = SafeTensors::read_metadata(&bytes).unwrap();
    let mut metadata = about.metadata().clone().unwrap();
    if let Some(head) = head {
        metadata.insert("maf-srl".into(), head.into());
    }
    let mut tensors = all.tensors();
    tensors.retain(|(name, _)| name != tensor);
    if let Some((dtype, shape, data)) = &to {
        tensors.push((tensor.into(), TensorView::new(*dtype, shape.clone(), data).unwrap()));
    }
    safetensors::serialize(tensors, Some(metadata)).unwrap()
}

#[test]
fn what_is_wrong_with_a_file_is_named() {
    use safetensors::Dtype::{F32, F64, U32};
    let head = |text: &str| refused(&changed("", None, Some(text)));
    let good = r#"{"format":"maf-srl regulariser","version":1,"components":3,"layers":2,"shared":true}"#;
    assert!(file::from_bytes(&changed("", None, Some(good)), Path::new("x")).is_ok());
    let place = "a.safetensors: metadata \"maf-srl\": ";
    assert_eq!(head("{}"), format!("{place}format null, expected \"maf-srl regulariser\""));
    assert_eq!(head(&good.replace(":1,", ":2,")), format!("{place}version 2, expected 1"));
    assert_eq!(
        head(&good.replace("\"layers\":2", "\"layers\":0")),
        format!("{place}layers 0, expected 1 to 4096")
    );
    assert!(head(&good.replace("\"shared\":true", "\"shared\":3")).starts_with(place));
    assert!(head("no json").starts_with(place));
    assert_eq!(
        head(&good.replace("true", "false")),
        "a.safetensors: header: 7 tensors; 2 sets of parameters have 12"
    );
    assert_eq!(
        head(&good.replace(":3", ":4")),
        "a.safetensors: tensor \"pattern.starts\": shape [4], expected [5]"
    );
    let plain =
        safetensors::serialize(Vec::<(String, safetensors::tensor::TensorView<'_>)>::new(), None).unwrap();
    assert!(refused(&plain).starts_with("a.safetensors: metadata: has no key \"maf-srl\""));

    let numbers = |x: &[f64]| x.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let words = |x: &[u32]| x.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let tensor = |name: &str, to| refused(&changed(name, Some(to), None));
    let q = |x: &[f64]| tensor("layer0.q", (F64, vec![x.len()], numbers(x)));
    assert_eq!(q(&[1.0, 2.0]), "a.safetensors: tensor \"layer0.q\": shape [2], expected [3]");
    assert_eq!(q(&[1.0, f64::NAN, 1.0]), "a.safetensors: tensor \"layer0.q\": number 1 is NaN, not finite");
    assert_eq!(q(&[1.0, 1.0, 0.0]), "a.safetensors: layer0: q[2] = 0 is outside [1e-6, 1e6]");
    assert_eq!(
        tensor("layer0.b", (F32, vec![3], vec![0; 12])),
        "a.safetensors: tensor \"layer0.b\": values of type F32, expected F64"
    );
    assert_eq!(
        tensor("layer0.b", (F64, vec![3, 1], vec![0; 24])),
        "a.safetensors: tensor \"layer0.b\": shape [3, 1], expected [3]"
    );
    assert!(tensor("extra", (F64, vec![1], vec![0; 8])).ends_with("8 tensors; 1 sets of parameters have 7"));
    assert!(refused(&changed("layer0.l", None, None)).ends_with("6 tensors; 1 sets of parameters have 7"));
    let starts = |x: [u32; 4]| tensor("pattern.starts", (U32, vec![4], words(&x)));
    let bytes = small();
    let entries = {
        let (sets, _) = file::from_bytes(&bytes, Path::new("x")).unwrap();
        sets[0].pattern.nonzeros()
    };
    assert_eq!(entries, 6);
    assert!(starts([1, 2, 4, 6]).ends_with("goes from 1 to 6, expected 0 to the 6 entries"));
    assert!(starts([0, 2, 4, 7]).ends_with("goes from 0 to 7, expected 0 to the 6 entries"));
    assert!(starts([0, 5, 4, 6]).ends_with("row 1 starts at 5 and ends at 4"));
    assert!(starts([0, u32::MAX, 4, 6]).ends_with("row 1 starts at 4294967295 and ends at 4"));
    let starts = [0, 2, 4, 6];
    let indices = |x: [u32; 6]| {
        let data = changed("pattern.starts", Some((U32, vec![4], words(&starts))), None);
        let all = safetensors::SafeTensors::deserialize(&data).unwrap();
        let (_, about) = safetensors::SafeTensors::read_metadata(&data).unwrap();
        let replaced = words(&x);
        let mut tensors = all.tensors();
        tensors.retain(|(name, _)| name != "pattern.indices");
        let view = safetensors::tensor::TensorView::new(U32, vec![6], &replaced).unwrap();
        tensors.push(("pattern.indices".into(), view));
        refused(&safetensors::serialize(tensors, about.metadata().clone()).unwrap())
    };
    let place = "a.safetensors: tensor \"pattern.indices\": ";
    assert_eq!(indices([0, 1, 0, 1, 2, 3]), format!("{place}row 2 has column 3, expected less than 3"));
    assert_eq!(indices([1, 0, 0, 1, 1, 2]), format!("{place}row 0 has column 0 after 1, expected ascending"));
    assert_eq!(indices([0, 0, 0, 1, 1, 2]), format!("{place}row 0 has column 0 after 0, expected ascending"));
    assert_eq!(indices([0, 1, 0, 2, 1, 2]), format!("{place}row 1 has not the diagonal's column 1"));
}

#[test]
fn sets_that_do_not_fit_are_not_written() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (p, other) = (random(3, 0.7, true, &mut rng), random(4, 0.7, true, &mut rng));
    let said = |sets: &[Parameters], layers| file::to_bytes(sets, layers).unwrap_err().to_string();
    assert!(said(&[], 0).contains("number of parameter sets is 0 for 0 layers, expected 1, or one for each"));
    assert!(said(std::slice::from_ref(&p), 5000).contains("1 to 4096 layers"));
    assert!(said(&[p.clone(), p.clone()], 3).contains("is 2 for 3 layers"));
    assert!(said(&[p.clone(), other], 2).contains("pattern of layer1 is another, expected that of layer0"));
    let bad = Parameters { l: 0.0, ..p.clone() };
    assert!(said(&[p, bad], 2).starts_with("layer1: L = 0"));
}

/// The values of the reference by which the kernels of layers are judged are those of the reference without bounds.
#[test]
fn the_reference_with_bounds_has_the_same_values() {
    let (n, m) = (12_usize, 7);
    let pattern = Arc::new(Pattern::random(n as u32, 0.4, 3).unwrap());
    let activation = Activation { eta1: 0.75, eta2: 0.5, delta1: 0.25, delta2: 0.75 };
    let mut p = Parameters::identity(pattern.clone(), activation, 1.25).unwrap();
    p.values.iter_mut().enumerate().for_each(|(k, a)| *a += f64::from((k as f32 * 0.7).sin()));
    p.b.iter_mut().enumerate().for_each(|(k, b)| *b = 0.125 * k as f64);
    let p = p.rounded();
    let [x, c, grad_output] = [0.3_f32, 0.5, 0.9]
        .map(|f| Array2::from_shape_fn((n, m), |(i, c)| f64::from((f * (i * m + c) as f32).cos())));
    let passed = layer(&p, &Phi::Near(c.view()), &x);
    let (grad_input, _) = layer_back(&p, &Phi::Near(c.view()), &passed, &grad_output);
    let numbers = |of: &Array2<f64>| of.iter().map(|&x| Approx::exact(x)).collect::<Vec<_>>();
    let close = |a: &[Approx], b: &Array2<f64>| {
        a.iter().zip(b).for_each(|(a, b)| assert!((a.value - b).abs() < 1e-9, "{a:?} {b}"));
    };
    for format in Format::ALL {
        let reference = Layer::new(&pattern, &p.packed(), format);
        close(&reference.forward(&numbers(&x), &numbers(&c), false), &passed.y);
        close(&reference.forward(&numbers(&x), &numbers(&passed.g), true), &passed.y);
        let u = reference.u(&numbers(&x), &numbers(&c), false);
        close(&u, &passed.u);
        let (grad_r, _) = reference.grad_r(&u, &reference.w(&numbers(&grad_output), None));
        close(&grad_r, &(grad_input.clone() / (1.0 - 1.0 / p.l)));
        let scaled = reference.w(&numbers(&grad_output), Some(4.0));
        reference.w(&numbers(&grad_output), None).iter().zip(&scaled).for_each(|(a, b)| {
            assert!((0.75 * a.value - b.value).abs() < 1e-9);
        });
    }
}

/// Â = I, q = 1 and b = 0 make the network's reference that of the kernels of DSRL.
#[test]
fn the_reference_of_dsrl_is_that_of_the_identity() {
    let (n, m, layers) = (3u32, 7usize, 4u32);
    let activation = Activation { eta1: 1.25, eta2: 0.5, delta1: 0.25, delta2: 0.75 };
    let p = Parameters::identity(Arc::new(Pattern::diagonal(n).unwrap()), activation, 2.0).unwrap();
    let at = |k: usize| ((k * 37 + 11) % 64) as f32 / 16.0 - 2.03125;
    let x: Vec<f32> = (0..21).map(at).collect();
    let c: Vec<f32> = (0..21).map(|k| at(k + 100)).collect();
    let wide = |v: &[f32]| Array2::from_shape_fn((3, m), |(i, j)| f64::from(v[i * m + j]));
    let (wx, wc) = (wide(&x), wide(&c));
    let target = Array2::zeros((3, m));
    let (_, gradients, grad_input) =
        loss_gradient(&vec![&p; layers as usize], &Phi::Near(wc.view()), &wx, ArrayView2::from(&target), 0.0);
    let mut numbers = vec![0.0f32; 8];
    numbers[..5].copy_from_slice(&[2.0, 1.25, 0.5, 0.25, 0.75]);
    let reference = dsrl::DsrlReference::new(&numbers, layers);
    let mut sums = [0.0; 5];
    for k in 0..x.len() {
        let grad_output = reference.value(x[k], c[k]);
        assert_eq!(f64::from(grad_output as f32), grad_output, "exact in f32");
        let (value, _, terms, _) = reference.back(x[k], c[k], grad_output as f32);
        assert!((value.value - grad_input[[k / m, k % m]]).abs() < 1e-12);
        terms.iter().for_each(|t| sums.iter_mut().zip(t).for_each(|(s, t)| *s += t.0));
    }
    let mut expected = [0.0; 5];
    for g in &gradients {
        let a = g.activation;
        [g.l, a[0], a[1], a[2], a[3]].iter().zip(&mut expected).for_each(|(x, e)| *e += x);
    }
    for (sum, expected) in sums.iter().zip(expected) {
        assert!((sum - expected).abs() < 1e-9, "{sums:?} {expected}");
    }
}

#[test]
fn a_sparsity_outside_its_domain_is_named() {
    let options = |sparsity| super::Options { sparsity, ..super::Options::default() };
    assert!(options(1e6).check().is_ok());
    for bad in [-0.1, f64::NAN, f64::INFINITY] {
        let said = options(bad).check().unwrap_err().to_string();
        assert!(said.starts_with("training: sparsity = ") && said.contains("[0, 1e6]"), "{said}");
    }
}
