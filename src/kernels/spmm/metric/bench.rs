//! What is timed of the operator in a learned regulariser's metric: vectors of 64 components.

use super::cases::regulariser;
use super::{Matrices, MetricJob, MetricReference, MetricRow, Regularised, bind};
use crate::error::Result;
use crate::gpu::{self, View};
use crate::kernels::program::Program;
use crate::kernels::spmm::{Path, Prologue, Variant};
use crate::kernels::step::{Element, Optimizer};
use crate::kernels::timed::{self, COMPONENTS, Tensors};
use crate::kernels::{Bench, Loaded, Reference, Setup};
use crate::penalty::{Groups, Layout};

const DENSITY: f64 = 0.4;
const LAMBDA: f64 = 0.5;

/// The operator by itself, without a base step: three products, of which the second names it.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernels::spmm) struct Metric;

fn groups(elements: u64) -> Result<Groups> {
    let n = u64::from(COMPONENTS);
    Groups::new(Layout::Rows, &[(elements / n).max(1), n])
}

impl Bench for Metric {
    fn variant(&self) -> String {
        let (path, prologue) = (Path::Tiles, Prologue::Plain);
        Variant::Product { path, prologue, epilogue: super::Epilogue::Held }.name()
    }

    fn label(&self) -> String {
        format!("prox in the metric of n={COMPONENTS}, density {DENSITY}")
    }

    fn bytes(&self, elements: u64) -> u64 {
        12 * groups(elements).map_or(0, |groups| groups.len())
    }

    fn footprint(&self, elements: u64) -> u64 {
        self.bytes(elements)
    }

    fn load(&self, on: &Setup<'_>) -> Result<Loaded> {
        let of = Regularised { regulariser: regulariser(COMPONENTS, DENSITY)?, groups: groups(on.elements)? };
        let tensors = Tensors::of_groups(on, &of.groups, (Optimizer::Prox, true))?;
        let hyper = timed::hyper()?;
        let rows = on.bytes(&MetricRow::new(&of).alone(LAMBDA, 1.0, &hyper))?;
        let bytes = 4 * of.groups.len();
        let scratch = gpu::buffer(on.device, on.name, bytes, wgpu::BufferUsages::STORAGE, false)?;
        let scratch = View::new(on.name, &scratch, 0, of.groups.len())?;
        let bind = |views: &[View]| {
            let [weights, coefficients] = [0, 1].map(|k| views[k].clone());
            let scratch = scratch.clone();
            let job =
                MetricJob { name: on.name.into(), of: of.clone(), weights, coefficients, scratch, row: 0 };
            let [mut all, after] = bind(on.kernels, &job, &mut Matrices::default(), &rows)?;
            all.extend(after);
            Ok(all)
        };
        let reference = MetricReference::new(Optimizer::Prox, &of, LAMBDA, 1.0, &hyper);
        let judge = |g, before: &[Element], after: &[Element]| reference.judge(g, before, after);
        tensors.load(on, 0, bind, timed::by_groups(&of.groups, judge))
    }
}
