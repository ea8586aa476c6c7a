//! What is wrong with a value that is written as text.

use landfall_model::SecretRefError;

/// A text that is not a value of its setting. Each message says how to write one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    #[error("`{0}` is not an address: write `:{0}`, or `127.0.0.1:{0}` for this machine alone")]
    PortAlone(String),
    #[error(
        "`{0}` is not an address: write IP:PORT such as `0.0.0.0:8080` or `[::]:8080`, `localhost:PORT` or `:PORT`"
    )]
    Address(String),
    #[error("`{0}` is not an address range: write \"10.0.0.0/8\" or \"127.0.0.1\"")]
    AddressRange(String),
    #[error("`{0}` is not a time in UTC: write it as 2026-01-31T08:15:30Z")]
    UtcTime(String),
    #[error("`{}` is not a rate: write \"50/s\", \"100/min\" or \"10/h\"", .0.escape_debug())]
    Rate(String),
    #[error(
        "url is postgres://USER:${{env:PASSWORD}}@HOST/DATABASE, or a secret reference that holds one"
    )]
    LedgerUrl,
    #[error("url is SCHEME://…, or a secret reference that is the whole URL")]
    QueueUrl,
    #[error(
        "`{0}` is not the address of a collector: write http://HOST:4318 or https://HOST, without user, password \
         and query"
    )]
    OtlpEndpoint(String),
    #[error("`${{` without its `}}`")]
    OpenReference,
    #[error("a credential needs a secret reference: write \"Bearer ${{env:TOKEN}}\"")]
    NoReference,
    #[error(transparent)]
    Reference(#[from] SecretRefError),
}
