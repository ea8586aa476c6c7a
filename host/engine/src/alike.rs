//! Masks the result of a run on a recording like the recorded result: where that has a masked
//! value, the run may have the value itself, because it did not see what has taught the recorded
//! attempt that the value is secret.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use super::masking::REDACTED;
use super::recorded_world::fillings;
use landfall_egress::Redactor;
use landfall_model::Secret;
use landfall_model::recording::{
    Missing, RecordedBody, RecordedChange, RecordedRun, Recording, RunResult,
};

/// The most values that are masked.
const VALUES_MAX: usize = 64;

/// The run, with values masked that stand where `recorded` has masked ones.
pub(crate) fn masked_alike(recorded: &Recording, mut run: RecordedRun) -> RecordedRun {
    let mut found = Found::default();
    found.in_results(&recorded.result, &run.recording.result);
    for (old, new) in recorded.calls.iter().zip(&run.recording.calls) {
        if old.method == new.method {
            found.in_texts(&old.url, &new.url);
            found.in_headers(&old.headers, &new.headers);
            found.in_bodies(&old.body, &new.body);
        }
    }
    if found.0.is_empty() {
        return run;
    }

    let secrets = found.0.into_iter().map(Secret::new);
    let redactor = Redactor::new(secrets.collect());
    mask_result(&mut run.recording.result, &redactor);
    for call in &mut run.recording.calls {
        mask_text(&mut call.url, &redactor);
        mask_headers(&mut call.headers, &redactor);
        mask_body(&mut call.body, &redactor);
    }
    for missing in &mut run.missing {
        match missing {
            Missing::Call { url, body, .. } => {
                mask_text(url, &redactor);
                mask_body(body, &redactor);
            }
            Missing::Value { key: text } | Missing::Keys { prefix: text } => {
                mask_text(text, &redactor);
            }
        }
    }
    run
}

/// What stands in a run where the recording has masked values.
#[derive(Default)]
struct Found(Vec<String>);

// === impl Found ===

impl Found {
    fn in_results(&mut self, old: &RunResult, new: &RunResult) {
        self.in_texts(&old.reason, &new.reason);
        if let (Some(old), Some(new)) = (&old.reply, &new.reply) {
            self.in_headers(&old.headers, &new.headers);
            self.in_bodies(&old.body, &new.body);
        }
        for (old, new) in old.rows.iter().zip(&new.rows) {
            self.in_bodies(&old.row, &new.row);
        }
        for (key, old) in &old.kv {
            // The key may have a masked value itself.
            let like = || new.kv.keys().find(|other| fillings(key, other).is_some());
            let Some(other) = new.kv.get_key_value(key).map(|(key, _)| key).or_else(like) else {
                continue;
            };
            self.in_texts(key, other);
            if let RecordedChange::Set { value: old, .. } = old
                && let Some(RecordedChange::Set { value, .. }) = new.kv.get(other)
            {
                self.in_bodies(old, value);
            }
        }
        for (key, old) in &old.conditions {
            if let (Some(old), Some(Some(new))) = (old, new.conditions.get(key)) {
                self.in_bodies(old, new);
            }
        }
        for (old, new) in old.emitted.iter().zip(&new.emitted) {
            for (old, new) in [(&old.event_type, &new.event_type), (&old.key, &new.key)] {
                if let (Some(old), Some(new)) = (old, new) {
                    self.in_texts(old, new);
                }
            }
            self.in_headers(&old.headers, &new.headers);
            self.in_bodies(&old.body, &new.body);
        }
    }

    fn in_headers(&mut self, old: &[(String, String)], new: &[(String, String)]) {
        for ((name, old), (other, new)) in old.iter().zip(new) {
            if name == other {
                self.in_texts(old, new);
            }
        }
    }

    fn in_bodies(&mut self, old: &RecordedBody, new: &RecordedBody) {
        let (RecordedBody::Text(old), RecordedBody::Text(new)) = (old, new) else {
            return;
        };
        if !old.contains(REDACTED) || old == new {
            return;
        }
        match (serde_json::from_str(old), serde_json::from_str(new)) {
            (Ok(old), Ok(new)) => self.in_values(&old, &new),
            _ => self.in_texts(old, new),
        }
    }

    fn in_values(&mut self, old: &Value, new: &Value) {
        match (old, new) {
            (Value::String(old), Value::String(new)) => self.in_texts(old, new),
            (Value::Object(old), Value::Object(new)) => {
                for (name, old) in old {
                    if let Some(new) = new.get(name) {
                        self.in_values(old, new);
                    }
                }
            }
            (Value::Array(old), Value::Array(new)) => {
                for (old, new) in old.iter().zip(new) {
                    self.in_values(old, new);
                }
            }
            _ => {}
        }
    }

