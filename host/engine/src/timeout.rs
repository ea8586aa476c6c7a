//! A time limit whose timer is created only if the future has to wait. Most attempts and most
//! bodies are ready at once.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::task::unconstrained;
use tokio::time::{Instant, sleep_until};

/// The future was not ready in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not ready in time")]
pub struct TimedOut;

/// The output of the future, if it does not wait for longer than `limit` after its first poll. A
/// future that is ready at once does not even read the clock.
pub async fn timeout<F: Future>(
    limit: Duration,
    future: Pin<&mut F>,
) -> Result<F::Output, TimedOut> {
    ready_before(|| Instant::now() + limit, future).await
}

/// The output of the future, if it is ready before `until`.
pub(crate) async fn timeout_at<F: Future>(
    until: std::time::Instant,
    future: Pin<&mut F>,
) -> Result<F::Output, TimedOut> {
    ready_before(|| until.into(), future).await
}

/// `until` is asked once, if the future has to wait.
async fn ready_before<F: Future>(
    until: impl Fn() -> Instant,
    mut future: Pin<&mut F>,
) -> Result<F::Output, TimedOut> {
    let mut timer = None;

    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }

        // A future that has used up the budget of its task must still time out.
        let timer = timer.get_or_insert_with(|| Box::pin(unconstrained(sleep_until(until()))));
        timer.as_mut().poll(context).map(|()| Err(TimedOut))
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn late_futures_time_out() {
        let late = pin!(std::future::pending::<()>());
        assert_eq!(timeout(LIMIT, late).await, Err(TimedOut));

        let in_time = pin!(async {
            tokio::time::sleep(LIMIT - Duration::from_secs(1)).await;
            7
        });
        assert_eq!(timeout(LIMIT, in_time).await, Ok(7));
        assert_eq!(timeout(Duration::ZERO, pin!(async { 8 })).await, Ok(8));
    }

    #[tokio::test(start_paused = true)]
    async fn busy_futures_time_out() {
        let until = Instant::now() + 2 * LIMIT;
        let busy = pin!(async {
            while Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        assert_eq!(timeout(LIMIT, busy).await, Err(TimedOut));
    }
}
