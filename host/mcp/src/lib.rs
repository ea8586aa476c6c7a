//! The MCP server: the operator API as tools for agents, in the Model Context Protocol.
//!
//! `tools` has one file for each tool, and the list of all of them. A tool asks the admin API
//! through `api`, so that roles, masks, limits and the audit record are those of the API: over
//! `http_service` in the same process, over `serve_stdio` with the token of the operator. `answer`
//! bounds what a tool returns, and tells facts of the node from texts of others.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod answer;
mod api;
mod components;
mod cursor;
mod http_server;
mod in_node;
mod server;
mod stdio;
mod text;
mod tools;

pub use api::{AdminApi, Unreachable};
pub use components::{ComponentProblem, ComponentTrial, Components};
pub use http_server::http_service;
pub use in_node::OfNode;
pub use server::{CallOutcome, CountCalls, Server};
pub use stdio::{StdioError, serve_stdio};
