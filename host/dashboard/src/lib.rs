//! The dashboard: pages of the admin listener for operators. Every page works with links and forms
//! alone; a small script adds live updates, keys and local times.
//!
//! `routes` lists every page. `auth` lets in operators who have logged in with a token of the admin API.
//! `forms` passes on what they send, and `errors` makes a page of every error.
//! `api` asks the admin API in the same process, so that a page and a command say the same. `pages`
//! has one file for each page, with its view model; `templates/` has the markup.
//!
//! Text of requests, handlers and callers is data: `text` makes control characters visible, and the
//! templates escape everything. No template uses the filter `safe`.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod api;
mod assets;
mod auth;
mod curl;
mod errors;
mod fields;
mod forms;
mod heads;
mod job_commands;
mod jobs;
mod live;
mod no_page;
mod page;
mod pages;
mod pretty;
mod query;
mod reason;
mod routes;
mod series;
mod session;
mod spark;
mod state;
mod text;

pub use query::search_parameters;
pub use routes::router;
pub use state::{NextAlarm, ReadPacks, SendError, SendSample, Setup};
