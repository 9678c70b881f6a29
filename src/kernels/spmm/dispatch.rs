//! The dispatch of a product: checks, how the work is shared out, and what is bound.

use super::{Epilogue, Path, Prologue, Variant, WORKGROUP};
use crate::error::{Result, require, same, unsupported, within};
use crate::kernels::matrix::{Format, Matrix, Side};
use crate::kernels::program::{Host, Struct, host_struct};
use crate::kernels::window::{Strided, Window, refuse_overlap};
use crate::kernels::{Batch, Dispatch, Dispatches, LearnedParameters, Order, PipelineCache};
use crate::regulariser::HEAD;

/// One product.
#[derive(Clone, Debug)]
pub struct SpmmJob {
    /// The matrix.
    pub matrix: Matrix,
    /// Which of its layers.
    pub layer: u32,
    /// Whether its transpose is meant.
    pub transposed: bool,
    /// What it is multiplied with.
    pub prologue: Prologue,
    /// What becomes of the sums.
    pub epilogue: Epilogue,
    /// L, xi, q and b; needed unless prologue and epilogue are plain, without a scale.
    pub learned: Option<LearnedParameters>,
    /// Which layer of the learned numbers.
    pub learned_layer: u32,
    /// The layer of the learned numbers whose 1 - 1/L multiplies a plain prologue.
    pub scale_by: Option<u32>,
    /// x, or u.
    pub first: Batch,
    /// c, g, or w̄; none for a plain prologue, but h for an epilogue with zeros that stay.
    pub second: Option<Batch>,
    /// The result. It shares memory with nothing.
    pub output: Batch,
}

host_struct! {
    /// `struct SpmmJob` of `shaders/spmm/job.wgsl`.
    #[derive(Default)]
    struct Words {
        side: Side,
        vectors: u32,
        share: Share,
        x: Strided,
        other: Strided,
        y: Strided,
        theta: u32,
        q: u32,
        b: u32,
        scale_at: u32,
    }

    /// How the work is shared out.
    #[derive(Default)]
    struct Share {
        beside: u32,
        lanes: u32,
        rows_at_once: u32,
        lane_step: u32,
        row_step: u32,
        blocks: u32,
        groups: u32,
    }
}

/// The structs of a product's kernel.
pub(super) fn structs() -> Vec<Struct> {
    let job = Words::layout("Job").with("share", Share::layout("Share"));
    vec![job, Side::layout("Side"), Strided::layout("Strided")]
}

/// No number.
const NONE: u32 = u32::MAX;

/// Tiles are worth it from this number of rows and vectors on: below, half of each would be empty.
pub(super) const TILED: u32 = 33;

/// The edge of a tile.
const EDGE: u32 = 64;

/// Invocations that keep large devices busy.
const BUSY: u64 = 1 << 16;

/// Checks, compiles what is missing, and binds: one dispatch, or none for a batch without vectors.
///
/// # Errors
/// [`crate::Error::Shape`] where batches, matrix and learned numbers do not fit together; [`crate::Error::Domain`] for a layer that
/// does not exist; [`crate::Error::Unsupported`] where a prologue lacks its second batch, or learned numbers are needed and
/// missing; [`crate::Error::Overlap`] where the output shares memory with another view; [`crate::Error::Limit`],
/// [`crate::Error::OutOfMemory`] and [`crate::Error::Gpu`] for what the device cannot give.
pub fn bind(kernels: &PipelineCache, job: &SpmmJob) -> Result<Dispatches> {
    job.check()?;
    if job.output.vectors == 0 {
        return Ok(Dispatches::default());
    }
    let limits = kernels.device().limits();
    let side = job.matrix.side(job.layer, job.transposed);
    let path = job.path(&side);
    let share = match path {
        Path::Tiles => {
            let blocks = job.output.vectors.div_ceil(EDGE);
            Share { blocks, groups: blocks * side.rows.div_ceil(EDGE), ..Share::default() }
        }
        Path::Rows { format, .. } => {
            let entries = job.matrix.pattern().nonzeros();
            Share::rows(format, &side, entries, job.output.vectors, job.first.order)?
        }
    };
    let second = job.second.as_ref().unwrap_or(&job.first);
    let window = |batch: &Batch| Window::new(PLACE, &batch.view, &limits);
    let [x, other, y] = [window(&job.first)?, window(second)?, window(&job.output)?];
    let mut words = Words {
        side,
        vectors: job.output.vectors,
        share,
        x: x.strided(&job.first),
        other: other.strided(second),
        y: y.strided(&job.output),
        scale_at: NONE,
        ..Words::default()
    };
    let numbers = job.numbers(&mut words, &limits)?;
    // what no kernel reads must be bound all the same
    let theta = numbers.as_ref().unwrap_or(&x);
    let mut buffers = vec![
        (1, job.matrix.structure.as_entire_buffer_binding()),
        (2, job.matrix.values.as_entire_buffer_binding()),
        (3, theta.binding()),
        (4, x.binding()),
        (6, y.binding()),
    ];
    buffers.extend(job.second.iter().map(|_| (5, other.binding())));
    let variant = Variant::Product { path, prologue: job.prologue, epilogue: job.epilogue };
    let words = bytemuck::bytes_of(&words);
    Ok(Dispatch::of_groups(kernels, &variant, words, &buffers, u64::from(share.groups))?.into())
}

