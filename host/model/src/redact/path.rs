//! A JSON pointer with `*` for every member or element, and `**` for any number of levels.

use std::str::FromStr;

/// The most steps of one path, and its most characters.
const STEPS_MAX: usize = 32;
const CHARS_MAX: usize = 1024;

/// One path of `[redact] json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RedactPath {
    pub(super) steps: Vec<Step>,
}

/// One part of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The member with this key, or the element with this index.
    Key { name: String, index: Option<usize> },
    /// Every member or element.
    Every,
    /// Any number of levels, none included.
    Levels,
}

/// A text that is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedactPathError {
    /// It does not begin with a slash.
    #[error("`{}` is no JSON pointer: it begins with a slash, such as /user/email", .0.escape_debug())]
    NoPointer(String),
    /// A tilde is not `~0` or `~1`.
    #[error("`{}` has a `~` that is not ~0 (for ~) or ~1 (for /)", .0.escape_debug())]
    Tilde(String),
    /// `**` is the last step.
    #[error("`{}` ends with **: leave it out to remove everything below", .0.escape_debug())]
    EndsWithLevels(String),
    /// It is too long.
    #[error("`{}…` is too long: at most {CHARS_MAX} characters and {STEPS_MAX} steps", .0.escape_debug())]
    TooLong(String),
}

// === impl RedactPath ===

impl FromStr for RedactPath {
    type Err = RedactPathError;

    fn from_str(text: &str) -> Result<RedactPath, RedactPathError> {
        if !text.is_empty() && !text.starts_with('/') {
            return Err(RedactPathError::NoPointer(text.to_owned()));
        }
        let parts: Vec<&str> = text.split('/').skip(1).collect();
        if text.len() > CHARS_MAX || parts.len() > STEPS_MAX {
            let beginning = &text[..text.floor_char_boundary(40)];
            return Err(RedactPathError::TooLong(beginning.to_owned()));
        }
        if text
            .split('~')
            .skip(1)
            .any(|rest| !rest.starts_with(['0', '1']))
        {
            return Err(RedactPathError::Tilde(text.to_owned()));
        }

        let steps: Vec<Step> = parts.into_iter().map(Step::new).collect();
        if steps.last() == Some(&Step::Levels) {
            return Err(RedactPathError::EndsWithLevels(text.to_owned()));
        }
        Ok(RedactPath { steps })
    }
}

impl RedactPath {
    /// Whether the value at this pointer, or one that contains it, can be one that the path leads
    /// to. In the pointer, `*` stands for every element.
    pub(super) fn may_lead_to(&self, pointer: &str) -> bool {
        let pointer: Vec<Step> = pointer.split('/').skip(1).map(Step::new).collect();
        leads_to(&self.steps, &pointer)
    }
}

fn leads_to(path: &[Step], pointer: &[Step]) -> bool {
    match (path, pointer) {
        ([], _) => true,
        (_, []) => false,
        ([Step::Levels, rest @ ..], [_, below @ ..]) => {
            leads_to(rest, pointer) || leads_to(path, below)
        }
        ([Step::Every, rest @ ..], [_, below @ ..])
        | ([_, rest @ ..], [Step::Every, below @ ..]) => leads_to(rest, below),
        ([one, rest @ ..], [other, below @ ..]) => one == other && leads_to(rest, below),
    }
}

// === impl Step ===

impl Step {
    fn new(part: &str) -> Step {
        match part {
            "*" => Step::Every,
            "**" => Step::Levels,
            part => {
                let name = part.replace("~1", "/").replace("~0", "~");
                let has_leading_zero = name.starts_with('0') && name.len() > 1;
                let is_index = name.bytes().all(|byte| byte.is_ascii_digit()) && !has_leading_zero;
                let index = name.parse().ok().filter(|_| is_index);
                Step::Key { name, index }
            }
        }
    }
}
