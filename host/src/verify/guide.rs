//! What an operator needs to connect one provider, made from its pack: `landfall providers NAME` prints it, and docs/providers is
//! written from it. Pure: text in, text out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::forge::{Order, forge};
use super::pack::{Evidence, Pack, Packs, ReplyBody, SignedBody, StatusPattern, pack_names};
use super::settings;
use super::sign::put_json;
use super::signature::Signature;
use super::verifier::{Proof, Verifier};
use super::view::describe;
use crate::model::{
    ChallengeSpec, ConfigValue, DeliveryId, IdMatch, KeyForm, PayloadPiece, Place, Scheme, Secret, TimeSpec, VerifySpec,
};

/// Where providers call in the samples.
const PUBLIC: &str = "https://hooks.example.com";
/// Where the node listens in the samples.
const LOCAL: &str = "http://127.0.0.1:8080";

/// One provider, for people.
pub struct Guide {
    /// The name of the pack's file, without `.toml`.
    pub name: String,
    pack: Pack,
    verifier: Verifier,
    spec: VerifySpec,
    needs_public_url: bool,
    /// Other packs of the same provider.
    variants: Vec<String>,
    /// The pack whose secret this one has too, or this one.
    secret_of: String,
    /// Why no request of this provider can be made here; none where one can.
    cannot_sign: Option<String>,
}

/// A part of a guide.
struct Section {
    title: &'static str,
    blocks: Vec<Block>,
}

enum Block {
    Text(String),
    /// Left and right column.
    Facts(Vec<(String, String)>),
    /// Language and text.
    Code(&'static str, String),
}

/// Names of packs, by that of the pack that they are variants of.
type Variants = BTreeMap<String, Vec<String>>;

fn variants(packs: &Packs) -> Variants {
    let mut all = Variants::new();
    for name in pack_names() {
        if let Ok(Pack { variant_of: Some(of), .. }) = packs.find(name) {
            all.entry(of).or_default().push(name.to_owned());
        }
    }
    all
}

/// Every guide, by name.
pub fn guides(packs: &Packs) -> Result<Vec<Guide>, String> {
    let variants = variants(packs);
    pack_names().map(|name| Guide::of(name.to_owned(), packs, &variants)).collect()
}

// === impl Guide ===

impl Guide {
    /// The guide to a pack by its name or by one of its other names.
    pub fn new(name: &str, packs: &Packs) -> Result<Guide, String> {
        Guide::of(packs.file_name(name)?, packs, &variants(packs))
    }

    fn of(name: String, packs: &Packs, variants: &Variants) -> Result<Guide, String> {
        let pack = packs.find(&name)?;
        let secret_of = match pack.variant_of.as_ref().map(|of| (of, packs.find(of))) {
            Some((of, Ok(other))) if has_same_secret(&pack, &other) => of.clone(),
            _ => name.clone(),
        };
        let secret: Vec<_> = ["env:SECRET".parse()?].into();
        let typed = VerifySpec { provider: Some(name.clone()), secret, ..VerifySpec::default() };
        let filled = settings::filled(&pack, with_examples(&pack, typed));

        let build = |spec: &VerifySpec| Verifier::build(spec, packs);
        let with_url = VerifySpec { public_url: Some(PUBLIC.into()), ..filled.clone() };
        let verifier = build(&with_url).map_err(|error| format!("providers/{name}.toml: {}", error.message))?;
        let needs_public_url = build(&filled).is_err() || pack.verify.scheme == Some(Scheme::Twilio);
        let spec = pack.merge(&filled);

        let variants = variants.get(&name).cloned().unwrap_or_default();
        let mut guide = Guide { name, pack, verifier, spec, needs_public_url, variants, secret_of, cannot_sign: None };
        guide.cannot_sign = match guide.verifier.key_form() {
            KeyForm::Pem | KeyForm::SpkiBase64 | KeyForm::Ed25519Hex | KeyForm::Whpk => Some(PRIVATE_KEY.into()),
            _ => guide.sample(packs, UNIX_EPOCH + SAMPLE_AGE).err(),
        };
        Ok(guide)
    }

    /// Signs the sample, as the command under "Test" does.
    fn sample(&self, packs: &Packs, now: SystemTime) -> Result<(), String> {
        let order = Order {
            provider: self.name.clone(),
            event: None,
            url: self.local_url(),
            public_url: Some(self.public_url()),
            secret: Some(Secret::new(self.sample_secret())),
            body: None,
            config: self.required_config().into_iter().collect(),
        };
        forge(&order, packs, now).map(drop)
    }

