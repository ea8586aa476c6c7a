//! Turns the values of a case file into a case.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use http::HeaderValue;
use http::header::InvalidHeaderValue;
use serde_json::{Map, Value};

use super::table::{Read, Table};
use super::{
    AnswerContent, BodySpec, Case, EventSpec, Expect, ScriptedAnswer, Source, default_now,
};
use crate::pointer::Override;
use landfall_model::CALL_ERROR_WORDS;

const ATTEMPT_MAX: u64 = 1_000_000;
/// The attribute with the address of the sender.
pub(crate) const CLIENT_ADDRESS: &str = "client-address";

pub(super) fn parse(name: String, source: Source, values: Map<String, Value>) -> Read<Case> {
    let mut table = Table::new(&source, values);
    let attempt = table.number("attempt", ATTEMPT_MAX)?.unwrap_or(1);
    if attempt == 0 {
        return Err(table.error(&["attempt"], "attempts count from 1"));
    }
    let written = table.text("now")?;
    let now = match &written {
        None => default_now(),
        Some(text) => humantime::parse_rfc3339(text).map_err(|error| {
            let way_out = "write a time such as 2026-01-31T08:15:30Z";
            table.error(&["now"], format!("{error}: {way_out}"))
        })?,
    };
    let seed = table.number("seed", i64::MAX as u64)?.unwrap_or(0);
    let event = match table.table("event")? {
        Some(event) => self::event(event, &source)?,
        None => EventSpec::default(),
    };
    let settings = table.object("settings")?.unwrap_or_default();
    let environment = environment(&mut table)?;
    let kv = kv(&mut table)?;
    let answers = table.tables("http")?.unwrap_or_default();
    let answers = answers.into_iter().map(answer).collect::<Read<_>>()?;
    let expect = table.table("expect")?.map(Expect::read).transpose()?;
    table.finish()?;

    Ok(Case {
        name,
        attempt: attempt as u32,
        now,
        has_now: written.is_some(),
        seed,
        event,
        settings,
        environment,
        kv,
        answers,
        expect,
        source,
    })
}

/// Values as in the `[environment]` of a hook file. They are no secret references.
fn environment(table: &mut Table<'_>) -> Read<Vec<(String, String)>> {
    let mut values = Vec::new();
    for (name, value) in table.object("environment")?.unwrap_or_default() {
        let place = ["environment", name.as_str()];
        let text = match value {
            Value::String(text) if text.contains('\0') => {
                return Err(table.error(&place, "a value has no NUL in it"));
            }
            Value::String(text) => text,
            // As in a hook file: 1.0 is `1`.
            Value::Number(number) => match number.as_i64() {
                Some(number) => number.to_string(),
                None => number.as_f64().unwrap_or_default().to_string(),
            },
            Value::Bool(truth) => truth.to_string(),
            other => {
                let wanted = "a text, a number, true or false";
                return Err(table.wrong_part(&place, &other, wanted));
            }
        };
        values.push((name, text));
    }
    Ok(values)
}

fn kv(table: &mut Table<'_>) -> Read<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    for (key, value) in table.object("kv")?.unwrap_or_default() {
        let text = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            other => return Err(table.wrong_part(&["kv", &key], &other, "a text or a number")),
        };
        values.insert(key, text);
    }
    Ok(values)
}

fn event(mut table: Table<'_>, source: &Source) -> Read<EventSpec> {
    let sample = table.text("sample")?;
    let body = body(&mut table, source)?;
    let method = match table.text("method")? {
        None => None,
        Some(text) => match http::Method::from_bytes(text.as_bytes()) {
            Ok(method) => Some(method),
            Err(_) => return Err(table.error(&["method"], "not a method: write POST")),
        },
    };
    let path = table.text("path")?;
    if path.as_ref().is_some_and(|path| !path.starts_with('/')) {
        return Err(table.error(&["path"], "a path begins with `/`"));
    }
    let query = table.text("query")?;
    let mut headers = headers(&mut table)?;
    for name in ["host", "user-agent"] {
        headers.extend(header_key(&mut table, name, &headers)?);
    }
    let provider = table.text("provider")?;
    let event_type = table.text("event-type")?;
    let delivery_id = table.text("delivery-id")?;
    let mut attributes = table.named_texts("attributes")?;
    attributes.extend(client_address(&mut table, &attributes)?);

    let mut set = Vec::new();
    for (pointer, value) in table.object("set")?.unwrap_or_default() {
        let value = Override::new(&pointer, &value)
            .map_err(|error| table.error(&["set", &pointer], error))?;
        set.push(value);
    }
    table.finish()?;

    Ok(EventSpec {
        sample,
        body,
        method,
        path,
        query: query.map(|query| query.trim_start_matches('?').to_owned()),
        headers,
        provider,
        event_type,
        delivery_id,
        attributes,
        set,
    })
}

