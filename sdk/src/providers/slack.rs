//! Slack: slash commands, events and interactions. Sources:
//! docs.slack.dev/interactivity/implementing-slash-commands, docs.slack.dev/apis/events-api,
//! docs.slack.dev/interactivity/handling-user-interaction.

use super::typed_value;
use crate::{Failure, FromEvent};
use serde::Deserialize;
use serde_json::Value;

/// A slash command. It can be an argument of a handler.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Command {
    /// With its slash: `/deploy`.
    pub command: String,
    /// What was typed behind it.
    #[serde(default)]
    pub text: String,
    /// `U…`, who typed it.
    #[serde(default)]
    pub user_id: String,
    /// The name of the user, which may change.
    #[serde(default)]
    pub user_name: String,
    /// `C…`, where.
    #[serde(default)]
    pub channel_id: String,
    /// The name of the channel, which may change.
    #[serde(default)]
    pub channel_name: String,
    /// `T…`, the workspace.
    #[serde(default)]
    pub team_id: String,
    /// Where answers go within 30 minutes, at most five.
    #[serde(default)]
    pub response_url: String,
    /// Opens a dialogue within 3 seconds.
    #[serde(default)]
    pub trigger_id: String,
}

/// What the Events API sends. It can be an argument of a handler. The host answers
/// `url_verification` by itself. If the body is not a documented callback, `event` is the whole
/// body.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Callback {
    /// `event_callback`, `app_rate_limited`.
    pub r#type: String,
    /// `T…`, the workspace.
    pub team_id: String,
    /// `A…`, the app.
    pub api_app_id: String,
    /// `Ev…`, the same when it is sent again; `None` for `app_rate_limited`.
    pub event_id: Option<String>,
    /// Seconds since 1970; `None` for `app_rate_limited`.
    pub event_time: Option<i64>,
    /// What happened, with its `type`; null for `app_rate_limited`.
    pub event: Value,
}

/// What happened in a workspace, by the field `type` of a callback's event.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A message in a channel or to the app.
    Message(Box<Message>),
    /// A message that mentions the app.
    AppMention(Box<Message>),
    /// A reaction was added.
    ReactionAdded(Box<Reaction>),
    /// A reaction was taken back.
    ReactionRemoved(Box<Reaction>),
    /// A user joined a channel.
    MemberJoinedChannel(Box<Membership>),
    /// A user left a channel.
    MemberLeftChannel(Box<Membership>),
    /// A user opened the app's home.
    AppHomeOpened(Box<AppHome>),
    /// Any other kind, or one that does not fit its kind.
    Other(Value),
}

/// A message.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Message {
    /// `None` for a message that a person wrote; `bot_message`, `message_changed`, …
    pub subtype: Option<String>,
    /// `U…`, who wrote it.
    pub user: Option<String>,
    /// `B…`, if an app wrote it. Ignore your own to avoid loops.
    pub bot_id: Option<String>,
    /// The text, in the markup of Slack.
    pub text: String,
    /// `C…`, where.
    pub channel: String,
    /// `channel`, `group`, `im` or `mpim`.
    pub channel_type: Option<String>,
    /// Identifies the message in its channel.
    pub ts: String,
    /// The first message of the thread; `None` outside of threads.
    pub thread_ts: Option<String>,
}

/// A reaction to a message.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Reaction {
    /// `U…`, who reacted.
    pub user: String,
    /// The name of the emoji, without colons.
    pub reaction: String,
    /// `U…`, who wrote the message.
    pub item_user: Option<String>,
    /// The message.
    pub item: ReactionItem,
}

/// What a reaction is about.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ReactionItem {
    /// `message`.
    pub r#type: String,
    /// `C…`, where.
    pub channel: String,
    /// Identifies the message in its channel.
    pub ts: String,
}

/// A user and a channel.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Membership {
    /// `U…`, who.
    pub user: String,
    /// `C…`, where.
    pub channel: String,
    /// `U…`, who invited the user.
    pub inviter: Option<String>,
}

/// The home of the app.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct AppHome {
    /// `U…`, who opened it.
    pub user: String,
    /// `D…`, the conversation with the app.
    pub channel: String,
    /// `home` or `messages`.
    pub tab: String,
}

