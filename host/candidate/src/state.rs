//! What all nodes remember of a hook's candidates: those that are tried, the one that was promoted,
//! those that were rolled back. It is one JSON document in the ledger; each change of it is a
//! transition here. Digests are SHA-256 in hex.

use serde::{Deserialize, Serialize};

/// Candidates that are tried at the same time: nodes may have different files for a while.
const RUNNING_MAX: usize = 4;
/// Versions that are not tried again. A further one replaces the oldest.
const REJECTED_MAX: usize = 16;
/// Decisions that are remembered.
const DECISIONS_MAX: usize = 10;
/// The most characters of a reason.
const REASON_CHARACTERS_MAX: usize = 300;

/// What is remembered of a hook's candidates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateState {
    /// Versions that are tried.
    #[serde(default)]
    pub running: Vec<Running>,
    /// The version that serves instead of the component's file.
    #[serde(default)]
    pub promoted: Option<Promoted>,
    /// Versions that were rolled back, the newest last.
    #[serde(default)]
    pub rejected: Vec<String>,
    /// The newest first.
    #[serde(default)]
    pub decisions: Vec<Decision>,
    /// Since when no node has the hook, in ms of ledger time. `None`: a node has it.
    #[serde(default)]
    pub gone_ms: Option<i64>,
}

/// A version that is tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The version.
    pub digest: String,
    /// When that began, in ms since 1970. For people: the rules go by `age_ms`.
    pub since_ms: i64,
    /// For how long nodes have tried it, by clocks that only go forward. It is noted now and then.
    #[serde(default)]
    pub age_ms: u64,
    /// Whether events run on it. The time of a shadow does not count for the rules of a canary.
    #[serde(default)]
    pub is_canary: bool,
}

/// A version that serves instead of the component's file, as long as that file is the one that it
/// has replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promoted {
    /// The version that serves.
    pub digest: String,
    /// The version of the component's file.
    pub over: String,
    /// The version that served before.
    pub previous: String,
}

/// A decision on a candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// In ms since 1970.
    pub at_ms: i64,
    /// What was decided.
    pub decided: Decided,
    /// The version that it concerns.
    pub digest: String,
    /// Who decided.
    pub by: By,
    /// Why.
    pub reason: String,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decided {
    /// The candidate is tried.
    Started,
    /// It serves.
    Promoted,
    /// It no longer runs.
    RolledBack,
}

/// Who has decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// A rule of `[candidate]`.
    Rule,
    /// An operator.
    Operator,
}

// === impl CandidateState ===

impl CandidateState {
    /// Since when a version is tried.
    pub fn since_ms(&self, digest: &str) -> Option<i64> {
        let running = self.running.iter().find(|one| one.digest == digest)?;
        Some(running.since_ms)
    }

    /// For how long a version has been tried, as far as that is noted.
    pub fn age_ms(&self, digest: &str) -> Option<u64> {
        let running = self.running.iter().find(|one| one.digest == digest)?;
        Some(running.age_ms)
    }

    /// Notes for how long a version has been tried. False, and nothing changes: it is not tried, or
    /// another node has tried it for as long.
    pub fn note_age(&mut self, digest: &str, age_ms: u64) -> bool {
        let mut running = self.running.iter_mut();
        let running = running.find(|one| one.digest == digest && one.age_ms < age_ms);
        let Some(running) = running else {
            return false;
        };
        running.age_ms = age_ms;
        true
    }

    /// Whether one more trial would end another one.
    pub fn is_full(&self) -> bool {
        self.running.len() >= RUNNING_MAX
    }

    /// Whether a version was rolled back.
    pub fn is_rejected(&self, digest: &str) -> bool {
        self.rejected.iter().any(|rejected| rejected == digest)
    }

    /// The version that serves in place of the component's file `file`.
    pub fn promoted_over(&self, file: &str) -> Option<&Promoted> {
        self.promoted.as_ref().filter(|one| one.over == file)
    }

    /// The versions that must be kept, whatever happens to their files.
    pub fn kept(&self) -> impl Iterator<Item = &str> {
        let promoted = self.promoted.iter();
        promoted.flat_map(|one| [one.digest.as_str(), one.previous.as_str()])
    }

