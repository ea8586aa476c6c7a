//! What follows from an outcome: done, again after a pause, or dead. A plain function.

use std::time::Duration;

use landfall_ledger::{Ending, Results};
use landfall_model::{Outcome, RetrySpec};

/// `number` counts the attempts from 1; `chance` is a random number from 0 to 1.
pub fn of(
    outcome: &Outcome,
    results: Results,
    number: u32,
    spec: &RetrySpec,
    chance: f64,
) -> Ending {
    let hint: Option<Duration> = match outcome {
        Outcome::Done(_) => return Ending::Done(results),
        Outcome::Reject(reason) => return Ending::Dead(worded("reject", reason)),
        Outcome::Retry { after, .. } => *after,
        _ => None,
    };
    match spec.pause(number, hint, chance) {
        Some(pause) => Ending::Retry(pause),
        None => Ending::Dead(worded(outcome.word(), outcome.reason())),
    }
}

fn worded(word: &str, reason: &str) -> String {
    if reason.is_empty() {
        word.to_owned()
    } else {
        format!("{word}: {reason}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_model::Quota;

    fn same(found: &Ending, expected: &Ending) -> bool {
        format!("{found:?}") == format!("{expected:?}")
    }

    #[test]
    fn each_outcome_has_its_ending() {
        let spec = RetrySpec {
            attempts: 2,
            ..RetrySpec::default()
        };
        let of = |outcome: Outcome, number| {
            let results = Results::empty(Quota { kv: 0, rows: 0 });
            of(&outcome, results, number, &spec, 0.5)
        };
        assert!(same(
            &of(Outcome::Reject("never".into()), 1),
            &Ending::Dead("reject: never".into())
        ));
        assert!(same(
            &of(Outcome::Timeout, 1),
            &Ending::Retry(Duration::from_secs(5))
        ));
        assert!(same(
            &of(Outcome::Timeout, 2),
            &Ending::Dead("timeout".into())
        ));
        let hinted = Outcome::Retry {
            reason: "busy".into(),
            after: Some(Duration::from_secs(60)),
        };
        assert!(same(
            &of(hinted.clone(), 1),
            &Ending::Retry(Duration::from_secs(60))
        ));
        assert!(same(&of(hinted, 2), &Ending::Dead("retry: busy".into())));
    }
}
