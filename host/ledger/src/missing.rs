//! Hooks that have deliveries, and no file at any node. A file can be away for a moment, while it
//! is replaced or its file system is not mounted, and what is removed by age does not come back.
//! The ledger notes for how long the file has been missing, so that a restart does not begin anew.

use std::time::Duration;

/// The name under which the notes are stored: for each hook, a number of milliseconds.
pub(crate) const OWNER: &str = "_missing";
/// How long a note is kept after the last look.
pub(crate) const NOTED_FOR: Duration = Duration::from_secs(86_400);
/// Of the time between two looks, at most this counts. If no node has looked for longer, the file
/// may have been there.
pub(crate) const BETWEEN_LOOKS: Duration = Duration::from_secs(300);
/// The most hooks with a note. Others that are missing keep everything until some of these have no
/// deliveries any more.
pub(crate) const HOOKS_MAX: usize = 1_000;

/// Leaves out the hooks for which there can be no note.
pub(crate) fn limit(missing: &mut Vec<String>) {
    if missing.len() > HOOKS_MAX {
        let hooks = missing.len();
        tracing::warn!(
            hooks,
            "more than {HOOKS_MAX} hooks with events have no file: of the rest, nothing is removed by age"
        );
        missing.truncate(HOOKS_MAX);
    }
}

/// Logs that a file has not been found for the first time.
pub(crate) fn report(hook: &str) {
    tracing::info!(
        hook,
        "the hook has events and no file: they are kept for a day, and then as long as ledger.retention says"
    );
}
