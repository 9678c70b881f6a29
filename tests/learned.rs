//! LearnedParameters layers asked for what cannot be: a typed error that names value, place and what is allowed, before any work on the
//! GPU; nothing is written. And the same on a device that has gone away.

mod support;

use std::sync::Arc;

use maf_srl::Error;
use maf_srl::gpu::{Context, View};
use maf_srl::kernels::learn::{self, Method, Rates, UpdateParameters};
use maf_srl::kernels::spmm::{self, Epilogue, Prologue};
use maf_srl::kernels::{
    Batch, Data, Format, LearnedParameters, Matrix, Order, PipelineCache, backward, chain, dsrl, layer, loss,
    sddmm, sums,
};
use maf_srl::matrix::Pattern;
use maf_srl::network::{self, DataTerm, Options, Start, Trainer, Workspace};
use maf_srl::penalty::Activation;
use maf_srl::regulariser::Floors;
use maf_srl::regulariser::ParameterLayout;
use maf_srl::regulariser::Parameters;
use support::TestAdapter;
use support::work::{blank, download, submit, upload, within};

/// Demands that a result is an error of this kind whose text holds these parts.
macro_rules! refused {
    ($result:expr, $kind:ident, $($part:expr),+) => {{
        let Err(error) = $result else { panic!("not refused: {}", stringify!($result)) };
        let text = error.to_string();
        assert!(matches!(error, Error::$kind { .. }), "{}: {error:?}", stringify!($result));
        $(assert!(says(&text, $part), "{}: {text:?} lacks {:?}", stringify!($result), $part);)+
    }};
}

/// Whether an error's text has a part; "a and b overlap" in either order.
fn says(text: &str, part: &str) -> bool {
    let pair = part.strip_suffix(" overlap").and_then(|pair| pair.split_once(" and "));
    text.contains(part) || pair.is_some_and(|(a, b)| text.contains(&format!("{b} and {a} overlap")))
}

/// Seconds after which a test says that something hangs.
const PATIENCE: u64 = 20;

const KIB: u64 = 1024;

/// Words of the page.
const WORDS: u32 = 1 << 16;

/// A device with one buffer that all views lie in.
struct Page {
    device: wgpu::Device,
    queue: wgpu::Queue,
    kernels: PipelineCache,
    buffer: wgpu::Buffer,
    words: Vec<u32>,
}

impl Page {
    fn new(one: &TestAdapter, limits: wgpu::Limits) -> Self {
        let (device, queue) =
            one.device_with(&wgpu::DeviceDescriptor { required_limits: limits, ..Default::default() });
        // what reaches the owner's handler has been handed to the GPU
        device.on_uncaptured_error(Arc::new(|error| panic!("reached the owner's handler: {error}")));
        let words: Vec<u32> = (0..WORDS).map(|k| 0x3f00_0000 + k).collect();
        let buffer = upload(&device, &words);
        Page { kernels: PipelineCache::new(&device), device, queue, buffer, words }
    }

    fn view(&self, at: u64, length: u64) -> View {
        View::new("page", &self.buffer, 4 * at, length).expect("within the page")
    }

    fn batch(&self, at: u64, components: u32, vectors: u32) -> Batch {
        let view = self.view(at, u64::from(components) * u64::from(vectors));
        Batch::new("batch", view, components, vectors, Order::FeatureMajor).expect("a batch")
    }

    fn learned(&self, at: u64, places: ParameterLayout, layers: u32) -> LearnedParameters {
        let view = self.view(at, u64::from(places.length()) * u64::from(layers));
        LearnedParameters::new("learned", view, places, layers).expect("learned numbers")
    }

    fn matrix(&self, pattern: Pattern, format: Format, layers: u32) -> Matrix {
        Matrix::new(&self.kernels, Arc::new(pattern), format, layers).expect("a matrix")
    }

    fn untouched(&self) {
        assert_eq!(download(&self.device, &self.queue, &self.buffer), self.words, "the buffer was written");
    }
}

fn page() -> Page {
    Page::new(&support::adapter("lavapipe"), wgpu::Limits::default())
}

/// A device whose bindings hold less than the page.
fn small() -> Page {
    let limits = wgpu::Limits { max_storage_buffer_binding_size: 64 * KIB, ..wgpu::Limits::default() };
    Page::new(&support::adapter("lavapipe"), limits)
}

fn full(rows: u32, columns: u32) -> Pattern {
    Pattern::full(rows, columns).expect("a pattern")
}

fn diagonal(n: u32) -> Pattern {
    Pattern::diagonal(n).expect("a pattern")
}

/// ParameterLayout of a layer of three components with all entries: 8 + 2 * 3 + 9 numbers, padded to 24.
const THREE: ParameterLayout = ParameterLayout { components: 3, nonzeros: 9 };

#[test]
fn lengths_and_sizes() {
    let page = page();
    let batch = |length, n, m| Batch::new("noisy", page.view(0, length), n, m, Order::BatchMajor);
    refused!(batch(11, 3, 4), Shape, "noisy: length is 11", "3 components times 4 vectors = 12");
    refused!(batch(1, u32::MAX, u32::MAX), Shape, "= 18446744065119617025");
    let learned = |length, layers| LearnedParameters::new("theta", page.view(0, length), THREE, layers);
    refused!(learned(47, 2), Shape, "theta: length is 47", "2 layers of 24 numbers = 48");
    refused!(learned(24, 0), Shape, "expected 0 layers of 24 numbers = 0");
    page.untouched();

    // each of the three things that a matrix may have too much of: places, entries, structure; and layers
    let page = small();
    let matrix =
        |pattern: Pattern, format, layers| Matrix::new(&page.kernels, Arc::new(pattern), format, layers);
    let one_entry = Pattern::new(2000, 2000, [(7, 7)]).expect("a pattern");
    for (pattern, format, layers, place, needed) in [
        (full(200, 200), Format::Dense, 1, "dense matrix of 200 x 200", "160000"),
        (full(100, 100), Format::Csr, 1, "csr matrix of 100 x 100", "80000"),
        (full(100, 100), Format::Bitmap, 1, "bitmap matrix of 100 x 100", "80000"),
        (diagonal(100), Format::Csr, 100, "csr matrix of 100 x 100", "80000"),
        (one_entry, Format::Bitmap, 1, "structure of a bitmap matrix", "1280000"),
    ] {
        let made = matrix(pattern, format, layers);
        refused!(made, Limit, place, needed, "max_storage_buffer_binding_size", "the device allows 65536");
    }
    assert!(matrix(full(90, 90), Format::Csr, 1).is_ok(), "64800 bytes fit");
}

