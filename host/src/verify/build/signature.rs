//! Rules of `scheme = "signature"`.

use std::time::Duration;

use super::super::algorithm::Running;
use super::super::payload::{self, Part};
use super::super::signature::{KeySet, List, ListTime, Signature, Time};
use super::super::view::describe;
use super::super::window::Window;
use super::payload::{PayloadRules, places_in};
use super::places::{check_value, header_name, places};
use super::urls::{NEEDS_URL, address, names_url};
use super::{BuildError, wrong};
use crate::model::{Algorithm, KeySetSpec, ListSpec, Place, TimeSpec, VerifySpec};

/// Method names of WebSub (w3.org/TR/websub section 8.1) and what they stand for.
const METHODS: [(&str, Algorithm); 4] = [
    ("sha1", Algorithm::HmacSha1),
    ("sha256", Algorithm::HmacSha256),
    ("sha384", Algorithm::HmacSha384),
    ("sha512", Algorithm::HmacSha512),
];

pub(super) fn build(spec: &VerifySpec, is_documented: bool) -> Result<Signature, BuildError> {
    let methods = methods(spec)?;
    let algorithm = match (spec.algorithm, methods.first()) {
        (Some(_), Some(_)) => return Err(wrong("methods", "algorithm and methods exclude each other: leave one")),
        (None, Some((_, first))) => *first,
        (Some(algorithm), None) => algorithm,
        (None, None) => {
            return Err(wrong(
                "scheme",
                "algorithm is missing: one of hmac-sha1, hmac-sha256, hmac-sha384, hmac-sha512, hmac-md5, sha1, sha256, \
                 keccak256, ed25519, ecdsa-p256-sha256, rsa-pkcs1v15-sha256, rsa-pss-sha512",
            ));
        }
    };
    let encoding = spec.encoding.ok_or_else(|| wrong("scheme", "encoding is missing: hex, base64 or base64url"))?;
    let typed = spec.payload.clone().unwrap_or_else(|| vec!["{body}".into()]);
    let rules = PayloadRules { spec, algorithm, is_documented };
    let payload = rules.read(&typed)?;
    let others = spec.payload_alternatives.iter().flatten().map(|typed| rules.read(typed));
    let alternatives: Vec<Vec<Part>> = others.collect::<Result<_, _>>()?;
    let parts = || std::iter::once(&payload).chain(&alternatives).flatten();

    let mut list = spec.list.as_ref().map(list).transpose()?;
    let labels: Vec<String> = parts()
        .filter_map(|part| match part {
            Part::Label(label) => Some(label.clone()),
            _ => None,
        })
        .collect();
    if let (Some(label), None) = (labels.first(), list.as_ref().and_then(|list| list.assign.as_ref())) {
        let message =
            format!("{{list:{label}}} is signed: say in list = {{ separator = …, assign = … }} how it is written");
        return Err(wrong("payload", message));
    }
    if let Some(list) = &mut list {
        list.signed_labels = labels;
    }
    let listed_time = list.as_ref().is_some_and(|list| list.time != ListTime::Absent);
    let has_time = spec.timestamp.as_ref().is_some_and(|time| time.from.is_some() || listed_time);
    if parts().any(|part| *part == Part::Timestamp) && !has_time {
        return Err(wrong("payload", "{timestamp} is signed: say where it is in timestamp = { from = …, unit = … }"));
    }
    if spec.timestamp.is_some() && !has_time {
        return Err(wrong("timestamp", "from is missing, and list names no label for the time"));
    }
    if parts().any(|part| *part == Part::Id) && spec.id.is_none() {
        return Err(wrong("payload", "{id} is signed: say where it is in id = { header = \"NAME\" }"));
    }
    if parts().any(|part| matches!(part, Part::Url | Part::UrlUnescaped)) && !names_url(spec) {
        return Err(wrong("scheme", NEEDS_URL));
    }
    let require = spec.require.iter().flatten().map(|(name, value)| {
        header_name("require", name)?;
        match payload::part(value, &spec.config).map_err(|why| wrong("require", why))? {
            // White space around a header value is dropped before it is compared.
            Part::Literal(value) if http::HeaderValue::from_str(&value).is_err() || value.trim_ascii() != value => {
                Err(wrong("require", format!("no header can have the value `{}` of {name}", value.escape_debug())))
            }
            Part::Literal(value) => Ok((name.clone(), value)),
            _ => Err(wrong("require", format!("the value of {name} must be text or {{config.NAME}}"))),
        }
    });
    let time = spec.timestamp.as_ref().map(time).transpose()?;
    let key_set = spec.key_set.as_ref().map(|typed| key_set(typed, spec, algorithm)).transpose()?;
    let mut in_time = time.iter().filter_map(|time| time.from.as_ref());
    let mut in_key_set = key_set.iter().filter_map(|set| set.id.as_ref());
    in_time.try_for_each(|place| check_value("timestamp", place))?;
    spec.id.iter().try_for_each(|place| check_value("id", place))?;
    in_key_set.try_for_each(|place| check_value("key_set", place))?;
    parts().flat_map(places_in).try_for_each(|place| check_value("payload", place))?;
    let from = places(spec)?;
    from.iter().try_for_each(|place| check_apart(place, parts))?;
    if from.len() > 1 && (!methods.is_empty() || list.as_ref().is_some_and(|list| !list.signed_labels.is_empty())) {
        return Err(wrong("from", "only one place can be right here"));
    }
    Ok(Signature {
        from,
        prefix: spec.prefix.clone().unwrap_or_default(),
        list,
        algorithm,
        methods,
        key_set,
        encoding,
        payload,
        alternatives,
        has_clear_cuts: !is_documented,
        time,
        id: spec.id.clone(),
        require: require.collect::<Result<_, _>>()?,
    })
}

