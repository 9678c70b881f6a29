//! `maf-srl denoise`: learn to denoise pictures and compare with the classical ways.

use std::path::PathBuf;

use clap::Args;

use crate::{Global, idle, note_mistaken, note_removed};
use maf_srl::error::Result;
use maf_srl::network::Family;
use maf_srl::regulariser::file;
use maf_srl_lab::data::Source;
use maf_srl_lab::denoise::{self, Options, Progress, Report, Shape};
use maf_srl_lab::train::Folder;

/// Learn a sparse regulariser that denoises pictures and compare with classical ways
///
/// Gaussian noise is added to pictures with values in 0..=1; each method estimates the clean ones. Soft thresholds are
/// chosen on validation pictures, the Wiener filter is made from the training pictures, and the learned methods are
/// trained on them. Results, charts and the regularisers learned with the first seed (METHOD.safetensors) go to
/// OUT_DIR/NAME.
#[derive(Args, Clone, Debug)]
pub struct Denoise {
    /// The data set: digits (built in), mnist, fashion-mnist
    #[arg(long, default_value = "digits")]
    data: String,
    /// The folder with the data set's files
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Standard deviation of the noise
    #[arg(long, default_value_t = Options::default().noise)]
    noise: f64,
    /// The learned methods, separated by commas: dsrl, maf-srl
    #[arg(long, value_name = "LIST", default_value = "dsrl,maf-srl")]
    method: String,
    /// The share of entries of maf-srl's matrix that may be nonzero, with --pattern random [default: 0.4]
    #[arg(long)]
    density: Option<f64>,
    /// Which entries may be nonzero: random, or neighbourhood:R, those of pixels at most R apart in either direction
    /// [default: random]
    #[arg(long)]
    pattern: Option<String>,
    /// Layers of the network, which share their parameters
    #[arg(long, default_value_t = Options::default().layers)]
    layers: u32,
    /// Work on K x K patches and average where they overlap [default: whole pictures for digits, else 8]
    #[arg(long, value_name = "K")]
    patch: Option<u32>,
    /// Passes over the training part [default: 30 for digits, else 2]
    #[arg(long)]
    epochs: Option<usize>,
    /// Pictures or patches per step
    #[arg(long, default_value_t = Options::default().batch)]
    batch: usize,
    /// Adam's first learning rate; a cosine takes it towards 0 [default: 0.03 for digits, else 0.01]
    #[arg(long)]
    lr: Option<f64>,
    /// At most so many test pictures, and a fifth as many for choosing thresholds
    #[arg(long, default_value_t = Options::default().test)]
    test: usize,
    /// Runs with consecutive seeds
    #[arg(long, default_value_t = Options::default().seeds)]
    seeds: usize,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The name of the run [default: denoise-DATA]
    #[arg(long, value_name = "RUN")]
    name: Option<String>,
    /// Where runs are kept
    #[arg(long, visible_alias = "out", value_name = "DIR", default_value = "runs")]
    out_dir: PathBuf,
}

impl Denoise {
    /// Everything that can be told wrong before any work.
    fn options(&self, source: Source) -> Result<Options> {
        let methods = Family::parse_list(&self.method)?;
        for (given, option) in [(self.pattern.is_some(), "--pattern"), (self.density.is_some(), "--density")]
        {
            idle(given && !methods.contains(&Family::MafSrl), option, "with maf-srl among the methods")?;
        }
        let options = Options {
            noise: self.noise,
            methods,
            shape: Shape::parse(self.pattern.as_deref().unwrap_or("random"), self.density)?,
            layers: self.layers,
            epochs: self.epochs.unwrap_or(match source {
                Source::Digits => Options::default().epochs,
                _ => 2,
            }),
            batch: self.batch,
            // on the larger data sets dsrl may lose both knees at higher rates
            rate: self.lr.unwrap_or(match source {
                Source::Digits => Options::default().rate,
                _ => 0.01,
            }),
            patch: self.patch.or(match source {
                Source::Digits => None,
                _ => Some(8),
            }),
            test: self.test,
            seeds: self.seeds,
            seed: self.seed,
        };
        options.check()?;
        Ok(options)
    }

    pub(super) fn run(&self, global: &Global) -> Result<()> {
        let source = denoise::source(&self.data)?;
        let options = self.options(source)?;
        let split = source.load(self.data_dir.as_deref())?;
        options.fits(&split)?;
        note_mistaken(source, self.data_dir.as_deref())?;
        let name = self.name.clone().unwrap_or_else(|| format!("denoise-{source}"));
        let backend = global.backend()?;
        let folder = Folder::new(&self.out_dir, &name, &[])?;

        let steps = denoise::steps(&options, split.train.len());
        let total = (steps * options.methods.len() * options.seeds) as u64;
        let bar = global.progress(Some(total), "training");
        let seen = |p: Progress| {
            bar.inc(1);
            let Some(psnr) = p.psnr else { return };
            let name = p.method.name();
            let line = format!("{name} seed {} step {}/{}: {psnr:.2} dB", p.seed, p.step, p.steps);
            global.tell(&bar, p.step == p.steps, &line);
        };
        let report = denoise::run(&split, &options, &backend, seen)?;
        bar.finish_and_clear();

        folder.write_json("results.json", &report)?;
        folder.write("pictures.svg", denoise::gallery(&report)?.as_bytes())?;
        folder.write_chart("atoms.svg", denoise::atoms(&report)?)?;
        folder.write_chart("regulariser.svg", denoise::regulariser(&report)?)?;
        folder.write_chart("training.svg", denoise::course(&report)?)?;
        for row in &report.rows {
            if let Some(first) = row.runs.first() {
                let bytes = file::to_bytes(std::slice::from_ref(&first.parameters), options.layers)?;
                folder.write(&format!("{}.safetensors", row.method), &bytes)?;
            }
        }
        note_removed(&folder);
        let place = folder.path().display().to_string();
        global.print(&report.brief(), |r: &Report| format!("{}\nresults and charts: {place}", r.table()))
    }
}
