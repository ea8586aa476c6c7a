//! Rules of `scheme = "apple-app-store"`.

use super::error::{BuildError, wrong};
use crate::schemes::AppleAppStore;
use landfall_model::{ConfigValue, VerifySpec};

/// The app, its environment, and root certificates besides Apple's.
pub(super) fn build(spec: &VerifySpec) -> Result<AppleAppStore, BuildError> {
    AppleAppStore::new(
        texts(spec, "bundle_id"),
        texts(spec, "environment"),
        texts(spec, "app_apple_id").first().cloned(),
        texts(spec, "root_certificates"),
    )
    .map_err(|why| wrong("config", why))
}

fn texts<'a>(spec: &'a VerifySpec, name: &str) -> &'a [String] {
    let value = spec.config.get(name);
    value.map(ConfigValue::texts).unwrap_or_default()
}
