//! A small CNN on the pictures of DIGITS, trained so that a tenth of its weights is left and filters and neurons are gone:
//! `cargo run --release -p maf-srl-burn --example digits`. An adapter's name or number may follow `--`.

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::optim::GradientsParams;
use burn::prelude::*;
use burn::tensor::activation::relu;
use maf_srl::kernels::step::{Adam, Optimizer};
use maf_srl::schedule::{DensityTarget, Verify};
use maf_srl_burn::{Gpu, Rule, SparseOptimizer, Unit, density};
use maf_srl_lab::data::{Dataset, Source};

#[derive(Module, Debug)]
struct Cnn {
    conv1: Conv2d,
    conv2: Conv2d,
    pool: MaxPool2d,
    fc1: Linear,
    fc2: Linear,
}

impl Cnn {
    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let pooled = |x| self.pool.forward(relu(x));
        let x = pooled(self.conv2.forward(pooled(self.conv1.forward(x))));
        self.fc2.forward(relu(self.fc1.forward(x.flatten(1, 3))))
    }
}

const BATCH: usize = 50;
const EPOCHS: usize = 60;

/// Pictures and classes of some rows.
fn batch(of: &Dataset, rows: std::ops::Range<usize>, device: &Device) -> (Tensor<4>, Tensor<1, Int>) {
    let pixels: Vec<f32> = rows.clone().flat_map(|row| of.features.row(row).to_vec()).collect();
    let classes: Vec<i32> = of.labels[rows.clone()].iter().map(|&class| class as i32).collect();
    let pictures = TensorData::new(pixels, [rows.len(), 1, of.height, of.width]);
    (Tensor::from_data(pictures, device), Tensor::from_data(TensorData::new(classes, [rows.len()]), device))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let gpu = Gpu::on(std::env::args().nth(1).filter(|word| word != "--json").as_deref())?;
    let device = gpu.burn().clone().autodiff();
    let split = Source::Digits.load(None)?;
    let conv =
        |channels| Conv2dConfig::new(channels, [3, 3]).with_padding(PaddingConfig2d::Same).init(&device);
    let pool = MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init();
    let (fc1, fc2) = (LinearConfig::new(128, 64).init(&device), LinearConfig::new(64, 10).init(&device));
    let mut model = Cnn { conv1: conv([1, 16]), conv2: conv([16, 32]), pool, fc1, fc2 };
    // the lines that a user of Burn changes: the optimiser, and what it is asked for
    let steps = split.train.len().div_ceil(BATCH) * EPOCHS;
    let rule = |unit| Ok::<_, maf_srl::Error>(Rule::new("l1".parse()?, 1e-2).with_group("lasso".parse()?, 1e-2, unit));
    let mut optim = SparseOptimizer::new(&gpu, Optimizer::Adam(Adam::default()))
        .with_rule(rule(Unit::Neuron)?.on_linear())
        .with_rule(rule(Unit::Filter)?.on_convolutions())
        .with_density(DensityTarget::new(0.1, steps as u64 / 2)?)
        .with_verify(Verify::Sample { every: 50, tensors: 2, seed: 1 });
    let mut rate = CosineAnnealingLrSchedulerConfig::new(4e-3, steps).init()?;
    let loss = CrossEntropyLossConfig::new().init(&device);
    for epoch in 0..EPOCHS {
        for k in 0..steps / EPOCHS {
            let rows = k * BATCH..((k + 1) * BATCH).min(split.train.len());
            let (x, y) = batch(&split.train, rows, &device);
            let gradients = GradientsParams::from_grads(loss.forward(model.forward(x), y).backward(), &model);
            model = optim.step(rate.step(), model, gradients)?;
        }
        let status = optim.densities()[0];
        eprintln!("epoch {epoch}: density {:.4}, lambda x {:.4}, {:?}", status.share, status.lambda_scale, status.phase);
    }
    let (x, y) = batch(&split.test, 0..split.test.len(), &device);
    let right = model.forward(x).argmax(1).flatten::<1>(0, 1).equal(y).int().sum().into_scalar::<i32>();
    let (found, of) = (optim.finish()?, density(&model)?);
    println!(
        r#"{{"accuracy":{:.4},"density":{:.4},"dead_units":{},"mismatches":{},"dispatches":{}}}"#,
        f64::from(right) / split.test.len() as f64,
        of.density(),
        of.dead_units,
        found.mismatches,
        optim.counts().dispatches
    );
    Ok(())
}
