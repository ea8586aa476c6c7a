//! wasmtime's view of wit/: one module for each version of the package that this host speaks.

/// `landfall:hook@0.1`. The world with every import; components import what they use.
#[allow(missing_docs, clippy::pedantic)]
pub mod v0_1 {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "full-hook",
        ownership: Borrowing { duplicate_if_necessary: true },
        imports: {
            "landfall:hook/http.send": async,
            "landfall:hook/kv": async,
        },
        exports: { default: async },
    });
}

/// The `responder` of the same version, which a component may have besides.
#[allow(missing_docs, clippy::pedantic)]
pub mod v0_1_responder {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "responding",
        ownership: Borrowing { duplicate_if_necessary: true },
        exports: { default: async },
        with: { "landfall:hook/types": crate::bindings::v0_1::landfall::hook::types },
    });
}

pub use v0_1::FullHookPre as HookPre;
pub use v0_1::landfall::hook::types::{
    Event as GuestEvent, Failure as GuestFailure, PayloadParam, PayloadResult, Reply as GuestReply,
};
pub use v0_1_responder::RespondingPre as ResponderPre;
