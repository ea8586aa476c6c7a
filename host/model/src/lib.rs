//! The nouns of Landfall: what a hook, an event, a reply and an outcome are. No IO, no async, nothing of ours imported.
#![deny(unsafe_code)]

mod broker;
pub mod challenge;
pub mod clock;
mod credential;
mod dedup_key;
pub mod delivery;
mod delivery_id;
mod delivery_state;
mod documents;
mod dot_segments;
mod edge_limits;
mod effects;
pub mod event;
mod grants;
pub mod hook;
mod http_grant;
mod kill_point;
mod ledger_time;
mod lock;
mod memory;
mod peer;
mod refusals;
mod retention;
mod schedule;
pub mod scheme;
mod scheme_merge;
pub mod secret;
mod secret_grant;
mod sizes;
pub mod stored_event;
mod url_prefix;

pub use broker::{BrokerSpec, PushSpec};
pub use challenge::{ChallengeAnswer, ChallengeSpec, Requirement};
pub use clock::Clock;
pub use credential::{
    Credential, CredentialKind, CredentialPart, CredentialText, OAuth1Spec, SigV4Spec,
};
pub use dedup_key::DedupKey;
pub use delivery::{Attempt, CallResult, LogLine, OutboundCall, Outcome, Row};
pub use delivery_id::{DeliveryId, IdMatch};
pub use delivery_state::DeliveryState;
pub use documents::Documents;
pub use dot_segments::has_dot_segment;
pub use edge_limits::EdgeLimits;
pub use effects::{Effects, Emission, KvChange, KvExpected, KvValue, KvWrite, Quota};
pub use event::{Event, EventId, Failure, Reply};
pub use grants::{GrantForm, GrantKey, Grants, LedgerWrites};
pub use hook::{
    AcceptedSpec, Allow, DedupId, DedupSpec, EnvironmentVariable, HookName, HookSpec, Mode,
    UrlPrefix,
};
pub use http_grant::HttpGrant;
pub use ledger_time::{LedgerClock, LedgerTime};
pub use lock::lock;
pub use memory::{MemoryBudget, MemoryExhausted, MemoryHold};
pub use peer::Peer;
pub use refusals::{
    ADMIN, KeptRefusal, LOG_WINDOW, LogDecision, NO_HOOK, RefusalLog, RefusedRequest,
};
pub use retention::Retention;
pub use schedule::RetrySpec;
pub use scheme::{
    Algorithm, ClaimValue, ConfigValue, Encoding, FromAddresses, JwtSpec, KeyForm, KeySetSpec,
    ListSpec, LookupSpec, MessageSignatureSpec, PayloadPiece, Scheme, TimeSpec, TimeUnit,
    ValueLocation, VerifySpec, address_range, span,
};
pub use secret::{
    RemoteSecret, Secret, SecretAges, SecretError, SecretRef, SecretSource, TrackSecrets,
};
pub use secret_grant::{SecretGrant, SecretPattern};
pub use sizes::{ComponentLimits, SizeSpec, Sizes};
pub use stored_event::{Corrupt, Stored};

#[doc(hidden)]
pub use kill_point::fail;
