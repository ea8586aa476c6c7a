//! The texts of schemas and types. `tests/it/shapes` compiles them.

use super::*;
use crate::rust::rust;
use crate::schema::schema;
use crate::typescript::typescript;
use crate::written::Written;

const ORDER: &str = r#"{"id":7,"type":"order","total":9.5,"note":null,"created-at":"2026-01-31T08:15:30Z",
    "lines":[{"sku":"a","qty":1},{"sku":"b"}],"by_id":{"17":{"n":1}},"big":18446744073709551615}"#;
const ORDER_WITH_NOTE: &str = r#"{"id":7,"type":"order","total":9,"note":"x","created-at":"2026-01-31T08:15:30Z",
    "lines":[],"by_id":{},"big":1}"#;

fn order() -> Shape {
    known(&[ORDER, ORDER_WITH_NOTE])
}

#[test]
fn rust_types_are_as_documented() {
    let shape = order();
    let one = Written {
        event_type: "order.paid",
        shape: &shape,
    };
    assert_eq!(
        rust("shop", &[one]),
        r#"// The events of the hook shop, as learned from its traffic.
// Written by `landfall shape shop --rust`.

/// shop: order.paid
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct OrderPaid {
    pub big: u64,
    pub by_id: std::collections::BTreeMap<String, OrderPaidById>,
    #[serde(rename = "created-at")]
    pub created_at: String,
    pub id: i64,
    pub lines: Vec<OrderPaidLines>,
    pub note: Option<String>,
    pub total: f64,
    /// One of: order.
    #[serde(rename = "type")]
    pub type_: String,
}

#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct OrderPaidById {
    pub n: i64,
}

#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct OrderPaidLines {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qty: Option<i64>,
    pub sku: String,
}
"#
    );
}

#[test]
fn typescript_types_are_as_documented() {
    let shape = order();
    let one = Written {
        event_type: "order.paid",
        shape: &shape,
    };
    assert_eq!(
        typescript("shop", &[one]),
        r#"// The events of the hook shop, as learned from its traffic.
// Written by `landfall shape shop --ts`.

/** shop: order.paid */
export interface OrderPaid {
  /** Some values are not exact in JavaScript. */
  big: number;
  by_id: Record<string, OrderPaidById>;
  "created-at": string;
  id: number;
  lines: Array<OrderPaidLines>;
  note: string | null;
  total: number;
  type: "order";
}

export interface OrderPaidById {
  n: number;
}

export interface OrderPaidLines {
  qty?: number;
  sku: string;
}

/** The bodies by event type. */
export interface EventTypes {
  "order.paid": OrderPaid;
}
"#
    );
}

#[test]
fn schemas_are_as_documented() {
    let shape = known(&[
        r#"{"id":7,"note":null,"at":"2026-01-31"}"#,
        r#"{"id":7,"note":"x","at":"2026-01-31"}"#,
    ]);
    let one = Written {
        event_type: "",
        shape: &shape,
    };
    let expected = serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "shop",
        "type": "object",
        "properties": {
            "at": { "type": "string", "format": "date" },
            "id": { "type": "integer" },
            "note": { "type": ["string", "null"] },
        },
        "required": ["at", "id", "note"],
    });
    let found: serde_json::Value = serde_json::from_str(&schema("shop", &[one])).unwrap();
    assert_eq!(found, expected);
}

#[test]
fn clashing_names_get_numbers() {
    let shape = known(&[
        r#"{"a-b":1,"a_b":{"c":1},"aB":{"c":1},"self":1,"Self":2,"":3,"1":4,"String":{"a":1},"rest":1,"99":2}"#,
    ]);
    let both = ["string", "String"].map(|event_type| Written {
        event_type,
        shape: &shape,
    });
    let text = rust("shop", &both);
    for part in [
        "pub struct String2 {",
        "pub struct String3 {",
        "pub a_b: i64,",
        "#[serde(rename = \"aB\")]\n    pub a_b2: ",
        "#[serde(rename = \"a_b\")]\n    pub a_b3: ",
        "#[serde(rename = \"self\")]\n    pub self_2: i64",
        "#[serde(rename = \"Self\")]\n    pub self_: i64",
        "#[serde(rename = \"\")]\n    pub field: i64",
        "#[serde(flatten)]\n    pub rest2: std::collections::BTreeMap<String, i64>",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn texts_do_not_depend_on_order() {
    let (mut one, mut two) = (Shape::new(), Shape::new());
    for body in [ORDER, ORDER_WITH_NOTE] {
        learn_at(&mut one, body, 0);
    }
    for body in [ORDER_WITH_NOTE, ORDER] {
        learn_at(&mut two, body, 0);
    }
    let texts = [&one, &two].map(|shape| {
        let written = [Written {
            event_type: "",
            shape,
        }];
        [
            schema("s", &written),
            typescript("s", &written),
            rust("s", &written),
        ]
    });
    assert_eq!(texts[0], texts[1]);
}

#[test]
fn hostile_names_stay_in_literals() {
    let shape = known(&[r#"{"a*/\n\"b\\":1,"__proto__":{"constructor":1},"\u2028":"x"}"#]);
    let one = Written {
        event_type: "x*/\n pub fn evil() {}",
        shape: &shape,
    };
    let texts = [rust("shop", &[one]), typescript("shop", &[one])];
    for text in texts {
        assert!(
            !text.lines().any(|line| line.starts_with(" pub fn")),
            "{text}"
        );
        let about = text.lines().find(|line| line.contains("evil")).unwrap();
        assert!(
            about.starts_with("/**") || about.starts_with("///"),
            "{text}"
        );
    }
}
