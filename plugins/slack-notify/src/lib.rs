//! Posts a message to Slack: by an incoming webhook, or by `chat.postMessage` where a channel is
//! named. Sources: docs.slack.dev/messaging/sending-messages-using-incoming-webhooks,
//! docs.slack.dev/reference/methods/chat.postMessage.

use landfall_calls::{Condition, mistake, send, skipped};
use landfall_sdk::http::{Request, Response};
use landfall_sdk::serde_json::{Map, Value};
use landfall_sdk::{Event, Failure, Template, handler, log, settings};
use serde::Deserialize;

const METHOD: &str = "https://slack.com/api/chat.postMessage";
/// Errors that say that this message can never be posted.
const REJECTS: [&str; 9] = [
    "no_text",
    "invalid_blocks",
    "invalid_blocks_format",
    "invalid_attachments",
    "msg_too_long",
    "msg_blocks_too_long",
    "invalid_payload",
    "too_many_attachments",
    "markdown_text_conflict",
];

#[settings]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// All must hold; none at all means every event.
    #[serde(default)]
    when: Vec<Condition>,
    /// Of the incoming webhook; default: `chat.postMessage`.
    #[schemars(extend("x-landfall" = "url", "x-landfall-method" = "POST"))]
    url: Option<String>,
    /// A template; needed without a webhook's `url`.
    channel: Option<Template>,
    /// A template.
    text: Template,
    /// A template that makes a list of Block Kit blocks.
    blocks: Option<Template>,
    /// A template: the `ts` of the message that this one answers.
    thread: Option<Template>,
}

/// The one function of this component.
#[handler(settings = Settings)]
pub fn slack_notify(event: Event) -> Result<(), Failure> {
    let settings: Settings = settings::all()?;
    if skipped(&settings.when, &event, "posted") {
        return Ok(());
    }
    let url = match (&settings.url, &settings.channel) {
        (Some(url), _) => url,
        (None, Some(_)) => METHOD,
        (None, None) => return Err(mistake("name a url or a channel")),
    };
    let answer = send(Request::post(url).json(&settings.message(&event)?))?;
    log::info(format!("posted: ts {}", posted(answer)?));
    Ok(())
}

impl Settings {
    fn message(&self, event: &Event) -> Result<Map<String, Value>, Failure> {
        let mut message = Map::new();
        let texts = [
            ("channel", &self.channel),
            ("text", &Some(self.text.clone())),
            ("thread_ts", &self.thread),
        ];
        for (name, template) in texts {
            if let Some(template) = template {
                message.insert(name.into(), template.render(event)?.into());
            }
        }
        if let Some(template) = &self.blocks {
            message.insert("blocks".into(), template.render_json(event)?);
        }
        Ok(message)
    }
}

/// The `ts` of the message. A method always answers 200, also on failure; a webhook answers with a
/// status and a word.
fn posted(answer: Response) -> Result<Value, Failure> {
    let body: Value = answer.json().unwrap_or_default();
    let word = match body["error"].as_str() {
        Some(error) => error.to_owned(),
        None => answer.text().unwrap_or_default().trim().to_owned(),
    };
    if REJECTS.contains(&word.as_str()) {
        return Err(Failure::reject(word));
    }
    if body["ok"] == false {
        // A channel, a token or a permission is missing. The operator can correct it.
        return Err(Failure::retry(word));
    }
    match answer.status {
        // A webhook that was revoked, or a channel that was archived, may come back.
        403 | 404 | 410 => Err(Failure::retry(word)),
        _ => Ok(answer.error_for_status().map(|_| body["ts"].clone())?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_calls::testing::sent;
    use landfall_sdk::{json, testing};

    fn with(status: u16, body: &str) -> (Result<(), Failure>, testing::Host) {
        let host = testing::host()
            .setting("channel", "C1")
            .setting("text", "{{ event.json.who }} pushed");
        let host = host.setting("blocks", "[{\"type\": \"divider\"}]").answer(
            "https://slack.com/api/",
            status,
            body,
        );
        (slack_notify(testing::event(json!({ "who": "Mona" }))), host)
    }

    #[test]
    fn a_message_is_posted() {
        let (outcome, host) = with(200, "{\"ok\": true, \"ts\": \"1.2\"}");
        outcome.unwrap();
        assert_eq!(host.logs(), ["info: posted: ts \"1.2\""]);
        assert_eq!(
            sent(&host),
            json!({ "channel": "C1", "text": "Mona pushed", "blocks": [{ "type": "divider" }] })
        );
    }

    #[test]
    fn what_slack_says_decides() {
        assert_eq!(
            with(200, "{\"ok\": false, \"error\": \"invalid_blocks\"}").0,
            Err(Failure::reject("invalid_blocks"))
        );
        assert_eq!(
            with(200, "{\"ok\": false, \"error\": \"not_in_channel\"}").0,
            Err(Failure::retry("not_in_channel"))
        );
        assert!(matches!(with(429, "").0, Err(Failure::Retry { .. })));
        assert!(matches!(
            with(400, "invalid_payload").0,
            Err(Failure::Reject { .. })
        ));
    }

    #[test]
    fn webhooks_need_no_channel() {
        let host = testing::host()
            .setting("text", "hi")
            .setting("url", "https://hooks.slack.com/services/T/B/x");
        let _host = host.answer("https://hooks.slack.com/", 200, "ok");
        assert!(slack_notify(testing::event(json!({}))).is_ok());
        let _host = testing::host().setting("text", "hi");
        assert!(matches!(
            slack_notify(testing::event(json!({}))),
            Err(Failure::Retry { .. })
        ));
    }
}
