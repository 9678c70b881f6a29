//! The fused step: W <- prox(W - rate * direction), for every penalty and base step, in one pass over memory.
//!
//! **Formula.** A [`Optimizer`] step moves the weight to a point (for plain gradient, `W - rate G`), the prox of the
//! tensor's [`Penalty`] with step size `rate` and weight `lambda` is taken there, and the result replaces W.
//!
//! **Memory.** 8 bytes per element for the prox alone, 12 with a gradient, 20 with momentum, 28 with Adam: each word
//! is read once and written once. Words are `vec4` where the offsets of W, G and the states agree modulo four
//! elements (the few elements before and after take the scalar variant), single elements otherwise. One dispatch
//! works on many tensors: each workgroup reads one [`Tile`].
//!
//! **Determinism.** Elements are independent; the same adapter gives the same bits each run, and batching tensors
//! does not change them.
//!
//! **NaN and infinities.** Found by their bits before any arithmetic. The prox alone hands them through; a step with
//! a gradient writes the quiet NaN 0x7fc00000 into the weight and its states where any input is not finite or the
//! update overflows, and where Adam's second moment is negative. Either way the element is counted in the tensor's
//! status word.
//!
//! **Accuracy.** The point carries the error that WGSL allows for its formula ([`Approx`](crate::accuracy::Approx));
//! the prox holds the backward error that its penalty states. [`StepReference::judge`] asserts both.
//!
//! **Limits.** 256 invocations per workgroup, 32 for runs of at most 32 words where a kernel has 256 of them; 5 storage buffers
//! per stage with a gradient, 6 with momentum, 7 with Adam: wgpu's default limits suffice. No optional feature. W and G may
//! share a buffer in any arrangement natively; in a browser WebGPU demands that the ranges bound for writing do not overlap, so weights and gradients must not
//! alternate within one page there.

mod bench;
mod cases;
mod dispatch;
mod optimizer;
pub(in crate::kernels) mod reference;

pub use crate::kernels::element::Element;
pub use crate::kernels::word::{VECTOR_WIDTH, WORKGROUP, Width};
#[doc(hidden)]
pub use dispatch::bind;
pub(crate) use dispatch::lay;
pub use optimizer::{Adam, Optimizer, StepParameters};
pub use reference::StepReference;

use super::operator::{Operator, Reference, Tabled};
use super::packer::{self, Slot, Tiled};
use super::program::{Host, Program, Struct, host_struct, listed};
use super::rule::{self, Rule};
use super::{Kernel, Mode};
use crate::error::{Result, unsupported};
use crate::penalty::{CONSTANTS, Described, Groups, Penalty, Prox};
use crate::wgsl::compose;

/// The register's line.
pub(super) const KERNEL: Kernel =
    Kernel { name: "step", variants: || listed(variants()), cases: cases::all, benches: bench::all };

host_struct! {
    /// A run of elements of one tensor, the work of one workgroup. WGSL's `Tile`.
    #[derive(Eq)]
    #[doc(hidden)]
    pub struct Tile {
        /// First word of the weights, from the start of the binding.
        pub w: u32,
        /// First word of the gradient.
        pub g: u32,
        /// First word of the first state.
        pub m: u32,
        /// First word of the second state.
        pub v: u32,
        /// Words in the tile.
        pub length: u32,
        /// Which [`Row`] applies.
        pub row: u32,
        /// Which status word counts its non-finite elements.
        pub tensor: u32,
        /// Padding to 32 bytes.
        pub unused: u32,
    }

    /// The values that change from step to step. WGSL's `Row`: `Optimizer` and `Constants`, eight f32 each, and `Mode`.
    #[doc(hidden)]
    pub struct StepRow {
        /// WGSL's `Base`; the names are [`Optimizer::constant_names`].
        pub base: [f32; CONSTANTS],
        /// WGSL's `Constants`; the names are the penalty's.
        pub prox: [f32; CONSTANTS],
        /// WGSL's `Mode`.
        pub mode: Mode,
    }
}

/// The prox of every element by itself: a penalty, its parameters rounded to f32 as the kernel sees them, and its weight.
#[derive(Clone, Copy, Debug, PartialEq)]
#[doc(hidden)]
pub struct Elementwise {
    penalty: Penalty,
    lambda: f64,
}

impl Elementwise {
    /// Of a penalty and its lambda, which are in their domains.
    #[must_use]
    pub fn new(penalty: Penalty, lambda: f64) -> Self {
        Elementwise { penalty: rounded(penalty.rule()), lambda }
    }

    /// The penalty, rounded.
    #[must_use]
    pub fn penalty(&self) -> Penalty {
        self.penalty
    }

    /// The same with another weight.
    #[must_use]
    pub fn with_lambda(self, lambda: f64) -> Self {
        Elementwise { lambda, ..self }
    }

    /// Its weight.
    #[must_use]
    pub fn lambda(&self) -> f64 {
        self.lambda
    }
}

/// The f32 number that the kernel sees.
pub(in crate::kernels) fn f32_of(x: f64) -> f64 {
    f64::from(x as f32)
}

/// A penalty with its shape parameters rounded to f32, as the kernel sees them.
pub(in crate::kernels) fn rounded<F>(rule: &dyn Described<F>) -> F {
    rule.with(&rule.parameters().iter().map(|p| f32_of(p.value)).collect::<Vec<_>>())
}

impl Operator for Elementwise {
    fn check(&self, base: Optimizer, _: &str) -> Result<()> {
        Variant::new(base, self.penalty, Width::Scalar).map(drop)
    }

    fn groups(&self) -> Option<&Groups> {
        None
    }

