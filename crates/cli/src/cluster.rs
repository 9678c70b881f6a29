//! `maf-srl cluster`: learn a sparse graph and cluster its vertices, or classify them.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::{Global, idle, note_removed};
use maf_srl::error::{Result, require};
use maf_srl::network::Family;
use maf_srl::regulariser::file;
use maf_srl_lab::cluster::{self, Input, Options, Progress, Report};
use maf_srl_lab::train::Folder;

/// Learn a graph from several views by a sparse regulariser and cluster its vertices
///
/// The columns of a graph's matrix go through an unfolded network with a learned sparse regulariser; the graph that
/// comes out is clustered spectrally, beside the raw graph and unlearned ones of the same density. With --labelled,
/// the vertices are classified instead, from the labels of a share of them. Results, charts, the learned graphs
/// (METHOD.npy) and regularisers (METHOD.safetensors) go to OUT_DIR/NAME.
#[derive(Args, Clone, Debug)]
pub struct Cluster {
    /// The classes of the samples: variable Y of a .mat file, or a .npy vector of f32 or f64
    #[arg(long, value_name = "FILE")]
    labels: PathBuf,
    /// The graph, its weights up to about 1: variable W of a .mat file, or a square .npy matrix of f32 or f64
    /// [default: made from the views, variable X of the file of the labels]
    #[arg(long, value_name = "FILE")]
    graph: Option<PathBuf>,
    /// Neighbours of a vertex in the graph of each view, where the graph is made from views (the DSRL authors take 10 for
    /// MSRC-v1 and 20 for ALOI)
    #[arg(long, default_value_t = 10, conflicts_with = "graph")]
    neighbours: usize,
    /// What is learned, separated by commas: dsrl, maf-srl
    #[arg(long, value_name = "LIST", default_value = "dsrl,maf-srl")]
    method: String,
    /// N: the network has 1 + N layers, which share their parameters
    #[arg(long, default_value_t = Options::default().layers, conflicts_with = "preset")]
    layers: u32,
    /// Passes over the graph: one number, or one per method, separated by commas [default: 50 for dsrl, 100 for maf-srl;
    /// with --labelled 10 for dsrl]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    epochs: Vec<usize>,
    /// Adam's first learning rate [default: 0.02; with --labelled 0.05 for dsrl]
    #[arg(long)]
    lr: Option<f64>,
    /// Set smaller entries of the learned graph to 0
    #[arg(long, default_value_t = 0.0, conflicts_with = "labelled")]
    cut: f64,
    /// Classify from this share of labels, for example 0.1, instead of clustering
    #[arg(long, value_name = "SHARE", conflicts_with = "preset")]
    labelled: Option<f64>,
    /// A study in place of a single run
    #[arg(long, value_enum)]
    preset: Option<Preset>,
    /// Runs of k-means per graph, each the best of ten starts; with --labelled, draws of the labelled samples
    #[arg(long, default_value_t = Options::default().repeats)]
    repeats: usize,
    #[arg(long, conflicts_with = "labelled", help = format!(
        "Trainings of maf-srl with consecutive seeds; that of dsrl is not random [default: {}]",
        Options::default().seeds
    ))]
    seeds: Option<usize>,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The name of the run [default: cluster-DATA, classify-DATA or layers-DATA]
    #[arg(long, value_name = "RUN")]
    name: Option<String>,
    /// Where runs are kept
    #[arg(long, visible_alias = "out", value_name = "DIR", default_value = "runs")]
    out_dir: PathBuf,
}

/// Studies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Preset {
    /// N = 2, 4, 8, 12, 16, 20, 24, 30 (MAF-SRL, Fig. 5)
    Layers,
}

/// The numbers of layers of the study.
const LAYERS: [u32; 8] = [2, 4, 8, 12, 16, 20, 24, 30];

