//! The capabilities of components, each in its own file: its context, its host functions, how it is linked. They know
//! nothing of the state of a store.

pub(crate) mod capability;
pub(crate) mod config;
pub(crate) mod emit;
mod held;
pub(crate) mod http;
pub(crate) mod keyvalue;
pub(crate) mod kv;
pub(crate) mod log;
pub(crate) mod logging;
pub(crate) mod settings;
pub(crate) mod stdio;
pub(crate) mod table;

// One line for each capability that needs a grant.
capability::capabilities! {
    table: table::Table,
    kv: kv::Kv,
    emit: emit::Emit,
}
