//! wasmtime's view of wit/: what every component may use and must export. The bindings of a capability that needs a grant are in
//! the capability's file.

/// `landfall:hook@0.1`. The world of every handler; components import what they use.
#[allow(missing_docs, clippy::pedantic)]
pub mod v0_1 {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "hook",
        ownership: Borrowing { duplicate_if_necessary: true },
        imports: {
            "landfall:hook/http.send": async,
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

/// The types of `landfall:hook` for the bindings of a capability, whose host functions own their arguments and results.
pub mod types {
    pub use super::v0_1::landfall::hook::types::{PayloadResult as Payload, *};
}

pub use types::Payload;
pub use v0_1::HookPre;
pub use v0_1::landfall::hook::types::{
    Event as GuestEvent, Failure as GuestFailure, PayloadParam, Reply as GuestReply,
};
pub use v0_1_responder::RespondingPre as ResponderPre;
