//! Events for other hooks that are made of the event at hand.

use landfall_sdk::emit::Emission;
use landfall_sdk::{CapabilityError, Event, Failure, emit};

/// The longest `event-type` of an emission.
const EVENT_TYPE_BYTES_MAX: usize = 256;

/// The same body and kind of event for a hook. A kind that is too long for an emission is left out.
pub fn copy(hook: &str, event: &Event) -> Emission {
    let event_type = event.event_type.clone();
    Emission {
        event_type: event_type.filter(|text| text.len() <= EVENT_TYPE_BYTES_MAX),
        ..emit::to(hook).body(event.body.clone())
    }
}

/// A copy with the content type and the headers of these names.
pub fn copy_with_headers(hook: &str, event: &Event, names: &[String]) -> Emission {
    let names = names.iter().map(String::as_str).chain(["content-type"]);
    let found = names.filter_map(|name| Some((name, event.header(name)?)));
    found.fold(copy(hook, event), |emission, (name, value)| {
        emission.header(name, value)
    })
}

/// Stages the event and returns its id. An event above a limit is rejected, because it would be
/// above it again.
pub fn send(emission: Emission) -> Result<String, Failure> {
    match emission.send() {
        Ok(event) => Ok(event),
        Err(error @ (CapabilityError::Invalid(_) | CapabilityError::Limit(_))) => {
            Err(Failure::reject(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_sdk::{json, testing};

    #[test]
    fn copies_keep_kind_body_and_headers() {
        let host = testing::host();
        let event = testing::post(json!({ "n": 1 }))
            .header("X-Kind", "k")
            .header("X-Other", "o")
            .event_type("push")
            .build();
        send(copy_with_headers("next", &event, &["x-kind".to_owned()])).unwrap();
        let emission = host.emissions().remove(0);
        assert_eq!(
            (emission.hook.as_str(), &emission.body),
            ("next", &event.body)
        );
        assert_eq!(emission.event_type.as_deref(), Some("push"));
        let names: Vec<&str> = emission
            .headers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["x-kind", "content-type"]);
    }

    #[test]
    fn long_kinds_are_left_out() {
        let event = testing::post(json!({}))
            .event_type(&"x".repeat(257))
            .build();
        assert_eq!(copy("next", &event).event_type, None);
    }
}
