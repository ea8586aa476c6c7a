//! What one attempt did, as text that can be compared with that of another version.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use serde_json::Value;
use similar::TextDiff;

use landfall_model::{Attempt, CallResult, Emission, Event, EventId, KvChange, OutboundCall};

/// The most characters of a body that are shown.
const SHOWN_MAX: usize = 4000;

/// One attempt, for people.
#[derive(Debug, Clone)]
pub struct Run {
    /// The event.
    pub event: EventId,
    /// The number of the attempt.
    pub number: u32,
    /// `done`, `retry`, …
    pub outcome: &'static str,
    /// Why it failed, and what the handler wrote to its log.
    pub said: String,
    reason: String,
    ms: f64,
    /// Outcome, reply, calls and effects, a fact a line.
    facts: String,
}

// === impl Run ===

impl Run {
    /// What an attempt did.
    pub fn new(event: &Event, number: u32, attempt: &Attempt) -> Run {
        let log = attempt.log.iter().map(|line| line.text.as_str());
        let reason = attempt.outcome.reason().to_owned();
        let said = [reason.as_str()].into_iter().chain(log).collect::<Vec<_>>();
        Run {
            event: event.id,
            number,
            outcome: attempt.outcome.word(),
            said: said.join("\n"),
            ms: attempt.duration.as_secs_f64() * 1000.0,
            facts: facts(attempt),
            reason,
        }
    }

    /// One line: `done in 1.2 ms`.
    pub fn line(&self) -> String {
        let attempt = match self.number {
            1 => String::new(),
            number => format!(", attempt {number}"),
        };
        let reason = match self.reason.as_str() {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        format!("{} in {:.1} ms{attempt}{reason}", self.outcome, self.ms)
    }

    /// Whether this is a retry of an event that came before the one of `last`.
    pub fn is_older_retry(&self, last: Option<&Run>) -> bool {
        // A replay begins at attempt 1.
        self.number > 1 && last.is_none_or(|last| last.event != self.event)
    }

    /// Reply, calls and effects.
    pub fn facts(&self) -> &str {
        &self.facts
    }
}

/// The lines that differ, with `-` and `+`. `None` if nothing does.
pub fn difference(before: &Run, after: &Run) -> Option<String> {
    let [old, new] = [before, after].map(|run| {
        let reason = match run.reason.as_str() {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        format!("{}{reason}\n{}", run.outcome, run.facts)
    });
    if old == new {
        return None;
    }

    let mut text = String::new();
    let diff = TextDiff::from_lines(&old, &new);
    for change in diff.iter_all_changes() {
        write!(text, "{} {change}", change.tag()).expect("a string takes text");
    }
    Some(text.trim_end().to_owned())
}

fn facts(attempt: &Attempt) -> String {
    let mut text = String::new();
    let mut line = |part: String| {
        text.push_str(&part);
        text.push('\n');
    };
    if let Some(reply) = attempt.outcome.reply() {
        line(format!("reply {}", reply.status));
        for (name, value) in &reply.headers {
            line(format!(
                "  {name}: {}",
                String::from_utf8_lossy(value.as_bytes())
            ));
        }
        if !reply.body.is_empty() {
            line(indented(&reply.body));
        }
    }

    // Calls that run at the same time end in any order.
    let mut calls: Vec<String> = attempt.calls.iter().map(call).collect();
    calls.sort();
    calls.into_iter().for_each(&mut line);
    let effects = &attempt.effects;
    for row in &effects.rows {
        line(format!("row in {}: {}", row.table, row.text));
    }
    for write in &effects.writes {
        let change = match &write.change {
            KvChange::Set(value, expires) => {
                format!(
                    "= {}{}",
                    text_of(&value.bytes),
                    after(", expires", *expires)
                )
            }
            KvChange::Delete => "deleted".to_owned(),
            KvChange::Add(number, expires) => {
                format!("+ {number}{}", after(", expires", *expires))
            }
        };
        line(format!("value {} {change}", write.key));
    }
    for emission in &effects.emissions {
        line(emitted(emission));
    }
    text
}

fn call(call: &OutboundCall) -> String {
    let OutboundCall {
        method,
        url,
        sent_bytes,
        sent,
        result,
        ..
    } = call;
    let mut text = match result {
        CallResult::Answered { status, .. } => format!("call {method} {url}: {status}"),
        CallResult::Failed { error, reason } => format!("call {method} {url}: {error}: {reason}"),
    };
    if !sent.is_empty() {
        text = format!("{text}\n{}", indented(sent.as_bytes()));
    }
    // Of a long body only the beginning is recorded, and nothing of one that is no text.
    if sent.len() < *sent_bytes {
        text = format!("{text}\n  {sent_bytes} bytes");
    }
    text
}

fn emitted(emission: &Emission) -> String {
    let mut text = format!("event for {}", emission.hook);
    if let Some(event_type) = &emission.event_type {
        text += &format!(", type {event_type}");
    }
    if let Some(key) = &emission.key {
        text += &format!(", key {key}");
    }
    text += &after(
        ", due",
        Some(emission.delay).filter(|delay| !delay.is_zero()),
    );
    for (name, value) in &emission.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        text += &format!("\n  {name}: {value}");
    }
    text + "\n" + &indented(&emission.body)
}

/// `, expires after 60 s`; nothing if there is no time.
fn after(words: &str, time: Option<Duration>) -> String {
    time.map_or_else(String::new, |time| {
        format!("{words} after {} s", time.as_secs_f64())
    })
}

/// The text; of other bytes their number, and a hash that differs if they do.
fn text_of(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => described(bytes),
    }
}

