//! Networks, data and the reference of the tests.
#![allow(dead_code, reason = "each test program uses a part")]

use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig};
use burn::optim::GradientsParams;
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Device, Tensor, TensorData};
use maf_srl_burn::Gpu;

/// The Vulkan adapters of the environment that `tests/adapters.sh` makes.
pub fn devices() -> Vec<Gpu> {
    let found: Vec<Gpu> =
        ["llvmpipe", "SwiftShader"].iter().filter_map(|name| Gpu::on(Some(name)).ok()).collect();
    assert_eq!(found.len(), 2, "lavapipe and SwiftShader are needed: `. tests/adapters.sh`");
    found
}

/// Layers one after another.
#[derive(Module, Debug)]
pub struct Mlp {
    pub layers: Vec<Linear>,
}

impl Mlp {
    pub fn new(sizes: &[usize], device: &Device) -> Self {
        Mlp {
            layers: sizes.windows(2).map(|pair| LinearConfig::new(pair[0], pair[1]).init(device)).collect(),
        }
    }
}

/// Two convolutions and two layers, for pictures of 8 x 8.
#[derive(Module, Debug)]
pub struct Cnn {
    pub conv1: Conv2d,
    pub conv2: Conv2d,
    pub pool: MaxPool2d,
    pub fc1: Linear,
    pub fc2: Linear,
}

impl Cnn {
    pub fn new(device: &Device) -> Self {
        let conv = |channels| {
            Conv2dConfig::new(channels, [3, 3]).with_padding(burn::nn::PaddingConfig2d::Same).init(device)
        };
        Cnn {
            conv1: conv([1, 8]),
            conv2: conv([8, 16]),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            fc1: LinearConfig::new(64, 32).init(device),
            fc2: LinearConfig::new(32, 10).init(device),
        }
    }
}

/// LeNet-5 as Caffe has it, for pictures of 28 x 28.
#[derive(Module, Debug)]
pub struct Lenet {
    pub conv1: Conv2d,
    pub conv2: Conv2d,
    pub pool: MaxPool2d,
    pub fc1: Linear,
    pub fc2: Linear,
}

impl Lenet {
    pub fn new(device: &Device) -> Self {
        Lenet {
            conv1: Conv2dConfig::new([1, 20], [5, 5]).init(device),
            conv2: Conv2dConfig::new([20, 50], [5, 5]).init(device),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            fc1: LinearConfig::new(800, 500).init(device),
            fc2: LinearConfig::new(500, 10).init(device),
        }
    }
}

impl Net for Lenet {
    fn logits(&self, x: Tensor<2>) -> Tensor<2> {
        let [n, _] = x.dims();
        let x = self.pool.forward(self.conv1.forward(x.reshape([n, 1, 28, 28])));
        let x = self.pool.forward(self.conv2.forward(x));
        self.fc2.forward(relu(self.fc1.forward(x.reshape([n, 800]))))
    }
}

pub trait Net: Module + Clone {
    fn logits(&self, pictures: Tensor<2>) -> Tensor<2>;
}

impl Net for Mlp {
    fn logits(&self, mut x: Tensor<2>) -> Tensor<2> {
        for (k, layer) in self.layers.iter().enumerate() {
            x = layer.forward(x);
            if k + 1 < self.layers.len() {
                x = relu(x);
            }
        }
        x
    }
}

impl Net for Cnn {
    fn logits(&self, x: Tensor<2>) -> Tensor<2> {
        let [n, _] = x.dims();
        let x = self.pool.forward(relu(self.conv1.forward(x.reshape([n, 1, 8, 8]))));
        let x = self.pool.forward(relu(self.conv2.forward(x)));
        self.fc2.forward(relu(self.fc1.forward(x.reshape([n, 64]))))
    }
}

/// Pictures with a bright row or column, and which it is.
pub struct Data {
    /// Of one picture.
    pub pixels: usize,
    pub pictures: Vec<f32>,
    pub classes: Vec<usize>,
}

impl Data {
    pub fn new(count: usize, seed: u64) -> Self {
        Self::of_width(8, count, seed)
    }

