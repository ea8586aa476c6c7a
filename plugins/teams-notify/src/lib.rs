//! Posts an Adaptive Card to Microsoft Teams, by a workflow that starts with "When a Teams webhook
//! request is received".
//!
//! Sources:
//! <https://learn.microsoft.com/connectors/teams/#when-a-teams-webhook-request-is-received> (the
//! request),
//! <https://learn.microsoft.com/connectors/teams/#known-issues-and-limitations-with-actions> (28
//! KB),
//! <https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using>
//! (the message), <https://learn.microsoft.com/microsoft-copilot-studio/adaptive-cards-overview>
//! (Teams renders version 1.5 at most).

use landfall_calls::answer::Errors;
use landfall_calls::{Condition, cut, json_bytes, mistake, send, skipped};
use landfall_sdk::http::Request;
use landfall_sdk::serde_json::Value;
use landfall_sdk::{Event, Failure, Template, handler, json, log, settings};
use serde::Deserialize;

/// The largest message, in bytes of its JSON.
const MESSAGE_BYTES_MAX: usize = 28_000;
/// The version of the schema. Teams renders 1.5 and earlier ones.
const CARD_VERSION: &str = "1.4";

const ERRORS: Errors = Errors {
    codes: &["/error/code"],
    messages: &["/error/message"],
    // The operator can turn the workflow on again.
    retries: &["WorkflowTriggerIsNotEnabled"],
    rejects: &[],
};

#[settings]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// All must hold; none at all means every event.
    #[serde(default)]
    when: Vec<Condition>,
    /// Of the workflow, without `sig`.
    #[schemars(extend("x-landfall" = "url", "x-landfall-method" = "POST"))]
    url: String,
    /// A template.
    title: Option<Template>,
    /// A template: the message.
    text: Option<Template>,
    /// A template that makes a whole Adaptive Card, instead of `title` and `text`.
    card: Option<Template>,
}

/// The one function of this component.
#[handler(settings = Settings)]
pub fn teams_notify(event: Event) -> Result<(), Failure> {
    let settings: Settings = settings::all()?;
    if skipped(&settings.when, &event, "posted") {
        return Ok(());
    }
    let message = settings.message(&event)?;
    ERRORS.checked(send(Request::post(&settings.url).json(&message))?)?;
    log::info("posted");
    Ok(())
}

impl Settings {
    fn message(&self, event: &Event) -> Result<Value, Failure> {
        if let Some(template) = &self.card {
            return fitting(message_of(template.render_json(event)?));
        }
        let Some(text) = &self.text else {
            return Err(mistake("name a text or a card"));
        };
        let text = text.render(event)?;
        let title = self.title.as_ref().map(|title| title.render(event));
        let title = title.transpose()?;

        let frame = message_of(card(title.as_deref(), "")).to_string().len();
        let text = cut(&text, MESSAGE_BYTES_MAX.saturating_sub(frame), json_bytes);
        fitting(message_of(card(title.as_deref(), &text)))
    }
}

fn card(title: Option<&str>, text: &str) -> Value {
    let title = title.map(|title| json!({ "type": "TextBlock", "text": title, "weight": "bolder", "size": "medium", "wrap": true }));
    let text = json!({ "type": "TextBlock", "text": text, "wrap": true });
    json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": CARD_VERSION,
        "body": title.into_iter().chain([text]).collect::<Vec<_>>(),
    })
}

fn message_of(card: Value) -> Value {
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}

fn fitting(message: Value) -> Result<Value, Failure> {
    let bytes = message.to_string().len();
    if bytes <= MESSAGE_BYTES_MAX {
        return Ok(message);
    }
    Err(Failure::reject(format!(
        "the message has {bytes} bytes, and Teams takes at most {MESSAGE_BYTES_MAX}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_calls::testing::sent;
    use landfall_sdk::http::Response;
    use landfall_sdk::testing::{self, Host};
    use std::time::Duration;

    const URL: &str = "https://x.environment.api.powerplatform.com/powerautomate/automations/direct/workflows/1/triggers/manual/paths/invoke?api-version=1";

    fn host() -> Host {
        testing::host()
            .setting("url", URL)
            .setting("text", "{{ event.json.text }}")
            .answer(URL, 202, "")
    }

    fn event(text: &str) -> Event {
        testing::event(json!({ "text": text }))
    }

    #[test]
    fn a_card_is_posted() {
        let host = host().setting("title", "News");
        teams_notify(event("say \"hi\"")).unwrap();
        let sent = sent(&host);
        assert_eq!(sent["type"], "message");
        let attachment = &sent["attachments"][0];
        assert_eq!(
            attachment["contentType"],
            "application/vnd.microsoft.card.adaptive"
        );
        let texts = ["/body/0/text", "/body/1/text"].map(|at| attachment["content"].pointer(at));
        assert_eq!(texts, [Some(&json!("News")), Some(&json!("say \"hi\""))]);
        assert_eq!(host.logs(), ["info: posted"]);
    }

    #[test]
    fn cards_of_your_own_are_sent() {
        let host = host().setting(
            "card",
            "{\"type\": \"AdaptiveCard\", \"body\": [{{ event.json.text }}]}",
        );
        teams_notify(event("x")).unwrap();
        let expected = json!({ "type": "AdaptiveCard", "body": ["x"] });
        assert_eq!(sent(&host)["attachments"][0]["content"], expected);
        assert!(matches!(
            teams_notify(event(&"x".repeat(28_000))),
            Err(Failure::Reject { .. })
        ));
    }

    #[test]
    fn long_texts_are_cut() {
        for text in ["x".repeat(40_000), "\"ä\n\u{1}".repeat(20_000)] {
            let host = host();
            teams_notify(event(&text)).unwrap();
            let body = host.calls().remove(0).body.unwrap();
            let bytes = body.as_bytes().len();
            assert!(
                (MESSAGE_BYTES_MAX - 8..=MESSAGE_BYTES_MAX).contains(&bytes),
                "{bytes}"
            );
            let sent = sent(&host);
            let kept = sent["attachments"][0]["content"]["body"][0]["text"].as_str();
            assert!(kept.unwrap().ends_with('…'));
        }
    }

    #[test]
    fn answers_decide_about_retries() {
        let limited = Response {
            status: 429,
            headers: vec![("retry-after".into(), "12".into())],
            body: "".into(),
        };
        let _host = host().answer_with(URL, limited);
        assert_eq!(
            teams_notify(event("x")),
            Err(Failure::retry_after(
                "answered 429",
                Duration::from_secs(12)
            ))
        );
        let off = "{\"error\": {\"code\": \"WorkflowTriggerIsNotEnabled\", \"message\": \"off\"}}";
        for (status, body) in [(400, off), (401, ""), (404, ""), (502, "")] {
            let _host = host().answer(URL, status, body);
            let failure = teams_notify(event("x")).unwrap_err();
            assert!(matches!(failure, Failure::Retry { .. }), "{status}");
        }
        let _host = host().answer(URL, 400, "");
        assert!(matches!(
            teams_notify(event("x")),
            Err(Failure::Reject { .. })
        ));
        let _host = testing::host().setting("url", URL);
        assert!(matches!(
            teams_notify(event("x")),
            Err(Failure::Retry { .. })
        ));
    }
}
