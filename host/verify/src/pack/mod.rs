//! Provider packs: one TOML file a provider, saying how it signs, what it asks, how long it waits and what it makes of an
//! answer. Those in the binary may be replaced and added to by files of the operator.

mod fields;
mod registry;

pub use fields::{ConfigKey, Evidence, PackAnswer, ReplyBody, StatusPattern};
pub use registry::{Packs, pack_names};

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::edit::put;
use crate::request::Unverified;
use landfall_model::{Clock, DeliveryId, EventId, IdMatch, ValueLocation, VerifySpec, span};

/// The payload of packs that have none of their own.
const SAMPLE: &str =
    r#"{"id":"evt_1","type":"sample","created_at":"2026-01-01T00:00:00Z","data":{"text":"hello"}}"#;

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

// === impl Pack ===

impl Pack {
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
mod tests;
