//! Whether a sender wrote some text, in any dress in which a handler may hand it on.

use http::HeaderMap;
use memchr::memmem;
use percent_encoding::percent_decode;
use serde_json::Value;

use crate::model::Event;

/// Whether the text stands anywhere in what came: body, path, query, headers, attributes; as it is, or as JSON, a form or a URL
/// says it.
pub fn wrote(event: &Event, text: &str) -> bool {
    let holds = |bytes: &[u8]| memmem::find(bytes, text.as_bytes()).is_some();
    let says = |bytes: &[u8]| holds(bytes) || holds(&decoded(bytes));
    says(&event.body)
        || serde_json::from_slice(&event.body).is_ok_and(|body| stands_in(&body, text))
        || says(event.path.as_bytes())
        || event.query.as_ref().is_some_and(|query| says(query.as_bytes()))
        || headers(&event.headers).any(says)
        || event.attributes.iter().any(|(name, value)| says(name.as_bytes()) || says(value.as_bytes()))
}

fn headers(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.iter().flat_map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()])
}

/// As forms and URLs mean it.
fn decoded(bytes: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced).collect()
}

fn stands_in(value: &Value, text: &str) -> bool {
    match value {
        Value::String(found) => found.contains(text),
        Value::Array(list) => list.iter().any(|one| stands_in(one, text)),
        Value::Object(map) => map.iter().any(|(key, one)| key.contains(text) || stands_in(one, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
