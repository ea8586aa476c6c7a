//! wasmtime's view of wit/: what every component may use and must export. The bindings of a
//! capability that needs a grant are in the capability's file.

/// `landfall:hook@0.1`, with `landfall:event@0.1` and `landfall:http@0.1`. The world of every
/// handler; components import what they use. `errors` is never linked: wasmtime generates a type of
/// a package only if a function of the world uses it.
#[allow(missing_docs, clippy::pedantic)]
pub(crate) mod v0_1 {
    wasmtime::component::bindgen!({
        path: ["../../wit/event.wit", "../../wit/http.wit", "../../wit/hook.wit"],
        inline: "
            package landfall:host;
            interface errors {
                use landfall:event/types@0.1.0.{capability-error};
                report: func() -> result<_, capability-error>;
            }
            world hook {
                include landfall:hook/hook@0.1.0;
                import errors;
            }
        ",
        world: "landfall:host/hook",
        ownership: Borrowing { duplicate_if_necessary: true },
        imports: {
            "landfall:http/http.send": async,
            "landfall:http/http.send-all": async,
        },
        exports: { default: async },
    });
}

/// The `responder` of the same version, which a component may have besides.
#[allow(missing_docs, clippy::pedantic)]
pub(crate) mod v0_1_responder {
    wasmtime::component::bindgen!({
        path: ["../../wit/event.wit", "../../wit/http.wit", "../../wit/hook.wit"],
        inline: "package landfall:host; world responding { export landfall:hook/responder@0.1.0; }",
        world: "landfall:host/responding",
        ownership: Borrowing { duplicate_if_necessary: true },
        exports: { default: async },
        with: { "landfall:event/types": crate::bindings::v0_1::landfall::event::types },
    });
}

/// The types of `landfall:event` for the bindings of a capability, whose host functions own their
/// arguments and results. Generated code re-exports them.
#[allow(unreachable_pub)]
pub mod types {
    pub use super::v0_1::landfall::event::types::{PayloadResult as Payload, *};
}

pub(crate) use types::{CapabilityError, Payload};
pub(crate) use v0_1::landfall::event::types::{
    Event as GuestEvent, Failure as GuestFailure, PayloadParam, Rejection as GuestRejection,
    Reply as GuestReply,
};
pub(crate) use v0_1::{Hook, HookPre};
pub(crate) use v0_1_responder::{Responding as Responder, RespondingPre as ResponderPre};