/// Where things are amiss.
const PLACE: &str = "spmm";

impl SpmmJob {
    /// `matrix`, or its transpose, times `first`, and nothing else.
    #[must_use]
    pub fn plain(matrix: Matrix, transposed: bool, first: Batch, output: Batch) -> Self {
        SpmmJob {
            matrix,
            layer: 0,
            transposed,
            prologue: Prologue::Plain,
            epilogue: Epilogue::Plain,
            learned: None,
            learned_layer: 0,
            scale_by: None,
            first,
            second: None,
            output,
        }
    }

    fn check(&self) -> Result<()> {
        let layer = |name: &str, layer: u32, layers: u32| {
            require(layer < layers, PLACE, name, layer, format_args!("[0, {layers})"))
        };
        layer("layer", self.layer, self.matrix.layers())?;
        let (inner, outer) = self.lengths();
        let plain = self.prologue == Prologue::Plain;
        let second = match (plain, self.epilogue) {
            (true, Epilogue::Held) => Some(outer),
            (true, _) => None,
            (false, Epilogue::Held) => {
                return Err(unsupported(PLACE, "zeros that stay", "with the prologue plain"));
            }
            (false, _) => Some(inner),
        };
        if second.is_some() != self.second.is_some() {
            let who = match self.epilogue {
                Epilogue::Held => "epilogue held".into(),
                _ => format!("prologue {}", self.prologue.name()),
            };
            let with = if self.second.is_some() { "with" } else { "without" };
            let allowed = "none for plain, one for near, given and pulled, and for the epilogue held";
            return Err(unsupported(PLACE, format!("the {who} {with} a second batch"), allowed));
        }
        let batches = [
            ("the batch", Some(&self.first), inner),
            ("the output", Some(&self.output), outer),
            ("the second batch", self.second.as_ref(), second.unwrap_or(0)),
        ];
        for (name, batch, components) in batches {
            let Some(batch) = batch else { continue };
            same(PLACE, format_args!("components of {name}"), batch.components, components)?;
            same(PLACE, format_args!("vectors of {name}"), batch.vectors, self.output.vectors)?;
        }
        if !plain && self.scale_by.is_some() {
            return Err(unsupported(PLACE, "a scale", "with the prologue plain"));
        }
        if let Some(learned) = &self.learned {
            layer("layer of the learned numbers", self.learned_layer, learned.layers)?;
            self.scale_by.map_or(Ok(()), |by| layer("layer of the scale", by, learned.layers))?;
            let (pulled, activated) = (self.prologue == Prologue::Pulled, self.epilogue != Epilogue::Plain);
            for (_, expected) in [(pulled, inner), (activated, outer)].into_iter().filter(|(uses, _)| *uses) {
                same(PLACE, "components of the learned numbers", learned.places.components, expected)?;
            }
        } else if !plain || self.epilogue != Epilogue::Plain || self.scale_by.is_some() {
            let allowed = "plain prologue and epilogue, without a scale";
            return Err(unsupported(PLACE, "no learned numbers", allowed));
        }
        let mut read = vec![("the batch", &self.first.view)];
        read.extend(self.second.iter().map(|batch| ("the second batch", &batch.view)));
        read.extend(self.learned.iter().map(|learned| ("the learned numbers", &learned.view)));
        refuse_overlap(&read, &[("the product", &self.output.view)])
    }

    /// Components that go in, and that come out.
    fn lengths(&self) -> (u32, u32) {
        let side = self.matrix.side(0, self.transposed);
        (side.columns, side.rows)
    }

    fn path(&self, side: &Side) -> Path {
        match self.matrix.format() {
            Format::Dense if side.rows.min(self.output.vectors) >= TILED => Path::Tiles,
            format => Path::Rows { format, single: self.output.vectors == 1 },
        }
    }

