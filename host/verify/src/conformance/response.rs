//! Compares the response to a handshake with the expected one.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The result of a comparison that finds nothing.
pub(super) const NO_DIFFERENCE: &str = "no difference";

#[derive(Debug, Deserialize)]
pub(super) struct Expected {
    status: u16,
    #[serde(default)]
    status_one_of: Vec<u16>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    headers_present: Vec<String>,
    #[serde(default)]
    absent_headers: Vec<String>,
    #[serde(default)]
    header_one_of: BTreeMap<String, Vec<String>>,
    body: Option<String>,
    body_json: Option<Value>,
    #[serde(default)]
    body_one_of: Vec<ExpectedBody>,
    #[serde(default)]
    absent_in_body: Vec<String>,
    pub(super) deliver_to_plugin: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ExpectedBody {
    body: Option<String>,
    #[serde(rename = "body_json")]
    body_json: Option<Value>,
}

/// The response to a handshake.
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
    pub(super) delivered: bool,
}

// === impl Expected ===

impl Expected {
    /// All differences, or `NO_DIFFERENCE`.
    pub(super) fn differences(&self, got: &Response) -> String {
        let mut differences = Vec::new();
        if got.status != self.status && !self.status_one_of.contains(&got.status) {
            differences.push(format!("status {} instead of {}", got.status, self.status));
        }

        differences.extend(self.header_differences(got));
        differences.extend(self.body_differences(got));
        if let Some(expected) = self.deliver_to_plugin
            && expected != got.delivered
        {
            differences.push(format!("delivered: {}", got.delivered));
        }

        if differences.is_empty() {
            NO_DIFFERENCE.to_owned()
        } else {
            differences.join(", ")
        }
    }

    fn header_differences(&self, got: &Response) -> Vec<String> {
        let mut differences = Vec::new();
        for (name, value) in &self.headers {
            let given = got.header(name);
            let given = given.map(|given| given.split(';').next().unwrap_or_default().trim());
            if given != Some(value.as_str()) && !self.may_differ(name, given) {
                differences.push(format!("header {name} is {given:?} instead of {value:?}"));
            }
        }

        let missing = self.headers_present.iter();
        let missing = missing.filter(|name| got.header(name).is_none());
        differences.extend(missing.map(|name| format!("no header {name}")));

        let present = self.absent_headers.iter();
        let present = present.filter(|name| got.header(name).is_some());
        differences.extend(present.map(|name| format!("header {name}")));
        differences
    }

    /// Whether a header may have another value than the expected one.
    fn may_differ(&self, name: &str, given: Option<&str>) -> bool {
        let allowed = self.header_one_of.get(&name.to_ascii_lowercase());
        let is_allowed =
            allowed.is_some_and(|values| values.iter().any(|value| Some(value.as_str()) == given));
        // Another accepted form of the body may have another content type.
        let has_other_form =
            name.eq_ignore_ascii_case("content-type") && !self.body_one_of.is_empty();

        is_allowed || has_other_form
    }

    fn body_differences(&self, got: &Response) -> Vec<String> {
        let mut differences = Vec::new();
        let mut others = self.body_one_of.iter();
        if !got.has_body(&self.body, &self.body_json)
            && !others.any(|other| got.has_body(&other.body, &other.body_json))
        {
            differences.push(format!("body {:?}", got.body));
        }

        let leaks = self.absent_in_body.iter();
        let leaks = leaks.filter(|text| got.body.contains(*text));
        differences.extend(leaks.map(|_| "body holds what must not leak".to_owned()));
        differences
    }
}

// === impl Response ===

impl Response {
    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let header = headers.find(|(key, _)| key.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.as_str())
    }

    /// Whether the body is this text and this JSON value, as far as they are given.
    fn has_body(&self, text: &Option<String>, json: &Option<Value>) -> bool {
        let parsed: Option<Value> = serde_json::from_str(&self.body).ok();
        text.as_ref().is_none_or(|text| *text == self.body) && (json.is_none() || *json == parsed)
    }
}
