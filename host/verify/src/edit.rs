//! Writes values into a request that is not signed yet.

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use crate::request::Unverified;
use crate::sign_error::SignError;
use landfall_model::{TimeUnit, ValueLocation};

/// Writes a value at a location of the request.
pub(crate) fn put(
    draft: &mut Unverified,
    place: &ValueLocation,
    value: &str,
) -> Result<(), SignError> {
    match place {
        ValueLocation::Header(name) => {
            let header: HeaderName = name
                .parse()
                .map_err(|_| format!("`{name}` is not a header name"))?;
            let value = HeaderValue::from_str(value)
                .map_err(|_| format!("header {name} cannot hold the value"))?;

            draft.headers.insert(header, value);
        }
        ValueLocation::Query(name) => {
            let pair = url::form_urlencoded::Serializer::new(String::new())
                .append_pair(name, value)
                .finish();

            draft.query = Some(
                draft
                    .query
                    .take()
                    .map_or_else(|| pair.clone(), |query| format!("{query}&{pair}")),
            );
        }
        ValueLocation::Json(pointer) => {
            edit_json(draft, |body| put_json(body, pointer, value.into()))?
        }
        ValueLocation::Each(pointer) => edit_json(draft, |body| {
            let (before, after) = pointer.split_once("/*").expect("checked at load");
            if body
                .pointer(before)
                .and_then(Value::as_array)
                .is_none_or(Vec::is_empty)
            {
                put_json(body, before, serde_json::json!([{}]));
            }

            let elements = body.pointer_mut(before).and_then(Value::as_array_mut);
            elements
                .into_iter()
                .flatten()
                .for_each(|element| put_json(element, after, value.into()));
        })?,
        ValueLocation::Form(name) => {
            let mut form = url::form_urlencoded::Serializer::new(
                String::from_utf8_lossy(&draft.body).into_owned(),
            );
            draft.body = form.append_pair(name, value).finish().into();
        }
        ValueLocation::Body(_) => draft.body = value.to_owned().into(),
        ValueLocation::Claim(_) => {
            return Err("a claim is part of a token, which is made last".into());
        }
        ValueLocation::Param(name) => {
            draft.params.retain(|(key, _)| key != name);
            draft.params.push((name.clone(), value.to_owned()));
        }
        ValueLocation::Path(_) => {
            let start = draft.path.rfind('/').map_or(0, |slash| slash + 1);
            draft.path.truncate(start);
            draft.path.extend(percent_encoding::utf8_percent_encode(
                value,
                percent_encoding::NON_ALPHANUMERIC,
            ));
        }
    }

    Ok(())
}

/// Writes the signed time: as a number if the JSON body already has a number there.
pub(crate) fn put_time(
    draft: &mut Unverified,
    place: &ValueLocation,
    time: &str,
) -> Result<(), SignError> {
    match (place, time.parse::<u64>()) {
        (ValueLocation::Json(pointer), Ok(number)) => edit_json(draft, |body| {
            let is_number = body.pointer(pointer).is_some_and(Value::is_number);
            put_json(
                body,
                pointer,
                if is_number {
                    number.into()
                } else {
                    time.into()
                },
            );
        }),
        _ => put(draft, place, time),
    }
}

/// A time in the provider's format.
pub(crate) fn written(unit: TimeUnit, now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let timestamp = jiff::Timestamp::from_second(since.as_secs() as i64).unwrap_or_default();
    match unit {
        TimeUnit::S => since.as_secs().to_string(),
        TimeUnit::Ms => since.as_millis().to_string(),
        TimeUnit::Rfc3339 => timestamp.to_string(),
        TimeUnit::Iso8601 => timestamp.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
        TimeUnit::HttpDate => timestamp.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
    }
}

pub(crate) fn edit_json(
    draft: &mut Unverified,
    edit: impl FnOnce(&mut Value),
) -> Result<(), SignError> {
    let mut body: Value = serde_json::from_slice(&draft.body)
        .map_err(|_| "the body must be JSON for this provider")?;
    edit(&mut body);
    draft.body = body.to_string().into();

    Ok(())
}

/// Sets the value at a JSON pointer. Creates missing objects on the path.
pub(crate) fn put_json(mut at: &mut Value, pointer: &str, value: Value) {
    for key in pointer.split('/').skip(1) {
        let has_place = at.is_object() || (at.is_array() && key.parse::<usize>().is_ok());
        if !has_place {
            *at = Value::Object(Map::new());
        }

        at = match at {
            Value::Array(elements) => {
                let index = key.parse::<usize>().unwrap_or(0).min(elements.len());
                if index == elements.len() {
                    elements.push(Value::Null);
                }
                &mut elements[index]
            }
            Value::Object(object) => object.entry(key.to_owned()).or_insert(Value::Null),
            _ => unreachable!("made an object above"),
        };
    }

    *at = value;
}
