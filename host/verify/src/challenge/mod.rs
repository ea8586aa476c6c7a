//! Ownership checks: requests that the host answers itself. Values that are sent back are short and
//! never HTML. A value that goes into a MAC must be a short token, because otherwise the answer
//! would sign any text for any caller.

mod error;
mod requirement;
mod sample;
mod template;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::answer::Answer;
use crate::json_paths::JsonValue;
use crate::keys::Keys;
use crate::refusal::{Reason, Refusal};
use crate::view::{View, describe};
pub(crate) use error::ChallengeError;
use error::METHODS;
use landfall_model::{ChallengeSpec, ConfigValue, ValueLocation};
use template::{JsonTemplate, Piece, Refused, Source, Template, fill, source, template};

/// The largest decompressed body of an ownership check.
pub(crate) const BODY_BYTES_MAX: usize = 16 * 1024;

/// Headers that the host writes into every answer.
const HOST_HEADERS: [&str; 3] = ["content-length", "transfer-encoding", "connection"];

/// The rule of one ownership check.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Challenge {
    spec: ChallengeSpec,
    method: http::Method,
    text: Option<Template>,
    json: Option<Vec<(String, JsonTemplate)>>,
    headers: Vec<(String, Template)>,
    listed: Option<(Source, Vec<String>)>,
    pair: Option<Source>,
    /// `spec.equals`; `None` for a place that no request has.
    equals: Vec<(Option<Source>, Value)>,
}

/// The answer, if the request is an ownership check of this stage: before (`verified` is false) or
/// after authentication.
pub(crate) fn answer(
    challenges: &[Challenge],
    verified: bool,
    view: &View<'_>,
    keys: &Keys,
) -> Option<Answer> {
    if view.request.content().len() > BODY_BYTES_MAX {
        return None;
    }

    let rules = challenges
        .iter()
        .filter(|rule| rule.spec.verify_first == verified);

    rules
        .filter(|rule| rule.matches(view))
        .map(|rule| rule.answer(view, keys))
        .next()
}

/// Whether the request has the form of an ownership check, authenticated or not.
pub(crate) fn is_one(challenges: &[Challenge], view: &View<'_>) -> bool {
    view.request.body.len() <= BODY_BYTES_MAX && challenges.iter().any(|rule| rule.matches(view))
}

// === impl Challenge ===

impl Challenge {
    /// Builds and checks a rule.
    pub(crate) fn build(
        spec: &ChallengeSpec,
        config: &BTreeMap<String, ConfigValue>,
    ) -> Result<Challenge, ChallengeError> {
        let method = spec.method.as_deref().unwrap_or("POST");
        if !METHODS.contains(&method) {
            return Err(ChallengeError::Method(method.to_owned()));
        }

        check_answer(spec)?;

        let text = spec.answer.text.as_deref();
        let headers = spec.answer.headers.iter();
        let headers = headers.map(|(name, text)| Ok((name.clone(), template(text, config)?)));
        let json = spec.answer.json.as_ref().map(|object| {
            let members = object.iter();
            members
                .map(|(key, value)| Ok((key.clone(), json_template(value, config)?)))
                .collect::<Result<_, ChallengeError>>()
        });

        let listed = spec.require.listed.as_ref().map(|(place, name)| {
            let texts = config.get(name).map(|value| value.texts().to_vec());
            Ok::<_, ChallengeError>((source(place)?, texts.unwrap_or_default()))
        });

        let is_open = config
            .get("handshake_open")
            .is_some_and(|value| value.texts() == ["true"]);

        Ok(Challenge {
            method: method.parse().expect("a known method"),
            text: text.map(|text| template(text, config)).transpose()?,
            json: json.transpose()?,
            headers: headers.collect::<Result<_, ChallengeError>>()?,
            listed: listed.transpose()?,
            pair: spec
                .pair
                .as_ref()
                .filter(|_| is_open)
                .map(|place| source(place))
                .transpose()?,
            equals: spec
                .equals
                .iter()
                .map(|(place, expected)| (source(place).ok(), expected.clone()))
                .collect(),
            spec: spec.clone(),
        })
    }

    /// Whether the rule signs a value for unauthenticated callers.
    pub(crate) fn signs_for_unauthenticated(&self) -> bool {
        let texts = self
            .text
            .iter()
            .chain(self.headers.iter().map(|(_, text)| text));

        let in_json = self
            .json
            .iter()
            .flatten()
            .filter_map(|(_, value)| match value {
                JsonTemplate::Text(text) => Some(text),
                JsonTemplate::Constant(_) => None,
            });

        !self.spec.verify_first && texts.chain(in_json).flatten().any(is_mac)
    }

    pub(crate) fn method(&self) -> &http::Method {
        &self.method
    }

    /// Whether the check is answered before authentication.
    pub(crate) fn is_before_authentication(&self) -> bool {
        !self.spec.verify_first
    }

