//! Why a body or a query does not have the form of its endpoint, in the words of the API: serde
//! speaks of Rust types.

use serde::de::DeserializeOwned;

/// The most characters of a name in a text.
const NAME_CHARACTERS_MAX: usize = 100;

/// What is wrong with a body.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// For the sender.
    pub(super) told: String,
    /// For the audit record: without the names of unknown keys, which may be secrets.
    pub(super) recorded: String,
}

/// Reads a JSON object, or says what is wrong with it.
pub(super) fn from_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Unreadable> {
    // serde also reads a struct from a list of its values.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err("the request must be a JSON object".to_owned().into());
    }

    let mut json = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut json);
    let value = read.map_err(|error| {
        let place = error.path().to_string();
        match error.into_inner() {
            why if why.is_data() => {
                let why = why.to_string();
                Unreadable {
                    told: explain("key", &place, &why),
                    recorded: explain("key", &place, &without_unknown(&why)),
                }
            }
            why => not_json(body, &why).into(),
        }
    })?;
    json.end().map_err(|why| not_json(body, &why))?;
    Ok(value)
}

impl From<String> for Unreadable {
    fn from(why: String) -> Unreadable {
        Unreadable {
            recorded: why.clone(),
            told: why,
        }
    }
}

/// The text of serde without the name of an unknown key, which the sender has chosen.
fn without_unknown(why: &str) -> String {
    let known = why.rsplit_once(", expected ").map(|(_, known)| known);
    match known.filter(|_| why.starts_with("unknown field")) {
        Some(known) => format!("unknown field `…`, expected {known}"),
        None if why.starts_with("unknown field") => "unknown field `…`".to_owned(),
        None => why.to_owned(),
    }
}

/// What is wrong with a query. `why`: the text of axum.
pub(super) fn query(why: &str) -> String {
    let why = why.split_once("query string: ").map_or(why, |(_, why)| why);
    match why.split_once(": ") {
        Some((place, why)) if !place.contains([' ', '`']) => explain("parameter", place, why),
        _ => explain("parameter", "", why),
    }
}

fn not_json(body: &[u8], why: &serde_json::Error) -> String {
    if body.is_empty() {
        return "the body is empty: send a JSON object".to_owned();
    }

    let (line, column) = (why.line(), why.column());
    format!("the body is not JSON from line {line}, column {column} on")
}

/// `noun`: what the place is. `why`: the text of serde.
fn explain(noun: &str, place: &str, why: &str) -> String {
    let name = named(why);
    if why.starts_with("unknown field") {
        return match why.rsplit_once(", expected ") {
            Some((_, known)) => {
                let known = known.strip_prefix("one of ").unwrap_or(known);
                let known = known.split(" at line ").next().unwrap_or(known);
                format!("this endpoint has no {noun} `{name}`: write {known}")
            }
            None => format!("this endpoint has no {noun} `{name}`"),
        };
    }
    if why.starts_with("missing field") {
        return format!("the {noun} `{name}` is missing");
    }
    if why.starts_with("duplicate field") {
        return format!("the {noun} `{name}` occurs more than once");
    }

    let place: String = place.chars().take(NAME_CHARACTERS_MAX).collect();
    let place = match place.as_str() {
        "" | "." | "?" => "the request".to_owned(),
        place => format!("`{}`", place.escape_debug()),
    };
    match form(why) {
        Some(form) => format!("{place} must be {form}"),
        None => format!("{place} does not have the form that GET /api/v1/openapi.json describes"),
    }
}

/// The first name in a text of serde.
fn named(why: &str) -> String {
    let name = why.split('`').nth(1).unwrap_or_default();
    let name: String = name.chars().take(NAME_CHARACTERS_MAX).collect();
    name.escape_debug().to_string()
}

/// What was expected.
fn form(why: &str) -> Option<&'static str> {
    let expected = why.rsplit_once("expected ").map(|(_, expected)| expected);
    let expected = expected.and_then(|text| text.split(" at line ").next());
    match expected {
        Some("usize" | "u64" | "u32") => Some("a whole number that is not negative"),
        Some("i64") => Some("a whole number"),
        Some("f64") => Some("a number"),
        Some("a boolean") => Some("true or false"),
        Some("a string") => Some("a text"),
        Some("a sequence") => Some("a list"),
        Some(text) if text.starts_with("struct ") => Some("a JSON object"),
        Some(_) => None,
        None if why.contains("`true` or `false`") => Some("true or false"),
        None if why.contains("digit") || why.contains("integer") || why.contains("number too") => {
            Some("a whole number in its range")
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::Query;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    #[allow(dead_code)]
    struct Order {
        hook: String,
        events: Vec<String>,
        limit: Option<usize>,
        after: Option<i64>,
        per_second: Option<f64>,
        dry_run: bool,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct One {
        hook: String,
    }

    #[test]
    fn bodies_are_explained() {
        for (body, text) in [
            (
                "{\"limit\":-1}",
                "`limit` must be a whole number that is not negative",
            ),
            (
                "{\"limit\":1.5}",
                "`limit` must be a whole number that is not negative",
            ),
            ("{\"after\":\"x\"}", "`after` must be a whole number"),
            ("{\"per_second\":true}", "`per_second` must be a number"),
            ("{\"dry_run\":1}", "`dry_run` must be true or false"),
            ("{\"events\":[\"a\",7]}", "`events[1]` must be a text"),
            ("{\"events\":\"a\"}", "`events` must be a list"),
            ("7", "the request must be a JSON object"),
            (" [\"a\"]", "the request must be a JSON object"),
            ("", "the body is empty: send a JSON object"),
            (
                "{\"limit\":",
                "the body is not JSON from line 1, column 9 on",
            ),
            ("{} x", "the body is not JSON from line 1, column 4 on"),
            (
                "{\"limti\":1}",
                "this endpoint has no key `limti`: write `hook`, `events`, `limit`, `after`, `per_second`, `dry_run`",
            ),
            (
                "{\"limit\":1,\"limit\":2}",
                "the key `limit` occurs more than once",
            ),
        ] {
            let why = from_json::<Order>(body.as_bytes()).unwrap_err();
            assert_eq!(why.told, text, "{body}");
            assert!(!why.recorded.contains("limti"), "{}", why.recorded);
        }
        assert_eq!(
            from_json::<One>(b"{}").unwrap_err().told,
            "the key `hook` is missing"
        );
        let unknown = from_json::<One>(b"{\"hok\":1}").unwrap_err();
        assert_eq!(
            unknown.recorded,
            "this endpoint has no key `…`: write `hook`"
        );
        assert_eq!(unknown.told, "this endpoint has no key `hok`: write `hook`");
    }

    #[test]
    fn queries_are_explained() {
        for (text, expected) in [
            ("limit=x", "`limit` must be a whole number in its range"),
            ("limit=-1", "`limit` must be a whole number in its range"),
            ("limit=", "`limit` must be a whole number in its range"),
            ("dry_run=1", "`dry_run` must be true or false"),
            (
                "limit=1&limit=2",
                "the parameter `limit` occurs more than once",
            ),
            (
                "absent=1",
                "this endpoint has no parameter `absent`: write `hook`, `events`, `limit`, `after`, `per_second`, `dry_run`",
            ),
        ] {
            let uri = format!("/a?{text}").parse().unwrap();
            let why = Query::<Order>::try_from_uri(&uri).unwrap_err();
            assert_eq!(query(&why.body_text()), expected, "{text}");
        }
    }
}
