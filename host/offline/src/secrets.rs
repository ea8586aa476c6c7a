//! Secrets of an offline run: every reference has the same placeholder, so that no value of the
//! author's machine is needed, or can appear in a result.

use landfall_model::{Secret, SecretError, SecretRef, SecretSource};

/// The value of every secret. It is valid Base64, which some signatures need.
pub(crate) const PLACEHOLDER: &str = "landfall+placeholder";

/// Gives each reference the placeholder.
pub(crate) struct Placeholders;

// === impl Placeholders ===

impl SecretSource for Placeholders {
    fn value(&self, _: &SecretRef) -> Result<Secret, SecretError> {
        Ok(Secret::new(PLACEHOLDER))
    }
}
