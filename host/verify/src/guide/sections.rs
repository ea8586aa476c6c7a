//! The sections of a guide.

use std::fmt::Write as _;

use super::handshake::sentence;
use super::words::{
    Block, fact, listed, listed_or, location_name, piece_text, signature_algorithm, variable,
};
use super::{Guide, PUBLIC, Section};
use crate::auth_scheme::AuthScheme;
use crate::pack::Evidence;
use landfall_model::{KeyForm, Scheme, ValueLocation};

impl Guide {
    pub(super) fn sections(&self) -> Vec<Section> {
        let sections = [
            self.introduction(),
            self.secret_section(),
            self.config_section(),
            self.hook_section(),
            self.handshake_section(),
            self.delivery_section(),
            self.answer_section(),
            self.test_section(),
        ];

        sections.into_iter().flatten().collect()
    }

    fn introduction(&self) -> Option<Section> {
        let pack = &self.pack;
        let mut facts = vec![fact("Provider pack", format!("`{}`", self.name))];
        if let Some(docs) = &pack.docs {
            facts.push(fact("Documentation", docs.clone()));
        }

        let source = pack
            .evidence_source
            .as_ref()
            .map(|source| format!(" ({source})"))
            .unwrap_or_default();

        match pack.evidence {
            Some(Evidence::Vendor) => {
                facts.push(fact(
                    "Evidence",
                    format!("vendor: the provider's own documentation or code{source}"),
                ));
            }
            Some(Evidence::ThirdParty) => {
                facts.push(fact(
                    "Evidence",
                    format!("third-party: code or text of another party{source}"),
                ));
            }
            None => {}
        }

        if !pack.aliases.is_empty() {
            facts.push(fact(
                "Other names",
                listed(pack.aliases.iter().map(|name| format!("`{name}`"))),
            ));
        }

        if let Some(of) = &pack.variant_of {
            facts.push(fact("Variant of", page_link(of)));
        }

        if !self.variants.is_empty() {
            let links = self.variants.iter().map(|name| page_link(name));
            facts.push(fact("Variants", listed(links)));
        }

        facts.push(fact("Authentication", self.authentication()));
        facts.extend(
            self.verifier
                .body_note()
                .map(|note| fact("Body", note.to_owned())),
        );

        let note = pack.note.clone().map(Block::Text);
        Some(Section {
            title: "",
            blocks: [Block::Facts(facts)].into_iter().chain(note).collect(),
        })
    }

    fn authentication(&self) -> String {
        let places = listed_or(self.spec.from.iter().flatten().map(location_name));
        let prefix = self
            .spec
            .prefix
            .as_deref()
            .filter(|prefix| !prefix.is_empty());

        let after = prefix
            .map(|prefix| format!(", after `{prefix}`"))
            .unwrap_or_default();

        match self.verifier.auth_scheme() {
            AuthScheme::Closed | AuthScheme::Open => "none: every request is accepted".into(),
            AuthScheme::Basic => "HTTP basic authentication".into(),
            AuthScheme::Token { .. } => format!("a shared token in {places}{after}"),
            AuthScheme::Jwt(jwt) => format!(
                "a JSON web token ({}) in {places}{after}",
                jwt.algorithms.join(", ")
            ),
            AuthScheme::Signature(signature) => {
                let signed = match &self.spec.payload {
                    None => "{body}".to_owned(),
                    Some(pieces) => pieces.iter().map(piece_text).collect(),
                };

                let algorithm = signature_algorithm(signature);
                format!("a signature ({algorithm}) of `{signed}` in {places}{after}")
            }
            AuthScheme::Provider(code) => {
                format!("the scheme `{}`, which is part of Landfall", code.word())
            }
        }
    }

