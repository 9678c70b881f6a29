//! `maf-srl compact`: the network of a file without its dead neurons.

use std::collections::HashSet;
use std::path::PathBuf;

use clap::Args;
use ndarray::{Array1, ArrayD, IxDyn};

use crate::{Global, idle, table};
use maf_srl::compact::{self, Layer, Probe, Proof, Report, Size};
use maf_srl::error::{Error, Result, shape, unsupported};
use maf_srl_lab::data::{Dtype, Format, Select, Tensor, Tensors};

/// The inputs of the comparison for convolutions, which take long.
const PICTURES: usize = 8;

/// Remove the neurons and filters that exact zeros have cut off
///
/// The layers form a chain with ReLU between them: dense weights [outputs, inputs], convolutions [outputs, inputs, rows,
/// columns], or convolutions and then dense layers, flattened channel by channel. A hidden neuron is removed where all
/// weights out of it are zero, or all weights into it are: then its output is relu(bias), which is 0 or is folded into
/// the next layer's bias. It stays where that cannot be done: before a convolution, whose padding of zeros it does
/// not match, and before a layer without a bias. NaN counts as nonzero. This goes on until nothing more dies; a layer
/// whose neurons are all dead keeps one.
///
/// Both networks are then evaluated on random inputs. The outputs must be equal bit for bit, or within a bound derived
/// from the length of the sums where a bias was folded; otherwise no output is written (exit status 1).
///
/// Types (F16, BF16, F32), names and metadata stay; all tensors that are no part of the chain are copied as they are, those
/// of normalisation layers included: a network that has some cannot be made smaller by this command.
#[derive(Args, Clone, Debug)]
pub struct Compact {
    /// The weights: .safetensors
    #[arg(long = "in", value_name = "W")]
    input: PathBuf,
    /// The smaller network; an older file is replaced
    #[arg(long, value_name = "SMALL")]
    out: PathBuf,
    /// The weight tensors of the chain, first layer first, with or without ".weight"; each bias is the tensor ".bias"
    /// beside it [default: all that end in ".weight", layers.2 before layers.10]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    layers: Option<Vec<String>>,
    /// Count the FLOPs of convolutions for pictures of this size (stride 1, same padding, no pooling) and not per output
    /// position
    #[arg(long, value_name = "HxW")]
    input_size: Option<String>,
    /// How many random inputs both networks are given [default: 64, or 8 with convolutions]
    #[arg(long, value_name = "N")]
    inputs: Option<usize>,
}

impl Compact {
    pub(super) fn run(&self, global: &Global) -> Result<()> {
        for path in [&self.input, &self.out] {
            if Format::of(path)? != Format::Safetensors {
                return Err(unsupported(
                    path.display().to_string(),
                    "a .npy file holds one tensor, which is no network",
                    ".safetensors",
                ));
            }
        }
        let size = self.input_size.as_deref().map(sides).transpose()?;
        let progress = global.progress(None, "reading");
        let mut file = self.read()?;
        let output = file.output(&self.out, &[])?;
        let names = self.names(&file)?;
        let large = names.iter().map(|name| layer(&file, name)).collect::<Result<Vec<_>>>()?;

        let convolutions = large.iter().any(|layer| layer.weight.ndim() == 4);
        idle(size.is_some() && !convolutions, "--input-size", "with a chain that has convolutions")?;

        progress.set_message("comparing");
        let mut small = compact::run(&large, size)?;
        for layer in &mut small.layers {
            round(&file, layer)?;
        }
        let usual = if convolutions { PICTURES } else { Probe::default().inputs };
        small.prove(&large, Probe { inputs: self.inputs.unwrap_or(usual), ..Probe::default() })?;

        progress.set_message("writing");
        let mut new = Vec::new();
        for layer in small.layers {
            if let Some(bias) = layer.bias {
                new.push((bias_name(&layer.name), vec![bias.len()], bias.to_vec()));
            }
            new.push((layer.name, layer.weight.shape().to_vec(), layer.weight.into_iter().collect()));
        }
        file.replace(new)?;
        file.write_to(output)?;
        progress.finish_and_clear();
        global.print(&small.report, show)
    }

