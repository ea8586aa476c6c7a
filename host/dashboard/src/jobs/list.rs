//! The jobs of this node: the newest, of which some run.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use landfall_model::lock;

use super::command::Command;
use super::job::{Job, Pace, Starter};
use super::selection::Selection;

/// The most jobs that are remembered.
const JOBS_MAX: usize = 20;
/// The most jobs that run at a time.
const RUNNING_MAX: usize = 4;

/// The jobs of this node.
#[derive(Default)]
pub(crate) struct Jobs {
    jobs: Mutex<VecDeque<Arc<Job>>>,
    next: AtomicU64,
}

/// Too many jobs run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{RUNNING_MAX} jobs run already: wait for one, or cancel it")]
pub(crate) struct Busy;

// === impl Jobs ===

impl Jobs {
    /// Starts a job. The rate is clamped to what is possible.
    pub(crate) fn start(
        &self,
        starter: Starter,
        command: Command,
        selection: Selection,
        pace: Pace,
    ) -> Result<Arc<Job>, Busy> {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let job = Arc::new(Job::new(id, command, selection, pace));

        let mut jobs = lock(&self.jobs);
        if jobs.iter().filter(|job| job.end().is_none()).count() >= RUNNING_MAX {
            return Err(Busy);
        }
        if jobs.len() >= JOBS_MAX
            && let Some(oldest) = jobs.iter().position(|job| job.end().is_some())
        {
            jobs.remove(oldest);
        }
        jobs.push_back(job.clone());
        drop(jobs);

        let running = job.clone();
        tokio::spawn(async move { running.run(&starter).await });
        Ok(job)
    }

    /// Newest first.
    pub(crate) fn all(&self) -> Vec<Arc<Job>> {
        lock(&self.jobs).iter().rev().cloned().collect()
    }

    /// The job with this number.
    pub(crate) fn find(&self, id: u64) -> Option<Arc<Job>> {
        lock(&self.jobs).iter().find(|job| job.id == id).cloned()
    }
}
