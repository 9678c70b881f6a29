//! `maf-srl prox`: one proximal step on the tensors of a file.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use rayon::prelude::*;
use serde::Serialize;

use crate::{Global, Grouped, idle, penalties, table, tell_left};
use maf_srl::error::{Result, require, shape, unsupported};
use maf_srl::kernels::step::{Optimizer, StepParameters};
use maf_srl::penalty::{self, Group, GroupPenalty, Layout, Penalty, WEIGHT};
use maf_srl::schedule::{Backend, HostSchedule, Spec, TensorReport, Verify};
use maf_srl::text::printable;
use maf_srl_lab::data::{Format, Select, Tensor, Tensors};

/// How many tensors `--verify sample` checks.
const SAMPLE: usize = 8;

/// Take one proximal step on the tensors of a file
///
/// Y = prox_{lr*lambda*P}(W - lr*G), element by element, in f32, with G = 0 where no gradient is given. SCAD and MCP
/// take the step size lr and the penalty's own lambda. With --group the operator of a penalty of groups follows:
/// Y = prox_{lr*group-lambda*GP}(prox_{lr*lambda*P}(W - lr*G)); a group with a member that is not finite becomes NaN.
/// Tensors without such groups, as biases have no rows, are written unchanged with a notice; those that --select names
/// must have them.
///
/// Files are told by their extension: .npy (float32 or float64) and .safetensors (F16, BF16, F32, F64). Values
/// are computed in f32 and rounded to the file's type, to nearest even. Everything else in the file is carried
/// over. NaN and infinities stay what they are (a signalling NaN of a 16-bit file becomes quiet); a step with a gradient
/// turns them into NaN. The input is never
/// touched, and where a check fails no output is written (exit status 1).
#[derive(Args, Clone, Debug)]
pub struct Prox {
    /// The weights: .npy or .safetensors
    #[arg(long = "in", value_name = "W")]
    input: PathBuf,
    /// The output, in the format of the input; an older file is replaced
    #[arg(long, value_name = "Y")]
    out: PathBuf,
    /// The penalty, with parameters as in "tl1(a=1)"; --help lists all
    #[arg(long, value_name = "P", long_help = help())]
    penalty: String,
    /// The weight of the penalty
    #[arg(long, default_value_t = 1e-3)]
    lambda: f64,
    /// The step size (learning rate)
    #[arg(long, default_value_t = 1.0)]
    lr: f64,
    /// A penalty of groups, as in "lasso(weight=sqrt-size)"; --help lists all
    #[arg(long, value_name = "GP", long_help = group_help())]
    group: Option<String>,
    /// The weight of the penalty of groups [default: 0.001]
    #[arg(long)]
    group_lambda: Option<f64>,
    /// The groups: rows, columns, filters, channels, axis:K, blocks:K, whole [default: rows]
    #[arg(long, value_name = "LAYOUT")]
    groups: Option<String>,
    /// The exact prox of the sum lambda*P + group-lambda*lasso in place of one operator after the other; computed in
    /// float64 on the CPU, with no other --device, and checked against nothing, with no --verify
    #[arg(long)]
    exact: bool,
    /// The gradient, with the names and shapes of the weights
    #[arg(long, value_name = "G")]
    grad: Option<PathBuf>,
    /// Only the tensors whose name this regular expression matches; the others are carried over
    #[arg(long, value_name = "REGEX")]
    select: Option<String>,
    /// Which tensors are compared with the float64 reference [default: full]
    #[arg(long, value_enum, conflicts_with = "exact")]
    verify: Option<Check>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Check {
    /// Every tensor
    Full,
    /// Eight tensors drawn from the file, or all where there are fewer
    Sample,
    /// None
    Off,
}

/// The long help of `--penalty`.
fn help() -> String {
    let list = penalties(|penalty| format!("p(y) = {}", penalty.rule().formula()));
    format!("The penalty, with its default parameters; y is the magnitude of a weight\n\n{list}")
}

/// What `--group` says for no penalty of groups. Numbers beside it may stay, as lambda may beside the penalty none.
const NO_GROUP: &str = "none";

/// The long help of `--group`.
fn group_help() -> String {
    let rows: Vec<_> = GroupPenalty::all().iter().map(|p| (p.to_string(), p.rule().formula())).collect();
    let width = rows.iter().map(|row| row.0.len()).max().unwrap_or(0);
    let list: String = rows.iter().map(|(p, about)| format!("  {p:<width$}  P(y) = {about}\n")).collect();
    format!(
        "A penalty of groups, with its default parameters; lasso also takes weight=sqrt-size [default: {NO_GROUP}]\n\n{list}"
    )
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document {
    adapter: String,
    penalty: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    tensors: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    elements: u64,
    /// Before the step.
    nonzeros_before: u64,
    /// In the output.
    nonzeros: u64,
    /// NaN and infinities in the output.
    nonfinite: u64,
    /// Elements compared with the float64 reference; none with `--device cpu`, which is the reference.
    verified: u64,
    mismatches: u64,
}

impl Prox {
    pub(super) fn run(&self, global: &Global) -> Result<()> {
        let penalty: Penalty = self.penalty.parse()?;
        let hyper = StepParameters::new(self.lr, 1)?;
        penalty.prox(self.lr, self.lambda)?;
        for (given, option) in
            [(self.group_lambda.is_some(), "--group-lambda"), (self.groups.is_some(), "--groups")]
        {
            idle(given && self.group.is_none(), option, "with --group")?;
        }
        if self.exact {
            global.no_adapter("--exact")?;
        }
        let group_lambda = self.group_lambda.unwrap_or(1e-3);
        require(WEIGHT.contains(group_lambda), "--group-lambda", "lambda", group_lambda, WEIGHT)?;
        let group = self.group_penalty()?;
        let layout: Layout = self.groups.as_deref().unwrap_or("rows").parse()?;
        let select = self.select.as_deref().map(str::parse::<Select>).transpose()?;
        Format::of(&self.out)?;

        let progress = global.progress(None, "reading");
        let Grouped { tensors: mut weights, groups, left } =
            Grouped::read(&self.input, select.as_ref(), group.as_ref().map(|_| &layout))?;
        let gradients = self.grad.as_deref().map(|path| Tensors::read(path, select.as_ref())).transpose()?;
        let inputs: Vec<&Path> = self.grad.as_deref().into_iter().collect();
        let output = weights.output(&self.out, &inputs)?;
        let gradients =
            gradients.as_ref().map(|g| matched(&weights, &left, g, group.is_some())).transpose()?;
        let mut specs: Vec<Spec> =
            weights.iter().map(|t| Spec::new(t.name(), penalty, self.lambda)).collect();
        if let Some(group) = group {
            for (spec, groups) in specs.iter_mut().zip(groups) {
                spec.group = Some(Group::new(group, group_lambda, groups));
            }
        }
        let backend = if self.exact { Backend::Cpu } else { global.backend()? };

        progress.set_message(printable(&format!("step on {}", backend.name())));
        let mut rows: Vec<Row> = weights.iter().map(Row::before).collect();
        let mut turned = weights
            .iter()
            .map(|tensor| if group.is_some() { turned(tensor) } else { Ok(None) })
            .collect::<Result<Vec<_>>>()?;
        let mut values: Vec<&mut [f32]> = weights
            .iter_mut()
            .zip(&mut turned)
            .map(|(tensor, turned)| turned.as_deref_mut().unwrap_or(tensor.values_mut()))
            .collect();
        if self.exact {
            exact(&specs, &mut values, gradients.as_deref(), self.lr)?;
        } else {
            let check = self.verify.unwrap_or(Check::Full);
            let found = step(&backend, &specs, &mut values, gradients.as_deref(), hyper, check)?;
            for (row, found) in rows.iter_mut().zip(found) {
                (row.verified, row.mismatches) = (found.checked, found.mismatches);
            }
        }
        for (tensor, turned) in weights.iter_mut().zip(turned) {
            turned.map_or(Ok(()), |values| tensor.set_row_major(&values))?;
        }
        for (tensor, row) in weights.iter_mut().zip(&mut rows) {
            tensor.round();
            row.after(tensor);
        }

        progress.set_message("writing");
        weights.write_to(output)?;
        progress.finish_and_clear();
        tell_left(&left, &layout, "written unchanged");
        let group = group.map(|g| format!("{g} on {layout}{}", if self.exact { ", exact" } else { "" }));
        let document =
            Document { adapter: backend.name(), penalty: penalty.to_string(), group, tensors: rows };
        global.print(&document, Document::table)
    }

    /// The penalty of groups, checked against `--exact`.
    fn group_penalty(&self) -> Result<Option<GroupPenalty>> {
        let name = self.group.as_deref().map_or(NO_GROUP, str::trim);
        let group: Option<GroupPenalty> = match name {
            NO_GROUP => None,
            text => Some(text.parse()?),
        };
        if self.exact && !matches!(group, Some(GroupPenalty::Lasso(_))) {
            return Err(unsupported(
                "--exact",
                format!("--group {name}"),
                "--group lasso or \"lasso(weight=sqrt-size)\"; the others by themselves (cges, exclusive, log, l1-l2) are exact",
            ));
        }
        Ok(group)
    }
}

/// The values in row-major order, which groups are counted in, where the file has them in another.
fn turned(tensor: &Tensor) -> Result<Option<Vec<f32>>> {
    Ok(match tensor.row_major()? {
        Cow::Owned(values) => Some(values),
        Cow::Borrowed(_) => None,
    })
}

/// The exact prox of the sum of both penalties, in place, on all cores.
fn exact(
    specs: &[Spec],
    weights: &mut [&mut [f32]],
    gradients: Option<&[Cow<'_, [f32]>]>,
    rate: f64,
) -> Result<()> {
    for (k, (values, spec)) in weights.iter_mut().zip(specs).enumerate() {
        let Some(group) = &spec.group else { continue };
        let prox = spec.penalty.prox(rate, spec.lambda)?;
        let gradient = gradients.map(|g| &*g[k]);
        let point = |i: usize| f64::from(values[i]) - gradient.map_or(0.0, |g| rate * f64::from(g[i]));
        let results: Result<Vec<(u64, Vec<f64>)>> = (0..group.groups.count())
            .into_par_iter()
            .map(|g| {
                let x: Vec<f64> = group.groups.members(g).map(point).collect();
                let t = rate * group.lambda * f64::from(group.weight(g));
                Ok((g, penalty::exact(&prox, t, &x)?))
            })
            .collect();
        for (g, y) in results? {
            for (i, y) in group.groups.members(g).zip(y) {
                // what is too small for f32 is +0.0 as well
                values[i] = match y as f32 {
                    0.0 => 0.0,
                    y => y,
                };
            }
        }
    }
    Ok(())
}

impl From<Check> for Verify {
    fn from(check: Check) -> Self {
        match check {
            Check::Full => Verify::Full,
            Check::Sample => Verify::Sample { every: 1, tensors: SAMPLE, seed: 0 },
            Check::Off => Verify::Off,
        }
    }
}

/// Takes the step in place and returns what the checks of each tensor found. A mismatch is an error.
fn step(
    backend: &Backend,
    specs: &[Spec],
    weights: &mut [&mut [f32]],
    gradients: Option<&[Cow<'_, [f32]>]>,
    hyper: StepParameters,
    check: Check,
) -> Result<Vec<TensorReport>> {
    let base = if gradients.is_some() { Optimizer::Gradient } else { Optimizer::Prox };
    let before: Vec<&[f32]> = weights.iter().map(|values| &**values).collect();
    let mut schedule = HostSchedule::new(backend, specs, &before, base, check.into())?;
    let gradients: Vec<&[f32]> = gradients.unwrap_or_default().iter().map(|g| &**g).collect();
    schedule.step(hyper, &gradients, weights)?;
    Ok(schedule.finish()?.tensors)
}

/// The gradient of each weight tensor, its values in the order of the weights' file, or in row-major order. There may be
/// gradients of tensors that are `left` as they are.
fn matched<'a>(
    weights: &Tensors,
    left: &[(String, Vec<usize>)],
    gradients: &'a Tensors,
    row_major: bool,
) -> Result<Vec<Cow<'a, [f32]>>> {
    let wrong = |name: &str, got: String, expected: &str| {
        shape(format!("tensor {name:?}"), "gradient", got, expected)
    };
    if weights.format() != gradients.format() {
        return Err(wrong(
            weights.iter().next().map_or("", Tensor::name),
            format!("in a {} file", gradients.format()),
            &format!("in a {} file as the weights", weights.format()),
        ));
    }
    // The one tensor of a .npy file is named after the file.
    let named = weights.format() == Format::Safetensors;
    let known: HashSet<&str> =
        weights.iter().map(Tensor::name).chain(left.iter().map(|(name, _)| name.as_str())).collect();
    if let Some(other) = gradients.iter().find(|g| named && !known.contains(g.name())) {
        return Err(wrong(other.name(), "given".into(), "none: the weights have no such tensor"));
    }
    let by_name: std::collections::HashMap<_, _> = gradients.iter().map(|g| (g.name(), g)).collect();
    let of = |weight: &Tensor| match named {
        true => by_name.get(weight.name()).copied(),
        false => gradients.iter().next(),
    };
    weights
        .iter()
        .map(|weight| {
            let gradient = of(weight).ok_or_else(|| {
                wrong(weight.name(), "missing".into(), &format!("a tensor of shape {:?}", weight.shape()))
            })?;
            let alike = gradient.values_like(weight)?;
            if row_major { gradient.row_major() } else { Ok(alike) }
        })
        .collect()
}

impl Row {
    fn before(tensor: &Tensor) -> Self {
        Row {
            name: tensor.name().into(),
            elements: tensor.values().len() as u64,
            nonzeros_before: nonzeros(tensor),
            nonzeros: 0,
            nonfinite: 0,
            verified: 0,
            mismatches: 0,
        }
    }

    fn after(&mut self, tensor: &Tensor) {
        self.nonzeros = nonzeros(tensor);
        self.nonfinite = tensor.values().iter().filter(|v| !v.is_finite()).count() as u64;
    }
}

/// NaN counts as nonzero.
fn nonzeros(tensor: &Tensor) -> u64 {
    tensor.values().iter().filter(|&&v| v != 0.0).count() as u64
}

impl Document {
    fn table(&self) -> String {
        let head =
            ["name", "elements", "nonzero before", "after", "density", "nonfinite", "verified", "mismatches"];
        let row = |r: &Row| {
            let density = match r.elements {
                0 => "-".into(),
                n => format!("{:.4}", r.nonzeros as f64 / n as f64),
            };
            let counts = [r.elements, r.nonzeros_before, r.nonzeros].map(|n| n.to_string());
            let checks = [r.nonfinite, r.verified, r.mismatches].map(|n| n.to_string());
            [vec![r.name.clone()], counts.to_vec(), vec![density], checks.to_vec()].concat()
        };
        let rows: Vec<_> =
            std::iter::once(head.map(String::from).to_vec()).chain(self.tensors.iter().map(row)).collect();
        let group = self.group.as_ref().map(|g| format!(", then {g},")).unwrap_or_default();
        format!("{}{group} on {}\n{}", self.penalty, self.adapter, table(&rows))
    }
}