#[test]
fn products() {
    let page = page();
    // 3 x 4, two layers; the learned numbers have three components
    let matrix = page.matrix(full(3, 4), Format::Csr, 2);
    let places = ParameterLayout { components: 3, nonzeros: 12 };
    let job = spmm::SpmmJob {
        layer: 1,
        learned: Some(page.learned(1000, places, 2)),
        learned_layer: 1,
        scale_by: Some(0),
        ..spmm::SpmmJob::plain(matrix.clone(), false, page.batch(0, 4, 5), page.batch(200, 3, 5))
    };
    let bind = |job: &spmm::SpmmJob| spmm::bind(&page.kernels, job);
    assert_eq!(bind(&job).expect("it fits").len(), 1);
    let near = spmm::SpmmJob {
        prologue: Prologue::Near,
        scale_by: None,
        second: Some(page.batch(100, 4, 5)),
        ..job.clone()
    };
    assert_eq!(bind(&near).expect("it fits").len(), 1);

    refused!(bind(&spmm::SpmmJob { layer: 2, ..job.clone() }), Domain, "spmm: layer = 2 is outside [0, 2)");
    let turned = spmm::SpmmJob { transposed: true, ..job.clone() };
    refused!(bind(&turned), Shape, "components of the batch is 4, expected 3");
    let wrong = spmm::SpmmJob { output: page.batch(200, 4, 5), ..job.clone() };
    refused!(bind(&wrong), Shape, "components of the output is 4, expected 3");
    let wrong = spmm::SpmmJob { first: page.batch(0, 4, 6), ..job.clone() };
    refused!(bind(&wrong), Shape, "vectors of the batch is 6, expected 5");
    let wrong = spmm::SpmmJob { second: Some(page.batch(100, 4, 4)), ..near.clone() };
    refused!(bind(&wrong), Shape, "vectors of the second batch is 4, expected 5");

    for prologue in [Prologue::Near, Prologue::Given, Prologue::Pulled] {
        let wrong = spmm::SpmmJob { prologue, second: None, ..near.clone() };
        refused!(bind(&wrong), Unsupported, "without a second batch", "one for near, given and pulled");
    }
    let wrong = spmm::SpmmJob { prologue: Prologue::Plain, ..near.clone() };
    refused!(bind(&wrong), Unsupported, "the prologue plain with a second batch", "none for plain");
    let wrong = spmm::SpmmJob { scale_by: Some(0), ..near.clone() };
    refused!(bind(&wrong), Unsupported, "spmm: a scale", "with the prologue plain");

    let without = spmm::SpmmJob { learned: None, scale_by: None, ..job.clone() };
    assert!(bind(&without).is_ok(), "plain throughout");
    for wrong in [
        spmm::SpmmJob { scale_by: Some(0), ..without.clone() },
        spmm::SpmmJob { epilogue: Epilogue::Activated, ..without.clone() },
        spmm::SpmmJob { learned: None, ..near.clone() },
    ] {
        refused!(
            bind(&wrong),
            Unsupported,
            "no learned numbers",
            "plain prologue and epilogue, without a scale"
        );
    }
    let wrong = spmm::SpmmJob { learned_layer: 2, ..job.clone() };
    refused!(bind(&wrong), Domain, "layer of the learned numbers = 2 is outside [0, 2)");
    let wrong = spmm::SpmmJob { scale_by: Some(7), ..job.clone() };
    refused!(bind(&wrong), Domain, "layer of the scale = 7 is outside [0, 2)");
    let four = page.learned(1000, ParameterLayout { components: 4, nonzeros: 12 }, 2);
    let wrong = spmm::SpmmJob { epilogue: Epilogue::Activated, learned: Some(four), ..job.clone() };
    refused!(bind(&wrong), Shape, "components of the learned numbers is 4, expected 3");
    let wrong = spmm::SpmmJob { prologue: Prologue::Pulled, ..near.clone() };
    refused!(bind(&wrong), Shape, "components of the learned numbers is 3, expected 4");

    // the output shares its first or its last number with another
    let wrong = spmm::SpmmJob { output: page.batch(19, 3, 5), ..job.clone() };
    refused!(bind(&wrong), Overlap, "the batch and the product overlap", "bytes 76..80");
    let wrong = spmm::SpmmJob { output: page.batch(86, 3, 5), ..near.clone() };
    refused!(bind(&wrong), Overlap, "the second batch and the product overlap", "bytes 400..404");
    let wrong = spmm::SpmmJob { output: page.batch(1055, 3, 5), ..job.clone() };
    refused!(bind(&wrong), Overlap, "the learned numbers and the product overlap", "bytes 4220..4224");

    let refresh = |places, layers| spmm::refresh(&page.kernels, &matrix, &page.learned(0, places, layers));
    refused!(refresh(places, 1), Shape, "refresh: layers of the learned numbers is 1, expected 2");
    let other = ParameterLayout { nonzeros: 11, ..places };
    refused!(refresh(other, 2), Shape, "refresh: entries of the learned numbers is 11, expected 12");
    let packed = spmm::refresh_packed(&page.kernels, &matrix, &page.view(0, 23));
    refused!(packed, Shape, "refresh: number of values is 23, expected 24");
    page.untouched();

    let page = small();
    let large = spmm::SpmmJob {
        matrix: page.matrix(full(3, 4), Format::Csr, 2),
        learned: None,
        scale_by: None,
        first: page.batch(0, 4, 5000),
        output: page.batch(20_000, 3, 5000),
        ..job
    };
    let made = spmm::bind(&page.kernels, &large);
    refused!(made, Limit, "spmm: needs max_storage_buffer_binding_size of 80", "allows 65536");
    page.untouched();
}