fn body(table: &mut Table<'_>, source: &Source) -> Read<Option<BodySpec>> {
    let file = table.text("body")?;
    let json = table.take("json");
    let text = table.text("text")?;
    match (file, json, text) {
        (None, None, None) => Ok(None),
        (Some(file), None, None) => {
            let dir = source.path.parent().unwrap_or(Path::new("."));
            Ok(Some(BodySpec::File(dir.join(file))))
        }
        (None, Some(json), None) => Ok(Some(BodySpec::Json(json))),
        (None, None, Some(text)) => Ok(Some(BodySpec::Text(text))),
        _ => {
            let why = "an event has one body: keep one of `body` (a file), `json` and `text`";
            Err(table.error(&["body"], why))
        }
    }
}

/// Each header with its value, or with each of its values.
fn headers(table: &mut Table<'_>) -> Read<Vec<(String, String)>> {
    let mut headers = Vec::new();
    for (name, value) in table.object("headers")?.unwrap_or_default() {
        let Some(values) = texts_of(&value) else {
            let wanted = "a text or a list of texts";
            return Err(table.wrong_part(&["headers", &name], &value, wanted));
        };
        for text in values {
            if name.parse::<http::HeaderName>().is_err() || header_value(&text).is_err() {
                return Err(table.error(&["headers", &name], "not a header that HTTP allows"));
            }
            headers.push((name.clone(), text));
        }
    }
    Ok(headers)
}

/// A header that is a key of its own.
fn header_key(
    table: &mut Table<'_>,
    name: &'static str,
    headers: &[(String, String)],
) -> Read<Option<(String, String)>> {
    let Some(text) = table.text(name)? else {
        return Ok(None);
    };
    if headers
        .iter()
        .any(|(known, _)| known.eq_ignore_ascii_case(name))
    {
        let why = format!("`headers` has this header too: keep `{name}` or `headers`");
        return Err(table.error(&[name], why));
    }
    if header_value(&text).is_err() {
        return Err(table.error(&[name], "a header has no control characters"));
    }
    Ok(Some((name.to_owned(), text)))
}

/// The attribute `client-address`, as a node writes it.
fn client_address(
    table: &mut Table<'_>,
    attributes: &[(String, String)],
) -> Read<Option<(String, String)>> {
    let Some(text) = table.text(CLIENT_ADDRESS)? else {
        return Ok(None);
    };
    if attributes.iter().any(|(known, _)| known == CLIENT_ADDRESS) {
        let why = "`attributes` has it too: keep one of them";
        return Err(table.error(&[CLIENT_ADDRESS], why));
    }
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(Some((CLIENT_ADDRESS.to_owned(), address.to_string()))),
        Err(_) => {
            let text = text.escape_debug();
            let why = format!("`{text}` is not an IP address: write 203.0.113.7 or 2001:db8::7");
            Err(table.error(&[CLIENT_ADDRESS], why))
        }
    }
}

/// A text, or the texts of a list; `None` if there is anything else.
fn texts_of(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(list) => list
            .iter()
            .map(|one| one.as_str().map(str::to_owned))
            .collect(),
        _ => None,
    }
}

/// The value of a header, which may have any characters but control characters: they are sent as
/// UTF-8.
pub(crate) fn header_value(text: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    HeaderValue::from_bytes(text.as_bytes())
}

fn answer(mut table: Table<'_>) -> Read<ScriptedAnswer> {
    let method = table.text("method")?;
    let url = table.text("url")?.ok_or_else(|| {
        let way_out = "write the beginning of the URLs that it answers";
        table.error(&["url"], format!("missing: {way_out}"))
    })?;
    let status = table.number("status", 999)?;
    let headers = headers(&mut table)?;
    let json = table.take("json");
    let body = table.text("body")?;
    let error = table.text("error")?;
    let times = table.number("times", u32::MAX.into())?;

    let is_response = status.is_some() || json.is_some() || body.is_some() || !headers.is_empty();
    let content = match error {
        Some(_) if is_response => {
            let why = "an answer is an error or a response: keep `error`, or `status` and the body";
            return Err(table.error(&["error"], why));
        }
        Some(name) if !CALL_ERROR_WORDS.contains(&name.as_str()) => {
            let known = CALL_ERROR_WORDS.join(", ");
            let why = format!("`{name}` is not an error of a call: {known}");
            return Err(table.error(&["error"], why));
        }
        Some(name) => AnswerContent::Error(name),
        None => response(&table, status, headers, json, body)?,
    };
    table.finish()?;

    Ok(ScriptedAnswer {
        method,
        url,
        content,
        times: times.map(|times| times as u32),
    })
}

fn response(
    table: &Table<'_>,
    status: Option<u64>,
    mut headers: Vec<(String, String)>,
    json: Option<Value>,
    body: Option<String>,
) -> Read<AnswerContent> {
    let status = status.unwrap_or(200) as u16;
    if status < 100 {
        return Err(table.error(&["status"], format!("{status} is not a status: 100 to 999")));
    }
    let has_type = headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let body = match (json, body) {
        (Some(_), Some(_)) => {
            return Err(table.error(&["body"], "a response has one body: keep `json` or `body`"));
        }
        (Some(json), None) => {
            if !has_type {
                headers.push(("content-type".into(), "application/json".into()));
            }
            json.to_string()
        }
        (None, body) => body.unwrap_or_default(),
    };
    Ok(AnswerContent::Response {
        status,
        headers,
        body,
    })
}
