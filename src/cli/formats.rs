//! `maf-srl bench --formats N`: where the formats of a sparse matrix cross over.

use std::path::PathBuf;

use plotters::prelude::*;

use super::{Global, table};
use crate::bench::{Effort, FormatTime, VECTORS, formats};
use crate::chart::{Axes, colour, failed, font, mark, plain, sparing, title};
use crate::error::{Error, Result};
use crate::gpu::Context;
use crate::kernels::Format;

/// What the command prints.
#[derive(serde::Serialize)]
struct Document {
    adapter: String,
    formats: Vec<FormatTime>,
}

/// Times the formats, prints the table and writes the chart.
pub(super) fn run(
    global: &Global,
    context: &Context,
    components: u32,
    effort: &Effort,
    chart: Option<&PathBuf>,
) -> Result<()> {
    let bar = global.progress(None, "formats");
    let times = formats(context, components, effort, |step| {
        bar.set_message(step.to_owned());
        bar.inc(1);
    })?;
    bar.finish_and_clear();
    let document = Document { adapter: context.name(), formats: times };
    if let Some(path) = chart {
        let failed = |e: std::io::Error| Error::File {
            path: path.clone(),
            place: "write".into(),
            reason: e.to_string(),
        };
        std::fs::write(path, draw(&document, components)?).map_err(failed)?;
    }
    global.print(&document, plain_table)
}

/// A line per density and width, with the fastest format named.
fn plain_table(document: &Document) -> String {
    let mut lines =
        vec![["vectors", "density %", "csr", "bitmap", "dense", "fastest"].map(String::from).to_vec()];
    let same = |a: &FormatTime, b: &FormatTime| (a.vectors, a.density) == (b.vectors, b.density);
    for group in document.formats.chunk_by(same) {
        let of = |format: Format| group.iter().find(|time| time.format == format.name());
        let mut line = vec![group[0].vectors.to_string(), plain(100.0 * group[0].density)];
        line.extend(Format::ALL.map(|f| of(f).map_or("-".into(), |t| format!("{:.1} us", t.time.ns / 1e3))));
        let best = group.iter().min_by(|a, b| a.time.ns.total_cmp(&b.time.ns));
        line.push(best.map_or(String::new(), |t| t.format.into()));
        lines.push(line);
    }
    format!("{}\nBoth products, with the matrix and with its transpose:\n{}", document.adapter, table(&lines))
}

/// A panel per number of vectors: time against density, a line per format.
fn draw(document: &Document, components: u32) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (980, 760)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let first = format!("Products with a sparse {components} x {components} matrix and its transpose");
        let second = format!("{}; time against density, both logarithmic", document.adapter);
        title(&area, &first, &second)?;
        for (k, format) in Format::ALL.into_iter().enumerate() {
            let x = 640 + 110 * k as i32;
            mark(&area, (x, 56), k, 6.0)?;
            area.draw(&Text::new(format.name(), (x + 14, 48), font(15))).map_err(failed)?;
        }
        let (_, rest) = area.split_vertically(76);
        for (panel, vectors) in rest.split_evenly((2, 2)).iter().zip(VECTORS) {
            let times: Vec<&FormatTime> = document.formats.iter().filter(|t| t.vectors == vectors).collect();
            let us = |t: &FormatTime| t.time.ns / 1e3;
            let least = times.iter().map(|t| us(t)).fold(f64::INFINITY, f64::min);
            let most = times.iter().map(|t| us(t)).fold(0.0, f64::max);
            if !(least > 0.0 && most.is_finite()) {
                continue;
            }
            let name = if vectors == 1 { "1 vector".into() } else { format!("{vectors} vectors") };
            let mut chart = ChartBuilder::on(panel)
                .caption(name, font(17))
                .margin(10)
                .x_label_area_size(44)
                .y_label_area_size(74)
                .build_cartesian_2d((0.9f64..110.0).log_scale(), (0.8 * least..1.25 * most).log_scale())
                .map_err(failed)?;
            let axes = Axes::new(["density, %", "microseconds"], plain);
            Axes { labels: [plain, sparing], between: 10, fonts: [14, 13], ..axes }.draw(&mut chart)?;
            for (k, format) in Format::ALL.into_iter().enumerate() {
                let line: Vec<_> = times.iter().filter(|t| t.format == format.name()).collect();
                let points = line.iter().map(|t| (100.0 * t.density, us(t)));
                chart.draw_series(LineSeries::new(points, colour(k).stroke_width(2))).map_err(failed)?;
                for t in &line {
                    mark(&area, chart.backend_coord(&(100.0 * t.density, us(t))), k, 5.0)?;
                }
            }
        }
        area.present().map_err(failed)?;
    }
    Ok(svg)
}
