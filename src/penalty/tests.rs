//! The penalties against brute force, finite differences, the oracle's vectors and their own WGSL.

mod interpreter;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::accuracy::{Approx, FLUSH, ulp};
use crate::wgsl;
use interpreter::Interpreter;

/// Every penalty in the shapes that its file names.
fn shapes() -> Vec<Penalty> {
    Penalty::all().iter().flat_map(|penalty| penalty.rule().examples()).collect()
}

/// Every shape with steps on both sides of every switch, at it, and far from it.
fn cases() -> Vec<Prox> {
    let mut all = Vec::new();
    for penalty in shapes() {
        for lambda in [1.0, 0.03] {
            let mut steps = vec![1e-8, 1e-3, 0.1, 1.0, 30.0, 1e5];
            for step in penalty.rule().regime_switches(lambda) {
                for factor in [0.3, 0.999, 1.0 - 1e-6, 1.0 - 1e-12, 1.0, 1.0 + 1e-12, 1.0 + 1e-6, 1.001, 3.0]
                {
                    steps.push((step * factor).clamp(1e-12, 1e6));
                }
            }
            all.extend(steps.into_iter().map(|step| penalty.prox(step, lambda).unwrap()));
        }
    }
    all
}

/// Magnitudes of x that matter to one operator, exact in f32: around every constant (they hold all thresholds
/// and knees), from just above the threshold to far out, at random, and the ends of the range.
fn inputs(prox: &Prox, random: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut xs = vec![0.0f32, 1e-38, 1.2e-38, 1e-30, 1e15, 1e30, 3e38, 3.4e38];
    for c in prox.constants() {
        let c = c.abs();
        if c > 1e-30 && c < 1e25 {
            for k in [-64, -16, -3, -1, 0, 1, 2, 5, 16, 256] {
                xs.push(f32::from_bits((c.to_bits() as i32 + k) as u32));
            }
        }
    }
    let scale = if prox.threshold.at > 0.0 { prox.threshold.at } else { 1.0 };
    for _ in 0..random {
        xs.push((scale * (1.0 + 10f64.powf(rng.random_range(-6.5..4.0)))) as f32);
        xs.push((scale * 10f64.powf(rng.random_range(-6.0..3.0))) as f32);
        xs.push(10f64.powf(rng.random_range(-9.0..9.0)) as f32);
    }
    xs
}

/// Where the neighbourhood of the threshold begins and ends in which two branches are equally good.
fn near_threshold(prox: &Prox, ax: f64, width: f64) -> bool {
    let mut jumps = vec![prox.threshold.at];
    jumps.extend(prox.constants().map(f64::from)); // the inner jumps of SCAD and capped l1 are constants
    jumps.iter().any(|j| (ax - j).abs() <= width * ax)
}

/// A minimiser of the objective that knows nothing but the penalty's value: a grid, then golden section.
fn brute_force(prox: &Prox, x: f64) -> (f64, f64) {
    // without x^2/2, which would hide small differences
    let h = |y: f64| prox.step * prox.penalty.value(prox.lambda, y) + y * (0.5 * y - x);
    let top = match prox.penalty {
        Penalty::Pwl(p) => x * p.eta1.max(1.0) + 1e-300,
        _ => x,
    };
    let mut grid = vec![0.0];
    for k in 1..=600 {
        let part = f64::from(k) / 600.0;
        grid.push(top * part);
        grid.push(top * 10f64.powf(-14.0 * part));
        grid.push(top * (1.0 - 10f64.powf(-14.0 * part)));
    }
    grid.sort_by(f64::total_cmp);
    let values: Vec<f64> = grid.iter().map(|&y| h(y)).collect();
    let mut minima: Vec<usize> = (0..grid.len())
        .filter(|&i| {
            (i == 0 || values[i] <= values[i - 1]) && (i + 1 == grid.len() || values[i] <= values[i + 1])
        })
        .collect();
    minima.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut best = (0.0, 0.0);
    let mut refined: Vec<f64> = Vec::new();
    for &i in &minima {
        // one start for each cluster: noise makes many minima close to a true one
        if refined.len() > 12 || refined.iter().any(|y| (grid[i] - y).abs() < 1e-6 * grid[i].max(*y)) {
            continue;
        }
        refined.push(grid[i]);
        let (mut low, mut high) = (grid[i.saturating_sub(1)], grid[(i + 1).min(grid.len() - 1)]);
        let ratio = 0.5 * (5f64.sqrt() - 1.0);
        for _ in 0..80 {
            let (a, b) = (high - ratio * (high - low), low + ratio * (high - low));
            if h(a) <= h(b) { high = b } else { low = a }
        }
        for y in [grid[i], 0.5 * (low + high)] {
            if h(y) < best.1 {
                best = (y, h(y));
            }
        }
    }
    best
}

