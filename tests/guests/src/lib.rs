//! Nothing here: every component of this package is an example.
