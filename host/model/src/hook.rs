//! A hook: a configured target. These are the checked forms; `config` makes them from what was typed.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::credential::{Credential, CredentialPart, CredentialText};
use super::delivery_id::{DeliveryId, IdMatch};
use super::effects::Quota;
use super::grants::Grants;
use super::http_grant::HttpGrant;
use super::schedule::RetrySpec;
use super::scheme::{ValueLocation, VerifySpec};
use super::secret::SecretRef;
use super::sizes::SizeSpec;
pub use super::url_prefix::UrlPrefix;

/// The name of a hook: its file's stem. `a-z`, `0-9`, `-`, `_`; at most 64.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HookName(Arc<str>);

/// When the caller is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// With the handler's reply; nothing is queued.
    Sync,
    /// As soon as the event is on stable storage; workers run it.
    Async,
    /// With the handler's reply if it comes in time, else as in `async`. The event is on stable storage first.
    Auto,
}

/// Under which key a delivery may come again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DedupId {
    /// The delivery id that the pack names; none = nothing is a duplicate.
    OfPack,
    /// Fields of the request.
    At(DeliveryId),
    /// The SHA-256 of the body.
    BodyDigest,
    /// Nothing is a duplicate.
    Nothing,
}

/// How duplicates are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DedupSpec {
    /// By what.
    pub id: DedupId,
    /// None = what the pack says, else `id-and-body`.
    pub id_match: Option<IdMatch>,
    /// How long an id counts.
    pub window: Duration,
}

/// The answer to an event that is kept and will be handled.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AcceptedSpec {
    /// None = 202, or what the provider takes for success.
    pub status: Option<u16>,
    /// Beside, or instead of, `content-type: application/json`.
    pub headers: http::HeaderMap,
    /// `{event}` stands for the id; none = `{"accepted": true, "event": ID}`.
    pub body: Option<String>,
}

/// Everything the operator (and the component's own defaults) say about a hook.
#[derive(Debug, Clone)]
pub struct HookSpec {
    /// From the file's name.
    pub name: HookName,
    /// `/github`; a `{name}` segment matches one segment, `{name...}` at the end any number of them.
    pub path: String,
    /// At least one.
    pub methods: Vec<http::Method>,
    /// A file name in the plugins directory, or of a bundled component.
    pub component: String,
    /// When the caller is answered.
    pub mode: Mode,
    /// The caller gets its answer within this; none = what the pack says, else `deadline`.
    pub answer_within: Option<Duration>,
    /// One attempt, wall clock.
    pub deadline: Duration,
    /// How duplicates are known, in modes `async` and `auto`.
    pub dedup: DedupSpec,
    /// When failed attempts are tried again, in those modes.
    pub retry: RetrySpec,
    /// Attempts that may begin in a second, in those modes; none = as many as there are places for.
    pub max_rate: Option<f64>,
    /// Of events with the same value there, one runs at a time, in order.
    pub order_by: Option<ValueLocation>,
    /// What the caller gets where it is not the handler's reply.
    pub accepted: AcceptedSpec,
    /// Attempts at once.
    pub concurrency: usize,
    /// How large bodies may be, and the memory of an attempt.
    pub sizes: SizeSpec,
    /// How a sender proves itself.
    pub verify: VerifySpec,
    /// What the handler reads.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// What a component reads as its environment variables.
    pub environment: Vec<EnvironmentVariable>,
    /// The parameter of the path that a plain `wasi:http` component gets as its whole path.
    pub strips: Option<String>,
    /// What the handler may use.
    pub allow: Allow,
    /// What the host adds on the way out.
    pub credentials: Vec<Credential>,
    /// What the handler may keep.
    pub quota: Quota,
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
    /// What may be called.
    pub http: Vec<HttpGrant>,
    /// Redirects that are followed in one call, each to where a call could go too.
    pub redirects: u8,
    /// Special addresses (private, loopback, …) that a name in `http` may resolve to.
    pub addresses: Vec<IpNet>,
    /// Capabilities, such as `kv`.
    pub capabilities: Grants,
}

// === impl EnvironmentVariable ===

impl EnvironmentVariable {
    /// The secrets that its value is made of.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretRef> {
        self.value.iter().filter_map(|part| match part {
            CredentialPart::Secret(reference) => Some(reference),
            CredentialPart::Literal(_) => None,
        })
    }
}

// === impl HookName ===

impl HookName {
    /// The most characters.
    pub const MAX: usize = 64;

    /// Shared text.
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl FromStr for HookName {
    type Err = String;

    fn from_str(text: &str) -> Result<HookName, String> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if text.is_empty()
            || text.len() > HookName::MAX
            || text.starts_with('-')
            || !text.chars().all(good)
        {
            return Err(format!(
                "`{}` cannot name a hook: use a-z, 0-9, `-` and `_`, at most {} characters, and do not begin with `-`",
                text.escape_debug(),
                HookName::MAX
            ));
        }
        Ok(HookName(text.into()))
    }
}

impl std::ops::Deref for HookName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HookName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name in `{name...}` at the end of a path.
pub fn rest_of(path: &str) -> Option<&str> {
    let (_, last) = path.rsplit_once('/')?;
    let name = last.strip_prefix('{')?.strip_suffix("...}")?;
    (!name.is_empty() && !name.contains(['{', '}', '.'])).then_some(name)
}

/// Whether `text` may name a table: `a-z`, `0-9`, `-`, `_`; 1 to 64.
pub fn is_table_name(text: &str) -> bool {
    text.parse::<HookName>().is_ok()
}
