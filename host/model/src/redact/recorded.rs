//! `[redact]` in recordings of attempts: bodies of outbound calls, values, rows and replies.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderValue;

use super::RedactSpec;
use crate::recording::Redact;

impl Redact for RedactSpec {
    /// A message in which the rules cannot find values is removed as a whole. Anything else, which
    /// has no content type, is then left as it is: the ledger has it already.
    fn apply<'a>(&self, body: &'a [u8], content_type: Option<&str>) -> Cow<'a, [u8]> {
        if !self.reads_bodies() {
            return Cow::Borrowed(body);
        }

        let header = content_type.and_then(|text| HeaderValue::from_str(text).ok());
        match self.body(header.as_ref(), None, &Bytes::copy_from_slice(body)) {
            Ok(redacted) if redacted.removed == 0 => Cow::Borrowed(body),
            Ok(redacted) => Cow::Owned(redacted.body.into()),
            Err(_) if content_type.is_none() => Cow::Borrowed(body),
            Err(_) => Cow::Owned(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Unreadable;

    #[test]
    fn messages_are_removed_if_unreadable() {
        let rules = RedactSpec::new(["/user/email"], Unreadable::Refuse).unwrap();
        let json = br#"{"user":{"email":"a@b.example","id":1}}"#;
        let expected = br#"{"user":{"email":"[redacted]","id":1}}"#;
        assert_eq!(rules.apply(json, Some("application/json")), &expected[..]);
        assert_eq!(rules.apply(json, None), &expected[..]);

        let text = b"a@b.example";
        assert_eq!(rules.apply(text, Some("text/plain")), &b""[..]);
        assert_eq!(rules.apply(text, Some("")), &b""[..]);
        assert_eq!(rules.apply(text, None), &text[..]);

        let none = RedactSpec::default();
        assert_eq!(none.apply(text, Some("text/plain")), &text[..]);
    }
}
