//! Methods with lambdas that the validation part chooses, against one number of theirs or side by side: the presets
//! `tl1-a`, `layers` and `comparison`.

use plotters::prelude::*;

use super::Method;
use super::chart::{column, legend, title, unit};
use super::method::{Penalties, Regularisation};
use super::report::{MethodSummary, RunSummary, Summary, short};
use crate::chart::{Axes, colour, failed, font, mark, plain, range};
use crate::statistics::{deviation, mean};
use maf_srl::error::Result;
use maf_srl::penalty::Penalty;

/// What is varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Study {
    /// a of the transformed l1 penalty: Ma et al., section 4.4, Fig. 7.
    Tl1A,
    /// The layers of the network that learns a regulariser: MAF-SRL, section 4.1, Fig. 3.
    Layers,
    /// Nothing: the methods side by side, as in table 2 of MAF-SRL and of Ma et al.
    Comparison,
}

/// A figure, in percent: its heading, and how to read it.
type Figure = (&'static str, fn(&MethodSummary) -> f64);

const ACCURACY: Figure = ("test accuracy, %", |m| 100.0 * m.accuracy_mean);
const FLOPS: Figure = ("FLOPs, %", |m| 100.0 * m.flop_share);
const PARAMETERS: Figure = ("parameters, %", |m| 100.0 * m.parameter_share);
const DENSITY: Figure = ("nonzero weights, %", |m| 100.0 * m.density_mean);

/// How numbers are placed on the axis of what is varied, and how places are labelled.
type Axis = (fn(f64) -> f64, fn(f64) -> String);

/// A line of the chart: its name, and its places with the rows they stand for, from left to right.
type Line<'a> = (String, Vec<(f64, &'a MethodSummary)>);

impl Study {
    /// Of the lambdas at one place the one with the best mean validation accuracy is shown, out of those with a
    /// density of at most this; where none has one, the sparsest.
    pub const DENSITY: f64 = 0.1;

