//! What is zero in the results of a plan, counted where they lie.

use super::{Plan, Tally};
use crate::error::{Result, same, shape};
use crate::gpu::{self, Readback, View};
use crate::kernels::Dispatches;
use crate::kernels::norms::{self, Norm, NormsJob};
use crate::penalty::Groups;

/// A tensor of a plan, and what is counted of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    /// Its position at binding.
    pub tensor: usize,
    /// Its units.
    pub groups: Groups,
    /// See [`Tally::uses`].
    pub uses: u64,
}

/// Counts the weights of a plan's tensors that are not zero, group by group, on the device: the norm
/// [`Norm::L0`], in a few dispatches for all of them. Under variable splitting it counts the copies.
///
/// ```no_run
/// use maf_srl::penalty::Groups;
/// use maf_srl::schedule::{Counted, Measure, Plan};
/// # fn count(plan: &Plan, device: &wgpu::Device, queue: &wgpu::Queue) -> maf_srl::Result<()> {
/// // the first tensor is a matrix [outputs, inputs]; its rows are neurons
/// let rows = Counted { tensor: 0, groups: Groups::axis(0, &[128, 64])?, uses: 1 };
/// let nonzeros = plan.nonzeros(&[rows])?;
/// let mut encoder = device.create_command_encoder(&Default::default());
/// let readback = nonzeros.record(&mut encoder)?;
/// queue.submit([encoder.finish()]);
/// // later, when it is there; or at once, by waiting
/// let tallies = nonzeros.tallies(&readback.wait(device)?)?;
/// println!("{} live neurons, density {}", tallies[0].live, Measure::Weights.share(&tallies));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Nonzeros {
    device: wgpu::Device,
    dispatches: Dispatches,
    counts: wgpu::Buffer,
    /// Elements, groups and uses of each tensor.
    tensors: Vec<(u64, u64, u64)>,
}

impl Plan {
    /// Has the device count what is zero of some tensors, where they lie now: after [`Plan::update`] has moved weights, that is
    /// to be asked for anew. Kernels are compiled at the first time.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for a tensor that is not there and groups of another length; those of [`norms::bind`].
    pub fn nonzeros(&self, counted: &[Counted]) -> Result<Nonzeros> {
        let number = counted.iter().map(|of| of.groups.count()).sum::<u64>();
        let place = "counts of nonzeros";
        let counts = gpu::buffer(self.device(), place, (4 * number).max(16), gpu::USAGE, false)?;
        let mut at = 0;
        let mut jobs = Vec::with_capacity(counted.len());
        let names: Vec<&str> = self.names().collect();
        for Counted { tensor, groups, .. } in counted {
            let Some((input, name)) = self.result(*tensor).zip(names.get(*tensor)) else {
                return Err(shape(
                    place,
                    "position of a tensor",
                    tensor,
                    format_args!("one of {}", names.len()),
                ));
            };
            same(name, "length of the groups", groups.len(), input.len())?;
            let output = View::new(place, &counts, 4 * at, groups.count())?;
            at += groups.count();
            jobs.push(NormsJob { groups: groups.clone(), input: input.clone(), output });
        }
        let dispatches = norms::bind(self.kernels(), Norm::L0, &jobs)?;
        let of = |of: &Counted| (of.groups.len(), of.groups.count(), of.uses);
        let tensors = counted.iter().map(of).collect();
        Ok(Nonzeros { device: self.device().clone(), dispatches, counts, tensors })
    }
}

impl Nonzeros {
    /// Records a count of what the commands before it in this encoder leave, and a copy of its words.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) where the staging buffer cannot be had.
    pub fn record(&self, encoder: &mut wgpu::CommandEncoder) -> Result<Readback> {
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some("maf-srl nonzeros"),
                timestamp_writes: None,
            });
            self.dispatches.record(&mut pass);
        }
        Readback::record(&self.device, encoder, &self.counts, 0, 4 * self.words())
    }

    /// What the words of a count say: one tally per tensor, in the order in which they were asked for.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for words of another count.
    pub fn tallies(&self, words: &[u32]) -> Result<Vec<Tally>> {
        same("counts of nonzeros", "number of words", words.len() as u64, self.words())?;
        let mut rest = words;
        let tally = |&(weights, groups, uses): &(u64, u64, u64)| {
            let (own, others) = rest.split_at(groups as usize);
            rest = others;
            Tally::of_counts(weights, own, uses)
        };
        Ok(self.tensors.iter().map(tally).collect())
    }

    fn words(&self) -> u64 {
        self.tensors.iter().map(|&(_, groups, _)| groups).sum()
    }
}