    /// The learned numbers that are read, and where they lie among what is bound.
    fn numbers(&self, words: &mut Words, limits: &wgpu::Limits) -> Result<Option<Window>> {
        let Some(learned) = &self.learned else { return Ok(None) };
        let stride = u64::from(learned.places.length());
        let used = HEAD + 2 * learned.places.components;
        let scale = self.scale_by.unwrap_or(self.learned_layer);
        let first = u64::from(scale.min(self.learned_layer)) * stride;
        let end = u64::from(scale.max(self.learned_layer)) * stride + u64::from(used);
        let offset = learned.view.offset() + 4 * first;
        let part = learned.view.part(offset, end - first);
        let window = Window::new("learned numbers of a product", &part, limits)?;
        let at = |layer: u32| window.first + (u64::from(layer) * stride - first) as u32;
        let [theta, scale] = [self.learned_layer, scale].map(at);
        words.theta = theta;
        words.q = words.theta + learned.places.q().start as u32;
        words.b = words.theta + learned.places.b().start as u32;
        words.scale_at = self.scale_by.map_or(NONE, |_| scale);
        Ok(Some(window))
    }
}

impl Share {
    /// Row by row. A workgroup takes `beside` columns of invocations, of four vectors each unless there is one
    /// vector, as many rows as `rows_at_once`, and `lanes` invocations per row: enough that neighbours read
    /// neighbours and that the device is busy, and no more, since lanes wait for each other.
    fn rows(format: Format, side: &Side, entries: u32, vectors: u32, order: Order) -> Result<Self> {
        let quads = if vectors == 1 { 1 } else { vectors.div_ceil(4) };
        let beside = match order {
            Order::BatchMajor if vectors > 1 => 1,
            _ if quads <= 16 => quads.next_power_of_two(),
            // of those that neighbouring loads are long enough for, the one with the fewest idle invocations
            _ => [64, 32, 16].into_iter().min_by_key(|b| quads.next_multiple_of(*b)).unwrap_or(64),
        };
        let blocks = quads.div_ceil(beside);
        // neighbours in a dense transpose are rows
        let rows_first = format == Format::Dense && side.across != 1;
        let steps = match format {
            Format::Csr => entries / side.rows,
            Format::Bitmap => side.columns.div_ceil(128),
            Format::Dense => side.columns,
        };
        let alone = u64::from(side.rows) * u64::from(blocks) * u64::from(beside);
        let busy = BUSY.div_ceil(alone) as u32;
        let (wanted, most) = if rows_first {
            (busy, (32 / beside).max(1))
        } else {
            (busy.max(32 / beside), WORKGROUP / beside)
        };
        // two steps for each at least
        let useful = 1 << (steps / 2).max(1).ilog2();
        let lanes = wanted.next_power_of_two().min(most).min(useful);
        let rows_at_once = WORKGROUP / (beside * lanes);
        let groups = u64::from(blocks) * u64::from(side.rows.div_ceil(rows_at_once));
        within(PLACE, "workgroups", groups, u64::from(u32::MAX))?;
        let (lane_step, row_step) =
            if rows_first { (beside * rows_at_once, beside) } else { (beside, beside * lanes) };
        Ok(Share { beside, lanes, rows_at_once, lane_step, row_step, blocks, groups: groups as u32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every invocation has one place, every place one invocation.
    #[test]
    fn the_work_is_shared_out_completely() {
        for (rows, columns, entries, vectors) in [
            (1, 1, 1, 1),
            (64, 64, 1000, 1),
            (1000, 1000, 50_000, 3),
            (1000, 10, 0, 300),
            (7, 4000, 28_000, 5000),
        ] {
            for format in Format::ALL {
                for (transposed, order) in
                    [(false, Order::FeatureMajor), (true, Order::BatchMajor), (true, Order::FeatureMajor)]
                {
                    let (down, across) =
                        if transposed && format == Format::Dense { (1, rows) } else { (columns, 1) };
                    let side = Side { rows, columns, down, across, ..Side::default() };
                    let s = Share::rows(format, &side, entries, vectors, order).unwrap();
                    assert_eq!(s.beside * s.lanes * s.rows_at_once, WORKGROUP, "{s:?}");
                    let places: std::collections::HashSet<_> = (0..WORKGROUP)
                        .map(|i| (i % s.beside, i / s.lane_step % s.lanes, i / s.row_step % s.rows_at_once))
                        .collect();
                    assert_eq!(places.len() as u32, WORKGROUP, "{s:?}");
                    assert!(s.groups / s.blocks * s.rows_at_once >= rows, "{s:?}");
                }
            }
        }
    }
}