/// A click, a shortcut or a dialogue that was sent. It can be an argument of a handler.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Interaction {
    /// `block_actions`, `view_submission`, `shortcut`, `message_action`, …
    pub r#type: String,
    /// Who did it.
    pub user: User,
    /// Where; `None` outside of channels.
    pub channel: Option<Channel>,
    /// Of a shortcut.
    pub callback_id: Option<String>,
    /// Opens a dialogue within 3 seconds; `None` in a dialogue.
    pub trigger_id: Option<String>,
    /// Where answers go; `None` for dialogues.
    pub response_url: Option<String>,
    /// What was clicked.
    pub actions: Vec<Action>,
    /// The message with the button; null without one.
    pub message: Value,
    /// The dialogue, with what was typed; null without one.
    pub view: Value,
}

/// What was clicked.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Action {
    /// `button`, `static_select`, …
    pub r#type: String,
    /// Of the app.
    pub action_id: String,
    /// Of the app.
    pub block_id: String,
    /// Of a button.
    pub value: Option<String>,
    /// Of a menu.
    pub selected_option: Option<SelectedOption>,
}

/// An option of a menu.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SelectedOption {
    /// Of the app.
    pub value: String,
}

/// A user of the workspace.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct User {
    /// `U…`.
    pub id: String,
    /// May change.
    pub username: Option<String>,
}

/// A channel.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Channel {
    /// `C…`.
    pub id: String,
    /// May change.
    pub name: Option<String>,
}

impl Callback {
    /// What happened, as one of the types here.
    pub fn typed(&self) -> Event {
        let value = &self.event;
        match value["type"].as_str() {
            Some("message") => typed_value(
                value,
                "message",
                |one| Event::Message(Box::new(one)),
                Event::Other,
            ),
            Some("app_mention") => typed_value(
                value,
                "app_mention",
                |one| Event::AppMention(Box::new(one)),
                Event::Other,
            ),
            Some("reaction_added") => typed_value(
                value,
                "reaction_added",
                |one| Event::ReactionAdded(Box::new(one)),
                Event::Other,
            ),
            Some("reaction_removed") => typed_value(
                value,
                "reaction_removed",
                |one| Event::ReactionRemoved(Box::new(one)),
                Event::Other,
            ),
            Some("member_joined_channel") => typed_value(
                value,
                "member_joined_channel",
                |one| Event::MemberJoinedChannel(Box::new(one)),
                Event::Other,
            ),
            Some("member_left_channel") => typed_value(
                value,
                "member_left_channel",
                |one| Event::MemberLeftChannel(Box::new(one)),
                Event::Other,
            ),
            Some("app_home_opened") => typed_value(
                value,
                "app_home_opened",
                |one| Event::AppHomeOpened(Box::new(one)),
                Event::Other,
            ),
            _ => Event::Other(value.clone()),
        }
    }
}

/// Slack tries the address of a command with a form that has no command. That form is rejected; in
/// mode `async` its sender has received 2xx.
impl FromEvent for Command {
    fn from_event(event: crate::Event) -> Result<Self, Failure> {
        event.form()
    }
}

impl FromEvent for Callback {
    fn from_event(event: crate::Event) -> Result<Self, Failure> {
        Self::from_event_ref(&event)
    }

    fn from_event_ref(event: &crate::Event) -> Result<Self, Failure> {
        let body = event.json()?;
        Ok(typed_value(
            &body,
            "callback",
            |mut callback: Self| {
                callback.event = body["event"].clone();
                callback
            },
            |event| Self {
                event,
                ..Self::default()
            },
        ))
    }
}

/// JSON in the field `payload` of a form. An interaction of an undocumented shape has only its
/// type: the rest is in the form of the event.
impl FromEvent for Interaction {
    fn from_event(event: crate::Event) -> Result<Self, Failure> {
        Self::from_event_ref(&event)
    }

