//! Guides: what an operator needs to connect a provider, generated from its pack. `landfall
//! providers NAME` prints a guide, and docs/providers is generated from them.

mod commands;
mod deliveries;
mod formats;
mod handshake;
mod project;
mod sections;
mod words;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;

use crate::auth_scheme::AuthScheme;
use crate::builder::BuildError;
use crate::pack::{Pack, PackError, Packs, pack_names};
use crate::sample::{SampleError, SampleRequest, sample};
use crate::settings;
use crate::verifier::Verifier;
use landfall_model::{
    ChallengeSpec, ConfigValue, KeyForm, Scheme, Secret, ValueLocation, VerifySpec,
};
use words::{Block, variable};

const PRIVATE_KEY: &str = "this provider signs with a private key that only it has";
const SAMPLE_AGE: Duration = Duration::from_secs(1_760_000_000);

const PUBLIC: &str = "https://hooks.example.com";
/// The URL of the node in the samples.
const LOCAL: &str = "http://127.0.0.1:8080";

/// The guide for one provider.
pub struct Guide {
    /// The name of the pack's file, without `.toml`.
    pub name: String,
    pack: Pack,
    verifier: Verifier,
    spec: VerifySpec,
    needs_public_url: bool,
    /// Names of other packs of the same provider.
    variants: Vec<String>,
    /// The pack whose secret this pack shares, or this pack.
    secret_of: String,
    /// Why no request of this provider can be signed here; `None` if it can.
    cannot_sign: Option<String>,
}

/// Why there is no guide for a pack.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GuideError {
    /// The pack cannot be used.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The pack's `[verify]` table does not build.
    #[error("providers/{name}.toml: {error}")]
    Verify {
        /// The name of the pack.
        name: String,
        /// What is wrong with the table.
        error: BuildError,
    },
}

/// A section of a guide.
struct Section {
    title: &'static str,
    blocks: Vec<Block>,
}

/// The names of variants by the name of their main pack.
type Variants = BTreeMap<String, Vec<String>>;

fn variants(packs: &Packs) -> Variants {
    let mut all = Variants::new();
    for name in pack_names() {
        if let Ok(Pack {
            variant_of: Some(of),
            ..
        }) = packs.find(name)
        {
            all.entry(of).or_default().push(name.to_owned());
        }
    }

    all
}

/// The guides of all embedded packs.
pub fn guides(packs: &Packs) -> Result<Vec<Guide>, GuideError> {
    let variants = variants(packs);
    pack_names()
        .map(|name| Guide::of(name.to_owned(), packs, &variants))
        .collect()
}

// === impl Guide ===

impl Guide {
    /// The guide for a pack, by its name or an alias.
    pub fn new(name: &str, packs: &Packs) -> Result<Guide, GuideError> {
        Guide::of(packs.file_name(name)?, packs, &variants(packs))
    }

    fn of(name: String, packs: &Packs, variants: &Variants) -> Result<Guide, GuideError> {
        let pack = packs.find(&name)?;
        let secret_of = match pack.variant_of.as_ref().map(|of| (of, packs.find(of))) {
            Some((of, Ok(other))) if has_same_secret(&pack, &other) => of.clone(),
            _ => name.clone(),
        };

        let secret: Vec<_> = ["env:SECRET".parse().expect("a secret reference")].into();
        let typed = VerifySpec {
            provider: Some(name.clone()),
            secret,
            ..VerifySpec::default()
        };

        let filled = settings::fill_in(&pack, with_examples(&pack, typed));

        let with_url = VerifySpec {
            public_url: Some(PUBLIC.into()),
            ..filled.clone()
        };

        let verifier = Verifier::build(&with_url, packs).map_err(|error| GuideError::Verify {
            name: name.clone(),
            error,
        })?;
        let needs_public_url =
            Verifier::build(&filled, packs).is_err() || pack.verify.scheme == Some(Scheme::Twilio);
        let spec = pack.merge(&filled);

        let variants = variants.get(&name).cloned().unwrap_or_default();
        let mut guide = Guide {
            name,
            pack,
            verifier,
            spec,
            needs_public_url,
            variants,
            secret_of,
            cannot_sign: None,
        };

        guide.cannot_sign = match guide.verifier.key_form() {
            KeyForm::Pem | KeyForm::SpkiBase64 | KeyForm::Ed25519Hex | KeyForm::Whpk => {
                Some(PRIVATE_KEY.into())
            }
            _ => guide
                .sample(packs, UNIX_EPOCH + SAMPLE_AGE)
                .err()
                .map(|error| error.to_string()),
        };

        Ok(guide)
    }

