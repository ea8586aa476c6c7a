//! Panics of the host in an attempt: they end the attempt, and nothing else.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use landfall_model::{Attempt, Outcome};

/// What a panic carries.
pub(crate) type Panic = Box<dyn Any + Send>;

/// The output of a run, or its panic.
pub(crate) async fn caught<F: Future>(run: F) -> Result<F::Output, Panic> {
    let mut run = pin!(run);
    poll_fn(|context| match poll_caught(run.as_mut(), context) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// Polls a run once. After a panic, it is not to be polled again.
pub(crate) fn poll_caught<F: Future>(
    run: Pin<&mut F>,
    context: &mut Context<'_>,
) -> Result<Poll<F::Output>, Panic> {
    catch_unwind(AssertUnwindSafe(|| run.poll(context)))
}

/// The record of an attempt that has panicked in the host.
pub(crate) fn panicked(error: &str, duration: Duration) -> Attempt {
    Attempt::of_host(fault(error), duration)
}

/// The outcome of an attempt that has panicked in the host.
pub(crate) fn fault(error: &str) -> Outcome {
    tracing::error!(error, "an attempt panicked in the host");
    Outcome::HostFault("a host function panicked".into())
}

/// The text of a panic, if it has one.
pub(crate) fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn panics_are_caught_after_waits() {
        let panics = async {
            tokio::task::yield_now().await;
            if std::hint::black_box(true) {
                panic!("number {}", 7);
            }
            1
        };
        let panic = caught(panics).await.unwrap_err();
        assert_eq!(text_of(&*panic), "number 7");
        assert_eq!(caught(async { 2 }).await.ok(), Some(2));
    }
}
