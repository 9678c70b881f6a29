//! Where the formats of a sparse matrix cross over.

use plotters::prelude::*;

use super::{Axes, colour, failed, font, mark, plain, sparing, title};
use maf_srl::bench::{FormatTime, VECTORS};
use maf_srl::error::Result;
use maf_srl::kernels::Format;

/// A panel per number of vectors: time against density, a line per format.
///
/// # Errors
/// [`maf_srl::Error::File`] where the chart cannot be drawn.
pub fn formats(adapter: &str, components: u32, times: &[FormatTime]) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (980, 760)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let first = format!("Products with a sparse {components} x {components} matrix and its transpose");
        let second = format!("{}; time against density, both logarithmic", adapter);
        title(&area, &first, &second)?;
        for (k, format) in Format::ALL.into_iter().enumerate() {
            let x = 640 + 110 * k as i32;
            mark(&area, (x, 56), k, 6.0)?;
            area.draw(&Text::new(format.name(), (x + 14, 48), font(15))).map_err(failed)?;
        }
        let (_, rest) = area.split_vertically(76);
        for (panel, vectors) in rest.split_evenly((2, 2)).iter().zip(VECTORS) {
            let times: Vec<&FormatTime> = times.iter().filter(|t| t.vectors == vectors).collect();
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
