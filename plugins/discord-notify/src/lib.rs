//! Posts a message to Discord, by a webhook or, with the token of a bot, to a channel.
//!
//! Sources: <https://docs.discord.com/developers/resources/webhook#execute-webhook>,
//! <https://docs.discord.com/developers/resources/message#create-message>,
//! <https://docs.discord.com/developers/topics/rate-limits>.

use landfall_calls::answer::Errors;
use landfall_calls::{Condition, cut, mistake, percent_encoded, send, skipped};
use landfall_sdk::http::Request;
use landfall_sdk::serde_json::{Map, Value};
use landfall_sdk::{Event, Failure, Template, handler, json, log, settings};
use serde::Deserialize;

const API: &str = "https://discord.com/api/v10";
/// Discord's limits: characters of a message and of a user name, and the number of embeds.
const CONTENT_MAX: usize = 2000;
const USERNAME_MAX: usize = 80;
const EMBEDS_MAX: usize = 10;
/// Characters of a nonce.
const NONCE_MAX: usize = 25;

const ERRORS: Errors = Errors {
    codes: &["/code"],
    messages: &["/message"],
    retries: &[],
    rejects: &[],
};

#[settings]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// All must hold; none at all means every event.
    #[serde(default)]
    when: Vec<Condition>,
    /// Of the webhook.
    #[schemars(extend("x-landfall" = "url", "x-landfall-method" = "POST"))]
    url: Option<String>,
    /// A template: the id of the channel, instead of a webhook's `url`. It needs the token of a bot.
    channel: Option<Template>,
    /// A template: the message.
    text: Option<Template>,
    /// A template that makes a list of embeds.
    embeds: Option<Template>,
    /// A template: the name that is shown, only with a webhook's `url`.
    username: Option<Template>,
    /// A template: the id of the thread, only with a webhook's `url`.
    thread: Option<Template>,
    /// Whom the message can notify. Without it, it notifies no one.
    #[serde(default)]
    mentions: Vec<Mention>,
    #[schemars(extend("x-landfall" = "base-url"))]
    endpoint: Option<String>,
}

/// A kind of mention that notifies.
#[settings]
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mention {
    Users,
    Roles,
    Everyone,
}

/// The one function of this component.
#[handler(settings = Settings)]
pub fn discord_notify(event: Event) -> Result<(), Failure> {
    let settings: Settings = settings::all()?;
    if skipped(&settings.when, &event, "posted") {
        return Ok(());
    }
    let request = Request::post(settings.address(&event)?).json(&settings.message(&event)?);
    let response = ERRORS.checked(send(request)?)?;
    let message: Value = response.json().unwrap_or_default();
    log::info(format!("posted: message {}", message["id"]));
    Ok(())
}

impl Settings {
    /// With `wait`, the webhook answers after it has stored the message, and says so if it cannot.
    fn address(&self, event: &Event) -> Result<String, Failure> {
        match (&self.url, &self.channel) {
            (Some(url), None) => {
                let separator = if url.contains('?') { '&' } else { '?' };
                let mut url = format!("{url}{separator}wait=true");
                if let Some(thread) = &self.thread {
                    let thread = thread.render(event)?;
                    url.push_str(&format!(
                        "&thread_id={}",
                        percent_encoded(thread.trim(), "")
                    ));
                }
                Ok(url)
            }
            (None, Some(channel)) => {
                let channel = channel.render(event)?;
                let endpoint = self.endpoint.as_deref().unwrap_or(API);
                Ok(format!(
                    "{}/channels/{}/messages",
                    endpoint.trim_end_matches('/'),
                    percent_encoded(channel.trim(), "")
                ))
            }
            _ => Err(mistake("name either a url or a channel")),
        }
    }

    fn message(&self, event: &Event) -> Result<Map<String, Value>, Failure> {
        let mentions: Vec<&str> = self.mentions.iter().copied().map(Mention::word).collect();
        let mut message =
            Map::from_iter([("allowed_mentions".to_owned(), json!({ "parse": mentions }))]);
        if let Some(text) = &self.text {
            let text = text.render(event)?;
            message.insert("content".into(), shortened(&text, CONTENT_MAX).into());
        }
        if let Some(embeds) = &self.embeds {
            message.insert("embeds".into(), checked_embeds(embeds.render_json(event)?)?);
        }
        if message.len() == 1 {
            return Err(mistake("name a text or embeds"));
        }
        if self.channel.is_some() {
            // The same message within a few minutes is one.
            message.insert("nonce".into(), nonce(&event.id).into());
            message.insert("enforce_nonce".into(), true.into());
        } else if let Some(username) = &self.username {
            let username = username.render(event)?;
            message.insert("username".into(), shortened(&username, USERNAME_MAX).into());
        }
        Ok(message)
    }
}

impl Mention {
    fn word(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Roles => "roles",
            Self::Everyone => "everyone",
        }
    }
}

