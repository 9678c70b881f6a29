//! The pictures of a run, as SVG: what the methods make of the noise, and what was learned.

use std::fmt::Write;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Learned, Report, Row};
use crate::error::Result;
use crate::penalty::{Elementwise, Pwl};
use crate::train::chart::{Canvas, colour, failed, font, mark, plain, range, unit};

/// The left edge of titles.
const LEFT: i32 = 24;
/// Of secondary text.
const PALE: RGBColor = RGBColor(100, 100, 100);

fn title(area: &Canvas<'_>, first: &str, second: &str) -> Result<()> {
    area.draw(&Text::new(first.to_owned(), (LEFT, 18), font(22))).map_err(failed)?;
    area.draw(&Text::new(second.to_owned(), (LEFT, 46), font(13).color(&PALE))).map_err(failed)
}

fn text(area: &Canvas<'_>, words: String, at: (i32, i32), size: u32, anchor: (HPos, VPos)) -> Result<()> {
    let style = font(size).pos(Pos::new(anchor.0, anchor.1));
    area.draw(&Text::new(words, at, style)).map_err(failed)
}

/// The learned rows with their runs.
fn learned(report: &Report) -> impl Iterator<Item = (&Row, &Learned)> {
    report.rows.iter().filter_map(|row| row.runs.first().map(|run| (row, run)))
}

/// Pixels of one size: a path per colour, which takes a tenth of the room of a rectangle per pixel.
struct Pixels<'a> {
    at: (i32, i32),
    size: i32,
    width: usize,
    height: usize,
    colours: &'a dyn Fn(usize) -> RGBColor,
}

