//! The manifest of an artifact and its configuration, as far as Landfall writes and reads them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
pub(crate) const LAYER_TYPE: &str = "application/wasm";
/// The annotation of the layer that carries the component's minisign signature. Other tools refuse
/// a second layer.
pub(crate) const SIGNATURE: &str = "landfall.minisig";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImageManifest {
    pub(crate) schema_version: u8,
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// The configuration of a WebAssembly artifact.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WasmConfig<'a> {
    /// A fixed time, so that the same component is the same artifact.
    pub(crate) created: &'static str,
    pub(crate) architecture: &'static str,
    pub(crate) os: &'static str,
    pub(crate) layer_digests: [&'a str; 1],
    pub(crate) component: World<'a>,
}

#[derive(Debug, Serialize)]
pub(crate) struct World<'a> {
    pub(crate) exports: &'a [String],
    pub(crate) imports: &'a [String],
}
