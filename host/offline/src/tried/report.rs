//! What the runs on recordings have shown: differences in groups, with a sample of each.

use std::collections::BTreeMap;
use std::fmt::Write;

use landfall_model::printable;
use landfall_model::recording::{Comparison, Difference, DifferenceKind, Verdict};
use serde_json::{Value, json};

use super::allowed::Allowed;
use crate::difference::diff_of;

/// The most groups. Differences of further ones are counted together.
const GROUPS_MAX: usize = 200;
const FURTHER: &str = "further places";
/// The most lines of a sample.
const SAMPLE_LINES_MAX: usize = 40;

/// The result of trying a component.
#[derive(Debug)]
pub struct TryReport {
    pub(super) hook: String,
    pub(super) component: String,
    pub(super) digest: String,
    /// Attempts by what the comparison says of them.
    verdicts: BTreeMap<Verdict, usize>,
    /// Attempts in which only allowed differences were found. They also count as the same.
    pub(super) allowed: usize,
    /// Attempts that were not run, by reason.
    pub(super) not_run: BTreeMap<&'static str, usize>,
    pub(super) groups: BTreeMap<GroupKey, Group>,
}

/// Differences with the same key belong together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupKey {
    pub(super) kind: DifferenceKind,
    pub(super) place: String,
    /// They follow from a question without a recorded answer, and do not count.
    pub(super) follows: bool,
}

/// Differences of one kind at one place.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) attempts: usize,
    pub(super) is_allowed: bool,
    pub(super) sample: Sample,
}

#[derive(Debug)]
pub(super) struct Sample {
    pub(super) event: String,
    pub(super) delivery: i64,
    pub(super) attempt: u64,
    /// Values of the recording are masked, so that what the component computes of them differs.
    pub(super) is_masked: bool,
    pub(super) difference: Difference,
}

// === impl TryReport ===

impl TryReport {
    pub(super) fn new(hook: &str, component: &str, digest: &str) -> TryReport {
        TryReport {
            hook: hook.to_owned(),
            component: component.to_owned(),
            digest: digest.to_owned(),
            verdicts: BTreeMap::new(),
            allowed: 0,
            not_run: BTreeMap::new(),
            groups: BTreeMap::new(),
        }
    }

    pub(super) fn add_not_run(&mut self, why: &'static str) {
        *self.not_run.entry(why).or_default() += 1;
    }

    /// Adds the comparison of an attempt, as the admin API shows the attempt.
    pub(super) fn add(
        &mut self,
        shown: &Value,
        compared: Comparison,
        is_masked: bool,
        allowed: &[Allowed],
    ) {
        let Comparison {
            mut differences,
            mut following,
        } = compared;
        let is_open = differences
            .iter()
            .any(|one| one.kind.is_question() && !is_meant(one, allowed));
        if !is_open {
            differences.append(&mut following);
        }
        let (meant, left): (Vec<Difference>, Vec<Difference>) = differences
            .into_iter()
            .partition(|one| is_meant(one, allowed));
        let left = Comparison {
            differences: left,
            following: Vec::new(),
        };
        let verdict = left.verdict(&[]);
        *self.verdicts.entry(verdict).or_default() += 1;
        if verdict == Verdict::Same && !meant.is_empty() {
            self.allowed += 1;
        }

        let meant = meant.into_iter().map(|one| (one, false));
        let left = left.differences.into_iter().map(|one| (one, false));
        let following = following.into_iter().map(|one| (one, true));
        let mut counted = Vec::new();
        for (difference, follows) in meant.chain(left).chain(following) {
            let mut group = GroupKey {
                kind: difference.kind,
                place: difference.place.clone(),
                follows,
            };
            let is_allowed = is_meant(&difference, allowed);
            if !self.groups.contains_key(&group) && self.groups.len() >= GROUPS_MAX {
                group.place = FURTHER.to_owned();
            }
            // A place in a list can differ several times in one attempt.
            if counted.contains(&group) {
                continue;
            }
            let found = self.groups.entry(group.clone()).or_insert_with(|| Group {
                attempts: 0,
                is_allowed,
                sample: Sample::new(shown, is_masked, difference),
            });
            found.attempts += 1;
            counted.push(group);
        }
    }

    /// How many attempts were run.
    pub fn attempts(&self) -> usize {
        self.verdicts.values().sum()
    }

    /// Whether attempts were run, and nothing differs except what is allowed.
    pub fn is_same(&self) -> bool {
        self.attempts() > 0 && self.count(Verdict::Same) == self.attempts()
    }