    /// A secret of the form that the provider uses.
    pub fn sample_secret(&self) -> &'static str {
        if *self.verifier.proof() == Proof::Basic {
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

    /// The handshake stores the secret.
    fn pairs(&self) -> bool {
        self.rules().any(|rule| rule.pair.is_some())
    }

    fn rules(&self) -> impl Iterator<Item = &ChallengeSpec> {
        self.spec.challenge.iter().flatten()
    }

    fn secret_reference(&self) -> String {
        match self.pairs() {
            true => format!("file:{}.secret", self.name),
            false => format!("env:{}", variable(&self.secret_of, "SECRET")),
        }
    }

    fn needs_challenge_secret(&self) -> bool {
        let answers_with_it = |rule: &ChallengeSpec| format!("{:?}", rule.answer).contains(" challenge_secret");
        self.rules().any(|rule| rule.require.query_secret.is_some() || answers_with_it(rule))
    }

    /// Names and examples, in order.
    fn required_config(&self) -> Vec<(String, String)> {
        let is_needed = |name: &String| self.pack.config.get(name).is_none_or(|key| key.required);
        let needed = self.spec.config.iter().filter(|(name, _)| is_needed(name));
        needed.map(|(name, value)| (name.clone(), value.texts().first().cloned().unwrap_or_default())).collect()
    }

    /// The last part of the hook's path, where the secret or another value is in the path.
    fn path(&self) -> Option<String> {
        let places = self.spec.from.iter().flatten();
        places
            .filter_map(|place| match place {
                Place::Path(_) => Some(format!("/{}/{{secret}}", self.name)),
                Place::Param(name) => Some(format!("/{}/{{{name}}}", self.name)),
                _ => None,
            })
            .next()
    }

    fn path_called(&self) -> String {
        self.path().unwrap_or_else(|| format!("/{}", self.name)).replace(['{', '}'], "")
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
            writeln!(text, "path      = {}", quoted(&path)).expect("a string takes text");
        }
        let mut entries = vec![("provider", quoted(name))];
        if self.needs_secret() {
            entries.push(("secret", quoted(&self.secret_reference())));
        }
        if self.needs_challenge_secret() {
            entries.push(("challenge_secret", quoted(&format!("env:{}", variable(name, "VERIFY_TOKEN")))));
        }
        if self.needs_public_url {
            entries.push(("public_url", quoted(PUBLIC)));
        }
        let config = self.required_config();
        if !config.is_empty() {
            let pairs: Vec<String> = config.iter().map(|(name, value)| format!("{name} = {}", quoted(value))).collect();
            entries.push(("config", format!("{{ {} }}", pairs.join(", "))));
        }
        let width = entries.iter().map(|(key, _)| key.len()).max().unwrap_or_default();
        text.push_str("\n[verify]\n");
        for (key, value) in entries {
            writeln!(text, "{key:<width$} = {value}").expect("a string takes text");
        }
        text
    }

    /// What sends a signed sample to a local node; none where no request can be made.
    pub fn test_command(&self) -> Option<String> {
        if self.cannot_sign.is_some() {
            return None;
        }
        let mut command = format!("landfall send {} --to {}", self.name, self.local_url());
        if self.needs_secret() {
            // A reference in a hook file starts at the plugins directory, one of a command where it runs.
            let reference = self.secret_reference().replace("file:", "file:plugins/");
            write!(command, " --secret {reference}").expect("a string takes text");
        }
        for (name, value) in self.required_config() {
            if settings::names_read(&self.spec).contains(&name) {
                write!(command, " --config {}", shell_quoted(&format!("{name}={value}"))).expect("a string takes text");
            }
        }
        if self.needs_public_url {
            write!(command, " --public-url {}", self.public_url()).expect("a string takes text");
        }
        Some(command)
    }

    /// What makes the provider's handshakes: by curl, or signed where they must be.
    fn handshake_commands(&self) -> Vec<String> {
        self.rules().filter_map(|rule| self.handshake_command(rule)).collect()
    }

