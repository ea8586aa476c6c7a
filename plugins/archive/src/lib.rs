//! Writes each event as an object, to S3 and services with its API, or to Google Cloud Storage.

mod gcs;
mod s3;

use landfall_calls::{Condition, mistake, skipped};
use landfall_sdk::{Event, Failure, Payload, Template, handler, log, settings};
use serde::Deserialize;
use std::collections::BTreeMap;

/// One object for each event, sorted by day.
const KEY: &str =
    "{{ event.hook }}/{{ event.received_at[:10] | replace('-', '/') }}/{{ event.id }}";
/// The longest key, in both services.
const KEY_BYTES_MAX: usize = 1024;

#[settings]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// All must hold; none at all means every event.
    #[serde(default)]
    when: Vec<Condition>,
    /// Of an S3 bucket.
    #[schemars(extend("x-landfall" = "base-url"))]
    url: Option<String>,
    /// The name of a bucket of Google Cloud Storage, instead of `url`.
    gcs_bucket: Option<String>,
    /// A template: the object's key.
    key: Option<Template>,
    /// A template: the object's content. Without it, the event's body.
    body: Option<Template>,
    /// Of the content. Default: that of the event.
    content_type: Option<String>,
    /// Name to template: metadata of the object.
    #[serde(default)]
    metadata: BTreeMap<String, Template>,
    /// Whether an object that exists is replaced.
    #[serde(default)]
    overwrite: bool,
    #[schemars(extend("x-landfall" = "base-url"))]
    endpoint: Option<String>,
}

/// What is stored.
struct Object<'a> {
    key: String,
    content_type: &'a str,
    content: Payload,
    metadata: Vec<(&'a str, String)>,
    overwrite: bool,
}

/// How a write ended.
enum Stored {
    New,
    /// An earlier attempt, or an earlier delivery, has written the object.
    Existing,
}

/// The one function of this component.
#[handler(settings = Settings)]
pub fn archive(event: Event) -> Result<(), Failure> {
    let settings: Settings = settings::all()?;
    if skipped(&settings.when, &event, "archived") {
        return Ok(());
    }
    let object = settings.object(&event)?;
    let stored = match (&settings.url, &settings.gcs_bucket) {
        (Some(url), None) => s3::put(url, &object)?,
        (None, Some(bucket)) => {
            gcs::insert(settings.endpoint.as_deref(), bucket, &object, &event.id)?
        }
        _ => return Err(mistake("name either a url or a gcs_bucket")),
    };
    match stored {
        Stored::New => log::info(format!("archived as {}", object.key)),
        Stored::Existing => log::info(format!("{} exists", object.key)),
    }
    Ok(())
}

impl Settings {
    fn object<'a>(&'a self, event: &'a Event) -> Result<Object<'a>, Failure> {
        let default = Template::new(KEY);
        let key = self.key.as_ref().unwrap_or(&default).render(event)?;
        check_key(&key)?;
        let (content, content_type) = match &self.body {
            Some(template) => (template.render(event)?.into(), None),
            None => (event.body.clone(), event.header("content-type")),
        };
        let metadata = self
            .metadata
            .iter()
            .map(|(name, template)| Ok((name.as_str(), template.render(event)?)));
        Ok(Object {
            key,
            content_type: self
                .content_type
                .as_deref()
                .or(content_type)
                .filter(|text| !text.is_empty())
                .unwrap_or("application/octet-stream"),
            content,
            metadata: metadata.collect::<Result<_, Failure>>()?,
            overwrite: self.overwrite,
        })
    }
}

/// A key that senders influence must not leave the place that the operator chose.
fn check_key(key: &str) -> Result<(), Failure> {
    let has_dots = key.split('/').any(|part| matches!(part, "." | ".."));
    let is_bad = key.is_empty()
        || key.len() > KEY_BYTES_MAX
        || key.starts_with('/')
        || key.contains(char::is_control)
        || has_dots;
    match is_bad {
        true => Err(Failure::reject(format!(
            "the key {key:?} is not usable: it has 1 to {KEY_BYTES_MAX} bytes, no / at its start, no control characters, and no part . or .."
        ))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_sdk::{json, testing};

    pub(crate) const ID: &str = "019c1234-5678-7abc-8def-0123456789ab";

    #[test]
    fn keys_have_day_and_id() {
        let settings: Settings = landfall_sdk::serde_json::from_value(json!({})).unwrap();
        let event = testing::event(json!({}));
        let object = settings.object(&event).unwrap();
        assert_eq!(object.key, format!("test/2026/01/31/{ID}"));
        assert_eq!(object.content_type, "application/json");
    }

    #[test]
    fn senders_cannot_leave_the_prefix() {
        let _host = testing::host()
            .setting("url", "https://b.s3.eu-west-1.amazonaws.com")
            .setting("key", "in/{{ event.json.name }}");
        for name in ["../x", "a/./b", "x\n", &"x".repeat(1025)] {
            let outcome = archive(testing::event(json!({ "name": name })));
            assert!(matches!(outcome, Err(Failure::Reject { .. })), "{name}");
        }
    }

    #[test]
    fn one_place_is_named() {
        let _host = testing::host();
        let event = || testing::event(json!({}));
        assert!(matches!(archive(event()), Err(Failure::Retry { .. })));
        let _host = testing::host()
            .setting("url", "https://b.example")
            .setting("gcs_bucket", "b");
        assert!(matches!(archive(event()), Err(Failure::Retry { .. })));
    }
}
