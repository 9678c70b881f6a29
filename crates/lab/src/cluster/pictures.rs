//! The pictures of a run, as SVG.

use ndarray::Array2;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{Affinity, Report, Study};
use crate::chart::{LEFT, Lines, Pixels, Series, activations, failed, grey, text, title, with_pixels};
use maf_srl::error::Result;
use maf_srl::network::Family;

/// The learned penalties g and their proximal operators, of the first seed.
///
/// # Errors
/// [`maf_srl::Error::File`] where drawing fails.
pub fn regulariser(report: &Report) -> Result<Option<String>> {
    let runs: Vec<_> = report
        .trained
        .iter()
        .filter_map(|t| t.runs.first().map(|run| (t.method.name(), run.activation, run.l)))
        .collect();
    activations(&report.about(), &runs)
}

/// The loss over the epochs, as a share of the first epoch's: the methods minimise different ones.
///
/// # Errors
/// [`maf_srl::Error::File`] where drawing fails.
pub fn course(report: &Report) -> Result<Option<String>> {
    let series = |t: &super::report::Trained| {
        let points = |run: &super::Learned| {
            let first = run.history.first().copied().unwrap_or(1.0);
            run.history.iter().enumerate().map(|(k, loss)| ((k + 1) as f64, loss / first)).collect()
        };
        Series { name: t.method.name().into(), runs: t.runs.iter().map(points).collect() }
    };
    let lines = Lines {
        title: "Training: the loss over the epochs",
        about: &report.about(),
        x: "epoch",
        y: "loss / loss of the first epoch",
        series: report.trained.iter().map(series).collect(),
        levels: Vec::new(),
    };
    lines.draw()
}

/// Accuracy, by the affinity of the authors, against the number of layers after the first, with a standard deviation
/// either way.
///
/// # Errors
/// [`maf_srl::Error::File`] where drawing fails.
pub fn layers(study: &Study) -> Result<Option<String>> {
    let Some(first) = study.reports.first() else { return Ok(None) };
    let of = |report: &Report, name: &str| {
        let own = |of: Option<Family>| of.is_none_or(|family| family.name() == name);
        let found = report
            .rows
            .iter()
            .find(|row| row.graph == name && row.affinity == Affinity::Rows && own(row.as_dense_as));
        found.map(|row| (f64::from(report.layers), row.acc_mean, row.acc_std))
    };
    let series = |t: &super::report::Trained| {
        let name = t.method.name();
        // the mean in the middle, the faint lines a standard deviation off
        let line = |deviations: f64| {
            let points = study.reports.iter().filter_map(|r| of(r, name));
            points.map(|(layers, mean, std)| (layers, mean + deviations * std)).collect()
        };
        Series { name: name.into(), runs: [-1.0, 0.0, 1.0].map(line).into() }
    };
    let lines = Lines {
        title: "Clustering accuracy against the number of layers N",
        about: &format!(
            "{}, affinity: {}; mean, and faintly one standard deviation either way",
            first.dataset,
            Affinity::Rows.about()
        ),
        x: "N",
        y: "ACC",
        series: first.trained.iter().map(series).collect(),
        levels: of(first, "raw").map(|(_, acc, _)| ("raw graph".into(), acc)).into_iter().collect(),
    };
    lines.draw()
}

/// At most so many pixels in a line: a larger graph is shown in blocks of vertices.
const PIXELS: usize = 180;

/// The largest weight of each block, the vertices in the order of their classes.
fn blocks(x: &Array2<f64>, labels: &[usize]) -> Array2<f64> {
    let n = labels.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|&i| labels[i]);
    let side = n.min(PIXELS);
    let block = |k: usize| &order[k * n / side..(k + 1) * n / side];
    Array2::from_shape_fn((side, side), |(a, b)| {
        let pairs = block(a).iter().flat_map(|&i| block(b).iter().map(move |&j| (i, j)));
        pairs.map(|(i, j)| x[[i, j]]).fold(0.0, f64::max)
    })
}

/// The graph before and after, of the first seed, the vertices in the order of their classes: black is the largest weight.
///
/// # Errors
/// [`maf_srl::Error::File`] where drawing fails.
pub fn affinities(report: &Report) -> Result<String> {
    let mut graphs = vec![("raw", report.input.graph.weights())];
    for t in &report.trained {
        graphs.extend(t.runs.first().map(|run| (t.method.name(), &run.output)));
    }
    let side = report.input.labels.len().min(PIXELS);
    let (top, gap) = (104, 18);
    let size = (360 / side.max(1)).max(1) as i32;
    let pitch = size * side as i32 + gap;
    let width = (LEFT + graphs.len() as i32 * pitch + LEFT).max(700);
    let (mut svg, mut pixels) = (String::new(), String::new());
    {
        let height = top + pitch + 6;
        let area = SVGBackend::with_string(&mut svg, (width as u32, height as u32)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        title(&area, "The graph before and after, vertices in the order of their classes", &report.about())?;
        for (k, (name, x)) in graphs.into_iter().enumerate() {
            let left = LEFT + k as i32 * pitch;
            let shown = blocks(x, &report.input.labels);
            let largest = shown.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
            text(&area, name.into(), (left, 86), 16, (HPos::Left, VPos::Center))?;
            // the square root brings out small weights; 15 greys keep the file small
            let colours = &|i: usize| {
                let level = (shown[[i / side, i % side]] / largest).sqrt();
                grey((1.0 - (level * 15.0).round() / 15.0) as f32)
            };
            Pixels { at: (left, top), size, width: side, height: side, colours }.draw(&mut pixels);
        }
        area.present().map_err(failed)?;
    }
    Ok(with_pixels(svg, &pixels))
}