impl Cluster {
    /// Everything that can be told wrong before any work.
    fn options(&self) -> Result<Options> {
        let methods = Family::parse_list(&self.method)?;
        let random = methods.contains(&Family::MafSrl);
        idle(self.seeds.is_some() && !random, "--seeds", "with maf-srl among the methods")?;
        let options = Options {
            methods,
            layers: self.layers,
            epochs: self.epochs.clone(),
            rate: self.lr,
            cut: self.cut,
            repeats: self.repeats,
            seeds: self.seeds.unwrap_or(Options::default().seeds),
            seed: self.seed,
        };
        options.check()?;
        if let Some(share) = self.labelled {
            require(share > 0.0 && share < 1.0, "--labelled", "share", share, "(0, 1)")?;
        }
        let neighbours = self.neighbours;
        require((1..=10_000).contains(&neighbours), "--neighbours", "neighbours", neighbours, "[1, 10000]")?;
        Ok(options)
    }

    pub(super) fn run(&self, global: &Global) -> Result<()> {
        let options = self.options()?;
        let input = Input::load(self.graph.as_deref(), &self.labels, self.neighbours)?;
        let vertices = input.graph.vertices();
        let deepest = LAYERS.into_iter().max().filter(|_| self.preset == Some(Preset::Layers));
        Options { layers: deepest.unwrap_or(self.layers), ..options.clone() }.fits(vertices)?;
        self.labelled.map_or(Ok(0), |share| cluster::labelled::count(vertices, share))?;
        let kind = match (self.labelled, self.preset) {
            (Some(_), _) => "classify",
            (None, Some(Preset::Layers)) => "layers",
            (None, None) => "cluster",
        };
        let name = self.name.clone().unwrap_or_else(|| format!("{kind}-{}", input.name));
        let backend = global.backend()?;
        let inputs: Vec<&Path> =
            [Some(&self.labels), self.graph.as_ref()].into_iter().flatten().map(PathBuf::as_path).collect();
        let folder = Folder::new(&self.out_dir, &name, &inputs)?;

        let steps = match kind {
            "classify" => {
                let epochs = options.methods.iter().map(|&m| options.training(m, true).epochs);
                options.repeats * epochs.sum::<usize>()
            }
            "layers" => options.steps() * LAYERS.len(),
            _ => options.steps(),
        };
        let bar = global.progress(Some(steps as u64), "learning");
        let seen = |p: Progress| {
            bar.inc(1);
            let Progress::Epoch { method, seed, epoch, epochs, loss } = p else { return };
            let line = format!("{} seed {seed} epoch {epoch}/{epochs}: loss {loss:.4}", method.name());
            global.tell(&bar, epoch == epochs, &line);
        };
        let place = folder.path().display().to_string();
        let ending = format!("\nresults and charts: {place}");
        if let Some(share) = self.labelled {
            let classified = cluster::classify(&input, share, &options, &backend, seen)?;
            bar.finish_and_clear();
            folder.write_json("results.json", &classified)?;
            note_removed(&folder);
            return global.print(&classified, |c| format!("{}{ending}", c.table()));
        }
        if self.preset == Some(Preset::Layers) {
            let study = cluster::study(&input, &options, &LAYERS, &backend, seen)?;
            bar.finish_and_clear();
            folder.write_json("results.json", &study)?;
            folder.write_chart("layers.svg", cluster::layers(&study)?)?;
            note_removed(&folder);
            return global.print(&study.brief(), |s| format!("{}{ending}", s.table()));
        }
        let report = cluster::run(&input, &options, &backend, seen)?;
        bar.finish_and_clear();
        folder.write_json("results.json", &report)?;
        folder.write("affinity.svg", cluster::affinities(&report)?.as_bytes())?;
        folder.write_chart("regulariser.svg", cluster::regulariser(&report)?)?;
        folder.write_chart("training.svg", cluster::course(&report)?)?;
        for trained in &report.trained {
            if let Some(first) = trained.runs.first() {
                let layers = trained.training.layers + 1;
                let bytes = file::to_bytes(std::slice::from_ref(&first.parameters), layers)?;
                folder.write(&format!("{}.safetensors", trained.method.name()), &bytes)?;
                folder.write_matrix(&format!("{}.npy", trained.method.name()), &first.output)?;
            }
        }
        note_removed(&folder);
        global.print(&report.brief(), |r: &Report| format!("{}{ending}", r.table()))
    }
}
