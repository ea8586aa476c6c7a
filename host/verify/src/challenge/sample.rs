//! A request that has the form of an ownership check, to try a hook without its provider.

use bytes::Bytes;
use serde_json::Value;

use super::Challenge;
use super::template::{JsonTemplate, Piece, Source, source};
use crate::edit::{edit_json, put, put_json};
use crate::request::Unverified;
use crate::sign_error::SignError;
use crate::view::View;
use landfall_model::ValueLocation;

/// The value to send back: short, hexadecimal, and a token.
const TOKEN: &str = "0123456789abcdef01234567";

impl Challenge {
    /// `draft` as this ownership check. `secret` is the verify token. `None`: a pairing, which
    /// needs an operator, or a check that the host refuses because its list is not in `config`.
    pub(crate) fn sample(
        &self,
        draft: &Unverified,
        secret: &str,
    ) -> Result<Option<Unverified>, SignError> {
        let spec = &self.spec;
        if spec.pair.is_some() || spec.needs_open {
            return Ok(None);
        }
        if let Some((_, allowed)) = &self.listed
            && allowed.is_empty()
        {
            return Ok(None);
        }

        let mut request = Unverified {
            method: self.method.clone(),
            body: self.empty_body(),
            ..draft.clone()
        };
        for (place, value) in &spec.equals {
            match (source(place).ok(), value) {
                (Some(Source(ValueLocation::Json(pointer))), value) => {
                    edit_json(&mut request, |body| put_json(body, &pointer, value.clone()))?;
                }
                (Some(Source(place)), Value::String(text)) => put(&mut request, &place, text)?,
                _ => {}
            }
        }

        let require = &spec.require;
        for (name, allowed) in &require.query {
            let first = allowed.split('|').next().unwrap_or_default();
            put_new(&mut request, &ValueLocation::Query(name.clone()), first)?;
        }
        if let Some(name) = &require.query_secret {
            put_new(&mut request, &ValueLocation::Query(name.clone()), secret)?;
        }
        if let Some((source, allowed)) = &self.listed {
            let first = allowed.first().map_or(TOKEN, String::as_str);
            put_new(&mut request, &source.0, first)?;
        }

        for place in self.echoed_places() {
            put_new(&mut request, &place, TOKEN)?;
        }
        Ok(Some(request))
    }

    fn empty_body(&self) -> Bytes {
        let reads_json = self
            .echoed_places()
            .iter()
            .any(|place| matches!(place, ValueLocation::Json(_)))
            || self.spec.equals.keys().any(|place| place.starts_with('/'))
            || !self.spec.only_keys.is_empty();
        Bytes::from_static(if reads_json { b"{}" } else { b"" })
    }

    /// The places that must have a value, or whose value is in the answer.
    fn echoed_places(&self) -> Vec<ValueLocation> {
        let spec = &self.spec;
        let query = spec.query.iter().chain(&spec.require.query_hex);
        let mut places: Vec<ValueLocation> = query.cloned().map(ValueLocation::Query).collect();
        places.extend(spec.header.clone().map(ValueLocation::Header));
        places.extend(spec.json.clone().map(ValueLocation::Json));
        places.extend(spec.only_form_field.clone().map(ValueLocation::Form));

        let in_json = self.json.iter().flatten();
        let in_json = in_json.filter_map(|(_, value)| match value {
            JsonTemplate::Text(text) => Some(text),
            JsonTemplate::Constant(_) => None,
        });
        let templates = self.text.iter().chain(in_json);
        let templates = templates.chain(self.headers.iter().map(|(_, text)| text));
        places.extend(templates.flatten().filter_map(|piece| match piece {
            Piece::Echo(source) | Piece::Mac(_, _, source) | Piece::Digest(source, _) => {
                Some(source.0.clone())
            }
            Piece::Literal(_) | Piece::Rate(_) => None,
        }));
        places
    }
}

/// Writes a value where none is yet.
fn put_new(request: &mut Unverified, place: &ValueLocation, value: &str) -> Result<(), SignError> {
    if View::new(request, None).find(place, false).is_ok() {
        return Ok(());
    }
    if let ValueLocation::Form(_) = place {
        let form = http::HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers.insert(http::header::CONTENT_TYPE, form);
    }
    put(request, place, value)
}
