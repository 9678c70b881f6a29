//! The cases of the product: every kernel, sizes round every tile, both orders, every kind of number.

use std::sync::Arc;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Epilogue, Prologue, SpmmJob, SpmmReference, bind, refresh, refresh_packed};
use crate::error::Result;
use crate::gpu;
use crate::kernels::fixture::Fixture;
use crate::kernels::{Batch, Case, Format, LearnedParameters, Matrix, Order, Outcome, PipelineCache};
use crate::matrix::Pattern;
use crate::regulariser::ParameterLayout;

/// What the output holds before, so that a number that is not written is seen.
const UNWRITTEN: u32 = 0x7fba_0001;

/// What the numbers are like.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Numbers {
    Ordinary,
    /// Huge, tiny, subnormal ones and zeros of both signs.
    Extreme,
    /// Some NaN and infinities in a batch, the matrix, q, b.
    Broken,
    /// One of the five numbers of the head is not finite.
    Head(usize),
}

/// One product.
#[derive(Clone, Debug)]
struct Product {
    rows: u32,
    columns: u32,
    density: f64,
    vectors: u32,
    format: Format,
    transposed: bool,
    prologue: Prologue,
    epilogue: Epilogue,
    scaled: bool,
    orders: [Order; 3],
    leads: [u64; 5],
    one_buffer: bool,
    numbers: Numbers,
}

/// Every case.
pub(super) fn all() -> Vec<Box<dyn Case>> {
    use Order::{BatchMajor, FeatureMajor};
    let mut all: Vec<Product> = Vec::new();
    let base = Product {
        rows: 1,
        columns: 1,
        density: 1.0,
        vectors: 1,
        format: Format::Csr,
        transposed: false,
        prologue: Prologue::Plain,
        epilogue: Epilogue::Plain,
        scaled: false,
        orders: [FeatureMajor; 3],
        leads: [0; 5],
        one_buffer: false,
        numbers: Numbers::Ordinary,
    };
    // every kernel: few vectors, and enough for tiles, each with the numbers that could break it
    let pairs =
        Prologue::ALL.into_iter().flat_map(|prologue| Epilogue::ALL.map(|epilogue| (prologue, epilogue)));
    let pairs: Vec<_> = pairs.chain([(Prologue::Plain, Epilogue::Held)]).collect();
    for format in Format::ALL {
        for vectors in [1, 3, 64] {
            for &(prologue, epilogue) in &pairs {
                let kinds = [Numbers::Ordinary, Numbers::Extreme, Numbers::Broken];
                for (k, numbers) in kinds.into_iter().enumerate() {
                    let n = if vectors == 64 { 65 } else { 63 };
                    let kernel = Product { rows: n, columns: n, density: 0.3, ..base.clone() };
                    let transposed = k % 2 == 1;
                    let kernel =
                        Product { vectors, format, transposed, prologue, epilogue, numbers, ..kernel };
                    let scaled = prologue == Prologue::Plain && k == 1;
                    all.push(Product { scaled, leads: [k as u64, 3, 1, 2, 0], one_buffer: k != 1, ..kernel });
                }
            }
        }
    }
    // sizes, in both directions and orders
    for n in [1, 2, 3, 16, 64, 65, 256] {
        for vectors in [1, 3, 33, 64, 1000] {
            for density in [0.05, 0.5, 1.0] {
                for format in Format::ALL {
                    if n * vectors > 16_000 && density == 0.5 || n == 256 && density == 1.0 && vectors > 64 {
                        continue;
                    }
                    let turned = (n + vectors) % 2 == 1;
                    let orders = if turned {
                        [BatchMajor, FeatureMajor, BatchMajor]
                    } else {
                        [FeatureMajor, BatchMajor, BatchMajor]
                    };
                    let size = Product { rows: n, columns: n, density, vectors, format, ..base.clone() };
                    all.push(Product { transposed: !turned, orders, leads: [1, 0, 0, 3, 2], ..size.clone() });
                    let orders = [orders[1], orders[0], FeatureMajor];
                    all.push(Product { transposed: turned, orders, scaled: true, one_buffer: true, ..size });
                }
            }
        }
    }
    // what is left of tiles in every length that an edge may forget
    for (rows, columns, vectors) in [(49, 61, 113), (113, 49, 62), (127, 120, 127), (61, 126, 50)] {
        for format in Format::ALL {
            let rest = Product { rows, columns, density: 0.5, vectors, format, ..base.clone() };
            all.push(Product { transposed: vectors % 2 == 0, leads: [0, 1, 2, 3, 0], ..rest });
        }
    }
    // rectangular ones
    for (rows, columns) in [(1, 300), (300, 1), (40, 130), (130, 40), (65, 129)] {
        for format in Format::ALL {
            for vectors in [1, 7, 50] {
                for (transposed, prologue) in
                    [(false, Prologue::Near), (true, Prologue::Plain), (true, Prologue::Given)]
                {
                    let orders = [BatchMajor, FeatureMajor, FeatureMajor];
                    let kind =
                        Product { rows, columns, density: 0.2, vectors, format, orders, ..base.clone() };
                    all.push(Product { transposed, prologue, leads: [2, 1, 0, 5, 3], ..kind });
                }
            }
        }
    }
    // no vectors at all; the learned numbers that are no numbers
    all.push(Product { rows: 5, columns: 5, vectors: 0, ..base.clone() });
    for at in [
        ParameterLayout::L,
        ParameterLayout::ETA1,
        ParameterLayout::ETA2,
        ParameterLayout::DELTA1,
        ParameterLayout::DELTA2,
    ] {
        for (prologue, epilogue) in [
            (Prologue::Near, Epilogue::Activated),
            (Prologue::Pulled, Epilogue::Plain),
            (Prologue::Plain, Epilogue::Plain),
        ] {
            for vectors in [1, 5] {
                let head = Product { rows: 16, columns: 16, vectors, prologue, epilogue, ..base.clone() };
                let scaled = prologue == Prologue::Plain;
                all.push(Product { scaled, numbers: Numbers::Head(at), ..head });
            }
        }
    }
    // large ones
    for (format, transposed, density, vectors) in [
        (Format::Csr, false, 0.05, 1000),
        (Format::Bitmap, true, 0.05, 64),
        (Format::Dense, true, 0.05, 64),
        (Format::Dense, false, 0.4, 300),
        (Format::Csr, true, 0.4, 1),
        (Format::Bitmap, false, 0.4, 1),
        (Format::Dense, false, 1.0, 3),
        (Format::Dense, true, 1.0, 1),
    ] {
        let (prologue, epilogue) = if transposed {
            (Prologue::Pulled, Epilogue::Plain)
        } else {
            (Prologue::Near, Epilogue::Activated)
        };
        let large =
            Product { rows: 1000, columns: 1000, density, vectors, format, transposed, ..base.clone() };
        all.push(Product { prologue, epilogue, orders: [FeatureMajor, BatchMajor, FeatureMajor], ..large });
    }
    all.into_iter().map(|case| Box::new(case) as Box<dyn Case>).collect()
}

