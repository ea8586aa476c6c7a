//! Provider packs: one TOML file a provider, saying how it signs, what it asks, how long it waits and what it makes of an
//! answer. Those in the binary may be replaced and added to by files of the operator.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;
use std::time::Duration;

use serde::Deserialize;

use super::request::Unverified;
use super::sign::put;
use landfall_model::{Clock, DeliveryId, EventId, IdMatch, ValueLocation, VerifySpec, span};

/// What is known of one provider: how it signs, which answers it expects, how it retries. `docs` names the page that says so.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// The provider's name, as the provider writes it.
    pub name: String,
    /// The provider's page about webhooks and their signatures.
    pub docs: Option<String>,
    /// Who says that requests are signed this way. None only for packs of no provider, such as `generic`.
    pub evidence: Option<Evidence>,
    /// Where the signature scheme was read: a repository and a path in it, or a page.
    pub evidence_source: Option<String>,
    /// The pack of the same provider that this one is another version of.
    pub variant_of: Option<String>,
    /// Other names that people look for, such as `whatsapp`. `provider = "ALIAS"` works too.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// What an operator should know, in one or two sentences.
    pub note: Option<String>,
    /// Where the provider shows the secret, and what it is called there.
    pub secret_location: Option<String>,
    /// The values of `[verify] config` that this pack reads, by name.
    #[serde(default)]
    pub config: BTreeMap<String, ConfigKey>,
    /// How long the provider waits for an answer, in seconds.
    pub deadline_seconds: Option<u32>,
    /// Whether the provider retries a failed delivery by itself. None: unknown.
    pub retries: Option<bool>,
    /// When it retries, for people: `1 min, 1 h, 6 h`.
    pub retry_schedule: Option<String>,
    /// The time from the first attempt to the last retry.
    #[serde(default, deserialize_with = "span")]
    pub retry_span: Option<Duration>,
    /// Whether each retry is signed again with a new timestamp. None: unknown.
    pub retry_resigned: Option<bool>,
    /// How old a request may be by the provider's documentation or SDK. Request vectors are judged by it. Hooks use
    /// `verify.timestamp`, which also covers the retries of providers that may not sign them again.
    #[serde(default, deserialize_with = "span")]
    pub documented_window: Option<Duration>,
    /// How far ahead the signed time may be by the provider's SDK, where that is more than `documented_window`. Request vectors
    /// are judged by it too.
    #[serde(default, deserialize_with = "span")]
    pub documented_future: Option<Duration>,
    /// Status codes that the provider treats as success. None: any 2xx.
    pub success: Option<Vec<u16>>,
    /// Status codes that disable or drop the webhook, such as `"410"` or `"4xx"`: never sent; 503 takes their place.
    #[serde(default)]
    pub avoid_status: Vec<StatusPattern>,
    /// The answer to an event that was stored and is handled later.
    #[serde(default)]
    pub accepted: PackAnswer,
    /// The body of a handler's reply, as this provider wants it.
    #[serde(default)]
    pub reply_body: ReplyBody,
    /// Content types that the provider reads in a reply; a reply of another type gets the body of `accepted`. Empty: any.
    #[serde(default)]
    pub reply_types: Vec<String>,
    /// A duplicate gets the handler's reply to the first delivery again.
    #[serde(default)]
    pub repeat_reply: bool,
    /// The largest body that the provider documents, in bytes.
    pub max_body_bytes: Option<u64>,
    /// Content types that the provider sends.
    #[serde(default)]
    pub content_types: Vec<String>,
    /// The signature covers the body as it was sent, before `Content-Encoding` is undone (`encoded`, the default), or after.
    #[serde(default)]
    pub signs_body: SignedBody,
    /// False: the provider's signature or token does not cover the whole body, so that who reads one request can send it with
    /// another body.
    #[serde(default = "yes")]
    pub covers_body: bool,
    /// The field of a form body that holds the JSON document, such as `payload`.
    pub json_form_field: Option<String>,
    /// Address ranges that the provider publishes for its requests (CIDR).
    #[serde(default)]
    pub from_addresses: Vec<ipnet::IpNet>,
    /// Where the kind of event is named.
    pub event_type: Option<ValueLocation>,
    /// The fields that identify a delivery and stay the same when the provider retries it.
    pub delivery_id: Option<DeliveryId>,
    /// Whether a different body under the same identity is another event.
    pub delivery_id_match: Option<IdMatch>,
    /// Where the provider documents that identity: a URL, or a repository and a path in it.
    pub delivery_id_source: Option<String>,
    /// A delivery as the provider sends it: JSON, or a form where `sample_type` says so.
    pub sample: Option<String>,
    /// Content type of `sample`; JSON unless said.
    pub sample_type: Option<String>,
    /// The kind of event that `sample` is.
    pub sample_event: Option<String>,
    /// How it proves itself.
    pub verify: VerifySpec,
}