#[test]
fn layers() {
    let page = page();
    let matrix = page.matrix(full(3, 3), Format::Csr, 2);
    let forward = layer::Forward {
        matrix: matrix.clone(),
        learned: page.learned(1000, THREE, 2),
        layers: 2,
        x: page.batch(0, 3, 5),
        data: Data::Near(page.batch(0, 3, 5)),
        inputs: Some(page.view(300, 15)),
        output: page.batch(200, 3, 5),
    };
    let bind = |job: &layer::Forward| layer::forward(&page.kernels, job);
    bind(&forward).expect("it fits");
    // more components than fit on chip are refused before anything else is looked at
    let n = layer::LARGEST + 1;
    let wrong = layer::Forward { matrix: page.matrix(diagonal(n), Format::Csr, 1), ..forward.clone() };
    refused!(bind(&wrong), Limit, "513 components", "max_compute_workgroup_storage_size of 16416", "16384");
    let wrong = layer::Forward { matrix: page.matrix(full(3, 4), Format::Csr, 2), ..forward.clone() };
    refused!(bind(&wrong), Shape, "layers forward: columns of the matrix is 4, expected 3");
    for (places, layers, part) in [
        (ParameterLayout { components: 4, ..THREE }, 2, "components of the learned numbers is 4, expected 3"),
        (ParameterLayout { nonzeros: 8, ..THREE }, 2, "entries of the learned numbers is 8, expected 9"),
        (THREE, 1, "layers of the learned numbers is 1, expected 2"),
    ] {
        let wrong = layer::Forward { learned: page.learned(1000, places, layers), ..forward.clone() };
        refused!(bind(&wrong), Shape, part);
    }
    for layers in [0, 1, 3] {
        let wrong = layer::Forward { layers, inputs: None, ..forward.clone() };
        refused!(bind(&wrong), Shape, &format!("layers is {layers}, expected the 2 of the learned numbers"));
    }
    let wrong = layer::Forward { data: Data::Near(page.batch(0, 5, 3)), ..forward.clone() };
    refused!(bind(&wrong), Shape, "shape of data is 5 x 3, expected 3 x 5");
    let wrong = layer::Forward { output: page.batch(200, 3, 4), ..forward.clone() };
    refused!(bind(&wrong), Shape, "shape of output is 3 x 4, expected 3 x 5");
    let wrong = layer::Forward { data: Data::Given(page.batch(0, 3, 5)), ..forward.clone() };
    refused!(bind(&wrong), Unsupported, "a given gradient for 2 layers", "allowed: one layer");
    let wrong = layer::Forward { inputs: Some(page.view(300, 14)), ..forward.clone() };
    refused!(bind(&wrong), Shape, "length of inputs is 14, expected 15");
    let wrong = layer::Forward { output: page.batch(14, 3, 5), ..forward.clone() };
    refused!(bind(&wrong), Overlap, "x and output overlap", "bytes 56..60");
    let wrong = layer::Forward { inputs: Some(page.view(214, 15)), ..forward.clone() };
    refused!(bind(&wrong), Overlap, "output and inputs overlap", "bytes 856..860");
    let wrong = layer::Forward { output: page.batch(1047, 3, 5), ..forward.clone() };
    refused!(bind(&wrong), Overlap, "the learned numbers and output overlap");

    let backward = backward::SavedActivations {
        learned: page.learned(1000, THREE, 2),
        layer: 0,
        x: page.batch(0, 3, 5),
        data: Data::Given(page.batch(20, 3, 5)),
        grad_output: page.batch(40, 3, 5),
        scale_by: Some(1),
        u: page.batch(60, 3, 5),
        w: page.batch(80, 3, 5),
        grad_r: page.batch(100, 3, 5),
    };
    let bind = |passed: &backward::SavedActivations| layer::backward(&page.kernels, &matrix, passed);
    bind(&backward).expect("it fits");
    let wrong = backward::SavedActivations { layer: 2, ..backward.clone() };
    refused!(bind(&wrong), Shape, "a layer backward: layer is 2, expected less than the 2 layers");
    let wrong = backward::SavedActivations { scale_by: Some(2), ..backward.clone() };
    refused!(bind(&wrong), Shape, "a layer backward: scale_by is 2, expected less than the 2 layers");
    let wrong = backward::SavedActivations { grad_output: page.batch(40, 3, 4), ..backward.clone() };
    refused!(bind(&wrong), Shape, "shape of grad_output is 3 x 4, expected 3 x 5");
    let apart = blank(&page.device, 60);
    let apart = Batch { view: View::new("apart", &apart, 0, 15).expect("a view"), ..page.batch(0, 3, 5) };
    for (name, wrong) in [
        ("w", backward::SavedActivations { w: apart.clone(), ..backward.clone() }),
        ("grad_r", backward::SavedActivations { grad_r: apart.clone(), ..backward.clone() }),
        (
            "u",
            backward::SavedActivations {
                u: Batch { order: Order::BatchMajor, ..backward.u.clone() },
                ..backward.clone()
            },
        ),
    ] {
        let what = format!("a layer backward: {name} in another order, or another buffer than u");
        refused!(bind(&wrong), Unsupported, &what, "in one buffer, in Order::FeatureMajor");
    }
    let wrong = backward::SavedActivations { grad_r: page.batch(94, 3, 5), ..backward.clone() };
    refused!(bind(&wrong), Overlap, "w and grad_r overlap");
    let wrong = backward::SavedActivations { w: page.batch(54, 3, 5), ..backward.clone() };
    refused!(bind(&wrong), Overlap, "grad_output and w overlap");
    let wrong = backward::SavedActivations {
        u: page.batch(34, 3, 5),
        data: Data::Near(page.batch(20, 3, 5)),
        ..backward.clone()
    };
    refused!(bind(&wrong), Overlap, "data and u overlap");
    page.untouched();

    let page = small();
    let matrix = page.matrix(full(3, 3), Format::Csr, 2);
    let learned = page.learned(60_000, THREE, 2);
    let (x, output) = (page.batch(0, 3, 6000), page.batch(20_000, 3, 6000));
    let data = Data::Near(x.clone());
    let large = layer::Forward {
        matrix: matrix.clone(),
        learned: learned.clone(),
        layers: 2,
        x,
        data,
        inputs: None,
        output,
    };
    let made = layer::forward(&page.kernels, &large);
    refused!(made, Limit, "layers forward: x", "max_storage_buffer_binding_size of 72000", "allows 65536");
    // each batch fits, the three that are bound as one do not
    let batch = |k: u64| page.batch(6000 * k, 3, 2000);
    let large = backward::SavedActivations {
        learned,
        layer: 0,
        x: batch(0),
        data: Data::Near(batch(1)),
        grad_output: batch(2),
        scale_by: None,
        u: batch(3),
        w: batch(4),
        grad_r: batch(5),
    };
    let made = layer::backward(&page.kernels, &matrix, &large);
    refused!(
        made,
        Limit,
        "a layer backward: u, w and grad_r",
        "max_storage_buffer_binding_size of 72",
        "65536"
    );
    page.untouched();
}

