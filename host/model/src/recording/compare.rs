//! Compares a recorded run with another run on its recording.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::body::RecordedBody;
use super::difference::{Difference, DifferenceKind, of_bodies, of_headers, of_values};
use super::recorded::{Missing, RecordedCall, RecordedPart, RecordedRun, Recording};
use super::result::{RecordedChange, RecordedEmission, RecordedReply, RecordedRow, RunResult};

/// How much slower, or larger, a run may be before that is reported.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// The duration may have this factor…
    pub duration_factor: f64,
    /// … and this many microseconds more.
    pub duration_us: u64,
    /// The memory may have this factor…
    pub memory_factor: f64,
    /// … and this many bytes more.
    pub memory_bytes: u64,
}

/// The result of a comparison.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Comparison {
    /// In the order of their kinds. Empty: the runs are equal.
    pub differences: Vec<Difference>,
    /// What differs after a question without a recorded answer, in the order of the kinds. Empty if
    /// each question had one.
    pub following: Vec<Difference>,
}

/// What a comparison says of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Nothing differs except what is allowed or measured.
    Same,
    /// Something differs.
    Differs,
    /// The run asked for something that is not recorded, so its result means nothing.
    Unanswered,
    /// The recording is not whole.
    Truncated,
}

/// Everything in which a run on a recording differs from the recorded run. A part that was cut is
/// the only difference of its run. After a question without a recorded answer, whatever else
/// differs may follow from it, and is kept apart.
pub fn compare(recorded: &Recording, run: &RecordedRun, tolerance: &Tolerance) -> Comparison {
    let truncated = truncated(recorded, &run.recording);
    if !truncated.is_empty() {
        return Comparison {
            differences: truncated,
            following: Vec::new(),
        };
    }
    let differences = of_results(recorded, run, tolerance);
    if run.missing.is_empty() {
        return Comparison {
            differences,
            following: Vec::new(),
        };
    }
    let questions = run.missing.iter();
    Comparison {
        differences: questions
            .map(|missing| unanswered(recorded, missing))
            .collect(),
        following: differences,
    }
}

fn of_results(recorded: &Recording, run: &RecordedRun, tolerance: &Tolerance) -> Vec<Difference> {
    let (old, new) = (&recorded.result, &run.recording.result);
    let mut differences = of_outcomes(old, new);
    differences.extend(of_replies(old.reply.as_ref(), new.reply.as_ref()));
    let calls = &run.recording.calls;
    differences.extend(of_calls(&recorded.calls, calls, &run.missing));
    differences.extend(of_rows(&old.rows, &new.rows));
    differences.extend(of_changes(old, new));
    differences.extend(of_emissions(&old.emitted, &new.emitted));
    differences.extend(of_measures(old, new, tolerance));
    differences
}

fn truncated(recorded: &Recording, found: &Recording) -> Vec<Difference> {
    let of = |recording: &Recording, part: RecordedPart| {
        let is_cut = recording.truncated.contains(&part);
        if is_cut { json!("cut") } else { Value::Null }
    };
    let mut parts = recorded.truncated.clone();
    parts.extend(&found.truncated);
    parts.sort_unstable();
    parts.dedup();

    let differences = parts.into_iter().map(|part| {
        let (old, new) = (of(recorded, part), of(found, part));
        Difference::new(DifferenceKind::Truncated, part.word(), old, new)
    });
    differences.collect()
}

/// A question without a recorded answer, beside the most similar recorded call.
fn unanswered(recorded: &Recording, missing: &Missing) -> Difference {
    match missing {
        Missing::Call { method, url, body } => {
            let similar = recorded
                .calls
                .iter()
                .filter(|call| call.method.eq_ignore_ascii_case(method))
                .max_by_key(|call| (call.url == *url, common_bytes(&call.url, url)));
            Difference::new(
                DifferenceKind::UnansweredCall,
                format!("{method} {}", without_query(url)),
                similar.map_or(Value::Null, |call| {
                    shown_call(&call.method, &call.url, &call.body)
                }),
                shown_call(method, url, body),
            )
        }
        Missing::Value { key } => Difference::new(
            DifferenceKind::UnrecordedRead,
            "value",
            Value::Null,
            json!(key),
        ),
        Missing::Keys { prefix } => Difference::new(
            DifferenceKind::UnrecordedRead,
            "keys",
            Value::Null,
            json!(format!("{prefix}*")),
        ),
    }
}