    fn from_event_ref(event: &crate::Event) -> Result<Self, Failure> {
        let payload = event.form_field("payload").or_else(|| {
            #[derive(Deserialize)]
            struct Form {
                payload: String,
            }
            event.form::<Form>().ok().map(|form| form.payload)
        });
        let payload = payload
            .ok_or_else(|| Failure::reject("the body is not a form with the field `payload`"))?;
        let payload: Value = serde_json::from_str(&payload).map_err(|error| {
            Failure::reject(format!("the form's `payload` is not JSON: {error}"))
        })?;
        let kind = payload["type"].as_str().unwrap_or_default().to_owned();
        Ok(typed_value(
            &payload,
            "interaction",
            |interaction| interaction,
            |_| Self {
                r#type: kind,
                ..Self::default()
            },
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use serde_json::json;

    #[test]
    fn a_command_is_a_form() {
        let form = "token=t&team_id=T1DC2JH3J&channel_id=G8PSS9T3V&user_id=U2CERLKJA&command=%2Fdeploy&text=site+now%21\
                    &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1&trigger_id=39.47&enterprise_id=";
        let command = Command::from_event(testing::post_raw(form).build()).unwrap();
        assert_eq!(
            (command.command.as_str(), command.text.as_str()),
            ("/deploy", "site now!")
        );
        assert!(matches!(
            Command::from_event(testing::post_raw("a=b").build()),
            Err(Failure::Reject { .. })
        ));
    }

    #[test]
    fn interactions_are_json_in_forms() {
        let callback = json!({ "token": "t", "team_id": "T1", "api_app_id": "A1", "type": "event_callback", "event_id": "Ev1",
            "event_time": 1_769_847_330, "event": { "type": "app_mention", "text": "hi" } });
        let callback = Callback::from_event(testing::event(callback)).unwrap();
        assert_eq!(callback.event["type"], "app_mention");
        let limited = json!({ "type": "app_rate_limited", "team_id": "T1", "api_app_id": "A1", "minute_rate_limited": 1 });
        assert_eq!(
            Callback::from_event(testing::event(limited)).unwrap().event,
            Value::Null
        );
        let form = "payload=%7B%22type%22%3A%22block_actions%22%2C%22user%22%3A%7B%22id%22%3A%22U1%22%7D%2C%22actions%22%3A%5B%7B%7D%5D%7D";
        let interaction = Interaction::from_event(testing::post_raw(form).build()).unwrap();
        assert_eq!(
            (interaction.user.id.as_str(), interaction.actions.len()),
            ("U1", 1)
        );
    }

    #[test]
    fn events_have_types() {
        let of = |event: Value| {
            let body = json!({ "type": "event_callback", "team_id": "T1", "event": event });
            Callback::from_event(testing::event(body)).unwrap().typed()
        };
        let message = json!({ "type": "app_mention", "user": "U1", "text": "hi", "channel": "C1", "ts": "1.2", "thread_ts": null });
        assert!(
            matches!(of(message), Event::AppMention(message) if message.text == "hi" && message.thread_ts.is_none())
        );
        let reaction = json!({ "type": "reaction_added", "reaction": "eyes", "item": { "type": "message", "ts": "1.2" } });
        assert!(
            matches!(of(reaction), Event::ReactionAdded(reaction) if reaction.item.ts == "1.2")
        );
        for kind in [
            "message",
            "reaction_removed",
            "member_joined_channel",
            "member_left_channel",
            "app_home_opened",
        ] {
            assert!(
                !matches!(of(json!({ "type": kind })), Event::Other(_)),
                "{kind}"
            );
        }
        let wrong = json!({ "type": "message", "text": ["hi"] });
        assert_eq!(of(wrong.clone()), Event::Other(wrong));
        assert!(matches!(
            of(json!({ "type": "team_join" })),
            Event::Other(_)
        ));
    }

    #[test]
    fn interactions_that_differ_are_kept() {
        let form = "payload=%7B%22type%22%3A%22block_actions%22%2C%22actions%22%3A1%7D";
        let interaction = Interaction::from_event(testing::post_raw(form).build()).unwrap();
        assert_eq!(
            (interaction.r#type.as_str(), interaction.actions.len()),
            ("block_actions", 0)
        );
        let no_form = Interaction::from_event(testing::post_raw("{}").build());
        assert!(matches!(no_form, Err(Failure::Reject { .. })));
    }
}
