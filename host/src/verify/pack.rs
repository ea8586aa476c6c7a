//! Provider packs: one embedded TOML file a provider, saying how it signs, what it asks and how long it waits.

use std::time::Duration;

use serde::Deserialize;

use crate::model::{Challenge, Place, VerifySpec};

/// What is known of one provider. The source of each figure is the page that `docs` names.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// As people write it.
    pub name: String,
    /// Where the provider describes it.
    pub docs: Option<String>,
    /// How long the provider waits for an answer, in seconds.
    pub deadline_seconds: Option<u32>,
    /// Where it says what kind of event this is.
    pub event_type: Option<Place>,
    /// Where it names the delivery; the same when it tries again.
    pub delivery_id: Option<Place>,
    /// How it proves itself.
    pub verify: VerifySpec,
}

/// Name and text of every pack in the binary.
const EMBEDDED: [(&str, &str); 2] =
    [("generic", include_str!("packs/generic.toml")), ("github", include_str!("packs/github.toml"))];

/// The packs in the binary.
pub fn pack_names() -> impl Iterator<Item = &'static str> {
    EMBEDDED.iter().map(|(name, _)| *name)
}

// === impl Pack ===

impl Pack {
    /// The embedded pack of that name.
    pub fn find(name: &str) -> Option<Pack> {
        let (_, text) = EMBEDDED.iter().find(|(known, _)| *known == name)?;
        Some(toml::from_str(text).expect("embedded packs are read by a test"))
    }

    /// The pack under a bare `[verify] scheme = …`: no provider, the usual challenge.
    pub fn generic() -> Pack {
        Pack::find("generic").expect("the generic pack is embedded")
    }

    /// What to answer within: the provider's deadline less a fifth for the way back.
    pub fn answer_within(&self) -> Option<Duration> {
        self.deadline_seconds.map(|seconds| Duration::from_secs(seconds.into()) * 4 / 5)
    }

    /// The hook's word over the pack's, field by field. A hook that names another scheme starts from nothing but the
    /// challenge: a prefix for signatures means nothing to a token.
    pub fn under(&self, hook: &VerifySpec) -> VerifySpec {
        let base = match hook.scheme {
            Some(scheme) if self.verify.scheme != Some(scheme) => {
                VerifySpec { challenge: self.verify.challenge.clone(), ..VerifySpec::default() }
            }
            _ => self.verify.clone(),
        };
        VerifySpec {
            provider: hook.provider.clone(),
            scheme: hook.scheme.or(base.scheme),
            secret: hook.secret.clone(),
            from: hook.from.clone().or(base.from),
            prefix: hook.prefix.clone().or(base.prefix),
            algorithm: hook.algorithm.or(base.algorithm),
            encoding: hook.encoding.or(base.encoding),
            challenge: hook.challenge.clone().or(base.challenge),
        }
    }
}

/// The challenges of a merged spec.
pub fn challenges(spec: &VerifySpec) -> Vec<Challenge> {
    spec.challenge.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_pack_reads_and_builds() {
        for name in pack_names() {
            let pack = Pack::find(name).unwrap();
            assert!(pack.verify.secret.is_empty(), "{name}: a pack holds no secrets");
            assert!(pack.docs.as_deref().is_none_or(|docs| docs.starts_with("https://")), "{name}");
        }
    }

    #[test]
    fn the_deadline_leaves_time_for_the_way_back() {
        assert_eq!(Pack::find("github").unwrap().answer_within(), Some(Duration::from_secs(8)));
        assert_eq!(Pack::generic().answer_within(), None);
    }
}
