//! `maf-srl train`: train a classifier with each method and compare.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use crate::{Global, idle, note, note_mistaken, note_removed, penalties};
use maf_srl::error::{self, Error, Result};
use maf_srl::kernels::step::Optimizer;
use maf_srl::network::Family;
use maf_srl::penalty::Penalty;
use maf_srl::regulariser::{Regulariser, file};
use maf_srl::schedule::Verify;
use maf_srl_lab::data::Source;
use maf_srl_lab::train::method::{Regularisation, SOLVERS};
use maf_srl_lab::train::{
    self, Choices, Folder, Method, Options, Study, Summary, file_stem, learned, method,
};

/// Train a classifier with each method and compare accuracy and sparsity
///
/// A multilayer perceptron computes the gradients on the host; every weight matrix and bias takes each step on the
/// device, the prox of the method's penalty included, and is compared with float64. Each method is trained with the
/// same seeds. Results, charts and weights go to OUT_DIR/NAME.
#[derive(Args, Clone, Debug)]
pub struct Train {
    /// The data set: digits (built in), mnist, fashion-mnist, pendigits, cifar10
    #[arg(long, default_value = "digits")]
    data: String,
    /// The folder with the data set's files
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Methods separated by commas: "dense", a penalty, or one with groups, as in "tl1(a=0.5),sgl"; --help lists all
    #[arg(long, value_name = "LIST", long_help = help())]
    method: Option<String>,
    /// The weight of the penalty, for all methods; several make a row each [default: one per method, see --help of
    /// --method]
    #[arg(long, value_name = "LIST", allow_hyphen_values = true)]
    lambda: Option<String>,
    /// The weight of the group penalty [default: lambda]
    #[arg(long)]
    group_lambda: Option<f64>,
    /// A file with a learned regulariser (module maf_srl::regulariser::file): adds the method "maf"
    #[arg(long, value_name = "FILE", long_help = REGULARISER_HELP)]
    regulariser: Option<PathBuf>,
    #[arg(long, value_name = "N", help = format!(
        "Weights per block of dsrl and maf-srl, which are consecutive inputs of one neuron [default: {}]",
        learned::BLOCK
    ))]
    block: Option<u32>,
    /// Layers of the network that learns dsrl and maf-srl; several make a row each [default: 10; preset layers: 2 to 30]
    #[arg(long, value_name = "LIST")]
    layers: Option<String>,
    #[arg(long, help = format!(
        "The share of entries of maf-srl's matrix that may be nonzero [default: {}]",
        learned::DENSITY
    ))]
    matrix_density: Option<f64>,
    /// The share of the weights that is to be left, biases not counted: lambda follows until it is met [default: what
    /// lambda leaves]
    #[arg(long, long_help = DENSITY_HELP)]
    density: Option<f64>,
    /// How weight matrices are divided into groups: auto, rows, columns, blocks:K, whole [default: auto]
    #[arg(long, long_help = GROUPS_HELP)]
    groups: Option<String>,
    /// How penalties enter the steps, several make a row each: proximal, proximal-subgradient, subgradient, splitting
    #[arg(long, value_name = "LIST", long_help = SOLVER_HELP)]
    solver: Option<String>,
    /// The first weight of |W - V|^2 / 2 in splitting [default: 25 lambda; preset solvers: 400 lambda]
    #[arg(long)]
    beta: Option<f64>,
    /// The factor of beta every --beta-every epochs [default: 1.25]
    #[arg(long)]
    sigma: Option<f64>,
    /// Epochs between two changes of beta [default: 40; preset solvers: 2]
    #[arg(long, value_name = "EPOCHS")]
    beta_every: Option<usize>,
    /// The V step of scad and mcp in splitting
    #[arg(long, value_enum, default_value_t = VStep::Minimiser)]
    v_step: VStep,
    /// Defaults for a whole comparison; options beside it come first
    #[arg(long, value_enum, long_help = PRESET_HELP)]
    preset: Option<Preset>,
    /// Passes over the training part [default: 100 for digits, 30 for pendigits, else 10]
    #[arg(long)]
    epochs: Option<u64>,
    /// Rows per step [default: 64]
    #[arg(long)]
    batch: Option<usize>,
    /// The first learning rate; a cosine takes it towards 0 [default: 0.1; adam, adamw, adam-metric: 0.005]
    #[arg(long)]
    lr: Option<f64>,
    /// Widths of the hidden layers, separated by commas
    #[arg(long, value_name = "LIST", default_value = "128")]
    hidden: String,
    /// The step before the prox: gradient, heavy-ball, nesterov, adam, adamw, adam-metric; parameters as in
    /// "heavy-ball(momentum=0.9)" [default: heavy-ball]
    #[arg(long)]
    optimizer: Option<String>,
    /// Standard deviation of the noise on training inputs (features span 2) [default: 0.3]
    #[arg(long)]
    noise: Option<f64>,
    /// The share of the run over which lambda rises from 0
    #[arg(long, default_value_t = Options::default().warm_up)]
    warm_up: f64,
    /// The share of the epochs, at the end, that refit the weights left: lambda 0, zeros kept [default: 0.3]
    #[arg(long)]
    refit: Option<f64>,
    /// The epoch after which weights that are zero stay zero; 0: from the first zero on [default: where the refit
    /// begins]
    #[arg(long, value_name = "EPOCH")]
    freeze_after: Option<usize>,
    /// Runs per method, with consecutive seeds
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The name of the run [default: the data set's]
    #[arg(long, value_name = "RUN")]
    name: Option<String>,
    /// Where runs are kept
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out_dir: PathBuf,
    /// Which steps are compared with the float64 reference [default: full]
    #[arg(long, value_enum)]
    verify: Option<Check>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Check {
    /// Every tensor at every step
    Full,
    /// One tensor at every tenth step
    Sample,
    /// None
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum VStep {
    /// The minimiser of the subproblem
    Minimiser,
    /// With lambda / beta in place of lambda, as printed by Bui et al.
    AsPublished,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Preset {
    /// Solvers against each other
    Solvers,
    /// The parameter a of tl1
    Tl1A,
    /// The layers of the network that learns a regulariser
    Layers,
    /// Hand-made and learned penalties, each with the lambda that the validation part chooses
    Comparison,
}

impl Preset {
    fn study(self) -> Option<Study> {
        match self {
            Preset::Solvers => None,
            Preset::Tl1A => Some(Study::Tl1A),
            Preset::Layers => Some(Study::Layers),
            Preset::Comparison => Some(Study::Comparison),
        }
    }
}

/// The word for the layout that each method chooses.
const AUTO: &str = "auto";

const GROUPS_HELP: &str = "How weight matrices [outputs, inputs] are divided into groups: auto, rows, columns, blocks:K, \
whole. A row holds the weights into one neuron, a column those out of one (the groups of Bui et al.). auto: what makes \
hidden neurons superfluous, that is rows, and columns in the last layer; for l1-l2 the whole matrix. [default: auto]";

const DENSITY_HELP: &str = "The share of the weights that is to be left, biases not counted [default: what lambda leaves]. \
Lambda is the first guess of a controller: the density falls along a cubic ramp, lambda follows what is counted after each step, and \
once the density is met, within a fiftieth of it, the penalty is off and zeros stay. A run whose density is not met says so. Not with \
the solver subgradient, which makes no zeros, and without --warm-up.";

const REGULARISER_HELP: &str = "A learned regulariser of n components, as safetensors: adds the method \"maf\", whose steps are \
proximal. Of layers with parameters of their own the last one's are taken. Weight matrices with n inputs are divided into rows, \
others of a multiple of n weights into runs of n; the rest go without a penalty. lambda is its weight [default: \
0.035 ||diag(sqrt q) Â|| / delta1, not tuned]. Weights become sparse in the regulariser's atoms; only those of whole rows or runs become zero, in general.";

const SOLVER_HELP: &str =
    "How penalties enter the steps; several, separated by commas, make a row each [default: proximal]:

proximal              both by their operators, after the base step
proximal-subgradient  the group lasso by its subgradient, the other by its prox; Bui et al. (20)
subgradient           both by their subgradients: no weight becomes exactly zero
splitting             variable splitting, Bui et al., algorithm 1; its result is the sparse copy V

All but proximal take no other group penalty than lasso.";

const PRESET_HELP: &str = "Defaults for a whole comparison; options beside it come first:

solvers: after Bui et al., tables 10 and 11. sgl by the four solvers and several lambdas, with plain gradient steps, where a \
lambda means the same to all of them: learning rate 0.3 (Adam, as in the paper: 0.001), batches of 128, no noise, no refit, \
every tenth step checked, beta = 400 lambda growing every 2 epochs. The test part is looked at after each epoch, and \
solvers.md and solvers.svg are written too.

tl1-a: after Ma et al., section 4.4. tl1 and integrated-tl1 with a from 0.001 to 100, each with several lambdas, of which the \
validation part chooses; tl1-a.md and tl1-a.svg are written too.

layers: after MAF-SRL, Fig. 3. dsrl and maf-srl learned with 2 to 30 layers; layers.md and layers.svg are written too.

comparison: hand-made and learned penalties, each with several lambdas, of which the validation part chooses; comparison.md is \
written too. A row of it says so where no lambda is sparse enough, or the one chosen is the smallest or largest tried.";

/// The methods of the preset `comparison`: those of table 2 of MAF-SRL and of Ma et al. that are here.
const COMPARED: &str = "dense,l1,l1-l2,sgl,cges,scad,capped-l1,log,mcp,tl1,integrated-tl1,dsrl,maf-srl";

/// The values of a in the paper.
const TL1_A: &str = "tl1(a=0.001),tl1(a=0.01),tl1(a=0.1),tl1(a=1),tl1(a=10),tl1(a=100),integrated-tl1(a=0.001),\
integrated-tl1(a=0.01),integrated-tl1(a=0.1),integrated-tl1(a=1),integrated-tl1(a=10),integrated-tl1(a=100)";

/// What an option has where it is not given.
struct Defaults {
    method: &'static str,
    lambda: Option<&'static str>,
    layers: Option<&'static str>,
    solver: &'static str,
    optimizer: &'static str,
    batch: usize,
    rate: f64,
    adam_rate: f64,
    noise: f64,
    refit: f64,
    beta_ratio: f64,
    sigma: f64,
    beta_every: usize,
    verify: Check,
}

impl Defaults {
    fn of(preset: Option<Preset>) -> Self {
        let options = Options::default();
        let plain = Defaults {
            method: method::DEFAULT_METHODS,
            lambda: None,
            layers: None,
            solver: "proximal",
            optimizer: "heavy-ball",
            batch: options.batch,
            rate: options.rate,
            adam_rate: 0.005,
            noise: options.noise,
            refit: options.refit,
            beta_ratio: method::BETA_RATIO,
            sigma: options.sigma,
            beta_every: options.beta_every,
            verify: Check::Full,
        };
        match preset {
            None => plain,
            Some(Preset::Tl1A) => Defaults {
                method: TL1_A,
                lambda: Some("0.0025,0.005,0.01,0.02,0.04,0.07,0.1,0.2,0.4"),
                verify: Check::Sample,
                ..plain
            },
            Some(Preset::Layers) => Defaults {
                method: "dsrl,maf-srl",
                layers: Some("2,4,8,12,16,20,24,30"),
                verify: Check::Sample,
                ..plain
            },
            Some(Preset::Comparison) => Defaults {
                method: COMPARED,
                lambda: Some("0.004,0.008,0.016,0.032,0.064,0.12,0.25,0.5,1"),
                verify: Check::Sample,
                ..plain
            },
            Some(Preset::Solvers) => Defaults {
                method: "sgl",
                lambda: Some("0.00003,0.0001,0.0003,0.001"),
                solver: "subgradient,proximal-subgradient,proximal,splitting",
                optimizer: "gradient",
                batch: 128,
                rate: 0.3,
                adam_rate: 0.001,
                noise: 0.0,
                refit: 0.0,
                // in 10 epochs the 25 lambda of the paper, made for 200, leave V behind
                beta_ratio: 400.0,
                beta_every: 2,
                verify: Check::Sample,
                ..plain
            },
        }
    }
}

/// The long help of `--method`.
fn help() -> String {
    let list = penalties(|penalty| match method::default_lambda(penalty) {
        Some(lambda) => format!("lambda {lambda}"),
        None => "no default lambda".into(),
    });
    let named = |n: &method::Named| format!("  {}  lambda {}\n      {}\n", n.text(), n.lambda, n.about);
    let named: String = method::NAMED.iter().map(named).collect();
    let learned = |kind: &maf_srl::network::Family| {
        format!("  {}  lambda {}\n", kind.name(), method::learned_lambda(*kind))
    };
    let learned: String = maf_srl::network::Family::ALL.iter().map(learned).collect();
    format!(
        "Methods separated by commas: \"dense\" (no penalty), or penalties, with their default lambdas (for heavy-ball \
         and nesterov on DIGITS):\n\n{list}\nWith penalties of groups:\n\n{named}\nWith a regulariser learned for each seed \
         from the weights of a dense network of that seed, on blocks of --block weights; lambda is its slope at zero:\n\n\
         {learned}\nOther pairs of an elementwise and \
         a group penalty are written with a plus, as in \"tl1(a=0.5)+lasso(weight=sqrt-size)\", and need --lambda. [default: {}]",
        method::DEFAULT_METHODS
    )
}

/// Numbers separated by commas.
fn numbers(place: &str, text: &str) -> Result<Vec<f64>> {
    let number = |part: &str| {
        part.trim().parse().map_err(|_| Error::Text {
            place: place.into(),
            text: text.into(),
            reason: "numbers separated by commas, as in 0.01 or 0.01,0.02".into(),
        })
    };
    text.split(',').map(number).collect()
}

/// Whole numbers of `--layers`.
fn layers(text: &str) -> Result<Vec<u32>> {
    let number = |part: &str| {
        part.trim().parse().map_err(|_| Error::Text {
            place: "--layers".into(),
            text: text.into(),
            reason: "whole numbers separated by commas, as in 10 or 2,4,8".into(),
        })
    };
    text.split(',').map(number).collect()
}

/// The regulariser of a file's last layer.
fn regulariser(path: &std::path::Path) -> Result<Arc<Regulariser>> {
    let (mut layers, _) = file::load(path)?;
    let wrong = |reason: &dyn std::fmt::Display| error::file(path, "last layer", reason);
    let last = layers.pop().ok_or_else(|| wrong(&"there is none"))?;
    Regulariser::new(last).map(Arc::new).map_err(|e| wrong(&e).with_source(e))
}

impl Train {
    /// The rows of the comparison.
    fn methods(&self) -> Result<Vec<Method>> {
        let defaults = Defaults::of(self.preset);
        let lambdas = self.lambda.as_deref().or(defaults.lambda);
        let solvers = self.solver.as_deref().unwrap_or(defaults.solver);
        let choices = Choices {
            lambdas: lambdas.map_or(Ok(Vec::new()), |text| numbers("--lambda", text))?,
            group_lambda: self.group_lambda,
            solvers: solvers.split(',').map(|s| s.trim().to_owned()).collect(),
            beta: self.beta,
            beta_ratio: defaults.beta_ratio,
            published: self.v_step == VStep::AsPublished,
            regulariser: self.regulariser.as_deref().map(regulariser).transpose()?,
            block: self.block.unwrap_or(learned::BLOCK),
            layers: match self.layers.as_deref().or(defaults.layers) {
                Some(text) => layers(text)?,
                None => vec![learned::DEPTH],
            },
            matrix_density: self.matrix_density.unwrap_or(learned::DENSITY),
        };
        Method::parse_list(self.method.as_deref().unwrap_or(defaults.method), &choices)
    }

    /// Refuses options that have no effect on any of these methods.
    fn used(&self, methods: &[Method]) -> Result<()> {
        let penalties = || {
            methods.iter().filter_map(|m| match &m.regularisation {
                Regularisation::Penalties(of) => Some((of, m.solver.has_copy())),
                _ => None,
            })
        };
        let learned = || methods.iter().filter_map(Method::learning);
        let with = "with dsrl or maf-srl among the methods";
        idle(self.block.is_some() && learned().next().is_none(), "--block", with)?;
        idle(self.layers.is_some() && learned().next().is_none(), "--layers", with)?;
        let matrix = learned().any(|of| of.kind == Family::MafSrl);
        idle(self.matrix_density.is_some() && !matrix, "--matrix-density", "with maf-srl among the methods")?;
        let penalised = methods.iter().any(Method::penalised);
        idle(self.density.is_some() && !penalised, "--density", "with a penalty among the methods")?;

        let with = "with a penalty of groups among the methods";
        let grouped = penalties().any(|(of, _)| of.group.is_some());
        idle(self.group_lambda.is_some() && !grouped, "--group-lambda", with)?;
        idle(self.groups.is_some() && !grouped, "--groups", with)?;

        // the others know the proximal one alone
        let other = self.solver.as_deref().is_some_and(|solver| solver.trim() != SOLVERS[0]);
        idle(other && penalties().next().is_none(), "--solver", "with a penalty among the methods")?;
        let copied = penalties().any(|(_, copy)| copy);
        for (given, option) in [
            (self.beta.is_some(), "--beta"),
            (self.sigma.is_some(), "--sigma"),
            (self.beta_every.is_some(), "--beta-every"),
        ] {
            idle(given && !copied, option, "with the solver splitting")?;
        }
        let published =
            penalties().any(|(of, copy)| copy && matches!(of.penalty, Penalty::Scad(_) | Penalty::Mcp(_)));
        let given = self.v_step == VStep::AsPublished;
        idle(given && !published, "--v-step", "with scad or mcp by the solver splitting")
    }

    /// Everything that can be told wrong before any work.
    fn options(&self, source: Source) -> Result<Options> {
        let defaults = Defaults::of(self.preset);
        let base: Optimizer = self.optimizer.as_deref().unwrap_or(defaults.optimizer).parse()?;
        let epochs = self.epochs.unwrap_or(match source {
            Source::Digits => Options::default().epochs as u64,
            Source::Pendigits => 30,
            _ => 10,
        });
        let widths = self.hidden.split(',').map(|w| {
            w.trim().parse().map_err(|_| Error::Text {
                place: "--hidden".into(),
                text: self.hidden.clone(),
                reason: "widths are whole numbers separated by commas, as in 128 or 300,100".into(),
            })
        });
        let options = Options {
            epochs: usize::try_from(epochs).unwrap_or(usize::MAX),
            batch: self.batch.unwrap_or(defaults.batch),
            rate: self.lr.unwrap_or(match base {
                Optimizer::Adam(_) | Optimizer::AdamMetric(_) => defaults.adam_rate,
                _ => defaults.rate,
            }),
            hidden: widths.collect::<Result<_>>()?,
            base,
            verify: match self.verify.unwrap_or(defaults.verify) {
                Check::Full => Verify::Full,
                Check::Sample => Verify::Sample { every: 10, tensors: 1, seed: self.seed },
                Check::Off => Verify::Off,
            },
            noise: self.noise.unwrap_or(defaults.noise),
            warm_up: self.warm_up,
            refit: self.refit.unwrap_or(defaults.refit),
            freeze_after: self.freeze_after,
            density: self.density,
            groups: match self.groups.as_deref().map_or(AUTO, str::trim) {
                AUTO => None,
                text => Some(text.parse().map_err(|error| match error {
                    Error::Text { place, text, reason } => {
                        Error::Text { place, text, reason: format!("{reason}, {AUTO}") }
                    }
                    other => other,
                })?),
            },
            sigma: self.sigma.unwrap_or(defaults.sigma),
            beta_every: self.beta_every.unwrap_or(defaults.beta_every),
            test_each_epoch: self.preset == Some(Preset::Solvers),
            repeats: self.repeats,
            seed: self.seed,
        };
        options.check()?;
        Ok(options)
    }

    pub(super) fn run(&self, global: &Global) -> Result<()> {
        let source: Source = self.data.parse()?;
        let methods = self.methods()?;
        self.used(&methods)?;
        let options = self.options(source)?;
        options.check_methods(&methods)?;
        let split = source.load(self.data_dir.as_deref())?;
        options.fits(&methods, &split)?;
        note_mistaken(source, self.data_dir.as_deref())?;
        let widths = options.widths(split.train.features.ncols(), split.train.classes);
        for (k, m) in methods.iter().enumerate() {
            let left_out = m.left_out(&widths)?;
            if !left_out.is_empty() && methods[..k].iter().all(|other| other.name != m.name) {
                let left_out = left_out.join(", ");
                note(&format!(
                    "the regulariser does not fit {left_out}: {} leaves it without a penalty",
                    m.name
                ));
            }
        }
        let backend = global.backend()?;
        let inputs: Vec<&Path> = self.regulariser.as_deref().into_iter().collect();
        let folder = Folder::new(&self.out_dir, self.name.as_deref().unwrap_or(source.name()), &inputs)?;
        let momentum = matches!(options.base, Optimizer::HeavyBall { .. } | Optimizer::Nesterov { .. });
        if self.lambda.is_none()
            && self.density.is_none()
            && self.preset.is_none()
            && !momentum
            && methods.iter().any(|m| m.lambda > 0.0)
        {
            let base = options.base.name();
            note(&format!(
                "the default lambdas are those of heavy-ball and nesterov; with {base} choose --lambda"
            ));
        }

        let total = train::epochs(&methods, &options) as u64;
        let bar = global.progress(Some(total), "training");
        let seen = |p: train::Progress<'_>| {
            let (e, name) = (p.epoch, &p.method.label);
            let live: Vec<_> = e.live.iter().map(usize::to_string).collect();
            let line = format!(
                "{name} seed {} epoch {:3}: loss {:.4}, validation {:.4}, density {:.4}, live neurons {}",
                p.seed,
                e.epoch,
                e.loss,
                e.validation,
                e.density,
                live.join("+")
            );
            bar.inc(1);
            global.tell(&bar, e.epoch == options.epochs, &line);
        };
        let done = |method: &Method, fitted: &train::Fitted| {
            let about = HashMap::from([
                ("dataset".to_owned(), source.name().to_owned()),
                ("penalty".to_owned(), method.penalties()),
                ("lambda".to_owned(), method.lambda.to_string()),
                ("group_lambda".to_owned(), method.group_lambda.to_string()),
                ("solver".to_owned(), method.solver.to_string()),
                ("seed".to_owned(), fitted.seed.to_string()),
            ]);
            let stem = file_stem(&method.label);
            if let Regularisation::Learned { learning, learned: Some(learned) } = &method.regularisation
                && fitted.seed == options.seed
            {
                let bytes = file::to_bytes(std::slice::from_ref(&learned.parameters), learning.layers)?;
                folder.write(&format!("{stem}.safetensors"), &bytes)?;
            }
            let file = format!("{stem}-seed{}.safetensors", fitted.seed);
            folder.write_network(&file, &fitted.network, about)
        };
        let summary = train::run(split, &methods, &options, &backend, seen, done)?;
        bar.finish_and_clear();

        folder.write_json("results.json", &summary)?;
        folder.write("accuracy-density.svg", train::tradeoff(&summary)?.as_bytes())?;
        folder.write("epochs.svg", train::course(&summary)?.as_bytes())?;
        if options.test_each_epoch {
            folder.write("solvers.md", train::comparison(&summary).as_bytes())?;
            folder.write("solvers.svg", train::solvers(&summary)?.as_bytes())?;
        }
        if let Some(study) = self.preset.and_then(Preset::study) {
            folder.write(&format!("{}.md", study.name()), study.table(&summary).as_bytes())?;
            folder.write_chart(&format!("{}.svg", study.name()), study.chart(&summary)?)?;
        }
        note_removed(&folder);
        let place = folder.path().display().to_string();
        global.print(&summary.brief(), |s: &Summary| {
            format!("{}\nresults, charts and weights: {place}", s.table())
        })
    }
}
