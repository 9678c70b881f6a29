//! Curves over something.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Axes, PALE, colour, failed, font, mark, plain, range, title};
use maf_srl::error::Result;

/// One curve: the mean over its runs, faintly each run. Runs share their places x.
pub(crate) struct Series {
    /// What stands at its end.
    pub name: String,
    /// Points by run.
    pub runs: Vec<Vec<(f64, f64)>>,
}

impl Series {
    /// As far as all runs go.
    fn mean(&self) -> Vec<(f64, f64)> {
        let length = self.runs.iter().map(Vec::len).min().unwrap_or(0);
        let count = self.runs.len() as f64;
        (0..length)
            .map(|k| (self.runs[0][k].0, self.runs.iter().map(|r| r[k].1).sum::<f64>() / count))
            .collect()
    }
}

/// Curves over something, and levels to compare them with.
pub(crate) struct Lines<'a> {
    pub title: &'a str,
    /// Below the title.
    pub about: &'a str,
    /// What the axes have.
    pub x: &'a str,
    pub y: &'a str,
    pub series: Vec<Series>,
    pub levels: Vec<(String, f64)>,
}

/// The step of 1, 2 or 5 times a power of ten that cuts a spread in about eight.
fn step(spread: f64) -> f64 {
    if !(spread.is_finite() && spread > 0.0) {
        return 1.0;
    }
    let power = 10f64.powf((spread / 8.0).log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|m| m * power).find(|u| spread / u <= 8.0).unwrap_or(10.0 * power)
}

impl Lines<'_> {
    /// Nothing where no curve has a finite point.
    pub fn draw(&self) -> Result<Option<String>> {
        let points = || self.series.iter().flat_map(|s| &s.runs).flatten().filter(|p| p.1.is_finite());
        let (first, last) =
            points().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, m), p| (l.min(p.0), m.max(p.0)));
        if first > last {
            return Ok(None);
        }
        let last = if first < last { last } else { first + 1.0 };
        let mut svg = String::new();
        {
            let (width, height, column) = (940, 540, 170);
            let area = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
            area.fill(&WHITE).map_err(failed)?;
            title(&area, self.title, self.about)?;
            let values: Vec<f64> = points().map(|p| p.1).chain(self.levels.iter().map(|l| l.1)).collect();
            let spread = values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
                - values.iter().copied().fold(f64::INFINITY, f64::min);
            let (low, high) = range(values.into_iter(), step(spread), f64::MIN, f64::MAX);
            let mut chart = ChartBuilder::on(&area)
                .margin_top(78)
                .margin_right(column)
                .margin_bottom(14)
                .margin_left(8)
                .x_label_area_size(56)
                .y_label_area_size(70)
                .build_cartesian_2d(first..last, low..high)
                .map_err(failed)?;
            Axes::new([self.x, self.y], plain).draw(&mut chart)?;
            let mut ends: Vec<(i32, &str, Option<usize>)> = Vec::new();
            for (name, level) in &self.levels {
                let line = [first, last].map(|x| chart.backend_coord(&(x, *level)));
                for x in (line[0].0..line[1].0).step_by(9) {
                    let dash =
                        PathElement::new([(x, line[0].1), (x + 4, line[0].1)], RGBColor(150, 150, 150));
                    area.draw(&dash).map_err(failed)?;
                }
                ends.push((line[1].1, name, None));
            }
            for (k, series) in self.series.iter().enumerate() {
                if series.runs.len() > 1 {
                    for run in &series.runs {
                        let style = colour(k + 1).mix(0.25).stroke_width(1);
                        chart.draw_series(LineSeries::new(run.iter().copied(), style)).map_err(failed)?;
                    }
                }
                let mean = series.mean();
                let end = mean.last().copied();
                let style = colour(k + 1).stroke_width(2);
                chart.draw_series(LineSeries::new(mean, style)).map_err(failed)?;
                if let Some(end) = end {
                    let at = chart.backend_coord(&end);
                    mark(&area, at, k + 1, 6.0)?;
                    ends.push((at.1, &series.name, Some(k + 1)));
                }
            }
            // the names at the lines' ends, moved apart where they would overlap
            ends.sort_by_key(|end| end.0);
            let mut free = i32::MIN;
            for (y, name, index) in ends {
                let y = y.max(free);
                free = y + 18;
                let x = (width - column) as i32 + 12;
                let (size, ink) = index.map_or((14, PALE), |k| (15, colour(k)));
                let style = font(size).color(&ink);
                let style = style.pos(Pos::new(HPos::Left, VPos::Center));
                area.draw(&Text::new(name.to_owned(), (x, y), style)).map_err(failed)?;
            }
            area.present().map_err(failed)?;
        }
        Ok(Some(svg))
    }
}
