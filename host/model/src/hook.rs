//! A hook: a configured target. These types are checked; the crate `config` creates them from hook
//! files.

use std::time::Duration;

use ipnet::IpNet;

use super::candidate::CandidateSpec;
use super::component_digest::ComponentDigest;
use super::credential::{Credential, CredentialPart, CredentialText};
use super::delivery_id::{DeliveryId, IdMatch};
use super::effects::Quota;
use super::flow::FlowSpec;
use super::grants::Grants;
use super::hook_name::HookName;
use super::http_grant::HttpGrant;
use super::reconcile::ReconcileSpec;
use super::recording::RecordSpec;
use super::redact::RedactSpec;
use super::retention::HookRetention;
use super::schedule::RetrySpec;
use super::scheme::VerifySpec;
use super::secret_ref::SecretRef;
use super::shape::ShapeSpec;
use super::sizes::SizeSpec;
use super::value_location::ValueLocation;
use super::watch::WatchSpec;

/// When the caller receives its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The caller receives the handler's reply. Nothing is queued.
    Sync,
    /// The caller receives a response when the event is durable. Workers run it.
    Async,
    /// The event is stored first. The caller receives the handler's reply if it comes in time,
    /// otherwise the response of `async`.
    Auto,
}

/// The identity of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DedupId {
    /// The delivery id of the pack. If the pack has none, nothing is a duplicate.
    OfPack,
    /// Fields of the request.
    At(DeliveryId),
    /// The SHA-256 of the body.
    BodyDigest,
    /// Nothing is a duplicate.
    Nothing,
}

/// How duplicates are recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DedupSpec {
    /// The identity.
    pub id: DedupId,
    /// `None`: the value of the pack, otherwise `id-and-body`.
    pub id_match: Option<IdMatch>,
    /// How long an identity is remembered.
    pub window: Duration,
}

/// The response to an event that is stored and runs later.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AcceptedSpec {
    /// `None`: 202, or a status that the provider accepts as success.
    pub status: Option<u16>,
    /// Headers that are added to, or replace, `content-type: application/json`.
    pub headers: http::HeaderMap,
    /// The body, in which `{event}` is replaced by the id. `None`: `{"accepted": true, "event":
    /// ID}`.
    pub body: Option<String>,
}

/// The configuration of a hook: its hook file over the suggestions of its component.
#[derive(Debug, Clone)]
pub struct HookSpec {
    /// From the file's name.
    pub name: HookName,
    /// `/github`; a `{name}` segment matches one segment, `{name...}` at the end any number of
    /// them.
    pub path: String,
    /// At least one.
    pub methods: Vec<http::Method>,
    /// A file name in the plugins directory or of a bundled component.
    pub component: String,
    /// The only version of the component that may run. `None`: every version.
    pub digest: Option<ComponentDigest>,
    /// When the caller receives its response.
    pub mode: Mode,
    /// The time until the caller receives a response. `None`: the value of the pack, otherwise
    /// `deadline`.
    pub answer_within: Option<Duration>,
    /// The longest time of one attempt, wall clock.
    pub deadline: Duration,
    /// How duplicates are recognised, in modes `async` and `auto`.
    pub dedup: DedupSpec,
    /// When failed deliveries are retried, in modes `async` and `auto`.
    pub retry: RetrySpec,
    /// Attempts that may begin per second, in modes `async` and `auto`. `None`: no limit besides
    /// `concurrency`.
    pub max_rate: Option<f64>,
    /// Events with the same value at this place run one at a time, in order.
    pub order_by: Option<ValueLocation>,
    /// What happens to events before they run.
    pub flow: FlowSpec,
    /// The response to events that run later.
    pub accepted: AcceptedSpec,
    /// Attempts that run at the same time.
    pub concurrency: usize,
    /// The largest body, and the memory of an attempt.
    pub sizes: SizeSpec,
    /// How senders are authenticated.
    pub verify: VerifySpec,
    /// The settings that the handler reads.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// The environment variables of the component.
    pub environment: Vec<EnvironmentVariable>,
    /// The path parameter that a plain `wasi:http` component receives as its whole path.
    pub strips: Option<String>,
    /// The granted capabilities.
    pub allow: Allow,
    /// What the host adds to outbound calls.
    pub credentials: Vec<Credential>,
    /// How much the handler may store.
    pub quota: Quota,
    /// How missed deliveries are found. `None`: they are not looked for.
    pub reconcile: Option<ReconcileSpec>,
    /// The alarms of the hook.
    pub watch: WatchSpec,
    /// A version that is tried beside the serving one.
    pub candidate: Option<CandidateSpec>,
    /// Which attempts are recorded.
    pub record: RecordSpec,
    /// What is removed of events before they are stored or run.
    pub redact: RedactSpec,
    /// How long its deliveries are kept.
    pub retention: HookRetention,
    /// What is learned of the bodies of its events.
    pub shape: ShapeSpec,
}

/// A variable in the environment of a component.
#[derive(Debug, Clone, PartialEq)]
pub struct EnvironmentVariable {
    /// `[A-Za-z_][A-Za-z0-9_]*`
    pub name: String,
    /// Text and secrets, joined.
    pub value: CredentialText,
}

/// The grants of one hook.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Allow {
    /// The URLs that may be called.
    pub http: Vec<HttpGrant>,
    /// Redirects that are followed in one call, each to a URL that may be called.
    pub redirects: u8,
    /// Special addresses (private, loopback, …) that a name in `http` may resolve to.
    pub addresses: Vec<IpNet>,
    /// Capabilities, such as `kv`.
    pub capabilities: Grants,
}

// === impl HookSpec ===

impl HookSpec {
    /// Every secret that the hook names.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretRef> {
        let in_verify = self.verify.secret.iter();
        let in_challenges = self.verify.challenge_secret.iter();
        let in_credentials = self.credentials.iter().flat_map(Credential::secrets);
        let in_environment = self.environment.iter();
        let in_reconcile = self.reconcile.iter().map(|spec| &spec.credential);
        in_verify
            .chain(in_challenges)
            .chain(in_credentials)
            .chain(in_environment.flat_map(EnvironmentVariable::secrets))
            .chain(in_reconcile)
    }
}

// === impl EnvironmentVariable ===

impl EnvironmentVariable {
    /// The secrets in the value.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretRef> {
        self.value.iter().filter_map(|part| match part {
            CredentialPart::Secret(reference) => Some(reference),
            CredentialPart::Literal(_) => None,
        })
    }
}

/// The name in `{name...}` at the end of a path.
pub fn rest_of(path: &str) -> Option<&str> {
    let (_, last) = path.rsplit_once('/')?;
    let name = last.strip_prefix('{')?.strip_suffix("...}")?;
    (!name.is_empty() && !name.contains(['{', '}', '.'])).then_some(name)
}
