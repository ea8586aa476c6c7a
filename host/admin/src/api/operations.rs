//! Every operation of `/api/v1` with its role, in one list. From it follow the routes, the roles
//! that the guard asks for, and the OpenAPI document.

use axum::Router;
use axum::routing::{self, any};
use utoipa::OpenApi;

use super::operator::{purge, replay, step};
use super::state::ApiState;
use super::{
    alarms, audit, document, error, event, hooks, missed, node, refusals, rows, search, stats, tail,
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
}

macro_rules! operations {
    (
        node { $($role:ident $method:ident $path:literal => $module:ident::$handler:ident;)* }
        ledger { $($role2:ident $method2:ident $path2:literal => $module2:ident::$handler2:ident;)* }
    ) => {
        /// Every operation.
        pub(crate) const OPERATIONS: &[Operation] = &[
            $(Operation { role: Role::$role, method: stringify!($method), path: $path },)*
            $(Operation { role: Role::$role2, method: stringify!($method2), path: $path2 },)*
        ];

        /// The operations of this role that need a running node.
        pub(crate) fn node_routes(role: Role) -> Router<ApiState> {
            let mut router = Router::new();
            $(
                if role == Role::$role {
                    router = router.route($path, routing::$method($module::$handler));
                }
            )*
            router
        }

        /// The operations of this role that need only the ledger.
        pub(crate) fn ledger_routes(role: Role) -> Router<Events> {
            let mut router = Router::new();
            $(
                if role == Role::$role2 {
                    router = router.route($path2, routing::$method2($module2::$handler2));
                }
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
        Read get "/api/v1/hooks/{hook}/reconcile" => missed::report;
        Operate post "/api/v1/hooks/{hook}/reconcile" => missed::start;
        Operate post "/api/v1/reload" => hooks::reload;
        Read get "/api/v1/refusals" => refusals::list;
        Read get "/api/v1/tail" => tail::tail;
    }
    ledger {
        Read get "/api/v1/events" => search::list;
        Read get "/api/v1/events/{id}" => event::show;
        Read get "/api/v1/events/{id}/attempts" => event::attempts;
        Operate post "/api/v1/replay" => replay::replay;
        Operate post "/api/v1/discard" => step::discard;
        Operate post "/api/v1/retry-now" => step::retry_now;
        Operate post "/api/v1/purge" => purge::purge;
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

/// The answer to every other path below `/api/`.
pub(crate) fn unknown_routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/api/{*path}", any(error::unknown_endpoint))
}