/// What the kernels `sums` and `sampled` bind.
fn passed(page: &Page) -> (backward::SavedActivations, backward::GradientTarget) {
    let passed = backward::SavedActivations {
        learned: page.learned(1000, THREE, 2),
        layer: 1,
        x: page.batch(0, 3, 4),
        data: Data::Near(page.batch(20, 3, 4)),
        grad_output: page.batch(40, 3, 4),
        scale_by: Some(0),
        u: page.batch(60, 3, 4),
        w: page.batch(80, 3, 4),
        grad_r: page.batch(100, 3, 4),
    };
    (passed, backward::GradientTarget { gradient: page.learned(2000, THREE, 2), layer: 1, add: true })
}

#[test]
fn derivatives_by_learned_numbers() {
    let page = page();
    let (good, into) = passed(&page);
    let pattern = Arc::new(full(3, 3));
    let sums_of = |passed: &backward::SavedActivations, into: &backward::GradientTarget| {
        sums::bind(&page.kernels, passed, into)
    };
    let sampled_of =
        |passed: &backward::SavedActivations, into: &backward::GradientTarget, pattern: &Arc<Pattern>| {
            sddmm::bind(&page.kernels, pattern, passed, into)
        };
    sums_of(&good, &into).expect("it fits");
    sampled_of(&good, &into, &pattern).expect("it fits");
    macro_rules! both {
        ($passed:expr, $into:expr, $kind:ident, $($part:expr),+) => {{
            let (passed, into) = ($passed, $into);
            refused!(sums_of(&passed, &into), $kind, $($part),+);
            refused!(sampled_of(&passed, &into, &pattern), $kind, $($part),+);
        }};
    }
    both!(
        backward::SavedActivations { layer: 2, ..good.clone() },
        into.clone(),
        Shape,
        "layer is 2, expected one of 2"
    );
    both!(
        good.clone(),
        backward::GradientTarget { layer: 5, ..into.clone() },
        Shape,
        "layer is 5, expected one of 2"
    );
    let scaled = backward::SavedActivations { scale_by: Some(48), ..good.clone() };
    both!(scaled, into.clone(), Shape, "layer of the scale is 48, expected one of 2");
    let other = page.learned(2000, ParameterLayout { nonzeros: 8, ..THREE }, 2);
    both!(
        good.clone(),
        backward::GradientTarget { gradient: other, ..into.clone() },
        Shape,
        "gradient is ParameterLayout",
        "nonzeros: 9"
    );
    let wide = backward::SavedActivations { w: page.batch(80, 3, 5), ..good.clone() };
    both!(
        wide,
        into.clone(),
        Shape,
        "w̄: shape is 3 components of 5 vectors",
        "expected 3 components of 4 vectors"
    );
    let none = |at| page.batch(at, 3, 0);
    let empty = backward::SavedActivations {
        x: none(0),
        data: Data::Near(none(20)),
        grad_output: none(40),
        u: none(60),
        w: none(80),
        grad_r: none(100),
        ..good.clone()
    };
    both!(empty, into.clone(), Shape, "x: shape is 3 components of 0 vectors");
    // the gradient's second layer starts 24 numbers in
    let at = |at: u64| backward::GradientTarget { gradient: page.learned(at, THREE, 2), ..into.clone() };
    both!(good.clone(), at(87), Overlap, "the gradient and r̄ overlap", "bytes 444..448");
    both!(good.clone(), at(1000), Overlap, "the gradient and the learned numbers overlap");
    let diagonal = Arc::new(diagonal(3));
    refused!(
        sampled_of(&good, &into, &diagonal),
        Shape,
        "3 x 3 with 3 entries, expected 3 x 3 with 9 entries"
    );

    let batch = |at| page.batch(at, 3, 4);
    let loss = |target: &Batch, grad_output: &Batch, loss: &View| {
        loss::bind(&page.kernels, &batch(0), target, (0.5, 0.0), grad_output, loss)
    };
    loss(&batch(20), &batch(40), &page.view(60, 1)).expect("it fits");
    refused!(loss(&batch(20), &batch(40), &page.view(60, 2)), Shape, "loss: length is 2, expected 1");
    let wide = page.batch(20, 3, 5);
    refused!(
        loss(&wide, &batch(40), &page.view(60, 1)),
        Shape,
        "loss: the target: shape is 3 components of 5"
    );
    refused!(
        loss(&batch(20), &wide, &page.view(60, 1)),
        Overlap,
        "the loss's derivative and the target overlap"
    );
    refused!(
        loss(&batch(20), &batch(40), &page.view(51, 1)),
        Overlap,
        "the loss's derivative and the loss overlap"
    );
    refused!(loss(&batch(20), &batch(40), &page.view(31, 1)), Overlap, "the loss and the target overlap");

    let learned = page.learned(1000, THREE, 2);
    let chain =
        |layer, h: &Batch, out: &Batch| chain::bind(&page.kernels, &learned, layer, &batch(0), h, out);
    chain(1, &batch(20), &batch(40)).expect("it fits");
    refused!(chain(2, &batch(20), &batch(40)), Shape, "chain: layer is 2, expected one of 2");
    refused!(chain(1, &wide, &batch(40)), Shape, "chain: h: shape is 3 components of 5 vectors");
    refused!(chain(1, &batch(20), &batch(31)), Overlap, "the derivative by the input and h overlap");
    refused!(
        chain(1, &batch(20), &batch(1040)),
        Overlap,
        "the derivative by the input and the learned numbers"
    );
    let scaled = chain::bind(&page.kernels, &learned, 1, &batch(0), &batch(0), &batch(11));
    refused!(scaled, Overlap, "the derivative by the input and r̄ overlap", "bytes 44..48");
    page.untouched();

    let page = small();
    let (passed, into) = passed(&page);
    let batch = |k: u64| page.batch(3000 + 20_000 * k, 3, 6000);
    let large = backward::SavedActivations {
        x: batch(0),
        data: Data::Near(batch(1)),
        grad_output: batch(1),
        u: batch(0),
        w: batch(1),
        grad_r: batch(1),
        ..passed
    };
    let made = sums::bind(&page.kernels, &large, &into);
    refused!(made, Limit, "sums: x: needs max_storage_buffer_binding_size of 72", "allows 65536");
    let made = sddmm::bind(&page.kernels, &pattern, &large, &into);
    refused!(made, Limit, "sampled: x: needs max_storage_buffer_binding_size of 72", "allows 65536");
    page.untouched();
}

