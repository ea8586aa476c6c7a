//! Bodies that a known shape has seen before are only counted. What is known afterwards is the same
//! as with the counts of all places.

use super::accepted::{Random, schema_of};
use super::*;

const NOW: i64 = 3 * DAY_MS;

/// Whether a body that was received now is only counted.
fn is_counted(shape: &mut Shape, body: &str) -> bool {
    let sample = Sample {
        event: "0190f3c1-8a5e-7000-8000-0123456789ab",
        body: body.as_bytes(),
        content_type: None,
        at_ms: NOW,
    };
    shape.is_usual(&sample, &RULES)
}

#[test]
fn only_what_was_seen_is_usual() {
    let bodies = [
        r#"{"id":1,"status":"paid","at":"2026-01-31","l":[{"a":1}],"by":{"17":{"n":1.5}},"x":null}"#,
        r#"{"id":2,"status":"open","at":"2026-02-01","l":[{"a":1}],"by":{"18":{"n":1.5}},"x":true,"o":1}"#,
    ];
    let mut shape = known(&bodies);
    for body in [
        bodies[0],
        bodies[1],
        r#"{"o":7,"x":null,"by":{"99":{"n":0.5},"98":{"n":2.5}},"l":[],"at":"2030-01-01","status":"paid","id":9}"#,
    ] {
        assert!(is_counted(&mut shape, body), "{body}");
    }
    let usual = bodies[0];
    for (part, other) in [
        ("\"id\":1", "\"id\":\"1\""),
        ("\"id\":1", "\"id\":-1"),
        ("\"id\":1", "\"id\":9007199254740993"),
        ("\"id\":1", "\"id\":1,\"id\":2"),
        ("\"id\":1", "\"id\":1,\"new\":2"),
        ("\"id\":1,", ""),
        // Twice, while another one is missing.
        ("\"id\":1", "\"x\":null"),
        ("paid", "late"),
        ("2026-01-31", "soon"),
        ("{\"a\":1}", "{\"a\":1},{}"),
        ("{\"a\":1}", "1"),
        ("\"17\"", "\"name\""),
        ("1.5", "\"x\""),
        ("null", "{}"),
        ("null}", "null} {"),
    ] {
        let body = usual.replacen(part, other, 1);
        assert_ne!(body, usual, "{part}");
        assert!(!is_counted(&mut shape, &body), "{body}");
    }
}

#[test]
fn bodies_of_many_objects_are_read() {
    let fields: Vec<String> = (0..100).map(|n| format!("\"f{n}\":1")).collect();
    let body = |objects: usize| {
        format!(
            "{{\"l\":[{}{{{}}}]}}",
            "{},".repeat(objects),
            fields.join(",")
        )
    };
    let mut shape = known(&[&body(1)]);
    assert!(is_counted(&mut shape, &body(10)));
    assert!(!is_counted(&mut shape, &body(10_000)));
}

#[test]
fn usual_bodies_only_count_events() {
    let body = r#"{"id":1,"status":"paid"}"#;
    let mut shape = known(&[body]);
    learn_at(&mut shape, "{}", NOW);
    let (bodies, events) = (shape.root.bodies, shape.events());
    assert_eq!(learn_at(&mut shape, body, NOW + 1), Learned::Counted);
    assert_eq!(shape.root.bodies, bodies);
    assert_eq!(shape.events(), events + 1);
    assert_eq!(shape.time().1, NOW + 1);
    assert!(shape.differences().iter().all(|open| open.quiet == 1));
}

/// A place with many nulls and few strings is counted until a lost format is a difference.
#[test]
fn rare_strings_are_counted() {
    let (null, date) = (r#"{"at":null}"#, r#"{"at":"2026-01-31"}"#);
    let mut shape = Shape::new();
    for number in 0..20 {
        let body = if number < 4 { date } else { null };
        learn_at(&mut shape, body, number * DAY_MS / 10);
    }
    assert!(is_counted(&mut shape, null) && !is_counted(&mut shape, date));
    for _ in 0..6 {
        learn_at(&mut shape, date, NOW);
    }
    assert!(is_counted(&mut shape, date));
    learn_at(&mut shape, r#"{"at":"soon"}"#, NOW);
    let lost = "/at is string without this format, not string (date)";
    assert_eq!(sentences(&shape), [lost]);
}

#[test]
fn shapes_are_as_with_all_counts() {
    let mut usual_bodies = 0;
    for seed in 1..200 {
        let mut random = Random(u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15));
        let bodies: Vec<String> = (0..3).map(|_| random.body(3)).collect();
        let (mut quick, mut whole) = (Shape::new(), Shape::new());
        for number in 0..150 {
            let body = match random.below(20) {
                0 => random.body(3),
                other => bodies[other as usize % bodies.len()].clone(),
            };
            let sample = Sample {
                event: "0190f3c1-8a5e-7000-8000-0123456789ab",
                body: body.as_bytes(),
                content_type: None,
                at_ms: number * DAY_MS / 20,
            };
            usual_bodies += u64::from(is_counted(&mut quick.clone(), &body));
            let learned = quick.learn(&sample, &RULES);
            assert_eq!(
                learned,
                whole.learn_whole(&sample, &RULES),
                "seed {seed}\n{body}"
            );
            assert_eq!(
                quick.differences(),
                whole.differences(),
                "seed {seed}\n{body}"
            );
            if random.below(30) == 0 {
                quick.accept();
                whole.accept();
            }
        }
        assert_eq!(schema_of(&quick), schema_of(&whole), "seed {seed}");
        assert_eq!(quick.events(), whole.events());
        assert_eq!(quick.is_known(), whole.is_known());
    }
    assert!(usual_bodies > 1_000, "{usual_bodies}");
}
