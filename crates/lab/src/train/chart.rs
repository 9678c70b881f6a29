//! The charts of a run, as SVG: accuracy against density, and both over the epochs.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::report::{MethodSummary, Summary};
use crate::chart::{Axes, Canvas, colour, failed, font, mark, plain, range, sparing, title_at};
use maf_srl::error::Result;

/// A step for a range of percents that gives about ten lines.
pub(super) fn unit(spread: f64) -> f64 {
    [0.25, 0.5, 1.0, 2.0, 5.0].into_iter().find(|u| spread / u <= 10.0).unwrap_or(10.0)
}

pub(super) fn title(area: &Canvas<'_>, summary: &Summary, first: &str) -> Result<()> {
    let widths: Vec<_> = summary.settings.widths.iter().map(usize::to_string).collect();
    let s = &summary.settings;
    let second = format!(
        "{} ({}), {}, {} epochs, {} seed{}; steps on {}",
        summary.dataset,
        widths.join("-"),
        s.optimizer,
        s.epochs,
        s.repeats,
        if s.repeats == 1 { "" } else { "s" },
        summary.adapter
    );
    title_at(area, 78, first, &second)
}

/// The names with their marks, in a column of its own at the right.
pub(super) fn legend(area: &Canvas<'_>, labels: &[String], left: i32, pitch: i32) -> Result<()> {
    for (k, label) in labels.iter().enumerate() {
        let y = 100 + pitch * k as i32;
        mark(area, (left, y), k, 7.0)?;
        let style = font(15).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(label.clone(), (left + 16, y), style)).map_err(failed)?;
    }
    Ok(())
}

fn labels(methods: &[MethodSummary]) -> Vec<String> {
    methods.iter().map(|m| m.label.clone()).collect()
}

/// The width of the legend's column in pixels.
pub(super) fn column(labels: &[String]) -> i32 {
    60 + 9 * labels.iter().map(|l| l.chars().count()).max().unwrap_or(0).min(40) as i32
}