    fn secret_section(&self) -> Option<Section> {
        let mut texts = Vec::new();
        if self.pairs() {
            texts.push(format!(
                "The provider sends the secret in its first request. Landfall stores it in the file that `secret` names \
                 (`{}` below), while the hook has `config = {{ handshake_open = \"true\" }}`. Add that line, create the \
                 webhook at the provider, and remove the line again.",
                self.secret_reference()
            ));
        }

        texts.extend(self.pack.secret_location.clone());
        if !self.needs_secret() {
            if *self.verifier.auth_scheme() != AuthScheme::Open {
                texts.push(
                    "The hook has no secret: the provider signs with a private key and publishes \
                     the public one."
                        .into(),
                );
            }
        } else {
            let form = match self.verifier.key_form() {
                KeyForm::Utf8 if *self.verifier.auth_scheme() == AuthScheme::Basic => {
                    "Write it as `user:password`."
                }
                KeyForm::Utf8 => "Use the text as it is shown.",
                KeyForm::Hex => "It is written in hexadecimal digits.",
                KeyForm::Base64 => "It is written in base64.",
                KeyForm::Whsec => "It is written as `whsec_` and base64.",
                KeyForm::WhsecOrText => "With `whsec_` in front it is base64, otherwise a text.",
                KeyForm::Pem => {
                    "It is a public key in PEM: a text that begins with `-----BEGIN PUBLIC \
                     KEY-----`."
                }
                KeyForm::SpkiBase64 => "It is a public key (SubjectPublicKeyInfo) in base64.",
                KeyForm::Ed25519Hex => "It is an Ed25519 public key in hexadecimal digits.",
                KeyForm::Whpk => "It is an Ed25519 public key, written as `whpk_` and base64.",
                _ => "",
            };

            texts.extend(Some(form.to_owned()).filter(|form| !form.is_empty()));
        }

        (!texts.is_empty()).then(|| Section {
            title: "Secret",
            blocks: vec![Block::Text(texts.join(" "))],
        })
    }

    fn config_section(&self) -> Option<Section> {
        let config = &self.pack.config;
        let mut facts = Vec::new();
        if self.needs_challenge_secret() {
            facts.push(fact(
                "`challenge_secret` (required)",
                "The verify token: a text that you choose, and that you enter at the provider too."
                    .into(),
            ));
        }

        if self.needs_public_url {
            facts.push(fact(
                "`public_url` (required)",
                format!(
                    "Scheme and host of the URL that you enter at the provider, since the provider signs that URL and a \
                     proxy may change it. With `{PUBLIC}` the provider calls `{}`. Where a proxy replaces the whole path, \
                     write `url = \"…\"` with the full URL instead.",
                    self.public_url()
                ),
            ));
        }

        for (name, key) in config {
            let need = if key.required { "required" } else { "optional" };
            let example = key
                .example
                .as_ref()
                .map(|example| format!(" Example: `{example}`."))
                .unwrap_or_default();

            let about = key.about.trim_end_matches('.');
            facts.push(fact(
                &format!("`config.{name}` ({need})"),
                format!("{about}.{example}"),
            ));
        }

        (!facts.is_empty()).then(|| Section {
            title: "Your values",
            blocks: vec![Block::Facts(facts)],
        })
    }

    fn hook_section(&self) -> Option<Section> {
        let mut texts = vec![format!(
            "Save this as `{}.toml` in the plugins directory. The component `echo.wasm` answers with what it received; put your own in its \
             place later. The image has it. In a clone of Landfall, `landfall build plugins --out DIR` builds it: then start the node with \
             `LANDFALL_BUNDLED=DIR`, and in another directory, because the clone's own `plugins` has sources.",
            self.name
        )];

        if !self.required_config().is_empty() {
            texts.push("Replace the values of `config` by your own.".into());
        }

        if self.needs_public_url {
            texts.push(format!(
                "Replace `{PUBLIC}` by the scheme and host of your own URL."
            ));
        }

        let query = self
            .spec
            .from
            .iter()
            .flatten()
            .find_map(|place| match place {
                ValueLocation::Query(name)
                    if matches!(self.verifier.auth_scheme(), AuthScheme::Token { .. }) =>
                {
                    Some(name)
                }
                _ => None,
            });

        let called = match (self.path(), query) {
            (Some(_), _) => format!(
                "`{}`, with your secret in place of `secret`",
                self.public_url()
            ),
            (None, Some(name)) => {
                format!(
                    "`{}?{name}=SECRET`, with your secret in place of `SECRET`",
                    self.public_url()
                )
            }
            (None, None) => format!("`{}`", self.public_url()),
        };

        let end = format!(
            "With the host `hooks.example.com`, the URL to enter at the provider is {called}. `landfall check` says \
             whether the hook would serve."
        );

        let blocks = vec![
            Block::Text(texts.join(" ")),
            Block::Code("toml", self.hook_file()),
            Block::Text(end),
        ];

        Some(Section {
            title: "Hook file",
            blocks,
        })
    }

