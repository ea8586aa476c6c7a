//! A value by which a sender has proven itself, and texts without it.

use bytes::Bytes;
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use landfall_model::{Event, MASKED, split_json_string};

/// Shorter proofs occur in other texts by chance: they are masked where nothing stands beside them.
pub(crate) const PART_BYTES_MIN: usize = 8;
/// The most proofs that are masked one by one. Of an event with more, the whole body is masked.
pub(crate) const PROOFS_MAX: usize = 100;
/// Proofs times bytes of the body: with more, the body is masked as a whole, because masking reads
/// it for each proof.
pub(crate) const WORK_MAX: usize = 16 << 20;

/// A value to mask, and what stands in its place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    text: String,
    /// The text as it stands in a URL, in a form and in a string of JSON, where that differs.
    encoded: Vec<String>,
    shown: String,
}

// === impl Proof ===

impl Proof {
    pub(crate) fn new(text: &str, shown: String) -> Proof {
        let form: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let url = form.replace('+', "%20");
        let quoted = serde_json::Value::from(text).to_string();
        let literal = quoted[1..quoted.len() - 1].to_owned();

        let mut encoded = vec![form, url, literal];
        encoded.retain(|encoded| encoded != text);
        encoded.dedup();
        Proof {
            text: text.to_owned(),
            encoded,
            shown,
        }
    }

    /// A text without the proof.
    fn mask(&self, text: &str) -> String {
        if text == self.text {
            return self.shown.clone();
        }
        if self.text.len() < PART_BYTES_MIN {
            return text.to_owned();
        }

        let masked = text.replace(&self.text, &self.shown);
        self.encoded.iter().fold(masked, |masked, encoded| {
            masked.replace(encoded, &self.shown)
        })
    }

    /// Masks the proof wherever the event has it. `is_form`: the body is read as a form.
    pub(crate) fn mask_event(&self, event: &mut Event, is_form: bool) {
        event.body = self.mask_body(&event.body, is_form);
        for (_, value) in &mut event.headers {
            self.mask_header_value(value);
        }
        event.path = self.mask_path(&event.path);
        event.query = event.query.take().map(|query| self.mask_form(&query));
        for (_, value) in &mut event.attributes {
            *value = self.mask(value);
        }
    }

    fn mask_header_value(&self, value: &mut HeaderValue) {
        let Ok(text) = value.to_str() else {
            if memchr::memmem::find(value.as_bytes(), self.text.as_bytes()).is_some() {
                *value = HeaderValue::from_static(MASKED);
            }
            return;
        };

        let masked = self.mask(text);
        if masked != text {
            *value =
                HeaderValue::try_from(masked).unwrap_or_else(|_| HeaderValue::from_static(MASKED));
        }
    }

    pub(crate) fn mask_body(&self, body: &Bytes, is_form: bool) -> Bytes {
        let Ok(text) = std::str::from_utf8(body) else {
            // A file in a multipart form.
            return replaced(body, self.text.as_bytes(), self.shown.as_bytes());
        };

        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        let masked = if is_json {
            // Also if the content type says that it is a form, as that of `curl -d` does.
            self.mask_literals(text)
        } else if is_form {
            self.mask_form(text)
        } else {
            text.replace(&self.text, &self.shown)
        };
        self.mask(&masked).into()
    }

    /// Masks the names and values of `name=value&…`. The rest stays byte for byte.
    fn mask_form(&self, form: &str) -> String {
        let pairs = form.split('&').map(|pair| {
            let Some((name, value)) = form_urlencoded::parse(pair.as_bytes()).next() else {
                return pair.to_owned();
            };
            let shown = self.mask(&self.mask_literals(&value));
            let shown_name = self.mask(&name);
            if shown == value && shown_name == name {
                pair.to_owned()
            } else {
                format!("{}={}", encoded(&shown_name), encoded(&shown))
            }
        });
        pairs.collect::<Vec<_>>().join("&")
    }

    /// Masks the strings of JSON, however their characters are escaped. The rest stays byte for
    /// byte.
    fn mask_literals(&self, json: &str) -> String {
        let mut masked = String::with_capacity(json.len());
        let mut rest = json;
        while let Some(start) = rest.find('"') {
            let (before, from) = rest.split_at(start);
            let (literal, after) = split_json_string(from);
            masked.push_str(before);
            match self.masked_literal(literal) {
                Some(shown) => masked.push_str(&shown),
                None => masked.push_str(literal),
            }
            rest = after;
        }

        masked.push_str(rest);
        masked
    }

    /// `None` if the string does not contain the proof.
    fn masked_literal(&self, literal: &str) -> Option<String> {
        if !literal.contains('\\') && !literal.contains(&self.text) {
            return None;
        }

        let value: String = serde_json::from_str(literal).ok()?;
        let shown = self.mask(&value);
        (shown != value).then(|| serde_json::Value::from(shown).to_string())
    }

    /// Masks segments of a path. A proof that was read from the path may be percent-encoded, or have
    /// several segments.
    fn mask_path(&self, path: &str) -> String {
        let path = if self.text.contains('/') {
            self.mask(path)
        } else {
            path.to_owned()
        };
        let segments = path.split('/').map(|segment| {
            let decoded = percent_decode_str(segment).decode_utf8_lossy();
            if segment != self.text && self.mask(&decoded) == decoded {
                segment
            } else {
                MASKED
            }
        });
        segments.collect::<Vec<_>>().join("/")
    }
}

/// Encoded for a query or a form. The mask stays readable.
pub(crate) fn encoded(text: &str) -> String {
    let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    encoded.replace("%28masked%29", MASKED)
}

/// The bytes with `to` wherever they have `from`.
pub(crate) fn replaced(bytes: &Bytes, from: &[u8], to: &[u8]) -> Bytes {
    let (mut made, mut rest) = (Vec::with_capacity(bytes.len()), 0);
    for found in memchr::memmem::find_iter(bytes, from) {
        made.extend_from_slice(&bytes[rest..found]);
        made.extend_from_slice(to);
        rest = found + from.len();
    }

    made.extend_from_slice(&bytes[rest..]);
    made.into()
}
