//! Sends an email for each event, through the HTTP API of a service.

mod message;
mod services;

use landfall_calls::{Condition, send, skipped};
use landfall_sdk::{Event, Failure, Template, handler, log, settings};
use message::{Message, Recipients};
use serde::Deserialize;
use services::Service;

#[settings]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// All must hold; none at all means every event.
    #[serde(default)]
    when: Vec<Condition>,
    service: Service,
    /// The sender: `mail@example.com`, or `Example <mail@example.com>`.
    from: String,
    /// Templates: one address each.
    to: Recipients,
    cc: Option<Recipients>,
    bcc: Option<Recipients>,
    /// A template: one address.
    reply_to: Option<Template>,
    /// A template.
    subject: Template,
    /// A template: the message as text.
    text: Option<Template>,
    /// A template: the message as HTML. Values are escaped.
    html: Option<Template>,
    /// With Mailgun: the domain of the sender.
    domain: Option<String>,
    /// With Postmark: the message stream.
    stream: Option<String>,
    #[schemars(extend("x-landfall" = "base-url"))]
    endpoint: Option<String>,
}

/// The one function of this component.
#[handler(settings = Settings)]
pub fn email(event: Event) -> Result<(), Failure> {
    let settings: Settings = settings::all()?;
    if skipped(&settings.when, &event, "sent") {
        return Ok(());
    }
    let message = Message::of(&settings, &event)?;
    let request = settings.service.request(&settings, &message)?;
    let response = settings.service.checked(send(request)?)?;
    log::info(format!("sent: {}", settings.service.id(&response)));
    Ok(())
}