fn yes() -> bool {
    true
}

/// Who says how a provider signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// The provider's own documentation, SDK or source code.
    Vendor,
    /// Another party's code or text.
    ThirdParty,
}

/// A value of `[verify] config` that a pack reads.
#[derive(Debug, Clone, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigKey {
    /// What it is and where the operator finds it.
    pub about: String,
    /// A value as it looks.
    pub example: Option<String>,
    /// The hook does not load without it.
    #[serde(default)]
    pub required: bool,
}

/// The answer of a pack to an event that was stored and is handled later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct PackAnswer {
    /// None: 202 where the provider takes it, else the first 2xx in `success`.
    pub status: Option<u16>,
    /// Beside, or instead of, `content-type: application/json`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// None: `{"accepted": true, "event": ID}`. Empty text: no body.
    pub body: Option<String>,
}

/// The body of a handler's reply, as a provider wants it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplyBody {
    /// The handler's.
    #[default]
    Handler,
    /// None, ever.
    Empty,
    /// That of `accepted`, in every 2xx.
    Accepted,
}

/// What of a compressed body is signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignedBody {
    /// The bytes as sent.
    #[default]
    Encoded,
    /// The bytes after `Content-Encoding` is undone.
    Decoded,
}

/// One status code (`"410"`) or a class of them (`"4xx"`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum StatusPattern {
    /// Exactly this one.
    Code(u16),
    /// All that begin with this digit.
    Class(u16),
}

/// The payload of packs that have none of their own.
const SAMPLE: &str =
    r#"{"id":"evt_1","type":"sample","created_at":"2026-01-01T00:00:00Z","data":{"text":"hello"}}"#;

/// Packs by name.
#[derive(Debug, Clone, Default)]
pub struct Packs {
    /// Their texts, or why they cannot be read.
    own: BTreeMap<String, Result<String, String>>,
}

include!(concat!(env!("OUT_DIR"), "/packs.rs"));

/// The packs in the binary.
pub fn pack_names() -> impl Iterator<Item = &'static str> {
    EMBEDDED.iter().map(|(name, _)| *name)
}

// === impl StatusPattern ===

impl StatusPattern {
    /// Whether this status is one of them.
    pub fn matches(self, status: u16) -> bool {
        match self {
            StatusPattern::Code(code) => code == status,
            StatusPattern::Class(class) => status / 100 == class,
        }
    }
}

impl TryFrom<String> for StatusPattern {
    type Error = String;

    fn try_from(text: String) -> Result<StatusPattern, String> {
        let wrong = || {
            format!(
                "`{}` is not a status: write \"410\" or \"4xx\"",
                text.escape_debug()
            )
        };

        let pattern = match text.strip_suffix("xx") {
            Some(class) => StatusPattern::Class(class.parse().map_err(|_| wrong())?),
            None => StatusPattern::Code(text.parse().map_err(|_| wrong())?),
        };

        match pattern {
            StatusPattern::Class(3..=5) | StatusPattern::Code(300..=599) => Ok(pattern),
            _ => Err(wrong()),
        }
    }
}

// === impl Packs ===

impl Packs {
    /// With files of the operator, by name without `.toml`.
    pub fn with(own: BTreeMap<String, Result<String, String>>) -> Packs {
        Packs { own }
    }

