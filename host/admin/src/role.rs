//! What the sender of a request may do, and who it is.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::HeaderMap;

/// Bytes of a token's digest in the audit record.
const TOKEN_DIGEST_BYTES: usize = 4;
/// The word of a command that opened the ledger of a stopped node itself.
const LOCAL: &str = "local";
/// What the audit record says of a request that came through the MCP server.
const MCP: &str = "mcp";
/// The header in which `landfall mcp` says that its requests come through it.
pub const VIA: &str = "x-landfall-via";

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reading everything: the token of `admin.read_token`.
    Read,
    /// Reading and changing: the token of `admin.token`.
    Operate,
}

/// Who sent a request, for the audit record. An extension of every guarded request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The word of the role.
    pub(crate) role: &'static str,
    /// The first digits of the token's SHA-256, so that an operator can tell tokens apart. They do
    /// not help to guess a token.
    pub(crate) token: String,
    /// The client.
    pub(crate) address: Option<IpAddr>,
    /// The program between the sender and the API, for the audit record.
    pub(crate) via: Option<&'static str>,
    /// Whether the audit record has an entry of the request.
    is_recorded: Arc<AtomicBool>,
}

// === impl Role ===

impl Role {
    /// The role in JSON and texts.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Role::Read => "read",
            Role::Operate => "operate",
        }
    }
}

// === impl Caller ===

impl Caller {
    /// The sender of a request that was let in. `digest`: the SHA-256 of its token.
    pub fn new(role: Role, digest: &[u8; 32], address: Option<IpAddr>) -> Caller {
        Caller {
            role: role.word(),
            token: hex::encode(&digest[..TOKEN_DIGEST_BYTES]),
            address,
            via: None,
            is_recorded: Arc::default(),
        }
    }

    /// The same sender, through the MCP server of this node.
    pub fn through_mcp(self) -> Caller {
        Caller {
            via: Some(MCP),
            ..self
        }
    }

    /// The same sender, through the program that this header names. Unknown names are left out:
    /// they could be any text.
    pub(crate) fn through(self, headers: &HeaderMap) -> Caller {
        match headers.get(VIA).map(|value| value.as_bytes()) {
            Some(via) if via == MCP.as_bytes() => self.through_mcp(),
            _ => self,
        }
    }

    /// Whether it may change something.
    pub fn may_change(&self) -> bool {
        self.role == Role::Operate.word() || self.role == LOCAL
    }

    /// Whether the audit record has an entry of this request.
    pub fn is_recorded(&self) -> bool {
        self.is_recorded.load(Ordering::Relaxed)
    }

    pub(crate) fn set_recorded(&self) {
        self.is_recorded.store(true, Ordering::Relaxed);
    }

    /// A command that opened the ledger of a stopped node itself.
    pub(crate) fn local() -> Caller {
        Caller {
            role: LOCAL,
            token: String::new(),
            address: None,
            via: None,
            is_recorded: Arc::default(),
        }
    }

    /// A sender that was refused before its token was checked.
    pub fn unknown(address: Option<IpAddr>) -> Caller {
        Caller {
            role: "none",
            token: String::new(),
            address,
            via: None,
            is_recorded: Arc::default(),
        }
    }
}
