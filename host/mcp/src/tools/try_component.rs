//! Runs recorded attempts of a hook on a component of the operator's folder.

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::tool::{Effect, Needs, Tool};
use crate::answer::{Answer, LISTED_MAX, TEXT_MAX, ToolError, picked, with_untrusted};
use crate::api::Node;
use crate::components::{ComponentProblem, Components};
use crate::text::cut;

/// The longest time of a call, with that of loading the component.
const TIME_MAX: Duration = Duration::from_secs(120);
/// The attempts of a call, unless it names another number.
const LAST_DEFAULT: usize = 100;
/// The most attempts of a call.
const LAST_MAX: usize = 500;
/// The most differences that a call allows.
const ALLOWED_MAX: usize = 100;
/// The most recordings of one page of the API.
const RECORDINGS_MAX: usize = 100;
/// Facts of the report that are whole, also if they are zero.
const COUNTS: [&str; 10] = [
    "hook",
    "digest",
    "attempts",
    "same",
    "allowed",
    "differs",
    "unanswered",
    "truncated",
    "not_run",
    "is_same",
];

pub(super) struct TryComponent;

/// The arguments of `try_component`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The name of a .wasm file in the folder that the operator named with `--components`.
    file: String,
    /// The name of the hook whose recorded attempts are run.
    hook: String,
    /// The most attempts, the newest first, 1 to 500. Default: 100.
    last: Option<usize>,
    /// Only attempts that did not end as `done`.
    #[serde(default)]
    failed: bool,
    /// Only attempts that began at this time or later: `2026-01-31T08:15:30Z`, or `1d` for a day
    /// ago.
    since: Option<String>,
    /// Differences that are meant, up to 100: a kind, such as `reply`, or one place of it, such as
    /// `reply:body/total`.
    #[serde(default)]
    allow: Vec<String>,
}

#[async_trait]
impl Tool for TryComponent {
    type Input = Input;
    const NAME: &'static str = "try_component";
    const TITLE: &'static str = "Try a component on recorded attempts";
    const DESCRIPTION: &'static str = "Runs recorded attempts of a hook on another component, without effects: outbound \
        calls and `kv` are answered from the recordings. Says how many attempts are the same, and what differs in groups \
        with a sample of each. Differences that are measured, allowed, or follow from others do not count for `is_same`. \
        If there are `more_groups`, name those that are meant in `allow`, so that others are shown. Never promotes the \
        component. Takes up to two minutes; one call at a time.";
    const NEEDS: Needs = Needs::Components;
    const EFFECT: Effect = Effect::None;

    async fn run(node: &Node, input: Input) -> Result<Answer, ToolError> {
        run_within(TIME_MAX, node, &input).await
    }
}

async fn run_within(limit: Duration, node: &Node, input: &Input) -> Result<Answer, ToolError> {
    let Some(components) = &node.components else {
        return Err(ToolError::new(
            "this MCP server reads no files: start `landfall mcp` with --components DIR, or run `landfall try`",
        ));
    };
    if input.allow.len() > ALLOWED_MAX {
        return Err(ToolError::new(format!(
            "`allow` names more than {ALLOWED_MAX} differences: name a kind without a place, such as `reply`"
        )));
    }

    let mut run = 0;
    let ended = timeout(limit, run_all(node, components.as_ref(), input, &mut run)).await;
    match ended {
        Ok(report) => Ok(Answer(answer(input, &report?)?)),
        Err(_) => Err(ToolError::new(format!(
            "the time limit of {} s has ended the call after {run} attempts: repeat it with a smaller `last`, or run `landfall try`, \
             which has no limit",
            limit.as_secs()
        ))),
    }
}

/// The report. `run`: how many attempts have been run.
async fn run_all(
    node: &Node,
    components: &dyn Components,
    input: &Input,
    run: &mut usize,
) -> Result<Value, ToolError> {
    let loaded = components
        .load_trial(&input.file, &input.hook, &input.allow)
        .await;
    let mut trial = loaded.map_err(|ComponentProblem(why)| ToolError::new(why))?;

    let (last, mut before) = (input.last(), None);
    while *run < last {
        let left = last - *run;
        let parameters = input.parameters(left, before);
        let page = node.get("/api/v1/recordings", &parameters).await?;
        let recordings = page["recordings"].as_array();
        let recordings = recordings.map(Vec::as_slice).unwrap_or_default();
        for recording in recordings.iter().take(left) {
            trial.run(recording).await;
            *run += 1;
        }

        before = page["next"].as_str().map(str::to_owned);
        if before.is_none() || recordings.is_empty() {
            break;
        }
    }
    Ok(trial.into_report())
}

// === impl Input ===

impl Input {
    fn last(&self) -> usize {
        self.last.unwrap_or(LAST_DEFAULT).clamp(1, LAST_MAX)
    }