fn described(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("{} bytes, hash {:016x}", bytes.len(), hasher.finish())
}

/// JSON is laid out, so that a difference is a line. Of what is cut, a difference changes the hash.
fn indented(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(json) => format!("{json:#}"),
        Err(_) => text_of(body),
    };
    let beginning: String = text.chars().take(SHOWN_MAX).collect();
    let more = if beginning.len() < text.len() {
        format!("\n  … in all {}", described(text.as_bytes()))
    } else {
        String::new()
    };
    let lines: Vec<String> = beginning.lines().map(|line| format!("  {line}")).collect();
    lines.join("\n") + &more
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_model::{KvWrite, Outcome, Reply};
    use std::time::SystemTime;

    fn event(id: u8) -> Event {
        Event {
            id: EventId::from_bytes([id; 16]),
            hook: "a".into(),
            received_at: SystemTime::UNIX_EPOCH,
            method: "POST".parse().unwrap(),
            path: "/a".into(),
            query: None,
            headers: Default::default(),
            body: Default::default(),
            attributes: Vec::new(),
        }
    }

    fn attempt(body: &[u8]) -> Attempt {
        let reply = Reply {
            status: 200,
            headers: Default::default(),
            body: body.to_vec().into(),
        };
        Attempt::of_host(Outcome::Done(Some(reply)), Duration::from_millis(2))
    }

    fn run(body: &str, calls: &[(&str, &str)]) -> Run {
        let mut attempt = attempt(body.as_bytes());
        attempt.calls = calls
            .iter()
            .map(|(url, sent)| OutboundCall {
                method: "POST".into(),
                url: url.to_string(),
                sent_bytes: sent.len(),
                sent: sent.to_string(),
                duration: Duration::ZERO,
                trace: None,
                result: CallResult::Answered {
                    status: 204,
                    bytes: 0,
                    beginning: String::new(),
                },
                repeated: 0,
            })
            .collect();
        Run::new(&event(1), 1, &attempt)
    }

    #[test]
    fn differences_name_reply_and_calls() {
        let before = run(
            "{\"a\":1,\"b\":2}",
            &[("https://a.example/", "{\"n\":1,\"same\":true}")],
        );
        assert_eq!(difference(&before, &before), None);
        let after = run(
            "{\"a\":1,\"b\":3}",
            &[
                ("https://a.example/", "{\"n\":2,\"same\":true}"),
                ("https://b.example/", ""),
            ],
        );
        let text = difference(&before, &after).unwrap();
        let changed: Vec<&str> = text.lines().filter(|line| !line.starts_with(' ')).collect();
        assert_eq!(
            changed,
            [
                "-     \"b\": 2",
                "+     \"b\": 3",
                "-     \"n\": 1,",
                "+     \"n\": 2,",
                "+ call POST https://b.example/: 204"
            ]
        );
        assert_eq!(after.line(), "done in 2.0 ms");
    }

    /// The lines that differ between two attempts.
    fn changes(before: &Attempt, after: &Attempt) -> Vec<String> {
        let [before, after] = [before, after].map(|attempt| Run::new(&event(1), 1, attempt));
        let text = difference(&before, &after).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.starts_with(' '));
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn cut_and_binary_bodies_differ() {
        let [before, after] = ["a", "b"].map(|end| attempt(("x".repeat(5000) + end).as_bytes()));
        let lines = changes(&before, &after);
        assert!(
            lines[0].starts_with("-   … in all 5001 bytes, hash "),
            "{lines:?}"
        );
        assert_eq!(lines.len(), 2, "{lines:?}");

        let [before, after] = [254, 255].map(|byte| attempt(&[byte]));
        let lines = changes(&before, &after);
        assert!(lines[0].starts_with("-   1 bytes, hash "), "{lines:?}");
    }

    #[test]
    fn details_of_effects_differ() {
        let emitting = |event_type: &str, seconds: u64| {
            let mut attempt = attempt(b"");
            attempt.effects.emissions.push(Emission {
                id: EventId::from_bytes([2; 16]),
                hook: "b".into(),
                event_type: Some(event_type.into()),
                headers: Default::default(),
                body: "{}".into(),
                key: None,
                delay: Duration::from_secs(seconds),
            });
            attempt
        };
        assert_eq!(
            changes(&emitting("a", 0), &emitting("b", 60)),
            [
                "- event for b, type a",
                "+ event for b, type b, due after 60 s"
            ]
        );
        let [never, later] = [None, Some(Duration::from_secs(60))].map(|expires| {
            let mut attempt = attempt(b"");
            attempt.effects.writes.push(KvWrite {
                key: "k".into(),
                change: KvChange::Add(1, expires),
            });
            attempt
        });
        assert_eq!(
            changes(&never, &later),
            ["- value k + 1", "+ value k + 1, expires after 60 s"]
        );
    }

    #[test]
    fn retries_of_older_events_are_known() {
        let run = |id, number| Run::new(&event(id), number, &attempt(b""));
        let last = run(1, 1);
        for (id, number, is_older) in [(1, 2, false), (2, 1, false), (2, 3, true)] {
            assert_eq!(run(id, number).is_older_retry(Some(&last)), is_older);
        }
        assert!(run(2, 3).is_older_retry(None) && !last.is_older_retry(None));
    }
}
