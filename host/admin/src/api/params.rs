//! Parameters that several endpoints take.

use utoipa::IntoParams;

use super::query_error::QueryError;
use landfall_model::clock::to_ms;
use landfall_model::{Clock, DeliveryState};

/// Entries of one page.
pub(crate) const PAGE_MAX: usize = 1000;

/// The segment of a path that is the name of a hook, for descriptions.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code)]
pub(crate) struct HookPath {
    /// The name of the hook
    hook: String,
}

/// Parses a time, or a duration before now, to ms since 1970.
pub(crate) fn time(typed: Option<&str>, clock: Clock) -> Result<Option<i64>, QueryError> {
    let Some(typed) = typed else { return Ok(None) };
    let ago = humantime::parse_duration(typed)
        .ok()
        .and_then(|ago| clock.now().checked_sub(ago));
    let at = ago.map_or_else(|| humantime::parse_rfc3339_weak(typed), Ok);
    at.map(|at| Some(to_ms(at)))
        .map_err(|_| QueryError::Time(typed.to_owned()))
}

/// Parses the word of a state.
pub(crate) fn state(word: Option<&str>) -> Result<Option<DeliveryState>, QueryError> {
    let Some(word) = word else { return Ok(None) };
    DeliveryState::from_word(word)
        .map(Some)
        .ok_or_else(|| QueryError::State(word.to_owned()))
}