    pub fn of_width(width: usize, count: usize, seed: u64) -> Self {
        let mut state = seed;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 24) as f32
        };
        let (mut pictures, mut classes) = (Vec::new(), Vec::new());
        for k in 0..count {
            let class = k % 10;
            let bright = |i: usize| if class < 5 { i / width == class } else { i % width == class - 5 };
            pictures.extend((0..width * width).map(|i| 0.3 * random() + f32::from(u8::from(bright(i)))));
            classes.push(class);
        }
        Data { pixels: width * width, pictures, classes }
    }

    /// One batch: pictures, and classes as rows with a single one.
    pub fn batch(&self, at: usize, size: usize, device: &Device) -> (Tensor<2>, Tensor<2>) {
        let count = self.classes.len();
        let (mut x, mut y) = (Vec::new(), vec![0.0_f32; 10 * size]);
        for k in 0..size {
            let row = (at * size + k) % count;
            x.extend_from_slice(&self.pictures[self.pixels * row..self.pixels * (row + 1)]);
            y[10 * k + self.classes[row]] = 1.0;
        }
        let x = Tensor::from_data(TensorData::new(x, [size, self.pixels]), device);
        (x, Tensor::from_data(TensorData::new(y, [size, 10]), device))
    }
}

/// The gradients of the mean cross entropy.
pub fn gradients<N: Net>(net: &N, (x, y): (Tensor<2>, Tensor<2>)) -> GradientsParams {
    let n = x.dims()[0] as f64;
    let loss = (log_softmax(net.logits(x), 1) * y).sum().mul_scalar(-1.0 / n);
    GradientsParams::from_grads(loss.backward(), net)
}

/// A parameter, read back.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    pub path: String,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

struct Reading<'a> {
    path: Vec<String>,
    of: Option<&'a GradientsParams>,
    read: Vec<Read>,
}

impl ModuleVisitor for Reading<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = match self.of {
            None => Some(param.val().inner()),
            Some(gradients) => gradients.get::<D>(param.id),
        };
        let Some(tensor) = tensor else { return };
        let (shape, values) = (tensor.dims().to_vec(), tensor.into_data().try_to_vec().expect("f32"));
        self.read.push(Read { path: self.path.join("."), shape, values });
    }
}

/// Every parameter of a module.
pub fn weights<M: Module>(module: &M) -> Vec<Read> {
    read(module, None)
}

/// Every gradient.
pub fn gradients_of<M: Module>(module: &M, gradients: &GradientsParams) -> Vec<Read> {
    read(module, Some(gradients))
}

fn read<M: Module>(module: &M, of: Option<&GradientsParams>) -> Vec<Read> {
    let mut reading = Reading { path: Vec::new(), of, read: Vec::new() };
    module.visit(&mut reading);
    reading.read
}

/// One step in float64 from the formulas: soft thresholding of `w - lr g` by `lr lambda`, then each group, the indices of `axis`,
/// scaled by (1 - lr lambda_group / norm)+.
pub fn stepped(w: &Read, g: &Read, lr: f64, lambda: f64, group: Option<(usize, f64)>) -> Vec<f64> {
    let point = |(&w, &g): (&f32, &f32)| {
        let v = f64::from(w) - lr * f64::from(g);
        v.signum() * (v.abs() - lr * lambda).max(0.0)
    };
    let mut z: Vec<f64> = w.values.iter().zip(&g.values).map(point).collect();
    let Some((axis, of_group)) = group else { return z };
    let inner: usize = w.shape[axis + 1..].iter().product();
    for unit in 0..w.shape[axis] {
        let members: Vec<usize> = (0..z.len()).filter(|k| k / inner % w.shape[axis] == unit).collect();
        let norm = members.iter().map(|&k| z[k] * z[k]).sum::<f64>().sqrt();
        let scale = if norm > 0.0 { (1.0 - lr * of_group / norm).max(0.0) } else { 0.0 };
        members.iter().for_each(|&k| z[k] *= scale);
    }
    z
}

/// Holds stepped weights against [`stepped`]: within 2^-20 of the numbers that went in, which is more than sixteen roundings; what is
/// zero on one side alone must lie that near to the threshold.
pub fn hold(what: &str, before: &Read, gradient: &Read, after: &Read, lr: f64, want: &[f64]) {
    for (k, (&got, &want)) in after.values.iter().zip(want).enumerate() {
        let size = f64::from(before.values[k]).abs() + lr * f64::from(gradient.values[k]).abs();
        let largest = before.values.iter().fold(size, |most, w| most.max(f64::from(w.abs())));
        let apart = (f64::from(got) - want).abs();
        assert!(apart <= largest / f64::from(1 << 20), "{what}, {}[{k}]: {got:e} for {want:e}", before.path);
    }
}