    pub(super) fn count(&self, verdict: Verdict) -> usize {
        self.verdicts.get(&verdict).copied().unwrap_or_default()
    }

    /// The report as one object.
    pub fn to_json(&self) -> Value {
        let groups = self.groups.iter().map(|(key, group)| {
            let sample = &group.sample;
            json!({
                "kind": key.kind.word(),
                "place": key.place,
                "attempts": group.attempts,
                "allowed": group.is_allowed,
                "measured": key.kind.is_measured(),
                "follows": key.follows,
                "sample": {
                    "event": sample.event,
                    "delivery": sample.delivery,
                    "attempt": sample.attempt,
                    "masked": sample.is_masked,
                    "recorded": sample.difference.recorded,
                    "found": sample.difference.found,
                },
            })
        });
        json!({
            "hook": self.hook,
            "component": self.component,
            "digest": self.digest,
            "attempts": self.attempts(),
            "same": self.count(Verdict::Same),
            "allowed": self.allowed,
            "differs": self.count(Verdict::Differs),
            "unanswered": self.count(Verdict::Unanswered),
            "truncated": self.count(Verdict::Truncated),
            "not_run": self.not_run,
            "is_same": self.is_same(),
            "groups": groups.collect::<Vec<_>>(),
        })
    }

    /// The report for people.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (key, group) in &self.groups {
            let note = if group.is_allowed {
                "  (allowed)"
            } else if key.kind.is_measured() {
                "  (measured: does not count)"
            } else if key.follows {
                "  (follows from what is not recorded: does not count)"
            } else {
                ""
            };
            let (kind, place) = (key.kind.word(), printable(&key.place));
            let counted = counted(group.attempts);
            writeln!(text, "{kind}  {place}  {counted}{note}").expect(ANY_TEXT);
            text += &group.sample.to_text();
            text.push('\n');
        }

        let all = self.attempts();
        let component = printable(&self.component);
        writeln!(
            text,
            "{} of hook {} on {component}",
            counted(all),
            self.hook
        )
        .expect(ANY_TEXT);
        let allowed = match self.allowed {
            0 => String::new(),
            allowed => format!(" ({allowed} of them with allowed differences)"),
        };
        let counts = [
            ("same", self.count(Verdict::Same), allowed.as_str()),
            ("differ", self.count(Verdict::Differs), ""),
            (
                "unanswered",
                self.count(Verdict::Unanswered),
                ": asked for something that is not recorded",
            ),
            (
                "truncated",
                self.count(Verdict::Truncated),
                ": exceed the limits of a recording, and say nothing",
            ),
        ];
        for (word, count, note) in counts {
            let note = if count > 0 { note } else { "" };
            writeln!(text, "  {word:<11}{count:>6}{note}").expect(ANY_TEXT);
        }
        for (why, count) in &self.not_run {
            writeln!(text, "  not run    {count:>6}: {why}").expect(ANY_TEXT);
        }
        text.trim_end().to_owned()
    }
}

fn is_meant(difference: &Difference, allowed: &[Allowed]) -> bool {
    allowed.iter().any(|allowed| allowed.includes(difference))
}

const ANY_TEXT: &str = "a String takes any text";

fn counted(attempts: usize) -> String {
    match attempts {
        1 => "1 attempt".to_owned(),
        count => format!("{count} attempts"),
    }
}

// === impl Sample ===

impl Sample {
    fn new(shown: &Value, is_masked: bool, difference: Difference) -> Sample {
        Sample {
            event: shown["event"]["id"].as_str().unwrap_or_default().to_owned(),
            delivery: shown["delivery"].as_i64().unwrap_or_default(),
            attempt: shown["attempt"].as_u64().unwrap_or_default(),
            is_masked,
            difference,
        }
    }

    fn to_text(&self) -> String {
        let mut text = format!("    event {}, attempt {}\n", self.event, self.attempt);
        if self.is_masked {
            text += "    values of this recording are masked: what is computed of them differs\n";
        }
        let Difference {
            recorded, found, ..
        } = &self.difference;
        let lines = diff_of(recorded, found);
        for line in lines.lines().take(SAMPLE_LINES_MAX) {
            writeln!(text, "    {}", printable(line)).expect(ANY_TEXT);
        }
        if lines.lines().nth(SAMPLE_LINES_MAX).is_some() {
            text += "    …\n";
        }
        text
    }
}
