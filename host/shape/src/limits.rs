//! The bounds of what is learned. docs/SHAPES.md lists them.

/// The most event types of a hook that are learned.
pub const TYPES_MAX: usize = 64;
/// The most bytes of an event type that is learned.
pub const TYPE_BYTES_MAX: usize = 100;
/// A larger body is not learned, in bytes: 1 MiB.
pub const BODY_MAX: usize = 1 << 20;
/// The most open differences of a shape.
pub const DIFFERENCES_MAX: usize = 20;
/// Objects and arrays that are nested deeper are any value.
pub(crate) const DEPTH_MAX: usize = 24;
/// The most places of a shape: fields, elements of arrays, values of maps.
pub(crate) const NODES_MAX: usize = 4_000;
/// An object with more names is a map.
pub(crate) const FIELDS_MAX: usize = 300;
/// A longer name, in bytes, is one of a map.
pub(crate) const NAME_BYTES_MAX: usize = 100;
/// The most bytes of all names of a shape: 64 KiB.
pub(crate) const NAMES_BYTES_MAX: usize = 64 << 10;
/// The most fields of a form.
pub(crate) const FORM_FIELDS_MAX: usize = 2_000;