    /// The same for the same files.
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.own.hash(&mut hasher);
        hasher.finish()
    }

    /// Files of the operator that are no packs: name and why.
    pub fn broken(&self) -> Vec<(String, String)> {
        let broken =
            |name: &String| Some((format!("providers/{name}.toml"), self.find(name).err()?));
        self.own.keys().filter_map(broken).collect()
    }

    /// The pack of that name: the operator's, else the binary's. The error says what to write.
    pub fn find(&self, name: &str) -> Result<Pack, String> {
        let embedded = || {
            EMBEDDED
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, text)| *text)
        };

        let own = self
            .own
            .get(name)
            .map(|own| own.as_deref().map_err(Clone::clone))
            .transpose()?;

        let text = own
            .or_else(embedded)
            .or_else(|| Some(aliased(name)?.1))
            .ok_or_else(|| unknown(name))?;

        toml::from_str(text).map_err(|error| format!("providers/{name}.toml: {}", error.message()))
    }

    /// The name of the pack's file: the pack may be asked for by one of its other names.
    pub fn file_name(&self, name: &str) -> Result<String, String> {
        if self.own.contains_key(name) || pack_names().any(|known| known == name) {
            return Ok(name.to_owned());
        }

        aliased(name)
            .map(|(file, _)| file.to_owned())
            .ok_or_else(|| unknown(name))
    }
}

/// File name and text of the pack in the binary that has this other name.
fn aliased(name: &str) -> Option<(&'static str, &'static str)> {
    ALIASES.get(name).copied()
}

/// Packs in the binary by their other names.
static ALIASES: LazyLock<BTreeMap<String, (&'static str, &'static str)>> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct Names {
        #[serde(default)]
        aliases: Vec<String>,
    }

    let read = |&(file, text): &(&'static str, &'static str)| {
        let names: Names = toml::from_str(text).unwrap_or(Names {
            aliases: Vec::new(),
        });

        names
            .aliases
            .into_iter()
            .map(move |alias| (alias, (file, text)))
    };

    EMBEDDED.iter().flat_map(read).collect()
});

fn unknown(name: &str) -> String {
    let known = || pack_names().chain(ALIASES.keys().map(String::as_str));
    let near = known().min_by_key(|known| strsim::damerau_levenshtein(known, name));
    let near = near.filter(|known| strsim::damerau_levenshtein(known, name) <= 2);

    // `google` is far from `google-pubsub` and still what it begins with.
    let near = near.or_else(|| known().find(|known| name.len() > 2 && known.contains(name)));
    match near {
        Some(near) => format!(
            "no provider pack `{}`: did you mean `{near}`?",
            name.escape_debug()
        ),
        None => format!(
            "no provider pack `{}`: `landfall providers` lists them; write your own as providers/{}.toml in the plugins \
             directory, or use scheme = \"signature\"",
            name.escape_debug(),
            name.escape_debug()
        ),
    }
}

// === impl Pack ===

impl Pack {
    /// The pack under a bare `[verify] scheme = …`: no provider, the usual challenge.
    pub fn generic() -> Pack {
        Packs::default()
            .find("generic")
            .expect("the generic pack is embedded")
    }

    /// What to answer within: the provider's deadline less a fifth for the way back.
    pub fn answer_within(&self) -> Option<Duration> {
        self.deadline_seconds
            .map(|seconds| Duration::from_secs(seconds.into()) * 4 / 5)
    }

    /// A request with a sample payload that says it is that kind of event; not signed yet.
    pub fn draft(&self, event: Option<&str>, url: &str) -> Result<Unverified, String> {
        let url = url::Url::parse(url).map_err(|why| format!("`{url}` is not a URL: {why}"))?;
        let body = self.sample.clone().unwrap_or_else(|| SAMPLE.to_owned());
        let content_type = self.sample_type.as_deref().unwrap_or("application/json");

        let mut draft = Unverified {
            method: http::Method::POST,
            path: url.path().into(),
            query: url.query().map(str::to_owned),
            params: Vec::new(),
            headers: http::HeaderMap::new(),
            body: body.into(),
            decoded: None,
        };

        put(
            &mut draft,
            &ValueLocation::Header("Content-Type".into()),
            content_type,
        )?;

        let event = event.or(self.sample_event.as_deref());
        let id = EventId::new(Clock::System.now()).to_string();
        let ids = self
            .delivery_id
            .iter()
            .flat_map(|identity| identity.fields().iter());

        let places = self
            .event_type
            .iter()
            .map(|place| (place, event))
            .chain(ids.map(|place| (place, Some(id.as_str()))));

        for (place, value) in places {
            if let Some(value) = value
                && (content_type == "application/json" || matches!(place, ValueLocation::Header(_)))
                && !matches!(place, ValueLocation::Claim(_))
            {
                put(&mut draft, place, value)?;
            }
        }

        Ok(draft)
    }