    /// The JSON pointers by which a request is recognised.
    pub(crate) fn json_pointers(&self) -> impl Iterator<Item = &str> {
        let equal = self.equals.iter().filter_map(|(source, _)| match source {
            Some(Source(ValueLocation::Json(pointer))) => Some(pointer),
            _ => None,
        });
        let spec = &self.spec;

        spec.json
            .iter()
            .chain(equal)
            .chain(&spec.absent)
            .map(String::as_str)
    }

    fn matches(&self, view: &View<'_>) -> bool {
        self.matches_head(view) && self.matches_body(view)
    }

    /// What can be checked without reading the body.
    fn matches_head(&self, view: &View<'_>) -> bool {
        let spec = &self.spec;
        let request = view.request;

        // A pairing that the operator has not opened is not an ownership check.
        let closed = spec.pair.is_some() && spec.needs_open && self.pair.is_none();
        !closed
            && request.method == self.method
            && spec
                .query
                .as_deref()
                .is_none_or(|name| view.query(name).next().is_some())
            && spec
                .header
                .as_deref()
                .is_none_or(|name| request.headers.contains_key(name))
            && self.has_equal_values(view, Source::is_in_head)
    }

    fn matches_body(&self, view: &View<'_>) -> bool {
        let spec = &self.spec;

        // Almost every body is a delivery, whose first key is not in the list.
        (spec.only_keys.is_empty() || view.has_only_keys(&spec.only_keys))
            && spec
                .json
                .as_deref()
                .is_none_or(|pointer| matches!(view.json_at(pointer), Ok(JsonValue::Text(_))))
            && self.has_equal_values(view, Source::is_in_body)
            && spec
                .absent
                .iter()
                .all(|pointer| view.json_at(pointer).is_err())
            && spec
                .only_form_field
                .as_deref()
                .is_none_or(|name| matches!(view.form(), Some([(key, _)]) if key == name))
    }

    /// Whether the values of `equals` at these places are the expected ones.
    fn has_equal_values(&self, view: &View<'_>, is_there: fn(&Source) -> bool) -> bool {
        self.equals.iter().all(|(source, expected)| match source {
            Some(source) => !is_there(source) || equals(view, source, expected),
            None => false,
        })
    }

    fn answer(&self, view: &View<'_>, keys: &Keys) -> Answer {
        self.try_answer(view, keys).unwrap_or_else(|refused| {
            let (status, refusal) = match refused {
                Refused::Requirement(refusal) => (self.spec.refused_status.unwrap_or(403), refusal),
                Refused::Value(what) => (400, Refusal::new(Reason::ChallengeRefused, what)),
            };

            Answer {
                status,
                refused: Some(Box::new(refusal)),
                ..Answer::default()
            }
        })
    }

    fn try_answer(&self, view: &View<'_>, keys: &Keys) -> Result<Answer, Refused> {
        requirement::check(&self.spec.require, view, keys)?;
        self.check_listed(view)?;
        let body = match (&self.text, &self.json) {
            (Some(text), _) => Some(("text/plain; charset=utf-8", fill(text, view, keys)?)),
            (None, Some(entries)) => {
                let mut object = serde_json::Map::new();
                for (key, value) in entries {
                    let value = match value {
                        JsonTemplate::Constant(value) => value.clone(),
                        JsonTemplate::Text(text) => Value::String(fill(text, view, keys)?),
                    };

                    object.insert(key.clone(), value);
                }

                Some(("application/json", Value::Object(object).to_string()))
            }
            (None, None) => None,
        };

        let headers = self
            .headers
            .iter()
            .map(|(name, text)| Ok((name.clone(), fill(text, view, keys)?)));

        Ok(Answer {
            status: self.spec.answer.status.unwrap_or(200),
            body,
            headers: headers.collect::<Result<_, _>>()?,
            confirm: None,
            pair: self
                .pair
                .as_ref()
                .map(|source| source.text(view))
                .transpose()?,
            refused: None,
        })
    }

    /// Checks that the value to look for is in the configured list.
    fn check_listed(&self, view: &View<'_>) -> Result<(), Refused> {
        let Some((source, allowed)) = &self.listed else {
            return Ok(());
        };

        let (place, entry) = (describe(&source.0), self.listed_entry());
        let given = source.text(view).map_err(|_| {
            requirement::refused(format!(
                "the ownership check has no value at {place} to look for in config.{entry}"
            ))
        })?;
        if allowed.iter().any(|one| one == "*" || *one == given) {
            return Ok(());
        }

        let given = given.escape_debug();
        let what = format!("`{given}` ({place}) is not in `config.{entry}` of `[verify]`");
        Err(Refused::Requirement(Refusal::new(
            Reason::TopicNotAllowed,
            what,
        )))
    }

