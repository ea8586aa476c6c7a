//! What is asked of a provider, and what its answers are read into.

use bytes::Bytes;
use http::HeaderMap;
use url::form_urlencoded::Serializer;

/// The longest id that a delivery may have. It becomes a part of a key.
const ID_MAX: usize = 256;
/// The most entries of a page. Providers return at most 250.
const ENTRIES_MAX: usize = 1000;

/// A call of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Get {
    /// Path and query below the URL of the API, with a slash at the beginning.
    pub(crate) path: String,
    /// Headers beside the credential.
    pub(crate) headers: Vec<(String, String)>,
}

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The deliveries that a run looks at, by time in ms since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) since_ms: i64,
    pub(crate) until_ms: i64,
}

/// One page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    /// What counts as missed for the provider, oldest first.
    pub(crate) found: Vec<Found>,
    /// The number of entries of the page.
    pub(crate) listed: usize,
    /// What to ask for next. `None`: the list has ended, or goes on before the window.
    pub(crate) next: Option<String>,
}

/// A delivery that was perhaps missed.
#[derive(Debug)]
pub(crate) struct Found {
    /// The provider's id. The same in each list.
    pub(crate) id: String,
    /// When the provider sent or made it, in ms since 1970.
    pub(crate) at_ms: i64,
    /// The type of the event, for people.
    pub(crate) kind: String,
    /// The headers of the webhook, as far as the list has them.
    pub(crate) headers: HeaderMap,
    pub(crate) content: Content,
}

/// The content of a delivery.
#[derive(Debug)]
pub(crate) enum Content {
    /// The body, which the list has.
    Here(Bytes),
    /// It takes a call of its own.
    At(Get),
}

/// The webhook that the provider could not deliver.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// An answer that is not what the provider documents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the API's answer has no {0}")]
pub(crate) struct Unreadable(pub(crate) &'static str);

/// The entries of a page, if there are as few as were asked for.
pub(crate) fn few<T>(entries: Vec<T>) -> Result<Vec<T>, Unreadable> {
    if entries.len() > ENTRIES_MAX {
        return Err(Unreadable("page of at most 1000 entries"));
    }
    Ok(entries)
}

/// A path with a query.
pub(crate) fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let query = Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("{path}?{query}")
}

/// An id that can be a part of a key and of a path.
pub(crate) fn checked_id(id: String) -> Result<String, Unreadable> {
    let is_plain = |byte: u8| byte.is_ascii_graphic();
    if id.is_empty() || id.len() > ID_MAX || !id.bytes().all(is_plain) {
        return Err(Unreadable("usable id"));
    }
    Ok(id)
}

/// A time of RFC 3339, with any offset, in ms since 1970.
pub(crate) fn time_ms(text: &str) -> Result<i64, Unreadable> {
    text.parse::<jiff::Timestamp>()
        .map(|time| time.as_millisecond())
        .map_err(|_| Unreadable("readable time"))
}