#[test]
fn prox_minimises_the_objective() {
    let mut compared = 0;
    for (n, prox) in cases().iter().enumerate() {
        for x in inputs(prox, 6, n as u64) {
            let x = f64::from(x);
            if !(1e-25..1e25).contains(&x) {
                continue;
            }
            let (y, lowest) = brute_force(prox, x);
            let got = prox.apply(x);
            let value = prox.step * prox.penalty.value(prox.lambda, got) + got * (0.5 * got - x);
            let noise = 1e-13 * (x * x + prox.step * prox.penalty.value(prox.lambda, got));
            assert!(
                value <= lowest + noise,
                "{prox:?} at {x}: {got} with {value}, brute force {y} with {lowest}"
            );
            // the minimiser: golden section resolves it to the square root of the noise
            let curvature = 1.0 + prox.step * prox.penalty.rule().curvature(prox.lambda, got.max(1e-300));
            if !near_threshold(prox, x, 1e-6) && (got == 0.0 || curvature > 0.01) {
                let width = if got == 0.0 { 1e-7 * x } else { (8.0 * noise / curvature).sqrt() };
                assert!((got - y).abs() <= width.max(1e-7 * x), "{prox:?} at {x}: {got}, brute force {y}");
                compared += 1;
            }
        }
    }
    assert!(compared > 10_000, "{compared}");
}

/// The thresholds that kernels get against those of references. A hundredth of the band in which both branches are right.
#[test]
fn thresholds_are_what_the_values_alone_give() {
    for prox in cases() {
        let (known, found) =
            (prox.threshold.at, Prox::searched(prox.penalty, prox.step, prox.lambda).threshold.at);
        assert!((known - found).abs() <= 1e-8 * known + 1e-40, "{prox:?}: {known:e}, searched {found:e}");
    }
}

#[test]
fn slope_and_curvature_are_derivatives_of_value() {
    for penalty in shapes() {
        let (rule, mut compared) = (penalty.rule(), 0);
        for lambda in [1.0, 0.03] {
            for k in -60..=40 {
                let y = 10f64.powf(f64::from(k) / 10.0 + 0.0123);
                let d = 1e-5 * y;
                let curvatures = [y - 2.0 * d, y, y + 2.0 * d].map(|y| rule.curvature(lambda, y));
                let size = curvatures[1].abs();
                if curvatures.iter().any(|c| (c - curvatures[1]).abs() > 0.02 * size) {
                    continue; // a kink
                }
                compared += 1;
                let (high, low) = (rule.value(lambda, y + d), rule.value(lambda, y - d));
                let slope = rule.slope(lambda, y);
                let by_difference = (high - low) / (2.0 * d);
                let noise = 4e-16 * high.abs() / d;
                assert!(
                    (slope - by_difference).abs() <= 1e-6 * (slope.abs() + size * y) + noise,
                    "{penalty} at {y}: slope {slope}, differences {by_difference}"
                );
                let by_difference = (rule.slope(lambda, y + d) - rule.slope(lambda, y - d)) / (2.0 * d);
                let noise = 4e-16 * slope.abs() / d;
                assert!(
                    (curvatures[1] - by_difference).abs() <= 1e-5 * size + noise,
                    "{penalty} at {y}: curvature {}, differences {by_difference}",
                    curvatures[1]
                );
            }
        }
        assert!(compared > 150, "{penalty}: {compared}");
    }
}