    /// None where the operator has something to open or to list first.
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
            request.set(&format!("query:{name}"), &format!("${}", variable(&self.name, "VERIFY_TOKEN")));
        }
        match rule.verify_first && *self.verifier.proof() != Proof::Open {
            true => request.signed(&self.test_command()?),
            false => Some(request.curl(&self.local_url())),
        }
    }

    /// For a terminal.
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

    /// A page of docs/providers.
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

    /// One row of the index.
    pub fn row(&self) -> String {
        let Pack { name, docs, .. } = &self.pack;
        let docs = docs.as_ref().map(|docs| format!("[documentation]({docs})")).unwrap_or_default();
        format!("| [{}]({}.md) | `{}` | {} | {docs} |", cell(name), self.name, self.name, evidence(&self.pack))
    }

    /// Name, title, evidence and documentation.
    pub fn line(&self) -> String {
        let Pack { name, docs, .. } = &self.pack;
        format!("{:<28} {:<44} {:<12} {}", self.name, name, evidence(&self.pack), docs.as_deref().unwrap_or_default())
    }

    /// For programs.
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
            "scheme": self.verifier.proof().word(),
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

    fn sections(&self) -> Vec<Section> {
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
        let source = pack.evidence_source.as_ref().map(|source| format!(" ({source})")).unwrap_or_default();
        match pack.evidence {
            Some(Evidence::Vendor) => {
                facts.push(fact("Evidence", format!("vendor: the provider's own documentation or code{source}")));
            }
            Some(Evidence::ThirdParty) => {
                facts.push(fact("Evidence", format!("third-party: code or text of another party{source}")));
            }
            None => {}
        }
        if !pack.aliases.is_empty() {
            facts.push(fact("Other names", listed(pack.aliases.iter().map(|name| format!("`{name}`")))));
        }
        let link = |name: &String| format!("[`{name}`]({name}.md)");
        facts.extend(pack.variant_of.as_ref().map(|of| fact("Variant of", link(of))));
        if !self.variants.is_empty() {
            facts.push(fact("Variants", listed(self.variants.iter().map(link))));
        }
        facts.push(fact("Authentication", self.authentication()));
        let note = pack.note.clone().map(Block::Text);
        Some(Section { title: "", blocks: [Block::Facts(facts)].into_iter().chain(note).collect() })
    }

    fn authentication(&self) -> String {
        let places = listed_or(self.spec.from.iter().flatten().map(shown));
        let prefix = self.spec.prefix.as_deref().filter(|prefix| !prefix.is_empty());
        let after = prefix.map(|prefix| format!(", after `{prefix}`")).unwrap_or_default();
        match self.verifier.proof() {
            Proof::Closed | Proof::Open => "none: every request is accepted".into(),
            Proof::Basic => "HTTP basic authentication".into(),
            Proof::Token { .. } => format!("a shared token in {places}{after}"),
            Proof::Jwt(jwt) => format!("a JSON web token ({}) in {places}{after}", jwt.algorithms.join(", ")),
            Proof::Signature(signature) => {
                let signed = match &self.spec.payload {
                    None => "{body}".to_owned(),
                    Some(pieces) => pieces.iter().map(piece_text).collect(),
                };
                let algorithm = signature_algorithm(signature);
                format!("a signature ({algorithm}) of `{signed}` in {places}{after}")
            }
            Proof::Code(code) => format!("the scheme `{}`, which is part of Landfall", code.word()),
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
            if *self.verifier.proof() != Proof::Open {
                texts.push(
                    "The hook has no secret: the provider signs with a private key and publishes the public one."
                        .into(),
                );
            }
        } else {
            let form = match self.verifier.key_form() {
                KeyForm::Utf8 if *self.verifier.proof() == Proof::Basic => "Write it as `user:password`.",
                KeyForm::Utf8 => "Use the text as it is shown.",
                KeyForm::Hex => "It is written in hexadecimal digits.",
                KeyForm::Base64 => "It is written in base64.",
                KeyForm::Whsec => "It is written as `whsec_` and base64.",
                KeyForm::WhsecOrText => "With `whsec_` in front it is base64, otherwise a text.",
                KeyForm::Pem => "It is a public key in PEM: a text that begins with `-----BEGIN PUBLIC KEY-----`.",
                KeyForm::SpkiBase64 => "It is a public key (SubjectPublicKeyInfo) in base64.",
                KeyForm::Ed25519Hex => "It is an Ed25519 public key in hexadecimal digits.",
                KeyForm::Whpk => "It is an Ed25519 public key, written as `whpk_` and base64.",
                _ => "",
            };
            texts.extend(Some(form.to_owned()).filter(|form| !form.is_empty()));
        }
        (!texts.is_empty()).then(|| Section { title: "Secret", blocks: vec![Block::Text(texts.join(" "))] })
    }

    fn config_section(&self) -> Option<Section> {
        let config = &self.pack.config;
        let mut facts = Vec::new();
        if self.needs_challenge_secret() {
            facts.push(fact(
                "`challenge_secret` (required)",
                "The verify token: a text that you choose, and that you enter at the provider too.".into(),
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
            let example = key.example.as_ref().map(|example| format!(" Example: `{example}`.")).unwrap_or_default();
            let about = key.about.trim_end_matches('.');
            facts.push(fact(&format!("`config.{name}` ({need})"), format!("{about}.{example}")));
        }
        (!facts.is_empty()).then(|| Section { title: "Your values", blocks: vec![Block::Facts(facts)] })
    }

    fn hook_section(&self) -> Option<Section> {
        let mut texts = vec![format!(
            "Save this as `{}.toml` in the plugins directory. The component `echo.wasm` answers with what it received: it is \
             part of the image, and `landfall up` builds it. Put your own in its place later.",
            self.name
        )];
        if !self.required_config().is_empty() {
            texts.push("Replace the values of `config` by your own.".into());
        }
        if self.needs_public_url {
            texts.push(format!("Replace `{PUBLIC}` by the scheme and host of your own URL."));
        }
        let query = self.spec.from.iter().flatten().find_map(|place| match place {
            Place::Query(name) if matches!(self.verifier.proof(), Proof::Token { .. }) => Some(name),
            _ => None,
        });
        let called = match (self.path(), query) {
            (Some(_), _) => format!("`{}`, with your secret in place of `secret`", self.public_url()),
            (None, Some(name)) => {
                format!("`{}?{name}=SECRET`, with your secret in place of `SECRET`", self.public_url())
            }
            (None, None) => format!("`{}`", self.public_url()),
        };
        let end = format!(
            "With the host `hooks.example.com`, the URL to enter at the provider is {called}. `landfall check` says \
             whether the hook would serve."
        );
        let blocks = vec![Block::Text(texts.join(" ")), Block::Code("toml", self.hook_file()), Block::Text(end)];
        Some(Section { title: "Hook file", blocks })
    }

    fn handshakes(&self) -> Vec<String> {
        let confirmed = (self.spec.scheme == Some(Scheme::AwsSns)).then(|| {
            "A signed `SubscriptionConfirmation` of a topic in `config.topic_arns` is confirmed: Landfall calls its \
             `SubscribeURL`."
                .to_owned()
        });
        self.rules().map(handshake).chain(confirmed).collect()
    }

    fn handshake_section(&self) -> Option<Section> {
        let all = self.handshakes();
        let text = match all.len() {
            0 => "The provider has no handshake that Landfall needs to answer.".to_owned(),
            1 => format!("Landfall answers the provider's handshake without running the component. {}", all[0]),
            _ => {
                let lines: Vec<String> = all.iter().map(|line| format!("- {line}")).collect();
                format!("Landfall answers these handshakes without running the component.\n\n{}", lines.join("\n"))
            }
        };
        Some(Section { title: "Handshake", blocks: vec![Block::Text(text)] })
    }

    fn window(&self) -> Option<TimeSpec> {
        self.spec.timestamp.clone()
    }

    fn delivery_section(&self) -> Option<Section> {
        let pack = &self.pack;
        let unknown = || "not documented".to_owned();
        let mut facts = Vec::new();
        facts.push(fact(
            "Deadline",
            match (pack.deadline_seconds, pack.answer_within()) {
                (Some(seconds), Some(within)) => {
                    format!("{seconds} s; Landfall answers within {}", time(within))
                }
                _ => unknown(),
            },
        ));
        facts.push(fact(
            "Largest body",
            pack.max_body_bytes.map_or_else(unknown, |bytes| bytesize::ByteSize(bytes).display().iec().to_string()),
        ));
        if !pack.content_types.is_empty() {
            facts.push(fact("Content types", listed(pack.content_types.iter().map(|one| format!("`{one}`")))));
        }
        if let Some(field) = &pack.json_form_field {
            facts.push(fact("JSON document", format!("in the form field `{field}`; handlers get it as `event.json`")));
        }
        facts.push(fact("Retries", self.retries()));
        if let Some(window) = self.window().and_then(|time| time.past.map(|past| (past, time.future.unwrap_or(past)))) {
            let (past, future) = (time(window.0), time(window.1));
            facts.push(fact(
                "Time window",
                format!("a request is accepted up to {past} after, and up to {future} before its signed time"),
            ));
        }
        if let Some(place) = &pack.event_type {
            facts.push(fact("Kind of event", shown(place)));
        }
        facts.push(fact("Deduplication", self.deduplication()));
        if let Some(source) = &pack.delivery_id_source {
            facts.push(fact("Source of the identity", source.clone()));
        }
        if pack.signs_body == SignedBody::Decoded {
            facts.push(fact("Compressed bodies", "the signature covers the decoded body".into()));
        }
        if !pack.from_addresses.is_empty() {
            let ranges = pack.from_addresses.iter().map(|range| format!("`{range}`"));
            facts.push(fact("Addresses of the provider", listed(ranges)));
        }
        Some(Section { title: "Deliveries", blocks: vec![Block::Facts(facts)] })
    }

    fn retries(&self) -> String {
        let pack = &self.pack;
        match pack.retries {
            None => "not documented".into(),
            Some(false) => "the provider does not retry".into(),
            Some(true) => {
                let span = pack.retry_span.map(|span| format!(", for up to {}", time(span))).unwrap_or_default();
                let schedule = pack.retry_schedule.as_ref().map(|schedule| format!(": {schedule}")).unwrap_or_default();
                let signed = match pack.retry_resigned {
                    Some(true) => "; each retry is signed again with a new timestamp",
                    Some(false) => "; a retry has the timestamp and signature of the first attempt",
                    None => "",
                };
                format!("yes{span}{schedule}{signed}")
            }
        }
    }

    fn deduplication(&self) -> String {
        let Some(id) = &self.pack.delivery_id else {
            return "none: the provider documents no identity that stays the same on a retry, so every request runs"
                .into();
        };
        let body = match self.pack.delivery_id_match.unwrap_or_default() {
            IdMatch::Id => "even if the body differs",
            IdMatch::IdAndBody => "if the body is the same too",
        };
        format!("a request with the same {} is a duplicate, {body}", identity(id))
    }

    fn accepted_status(&self) -> u16 {
        self.verifier.answers().accepted.status
    }

    fn answer_section(&self) -> Option<Section> {
        let pack = &self.pack;
        let success = match &pack.success {
            None => "every 2xx status".to_owned(),
            Some(statuses) => listed_or(statuses.iter().map(u16::to_string)),
        };
        let accepted = &pack.accepted;
        let headers: Vec<String> = accepted.headers.iter().map(|(name, value)| format!("`{name}: {value}`")).collect();
        let body = match (accepted.body.as_deref(), pack.reply_body) {
            (Some(""), _) | (None, ReplyBody::Empty) => "no body".to_owned(),
            (Some(body), _) => format!("the body `{body}`"),
            (None, _) => "the body `{\"accepted\": true, \"event\": ID}`".to_owned(),
        };
        let mut answer = format!("status {}, {body}", self.accepted_status());
        if !headers.is_empty() {
            write!(answer, ", {}", headers.join(", ")).expect("a string takes text");
        }
        let mut facts = vec![
            fact("Success for the provider", success),
            fact("Answer to an event that is stored and runs later", answer),
            fact(
                "Body of a handler's reply",
                match pack.reply_body {
                    ReplyBody::Handler => "sent as the handler wrote it",
                    ReplyBody::Empty => "not sent: the provider wants an empty body",
                    ReplyBody::Accepted => "replaced by the body above, which the provider requires",
                }
                .into(),
            ),
        ];
        if pack.repeat_reply {
            facts.push(fact("Duplicates", "get the handler's reply to the first delivery again".into()));
        }
        if !pack.avoid_status.is_empty() {
            let never = listed(pack.avoid_status.iter().map(pattern));
            facts.push(fact("Never sent", format!("{never}: the provider would disable or drop the webhook")));
        }
        Some(Section { title: "Answer", blocks: vec![Block::Facts(facts)] })
    }

    fn test_section(&self) -> Option<Section> {
        let Some(command) = self.test_command() else {
            let why = self.cannot_sign.clone().unwrap_or_default();
            let text = format!("Landfall cannot sign a sample: {why}. Use the provider's own test button.");
            return Some(Section { title: "Test", blocks: vec![Block::Text(text)] });
        };
        let mut values = String::new();
        if self.needs_secret() {
            match self.pairs() {
                true => writeln!(values, "echo '{}' > plugins/{}.secret", self.sample_secret(), self.name),
                false => writeln!(values, "export {}='{}'", variable(&self.secret_of, "SECRET"), self.sample_secret()),
            }
            .expect("a string takes text");
        }
        if self.needs_challenge_secret() {
            writeln!(values, "export {}='a-token-of-your-choice'", variable(&self.name, "VERIFY_TOKEN"))
                .expect("a string takes text");
        }
        let start = match values.is_empty() {
            true => "Start the node:",
            false => "Start the node with a secret for the test:",
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
            blocks.push(Block::Text("Make the provider's handshake yourself:".into()));
            blocks.extend(handshakes.into_iter().map(|command| Block::Code("sh", format!("{command}\n"))));
        }
        Some(Section { title: "Test", blocks })
    }
}

const PRIVATE_KEY: &str = "this provider signs with a private key that only it has";
const SAMPLE_AGE: Duration = Duration::from_secs(1_760_000_000);

/// A handshake as the provider makes it.
struct HandshakeRequest {
    method: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Option<Value>,
    form: Vec<(String, String)>,
}

// === impl HandshakeRequest ===

impl HandshakeRequest {
    fn new(rule: &ChallengeSpec) -> Option<HandshakeRequest> {
        let mut request = HandshakeRequest {
            method: rule.method.clone().unwrap_or_else(|| "POST".into()),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            form: rule.only_form_field.iter().map(|name| (name.clone(), SAMPLE_VALUE.into())).collect(),
        };
        for (place, value) in &rule.equals {
            match value.as_str() {
                Some(text) => request.set(place, text),
                None => request.put(place, value.clone()),
            }
        }
        let is_set = |pairs: &[(String, String)], name: &String| pairs.iter().any(|(known, _)| known == name);
        for (name, allowed) in &rule.require.query {
            let first = allowed.split('|').next().unwrap_or_default();
            request.query.push((name.clone(), first.into()));
        }
        if let Some(name) = &rule.require.query_hex {
            request.query.push((name.clone(), "20f9f8ed05f77439fe955c977e4c8a53".into()));
        }
        if let Some(name) = rule.query.as_ref().filter(|name| !is_set(&request.query, name)) {
            request.query.push((name.clone(), SAMPLE_VALUE.into()));
        }
        if let Some(name) = rule.header.as_ref().filter(|name| !is_set(&request.headers, name)) {
            request.headers.push((name.clone(), SAMPLE_VALUE.into()));
        }
        if let Some(pointer) = &rule.json {
            request.set(pointer, SAMPLE_VALUE);
        }
        let is_known = ["GET", "HEAD", "OPTIONS", "POST", "PUT"].contains(&request.method.as_str());
        is_known.then_some(request)
    }

    fn set(&mut self, place: &str, value: &str) {
        match place.split_once(':') {
            Some(("query", name)) => {
                self.query.retain(|(known, _)| known != name);
                self.query.push((name.into(), value.into()));
            }
            Some(("header", name)) => {
                self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
                self.headers.push((name.into(), value.into()));
            }
            Some(("form", name)) => {
                self.form.retain(|(known, _)| known != name);
                self.form.push((name.into(), value.into()));
            }
            _ => self.put(place, value.into()),
        }
    }

    fn put(&mut self, place: &str, value: Value) {
        let pointer = place.strip_prefix("json:").unwrap_or(place);
        let is_array = pointer.starts_with("/0");
        let body = self.body.get_or_insert_with(|| if is_array { json!([]) } else { json!({}) });
        put_json(body, pointer, value);
    }

    /// By `landfall send`; none where more than the body must be set.
    fn signed(&self, send: &str) -> Option<String> {
        let is_plain =
            self.method == "POST" && self.query.is_empty() && self.headers.is_empty() && self.form.is_empty();
        let body = self.body.as_ref().filter(|_| is_plain)?;
        Some(format!("echo {} | {send} --body -", shell_quoted(&body.to_string())))
    }

    fn curl(&self, url: &str) -> String {
        let pairs: Vec<String> = self.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
        let method = match self.method.as_str() {
            "GET" => String::new(),
            "HEAD" => " --head".into(),
            method => format!(" -X {method}"),
        };
        let mut command = format!("curl -sSi{method} \"{url}{query}\"");
        for (name, value) in &self.headers {
            write!(command, " -H '{name}: {value}'").expect("a string takes text");
        }
        if let Some(body) = &self.body {
            write!(command, " --json {}", shell_quoted(&body.to_string())).expect("a string takes text");
        }
        for (name, value) in &self.form {
            write!(command, " --data {name}={value}").expect("a string takes text");
        }
        command
    }
}

const SAMPLE_VALUE: &str = "sample-value";

// === impl Block ===

impl Block {
    fn markdown(&self) -> String {
        match self {
            Block::Text(text) => format!("{text}\n"),
            Block::Code(language, text) => format!("```{language}\n{text}```\n"),
            Block::Facts(facts) => {
                let row = |(name, value): &(String, String)| format!("| {} | {} |\n", cell(name), cell(value));
                format!("| | |\n|---|---|\n{}", facts.iter().map(row).collect::<String>())
            }
        }
    }

    fn plain(&self) -> String {
        match self {
            Block::Text(text) => text.lines().map(|line| wrapped(line, "  ")).collect(),
            Block::Code(_, text) => {
                let lines: String = text.lines().map(|line| format!("    {line}\n")).collect();
                format!("\n{lines}\n")
            }
            Block::Facts(facts) => {
                let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
                let row = |(name, value): &(String, String)| {
                    let value = wrapped(&unlinked(value), &" ".repeat(width + 4));
                    format!("  {name:<width$}  {}", value.trim_start())
                };
                facts.iter().map(row).collect()
            }
        }
    }
}

/// `[text](target)` as the text alone.
fn unlinked(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        let Some((_, after)) = after.split_once(')') else { break };
        plain.push_str(&before.replacen('[', "", 1));
        rest = after;
    }
    plain + rest
}

