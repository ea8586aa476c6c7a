//! The shapes of events: which fields their bodies have, and of which types. Learned from stored
//! events (`Shape::learn`), compared with new ones once they are known (`Shape::differences`), and
//! written as JSON Schema, TypeScript or Rust.
//!
//! Everything here is a function of bodies and of the time that the caller passes in: there is no
//! IO and no clock. The size of a shape is bounded, whatever bodies contain. A shape has the names
//! of fields, but no values apart from words of the provider's vocabulary (`word.rs`).
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod compare;
mod difference;
mod escape;
mod fields;
mod format;
mod identifier;
mod limits;
mod name;
mod node;
mod read;
mod rust;
mod schema;
mod shape;
mod summary;
mod types;
mod typescript;
mod usual;
mod word;
mod written;

#[cfg(test)]
mod tests;

pub use difference::{Closed, Difference, DifferenceKind};
pub use fields::Field;
pub use limits::{BODY_MAX, DIFFERENCES_MAX, TYPE_BYTES_MAX, TYPES_MAX};
pub use rust::rust;
pub use schema::schema;
pub use shape::{Learned, Rules, Sample, Shape};
pub use summary::Summary;
pub use typescript::typescript;
pub use written::Written;
