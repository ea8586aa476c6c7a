//! The end of an attempt, in the ledger: what follows from its outcome, and from what the ledger says to what it leaves.

use std::time::Duration;

use super::{Delivery, answers, ending, record};
use landfall_broker::{Ended, Lease};
use landfall_engine::Target;
use landfall_ledger::{Ending, LedgerError, Refused, Results};
use landfall_model::{Attempt, Event, Outcome};

/// Those who change the same value are spread over this much time.
const AGAIN_WITHIN: Duration = Duration::from_millis(200);

/// What became of a delivery.
pub struct Settled {
    /// It is in the ledger; else somebody else has the delivery, and nothing was kept.
    pub is_kept: bool,
    /// Until the next attempt, if there is one.
    pub pause: Option<Duration>,
    /// It says something about how the hook fares.
    pub counts: bool,
}

impl Delivery {
    /// Ends the lease. The outcome becomes another one where what the attempt leaves cannot be kept.
    pub(super) async fn settle(
        &self,
        mut lease: Lease,
        event: &Event,
        attempt: &mut Attempt,
        started_ms: i64,
        target: &Target,
    ) -> Result<Settled, LedgerError> {
        landfall_model::kill_point!("before-end");
        let number = lease.attempt();
        let mut results = self.results(event, std::mem::take(&mut attempt.effects), target);
        loop {
            let end = ending::of(&attempt.outcome, results, number, &target.retry, chance());
            let emitted = if let Ending::Done(left) = &end {
                &left.emitted[..]
            } else {
                &[]
            };
            let kept = record::kept(
                attempt,
                started_ms,
                &target.handler.component().digest,
                emitted,
            );
            match end {
                Ending::Done(mut left) => {
                    left.reply = repeatable(event, attempt, target);
                    let emitted = left.emitted.clone();
                    match lease.done(kept, left).await? {
                        Ended::Kept => {
                            self.ring_for(&emitted);
                            return Ok(Settled {
                                is_kept: true,
                                pause: None,
                                counts: true,
                            });
                        }
                        Ended::Lost => {
                            return Ok(Settled {
                                is_kept: false,
                                pause: None,
                                counts: true,
                            });
                        }
                        // Who came second runs again soon, and nothing is counted: the others got on.
                        Ended::Refused(same, why @ Refused::Changed(_)) => {
                            attempt.outcome = outcome(event, why);
                            let pause = AGAIN_WITHIN.mul_f64(chance());
                            same.again(pause).await?;
                            return Ok(Settled {
                                is_kept: true,
                                pause: Some(pause),
                                counts: false,
                            });
                        }
                        Ended::Refused(same, why) => {
                            lease = same;
                            attempt.outcome = outcome(event, why);
                            results = Results::empty(target.quota);
                        }
                    }
                }
                Ending::Retry(pause) => {
                    return Ok(Settled {
                        is_kept: lease.retry(kept, pause).await?,
                        pause: Some(pause),
                        counts: true,
                    });
                }
                Ending::Dead(why) => {
                    tracing::error!(hook = &*event.hook, event = %event.id, attempts = number, why, "delivery is dead");
                    return Ok(Settled {
                        is_kept: lease.bury(kept, why).await?,
                        pause: None,
                        counts: true,
                    });
                }
            }
        }
    }
}

/// What an attempt amounts to whose effects were refused.
pub fn outcome(event: &Event, refused: Refused) -> Outcome {
    let outcome = match refused {
        Refused::Changed(key) => Outcome::Retry {
            reason: format!(
                "kv: `{}` was changed by another handler meanwhile",
                key.escape_debug()
            ),
            after: None,
        },
        Refused::OverQuota(why) => Outcome::OverLimit(why),
    };
    let (hook, reason) = (&*event.hook, outcome.reason());
    tracing::info!(hook, event = %event.id, reason, "what the attempt leaves is not kept");
    outcome
}

fn chance() -> f64 {
    f64::from(getrandom::u32().unwrap_or_default()) / f64::from(u32::MAX)
}

/// A larger reply is not stored: a duplicate then gets the answer of an accepted event.
const REPEATED_BYTES_MAX: usize = 64 << 10;

/// The reply to store, where duplicates get it again.
fn repeatable(event: &Event, attempt: &Attempt, target: &Target) -> Option<Vec<u8>> {
    match &attempt.outcome {
        Outcome::Done(reply)
            if target.repeats_reply
                && (200..=299).contains(&reply.status)
                && reply.body.len() <= REPEATED_BYTES_MAX =>
        {
            Some(answers::write(event.id, reply))
        }
        _ => None,
    }
}
