//! The contract in `wit/`, as components in several languages see it, and the manifest that any of them can carry.

mod frozen;
mod languages;
mod manifest;
mod manifest_page;
mod page;