/// A signature inside what it signs cannot be made: every request would be refused.
fn check_apart<'a, P: Iterator<Item = &'a Part>>(from: &Place, parts: impl Fn() -> P) -> Result<(), BuildError> {
    let is_body = |part: &Part| {
        matches!(
            part,
            Part::Body | Part::BodySha256Hex | Part::BodySha256Base64 | Part::BodyJsonString | Part::FormSorted
        )
    };
    let is_url = |part: &Part| matches!(part, Part::Url | Part::UrlUnescaped);
    let is_inside = match from {
        Place::Json(_) | Place::Form(_) | Place::Body(_) => parts().any(is_body),
        Place::Query(_) | Place::Path(_) | Place::Param(_) => parts().any(is_url),
        _ => false,
    };
    let is_same = parts().flat_map(places_in).any(|place| place == from);
    match is_inside || is_same {
        true => Err(wrong(
            "from",
            format!(
                "the signature ({}) is part of what payload signs: no sender can make such a signature",
                describe(from)
            ),
        )),
        false => Ok(()),
    }
}

fn methods(spec: &VerifySpec) -> Result<Vec<(String, Algorithm)>, BuildError> {
    let Some(names) = &spec.methods else { return Ok(Vec::new()) };
    if names.is_empty() {
        return Err(wrong("methods", "methods is empty: name those that are taken"));
    }
    if spec.prefix.as_ref().is_some_and(|prefix| !prefix.is_empty()) || spec.list.is_some() {
        return Err(wrong(
            "methods",
            "methods is written before the signature: prefix and list mean nothing beside it",
        ));
    }
    let known = |name: &String| {
        let found = METHODS.iter().find(|(known, _)| known == name);
        found.map(|(name, algorithm)| ((*name).to_owned(), *algorithm)).ok_or_else(|| {
            wrong("methods", format!("`{}` is no method: one of sha1, sha256, sha384, sha512", name.escape_debug()))
        })
    };
    names.iter().map(known).collect()
}

fn key_set(typed: &KeySetSpec, spec: &VerifySpec, algorithm: Algorithm) -> Result<KeySet, BuildError> {
    if Running::new(algorithm, b"").is_some() {
        return Err(wrong(
            "key_set",
            "a key set holds public keys: algorithm must be ed25519, ecdsa-p256-sha256 or rsa-…",
        ));
    }
    let url = typed.url.as_ref().ok_or_else(|| wrong("key_set", "url is missing: where the key set is"))?;
    Ok(KeySet { url: address("key_set", "key_set.url", url, spec)?, id: typed.id.clone() })
}

fn list(typed: &ListSpec) -> Result<List, BuildError> {
    let separator = typed.separator.clone().filter(|text| !text.is_empty());
    let assign = typed.assign.clone().filter(|text| !text.is_empty());
    let labels = typed.labels.clone().unwrap_or_default();
    let has_labels = typed.timestamp.is_some() || typed.labels.is_some();
    let time = match (&typed.timestamp, typed.timestamp_first.unwrap_or_default()) {
        (Some(_), true) => return Err(wrong("list", "timestamp and timestamp_first exclude each other: leave one")),
        (Some(label), false) => ListTime::Labelled(label.clone()),
        (None, true) => ListTime::First,
        (None, false) => ListTime::Absent,
    };
    if typed.labels.as_ref().is_some_and(Vec::is_empty) {
        return Err(wrong("list", "labels is empty: name those that count, or leave labels out if there are none"));
    }
    if has_labels && assign.is_none() {
        return Err(wrong("list", "assign is missing: the text between a label and its value, such as \"=\""));
    }
    let separator =
        separator.ok_or_else(|| wrong("list", "separator is missing: the text between two entries, such as \",\""))?;
    let used = labels.iter().chain(&typed.timestamp);
    let splits =
        |label: &str| label.contains(&separator) || assign.as_ref().is_some_and(|assign| label.contains(assign));
    if let Some(label) = used.into_iter().find(|label| label.is_empty() || label.trim() != *label || splits(label)) {
        let why = "it is empty, holds separator or assign, or begins or ends with white space";
        return Err(wrong("list", format!("label `{}` is never found: {why}", label.escape_debug())));
    }
    Ok(List { separator, assign, labels, time, signed_labels: Vec::new() })
}

fn time(typed: &TimeSpec) -> Result<Time, BuildError> {
    let unit = typed.unit.ok_or_else(|| wrong("timestamp", "unit is missing: s, ms, rfc3339, iso8601 or http-date"))?;
    Ok(Time { from: typed.from.clone(), unit, window: window(typed) })
}

/// Requests whose time must be no older than nothing are all refused.
pub(super) fn check_age(key: &'static str, field: &str, age: Option<Duration>) -> Result<(), BuildError> {
    match age.is_some_and(|age| age < Duration::from_secs(1)) {
        true => Err(wrong(
            key,
            format!("{field} is below one second: every request is older when it arrives; write \"5m\""),
        )),
        false => Ok(()),
    }
}

/// Where nothing is said of the future, it reaches as far as the past.
pub fn window(typed: &TimeSpec) -> Window {
    Window { past: typed.past, future: typed.future.or(typed.past) }
}
