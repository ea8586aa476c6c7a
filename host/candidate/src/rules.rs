//! When a canary is rolled back or promoted.

use std::time::Duration;

use landfall_model::CanaryRules;

use super::tally::Pair;

/// A longer percentile within this is no difference: timers and schedulers are not more precise.
const P99_SLACK: Duration = Duration::from_millis(20);
/// The percentile of fewer attempts is the time of the slowest one or two, which is chance.
const P99_RUNS_MIN: u64 = 200;
/// A candidate with fewer failures than this, beyond those that the serving version would have had,
/// has not failed too often yet.
const EXCESS_MIN: f64 = 3.0;
/// Standard deviations of the bounds of a failure rate. The rules look every second for hours, so
/// that a bound of 95 % would be exceeded by chance.
const DEVIATIONS: f64 = 4.0;

/// What the rules say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// No rule decides yet, and why.
    Wait(String),
    /// The candidate becomes the serving version, and why.
    Promote(String),
    /// The candidate ends, and why.
    RollBack(String),
}

/// How certain it is that the candidate is worse.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Worse {
    /// The counts exceed what is allowed, and may do so by chance.
    Perhaps(String),
    Certainly(String),
}

/// Compares the versions. `whole`: the counts since the start of the trial; `recent`: those of the
/// last minutes, so that a late failure is seen; `age`: the time since the start.
pub fn judge(rules: &CanaryRules, whole: &Pair, recent: &Pair, age: Duration) -> Verdict {
    let mut doubt = None;
    for (pair, when) in [
        (recent, "in the last 5 minutes"),
        (whole, "since its start"),
    ] {
        if pair.candidate.runs < rules.min_runs {
            continue;
        }
        for worse in [too_many_failures(rules, pair), too_slow(rules, pair)] {
            match worse {
                Some(Worse::Certainly(why)) => {
                    return Verdict::RollBack(format!("{why} {when}"));
                }
                Some(Worse::Perhaps(why)) => doubt = Some(format!("{why} {when}")),
                None => {}
            }
        }
    }

    let runs = whole.candidate.runs.min(whole.serving.runs);
    let Some(after) = rules.after else {
        return Verdict::Wait("no after is set: an operator promotes it".into());
    };
    if age < after {
        let left = Duration::from_secs((after - age).as_secs().max(1));
        let left = humantime::format_duration(left);
        return Verdict::Wait(format!("{left} until it can be promoted"));
    }
    if runs < rules.min_runs {
        let min_runs = rules.min_runs;
        return Verdict::Wait(format!(
            "the candidate has run {} and the serving version {} attempts: {min_runs} of each are needed",
            whole.candidate.runs, whole.serving.runs
        ));
    }
    if let Some(doubt) = doubt {
        return Verdict::Wait(format!(
            "more attempts must show whether it is chance: {doubt}"
        ));
    }
    Verdict::Promote(format!(
        "{} and {}, after {}",
        described("candidate", whole.candidate.failure_percent(), p99(whole).0),
        described("serving", whole.serving.failure_percent(), p99(whole).1),
        humantime::format_duration(after)
    ))
}

fn too_many_failures(rules: &CanaryRules, pair: &Pair) -> Option<Worse> {
    let candidate = pair.candidate.failure_percent();
    let serving = pair.serving.failure_percent();
    if candidate - serving <= rules.max_failure_rate {
        return None;
    }
    let why = format!(
        "{candidate:.1} % of {} attempts of the candidate failed, and {serving:.1} % of {} of the serving version",
        pair.candidate.runs, pair.serving.runs
    );
    let expected = pair.candidate.runs as f64 * serving / 100.0;
    let is_certain = pair.candidate.failed as f64 - expected >= EXCESS_MIN
        && least_excess_percent(pair) > rules.max_failure_rate;
    Some(if is_certain {
        Worse::Certainly(why)
    } else {
        Worse::Perhaps(why)
    })
}

/// The least by which the failure rate of the candidate exceeds that of the serving version, in
/// percentage points: the lower bound of Newcombe's interval for the difference of two rates, which
/// is made of their Wilson intervals. Without attempts of the serving version, its rate is 0.
fn least_excess_percent(pair: &Pair) -> f64 {
    let (candidate, serving) = (&pair.candidate, &pair.serving);
    let (rate, other) = (candidate.failure_percent(), serving.failure_percent());
    let (least, _) = candidate.failure_percent_bounds(DEVIATIONS);
    let most = match serving.runs {
        0 => other,
        _ => serving.failure_percent_bounds(DEVIATIONS).1,
    };
    rate - other - (rate - least).hypot(most - other)
}

/// Only if the serving version has run often enough to have a percentile.
fn too_slow(rules: &CanaryRules, pair: &Pair) -> Option<Worse> {
    if pair.serving.runs < rules.min_runs {
        return None;
    }
    let (Some(candidate), Some(serving)) = p99(pair) else {
        return None;
    };
    let limit = serving.mul_f64(rules.max_p99) + P99_SLACK;
    if candidate <= limit {
        return None;
    }
    let why = format!(
        "p99 of the candidate is {}, and {} of the serving version",
        shown(candidate),
        shown(serving)
    );
    let runs = pair.candidate.runs.min(pair.serving.runs);
    Some(if runs >= P99_RUNS_MIN {
        Worse::Certainly(why)
    } else {
        Worse::Perhaps(why)
    })
}

/// The percentiles of the candidate and of the serving version.
fn p99(pair: &Pair) -> (Option<Duration>, Option<Duration>) {
    (pair.candidate.p99(), pair.serving.p99())
}

