//! Derivatives that are sums over a whole batch: by q, b, the activation and L of a layer; the loss; and the
//! derivative by a layer's input, which is elementwise.
//!
//! **Formula.** With g = x - c or given, v = q_i u and the sums over columns, for the five scalars over rows too:
//!
//! ```text
//! q̄_i = sum xi'(v) w̄ u,   b̄_i = -sum w̄,   L̄ = sum r̄ g / L²
//! eta̅1, eta̅2, delta̅1, delta̅2 = sum w̄ * (the activation's partials at v, from the right at every knee)
//! loss = scale/2 ||x_N - target||² + scale lambda ||x_N||_1,
//!        its derivative scale (x_N - target + lambda sign(x_N)), with sign(0) = 0   (Loss)
//! x̄ = r̄ - h / L, with h phi's Hessian times r̄; r̄ itself for 1/2 ||x - c||²       (Chain, Scaled)
//! ```
//!
//! **Memory.** Read once: five numbers per element for the sums, two for the loss and the chain, which write one.
//! Scratch: two numbers per row and split of the columns, five per workgroup.
//!
//! **Dispatches.** Two for the sums: a workgroup has some rows and a split of the columns; the parts are then put
//! together. Two for the loss, one for the chain.
//!
//! **Determinism.** Sums follow a fixed tree that depends on the shapes alone: the same bits each run.
//!
//! **NaN and infinities.** Where w̄, v, a knee or a slope is not finite, so is none of the sums that it is in, dead
//! zone or not; the same for L. Everything else is carried on by arithmetic. An output that is not finite makes its
//! derivative and the loss not finite, with lambda or without.
//!
//! **Accuracy.** Sums of D terms, D being the longest chain of additions, are within D + 6 roundings of the sum of
//! magnitudes, next to what v's rounding makes of the terms; a v within its rounding of a knee may count on either
//! side of it.
//!
//! **Limits.** 256 invocations, 8 KiB of workgroup memory, 8 storage buffers. Each view lies within a binding.

mod bench;
mod cases;
mod dispatch;
mod reference;

pub(super) use bench::load;
pub(super) use cases::{Numbers, Subject, demand, start, subject, subjects, unchanged};
pub(super) use dispatch::{Fold, fold, launch};
pub use dispatch::{bind, chain, loss, scaled, sparse_loss};
pub(super) use reference::{Layer, Near, Sum};

use super::window::{Strided, Window, refuse_overlap};
use super::{Batch, Data, Learned, Room};
use crate::error::{Error, Result, shape};
use crate::gpu::View;
use crate::regulariser::Places;
use crate::wgsl::compose;

/// The register's line.
pub(super) const ROOM: Room = Room {
    name: "sums",
    variants: || Stage::ALL.iter().map(|stage| (stage.name().to_owned(), stage.source())).collect(),
    cases: cases::all,
    benches: bench::all,
};

/// Invocations of a workgroup.
const INVOCATIONS: u32 = 256;

/// What a layer's backward pass has left: what the derivatives by its parameters are computed from.
#[derive(Clone, Debug, PartialEq)]
pub struct Passed {
    /// The learned numbers.
    pub learned: Learned,
    /// The layer.
    pub layer: u32,
    /// The layer's input x.
    pub x: Batch,
    /// phi's gradient there.
    pub data: Data,
    /// ȳ, the derivative by the output, or what is to be scaled to give it.
    pub bar: Batch,
    /// The layer whose 1 - 1/L multiplies `bar` to give ȳ: the next one, for phi = 1/2 ||x - c||² and `bar` that
    /// layer's r̄. ȳ = bar for `None`.
    pub scale_by: Option<u32>,
    /// u = Â r.
    pub u: Batch,
    /// w̄ = Â ȳ.
    pub w: Batch,
    /// r̄ = Âᵀ ū.
    pub r_bar: Batch,
}

/// Where derivatives go: to the places of the numbers by which they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Into {
    /// The gradient.
    pub gradient: Learned,
    /// The layer of the gradient.
    pub layer: u32,
    /// Whether the derivatives are added to what is there, as for layers that share parameters, or replace it.
    pub add: bool,
}

/// Layer `layer` of learned numbers, or of a gradient.
pub(super) fn layer_of(place: &str, of: &Learned, layer: u32) -> Result<View> {
    if layer >= of.layers {
        return Err(shape(place, "layer", layer, format_args!("one of {}", of.layers)));
    }
    let length = u64::from(of.places.length());
    let offset = of.view.offset() + 4 * length * u64::from(layer);
    Ok(View { buffer: of.view.buffer().clone(), offset, length })
}

