//! What shadow runs have found. The size is bounded: one sample of each kind of difference.

use std::collections::BTreeMap;

use landfall_model::recording::{Comparison, DifferenceKind, Verdict};
use landfall_model::{EventId, ShadowReport, ShadowSample};
use serde_json::Value;

/// The most characters of a value that a sample shows.
const SHOWN_CHARACTERS_MAX: usize = 300;

/// The findings since the start of a trial.
#[derive(Debug, Clone, Default)]
pub struct ShadowFindings {
    runs: u64,
    different: u64,
    unanswered: u64,
    truncated: u64,
    dropped: u64,
    /// Runs with a difference of this kind, and the first one.
    kinds: BTreeMap<DifferenceKind, (u64, ShadowSample)>,
}

// === impl ShadowFindings ===

impl ShadowFindings {
    /// Adds a run that has ended.
    pub fn add(&mut self, event: &EventId, comparison: &Comparison) -> Verdict {
        let verdict = comparison.verdict(&[]);
        self.runs += 1;
        match verdict {
            Verdict::Same => {}
            Verdict::Differs => self.different += 1,
            Verdict::Unanswered => self.unanswered += 1,
            Verdict::Truncated => self.truncated += 1,
        }

        let mut last = None;
        for difference in &comparison.differences {
            // The differences are in the order of their kinds: a run counts once for each.
            if last.replace(difference.kind) == Some(difference.kind) {
                continue;
            }
            let found = self.kinds.entry(difference.kind).or_insert_with(|| {
                let sample = ShadowSample {
                    event: event.to_string(),
                    kind: difference.kind.word().to_owned(),
                    place: difference.place.clone(),
                    serving: shown(&difference.recorded),
                    candidate: shown(&difference.found),
                };
                (0, sample)
            });
            found.0 += 1;
        }
        verdict
    }

    /// An attempt was not repeated, because too many waited.
    pub fn drop_one(&mut self) {
        self.dropped += 1;
    }

    /// What an operator sees.
    pub fn report(&self) -> ShadowReport {
        let kinds = self.kinds.iter();
        ShadowReport {
            runs: self.runs,
            different: self.different,
            unanswered: self.unanswered,
            truncated: self.truncated,
            dropped: self.dropped,
            kinds: kinds
                .map(|(kind, (count, _))| (kind.word().to_owned(), *count))
                .collect(),
            samples: self.kinds.values().map(|(_, one)| one.clone()).collect(),
        }
    }
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    text.chars().take(SHOWN_CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use landfall_model::recording::{
        RecordedReply, RecordedRun, Recording, RunResult, Tolerance, compare,
    };

    use super::*;

    fn recording(status: u16) -> Recording {
        let reply = RecordedReply {
            status,
            headers: Vec::new(),
            body: Default::default(),
        };
        Recording {
            result: RunResult {
                outcome: "done".into(),
                reply: Some(reply),
                ..RunResult::default()
            },
            ..Recording::default()
        }
    }

    #[test]
    fn each_kind_has_one_sample() {
        let mut findings = ShadowFindings::default();
        for (number, status) in [200, 500, 503, 200].into_iter().enumerate() {
            let event = EventId::numbered(SystemTime::UNIX_EPOCH, 1, number as u64);
            let run = RecordedRun {
                recording: recording(status),
                missing: Vec::new(),
            };
            let comparison = compare(&recording(200), &run, &Tolerance::default());
            findings.add(&event, &comparison);
        }
        findings.drop_one();

        let report = findings.report();
        assert_eq!((report.runs, report.different, report.dropped), (4, 2, 1));
        assert_eq!(report.kinds, [("reply".to_owned(), 2)].into());
        assert_eq!(report.samples.len(), 1);
        assert_eq!(
            (&*report.samples[0].serving, &*report.samples[0].candidate),
            ("200", "500")
        );
    }
}
