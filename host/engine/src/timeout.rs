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

/// The output of the future, if it is ready within `limit` from now.
pub async fn timeout<F: Future>(
    limit: Duration,
    mut future: Pin<&mut F>,
) -> Result<F::Output, TimedOut> {
    let until = Instant::now() + limit;
    let mut timer = None;

    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }

        // A future that has used up the budget of its task must still time out.
        let timer = timer.get_or_insert_with(|| Box::pin(unconstrained(sleep_until(until))));
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
