//! Headers of an outbound call that the host writes.

/// Those that neither a component nor a credential may set, in lower case: the host writes them, or
/// they describe the connection to a proxy.
pub const HOST_HEADERS: [&str; 11] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
];
