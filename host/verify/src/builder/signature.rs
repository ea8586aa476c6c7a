//! Rules of `scheme = "signature"`.

use std::time::Duration;

use super::error::{BuildError, wrong};
use super::list;
use super::locations::{check_held_value, check_value, header_name, is_same_place, places};
use super::payload::{PayloadRules, places_in};
use super::urls::{NEEDS_URL, address, names_url};
use crate::algorithm::Running;
use crate::payload::{self, Part};
use crate::signature::{KeySet, ListTime, Signature, Time};
use crate::view::describe;
use crate::window::Window;
use landfall_model::{Algorithm, KeySetSpec, TimeSpec, ValueLocation, VerifySpec};

/// Method names of WebSub (w3.org/TR/websub section 8.1) and their algorithms.
const METHODS: [(&str, Algorithm); 4] = [
    ("sha1", Algorithm::HmacSha1),
    ("sha256", Algorithm::HmacSha256),
    ("sha384", Algorithm::HmacSha384),
    ("sha512", Algorithm::HmacSha512),
];

pub(super) fn build(spec: &VerifySpec, is_documented: bool) -> Result<Signature, BuildError> {
    let methods = methods(spec)?;
    let algorithm = match (spec.algorithm, methods.first()) {
        (Some(_), Some(_)) => {
            return Err(wrong(
                "methods",
                "algorithm and methods exclude each other: leave one",
            ));
        }
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

    let encoding = spec
        .encoding
        .ok_or_else(|| wrong("scheme", "encoding is missing: hex, base64 or base64url"))?;

    let typed = spec
        .payload
        .clone()
        .unwrap_or_else(|| vec!["{body}".into()]);

    let rules = PayloadRules {
        spec,
        algorithm,
        is_documented,
    };

    let payload = rules.read(&typed)?;
    let others = spec
        .payload_alternatives
        .iter()
        .flatten()
        .map(|typed| rules.read(typed));

    let alternatives: Vec<Vec<Part>> = others.collect::<Result<_, _>>()?;
    let parts: Vec<&Part> = std::iter::once(&payload)
        .chain(&alternatives)
        .flatten()
        .collect();

    let mut list = spec
        .list
        .as_ref()
        .map(|typed| list::build(typed, spec, encoding))
        .transpose()?;

    let labels: Vec<String> = parts
        .iter()
        .filter_map(|part| match part {
            Part::Label(label) => Some(label.clone()),
            _ => None,
        })
        .collect();

    if let (Some(label), None) = (
        labels.first(),
        list.as_ref().and_then(|list| list.assign.as_ref()),
    ) {
        let message = format!(
            "{{list:{label}}} is signed: say in list = {{ separator = …, assign = … }} how it is \
             written"
        );
        return Err(wrong("payload", message));
    }

    if let Some(list) = &mut list {
        list::check_signed_labels(list, &labels)?;
        list.signed_labels = labels;
    }

    let listed_time = list
        .as_ref()
        .is_some_and(|list| list.time != ListTime::Absent);

    let has_time = spec
        .timestamp
        .as_ref()
        .is_some_and(|time| time.from.is_some() || listed_time);
    if parts.contains(&&Part::Timestamp) && !has_time {
        return Err(wrong(
            "payload",
            "{timestamp} is signed: say where it is in timestamp = { from = …, unit = … }",
        ));
    }

    if spec.timestamp.is_some() && !has_time {
        return Err(wrong(
            "timestamp",
            "from is missing, and list names no label for the time",
        ));
    }

    if parts.contains(&&Part::Id) && spec.id.is_none() {
        return Err(wrong(
            "payload",
            "{id} is signed: say where it is in id = { header = \"NAME\" }",
        ));
    }

    if parts.iter().any(|part| is_url(part)) && !names_url(spec) {
        return Err(wrong("scheme", NEEDS_URL));
    }

    let require = spec.require.iter().flatten().map(|(name, value)| {
        header_name("require", name)?;
        match payload::part(value, &spec.config).map_err(|why| wrong("require", why))? {
            // White space around a header value is trimmed before the comparison.
            Part::Literal(value)
                if http::HeaderValue::from_str(&value).is_err() || value.trim_ascii() != value =>
            {
                Err(wrong(
                    "require",
                    format!(
                        "no header can have the value `{}` of {name}",
                        value.escape_debug()
                    ),
                ))
            }
            Part::Literal(value) => Ok((name.clone(), value)),
            _ => Err(wrong(
                "require",
                format!("the value of {name} must be text or {{config.NAME}}"),
            )),
        }
    });

    let time = spec.timestamp.as_ref().map(time).transpose()?;
    let key_set = spec
        .key_set
        .as_ref()
        .map(|typed| key_set(typed, spec, algorithm))
        .transpose()?;

    let in_time = time.iter().filter_map(|time| time.from.as_ref());
    let in_key_set = key_set.iter().filter_map(|set| set.id.as_ref());
    in_time
        .clone()
        .try_for_each(|place| check_held_value("timestamp", place))?;
    spec.id
        .iter()
        .try_for_each(|place| check_held_value("id", place))?;
    in_key_set
        .clone()
        .try_for_each(|place| check_held_value("key_set", place))?;
    parts
        .iter()
        .flat_map(|part| places_in(part))
        .try_for_each(|place| check_value("payload", place))?;

    if parts
        .iter()
        .flat_map(|part| places_in(part))
        .any(|place| is_same_place(place, &ValueLocation::Header("host".into())))
    {
        let why = "{header:Host} is the sender's choice, and a request that was signed for \
                   another receiver would be accepted: write {url} and public_url, or the host \
                   itself";
        return Err(wrong("payload", why));
    }

    let from = places(spec)?;
    from.iter()
        .try_for_each(|place| check_apart(place, &parts))?;
    let beside = in_time
        .map(|place| ("timestamp", place))
        .chain(spec.id.iter().map(|place| ("id", place)));
    let beside: Vec<(&'static str, &ValueLocation)> = beside
        .chain(in_key_set.map(|place| ("key_set", place)))
        .collect();

    check_beside(&from, &beside)?;
    check_required(spec, &from, &beside)?;
    if from.len() > 1
        && (!methods.is_empty()
            || list
                .as_ref()
                .is_some_and(|list| !list.signed_labels.is_empty()))
    {
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

/// Rejects a signature inside the text that it signs: no sender can make such a request.
fn check_apart(from: &ValueLocation, parts: &[&Part]) -> Result<(), BuildError> {
    let is_inside = match from {
        ValueLocation::Json(_) | ValueLocation::Form(_) | ValueLocation::Body(_) => {
            parts.iter().any(|part| part.is_of_the_body())
        }
        ValueLocation::Query(_) | ValueLocation::Path(_) | ValueLocation::Param(_) => {
            parts.iter().any(|part| is_url(part))
        }
        _ => false,
    };

    let is_same = parts
        .iter()
        .flat_map(|part| places_in(part))
        .any(|place| is_same_place(place, from));
    if is_inside || is_same {
        return Err(wrong(
            "from",
            format!(
                "the signature ({}) is part of what payload signs: no sender can make such a \
                 signature",
                describe(from)
            ),
        ));
    }

    Ok(())
}

fn is_url(part: &Part) -> bool {
    matches!(part, Part::Url | Part::UrlUnescaped)
}

/// Rejects a time, id or key id at the location of the signature.
fn check_beside(
    from: &[ValueLocation],
    beside: &[(&'static str, &ValueLocation)],
) -> Result<(), BuildError> {
    let is_body = from
        .iter()
        .any(|place| matches!(place, ValueLocation::Body(_)));

    let conflict = beside.iter().find(|(_, place)| {
        let is_in_body = matches!(
            place,
            ValueLocation::Json(_) | ValueLocation::Form(_) | ValueLocation::Body(_)
        );
        (is_body && is_in_body) || from.iter().any(|other| is_same_place(place, other))
    });

    match conflict {
        Some((key, place)) => Err(wrong(
            key,
            format!(
                "{key} is read from the place of the signature ({}), and no value is both: name the place that holds it, or \
                 describe the entries of the header with list = {{ … }}",
                describe(place)
            ),
        )),
        None => Ok(()),
    }
}

/// Rejects a required header value that conflicts with another use of the same header.
fn check_required(
    spec: &VerifySpec,
    from: &[ValueLocation],
    beside: &[(&'static str, &ValueLocation)],
) -> Result<(), BuildError> {
    let names: Vec<&String> = spec
        .require
        .iter()
        .flatten()
        .map(|(name, _)| name)
        .collect();

    let repeated = names.iter().enumerate().find(|(at, name)| {
        let mut before = names[..*at].iter();
        before.any(|other| other.eq_ignore_ascii_case(name))
    });
    if let Some((_, name)) = repeated {
        let name = name.escape_debug();
        return Err(wrong(
            "require",
            format!("require names the header {name} twice, and a header has one value: leave one"),
        ));
    }

    let varying = from
        .iter()
        .map(|place| ("from", place))
        .chain(beside.iter().copied());

    for (key, place) in varying {
        if let ValueLocation::Header(header) = place
            && let Some(name) = names.iter().find(|name| name.eq_ignore_ascii_case(header))
        {
            let name = name.escape_debug();
            let why = format!(
                "the header {name} has another value in each request ({key} reads it): remove it \
                 from require"
            );
            return Err(wrong("require", why));
        }
    }

    Ok(())
}

fn methods(spec: &VerifySpec) -> Result<Vec<(String, Algorithm)>, BuildError> {
    let Some(names) = &spec.methods else {
        return Ok(Vec::new());
    };

    if names.is_empty() {
        return Err(wrong(
            "methods",
            "methods is empty: name the accepted methods",
        ));
    }

    if spec
        .prefix
        .as_ref()
        .is_some_and(|prefix| !prefix.is_empty())
        || spec.list.is_some()
    {
        return Err(wrong(
            "methods",
            "methods is written before the signature: prefix and list mean nothing beside it",
        ));
    }

    names.iter().map(|name| method(name)).collect()
}

fn method(name: &str) -> Result<(String, Algorithm), BuildError> {
    let found = METHODS.iter().find(|(known, _)| *known == name);
    found
        .map(|(name, algorithm)| ((*name).to_owned(), *algorithm))
        .ok_or_else(|| {
            wrong(
                "methods",
                format!(
                    "`{}` is not a method: write one of sha1, sha256, sha384, sha512",
                    name.escape_debug()
                ),
            )
        })
}

fn key_set(
    typed: &KeySetSpec,
    spec: &VerifySpec,
    algorithm: Algorithm,
) -> Result<KeySet, BuildError> {
    if Running::new(algorithm, b"").is_some() {
        return Err(wrong(
            "key_set",
            "a key set holds public keys: algorithm must be ed25519, ecdsa-p256-sha256 or rsa-…",
        ));
    }

    let url = typed
        .url
        .as_ref()
        .ok_or_else(|| wrong("key_set", "url is missing: write the URL of the key set"))?;

    Ok(KeySet {
        url: address("key_set", "key_set.url", url, spec)?,
        id: typed.id.clone(),
    })
}

fn time(typed: &TimeSpec) -> Result<Time, BuildError> {
    let unit = typed.unit.ok_or_else(|| {
        wrong(
            "timestamp",
            "unit is missing: s, ms, rfc3339, iso8601 or http-date",
        )
    })?;

    Ok(Time {
        from: typed.from.clone(),
        unit,
        window: window(typed),
    })
}

/// Rejects a maximum age below one second: every request would be refused.
pub(super) fn check_age(
    key: &'static str,
    field: &str,
    age: Option<Duration>,
) -> Result<(), BuildError> {
    if age.is_some_and(|age| age < Duration::from_secs(1)) {
        return Err(wrong(
            key,
            format!(
                "{field} is below one second: every request is older when it arrives; write \"5m\""
            ),
        ));
    }

    Ok(())
}

/// The time window. If `future` is not set, it equals `past`.
pub(crate) fn window(typed: &TimeSpec) -> Window {
    Window {
        past: typed.past,
        future: typed.future.or(typed.past),
    }
}
