//! Calls that an operator describes in `[settings]`: on which condition, where to, with which
//! headers, and templates for what is sent.
//!
//! Shared by the bundled handlers. Which addresses may be reached, and with which credentials, is
//! the host's part.

pub mod answer;
mod condition;
mod document;
pub mod emission;
mod encode;
pub mod google;
mod target;

pub use condition::{Condition, skipped, unmet};
pub use document::document;
pub use encode::percent_encoded;
pub use target::{Target, send};
