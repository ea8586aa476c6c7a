//! Says what is wrong: open alarms, hooks that do not serve, and refused requests.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::tool::{Effect, Needs, Tool};
use crate::answer::{
    Answer, PAGE_DEFAULT, PAGE_MAX, ToolError, picked, picked_in_part, with_untrusted,
};
use crate::api::{Node, encoded};
use crate::cursor::{cursor, position};

/// The word of cursors.
const AFTER: &str = "after";
/// What refusals are stored for beside hooks: requests to no hook, calls of a broker, and requests
/// to the admin API.
const NOT_HOOKS: [&str; 3] = ["-", "_queue", "_admin"];
/// Alarms whose sentence quotes events: names of fields, and event types.
const QUOTING: [&str; 1] = ["shape"];
/// Separates the parts of a position. Neither a time nor an encoded text has it.
const BETWEEN: char = '|';

pub(super) struct Explain;

/// The arguments of `explain`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Input {
    /// Only this hook; `-` for requests to no hook, `_admin` for requests to the admin API.
    hook: Option<String>,
    /// The most findings of the answer, 1 to 100. Default: 20.
    limit: Option<usize>,
    /// `next_cursor` of the last answer, with the same `hook`.
    cursor: Option<String>,
}

/// The place of a finding in the list: alarms, then hooks, then refusals, newest first. New
/// refusals and those that the node forgets do not move the others.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    kind: u8,
    /// When a request was refused; empty for alarms and hooks.
    at: String,
    /// Encoded, as the word is.
    hook: String,
    /// The word of the alarm or of the reason.
    word: String,
    /// Counts findings that are equal in the rest.
    number: usize,
}

#[async_trait]
impl Tool for Explain {
    type Input = Input;
    const NAME: &'static str = "explain";
    const TITLE: &'static str = "Explain what is wrong";
    const DESCRIPTION: &'static str = "Says what is wrong and what to do: open alarms, hooks that do not serve with the \
        reason, and the last refused requests with the reason and the head of the request, newest first. Values \
        that may be secrets are masked.";
    const NEEDS: Needs = Needs::Read;
    const EFFECT: Effect = Effect::None;

    async fn run(node: &Node, input: Input) -> Result<Answer, ToolError> {
        let limit = input.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
        let after: Option<Place> = match &input.cursor {
            Some(cursor) => Some(position(AFTER, cursor)?),
            None => None,
        };
        let hook = input.hook.as_deref();

        let mut all = findings(node, hook).await?;
        let count = all.len();
        if let Some(after) = after {
            all.retain(|(place, _)| *place > after);
        }
        let is_more = all.len() > limit;
        all.truncate(limit);

        let last = all.last().filter(|_| is_more);
        let next_cursor = last.map(|(place, _)| cursor(AFTER, place));
        let findings: Vec<Value> = all.into_iter().map(|(_, finding)| finding).collect();
        Ok(Answer(json!({
            "count": count,
            "findings": findings,
            "next_cursor": next_cursor,
        })))
    }
}

/// Every finding, in order.
async fn findings(node: &Node, hook: Option<&str>) -> Result<Vec<(Place, Value)>, ToolError> {
    let hooks = node.get("/api/v1/hooks", &[]).await?;
    let hooks: Vec<&Value> = hooks.as_array().into_iter().flatten().collect();
    if let Some(hook) = hook
        && !NOT_HOOKS.contains(&hook)
        && !hooks.iter().any(|one| one["name"] == hook)
    {
        return Err(ToolError::new("no hook has this name: `hooks` lists them"));
    }
    let alarms = node.get("/api/v1/alarms", &[]).await?;
    let path = match hook {
        Some(hook) => format!("/api/v1/refusals?hook={}", encoded(hook)),
        None => "/api/v1/refusals".to_owned(),
    };
    let refusals = node.get(&path, &[]).await?;

    let is_wanted = |name: &Value| hook.is_none_or(|hook| name == hook);
    let alarms = alarms.as_array().into_iter().flatten();
    let alarms = alarms.filter(|alarm| is_wanted(&alarm["hook"]));
    let hooks = hooks.into_iter();
    let hooks = hooks.filter(|one| !one["problem"].is_null() && is_wanted(&one["name"]));
    let refusals = refusals.as_array().into_iter().flatten();

    let mut all: Vec<(Place, Value)> = Vec::new();
    all.extend(alarms.map(alarm));
    all.extend(hooks.map(problem));
    all.extend(refusals.map(refusal));
    number_equal(&mut all);
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(all)
}

/// Findings with the same place get numbers. The API lists the newest refusal first, and forgets
/// the oldest: the oldest of equal ones has the greatest number.
fn number_equal(all: &mut [(Place, Value)]) {
    let mut seen: BTreeMap<Place, usize> = BTreeMap::new();
    for (place, _) in all {
        let number = seen.entry(place.clone()).or_default();
        place.number = *number;
        *number += 1;
    }
}

