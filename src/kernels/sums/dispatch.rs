//! The dispatches of the sums, the loss and the chain.

use bytemuck::{Pod, Zeroable};

use super::{INVOCATIONS, Into, Passed, ROOM, Stage, window};
use crate::error::{Error, Result};
use crate::gpu::View;
use crate::kernels::dispatch::folded;
use crate::kernels::tiles::scratch;
use crate::kernels::window::{Strided, Window, refuse_overlap};
use crate::kernels::{Batch, Kernels, Learned};
use crate::kernels::{Dispatch, Dispatches};
use crate::regulariser::HEAD;

/// More workgroups of the sums than this keep any GPU busy.
const PLENTY: u64 = 1024;

/// The most splits of the columns.
pub(in crate::kernels) const SPLITS: u64 = 64;

/// WGSL's `Job` of `shaders/sums.wgsl`, where each field is explained.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct RowsJob {
    x: Strided,
    data: Strided,
    u: Strided,
    w: Strided,
    r_bar: Strided,
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
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
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

/// WGSL's `Job` of `shaders/sums/loss.wgsl`, where each field is explained.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct LossJob {
    output: Strided,
    aim: Strided,
    bar: Strided,
    samples: u32,
    rows: u32,
    columns: u32,
    span: u32,
    scale: f32,
    lambda: f32,
}

/// WGSL's `Job` of `shaders/sums/chain.wgsl`, where each field is explained.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct ChainJob {
    r_bar: Strided,
    h: Strided,
    out: Strided,
    samples: u32,
    rows: u32,
    columns: u32,
    theta: u32,
}

/// `groups` workgroups of `invocations` of a room's variant, with the buffers bound behind the job. These are bound for
/// reading and writing all of them, so that they may lie in one buffer.
pub(in crate::kernels) fn launch(
    kernels: &Kernels,
    (room, variant, invocations): (&str, &str, u32),
    source: impl FnOnce() -> String,
    job: &[u8],
    buffers: &[wgpu::BufferBinding<'_>],
    groups: u64,
) -> Result<Dispatch> {
    let device = kernels.device();
    let workgroups = folded(&format!("{room}/{variant}"), groups, &device.limits())?;
    let layout: Vec<(u32, bool)> = (0..=buffers.len() as u32).map(|k| (k, k == 0)).collect();
    let pipeline = kernels.pipeline(room, variant, invocations, &layout, source)?;
    let buffers: Vec<_> = (1..).zip(buffers.iter().cloned()).collect();
    Dispatch::of_job(device, room, pipeline, job, &buffers, workgroups)
}

/// One of the room's kernels.
fn own(
    kernels: &Kernels,
    stage: Stage,
    job: &impl Pod,
    buffers: &[wgpu::BufferBinding<'_>],
    groups: u64,
) -> Result<Dispatch> {
    let variant = (ROOM.name, stage.name(), INVOCATIONS);
    launch(kernels, variant, || stage.source(), bytemuck::bytes_of(job), buffers, groups)
}

/// Puts partial sums together: of `scratch`, into `result`.
pub(in crate::kernels) fn fold(
    kernels: &Kernels,
    job: Fold,
    scratch: &wgpu::Buffer,
    result: &Window,
) -> Result<Dispatch> {
    let groups = u64::from(job.numbers + job.zeros).div_ceil(u64::from(INVOCATIONS)) + u64::from(job.totals);
    let buffers = [scratch.as_entire_buffer_binding(), result.binding()];
    own(kernels, Stage::Fold, &Fold { out: result.first, ..job }, &buffers, groups)
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
        let most = u64::from(INVOCATIONS);
        let mut lanes = m.div_ceil(2).next_power_of_two().min(most);
        while lanes > 8 && n * lanes > 2 * PLENTY * most {
            lanes /= 2;
        }
        let blocks = n.div_ceil(most / lanes);
        let wanted = (PLENTY / blocks).clamp(1, SPLITS).min(m.div_ceil(4 * lanes));
        let span = m.div_ceil(wanted);
        let narrow = |x: u64| x as u32;
        Cut {
            lanes: narrow(lanes),
            blocks: narrow(blocks),
            span: narrow(span),
            splits: narrow(m.div_ceil(span)),
        }
    }

    /// The longest chain of additions of a row's sum, and of a scalar.
    pub fn chains(&self) -> (f64, f64) {
        let own = f64::from(self.span.div_ceil(self.lanes));
        let parts = f64::from(self.blocks) * f64::from(self.splits);
        let row = own + f64::from(self.lanes.ilog2()) + f64::from(self.splits) + 1.0;
        (row, own + 8.0 + (parts / f64::from(INVOCATIONS)).ceil() + 9.0)
    }
}

/// Cuts, compiles what is missing, and binds the derivatives by q, b, the activation and L of one layer. Writes head, q and b of the gradient's layer; where it does not add, also
/// zeros where the places have no number.
///
/// # Errors
/// [`Error::Shape`] where shapes or layers do not fit; [`Error::Overlap`] where the gradient shares memory with what is
/// read; [`Error::Limit`], [`Error::OutOfMemory`] and [`Error::Gpu`] for what the device cannot give.
pub fn bind(kernels: &Kernels, passed: &Passed, into: &Into) -> Result<Dispatches> {
    let place = "sums";
    let gradient = passed.check(place, into)?;
    let limits = kernels.device().limits();
    let (rows, columns) = passed.shape();
    let batch = |name: &str, batch| window(name, batch, (rows, columns), &limits);
    let (x, x_at) = batch("sums: x", &passed.x)?;
    let (data, data_at) = batch("sums: the data", passed.data.batch())?;
    let (u, u_at) = batch("sums: u", &passed.u)?;
    let (w, w_at) = batch("sums: w̄", &passed.w)?;
    let (r_bar, r_bar_at) = batch("sums: r̄", &passed.r_bar)?;
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
        r_bar: r_bar_at,
        theta: passed.theta(&learned),
        given: passed.given(),
        rows,
        columns,
        lanes: cut.lanes,
        blocks: cut.blocks,
        groups: groups as u32,
        span: cut.span,
    };
    let bound = [&x, &data, &u, &w, &r_bar, &learned].map(Window::binding);
    let buffers: Vec<_> = bound.into_iter().chain([parts.as_entire_buffer_binding()]).collect();
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
    let order =
        [own(kernels, Stage::Rows, &job, &buffers, groups)?, fold(kernels, fold_job, &parts, &result)?];
    Ok(order.into_iter().collect())
}

