//! `maf-srl norms`: a norm of each group of the tensors of a file.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::{Global, Grouped, table, tell_left};
use maf_srl::error::{Error, Result};
use maf_srl::kernels::Outcome;
use maf_srl::kernels::norms::{self, Norm, NormsReference};
use maf_srl::penalty::{Groups, Layout};
use maf_srl::schedule::Backend;
use maf_srl::text::printable;
use maf_srl_lab::data::{Select, Tensor};

/// Print a norm of each group of weights of a file
///
/// One number per row, column, filter, channel or block of each tensor: the sum of magnitudes (l1), the root of the sum of
/// squares (l2), the largest magnitude (linf), or the count of weights that are not zero (l0). A group with a NaN has the
/// norm NaN, one with an infinity the norm infinity (null in JSON); both count as not zero. Tensors without such groups,
/// as biases have no rows, are left out with a notice; those that --select names must have them.
///
/// Every number is compared with the float64 reference; a mismatch is an error (exit status 1).
#[derive(Args, Clone, Debug)]
pub struct Norms {
    /// The weights: .npy or .safetensors
    #[arg(long = "in", value_name = "W")]
    input: PathBuf,
    /// Which weights form a group: rows, columns, filters, channels, axis:K, blocks:K or whole. In [outputs, inputs, ...]
    /// a row or filter belongs to an output, a column or channel to an input
    #[arg(long, value_name = "GROUPS")]
    groups: String,
    /// The norm: l1, l2, linf or l0
    #[arg(long, value_name = "NORM", default_value = "l2")]
    norm: String,
    /// Only the tensors whose name this regular expression matches
    #[arg(long, value_name = "REGEX")]
    select: Option<String>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document {
    adapter: String,
    norm: String,
    groups: String,
    tensors: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    norm: String,
    /// How many there are.
    groups: u64,
    /// Groups whose norm is 0.
    zero: u64,
    /// Groups whose norm is NaN or infinite.
    nonfinite: u64,
    /// Groups compared with the float64 reference; none with `--device cpu`, which is the reference.
    verified: u64,
    mismatches: u64,
    /// One number per group, in order.
    values: Vec<Option<Number>>,
}

/// Written as short as its type allows.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
enum Number {
    Count(u32),
    Norm(f32),
}

impl Norms {
    pub(super) fn run(&self, global: &Global) -> Result<()> {
        let layout: Layout = self.groups.parse()?;
        let norm: Norm = self.norm.parse()?;
        let select = self.select.as_deref().map(str::parse::<Select>).transpose()?;

        let progress = global.progress(None, "reading");
        let Grouped { tensors, groups, left } = Grouped::read(&self.input, select.as_ref(), Some(&layout))?;
        let values: Vec<_> = tensors.iter().map(Tensor::row_major).collect::<Result<_>>()?;
        let backend = global.backend()?;

        progress.set_message(printable(&format!("norms on {}", backend.name())));
        let work: Vec<(&[f32], &Groups)> = values.iter().map(|v| &**v).zip(&groups).collect();
        let reference = |groups: &Groups| NormsReference::new(norm, groups);
        let (words, found): (Vec<Vec<u32>>, Vec<Outcome>) = match &backend {
            Backend::Gpu(context) => {
                let words = norms::norms(context, norm, &work)?;
                let found = work.iter().zip(&words).map(|((v, g), words)| reference(g).compare(v, words));
                let found = found.collect();
                (words, found)
            }
            Backend::Cpu => {
                let word = |value: f64| norm.word(value);
                let of = |(v, g): &(&[f32], &Groups)| reference(g).values(v).into_iter().map(word).collect();
                (work.iter().map(of).collect(), vec![Outcome::default(); work.len()])
            }
        };
        progress.finish_and_clear();
        tell_left(&left, &layout, "left out");
        for (tensor, outcome) in tensors.iter().zip(&found) {
            if let Some(what) = outcome.first_mismatch() {
                return Err(Error::Mismatch(format!("tensor {:?}, {what}", tensor.name())));
            }
        }
        let rows = tensors.iter().zip(words).zip(found);
        let document = Document {
            adapter: backend.name(),
            norm: norm.to_string(),
            groups: layout.to_string(),
            tensors: rows.map(|((tensor, words), found)| Row::new(tensor, norm, &words, &found)).collect(),
        };
        global.print(&document, Document::table)
    }
}

impl Row {
    fn new(tensor: &Tensor, norm: Norm, words: &[u32], found: &Outcome) -> Self {
        let number = |&word: &u32| match norm {
            Norm::L0 => Some(Number::Count(word)),
            _ => Some(f32::from_bits(word)).filter(|value| value.is_finite()).map(Number::Norm),
        };
        let values: Vec<_> = words.iter().map(number).collect();
        Row {
            name: tensor.name().into(),
            norm: norm.to_string(),
            groups: words.len() as u64,
            zero: words.iter().filter(|&&word| word == 0).count() as u64,
            nonfinite: values.iter().filter(|value| value.is_none()).count() as u64,
            verified: found.checked,
            mismatches: found.mismatches,
            values,
        }
    }

    /// Least, mean and largest of the norms that are finite.
    fn spread(&self) -> [String; 3] {
        let numbers: Vec<f64> = self
            .values
            .iter()
            .flatten()
            .map(|number| match *number {
                Number::Count(count) => f64::from(count),
                Number::Norm(norm) => f64::from(norm),
            })
            .collect();
        if numbers.is_empty() {
            return ["-"; 3].map(String::from);
        }
        let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let largest = numbers.iter().copied().fold(0.0, f64::max);
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        [least, mean, largest].map(|number| match number {
            n if n != 0.0 && !(1e-3..1e6).contains(&n) => format!("{n:.4e}"),
            n => format!("{n:.4}"),
        })
    }
}

impl Document {
    fn table(&self) -> String {
        let head = ["name", "groups", "min", "mean", "max", "zero", "nonfinite", "verified", "mismatches"];
        let row = |r: &Row| {
            let counts = [r.zero, r.nonfinite, r.verified, r.mismatches].map(|n| n.to_string());
            [vec![r.name.clone(), r.groups.to_string()], r.spread().to_vec(), counts.to_vec()].concat()
        };
        let rows: Vec<_> =
            std::iter::once(head.map(String::from).to_vec()).chain(self.tensors.iter().map(row)).collect();
        format!("{} of {} on {}\n{}", self.norm, self.groups, self.adapter, table(&rows))
    }
}
