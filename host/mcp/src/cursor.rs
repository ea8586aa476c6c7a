//! Where a tool goes on: a word for the list, and a position in it.

use std::str::FromStr;

use crate::answer::ToolError;

/// A cursor of this list, as the client gets it.
pub(crate) fn cursor(list: &str, position: impl std::fmt::Display) -> String {
    format!("{list}:{position}")
}

/// The position of a cursor of this list.
pub(crate) fn position<T: FromStr>(list: &str, cursor: &str) -> Result<T, ToolError> {
    let position = cursor
        .strip_prefix(list)
        .and_then(|rest| rest.strip_prefix(':'));
    position
        .and_then(|position| position.parse().ok())
        .ok_or_else(|| {
            ToolError::new(
                "this cursor is not one of the tool: repeat the call with the `next_cursor` of the last answer, or \
                 leave `cursor` out to begin again",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_lead_back() {
        assert_eq!(position::<i64>("before", &cursor("before", 17)), Ok(17));
        for wrong in ["", "before", "before:", "before:x", "body:17", "before 17"] {
            assert!(position::<i64>("before", wrong).is_err(), "{wrong}");
        }
    }
}
