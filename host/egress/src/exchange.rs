//! One call and its result: the request that a component asks for, the response, and why there
//! is none.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use landfall_model::{Event, MemoryBudget, MemoryHold};

/// A request to send.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// `POST`
    pub method: String,
    /// An absolute URL.
    pub url: String,
    /// Headers as the component wrote them.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Bytes,
    /// The limit for everything from the name lookup to the last byte of the response.
    pub timeout: Duration,
    /// The event that is handled, whose content came from a sender. `None` for calls of the host.
    pub untrusted: Option<Arc<Event>>,
    /// The memory of the attempt, in which the response counts. `None` for calls of the host.
    pub memory: Option<MemoryBudget>,
}

/// A response of any status.
#[derive(Debug, Clone)]
pub struct Received {
    /// 100 to 999.
    pub status: u16,
    /// Names are in lower case, in the order of the response.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// The memory of the attempt that the body occupies.
    pub held: Option<Arc<MemoryHold>>,
}

/// Why there is no response. Each variant carries a sentence for the component.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum OutgoingError {
    #[error("{0}")]
    Denied(String),
    /// The address of the host may not be reached. The component does not learn it.
    #[error(
        "`{host}` is {address}, which is not a public address: name it in `[allow] addresses` if it is meant"
    )]
    DeniedAddress { host: String, address: IpAddr },
    #[error("{0}")]
    Invalid(String),
    /// A credential has no value now, or cannot be used.
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Unresolved(String),
    /// No connection was made: nothing was sent.
    #[error("{0}")]
    Unreachable(String),
    /// The connection broke before the response was complete. The server may have carried out the
    /// request.
    #[error("{0}")]
    Interrupted(String),
    #[error("{0}")]
    Tls(String),
    #[error("{0}")]
    Timeout(String),
    #[error("{0}")]
    Limit(String),
    /// The first receiver has answered with a redirect, and may have acted. The error of the call
    /// after it.
    #[error("the call was answered with a redirect that could not be followed: {0}")]
    Redirected(Box<OutgoingError>),
    #[error("{0}")]
    Other(String),
}

// === impl OutgoingError ===

impl OutgoingError {
    /// The name of the variant in records and logs.
    pub fn word(&self) -> &'static str {
        match self {
            OutgoingError::Denied(_) | OutgoingError::DeniedAddress { .. } => "denied",
            OutgoingError::Invalid(_) => "invalid",
            OutgoingError::Unavailable(_) => "unavailable",
            OutgoingError::Unresolved(_) => "unresolved",
            OutgoingError::Unreachable(_) => "unreachable",
            OutgoingError::Interrupted(_) => "interrupted",
            OutgoingError::Tls(_) => "tls",
            OutgoingError::Timeout(_) => "timeout",
            OutgoingError::Limit(_) => "limit",
            OutgoingError::Redirected(_) | OutgoingError::Other(_) => "other",
        }
    }

    /// The sentence for the component: the operator's, without the address that a name resolved to.
    pub fn guest_text(&self) -> String {
        match self {
            OutgoingError::DeniedAddress { host, .. } => {
                format!("the address of `{host}` is not in `[allow] addresses` of this hook")
            }
            OutgoingError::Redirected(error) => format!(
                "the call was answered with a redirect that could not be followed: {}",
                error.guest_text()
            ),
            error => error.to_string(),
        }
    }
}