/// A batch's window, whose shape must be `components` x `vectors`, with at least one vector.
pub(super) fn window(
    place: &str,
    batch: &Batch,
    (components, vectors): (u32, u32),
    limits: &wgpu::Limits,
) -> Result<(Window, Strided)> {
    if (batch.components, batch.vectors) != (components, vectors) || vectors == 0 {
        return Err(Error::Shape {
            place: place.into(),
            name: "shape".into(),
            got: format!("{} components of {} vectors", batch.components, batch.vectors),
            expected: format!("{components} components of {} vectors", vectors.max(1)),
        });
    }
    let window = Window::new(place, &batch.view, limits)?;
    let strided = window.strided(batch);
    Ok((window, strided))
}

impl Passed {
    /// n and m.
    pub(super) fn shape(&self) -> (u32, u32) {
        (self.learned.places.components, self.x.vectors)
    }

    /// Checks what bindings do not, and returns the layer's gradient: layers, places, and that nothing that is read is
    /// written.
    pub(super) fn check(&self, place: &str, into: &Into) -> Result<View> {
        layer_of(place, &self.learned, self.layer)?;
        let gradient = layer_of(place, &into.gradient, into.layer)?;
        let (own, other) = (self.learned.places, into.gradient.places);
        if own != other {
            return Err(shape(place, "gradient", format_args!("{other:?}"), format_args!("{own:?}")));
        }
        let layers = self.learned.layers;
        if let Some(layer) = self.scale_by.filter(|&layer| layer >= layers) {
            return Err(shape(place, "layer of the scale", layer, format_args!("one of {layers}")));
        }
        let read = [
            ("x", &self.x.view),
            ("the data", &self.data.batch().view),
            ("ȳ", &self.bar.view),
            ("u", &self.u.view),
            ("w̄", &self.w.view),
            ("r̄", &self.r_bar.view),
            ("the learned numbers", &self.learned.view),
        ];
        refuse_overlap(&read, &[("the gradient", &gradient)])?;
        Ok(gradient)
    }

    /// The element of the layer's first learned number in the binding of them all.
    pub(super) fn theta(&self, learned: &Window) -> u32 {
        learned.first + self.layer * self.learned.places.length()
    }

    /// The element of the L of the scale there.
    pub(super) fn scale_at(&self, learned: &Window) -> Option<u32> {
        self.scale_by.map(|layer| learned.first + layer * self.learned.places.length() + Places::L as u32)
    }

    /// Whether the data is phi's gradient.
    pub(super) fn given(&self) -> u32 {
        u32::from(matches!(self.data, Data::Given(_)))
    }
}

/// What a kernel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The sums over some rows and columns.
    Rows,
    /// The parts put together.
    Fold,
    /// The loss and its derivative.
    Loss,
    /// The derivative by a layer's input.
    Chain,
}

impl Stage {
    const ALL: [Stage; 4] = [Stage::Rows, Stage::Fold, Stage::Loss, Stage::Chain];

    fn name(self) -> &'static str {
        match self {
            Stage::Rows => "rows",
            Stage::Fold => "fold",
            Stage::Loss => "loss",
            Stage::Chain => "chain",
        }
    }

    fn source(self) -> String {
        compose(&[match self {
            Stage::Rows => "sums",
            Stage::Fold => "sums/fold",
            Stage::Loss => "sums/loss",
            Stage::Chain => "sums/chain",
        }])
    }
}

#[cfg(test)]
mod tests {
    use super::dispatch::{ChainJob, Fold, LossJob, RowsJob};
    use std::sync::Arc;

    use super::*;
    use crate::gpu;
    use crate::kernels::{Kernels, Order, sampled, wgsl};
    use crate::matrix::Pattern;

    #[test]
    fn every_variant_is_valid_and_its_job_is_the_hosts() {
        for stage in Stage::ALL {
            let module = wgsl::module(stage.name(), &stage.source(), ROOM.name);
            let (members, span) = wgsl::members(&module, "Job").unwrap();
            let (strided, words, size): (&[&str], &[&str], usize) = match stage {
                Stage::Rows => (
                    &["x", "data", "u", "w", "r_bar"],
                    &["theta", "given", "rows", "columns", "lanes", "blocks", "groups", "span"],
                    size_of::<RowsJob>(),
                ),
                Stage::Fold => (
                    &[],
                    &[
                        "out",
                        "numbers_at",
                        "zeros_at",
                        "add",
                        "numbers",
                        "splits",
                        "apart",
                        "totals",
                        "parts",
                        "parts_at",
                        "zeros",
                    ],
                    size_of::<Fold>(),
                ),
                Stage::Loss => (
                    &["output", "aim", "bar"],
                    &["samples", "rows", "columns", "span", "scale", "lambda"],
                    size_of::<LossJob>(),
                ),
                Stage::Chain => {
                    (&["r_bar", "h", "out"], &["samples", "rows", "columns", "theta"], size_of::<ChainJob>())
                }
            };
            let mut expected = wgsl::spaced(strided, 12);
            let after = 12 * strided.len() as u32;
            expected.extend(wgsl::spaced(words, 4).into_iter().map(|(name, at)| (name, after + at)));
            assert_eq!((members, span as usize), (expected, size), "{stage:?}");
        }
    }

