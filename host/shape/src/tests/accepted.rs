//! A learned schema accepts every body that it was learned from. The validator here knows only the
//! keywords that are written; `tests/it/shapes` asks another one.

use std::fmt::Write;

use serde_json::Value;

use super::*;
use crate::schema::schema;
use crate::written::Written;

/// A generator of random numbers (xorshift64*).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }

    pub(super) fn body(&mut self, depth: u64) -> String {
        const SCALARS: [&str; 20] = [
            "null",
            "true",
            "1",
            "-1",
            "1.5",
            "1e3",
            "9007199254740993",
            "18446744073709551615",
            "-9223372036854775808",
            "123456789012345678901234567890",
            "\"\"",
            "\"paid\"",
            "\"open\"",
            "\"2026-01-31\"",
            "\"2026-01-31T08:15:30Z\"",
            "\"0190f3c1-8a5e-7000-8000-0123456789ab\"",
            "\"https://example.com/a?b=c\"",
            "\"\\u0000\\ud83d\\ude00\"",
            "[]",
            "{}",
        ];
        const NAMES: [&str; 14] = [
            "a",
            "b",
            "status",
            "type",
            "",
            "*",
            "a/b",
            "~",
            "1",
            "22",
            "jane@example.com",
            "\\u00e9",
            "$ref",
            "type\\n",
        ];
        match self.below(6) {
            0 | 1 if depth > 0 => {
                let mut text = String::from("{");
                for index in 0..self.below(6) {
                    let name = NAMES[self.below(NAMES.len() as u64) as usize];
                    let value = self.body(depth - 1);
                    let comma = if index > 0 { "," } else { "" };
                    write!(text, "{comma}\"{name}\":{value}").unwrap();
                }
                text + "}"
            }
            2 if depth > 0 => {
                let elements: Vec<String> =
                    (0..self.below(4)).map(|_| self.body(depth - 1)).collect();
                format!("[{}]", elements.join(","))
            }
            _ => SCALARS[self.below(SCALARS.len() as u64) as usize].to_owned(),
        }
    }
}

/// Whether the schema accepts the value. Only for schemas of `schema`.
fn accepts(schema: &Value, value: &Value) -> bool {
    let Value::Object(schema) = schema else {
        return *schema == Value::Bool(true);
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_kind = |word: &Value| word == kind || (word == "number" && kind == "integer");
    let has_kind = match schema.get("type") {
        None => true,
        Some(Value::Array(words)) => words.iter().any(is_kind),
        Some(word) => is_kind(word),
    };
    let is_listed = match schema.get("enum") {
        Some(Value::Array(values)) => values.contains(value),
        _ => true,
    };
    let below = match value {
        Value::Array(elements) => schema
            .get("items")
            .is_none_or(|items| elements.iter().all(|element| accepts(items, element))),
        Value::Object(fields) => {
            let required = schema.get("required").and_then(Value::as_array);
            let mut names = required.into_iter().flatten().filter_map(Value::as_str);
            let has_all = names.all(|name| fields.contains_key(name));
            has_all
                && fields.iter().all(|(name, field)| {
                    let property = schema.get("properties").and_then(|all| all.get(name));
                    let property = property.or_else(|| schema.get("additionalProperties"));
                    property.is_none_or(|property| accepts(property, field))
                })
        }
        _ => true,
    };
    has_kind && is_listed && below
}

pub(super) fn schema_of(shape: &Shape) -> Value {
    let written = Written {
        event_type: "",
        shape,
    };
    serde_json::from_str(&schema("orders", &[written])).unwrap()
}

#[test]
fn schemas_accept_what_they_learned() {
    for seed in 1..200 {
        let mut random = Random(u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15));
        let (mut shape, mut bodies) = (Shape::new(), Vec::new());
        for number in 0..random.below(60) {
            let body = random.body(4);
            let learned = learn_at(&mut shape, &body, number as i64 * DAY_MS / 5);
            assert!(!matches!(learned, Learned::Skipped(_)), "{body}");
            bodies.push(body);
            if random.below(10) == 0 {
                shape = Shape::parse(&shape.to_json()).unwrap();
            }
            if random.below(20) == 0 {
                shape.accept();
            }
        }
        let schema = schema_of(&shape);
        for body in bodies {
            let value: Value = serde_json::from_str(&body).unwrap();
            assert!(accepts(&schema, &value), "seed {seed}\n{body}\n{schema:#}");
        }
    }
}

/// A schema that accepts everything would also accept what it has learned.
#[test]
fn schemas_refuse_other_bodies() {
    let bodies = [
        r#"{"id":1,"status":"paid","at":"2026-01-31","l":[{"a":1}]}"#,
        r#"{"id":2,"status":"open","at":"2026-02-01","l":[]}"#,
    ];
    let schema = schema_of(&known(&bodies));
    for body in [
        r#"{"status":"paid","at":"2026-01-31","l":[]}"#,
        r#"{"id":"1","status":"paid","at":"2026-01-31","l":[]}"#,
        r#"{"id":1,"status":"late","at":"2026-01-31","l":[]}"#,
        r#"{"id":1,"status":"paid","at":"2026-01-31","l":[{"a":"1"}]}"#,
        r#"{"id":1,"status":"paid","at":"2026-01-31","l":[{}]}"#,
        "[]",
    ] {
        let value: Value = serde_json::from_str(body).unwrap();
        assert!(!accepts(&schema, &value), "{body}\n{schema:#}");
    }
}
