//! Rules of `scheme = "ebay"`.

use super::error::{BuildError, wrong};
use super::urls::names_url;
use crate::schemes::Ebay;
use landfall_model::VerifySpec;

/// eBay's environment. Its ownership check requires the verification token and the registered URL.
pub(super) fn build(spec: &VerifySpec) -> Result<Ebay, BuildError> {
    if spec.challenge_secret.is_empty() {
        let way_out = "write challenge_secret = \"env:NAME\"";
        return Err(wrong(
            "challenge_secret",
            format!("challenge_secret, eBay's verification token, is missing: {way_out}"),
        ));
    }

    if !names_url(spec) && !spec.config.contains_key("endpoint") {
        return Err(wrong(
            "public_url",
            "public_url is missing: eBay's check of the endpoint hashes its address; write \
             public_url = \"https://hooks.example.com\"",
        ));
    }

    match spec.config.get("environment").map(|value| value.texts()) {
        None => Ok(Ebay::Production),
        Some([one]) if one.eq_ignore_ascii_case("production") => Ok(Ebay::Production),
        Some([one]) if one.eq_ignore_ascii_case("sandbox") => Ok(Ebay::Sandbox),
        Some(_) => Err(wrong(
            "config",
            "config.environment is neither \"production\" nor \"sandbox\"",
        )),
    }
}