/// The loss and its derivative: `bar` becomes (output - target) * scale, and `loss`, one element, scale/2 ||output - target||².
///
/// # Errors
/// [`Error::Shape`], [`Error::Overlap`] where `bar` or `loss` shares memory with another view, and those of the
/// device, as [`bind`].
pub fn loss(
    kernels: &Kernels,
    output: &Batch,
    target: &Batch,
    scale: f32,
    bar: &Batch,
    loss: &View,
) -> Result<Dispatches> {
    sparse_loss(kernels, output, target, (scale, 0.0), bar, loss)
}

/// `bar` becomes (output - target + lambda sign(output)) * scale, with sign(0) = 0, and `loss`, one element,
/// scale/2 ||output - target||² + scale lambda ||output||_1.
///
/// # Errors
/// As [`loss()`].
pub fn sparse_loss(
    kernels: &Kernels,
    output: &Batch,
    target: &Batch,
    (scale, lambda): (f32, f32),
    bar: &Batch,
    loss: &View,
) -> Result<Dispatches> {
    if loss.length() != 1 {
        return Err(Error::Shape {
            place: "loss".into(),
            name: "length".into(),
            got: loss.length().to_string(),
            expected: "1".into(),
        });
    }
    let limits = kernels.device().limits();
    let shape = (output.components, output.vectors);
    let read = [("the output", &output.view), ("the target", &target.view)];
    refuse_overlap(&read, &[("the loss", loss), ("the loss's derivative", &bar.view)])?;
    let batch = |name: &str, batch| window(name, batch, shape, &limits);
    let (from, output_at) = batch("loss: the output", output)?;
    let (aim, aim_at) = batch("loss: the target", target)?;
    let (to, bar_at) = batch("loss: its derivative", bar)?;
    let result = Window::new("loss", loss, &limits)?;
    let span = loss_span(output.view.length());
    let groups = output.view.length().div_ceil(span);
    let parts = scratch(kernels.device(), "partial losses", (4 * groups).next_multiple_of(16))?;
    let job = LossJob {
        output: output_at,
        aim: aim_at,
        bar: bar_at,
        samples: u32::from(bar_at.down == 1),
        rows: shape.0,
        columns: shape.1,
        span: span as u32,
        scale,
        lambda,
    };
    let buffers = [from.binding(), aim.binding(), to.binding(), parts.as_entire_buffer_binding()];
    let fold_job = Fold { totals: 1, parts: groups as u32, ..Fold::default() };
    let order =
        [own(kernels, Stage::Loss, &job, &buffers, groups)?, fold(kernels, fold_job, &parts, &result)?];
    Ok(order.into_iter().collect())
}

/// Elements of a workgroup of the loss.
pub(super) fn loss_span(elements: u64) -> u64 {
    elements.div_ceil(PLENTY).next_multiple_of(u64::from(INVOCATIONS)).max(4 * u64::from(INVOCATIONS))
}

/// The derivative by a layer's input, for any phi: `out` becomes r̄ - h / L, with h phi's Hessian times r̄.
///
/// # Errors
/// [`Error::Shape`], [`Error::Overlap`] where `out` shares memory with another view, and those of the device, as
/// [`bind`].
pub fn chain(
    kernels: &Kernels,
    learned: &Learned,
    layer: u32,
    r_bar: &Batch,
    h: &Batch,
    out: &Batch,
) -> Result<Dispatches> {
    let limits = kernels.device().limits();
    super::layer_of("chain", learned, layer)?;
    let read = [("r̄", &r_bar.view), ("h", &h.view), ("the learned numbers", &learned.view)];
    refuse_overlap(&read, &[("the derivative by the input", &out.view)])?;
    let shape = (learned.places.components, out.vectors);
    let batch = |name: &str, batch| window(name, batch, shape, &limits);
    let (back, r_bar_at) = batch("chain: r̄", r_bar)?;
    let (curved, h_at) = batch("chain: h", h)?;
    let (to, out_at) = batch("chain: the derivative by the input", out)?;
    let theta = Window::new("chain: the learned numbers", &learned.view, &limits)?;
    let job = ChainJob {
        r_bar: r_bar_at,
        h: h_at,
        out: out_at,
        samples: u32::from(out_at.down == 1),
        rows: shape.0,
        columns: shape.1,
        theta: theta.first + layer * learned.places.length(),
    };
    let buffers = [&back, &curved, &to, &theta].map(Window::binding);
    let groups = out.view.length().div_ceil(u64::from(INVOCATIONS));
    Ok(own(kernels, Stage::Chain, &job, &buffers, groups)?.into())
}

/// The derivative by a layer's input for phi = 1/2 ||x - c||²: `out` becomes r̄ - r̄ / L.
///
/// # Errors
/// As [`chain()`].
pub fn scaled(
    kernels: &Kernels,
    learned: &Learned,
    layer: u32,
    r_bar: &Batch,
    out: &Batch,
) -> Result<Dispatches> {
    chain(kernels, learned, layer, r_bar, r_bar, out)
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
