//! The nouns of Landfall: hook, event, reply, attempt, outcome, secret, grant. No IO, no async, and
//! no other crate of Landfall.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

mod broker;
mod caller_addresses;
mod candidate;
mod challenge;
pub mod clock;
mod component_digest;
mod condition;
mod credential;
mod dedup_key;
mod delivery;
mod delivery_id;
mod delivery_state;
mod documents;
mod dot_segments;
mod edge_limits;
mod effects;
mod event;
mod flow;
mod grants;
mod hidden;
pub mod hook;
mod hook_name;
mod hop_by_hop;
mod host_headers;
mod http_grant;
mod json_string;
mod jwt_spec;
mod kill_point;
mod ledger_time;
mod lock;
mod memory;
mod peer;
mod random;
mod reconcile;
pub mod recording;
mod redact;
mod refusals;
mod request_excerpt;
mod request_lines;
mod retention;
mod schedule;
mod scheme;
mod scheme_merge;
mod search_report;
mod secret;
mod secret_grant;
mod secret_pattern;
mod secret_ref;
mod shape;
mod signature_spec;
mod sizes;
pub mod stored_event;
mod timing;
mod trace_context;
mod trusted_key;
mod url_prefix;
mod value_location;
mod watch;

pub use broker::{BrokerSpec, PushSpec};
pub use caller_addresses::{AddressRangeError, FromAddresses, address_range};
pub use candidate::{
    CanaryRules, CandidateDecision, CandidateReport, CandidateSpec, ShadowReport, ShadowSample,
    Trial, VersionRuns,
};
pub use challenge::{ChallengeAnswer, ChallengeSpec, Requirement};
pub use clock::Clock;
pub use component_digest::{ComponentDigest, ComponentDigestError};
pub use condition::{Condition, ConditionError, ConditionPlace, ConditionTest, EventField};
pub use credential::{
    Credential, CredentialKind, CredentialPart, CredentialText, OAuth1Spec, SigV4Spec,
};
pub use dedup_key::DedupKey;
pub use delivery::{
    Attempt, CALL_ERROR_WORDS, CallResult, LogLine, OUTCOME_WORDS, OutboundCall, Outcome,
};
pub use delivery_id::{DeliveryId, IdMatch};
pub use delivery_state::DeliveryState;
pub use documents::Documents;
pub use dot_segments::has_dot_segment;
pub use edge_limits::EdgeLimits;
pub use effects::{Effects, Emission, KvChange, KvExpected, KvValue, KvWrite, Quota, Row};
pub use event::{Event, EventId, EventIdError, PROOF_ATTRIBUTE, Reply, SEALED_ATTRIBUTE};
pub use flow::{
    Admission, BatchHold, BatchSpec, DebounceHold, DebounceSpec, FlowSpec, HELD_KEY_MAX, Hold,
    Keep, OPEN_GROUPS_MAX, TransformSpec,
};
pub use grants::{GrantForm, GrantKey, Grants, LedgerWrites};
pub use hidden::{is_hidden, printable, printable_start};
pub use hook::{AcceptedSpec, Allow, DedupId, DedupSpec, EnvironmentVariable, HookSpec, Mode};
pub use hook_name::{HookName, HookNameError, is_table_name};
pub use hop_by_hop::remove_hop_by_hop;
pub use host_headers::HOST_HEADERS;
pub use http_grant::{HttpGrant, HttpGrantError};
pub use json_string::split_json_string;
pub use jwt_spec::{ClaimValue, JwtSpec, LookupSpec};
pub use ledger_time::{LedgerClock, LedgerTime};
pub use lock::lock;
pub use memory::{MemoryBudget, MemoryExhausted, MemoryHold};
pub use peer::Peer;
pub use random::random_bytes;
pub use reconcile::{FindMissed, GitHubWebhook, ReconcileSource, ReconcileSpec, ShopifyResource};
pub use recording::{PendingRecording, RecordSpec, RecordedBody, RecordedRun, Recording, Redact};
pub use redact::{
    REDACTED, REDACTED_ATTRIBUTE, RedactPathError, RedactSpec, RedactedBody, UNREADABLE_BODY,
    Unreadable, UnreadableBody,
};
pub use refusals::{
    ADMIN, KeptRefusal, LOG_WINDOW, LogDecision, NO_HOOK, RefusalLog, RefusedRequest,
};
pub use request_excerpt::{MASKED, RequestExcerpt, is_shown_header};
pub use request_lines::RequestLines;
pub use retention::{HookRetention, HookRetentions, Retention};
pub use schedule::RetrySpec;
pub use scheme::{ConfigValue, Scheme, VerifySpec};
pub use search_report::{MissedDelivery, SearchReport};
pub use secret::{Secret, SecretAges, SecretError, SecretSource, TrackSecrets};
pub use secret_grant::{SecretDenied, SecretGrant};
pub use secret_pattern::{SecretPattern, SecretPatternError};
pub use secret_ref::{RemoteSecret, SecretRef, SecretRefError};
pub use shape::{SHAPE, ShapeSpec};
pub use signature_spec::{
    Algorithm, Encoding, KeyForm, KeySetSpec, ListSpec, MessageSignatureSpec, PayloadPiece,
    TimeSpec, TimeUnit, span,
};
pub use sizes::{ComponentLimits, SizeSpec, Sizes};
pub use stored_event::{Corrupt, Stored};
pub use timing::Timing;
pub use trace_context::{CallTrace, SpanId, TRACEPARENT, TraceContext};
pub use trusted_key::{SignatureError, TrustedKey, TrustedKeyError};
pub use url_prefix::{UrlPrefix, UrlPrefixError};
pub use value_location::ValueLocation;
pub use watch::{
    AlarmKind, AlarmReceiver, AlarmSwitches, ExpectedRate, ExpectedRateError, HookActivity, WATCH,
    WatchSpec,
};

#[doc(hidden)]
pub use kill_point::fail;