fn common_bytes(one: &str, other: &str) -> usize {
    let pairs = one.bytes().zip(other.bytes());
    pairs.take_while(|(one, other)| one == other).count()
}

fn of_outcomes(old: &RunResult, new: &RunResult) -> Vec<Difference> {
    let kind = DifferenceKind::Outcome;
    if old.outcome != new.outcome {
        let place = format!("{} → {}", old.outcome, new.outcome);
        return vec![Difference::new(kind, place, outcome(old), outcome(new))];
    }

    let mut differences = Vec::new();
    if old.reason != new.reason {
        let (old, new) = (json!(old.reason), json!(new.reason));
        differences.push(Difference::new(kind, "reason", old, new));
    }
    if old.after_s != new.after_s {
        let (old, new) = (json!(old.after_s), json!(new.after_s));
        differences.push(Difference::new(kind, "after", old, new));
    }
    differences
}

fn outcome(result: &RunResult) -> Value {
    match result.reason.as_str() {
        "" => json!(result.outcome),
        reason => json!(format!("{}: {reason}", result.outcome)),
    }
}

fn of_replies(old: Option<&RecordedReply>, new: Option<&RecordedReply>) -> Vec<Difference> {
    let kind = DifferenceKind::Reply;
    let (Some(old), Some(new)) = (old, new) else {
        if old.is_none() && new.is_none() {
            return Vec::new();
        }
        let place = if new.is_some() { "added" } else { "missing" };
        let (old, new) = (old.map(shown_reply), new.map(shown_reply));
        return vec![Difference::new(
            kind,
            place,
            old.unwrap_or_default(),
            new.unwrap_or_default(),
        )];
    };

    let mut differences = Vec::new();
    if old.status != new.status {
        let place = format!("status {} → {}", old.status, new.status);
        differences.push(Difference::new(
            kind,
            place,
            json!(old.status),
            json!(new.status),
        ));
    }
    differences.extend(of_headers(kind, "headers", &old.headers, &new.headers));
    differences.extend(of_bodies(kind, "body", &old.body, &new.body));
    differences
}

fn shown_reply(reply: &RecordedReply) -> Value {
    json!({ "status": reply.status, "body": reply.body.shown() })
}

/// Calls in flight at the same time have no order: equal calls are paired first, in any order. A
/// call without a recorded answer has a difference of its own: it counts here only as a change of a
/// recorded call.
fn of_calls(old: &[RecordedCall], new: &[RecordedCall], questions: &[Missing]) -> Vec<Difference> {
    let kind = DifferenceKind::Calls;
    let (answered, mut unanswered) = by_answer(new, questions);
    let mut added = answered.clone();
    let mut missing = Vec::new();
    for call in old {
        match added.iter().position(|other| is_same_call(call, other)) {
            Some(place) => {
                added.remove(place);
            }
            None => missing.push(call),
        }
    }

    let mut differences = Vec::new();
    for call in missing {
        let place = format!("{} {}", call.method, without_query(&call.url));
        let similar = take_similar(call, &mut added);
        let similar = similar.or_else(|| take_similar(call, &mut unanswered));
        let Some(similar) = similar else {
            let shown = shown_call(&call.method, &call.url, &call.body);
            let place = format!("missing {place}");
            differences.push(Difference::new(kind, place, shown, Value::Null));
            continue;
        };
        if call.url != similar.url {
            let (old, new) = (json!(call.url), json!(similar.url));
            differences.push(Difference::new(kind, format!("{place} query"), old, new));
        }
        let headers = format!("{place} headers");
        differences.extend(of_headers(kind, &headers, &call.headers, &similar.headers));
        let body = format!("{place} body");
        differences.extend(of_bodies(kind, &body, &call.body, &similar.body));
    }
    for call in added {
        let place = format!("added {} {}", call.method, without_query(&call.url));
        let shown = shown_call(&call.method, &call.url, &call.body);
        differences.push(Difference::new(kind, place, Value::Null, shown));
    }

    let is_ordered = !old.iter().chain(new).any(|call| call.overlaps);
    if differences.is_empty() && is_ordered {
        differences.extend(of_order(old, &answered));
    }
    differences
}

