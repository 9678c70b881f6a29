//! Pictures of pixels.

use std::fmt::Write;

use plotters::style::RGBColor;

/// Pixels of one size: a path per colour, which takes a tenth of the kernel of a rectangle per pixel.
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
