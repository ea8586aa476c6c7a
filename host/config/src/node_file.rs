//! The tables and keys of `landfall.toml`.

use std::path::PathBuf;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::credential::Text;
use super::node::{LogFormat, Readiness};
use super::queue::{QueueTable, QueueUrl};
use super::values::{ListenAddress, Names, Parsed, Ranges, SecretPatterns, Size, Time};
use landfall_model::{CredentialPart, CredentialText, SecretRef};

/// The keys of `landfall.toml` as they are typed. Environment variables and flags are further layers of the same.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeFile {
    pub(super) listen: Option<Parsed<ListenAddress>>,
    pub(super) http2: Option<bool>,
    pub(super) plugins: Option<PathBuf>,
    pub(super) data: Option<PathBuf>,
    pub(super) bundled: Option<PathBuf>,
    pub(super) scan_interval: Option<Time>,
    pub(super) drain: Option<Time>,
    pub(super) platform_timeout: Option<Time>,
    pub(super) readiness: Option<Readiness>,
    pub(super) trusted_proxies: Option<Ranges>,
    #[serde(default)]
    pub(super) admin: AdminTable,
    #[serde(default)]
    pub(super) limits: LimitsTable,
    #[serde(default)]
    pub(super) secrets: SecretsTable,
    #[serde(default, deserialize_with = "url_or_table")]
    pub(super) ledger: LedgerTable,
    #[serde(default, deserialize_with = "url_or_table")]
    pub(super) queue: QueueTable,
    #[serde(default)]
    pub(super) cache: CacheTable,
    #[serde(default)]
    pub(super) log: LogTable,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CacheTable {
    pub(super) max_size: Option<Size>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LedgerTable {
    pub(super) url: Option<Parsed<UrlText>>,
    pub(super) min_free_space: Option<Size>,
    pub(super) reserve: Option<Size>,
    pub(super) retention: Option<Time>,
    pub(super) body_retention: Option<Time>,
    pub(super) max_size: Option<Size>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdminTable {
    pub(super) listen: Option<Parsed<ListenAddress>>,
    pub(super) token: Option<Parsed<SecretRef>>,
    pub(super) hosts: Option<Names>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsTable {
    pub(super) max_concurrency: Option<usize>,
    pub(super) component_instances: Option<u32>,
    pub(super) component_memories: Option<u32>,
    pub(super) component_tables: Option<u32>,
    pub(super) table_elements: Option<usize>,
    pub(super) connections: Option<usize>,
    pub(super) head_timeout: Option<Time>,
    pub(super) keep_alive: Option<Time>,
    pub(super) body_timeout: Option<Time>,
    pub(super) queue_timeout: Option<Time>,
    pub(super) body_memory: Option<Size>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretsTable {
    pub(super) refresh: Option<Time>,
    pub(super) keep: Option<Time>,
    pub(super) allow: Option<SecretPatterns>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogTable {
    pub(super) format: Option<LogFormat>,
    pub(super) level: Option<String>,
}

/// A table that may be given by its `url` alone.
trait ByUrl: for<'de> Deserialize<'de> {
    fn by_url(url: &str) -> Result<Self, String>;
}

impl ByUrl for LedgerTable {
    fn by_url(url: &str) -> Result<LedgerTable, String> {
        Ok(LedgerTable {
            url: Some(Parsed(url.parse()?)),
            ..LedgerTable::default()
        })
    }
}

impl ByUrl for QueueTable {
    fn by_url(url: &str) -> Result<QueueTable, String> {
        Ok(QueueTable {
            url: Some(Parsed(url.parse::<QueueUrl>()?)),
            ..QueueTable::default()
        })
    }
}

/// `ledger = "postgres://…"` is short for a table with nothing but its `url`.
fn url_or_table<'de, D: Deserializer<'de>, T: ByUrl>(deserializer: D) -> Result<T, D::Error> {
    struct Either<T>(std::marker::PhantomData<T>);
    impl<'de, T: ByUrl> Visitor<'de> for Either<T> {
        type Value = T;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a URL or a table")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            T::by_url(text).map_err(E::custom)
        }

        fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<T, M::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_any(Either(std::marker::PhantomData))
}

/// The URL of a ledger that nodes share: written out, with secrets in it, or as a secret itself.
#[derive(Debug)]
pub(super) struct UrlText(pub(super) CredentialText);

impl std::str::FromStr for UrlText {
    type Err = String;

    fn from_str(text: &str) -> Result<UrlText, String> {
        let is_one = ["postgres://", "postgresql://"]
            .iter()
            .any(|start| text.starts_with(start));
        let wrong = "url is postgres://USER:${env:PASSWORD}@HOST/DATABASE, or a secret reference that holds one";
        match (is_one, text.contains("${"), text.parse::<SecretRef>()) {
            (true, true, _) => text.parse::<Text>().map(|text| UrlText(text.0)),
            (true, false, _) => Ok(UrlText(vec![CredentialPart::Literal(text.into())])),
            (false, _, Ok(reference)) => Ok(UrlText(vec![CredentialPart::Secret(reference)])),
            (false, _, Err(_)) => Err(wrong.into()),
        }
    }
}
