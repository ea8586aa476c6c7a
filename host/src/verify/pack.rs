//! Provider packs: one TOML file a provider, saying how it signs, what it asks, how long it waits and what it makes of an
//! answer. Those in the binary may be replaced and added to by files of the operator.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use serde::Deserialize;

use super::request::Unverified;
use super::sign::put;
use crate::model::{Clock, EventId, Place, VerifySpec};

/// What is known of one provider. The source of each figure is the page that `docs` names.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// As people write it.
    pub name: String,
    /// Where the provider describes it.
    pub docs: Option<String>,
    /// What an operator should know.
    pub note: Option<String>,
    /// How long the provider waits for an answer, in seconds.
    pub deadline_seconds: Option<u32>,
    /// Whether it tries again; none where nothing is known.
    pub retries: Option<bool>,
    /// Statuses that it takes for success; none = any 2xx.
    pub success: Option<Vec<u16>>,
    /// Where it says what kind of event this is.
    pub event_type: Option<Place>,
    /// Where it names the delivery; the same when it tries again.
    pub delivery_id: Option<Place>,
    /// A delivery as the provider sends it: JSON, or a form where `sample_type` says so.
    pub sample: Option<String>,
    /// Content type of `sample`; JSON unless said.
    pub sample_type: Option<String>,
    /// The kind of event that `sample` is.
    pub sample_event: Option<String>,
    /// Answers carry no body.
    #[serde(default)]
    pub empty_answers: bool,
    /// How it proves itself.
    pub verify: VerifySpec,
}

/// The payload of packs that have none of their own.
const SAMPLE: &str = r#"{"id":"evt_1","type":"sample","created_at":"2026-01-01T00:00:00Z","data":{"text":"hello"}}"#;

/// Packs by name.
#[derive(Debug, Clone, Default)]
pub struct Packs {
    /// Their texts, or why they cannot be read.
    own: BTreeMap<String, Result<String, String>>,
}

macro_rules! embedded {
    ($($name:literal)*) => {
        /// Name and text of every pack in the binary.
        const EMBEDDED: &[(&str, &str)] = &[$(($name, include_str!(concat!("packs/", $name, ".toml")))),*];
    };
}

embedded! {
    "adobe-io" "adyen" "adyen-platform" "adyen-standard" "airtable" "alertmanager" "alertmanager-bearer" "anthropic"
    "asana" "auth0" "aws-sns" "azure-event-grid" "basic-auth" "bigcommerce" "bitbucket" "box" "braintree" "calendly"
    "circleci" "clickup" "cloudevents" "coinbase-commerce" "contentful" "discord" "docker-hub" "docusign" "dropbox"
    "dropbox-sign" "elevenlabs" "figma" "forgejo" "generic" "generic-sha512" "gitea" "github" "github-legacy-sha1"
    "gitlab" "gocardless" "gogs" "google-channel" "google-pubsub" "grafana" "grafana-ts" "heroku" "hubspot"
    "hubspot-v1" "hubspot-v2" "hubspot-v3" "intercom" "jira" "lemonsqueezy" "line" "linear" "mailchimp" "mailgun"
    "mandrill" "messagebird" "messagebird-jwt" "meta" "microsoft-graph" "monday" "netlify" "notion" "nylas" "okta"
    "openai" "paddle" "pagerduty" "paypal" "plaid" "pusher" "quickbooks" "razorpay" "ringcentral" "sanity" "scalr"
    "sendgrid" "sentry" "shopify" "slack" "smartsheet" "square" "standard-webhooks" "standard-webhooks-v1a" "strava"
    "stripe" "svix" "telegram" "trello" "twilio" "twitch" "typeform" "vercel" "webex" "websub" "wise" "woocommerce"
    "workos" "x-twitter" "xero" "zendesk" "zoom"
}