    /// The hook's table over the pack's, field by field. A hook that names another scheme starts from nothing but the
    /// challenge: a prefix for signatures means nothing to a token.
    pub fn merge(&self, hook: &VerifySpec) -> VerifySpec {
        let pack = match hook.scheme {
            Some(scheme) if self.verify.scheme != Some(scheme) => VerifySpec {
                challenge: self.verify.challenge.clone(),
                ..VerifySpec::default()
            },
            _ => self.verify.clone(),
        };

        // Without a provider, the prefix of the generic pack belongs to its header.
        let prefix = pack
            .prefix
            .filter(|_| hook.provider.is_some() || hook.from.is_none());

        hook.clone().merge(VerifySpec { prefix, ..pack })
    }

    /// Whether what the hook's table says is signed is what the pack's evidence says: the provider signs that way, however weak
    /// it is.
    pub fn documents(&self, hook: &VerifySpec) -> bool {
        let is_own_scheme = hook
            .scheme
            .is_some_and(|scheme| self.verify.scheme != Some(scheme));
        let is_own_text = hook.payload.is_some() || hook.payload_alternatives.is_some();
        let is_own_rule =
            hook.algorithm.is_some() || hook.methods.is_some() || hook.timestamp.is_some();

        self.evidence.is_some() && !is_own_scheme && !is_own_text && !is_own_rule
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Packs of no provider: nobody documents them.
    const NO_PROVIDER: [&str; 5] = [
        "basic-auth",
        "generic",
        "generic-sha512",
        "http-message-signatures",
        "http-message-signatures-ed25519",
    ];

    fn packs() -> impl Iterator<Item = (&'static str, Pack)> {
        pack_names().map(|name| {
            (
                name,
                Packs::default()
                    .find(name)
                    .unwrap_or_else(|why| panic!("{why}")),
            )
        })
    }

    /// Of the packs that break a rule, the name and how; the assertion prints them all.
    fn assert_none(rule: &str, wrong: impl Iterator<Item = String>) {
        let wrong: Vec<String> = wrong.collect();
        assert!(wrong.is_empty(), "{rule}:\n  {}", wrong.join("\n  "));
    }

    #[test]
    fn every_embedded_pack_reads_and_holds_no_secret() {
        for (name, pack) in packs() {
            assert!(
                pack.verify.secret.is_empty(),
                "{name}: a pack holds no secrets"
            );

            assert!(
                pack.docs
                    .as_deref()
                    .is_none_or(|docs| docs.starts_with("https://")),
                "{name}"
            );
        }
    }

    #[test]
    fn the_deadline_leaves_time_for_the_way_back() {
        assert_eq!(
            Packs::default().find("github").unwrap().answer_within(),
            Some(Duration::from_secs(8))
        );

        assert_eq!(Pack::generic().answer_within(), None);
    }

    #[test]
    fn identities_name_their_source() {
        let wrong = packs().filter_map(|(name, pack)| {
            match (
                pack.delivery_id.is_some(),
                pack.delivery_id_source.is_some(),
                pack.delivery_id_match.is_some(),
            ) {
                (true, false, _) => Some(format!("{name}: delivery_id without delivery_id_source")),
                (false, true, _) => Some(format!("{name}: delivery_id_source without delivery_id")),
                (false, _, true) => Some(format!("{name}: delivery_id_match without delivery_id")),
                _ => None,
            }
        });

        assert_none(
            "only a documented identity makes a request a duplicate",
            wrong,
        );
    }

    #[test]
    fn provider_packs_name_their_evidence() {
        let wrong = packs()
            .filter(|(name, _)| !NO_PROVIDER.contains(name))
            .flat_map(|(name, pack)| {
                let fields = [
                    ("docs", pack.docs.is_some()),
                    ("evidence", pack.evidence.is_some()),
                    ("evidence_source", pack.evidence_source.is_some()),
                    ("secret_location", pack.secret_location.is_some()),
                ];

                fields
                    .into_iter()
                    .filter(|(_, is_there)| !is_there)
                    .map(move |(field, _)| format!("{name}: no {field}"))
            });

        assert_none(
            "a pack says who says so, and where the secret is found",
            wrong,
        );

        for name in NO_PROVIDER {
            let pack = Packs::default().find(name).unwrap();
            assert!(
                pack.docs.is_none() && pack.evidence.is_none(),
                "{name} is of no provider"
            );
        }
    }

    #[test]
    fn windows_cover_documented_retries() {
        // A provider that retries, and says neither for how long nor that it signs each retry again, is given a day.
        const UNKNOWN_SPAN: Duration = Duration::from_secs(24 * 3600);

        let wrong = packs()
            .filter(|(_, pack)| pack.retry_resigned != Some(true))
            .filter_map(|(name, pack)| {
                let of_signature = pack
                    .verify
                    .timestamp
                    .as_ref()
                    .and_then(|timestamp| timestamp.past);

                let of_token = pack.verify.jwt.as_ref().and_then(|jwt| jwt.max_age);
                let window = of_signature.or(of_token)?;
                let span = pack
                    .retry_span
                    .or((pack.retries == Some(true)).then_some(UNKNOWN_SPAN))?;

                (window < span)
                    .then(|| format!("{name}: requests of {window:?}, retries for {span:?}"))
            });

        assert_none("a retry may carry the time of the first attempt", wrong);
    }

    #[test]
    fn future_windows_stay_short() {
        let most = Duration::from_secs(3600);
        let wrong = packs().filter_map(|(name, pack)| {
            let timestamp = pack.verify.timestamp.as_ref()?;
            let future = timestamp.future.or(timestamp.past)?;
            (future > most).then(|| format!("{name}: up to {future:?} ahead"))
        });

        assert_none("only clock skew puts a request into the future", wrong);
    }

    #[test]
    fn accepted_status_is_a_success() {
        let wrong = packs().filter_map(|(name, pack)| {
            let first = || {
                pack.success
                    .as_ref()?
                    .iter()
                    .copied()
                    .find(|status| (200..=299).contains(status))
            };

            let takes = |status| {
                pack.success
                    .as_ref()
                    .is_none_or(|success| success.contains(&status))
            };

            let status = pack
                .accepted
                .status
                .or_else(|| if takes(202) { Some(202) } else { first() });

            let Some(status) = status else {
                return Some(format!("{name}: no 2xx in success"));
            };

            let is_avoided = pack
                .avoid_status
                .iter()
                .any(|avoided| avoided.matches(status));

            let is_good = (200..=299).contains(&status) && takes(status) && !is_avoided;
            (!is_good).then(|| format!("{name}: {status} to an accepted event"))
        });
        assert_none(
            "the answer to an accepted event is a success to the provider",
            wrong,
        );
    }

    #[test]
    fn refusals_avoid_harmful_statuses() {
        let wrong = packs().flat_map(|(name, pack)| {
            let own = pack.verify.refused_status.unwrap_or(401);
            let challenges = pack.verify.challenge.iter().flatten();
            let statuses: Vec<u16> = [own]
                .into_iter()
                .chain(challenges.map(|rule| rule.refused_status.unwrap_or(403)))
                .collect();

            let is_avoided = move |status: &u16| {
                pack.avoid_status
                    .iter()
                    .any(|avoided| avoided.matches(*status))
            };

            statuses
                .into_iter()
                .filter(is_avoided)
                .map(move |status| format!("{name}: refuses with {status}"))
        });

        assert_none("a refusal does not disable the webhook", wrong);
    }

    #[test]
    fn accepted_answers_can_be_sent() {
        for (name, pack) in packs() {
            let PackAnswer {
                status,
                headers,
                body,
            } = &pack.accepted;

            let has_body = body.as_ref().is_some_and(|body| !body.is_empty());
            assert!(
                !(has_body && *status == Some(204)),
                "{name}: 204 has no body"
            );

            assert!(
                pack.reply_body != ReplyBody::Accepted || has_body,
                "{name}: reply_body needs the accepted body"
            );

            for (header, value) in headers {
                assert!(
                    header.parse::<http::HeaderName>().is_ok(),
                    "{name}: {header}"
                );

                assert!(
                    http::HeaderValue::from_str(value).is_ok(),
                    "{name}: {header}"
                );
            }
        }
    }

    #[test]
    fn config_keys_are_described() {
        let wrong = EMBEDDED.iter().flat_map(|(name, text)| {
            let pack = Packs::default().find(name).unwrap();
            let described: BTreeSet<String> = pack.config.into_keys().collect();
            let read = keys_read(&text.parse::<toml::Table>().unwrap());
            let unknown = read
                .difference(&described)
                .map(|key| format!("{name}: no [config.{key}]"));
            let unread = described
                .difference(&read)
                .map(|key| format!("{name}: nothing reads [config.{key}]"));

            unknown.chain(unread).collect::<Vec<String>>()
        });

        assert_none("every value that the operator gives is described", wrong);
    }

    /// The keys of `[verify] config` that the `[verify]` of a pack reads.
    fn keys_read(pack: &toml::Table) -> BTreeSet<String> {
        let of_scheme: &[&str] = match pack["verify"].get("scheme").and_then(toml::Value::as_str) {
            Some("adobe-io") => &["recipient_client_id"],
            Some("apple-app-store") => &[
                "app_apple_id",
                "bundle_id",
                "environment",
                "root_certificates",
            ],
            Some("aws-sns") => &["topic_arns"],
            Some("braintree") => &["public_key"],
            Some("ebay") => &["environment"],
            Some("paypal") => &["webhook_id"],
            _ => &[],
        };

        let mut keys: BTreeSet<String> = of_scheme.iter().map(|key| (*key).to_owned()).collect();
        collect_keys(&pack["verify"], &mut keys);
        keys
    }

    fn collect_keys(value: &toml::Value, keys: &mut BTreeSet<String>) {
        match value {
            toml::Value::String(text) => {
                let named = text
                    .split("{config.")
                    .skip(1)
                    .filter_map(|rest| Some(rest.split_once('}')?.0.to_owned()));

                keys.extend(named);
                if text.contains("{rate}") {
                    keys.insert("max_rate".into());
                }

                if text.contains(" challenge_secret endpoint}") {
                    keys.insert("endpoint".into());
                }
            }
            toml::Value::Array(values) => values.iter().for_each(|value| collect_keys(value, keys)),
            toml::Value::Table(table) => {
                if let Some(listed) = table
                    .get("listed")
                    .and_then(|listed| listed.get(1))
                    .and_then(toml::Value::as_str)
                {
                    keys.insert(listed.to_owned());
                }

                if table.contains_key("query_string_hash") {
                    keys.insert("base_path".into());
                }

                if table.contains_key("pair") {
                    keys.insert("handshake_open".into());
                }

                table.values().for_each(|value| collect_keys(value, keys));
            }
            _ => {}
        }
    }

    #[test]
    fn names_and_aliases_are_unique() {
        let mut taken: BTreeSet<String> = pack_names().map(str::to_owned).collect();
        for (name, pack) in packs() {
            for alias in pack.aliases {
                assert!(taken.insert(alias.clone()), "{name}: `{alias}` is taken");
                assert_eq!(Packs::default().find(&alias).unwrap().name, pack.name);
            }
        }
    }

    #[test]
    fn variants_name_a_main_pack() {
        for (name, pack) in packs() {
            let Some(main) = pack.variant_of else {
                continue;
            };

            assert!(
                pack_names().any(|known| known == main),
                "{name}: variant_of `{main}`"
            );

            assert!(
                Packs::default().find(&main).unwrap().variant_of.is_none(),
                "{name}: `{main}` is a variant too"
            );
        }
    }
}