fn step(page: &Page) -> learn::LearnJob {
    learn::LearnJob {
        pattern: Arc::new(full(3, 3)),
        learned: page.learned(0, THREE, 2),
        gradient: page.learned(100, THREE, 2),
        moments: Some([page.learned(200, THREE, 2), page.learned(300, THREE, 2)]),
        method: Method::default(),
        rates: Rates::default(),
        decay: 0.0,
        floors: Floors::default(),
        bound: Some(2),
    }
}

#[test]
fn steps() {
    let page = page();
    let job = step(&page);
    let bind = |job: &learn::LearnJob| learn::Update::bind(&page.kernels, job);
    let mut bound = bind(&job).expect("it fits");
    let rates = Rates::default();
    for (name, rates) in [
        ("values", Rates { values: -1.0, ..rates }),
        ("q", Rates { q: f64::NAN, ..rates }),
        ("b", Rates { b: f64::INFINITY, ..rates }),
        ("activation", Rates { activation: 1e7, ..rates }),
        ("l", Rates { l: -1e-9, ..rates }),
    ] {
        let wrong = learn::LearnJob { rates, ..job.clone() };
        refused!(bind(&wrong), Domain, &format!("learn: rate of {name} = "), "is outside [0, ");
    }
    refused!(
        bind(&learn::LearnJob { decay: f64::NAN, ..job.clone() }),
        Domain,
        "learn: decay = NaN is outside [0, "
    );
    for (epsilon, l, part) in [
        (0.0, 0.6, "floor of slopes and scales = 0 is outside [1e-6, 1]"),
        (2.0, 0.6, "floor of slopes and scales = 2 is outside [1e-6, 1]"),
        (1e-3, f64::NAN, "floor of L = NaN is outside [1e-6, 1e6]"),
    ] {
        refused!(bind(&learn::LearnJob { floors: Floors { epsilon, l }, ..job.clone() }), Domain, part);
    }
    for (beta1, beta2, epsilon, part) in [
        (1.0, 0.5, 1e-8, "beta1 = 1 is outside [0, 1)"),
        (0.5, -0.1, 1e-8, "beta2 = -0.1 is outside [0, 1)"),
        (f64::NAN, 0.5, 1e-8, "beta1 = NaN is outside [0, 1)"),
        (0.5, 0.5, 0.0, "epsilon = 0 is outside [1e-12, 1]"),
    ] {
        let method = Method::Adam { beta1, beta2, epsilon };
        refused!(bind(&learn::LearnJob { method, ..job.clone() }), Domain, part);
    }
    for rounds in [0, 1001] {
        let wrong = learn::LearnJob { bound: Some(rounds), ..job.clone() };
        refused!(bind(&wrong), Domain, &format!("norm bound = {rounds} is outside [1, 1000]"));
    }
    refused!(
        bind(&learn::LearnJob { moments: None, ..job.clone() }),
        Unsupported,
        "Adam without moments",
        "two vectors"
    );
    assert!(bind(&learn::LearnJob { moments: None, method: Method::Gradient, ..job.clone() }).is_ok());

    let head = ParameterLayout { components: 0, nonzeros: 0 };
    let alone = learn::LearnJob {
        learned: page.learned(0, head, 2),
        gradient: page.learned(100, head, 2),
        moments: None,
        method: Method::Gradient,
        ..job.clone()
    };
    refused!(bind(&alone), Unsupported, "learn: a norm bound without a matrix", "no components");
    assert!(bind(&learn::LearnJob { bound: None, ..alone }).is_ok());

    for (pattern, part) in [
        (full(4, 4), "3 components, 9 entries, expected 4 components, 16 entries of the square pattern"),
        (diagonal(3), "expected 3 components, 3 entries of the square pattern"),
        (Pattern::new(3, 4, full(3, 3).entries()).expect("a pattern"), "of the square pattern"),
    ] {
        refused!(
            bind(&learn::LearnJob { pattern: Arc::new(pattern), ..job.clone() }),
            Shape,
            "learn: places is ",
            part
        );
    }
    let wrong = learn::LearnJob { gradient: page.learned(100, THREE, 1), ..job.clone() };
    refused!(bind(&wrong), Shape, "gradient is 1 layers", "expected 2 layers");
    let other = page.learned(300, ParameterLayout { nonzeros: 8, ..THREE }, 2);
    let wrong = learn::LearnJob { moments: Some([page.learned(200, THREE, 2), other]), ..job.clone() };
    refused!(bind(&wrong), Shape, "second moments is 2 layers", "nonzeros: 8");
    let wrong = learn::LearnJob { gradient: page.learned(47, THREE, 2), ..job.clone() };
    refused!(bind(&wrong), Overlap, "gradient and learned numbers overlap", "bytes 188..192");
    let moments = Some([page.learned(200, THREE, 2), page.learned(247, THREE, 2)]);
    refused!(
        bind(&learn::LearnJob { moments, ..job.clone() }),
        Overlap,
        "second moments and first moments overlap"
    );

    // a step that is refused records nothing
    submit(&page.device, &page.queue, |encoder| {
        let hyper = |rate, step| UpdateParameters { rate, step };
        refused!(bound.set(encoder, hyper(0.1, 0)), Domain, "step = 0 is outside [1, inf)");
        for rate in [-0.1, f64::NAN, f64::INFINITY, 2e6] {
            refused!(bound.set(encoder, hyper(rate, 1)), Domain, "learning rate = ", "is outside [0, ");
        }
    });
    page.untouched();

    let page = small();
    let places = ParameterLayout { components: 130, nonzeros: 130 * 130 };
    let learned = |k: u64| page.learned(20_000 * k, places, 1);
    let large = learn::LearnJob {
        pattern: Arc::new(full(130, 130)),
        learned: learned(0),
        gradient: learned(1),
        moments: None,
        method: Method::Gradient,
        ..job
    };
    let made = learn::Update::bind(&page.kernels, &large);
    refused!(made, Limit, "learned numbers", "max_storage_buffer_binding_size of 68", "allows 65536");
    page.untouched();
}

const HEAD: ParameterLayout = ParameterLayout { components: 0, nonzeros: 0 };