    /// The file with the tensors that may belong to the chain; all others are carried over as bytes.
    fn read(&self) -> Result<Tensors> {
        let select = match &self.layers {
            None => r"(^|\.)(weight|bias)$".parse()?,
            Some(names) => Select::names(names.iter().flat_map(|name| {
                let stem = name.strip_suffix("weight").map_or(format!("{name}."), String::from);
                [name.clone(), format!("{stem}weight"), format!("{stem}bias")]
            }))?,
        };
        Tensors::read(&self.input, Some(&select)).map_err(|error| match error {
            Error::Text { .. } => self.missing(self.layers.as_ref().map_or("*.weight", |names| &names[0])),
            error => error,
        })
    }

    fn missing(&self, name: &str) -> Error {
        Error::Text {
            place: self.input.display().to_string(),
            text: name.into(),
            reason: "the file has no floating-point tensor of this name; --layers names the layers of the chain in order"
                .into(),
        }
    }

    /// The weight tensors of the chain.
    fn names(&self, file: &Tensors) -> Result<Vec<String>> {
        let has = |name: &str| file.iter().any(|tensor| tensor.name() == name);
        let Some(layers) = &self.layers else {
            let weights = file.iter().map(Tensor::name).filter(|name| name.ends_with("weight"));
            let mut names: Vec<String> = weights.map(String::from).collect();
            names.sort_by_cached_key(|name| natural(name));
            return if names.is_empty() { Err(self.missing("*.weight")) } else { Ok(names) };
        };
        let mut seen = HashSet::new();
        let name = |name: &String| {
            let found = [name.clone(), format!("{name}.weight")].into_iter().find(|name| has(name));
            let found = found.ok_or_else(|| self.missing(name))?;
            match seen.insert(found.clone()) {
                true => Ok(found),
                false => Err(Error::Text {
                    place: "--layers".into(),
                    text: name.clone(),
                    reason: "named twice; each layer is in the chain once".into(),
                }),
            }
        };
        layers.iter().map(name).collect()
    }
}

/// The bias that belongs to a weight tensor; a name that no tensor has where the weight's does not end in `weight`.
fn bias_name(weight: &str) -> String {
    weight.strip_suffix("weight").map_or(format!("{weight}.bias"), |stem| format!("{stem}bias"))
}

/// The order of the names: digits by the number that they are.
fn natural(name: &str) -> String {
    let runs = name.as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit());
    runs.map(|run| match String::from_utf8_lossy(run) {
        number if run[0].is_ascii_digit() => format!("{number:0>20}"),
        text => text.into_owned(),
    })
    .collect()
}

/// Rows and columns from `HxW`.
fn sides(text: &str) -> Result<[usize; 2]> {
    let number = |side: &str| side.trim().parse().ok();
    text.split_once('x').and_then(|(rows, columns)| Some([number(rows)?, number(columns)?])).ok_or_else(
        || Error::Text {
            place: "--input-size".into(),
            text: text.into(),
            reason: "expected rows and columns, as in 32x32".into(),
        },
    )
}

fn tensor<'a>(file: &'a Tensors, name: &str) -> Result<Option<&'a Tensor>> {
    let found = file.iter().find(|tensor| tensor.name() == name);
    match found {
        // Rounding to f32 would make new zeros.
        Some(tensor) if tensor.dtype() == Dtype::F64 => {
            Err(unsupported(format!("tensor {name:?}"), "values of type F64", "F16, BF16, F32"))
        }
        found => Ok(found),
    }
}

fn wrong_shape(tensor: &Tensor, got: String, expected: &str) -> Error {
    shape(format!("tensor {:?}", tensor.name()), "shape", got, expected)
}