/// Lines of about a terminal's width, all indented.
fn wrapped(text: &str, indent: &str) -> String {
    const WIDTH: usize = 110;
    let mut lines = String::new();
    let mut line = indent.to_owned();
    for word in text.split(' ') {
        if line.len() + word.len() > WIDTH && line.len() > indent.len() {
            lines.push_str(line.trim_end());
            lines.push('\n');
            line = indent.to_owned();
        }
        line.push_str(word);
        line.push(' ');
    }
    lines + line.trim_end() + "\n"
}

/// One handshake, as a sentence or two.
fn handshake(rule: &ChallengeSpec) -> String {
    let mut conditions = Vec::new();
    conditions.extend(rule.query.iter().map(|name| format!("the query parameter `{name}`")));
    conditions.extend(rule.header.iter().map(|name| format!("the header `{name}`")));
    conditions.extend(rule.json.iter().map(|pointer| format!("a text at `{pointer}` in the JSON body")));
    conditions.extend(rule.equals.iter().map(|(place, value)| format!("the value `{value}` at `{place}`")));
    conditions.extend(rule.only_form_field.iter().map(|name| format!("a form body of one field, `{name}`")));
    if !rule.only_keys.is_empty() {
        let keys = listed(rule.only_keys.iter().map(|key| format!("`{key}`")));
        conditions.push(format!("no other keys in the body than {keys}"));
    }
    if !rule.absent.is_empty() {
        let absent = listed(rule.absent.iter().map(|pointer| format!("`{pointer}`")));
        conditions.push(format!("nothing at {absent}"));
    }
    let method = rule.method.as_deref().unwrap_or("POST");
    let with = if conditions.is_empty() { String::new() } else { format!(" with {}", listed(conditions)) };
    let proof = match rule.verify_first {
        true => "authenticated like a delivery",
        false => "which the provider sends without authentication",
    };
    let article = if method == "OPTIONS" { "An" } else { "A" };
    let mut text = format!("{article} `{method}` request{with}, {proof}, is answered with {}.", answer_of(rule));

    let require = &rule.require;
    let mut needs = Vec::new();
    for (name, value) in &require.query {
        let values = listed_or(value.split('|').map(|one| format!("`{one}`")));
        needs.push(format!("the query parameter `{name}` must be {values}"));
    }
    needs.extend(
        require
            .query_secret
            .iter()
            .map(|name| format!("the query parameter `{name}` must be the token in `challenge_secret`")),
    );
    needs.extend(
        require
            .query_hex
            .iter()
            .map(|name| format!("the query parameter `{name}` must have 20 to 32 hexadecimal digits")),
    );
    needs.extend(
        require.listed.iter().map(|(place, name)| format!("the value of `{place}` must be listed in `config.{name}`")),
    );
    if !needs.is_empty() {
        let refused = rule.refused_status.unwrap_or(403);
        write!(text, " There, {}; otherwise the answer is {refused}.", listed(needs)).expect("a string takes text");
    }
    text
}