    pub(super) fn handshakes(&self) -> Vec<String> {
        let confirmed = (self.spec.scheme == Some(Scheme::AwsSns)).then(|| {
            "A signed `SubscriptionConfirmation` of a topic in `config.topic_arns` is confirmed: Landfall calls its \
             `SubscribeURL`."
                .to_owned()
        });

        self.rules().map(sentence).chain(confirmed).collect()
    }

    fn handshake_section(&self) -> Option<Section> {
        let all = self.handshakes();
        let text = match all.len() {
            0 => "The provider has no handshake that Landfall needs to answer.".to_owned(),
            1 => format!(
                "Landfall answers the provider's handshake without running the component. {}",
                all[0]
            ),
            _ => {
                let lines: Vec<String> = all.iter().map(|line| format!("- {line}")).collect();
                format!(
                    "Landfall answers these handshakes without running the component.\n\n{}",
                    lines.join("\n")
                )
            }
        };

        Some(Section {
            title: "Handshake",
            blocks: vec![Block::Text(text)],
        })
    }

    fn test_section(&self) -> Option<Section> {
        let Some(command) = self.test_command() else {
            let why = self.cannot_sign.clone().unwrap_or_default();
            let text = format!(
                "Landfall cannot sign a sample: {why}. Use the provider's own test button."
            );

            return Some(Section {
                title: "Test",
                blocks: vec![Block::Text(text)],
            });
        };

        let mut values = String::new();
        if self.needs_secret() {
            if self.pairs() {
                writeln!(
                    values,
                    "echo '{}' > plugins/{}.secret",
                    self.sample_secret(),
                    self.name
                )
            } else {
                writeln!(
                    values,
                    "export {}='{}'",
                    variable(&self.secret_of, "SECRET"),
                    self.sample_secret()
                )
            }
            .expect("a string takes text");
        }

        if self.needs_challenge_secret() {
            writeln!(
                values,
                "export {}='a-token-of-your-choice'",
                variable(&self.name, "VERIFY_TOKEN")
            )
            .expect("a string takes text");
        }

        let start = if values.is_empty() {
            "Start the node:"
        } else {
            "Start the node with a secret for the test:"
        };

        let mut blocks = vec![
            Block::Text(start.into()),
            Block::Code("sh", format!("{values}landfall serve --plugins plugins\n")),
            Block::Text(
                "In a second terminal with the same variables, send a signed sample. The command prints the answer, and \
                 exits with 0 if its status is 2xx."
                    .into(),
            ),
            Block::Code("sh", format!("{command}\n")),
        ];

        let handshakes = self.handshake_commands();
        if !handshakes.is_empty() {
            blocks.push(Block::Text(
                "Make the provider's handshake yourself:".into(),
            ));

            blocks.extend(
                handshakes
                    .into_iter()
                    .map(|command| Block::Code("sh", format!("{command}\n"))),
            );
        }

        blocks.push(Block::Text(format!(
            "In the folder in which the node was started, `landfall events list` shows what has arrived, and `landfall explain {}` says why a \
             request was refused.",
            self.name
        )));

        Some(Section {
            title: "Test",
            blocks,
        })
    }
}

/// A link to the page of another provider.
fn page_link(name: &str) -> String {
    format!("[`{name}`]({name}.md)")
}
