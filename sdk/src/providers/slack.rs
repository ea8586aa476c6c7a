//! Slack: slash commands, events and interactions. Sources: docs.slack.dev/interactivity/implementing-slash-commands,
//! docs.slack.dev/apis/events-api, docs.slack.dev/interactivity/handling-user-interaction.

use crate::{Failure, FromEvent};
use serde::Deserialize;
use serde_json::Value;

/// A slash command; it may be the argument of a handler.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Command {
    /// With its slash: `/deploy`.
    pub command: String,
    /// What was typed behind it.
    #[serde(default)]
    pub text: String,
    /// `U…`, who typed it.
    pub user_id: String,
    /// `C…`, where.
    pub channel_id: String,
    /// `T…`, the workspace.
    pub team_id: String,
    /// Where answers go within 30 minutes, at most five.
    pub response_url: String,
    /// Opens a dialogue within 3 seconds.
    pub trigger_id: String,
}

/// What the Events API sends; it may be the argument of a handler. The host answers `url_verification` by itself.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Callback {
    /// `event_callback`, `app_rate_limited`.
    pub r#type: String,
    /// `T…`, the workspace.
    pub team_id: String,
    /// `A…`, the app.
    pub api_app_id: String,
    /// `Ev…`, the same when it is sent again; none for `app_rate_limited`.
    pub event_id: Option<String>,
    /// Seconds since 1970; none for `app_rate_limited`.
    pub event_time: Option<i64>,
    /// What happened: a table with `type` and more; null for `app_rate_limited`.
    #[serde(default)]
    pub event: Value,
}

/// A click, a shortcut or a dialogue that was sent; it may be the argument of a handler.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Interaction {
    /// `block_actions`, `view_submission`, `shortcut`, …
    pub r#type: String,
    /// Who did it.
    pub user: User,
    /// Opens a dialogue within 3 seconds; none where there was one.
    pub trigger_id: Option<String>,
    /// Where answers go; none for dialogues.
    pub response_url: Option<String>,
    /// What was clicked.
    #[serde(default)]
    pub actions: Vec<Value>,
    /// The dialogue, with what was typed; null where there was none.
    #[serde(default)]
    pub view: Value,
}

/// A user of the workspace.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct User {
    /// `U…`.
    pub id: String,
}

/// Slack tries a command's address with a form that has no command: that is rejected in words, and the try has had its 2xx in
/// mode `async`.
impl FromEvent for Command {
    fn from_event(event: crate::Event) -> Result<Self, Failure> {
        event.form()
    }
}

impl FromEvent for Callback {
    fn from_event(event: crate::Event) -> Result<Self, Failure> {
        event.json()
    }
}

/// JSON in the field `payload` of a form.
impl FromEvent for Interaction {
    fn from_event(event: crate::Event) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        struct Form {
            payload: String,
        }
        let Form { payload } = event.form()?;
        serde_json::from_str(&payload).map_err(|error| {
            Failure::reject(format!("the form's `payload` is no interaction: {error}"))
        })
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
}