/// A magnitude of ordinary size, of either sign.
fn ordinary(rng: &mut impl Rng) -> f32 {
    rng.random_range(-2.0..2.0)
}

impl Product {
    fn square(&self) -> bool {
        self.rows == self.columns
    }

    fn pattern(&self) -> Result<Pattern> {
        if self.square() {
            return Pattern::random(self.rows, self.density, 11);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(12);
        let all = (0..self.rows).flat_map(|i| (0..self.columns).map(move |j| (i, j)));
        Pattern::new(self.rows, self.columns, all.filter(|_| rng.random_bool(self.density)))
    }

    /// `length` numbers of the case's kind; few are not finite, so that most vectors have none.
    fn numbers(&self, seed: u64, length: usize, breaks: bool) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(0x5072_0000 + seed);
        let mut all: Vec<f32> = (0..length)
            .map(|_| {
                let x = ordinary(&mut rng);
                match (self.numbers, rng.random_range(0..16)) {
                    (Numbers::Extreme, 0) => 1e18 * x,
                    (Numbers::Extreme, 1) => 1e-20 * x,
                    (Numbers::Extreme, 2) => f32::from_bits(rng.random_range(0..0x80_0000)),
                    (Numbers::Extreme, 3) => 1e30 * x,
                    (Numbers::Extreme, 4 | 5) => 0.0,
                    (Numbers::Extreme, 6) => -0.0,
                    _ => x,
                }
            })
            .collect();
        if breaks && length > 0 && self.numbers == Numbers::Broken {
            let kinds = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(0xff80_0001)];
            for k in 0..(length / 40).clamp(1, 4) {
                let at = rng.random_range(0..length);
                all[at] = kinds[(k + seed as usize) % 4];
            }
        }
        all
    }

    /// Two layers of learned numbers, of which the second is used, and the first one's L for the scale.
    fn learned(&self, places: ParameterLayout) -> Vec<f32> {
        let mut all = Vec::new();
        for layer in 0..2u64 {
            let mut numbers = vec![0.0; places.length() as usize];
            numbers[..5].copy_from_slice(&[1.7 + layer as f32, 0.8, 1.3, 0.25, 0.9]);
            let fill = |numbers: &mut [f32], made: Vec<f32>| numbers.copy_from_slice(&made);
            fill(&mut numbers[places.q()], self.numbers(10 + layer, places.components as usize, true));
            fill(&mut numbers[places.b()], self.numbers(20 + layer, places.components as usize, true));
            fill(&mut numbers[places.values()], self.numbers(30 + layer, places.nonzeros as usize, true));
            if let Numbers::Head(at) = self.numbers {
                numbers[at] = [f32::NAN, f32::INFINITY][layer as usize];
            }
            all.extend(numbers);
        }
        all
    }
}

