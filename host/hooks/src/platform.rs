//! The limits that a hosting platform sets for requests.

use std::time::Duration;

use landfall_model::{HookSpec, Mode};

/// What the platform does with requests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Platform {
    /// The platform ends a request after this time.
    pub timeout: Option<Duration>,
    /// Attempts of queued events run within a request of the queue.
    pub runs_in_requests: bool,
}

// === impl Platform ===

impl Platform {
    /// Shortens the times of a hook that are longer than the platform allows, and logs each.
    /// `answer_within` is the time in which the hook answers if its file does not set one.
    pub(crate) fn shorten(self, spec: &mut HookSpec, answer_within: Duration) {
        let Some(timeout) = self.timeout else { return };
        // The answer must be complete before the platform ends the request.
        let max = timeout - (timeout / 10).min(Duration::from_secs(1));

        if spec.mode == Mode::Sync || self.runs_in_requests {
            shorten(&spec.name, "deadline", &mut spec.deadline, max, timeout);
        }
        match &mut spec.answer_within {
            Some(within) => shorten(&spec.name, "answer_within", within, max, timeout),
            None if answer_within > max => spec.answer_within = Some(max),
            None => {}
        }
    }
}

fn shorten(hook: &str, key: &str, time: &mut Duration, max: Duration, timeout: Duration) {
    if *time <= max {
        return;
    }
    tracing::warn!(
        hook,
        key,
        time = ?*time,
        platform_timeout = ?timeout,
        "the platform ends requests sooner: its time counts; raise its request time-out, and \
         platform_timeout with it, or lower the key"
    );
    *time = max;
}