    /// Requests that do not fit are refused before anything is recorded, by both rooms alike.
    #[test]
    fn bad_requests_name_what_does_not_fit() {
        let (device, _) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        let kernels = Kernels::new(&device);
        let usage = wgpu::BufferUsages::STORAGE;
        let buffer = gpu::buffer(&device, "page", 4096, usage, false).unwrap();
        let view = |at: u64, length: u64| View::new("view", &buffer, 4 * at, length).unwrap();
        let batch = |at: u64, m: u32| {
            Batch::new("batch", view(at, 3 * u64::from(m)), 3, m, Order::Components).unwrap()
        };
        let places = Places { components: 3, nonzeros: 9 };
        let passed = Passed {
            learned: Learned::new("learned", view(100, 48), places, 2).unwrap(),
            layer: 1,
            x: batch(1, 4),
            data: Data::Near(batch(13, 4)),
            bar: batch(25, 4),
            scale_by: Some(1),
            u: batch(37, 4),
            w: batch(49, 4),
            r_bar: batch(61, 4),
        };
        let gradient = |at: u64| Learned::new("gradient", view(at, 24), places, 1).unwrap();
        let into = Into { gradient: gradient(200), layer: 0, add: false };
        let pattern = Arc::new(Pattern::full(3, 3).unwrap());
        assert_eq!(bind(&kernels, &passed, &into).unwrap().count(), 2);
        assert_eq!(sampled::bind(&kernels, &pattern, &passed, &into).unwrap().count(), 1);
        let refused = |passed: &Passed, into: &Into, expected: &str| {
            let one = bind(&kernels, passed, into).unwrap_err().to_string();
            let other = sampled::bind(&kernels, &pattern, passed, into).unwrap_err().to_string();
            assert!(one.contains(expected) && other.contains(expected), "{one}; {other}");
        };
        refused(&passed, &Into { gradient: gradient(50), ..into.clone() }, "the gradient and w̄ overlap");
        refused(&passed, &Into { gradient: gradient(130), ..into.clone() }, "the learned numbers overlap");
        refused(&passed, &Into { layer: 1, ..into.clone() }, "layer is 1, expected one of 1");
        refused(&Passed { layer: 2, ..passed.clone() }, &into, "layer is 2, expected one of 2");
        refused(&Passed { scale_by: Some(2), ..passed.clone() }, &into, "scale is 2, expected one of 2");
        refused(
            &Passed { u: batch(37, 3), ..passed.clone() },
            &into,
            "u: shape is 3 components of 3 vectors",
        );
        let other = Places { components: 3, nonzeros: 8 };
        let other = Learned::new("gradient", view(200, 24), other, 1).unwrap();
        refused(&passed, &Into { gradient: other, ..into.clone() }, "gradient is Places");
        let diagonal = Arc::new(Pattern::diagonal(3).unwrap());
        let said = sampled::bind(&kernels, &diagonal, &passed, &into).unwrap_err().to_string();
        assert!(said.contains("pattern is 3 x 3 with 3 entries, expected 3 x 3 with 9 entries"), "{said}");

        let (x, aim, bar) = (batch(1, 4), batch(13, 4), batch(25, 4));
        let loss = |bar: &Batch, at: u64, length: u64| loss(&kernels, &x, &aim, 1.0, bar, &view(at, length));
        assert_eq!(loss(&bar, 90, 1).unwrap().count(), 2);
        assert!(loss(&bar, 90, 2).unwrap_err().to_string().contains("length is 2, expected 1"));
        assert!(loss(&bar, 26, 1).unwrap_err().to_string().contains("and the loss overlap"));
        assert!(loss(&x, 90, 1).unwrap_err().to_string().contains("and the output overlap"));
        assert!(loss(&bar, 1, 1).unwrap_err().to_string().contains("the loss and the output overlap"));
        let said = scaled(&kernels, &passed.learned, 1, &x, &batch(12, 4)).unwrap_err().to_string();
        assert!(said.contains("the derivative by the input and r̄ overlap"), "{said}");
        assert_eq!(chain(&kernels, &passed.learned, 1, &x, &aim, &bar).unwrap().count(), 1);
    }
}