    fn set_lambdas(&mut self, own: f64, _: f64) {
        self.lambda = own;
    }

    fn allowed_ulps(&self) -> f64 {
        self.penalty.rule().backward_ulps()
    }

    fn reference(&self, base: Optimizer, lr_scale: f64, hyper: &StepParameters) -> Box<dyn Reference> {
        Box::new(StepReference::of(self, base, lr_scale, hyper))
    }
}

impl Tabled for Elementwise {
    type Row = StepRow;

    fn alike(&self, other: &Self) -> bool {
        self == other
    }

    fn row(&self, base: Optimizer, lr_scale: f64, hyper: &StepParameters) -> StepRow {
        let rate = f32_of(hyper.lr() * lr_scale);
        StepRow {
            base: base.constants(rate, hyper.step()),
            prox: Prox::new(self.penalty, rate, f32_of(self.lambda * hyper.lambda_scale())).constants(),
            mode: Mode::frozen(hyper.frozen_zeros()),
        }
    }

    fn resting() -> StepRow {
        StepRow { mode: Mode::RESTS, ..bytemuck::Zeroable::zeroed() }
    }
}

/// One kernel: what changes the code. Parameters of the penalty and of the base step are data, not code.
#[derive(Clone, Copy, Debug, PartialEq)]
#[doc(hidden)]
pub struct Variant {
    base: Optimizer,
    penalty: Penalty,
    width: Width,
    /// Of a workgroup.
    invocations: u32,
}

impl Variant {
    /// The kernel for a base step, a penalty and a word width.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] for Adam's metric with a penalty whose threshold has no closed form in the step size.
    pub fn new(base: Optimizer, penalty: Penalty, width: Width) -> Result<Self> {
        if matches!(base, Optimizer::AdamMetric(_)) && !penalty.rule().per_element_step() {
            let can = Penalty::all().into_iter().filter(|p| p.rule().per_element_step());
            return Err(unsupported(
                "step",
                format!(
                    "adam-metric with {}, whose threshold the host must solve for each step size",
                    penalty.name()
                ),
                can.map(|p| p.name()).collect::<Vec<_>>().join(", "),
            ));
        }
        Ok(Variant { base, penalty, width, invocations: WORKGROUP })
    }

    /// `base/penalty/width`, for example `gradient/tl1/vec4`.
    #[must_use]
    pub fn name(&self) -> String {
        let width = match self.width {
            Width::Scalar => "scalar",
            Width::Vec4 => "vec4",
        };
        let small = if self.invocations == WORKGROUP { "" } else { "-small" };
        format!("{}/{}/{width}{small}", self.base.kernel(), self.penalty.name())
    }

    /// The complete WGSL; its entry point is `step`.
    #[must_use]
    pub fn source(&self) -> String {
        let constants =
            if matches!(self.base, Optimizer::AdamMetric(_)) { "step/metric" } else { "step/plain" };
        let width = match self.width {
            Width::Scalar => "step/scalar",
            Width::Vec4 => "step/vec4",
        };
        compose(&[&self.penalty.rule().file(), constants, self.base.file(), width, KERNEL.name])
    }

    /// Elements per word.
    #[must_use]
    pub fn width(&self) -> Width {
        self.width
    }
}

impl Program for Variant {
    const KERNEL: &'static str = KERNEL.name;

    fn name(&self) -> String {
        Variant::name(self)
    }

    fn source(&self) -> String {
        Variant::source(self)
    }

    fn structs(&self) -> Vec<Struct> {
        vec![
            Tile::layout("Tile"),
            StepRow::layout("Row"),
            Mode::layout("Mode"),
            Struct::of_words("Base", &self.base.constant_names()),
            Struct::of_words("Constants", &self.penalty.rule().constant_names()),
        ]
    }

    fn reads(&self) -> &'static [u32] {
        &[0, 1]
    }

    fn invocations(&self) -> u32 {
        self.invocations
    }

    fn work(&self) -> &'static str {
        "A workgroup takes one tile: a run of one tensor, element by element, with one row of settings."
    }

    fn rules(&self) -> &'static [Rule] {
        rule::STEP
    }
}

impl Tiled for Variant {
    /// Base step, penalty, width, invocations.
    type Key = (&'static str, &'static str, Width, u32);
    type Tile = Tile;

    fn key(&self) -> Self::Key {
        (self.base.kernel(), self.penalty.name(), self.width, self.invocations)
    }

    fn uses(&self, binding: u32) -> bool {
        binding < 3
    }

    fn unit(&self) -> u64 {
        self.width.elements()
    }
}

impl packer::Tile for Tile {
    const NAME: &'static str = "one tile";
    /// Tiles of single elements have none.
    type Entry = u32;

    fn empty() -> Self {
        bytemuck::Zeroable::zeroed()
    }

    fn start(&mut self, slot: Slot) -> Option<&mut u32> {
        match slot {
            Slot::W => Some(&mut self.w),
            Slot::G => Some(&mut self.g),
            Slot::M => Some(&mut self.m),
            Slot::V => Some(&mut self.v),
            Slot::Extra => None,
        }
    }

    fn enter(&mut self, _: u32) {}
}

/// Every variant of the kernel.
#[must_use]
#[doc(hidden)]
pub fn variants() -> Vec<Variant> {
    let mut all: Vec<Variant> = Vec::new();
    for base in Optimizer::all() {
        for penalty in Penalty::all() {
            for width in [Width::Scalar, Width::Vec4] {
                all.extend(Variant::new(base, penalty, width).ok());
            }
        }
    }
    all
}