    fn in_texts(&mut self, old: &str, new: &str) {
        if !old.contains(REDACTED) {
            return;
        }
        for value in fillings(old, new).unwrap_or_default() {
            if self.0.len() < VALUES_MAX && !self.0.contains(&value) {
                self.0.push(value);
            }
        }
    }
}

fn mask_result(result: &mut RunResult, redactor: &Redactor) {
    mask_text(&mut result.reason, redactor);
    if let Some(reply) = &mut result.reply {
        mask_headers(&mut reply.headers, redactor);
        mask_body(&mut reply.body, redactor);
    }
    for row in &mut result.rows {
        mask_body(&mut row.row, redactor);
    }
    mask_keys(&mut result.kv, redactor);
    for change in result.kv.values_mut() {
        if let RecordedChange::Set { value, .. } = change {
            mask_body(value, redactor);
        }
    }
    mask_keys(&mut result.conditions, redactor);
    for value in result.conditions.values_mut().flatten() {
        mask_body(value, redactor);
    }
    for one in &mut result.emitted {
        let texts = [&mut one.event_type, &mut one.key];
        for text in texts.into_iter().flatten() {
            mask_text(text, redactor);
        }
        mask_headers(&mut one.headers, redactor);
        mask_body(&mut one.body, redactor);
    }
}

fn mask_keys<T>(map: &mut BTreeMap<String, T>, redactor: &Redactor) {
    let masked = std::mem::take(map).into_iter();
    *map = masked
        .map(|(key, value)| (redactor.text(&key).into_owned(), value))
        .collect();
}

fn mask_headers(headers: &mut [(String, String)], redactor: &Redactor) {
    for (_, value) in headers {
        mask_text(value, redactor);
    }
}

fn mask_text(text: &mut String, redactor: &Redactor) {
    *text = redactor.text(text).into_owned();
}

fn mask_body(body: &mut RecordedBody, redactor: &Redactor) {
    match body {
        RecordedBody::Digest { beginning, .. } => mask_text(beginning, redactor),
        RecordedBody::Text(_) | RecordedBody::Binary { .. } => {
            let bytes: Bytes = body.bytes().unwrap_or_default();
            *body = RecordedBody::new(&redactor.bytes(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use landfall_model::recording::{RecordedReply, RecordedRow};

    use super::*;

    fn recording(row: &str, reply: &str, key: &str) -> Recording {
        let change = RecordedChange::Set {
            value: RecordedBody::new(b"1"),
            expires_in_s: None,
        };
        let result = RunResult {
            reply: Some(RecordedReply {
                status: 200,
                headers: vec![("x-note".into(), reply.into())],
                body: RecordedBody::new(reply.as_bytes()),
            }),
            rows: vec![RecordedRow {
                table: "t".into(),
                row: RecordedBody::new(row.as_bytes()),
            }],
            kv: [(key.to_owned(), change)].into(),
            ..RunResult::default()
        };
        Recording {
            result,
            ..Recording::default()
        }
    }

    #[test]
    fn results_are_masked_like_recorded_ones() {
        let recorded = recording(
            "{\"k\":\"[redacted]\",\"n\":1}",
            "is [redacted]",
            "k:[redacted]",
        );
        let run = |row: &str| RecordedRun {
            recording: recording(row, "is order-1", "k:order-1"),
            missing: vec![Missing::Value {
                key: "x:order-1".into(),
            }],
        };
        let same = masked_alike(&recorded, run("{\"k\":\"order-1\",\"n\":1}"));
        assert_eq!(same.recording, recorded);
        assert_eq!(
            same.missing,
            [Missing::Value {
                key: "x:[redacted]".into()
            }]
        );

        // What differs elsewhere still differs, without the value.
        let other = masked_alike(
            &recorded,
            run("{\"k\":\"order-1\",\"n\":2,\"s\":\"order-1\"}"),
        );
        let rows = &other.recording.result.rows;
        let expected = "{\"k\":\"[redacted]\",\"n\":2,\"s\":\"[redacted]\"}";
        assert_eq!(rows[0].row, RecordedBody::new(expected.as_bytes()));
    }

    #[test]
    fn nothing_masked_changes_nothing() {
        let recorded = recording("{\"k\":\"order-1\"}", "order-1", "k");
        let run = RecordedRun {
            recording: recording("{\"k\":\"order-2\"}", "order-2", "k"),
            missing: Vec::new(),
        };
        assert_eq!(masked_alike(&recorded, run.clone()), run);
    }
}