impl Pixels<'_> {
    fn draw(&self, svg: &mut String) {
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
fn with_pixels(mut svg: String, pixels: &str) -> String {
    let end = svg.rfind("</svg>").unwrap_or(svg.len());
    svg.insert_str(end, &format!("<g shape-rendering=\"crispEdges\">\n{pixels}</g>\n"));
    svg
}

/// A value in 0..=1 as one of 64 greys; what lies outside is black or white.
fn grey(value: f32) -> RGBColor {
    let level = (value.clamp(0.0, 1.0) * 63.0).round() / 63.0 * 255.0;
    let level = if level.is_finite() { level.round() as u8 } else { 255 };
    RGBColor(level, level, level)
}

/// Test pictures of the first seed: clean, noisy, and what each method makes of them, with its mean ratio.
///
/// # Errors
/// [`crate::Error::File`] where drawing fails.
pub fn gallery(report: &Report) -> Result<String> {
    let g = &report.gallery;
    let columns = g.rows.first().map_or(0, |row| row.1.nrows()) as i32;
    // about 72 pixels on the screen for each picture
    let size = (72 / g.width.max(g.height).max(1) as i32).max(2);
    let (w, h) = (size * g.width as i32, size * g.height as i32);
    let (gap, names, top) = (10, 150, 84);
    let width = (LEFT + names + columns * (w + gap) + LEFT).max(620);
    let height = top + g.rows.len() as i32 * (h + gap) + 14;
    let (mut svg, mut pixels) = (String::new(), String::new());
    {
        let area = SVGBackend::with_string(&mut svg, (width as u32, height as u32)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        title(&area, "Test pictures, before and after", &report.about())?;
        for (k, (name, pictures)) in g.rows.iter().enumerate() {
            let y = top + k as i32 * (h + gap);
            let row = report.rows.iter().find(|row| row.method == *name);
            text(&area, name.clone(), (LEFT, y + h / 2 - 10), 17, (HPos::Left, VPos::Center))?;
            let below = match row {
                Some(row) => format!("{:.2} dB", row.psnr_mean),
                None => "the target".into(),
            };
            let style = font(13).color(&PALE).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw(&Text::new(below, (LEFT, y + h / 2 + 12), style)).map_err(failed)?;
            for (c, picture) in pictures.outer_iter().enumerate() {
                let at = (LEFT + names + c as i32 * (w + gap), y);
                let colours = &|i: usize| grey(picture[i]);
                Pixels { at, size, width: g.width, height: g.height, colours }.draw(&mut pixels);
            }
        }
        area.present().map_err(failed)?;
    }
    Ok(with_pixels(svg, &pixels))
}

/// -1..=1 from blue over white to red-brown, in 24 levels either way.
fn diverging(value: f64) -> RGBColor {
    let value = (value.clamp(-1.0, 1.0) * 24.0).round() / 24.0;
    let (RGBColor(r, g, b), t) =
        if value < 0.0 { (RGBColor(5, 80, 150), -value) } else { (RGBColor(178, 60, 10), value) };
    // the square root brings out small values
    let mix = |to: u8| (255.0 + (f64::from(to) - 255.0) * t.sqrt()).round() as u8;
    RGBColor(mix(r), mix(g), mix(b))
}

/// Where the pattern has no entry.
const OUTSIDE: RGBColor = RGBColor(232, 232, 232);
/// At most so many atoms are drawn.
const ATOMS: usize = 64;

/// The rows of `maf-srl`'s Â as pictures, of the first seed; nothing is drawn where it was not trained.
///
/// # Errors
/// [`crate::Error::File`] where drawing fails.
pub fn atoms(report: &Report) -> Result<Option<String>> {
    let Some((row, run)) = learned(report).find(|(row, _)| row.method == "maf-srl") else { return Ok(None) };
    let p = &run.parameters;
    let [tile_width, tile_height] = report.settings.tile;
    let n = p.q.len();
    let shown: Vec<usize> = (0..n.min(ATOMS)).map(|k| k * n / n.min(ATOMS)).collect();
    let columns = (shown.len() as f64).sqrt().ceil() as usize;
    let largest = p.values.iter().fold(0.0f64, |m, v| m.max(v.abs())).max(f64::MIN_POSITIVE);
    let size = (64 / tile_width.max(tile_height) as i32).max(2);
    let (w, h, gap, top) = (size * tile_width as i32, size * tile_height as i32, 8, 104);
    let lines = shown.len().div_ceil(columns.max(1)) as i32;
    let right = LEFT + columns as i32 * (w + gap) + 16;
    let (width, height) = ((right + 120).max(700), (top + lines * (h + gap) + 16).max(360));
    let (mut svg, mut pixels) = (String::new(), String::new());
    {
        let area = SVGBackend::with_string(&mut svg, (width as u32, height as u32)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        title(&area, "The learned atoms: rows of Â", &report.about())?;
        let density = row.density.unwrap_or(1.0);
        let sub = format!(
            "{} of {n} rows, each as a {tile_width} x {tile_height} picture; {:.1} % of the entries may be nonzero, seed {}",
            shown.len(),
            100.0 * density,
            run.seed
        );
        area.draw(&Text::new(sub, (LEFT, 66), font(13).color(&PALE))).map_err(failed)?;
        for (k, &i) in shown.iter().enumerate() {
            let at = (LEFT + (k % columns) as i32 * (w + gap), top + (k / columns) as i32 * (h + gap));
            let colours = &|j: usize| match p.pattern.find(i as u32, j as u32) {
                Some(entry) => diverging(p.values[entry] / largest),
                None => OUTSIDE,
            };
            Pixels { at, size, width: tile_width, height: tile_height, colours }.draw(&mut pixels);
        }
        // the scale: 49 levels, the largest above
        let colours = &|k: usize| diverging(1.0 - k as f64 / 24.0);
        Pixels { at: (right, top), size: 4, width: 1, height: 49, colours }.draw(&mut pixels);
        let _ = writeln!(
            pixels,
            "<g transform=\"translate({} 0)\">{}</g>",
            right + 4,
            (0..49).fold(String::new(), |mut all, k| {
                let RGBColor(r, g, b) = colours(k);
                let y = top + 4 * k as i32;
                let _ = write!(
                    all,
                    "<rect y=\"{y}\" width=\"14\" height=\"4\" fill=\"#{r:02X}{g:02X}{b:02X}\"/>"
                );
                all
            })
        );
        for (value, k) in [(largest, 0), (0.0, 24), (-largest, 48)] {
            let y = top + 4 * k + 2;
            text(&area, format!("{value:.2}"), (right + 26, y), 13, (HPos::Left, VPos::Center))?;
        }
        let y = top + 49 * 4 + 24;
        let square = Rectangle::new([(right, y), (right + 18, y + 18)], OUTSIDE.filled());
        area.draw(&square).map_err(failed)?;
        text(&area, "no entry".into(), (right + 26, y + 9), 13, (HPos::Left, VPos::Center))?;
        area.present().map_err(failed)?;
    }
    Ok(Some(with_pixels(svg, &pixels)))
}

/// The learned penalty g and, beside it, its proximal operator xi, of the first seed; nothing is drawn where none was
/// learned.
///
/// # Errors
/// [`crate::Error::File`] where drawing fails.
pub fn regulariser(report: &Report) -> Result<Option<String>> {
    let runs: Vec<_> = learned(report).collect();
    if runs.is_empty() {
        return Ok(None);
    }
    // twice as far as the last knee, so that its slope beyond is seen
    let reach = runs.iter().map(|(_, run)| run.activation.delta2).fold(0.5, f64::max) * 1.6;
    // few and even points: the lines between them are drawn from pixel to pixel
    let samples = || (-60..=60).map(|k| reach * f64::from(k) / 60.0);
    let g = |run: &Learned, y: f64| {
        let a = run.activation;
        Pwl { eta1: a.eta1, eta2: a.eta2, delta1: a.delta1, delta2: a.delta2 }.value(1.0, y.abs())
    };
    let penalties =
        runs.iter().map(|(_, run)| samples().map(|y| (y, g(run, y))).collect::<Vec<_>>()).collect::<Vec<_>>();
    let operators = runs.iter().map(|(_, run)| {
        let a = run.activation;
        let knees = [-reach, -a.delta2, -a.delta1, a.delta1, a.delta2, reach];
        knees.map(|v| (v, a.value(v))).to_vec()
    });
    let panels = [("y", "g(y)", penalties), ("v", "ξ(v)", operators.collect())];
    let mut svg = String::new();
    {
        let (width, height) = (1000, 520);
        let area = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        title(&area, "The learned penalty g and its proximal operator ξ", &report.about())?;
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
        for (k, (row, run)) in runs.iter().enumerate() {
            let a = run.activation;
            let words = format!(
                "{}:  η = {:.2}, {:.2};  δ = {:.2}, {:.2};  L = {:.2}",
                row.method, a.eta1, a.eta2, a.delta1, a.delta2, run.l
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

/// The ratio on the minibatches over the steps: the mean over the seeds, faintly each seed, and for comparison the other
/// methods' on the test pictures; nothing is drawn where nothing was trained.
///
/// # Errors
/// [`crate::Error::File`] where drawing fails.
pub fn course(report: &Report) -> Result<Option<String>> {
    let rows: Vec<&Row> = report.rows.iter().filter(|row| !row.runs.is_empty()).collect();
    let Some(steps) = rows.iter().flat_map(|r| &r.runs).map(|r| r.steps).max() else { return Ok(None) };
    let others: Vec<&Row> = report.rows.iter().filter(|row| row.runs.is_empty()).collect();
    let mut svg = String::new();
    {
        let (width, height, column) = (940, 540, 170);
        let area = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        title(&area, "Training: the ratio on minibatches over the steps", &report.about())?;
        let runs = rows.iter().flat_map(|r| &r.runs).flat_map(|r| &r.history).map(|p| p.1);
        let values: Vec<f64> = runs.chain(others.iter().map(|r| r.psnr_mean)).collect();
        let spread = values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
            - values.iter().copied().fold(f64::INFINITY, f64::min);
        let (low, high) = range(values.iter().copied(), unit(spread), -200.0, 200.0);
        let mut chart = ChartBuilder::on(&area)
            .margin_top(78)
            .margin_right(column)
            .margin_bottom(14)
            .margin_left(8)
            .x_label_area_size(56)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..steps as f64, low..high)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .x_desc("step")
            .y_desc("PSNR, dB")
            .axis_desc_style(font(16))
            .label_style(font(14))
            .light_line_style(RGBColor(245, 245, 245))
            .bold_line_style(RGBColor(225, 225, 225))
            .max_light_lines(1)
            .x_label_formatter(&|x| plain(*x))
            .y_label_formatter(&|y| plain(*y))
            .draw()
            .map_err(failed)?;
        let mut ends: Vec<(i32, String, Option<usize>)> = Vec::new();
        for row in &others {
            let line = [0.0, steps as f64].map(|x| chart.backend_coord(&(x, row.psnr_mean)));
            for x in (line[0].0..line[1].0).step_by(9) {
                let dash = PathElement::new([(x, line[0].1), (x + 4, line[0].1)], RGBColor(150, 150, 150));
                area.draw(&dash).map_err(failed)?;
            }
            ends.push((line[1].1, row.method.clone(), None));
        }
        for (k, row) in rows.iter().enumerate() {
            let points = |h: &[(usize, f64)]| -> Vec<(f64, f64)> {
                h.iter().map(|&(step, ratio)| (step as f64, ratio)).collect()
            };
            if row.runs.len() > 1 {
                for run in &row.runs {
                    let style = colour(k + 1).mix(0.25).stroke_width(1);
                    chart.draw_series(LineSeries::new(points(&run.history), style)).map_err(failed)?;
                }
            }
            let length = row.runs.iter().map(|r| r.history.len()).min().unwrap_or(0);
            let means: Vec<(usize, f64)> = (0..length)
                .map(|e| {
                    let sum: f64 = row.runs.iter().map(|r| r.history[e].1).sum();
                    (row.runs[0].history[e].0, sum / row.runs.len() as f64)
                })
                .collect();
            let style = colour(k + 1).stroke_width(2);
            chart.draw_series(LineSeries::new(points(&means), style)).map_err(failed)?;
            if let Some(&(step, ratio)) = means.last() {
                let at = chart.backend_coord(&(step as f64, ratio));
                mark(&area, at, k + 1, 6.0)?;
                ends.push((at.1, row.method.clone(), Some(k + 1)));
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
            area.draw(&Text::new(name, (x, y), style)).map_err(failed)?;
        }
        area.present().map_err(failed)?;
    }
    Ok(Some(svg))
}
