//! Dialogflow both ways: answers fulfillment requests of ES and CX agents, and asks an agent what an event means.
//! Sources: cloud.google.com/dialogflow/es/docs/fulfillment-webhook, cloud.google.com/dialogflow/cx/docs/concept/webhook, and
//! `sessions.detectIntent` of v2 and v3.

mod detect;
mod fulfill;

use detect::Detect;
use landfall_sdk::serde_json::Value;
use landfall_sdk::{Event, Failure, Reply, handler, settings};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Templates by the intent's name (ES) or the webhook's tag (CX).
    #[serde(default)]
    answers: BTreeMap<String, String>,
    /// A template for every other intent or tag.
    otherwise: Option<String>,
    /// CX: session parameters to set, each a template that makes JSON.
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    /// Whom to ask about events that are no fulfillment requests.
    detect: Option<Detect>,
}

/// The one function of this component.
#[handler]
pub fn dialogflow(event: Event) -> Result<Reply, Failure> {
    let settings: Settings = settings::all()?;
    let body: Value = event.json()?;
    let answer = match (fulfill::kind(&body), &settings.detect) {
        (Some(kind), _) => fulfill::answer(&settings, &kind, &event)?,
        (None, Some(detect)) => detect.ask(&event)?,
        (None, None) => {
            return Err(Failure::reject(
                "this is no fulfillment request of Dialogflow, and [settings.detect] is not set",
            ));
        }
    };
    Ok(Reply::json(200, &answer))
}
