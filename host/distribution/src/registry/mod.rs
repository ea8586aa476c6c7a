//! Registries of the OCI distribution specification, with the layout for WebAssembly that other
//! tools use too (<https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/>): a
//! manifest whose only layer is the component.

mod client;
mod credentials;
mod manifest;
mod pull;
mod push;
mod reference;

pub(crate) use pull::pull;
pub use push::{Pushed, push};
pub use reference::{Reference, ReferenceError};