fn answer_of(rule: &ChallengeSpec) -> String {
    let answer = &rule.answer;
    let mut parts = vec![format!("status {}", answer.status.unwrap_or(200))];
    parts.extend(answer.text.iter().map(|text| format!("the text `{text}`")));
    parts.extend(answer.json.iter().map(|object| format!("the JSON `{}`", Value::Object(object.clone()))));
    parts.extend(answer.headers.iter().map(|(name, value)| format!("the header `{name}: {value}`")));
    listed(parts)
}

fn identity(id: &DeliveryId) -> String {
    let fields = |places: &Vec<Place>| listed(places.iter().map(shown));
    listed_or(id.alternatives().iter().map(fields))
}

fn evidence(pack: &Pack) -> &'static str {
    match pack.evidence {
        Some(Evidence::Vendor) => "vendor",
        Some(Evidence::ThirdParty) => "third-party",
        None => "",
    }
}

/// `header X-Name` with the name as code.
fn shown(place: &Place) -> String {
    let text = describe(place);
    match (place, text.rsplit_once(' ')) {
        (Place::Path(_), _) | (_, None) => text,
        (_, Some((kind, name))) => format!("{kind} `{name}`"),
    }
}

/// A duration in the largest unit that fits.
fn time(duration: Duration) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, "days"), (3_600, "h"), (60, "min")];
    let seconds = duration.as_secs();
    match UNITS.iter().find(|(unit, _)| seconds >= 2 * unit && seconds.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{} {name}", seconds / unit),
        None => format!("{} s", duration.as_secs_f64()),
    }
}

