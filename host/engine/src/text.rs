//! Texts of components that are logged and stored.

const BYTES_MAX: usize = 4 << 10;

/// The beginning of a text, as much as is kept.
pub(crate) fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(BYTES_MAX)].to_owned()
}