    /// The parameters of a page of the API.
    fn parameters(&self, left: usize, before: Option<String>) -> Vec<(&'static str, String)> {
        let mut parameters = vec![
            ("hook", self.hook.clone()),
            ("failed", self.failed.to_string()),
            ("limit", left.min(RECORDINGS_MAX).to_string()),
        ];
        parameters.extend(self.since.clone().map(|since| ("since", since)));
        parameters.extend(before.map(|before| ("before", before)));
        parameters
    }
}

/// The counts, and the first groups, those that count before the others.
fn answer(input: &Input, report: &Value) -> Result<Value, ToolError> {
    if report["attempts"] == 0 {
        return Err(nothing_run(input, report));
    }

    let mut groups: Vec<&Value> = report["groups"].as_array().into_iter().flatten().collect();
    groups.sort_by_key(|group| !counts(group));
    let more = groups.len().saturating_sub(LISTED_MAX);
    groups.truncate(LISTED_MAX);
    let groups: Vec<Value> = groups.into_iter().map(item).collect();

    let mut answer = Map::new();
    answer.insert("file".to_owned(), input.file.clone().into());
    for key in COUNTS {
        answer.insert(key.to_owned(), report[key].clone());
    }
    answer.insert("groups".to_owned(), groups.into());
    answer.insert("more_groups".to_owned(), more.into());
    Ok(Value::Object(answer))
}

fn nothing_run(input: &Input, report: &Value) -> ToolError {
    let reasons = report["not_run"].as_object().into_iter().flatten();
    let reasons: Vec<String> = reasons
        .map(|(why, attempts)| format!("{attempts} because {why}"))
        .collect();
    let reasons = if reasons.is_empty() {
        String::new()
    } else {
        format!(" (not run: {})", reasons.join("; "))
    };
    ToolError::new(format!(
        "no recorded attempt of hook {} can be run{reasons}. Attempts are recorded if they fail; with [record] rate = 1.0 in its hook \
         file, all of them are",
        input.hook
    ))
}

/// Whether the differences make the component another one.
fn counts(group: &Value) -> bool {
    let notes = ["allowed", "measured", "follows"];
    notes.iter().all(|note| group[*note] == false)
}

/// A group of differences. Places and values are by handlers, callers and receivers.
fn item(group: &Value) -> Value {
    let keys = ["kind", "attempts", "allowed", "measured", "follows"];
    let mut facts = picked(group, &keys);
    let sample = &group["sample"];
    let about = picked(sample, &["event", "delivery", "attempt", "masked"]);
    facts.insert("sample".to_owned(), Value::Object(about));

    let untrusted = [
        ("place", &group["place"]),
        ("recorded", &sample["recorded"]),
        ("found", &sample["found"]),
    ];
    let untrusted = untrusted.into_iter();
    let untrusted = untrusted.map(|(key, value)| (key.to_owned(), short(value)));
    with_untrusted(facts, untrusted.collect())
}

