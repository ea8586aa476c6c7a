//! Twilio: messages that come in, and what became of those that went out. Sources:
//! twilio.com/docs/messaging/guides/webhook-request,
//! twilio.com/docs/messaging/guides/track-outbound-message-status.

use crate::{Failure, FromEvent};
use serde::Deserialize;

/// A message (SMS, MMS, WhatsApp); it may be the argument of a handler.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Message {
    /// `SM…` or `MM…`.
    pub message_sid: String,
    /// `AC…`.
    pub account_sid: String,
    /// E.164, or `whatsapp:` and E.164.
    pub from: String,
    /// As `from`.
    pub to: String,
    /// The text; none in a status.
    pub body: Option<String>,
    /// How many pictures and the like came along; none in a status.
    pub num_media: Option<String>,
    /// `sent`, `delivered`, `failed`, …; none, or `received`, in a message that came in.
    pub message_status: Option<String>,
}

impl FromEvent for Message {
    fn from_event(event: crate::Event) -> Result<Self, Failure> {
        event.form()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_message_is_a_form() {
        let form = "MessageSid=SM1&SmsSid=SM1&AccountSid=AC1&From=%2B14158675309&To=%2B18005551212&Body=Ahoy+%E2%9C%93&NumMedia=0";
        let message = Message::from_event(testing::post_raw(form).build()).unwrap();
        assert_eq!(
            (message.from.as_str(), message.body.as_deref()),
            ("+14158675309", Some("Ahoy ✓"))
        );
        assert_eq!(message.message_status, None);
    }
}
