//! The tables and keys of a hook file.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::allow::AllowTable;
use super::credential::CredentialTable;
use super::environment::Typed;
use super::queued::{AcceptedTable, DedupTable, Rate, RetryTable};
use super::values::{MethodName, Parsed, Size, Time};
use landfall_model::{ValueLocation, VerifySpec};

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
pub(super) struct LimitsTable {
    pub(super) memory: Option<Size>,
    pub(super) kv: Option<Size>,
    pub(super) rows: Option<Size>,
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
