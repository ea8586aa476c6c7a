//! Describes ownership checks as sentences, and as commands that make them.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::words::{listed, listed_or, shell_quote};
use crate::edit::put_json;
use landfall_model::ChallengeSpec;

const SAMPLE_VALUE: &str = "sample-value";

/// A handshake request of the provider.
pub(super) struct HandshakeRequest {
    method: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Option<Value>,
    form: Vec<(String, String)>,
}

// === impl HandshakeRequest ===

impl HandshakeRequest {
    pub(super) fn new(rule: &ChallengeSpec) -> Option<HandshakeRequest> {
        let mut request = HandshakeRequest {
            method: rule.method.clone().unwrap_or_else(|| "POST".into()),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            form: rule
                .only_form_field
                .iter()
                .map(|name| (name.clone(), SAMPLE_VALUE.into()))
                .collect(),
        };

        for (place, value) in &rule.equals {
            match value.as_str() {
                Some(text) => request.set(place, text),
                None => request.put(place, value.clone()),
            }
        }

        for (name, allowed) in &rule.require.query {
            let first = allowed.split('|').next().unwrap_or_default();
            request.query.push((name.clone(), first.into()));
        }

        if let Some(name) = &rule.require.query_hex {
            request
                .query
                .push((name.clone(), "20f9f8ed05f77439fe955c977e4c8a53".into()));
        }

        if let Some(name) = rule
            .query
            .as_ref()
            .filter(|name| !is_set(&request.query, name))
        {
            request.query.push((name.clone(), SAMPLE_VALUE.into()));
        }

        if let Some(name) = rule
            .header
            .as_ref()
            .filter(|name| !is_set(&request.headers, name))
        {
            request.headers.push((name.clone(), SAMPLE_VALUE.into()));
        }

        if let Some(pointer) = &rule.json {
            request.set(pointer, SAMPLE_VALUE);
        }

        let is_known = ["GET", "HEAD", "OPTIONS", "POST", "PUT"].contains(&request.method.as_str());
        is_known.then_some(request)
    }

    pub(super) fn set(&mut self, place: &str, value: &str) {
        match place.split_once(':') {
            Some(("query", name)) => {
                self.query.retain(|(known, _)| known != name);
                self.query.push((name.into(), value.into()));
            }
            Some(("header", name)) => {
                self.headers
                    .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
                self.headers.push((name.into(), value.into()));
            }
            Some(("form", name)) => {
                self.form.retain(|(known, _)| known != name);
                self.form.push((name.into(), value.into()));
            }
            _ => self.put(place, value.into()),
        }
    }

    pub(super) fn put(&mut self, place: &str, value: Value) {
        let pointer = place.strip_prefix("json:").unwrap_or(place);
        let is_array = pointer.starts_with("/0");
        let body = self
            .body
            .get_or_insert_with(|| if is_array { json!([]) } else { json!({}) });

        put_json(body, pointer, value);
    }

    /// The command with `landfall send`; `None` if more than the body must be set.
    pub(super) fn signed(&self, send: &str) -> Option<String> {
        let is_plain = self.method == "POST"
            && self.query.is_empty()
            && self.headers.is_empty()
            && self.form.is_empty();

        let body = self.body.as_ref().filter(|_| is_plain)?;
        Some(format!(
            "echo {} | {send} --body -",
            shell_quote(&body.to_string())
        ))
    }

    pub(super) fn curl(&self, url: &str) -> String {
        let pairs: Vec<String> = self
            .query
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();

        let query = if pairs.is_empty() {
            String::new()
        } else {
            format!("?{}", pairs.join("&"))
        };

        let method = match self.method.as_str() {
            "GET" => String::new(),
            "HEAD" => " --head".into(),
            method => format!(" -X {method}"),
        };

        let mut command = format!("curl -sSi{method} \"{url}{query}\"");
        for (name, value) in &self.headers {
            write!(command, " -H '{name}: {value}'").expect("a string takes text");
        }

        if let Some(body) = &self.body {
            write!(command, " --json {}", shell_quote(&body.to_string()))
                .expect("a string takes text");
        }

        for (name, value) in &self.form {
            write!(command, " --data {name}={value}").expect("a string takes text");
        }

        command
    }
}

fn is_set(pairs: &[(String, String)], name: &str) -> bool {
    pairs.iter().any(|(known, _)| known == name)
}

