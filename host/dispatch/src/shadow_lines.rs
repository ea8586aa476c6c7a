//! How many lines the log has of shadow runs that differ: each attempt of a hook may.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use landfall_model::LOG_WINDOW;

/// The most lines of a hook in a window.
const LINES_MAX: u32 = 5;

/// The lines of the hooks that have a shadow.
#[derive(Debug, Default)]
pub(crate) struct ShadowLines(BTreeMap<Arc<str>, Lines>);

#[derive(Debug)]
struct Lines {
    /// The start of the window.
    window: Instant,
    written: u32,
    suppressed: u64,
}

// === impl ShadowLines ===

impl ShadowLines {
    /// Whether a line of this hook is written now: if so, how many were held back before it.
    pub(crate) fn take(&mut self, hook: &Arc<str>, now: Instant) -> Option<u64> {
        let lines = self.0.entry(hook.clone()).or_insert_with(|| Lines {
            window: now,
            written: 0,
            suppressed: 0,
        });
        if now.duration_since(lines.window) >= LOG_WINDOW {
            lines.window = now;
            lines.written = 0;
        }
        if lines.written >= LINES_MAX {
            lines.suppressed += 1;
            return None;
        }
        lines.written += 1;
        Some(std::mem::take(&mut lines.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_hook_are_limited() {
        let (mut lines, start) = (ShadowLines::default(), Instant::now());
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        for _ in 0..LINES_MAX {
            assert_eq!(lines.take(&one, start), Some(0));
        }
        assert_eq!(lines.take(&one, start), None);
        assert_eq!(lines.take(&one, start), None);
        assert_eq!(lines.take(&other, start), Some(0));
        let later = start + LOG_WINDOW;
        assert_eq!(lines.take(&one, later), Some(2));
        assert_eq!(lines.take(&one, later), Some(0));
    }
}
