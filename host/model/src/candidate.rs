//! A candidate: a version of a component that is tried beside the serving one, and what operators
//! see of it.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::component_digest::ComponentDigest;

/// `[candidate]` of a hook file.
#[derive(Debug, Clone, PartialEq)]
pub struct CandidateSpec {
    /// A file name in the plugins directory.
    pub component: String,
    /// The only version of the file that is tried. `None`: every version.
    pub digest: Option<ComponentDigest>,
    /// How it is tried.
    pub trial: Trial,
}

/// How a candidate is tried.
#[derive(Debug, Clone, PartialEq)]
pub enum Trial {
    /// It repeats attempts of the serving version without effects.
    Shadow,
    /// It runs a share of the events with effects, until a rule decides.
    Canary(CanaryRules),
}

/// When a canary is promoted or rolled back.
#[derive(Debug, Clone, PartialEq)]
pub struct CanaryRules {
    /// The share of events, in percent: 0.1 to 50.
    pub share: f64,
    /// It is promoted after this time. `None`: only by an operator.
    pub after: Option<Duration>,
    /// No rule decides before the candidate has run so many attempts, and none promotes before the
    /// serving version has.
    pub min_runs: u64,
    /// It is rolled back if its failure rate exceeds that of the serving version by more than this,
    /// in percentage points, and not by chance.
    pub max_failure_rate: f64,
    /// It is rolled back if its 99th percentile exceeds that of the serving version by more than
    /// this factor, from 200 attempts of each.
    pub max_p99: f64,
}

/// A hook's candidate, for the operator. Times are in RFC 3339, digests are SHA-256 in hex.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct CandidateReport {
    /// The hook.
    pub hook: String,
    /// `none`, `loading`, `shadow`, `canary`, `promoted`, `superseded` (it was promoted, and the
    /// component's file has changed since), `rolled-back`, `refused` (it cannot be tried), or
    /// `serving` (it is the version that serves).
    #[schema(example = "canary")]
    pub phase: &'static str,
    /// The file of the candidate.
    pub component: Option<String>,
    /// The version in that file.
    pub digest: Option<String>,
    /// The version that serves.
    pub serving: Option<String>,
    /// The version to which a rollback returns, if the serving one was promoted.
    pub previous: Option<String>,
    /// The share of events that the candidate runs, in percent.
    pub share: Option<f64>,
    /// Since when it is tried.
    pub since: Option<String>,
    /// What a rule waits for, or why the candidate is not tried.
    pub detail: Option<String>,
    /// What was counted for the candidate since it is tried. A node that starts counts anew.
    pub candidate_runs: VersionRuns,
    /// What was counted for the serving version in the same time.
    pub serving_runs: VersionRuns,
    /// What shadow runs have found.
    pub shadow: Option<ShadowReport>,
    /// The newest decisions first, at most 10.
    pub decisions: Vec<CandidateDecision>,
}

/// What was counted for one version.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct VersionRuns {
    /// Attempts.
    pub runs: u64,
    /// Attempts that were neither done nor deferred.
    pub failed: u64,
    /// The 99th percentile of their durations, in ms, rounded up by at most a quarter.
    pub p99_ms: Option<f64>,
}

/// What shadow runs have found since the candidate is tried. A node that starts counts anew.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct ShadowReport {
    /// Attempts that were repeated.
    pub runs: u64,
    /// Repeated attempts that differed.
    pub different: u64,
    /// Repeated attempts in which the candidate asked for something that the serving version did not
    /// ask for, such as another call. They say nothing more of it.
    pub unanswered: u64,
    /// Attempts that were too large to be recorded.
    pub truncated: u64,
    /// Attempts that were not repeated, because too many waited.
    pub dropped: u64,
    /// Runs with a difference of this kind.
    pub kinds: std::collections::BTreeMap<String, u64>,
    /// The first difference of each kind.
    pub samples: Vec<ShadowSample>,
}

/// One difference between the serving version and the candidate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct ShadowSample {
    /// The event.
    pub event: String,
    /// What differs.
    #[schema(example = "reply")]
    pub kind: String,
    /// Where.
    pub place: String,
    /// Of the serving version.
    pub serving: String,
    /// Of the candidate.
    pub candidate: String,
}

/// A decision on a candidate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct CandidateDecision {
    /// When.
    pub at: String,
    /// `started`, `promoted` or `rolled-back`.
    #[schema(example = "promoted")]
    pub decision: String,
    /// The version that it concerns.
    pub digest: String,
    /// `rule` or `operator`.
    #[schema(example = "rule")]
    pub by: String,
    /// Why.
    pub reason: String,
}
