//! The contract of `wit/` as wit-bindgen generates it: the world of every handler. The bindings of a capability that needs a grant are
//! in the capability's file, so that a component imports only what it calls. The `responder` is a world of its own, because a
//! component exports all of its world.
#![allow(missing_docs)]

wit_bindgen::generate!({
    path: "../wit",
    world: "hook",
    pub_export_macro: true,
    export_macro_name: "__export",
    default_bindings_module: "::landfall_sdk::bindings",
});

/// The `responder` alone, over the same types.
pub mod responding {
    wit_bindgen::generate!({
        path: "../wit",
        world: "responding",
        pub_export_macro: true,
        export_macro_name: "__export_responder",
        default_bindings_module: "::landfall_sdk::bindings::responding",
        with: { "landfall:hook/types@0.1.0": crate::bindings::landfall::hook::types },
    });
}