/// The test error after the last epoch against the weights below 1e-5: a line per method and solver through its lambdas,
/// each with a bar of one standard deviation either way.
///
/// # Errors
/// [`maf_srl::Error::File`] where drawing fails.
pub fn solvers(summary: &Summary) -> Result<String> {
    let name = |m: &MethodSummary| format!("{} {}", m.method, m.solver);
    let mut labels = Vec::new();
    for label in summary.methods.iter().map(name) {
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    let point = |m: &MethodSummary| {
        (100.0 * m.sparsity.weight_sparsity_1e5, 100.0 * (1.0 - m.accuracy_mean), 100.0 * m.accuracy_std)
    };
    let points: Vec<_> = summary.methods.iter().map(point).collect();
    let spread = |values: &dyn Fn() -> Vec<f64>, high: f64| {
        let values = values();
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        range(values.into_iter(), unit(most - least), 0.0, high)
    };
    let (left, right) = spread(&|| points.iter().map(|p| p.0).collect(), 101.0);
    let (low, high) = spread(&|| points.iter().flat_map(|p| [p.1 - p.2, p.1 + p.2]).collect(), 100.0);
    let mut svg = String::new();
    {
        let (width, height) = (780 + column(&labels), 540.max(130 + 26 * labels.len()));
        let area = SVGBackend::with_string(&mut svg, (width as u32, height as u32)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        title(&area, summary, "Test error against sparsity, by solver")?;
        let mut chart = ChartBuilder::on(&area)
            .margin_top(78)
            .margin_right(column(&labels))
            .margin_bottom(14)
            .margin_left(8)
            .x_label_area_size(56)
            .y_label_area_size(70)
            .build_cartesian_2d(left..right, low..high)
            .map_err(failed)?;
        Axes::new(["weights below 1e-5, %", "test error, %"], plain).draw(&mut chart)?;
        for (k, label) in labels.iter().enumerate() {
            let mut line: Vec<_> = summary.methods.iter().filter(|m| name(m) == *label).collect();
            line.sort_by(|a, b| a.lambda.total_cmp(&b.lambda));
            let line: Vec<_> = line.into_iter().map(point).collect();
            let style = colour(k).stroke_width(2);
            chart.draw_series(LineSeries::new(line.iter().map(|p| (p.0, p.1)), style)).map_err(failed)?;
            for (x, y, deviation) in line {
                let at = |y: f64| chart.backend_coord(&(x, y.clamp(low, high)));
                let bar = PathElement::new([at(y - deviation), at(y + deviation)], style);
                area.draw(&bar).map_err(failed)?;
                mark(&area, at(y), k, 7.0)?;
            }
        }
        legend(&area, &labels, width - column(&labels) + 26, 26)?;
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

/// Test accuracy against density: per method the mean with a bar of one standard deviation either way, and a
/// faint dot for each seed.
///
/// # Errors
/// [`maf_srl::Error::File`] where drawing fails.
pub fn tradeoff(summary: &Summary) -> Result<String> {
    let methods = &summary.methods;
    let mut svg = String::new();
    {
        let (width, height) = (780 + column(&labels(methods)), 540.max(130 + 26 * methods.len()));
        let area = SVGBackend::with_string(&mut svg, (width as u32, height as u32)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        title(&area, summary, "Test accuracy against density")?;
        // A density of 0 has no place on a logarithmic axis; it is drawn at its lower end.
        let densities = methods.iter().flat_map(|m| &m.runs).map(|r| r.density).filter(|d| *d > 0.0);
        let decade = densities.fold(0.1_f64, f64::min).log10();
        let least = 10_f64.powf(((decade - 0.05) * 4.0).floor() / 4.0);
        let ys = || {
            let runs = methods.iter().flat_map(|m| &m.runs).map(|r| 100.0 * r.accuracy);
            runs.chain(
                methods
                    .iter()
                    .flat_map(|m| [-1.0, 1.0].map(|side| 100.0 * (m.accuracy_mean + side * m.accuracy_std))),
            )
        };
        let spread = ys().fold(f64::NEG_INFINITY, f64::max) - ys().fold(f64::INFINITY, f64::min);
        let (low, high) = range(ys(), unit(spread), 0.0, 100.0);
        let mut chart = ChartBuilder::on(&area)
            .margin_top(78)
            .margin_right(column(&labels(methods)))
            .margin_bottom(14)
            .margin_left(8)
            .x_label_area_size(56)
            .y_label_area_size(70)
            .build_cartesian_2d((100.0 * least..130.0).log_scale(), low..high)
            .map_err(failed)?;
        Axes::new(["nonzero weights, % (logarithmic)", "test accuracy, %"], sparing).draw(&mut chart)?;
        let place = |density: f64, accuracy: f64| {
            chart.backend_coord(&(100.0 * density.max(least), (100.0 * accuracy).clamp(low, high)))
        };
        for (k, method) in methods.iter().enumerate() {
            for run in &method.runs {
                let dot = Circle::new(place(run.density, run.accuracy), 3, colour(k).mix(0.35).filled());
                area.draw(&dot).map_err(failed)?;
            }
        }
        for (k, method) in methods.iter().enumerate() {
            let (mean, deviation) = (method.accuracy_mean, method.accuracy_std);
            let at = place(method.density_mean, mean);
            let (top, bottom) = (
                place(method.density_mean, mean + deviation).1,
                place(method.density_mean, mean - deviation).1,
            );
            for line in [
                [(at.0, top), (at.0, bottom)],
                [(at.0 - 5, top), (at.0 + 5, top)],
                [(at.0 - 5, bottom), (at.0 + 5, bottom)],
            ] {
                area.draw(&PathElement::new(line, colour(k).stroke_width(2))).map_err(failed)?;
            }
            mark(&area, at, k, 8.0)?;
        }
        legend(&area, &labels(methods), width - column(&labels(methods)) + 26, 26)?;
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

/// Validation accuracy (above) and density (below) over the epochs, the mean over the seeds.
///
/// # Errors
/// [`maf_srl::Error::File`] where drawing fails.
pub fn course(summary: &Summary) -> Result<String> {
    let methods = &summary.methods;
    let epochs = summary.settings.epochs.max(2);
    let means = |value: &dyn Fn(&super::Epoch) -> f64| -> Vec<Vec<(f64, f64)>> {
        let series = |m: &MethodSummary| {
            let length = m.runs.iter().map(|r| r.history.len()).min().unwrap_or(0);
            let mean =
                |e: usize| m.runs.iter().map(|r| value(&r.history[e])).sum::<f64>() / m.runs.len() as f64;
            (0..length).map(|e| ((e + 1) as f64, 100.0 * mean(e))).collect()
        };
        methods.iter().map(series).collect()
    };
    let mut svg = String::new();
    {
        let (width, height) = (780 + column(&labels(methods)), 760.max(130 + 26 * methods.len()));
        let area = SVGBackend::with_string(&mut svg, (width as u32, height as u32)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        title(&area, summary, "Validation accuracy and density over the epochs")?;
        let (head, rest) = area.split_vertically(70);
        drop(head);
        let (above, below) = rest.split_vertically((height as i32 - 90) / 2);
        for (panel, (name, lines)) in [above, below].iter().zip([
            ("validation accuracy, %", means(&|e| e.validation)),
            ("nonzero weights, %", means(&|e| e.density)),
        ]) {
            // The first epochs are far below; the axis begins where most of the run lies.
            let settled = lines.iter().flat_map(|l| &l[(l.len() / 10).min(l.len())..]).map(|p| p.1);
            let values: Vec<f64> = settled.collect();
            let spread = values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
                - values.iter().copied().fold(f64::INFINITY, f64::min);
            let (low, high) = if name.starts_with("nonzero") {
                (0.0, 103.0)
            } else {
                range(values.into_iter(), unit(spread), 0.0, 100.0)
            };
            let mut chart = ChartBuilder::on(panel)
                .margin_top(10)
                .margin_right(column(&labels(methods)))
                .margin_left(8)
                .margin_bottom(6)
                .x_label_area_size(50)
                .y_label_area_size(70)
                .build_cartesian_2d(1.0..epochs as f64, low..high)
                .map_err(failed)?;
            Axes::new(["epoch", name], plain).draw(&mut chart)?;
            for (k, line) in lines.iter().enumerate() {
                let style = colour(k).stroke_width(2);
                // A line that leaves the panel below is cut there.
                let inside = line.iter().copied().skip_while(|p| p.1 < low);
                chart.draw_series(LineSeries::new(inside, style)).map_err(failed)?;
                if let Some(&(x, y)) = line.last() {
                    mark(&area, chart.backend_coord(&(x, y.clamp(low, high))), k, 6.0)?;
                }
            }
        }
        legend(&area, &labels(methods), width - column(&labels(methods)) + 26, 26)?;
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::example;
    use super::*;

    #[test]
    fn charts_name_axes_and_methods() {
        let summary = example(&[("dense", 0.98, 1.0), ("l1", 0.97, 0.07), ("tl1(a=0.5)", 0.96, 0.05)]);
        for (svg, axis) in
            [(tradeoff(&summary).unwrap(), "test accuracy"), (course(&summary).unwrap(), "epoch")]
        {
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
            for text in ["dense", "l1", "tl1(a=0.5)", "nonzero weights", axis, "digits"] {
                assert!(svg.contains(text), "{text}");
            }
        }
    }

    #[test]
    fn charts_stand_empty_and_extreme_figures() {
        let mut summary = example(&[("dense", 1.0, 1.0), ("l1", 0.0, 0.0)]);
        tradeoff(&summary).unwrap();
        course(&summary).unwrap();
        solvers(&summary).unwrap();
        summary.methods.clear();
        solvers(&summary).unwrap();
        tradeoff(&summary).unwrap();
        course(&summary).unwrap();
    }
}
