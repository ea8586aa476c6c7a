//! Calls that an operator describes in `[settings]`: where to, with which headers, and a template for the body.
//!
//! Shared by `forward` and `trigger`. Which addresses may be reached, and with which credentials, is the host's part.

mod target;
mod template;

pub use target::Target;