/// Describes one handshake in one or two sentences.
pub(super) fn sentence(rule: &ChallengeSpec) -> String {
    let mut conditions = Vec::new();
    conditions.extend(
        rule.query
            .iter()
            .map(|name| format!("the query parameter `{name}`")),
    );

    conditions.extend(
        rule.header
            .iter()
            .map(|name| format!("the header `{name}`")),
    );

    conditions.extend(
        rule.json
            .iter()
            .map(|pointer| format!("a text at `{pointer}` in the JSON body")),
    );

    conditions.extend(rule.equals.iter().map(|(place, value)| {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);

        format!("the value `{value}` in {}", place_of(place))
    }));

    conditions.extend(
        rule.only_form_field
            .iter()
            .map(|name| format!("a form body of one field, `{name}`")),
    );

    if !rule.only_keys.is_empty() {
        let keys = listed(rule.only_keys.iter().map(|key| format!("`{key}`")));
        conditions.push(format!("no other keys in the body than {keys}"));
    }

    if !rule.absent.is_empty() {
        let absent = listed(rule.absent.iter().map(|pointer| format!("`{pointer}`")));
        conditions.push(format!("nothing at {absent}"));
    }

    let method = rule.method.as_deref().unwrap_or("POST");
    let with = if conditions.is_empty() {
        String::new()
    } else {
        format!(" with {}", listed(conditions))
    };

    let proof = if rule.verify_first {
        "authenticated like a delivery"
    } else {
        "which the provider sends without authentication"
    };

    let article = if method == "OPTIONS" { "An" } else { "A" };
    let mut text = format!(
        "{article} `{method}` request{with}, {proof}, is answered with {}.",
        answer_of(rule)
    );

    let require = &rule.require;
    let mut needs = Vec::new();
    for (name, value) in &require.query {
        let values = listed_or(value.split('|').map(|one| format!("`{one}`")));
        needs.push(format!("the query parameter `{name}` must be {values}"));
    }

    needs.extend(require.query_secret.iter().map(|name| {
        format!("the query parameter `{name}` must be the token in `challenge_secret`")
    }));

    needs.extend(
        require.query_hex.iter().map(|name| {
            format!("the query parameter `{name}` must have 20 to 32 hexadecimal digits")
        }),
    );

    needs.extend(
        require
            .listed
            .iter()
            .map(|(place, name)| format!("{} must be listed in `config.{name}`", place_of(place))),
    );

    if !needs.is_empty() {
        let refused = rule.refused_status.unwrap_or(403);
        write!(
            text,
            " There, {}; otherwise the answer is {refused}.",
            listed(needs)
        )
        .expect("a string takes text");
    }

    text
}

fn answer_of(rule: &ChallengeSpec) -> String {
    let answer = &rule.answer;
    let mut parts = vec![format!("status {}", answer.status.unwrap_or(200))];
    parts.extend(answer.text.iter().map(|text| {
        match text
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
        {
            Some(place) if is_place(place) => {
                format!("the value of {} as its body", place_of(place))
            }
            _ => format!("the text `{text}`"),
        }
    }));

    parts.extend(
        answer
            .json
            .iter()
            .map(|object| format!("the JSON `{}`", Value::Object(object.clone()))),
    );

    parts.extend(answer.headers.iter().map(|(name, value)| {
        match value
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
        {
            Some(place) if is_place(place) => {
                format!("the value of {} in the header `{name}`", place_of(place))
            }
            _ => format!("the header `{name}: {value}`"),
        }
    }));

    listed(parts)
}

/// Whether a token of a template names a value of the request.
fn is_place(token: &str) -> bool {
    matches!(
        token.split_once(':'),
        Some(("query" | "header" | "form" | "json", _))
    ) && !token.contains(['{', ' '])
}

/// Describes `query:NAME`, `header:NAME`, `form:NAME`, `json:/POINTER` or `/POINTER` for people.
fn place_of(place: &str) -> String {
    match place.split_once(':') {
        Some(("query", name)) => format!("the query parameter `{name}`"),
        Some(("header", name)) => format!("the header `{name}`"),
        Some(("form", name)) => format!("the form field `{name}`"),
        Some(("json", pointer)) => format!("`{pointer}` of the JSON body"),
        _ => format!("`{place}` of the JSON body"),
    }
}