fn separable(page: &Page) -> (dsrl::Forward, dsrl::Backward) {
    let (learned, layers) = (page.learned(1000, HEAD, 3), 3);
    let (x, c) = (page.view(0, 100), page.view(100, 100));
    let forward = dsrl::Forward {
        learned: learned.clone(),
        layers,
        x: x.clone(),
        c: c.clone(),
        output: page.view(200, 100),
    };
    let (grad_output, grad_input) = (page.view(300, 100), Some(page.view(400, 100)));
    (
        forward,
        dsrl::Backward {
            learned,
            layers,
            x,
            c,
            grad_output,
            grad_input,
            gradient: page.learned(1100, HEAD, 3),
            add: false,
        },
    )
}

#[test]
fn separable_layers() {
    let page = page();
    let (forward, backward) = separable(&page);
    let bind = |job: &dsrl::Forward| dsrl::forward(&page.kernels, job);
    bind(&forward).expect("it fits");
    let wrong = dsrl::Forward { c: page.view(100, 99), ..forward.clone() };
    refused!(bind(&wrong), Shape, "dsrl: length of c is 99, expected 100");
    let wrong = dsrl::Forward { output: page.view(200, 101), ..forward.clone() };
    refused!(bind(&wrong), Shape, "dsrl: length of output is 101, expected 100");
    for layers in [0, 1, 2, 4] {
        let wrong = dsrl::Forward { layers, ..forward.clone() };
        refused!(
            bind(&wrong),
            Shape,
            "number of layers of the numbers is 3",
            &format!("that of the network, {layers}")
        );
    }
    let wrong = dsrl::Forward { learned: page.learned(1000, THREE, 3), ..forward.clone() };
    refused!(
        bind(&wrong),
        Shape,
        "places of the numbers is ParameterLayout",
        "neither components nor entries"
    );
    let wrong = dsrl::Forward { output: page.view(99, 100), ..forward.clone() };
    refused!(bind(&wrong), Overlap, "output and x overlap", "bytes 396..400");
    let wrong = dsrl::Forward { output: page.view(1023, 100), ..forward.clone() };
    refused!(bind(&wrong), Overlap, "output and learned numbers overlap");

    let bind = |job: &dsrl::Backward| dsrl::backward(&page.kernels, job);
    bind(&backward).expect("it fits");
    let wrong = dsrl::Backward { grad_output: page.view(300, 1), ..backward.clone() };
    refused!(bind(&wrong), Shape, "length of derivative by the output is 1, expected 100");
    let wrong = dsrl::Backward { grad_input: Some(page.view(400, 99)), ..backward.clone() };
    refused!(bind(&wrong), Shape, "length of derivative by x is 99, expected 100");
    let wrong = dsrl::Backward { gradient: page.learned(1100, HEAD, 1), ..backward.clone() };
    refused!(bind(&wrong), Shape, "dsrl: gradient is 1 layers", "expected 3 layers");
    let wrong = dsrl::Backward { gradient: page.learned(1016, HEAD, 3), ..backward.clone() };
    refused!(bind(&wrong), Overlap, "gradient and learned numbers overlap");
    let wrong = dsrl::Backward { grad_input: Some(page.view(300, 100)), ..backward.clone() };
    refused!(bind(&wrong), Overlap, "derivative by x and derivative by the output overlap");
    page.untouched();

    let page = small();
    let (forward, backward) = separable(&page);
    let (x, output) = (page.view(2000, 17_000), page.view(30_000, 17_000));
    let large = dsrl::Forward { x: x.clone(), c: x.clone(), output, ..forward };
    let made = dsrl::forward(&page.kernels, &large);
    refused!(made, Limit, "x", "max_storage_buffer_binding_size of 68", "allows 65536");
    let large = dsrl::Backward { x: x.clone(), c: x.clone(), grad_output: x, grad_input: None, ..backward };
    let made = dsrl::backward(&page.kernels, &large);
    refused!(made, Limit, "x", "max_storage_buffer_binding_size of 68", "allows 65536");
    page.untouched();
}

fn identity(pattern: Pattern) -> Parameters {
    let activation = Activation { eta1: 1.0, eta2: 1.0, delta1: 0.1, delta2: 0.5 };
    Parameters::identity(Arc::new(pattern), activation, 1.5).expect("parameters")
}

fn start() -> Start {
    Start { parameters: vec![identity(full(3, 3))], layers: 2, options: Options::default() }
}

