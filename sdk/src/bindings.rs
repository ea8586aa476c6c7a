//! The contract in `wit/`, as wit-bindgen generates it: the types, and the world of every handler.
//! A component imports only what it calls, so the bindings of each capability that needs a grant
//! are in the capability's own file. A component exports all of its world, so the `responder` and
//! `init` have worlds of their own. The worlds exist only for these bindings.
#![allow(missing_docs)]

wit_bindgen::generate!({
    path: ["../wit/event.wit", "../wit/http.wit", "../wit/hook.wit"],
    inline: "package landfall:sdk; world handling { include landfall:hook/hook@0.1.0; }",
    generate_all,
    // The error of the capabilities is among the types that no function here uses.
    generate_unused_types: true,
    pub_export_macro: true,
    export_macro_name: "__export",
    default_bindings_module: "::landfall_sdk::bindings",
});

/// The `responder` alone, with the same types.
pub mod responding {
    wit_bindgen::generate!({
        path: ["../wit/event.wit", "../wit/http.wit", "../wit/hook.wit"],
        inline: "package landfall:sdk; world responding { export landfall:hook/responder@0.1.0; }",
        with: {
            "landfall:event/types@0.1.0": crate::bindings::landfall::event::types,
            "landfall:hook/responder@0.1.0": generate,
        },
        pub_export_macro: true,
        export_macro_name: "__export_responder",
        default_bindings_module: "::landfall_sdk::bindings::responding",
    });
}

/// The `init` alone.
pub mod initialising {
    wit_bindgen::generate!({
        path: ["../wit/init.wit"],
        inline: "package landfall:sdk; world initialising { export landfall:init/init@0.1.0; }",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "__export_init",
        default_bindings_module: "::landfall_sdk::bindings::initialising",
    });
}
