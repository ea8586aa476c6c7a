//! Every operation of `/api/v1` with its role, in one list. From it follow the routes, the frame of
//! those that change something, and the OpenAPI document.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use axum::routing::{self, MethodRouter};
use axum::{Router, middleware};
use serde_json::Value;
use utoipa::OpenApi;

use super::command::{self, Command, Frame};
use super::operator::{erase, purge, replay, step};
use super::state::ApiState;
use super::{
    alarms, audit, candidate, check, document, error, event, hooks, missed, node, recordings,
    refusals, rows, search, send, shape, stats, tail, tries,
};
use crate::events::Events;
use crate::role::Role;

/// An operation of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operation {
    /// What the token must allow.
    pub(crate) role: Role,
    /// In lower case.
    pub(crate) method: &'static str,
    /// With `{NAME}` segments.
    pub(crate) path: &'static str,
    /// Whether it changes nothing if the order has `dry_run`.
    has_dry_run: bool,
}

// === impl Operation ===

impl Operation {
    /// Puts an operation that changes something into the frame of the commands.
    fn within<S>(self, frame: &Frame, route: MethodRouter<S>) -> MethodRouter<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        if self.role == Role::Read {
            return route;
        }

        let command = Command {
            action: self.path.rsplit('/').next().unwrap_or_default(),
            has_dry_run: self.has_dry_run,
            keys: ORDER_KEYS.get(self.path).unwrap_or(&NO_KEYS),
        };
        let state = (frame.clone(), command);
        route.route_layer(middleware::from_fn_with_state(state, command::run))
    }
}

macro_rules! operation {
    ($role:ident $(($dry_run:ident))? $method:ident $path:literal) => {
        Operation {
            role: Role::$role,
            method: stringify!($method),
            path: $path,
            has_dry_run: !stringify!($($dry_run)?).is_empty(),
        }
    };
}

macro_rules! operations {
    (
        node { $(
            $role:ident $(($dry_run:ident))? $method:ident $path:literal => $module:ident::$handler:ident;
        )* }
        ledger { $(
            $role2:ident $(($dry_run2:ident))? $method2:ident $path2:literal => $module2:ident::$handler2:ident;
        )* }
    ) => {
        /// Every operation.
        pub(crate) const OPERATIONS: &[Operation] = &[
            $(operation!($role $(($dry_run))? $method $path),)*
            $(operation!($role2 $(($dry_run2))? $method2 $path2),)*
        ];

        /// The operations that need a running node.
        pub(crate) fn node_routes(frame: &Frame) -> Router<ApiState> {
            let mut router = Router::new();
            $(
                let operation = operation!($role $(($dry_run))? $method $path);
                let route = routing::$method($module::$handler);
                router = router.route($path, operation.within(frame, route));
            )*
            router
        }

        /// The operations that need only the ledger.
        pub(crate) fn ledger_routes(frame: &Frame) -> Router<Events> {
            let mut router = Router::new();
            $(
                let operation = operation!($role2 $(($dry_run2))? $method2 $path2);
                let route = routing::$method2($module2::$handler2);
                router = router.route($path2, operation.within(frame, route));
            )*
            router
        }

        #[derive(OpenApi)]
        #[openapi(
            info(
                title = "Landfall",
                description = "The admin API of a Landfall node. Errors are objects with `error` and `hint`.",
                license(name = "Apache-2.0"),
            ),
            paths($($module::$handler,)* $($module2::$handler2,)*),
            components(schemas(error::ApiError)),
        )]
        struct Described;
    };
}

