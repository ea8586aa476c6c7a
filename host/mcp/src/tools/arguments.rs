//! What holds for the arguments of every tool. Agents send an empty text or zero where they have no
//! value: they are told which argument that is, and what to write.

use rmcp::model::JsonObject;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::answer::ToolError;

/// The most bytes of a text that is no body and no hook file.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// Refuses empty and long texts, zero characters, and numbers that are not above zero. Arguments
/// that the schema does not have are left to `read`. `free_texts` may be empty or long.
pub(super) fn check(
    schema: &JsonObject,
    free_texts: &[&str],
    arguments: &JsonObject,
) -> Result<(), ToolError> {
    let known = schema.get("properties").and_then(Value::as_object);
    for (name, value) in arguments {
        if !known.is_some_and(|known| known.contains_key(name)) {
            continue;
        }
        let is_free = free_texts.contains(&name.as_str());
        if let Some(what) = problem(value, is_free) {
            let required = schema.get("required").and_then(Value::as_array);
            let is_required = required.is_some_and(|all| all.iter().any(|one| one == name));
            let leave = if is_required { "" } else { "leave it out, or " };
            let text = format!("`{name}` {what}: {leave}{}", way_out(name));
            return Err(ToolError::new(text));
        }
    }
    Ok(())
}

/// The arguments as a tool takes them. An error names the argument.
pub(super) fn read<T: DeserializeOwned>(tool: &str, arguments: JsonObject) -> Result<T, ToolError> {
    serde_path_to_error::deserialize(Value::Object(arguments)).map_err(|error| {
        let path = error.path().to_string();
        let place = if path == "." || path.contains('?') {
            String::new()
        } else {
            format!("`{path}`: ")
        };
        let why = error.into_inner().to_string();
        let why = why
            .replace("expected usize", "expected a whole number")
            .replace("expected f64", "expected a number");
        ToolError::new(format!(
            "the arguments of `{tool}` are wrong: {place}{why}; the input schema in `tools/list` describes them"
        ))
    })
}

/// What is wrong with a value. `is_free`: its text may be empty, and as long as the request.
fn problem(value: &Value, is_free: bool) -> Option<&'static str> {
    match value {
        Value::String(text) if text.contains('\0') => Some("contains a zero character"),
        Value::String(_) if is_free => None,
        Value::String(text) if text.trim().is_empty() => Some("is empty"),
        Value::String(text) if text.len() > TEXT_BYTES_MAX => Some("has more than 4 KiB"),
        Value::Number(number) if number.as_f64().is_some_and(|number| number <= 0.0) => {
            Some("is not above zero")
        }
        Value::Array(all) => all.iter().find_map(|one| problem(one, is_free)),
        _ => None,
    }
}

fn way_out(name: &str) -> &'static str {
    match name {
        "event" | "events" => "write what `search` lists as `event`",
        "hook" => "write a name that `hooks` lists",
        "cursor" => "write the `next_cursor` of the last answer",
        "file" => "write the name of a .wasm file of the folder",
        _ => "write what its description in `tools/list` says",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tools::{all, find};

    fn object(value: Value) -> JsonObject {
        let Value::Object(object) = value else {
            panic!("{value} is no object");
        };
        object
    }

    fn checked(tool: &str, arguments: Value) -> Result<(), String> {
        let tool = find(tool).expect("it is a tool");
        tool.check(&object(arguments)).map_err(|error| error.text)
    }

    #[test]
    fn odd_arguments_are_named() {
        for (tool, arguments, text) in [
            (
                "show",
                json!({ "event": "" }),
                "`event` is empty: write what `search` lists as `event`",
            ),
            (
                "search",
                json!({ "hook": " \n" }),
                "`hook` is empty: leave it out, or write a name that `hooks` lists",
            ),
            (
                "replay",
                json!({ "events": ["0190f3c1", ""] }),
                "`events` is empty: leave it out, or write what `search` lists as `event`",
            ),
            (
                "hooks",
                json!({ "limit": 0 }),
                "`limit` is not above zero: leave it out, or write what its description in `tools/list` says",
            ),
            (
                "pause",
                json!({ "hook": "q\0" }),
                "`hook` contains a zero character: write a name that `hooks` lists",
            ),
            (
                "explain",
                json!({ "cursor": "c".repeat(5_000) }),
                "`cursor` has more than 4 KiB: leave it out, or write the `next_cursor` of the last answer",
            ),
        ] {
            assert_eq!(checked(tool, arguments), Err(text.to_owned()));
        }
    }

    #[test]
    fn every_text_is_checked() {
        for tool in all() {
            let schema = Value::Object(tool.described.input_schema.as_ref().clone());
            let arguments = schema["properties"].as_object();
            for name in arguments.into_iter().flatten().map(|(name, _)| name) {
                let is_free = tool.free_texts.contains(&name.as_str());
                let checked = tool.check(&object(json!({ name: "" })));
                assert_eq!(checked.is_ok(), is_free, "{}: {name}", tool.name);
            }
        }
    }

    #[test]
    fn usual_arguments_are_taken() {
        for (tool, arguments) in [
            ("hooks", json!({})),
            ("hooks", json!({ "limit": 1, "cursor": null })),
            ("check_hook_file", json!({ "hook": "a", "text": "" })),
            (
                "send_sample",
                json!({ "hook": "a", "body": "x".repeat(5_000) }),
            ),
            (
                "replay",
                json!({ "hook": "a", "dry_run": true, "events": [] }),
            ),
            // `read` refuses it.
            ("hooks", json!({ "odd": "" })),
        ] {
            assert_eq!(checked(tool, arguments), Ok(()), "{tool}");
        }
    }

    #[test]
    fn wrong_types_name_their_argument() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "only read")]
        struct Input {
            limit: Option<usize>,
        }

        for (arguments, part) in [
            (
                json!({ "limit": "x" }),
                "`limit`: invalid type: string \"x\", expected a whole number",
            ),
            (json!({ "odd": 1 }), "unknown field `odd`"),
        ] {
            let error = read::<Input>("hooks", object(arguments)).unwrap_err();
            assert!(error.text.contains(part), "{}", error.text);
        }
    }
}