#[test]
fn derivative_is_the_derivative_of_prox() {
    let mut compared = 0;
    for (n, prox) in cases().iter().enumerate() {
        for x in inputs(prox, 5, 1000 + n as u64) {
            let x = f64::from(x);
            if !(1e-12..1e12).contains(&x) || near_threshold(prox, x, 1e-4) {
                continue;
            }
            let derivative = prox.derivative(x);
            let d = 1e-5 * x;
            let sides = [prox.derivative(x - d).by_x, prox.derivative(x + d).by_x];
            if sides.iter().any(|s| (s - derivative.by_x).abs() > 1e-3 * derivative.by_x.abs()) {
                continue;
            }
            let by_difference = (prox.apply(x + d) - prox.apply(x - d)) / (2.0 * d);
            assert!(
                (derivative.by_x - by_difference).abs() <= 1e-4 * (derivative.by_x.abs() + 1e-5),
                "{prox:?} at {x}: {derivative:?}, differences {by_difference}"
            );
            compared += 1;
            let d = 1e-5 * prox.step;
            if prox.step + d > 1e6 {
                continue;
            }
            let [low, high] =
                [prox.step - d, prox.step + d].map(|step| prox.penalty.prox(step, prox.lambda).unwrap());
            if near_threshold(&low, x, 1e-4) || near_threshold(&high, x, 1e-4) {
                continue;
            }
            let [a, b] = [low, high].map(|p| p.derivative(x).by_step);
            if (a - b).abs() > 1e-3 * a.abs() {
                continue;
            }
            let by_difference = (high.apply(x) - low.apply(x)) / (2.0 * d);
            let noise = 1e-14 * x * derivative.by_x.abs() / d;
            assert!(
                (derivative.by_step - by_difference).abs() <= 1e-4 * derivative.by_step.abs() + noise,
                "{prox:?} at {x}: {derivative:?}, differences {by_difference}"
            );
        }
    }
    assert!(compared > 10_000, "{compared}");
}

#[test]
fn special_values() {
    for prox in cases() {
        assert!(prox.apply(f64::NAN).is_nan() && prox.derivative(f64::NAN).by_x.is_nan());
        assert_eq!(prox.apply(f64::INFINITY), f64::INFINITY);
        assert_eq!(prox.apply(f64::NEG_INFINITY), f64::NEG_INFINITY);
        for zero in [0.0, -0.0, prox.threshold.at, -prox.threshold.at, -1e-300] {
            let y = prox.apply(zero);
            if prox.threshold.at > 0.0 || zero == 0.0 {
                assert_eq!(y.to_bits(), 0, "{prox:?} at {zero}: {y}");
            }
        }
        // the jump is what comes just above
        let (at, jump) = (prox.threshold.at, prox.threshold.jump);
        let mut switches = prox.penalty.rule().regime_switches(prox.lambda).into_iter();
        let at_switch = switches.any(|step| (prox.step / step - 1.0).abs() < 1e-9);
        if at > 0.0 && !at_switch {
            let above = prox.apply(at * (1.0 + 1e-12));
            let stretch = 1.0 + prox.step * prox.penalty.rule().curvature(prox.lambda, above.max(1e-300));
            assert!((above - jump).abs() <= 1e-11 * at / stretch.max(1e-6), "{prox:?}: {above}, jump {jump}");
        }
        for x in [0.3, -7.0, 1e30] {
            assert_eq!(prox.penalty.prox(0.0, prox.lambda).unwrap().apply(x), x);
            assert_eq!(prox.penalty.prox(prox.step, 0.0).unwrap().apply(x), x);
        }
    }
}