/// The packs in the binary.
pub fn pack_names() -> impl Iterator<Item = &'static str> {
    EMBEDDED.iter().map(|(name, _)| *name)
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
        let broken = |name: &String| Some((format!("providers/{name}.toml"), self.find(name).err()?));
        self.own.keys().filter_map(broken).collect()
    }

    /// The pack of that name: the operator's, else the binary's. The error says what to write.
    pub fn find(&self, name: &str) -> Result<Pack, String> {
        let embedded = || EMBEDDED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
        let own = self.own.get(name).map(|own| own.as_deref().map_err(Clone::clone)).transpose()?;
        let text = own.or_else(embedded);
        let text = text.ok_or_else(|| unknown(name))?;
        toml::from_str(text).map_err(|error| format!("providers/{name}.toml: {}", error.message()))
    }
}

fn unknown(name: &str) -> String {
    let near = pack_names().min_by_key(|known| strsim::damerau_levenshtein(known, name));
    let near = near.filter(|known| strsim::damerau_levenshtein(known, name) <= 2);
    match near {
        Some(near) => format!("no provider pack `{}`: did you mean `{near}`?", name.escape_debug()),
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
        Packs::default().find("generic").expect("the generic pack is embedded")
    }

    /// What to answer within: the provider's deadline less a fifth for the way back.
    pub fn answer_within(&self) -> Option<Duration> {
        self.deadline_seconds.map(|seconds| Duration::from_secs(seconds.into()) * 4 / 5)
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
            headers: http::HeaderMap::new(),
            body: body.into(),
        };
        put(&mut draft, &Place::Header("Content-Type".into()), content_type)?;
        let event = event.or(self.sample_event.as_deref());
        let id = EventId::new(Clock::System.now()).to_string();
        for (place, value) in [(&self.event_type, event), (&self.delivery_id, Some(id.as_str()))] {
            if let (Some(place), Some(value)) = (place, value)
                && (content_type == "application/json" || matches!(place, Place::Header(_)))
            {
                put(&mut draft, place, value)?;
            }
        }
        Ok(draft)
    }

    /// The hook's word over the pack's, field by field. A hook that names another scheme starts from nothing but the
    /// challenge: a prefix for signatures means nothing to a token.
    pub fn under(&self, hook: &VerifySpec) -> VerifySpec {
        let pack = match hook.scheme {
            Some(scheme) if self.verify.scheme != Some(scheme) => {
                VerifySpec { challenge: self.verify.challenge.clone(), ..VerifySpec::default() }
            }
            _ => self.verify.clone(),
        };
        let mut config = pack.config;
        config.extend(hook.config.clone());
        let hook = hook.clone();
        VerifySpec {
            provider: hook.provider,
            scheme: hook.scheme.or(pack.scheme),
            secret: hook.secret,
            challenge_secret: hook.challenge_secret,
            key: hook.key.or(pack.key),
            from: hook.from.or(pack.from),
            prefix: hook.prefix.or(pack.prefix),
            list: hook.list.or(pack.list),
            algorithm: hook.algorithm.or(pack.algorithm),
            encoding: hook.encoding.or(pack.encoding),
            payload: hook.payload.or(pack.payload),
            timestamp: hook.timestamp.or(pack.timestamp),
            id: hook.id.or(pack.id),
            require: hook.require.or(pack.require),
            public_url: hook.public_url.or(pack.public_url),
            config,
            jwt: hook.jwt.or(pack.jwt),
            challenge: hook.challenge.or(pack.challenge),
            refused_status: hook.refused_status.or(pack.refused_status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_pack_reads_and_holds_no_secret() {
        for name in pack_names() {
            let pack = Packs::default().find(name).unwrap();
            assert!(pack.verify.secret.is_empty(), "{name}: a pack holds no secrets");
            assert!(pack.docs.as_deref().is_none_or(|docs| docs.starts_with("https://")), "{name}");
        }
    }

    #[test]
    fn the_deadline_leaves_time_for_the_way_back() {
        assert_eq!(Packs::default().find("github").unwrap().answer_within(), Some(Duration::from_secs(8)));
        assert_eq!(Pack::generic().answer_within(), None);
    }
}
