//! Removes values from a form, or from a query. Pairs without a rule stay as sent.

use std::borrow::Cow;

use url::form_urlencoded;

use super::json;
use super::path::RedactPath;
use super::removed::{REDACTED, UnreadableBody};

/// What is removed of a form.
pub(super) struct FormRules<'r> {
    /// Fields whose value is removed.
    pub(super) names: &'r [String],
    /// The field that contains JSON.
    pub(super) json_field: Option<&'r str>,
    /// What is removed of that JSON.
    pub(super) json: &'r [RedactPath],
}

// === impl FormRules ===

impl FormRules<'_> {
    /// The form without the values, and their number. `None`: it has none.
    pub(super) fn redact(&self, form: &[u8]) -> Result<Option<(Vec<u8>, usize)>, UnreadableBody> {
        let (mut written, mut removed) = (Vec::with_capacity(form.len()), 0);
        for (at, pair) in form.split(|byte| *byte == b'&').enumerate() {
            if at > 0 {
                written.push(b'&');
            }

            let (name, value) = decoded(pair);
            if self.names.iter().any(|rule| *rule == name) {
                written.extend_from_slice(encoded_name(pair));
                written.push(b'=');
                written.extend(
                    form_urlencoded::byte_serialize(REDACTED.as_bytes()).flat_map(str::bytes),
                );
                removed += 1;
            } else if self.json_field == Some(&*name) && !self.json.is_empty() {
                match json::redact(value.as_bytes(), self.json)? {
                    Some((text, values)) => {
                        written.extend_from_slice(encoded_name(pair));
                        written.push(b'=');
                        written.extend(form_urlencoded::byte_serialize(&text).flat_map(str::bytes));
                        removed += values;
                    }
                    None => written.extend_from_slice(pair),
                }
            } else {
                written.extend_from_slice(pair);
            }
        }

        Ok((removed > 0).then_some((written, removed)))
    }
}

/// Name and value of one pair.
fn decoded(pair: &[u8]) -> (Cow<'_, str>, Cow<'_, str>) {
    form_urlencoded::parse(pair).next().unwrap_or_default()
}

fn encoded_name(pair: &[u8]) -> &[u8] {
    pair.split(|byte| *byte == b'=').next().unwrap_or_default()
}
