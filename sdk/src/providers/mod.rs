//! What well-known providers send, as types: the fields that handlers ask for most. Each is behind
//! the feature of its name.
//!
//! A field that is not listed here is in [`Event::json`](crate::Event::json). No JSON body is
//! rejected because it differs from a type: a missing field has its default (an empty text, 0,
//! `None`), and a body of another shape is the variant `Other` of GitHub, Shopify and the objects
//! of Stripe and Slack, with a line in the log that names the place.

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

#[cfg(any(
    feature = "github",
    feature = "shopify",
    feature = "slack",
    feature = "stripe"
))]
mod lenient;
#[cfg(any(feature = "github", feature = "shopify"))]
use lenient::typed;
#[cfg(any(feature = "slack", feature = "stripe"))]
use lenient::typed_value;
