//! The cases of a step in the metric of a learned regulariser: sizes round those of tiles, every order of the groups, few
//! vectors and many, rates and lambdas of 0, and numbers that are strange.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Matrices, MetricJob, MetricReference, MetricRow, Regularised, bind};
use crate::error::Result;
use crate::gpu::{self, View};
use crate::kernels::fixture::Fixture;
use crate::kernels::operator::{Reference, Tabled};
use crate::kernels::step::{self, Adam, Element, Elementwise, Optimizer, StepParameters};
use crate::kernels::{self, Case, Outcome, PipelineCache, compare};
use crate::matrix::Pattern;
use crate::penalty::{Activation, Groups, Layout, NoPenalty};
use crate::regulariser::{Parameters, Regulariser};

/// Where a case puts a number that is not finite, or so large that sums overflow.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Strange {
    Weight(f32),
    Gradient(f32),
}

/// One tensor, stepped once.
#[derive(Clone, Debug)]
struct Metric {
    n: u32,
    vectors: u64,
    density: f64,
    layout: Layout,
    base: Optimizer,
    rate: f64,
    lambda: f64,
    size: f32,
    strange: Option<Strange>,
    lead: u64,
    frozen: bool,
}

/// An ordinary one.
fn metric(n: u32, vectors: u64, density: f64) -> Metric {
    Metric {
        n,
        vectors,
        density,
        layout: Layout::Rows,
        base: Optimizer::Gradient,
        rate: 0.1,
        lambda: 0.5,
        size: 1.0,
        strange: None,
        lead: 0,
        frozen: false,
    }
}

/// Every case.
pub(in crate::kernels::spmm) fn all() -> Vec<Box<dyn Case>> {
    let mut all = Vec::new();
    let bases = [Optimizer::Prox, Optimizer::Gradient, Optimizer::Adam(Adam::default())];
    for (k, n) in [1, 7, 33, 64, 65, 66].into_iter().enumerate() {
        for (j, vectors) in [1, 32, 33, 64, 300].into_iter().enumerate() {
            let layouts = [Layout::Rows, Layout::Columns, Layout::Blocks(u64::from(n))];
            all.push(Metric {
                layout: layouts[(k + j) % 3].clone(),
                base: bases[(k + 2 * j) % 3],
                lead: ((k + j) % 4) as u64,
                ..metric(n, vectors, [0.1, 0.6, 1.0][j % 3])
            });
        }
        all.push(Metric { layout: Layout::Whole, ..metric(n, 1, 0.6) });
    }
    for (rate, lambda) in [(0.0, 0.5), (0.1, 0.0), (3.0, 7.0), (1e-6, 1e-6)] {
        all.push(Metric { rate, lambda, ..metric(33, 40, 0.6) });
    }
    for size in [1e-3, 1e-25, 1e18] {
        all.push(Metric { size, ..metric(33, 40, 0.6) });
    }
    for x in [f32::NAN, f32::INFINITY, 3e38] {
        for strange in [Strange::Weight(x), Strange::Gradient(x)] {
            all.push(Metric { strange: Some(strange), ..metric(7, 40, 0.6) });
        }
    }
    let frozen: Vec<_> = all.iter().map(|case| Metric { frozen: true, ..case.clone() }).collect();
    all.extend(frozen);
    all.into_iter().map(|case| Box::new(case) as Box<dyn Case>).collect()
}

/// Â near the identity, so that its inverse is no larger than it.
pub(super) fn regulariser(n: u32, density: f64) -> Result<Arc<Regulariser>> {
    let mut rng = ChaCha8Rng::seed_from_u64(u64::from(n));
    let activation = Activation { eta1: 0.4, eta2: 0.9, delta1: 0.3, delta2: 0.8 };
    let pattern = Arc::new(Pattern::random(n, density, 5)?);
    let mut p = Parameters::identity(pattern, activation, 1.0)?;
    let off = 0.5 / (f64::from(n) * density).sqrt().max(1.0);
    p.values.iter_mut().for_each(|a| *a = 0.9 * *a + rng.random_range(-off..off));
    p.q.iter_mut().for_each(|q| *q = rng.random_range(0.5..2.0));
    Ok(Arc::new(Regulariser::new(p)?))
}

impl Metric {
    fn of(&self) -> Result<Regularised> {
        let n = u64::from(self.n);
        let groups = match self.layout {
            Layout::Columns => Groups::new(Layout::Columns, &[n, self.vectors])?,
            _ => Groups::new(self.layout.clone(), &[self.vectors, n])?,
        };
        Ok(Regularised { regulariser: regulariser(self.n, self.density)?, groups })
    }

