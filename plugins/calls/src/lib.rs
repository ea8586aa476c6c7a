//! What the bundled handlers share: calls that an operator describes in `[settings]` (on which
//! condition, where to, with which headers, and templates for what is sent), the failures that
//! follow from an answer, texts that are cut, and helpers for tests.
//! Which addresses may be reached, and with which credentials, is
//! the host's part.

pub mod answer;
mod condition;
mod cut;
mod document;
pub mod emission;
mod encode;
pub mod google;
mod mistake;
mod target;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use condition::{Condition, skipped, unmet};
pub use cut::{cut, json_bytes};
pub use document::document;
pub use encode::percent_encoded;
pub use mistake::mistake;
pub use target::{Target, send};