#[test]
fn jump_thresholds_near_the_critical_step() {
    // In powers of v the equation reads (4/3) v - (3/2) v^2 + ... = e - e^2 + ... (log) and
    // (2/3) v - (1/4) v^2 + ... = e - e^2 + ... (exp), with e = tau - 1.
    for e in [1e-15, 1e-10, 1e-6, 1e-4] {
        let tau: f64 = 1.0 + e;
        let e = tau - 1.0;
        let log = jump::logarithmic(tau).jump;
        let exp = jump::exponential(tau, 1.0).jump;
        let (first_log, first_exp) = (0.75, 1.5);
        let second_log = (1.5 * first_log * first_log - 1.0) * 0.75;
        let second_exp = (0.25 * first_exp * first_exp - 1.0) * 1.5;
        assert!((log / e - first_log - second_log * e).abs() < 4.0 * e * e + 1e-14, "{e}: {log}");
        assert!((exp / e - first_exp - second_exp * e).abs() < 4.0 * e * e + 1e-14, "{e}: {exp}");
    }
    // and at the seam of series and formula, and far out, the equation itself
    for tau in [1.1, 1.25, 1.3, 1.4, 2.0, 10.0, 1e6, 1e20] {
        let v = jump::logarithmic(tau).jump;
        assert!((tau * (v.ln_1p() - v / (1.0 + v)) / (0.5 * v * v) - 1.0).abs() < 1e-12, "log {tau}");
        let v = jump::exponential(tau, 1.0).jump;
        assert!((tau * (1.0 - (1.0 + v) * (-v).exp()) / (0.5 * v * v) - 1.0).abs() < 1e-12, "exp {tau}");
    }
}

#[test]
fn domains_are_checked() {
    for (text, needle) in [
        ("scad(a=1)", "scad: a = 1 is outside (1, 1e6]"),
        ("mcp(gamma=0)", "gamma"),
        ("elastic-net(mix=1.5)", "[0, 1]"),
        ("lp(p=1)", "[1e-3, 0.999]"),
        ("etp(gamma=1e7)", "gamma"),
        ("pwl(eta2=1.1)", "eta2"),
        ("pwl(delta1=3)", "delta1 = 3 is outside [0, delta2 = 2]"),
        ("pwl(eta1=2,eta2=0.5,delta1=0.1,delta2=1)", "where the penalty is nonnegative"),
        ("pwl(eta1=2,eta2=1,delta1=0.4,delta2=1)", "1], where the penalty is nonnegative"),
    ] {
        let error = text.parse::<Penalty>().unwrap_err().to_string();
        assert!(error.contains(needle), "{text}: {error}");
    }
    // g >= 0 is weaker than the paper's (26)
    assert!("pwl(eta1=2,eta2=0.5,delta1=0.45,delta2=1)".parse::<Penalty>().is_ok());
    assert!("l1".parse::<Penalty>().unwrap().prox(-1.0, 1.0).is_err());
    assert!("l1".parse::<Penalty>().unwrap().prox(1.0, f64::NAN).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn odd_monotone_and_shrinking(case in 0usize..10_000, x in -12.0f64..12.0, more in 0.0f64..2.0, near: bool) {
        let all = cached_cases();
        let prox = &all[case % all.len()];
        let scale = if near && prox.threshold.at > 0.0 { prox.threshold.at } else { 1.0 };
        let x = if near { scale * (1.0 + 1e-3 * x) } else { 10f64.powf(x) };
        let z = x * (1.0 + more);
        let (y, w) = (prox.apply(x), prox.apply(z));
        prop_assert_eq!(prox.apply(-x), if y == 0.0 { 0.0 } else { -y });
        prop_assert!(y >= 0.0);
        prop_assert!(w >= y - 1e-13 * z, "{} -> {}, {} -> {}", x, y, z, w);
        if !matches!(prox.penalty, Penalty::Pwl(_)) {
            prop_assert!(y <= x);
        }
    }
}

fn cached_cases() -> &'static [Prox] {
    static CASES: std::sync::OnceLock<Vec<Prox>> = std::sync::OnceLock::new();
    CASES.get_or_init(cases)
}

#[test]
fn accept_takes_the_correctly_rounded_result() {
    for (n, prox) in cases().iter().enumerate() {
        for x in inputs(prox, 30, 2000 + n as u64) {
            for x in [x, -x] {
                let wide = f64::from(x);
                let y = prox.apply(wide) as f32;
                if y.is_finite() {
                    let verdict = accept(prox, 0.0, Approx::exact(wide), y);
                    assert!(verdict.ok, "{prox:?} at {x}: {y}, {verdict:?}");
                }
            }
        }
    }
}