/// The calls that had a recorded answer, and the others. Of equal calls, the first ones had it.
fn by_answer<'a>(
    calls: &'a [RecordedCall],
    questions: &[Missing],
) -> (Vec<&'a RecordedCall>, Vec<&'a RecordedCall>) {
    let mut answered: Vec<&RecordedCall> = calls.iter().collect();
    let mut unanswered = Vec::new();
    for question in questions {
        let Missing::Call { method, url, body } = question else {
            continue;
        };
        let place = answered
            .iter()
            .rposition(|call| call.method == *method && call.url == *url && call.body == *body);
        if let Some(place) = place {
            unanswered.push(answered.remove(place));
        }
    }
    (answered, unanswered)
}

/// Takes the first call with the same method and URL, whatever its query is.
fn take_similar<'a>(
    call: &RecordedCall,
    others: &mut Vec<&'a RecordedCall>,
) -> Option<&'a RecordedCall> {
    let place = others.iter().position(|other| {
        other.method == call.method && without_query(&other.url) == without_query(&call.url)
    })?;
    Some(others.remove(place))
}

fn of_order(old: &[RecordedCall], new: &[&RecordedCall]) -> Option<Difference> {
    let first = old
        .iter()
        .zip(new)
        .find(|(call, other)| !is_same_call(call, other));
    let (call, other) = first?;
    Some(Difference::new(
        DifferenceKind::Calls,
        "order",
        shown_call(&call.method, &call.url, &call.body),
        shown_call(&other.method, &other.url, &other.body),
    ))
}

fn is_same_call(one: &RecordedCall, other: &RecordedCall) -> bool {
    let of = |call: &RecordedCall| {
        let mut headers = call.headers.clone();
        headers.sort();
        headers
    };
    one.method == other.method
        && one.url == other.url
        && one.body == other.body
        && of(one) == of(other)
}

fn shown_call(method: &str, url: &str, body: &RecordedBody) -> Value {
    if body.is_empty() {
        return json!(format!("{method} {url}"));
    }
    json!({ "method": method, "url": url, "body": body.shown() })
}

fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

/// Rows are compared table by table.
fn of_rows(old: &[RecordedRow], new: &[RecordedRow]) -> Vec<Difference> {
    let kind = DifferenceKind::Rows;
    let mut tables: Vec<&str> = old.iter().chain(new).map(|row| &*row.table).collect();
    tables.sort_unstable();
    tables.dedup();

    let mut differences = Vec::new();
    for table in tables {
        let of = |rows: &[RecordedRow]| -> Vec<RecordedBody> {
            let rows = rows.iter().filter(|row| row.table == table);
            rows.map(|row| row.row.clone()).collect()
        };
        let (old, new) = (of(old), of(new));
        if old.len() == new.len() {
            for (old, new) in old.iter().zip(&new) {
                differences.extend(of_bodies(kind, table, old, new));
            }
            continue;
        }

        let (mut added, mut missing) = (new, Vec::new());
        for row in old {
            match added.iter().position(|other| *other == row) {
                Some(place) => {
                    added.remove(place);
                }
                None => missing.push(row),
            }
        }
        let missing = missing.iter().map(|row| {
            Difference::new(
                kind,
                format!("missing in {table}"),
                row.shown(),
                Value::Null,
            )
        });
        differences.extend(missing);
        let added = added.iter().map(|row| {
            Difference::new(kind, format!("added to {table}"), Value::Null, row.shown())
        });
        differences.extend(added);
    }
    differences
}

fn of_changes(old: &RunResult, new: &RunResult) -> Vec<Difference> {
    let kind = DifferenceKind::Kv;
    let of = |result: &RunResult| {
        let keys = result.kv.keys().chain(result.conditions.keys());
        keys.cloned().collect::<BTreeSet<String>>()
    };
    let mut keys = of(old);
    keys.extend(of(new));

    let differing = keys.iter().filter_map(|key| {
        let (before, after) = (old.kv.get(key), new.kv.get(key));
        let conditions = (old.conditions.get(key), new.conditions.get(key));
        if before == after && conditions.0 == conditions.1 {
            return None;
        }
        let place = match (before, after) {
            _ if before == after => "condition",
            (Some(_), Some(_)) => "changed",
            (None, _) => "added",
            (_, None) => "missing",
        };
        let before = shown_change(key, before, conditions.0);
        let after = shown_change(key, after, conditions.1);
        Some(Difference::new(kind, place, before, after))
    });
    differing.collect()
}

/// A change, and the value that it must find, if there is such a condition.
fn shown_change(
    key: &str,
    change: Option<&RecordedChange>,
    condition: Option<&Option<RecordedBody>>,
) -> Value {
    let mut shown = match change {
        Some(change) => shown_without_condition(key, change),
        None if condition.is_none() => return Value::Null,
        None => json!({ "key": key }),
    };
    if let (Some(expected), Some(object)) = (condition, shown.as_object_mut()) {
        let expected = expected.as_ref().map(RecordedBody::shown);
        object.insert("if_value_is".into(), expected.unwrap_or_default());
    }
    shown
}

