//! The tables and keys of a hook file.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::allow::AllowTable;
use super::candidate::CandidateTable;
use super::credential::CredentialTable;
use super::environment::Typed;
use super::flow::{BatchTable, DebounceTable, FilterTable, TransformTable};
use super::queued::{AcceptedTable, DedupTable, Rate, RetryTable};
use super::reconcile::ReconcileTable;
use super::record::RecordTable;
use super::redact::RedactTable;
use super::shape::ShapeTable;
use super::values::{MethodName, Parsed, Size, Time};
use super::watch::WatchTable;
use landfall_model::{ComponentDigest, ValueLocation, VerifySpec};

/// The keys of a hook file as they are typed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HookFile {
    pub(crate) path: Option<String>,
    pub(crate) methods: Option<Vec<MethodName>>,
    pub(crate) component: Option<String>,
    pub(crate) digest: Option<Parsed<ComponentDigest>>,
    pub(crate) mode: Option<ModeName>,
    pub(crate) answer_within: Option<Time>,
    pub(crate) deadline: Option<Time>,
    pub(crate) concurrency: Option<usize>,
    pub(crate) max_body: Option<Size>,
    pub(crate) dedup: Option<DedupTable>,
    pub(crate) retry: Option<RetryTable>,
    pub(crate) max_rate: Option<Parsed<Rate>>,
    pub(crate) order_by: Option<ValueLocation>,
    pub(crate) accepted: Option<AcceptedTable>,
    pub(crate) verify: Option<VerifySpec>,
    pub(crate) settings: Option<toml::Table>,
    pub(crate) environment: Option<BTreeMap<String, Typed>>,
    pub(crate) strip_prefix: Option<bool>,
    pub(crate) allow: Option<AllowTable>,
    #[serde(default)]
    pub(crate) credentials: Vec<CredentialTable>,
    pub(crate) limits: Option<LimitsTable>,
    pub(crate) reconcile: Option<ReconcileTable>,
    pub(crate) watch: Option<WatchTable>,
    pub(crate) candidate: Option<CandidateTable>,
    pub(crate) record: Option<RecordTable>,
    pub(crate) filter: Option<FilterTable>,
    pub(crate) debounce: Option<DebounceTable>,
    pub(crate) batch: Option<BatchTable>,
    pub(crate) transform: Option<TransformTable>,
    pub(crate) redact: Option<RedactTable>,
    pub(crate) retention: Option<Time>,
    pub(crate) body_retention: Option<Time>,
    pub(crate) shape: Option<ShapeTable>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ModeName {
    Sync,
    Async,
    Auto,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitsTable {
    pub(crate) memory: Option<Size>,
    pub(crate) kv: Option<Size>,
    pub(crate) rows: Option<Size>,
}

// === impl HookFile ===

impl HookFile {
    /// Fills keys that the hook file leaves out from the manifest.
    pub(crate) fn merge(self, manifest: HookFile) -> HookFile {
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
