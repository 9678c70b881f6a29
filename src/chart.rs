//! What the pictures of all experiments share, as SVG: titles, pixels, curves over something, a learned activation.

use std::fmt::Write;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::error::Result;
use crate::penalty::{Activation, Elementwise, Pwl};
use crate::train::chart::{Canvas, colour, failed, font, mark, plain, range};

/// The left edge of titles.
pub(crate) const LEFT: i32 = 24;
/// Of secondary text.
pub(crate) const PALE: RGBColor = RGBColor(100, 100, 100);

pub(crate) fn title(area: &Canvas<'_>, first: &str, second: &str) -> Result<()> {
    area.draw(&Text::new(first.to_owned(), (LEFT, 18), font(22))).map_err(failed)?;
    area.draw(&Text::new(second.to_owned(), (LEFT, 46), font(13).color(&PALE))).map_err(failed)
}

pub(crate) fn text(
    area: &Canvas<'_>,
    words: String,
    at: (i32, i32),
    size: u32,
    anchor: (HPos, VPos),
) -> Result<()> {
    let style = font(size).pos(Pos::new(anchor.0, anchor.1));
    area.draw(&Text::new(words, at, style)).map_err(failed)
}

/// Pixels of one size: a path per colour, which takes a tenth of the room of a rectangle per pixel.
pub(crate) struct Pixels<'a> {
    /// The upper left corner.
    pub at: (i32, i32),
    /// The side of one.
    pub size: i32,
    /// How many there are in a line.
    pub width: usize,
    /// How many lines.
    pub height: usize,
    /// Of each, line by line.
    pub colours: &'a dyn Fn(usize) -> RGBColor,
}

impl Pixels<'_> {
    pub fn draw(&self, svg: &mut String) {
        let (w, h, s) = (self.width, self.height, self.size);
        let mut paths: Vec<(RGBColor, String)> = Vec::new();
        for y in 0..h {
            let mut x = 0;
            while x < w {
                let colour = (self.colours)(y * w + x);
                let run = (x..w).take_while(|&to| (self.colours)(y * w + to) == colour).count();
                let at = paths.iter().position(|p| p.0 == colour).unwrap_or_else(|| {
                    paths.push((colour, String::new()));
                    paths.len() - 1
                });
                let _ = write!(paths[at].1, "M{x} {y}h{run}v1h-{run}z");
                x += run;
            }
        }
        let _ = writeln!(svg, "<g transform=\"translate({} {}) scale({s})\">", self.at.0, self.at.1);
        for (RGBColor(r, g, b), path) in paths {
            let _ = writeln!(svg, "<path fill=\"#{r:02X}{g:02X}{b:02X}\" d=\"{path}\"/>");
        }
        // a hair line, so that white pictures end somewhere
        let (r, b) = (w as f64, h as f64);
        let line = 0.6 / f64::from(s);
        let _ = writeln!(
            svg,
            "<rect width=\"{r}\" height=\"{b}\" fill=\"none\" stroke=\"#BBBBBB\" stroke-width=\"{line:.4}\"/></g>"
        );
    }
}

/// Puts pixels below what has been drawn, sharp at any magnification.
pub(crate) fn with_pixels(mut svg: String, pixels: &str) -> String {
    let end = svg.rfind("</svg>").unwrap_or(svg.len());
    svg.insert_str(end, &format!("<g shape-rendering=\"crispEdges\">\n{pixels}</g>\n"));
    svg
}

/// A value in 0..=1 as one of 64 greys; what lies outside is black or white.
pub(crate) fn grey(value: f32) -> RGBColor {
    let level = (value.clamp(0.0, 1.0) * 63.0).round() / 63.0 * 255.0;
    let level = if level.is_finite() { level.round() as u8 } else { 255 };
    RGBColor(level, level, level)
}

