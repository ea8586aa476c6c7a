//! What a capability that needs a grant is to the engine. `caps/mod.rs` lists them.

use std::sync::Arc;

use wasmtime::component::Linker;

use landfall_model::{Effects, GrantKey, Grants, MemoryBudget};

/// A capability: the context of one attempt, whose methods are the host functions. Its interface has the name of its key under
/// `[allow]` and is linked only if the hook file grants it.
pub(crate) trait Capability: Sized + Send + 'static {
    /// The key under `[allow]`.
    const KEY: GrantKey;

    /// The context of an attempt, also of one whose hook does not grant the capability: it must be cheap.
    fn new(attempt: &AttemptContext<'_>) -> Self;

    /// Links the host functions. `context` finds the capability in the state of a store.
    fn link<T: Send + 'static>(
        linker: &mut Linker<T>,
        context: fn(&mut T) -> &mut Self,
    ) -> wasmtime::Result<()>;

    /// Moves what the attempt has staged to its effects.
    fn take_effects(&mut self, _effects: &mut Effects) {}
}

/// What a capability may know of an attempt.
pub(crate) struct AttemptContext<'a> {
    pub(crate) hook: &'a Arc<str>,
    pub(crate) grants: &'a Grants,
    pub(crate) memory: &'a MemoryBudget,
    /// `None` for commands without a ledger, such as `check`.
    pub(crate) ledger: Option<&'a Arc<dyn landfall_ledger::Kv>>,
}

/// The state of a store that has the contexts of the capabilities.
pub(crate) trait HasCapabilities: Send + 'static {
    fn capabilities(&mut self) -> &mut super::Capabilities;
}

/// Makes `Capabilities`, the contexts of one attempt, and `CAPABILITIES`, the keys under `[allow]`, from a list of modules and types.
macro_rules! capabilities {
    ($($name:ident: $context:ty,)+) => {
        /// The contexts of one attempt.
        pub(crate) struct Capabilities {
            $(pub(crate) $name: $context,)+
        }

        /// The keys of capabilities under `[allow]`.
        pub const CAPABILITIES: &[landfall_model::GrantKey] =
            &[$(<$context as $crate::caps::capability::Capability>::KEY),+];

        impl Capabilities {
            pub(crate) fn new(attempt: &$crate::caps::capability::AttemptContext<'_>) -> Capabilities {
                Capabilities {
                    $($name: <$context as $crate::caps::capability::Capability>::new(attempt),)+
                }
            }

            /// Links the capabilities that are granted.
            pub(crate) fn link<T: $crate::caps::capability::HasCapabilities>(
                linker: &mut wasmtime::component::Linker<T>,
                grants: &landfall_model::Grants,
            ) -> wasmtime::Result<()> {
                use $crate::caps::capability::Capability;
                $(
                    if grants.contains(<$context>::KEY.name) {
                        <$context>::link::<T>(linker, |state| &mut state.capabilities().$name)?;
                    }
                )+
                Ok(())
            }

            /// The staged effects, at the end of the attempt.
            pub(crate) fn effects(&mut self) -> landfall_model::Effects {
                use $crate::caps::capability::Capability;
                let mut effects = landfall_model::Effects::default();
                $(self.$name.take_effects(&mut effects);)+
                effects
            }
        }
    };
}

pub(super) use capabilities;
