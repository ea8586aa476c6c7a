//! Whether a sender wrote some text, in any dress in which a handler may hand it on.

use http::HeaderMap;
use memchr::memmem;

use super::redact::meanings;
use landfall_model::Event;

/// Whether the text stands anywhere in what came: body, path, query, headers, attributes; as it is, or as JSON, a form, a URL or HTML
/// says it, also one within another.
pub fn wrote(event: &Event, text: &str) -> bool {
    let holds = |meant: &Vec<u8>| memmem::find(meant, text.as_bytes()).is_some();
    // What cannot be looked through may hold it.
    let says = |bytes: &[u8]| meanings(bytes).is_none_or(|all| all.iter().any(holds));
    says(&event.body)
        || says(event.path.as_bytes())
        || event
            .query
            .as_ref()
            .is_some_and(|query| says(query.as_bytes()))
        || headers(&event.headers).any(says)
        || event
            .attributes
            .iter()
            .any(|(name, value)| says(name.as_bytes()) || says(value.as_bytes()))
}

fn headers(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .iter()
        .flat_map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()])
}
