//! Whole shapes: learned from bodies, compared, and written.

mod accepted;
mod bounds;
mod differences;
mod usual;
mod written;

use crate::shape::{Learned, Rules, Sample, Shape};

const DAY_MS: i64 = 86_400_000;

const RULES: Rules = Rules {
    min_events: 10,
    min_ms: DAY_MS,
    adopt_ms: 7 * DAY_MS,
};

/// Learns a body that was received after so many milliseconds.
fn learn_at(shape: &mut Shape, body: &str, at_ms: i64) -> Learned {
    learn_as(shape, body, at_ms, None)
}

fn learn_as(shape: &mut Shape, body: &str, at_ms: i64, content_type: Option<&str>) -> Learned {
    let sample = Sample {
        event: "0190f3c1-8a5e-7000-8000-0123456789ab",
        body: body.as_bytes(),
        content_type,
        at_ms,
    };
    shape.learn(&sample, &RULES)
}

/// A shape that has learned these bodies.
fn learned(bodies: &[&str]) -> Shape {
    let mut shape = Shape::new();
    for body in bodies {
        learn_at(&mut shape, body, 0);
    }
    shape
}

/// A shape that is known: it has seen each body so often.
fn known(bodies: &[&str]) -> Shape {
    let mut shape = Shape::new();
    for round in 0..20 {
        for body in bodies {
            learn_at(&mut shape, body, round * DAY_MS / 10);
        }
    }
    assert!(shape.is_known());
    shape
}

/// The open differences as sentences.
fn sentences(shape: &Shape) -> Vec<String> {
    let differences = shape.differences().iter();
    differences.map(ToString::to_string).collect()
}