    /// The name of its preset, and of its files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Study::Tl1A => "tl1-a",
            Study::Layers => "layers",
            Study::Comparison => "comparison",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Study::Tl1A => "Accuracy, operations and parameters against a of tl1",
            Study::Layers => "Accuracy and density against the layers N",
            Study::Comparison => "Methods compared",
        }
    }

    /// The name of what is varied.
    fn varied(self) -> &'static str {
        match self {
            Study::Tl1A => "a",
            Study::Layers => "N",
            Study::Comparison => "lambda chosen",
        }
    }

    fn figures(self) -> &'static [Figure] {
        match self {
            Study::Tl1A => &[ACCURACY, FLOPS, PARAMETERS],
            Study::Layers => &[ACCURACY, DENSITY],
            Study::Comparison => &[],
        }
    }

    /// The line of a row, and the number that is varied.
    fn place(self, m: &MethodSummary) -> Option<(String, f64)> {
        let name = m.method.split('(').next().unwrap_or_default().trim().to_owned();
        match self {
            Study::Tl1A => match Method::parse(&m.method, Some(m.lambda)).ok()?.regularisation {
                Regularisation::Penalties(Penalties { penalty: Penalty::Tl1(tl1), .. }) => {
                    Some((name, tl1.a))
                }
                _ => None,
            },
            Study::Layers => Some((name, f64::from(m.layers?))),
            // of one line, all lambdas are at one place
            Study::Comparison => Some((m.method.clone(), 0.0)),
        }
    }

    /// The lines, with the lambda chosen at each place.
    fn lines(self, summary: &Summary) -> Vec<Line<'_>> {
        let sparse = |m: &MethodSummary| m.density_mean <= Study::DENSITY;
        let better = |m: &MethodSummary, than: &MethodSummary| match (sparse(m), sparse(than)) {
            (true, true) => m.validation_mean > than.validation_mean,
            (false, false) => m.density_mean < than.density_mean,
            (sparse, _) => sparse,
        };
        let mut lines = Vec::<Line<'_>>::new();
        for m in &summary.methods {
            let Some((name, x)) = self.place(m) else { continue };
            let k = lines.iter().position(|l| l.0 == name).unwrap_or_else(|| {
                lines.push((name, Vec::new()));
                lines.len() - 1
            });
            let points = &mut lines[k].1;
            match points.iter_mut().find(|p| p.0 == x) {
                Some(known) if better(m, known.1) => known.1 = m,
                Some(_) => {}
                None => points.push((x, m)),
            }
        }
        lines.iter_mut().for_each(|l| l.1.sort_by(|p, q| p.0.total_cmp(&q.0)));
        lines
    }

    /// What a reader of a lambda that was chosen has to know: that it misses the rule, or that a better one may lie beyond
    /// those that were tried.
    fn remark(self, summary: &Summary, m: &MethodSummary) -> String {
        let place = self.place(m);
        let tried = || summary.methods.iter().filter(|other| self.place(other) == place).map(|m| m.lambda);
        let (least, most) = (tried().fold(f64::INFINITY, f64::min), tried().fold(0.0, f64::max));
        let remarks = [
            // without a penalty nothing is to be sparse
            (m.lambda > 0.0 && m.density_mean > Study::DENSITY, format!("density above {}", Study::DENSITY)),
            (least < most && m.lambda == least, "smallest tried".into()),
            (least < most && m.lambda == most, "largest tried".into()),
        ];
        let remarks: Vec<_> = remarks.into_iter().filter(|r| r.0).map(|r| r.1).collect();
        if remarks.is_empty() { String::new() } else { format!(" ({})", remarks.join(", ")) }
    }

    /// A table of the places that are shown, and one of all rows.
    #[must_use]
    pub fn table(self, summary: &Summary) -> String {
        let mut text = format!(
            "# {} on {}\n\n{} Of several lambdas the one with the best validation accuracy at a density of {} or less is \
             shown, else the sparsest; where none has, and where it is the smallest or largest of those tried, its row says so.\n",
            self.title(),
            summary.dataset,
            summary.made(),
            Study::DENSITY,
        );
        let varied = if self == Study::Comparison { String::new() } else { format!(" {} |", self.varied()) };
        let head = format!(
            "| method |{varied} lambda | validation accuracy, % | test accuracy, % | weights exactly 0, % | parameters, % | \
             FLOPs, % | neurons removed, % |\n|---|{}---|---|---|---|---|---|---|\n",
            if varied.is_empty() { "" } else { "---|" }
        );
        let hidden: usize = summary.settings.widths.iter().rev().skip(1).rev().skip(1).sum();
        let row = |name: &str, x: f64, m: &MethodSummary, remark: &str| {
            let figure = |of: &dyn Fn(&RunSummary) -> f64| {
                let values = m.runs.iter().map(|run| 100.0 * of(run));
                format!("{:.2} ({:.2}) |", mean(values.clone()), deviation(values))
            };
            let dead = |run: &RunSummary| {
                1.0 - run.neurons_alive.iter().sum::<usize>() as f64 / hidden.max(1) as f64
            };
            let x = if varied.is_empty() { String::new() } else { format!(" {} |", short(x)) };
            format!(
                "| {name} |{x} {}{remark} | {} {} {} {} {} {}\n",
                short(m.lambda),
                figure(&|run| run.validation),
                figure(&|run| run.accuracy),
                figure(&|run| 1.0 - run.density),
                figure(&|run| run.parameter_share),
                figure(&|run| run.flop_share),
                figure(&dead),
            )
        };
        text += &format!("\n## Shown\n\n{head}");
        for (name, points) in self.lines(summary) {
            text.extend(points.into_iter().map(|(x, m)| row(&name, x, m, &self.remark(summary, m))));
        }
        text += &format!("\n## All rows\n\n{head}");
        for m in &summary.methods {
            if let Some((name, x)) = self.place(m) {
                text += &row(&name, x, m, "");
            }
        }
        text
    }

    /// The figures against the number that is varied, one below the other; accuracy with a bar of one standard
    /// deviation either way.
    ///
    /// # Errors
    /// [`maf_srl::Error::File`] where drawing fails.
    pub fn chart(self, summary: &Summary) -> Result<Option<String>> {
        if self == Study::Comparison {
            return Ok(None);
        }
        let lines = self.lines(summary);
        let labels: Vec<_> = lines.iter().map(|l| l.0.clone()).collect();
        // a goes over decades
        let (place, label): Axis = match self {
            Study::Tl1A => (f64::log10, decades),
            Study::Layers | Study::Comparison => (|x| x, plain),
        };
        let xs = || lines.iter().flat_map(|l| &l.1).map(|p| place(p.0)).filter(|x| x.is_finite());
        let (left, right) = (xs().fold(f64::INFINITY, f64::min), xs().fold(f64::NEG_INFINITY, f64::max));
        let (left, right) = match (left < right, left.is_finite()) {
            (true, _) => (left, right),
            (false, true) => (left - 0.5, left + 0.5),
            (false, false) => (0.0, 1.0),
        };
        let air = 0.03 * (right - left);
        let figures = self.figures();
        let mut svg = String::new();
        {
            let (width, panel) = (780 + column(&labels), 300);
            let size = (width as u32, (70 + panel * figures.len()) as u32);
            let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            area.fill(&WHITE).map_err(failed)?;
            title(&area, summary, self.title())?;
            let (_, rest) = area.split_vertically(70);
            for (panel, (name, read)) in rest.split_evenly((figures.len(), 1)).iter().zip(figures) {
                let spread = |m: &MethodSummary| match *name == ACCURACY.0 {
                    true => 100.0 * m.accuracy_std,
                    false => 0.0,
                };
                let ys = || {
                    let rows = lines.iter().flat_map(|l| &l.1).map(|p| p.1);
                    rows.flat_map(|m| [read(m) - spread(m), read(m) + spread(m)])
                };
                let reach = ys().fold(f64::NEG_INFINITY, f64::max) - ys().fold(f64::INFINITY, f64::min);
                let (low, high) = range(ys(), unit(reach), 0.0, 100.0);
                let mut chart = ChartBuilder::on(panel)
                    .margin_top(10)
                    .margin_right(column(&labels))
                    .margin_left(8)
                    .margin_bottom(6)
                    .x_label_area_size(50)
                    .y_label_area_size(70)
                    .build_cartesian_2d(left - air..right + air, low..high)
                    .map_err(failed)?;
                Axes::new([self.varied(), name], label).draw(&mut chart)?;
                for (k, (_, points)) in lines.iter().enumerate() {
                    let style = colour(k).stroke_width(2);
                    let line = points.iter().map(|(x, m)| (place(*x), read(m)));
                    chart.draw_series(LineSeries::new(line, style)).map_err(failed)?;
                    for (x, m) in points {
                        let at = |y: f64| chart.backend_coord(&(place(*x), y.clamp(low, high)));
                        let bar = [at(read(m) - spread(m)), at(read(m) + spread(m))];
                        area.draw(&PathElement::new(bar, style)).map_err(failed)?;
                        mark(&area, at(read(m)), k, 6.0)?;
                    }
                }
            }
            if labels.is_empty() {
                area.draw(&Text::new("nothing to show", (78, 90), font(15))).map_err(failed)?;
            }
            legend(&area, &labels, width - column(&labels) + 26, 26)?;
            area.present().map_err(failed)?;
        }
        Ok(Some(svg))
    }
}

