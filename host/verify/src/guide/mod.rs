//! Guides: what an operator needs to connect a provider, generated from its pack. `landfall
//! providers NAME` prints a guide, and docs/providers is generated from them.

mod handshake;
mod sections;
mod words;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use thiserror::Error;

use crate::auth_scheme::AuthScheme;
use crate::builder::BuildError;
use crate::pack::{Pack, PackError, Packs, pack_names};
use crate::sample::{SampleError, SampleRequest, sample};
use crate::settings;
use crate::verifier::Verifier;
use handshake::HandshakeRequest;
use landfall_model::{
    ChallengeSpec, ConfigValue, KeyForm, Scheme, Secret, ValueLocation, VerifySpec,
};
use words::{Block, cell, evidence, identity, kebab, pattern, quote, shell_quote, variable};

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

        let build = |spec: &VerifySpec| Verifier::build(spec, packs);
        let with_url = VerifySpec {
            public_url: Some(PUBLIC.into()),
            ..filled.clone()
        };

        let verifier = build(&with_url).map_err(|error| GuideError::Verify {
            name: name.clone(),
            error,
        })?;
        let needs_public_url =
            build(&filled).is_err() || pack.verify.scheme == Some(Scheme::Twilio);
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
        let request = SampleRequest {
            provider: self.name.clone(),
            event: None,
            url: self.local_url(),
            public_url: Some(self.public_url()),
            secret: Some(Secret::new(self.sample_secret())),
            body: None,
            config: self.required_config().into_iter().collect(),
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

    fn needs_secret(&self) -> bool {
        self.verifier.has_secret()
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

    fn needs_challenge_secret(&self) -> bool {
        let answers_with_it =
            |rule: &ChallengeSpec| format!("{:?}", rule.answer).contains(" challenge_secret");
        self.rules()
            .any(|rule| rule.require.query_secret.is_some() || answers_with_it(rule))
    }

    /// Names and examples of the required values.
    fn required_config(&self) -> Vec<(String, String)> {
        let is_needed = |name: &String| self.pack.config.get(name).is_none_or(|key| key.required);
        let needed = self.spec.config.iter().filter(|(name, _)| is_needed(name));
        needed
            .map(|(name, value)| {
                (
                    name.clone(),
                    value.texts().first().cloned().unwrap_or_default(),
                )
            })
            .collect()
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

    /// A hook file that loads as it is.
    pub fn hook_file(&self) -> String {
        let name = &self.name;
        let mut text = format!("# {name}.toml\ncomponent = \"echo.wasm\"\n");
        if let Some(path) = self.path() {
            writeln!(text, "path      = {}", quote(&path)).expect("a string takes text");
        }

        let mut entries = vec![("provider", quote(name))];
        if self.needs_secret() {
            entries.push(("secret", quote(&self.secret_reference())));
        }

        if self.needs_challenge_secret() {
            entries.push((
                "challenge_secret",
                quote(&format!("env:{}", variable(name, "VERIFY_TOKEN"))),
            ));
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

        text.push_str("\n[verify]\n");
        for (key, value) in entries {
            writeln!(text, "{key:<width$} = {value}").expect("a string takes text");
        }

        text
    }

    /// The command that sends a signed sample to a local node; `None` if no request can be signed.
    pub(crate) fn test_command(&self) -> Option<String> {
        if self.cannot_sign.is_some() {
            return None;
        }

        let mut command = format!("landfall send {} --to {}", self.name, self.local_url());
        if self.needs_secret() {
            // A reference in a hook file is relative to the plugins directory, one in a command to
            // the working directory.
            let reference = self.secret_reference().replace("file:", "file:plugins/");
            write!(command, " --secret {reference}").expect("a string takes text");
        }

        for (name, value) in self.required_config() {
            if settings::names_read(&self.spec).contains(&name) {
                write!(
                    command,
                    " --config {}",
                    shell_quote(&format!("{name}={value}"))
                )
                .expect("a string takes text");
            }
        }

        if self.needs_public_url {
            write!(command, " --public-url {}", self.public_url()).expect("a string takes text");
        }

        Some(command)
    }

    /// The commands that make the provider's handshakes: with curl, or signed if required.
    fn handshake_commands(&self) -> Vec<String> {
        self.rules()
            .filter_map(|rule| self.handshake_command(rule))
            .collect()
    }

    /// `None` if the operator must first open the handshake or list a value.
    fn handshake_command(&self, rule: &ChallengeSpec) -> Option<String> {
        let list = rule.require.listed.as_ref();
        let required = self.required_config();
        let allowed = list.map(|(_, name)| required.iter().find(|(known, _)| known == name));
        if rule.pair.is_some() || allowed == Some(None) {
            return None;
        }

        let mut request = HandshakeRequest::new(rule)?;
        if let (Some((place, _)), Some(Some((_, value)))) = (list, allowed) {
            request.set(place, value);
        }

        if let Some(name) = &rule.require.query_secret {
            request.set(
                &format!("query:{name}"),
                &format!("${}", variable(&self.name, "VERIFY_TOKEN")),
            );
        }

        if rule.verify_first && *self.verifier.auth_scheme() != AuthScheme::Open {
            request.signed(&self.test_command()?)
        } else {
            Some(request.curl(&self.local_url()))
        }
    }

    /// The guide as text for a terminal.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.pack.name);
        for section in self.sections() {
            if !section.title.is_empty() {
                write!(text, "\n{}\n", section.title.to_uppercase()).expect("a string takes text");
            }

            for block in &section.blocks {
                text.push_str(&block.plain());
            }
        }

        text
    }

    /// The guide as a page of docs/providers.
    pub fn markdown(&self) -> String {
        let mut text = format!("# {}\n", self.pack.name);
        for section in self.sections() {
            if !section.title.is_empty() {
                write!(text, "\n## {}\n", section.title).expect("a string takes text");
            }

            for block in &section.blocks {
                text.push('\n');
                text.push_str(&block.markdown());
            }
        }

        text
    }

    /// The provider's row in the index of docs/providers.
    pub fn row(&self) -> String {
        let Pack { name, docs, .. } = &self.pack;
        let docs = docs
            .as_ref()
            .map(|docs| format!("[documentation]({docs})"))
            .unwrap_or_default();

        format!(
            "| [{}]({}.md) | `{}` | {} | {docs} |",
            cell(name),
            self.name,
            self.name,
            evidence(&self.pack)
        )
    }

    /// One line with name, title, evidence and documentation.
    pub fn line(&self) -> String {
        let Pack { name, docs, .. } = &self.pack;
        format!(
            "{:<28} {:<44} {:<12} {}",
            self.name,
            name,
            evidence(&self.pack),
            docs.as_deref().unwrap_or_default()
        )
    }

    /// The guide as JSON.
    pub fn json(&self) -> Value {
        let pack = &self.pack;
        let patterns: Vec<String> = pack.avoid_status.iter().map(pattern).collect();
        let window = self.window();

        json!({
            "provider": self.name,
            "name": pack.name,
            "docs": pack.docs,
            "evidence": pack.evidence,
            "evidence_source": pack.evidence_source,
            "variant_of": pack.variant_of,
            "aliases": pack.aliases,
            "note": pack.note,
            "scheme": self.verifier.auth_scheme().word(),
            "needs_secret": self.needs_secret(),
            "secret_location": pack.secret_location,
            "secret_form": kebab(self.verifier.key_form()),
            "config": pack.config,
            "needs_public_url": self.needs_public_url,
            "needs_challenge_secret": self.needs_challenge_secret(),
            "handshakes": self.handshakes(),
            "deadline_seconds": pack.deadline_seconds,
            "max_body_bytes": pack.max_body_bytes,
            "content_types": pack.content_types,
            "retries": pack.retries,
            "retry_schedule": pack.retry_schedule,
            "retry_span_seconds": pack.retry_span.map(|span| span.as_secs()),
            "retry_resigned": pack.retry_resigned,
            "success": pack.success,
            "avoid_status": patterns,
            "accepted": { "status": self.accepted_status(), "headers": pack.accepted.headers, "body": pack.accepted.body },
            "reply_body": pack.reply_body,
            "delivery_id": pack.delivery_id.as_ref().map(identity),
            "delivery_id_source": pack.delivery_id_source,
            "window_seconds": window.and_then(|window| window.past).map(|past| past.as_secs()),
            "from_addresses": pack.from_addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "hook_file": self.hook_file(),
            "test_command": self.test_command(),
            "cannot_sign": self.cannot_sign,
            "handshake_commands": self.handshake_commands(),
        })
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
