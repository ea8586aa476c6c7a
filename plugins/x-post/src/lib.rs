//! Posts to X (once Twitter) by `POST /2/tweets`. Source: docs.x.com/x-api/posts/create-post.

use landfall_calls::{Condition, send, skipped};
use landfall_sdk::http::{Request, Response};
use landfall_sdk::serde_json::{Map, Value};
use landfall_sdk::{Event, Failure, Template, handler, json, log, settings};
use serde::Deserialize;

const URL: &str = "https://api.x.com/2/tweets";

#[settings]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// All must hold; none at all means every event.
    #[serde(default)]
    when: Vec<Condition>,
    /// A template.
    text: Template,
    /// A template: the id of the post that this one answers.
    reply_to: Option<Template>,
    #[schemars(extend("x-landfall" = "url", "x-landfall-method" = "POST"))]
    url: Option<String>,
}

/// The one function of this component.
#[handler(settings = Settings)]
pub fn x_post(event: Event) -> Result<(), Failure> {
    let settings: Settings = settings::all()?;
    if skipped(&settings.when, &event, "posted") {
        return Ok(());
    }
    let mut post = Map::from_iter([(
        "text".to_owned(),
        Value::from(settings.text.render(&event)?),
    )]);
    if let Some(template) = &settings.reply_to {
        post.insert(
            "reply".into(),
            json!({ "in_reply_to_tweet_id": template.render(&event)?.trim() }),
        );
    }
    let url = settings.url.as_deref().unwrap_or(URL);
    let id = posted(send(Request::post(url).json(&post))?)?;
    log::info(format!("posted: {id}"));
    Ok(())
}

/// The id of the post.
fn posted(answer: Response) -> Result<Value, Failure> {
    let body: Value = answer.json().unwrap_or_default();
    let detail = body["detail"]
        .as_str()
        .or(body["errors"][0]["message"].as_str())
        .unwrap_or_default()
        .to_owned();
    match answer.status {
        // The same text was posted before.
        403 if detail.to_ascii_lowercase().contains("duplicate content") => {
            Err(Failure::reject(detail))
        }
        // The account or the application may not post. The operator can correct it.
        401 | 403 => Err(Failure::retry(format!(
            "answered {}: {detail}",
            answer.status
        ))),
        400 => Err(Failure::reject(format!("answered 400: {detail}"))),
        _ => answer
            .error_for_status()
            .map(|_| body["data"]["id"].clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_sdk::testing;

    fn with(status: u16, body: Value) -> (Result<(), Failure>, testing::Host) {
        let host = testing::host().setting("text", "{{ event.json.title }} is out");
        let host = host.answer("https://api.x.com/2/tweets", status, body.to_string());
        (x_post(testing::event(json!({ "title": "1.0" }))), host)
    }

    #[test]
    fn a_post_is_made() {
        let (outcome, host) = with(201, json!({ "data": { "id": "12", "text": "1.0 is out" } }));
        outcome.unwrap();
        assert_eq!(host.logs(), ["info: posted: \"12\""]);
        assert_eq!(
            host.calls()[0].body,
            Some("{\"text\":\"1.0 is out\"}".into())
        );
    }

    #[test]
    fn repeated_posts_are_rejected() {
        let duplicate =
            json!({ "detail": "You are not allowed to create a Tweet with duplicate content." });
        assert!(matches!(
            with(403, duplicate).0,
            Err(Failure::Reject { .. })
        ));
        assert!(matches!(
            with(400, json!({ "errors": [{ "message": "too long" }] })).0,
            Err(Failure::Reject { .. })
        ));
        for status in [401, 403, 429, 503] {
            assert!(
                matches!(with(status, json!({})).0, Err(Failure::Retry { .. })),
                "{status}"
            );
        }
    }
}