    /// Every seventh group is small, so that it becomes zero.
    fn elements(&self, groups: &Groups) -> Vec<Element> {
        let mut rng = ChaCha8Rng::seed_from_u64(0x3e7c);
        let size = self.size;
        let one = |rng: &mut ChaCha8Rng| Element {
            w: size * rng.random_range(-2.0..2.0),
            g: size * rng.random_range(-1.0..1.0),
            m: size * rng.random_range(-0.5..0.5),
            v: size * rng.random_range(0.1..1.0),
            copy: 0.0,
        };
        let mut all: Vec<Element> = (0..groups.len()).map(|_| one(&mut rng)).collect();
        // two of three coefficients are not zero
        let rest = all.iter_mut().enumerate().filter(|(i, _)| i % 3 != 1);
        rest.for_each(|(_, e)| e.copy = 0.25);
        for g in (0..groups.count()).step_by(7).skip(1) {
            for i in groups.members(g) {
                let e = &mut all[i];
                *e = Element { w: 1e-3 * e.w, g: 1e-3 * e.g, ..*e };
            }
        }
        let middle = all.len() / 2;
        match self.strange {
            Some(Strange::Weight(x)) => all[middle].w = x,
            Some(Strange::Gradient(x)) => all[middle].g = x,
            None => {}
        }
        all
    }
}

impl Case for Metric {
    fn name(&self) -> String {
        let Metric { n, vectors, density, layout, base, rate, lambda, size, lead, .. } = self;
        let frozen = if self.frozen { "/frozen" } else { "" };
        let strange = self.strange.map_or(String::new(), |strange| format!("/{strange:?}"));
        format!(
            "spmm/metric/{}/{layout}/n={n}/m={vectors}/density={density}/rate={rate}/lambda={lambda}/size={size:e}/offset={lead}{strange}{frozen}",
            base.kernel()
        )
    }

    fn elements(&self) -> usize {
        self.n as usize * self.vectors as usize
    }

    fn run(&self, device: &wgpu::Device, queue: &wgpu::Queue, kernels: &PipelineCache) -> Result<Outcome> {
        let (name, of, hyper) =
            (self.name(), self.of()?, StepParameters::new(self.rate, 3)?.with_frozen_zeros(self.frozen));
        of.check(&name)?;
        let before = self.elements(&of.groups);
        let (gradient, states) = (usize::from(self.base.has_gradient()), self.base.states());
        let all: [fn(&Element) -> f32; 4] = [|e| e.w, |e| e.g, |e| e.m, |e| e.v];
        let copy: fn(&Element) -> f32 = |e| e.copy;
        let read = all[..1 + gradient + states].iter().chain([&copy]);
        let data: Vec<Vec<f32>> = read.map(|read| before.iter().map(read).collect()).collect();
        let kept = data.len() - 1;
        let leads: Vec<u64> = (0..5).map(|k| (self.lead + k) * u64::from(self.lead > 0) % 4).collect();
        let mut fixture = Fixture::new(kernels, &name, &data, &leads, false)?;

        let usage = gpu::USAGE;
        let first = Elementwise::new(NoPenalty.into(), self.lambda);
        let own = first.row(self.base, 1.0, &hyper.with_frozen_zeros(false));
        let own = gpu::buffer_with(device, "rows", bytemuck::bytes_of(&own), usage)?;
        let row = MetricRow::new(&of).alone(self.lambda, 1.0, &hyper);
        let rows = gpu::buffer_with(device, "rows", &row, usage)?;
        let status = gpu::buffer_with(device, "status", &[0; 16], usage)?;
        let job = kernels::TensorJob { operator: &first, views: &fixture.views[..kept], row: 0, tensor: 0 };
        let moved = step::bind(kernels, self.base, &[job], own.as_entire_buffer_binding(), &status)?;
        let [weights, coefficients] = [0, kept].map(|k| fixture.views[k].clone());
        // neither its contents nor its place may matter
        let own = gpu::buffer_with(device, "scratch", &vec![0xff; 4 * (before.len() + 1)], usage)?;
        let scratch = View::new("scratch", &own, 4, before.len() as u64)?;
        let job = MetricJob { name, of: of.clone(), weights, coefficients, scratch, row: 0 };
        let [first, shrunk] = bind(kernels, &job, &mut Matrices::default(), &rows)?;
        let counted = fixture.run(device, queue, &status, |pass| {
            first.record(pass);
            moved.record(pass);
            shrunk.record(pass);
        })?;

        let after = |i: usize| Element {
            w: fixture.value(0, i),
            m: if states > 0 { fixture.value(1 + gradient, i) } else { 0.0 },
            v: if states > 1 { fixture.value(2 + gradient, i) } else { 0.0 },
            copy: fixture.value(kept, i),
            ..before[i]
        };
        let reference = MetricReference::new(self.base, &of, self.lambda, 1.0, &hyper);
        let (mut outcome, mut bad) = (Outcome::default(), 0);
        for g in 0..of.groups.count() {
            let (was, is): (Vec<_>, Vec<_>) = of.groups.members(g).map(|i| (before[i], after(i))).unzip();
            let verdicts = reference.judge(g, &was, &is);
            let from = |k: usize| format!("{:?} became {:?}", was[k], is[k]);
            let judged = compare(is.len(), |k| verdicts[k], |k| is[k].w, from);
            outcome.merge(judged.told(|what| format!("group {g}, {what}")));
            bad += reference.step(g, &mut was.clone());
        }
        outcome.demand(counted == bad, || format!("{counted} elements counted, {bad} are not finite"));
        fixture.judge_surroundings(self.base.has_gradient().then_some(1), &mut outcome);
        Ok(outcome)
    }
}
