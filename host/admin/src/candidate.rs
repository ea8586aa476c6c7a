//! Candidates, as the admin API shows and decides them.

use std::pin::Pin;
use std::sync::Arc;

use landfall_ledger::LedgerError;
use landfall_model::CandidateReport;

/// A decision that is being made, and the report after it.
pub type Deciding<'a> =
    Pin<Box<dyn Future<Output = Result<CandidateReport, CandidateRefused>> + Send + 'a>>;

/// The candidates of a node. The crate `landfall` implements it, so that this one does not know the
/// rules.
pub trait CandidateDecider: Send + Sync {
    /// How the candidate of a hook stands. `None`: no hook has this name.
    fn report(&self, hook: &str) -> Option<CandidateReport>;

    /// Makes the candidate the serving version.
    fn promote<'a>(&'a self, hook: &'a str) -> Deciding<'a>;

    /// Ends the trial of the candidate, or returns to the version before the promoted one.
    fn roll_back<'a>(&'a self, hook: &'a str) -> Deciding<'a>;
}

/// As the admin API holds it.
pub type SharedCandidates = Arc<dyn CandidateDecider>;

/// Why nothing was decided.
#[derive(Debug, Clone)]
pub enum CandidateRefused {
    /// No hook has this name.
    NoHook,
    /// There is nothing to decide. A sentence for the operator.
    NotPossible(String),
    /// The ledger cannot store it.
    Ledger(LedgerError),
}
