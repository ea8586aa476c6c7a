//! Replaces bytes in a body.

use bytes::Bytes;
use memchr::memmem;

/// The body with `new` in every place of `old`. A body without `old` is not copied.
pub(crate) fn replaced(body: &Bytes, old: &[u8], new: &[u8]) -> Bytes {
    let mut places = memmem::find_iter(body, old).peekable();
    if places.peek().is_none() {
        return body.clone();
    }

    let (mut made, mut from) = (Vec::with_capacity(body.len()), 0);
    for at in places {
        made.extend_from_slice(&body[from..at]);
        made.extend_from_slice(new);
        from = at + old.len();
    }

    made.extend_from_slice(&body[from..]);
    made.into()
}
