//! Spawns the tasks of connections, and those of the requests of HTTP/2 connections.

use std::sync::Arc;

use landfall_dispatch::RunSlots;

/// Spawns tasks that are polled only while they have a slot.
#[derive(Clone)]
pub(crate) struct Executor {
    slots: Option<Arc<RunSlots>>,
}

// === impl Executor ===

impl Executor {
    /// Without slots, tasks are polled whenever they are woken.
    pub(crate) fn new(slots: Option<Arc<RunSlots>>) -> Executor {
        Executor { slots }
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match &self.slots {
            Some(slots) => drop(slots.spawn(task)),
            None => drop(tokio::spawn(task)),
        }
    }
}

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}
