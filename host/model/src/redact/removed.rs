//! What stands in the place of removed values, and why they cannot be found.

/// What stands in the place of a removed value. In JSON it is a string.
pub const REDACTED: &str = "[redacted]";

/// A body in which the rules cannot find values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableBody {
    /// It is no JSON up to its end, or more than 128 levels deep, and no form.
    #[error("[redact] cannot read the body: it is not JSON up to its end")]
    NotJson,
    /// It is no form, and there are rules for forms alone.
    #[error("[redact] has rules for forms, and the body is none")]
    NotForm,
}