fn described(version: &str, failure_percent: f64, p99: Option<Duration>) -> String {
    let p99 = p99.map_or_else(|| "unknown".to_owned(), shown);
    format!("{version}: {failure_percent:.1} % failed, p99 {p99}")
}

fn shown(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counts::Counts;
    use crate::tally::{Tally, Version};

    const HOUR: Duration = Duration::from_secs(3600);

    fn rules() -> CanaryRules {
        CanaryRules {
            share: 5.0,
            after: Some(HOUR),
            min_runs: 50,
            max_failure_rate: 1.0,
            max_p99: 2.0,
        }
    }

    fn counts(runs: u64, failed: u64, ms: u64) -> Counts {
        let mut counts = Counts::default();
        for number in 0..runs {
            counts.add(number < failed, Duration::from_millis(ms));
        }
        counts
    }

    fn pair(candidate: Counts, serving: Counts) -> Pair {
        Pair { candidate, serving }
    }

    fn word(verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Wait(_) => "wait",
            Verdict::Promote(_) => "promote",
            Verdict::RollBack(_) => "roll back",
        }
    }

    #[test]
    fn versions_are_compared() {
        let good = || counts(1_000, 0, 10);
        for (candidate, serving, expected) in [
            (counts(50, 0, 10), good(), "promote"),
            (counts(49, 0, 10), good(), "wait"),
            (counts(50, 0, 10), counts(49, 0, 10), "wait"),
            // Too few runs for any rule.
            (counts(49, 49, 10), good(), "wait"),
            // May be chance: neither.
            (counts(50, 1, 10), good(), "wait"),
            (counts(50, 4, 10), counts(1_000, 10, 10), "wait"),
            (counts(50, 1, 10), counts(1_000, 10, 10), "promote"),
            (counts(50, 5, 10), good(), "roll back"),
            (counts(50, 50, 10), counts(50, 0, 10), "roll back"),
            // The serving version has failed by chance, too.
            (counts(50, 10, 10), counts(50, 2, 10), "wait"),
            (counts(1_000, 10, 10), good(), "promote"),
            // The serving version fails as often.
            (counts(100, 50, 10), counts(100, 50, 10), "promote"),
            (counts(100, 0, 10), counts(100, 100, 10), "promote"),
            (counts(199, 0, 100), good(), "wait"),
            (counts(1_000, 0, 100), counts(199, 0, 10), "wait"),
            (counts(200, 0, 100), counts(200, 0, 10), "roll back"),
            (counts(100, 0, 25), good(), "promote"),
            // No percentile to compare with.
            (counts(100, 0, 100), counts(10, 0, 10), "wait"),
            (counts(100, 9, 10), Counts::default(), "roll back"),
        ] {
            let whole = pair(candidate, serving);
            let verdict = judge(&rules(), &whole, &Pair::default(), HOUR);
            assert_eq!(word(&verdict), expected, "{whole:?}: {verdict:?}");
        }
    }

    #[test]
    fn few_failures_decide_nothing() {
        let rules = CanaryRules {
            min_runs: 1,
            ..rules()
        };
        for (failed, expected) in [(1, "wait"), (2, "wait"), (3, "roll back")] {
            let whole = pair(counts(failed, failed, 10), counts(1_000, 0, 10));
            let verdict = judge(&rules, &whole, &Pair::default(), HOUR);
            assert_eq!(word(&verdict), expected, "{verdict:?}");
        }
    }

    /// Both versions fail at 1 %, and the rules look after each attempt of an hour. The random
    /// numbers are the same in each run of the test.
    #[test]
    fn equal_versions_are_kept() {
        let mut state = 1_u64;
        let mut fails = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33).is_multiple_of(100)
        };
        let mut rolled_back = 0;
        for _ in 0..40 {
            let mut tally = Tally::default();
            let is_bad = (0..720).any(|number| {
                let now_ms = number * 5_000;
                let ms = Duration::from_millis(1);
                for _ in 0..19 {
                    tally.add(Version::Serving, fails(), ms, now_ms);
                }
                tally.add(Version::Candidate, fails(), ms, now_ms);
                let recent = tally.recent(now_ms);
                let verdict = judge(&rules(), tally.whole(), &recent, Duration::ZERO);
                matches!(verdict, Verdict::RollBack(_))
            });
            rolled_back += usize::from(is_bad);
        }
        assert!(rolled_back <= 4, "{rolled_back} of 40 hours");
    }

    #[test]
    fn late_failures_are_seen() {
        let whole = pair(counts(100_000, 60, 10), counts(1_000_000, 0, 10));
        let recent = pair(counts(100, 60, 10), counts(1_000, 0, 10));
        let verdict = judge(&rules(), &whole, &recent, HOUR);
        let Verdict::RollBack(why) = &verdict else {
            panic!("{verdict:?}");
        };
        assert!(why.ends_with("in the last 5 minutes"), "{why}");
    }

    #[test]
    fn promotion_waits_for_its_time() {
        let whole = pair(counts(100, 0, 10), counts(100, 0, 10));
        let early = judge(&rules(), &whole, &whole, HOUR - Duration::from_secs(90));
        let left = "1m 30s until it can be promoted";
        assert_eq!(early, Verdict::Wait(left.into()));
        let never = CanaryRules {
            after: None,
            ..rules()
        };
        assert_eq!(word(&judge(&never, &whole, &whole, 100 * HOUR)), "wait");
    }
}