#[test]
fn networks() {
    let context = Context::on(support::adapter("lavapipe").adapter).expect("a device");
    macro_rules! both {
        ($start:expr, $kind:ident, $($part:expr),+) => {{
            let start: Start = $start;
            refused!(Trainer::on_cpu(start.clone()), $kind, $($part),+);
            refused!(Trainer::on_gpu(&context, start, 4), $kind, $($part),+);
        }};
    }
    for layers in [0, 4097] {
        let part = format!("network: layers = {layers} is outside [1, 4096]");
        both!(Start { layers, ..start() }, Domain, &part);
    }
    for count in [0, 3] {
        let wrong = Start { parameters: vec![identity(full(3, 3)); count], ..start() };
        both!(
            wrong,
            Shape,
            &format!("number of parameter sets is {count}"),
            "1, shared, or 2, one per layer"
        );
    }
    let wrong = Start { parameters: vec![identity(full(3, 3)), identity(diagonal(3))], ..start() };
    both!(wrong, Unsupported, "layer 1: a pattern", "differs from layer 0's", "one pattern for all layers");
    let with = |change: fn(&mut Parameters)| {
        let mut second = identity(full(3, 3));
        change(&mut second);
        Start { parameters: vec![identity(full(3, 3)), second], ..start() }
    };
    both!(
        with(|p| p.values[2] = f64::NAN),
        Domain,
        "layer 1: Â[2] = NaN is outside the finite numbers of f32"
    );
    both!(with(|p| p.values[8] = 1e39), Domain, "layer 1: Â[8] = 1e39 is outside");
    both!(with(|p| p.b[1] = f64::INFINITY), Domain, "layer 1: b[1] = inf is outside");
    both!(with(|p| p.q[0] = 0.0), Domain, "layer 1: q[0] = 0 is outside [1e-6, 1e6]");
    both!(with(|p| p.l = f64::NAN), Domain, "layer 1: L = NaN is outside [1e-6, 1e6]");
    both!(with(|p| p.activation.eta2 = -1.0), Domain, "layer 1: eta2 = -1 is outside [1e-6, 1e6]");
    both!(with(|p| p.activation.delta1 = 0.6), Domain, "delta1 = 0.6 is outside [0, delta2 = 0.5]");
    both!(with(|p| p.values.truncate(8)), Shape, "layer 1: number of values is 8, expected 9");
    both!(with(|p| p.q.clear()), Shape, "layer 1: length of q is 0, expected 3");
    let lower = Pattern::new(3, 3, [(0, 0), (1, 0), (2, 2)]).expect("a pattern");
    let wrong = Parameters { pattern: Arc::new(lower), values: vec![1.0; 3], ..identity(full(3, 3)) };
    let wrong = Start { parameters: vec![wrong], ..start() };
    both!(wrong, Unsupported, "layer 0: a pattern of Â without its whole diagonal");
    let wide = Pattern::new(3, 4, full(3, 3).entries()).expect("a pattern");
    let wrong = Parameters { pattern: Arc::new(wide), ..identity(full(3, 3)) };
    both!(Start { parameters: vec![wrong], ..start() }, Shape, "columns of the pattern is 4, expected 3");
    let with = |options| Start { options, ..start() };
    let rates = Rates { l: f64::NAN, ..Rates::default() };
    both!(with(Options { rates, ..Options::default() }), Domain, "rate of L = NaN is outside [0, 1e6]");
    both!(with(Options { decay: -1.0, ..Options::default() }), Domain, "decay = -1 is outside [0, 1e6]");
    let method = Method::Adam { beta1: 0.9, beta2: 1.0, epsilon: 1e-8 };
    both!(with(Options { method, ..Options::default() }), Domain, "beta2 = 1 is outside [0, 1)");
    for rounds in [0, 1001] {
        let part = format!("rounds of the norm bound = {rounds} is outside [1, 1000]");
        both!(with(Options { bound: Some(rounds), ..Options::default() }), Domain, &part);
    }
    refused!(Trainer::on_gpu(&context, start(), 0), Domain, "training: batch = 0 is outside [1, 2^32)");

    for mut trainer in [
        Trainer::on_cpu(start()).expect("it starts"),
        Trainer::on_gpu(&context, start(), 4).expect("it starts"),
    ] {
        let zeros = [0.0; 12];
        let before = trainer.parameters().expect("those of the start");
        refused!(
            trainer.step(&zeros[..11], &zeros[..11], 0.1),
            Shape,
            "length of the batch is 11",
            "of 3 components"
        );
        refused!(trainer.step(&[], &[], 0.1), Shape, "length of the batch is 0", "a positive multiple of 3");
        refused!(trainer.step(&zeros, &zeros[..9], 0.1), Shape, "length of the targets is 9, expected 12");
        for rate in [-0.1, f64::NAN, 2e6] {
            refused!(trainer.step(&zeros, &zeros, rate), Domain, "training: rate = ", "is outside [0, 1e6]");
        }
        refused!(trainer.apply(&zeros[..4]), Shape, "network: length of the batch is 4", "a multiple of 3");
        assert_eq!(trainer.parameters().expect("as before"), before, "a refused step has changed something");
        assert!(trainer.loss().expect("none yet").is_nan());
        trainer.step(&zeros, &zeros, 0.1).expect("a step that is right");
    }
}

#[test]
fn networks_of_views() {
    let page = page();
    let job = network::NetworkJob {
        matrix: page.matrix(full(3, 3), Format::Csr, 2),
        learned: page.learned(1000, THREE, 2),
        layers: 2,
        x: page.batch(0, 3, 5),
        term: DataTerm::Near(page.batch(0, 3, 5)),
        output: page.batch(20, 3, 5),
    };
    let space = Workspace::new(&page.device, 2, 3, 5).expect("space");
    refused!(space.input(0), Domain, "network: layer = 0 is outside [1, 2)");
    refused!(space.input(2), Domain, "network: layer = 2 is outside [1, 2)");
    let forward = |job: &network::NetworkJob, space: &Workspace| network::forward(&page.kernels, job, space);
    let (grad_output, gradient) = (page.batch(40, 3, 5), page.learned(2000, THREE, 2));
    let backward = |job: &network::NetworkJob, space: &Workspace| {
        network::backward(&page.kernels, job, space, &grad_output, &gradient, None)
    };
    assert!(forward(&job, &space).is_ok() && backward(&job, &space).is_ok());
    macro_rules! both {
        ($job:expr, $space:expr, $kind:ident, $($part:expr),+) => {{
            let job = $job;
            refused!(forward(&job, $space), $kind, $($part),+);
            refused!(backward(&job, $space), $kind, $($part),+);
        }};
    }
    both!(
        network::NetworkJob { layers: 0, ..job.clone() },
        &space,
        Shape,
        "network: learned layers is 2, expected 1 or 1"
    );
    both!(
        network::NetworkJob { layers: 3, ..job.clone() },
        &space,
        Shape,
        "network: learned layers is 2, expected 1 or 3"
    );
    let shared = page.matrix(full(3, 3), Format::Csr, 1);
    both!(
        network::NetworkJob { matrix: shared, ..job.clone() },
        &space,
        Shape,
        "layers of the matrix is 1",
        "as many of both"
    );
    let other = page.batch(0, 3, 4);
    both!(
        network::NetworkJob { x: other.clone(), ..job.clone() },
        &space,
        Shape,
        "of x is (3, 4), expected (3, 5)"
    );
    both!(network::NetworkJob { output: other.clone(), ..job.clone() }, &space, Shape, "of output is (3, 4)");
    both!(
        network::NetworkJob { term: DataTerm::Near(other.clone()), ..job.clone() },
        &space,
        Shape,
        "of c is (3, 4)"
    );
    let short = Workspace::new(&page.device, 1, 3, 5).expect("space");
    both!(job.clone(), &short, Shape, "layers that the space is for is 1, expected 2 or more");
    let d = page.matrix(full(2, 4), Format::Dense, 1);
    let term = DataTerm::Linear { d, y: page.batch(60, 2, 5) };
    both!(
        network::NetworkJob { term, ..job.clone() },
        &space,
        Shape,
        "network: columns of D is 4, expected 3"
    );
    let d = page.matrix(full(2, 3), Format::Dense, 1);
    let term = DataTerm::Linear { d: d.clone(), y: page.batch(60, 3, 5) };
    both!(
        network::NetworkJob { term, ..job.clone() },
        &space,
        Shape,
        "network: components of y is 3, expected 2"
    );
    let term = DataTerm::Linear { d, y: page.batch(60, 2, 4) };
    both!(
        network::NetworkJob { term, ..job.clone() },
        &space,
        Shape,
        "network: vectors of y is 4, expected 5"
    );
    let wrong = network::NetworkJob { output: page.batch(14, 3, 5), ..job.clone() };
    refused!(forward(&wrong, &space), Overlap, "x and output overlap");
    let bind = |grad_output: &Batch, gradient: &LearnedParameters, grad_input: Option<&Batch>| {
        network::backward(&page.kernels, &job, &space, grad_output, gradient, grad_input)
    };
    refused!(bind(&other, &gradient, None), Shape, "shape of grad_output is 3 x 4, expected 3 x 5");
    let one = page.learned(2000, THREE, 1);
    refused!(bind(&grad_output, &one, None), Shape, "sums: layer is 1, expected one of 1");
    let over = page.learned(1000, THREE, 2);
    refused!(bind(&grad_output, &over, None), Overlap, "the gradient and the learned numbers overlap");
    refused!(bind(&grad_output, &gradient, Some(&other)), Shape, "chain: ", "3 components of 4 vectors");
    page.untouched();
}

