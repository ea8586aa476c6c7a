//! Texts in `[settings]` that look like references. The host replaces nothing there: the handler
//! receives the characters.

use serde_json::{Map, Value};

use super::environment::SCHEMES;

/// The most settings that are named.
const NAMED_MAX: usize = 10;

/// A sentence for each setting with `${env:NAME}`, another secret reference, or `${NAME}` in upper
/// case in its text. Handlers have template syntaxes of their own, so other texts in `${…}` do not
/// count.
pub fn literal_references(settings: &Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    for (key, value) in settings {
        collect(key, value, &mut found);
    }
    found.truncate(NAMED_MAX);
    found
}

fn collect(place: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.extend(reference(text).map(|reference| {
            format!(
                "[settings] `{place}` contains `{reference}`, which the host does not replace: the handler receives these characters; \
                 [[credentials]] adds a secret to outbound calls, and [environment] gives a value to the component"
            )
        })),
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                collect(&format!("{place}[{number}]"), item, found);
            }
        }
        Value::Object(table) => {
            for (key, value) in table {
                collect(&format!("{place}.{key}"), value, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The first reference in a text, with its braces.
fn reference(text: &str) -> Option<&str> {
    text.match_indices("${").find_map(|(start, _)| {
        let rest = &text[start + 2..];
        let inner = &rest[..rest.find('}')?];
        let is_secret = inner
            .split_once(':')
            .is_some_and(|(scheme, _)| SCHEMES.contains(&scheme));
        let end = start + 2 + inner.len() + 1;
        (is_secret || is_variable(inner)).then(|| &text[start..end])
    })
}

/// `API_KEY`, as environment variables are usually named.
fn is_variable(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|first: char| first.is_ascii_uppercase()) && name.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_are_named_by_place() {
        let settings = json!({
            "url": "https://${HOST}/x",
            "targets": [{ "headers": { "Authorization": "Bearer ${env:TOKEN}" } }, "${file:secrets/a}"],
            "text": "${event.id} ${} ${a} ${Name} ${x:y} $HOME ${open",
            "later": "${a} and ${vault:secret/a#b}",
            "number": 1,
        });
        let found = literal_references(settings.as_object().unwrap());
        let mut places: Vec<&str> = found
            .iter()
            .map(|sentence| sentence.split(", which").next().unwrap())
            .collect();
        places.sort_unstable();
        assert_eq!(
            places,
            [
                "[settings] `later` contains `${vault:secret/a#b}`",
                "[settings] `targets[0].headers.Authorization` contains `${env:TOKEN}`",
                "[settings] `targets[1]` contains `${file:secrets/a}`",
                "[settings] `url` contains `${HOST}`",
            ]
        );

        let many: Map<String, Value> = (0..99).map(|n| (n.to_string(), json!("${A}"))).collect();
        assert_eq!(literal_references(&many).len(), NAMED_MAX);
    }
}