/// The learned penalties g and, beside them, their proximal operators xi, each with a name and its L; nothing is drawn
/// without any.
pub(crate) fn activations(about: &str, learned: &[(&str, Activation, f64)]) -> Result<Option<String>> {
    if learned.is_empty() {
        return Ok(None);
    }
    // well beyond the last knee, so that its slope there is seen
    let reach = learned.iter().map(|(_, a, _)| a.delta2).fold(0.5, f64::max) * 1.6;
    // few and even points: the lines between them are drawn from pixel to pixel
    let samples = || (-60..=60).map(|k| reach * f64::from(k) / 60.0);
    let g = |a: &Activation, y: f64| {
        Pwl { eta1: a.eta1, eta2: a.eta2, delta1: a.delta1, delta2: a.delta2 }.value(1.0, y.abs())
    };
    let penalties: Vec<Vec<_>> =
        learned.iter().map(|(_, a, _)| samples().map(|y| (y, g(a, y))).collect()).collect();
    let operators = learned.iter().map(|(_, a, _)| {
        let knees = [-reach, -a.delta2, -a.delta1, a.delta1, a.delta2, reach];
        knees.map(|v| (v, a.value(v))).to_vec()
    });
    let panels = [("y", "g(y)", penalties), ("v", "ξ(v)", operators.collect())];
    let mut svg = String::new();
    {
        let (width, height) = (1000, 520);
        let area = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        title(&area, "The learned penalty g and its proximal operator ξ", about)?;
        let (_, rest) = area.split_vertically(104);
        let (left, right) = rest.split_horizontally(width as i32 / 2);
        for (panel, (x, y, curves)) in [left, right].iter().zip(panels) {
            let values = curves.iter().flatten().map(|p| p.1).filter(|v| v.is_finite());
            let (least, most) = values.fold((0.0f64, 0.0f64), |(l, m), v| (l.min(v), m.max(v)));
            let air = 0.06 * (most - least).max(1e-3);
            let low = if least < 0.0 { least - air } else { 0.0 };
            let mut chart = ChartBuilder::on(panel)
                .margin_top(6)
                .margin_right(24)
                .margin_left(8)
                .margin_bottom(8)
                .x_label_area_size(52)
                .y_label_area_size(70)
                .build_cartesian_2d(-reach..reach, low..most + air)
                .map_err(failed)?;
            chart
                .configure_mesh()
                .x_desc(x)
                .y_desc(y)
                .x_labels(8)
                .y_labels(8)
                .axis_desc_style(font(16))
                .label_style(font(14))
                .light_line_style(RGBColor(245, 245, 245))
                .bold_line_style(RGBColor(225, 225, 225))
                .max_light_lines(1)
                .x_label_formatter(&|x| plain(*x))
                .y_label_formatter(&|y| plain(*y))
                .draw()
                .map_err(failed)?;
            for (k, curve) in curves.into_iter().enumerate() {
                let style = colour(k + 1).stroke_width(3);
                chart.draw_series(LineSeries::new(curve, style)).map_err(failed)?;
            }
        }
        for (k, (name, a, l)) in learned.iter().enumerate() {
            let words = format!(
                "{name}:  η = {:.2}, {:.2};  δ = {:.2}, {:.2};  L = {l:.2}",
                a.eta1, a.eta2, a.delta1, a.delta2
            );
            let x = 78 + 470 * k as i32;
            area.draw(&PathElement::new([(x, 86), (x + 26, 86)], colour(k + 1).stroke_width(3)))
                .map_err(failed)?;
            text(&area, words, (x + 36, 86), 15, (HPos::Left, VPos::Center))?;
        }
        area.present().map_err(failed)?;
    }
    Ok(Some(svg))
}

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
            chart
                .configure_mesh()
                .x_desc(self.x)
                .y_desc(self.y)
                .axis_desc_style(font(16))
                .label_style(font(14))
                .light_line_style(RGBColor(245, 245, 245))
                .bold_line_style(RGBColor(225, 225, 225))
                .max_light_lines(1)
                .x_label_formatter(&|x| plain(*x))
                .y_label_formatter(&|y| plain(*y))
                .draw()
                .map_err(failed)?;
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
