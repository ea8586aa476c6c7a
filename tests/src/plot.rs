//! Lines over time as a picture in SVG: one panel for each line, with its own scale.

use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 110.0;
/// Above each panel, for its title.
const TITLE: f64 = 24.0;
const MARGIN: f64 = 12.0;

/// One line.
#[derive(Debug, Clone)]
pub struct Line {
    /// What is drawn, with its unit.
    pub title: String,
    /// Seconds and values.
    pub points: Vec<(f64, f64)>,
}

/// The picture.
pub fn svg(title: &str, lines: &[Line]) -> String {
    let height = (HEIGHT + TITLE + MARGIN) * lines.len() as f64 + TITLE + MARGIN;
    let width = WIDTH + 2.0 * MARGIN;
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{MARGIN}\" y=\"{TITLE}\" font-weight=\"bold\">{}</text>\n",
        escape(title)
    );
    for (number, line) in lines.iter().enumerate() {
        let top = TITLE + MARGIN + (HEIGHT + TITLE + MARGIN) * number as f64;
        panel(&mut picture, line, top);
    }
    picture + "</svg>\n"
}

fn panel(picture: &mut String, line: &Line, top: f64) {
    let values = line.points.iter().map(|(_, value)| *value);
    let most = values.fold(0.0, f64::max);
    let last = line.points.last().map_or(1.0, |(at, _)| at.max(1.0));
    let bottom = top + TITLE + HEIGHT;
    let points: Vec<String> = line
        .points
        .iter()
        .map(|(at, value)| {
            let x = MARGIN + WIDTH * at / last;
            let y = bottom - HEIGHT * value / most.max(f64::MIN_POSITIVE);
            format!("{x:.1},{y:.1}")
        })
        .collect();
    writeln!(
        picture,
        "<text x=\"{MARGIN}\" y=\"{:.1}\">{}: at most {most:.1}, over {last:.0} s</text>\n\
         <rect x=\"{MARGIN}\" y=\"{:.1}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"none\" stroke=\"#bbb\"/>\n\
         <polyline points=\"{}\" fill=\"none\" stroke=\"#06c\" stroke-width=\"1.5\"/>",
        top + TITLE - 6.0,
        escape(&line.title),
        top + TITLE,
        points.join(" ")
    )
    .expect("a String takes everything");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_a_panel() {
        let line = |title: &str, points: &[(f64, f64)]| Line {
            title: title.into(),
            points: points.into(),
        };
        let lines = [
            line("memory <MiB>", &[(0.0, 1.0), (10.0, 2.0)]),
            line("nothing", &[]),
        ];

        let picture = svg("two & none", &lines);

        assert_eq!(picture.matches("<polyline").count(), 2);
        assert!(
            picture.contains("points=\"12.0,115.0 652.0,60.0\""),
            "{picture}"
        );
        assert!(picture.contains("memory &lt;MiB>: at most 2.0, over 10 s"));
        assert!(picture.contains("two &amp; none"));
    }
}
