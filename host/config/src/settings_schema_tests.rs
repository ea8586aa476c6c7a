//! What is wrong with settings, and schemas that mean harm.

use serde_json::{Value, json};

use super::*;

fn schema(schema: &Value) -> SettingsSchema {
    SettingsSchema::parse(&toml::Value::String(schema.to_string())).unwrap()
}

/// The mistake as `path: message`; empty if the settings are right.
fn mistake(of: &Value, settings: Value) -> String {
    let Value::Object(settings) = settings else {
        panic!("settings are a table")
    };
    let mut allow = Allow {
        http: vec![
            "https://a.example/in/".parse().unwrap(),
            "GET https://g.example/".parse().unwrap(),
        ],
        ..Allow::default()
    };
    let tables = vec!["rows".to_owned()];
    allow.capabilities.grant_names("table", tables);
    allow
        .capabilities
        .grant_names("emit", vec!["next".to_owned()]);
    let checked = schema(of).check(&settings, &allow);
    checked.map_or_else(
        |mistake| format!("{}: {}", mistake.path.join("/"), mistake.message),
        |()| String::new(),
    )
}

fn typical() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["url"],
        "properties": {
            "url": { "type": "string", "x-landfall": "url", "description": "Where to post.\nMore." },
            "base": { "type": "string", "x-landfall": "base-url" },
            "mode": { "enum": ["binary", "structured"] },
            "body": { "type": ["string", "null"], "x-landfall": "template" },
            "count": { "type": "integer", "minimum": 1, "maximum": 9 },
            "tag": { "type": "string", "pattern": "^v[0-9]+$", "maxLength": 4 },
            "targets": { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/Target" } },
        },
        "$defs": {
            "Target": { "anyOf": [{ "type": "string", "format": "uri" }, { "$ref": "#/$defs/Table" }] },
            "Table": {
                "type": "object",
                "additionalProperties": false,
                "required": ["url"],
                "properties": { "url": { "type": "string" }, "headers": { "type": "object", "additionalProperties": { "type": "string" } } },
            },
        },
    })
}

const URL: &str = "https://a.example/in/x";

#[test]
fn mistakes_name_the_way_out() {
    for (settings, expected) in [
        (json!({ "url": URL }), ""),
        (
            json!({ "ulr": URL }),
            "ulr: unknown key `ulr`: did you mean `url`?",
        ),
        (
            json!({ "url": URL, "x": 1 }),
            "x: unknown key `x`: known here are base, body, count, mode, tag, targets, url",
        ),
        (json!({}), ": missing key `url` (a URL)"),
        (
            json!({ "url": 7 }),
            "url: `url` is a number, where a text is expected",
        ),
        (
            json!({ "url": "a.example" }),
            "url: `url` is not a whole URL: write \"https://…\"",
        ),
        (
            json!({ "url": "https://u:p@b.example/x?k=s" }),
            "url: `url` is not in [allow] http, so no call to it would be made: write [allow] http = [\"https://b.example/x\"]",
        ),
        (
            json!({ "url": URL, "mode": "structurd" }),
            "mode: `mode` is not one of \"binary\", \"structured\": did you mean \"structured\"?",
        ),
        (json!({ "url": URL, "body": "{{ event.id }}" }), ""),
        (json!({ "url": "https://a.example/{{ event.id }}" }), ""),
        (json!({ "url": URL, "base": "https://a.example" }), ""),
        (json!({ "url": URL, "base": "https://a.example/in/v1" }), ""),
        (
            json!({ "url": URL, "base": "https://a.example/out?k=s" }),
            "base: `base` is not in [allow] http, so no call to it would be made: write [allow] http = [\"https://a.example/out\"]",
        ),
        (
            json!({ "url": URL, "count": 0 }),
            "count: `count` has to be at least 1",
        ),
        (
            json!({ "url": URL, "count": 1.5 }),
            "count: `count` is a number, where a whole number is expected",
        ),
        (
            json!({ "url": URL, "tag": "x1" }),
            "tag: `tag` does not have the form `^v[0-9]+$`",
        ),
        (
            json!({ "url": URL, "tag": "v1234" }),
            "tag: `tag` may be at most 4 characters",
        ),
        (
            json!({ "url": URL, "targets": [] }),
            "targets: `targets` has to be at least 1 items",
        ),
        (json!({ "url": URL, "targets": [URL, { "url": "" }] }), ""),
        (
            json!({ "url": URL, "targets": [7] }),
            "targets/0: `targets[0]` is a number, where a text is expected",
        ),
        (
            json!({ "url": URL, "targets": [URL, { "ulr": "" }] }),
            "targets/1/ulr: unknown key `ulr` in targets[1]: did you mean `url`?",
        ),
        (
            json!({ "url": URL, "targets": [{ "url": "", "headers": { "a": 1 } }] }),
            "targets/0/headers/a: `targets[0].headers.a` is a number, where a text is expected",
        ),
    ] {
        assert_eq!(
            mistake(&typical(), settings.clone()),
            expected,
            "{settings}"
        );
    }
    let broken = mistake(&typical(), json!({ "url": URL, "body": "{{ event." }));
    assert!(
        broken.starts_with("body: `body` is not a template: "),
        "{broken}"
    );
}

