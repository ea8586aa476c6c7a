//! What the folder of a new handler needs of a provider: the `[verify]` table, a secret, and a
//! sample.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::words::quote;
use super::{Guide, PUBLIC};
use crate::auth_scheme::AuthScheme;
use crate::check::{Verdict, check};
use crate::keys::{Keys, NoKeyDocuments, VerifyContext};
use crate::pack::SAMPLE;
use landfall_model::KeyForm;

/// Where the sample is sent to find its event type.
const SAMPLE_URL: &str = "http://localhost/sample";
const SAMPLE_ID: &str = "1";

impl Guide {
    /// The provider's name for people.
    pub fn title(&self) -> &str {
        &self.pack.name
    }

    /// Whether a hook of the provider needs a secret.
    pub fn needs_secret(&self) -> bool {
        self.verifier.has_secret()
    }

    /// Whether an ownership check of the provider needs a secret of its own.
    pub fn needs_challenge_secret(&self) -> bool {
        let answers_with_it = |rule: &landfall_model::ChallengeSpec| {
            format!("{:?}", rule.answer).contains(" challenge_secret")
        };
        self.rules()
            .any(|rule| rule.require.query_secret.is_some() || answers_with_it(rule))
    }

    /// Why no request of this provider can be signed here; `None` if it can.
    pub fn cannot_sign(&self) -> Option<&str> {
        self.cannot_sign.as_deref()
    }

    /// The `[verify]` table of a hook file, with these references.
    pub fn verify_table(&self, secret: &str, challenge_secret: &str) -> String {
        let mut entries = vec![("provider", quote(&self.name))];
        if self.needs_secret() {
            entries.push(("secret", quote(secret)));
        }

        if self.needs_challenge_secret() {
            entries.push(("challenge_secret", quote(challenge_secret)));
        }

        if self.needs_public_url {
            entries.push(("public_url", quote(PUBLIC)));
        }

        let config = self.required_config();
        if !config.is_empty() {
            let pairs: Vec<String> = config
                .iter()
                .map(|(name, value)| format!("{name} = {}", quote(value)))
                .collect();

            entries.push(("config", format!("{{ {} }}", pairs.join(", "))));
        }

        let width = entries
            .iter()
            .map(|(key, _)| key.len())
            .max()
            .unwrap_or_default();

        let mut text = String::from("[verify]\n");
        for (key, value) in entries {
            writeln!(text, "{key:<width$} = {value}").expect("a string takes text");
        }

        text
    }

    /// The `path` of a hook of this name; `None` if the default path does.
    pub fn hook_path(&self, hook: &str) -> Option<String> {
        let path = self.path()?;
        let rest = path.strip_prefix(&format!("/{}/", self.name))?;
        Some(format!("/{hook}/{rest}"))
    }

    /// A secret in the provider's form. `None` if only the provider can have the key.
    pub fn made_up_secret(&self, random: &[u8]) -> Option<String> {
        let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        if *self.verifier.auth_scheme() == AuthScheme::Basic {
            return Some(format!("user:{hex}"));
        }

        match self.verifier.key_form() {
            KeyForm::Base64 => Some(STANDARD.encode(random)),
            KeyForm::Whsec | KeyForm::WhsecOrText => {
                Some(format!("whsec_{}", STANDARD.encode(random)))
            }
            KeyForm::Pem | KeyForm::SpkiBase64 | KeyForm::Ed25519Hex | KeyForm::Whpk => None,
            _ => Some(hex),
        }
    }

    /// The event type of the sample, if the provider has types: what a node finds in the sample.
    pub fn sample_event(&self) -> Option<String> {
        self.pack.event_type.as_ref()?;
        let draft = self.pack.draft_with_id(None, SAMPLE_URL, SAMPLE_ID).ok()?;
        let verifier = self.verifier.clone().without_authentication();
        let context = VerifyContext {
            keys: &Keys::default(),
            documents: &NoKeyDocuments,
            now: None,
        };
        match check(&verifier, draft, &context, None) {
            Ok(Verdict::Verified(verified)) => verified.fact("event-type").map(str::to_owned),
            _ => self.pack.sample_event.clone(),
        }
    }

    /// The body of the sample.
    pub fn sample_body(&self) -> &str {
        self.pack.sample.as_deref().unwrap_or(SAMPLE)
    }

    /// Whether the body of the sample is a form.
    pub fn sample_is_form(&self) -> bool {
        self.pack.sample_type.as_deref() == Some("application/x-www-form-urlencoded")
    }
}

#[cfg(test)]
mod tests {
    use super::super::guides;
    use crate::pack::Packs;
    use landfall_model::Secret;

    #[test]
    fn types_in_samples_are_found() {
        let packs = Packs::default();
        let of = |name: &str| {
            let guide = super::Guide::new(name, &packs).unwrap();
            guide.sample_event()
        };
        assert_eq!(of("github").as_deref(), Some("push"));
        assert_eq!(of("shopify").as_deref(), Some("orders/create"));
        // These packs name no type, and their sample has one.
        assert_eq!(of("discord").as_deref(), Some("2"));
        assert_eq!(of("adobe-io").as_deref(), Some("sample"));
        assert_eq!(of("generic"), None);
    }

    #[test]
    fn made_up_secrets_sign_samples() {
        let packs = Packs::default();
        let now = std::time::UNIX_EPOCH + super::super::SAMPLE_AGE;
        for guide in guides(&packs).unwrap() {
            if guide.cannot_sign().is_some() {
                continue;
            }

            let path = guide.hook_path("mine").unwrap_or_else(|| "/mine".into());
            let path = path.replace(['{', '}'], "");
            let url = format!("http://127.0.0.1:8080{path}");
            let config = guide.required_config().into_iter().collect();
            let request = crate::SampleRequest {
                event: guide.sample_event(),
                public_url: Some(format!("https://hooks.example.com{path}")),
                secret: guide.made_up_secret(&[7; 24]).map(Secret::new),
                body: Some(guide.sample_body().into()),
                ..crate::SampleRequest::of_provider(&guide.name, config, url)
            };
            let signed = crate::sample(&request, &packs, now);
            assert!(signed.is_ok(), "{}: {signed:?}", guide.name);
        }
    }
}
