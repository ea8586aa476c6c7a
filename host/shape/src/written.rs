//! A shape that is written as a type.

use super::node::Node;
use super::shape::Shape;

/// One event type and its shape.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// Empty for events without a type.
    pub event_type: &'a str,
    /// The shape.
    pub shape: &'a Shape,
}

// === impl Written ===

impl<'a> Written<'a> {
    pub(crate) fn root(&self) -> &'a Node {
        &self.shape.root
    }

    /// What the type is about, in one line.
    pub(crate) fn title(&self, hook: &str) -> String {
        if self.event_type.is_empty() {
            hook.to_owned()
        } else {
            format!("{hook}: {}", self.event_type)
        }
    }

    /// As `title`, for a comment.
    pub(crate) fn comment(&self, hook: &str) -> String {
        let title = self.title(hook);
        title.escape_debug().to_string().replace("*/", "*\\/")
    }
}
