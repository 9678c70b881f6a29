//! `maf-srl train`: train a classifier with each method and compare.

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Global, penalties};
use crate::data::Source;
use crate::error::{Error, Result};
use crate::kernels::step::Base;
use crate::schedule::Verify;
use crate::train::{self, Folder, Method, Options, Summary, file_stem, method};

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
    /// Methods separated by commas: "dense", or a penalty as in "l1,tl1(a=0.5)"; --help lists all
    #[arg(long, value_name = "LIST", default_value = method::DEFAULT_METHODS, long_help = help())]
    method: String,
    /// The weight of the penalty, for all methods [default: one per method, see --help of --method]
    #[arg(long, allow_negative_numbers = true)]
    lambda: Option<f64>,
    /// Passes over the training part [default: 100 for digits, 30 for pendigits, else 10]
    #[arg(long, allow_negative_numbers = true)]
    epochs: Option<u64>,
    /// Rows per step
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// The first learning rate; a cosine takes it towards 0 [default: 0.1; adam, adamw, adam-metric: 0.005]
    #[arg(long, allow_negative_numbers = true)]
    lr: Option<f64>,
    /// Widths of the hidden layers, separated by commas
    #[arg(long, value_name = "LIST", default_value = "128")]
    hidden: String,
    /// The step before the prox: gradient, heavy-ball, nesterov, adam, adamw, adam-metric; parameters as in
    /// "heavy-ball(momentum=0.9)"
    #[arg(long, default_value = "heavy-ball")]
    optimizer: String,
    /// Standard deviation of the noise on training inputs (features span 2)
    #[arg(long, default_value_t = Options::default().noise, allow_negative_numbers = true)]
    noise: f64,
    /// The share of the run over which lambda rises from 0
    #[arg(long, default_value_t = Options::default().warm_up, allow_negative_numbers = true)]
    warm_up: f64,
    /// The share of the epochs, at the end, that refit the weights left: lambda 0, zeros kept
    #[arg(long, default_value_t = Options::default().refit, allow_negative_numbers = true)]
    refit: f64,
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
    /// Which steps are compared with the float64 reference
    #[arg(long, value_enum, default_value_t = Check::Full)]
    verify: Check,
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

/// The long help of `--method`.
fn help() -> String {
    let list = penalties(|penalty| match method::default_lambda(penalty) {
        Some(lambda) => format!("lambda {lambda}"),
        None => "no default lambda".into(),
    });
    format!(
        "Methods separated by commas: \"dense\" (no penalty), or penalties, with their default lambdas (for heavy-ball \
         and nesterov on DIGITS):\n\n{list}"
    )
}

impl Train {
    /// Everything that can be told wrong before any work.
    fn options(&self, source: Source) -> Result<Options> {
        let base: Base = self.optimizer.parse()?;
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
            batch: self.batch,
            rate: self.lr.unwrap_or(match base {
                Base::Adam(_) | Base::AdamMetric(_) => 0.005,
                _ => Options::default().rate,
            }),
            hidden: widths.collect::<Result<_>>()?,
            base,
            verify: match self.verify {
                Check::Full => Verify::Full,
                Check::Sample => Verify::Sample { every: 10, tensors: 1, seed: self.seed },
                Check::Off => Verify::Off,
            },
            noise: self.noise,
            warm_up: self.warm_up,
            refit: self.refit,
            repeats: self.repeats,
            seed: self.seed,
        };
        options.check()?;
        Ok(options)
    }

    pub(super) fn run(&self, global: &Global) -> Result<()> {
        let source: Source = self.data.parse()?;
        let methods = Method::parse_list(&self.method, self.lambda)?;
        let options = self.options(source)?;
        let split = source.load(self.data_dir.as_deref())?;
        let folder = Folder::new(&self.out_dir, self.name.as_deref().unwrap_or(source.name()))?;
        let backend = global.backend()?;
        let momentum = matches!(options.base, Base::HeavyBall { .. } | Base::Nesterov { .. });
        if self.lambda.is_none() && !momentum && methods.iter().any(|m| m.lambda > 0.0) {
            let base = options.base.name();
            let _ = writeln!(
                io::stderr(),
                "maf-srl: the default lambdas are those of heavy-ball and nesterov; with {base} choose --lambda"
            );
        }

        let total = (methods.len() * options.repeats * options.epochs) as u64;
        let bar = global.progress(Some(total), "training");
        let plain = !io::stderr().is_terminal();
        let seen = |p: train::Progress<'_>| {
            let (e, name) = (p.epoch, &p.method.name);
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
            if plain {
                // A closed stderr is no reason to stop.
                let _ = writeln!(io::stderr(), "{line}");
            } else {
                bar.set_message(line);
            }
        };
        let done = |method: &Method, fitted: &train::Fitted| {
            let about = HashMap::from([
                ("dataset".to_owned(), source.name().to_owned()),
                ("penalty".to_owned(), method.penalty.to_string()),
                ("lambda".to_owned(), method.lambda.to_string()),
                ("seed".to_owned(), fitted.seed.to_string()),
            ]);
            let file = format!("{}-seed{}.safetensors", file_stem(&method.name), fitted.seed);
            folder.write_network(&file, &fitted.network, about)
        };
        let summary = train::run(split, &methods, &options, &backend, seen, done)?;
        bar.finish_and_clear();

        let mut text = serde_json::to_string_pretty(&summary).map_err(|e| Error::File {
            path: folder.path().join("results.json"),
            place: "write".into(),
            reason: e.to_string(),
        })?;
        text.push('\n');
        folder.write("results.json", text.as_bytes())?;
        folder.write("accuracy-density.svg", train::tradeoff(&summary)?.as_bytes())?;
        folder.write("epochs.svg", train::course(&summary)?.as_bytes())?;
        let place = folder.path().display().to_string();
        global.print(&summary.brief(), |s: &Summary| {
            format!("{}\nresults, charts and weights: {place}", s.table())
        })
    }
}
