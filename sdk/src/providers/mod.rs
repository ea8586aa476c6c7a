//! What well-known providers send, as types: the fields that handlers ask for most. Each is behind the feature of its name.
//!
//! A field that a provider adds is ignored; one that is not listed here is in [`Event::json`](crate::Event::json). A body that
//! lacks a field that is always sent is a [`Failure::Reject`](crate::Failure::Reject) that names it.

#[cfg(feature = "dialogflow")]
pub mod dialogflow;
#[cfg(feature = "github")]
pub mod github;
#[cfg(feature = "gitlab")]
pub mod gitlab;
#[cfg(feature = "shopify")]
pub mod shopify;
#[cfg(feature = "slack")]
pub mod slack;
#[cfg(feature = "stripe")]
pub mod stripe;
#[cfg(feature = "twilio")]
pub mod twilio;
