//! What a step costs the host, beside Burn's own optimisers in the same run: networks of many small tensors, whose step is all host.
//! `cargo bench -p maf-srl-burn --bench host -- [adapter]`, on an idle machine.
//!
//! Each optimiser steps the same network by gradients that are there already, until the device is done. They take turns, so that a
//! machine that slows down slows all of them; medians.

#[path = "../tests/support/mod.rs"]
mod support;

use std::cell::RefCell;
use std::time::{Duration, Instant};

use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer, SgdConfig};
use maf_srl::kernels::step::{Adam, Optimizer};
use maf_srl_burn::{Gpu, HostTimes, ProxOptimizer, Rule, SparseOptimizer, Unit};
use support::{Data, Mlp, gradients};

const LR: f64 = 1e-3;
const WIDTH: usize = 64;

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}

type Step<'a> = Box<dyn FnMut(Mlp, GradientsParams) -> Mlp + 'a>;

fn of_burn(mut optim: ModuleOptimizer) -> Step<'static> {
    Box::new(move |net, g| optim.step(LR, net, g))
}

fn in_place(optim: &RefCell<SparseOptimizer>) -> Step<'_> {
    Box::new(|net, g| optim.borrow_mut().step(LR, net, g).expect("a step"))
}

/// The one whose time is taken apart.
const OURS: &str = "in place: SGD, l1";

/// One optimiser with the network that it trains.
struct Runner<'a> {
    name: &'static str,
    net: Option<Mlp>,
    step: Step<'a>,
    times: Vec<Duration>,
}

fn main() {
    let adapter = std::env::args().skip(1).find(|word| !word.starts_with("--"));
    let quick = std::env::args().any(|word| word == "--test");
    let gpu = Gpu::on(adapter.as_deref()).unwrap_or_else(|error| panic!("{error}"));
    let device = gpu.burn().clone().autodiff();
    let data = Data::new(40, 1);
    println!("{}: milliseconds per step, width {WIDTH}", gpu.name());
    for tensors in if quick { vec![20] } else { vec![20, 100, 400] } {
        let sizes: Vec<usize> = std::iter::repeat_n(WIDTH, tensors / 2).chain([10]).collect();
        let l1 = || "l1".parse().expect("a penalty");
        let lasso = || "lasso".parse().expect("a penalty");
        let rule = || Rule::new(l1(), 1e-4);
        let sparse = |base, rule| RefCell::new(SparseOptimizer::new(&gpu, base).with_rule(rule));
        let by_tensors = |base| ProxOptimizer::new(base, l1(), 1e-4).expect("in the domain");
        let (gradient, adam) = (Optimizer::Gradient, Optimizer::Adam(Adam::default()));
        let ours = sparse(gradient, rule());
        let grouped = sparse(gradient, rule().with_group(lasso(), 1e-4, Unit::Neuron));
        let of_adam = sparse(adam, rule());
        let neurons = by_tensors(gradient).with_group(lasso(), 1e-4, 1).expect("in the domain");
        let times = RefCell::new(Vec::<HostTimes>::new());
        let mut runners = Vec::new();
        let mut run = |name, step| {
            runners.push(Runner { name, net: Some(Mlp::new(&sizes, &device)), step, times: Vec::new() });
        };
        run("nothing but waiting for the device", Box::new(|net, _| net));
        run("Burn: SGD", of_burn(SgdConfig::new().init()));
        run("tensor operations: SGD, l1", of_burn(by_tensors(gradient).into()));
        run(OURS, in_place(&ours));
        run("tensor operations: SGD, l1, neurons", of_burn(neurons.into()));
        run("in place: SGD, l1, neurons", in_place(&grouped));
        run("Burn: Adam", of_burn(AdamConfig::new().init()));
        run("tensor operations: Adam, l1", of_burn(by_tensors(adam).into()));
        run("in place: Adam, l1", in_place(&of_adam));
        let rounds = if quick { 2 } else { 30 };
        for round in 0..rounds {
            for runner in &mut runners {
                let net = runner.net.take().expect("it comes back");
                let g = gradients(&net, data.batch(round, 4, &device));
                gpu.burn().sync().expect("the device runs");
                let began = Instant::now();
                let net = (runner.step)(net, g);
                gpu.burn().sync().expect("the device runs");
                // the first ones compile and bind
                if round >= rounds / 5 {
                    runner.times.push(began.elapsed());
                    if runner.name == OURS {
                        times.borrow_mut().push(ours.borrow().host_times());
                    }
                }
                runner.net = Some(net);
            }
        }
        println!("\n{tensors} tensors");
        for runner in &runners {
            println!("  {:36} {:8.2}", runner.name, median(runner.times.clone()));
        }
        let times = times.borrow();
        let of = |part: fn(&HostTimes) -> Duration| median(times.iter().map(part).collect());
        println!(
            "  of it in place: walk {:.3}, resources {:.3}, update {:.3}, record {:.3}, submit {:.3}; {} dispatches",
            of(|t| t.walk),
            of(|t| t.resources),
            of(|t| t.update),
            of(|t| t.record),
            of(|t| t.submit),
            ours.borrow().counts().dispatches
        );
    }
}
