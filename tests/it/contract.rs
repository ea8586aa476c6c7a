//! The contract in `wit/`, as components in several languages see it.

mod languages;
