//! Provider packs: one TOML file for each provider. It says how the provider signs, which ownership
//! checks it makes, how long it waits and how it treats responses. The operator can replace the
//! embedded packs and add others.

mod error;
mod fields;
mod registry;

pub use error::PackError;
pub use fields::{ConfigKey, Evidence, PackAnswer, ReplyBody, StatusPattern};
pub use registry::{Packs, pack_names};

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::edit::put;
use crate::request::{SignedBody, Unverified};
use crate::sign_error::SignError;
use landfall_model::{DeliveryId, EventId, IdMatch, ValueLocation, VerifySpec, span};

/// The sample payload of packs without one.
pub(crate) const SAMPLE: &str =
    r#"{"id":"evt_1","type":"sample","created_at":"2026-01-01T00:00:00Z","data":{"text":"hello"}}"#;

/// What is known of one provider: how it signs, which responses it expects, how it retries. `docs`
/// links the provider's documentation.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// The provider's name, as the provider writes it.
    pub name: String,
    /// The provider's page about webhooks and their signatures.
    pub docs: Option<String>,
    /// The kind of source for the signature scheme. `None` only for packs without a provider, such
    /// as `generic`.
    pub evidence: Option<Evidence>,
    /// The source for the signature scheme: a repository and a path in it, or a page.
    pub evidence_source: Option<String>,
    /// The main pack of the same provider, if this pack is a variant of it.
    pub variant_of: Option<String>,
    /// Other names, such as `whatsapp`. A hook may use them in `provider`.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// What an operator should know, in one or two sentences.
    pub note: Option<String>,
    /// Where the provider shows the secret, and what it is called there.
    pub secret_location: Option<String>,
    /// The values of `[verify] config` that this pack reads, by name.
    #[serde(default)]
    pub config: BTreeMap<String, ConfigKey>,
    /// How long the provider waits for a response, in seconds.
    pub deadline_seconds: Option<u32>,
    /// Whether the provider retries a failed delivery; `None` if unknown.
    pub retries: Option<bool>,
    /// The retry schedule as text: `1 min, 1 h, 6 h`.
    pub retry_schedule: Option<String>,
    /// The time from the first attempt to the last retry.
    #[serde(default, deserialize_with = "span")]
    pub retry_span: Option<Duration>,
    /// Whether each retry is signed again with a new timestamp; `None` if unknown.
    pub retry_resigned: Option<bool>,
    /// How often the provider repeats its ownership check; `None` if it does not, or if that is
    /// unknown.
    #[serde(default, deserialize_with = "span")]
    pub challenge_every: Option<Duration>,
    /// The maximum age of a request by the provider's documentation or SDK. Request vectors are
    /// checked against it. Hooks use `verify.timestamp`, which also covers the retries of providers
    /// that may not sign them again.
    #[serde(default, deserialize_with = "span")]
    pub documented_window: Option<Duration>,
    /// How far in the future the signed time may be by the provider's SDK, if that is more than
    /// `documented_window`. Request vectors are checked against it.
    #[serde(default, deserialize_with = "span")]
    pub documented_future: Option<Duration>,
    /// Status codes that the provider treats as success; `None` means any 2xx.
    pub success: Option<Vec<u16>>,
    /// Status codes that disable or drop the webhook, such as `"410"` or `"4xx"`. The host never
    /// sends them and uses 503 instead.
    #[serde(default)]
    pub avoid_status: Vec<StatusPattern>,
    /// The response to an event that is stored and handled later.
    #[serde(default)]
    pub accepted: PackAnswer,
    /// Which body this provider expects in a reply.
    #[serde(default)]
    pub reply_body: ReplyBody,
    /// Content types that the provider reads in a reply. A reply of another type is replaced by the
    /// body of `accepted`. Empty means any.
    #[serde(default)]
    pub reply_types: Vec<String>,
    /// Whether a duplicate gets the handler's reply to the first delivery.
    #[serde(default)]
    pub repeat_reply: bool,
    /// The largest body that the provider documents, in bytes.
    pub max_body_bytes: Option<u64>,
    /// Content types that the provider sends.
    #[serde(default)]
    pub content_types: Vec<String>,
    /// Whether the signature covers the body as sent (`encoded`, the default) or decompressed
    /// (`decoded`).
    #[serde(default)]
    pub signs_body: SignedBody,
    /// Whether the provider's signature or token covers the whole body. If not, anyone who has read
    /// one request can send it with another body.
    #[serde(default = "yes")]
    pub covers_body: bool,
    /// The form field with the JSON document, such as `payload`.
    pub json_form_field: Option<String>,
    /// Address ranges (CIDR) that the provider publishes for its requests.
    #[serde(default)]
    pub from_addresses: Vec<ipnet::IpNet>,
    /// The location of the event type.
    pub event_type: Option<ValueLocation>,
    /// The fields that identify a delivery and stay the same when the provider retries it.
    pub delivery_id: Option<DeliveryId>,
    /// Whether a different body with the same identity is another event.
    pub delivery_id_match: Option<IdMatch>,
    /// Where the provider documents that identity: a URL, or a repository and a path in it.
    pub delivery_id_source: Option<String>,
    /// A sample body as the provider sends it: JSON, unless `sample_type` names another type.
    pub sample: Option<String>,
    /// The content type of `sample`; JSON by default.
    pub sample_type: Option<String>,
    /// The event type of `sample`.
    pub sample_event: Option<String>,
    /// The provider's `[verify]` table.
    pub verify: VerifySpec,
}

fn yes() -> bool {
    true
}

// === impl Pack ===

impl Pack {
    /// The provider's timeout less a fifth, as a margin for the network.
    pub fn answer_within(&self) -> Option<Duration> {
        self.deadline_seconds
            .map(|seconds| Duration::from_secs(seconds.into()) * 4 / 5)
    }

    /// An unsigned sample request with this event type. Its delivery id is made for `now`.
    pub fn draft(
        &self,
        event: Option<&str>,
        url: &str,
        now: SystemTime,
    ) -> Result<Unverified, SignError> {
        self.draft_with_id(event, url, &EventId::new(now).to_string())
    }

    /// As `draft`, with this delivery id.
    pub fn draft_with_id(
        &self,
        event: Option<&str>,
        url: &str,
        id: &str,
    ) -> Result<Unverified, SignError> {
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
        let ids = self
            .delivery_id
            .iter()
            .flat_map(|identity| identity.fields().iter());

        let places = self
            .event_type
            .iter()
            .map(|place| (place, event))
            .chain(ids.map(|place| (place, Some(id))));

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

    /// Merges the hook's table with the pack's; the hook's fields win. A hook with another scheme
    /// only takes the challenge from the pack: a prefix for signatures makes no sense for a token.
    pub fn merge(&self, hook: &VerifySpec) -> VerifySpec {
        let pack = match hook.scheme {
            Some(scheme) if self.verify.scheme != Some(scheme) => VerifySpec {
                challenge: self.verify.challenge.clone(),
                ..VerifySpec::default()
            },
            _ => self.verify.clone(),
        };

        // The prefix of the generic pack belongs to its header. A hook that names another header
        // does not take it.
        let prefix = pack
            .prefix
            .filter(|_| hook.provider.is_some() || hook.from.is_none());

        hook.clone().merge(VerifySpec { prefix, ..pack })
    }

    /// Whether the pack's evidence covers the hook's table: the provider documents that it signs
    /// this way, even if it is weak.
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
