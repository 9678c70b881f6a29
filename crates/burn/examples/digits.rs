//! A small CNN on the pictures of DIGITS, trained so that a tenth of its weights is left and filters and neurons are gone:
//! `cargo run --release -p maf-srl-burn --example digits`. An adapter's name or number may follow `--`, and `--json` asks for one line.

use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::optim::GradientsParams;
use burn::prelude::*;
use burn::tensor::activation::relu;
use maf_srl::kernels::step::Optimizer;
use maf_srl::penalty::group::{Lasso, Weight};
use maf_srl::penalty::{GroupPenalty, L1};
use maf_srl::schedule::{DensityTarget, Verify};
use maf_srl_burn::{Gpu, Rule, SparseOptimizer, Unit, density};
use maf_srl_lab::data::{Dataset, Source};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

const EPOCHS: usize = 60;
const BATCH: usize = 50;
const LASSO: GroupPenalty = GroupPenalty::Lasso(Lasso { weight: Weight::One });

#[derive(Module, Debug)]
struct Cnn {
    conv1: Conv2d,
    conv2: Conv2d,
    pool: MaxPool2d,
    fc1: Linear,
    fc2: Linear,
}

impl Cnn {
    fn new(device: &Device) -> Self {
        let conv =
            |channels| Conv2dConfig::new(channels, [3, 3]).with_padding(PaddingConfig2d::Same).init(device);
        let pool = MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init();
        let (fc1, fc2) = (LinearConfig::new(256, 128).init(device), LinearConfig::new(128, 10).init(device));
        Cnn { conv1: conv([1, 32]), conv2: conv([32, 64]), pool, fc1, fc2 }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let pooled = |x| self.pool.forward(relu(x));
        let x = pooled(self.conv2.forward(pooled(self.conv1.forward(x))));
        self.fc2.forward(relu(self.fc1.forward(x.flatten(1, 3))))
    }

    /// The share of pictures that are classified rightly.
    fn accuracy(&self, of: &Dataset, device: &Device) -> f64 {
        let (x, y) = batch(of, &(0..of.len()).collect::<Vec<_>>(), |v, _, _| v, device);
        let right = self.forward(x).argmax(1).flatten::<1>(0, 1).equal(y).int().sum().into_scalar::<i32>();
        f64::from(right) / of.len() as f64
    }
}

/// Pictures, each as `change` makes it (of its pixels, width and height), and classes of some rows.
fn batch(
    of: &Dataset,
    rows: &[usize],
    mut change: impl FnMut(Vec<f32>, usize, usize) -> Vec<f32>,
    device: &Device,
) -> (Tensor<4>, Tensor<1, Int>) {
    let mut picture = |&row: &usize| change(of.features.row(row).to_vec(), of.width, of.height);
    let pixels: Vec<f32> = rows.iter().flat_map(&mut picture).collect();
    let classes: Vec<i32> = rows.iter().map(|&row| of.labels[row] as i32).collect();
    let pictures = TensorData::new(pixels, [rows.len(), 1, of.height, of.width]);
    (Tensor::from_data(pictures, device), Tensor::from_data(TensorData::new(classes, [rows.len()]), device))
}

/// A picture moved by up to one pixel either way.
fn moved(picture: Vec<f32>, width: usize, height: usize, random: &mut impl rand::Rng) -> Vec<f32> {
    let (dx, dy) = (random.random_range(0..3), random.random_range(0..3));
    let pixel = |k: usize| {
        let (x, y) = ((k % width + dx).checked_sub(1), (k / width + dy).checked_sub(1));
        x.zip(y).filter(|&(x, y)| x < width && y < height).map_or(0.0, |(x, y)| picture[y * width + x])
    };
    (0..picture.len()).map(pixel).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let json = words.iter().any(|word| word == "--json");
    let gpu = Gpu::on(words.iter().find(|word| *word != "--json").map(String::as_str))?;
    let device = gpu.burn().clone().autodiff();
    device.seed(1);
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let split = Source::Digits.load(None)?;
    let mut order: Vec<usize> = (0..split.train.len()).collect();
    let steps = order.len().div_ceil(BATCH) * EPOCHS;

    let mut model = Cnn::new(&device);
    // what a user of Burn changes: the optimiser, and what it is asked for
    let rule = |unit| Rule::new(L1.into(), 1e-2).with_group(LASSO, 1e-3, unit);
    let mut optim = SparseOptimizer::new(&gpu, Optimizer::HeavyBall { momentum: 0.9 })
        .with_rule(rule(Unit::Neuron).on_linear())
        .with_rule(rule(Unit::Filter).on_convolutions())
        .with_density(DensityTarget::new(0.1, steps as u64 / 2)?)
        .with_verify(Verify::Sample { every: 50, tensors: 2, seed: 1 });
    let mut rate = CosineAnnealingLrSchedulerConfig::new(0.05, steps).init()?;
    let loss = CrossEntropyLossConfig::new().init(&device);
    for epoch in 1..=EPOCHS {
        order.shuffle(&mut random);
        for rows in order.chunks(BATCH) {
            let (x, y) = batch(&split.train, rows, |p, w, h| moved(p, w, h, &mut random), &device);
            let gradients = GradientsParams::from_grads(loss.forward(model.forward(x), y).backward(), &model);
            model = optim.step(rate.step(), model, gradients)?;
        }
        if !json && epoch % 5 == 0 {
            let (of, right) = (optim.densities()[0], model.accuracy(&split.validation, &device));
            println!(
                "epoch {epoch:2}: validation {right:.4}, density {:.4}, lambda x {:.3}",
                of.share, of.lambda_scale
            );
        }
    }
    let (found, of) = (optim.finish()?, density(&model)?);
    println!(
        r#"{{"accuracy":{:.4},"density":{:.4},"dead_units":{},"mismatches":{},"dispatches":{}}}"#,
        model.accuracy(&split.test, &device),
        of.density(),
        of.dead_units,
        found.mismatches,
        optim.counts().dispatches
    );
    Ok(())
}
