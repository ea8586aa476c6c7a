//! The texts in `tests/fixtures/shapes` are those of the learned bodies, and the Rust types there
//! read them. `tests/it/shapes` gives the other texts to a compiler and to a validator.

use landfall_shape::{Rules, Sample, Shape, Written, rust, schema, typescript};
use serde_json::Value;

const BODIES: &str = include_str!("../../../tests/fixtures/shapes/bodies.jsonl");
const RUST: &str = include_str!("../../../tests/fixtures/shapes/types.rs");
const TYPESCRIPT: &str = include_str!("../../../tests/fixtures/shapes/types.ts");
const SCHEMA: &str = include_str!("../../../tests/fixtures/shapes/schema.json");

/// Every field is read by serde, and none by the test.
#[allow(dead_code)]
mod types {
    include!("../../../tests/fixtures/shapes/types.rs");
}

fn shape() -> Shape {
    let rules = Rules {
        min_events: 100,
        min_ms: 0,
        adopt_ms: i64::MAX,
    };
    let mut shape = Shape::new();
    for _ in 0..4 {
        for body in BODIES.lines() {
            let sample = Sample {
                event: "0190f3c1-8a5e-7000-8000-0123456789ab",
                body: body.as_bytes(),
                content_type: Some("application/json"),
                at_ms: 0,
            };
            shape.learn(&sample, &rules);
        }
    }
    shape
}

#[test]
fn fixtures_are_what_is_written() {
    let shape = shape();
    let written = [Written {
        event_type: "order.paid",
        shape: &shape,
    }];
    assert_eq!(rust("shop", &written), RUST);
    assert_eq!(typescript("shop", &written), TYPESCRIPT);
    let found: Value = serde_json::from_str(&schema("shop", &written)).unwrap();
    let expected: Value = serde_json::from_str(SCHEMA).unwrap();
    assert_eq!(found, expected);
}

#[test]
fn rust_types_read_the_bodies() {
    for body in BODIES.lines() {
        let read: types::OrderPaid = serde_json::from_str(body).unwrap();
        let again: types::OrderPaid =
            serde_json::from_value(serde_json::to_value(&read).unwrap()).unwrap();
        assert_eq!(read, again);
    }
    let first: types::OrderPaid = serde_json::from_str(BODIES.lines().next().unwrap()).unwrap();
    assert_eq!(first.big, u64::MAX);
    assert_eq!(first.stock["17"].left, 1);
    assert_eq!(first.match_.unwrap().self_, "x");
}
