//! Dialogflow both ways: answers fulfillment requests of ES and CX agents, and asks an agent what
//! an event means. Sources: cloud.google.com/dialogflow/es/docs/fulfillment-webhook,
//! cloud.google.com/dialogflow/cx/docs/concept/webhook, and `sessions.detectIntent` of v2 and v3.

mod detect;
mod fulfill;

use detect::Detect;
use landfall_sdk::providers::dialogflow::Request;
use landfall_sdk::{Event, Failure, Reply, Template, handler, settings};
use serde::Deserialize;
use std::collections::BTreeMap;

#[settings]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Templates by the intent's name (ES) or the webhook's tag (CX).
    #[serde(default)]
    answers: BTreeMap<String, Template>,
    /// A template for every other intent or tag.
    otherwise: Option<Template>,
    /// CX: session parameters to set, each a template that makes JSON.
    #[serde(default)]
    parameters: BTreeMap<String, Template>,
    /// Whom to ask about events that are no fulfillment requests.
    detect: Option<Detect>,
}

/// The one function of this component.
#[handler(settings = Settings)]
pub fn dialogflow(event: Event) -> Result<Option<Reply>, Failure> {
    let settings: Settings = settings::all()?;
    match (event.json::<Request>(), &settings.detect) {
        (Ok(request), _) => fulfill::answer(&settings, &request, &event),
        (Err(_), Some(detect)) => Ok(Some(Reply::json(200, &detect.ask(&event)?))),
        (Err(failure), None) => Err(Failure::reject(format!(
            "{}, and [settings.detect] is not set",
            failure.reason()
        ))),
    }
}
