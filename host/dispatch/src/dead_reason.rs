//! Why a delivery is dead, as its record and its log line say it.

/// The word of an outcome, with its reason if there is one.
pub(crate) fn dead_reason(word: &str, reason: &str) -> String {
    if reason.is_empty() {
        word.to_owned()
    } else {
        format!("{word}: {reason}")
    }
}
