//! A run whose caller waits for its outcome. It is polled where the caller waits, so that an event
//! needs no task of its own. If the caller hangs up, the rest of the run becomes a task: a handler
//! is not interrupted.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

use super::panics::{fault, poll_caught, text_of};
use landfall_engine::Flow;
use landfall_model::Outcome;

/// A run that goes on without its caller.
pub(crate) struct AwaitedRun<'a, F>
where
    F: Future<Output = Outcome> + Send + 'static,
{
    /// `None`: it has ended.
    run: Option<Pin<Box<F>>>,
    /// Of the task that the run becomes.
    flow: &'a Flow,
}

// === impl AwaitedRun ===

impl<'a, F> AwaitedRun<'a, F>
where
    F: Future<Output = Outcome> + Send + 'static,
{
    pub(crate) fn new(run: Pin<Box<F>>, flow: &'a Flow) -> AwaitedRun<'a, F> {
        AwaitedRun {
            run: Some(run),
            flow,
        }
    }
}

impl<F> Future for AwaitedRun<'_, F>
where
    F: Future<Output = Outcome> + Send + 'static,
{
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let run = self.run.as_mut().expect("a run is awaited once");
        let outcome = match poll_caught(run.as_mut(), context) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(outcome)) => outcome,
            Err(panic) => fault(&text_of(&*panic)),
        };

        self.run = None;
        Poll::Ready(outcome)
    }
}

impl<F> Drop for AwaitedRun<'_, F>
where
    F: Future<Output = Outcome> + Send + 'static,
{
    fn drop(&mut self) {
        // Without a runtime the process ends, and the run with it.
        if let Some(run) = self.run.take()
            && Handle::try_current().is_ok()
        {
            drop(self.flow.spawn(run));
        }
    }
}
