//! `maf-srl compact`: the network of a file without its dead neurons.

use std::collections::HashSet;
use std::path::PathBuf;

use clap::Args;
use ndarray::{Array1, ArrayD, IxDyn};

use crate::{Global, idle, table};
use maf_srl::compact::{self, Layer, Probe, Proof, Report, Size};
use maf_srl::error::{Error, Result, shape, unsupported};
use maf_srl_lab::data::{Carried, Dtype, Format, Select, Tensor, Tensors};

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
/// Both networks, the smaller one as it was written, are then evaluated on random inputs. The outputs must be equal bit for
/// bit, or within a bound derived from the length of the sums where a bias was folded; otherwise there is no output (exit
/// status 1).
///
/// Types (F16, BF16, F32), names and metadata stay. Weights and biases of other types are refused, and so is what else
/// belongs to a layer that becomes smaller and has its size, such as a mask. All other tensors that are no part of the
/// chain are copied as they are, those of normalisation layers included: a network that has some cannot be made smaller by
/// this command.
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
    /// How many random inputs both networks are given, up to a million [default: 64, or 8 with convolutions]
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
        let probe = |usual| Probe { inputs: self.inputs.unwrap_or(usual), ..Probe::default() };
        probe(PICTURES).check()?;
        let progress = global.progress(None, "reading");
        let select = self.select()?;
        let mut file = self.read(&select)?;
        let output = file.output(&self.out, &[])?;
        let stored = Stored::of(&file, &select)?;
        let large = self.chain(&stored)?;

        let convolutions = large.iter().any(|layer| layer.weight.ndim() == 4);
        idle(size.is_some() && !convolutions, "--input-size", "with a chain that has convolutions")?;

        let mut small = compact::run(&large, size)?;
        for layer in &mut small.layers {
            round(&stored, layer)?;
        }
        for (before, after) in large.iter().zip(&small.layers) {
            stored.nothing_beside(before, after, &large)?;
        }
        let usual = if convolutions { PICTURES } else { Probe::default().inputs };
        let probe = probe(usual);

        progress.set_message("writing and comparing");
        let mut new = Vec::new();
        for layer in &small.layers {
            if let Some(bias) = &layer.bias {
                new.push((bias_name(&layer.name), vec![bias.len()], bias.to_vec()));
            }
            new.push((
                layer.name.clone(),
                layer.weight.shape().to_vec(),
                layer.weight.iter().copied().collect(),
            ));
        }
        file.replace(new)?;
        // What is compared is what the file says, not what was meant.
        file.write_checked(output, Some(&select), |written| {
            let layers = self.chain(&Stored::of(&written, &select)?)?;
            as_meant(&small.layers, &layers)?;
            small.layers = layers;
            small.prove(&large, probe)
        })?;
        progress.finish_and_clear();
        global.print(&small.report, show)
    }

    /// The tensors that may belong to the chain.
    fn select(&self) -> Result<Select> {
        match &self.layers {
            None => r"(^|\.)(weight|bias)$".parse(),
            Some(names) => Ok(Select::Named(
                names
                    .iter()
                    .flat_map(|name| {
                        let stem = name.strip_suffix("weight").map_or(format!("{name}."), String::from);
                        [name.clone(), format!("{stem}weight"), format!("{stem}bias")]
                    })
                    .collect(),
            )),
        }
    }

    /// The file with those tensors; all others are carried over as bytes.
    fn read(&self, select: &Select) -> Result<Tensors> {
        Tensors::read(&self.input, Some(select)).map_err(|error| match error {
            Error::Text { .. } => self.missing(self.layers.as_ref().map_or("*.weight", |names| &names[0])),
            // a floating type that no tensor is read of
            Error::Unsupported { place, what, .. } => unsupported(place, what, FLOATS),
            error => error,
        })
    }

    fn missing(&self, name: &str) -> Error {
        self.wrong(name, "the file has no floating-point tensor of this name; --layers names the layers of the chain in order")
    }

    fn wrong(&self, name: &str, reason: &str) -> Error {
        Error::Text { place: self.input.display().to_string(), text: name.into(), reason: reason.into() }
    }

    /// The layers of the chain, first layer first.
    fn chain(&self, stored: &Stored) -> Result<Vec<Layer>> {
        let names = match &self.layers {
            None => self.all(stored)?,
            Some(layers) => self.named(stored, layers)?,
        };
        names.iter().map(|name| stored.layer(name)).collect()
    }

    /// The names of all weight tensors.
    fn all(&self, stored: &Stored) -> Result<Vec<String>> {
        let (mut weights, biases): (Vec<_>, Vec<_>) =
            stored.names().map(String::from).partition(|name| name.ends_with("weight"));
        if weights.is_empty() {
            return Err(self.missing("*.weight"));
        }
        // A layer whose weights have another name would be left out of the chain, and the rest would be no network.
        if let Some(alone) =
            biases.iter().find(|bias| weights.iter().all(|weight| bias_name(weight) != **bias))
        {
            let reason = "a bias without a tensor \".weight\" beside it; --layers names the layers of the chain in order";
            return Err(self.wrong(alone, reason));
        }
        weights.sort_by_cached_key(|name| natural(name));
        Ok(weights)
    }

    /// The names of the weight tensors that `--layers` means.
    fn named(&self, stored: &Stored, layers: &[String]) -> Result<Vec<String>> {
        let mut seen = HashSet::new();
        let name = |name: &String| {
            let mut forms = [name.clone(), format!("{name}.weight")].into_iter();
            let found = forms.find(|name| stored.names().any(|other| other == name));
            let found = found.ok_or_else(|| self.missing(name))?;
            // a bias serves one layer too
            match seen.insert(bias_name(&found)) {
                true => Ok(found),
                false => Err(Error::Text {
                    place: "--layers".into(),
                    text: name.clone(),
                    reason: "named twice, or has the bias of another layer; each is in the chain once".into(),
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

/// The types that a chain may have; rounding others would make new zeros.
const FLOATS: &str = "F16, BF16, F32; --layers names the layers of the chain in order";

/// The tensors of a file that may belong to the chain, whatever their type, and what else there is.
struct Stored<'a> {
    file: &'a Tensors,
    /// Those of the chain that hold no floating-point numbers.
    odd: Vec<Carried>,
    others: Vec<Carried>,
}

impl<'a> Stored<'a> {
    fn of(file: &'a Tensors, select: &Select) -> Result<Self> {
        let (odd, others) = file.carried()?.into_iter().partition(|tensor| select.matches(&tensor.name));
        Ok(Stored { file, odd, others })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.file.iter().map(Tensor::name).chain(self.odd.iter().map(|tensor| tensor.name.as_str()))
    }

    fn tensor(&self, name: &str) -> Result<Option<&'a Tensor>> {
        let of_type =
            |dtype: &str| unsupported(format!("tensor {name:?}"), format!("values of type {dtype}"), FLOATS);
        if let Some(odd) = self.odd.iter().find(|tensor| tensor.name == name) {
            return Err(of_type(&odd.dtype));
        }
        match self.file.iter().find(|tensor| tensor.name() == name) {
            Some(tensor) if tensor.dtype() == Dtype::F64 => Err(of_type("F64")),
            found => Ok(found),
        }
    }

    fn layer(&self, name: &str) -> Result<Layer> {
        let of = |tensor: &Tensor| {
            ArrayD::from_shape_vec(IxDyn(tensor.shape()), tensor.values().to_vec()).map_err(|e| {
                let got = format!("{:?} ({e})", tensor.shape());
                wrong_shape(tensor, got, "as many elements as the tensor has values")
            })
        };
        let weight = self.tensor(name)?.map_or_else(|| Ok(ArrayD::zeros(IxDyn(&[]))), of)?;
        let bias = self.tensor(&bias_name(name))?;
        if let Some(bias) = bias.filter(|bias| bias.shape().len() != 1) {
            return Err(wrong_shape(bias, format!("{:?}", bias.shape()), "[outputs]"));
        }
        let bias = bias.map(|bias| Array1::from(bias.values().to_vec()));
        Ok(Layer { name: name.into(), weight, bias })
    }

    /// Checks that no other tensor belongs to a layer and has an extent that the layer loses.
    fn nothing_beside(&self, before: &Layer, after: &Layer, chain: &[Layer]) -> Result<()> {
        let (old, new) = (before.weight.shape(), after.weight.shape());
        let lost: Vec<usize> =
            old.iter().zip(new).filter(|(old, new)| old != new).map(|(old, _)| *old).collect();
        let stem = before.name.strip_suffix("weight").map_or(format!("{}.", before.name), String::from);
        let belongs = |name: &str| {
            name.strip_prefix(&stem).is_some_and(|rest| {
                let own =
                    ["weight_", "weight.", "bias_", "bias."].iter().any(|start| rest.starts_with(start));
                own || !stem.is_empty() && !rest.contains('.')
            })
        };
        let in_chain = |name: &str| chain.iter().any(|l| l.name == name || bias_name(&l.name) == name);
        let chosen = self.file.iter().map(|tensor| (tensor.name(), tensor.shape()));
        let others = self.odd.iter().chain(&self.others).map(|tensor| (tensor.name.as_str(), &*tensor.shape));
        let beside = chosen.chain(others).find(|(name, shape)| {
            belongs(name) && !in_chain(name) && shape.iter().any(|extent| lost.contains(extent))
        });
        match beside {
            Some((name, shape)) => Err(unsupported(
                format!("tensor {name:?}"),
                format!("{shape:?} goes with layer {:?}, which would become {new:?} of {old:?}", before.name),
                "layers of a weight and a bias alone",
            )),
            None => Ok(()),
        }
    }
}

fn wrong_shape(tensor: &Tensor, got: String, expected: &str) -> Error {
    shape(format!("tensor {:?}", tensor.name()), "shape", got, expected)
}

/// Checks that the chain of the written file has the layers that were meant.
fn as_meant(meant: &[Layer], found: &[Layer]) -> Result<()> {
    let about = |layers: &[Layer]| -> Vec<String> {
        let bias =
            |layer: &Layer| layer.bias.as_ref().map_or("none".into(), |bias| format!("[{}]", bias.len()));
        layers.iter().map(|l| format!("{:?} {:?}, bias {}", l.name, l.weight.shape(), bias(l))).collect()
    };
    let (meant, found) = (about(meant).join("; "), about(found).join("; "));
    if meant == found {
        return Ok(());
    }
    Err(Error::Mismatch(format!("the written network has the layers {found}; expected {meant}")))
}

/// Rounds the biases to what the file can hold: those that something was folded into are new.
fn round(stored: &Stored, layer: &mut Layer) -> Result<()> {
    let name = bias_name(&layer.name);
    let (Some(bias), Some(tensor)) = (&mut layer.bias, stored.tensor(&name)?) else { return Ok(()) };
    for (k, value) in bias.iter_mut().enumerate() {
        let rounded = tensor.dtype().round(*value);
        maf_srl::error::require(
            rounded.is_finite() || !value.is_finite(),
            format_args!("tensor {name:?}, with the constants of dead neurons added"),
            format_args!("element {k}"),
            *value,
            format_args!("the range of {}", tensor.dtype()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_chain_must_be_the_one_that_was_meant() {
        let layer = |name: &str, shape: &[usize], bias: Option<usize>| Layer {
            name: name.into(),
            weight: ArrayD::zeros(shape),
            bias: bias.map(Array1::zeros),
        };
        let meant = [layer("a.weight", &[2, 3], Some(2)), layer("b.weight", &[1, 2], None)];
        as_meant(&meant, &meant).unwrap();
        for wrong in [
            &[layer("a.weight", &[2, 4], Some(2)), meant[1].clone()][..],
            &[layer("a.weight", &[2, 3], Some(3)), meant[1].clone()],
            &[layer("a.weight", &[2, 3], None), meant[1].clone()],
            &[meant[1].clone(), meant[0].clone()],
            &meant[..1],
        ] {
            let error = as_meant(&meant, wrong).unwrap_err();
            assert!(matches!(&error, Error::Mismatch(text) if text.contains("\"b.weight\"")), "{error}");
        }
    }
}