fn pattern(pattern: &StatusPattern) -> String {
    match pattern {
        StatusPattern::Code(code) => code.to_string(),
        StatusPattern::Class(class) => format!("{class}xx"),
    }
}

/// The hook's table with the example of every required value.
fn with_examples(pack: &Pack, mut typed: VerifySpec) -> VerifySpec {
    for (name, key) in pack.config.iter().filter(|(_, key)| key.required) {
        let example = key.example.clone().unwrap_or_default();
        typed.config.insert(name.clone(), ConfigValue::One(example));
    }
    typed
}

fn has_same_secret(pack: &Pack, other: &Pack) -> bool {
    let is_same_place = pack.secret_location.is_some() && pack.secret_location == other.secret_location;
    is_same_place && pack.verify.key == other.verify.key
}

/// The name of an environment variable for a value of the hook.
fn variable(name: &str, what: &str) -> String {
    let name = name.to_ascii_uppercase().replace('-', "_");
    let digit = if name.starts_with(|first: char| first.is_ascii_digit()) { "HOOK_" } else { "" };
    format!("{digit}{name}_{what}")
}

fn fact(name: &str, value: String) -> (String, String) {
    (name.to_owned(), value)
}

/// For a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn shell_quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "=:/._-@%+,".contains(c);
    match text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// `HmacSha256` as it is written in hook files.