    /// Signs the sample, as the command in section "Test" does.
    fn sample(&self, packs: &Packs, now: SystemTime) -> Result<(), SampleError> {
        let config = self.required_config().into_iter().collect();
        let request = SampleRequest {
            public_url: Some(self.public_url()),
            secret: Some(Secret::new(self.sample_secret())),
            ..SampleRequest::of_provider(&self.name, config, self.local_url())
        };

        sample(&request, packs, now).map(drop)
    }

    /// A sample secret in the provider's form.
    pub(crate) fn sample_secret(&self) -> &'static str {
        if *self.verifier.auth_scheme() == AuthScheme::Basic {
            return "user:a-long-password";
        }

        match self.verifier.key_form() {
            KeyForm::Hex => "6c6f6e672d656e6f7567682d666f722d61",
            KeyForm::Base64 => "bG9uZy1lbm91Z2gtZm9yLWEtdGVzdA==",
            KeyForm::Whsec | KeyForm::WhsecOrText => "whsec_bG9uZy1lbm91Z2gtZm9yLWEtdGVzdA==",
            _ => "long-enough-for-a-test",
        }
    }

    /// Whether a handshake stores the secret.
    fn pairs(&self) -> bool {
        self.rules().any(|rule| rule.pair.is_some())
    }

    fn rules(&self) -> impl Iterator<Item = &ChallengeSpec> {
        self.spec.challenge.iter().flatten()
    }

    fn secret_reference(&self) -> String {
        if self.pairs() {
            format!("file:{}.secret", self.name)
        } else {
            format!("env:{}", variable(&self.secret_of, "SECRET"))
        }
    }

    /// Names and examples of the required values.
    fn required_config(&self) -> Vec<(String, String)> {
        let keys = &self.pack.config;
        let values = self.spec.config.iter();
        let needed = values.filter(|(name, _)| keys.get(*name).is_none_or(|key| key.required));
        let needed = needed.map(|(name, value)| {
            let example = value.texts().first().cloned().unwrap_or_default();
            (name.clone(), example)
        });

        needed.collect()
    }

    /// The last segment of the hook's path, if the path contains the secret or another value.
    fn path(&self) -> Option<String> {
        let places = self.spec.from.iter().flatten();
        places
            .filter_map(|place| match place {
                ValueLocation::Path(_) => Some(format!("/{}/{{secret}}", self.name)),
                ValueLocation::Param(name) => Some(format!("/{}/{{{name}}}", self.name)),
                _ => None,
            })
            .next()
    }

    fn path_called(&self) -> String {
        self.path()
            .unwrap_or_else(|| format!("/{}", self.name))
            .replace(['{', '}'], "")
    }

    fn local_url(&self) -> String {
        format!("{LOCAL}{}", self.path_called())
    }

    fn public_url(&self) -> String {
        format!("{PUBLIC}{}", self.path_called())
    }
}

/// Adds the example of every required value to the hook's table.
fn with_examples(pack: &Pack, mut typed: VerifySpec) -> VerifySpec {
    for (name, key) in pack.config.iter().filter(|(_, key)| key.required) {
        let example = key.example.clone().unwrap_or_default();
        typed.config.insert(name.clone(), ConfigValue::One(example));
    }

    typed
}

fn has_same_secret(pack: &Pack, other: &Pack) -> bool {
    let is_same_place =
        pack.secret_location.is_some() && pack.secret_location == other.secret_location;
    is_same_place && pack.verify.key == other.verify.key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guide(name: &str) -> Guide {
        Guide::new(name, &Packs::default()).unwrap()
    }

    #[test]
    fn every_pack_has_a_guide() {
        let all = guides(&Packs::default()).unwrap();
        assert_eq!(all.len(), pack_names().count());
        for guide in &all {
            let spec: toml::Table = guide.hook_file().parse().unwrap();
            assert_eq!(
                spec["verify"]["provider"].as_str(),
                Some(guide.name.as_str())
            );

            assert!(
                !guide.text().contains("unset"),
                "{}: a required value has no example",
                guide.name
            );
        }
    }

    #[test]
    fn handshakes_are_told_in_sentences() {
        let text = guide("meta").markdown();
        assert!(
            text.contains(
                "the query parameter `hub.verify_token` must be the token in `challenge_secret`"
            ),
            "{text}"
        );

        assert!(
            text.contains("challenge_secret = \"env:META_VERIFY_TOKEN\""),
            "{text}"
        );
    }

    #[test]
    fn signed_urls_need_a_public_url() {
        let text = guide("twilio").text();
        assert!(
            text.contains("public_url = \"https://hooks.example.com\""),
            "{text}"
        );

        assert!(
            text.contains("--public-url https://hooks.example.com/twilio"),
            "{text}"
        );
    }

    #[test]
    fn guides_name_private_keys() {
        assert_eq!(guide("discord").test_command(), None);
        assert!(
            guide("discord")
                .text()
                .contains("private key that only it has")
        );
    }
}
