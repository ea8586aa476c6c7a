//! Whether a sender wrote a text, in any encoding in which a handler may pass it on.

use http::HeaderMap;
use memchr::memmem;

use super::spelling::decodings;
use landfall_model::Event;

/// Whether the text occurs in the event: in its body, path, query, headers or attributes, plain or
/// encoded as JSON, a form, a URL or HTML, or in several of these. Content that is too large to
/// search counts as containing it.
pub(crate) fn wrote(event: &Event, text: &str) -> bool {
    let query = event.query.iter().map(|query| query.as_bytes());
    let attributes = event
        .attributes
        .iter()
        .flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
    [&event.body[..], event.path.as_bytes()]
        .into_iter()
        .chain(query)
        .chain(headers(&event.headers))
        .chain(attributes)
        .any(|bytes| contains(bytes, text))
}

fn contains(bytes: &[u8], text: &str) -> bool {
    match decodings(bytes) {
        Some(all) => all
            .iter()
            .any(|decoded| memmem::find(decoded, text.as_bytes()).is_some()),
        None => true,
    }
}

fn headers(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .iter()
        .flat_map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()])
}