/// A part of what is signed, as the pack writes it; in brackets where it drops out when absent.
fn piece_text(piece: &PayloadPiece) -> String {
    match piece {
        PayloadPiece::One(text) => text.clone(),
        PayloadPiece::Optional(texts) => format!("[{}]", texts.concat()),
    }
}

/// The algorithm, or the methods that a sender may choose from.
fn signature_algorithm(signature: &Signature) -> String {
    match &signature.methods[..] {
        [] => kebab(signature.algorithm),
        methods => methods.iter().map(|(name, _)| format!("HMAC with {name}")).collect::<Vec<_>>().join(" or "),
    }
}

fn kebab(value: impl std::fmt::Debug) -> String {
    let mut text = String::new();
    for c in format!("{value:?}").chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

fn listed(items: impl IntoIterator<Item = String>) -> String {
    joined(items, "and")
}

fn listed_or(items: impl IntoIterator<Item = String>) -> String {
    joined(items, "or")
}

fn joined(items: impl IntoIterator<Item = String>, word: &str) -> String {
    let items: Vec<String> = items.into_iter().collect();
    match items.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} {word} {last}", rest.join(", ")),
        _ => items.concat(),
    }
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
            assert_eq!(spec["verify"]["provider"].as_str(), Some(guide.name.as_str()));
            assert!(!guide.text().contains("unset"), "{}: a required value has no example", guide.name);
        }
    }

    #[test]
    fn handshakes_are_told_in_sentences() {
        let text = guide("meta").markdown();
        assert!(
            text.contains("the query parameter `hub.verify_token` must be the token in `challenge_secret`"),
            "{text}"
        );
        assert!(text.contains("challenge_secret = \"env:META_VERIFY_TOKEN\""), "{text}");
    }

    #[test]
    fn signed_urls_need_a_public_url() {
        let text = guide("twilio").text();
        assert!(text.contains("public_url = \"https://hooks.example.com\""), "{text}");
        assert!(text.contains("--public-url https://hooks.example.com/twilio"), "{text}");
    }

    #[test]
    fn private_keys_are_said_to_be_private() {
        assert_eq!(guide("discord").test_command(), None);
        assert!(guide("discord").text().contains("private key that only it has"));
    }
}