#[test]
fn accept_rejects_planted_faults() {
    let mut planted = [0; 4];
    for (n, prox) in cases().iter().enumerate() {
        let rule = prox.penalty.rule();
        for x in inputs(prox, 10, 3000 + n as u64) {
            let wide = f64::from(x);
            if !(1e-25..1e30).contains(&wide) {
                continue;
            }
            let reject = |y: f32, why: &str| {
                let verdict = accept(prox, 0.0, Approx::exact(wide), y);
                assert!(!verdict.ok, "{prox:?} at {x}: {why} {y} is taken, {verdict:?}");
            };
            reject(f32::NAN, "NaN");
            reject(f32::INFINITY, "infinity");
            reject(-0.0, "the other zero");
            let y = prox.apply(wide);
            let at = prox.threshold.at;
            if wide > at * (1.0 + 4e-6) && y > 1e-30 {
                reject(0.0, "zero above the threshold");
                reject(-(y as f32), "the wrong sign");
                planted[0] += 1;
            }
            if wide < at * (1.0 - 4e-6) {
                reject(x, "x below the threshold");
                reject(1e-3 * x, "a small value below the threshold");
                planted[1] += 1;
            }
            if y > 1e-30 && !near_threshold(prox, wide, 1e-5) {
                // 100 ULP of x in terms of y; where the root is nearly double that is not 100 ULP of y
                let stretch = 1.0 + prox.step * rule.curvature(prox.lambda, y);
                let off = 100.0 * ulp(wide).max(stretch * ulp(y)) / stretch;
                for wrong in [y + off, y - off] {
                    let moved = (wrong as f32) as f64;
                    if stretch > 0.05 && wrong > 0.0 && (moved - y).abs() > 0.9 * off {
                        reject(wrong as f32, "100 ULP off");
                        planted[2] += 1;
                    }
                }
            }
            // beyond its switch TL1's cubic has a second root: a maximum of the objective
            if let Penalty::Tl1(p) = prox.penalty
                && prox.threshold.jump > 0.1 * at
                && wide > at * (1.0 + 1e-4)
                && wide < 0.999 * prox.step * prox.lambda * (p.a + 1.0) / p.a
            {
                let residual = |y: f64| (y - wide) + prox.step * rule.slope(prox.lambda, y);
                let (mut low, mut high) =
                    (0.0, (2.0 * prox.step * prox.lambda * p.a * (p.a + 1.0)).cbrt() - p.a);
                for _ in 0..200 {
                    let middle = 0.5 * (low + high);
                    if residual(middle) > 0.0 { low = middle } else { high = middle }
                }
                if low > 1e-20 {
                    reject(low as f32, "the smaller root");
                    planted[3] += 1;
                }
            }
        }
    }
    assert!(planted.iter().all(|&n| n > 200), "{planted:?}");
}

#[test]
fn wgsl_is_valid_and_names_its_constants() {
    for penalty in Penalty::all() {
        let rule = penalty.rule();
        let program = Interpreter::new(&wgsl::compose(&[&rule.file()]), None);
        let mut validator = wgpu::naga::valid::Validator::new(
            wgpu::naga::valid::ValidationFlags::all(),
            wgpu::naga::valid::Capabilities::empty(),
        );
        validator.validate(&program.module).unwrap_or_else(|e| panic!("{penalty}: {e:?}"));
        let types = &program.module.types;
        let (_, constants) = types.iter().find(|(_, t)| t.name.as_deref() == Some("Constants")).unwrap();
        let wgpu::naga::TypeInner::Struct { members, span } = &constants.inner else { panic!("{penalty}") };
        assert_eq!(*span, 32);
        for (k, (member, name)) in members.iter().zip(rule.constant_names()).enumerate() {
            assert_eq!(member.name.as_deref(), Some(name), "{penalty}");
            assert_eq!(member.offset, 4 * k as u32, "{penalty}");
            assert_eq!(types[member.ty].inner, wgpu::naga::TypeInner::Scalar(wgpu::naga::Scalar::F32));
            assert!(!name.starts_with("unused") || name == format!("unused{k}"), "{penalty}: {name}");
        }
        assert_eq!(members.len(), CONSTANTS);
        assert!(program.has("prox") && program.has("slope"), "{penalty}");
        assert_eq!(program.has("at_step"), rule.per_element_step(), "{penalty}");
        assert!(rule.backward_ulps() <= if program.has("at_step") { 16.0 } else { 32.0 }, "{penalty}");
    }
}

