//! Learning on graphs, on every backend: DSRL against its authors' iteration in another program (numpy, float64) and against
//! their figures, MAF-SRL against itself in float64.

#[path = "../../../tests/support/mod.rs"]
mod support;

use maf_srl::gpu::Context;
use maf_srl::network::Family;
use maf_srl::schedule::Backend;
use maf_srl_lab::cluster::learned::{Options, fit};
use maf_srl_lab::cluster::{Graph, Input, baselines};
use ndarray::Array2;

/// The numbers below 40 that 9 does not divide as vertices, weights 0.1 to 1.2 rounded to f32.
fn graph() -> Graph {
    let names: Vec<usize> = (0..40).filter(|i| i % 9 != 0).collect();
    let weight = |(i, j): (usize, usize)| {
        let (i, j) = (names[i], names[j]);
        let k = (i * j * (i + j) + 5 * (i + j)) % 31;
        let edge = i != j && k < 12;
        if edge { f64::from(((k + 1) as f64 / 10.0) as f32) } else { 0.0 }
    };
    Graph::new("graph", Array2::from_shape_fn((35, 35), weight)).expect("a graph")
}

/// The CPU, then each adapter.
fn backends() -> Vec<(String, Backend)> {
    let on = |one: support::TestAdapter| {
        (one.label, Backend::Gpu(Box::new(Context::on(one.adapter).expect("a context"))))
    };
    let cpu = ("cpu".to_owned(), Backend::Cpu);
    std::iter::once(cpu).chain(support::software_adapters().into_iter().map(on)).collect()
}

#[test]
fn dsrl_ends_where_its_authors_iteration_ends() {
    let options = Options { layers: 10, epochs: 35, rate: 0.02 };
    // eta1, eta2, delta1, delta2, L, the last loss, and the sum of the outputs
    let expected = [
        1.39438171529389,
        0.3207797110297003,
        0.377115057924011,
        1.3333334709480225,
        0.6906120780652125,
        6.113273411626511,
        210.82233352445527,
    ];
    for (label, backend) in backends() {
        // what f32's rounding of sums of 1225 elements may make of each of 35 steps of Adam, and reserve
        let relative = if matches!(backend, Backend::Cpu) { 1e-7 } else { 1e-4 };
        let mut heard = Vec::new();
        let told = |epoch: usize, loss: f64| heard.push((epoch, loss));
        let learned = fit(&graph(), Family::Dsrl, &options, 1, &backend, told).expect("it trains");
        let a = learned.activation;
        let last = learned.history[34];
        let got = [a.eta1, a.eta2, a.delta1, a.delta2, learned.l, last, learned.output.sum()];
        for (got, expected) in got.into_iter().zip(expected) {
            assert!((got - expected).abs() <= relative * expected, "{label}: {got}, expected {expected}");
        }
        let kept = learned.output.iter().filter(|&&x| x >= 0.01).count();
        // of 470
        assert_eq!(kept, 350, "{label}");
        assert_eq!(learned.output, learned.output.t(), "{label}");
        assert_eq!(heard.len(), 35, "{label}");
        assert_eq!(heard[34], (35, last), "{label}");
    }
}

#[test]
fn bad_options_are_named() {
    let said = |options: Options| {
        let one = fit(&graph(), Family::Dsrl, &options, 1, &Backend::Cpu, |_, _| ());
        one.expect_err("it is refused").to_string()
    };
    let good = Options { layers: 10, epochs: 1, rate: 0.02 };
    assert!(said(Options { layers: 0, ..good }).contains("layers = 0 is outside [1, 4095]"));
    assert!(said(Options { layers: u32::MAX, ..good }).contains("layers = 4294967295 is outside"));
    assert!(said(Options { epochs: 0, ..good }).contains("epochs = 0 is outside at least 1"));
    assert!(said(Options { rate: f64::NAN, ..good }).contains("rate = NaN is outside [0, 1e6]"));
}

/// The densities that the DSRL authors publish, to the digits that they give.
#[test]
fn dsrl_gives_the_published_densities() {
    let at = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/multiview");
    if !at.is_dir() {
        eprintln!("not run: no data in ../shared/data/multiview");
        return;
    }
    let backends = backends();
    for (name, epochs, published) in [("MSRC-v1", 35, "0.0820"), ("ALOI", 55, "0.0817")] {
        let (graph, labels) = (at.join(format!("{name}W.mat")), at.join(format!("{name}.mat")));
        let graph = Input::load(Some(&graph), &labels, 10).expect("loads").graph;
        let options = Options { layers: 10, epochs, rate: 0.02 };
        for (label, backend) in &backends {
            let learned = fit(&graph, Family::Dsrl, &options, 0, backend, |_, _| ()).expect("it trains");
            let density = baselines::density(&learned.output);
            println!("{name} on {label}: {density}, loss {}", learned.history[epochs - 1]);
            assert_eq!(format!("{density:.4}"), published, "{name} on {label}");
        }
    }
}

/// In float64 and on every adapter, MAF-SRL hides the same entries and takes the same steps.
#[test]
fn maf_srl_learns_the_same_everywhere() {
    let options = Options { layers: 3, epochs: 12, rate: 0.02 };
    let runs: Vec<_> = backends()
        .into_iter()
        .map(|(label, backend)| {
            let learned = fit(&graph(), Family::MafSrl, &options, 5, &backend, |_, _| ()).expect("it trains");
            (label, learned)
        })
        .collect();
    let (_, reference) = &runs[0];
    let (first, last) = (reference.history[0], reference.history[11]);
    assert!(last < first, "{first} {last}");
    let entries = reference.parameters.pattern.entries().zip(&reference.parameters.values);
    let beside: Vec<f64> = entries.filter(|((i, j), _)| i != j).map(|(_, a)| a.abs()).collect();
    let mean = beside.iter().sum::<f64>() / beside.len() as f64;
    assert!(mean > 0.01, "ten times the noise that it begins with, or neighbours tell nothing: {mean}");
    for (label, learned) in &runs[1..] {
        for (got, expected) in learned.history.iter().zip(&reference.history) {
            // Adam divides gradients by their size: f32's rounding of a small one may turn its step round, 0.01 per step
            assert!((got - expected).abs() <= 1e-3 * expected, "{label}: {got}, expected {expected}");
        }
    }
    let other = fit(&graph(), Family::MafSrl, &options, 6, &Backend::Cpu, |_, _| ()).expect("it trains");
    assert_ne!(other.history, reference.history);
}
