//! Checks of single values of `[settings]`: numbers, lengths, patterns, templates, URLs, and names
//! of tables and hooks.

use http::Method;
use serde_json::{Map, Value};
use url::Url;

use super::settings_check::{Check, SettingsMistake};
use super::settings_text::{self, Kind};
use landfall_model::HttpGrant;

/// The steps for a regular expression, which is compiled for each text.
const STEPS_OF_PATTERN: u32 = 2_000;
const PATTERN_BYTES_MAX: usize = 1 << 20;

// === impl Check ===

impl Check<'_> {
    pub(crate) fn number(
        &mut self,
        schema: &Map<String, Value>,
        number: f64,
    ) -> Result<(), SettingsMistake> {
        self.bounds(schema, number, ("minimum", "maximum"), "")?;
        let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
        match (bound("exclusiveMinimum"), bound("exclusiveMaximum")) {
            (Some(low), _) if number <= low => self.wrong(format!("is not more than {low}")),
            (_, Some(high)) if number >= high => self.wrong(format!("is not less than {high}")),
            _ => Ok(()),
        }
    }

    pub(crate) fn bounds(
        &mut self,
        schema: &Map<String, Value>,
        is: f64,
        (low, high): (&str, &str),
        unit: &str,
    ) -> Result<(), SettingsMistake> {
        let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
        let unit = if unit.is_empty() {
            String::new()
        } else {
            format!(" {unit}")
        };
        match (bound(low), bound(high)) {
            (Some(low), _) if is < low => self.wrong(format!("has to be at least {low}{unit}")),
            (_, Some(high)) if is > high => self.wrong(format!("may be at most {high}{unit}")),
            _ => Ok(()),
        }
    }

    pub(crate) fn text(
        &mut self,
        schema: &Map<String, Value>,
        text: &str,
    ) -> Result<(), SettingsMistake> {
        self.bounds(
            schema,
            text.chars().count() as f64,
            ("minLength", "maxLength"),
            "characters",
        )?;
        if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
            self.pattern(pattern, text)?;
        }

        match settings_text::kind_of_text(schema) {
            None => Ok(()),
            Some(Kind::Template) => self.template(text),
            Some(Kind::Url) if settings_text::is_template(text) => self.template(text),
            Some(Kind::Url) => match settings_text::method_of_calls(schema) {
                Some(method) => self.called(text, method),
                None => self.granted(text, "", HttpGrant::covers_url),
            },
            Some(Kind::BaseUrl) => self.granted(text, "", HttpGrant::covers_some_below),
            Some(Kind::Table) => self.named(text, "table", "no row would be stored"),
            Some(Kind::Hook) => self.named(text, "emit", "no event would be sent to it"),
            Some(Kind::JsonPointer) => self.json_pointer(text),
        }
    }

    fn pattern(&mut self, pattern: &str, text: &str) -> Result<(), SettingsMistake> {
        self.step(STEPS_OF_PATTERN, 0)?;
        let built = regex::RegexBuilder::new(pattern)
            .size_limit(PATTERN_BYTES_MAX)
            .build();
        match built {
            Ok(built) if built.is_match(text) => Ok(()),
            Ok(_) => self.wrong(format!(
                "does not have the form `{}`",
                pattern.escape_debug()
            )),
            Err(_) => self.wrong("is checked by a pattern of the component that cannot be used"),
        }
    }

    fn template(&self, text: &str) -> Result<(), SettingsMistake> {
        settings_text::check_template(text).or_else(|error| self.wrong(error))
    }

    /// Checks that a text is a URL, and that a grant covers a call of it with the method beside it,
    /// or with `default`.
    fn called(&self, text: &str, default: &str) -> Result<(), SettingsMistake> {
        let typed = self.method_beside.as_deref().unwrap_or(default);
        let typed = typed.to_ascii_uppercase();
        match Method::from_bytes(typed.as_bytes()) {
            Ok(method) => self.granted(text, &format!("{method} "), |grant, url| {
                grant.covers(&method, url)
            }),
            Err(_) => self.wrong(format!(
                "is called with `{}`, which is not a method",
                typed.escape_debug()
            )),
        }
    }

    /// Checks that a text is a URL, and that a grant covers it. The grant to write begins with
    /// `method`.
    fn granted(
        &self,
        text: &str,
        method: &str,
        covers: impl Fn(&HttpGrant, &Url) -> bool,
    ) -> Result<(), SettingsMistake> {
        let url = self.whole_url(text)?;
        let grants = &self.allow.http;
        if grants.iter().any(|grant| covers(grant, &url)) {
            return Ok(());
        }

        // The method is only worth a word if the URL is granted for others.
        let is_other_method = grants.iter().any(|grant| grant.covers_url(&url));
        Err(self.not_granted(url, if is_other_method { method } else { "" }))
    }

    /// Checks that `[allow]` has this name under the key. `effect` is what happens without.
    fn named(&self, name: &str, key: &str, effect: &str) -> Result<(), SettingsMistake> {
        let names = self.allow.capabilities.names(key);
        if names.iter().any(|allowed| allowed == name) {
            return Ok(());
        }

        let shown = name.escape_debug();
        self.wrong(format!(
            "is \"{shown}\", which is not in [allow] {key}, so {effect}: write [allow] {key} = [\"{shown}\"]"
        ))
    }

    fn json_pointer(&self, text: &str) -> Result<(), SettingsMistake> {
        if text.is_empty() || text.starts_with('/') {
            return Ok(());
        }

        let shown = text.escape_debug();
        self.wrong(format!("is not a JSON pointer: write \"/{shown}\""))
    }

    fn whole_url(&self, text: &str) -> Result<Url, SettingsMistake> {
        let url = Url::parse(text)
            .ok()
            .filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        url.ok_or_else(|| self.mistake("is not a whole URL: write \"https://…\""))
    }

    fn not_granted(&self, mut url: Url, method: &str) -> SettingsMistake {
        url.set_query(None);
        url.set_fragment(None);
        url.set_username("").ok();
        url.set_password(None).ok();
        self.mistake(format!(
            "is not in [allow] http{}, so no call to it would be made: write [allow] http = [\"{method}{url}\"]",
            if method.is_empty() {
                String::new()
            } else {
                format!(" for {}", method.trim_end())
            }
        ))
    }
}
