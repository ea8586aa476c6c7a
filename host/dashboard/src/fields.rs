//! The fields of a form or of a query string.

use axum::body::Bytes;
use url::form_urlencoded;

use crate::text;

/// The most bytes of a form: the sample of the page `Send` can be edited.
pub(crate) const FORM_MAX: usize = 2 << 20;
/// The most fields of a form: a selection of events, and some more.
const FIELDS_MAX: usize = 600;

/// Fields that pages fill with marks in place of characters without a shape.
const MARKED: [&str; 9] = [
    "action", "contains", "group", "hook", "prefix", "q", "reason", "since", "type",
];

/// Names and values, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(String, String)>);

// === impl Fields ===

impl Fields {
    /// The fields of a body of the type `application/x-www-form-urlencoded`.
    pub(crate) fn of_body(body: &Bytes) -> Fields {
        Fields::read(body)
    }

    /// The fields of a query string.
    pub(crate) fn of_query(query: Option<&str>) -> Fields {
        Fields::read(query.unwrap_or_default().as_bytes())
    }

    /// The first value of a field; empty if there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value.as_str())
    }

    /// Whether the field is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// The names, also of fields that occur more than once.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// All values of a field.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let fields = self.0.iter().filter(|(known, _)| known == name);
        fields.map(|(_, value)| value.clone()).collect()
    }

    fn read(text: &[u8]) -> Fields {
        let pairs = form_urlencoded::parse(text).take(FIELDS_MAX);
        let fields = pairs.map(|(name, value)| {
            let value = if MARKED.contains(&&*name) {
                text::typed(&value)
            } else {
                value.into_owned()
            };
            (name.into_owned(), value)
        });
        Fields(fields.collect())
    }
}

/// `path?name=value&…`, encoded. Empty values are left out.
pub(crate) fn link(path: &str, fields: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }

    match query.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// One segment of a path, encoded.
pub(crate) fn segment(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded() {
        let fields = Fields::of_query(Some("q=hook%3Aa+b&event=1&event=2&x"));
        assert_eq!(fields.get("q"), "hook:a b");
        assert_eq!(fields.all("event"), ["1", "2"]);
        assert!(fields.has("x") && !fields.has("y"));
        assert_eq!(fields.get("y"), "");
    }

    #[test]
    fn marks_are_characters() {
        let query = "q=%E2%9F%A8U%2B202E%E2%9F%A9%E2%90%80&body=%E2%90%80";
        let fields = Fields::of_query(Some(query));
        assert_eq!(fields.get("q"), "\u{202e}\u{0}");
        assert_eq!(fields.get("body"), "\u{2400}");
    }

    #[test]
    fn links_are_encoded() {
        assert_eq!(
            link("/events", &[("q", "a:\"b&c\""), ("before", "")]),
            "/events?q=a%3A%22b%26c%22"
        );
        assert_eq!(link("/events", &[]), "/events");
        assert_eq!(segment("a/b c"), "a%2Fb%20c");
    }
}
