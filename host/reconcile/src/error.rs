//! Why a run ended before it had seen everything.

use landfall_dispatch::DispatchError;
use landfall_egress::OutgoingError;
use landfall_ledger::LedgerError;
use landfall_model::SecretError;

use super::listing::Unreadable;

/// Why a run ended. What it has stored stays stored; the next run goes on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// The API cannot be called.
    #[error("the API at {api} cannot be called: {error}")]
    Call { api: String, error: OutgoingError },
    /// The API has answered with this status.
    #[error("the API at {api} answers {status}: {hint}")]
    Refused {
        api: String,
        status: u16,
        hint: &'static str,
    },
    /// The API has faults for longer than a run tries.
    #[error("the API at {api} answers {status} again and again: the next run goes on")]
    Faulty { api: String, status: u16 },
    /// The API wants a longer wait than a run takes.
    #[error(
        "the rate limit of the API at {api} lasts {minutes} more minutes: the next run goes on; another credential has a limit of its own"
    )]
    Limited { api: String, minutes: u64 },
    /// A page is not what the provider documents.
    #[error(
        "{0}, so that nothing more is brought: check `api` of [reconcile], and whether this version is the newest"
    )]
    Unreadable(#[from] Unreadable),
    /// The list goes on for ever, or in circles.
    #[error(
        "the list of the API at {api} goes in circles or has more than {pages} pages: check `api` of [reconcile]"
    )]
    Endless { api: String, pages: u64 },
    /// The contents of so many deliveries could not be read.
    #[error(
        "the contents of {count} missed deliveries cannot be read, and the next run asks for them again: {last}"
    )]
    Contents { count: u64, last: String },
    /// The URL of the API cannot be granted.
    #[error("{0} cannot be called: correct `api` of [reconcile]")]
    Api(String),
    /// The private key of a GitHub App has no value now.
    #[error("`credential` of [reconcile]: {0}")]
    Secret(#[from] SecretError),
    /// The private key of a GitHub App is none.
    #[error(
        "`credential` of [reconcile] is not the private key of the app: give the whole PEM file that GitHub made"
    )]
    Key,
    /// The ledger cannot say what is known, or store how far the run is.
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    /// A delivery cannot be stored.
    #[error("a missed delivery cannot be stored: {0}")]
    Store(DispatchError),
    /// A fault of Landfall.
    #[error("the run ended by a fault: the log of the node says more")]
    Fault,
}