impl Case for Product {
    fn name(&self) -> String {
        let order = |order: Order| match order {
            Order::FeatureMajor => 'c',
            Order::BatchMajor => 's',
        };
        let orders: String = self.orders.map(order).iter().collect();
        let leads: String = self.leads.map(|lead| lead.to_string()).concat();
        format!(
            "spmm/{}/{}x{}x{}/density={}/{}/{}{}/{}/orders={orders}/offsets={leads}{}{}",
            self.format,
            self.rows,
            self.columns,
            self.vectors,
            self.density,
            if self.transposed { "transposed" } else { "straight" },
            self.prologue.name(),
            if self.scaled { "-scaled" } else { "" },
            self.epilogue.name(),
            match self.numbers {
                Numbers::Ordinary => String::new(),
                Numbers::Extreme => "/extreme".into(),
                Numbers::Broken => "/broken".into(),
                Numbers::Head(at) => format!("/broken-head-{at}"),
            },
            if self.one_buffer { "/one-buffer" } else { "" },
        )
    }

    fn elements(&self) -> usize {
        (if self.transposed { self.columns } else { self.rows } * self.vectors) as usize
    }

    fn run(&self, device: &wgpu::Device, queue: &wgpu::Queue, kernels: &PipelineCache) -> Result<Outcome> {
        let pattern = Arc::new(self.pattern()?);
        let (inner, outer) =
            if self.transposed { (self.rows, self.columns) } else { (self.columns, self.rows) };
        let m = self.vectors;
        let nonzeros = pattern.nonzeros();
        // a matrix that is not square has its values for itself
        let own = if self.square() { nonzeros } else { 0 };
        let places = ParameterLayout { components: if self.square() { self.rows } else { 3 }, nonzeros: own };
        let theta = self.learned(places);
        let values = self.numbers(5, if self.square() { 0 } else { 2 * nonzeros as usize }, false);
        let length = (inner * m) as usize;
        let first = self.numbers(1, length, m > 0);
        let held = self.epilogue == Epilogue::Held;
        let two = held || self.prologue != Prologue::Plain;
        let second = self.numbers(2, if two { length } else { 0 }, true);
        let unwritten = vec![f32::from_bits(UNWRITTEN); self.elements()];
        let arrays = [first, second, theta, unwritten, values];
        let mut fixture = Fixture::new(kernels, &self.name(), &arrays, &self.leads, self.one_buffer)?;
        let [first, second, theta, _, values] = &arrays;
        let matrix = Matrix::new(kernels, pattern.clone(), self.format, 2)?;
        let learned = LearnedParameters::new("case", fixture.views[2].clone(), places, 2)?;
        let batch = |k: usize, components: u32, order: usize| {
            Batch::new("case", fixture.views[k].clone(), components, m, self.orders[order])
        };
        let needed = self.scaled || self.prologue != Prologue::Plain || self.epilogue != Epilogue::Plain;
        let job = SpmmJob {
            matrix: matrix.clone(),
            layer: 1,
            transposed: self.transposed,
            prologue: self.prologue,
            epilogue: self.epilogue,
            learned: needed.then(|| learned.clone()),
            learned_layer: 1,
            scale_by: self.scaled.then_some(0),
            first: batch(0, inner, 0)?,
            // of a matrix that is square, where it is added to the result
            second: two.then(|| batch(1, inner, 1)).transpose()?,
            output: batch(3, outer, 2)?,
        };
        let refresh = match self.square() {
            true => refresh(kernels, &matrix, &learned)?,
            false => refresh_packed(kernels, &matrix, &fixture.views[4])?,
        };
        let dispatches = bind(kernels, &job)?;
        let status = gpu::buffer_with(device, "status", &[0; 16], wgpu::BufferUsages::COPY_SRC)?;
        fixture.run(device, queue, &status, |pass| {
            refresh.record(pass);
            dispatches.record(pass);
        })?;
        let layer = &theta[places.length() as usize..];
        let reference = SpmmReference {
            pattern: &pattern,
            values: if self.square() { &layer[places.values()] } else { &values[nonzeros as usize..] },
            transposed: self.transposed,
            format: self.format,
            prologue: self.prologue,
            epilogue: self.epilogue,
            learned: (layer, places),
            scale: self.scaled.then_some(theta[ParameterLayout::L]),
            first: (first, self.orders[0]),
            second: (second, self.orders[1]),
            vectors: m,
        };
        let (down, across) = job.output.strides();
        let mut outcome = reference.compare(|i, c| fixture.value(3, (i * down + c * across) as usize));
        for k in [0, 1, 2, 4] {
            fixture.judge_surroundings(Some(k), &mut outcome);
        }
        Ok(outcome)
    }
}
