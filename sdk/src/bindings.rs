//! The contract of `wit/`, as wit-bindgen writes it down. Nothing else in this crate is generated.
//!
//! The richest world is bound, but a component imports only what it calls: `table` only where rows are appended.
#![allow(missing_docs)]

wit_bindgen::generate!({
    path: "../wit",
    world: "table-hook",
    pub_export_macro: true,
    export_macro_name: "__export",
    default_bindings_module: "::landfall_sdk::bindings",
});