    /// What a request must have to be this ownership check, for the operator.
    pub(crate) fn needs(&self) -> String {
        let spec = &self.spec;
        let named = [
            named("query parameter", &spec.query),
            named("header", &spec.header),
            named("JSON value", &spec.json),
        ];

        let equal = spec
            .equals
            .iter()
            .map(|(place, value)| format!("`{place}` = {value}"));

        let mut needs: Vec<String> = named.into_iter().flatten().chain(equal).collect();
        if !spec.only_keys.is_empty() {
            needs.push(format!(
                "a JSON body with only {}",
                spec.only_keys.join(", ")
            ));
        }

        if let Some(field) = &spec.only_form_field {
            needs.push(format!("a form with only the field `{field}`"));
        }

        if needs.is_empty() {
            "nothing else".into()
        } else {
            needs.join(", ")
        }
    }

    fn listed_entry(&self) -> &str {
        self.spec
            .require
            .listed
            .as_ref()
            .map_or("", |(_, name)| name)
    }
}

fn named(kind: &str, name: &Option<String>) -> Option<String> {
    name.as_ref().map(|name| format!("{kind} `{name}`"))
}

fn is_mac(piece: &Piece) -> bool {
    matches!(piece, Piece::Mac(..))
}

fn equals(view: &View<'_>, source: &Source, expected: &Value) -> bool {
    let Source(ValueLocation::Json(pointer)) = source else {
        let given = source.text(view);
        return given.is_ok_and(|given| expected.as_str() == Some(&given));
    };

    match view.json_at(pointer) {
        Ok(JsonValue::Text(text)) => expected.as_str() == Some(text),
        Ok(JsonValue::Scalar(value)) => value == expected,
        Ok(JsonValue::Container) if expected.is_array() || expected.is_object() => {
            view.json().and_then(|body| body.pointer(pointer)) == Some(expected)
        }
        Ok(JsonValue::Container) | Err(_) => false,
    }
}

/// Checks that the host can send the answer of a rule, and that the rule leaves deliveries alone.
fn check_answer(spec: &ChallengeSpec) -> Result<(), ChallengeError> {
    let answer = &spec.answer;
    let mut names = answer.headers.keys();
    if let Some(bad) = names.find(|name| name.parse::<http::HeaderName>().is_err()) {
        return Err(ChallengeError::HeaderName(bad.clone()));
    }

    let mut values = answer.headers.values();
    if values.any(|text| text.contains(['\r', '\n', '\0'])) {
        return Err(ChallengeError::HeaderValue);
    }

    if takes_every_delivery(spec) {
        return Err(ChallengeError::EveryDelivery);
    }

    let mut names = answer.headers.keys();
    if let Some(bad) = names.find(|name| is_host_header(name)) {
        return Err(ChallengeError::HostHeader(bad.clone()));
    }

    let has_body = answer.text.is_some() || answer.json.is_some();
    if has_body && matches!(answer.status, Some(204 | 304)) {
        return Err(ChallengeError::NoBody);
    }

    let statuses = [
        answer.status.unwrap_or(200),
        spec.refused_status.unwrap_or(403),
    ];
    match statuses
        .iter()
        .find(|status| !(200..=599).contains(*status))
    {
        Some(bad) => Err(ChallengeError::Status(*bad)),
        None => Ok(()),
    }
}

fn is_host_header(name: &str) -> bool {
    HOST_HEADERS.contains(&name.to_ascii_lowercase().as_str())
}

fn json_template(
    value: &Value,
    config: &BTreeMap<String, ConfigValue>,
) -> Result<JsonTemplate, ChallengeError> {
    Ok(match value {
        Value::String(text) => JsonTemplate::Text(template(text, config)?),
        other => JsonTemplate::Constant(other.clone()),
    })
}

/// Whether every delivery would match the rule.
fn takes_every_delivery(spec: &ChallengeSpec) -> bool {
    let is_delivery = spec
        .method
        .as_deref()
        .is_none_or(|method| ["POST", "PUT", "PATCH"].contains(&method));

    let names_something = [&spec.query, &spec.header, &spec.json, &spec.only_form_field]
        .iter()
        .any(|name| name.is_some());
    let is_paired = spec.pair.is_some() && spec.needs_open;

    is_delivery
        && !names_something
        && !is_paired
        && spec.equals.is_empty()
        && spec.only_keys.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<(), ChallengeError> {
        Challenge::build(&toml::from_str(text).unwrap(), &BTreeMap::new()).map(drop)
    }

    #[test]
    fn challenges_matching_every_delivery_are_refused() {
        for bad in [
            "answer = { status = 200, text = \"ok\" }",
            "method = \"PUT\"\nabsent = [\"/a\"]",
        ] {
            assert_eq!(of(bad), Err(ChallengeError::EveryDelivery), "{bad}");
        }

        for good in [
            "method = \"HEAD\"",
            "query = \"challenge\"",
            "equals = { \"/type\" = \"check\" }",
            "only_keys = [\"a\"]",
        ] {
            assert_eq!(of(good), Ok(()), "{good}");
        }
    }
}