#[test]
fn values_need_their_grants() {
    let schema = json!({
        "properties": {
            "table": { "type": "string", "x-landfall": "table" },
            "hooks": { "items": { "type": "string", "x-landfall": "hook" } },
            "url": { "type": "string", "x-landfall": "url", "x-landfall-method": "POST" },
            "method": { "type": "string" },
            "targets": { "items": { "type": "string", "x-landfall": "url", "x-landfall-method": "POST" } },
            "json": { "type": ["string", "null"], "format": "json-pointer" },
        },
    });
    let of_url = "`url` is not in [allow] http, so no call to it would be made: write [allow] http = [\"https://b.example/\"]";
    for (settings, expected) in [
        (json!({ "table": "rows", "hooks": ["next"] }), ""),
        (
            json!({ "table": "t2" }),
            "table: `table` is \"t2\", which is not in [allow] table, so no row would be stored: write [allow] table = [\"t2\"]",
        ),
        (
            json!({ "hooks": ["next", "rows"] }),
            "hooks/1: `hooks[1]` is \"rows\", which is not in [allow] emit, so no event would be sent to it: write [allow] emit = [\"rows\"]",
        ),
        (json!({ "json": "/ref" }), ""),
        (json!({ "json": "" }), ""),
        (
            json!({ "json": "ref" }),
            "json: `json` is not a JSON pointer: write \"/ref\"",
        ),
        (json!({ "url": "https://a.example/in/x" }), ""),
        (json!({ "url": "https://g.example/", "method": "get" }), ""),
        (
            json!({ "url": "https://g.example/" }),
            "url: `url` is not in [allow] http for POST, so no call to it would be made: write [allow] http = [\"POST https://g.example/\"]",
        ),
        (
            json!({ "url": "https://g.example/", "method": "PUT" }),
            "url: `url` is not in [allow] http for PUT, so no call to it would be made: write [allow] http = [\"PUT https://g.example/\"]",
        ),
        (
            json!({ "url": "https://b.example/" }),
            &format!("url: {of_url}"),
        ),
        (
            json!({ "url": "https://g.example/", "method": "NO WORD" }),
            "url: `url` is called with `NO WORD`, which is not a method",
        ),
        (
            json!({ "targets": ["https://g.example/"], "method": "GET" }),
            "targets/0: `targets[0]` is not in [allow] http for POST, so no call to it would be made: write [allow] http = [\"POST https://g.example/\"]",
        ),
    ] {
        assert_eq!(mistake(&schema, settings.clone()), expected, "{settings}");
    }
}

#[test]
fn unknown_keys_are_refused_by_default() {
    let open = json!({ "properties": { "url": {} }, "allOf": [{ "properties": { "body": {} } }] });
    assert_eq!(mistake(&open, json!({ "url": 1, "body": 2 })), "");
    assert_eq!(
        mistake(&open, json!({ "ulr": 1 })),
        "ulr: unknown key `ulr`: did you mean `url`?"
    );
    let free = json!({ "properties": { "url": {} }, "additionalProperties": true });
    assert_eq!(mistake(&free, json!({ "ulr": 1 })), "");
    let missing = json!({ "required": ["url"], "additionalProperties": true });
    assert_eq!(
        mistake(&missing, json!({ "ulr": 1 })),
        ": missing key `url`; did you mean it by `ulr`?"
    );
}

#[test]
fn work_for_a_schema_is_bounded() {
    let doubling: serde_json::Map<String, Value> = (0..60)
        .map(|n| (format!("d{n}"), json!({ "allOf": [{ "$ref": format!("#/$defs/d{}", n + 1) }, { "$ref": format!("#/$defs/d{}", n + 1) }] })))
        .chain([("d60".to_owned(), json!({}))])
        .collect();
    let deep = (0..60).fold(json!({ "a": 1 }), |inner, _| json!({ "a": inner }));
    for (schema, settings) in [
        (json!({ "$ref": "#" }), json!({})),
        (json!({ "allOf": [{ "$ref": "#" }] }), json!({})),
        (
            json!({ "anyOf": [{ "$ref": "#" }, { "$ref": "#" }] }),
            json!({}),
        ),
        (
            json!({ "$defs": doubling, "$ref": "#/$defs/d0" }),
            json!({}),
        ),
        (json!({ "properties": { "a": { "$ref": "#" } } }), deep),
    ] {
        assert!(
            mistake(&schema, settings).contains("takes too much work"),
            "{schema}"
        );
    }
    let many: Vec<Value> = (0..2000).map(|n| json!(format!("{n}"))).collect();
    let patterns = json!({ "properties": { "a": { "items": { "pattern": "(a+)+$" } } } });
    assert!(mistake(&patterns, json!({ "a": many })).contains("does not have the form"));
    let bomb = json!({ "properties": { "a": { "pattern": "((a{0,1000}){0,1000}){0,1000}" } } });
    assert!(mistake(&bomb, json!({ "a": "b" })).contains("cannot be used"));
}

#[test]
fn nothing_outside_the_schema_is_read() {
    for reference in [
        "https://evil.example/schema",
        "file:///etc/passwd",
        "#/$defs/missing",
        "other.json",
        "#anchor",
    ] {
        let refused = mistake(
            &json!({ "properties": { "a": { "$ref": reference } } }),
            json!({ "a": 1 }),
        );
        assert!(
            refused.contains("only parts of itself can be used"),
            "{refused}"
        );
    }
}

#[test]
fn settings_are_listed() {
    let listed = schema(&typical()).listed();
    let url = listed.iter().find(|(name, ..)| name == "url").unwrap();
    assert_eq!(
        url,
        &("url".into(), "a URL".into(), true, "Where to post.".into())
    );
    assert_eq!(listed.len(), 7);
    let from_toml = "type = \"object\"\n[properties.url]\nformat = \"uri\"\n"
        .parse()
        .unwrap();
    assert_eq!(
        SettingsSchema::parse(&toml::Value::Table(from_toml))
            .unwrap()
            .listed()[0]
            .1,
        "a URL"
    );
    assert!(SettingsSchema::parse(&toml::Value::String("[]".into())).is_err());
}
