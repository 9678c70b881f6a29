//! What the pictures of all experiments share, as SVG: colours, marks, axes, titles, pixels, curves over something, a
//! learned activation.

mod activations;
mod formats;
mod lines;
mod pixels;

pub(crate) use activations::activations;
pub use formats::formats;
pub(crate) use lines::{Lines, Series};
pub(crate) use pixels::{Pixels, grey, with_pixels};

use plotters::coord::Shift;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use maf_srl::error::{self, Error, Result};

/// Colours that colour-blind readers tell apart (Okabe and Ito), the lightest one left out.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 0, 0),
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// The left edge of titles.
pub(crate) const LEFT: i32 = 24;
/// Of secondary text.
pub(crate) const PALE: RGBColor = RGBColor(100, 100, 100);

pub(crate) type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

pub(crate) fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    error::file("chart.svg", "draw", &error).with_source(error)
}

pub(crate) fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

/// The outline of a method's mark of radius `r`; the shape changes with the method, so that colour is not all.
fn outline(index: usize, r: f64) -> Vec<(i32, i32)> {
    let polygon = |corners: usize, turn: f64, inner: f64| {
        (0..corners)
            .map(|k| {
                let angle = std::f64::consts::TAU * (k as f64 / corners as f64 + turn);
                let r = if k % 2 == 1 { r * inner } else { r };
                ((r * angle.sin()).round() as i32, (-r * angle.cos()).round() as i32)
            })
            .collect()
    };
    match index % 6 {
        0 => polygon(32, 0.0, 1.0),
        1 => polygon(4, 0.125, 1.0),
        2 => polygon(3, 0.0, 1.0),
        3 => polygon(4, 0.0, 1.0),
        4 => polygon(3, 0.5, 1.0),
        _ => polygon(10, 0.0, 0.45),
    }
}

/// A mark at a place in pixels.
pub(crate) fn mark(area: &Canvas<'_>, at: (i32, i32), index: usize, r: f64) -> Result<()> {
    let corners: Vec<_> = outline(index, r).iter().map(|(x, y)| (at.0 + x, at.1 + y)).collect();
    area.draw(&Polygon::new(corners, colour(index).filled())).map_err(failed)
}

/// The smallest range of round numbers in steps of `unit` that holds the values, with a little air.
pub(crate) fn range(values: impl Iterator<Item = f64>, unit: f64, low: f64, high: f64) -> (f64, f64) {
    let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values.filter(|v| v.is_finite()) {
        (least, most) = (least.min(value), most.max(value));
    }
    if least > most {
        return (low, high);
    }
    let floor = ((least / unit - 0.25).floor() * unit).max(low);
    let ceiling = ((most / unit + 0.25).ceil() * unit).min(high);
    if floor < ceiling { (floor, ceiling) } else { (floor - unit, floor + unit) }
}

pub(crate) fn font(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&RGBColor(40, 40, 40))
}

/// The axes of a chart, as all have them.
pub(crate) struct Axes<'a> {
    /// Of x and of y, as what follows.
    pub names: [&'a str; 2],
    /// How numbers are written.
    pub labels: [fn(f64) -> String; 2],
    /// About how many numbers each has.
    pub count: usize,
    /// The most faint lines between two of them.
    pub between: usize,
    /// The sizes of names and of numbers.
    pub fonts: [u32; 2],
}

impl<'a> Axes<'a> {
    /// Of the usual looks; `x_label` writes the numbers of the first.
    pub fn new(names: [&'a str; 2], x_label: fn(f64) -> String) -> Self {
        Axes { names, labels: [x_label, plain], count: 11, between: 1, fonts: [16, 14] }
    }

    /// Draws their lines and labels.
    pub fn draw<X, Y>(&self, chart: &mut ChartContext<'_, SVGBackend<'_>, Cartesian2d<X, Y>>) -> Result<()>
    where
        X: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let [x_label, y_label] = self.labels;
        chart
            .configure_mesh()
            .x_desc(self.names[0])
            .y_desc(self.names[1])
            .x_labels(self.count)
            .y_labels(self.count)
            .axis_desc_style(font(self.fonts[0]))
            .label_style(font(self.fonts[1]))
            .light_line_style(RGBColor(245, 245, 245))
            .bold_line_style(RGBColor(225, 225, 225))
            .max_light_lines(self.between)
            .x_label_formatter(&|x| x_label(*x))
            .y_label_formatter(&|y| y_label(*y))
            .draw()
            .map_err(failed)
    }
}

pub(crate) fn title(area: &Canvas<'_>, first: &str, second: &str) -> Result<()> {
    title_at(area, LEFT, first, second)
}

/// A title that begins at another x.
pub(crate) fn title_at(area: &Canvas<'_>, left: i32, first: &str, second: &str) -> Result<()> {
    area.draw(&Text::new(first.to_owned(), (left, 18), font(22))).map_err(failed)?;
    area.draw(&Text::new(second.to_owned(), (left, 46), font(13).color(&PALE))).map_err(failed)
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

/// A label of the logarithmic axis: blank where labels would run into each other.
pub(crate) fn sparing(value: f64) -> String {
    let text = plain(value);
    let lead = text.trim_start_matches(['0', '.']).chars().next();
    if lead.is_some_and(|c| "1235".contains(c)) { text } else { String::new() }
}

/// A number without needless zeros.
#[must_use]
pub fn plain(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
