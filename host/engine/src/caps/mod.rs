//! The capabilities of components, each in its own file: its context, its host functions, how it is
//! linked. They know nothing of the state of a store.

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

use wasmtime::component::Linker;

use self::capability::{AttemptContext, Capability};
use landfall_model::{Effects, GrantKey, Grants};

/// Makes the contexts, the keys under `[allow]` and the linking from a list of capabilities.
macro_rules! capabilities {
    ($($name:ident: $context:ty,)+) => {
        /// The contexts of one attempt.
        pub(crate) struct Capabilities {
            $(pub(crate) $name: $context,)+
        }

        /// The keys of capabilities under `[allow]`.
        pub const CAPABILITIES: &[GrantKey] = &[$(<$context>::KEY),+];

        impl Capabilities {
            pub(crate) fn new(attempt: &AttemptContext<'_>) -> Capabilities {
                Capabilities {
                    $($name: <$context>::new(attempt),)+
                }
            }

            /// Links the capabilities that are granted.
            pub(crate) fn link<T: HasCapabilities>(
                linker: &mut Linker<T>,
                grants: &Grants,
            ) -> wasmtime::Result<()> {
                $(
                    if grants.contains(<$context>::KEY.name) {
                        <$context>::link::<T>(linker, |state| &mut state.capabilities().$name)?;
                    }
                )+
                Ok(())
            }

            /// The staged effects, at the end of the attempt.
            pub(crate) fn effects(&mut self) -> Effects {
                let mut effects = Effects::default();
                $(self.$name.take_effects(&mut effects);)+
                effects
            }
        }
    };
}

// One line for each capability that needs a grant.
capabilities! {
    table: table::Table,
    kv: kv::Kv,
    emit: emit::Emit,
}

/// The state of a store, which has the contexts.
pub(crate) trait HasCapabilities: Send + 'static {
    fn capabilities(&mut self) -> &mut Capabilities;
}