/// Runs the WGSL of every case, in both roundings, and holds it against `accept`.
#[test]
fn wgsl_holds_its_bound() {
    let mut worst = std::collections::BTreeMap::<&str, [f64; 4]>::new();
    for (n, prox) in cases().iter().enumerate() {
        let rule = prox.penalty.rule();
        for (mode, noise) in [(0, None), (1, Some(n as u64))] {
            let program = Interpreter::new(&wgsl::compose(&[&rule.file()]), noise);
            let check =
                |prox: &Prox, step_error: f64, k: [f32; 8], x: f32, column: usize, worst: &mut f64| {
                    let y = program.prox(x, k);
                    let verdict = accept(prox, step_error, Approx::exact(f64::from(x)), y);
                    assert!(
                        verdict.ok,
                        "{prox:?} at {x:e}, column {column}: {y:e}, {verdict:?}, constants {k:?}"
                    );
                    assert!(y >= 0.0);
                    if !verdict.in_band && f64::from(y) > FLUSH {
                        *worst = worst.max(verdict.ulps);
                    }
                };
            let worst = worst.entry(rule.name()).or_default();
            for x in inputs(prox, 30, 4000 + n as u64) {
                check(prox, 0.0, prox.constants(), x, mode, &mut worst[mode]);
            }
            if rule.per_element_step() {
                for scale in [0.0f32, 1e-4, 0.37, 1.0, 2.7] {
                    let step = prox.step * f64::from(scale);
                    if step > 1e6 {
                        continue;
                    }
                    // the scale's product with a constant that is itself rounded
                    let step_error = 2.0 / 8388608.0 * step;
                    let scaled = prox.penalty.prox(step, prox.lambda).unwrap();
                    for x in inputs(&scaled, 8, 5000 + n as u64) {
                        let k = program.at_step(prox.constants(), scale);
                        check(&scaled, step_error, k, x, 2 + mode, &mut worst[2 + mode]);
                    }
                }
            }
        }
    }
    for (name, [nearest, wgsl, scaled, scaled_wgsl]) in worst {
        println!("{name:12} nearest {nearest:6.2} wgsl {wgsl:6.2} | at_step {scaled:6.2} {scaled_wgsl:6.2}");
    }
}

/// The slopes of the WGSL, in both roundings, against the bound that each penalty states.
#[test]
fn wgsl_slopes_hold_their_bound() {
    for (n, penalty) in
        shapes().into_iter().map(|p| crate::kernels::step::Elementwise::new(p, 0.0).penalty()).enumerate()
    {
        let (rule, mut worst) = (penalty.rule(), 0.0_f64);
        for lambda in [1.0f32, 0.03, 1e-6, 1e3, 1e-24, 0.0].map(f64::from) {
            let prox = Prox::new(penalty, 1.0, lambda);
            for noise in [None, Some(n as u64)] {
                let program = Interpreter::new(&wgsl::compose(&[&rule.file()]), noise);
                for y in inputs(&prox, 150, 6000 + n as u64) {
                    let wide = f64::from(y);
                    let slope = rule.slope(lambda, wide);
                    if wide < FLUSH || slope.abs() > 1e30 {
                        continue;
                    }
                    let got = f64::from(program.slope(y, prox.constants()));
                    let error = rule.slope_error(lambda, wide);
                    assert!(
                        (got - slope).abs() <= error,
                        "{prox:?} at {y:e}: {got:e} for {slope:e}, allowed {error:e}"
                    );
                    worst = worst.max((got - slope).abs() / error.max(f64::MIN_POSITIVE));
                }
            }
        }
        println!("{penalty}: {worst:.2} of its bound");
    }
}

