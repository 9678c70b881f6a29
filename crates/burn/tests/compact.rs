//! From a trained module to a file that `maf-srl compact` reads, and from what that writes into a smaller module.

mod support;

use burn::module::Module;
use burn_store::{BurnToPyTorchAdapter, ModuleSnapshot, PyTorchToBurnAdapter, SafetensorsStore};
use maf_srl::compact::{self, Layer, Probe};
use maf_srl::kernels::step::Optimizer;
use maf_srl::schedule::{DensityTarget, Measure};
use maf_srl_burn::{Rule, SparseOptimizer, Unit};
use ndarray::{Array1, ArrayD};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use support::{Data, Mlp, Net, gradients, weights};

fn numbers(tensor: &TensorView<'_>) -> Vec<f32> {
    tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

#[test]
fn a_module_becomes_smaller_and_computes_the_same() {
    let gpu = &support::devices()[0];
    let device = gpu.burn().clone().autodiff();
    let data = Data::new(200, 1);
    let mut net = Mlp::new(&[64, 48, 24, 10], &device);
    let rule =
        Rule::new("l1".parse().unwrap(), 1e-3).with_group("lasso".parse().unwrap(), 1e-2, Unit::Neuron);
    // two fifths of the neurons
    let target =
        DensityTarget::new(0.4, 150).unwrap().with_measure(Measure::Units).with_tolerance(0.05).unwrap();
    let mut optim = SparseOptimizer::new(gpu, Optimizer::HeavyBall { momentum: 0.9 })
        .with_rule(rule)
        .with_density(target);
    for step in 0..250 {
        let g = gradients(&net, data.batch(step, 20, &device));
        net = optim.step(0.05, net, g).unwrap();
    }
    optim.finish().unwrap();

    // out: [outputs, inputs], as PyTorch has it
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let mut store = SafetensorsStore::from_file(&path).with_to_adapter(BurnToPyTorchAdapter);
    net.save_into(&mut store).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let layers: Vec<Layer> = (0..3)
        .map(|k| {
            let name = format!("layers.{k}");
            let weight = file.tensor(&format!("{name}.weight")).unwrap();
            let bias = file.tensor(&format!("{name}.bias")).unwrap();
            let weight = ArrayD::from_shape_vec(weight.shape(), numbers(&weight)).unwrap();
            Layer { name, weight, bias: Some(Array1::from(numbers(&bias))) }
        })
        .collect();
    let shapes: Vec<_> = layers.iter().map(|layer| layer.weight.shape().to_vec()).collect();
    assert_eq!(shapes, [[48, 64], [24, 48], [10, 24]]);
    let first = &weights(&net)[0];
    assert_eq!(first.values[48 * 3 + 7], layers[0].weight[[7, 3]]);

    // smaller, and proved
    let mut small = compact::run(&layers, None).unwrap();
    small.prove(&layers, Probe::default()).unwrap();
    let sizes: Vec<usize> =
        std::iter::once(64).chain(small.layers.iter().map(|layer| layer.weight.shape()[0])).collect();
    assert!(sizes[1] < 48 && sizes[2] < 24, "{sizes:?}");

    // and in again
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = small
        .layers
        .iter()
        .flat_map(|layer| {
            let bytes =
                |values: &mut dyn Iterator<Item = &f32>| values.flat_map(|x| x.to_le_bytes()).collect();
            let bias = layer.bias.as_ref().expect("every layer has one");
            [
                (
                    format!("{}.weight", layer.name),
                    layer.weight.shape().to_vec(),
                    bytes(&mut layer.weight.iter()),
                ),
                (format!("{}.bias", layer.name), vec![bias.len()], bytes(&mut bias.iter())),
            ]
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    let path = folder.path().join("small.safetensors");
    safetensors::serialize_to_file(views, None, &path).unwrap();
    let mut again = Mlp::new(&sizes, &device);
    let mut store = SafetensorsStore::from_file(&path).with_from_adapter(PyTorchToBurnAdapter);
    again.load_from(&mut store).unwrap();
    assert!(again.num_params() < net.num_params() / 2, "{} of {}", again.num_params(), net.num_params());
    let (x, _) = data.batch(0, 50, &device);
    let outputs = |net: &Mlp| net.logits(x.clone()).inner().into_data().try_to_vec::<f32>().unwrap();
    for (large, small) in outputs(&net).iter().zip(&outputs(&again)) {
        // sums of up to 64 terms in another order
        assert!((large - small).abs() <= 64.0 * f32::EPSILON * large.abs().max(10.0), "{large} {small}");
    }
}
