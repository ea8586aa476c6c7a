//! Any lines as the bodies of events: what is learned of them is bounded, is the same after it was stored, has no difference from what
//! it has learned once that is accepted, and can be written.

use landfall_shape::{Learned, Rules, Sample, Shape, Written, rust, schema, typescript};

const RULES: Rules = Rules {
    min_events: 2,
    min_ms: 0,
    adopt_ms: i64::MAX,
};
/// The text of a shape is at most so long.
const TEXT_MAX: usize = 2 << 20;
const FORM: &str = "application/x-www-form-urlencoded";

fn learn(shape: &mut Shape, body: &[u8]) -> Learned {
    let sample = Sample {
        event: "0190f3c1-8a5e-7000-8000-0123456789ab",
        body,
        content_type: body.contains(&b'&').then_some(FORM),
        at_ms: 0,
    };
    shape.learn(&sample, &RULES)
}

pub(crate) fn run(data: &[u8]) {
    let bodies: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let mut shape = Shape::new();
    for body in &bodies {
        learn(&mut shape, body);
        let text = shape.to_json();
        assert!(text.len() <= TEXT_MAX, "{} bytes", text.len());
        shape = Shape::parse(&text).expect("a stored shape can be read");
        assert_eq!(shape.to_json(), text);
    }

    shape.accept();
    for body in &bodies {
        learn(&mut shape, body);
        let shown = String::from_utf8_lossy(body);
        assert!(shape.differences().is_empty(), "{shown}");
    }

    let written = [Written {
        event_type: "type",
        shape: &shape,
    }];
    let schema = schema("hook", &written);
    assert!(schema.is_ascii());
    serde_json::from_str::<serde_json::Value>(&schema).expect("a schema is JSON");
    assert!(typescript("hook", &written).contains("export "));
    assert!(rust("hook", &written).contains("pub "));
}
