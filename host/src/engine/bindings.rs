//! wasmtime's view of wit/: one module for each version of the package that this host speaks.

/// `landfall:hook@0.1`. The world with every import; components import what they use.
#[allow(missing_docs, clippy::pedantic)]
pub mod v0_1 {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "table-hook",
        ownership: Borrowing { duplicate_if_necessary: true },
        imports: {
            "landfall:hook/http.send": async,
        },
        exports: { default: async },
    });
}

pub use v0_1::TableHookPre as HookPre;
pub use v0_1::landfall::hook::types::{
    Event as GuestEvent, Failure as GuestFailure, PayloadParam, PayloadResult, Reply as GuestReply,
};