fn layer(file: &Tensors, name: &str) -> Result<Layer> {
    let of = |tensor: &Tensor| {
        ArrayD::from_shape_vec(IxDyn(tensor.shape()), tensor.values().to_vec()).map_err(|e| {
            let got = format!("{:?} ({e})", tensor.shape());
            wrong_shape(tensor, got, "as many elements as the tensor has values")
        })
    };
    let weight = tensor(file, name)?.map_or_else(|| Ok(ArrayD::zeros(IxDyn(&[]))), of)?;
    let bias = tensor(file, &bias_name(name))?;
    if let Some(bias) = bias.filter(|bias| bias.shape().len() != 1) {
        return Err(wrong_shape(bias, format!("{:?}", bias.shape()), "[outputs]"));
    }
    let bias = bias.map(|bias| Array1::from(bias.values().to_vec()));
    Ok(Layer { name: name.into(), weight, bias })
}

/// Rounds the biases to what the file can hold: those that something was folded into are new.
fn round(file: &Tensors, layer: &mut Layer) -> Result<()> {
    let name = bias_name(&layer.name);
    let (Some(bias), Some(tensor)) = (&mut layer.bias, tensor(file, &name)?) else { return Ok(()) };
    for (k, value) in bias.iter_mut().enumerate() {
        let rounded = tensor.dtype().round(*value);
        maf_srl::error::require(
            rounded.is_finite() || !value.is_finite(),
            &format!("tensor {name:?}, with the constants of dead neurons added"),
            &format!("element {k}"),
            *value,
            format!("the range of {}", tensor.dtype()),
        )?;
        *value = rounded;
    }
    Ok(())
}

fn show(report: &Report) -> String {
    let head =
        ["layer", "shape", "becomes", "neurons", "parameters", "becomes", "nonzero", "FLOPs", "becomes"];
    let size = |before: &Size, after: &Size| {
        [before.parameters, after.parameters, after.nonzeros, before.flops, after.flops]
            .map(|n| n.to_string())
    };
    let mut rows = vec![head.map(String::from).to_vec()];
    for layer in &report.layers {
        let shape = |shape: &[usize]| shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
        let neurons = format!("{}/{}", layer.neurons_alive, layer.neurons);
        let about = [layer.name.clone(), shape(&layer.shape_before), shape(&layer.shape_after), neurons];
        rows.push([&about[..], &size(&layer.before, &layer.after)].concat());
    }
    let total = &report.total;
    let hidden = format!("{}/{} hidden", total.neurons_alive, total.neurons);
    let about = ["total".into(), String::new(), String::new(), hidden];
    rows.push([&about[..], &size(&total.before, &total.after)].concat());

    let percent = |share: Option<f64>| share.map_or("-".into(), |share| format!("{:.2} %", 100.0 * share));
    let sparsity = |s: &compact::Sparsity| {
        format!("weights {}, hidden neurons {}", percent(Some(s.weights)), percent(s.neurons))
    };
    let mut lines = vec![
        format!(
            "FLOPs per {}; bytes as f32: {} become {}",
            total.flops_per, total.before.bytes, total.after.bytes
        ),
        format!(
            "exactly zero: {}; below 1e-5: {}",
            sparsity(&total.sparsity),
            sparsity(&total.sparsity_threshold)
        ),
        format!(
            "dead inputs (kept): {} of {}; constant neurons: {} folded into biases, {} kept",
            total.dead_inputs, total.inputs, total.folded, total.constants_kept
        ),
    ];
    lines.extend(report.proof.as_ref().map(proven));
    format!("{}\n{}", table(&rows), lines.join("\n"))
}

fn proven(proof: &Proof) -> String {
    let Proof { inputs, outputs, max_difference, worst_share_of_bound, predictions_equal, .. } = proof;
    let each = format!("{inputs} random inputs, {outputs} outputs each");
    match proof.bitwise_equal {
        true => format!("{each}: equal bit for bit"),
        false => format!(
            "{each}: differ by at most {max_difference:.2e}, {worst_share_of_bound:.3} of the bound; same prediction for \
             {predictions_equal}"
        ),
    }
}