/// A value that is not too long, or the beginning of its text.
fn short(value: &Value) -> Value {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(TEXT_MAX) {
        None => value.clone(),
        Some(_) => Value::String(cut(&text, TEXT_MAX)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use landfall_admin::Caller;
    use landfall_model::lock;
    use serde_json::json;

    use super::*;
    use crate::api::{AdminApi, Unreachable};
    use crate::components::ComponentTrial;

    /// A node with any number of recordings. Each page has 30 at most, as if they were large.
    #[derive(Default)]
    struct Recordings {
        asked: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl AdminApi for Recordings {
        async fn ask(
            &self,
            _caller: Option<&Caller>,
            path: &str,
            _post: Option<String>,
        ) -> Result<(u16, String), Unreachable> {
            lock(&self.asked).push(path.to_owned());
            let page = json!({ "recordings": vec![json!({}); 30], "next": "7.1" });
            Ok((200, page.to_string()))
        }
    }

    /// Components that do the same as recorded, or never end.
    struct Fake {
        ends: bool,
    }

    struct FakeTrial {
        ends: bool,
        attempts: usize,
    }

    #[async_trait]
    impl Components for Fake {
        async fn inspect(&self, _file: &str) -> Result<Value, ComponentProblem> {
            Ok(Value::Null)
        }

        async fn load_trial(
            &self,
            _file: &str,
            _hook: &str,
            _allow: &[String],
        ) -> Result<Box<dyn ComponentTrial>, ComponentProblem> {
            Ok(Box::new(FakeTrial {
                ends: self.ends,
                attempts: 0,
            }))
        }
    }

    #[async_trait]
    impl ComponentTrial for FakeTrial {
        async fn run(&mut self, _shown: &Value) {
            if !self.ends {
                std::future::pending::<()>().await;
            }
            self.attempts += 1;
        }

        fn into_report(self: Box<Self>) -> Value {
            json!({ "attempts": self.attempts, "same": self.attempts, "differs": 0, "is_same": true, "groups": [] })
        }
    }

    fn node(ends: bool) -> (Node, Arc<Recordings>) {
        let api = Arc::new(Recordings::default());
        let node = Node {
            api: api.clone(),
            caller: None,
            components: Some(Arc::new(Fake { ends })),
        };
        (node, api)
    }

    fn input(arguments: Value) -> Input {
        serde_json::from_value(arguments).unwrap()
    }

    #[tokio::test]
    async fn the_newest_attempts_are_run() {
        for (last, attempts) in [
            (None, 100),
            (Some(1), 1),
            (Some(0), 1),
            (Some(70), 70),
            (Some(9_000), 500),
        ] {
            let (node, api) = node(true);
            let given = json!({ "file": "a.wasm", "hook": "q", "last": last, "failed": true, "since": "1d" });
            let Answer(answer) = run_within(TIME_MAX, &node, &input(given)).await.unwrap();
            assert_eq!(answer["attempts"], attempts, "{last:?}");
            assert_eq!(
                (&answer["differs"], &answer["more_groups"]),
                (&json!(0), &json!(0))
            );

            let asked = lock(&api.asked);
            assert_eq!(asked.len(), usize::div_ceil(attempts, 30), "{last:?}");
            let limit = attempts.min(RECORDINGS_MAX);
            let first = format!("/api/v1/recordings?hook=q&failed=true&limit={limit}&since=1d");
            assert_eq!(asked[0], first);
            assert!(
                asked[1..]
                    .iter()
                    .all(|path| path.ends_with("&before=7%2E1"))
            );
        }
    }

    #[tokio::test]
    async fn endless_calls_are_ended() {
        let (node, _) = node(false);
        let given = input(json!({ "file": "a.wasm", "hook": "q" }));
        let error = run_within(Duration::ZERO, &node, &given).await.unwrap_err();
        assert!(error.text.contains("after 0 attempts"), "{}", error.text);
    }

    #[tokio::test]
    async fn arguments_have_limits() {
        let (mut node, _) = node(true);
        let allow = vec!["rows"; ALLOWED_MAX + 1];
        let given = input(json!({ "file": "a.wasm", "hook": "q", "allow": allow }));
        let error = TryComponent::run(&node, given).await.unwrap_err();
        assert!(error.text.contains("`allow`"), "{}", error.text);

        node.components = None;
        let given = input(json!({ "file": "a.wasm", "hook": "q" }));
        let error = TryComponent::run(&node, given).await.unwrap_err();
        assert!(error.text.contains("--components"), "{}", error.text);

        for wrong in [
            json!({ "file": "a.wasm" }),
            json!({ "hook": "q" }),
            json!({ "file": "a.wasm", "hook": "q", "promote": true }),
            json!({ "file": "a.wasm", "hook": "q", "last": -1 }),
        ] {
            assert!(
                serde_json::from_value::<Input>(wrong.clone()).is_err(),
                "{wrong}"
            );
        }
    }

    fn group(place: &str, is_measured: bool, found: Value) -> Value {
        json!({
            "kind": "reply", "place": place, "attempts": 2,
            "allowed": false, "measured": is_measured, "follows": false,
            "sample": {
                "event": "e", "delivery": 3, "attempt": 1, "masked": false, "recorded": null, "found": found,
            },
        })
    }

    #[test]
    fn samples_are_short_and_marked() {
        let long = json!({ "rows": vec!["x".repeat(100); 9] });
        let mut groups = vec![
            group("duration", true, 9.into()),
            group("body/a", false, long),
        ];
        groups.extend(
            (0..LISTED_MAX).map(|number| group(&format!("b/{number}"), false, true.into())),
        );
        let report =
            json!({ "attempts": 5, "same": 3, "component": "/home/a.wasm", "groups": groups });
        let given = input(json!({ "file": "a.wasm", "hook": "q" }));
        let answer = answer(&given, &report).unwrap();

        assert_eq!(answer.get("component"), None);
        assert_eq!(
            (&answer["same"], &answer["more_groups"]),
            (&json!(3), &json!(2))
        );
        let shown = answer["groups"].as_array().unwrap();
        assert_eq!(shown.len(), LISTED_MAX);
        let first = &shown[0];
        assert_eq!(
            first["sample"],
            json!({ "event": "e", "delivery": 3, "attempt": 1 })
        );
        assert_eq!(first["untrusted"]["place"], "body/a");
        assert_eq!(first["untrusted"]["recorded"], Value::Null);
        let found = first["untrusted"]["found"].as_str().unwrap();
        assert!(found.ends_with("more characters)"), "{found}");
        assert_eq!(shown[1]["untrusted"]["found"], true);
    }

    #[test]
    fn nothing_run_is_an_error() {
        let given = input(json!({ "file": "a.wasm", "hook": "q" }));
        let report = json!({ "attempts": 0, "not_run": { "its body is gone": 2 } });
        let error = answer(&given, &report).unwrap_err();
        assert!(
            error.text.contains("2 because its body is gone"),
            "{}",
            error.text
        );
        assert!(error.text.contains("[record] rate = 1.0"), "{}", error.text);
    }
}