    /// The decision that ended the last trial of a version.
    pub fn end_of(&self, digest: &str) -> Option<&Decision> {
        let mut decisions = self.decisions.iter();
        decisions.find(|one| one.digest == digest && one.decided != Decided::Started)
    }

    /// Begins to try a version. False, and nothing changes: it is tried already in this way, or was
    /// rolled back.
    pub fn start(&mut self, digest: &str, is_canary: bool, now_ms: i64) -> bool {
        let mut running = self.running.iter();
        let is_tried = running.any(|one| one.digest == digest && one.is_canary == is_canary);
        if is_tried || self.is_rejected(digest) {
            return false;
        }
        self.running.retain(|one| one.digest != digest);
        if self.is_full() {
            self.running.remove(0);
        }
        self.running.push(Running {
            digest: digest.to_owned(),
            since_ms: now_ms,
            age_ms: 0,
            is_canary,
        });
        let reason = "the hook file names it as a candidate";
        self.decide(Decided::Started, digest, By::Rule, reason, now_ms);
        true
    }

    /// Ends the trial of a version without a decision: no node has it as a candidate any more.
    /// False, and nothing changes: it was not tried.
    pub fn stop(&mut self, digest: &str) -> bool {
        let before = self.running.len();
        self.running.retain(|one| one.digest != digest);
        self.running.len() < before
    }

    /// Notes that the hook is gone since this ledger time, or that it is there. False: that is
    /// known.
    pub fn set_gone(&mut self, gone_ms: Option<i64>) -> bool {
        let is_known = self.gone_ms.is_some() == gone_ms.is_some();
        if !is_known {
            self.gone_ms = gone_ms;
        }
        !is_known
    }

    /// Makes a version the serving one, in place of the component's file `file`. `serving` has
    /// served until now.
    pub fn promote(
        &mut self,
        digest: &str,
        (file, serving): (&str, &str),
        by: By,
        reason: &str,
        now_ms: i64,
    ) {
        self.running.retain(|one| one.digest != digest);
        self.rejected.retain(|one| one != digest);
        self.promoted = Some(Promoted {
            digest: digest.to_owned(),
            over: file.to_owned(),
            previous: serving.to_owned(),
        });
        self.decide(Decided::Promoted, digest, by, reason, now_ms);
    }

    /// Ends the trial of a version. It is not tried again.
    pub fn roll_back(&mut self, digest: &str, by: By, reason: &str, now_ms: i64) {
        self.running.retain(|one| one.digest != digest);
        self.reject(digest);
        self.decide(Decided::RolledBack, digest, by, reason, now_ms);
    }

    /// Returns from the promoted version to the one before. Gives that one's digest. `None`, and
    /// nothing changes: no promoted version serves in place of the component's file `file`.
    pub fn revert(&mut self, file: &str, by: By, reason: &str, now_ms: i64) -> Option<String> {
        let Promoted {
            digest, previous, ..
        } = self.promoted_over(file)?.clone();
        self.promoted = (previous != file).then(|| Promoted {
            digest: previous.clone(),
            over: file.to_owned(),
            previous: file.to_owned(),
        });
        self.reject(&digest);
        self.decide(Decided::RolledBack, &digest, by, reason, now_ms);
        Some(previous)
    }

    fn reject(&mut self, digest: &str) {
        self.rejected.retain(|one| one != digest);
        if self.rejected.len() >= REJECTED_MAX {
            self.rejected.remove(0);
        }
        self.rejected.push(digest.to_owned());
    }

    fn decide(&mut self, decided: Decided, digest: &str, by: By, reason: &str, at_ms: i64) {
        self.decisions.truncate(DECISIONS_MAX - 1);
        let decision = Decision {
            at_ms,
            decided,
            digest: digest.to_owned(),
            by,
            reason: reason.chars().take(REASON_CHARACTERS_MAX).collect(),
        };
        self.decisions.insert(0, decision);
    }
}

// === impl Decided ===

impl Decided {
    /// The word in logs, metrics and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Decided::Started => "started",
            Decided::Promoted => "promoted",
            Decided::RolledBack => "rolled-back",
        }
    }
}

// === impl By ===

