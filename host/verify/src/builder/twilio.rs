//! Rules of `scheme = "twilio"`.

use super::error::{BuildError, wrong};
use super::urls::{NEEDS_URL, names_url};
use crate::schemes::ProviderScheme;
use landfall_model::{Algorithm, VerifySpec};

/// Twilio signs the URL that it calls with SHA-1, or with SHA-256 if it uses a shared key.
pub(super) fn build(spec: &VerifySpec) -> Result<ProviderScheme, BuildError> {
    if !names_url(spec) {
        return Err(wrong("public_url", NEEDS_URL));
    }

    if spec
        .algorithm
        .is_some_and(|algorithm| !matches!(algorithm, Algorithm::HmacSha1 | Algorithm::HmacSha256))
    {
        return Err(wrong(
            "algorithm",
            "Twilio signs with hmac-sha1, or with hmac-sha256 and a shared key",
        ));
    }

    Ok(ProviderScheme::Twilio {
        algorithm: spec.algorithm,
    })
}