/// An error that says that the device is gone, or that it refused the call.
fn gone(place: &str, error: Option<Error>) {
    let error = error.unwrap_or_else(|| panic!("{place}: the device is gone"));
    assert!(matches!(error, Error::DeviceLost { .. } | Error::Gpu { .. }), "{place}: {error:?}");
}

#[test]
fn binding_on_a_lost_device_is_refused() {
    within(6 * PATIENCE, "binding on a lost device", || {
        for one in support::software_adapters() {
            let page = Page::new(&one, wgpu::Limits::default());
            let label = &one.label;
            let matrix = page.matrix(full(3, 3), Format::Csr, 2);
            let (passed, into) = passed(&page);
            let learned = page.learned(1000, THREE, 2);
            let batch = |at| page.batch(at, 3, 4);
            let product = spmm::SpmmJob {
                matrix: matrix.clone(),
                layer: 1,
                transposed: false,
                prologue: Prologue::Plain,
                epilogue: Epilogue::Plain,
                learned: None,
                learned_layer: 0,
                scale_by: None,
                first: batch(0),
                second: None,
                output: batch(20),
            };
            let forward = layer::Forward {
                matrix: matrix.clone(),
                learned: learned.clone(),
                layers: 2,
                x: batch(0),
                data: Data::Near(batch(0)),
                inputs: None,
                output: batch(20),
            };
            let backward = backward::SavedActivations {
                learned: learned.clone(),
                layer: 0,
                x: batch(0),
                data: Data::Near(batch(0)),
                grad_output: batch(40),
                scale_by: None,
                u: batch(60),
                w: batch(80),
                grad_r: batch(100),
            };
            let (there, back) = separable(&page);
            let kernels = &page.kernels;
            // once, so that pipelines and slots are there; the rest of the kernels compiles on the lost device
            let bound = spmm::bind(kernels, &product).expect("the device is there");
            let mut steps = learn::Update::bind(kernels, &step(&page)).expect("the device is there");
            page.untouched();
            page.device.destroy();

            gone(label, Matrix::new(kernels, Arc::new(full(3, 3)), Format::Csr, 1).err());
            gone(label, Workspace::new(&page.device, 2, 3, 5).err());
            gone(label, spmm::bind(kernels, &product).err());
            gone(label, spmm::refresh(kernels, &matrix, &learned).err());
            gone(label, layer::forward(kernels, &forward).err());
            gone(label, layer::backward(kernels, &matrix, &backward).err());
            gone(label, sums::bind(kernels, &passed, &into).err());
            gone(label, sddmm::bind(kernels, &Arc::new(full(3, 3)), &passed, &into).err());
            let loss = page.view(60, 1);
            gone(label, loss::bind(kernels, &batch(0), &batch(20), (1.0, 0.0), &batch(40), &loss).err());
            gone(label, learn::Update::bind(kernels, &step(&page)).err());
            gone(label, dsrl::forward(kernels, &there).err());
            gone(label, dsrl::backward(kernels, &back).err());
            // what was bound before can still be recorded, more often than there are slots
            submit(&page.device, &page.queue, |encoder| {
                for step in 1..10 {
                    if let Err(error) = steps.set(encoder, UpdateParameters { rate: 0.1, step }) {
                        gone(label, Some(error));
                    }
                    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                    bound.record(&mut pass);
                    steps.record(&mut pass);
                }
            });
        }
    });
}

#[test]
fn a_trainer_whose_device_is_lost() {
    within(6 * PATIENCE, "training on a lost device", || {
        for one in support::software_adapters() {
            let context = Context::on(one.adapter).expect("a device");
            // a matrix of its own, and DSRL
            let separable = Start {
                parameters: vec![identity(diagonal(3))],
                options: Options {
                    rates: Rates { values: 0.0, q: 0.0, b: 0.0, ..Rates::default() },
                    ..Options::default()
                },
                ..start()
            };
            let label = one.label;
            let (noisy, target) = ([0.5; 12], [0.25; 12]);
            let starts = [start(), separable];
            let mut trainers = starts.clone().map(|start| {
                let mut trainer = Trainer::on_gpu(&context, start, 4).expect("the device is there");
                trainer.step(&noisy, &target, 0.1).expect("the device is there");
                assert!(trainer.loss().expect("the device is there") > 0.0, "{label}");
                trainer
            });
            context.device.destroy();
            for trainer in &mut trainers {
                // a step is not waited for: one that finds a slot for its values is lost with the device, the next ones find none
                let steps: Vec<_> = (0..8).map(|_| trainer.step(&noisy, &target, 0.1).err()).collect();
                let first =
                    steps.iter().position(Option::is_some).expect("no step says that the device is gone");
                steps.into_iter().skip(first).for_each(|error| gone(&label, error));
                // another number of vectors has to be bound first
                gone(&label, trainer.step(&noisy[..6], &target[..6], 0.1).err());
                gone(&label, trainer.loss().err());
                gone(&label, trainer.parameters().err());
                gone(&label, trainer.apply(&noisy).err());
            }
            for start in starts {
                gone(&label, Trainer::on_gpu(&context, start, 4).err());
            }
        }
    });
}
