//! The plugins directory: watched and polled, loaded, swapped. A bad file keeps the last good
//! version serving.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod beneath;
mod bundled;
mod candidate_loads;
mod candidates;
mod check;
mod error;
mod file;
mod file_times;
mod files;
mod hook;
mod hook_file;
mod key_cache;
mod listing;
mod load;
mod loads;
mod managed;
mod names;
mod nearest;
mod new_grants;
mod packs;
mod platform;
mod readiness;
mod reconciler;
mod routes;
mod sample;
mod scan;
mod served;
mod status;
mod table;
mod trust;
mod vanished;
mod watch;

pub use candidates::{Candidates, FoundCandidate, Promotion, VersionFile};
pub use check::CheckedHookFile;
pub use error::OtherDigest;
pub use hook::{Hook, Serving};
pub use hook_file::{HookFile, manifest};
pub use key_cache::KeyCache;
pub use load::{check_digest, shorter_answer};
pub use packs::packs;
pub use platform::Platform;
pub use reconciler::Setup;
pub use served::Hooks;
pub use status::{HookState, HookStatus};
pub use table::{RouteMatch, Table};
pub use trust::Trust;

pub use landfall_verify::{MaskedEvent, ProofNames, mask_of_unknown_hook};
