//! The tables and keys of a hook file.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::credential::CredentialTable;
use super::environment::Typed;
use super::mistake::{Mistake, mistake};
use super::queued::{AcceptedTable, DedupTable, Rate, RetryTable};
use super::values::{MethodName, Parsed, Size, Time};
use landfall_model::hook::is_table_name;
use landfall_model::{Allow, HookName, HttpGrant, ValueLocation, VerifySpec};

const REDIRECTS_MAX: u8 = 3;

/// The keys of a hook file as they are typed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HookFile {
    pub(super) path: Option<String>,
    pub(super) methods: Option<Vec<MethodName>>,
    pub(super) component: Option<String>,
    pub(super) mode: Option<ModeName>,
    pub(super) answer_within: Option<Time>,
    pub(super) deadline: Option<Time>,
    pub(super) concurrency: Option<usize>,
    pub(super) max_body: Option<Size>,
    pub(super) dedup: Option<DedupTable>,
    pub(super) retry: Option<RetryTable>,
    pub(super) max_rate: Option<Parsed<Rate>>,
    pub(super) order_by: Option<ValueLocation>,
    pub(super) accepted: Option<AcceptedTable>,
    pub(super) verify: Option<VerifySpec>,
    pub(super) settings: Option<toml::Table>,
    pub(super) environment: Option<BTreeMap<String, Typed>>,
    pub(super) strip_prefix: Option<bool>,
    pub(super) allow: Option<AllowTable>,
    #[serde(default)]
    pub(super) credentials: Vec<CredentialTable>,
    pub(super) limits: Option<LimitsTable>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ModeName {
    Sync,
    Async,
    Auto,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AllowTable {
    #[serde(default)]
    pub(super) http: Vec<Parsed<HttpGrant>>,
    #[serde(default)]
    pub(super) redirects: u8,
    #[serde(default)]
    pub(super) addresses: Vec<Parsed<AddressRange>>,
    #[serde(default)]
    pub(super) table: Vec<String>,
    #[serde(default)]
    pub(super) kv: bool,
    #[serde(default)]
    pub(super) emit: Vec<Parsed<HookName>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsTable {
    pub(super) memory: Option<Size>,
    pub(super) kv: Option<Size>,
    pub(super) rows: Option<Size>,
}

/// `10.0.0.0/8`, or one address.
#[derive(Debug)]
pub(super) struct AddressRange(pub(super) ipnet::IpNet);

/// The grants of `[allow]`.
pub(super) fn allow(table: AllowTable) -> Result<Allow, Mistake> {
    if table.redirects > REDIRECTS_MAX {
        return mistake(
            &["allow", "redirects"],
            format!(
                "redirects {} is out of range: 0 to {REDIRECTS_MAX}",
                table.redirects
            ),
        );
    }
    if let Some(bad) = table.table.iter().find(|name| !is_table_name(name)) {
        return mistake(
            &["allow", "table"],
            format!("`{bad}` cannot name a table: use a-z, 0-9, `-` and `_`"),
        );
    }
    Ok(Allow {
        http: table.http.into_iter().map(|parsed| parsed.0).collect(),
        redirects: table.redirects,
        addresses: table
            .addresses
            .into_iter()
            .map(|parsed| parsed.0.0)
            .collect(),
        table: table.table,
        kv: table.kv,
        emit: table.emit.into_iter().map(|parsed| parsed.0).collect(),
    })
}

// === impl HookFile ===

impl HookFile {
    /// Takes from the manifest what the operator's file leaves out.
    pub(super) fn merge(self, manifest: HookFile) -> HookFile {
        let mut settings = manifest.settings.unwrap_or_default();
        settings.extend(self.settings.unwrap_or_default());

        HookFile {
            methods: self.methods.or(manifest.methods),
            mode: self.mode.or(manifest.mode),
            settings: Some(settings),
            ..self
        }
    }
}

// === impl AddressRange ===

impl std::str::FromStr for AddressRange {
    type Err = String;

    fn from_str(text: &str) -> Result<AddressRange, String> {
        text.parse::<ipnet::IpNet>()
            .or_else(|_| text.parse::<std::net::IpAddr>().map(ipnet::IpNet::from))
            .map(AddressRange)
            .map_err(|_| {
                format!("`{text}` is not an address range: write \"10.0.0.0/8\" or \"127.0.0.1\"")
            })
    }
}