fn checked_embeds(embeds: Value) -> Result<Value, Failure> {
    match embeds.as_array() {
        Some(list) if list.len() <= EMBEDS_MAX => Ok(embeds),
        _ => Err(Failure::reject(format!(
            "`embeds` has to be a list of at most {EMBEDS_MAX} embeds"
        ))),
    }
}

/// The text with at most `max` UTF-16 units. A character of Discord is never shorter than a unit.
fn shortened(text: &str, max: usize) -> String {
    cut(text, max, char::len_utf16)
}

/// The last digits of the event's id, which are random.
fn nonce(id: &str) -> String {
    let digits: Vec<char> = id.chars().filter(|c| *c != '-').collect();
    let start = digits.len().saturating_sub(NONCE_MAX);
    digits[start..].iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_calls::testing::sent;
    use landfall_sdk::http::Response;
    use landfall_sdk::testing::{self, Host};
    use std::time::Duration;

    const WEBHOOK: &str = "https://discord.com/api/webhooks/1/token";

    fn host() -> Host {
        testing::host()
            .setting("url", WEBHOOK)
            .setting("text", "{{ event.json.who }} pushed")
            .answer("https://discord.com/", 200, "{\"id\": \"99\"}")
    }

    fn event() -> Event {
        testing::event(json!({ "who": "Mona", "thread": "7" }))
    }

    #[test]
    fn webhooks_post_and_wait() {
        let host = host()
            .setting("username", "bot {{ event.json.who }}")
            .setting("thread", "{{ event.json.thread }}")
            .setting("embeds", "[{\"title\": {{ event.json.who }}}]");
        discord_notify(event()).unwrap();
        assert_eq!(
            host.calls()[0].url,
            format!("{WEBHOOK}?wait=true&thread_id=7")
        );
        assert_eq!(
            sent(&host),
            json!({ "content": "Mona pushed", "username": "bot Mona",
                "embeds": [{ "title": "Mona" }], "allowed_mentions": { "parse": [] } })
        );
        assert_eq!(host.logs(), ["info: posted: message \"99\""]);
    }

    #[test]
    fn channels_have_a_nonce() {
        let host = testing::host()
            .setting("channel", " 123 ")
            .setting("text", "hi")
            .setting("mentions", ["users"])
            .answer("https://discord.com/", 200, "{}");
        discord_notify(event()).unwrap();
        assert_eq!(
            host.calls()[0].url,
            "https://discord.com/api/v10/channels/123/messages"
        );
        assert_eq!(
            sent(&host),
            json!({ "content": "hi", "nonce": "456787abc8def0123456789ab",
                "enforce_nonce": true, "allowed_mentions": { "parse": ["users"] } })
        );
    }

    #[test]
    fn long_messages_are_cut() {
        for (text, kept) in [
            ("x".repeat(2000), "x".repeat(2000)),
            ("x".repeat(2001), "x".repeat(1999) + "…"),
            ("😀".repeat(1001), "😀".repeat(999) + "…"),
        ] {
            let host = host().setting("text", &text);
            discord_notify(event()).unwrap();
            assert_eq!(sent(&host)["content"], kept);
        }
    }

    #[test]
    fn answers_decide_about_retries() {
        let limited = Response {
            status: 429,
            headers: vec![("retry-after".into(), "0.75".into())],
            body: "{\"message\": \"You are being rate limited.\", \"retry_after\": 0.75}".into(),
        };
        let _host = host().answer_with(WEBHOOK, limited);
        let expected = Failure::retry_after(
            "answered 429: You are being rate limited.",
            Duration::from_secs(1),
        );
        assert_eq!(discord_notify(event()), Err(expected));
        let invalid = "{\"code\": 50006, \"message\": \"Cannot send an empty message\"}";
        let _host = host().answer(WEBHOOK, 400, invalid);
        assert_eq!(
            discord_notify(event()),
            Err(Failure::reject(
                "answered 400 50006: Cannot send an empty message"
            ))
        );
        for status in [401, 403, 404, 500] {
            let _host = host().answer(WEBHOOK, status, "");
            let failure = discord_notify(event()).unwrap_err();
            assert!(matches!(failure, Failure::Retry { .. }), "{status}");
        }
    }

    #[test]
    fn embeds_are_a_short_list() {
        for embeds in ["{}".to_owned(), format!("[{}{{}}]", "{},".repeat(10))] {
            let _host = host().setting("embeds", embeds);
            assert!(matches!(
                discord_notify(event()),
                Err(Failure::Reject { .. })
            ));
        }
    }

    #[test]
    fn one_address_and_a_text() {
        let _host = testing::host().setting("text", "hi");
        assert!(matches!(
            discord_notify(event()),
            Err(Failure::Retry { .. })
        ));
        let _host = host().setting("channel", "1");
        assert!(matches!(
            discord_notify(event()),
            Err(Failure::Retry { .. })
        ));
        let _host = testing::host().setting("url", WEBHOOK);
        assert!(matches!(
            discord_notify(event()),
            Err(Failure::Retry { .. })
        ));
    }
}
