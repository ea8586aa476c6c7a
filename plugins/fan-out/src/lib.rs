//! Hands each event to several hooks or targets. Each of them has its own retries, so that only the
//! one that failed is called again.
//!
//! For each target this hook emits an event to itself. That second event makes the call.

use landfall_calls::emission::{copy, copy_with_headers, send};
use landfall_calls::{Condition, Target, mistake, skipped};
use landfall_sdk::emit::Emission;
use landfall_sdk::{Event, Failure, handler, log, settings};
use serde::Deserialize;

#[settings]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// All must hold; none at all means every event.
    #[serde(default)]
    when: Vec<Condition>,
    #[serde(default)]
    #[schemars(extend("items" = { "type": "string", "x-landfall": "hook" }))]
    hooks: Vec<String>,
    /// Called by this hook itself; it must be allowed to emit to itself.
    #[serde(default)]
    targets: Vec<Target>,
    /// Names of headers that go along to `hooks`, beside `content-type`.
    #[serde(default)]
    headers: Vec<String>,
}

/// Which target an event of this hook to itself is for.
const TARGET: &str = "landfall-target";

/// The one function of this component.
#[handler(settings = Settings)]
pub fn fan_out(event: Event) -> Result<(), Failure> {
    let settings: Settings = settings::all()?;
    settings.check()?;
    // The host writes this attribute. No sender can.
    if event.attribute("emitted-by") == Some(event.hook.as_str()) {
        return settings.deliver(event);
    }
    if skipped(&settings.when, &event, "forwarded") {
        return Ok(());
    }
    let to_hooks = settings
        .hooks
        .iter()
        .map(|hook| copy_with_headers(hook, &event, &settings.headers));
    let wanting = settings
        .targets
        .iter()
        .filter(|target| target.wants(&event));
    let to_targets = wanting.map(|target| for_target(target, &event));
    let events: Vec<String> = to_hooks
        .chain(to_targets)
        .map(send)
        .collect::<Result<_, _>>()?;
    log::info(format!("emitted {}", events.join(" ")));
    Ok(())
}

impl Settings {
    /// Targets are known by their URL.
    fn check(&self) -> Result<(), Failure> {
        if self.hooks.is_empty() && self.targets.is_empty() {
            return Err(mistake("there are no hooks and no targets"));
        }
        let urls = || self.targets.iter().map(|target| &target.url);
        match urls()
            .enumerate()
            .find(|(at, url)| urls().take(*at).any(|before| before == *url))
        {
            Some((_, url)) => Err(mistake(format_args!("two targets have the url {url}"))),
            None => Ok(()),
        }
    }

    /// The call that this event of ours is for.
    fn deliver(&self, mut event: Event) -> Result<(), Failure> {
        let url = event.header(TARGET).unwrap_or_default().to_owned();
        event.headers.retain(|(name, _)| name != TARGET);
        let target = self.targets.iter().find(|target| target.url == url);
        let target = target
            .ok_or_else(|| Failure::reject(format!("{url} is no target of this hook any more")))?;
        target.call(&event).map(drop)
    }
}

/// With all headers, because the template of the target may read them.
fn for_target(target: &Target, event: &Event) -> Emission {
    let emission = copy(&event.hook, event).header(TARGET, &target.url);
    let came = event.headers.iter().filter(|(name, _)| name != TARGET);
    came.fold(emission, |one, (name, value)| one.header(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_sdk::{json, testing};

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn every_hook_gets_one_event() {
        let host = testing::host()
            .setting("hooks", ["a", "b"])
            .setting("headers", ["x-kind", "x-none"]);
        let event = testing::post(json!({ "n": 1 }))
            .header("X-Kind", "k")
            .header("X-Other", "o")
            .event_type("push")
            .build();
        assert_eq!(fan_out(event.clone()), Ok(()));
        let emissions = host.emissions();
        assert_eq!(
            emissions
                .iter()
                .map(|one| one.hook.as_str())
                .collect::<Vec<_>>(),
            ["a", "b"]
        );
        let headers = [
            pair("x-kind", "k"),
            pair("content-type", "application/json"),
        ];
        assert!(emissions.iter().all(|one| one.headers == headers
            && one.body == event.body
            && one.event_type == event.event_type));
    }

    #[test]
    fn each_target_has_its_own_event() {
        let picky = json!({ "url": "https://c.example/", "when": [{ "header": "x-kind", "equals": "other" }] });
        let targets = json!(["https://a.example/in", { "url": "https://b.example/", "body": "[{{ event.json.n }}]" }, picky]);
        let host = testing::host()
            .setting("targets", targets)
            .answer("https://a.example/", 503, "")
            .answer("https://b", 200, "");
        // A sender that writes our header is not heard.
        let event = testing::post(json!({ "n": 1 }))
            .header("X-Kind", "k")
            .header(TARGET, "https://c.example/")
            .build();
        fan_out(event).unwrap();
        let second: Vec<Event> = host
            .emissions()
            .into_iter()
            .map(|emission| {
                assert_eq!(emission.hook, "test");
                let event = testing::post_raw(emission.body).attribute("emitted-by", "test");
                emission
                    .headers
                    .iter()
                    .fold(event, |one, (name, value)| one.header(name, value))
                    .build()
            })
            .collect();
        let outcomes: Vec<_> = second.into_iter().map(fan_out).collect();
        assert!(
            matches!(&outcomes[..], [Err(Failure::Retry { .. }), Ok(_)]),
            "{outcomes:?}"
        );
        let bodies: Vec<_> = host
            .calls()
            .into_iter()
            .map(|call| call.body.unwrap())
            .collect();
        assert_eq!(bodies, ["{\"n\":1}".into(), "[1]".into()]);
        assert!(
            host.calls()
                .iter()
                .flat_map(|call| &call.headers)
                .all(|(name, _)| name != TARGET)
        );
    }

    #[test]
    fn missing_targets_are_named() {
        let _host = testing::host().setting("targets", ["https://a.example/"]);
        let event = testing::event(json!({}));
        let gone = testing::post(json!({}))
            .attribute("emitted-by", &event.hook)
            .header(TARGET, "https://old.example/")
            .build();
        assert_eq!(
            fan_out(gone),
            Err(Failure::reject(
                "https://old.example/ is no target of this hook any more"
            ))
        );
    }

    #[test]
    fn empty_and_repeated_targets_are_refused() {
        for (key, value) in [
            ("hooks", json!([])),
            (
                "targets",
                json!(["https://a.example/", "https://a.example/"]),
            ),
        ] {
            let _host = testing::host().setting(key, value);
            assert!(matches!(
                fan_out(testing::event(json!({}))),
                Err(Failure::Retry { .. })
            ));
        }
    }
}
