//! A line through measured points, as SVG.

use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 56.0;
/// Lines across the plot, besides the axis.
const GRID: usize = 4;

/// What is drawn.
pub(crate) struct Plot<'a> {
    pub(crate) title: &'a str,
    /// Below the axis. The points have equal distances: they are steps, not a scale.
    pub(crate) x_title: &'a str,
    /// Label and height of each point, at least one. The heights are not negative.
    pub(crate) points: Vec<(String, f64)>,
    /// A dashed line, and what it means.
    pub(crate) bound: (f64, &'a str),
}

// === impl Plot ===

impl Plot<'_> {
    pub(crate) fn svg(&self) -> String {
        let heights = self.points.iter().map(|(_, height)| *height);
        let top = heights.fold(self.bound.0, f64::max).max(f64::MIN_POSITIVE) * 1.15;
        let y = |height: f64| HEIGHT - BOTTOM - height / top * (HEIGHT - TOP - BOTTOM);
        let gaps = self.points.len().saturating_sub(1).max(1) as f64;
        let x = |number: usize| LEFT + 24.0 + number as f64 / gaps * (WIDTH - LEFT - RIGHT - 48.0);

        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
             <text x=\"{LEFT}\" y=\"22\" font-size=\"14\" fill=\"#1f2328\">{}</text>\n",
            escape(self.title)
        );
        for step in 0..=GRID {
            let height = top * step as f64 / GRID as f64;
            let (at, right) = (y(height), WIDTH - RIGHT);
            add(
                &mut svg,
                &format!(
                    "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{right}\" y2=\"{at:.1}\" stroke=\"#d0d7de\"/>"
                ),
            );
            add(
                &mut svg,
                &text(LEFT - 8.0, at + 4.0, "end", &format!("{height:.1}")),
            );
        }

        let bound = y(self.bound.0);
        let right = WIDTH - RIGHT;
        add(
            &mut svg,
            &format!(
                "<line x1=\"{LEFT}\" y1=\"{bound:.1}\" x2=\"{right}\" y2=\"{bound:.1}\" \
                 stroke=\"#9a6700\" stroke-dasharray=\"6 4\"/>"
            ),
        );
        add(&mut svg, &text(right, bound - 5.0, "end", self.bound.1));

        let mut line = String::new();
        for (number, (label, height)) in self.points.iter().enumerate() {
            let (at_x, at_y) = (x(number), y(*height));
            write!(line, "{at_x:.1},{at_y:.1} ").expect("a string takes text");
            add(
                &mut svg,
                &format!("<circle cx=\"{at_x:.1}\" cy=\"{at_y:.1}\" r=\"4\" fill=\"#0969da\"/>"),
            );
            add(
                &mut svg,
                &text(at_x, HEIGHT - BOTTOM + 18.0, "middle", label),
            );
        }
        add(
            &mut svg,
            &format!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"#0969da\" stroke-width=\"2\"/>",
                line.trim_end()
            ),
        );
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        add(
            &mut svg,
            &text(middle, HEIGHT - 14.0, "middle", self.x_title),
        );

        svg.push_str("</svg>\n");
        svg
    }
}

fn add(svg: &mut String, element: &str) {
    svg.push_str(element);
    svg.push('\n');
}

fn text(x: f64, y: f64, anchor: &str, text: &str) -> String {
    format!(
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#59636e\">{}</text>",
        escape(text)
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
