//! A line through measured points, as SVG.

use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 56.0;
/// Lines across the plot, besides the axis: no more than this.
const GRID: f64 = 5.0;

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
        let highest = heights.fold(self.bound.0, f64::max) * 1.1;
        let step = round_step(highest / GRID);
        let lines = (highest / step).ceil().max(1.0);
        let top = step * lines;
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
        for line in 0..=lines as usize {
            let height = step * line as f64;
            let (at, right) = (y(height), WIDTH - RIGHT);
            add(
                &mut svg,
                &format!(
                    "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{right}\" y2=\"{at:.1}\" stroke=\"#d0d7de\"/>"
                ),
            );
            add(
                &mut svg,
                &text(LEFT - 8.0, at + 4.0, "end", &label(height, step)),
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

/// 1, 2 or 5 times a power of ten, at least `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.max(0.1).log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|factor| factor * power);
    let step = steps.into_iter().find(|step| *step >= least);
    step.unwrap_or(10.0 * power)
}

fn label(height: f64, step: f64) -> String {
    if step < 1.0 {
        format!("{height:.1}")
    } else {
        format!("{height:.0}")
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