// `Operate` operations run in the frame of `command`; its word in the audit record is the end of
// the path.
operations! {
    node {
        Read get "/api/v1/openapi.json" => document::show;
        Read get "/api/v1/node" => node::node;
        Read get "/api/v1/queue" => node::queue;
        Read get "/api/v1/alarms" => alarms::list;
        Read get "/api/v1/hooks" => hooks::list;
        Read get "/api/v1/hooks/{hook}" => hooks::show;
        Operate post "/api/v1/hooks/{hook}/pause" => hooks::pause;
        Operate post "/api/v1/hooks/{hook}/resume" => hooks::resume;
        Read get "/api/v1/hooks/{hook}/candidate" => candidate::show;
        Operate post "/api/v1/hooks/{hook}/promote" => candidate::promote;
        Operate post "/api/v1/hooks/{hook}/rollback" => candidate::roll_back;
        Operate post "/api/v1/hooks/{hook}/send" => send::send;
        Read get "/api/v1/hooks/{hook}/reconcile" => missed::report;
        Operate(dry_run) post "/api/v1/hooks/{hook}/reconcile" => missed::start;
        Read get "/api/v1/hooks/{hook}/shape" => shape::show;
        Read get "/api/v1/hooks/{hook}/types" => shape::types;
        Operate post "/api/v1/hooks/{hook}/accept-shape" => shape::accept;
        Operate post "/api/v1/hooks/{hook}/forget-shape" => shape::forget;
        Operate post "/api/v1/reload" => hooks::reload;
        Read post "/api/v1/check" => check::check;
        Read get "/api/v1/refusals" => refusals::list;
        Read get "/api/v1/tail" => tail::tail;
    }
    ledger {
        Read get "/api/v1/events" => search::list;
        Read get "/api/v1/events/{id}" => event::show;
        Read get "/api/v1/events/{id}/attempts" => event::attempts;
        Read get "/api/v1/recordings" => recordings::list;
        Operate post "/api/v1/hooks/{hook}/publish-try" => tries::publish;
        Read get "/api/v1/hooks/{hook}/tries" => tries::list;
        Read get "/api/v1/hooks/{hook}/tries/{id}" => tries::show;
        Operate(dry_run) post "/api/v1/replay" => replay::replay;
        Operate(dry_run) post "/api/v1/discard" => step::discard;
        Operate(dry_run) post "/api/v1/retry-now" => step::retry_now;
        Operate(dry_run) post "/api/v1/purge" => purge::purge;
        Operate(dry_run) post "/api/v1/erase" => erase::erase;
        Read get "/api/v1/stats" => stats::counts;
        Read get "/api/v1/stats/activity" => stats::activity;
        Read get "/api/v1/rows/{hook}/{table}" => rows::rows;
        Read get "/api/v1/kv/{hook}" => rows::values;
        Read get "/api/v1/audit" => audit::list;
    }
}

/// What utoipa makes of the handlers.
pub(crate) fn openapi() -> utoipa::openapi::OpenApi {
    Described::openapi()
}

/// Keys of orders that the audit record does not have: the body of a sample can be large, and may
/// be a copy of a stored one.
const NOT_RECORDED: [&str; 1] = ["body"];

/// The keys of orders, by the path of the operation.
static ORDER_KEYS: LazyLock<BTreeMap<&'static str, BTreeSet<String>>> = LazyLock::new(|| {
    let document = serde_json::to_value(openapi()).expect("the document has only string keys");
    let commands = OPERATIONS.iter().filter(|one| one.role == Role::Operate);
    commands
        .map(|command| (command.path, order_keys(&document, command)))
        .collect()
});
static NO_KEYS: BTreeSet<String> = BTreeSet::new();

/// The keys of the order that an operation takes, from the OpenAPI document.
fn order_keys(document: &Value, operation: &Operation) -> BTreeSet<String> {
    let described = &document["paths"][operation.path][operation.method];
    let schema = &described["requestBody"]["content"]["application/json"]["schema"]["$ref"];
    let pointer = schema.as_str().and_then(|name| name.strip_prefix('#'));
    let order = pointer.and_then(|pointer| document.pointer(pointer));
    let keys = order.and_then(|order| order["properties"].as_object());
    keys.into_iter()
        .flat_map(|keys| keys.keys().cloned())
        .filter(|key| !NOT_RECORDED.contains(&key.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_have_the_documented_keys() {
        for (path, keys) in [
            ("/api/v1/purge", &["dry_run", "hook"][..]),
            ("/api/v1/erase", &["children", "dry_run", "events"]),
            ("/api/v1/hooks/{hook}/reconcile", &["dry_run", "since"]),
            ("/api/v1/hooks/{hook}/pause", &[]),
            ("/api/v1/hooks/{hook}/send", &["type"]),
        ] {
            let found: Vec<&str> = ORDER_KEYS[path].iter().map(String::as_str).collect();
            assert_eq!(found, keys, "{path}");
        }
        for path in ["/api/v1/replay", "/api/v1/discard", "/api/v1/retry-now"] {
            let keys = &ORDER_KEYS[path];
            for key in ["events", "hook", "state", "since", "per_second", "reason"] {
                assert!(keys.contains(key), "{path} {key}");
            }
        }
    }
}
