//! The dispatches of the sums.

use super::Stage;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::kernels::backward::{GradientTarget, SavedActivations, window};
use crate::kernels::program::host_struct;
use crate::kernels::tables::scratch;
use crate::kernels::window::{Strided, Window};
use crate::kernels::word::WORKGROUP;
use crate::kernels::{Dispatch, Dispatches, PipelineCache};
use crate::regulariser::HEAD;

/// More workgroups of the sums than this keep any GPU busy.
pub(in crate::kernels) const PLENTY: u64 = 1024;

/// The most splits of the columns.
pub(in crate::kernels) const SPLITS: u64 = 64;

host_struct! {
    /// WGSL's `Job` of `shaders/sums.wgsl`, where each field is explained.
    pub(super) struct RowsJob {
        x: Strided,
        data: Strided,
        u: Strided,
        w: Strided,
        grad_r: Strided,
        theta: u32,
        given: u32,
        rows: u32,
        columns: u32,
        lanes: u32,
        blocks: u32,
        groups: u32,
        span: u32,
    }

    /// WGSL's `Job` of `shaders/sums/fold.wgsl`, where each field is explained.
    #[derive(Default)]
    pub(in crate::kernels) struct Fold {
        pub out: u32,
        pub numbers_at: u32,
        pub zeros_at: u32,
        pub add: u32,
        pub numbers: u32,
        pub splits: u32,
        pub apart: u32,
        pub totals: u32,
        pub parts: u32,
        pub parts_at: u32,
        pub zeros: u32,
    }
}

/// Puts partial sums together: of `scratch`, into `result`.
pub(in crate::kernels) fn fold(
    kernels: &PipelineCache,
    job: Fold,
    scratch: &wgpu::Buffer,
    result: &Window,
) -> Result<Dispatch> {
    let groups = u64::from(job.numbers + job.zeros).div_ceil(u64::from(WORKGROUP)) + u64::from(job.totals);
    let job = Fold { out: result.first, ..job };
    let buffers = [(1, scratch.as_entire_buffer_binding()), (2, result.binding())];
    Dispatch::of_groups(kernels, &Stage::Fold, bytemuck::bytes_of(&job), &buffers, groups)
}

/// How the sums of n x m elements are cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cut {
    /// Invocations to a row, a power of two.
    pub lanes: u32,
    /// Workgroups that have all rows between them.
    pub blocks: u32,
    /// Columns of a split, and how many splits.
    pub span: u32,
    pub splits: u32,
}

impl Cut {
    /// Two columns or more to an invocation; in tall batches more, so that few workgroups go through the tree of sums; wide
    /// batches are split.
    pub fn new(rows: u32, columns: u32) -> Self {
        let (n, m) = (u64::from(rows), u64::from(columns));
        let most = u64::from(WORKGROUP);
        let mut lanes = m.div_ceil(2).next_power_of_two().min(most);
        while lanes > 8 && n * lanes > 2 * PLENTY * most {
            lanes /= 2;
        }
        let blocks = n.div_ceil(most / lanes);
        let wanted = (PLENTY / blocks).clamp(1, SPLITS).min(m.div_ceil(4 * lanes));
        let span = m.div_ceil(wanted);
        let [lanes, blocks, span, splits] = [lanes, blocks, span, m.div_ceil(span)].map(|x| x as u32);
        Cut { lanes, blocks, span, splits }
    }

    /// The longest chain of additions of a row's sum, and of a scalar.
    pub fn chains(&self) -> (f64, f64) {
        let own = f64::from(self.span.div_ceil(self.lanes));
        let parts = f64::from(self.blocks) * f64::from(self.splits);
        let row = own + f64::from(self.lanes.ilog2()) + f64::from(self.splits) + 1.0;
        (row, own + 8.0 + (parts / f64::from(WORKGROUP)).ceil() + 9.0)
    }
}

/// Cuts, compiles what is missing, and binds the derivatives by q, b, the activation and L of one layer. Writes head, q and b of the gradient's layer; where it does not add, also
/// zeros where the places have no number.
///
/// # Errors
/// [`Error::Shape`] where shapes or layers do not fit; [`Error::Overlap`] where the gradient shares memory with what is
/// read; [`Error::Limit`], [`Error::OutOfMemory`] and [`Error::Gpu`] for what the device cannot give.
pub fn bind(kernels: &PipelineCache, passed: &SavedActivations, into: &GradientTarget) -> Result<Dispatches> {
    let place = "sums";
    let gradient = passed.check(place, into)?;
    let limits = kernels.device().limits();
    let (rows, columns) = passed.shape();
    let batch = |name: &str, batch| window(name, batch, (rows, columns), &limits);
    let (x, x_at) = batch("sums: x", &passed.x)?;
    let (data, data_at) = batch("sums: the data", passed.data.batch())?;
    let (u, u_at) = batch("sums: u", &passed.u)?;
    let (w, w_at) = batch("sums: w̄", &passed.w)?;
    let (grad_r, grad_r_at) = batch("sums: r̄", &passed.grad_r)?;
    let learned = Window::new("sums: the learned numbers", &passed.learned.view, &limits)?;
    let result = Window::new("sums: the gradient", &gradient, &limits)?;

    let cut = Cut::new(rows, columns);
    let groups = u64::from(cut.blocks) * u64::from(cut.splits);
    let numbers = 2 * u64::from(rows);
    let words = numbers * u64::from(cut.splits) + 5 * groups;
    let parts = scratch(kernels.device(), "partial sums of a layer", 4 * words)?;
    let job = RowsJob {
        x: x_at,
        data: data_at,
        u: u_at,
        w: w_at,
        grad_r: grad_r_at,
        theta: passed.theta(&learned),
        given: u32::from(passed.data.is_given()),
        rows,
        columns,
        lanes: cut.lanes,
        blocks: cut.blocks,
        groups: groups as u32,
        span: cut.span,
    };
    let bound = [&x, &data, &u, &w, &grad_r, &learned].map(Window::binding);
    let buffers: Vec<_> = (1..).zip(bound.into_iter().chain([parts.as_entire_buffer_binding()])).collect();
    let places = passed.learned.places;
    let end = places.values().end as u32;
    let fold_job = Fold {
        numbers_at: HEAD,
        zeros_at: end,
        add: u32::from(into.add),
        numbers: numbers as u32,
        splits: cut.splits,
        apart: numbers as u32,
        totals: 5,
        parts: groups as u32,
        parts_at: (numbers * u64::from(cut.splits)) as u32,
        zeros: if into.add { 0 } else { HEAD - 5 + places.length() - end },
        ..Fold::default()
    };
    let rows = Dispatch::of_groups(kernels, &Stage::Rows, bytemuck::bytes_of(&job), &buffers, groups)?;
    Ok([rows, fold(kernels, fold_job, &parts, &result)?].into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_cover_everything() {
        for n in [1u32, 2, 3, 64, 65, 1000, 1 << 20] {
            for m in [1u32, 2, 3, 64, 128, 1000, 1 << 20] {
                let cut = Cut::new(n, m);
                assert!(cut.lanes.is_power_of_two() && cut.lanes <= 256);
                assert!(u64::from(cut.blocks) * u64::from(256 / cut.lanes) >= u64::from(n), "{n} {m}");
                assert!(u64::from(cut.span) * u64::from(cut.splits) >= u64::from(m), "{n} {m}");
                assert!(cut.span * (cut.splits - 1) < m && u64::from(cut.splits) <= SPLITS, "{n} {m}");
            }
        }
        assert_eq!(Cut::new(64, 128), Cut { lanes: 64, blocks: 16, span: 128, splits: 1 });
    }
}
