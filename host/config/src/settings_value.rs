//! Checks of single values of `[settings]`: numbers, lengths, patterns, templates and URLs.

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
            Some(Kind::Url) => self.granted(text, HttpGrant::covers_url),
            Some(Kind::BaseUrl) => self.granted(text, HttpGrant::covers_some_below),
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

    /// Checks that a text is a URL, and that a grant covers it.
    fn granted(
        &self,
        text: &str,
        covers: fn(&HttpGrant, &Url) -> bool,
    ) -> Result<(), SettingsMistake> {
        let url = self.whole_url(text)?;
        if self.http.iter().any(|grant| covers(grant, &url)) {
            return Ok(());
        }

        Err(self.not_granted(url))
    }

    fn whole_url(&self, text: &str) -> Result<Url, SettingsMistake> {
        let url = Url::parse(text)
            .ok()
            .filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        url.ok_or_else(|| self.mistake("is not a whole URL: write \"https://…\""))
    }

    fn not_granted(&self, mut url: Url) -> SettingsMistake {
        url.set_query(None);
        url.set_fragment(None);
        url.set_username("").ok();
        url.set_password(None).ok();
        self.mistake(format!(
            "is not in [allow] http, so no call to it would be made: write [allow] http = [\"{url}\"]"
        ))
    }
}
