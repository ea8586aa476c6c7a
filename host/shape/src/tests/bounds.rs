//! Sizes that bodies cannot exceed, and values that a shape does not have.

use super::*;
use crate::limits::{DEPTH_MAX, FIELDS_MAX, NAMES_BYTES_MAX, NODES_MAX};

/// The text of a shape is at most so long.
const TEXT_MAX: usize = 1 << 20;

fn assert_bounded(shape: &Shape) {
    let (nodes, names) = shape.root.size();
    // A node in which names without room are collected is not counted in advance.
    assert!(nodes <= NODES_MAX * 2, "{nodes}");
    assert!(names <= NAMES_BYTES_MAX, "{names}");
    let text = shape.to_json();
    assert!(text.len() <= TEXT_MAX, "{}", text.len());
    assert!(Shape::parse(&text).is_some());
    assert!(shape.differences().len() <= crate::DIFFERENCES_MAX);
}

#[test]
fn wide_objects_become_maps() {
    let names = |count: usize| {
        let pairs: Vec<String> = (0..count).map(|n| format!("\"name{n}\":{n}")).collect();
        format!("{{\"o\":{{{}}}}}", pairs.join(","))
    };
    let shape = learned(&[&names(FIELDS_MAX)]);
    assert_eq!(shape.fields(10_000).len(), FIELDS_MAX + 1);
    let shape = learned(&[&names(FIELDS_MAX + 1)]);
    let fields = shape.fields(10_000);
    assert_eq!(fields[1].pointer, "/o/*");
    assert_eq!(fields[1].types, "integer");
    assert_bounded(&shape);
}

#[test]
fn names_seen_once_become_a_map() {
    let mut shape = Shape::new();
    for number in 0..100 {
        let name: String = format!("{number:02}")
            .bytes()
            .map(|b| char::from(b + 49))
            .collect();
        let body = format!("{{\"owners\":{{\"{name}\":{{\"n\":1}}}}}}");
        learn_at(&mut shape, &body, number);
    }
    let pointers: Vec<String> = shape.fields(10).into_iter().map(|f| f.pointer).collect();
    assert_eq!(pointers, ["/owners", "/owners/*", "/owners/*/n"]);
}

#[test]
fn hostile_names_stay_bounded() {
    let mut shape = Shape::new();
    for round in 0..200 {
        let pairs: Vec<String> = (0..250)
            .map(|n| format!("\"{}{round}x{n}\":{{\"a\":[{{}}]}}", "n".repeat(60)))
            .collect();
        learn_at(&mut shape, &format!("{{{}}}", pairs.join(",")), round);
    }
    assert_bounded(&shape);

    let mut shape = Shape::new();
    for round in 0..300 {
        let body = format!("{{\"a{round}\":{{\"b{round}\":{{\"c{round}\":[[[1]]]}}}}}}");
        learn_at(&mut shape, &body, round);
    }
    assert_bounded(&shape);
}

#[test]
fn deep_bodies_are_any_value() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let body = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        let shape = learned(&[&body]);
        assert_eq!(shape.events(), 1);
        let fields = shape.fields(1_000);
        assert_eq!(fields.len(), DEPTH_MAX);
        assert_eq!(fields.last().unwrap().types, "any");
        assert_bounded(&shape);
    }
}

#[test]
fn complex_bodies_are_skipped() {
    let objects: Vec<String> = (0..200)
        .map(|n| {
            let names: Vec<String> = (0..30).map(|m| format!("\"x{m}\":1")).collect();
            format!("\"o{n}\":{{{}}}", names.join(","))
        })
        .collect();
    let mut shape = Shape::new();
    let body = format!("{{{}}}", objects.join(","));
    assert_eq!(learn_at(&mut shape, &body, 0), Learned::Skipped("complex"));
    assert_bounded(&shape);
}

#[test]
fn values_are_not_kept() {
    let body = r#"{"email":"jane@example.com","token":"sk_live_4eC39HqLyjWDarjtT1zdp7dc","type":"sk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "name":"Jane Doe","status":"Jane Doe","login":"jane","reason":"because-4242-4242","state":"paid","by":{"jane@example.com":1},
        "amount":424242,"list":["canary"]}"#;
    let shape = known(&[body]);
    let text = shape.to_json();
    for value in ["jane", "Jane", "sk_live", "4242", "canary"] {
        assert!(!text.contains(value), "{value}: {text}");
    }
    assert!(text.contains("paid"), "{text}");

    let rare = learned(&[body]);
    assert!(!rare.to_json().contains("paid"));
}

#[test]
fn forms_have_flat_shapes() {
    let form = Some("application/x-www-form-urlencoded; charset=utf-8");
    let mut shape = Shape::new();
    learn_as(
        &mut shape,
        "Body=hello+you&From=%2B1&MediaUrl=a&MediaUrl=b",
        0,
        form,
    );
    let fields: Vec<(String, String)> = shape
        .fields(10)
        .into_iter()
        .map(|field| (field.pointer, field.types))
        .collect();
    let expected = [
        ("/Body", "string"),
        ("/From", "string"),
        ("/MediaUrl", "array"),
        ("/MediaUrl/*", "string"),
    ];
    assert_eq!(
        fields,
        expected.map(|(pointer, types)| (pointer.to_owned(), types.to_owned()))
    );
    assert_eq!(shape.forms_and_others(), (1, 0));
}

#[test]
fn bodies_are_no_names_of_forms() {
    let form = Some("application/x-www-form-urlencoded");
    let mut shape = Shape::new();
    for body in [
        "Jane Doe has paid",
        "Jane Doe owes=5",
        "paid&Jane",
        "<a name=\"Jane\">1=1</a>",
        "{\"name\": \"Jane=Doe\"",
    ] {
        learn_as(&mut shape, body, 0, form);
    }
    assert_eq!(shape.forms_and_others(), (0, 5));
    assert!(!shape.to_json().contains("Jane"), "{}", shape.to_json());

    // JSON is learned as what it is.
    learn_as(&mut shape, "{\"name\": \"Jane=Doe\"}", 0, form);
    let fields = shape.fields(10);
    let pointers: Vec<&str> = fields.iter().map(|field| &*field.pointer).collect();
    assert_eq!(pointers, ["/name"]);

    let mut shape = Shape::new();
    learn_as(&mut shape, "a%20b=1&c[d]=2&payload={\"e\": 3}&", 0, form);
    learn_as(&mut shape, "", 0, form);
    assert_eq!(shape.forms_and_others(), (2, 0));
}