impl By {
    /// The word in logs and JSON.
    pub fn word(self) -> &'static str {
        match self {
            By::Rule => "rule",
            By::Operator => "operator",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "aa";

    #[test]
    fn promotions_hold_for_their_file() {
        let mut state = CandidateState::default();
        assert!(state.start("bb", true, 1));
        assert!(!state.start("bb", true, 2), "it is tried already");
        assert_eq!(state.since_ms("bb"), Some(1));
        state.promote("bb", (FILE, FILE), By::Rule, "good", 3);
        assert_eq!(state.since_ms("bb"), None);
        assert_eq!(state.promoted_over(FILE).unwrap().digest, "bb");
        assert_eq!(state.promoted_over("other"), None);

        state.promote("cc", (FILE, "bb"), By::Rule, "good", 4);
        assert_eq!(state.kept().collect::<Vec<_>>(), ["cc", "bb"]);
        let back = state.revert(FILE, By::Operator, "slow", 5);
        assert_eq!(back.as_deref(), Some("bb"));
        assert_eq!(state.promoted_over(FILE).unwrap().digest, "bb");
        assert!(state.is_rejected("cc") && !state.start("cc", true, 6));
        let back = state.revert(FILE, By::Operator, "slow", 7);
        assert_eq!(back.as_deref(), Some(FILE));
        assert_eq!(state.promoted, None);
        assert_eq!(state.revert(FILE, By::Operator, "slow", 8), None);
    }

    #[test]
    fn shadow_time_is_no_canary_time() {
        let mut state = CandidateState::default();
        assert!(state.start("bb", false, 1));
        assert!(!state.start("bb", false, 2));
        assert!(state.start("bb", true, 3));
        assert_eq!((state.since_ms("bb"), state.running.len()), (Some(3), 1));

        // A trial that was ended begins anew.
        assert!(state.note_age("bb", 7) && state.age_ms("bb") == Some(7));
        assert!(state.stop("bb") && !state.stop("bb"));
        assert!(state.start("bb", true, 4));
        assert_eq!(
            (state.since_ms("bb"), state.age_ms("bb")),
            (Some(4), Some(0))
        );
    }

    #[test]
    fn ages_only_grow() {
        let mut state = CandidateState::default();
        assert!(!state.note_age("bb", 5), "it is not tried");
        state.start("bb", true, 1);
        state.start("cc", true, 1);
        assert!(state.note_age("bb", 5));
        assert!(!state.note_age("bb", 5) && !state.note_age("bb", 4));
        assert_eq!((state.age_ms("bb"), state.age_ms("cc")), (Some(5), Some(0)));
        assert!(state.stop("bb"));
        assert_eq!((state.age_ms("bb"), state.age_ms("cc")), (None, Some(0)));
    }

    #[test]
    fn the_first_absence_counts() {
        let mut state = CandidateState::default();
        assert!(!state.set_gone(None));
        assert!(state.set_gone(Some(5)) && !state.set_gone(Some(9)));
        assert_eq!(state.gone_ms, Some(5));
        assert!(state.set_gone(None) && state.set_gone(Some(9)));
        assert_eq!(state.gone_ms, Some(9));
    }

    #[test]
    fn rolled_back_versions_stay_away() {
        let mut state = CandidateState::default();
        state.start("bb", true, 1);
        state.roll_back("bb", By::Rule, "traps", 2);
        assert!(!state.start("bb", true, 3));
        assert!(state.start("cc", true, 4), "another version of the file");
        assert_eq!(state.end_of("bb").unwrap().reason, "traps");
        // An operator may promote it nevertheless.
        state.promote("bb", (FILE, FILE), By::Operator, "fixed elsewhere", 5);
        assert!(!state.is_rejected("bb"));
    }

    #[test]
    fn the_state_is_bounded() {
        let mut state = CandidateState::default();
        for number in 0..100 {
            let digest = number.to_string();
            state.start(&digest, true, number);
            if number % 2 == 0 {
                state.roll_back(&digest, By::Rule, &"x".repeat(1_000), number);
            }
        }
        assert_eq!(state.running.len(), RUNNING_MAX);
        assert_eq!(state.rejected.len(), REJECTED_MAX);
        assert_eq!(state.decisions.len(), DECISIONS_MAX);
        assert!(serde_json::to_string(&state).unwrap().len() < 8 << 10);
        let text = serde_json::to_string(&state).unwrap();
        let read: CandidateState = serde_json::from_str(&text).unwrap();
        assert_eq!(read, state);
    }
}
