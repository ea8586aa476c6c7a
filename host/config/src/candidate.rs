//! `[candidate]`: a version of the component that is tried beside the serving one.

use std::time::Duration;

use serde::Deserialize;

use super::hook_path::component_file;
use super::mistake::{Mistake, in_range, mistake};
use super::values::{Parsed, Time};
use landfall_model::{CanaryRules, CandidateSpec, ComponentDigest, Trial};

/// The table as typed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CandidateTable {
    component: Option<String>,
    digest: Option<Parsed<ComponentDigest>>,
    share: Option<f64>,
    after: Option<Time>,
    min_runs: Option<u64>,
    max_failure_rate: Option<f64>,
    max_p99: Option<f64>,
}

const DAY: u64 = 86_400;
const MIN_RUNS_DEFAULT: u64 = 50;
const MIN_RUNS_LIMIT: u64 = 1_000_000;
const FAILURE_RATE_DEFAULT: f64 = 1.0;
const P99_DEFAULT: f64 = 2.0;
const P99_LIMIT: f64 = 1000.0;

/// The candidate of the table. `serving`: the file of the hook's component. `is_pinned`: the hook
/// file has its digest.
pub(crate) fn candidate(
    table: CandidateTable,
    serving: &str,
    is_pinned: bool,
) -> Result<CandidateSpec, Mistake> {
    let Some(typed) = table.component.as_deref() else {
        let why = "[candidate] names the file to try: component = \"new.wasm\"";
        return mistake(&["candidate"], why);
    };
    let Some(component) = component_file(typed) else {
        let why = format!(
            "component `{}` must be the name of a file in the plugins directory, such as \"new.wasm\"",
            typed.escape_debug()
        );
        return mistake(&["candidate", "component"], why);
    };
    if component == serving {
        let why = format!("{component} is the file that serves: give the candidate another name");
        return mistake(&["candidate", "component"], why);
    }

    if is_pinned && table.digest.is_none() {
        let why = "the hook pins its component, and a candidate can come to serve in its place: pin it, too: digest = \"sha256:…\"";
        return mistake(&["candidate"], why);
    }

    Ok(CandidateSpec {
        component,
        digest: table.digest.as_ref().map(|digest| digest.0),
        trial: trial(&table)?,
    })
}

fn trial(table: &CandidateTable) -> Result<Trial, Mistake> {
    let Some(share) = table.share else {
        return match table.canary_key() {
            None => Ok(Trial::Shadow),
            Some(key) => mistake(
                key,
                "without share, the candidate runs as a shadow, and no rule decides: write share = 5 for 5 % of the events",
            ),
        };
    };
    if !(0.1..=50.0).contains(&share) {
        let why = format!("share = {share} is out of range: 0.1 to 50 percent");
        return mistake(&["candidate", "share"], why);
    }

    let after = match table.after {
        None => None,
        Some(time) => Some(in_range(
            &["candidate", "after"],
            Some(time),
            Duration::ZERO,
            1,
            30 * DAY,
        )?),
    };
    let min_runs = table.min_runs.unwrap_or(MIN_RUNS_DEFAULT);
    if !(1..=MIN_RUNS_LIMIT).contains(&min_runs) {
        let why = format!("min_runs = {min_runs} is out of range: 1 to {MIN_RUNS_LIMIT}");
        return mistake(&["candidate", "min_runs"], why);
    }
    let max_failure_rate = table.max_failure_rate.unwrap_or(FAILURE_RATE_DEFAULT);
    if !(0.0..=100.0).contains(&max_failure_rate) {
        let why = format!(
            "max_failure_rate = {max_failure_rate} is out of range: 0 to 100 percentage points"
        );
        return mistake(&["candidate", "max_failure_rate"], why);
    }
    let max_p99 = table.max_p99.unwrap_or(P99_DEFAULT);
    if !(1.0..=P99_LIMIT).contains(&max_p99) {
        let why = format!("max_p99 = {max_p99} is out of range: 1 to {P99_LIMIT} times");
        return mistake(&["candidate", "max_p99"], why);
    }
    Ok(Trial::Canary(CanaryRules {
        share,
        after,
        min_runs,
        max_failure_rate,
        max_p99,
    }))
}

// === impl CandidateTable ===

impl CandidateTable {
    /// The first key that only a canary has.
    fn canary_key(&self) -> Option<&'static [&'static str]> {
        if self.after.is_some() {
            Some(&["candidate", "after"])
        } else if self.min_runs.is_some() {
            Some(&["candidate", "min_runs"])
        } else if self.max_failure_rate.is_some() {
            Some(&["candidate", "max_failure_rate"])
        } else if self.max_p99.is_some() {
            Some(&["candidate", "max_p99"])
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<CandidateSpec, String> {
        let table: CandidateTable = toml::from_str(text).map_err(|error| error.to_string())?;
        candidate(table, "app.wasm", false).map_err(|mistake| mistake.message)
    }

    #[test]
    fn pinned_hooks_pin_their_candidates() {
        let read = |text: &str| {
            let table: CandidateTable = toml::from_str(text).unwrap();
            candidate(table, "app.wasm", true).map_err(|mistake| mistake.message)
        };
        let why = read("component = \"new.wasm\"").unwrap_err();
        assert!(why.contains("pin it, too"), "{why}");
        let digest = format!("sha256:{}", "0".repeat(64));
        let pinned = read(&format!("component = \"new.wasm\"\ndigest = \"{digest}\""));
        assert!(pinned.unwrap().digest.is_some());
    }

    #[test]
    fn a_canary_has_defaults() {
        let spec = read("component = \"new\"\nshare = 5\nafter = \"1h\"").unwrap();
        assert_eq!(spec.component, "new.wasm");
        let rules = CanaryRules {
            share: 5.0,
            after: Some(Duration::from_secs(3600)),
            min_runs: 50,
            max_failure_rate: 1.0,
            max_p99: 2.0,
        };
        assert_eq!(spec.trial, Trial::Canary(rules));
    }

    #[test]
    fn without_share_it_is_shadow() {
        let spec = read("component = \"new.wasm\"").unwrap();
        assert_eq!(spec.trial, Trial::Shadow);
    }

    #[test]
    fn mistakes_are_explained() {
        for (text, words) in [
            ("share = 5", "names the file to try"),
            ("component = \"a/b.wasm\"", "must be the name of a file"),
            ("component = \"app.wasm\"", "is the file that serves"),
            ("component = \"n\"\nshare = 0", "0.1 to 50 percent"),
            ("component = \"n\"\nshare = 51", "0.1 to 50 percent"),
            ("component = \"n\"\nafter = \"1h\"", "without share"),
            ("component = \"n\"\nshare = 5\nafter = \"31d\"", "1s to 30d"),
            ("component = \"n\"\nshare = 5\nmin_runs = 0", "1 to 1000000"),
            ("component = \"n\"\nshare = 5\nmax_p99 = 0.5", "1 to 1000"),
            (
                "component = \"n\"\nshare = 5\nmax_failure_rate = 101",
                "0 to 100",
            ),
            ("component = \"n\"\nshares = 5", "unknown field `shares`"),
        ] {
            let why = read(text).unwrap_err();
            assert!(why.contains(words), "{text}: {why}");
        }
    }
}