fn shown_without_condition(key: &str, change: &RecordedChange) -> Value {
    match change {
        RecordedChange::Set {
            value,
            expires_in_s,
        } => json!({
            "key": key,
            "value": value.shown(),
            "expires_in_s": expires_in_s,
        }),
        RecordedChange::Delete => json!({ "key": key, "deleted": true }),
        RecordedChange::Add { by, expires_in_s } => {
            json!({ "key": key, "add": by, "expires_in_s": expires_in_s })
        }
    }
}

fn of_emissions(old: &[RecordedEmission], new: &[RecordedEmission]) -> Vec<Difference> {
    let kind = DifferenceKind::Emitted;
    let mut differences = Vec::new();
    for (old, new) in old.iter().zip(new) {
        let (facts, other) = (facts(old), facts(new));
        differences.extend(of_values(kind, &old.hook, &facts, &other));
        let headers = format!("{} headers", old.hook);
        differences.extend(of_headers(kind, &headers, &old.headers, &new.headers));
        let body = format!("{} body", old.hook);
        differences.extend(of_bodies(kind, &body, &old.body, &new.body));
    }
    for one in old.iter().skip(new.len()) {
        let place = format!("missing for {}", one.hook);
        differences.push(Difference::new(kind, place, one.body.shown(), Value::Null));
    }
    for one in new.iter().skip(old.len()) {
        let place = format!("added for {}", one.hook);
        differences.push(Difference::new(kind, place, Value::Null, one.body.shown()));
    }
    differences
}

/// What is compared of an emission, without its body and its id.
fn facts(emission: &RecordedEmission) -> Value {
    json!({
        "hook": emission.hook,
        "event_type": emission.event_type,
        "key": emission.key,
        "delay_s": emission.delay_s,
    })
}

fn of_measures(old: &RunResult, new: &RunResult, tolerance: &Tolerance) -> Vec<Difference> {
    let mut differences = Vec::new();
    let longest = old.duration_us as f64 * tolerance.duration_factor;
    if new.duration_us as f64 > longest + tolerance.duration_us as f64 {
        differences.push(Difference::new(
            DifferenceKind::Duration,
            "longer",
            json!(old.duration_us),
            json!(new.duration_us),
        ));
    }
    let largest = old.memory_bytes as f64 * tolerance.memory_factor;
    if new.memory_bytes as f64 > largest + tolerance.memory_bytes as f64 {
        differences.push(Difference::new(
            DifferenceKind::Memory,
            "more",
            json!(old.memory_bytes),
            json!(new.memory_bytes),
        ));
    }
    differences
}

// === impl Comparison ===

impl Comparison {
    /// What it says of the run, if differences of the kinds `allowed` are meant. What follows from
    /// questions counts once all of them are allowed.
    pub fn verdict(&self, allowed: &[DifferenceKind]) -> Verdict {
        let mut kinds = self.differences.iter().map(|difference| difference.kind);
        let is_open = kinds.any(|kind| kind.is_question() && !allowed.contains(&kind));
        let following: &[Difference] = if is_open { &[] } else { &self.following };
        let counted = self.differences.iter().chain(following);
        let counted = counted.map(|difference| difference.kind);
        let counted = counted.filter(|kind| !kind.is_measured() && !allowed.contains(kind));
        let verdicts = counted.map(|kind| match kind {
            DifferenceKind::Truncated => Verdict::Truncated,
            kind if kind.is_question() => Verdict::Unanswered,
            _ => Verdict::Differs,
        });
        verdicts.max().unwrap_or(Verdict::Same)
    }
}

// === impl Verdict ===

impl Verdict {
    /// The name in reports and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Same => "same",
            Verdict::Differs => "differs",
            Verdict::Unanswered => "unanswered",
            Verdict::Truncated => "truncated",
        }
    }
}

// === impl Tolerance ===

impl Default for Tolerance {
    /// Twice the time and 50 ms; a quarter more memory and 1 MiB.
    fn default() -> Tolerance {
        Tolerance {
            duration_factor: 2.0,
            duration_us: 50_000,
            memory_factor: 1.25,
            memory_bytes: 1 << 20,
        }
    }
}
