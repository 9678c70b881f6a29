//! A density that is asked for is met, by a network or by a rule's parameters, with or without a stop.

mod support;

use burn::module::ParamGroup;
use maf_srl::kernels::solver::Solver;
use maf_srl::kernels::step::Optimizer;
use maf_srl::schedule::{DensityTarget, Measure, Phase};
use maf_srl_burn::{Gpu, Rule, SparseOptimizer, Unit, density};
use support::{Data, Mlp, gradients, weights};

const BASE: Optimizer = Optimizer::HeavyBall { momentum: 0.9 };

fn rule() -> Rule {
    Rule::new("l1".parse().unwrap(), 1e-2).with_group("lasso".parse().unwrap(), 1e-2, Unit::Neuron)
}

fn train(net: Mlp, optim: &mut SparseOptimizer, steps: std::ops::Range<usize>) -> Mlp {
    let (device, data) = (burn::module::Module::devices(&net)[0].clone(), Data::new(200, 1));
    steps.fold(net, |net, step| {
        let g = gradients(&net, data.batch(step, 20, &device));
        optim.step(0.05, net, g).unwrap()
    })
}

/// The same weights each time. Burn's random numbers are the process's, and so of all tests at once.
fn net(gpu: &Gpu) -> Mlp {
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let device = gpu.burn().clone().autodiff();
    device.seed(1);
    let net = Mlp::new(&[64, 32, 16, 10], &device);
    // Burn draws them where they are read first
    weights(&net);
    net
}

#[test]
fn the_networks_density_is_met_and_kept() {
    for gpu in support::devices() {
        let target = DensityTarget::new(0.2, 200).unwrap().with_tolerance(0.01).unwrap();
        let mut optim = SparseOptimizer::new(&gpu, BASE).with_rule(rule()).with_density(target);
        let net = train(net(&gpu), &mut optim, 0..350);
        optim.finish().unwrap();
        let status = optim.densities();
        assert_eq!((status.len(), status[0].rule, status[0].phase), (1, None, Phase::Met), "{status:?}");
        let counted = density(&net).unwrap();
        assert!((counted.density() - 0.2).abs() <= 0.015, "{counted:?} {status:?}");
        // the last count, five steps or so before lambda went, and nothing came back
        assert!((status[0].share - 0.2).abs() <= 0.01 && status[0].share >= counted.density(), "{status:?}");
        assert_eq!(status[0].lambda_scale, 0.0);
        let net = train(net, &mut optim, 350..370);
        assert_eq!(density(&net).unwrap().nonzeros, counted.nonzeros);
        // no plan for it but the one of the steps
        assert_eq!((optim.counts().plans, optim.counts().copies), (1, 6));
    }
}

#[test]
fn rules_have_targets_of_their_own_and_what_they_count() {
    let gpu = &support::devices()[0];
    let of = |share: f64, measure| {
        DensityTarget::new(share, 150).unwrap().with_tolerance(0.05).unwrap().with_measure(measure)
    };
    let split = Solver::Splitting { beta: 1.0, published: false };
    let mut optim = SparseOptimizer::new(gpu, BASE)
        .with_rule(rule())
        .with_rule(rule().on(ParamGroup::from_path("layers.0.weight")).with_density(of(0.5, Measure::Units)))
        .with_rule(
            Rule::new("l1".parse().unwrap(), 1e-2)
                .with_solver(split)
                .on(ParamGroup::from_path("layers.1.weight"))
                .with_density(of(0.3, Measure::Multiplications)),
        );
    let net = train(net(gpu), &mut optim, 0..300);
    optim.finish().unwrap();
    let status = optim.densities();
    let rules: Vec<_> = status.iter().map(|status| status.rule).collect();
    assert_eq!(rules, [Some(1), Some(2)]);
    let first = &weights(&net)[0];
    let live = (0..32).filter(|j| first.values.iter().skip(*j).step_by(32).any(|w| *w != 0.0)).count();
    assert!((status[0].share - 0.5).abs() <= 0.05, "{status:?}");
    // between the last count and the step that knows of it some more may have gone
    assert!((0.0..4.0).contains(&(32.0 * status[0].share - live as f64)), "{live} {status:?}");
    // the copies are counted, and not the weights, none of which is zero
    assert!((status[1].share - 0.3).abs() <= 0.05, "{status:?}");
    assert!(weights(&net)[2].values.iter().all(|w| *w != 0.0));
}

#[test]
fn a_stop_changes_nothing_wherever_a_count_is_on_its_way() {
    for gpu in support::devices() {
        let make = || {
            let target = DensityTarget::new(0.3, 60).unwrap().with_tolerance(0.02).unwrap();
            SparseOptimizer::new(&gpu, BASE).with_rule(rule()).with_density(target)
        };
        let mut optim = make();
        let expected = weights(&train(net(&gpu), &mut optim, 0..90));
        assert!(optim.densities()[0].step > 0);
        for stop in [3, 5, 33, 35, 62] {
            let mut optim = make();
            let half = train(net(&gpu), &mut optim, 0..stop);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("optim.bpk");
            optim.to_record().unwrap().save(&path).unwrap();
            let record = maf_srl_burn::SparseRecord::load(&path).unwrap();
            let mut again = make().load_record(record).unwrap();
            assert_eq!(again.densities(), optim.densities());
            assert!(weights(&train(half, &mut again, stop..90)) == expected, "stopped after {stop}");
        }
        // a record with a controller that nobody asks for
        let error =
            SparseOptimizer::new(&gpu, BASE).with_rule(rule()).load_record(optim.to_record().unwrap());
        assert!(error.unwrap_err().to_string().contains("density"));
    }
}

#[test]
fn a_factor_of_lambda_is_the_callers() {
    let gpu = &support::devices()[0];
    let run = |scale: f64, lambda: f64| {
        let rule = Rule::new("l1".parse().unwrap(), lambda);
        let mut optim = SparseOptimizer::new(gpu, Optimizer::Gradient).with_rule(rule);
        optim.set_lambda_scale(scale).unwrap();
        weights(&train(net(gpu), &mut optim, 0..10))
    };
    assert!(run(0.5, 0.5) == run(1.0, 0.25));
    assert!(run(0.5, 0.5) != run(1.0, 0.5));
    assert!(SparseOptimizer::new(gpu, BASE).set_lambda_scale(f64::NAN).is_err());
}
