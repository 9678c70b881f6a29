//! The pictures of a run, as SVG: what the methods make of the noise, and what was learned.

use std::fmt::Write;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Learned, Report, Row};
use crate::chart::{
    LEFT, Lines, PALE, Pixels, Series, activations, failed, font, grey, text, title, with_pixels,
};
use maf_srl::error::Result;

/// The learned rows with their runs.
fn learned(report: &Report) -> impl Iterator<Item = (&Row, &Learned)> {
    report.rows.iter().filter_map(|row| row.runs.first().map(|run| (row, run)))
}

/// Test pictures of the first seed: clean, noisy, and what each method makes of them, with its mean ratio.
///
/// # Errors
/// [`maf_srl::Error::File`] where drawing fails.
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
/// [`maf_srl::Error::File`] where drawing fails.
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
/// [`maf_srl::Error::File`] where drawing fails.
pub fn regulariser(report: &Report) -> Result<Option<String>> {
    let runs: Vec<_> =
        learned(report).map(|(row, run)| (row.method.as_str(), run.activation, run.l)).collect();
    activations(&report.about(), &runs)
}

/// The ratio on the minibatches over the steps: the mean over the seeds, faintly each seed, and for comparison the other
/// methods' on the test pictures; nothing is drawn where nothing was trained.
///
/// # Errors
/// [`maf_srl::Error::File`] where drawing fails.
pub fn course(report: &Report) -> Result<Option<String>> {
    let of = |row: &Row| {
        let points = |run: &Learned| run.history.iter().map(|&(step, ratio)| (step as f64, ratio)).collect();
        Series { name: row.method.clone(), runs: row.runs.iter().map(points).collect() }
    };
    let (trained, others): (Vec<&Row>, Vec<&Row>) = report.rows.iter().partition(|row| !row.runs.is_empty());
    let lines = Lines {
        title: "Training: the ratio on minibatches over the steps",
        about: &report.about(),
        x: "step",
        y: "PSNR, dB",
        series: trained.into_iter().map(of).collect(),
        levels: others.into_iter().map(|row| (row.method.clone(), row.psnr_mean)).collect(),
    };
    lines.draw()
}