/// The label of a place on an axis of decimal logarithms: of whole decades only.
fn decades(x: f64) -> String {
    if (x - x.round()).abs() < 1e-6 { short(10_f64.powf(x.round())) } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::example;
    use super::*;

    #[test]
    fn the_lambda_shown_is_the_best_sparse_one_on_validation() {
        let names = ["tl1(a=0.1)", "tl1(a=0.1)", "tl1(a=0.1)", "tl1(a=10)", "tl1(a=10)", "l1"];
        let figures = [(0.97, 0.3), (0.95, 0.05), (0.96, 0.08), (0.97, 0.4), (0.90, 0.2), (0.9, 0.1)];
        let rows: Vec<_> =
            names.iter().zip(figures).map(|(n, (accuracy, density))| (*n, accuracy, density)).collect();
        let mut summary = example(&rows);
        for (k, m) in summary.methods.iter_mut().enumerate() {
            m.lambda = 1.0 + k as f64;
        }
        let lines = Study::Tl1A.lines(&summary);
        assert_eq!(lines.len(), 1);
        let chosen: Vec<_> = lines[0].1.iter().map(|(a, m)| (*a, m.lambda)).collect();
        assert_eq!((lines[0].0.as_str(), chosen), ("tl1", vec![(0.1, 3.0), (10.0, 5.0)]));
        let text = Study::Tl1A.table(&summary);
        assert_eq!(text.lines().filter(|l| l.starts_with("| tl1 ")).count(), 2 + 5, "{text}");
        assert!(Study::Layers.lines(&summary).is_empty());
    }

    #[test]
    fn a_row_says_that_it_misses_the_density_or_lies_at_the_edge() {
        let mut rows = vec![("dense", 0.99, 1.0)];
        // an interior lambda is the best; the smallest, and the largest is; none is sparse; the only one is
        rows.extend([("l1", 0.97, 0.3), ("l1", 0.96, 0.08), ("l1", 0.95, 0.05)]);
        rows.extend([("mcp", 0.97, 0.09), ("mcp", 0.96, 0.08)]);
        rows.extend([("scad", 0.97, 0.2), ("scad", 0.96, 0.099)]);
        rows.extend([("log", 0.96, 0.3), ("log", 0.97, 0.2), ("log", 0.97, 0.25)]);
        rows.extend([("tl1", 0.97, 0.05)]);
        rows.extend([("cges", 0.97, 0.3), ("cges", 0.96, 0.2)]);
        let mut summary = example(&rows);
        for (k, m) in summary.methods.iter_mut().enumerate().skip(1) {
            m.lambda = k as f64;
        }
        let text = Study::Comparison.table(&summary);
        let (shown, all) = text.split_once("## All rows").unwrap();
        for row in [
            "| dense | 0 |",
            "| l1 | 2 |",
            "| mcp | 4 (smallest tried) |",
            "| scad | 7 (largest tried) |",
            "| log | 9 (density above 0.1) |",
            "| tl1 | 11 |",
            "| cges | 13 (density above 0.1, largest tried) |",
        ] {
            assert!(shown.contains(row), "{row}\n{shown}");
        }
        assert!(!all.contains("tried") && !all.contains("above"), "{all}");
    }

    #[test]
    fn charts_name_what_is_varied() {
        let mut summary = example(&[("l1", 0.98, 0.1), ("l1", 0.97, 0.07), ("dense", 0.9, 1.0)]);
        summary.methods[..2].iter_mut().for_each(|m| m.method = "dsrl".into());
        (summary.methods[0].layers, summary.methods[1].layers) = (Some(2), Some(16));
        let svg = Study::Layers.chart(&summary).unwrap().unwrap();
        for text in ["dsrl", "test accuracy, %", "nonzero weights, %"] {
            assert!(svg.contains(text), "{text}");
        }
        assert!(!svg.contains("dense"));
        assert!(
            Study::Tl1A.chart(&summary).unwrap().is_some()
                && Study::Comparison.chart(&summary).unwrap().is_none()
        );
        assert_eq!((decades(-3.0), decades(0.5)), ("0.001".into(), String::new()));
    }
}