fn alarm(alarm: &Value) -> (Place, Value) {
    let place = Place::new(0, "", &alarm["hook"], &alarm["alarm"]);
    let mut facts = picked_in_part(alarm, &["hook", "alarm", "since", "hint"]);
    facts.insert("kind".to_owned(), "alarm".into());
    let sentence = picked_in_part(alarm, &["sentence"]);
    if QUOTING.iter().any(|word| alarm["alarm"] == *word) {
        return (place, with_untrusted(facts, sentence));
    }
    facts.extend(sentence);
    (place, Value::Object(facts))
}

fn problem(hook: &Value) -> (Place, Value) {
    let place = Place::new(1, "", &hook["name"], &Value::Null);
    let mut facts = picked_in_part(hook, &["state", "since", "problem"]);
    facts.insert("kind".to_owned(), "hook".into());
    facts.insert("hook".to_owned(), hook["name"].clone());
    (place, Value::Object(facts))
}

/// Details and hints repeat parts of a request that anyone may have sent, such as its path.
fn refusal(refusal: &Value) -> (Place, Value) {
    let at = refusal["at"].as_str().unwrap_or_default();
    let place = Place::new(2, at, &refusal["hook"], &refusal["reason"]);
    let keys = [
        "at",
        "hook",
        "reason",
        "status",
        "client_address",
        "count",
        "first_at",
    ];
    let mut facts = picked(refusal, &keys);
    facts.insert("kind".to_owned(), "refusal".into());
    let untrusted = picked_in_part(refusal, &["detail", "hint", "request"]);
    (place, with_untrusted(facts, untrusted))
}

// === impl Place ===

impl Place {
    fn new(kind: u8, at: &str, hook: &Value, word: &Value) -> Place {
        // Files that cannot be hooks can have any name.
        let text = |value: &Value| encoded(value.as_str().unwrap_or_default());
        Place {
            kind,
            at: at.to_owned(),
            hook: text(hook),
            word: text(word),
            number: 0,
        }
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Place) -> Ordering {
        let newest_first = other.at.cmp(&self.at);
        self.kind
            .cmp(&other.kind)
            .then(newest_first)
            .then_with(|| self.hook.cmp(&other.hook))
            .then_with(|| self.word.cmp(&other.word))
            .then_with(|| self.number.cmp(&other.number))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Place) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Place {
            kind,
            at,
            hook,
            word,
            number,
        } = self;
        write!(
            f,
            "{kind}{BETWEEN}{at}{BETWEEN}{hook}{BETWEEN}{word}{BETWEEN}{number}"
        )
    }
}

impl std::str::FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Place, ()> {
        let parts: Vec<&str> = text.split(BETWEEN).collect();
        let [kind, at, hook, word, number] = parts[..] else {
            return Err(());
        };
        Ok(Place {
            kind: kind.parse().map_err(drop)?,
            at: at.to_owned(),
            hook: hook.to_owned(),
            word: word.to_owned(),
            number: number.parse().map_err(drop)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(at: &str, reason: &str) -> (Place, Value) {
        refusal(&json!({ "at": at, "hook": "q", "reason": reason }))
    }

    #[test]
    fn quoted_events_are_untrusted() {
        for (word, is_quoting) in [("shape", true), ("silence", false)] {
            let open = json!({ "hook": "q", "alarm": word, "sentence": "/pause q is new: string" });
            let (_, finding) = alarm(&open);
            assert_eq!(finding["sentence"].is_string(), !is_quoting, "{finding}");
            let untrusted = &finding["untrusted"]["sentence"];
            assert_eq!(untrusted.is_string(), is_quoting, "{finding}");
        }
        let refused = json!({ "hook": "-", "hint": "/shopp: did you mean /shop?" });
        let (_, finding) = refusal(&refused);
        assert_eq!(finding["untrusted"]["hint"], refused["hint"]);
        assert_eq!(finding.get("hint"), None);
    }

    #[test]
    fn findings_have_one_order() {
        let mut all = vec![
            refused("2026-01-01T00:00:01Z", "a"),
            refused("2026-01-01T00:00:03Z", "a"),
            refused("2026-01-01T00:00:01Z", "a"),
            refused("2026-01-01T00:00:01Z", "b"),
            problem(&json!({ "name": "q", "problem": "x" })),
            alarm(&json!({ "hook": "q", "alarm": "silence" })),
        ];
        number_equal(&mut all);
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        let places: Vec<String> = all.iter().map(|(place, _)| place.to_string()).collect();
        assert_eq!(
            places,
            [
                "0||q|silence|0",
                "1||q||0",
                "2|2026-01-01T00:00:03Z|q|a|0",
                "2|2026-01-01T00:00:01Z|q|a|0",
                "2|2026-01-01T00:00:01Z|q|a|1",
                "2|2026-01-01T00:00:01Z|q|b|0",
            ]
        );
        for (place, _) in &all {
            assert_eq!(place.to_string().parse(), Ok(place.clone()));
        }
        assert!("2|x".parse::<Place>().is_err());
    }
}
