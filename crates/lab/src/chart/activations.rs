//! A learned activation.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{Axes, colour, failed, plain, text, title};
use maf_srl::error::Result;
use maf_srl::penalty::{Activation, Elementwise, Pwl};

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
            Axes { count: 8, ..Axes::new([x, y], plain) }.draw(&mut chart)?;
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