/// The corners of every domain, steps and lambdas included: no overflow on the way and the same bounds.
#[test]
fn corners_of_the_domains() {
    let mut count = 0;
    for default in Penalty::all() {
        let parameters = default.rule().parameters();
        for corner in 0..1 << (2 * parameters.len()) {
            let values: Vec<f64> = (0..parameters.len())
                .map(|n| {
                    let Domain(low, high) = parameters[n].domain;
                    let end = |bound| match bound {
                        std::ops::Bound::Included(x) => x,
                        _ => 1.0 + 1e-6, // SCAD's a > 1
                    };
                    match corner >> (2 * n) & 3 {
                        0 => end(low),
                        1 => end(high),
                        2 => parameters[n].value,
                        _ => 0.5 * parameters[n].value,
                    }
                })
                .collect();
            let penalty = default.rule().with(&values);
            if penalty.check().is_err() {
                continue;
            }
            for step in [1e-6, 1.0, 1e6] {
                for lambda in [1e-6, 1.0, 1e6] {
                    let prox = penalty.prox(step, lambda).unwrap();
                    for noise in [None, Some(count)] {
                        let program = Interpreter::new(&wgsl::compose(&[&penalty.rule().file()]), noise);
                        for x in inputs(&prox, 2, count) {
                            let y = program.prox(x, prox.constants());
                            let verdict = accept(&prox, 0.0, Approx::exact(f64::from(x)), y);
                            assert!(verdict.ok, "{prox:?} at {x:e}: {y:e}, {verdict:?}");
                        }
                        for scale in [1e-6f32, 0.37, 1e6] {
                            let step = step * f64::from(scale);
                            if !penalty.rule().per_element_step() || step > 1e6 {
                                continue;
                            }
                            let scaled = penalty.prox(step, lambda).unwrap();
                            let k = program.at_step(prox.constants(), scale);
                            for x in inputs(&scaled, 2, count) {
                                let y = program.prox(x, k);
                                let error = 2.0 / 8388608.0 * step;
                                let verdict = accept(&scaled, error, Approx::exact(f64::from(x)), y);
                                assert!(verdict.ok, "{scaled:?} at {x:e}: {y:e}, {verdict:?}");
                            }
                        }
                    }
                    count += 1;
                }
            }
        }
    }
}

#[derive(serde::Deserialize)]
struct Vectors {
    penalty: Penalty,
    step: String,
    lambda: String,
    x: String,
    y: String,
}

/// `tests/data/oracle_prox.py` says where the vectors come from.
#[test]
fn prox_agrees_with_the_oracle() {
    let vectors: Vec<Vectors> =
        serde_json::from_str(include_str!("../../tests/data/oracle_prox.json")).unwrap();
    let (mut compared, mut names) = (0, std::collections::BTreeSet::new());
    for Vectors { penalty, step, lambda, x, y } in vectors {
        let number = |text: &str| text.parse::<f64>().unwrap();
        let (step, lambda) = (number(&step), number(&lambda));
        let prox = penalty.prox(step, lambda).unwrap();
        names.insert(penalty.name());
        for (x, y) in x.split(' ').map(number).zip(y.split(' ').map(number)) {
            let got = prox.apply(x);
            // A rounding of x by r = 4e-15 |x| moves y by r / h'', h'' = 1 + step p''(y). With h'' small that
            // exceeds 1e-12, and where h'' changes on the way the curvature bounds it: y moves by d with h'''
            // d^2 / 2 <= r. The double roots have y = 0 and threshold X, and there h''' is 3/a = 1.5/X (tl1,
            // geman), 2/X (log), 1/X (laplace, etp): d <= sqrt(2 * 4e-15) X < 1e-7 |x|.
            let stretch = 1.0 + step * penalty.rule().curvature(lambda, y.abs().max(1e-300));
            let tolerance = (4e-15 / stretch.max(1e-300)).clamp(1e-12, 1e-7) * x.abs();
            assert!(
                (got - y).abs() <= tolerance,
                "{prox:?} at {x:e}: {got:e}, the oracle has {y:e}, h'' = {stretch:e}"
            );
            compared += 1;
        }
    }
    // fourteen have a formula there; none has nothing to compare
    assert!(compared > 3000 && names.len() >= 14, "{compared} {names:?}");
}
