//! `maf-srl bench --formats N`: where the formats of a sparse matrix cross over.

use crate::{Global, table};
use maf_srl::bench::{Effort, FormatTime, formats};
use maf_srl::error::Result;
use maf_srl::gpu::Context;
use maf_srl::kernels::Format;
use maf_srl_lab::chart;
use maf_srl_lab::data::Output;

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
    chart: Option<Output>,
) -> Result<()> {
    let bar = global.progress(None, "formats");
    let times = formats(context, components, effort, |step| {
        bar.set_message(step.to_owned());
        bar.inc(1);
    })?;
    bar.finish_and_clear();
    let document = Document { adapter: context.name(), formats: times };
    if let Some(output) = chart {
        let svg = chart::formats(&document.adapter, components, &document.formats)?;
        output.commit(|file| file.write_all(svg.as_bytes()))?;
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
        let mut line = vec![group[0].vectors.to_string(), chart::plain(100.0 * group[0].density)];
        line.extend(Format::ALL.map(|f| of(f).map_or("-".into(), |t| format!("{:.1} us", t.time.ns / 1e3))));
        let best = group.iter().min_by(|a, b| a.time.ns.total_cmp(&b.time.ns));
        line.push(best.map_or(String::new(), |t| t.format.into()));
        lines.push(line);
    }
    format!("{}\nBoth products, with the matrix and with its transpose:\n{}", document.adapter, table(&lines))
}
