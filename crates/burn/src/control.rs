//! The controllers of density: what they count, and when what was counted comes back.

use std::collections::BTreeMap;
use std::sync::Arc;

use maf_srl::error::{Result, unsupported};
use maf_srl::gpu::Readback;
use maf_srl::penalty::Groups;
use maf_srl::schedule::{Counted, DensityControl, DensityState, DensityTarget, Nonzeros, Phase, Plan};

/// How a parameter is counted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Followed {
    /// The controller: the number of a rule, or [`NETWORK`].
    pub by: usize,
    pub groups: Groups,
    pub uses: u64,
}

/// The controller of what no rule with one decides on.
pub(crate) const NETWORK: usize = usize::MAX;

/// Where a controller of density stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DensityStatus {
    /// The rule whose controller it is, by the order in which rules were given; none for that of the whole network.
    pub rule: Option<usize>,
    /// The share that was counted last; 1 before the first count.
    pub share: f64,
    /// The step after which it was counted; 0 before the first count.
    pub step: u64,
    /// The factor of lambda in the next step.
    pub lambda_scale: f64,
    /// Whether it is met.
    pub phase: Phase,
}

/// The fewest steps between two counts, so that the device has done what it is asked for before anybody waits for it.
const EVERY: u64 = 5;

/// Counts in a ramp.
const COUNTS: u64 = 200;

/// What was counted, or is on its way.
#[derive(Debug)]
enum Count {
    Coming(Readback, Arc<Nonzeros>),
    There(f64),
}

#[derive(Debug)]
struct Control {
    law: DensityControl,
    /// Steps between two counts.
    every: u64,
    last: (u64, f64),
    /// Of the plan as it lies now.
    nonzeros: Option<Arc<Nonzeros>>,
    /// With the step that it was counted after.
    count: Option<(u64, Count)>,
}

/// What is remembered of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Remembered {
    pub state: DensityState,
    pub last: (u64, f64),
    /// A count that nobody has looked at yet.
    pub count: Option<(u64, f64)>,
}

/// All controllers of an optimiser.
#[derive(Debug, Default)]
pub(crate) struct Controls {
    of: BTreeMap<usize, Control>,
}

impl Controls {
    pub fn add(&mut self, key: usize, target: DensityTarget) {
        let every = (target.steps() / COUNTS).max(EVERY);
        let law = DensityControl::new(target);
        self.of.insert(key, Control { law, every, last: (0, 1.0), nonzeros: None, count: None });
    }

    /// The factor of lambda in step `n`, and whether zeros stay.
    pub fn of(&self, key: usize, n: u64) -> (f64, bool) {
        self.of.get(&key).map_or((1.0, false), |control| (control.law.lambda_scale(n), control.law.frozen()))
    }

    /// What the next step is taken with.
    pub fn status(&self, n: u64) -> Vec<DensityStatus> {
        let status = |(&key, control): (&usize, &Control)| DensityStatus {
            rule: (key != NETWORK).then_some(key),
            share: control.last.1,
            step: control.last.0,
            lambda_scale: control.law.lambda_scale(n),
            phase: control.law.phase(),
        };
        self.of.iter().map(status).collect()
    }

    /// The plan's tensors are others, or lie elsewhere.
    pub fn moved(&mut self) {
        self.of.values_mut().for_each(|control| control.nonzeros = None);
    }

    /// Takes in, before step `n`, the counts that are as old as the time between two: how late they are does not depend on how fast
    /// the device is, so that training can be repeated. Where it is not done with a step so old, that is waited for.
    pub fn look(&mut self, n: u64, device: &wgpu::Device) -> Result<()> {
        for control in self.of.values_mut() {
            if control.count.as_ref().is_some_and(|(step, _)| n >= step + control.every) {
                control.arrive(device)?;
                if let Some((step, Count::There(share))) = control.count.take() {
                    control.law.observe(step, share);
                    control.last = (step, share);
                }
            }
        }
        Ok(())
    }

    /// Has the device count after step `n`, where it is time. `followed` has a plan's tensors in their order.
    pub fn count<'a>(
        &mut self,
        n: u64,
        plan: &Plan,
        followed: impl Iterator<Item = Option<&'a Followed>> + Clone,
        encoder: &mut wgpu::CommandEncoder,
    ) -> Result<()> {
        for (&key, control) in &mut self.of {
            if !n.is_multiple_of(control.every) || control.law.ended() {
                continue;
            }
            let nonzeros = match &control.nonzeros {
                Some(nonzeros) => nonzeros,
                None => {
                    let own = followed.clone().enumerate().filter_map(|(tensor, of)| {
                        let of = of.filter(|of| of.by == key)?;
                        Some(Counted { tensor, groups: of.groups.clone(), uses: of.uses })
                    });
                    control.nonzeros.insert(Arc::new(plan.nonzeros(&own.collect::<Vec<_>>())?))
                }
            };
            control.count = Some((n, Count::Coming(nonzeros.record(encoder)?, nonzeros.clone())));
        }
        Ok(())
    }

    /// What is to be remembered; counts on their way are waited for.
    pub fn remember(&mut self, device: &wgpu::Device) -> Result<BTreeMap<usize, Remembered>> {
        let mut all = BTreeMap::new();
        for (&key, control) in &mut self.of {
            control.arrive(device)?;
            let count = match control.count {
                Some((step, Count::There(share))) => Some((step, share)),
                _ => None,
            };
            all.insert(key, Remembered { state: control.law.state(), last: control.last, count });
        }
        Ok(all)
    }

    /// Goes on from what was remembered; controllers that are new begin.
    pub fn restore(&mut self, all: &BTreeMap<usize, Remembered>) -> Result<()> {
        for (key, of) in all {
            let Some(control) = self.of.get_mut(key) else {
                let whose = if *key == NETWORK { "the network".into() } else { format!("rule {key}") };
                let what = format!("a record of the density of {whose}, for which none is asked");
                return Err(unsupported("optimiser's record", what, "the rules that it was made with"));
            };
            control.law = control.law.with_state(of.state)?;
            (control.last, control.nonzeros) = (of.last, None);
            control.count = of.count.map(|(step, share)| (step, Count::There(share)));
        }
        Ok(())
    }
}

impl Control {
    /// Waits for a count that is on its way.
    fn arrive(&mut self, device: &wgpu::Device) -> Result<()> {
        let Some((step, count)) = self.count.take() else { return Ok(()) };
        let count = match count {
            Count::Coming(readback, nonzeros) => {
                let tallies = nonzeros.tallies(&readback.wait(device)?)?;
                Count::There(self.law.target().measure().share(&tallies))
            }
            there @ Count::There(_) => there,
        };
        self.count = Some((step, count));
        Ok(())
    }
}
