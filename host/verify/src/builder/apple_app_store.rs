//! Rules of `scheme = "apple-app-store"`.

use super::error::{BuildError, wrong};
use crate::schemes::AppleAppStore;
use landfall_model::{ConfigValue, VerifySpec};

/// The app, its environment, and root certificates besides Apple's.
pub(super) fn build(spec: &VerifySpec) -> Result<AppleAppStore, BuildError> {
    let texts = |name: &str| {
        spec.config
            .get(name)
            .map(ConfigValue::texts)
            .unwrap_or_default()
    };

    let app = texts("app_apple_id").first().cloned();
    AppleAppStore::new(
        texts("bundle_id"),
        texts("environment"),
        app,
        texts("root_certificates"),
    )
    .map_err(|why| wrong("config", why))
}
