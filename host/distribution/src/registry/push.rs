//! Publishes a component: its bytes, a configuration, and the manifest that names both.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header;
use url::Url;

use super::client::{Access, Registry, Request};
use super::manifest::{
    CONFIG_TYPE, Descriptor, ImageManifest, LAYER_TYPE, MANIFEST_TYPE, SIGNATURE, WasmConfig, World,
};
use super::reference::{Reference, Version};
use crate::error::DistributionError;
use landfall_config::Manifest;
use landfall_egress::Received;
use landfall_engine::Inspected;
use landfall_model::ComponentDigest;

/// What was published.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// The component.
    pub digest: ComponentDigest,
    /// The artifact, by the digest of its manifest.
    pub reference: Reference,
}

/// Publishes a component under a tag. The same component under the same tag is the same artifact.
pub async fn push(
    reference: &Reference,
    bytes: Bytes,
    inspected: &Inspected,
    manifest: &Manifest,
    signature: Option<String>,
) -> Result<Pushed, DistributionError> {
    let digest = ComponentDigest::of(&bytes);
    let layer_digest = digest.to_string();
    let config = WasmConfig {
        created: "1970-01-01T00:00:00Z",
        architecture: "wasm",
        os: "wasip2",
        layer_digests: [&layer_digest],
        component: World {
            exports: &inspected.exports,
            imports: &inspected.imports,
        },
    };
    let config = Bytes::from(serde_json::to_vec(&config).expect("it is JSON"));
    let mut layer = descriptor(LAYER_TYPE, &bytes);
    layer
        .annotations
        .extend(signature.map(|text| (SIGNATURE.to_owned(), text)));
    let image = ImageManifest {
        schema_version: 2,
        media_type: MANIFEST_TYPE.to_owned(),
        config: descriptor(CONFIG_TYPE, &config),
        layers: vec![layer],
        annotations: annotations(manifest),
    };
    let image = Bytes::from(serde_json::to_vec(&image).expect("it is JSON"));

    let mut registry = Registry::connect(reference, Access::Push).await?;
    push_blob(&mut registry, bytes).await?;
    push_blob(&mut registry, config).await?;
    let manifest_digest = ComponentDigest::of(&image);
    let request = Request {
        method: "PUT",
        url: registry.url(&format!("manifests/{}", reference.version())),
        headers: vec![("content-type", MANIFEST_TYPE.to_owned())],
        body: image,
    };
    let received = registry.call(request).await?;
    if received.status != 201 {
        return Err(registry.unexpected(&received));
    }
    Ok(Pushed {
        digest,
        reference: reference.at(manifest_digest),
    })
}

// === impl Reference ===

impl Reference {
    /// Whether it is a tag, under which an artifact can be published.
    pub fn is_tag(&self) -> bool {
        matches!(self.version(), Version::Tag(_))
    }
}

/// Uploads bytes that the repository does not have.
async fn push_blob(registry: &mut Registry<'_>, bytes: Bytes) -> Result<(), DistributionError> {
    let digest = ComponentDigest::of(&bytes);
    let request = Request {
        method: "HEAD",
        ..Request::get(registry.url(&format!("blobs/{digest}")))
    };
    if registry.call(request).await?.status == 200 {
        return Ok(());
    }

    let request = Request {
        method: "POST",
        ..Request::get(registry.url("blobs/uploads/"))
    };
    let started = registry.call(request).await?;
    let upload = upload_url(registry, &started).filter(|_| started.status == 202);
    let Some(mut upload) = upload else {
        return Err(registry.unexpected(&started));
    };

    upload
        .query_pairs_mut()
        .append_pair("digest", &digest.to_string());
    let request = Request {
        method: "PUT",
        url: upload.to_string(),
        headers: vec![("content-type", "application/octet-stream".to_owned())],
        body: bytes,
    };
    let received = registry.call(request).await?;
    match received.status {
        201 => Ok(()),
        _ => Err(registry.unexpected(&received)),
    }
}

/// Where the registry wants the bytes. The URL may be relative.
fn upload_url(registry: &Registry<'_>, started: &Received) -> Option<Url> {
    let location = started.headers.get(header::LOCATION)?.to_str().ok()?;
    let base = Url::parse(&registry.url("blobs/uploads/")).ok()?;
    let url = base.join(location).ok()?;
    // A registry with TLS never has the bytes sent without.
    (base.scheme() == url.scheme() || url.scheme() == "https").then_some(url)
}

fn descriptor(media_type: &str, bytes: &Bytes) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: ComponentDigest::of(bytes).to_string(),
        size: bytes.len() as u64,
        annotations: BTreeMap::new(),
    }
}

/// What the component says about itself, under the names that registries show.
fn annotations(manifest: &Manifest) -> BTreeMap<String, String> {
    let said = [
        ("title", &manifest.name),
        ("version", &manifest.version),
        ("description", &manifest.description),
    ];
    let named = said.into_iter().filter_map(|(key, value)| {
        let value = value.clone()?;
        Some((format!("org.opencontainers.image.{key}"), value))
    });
    named.collect()
}
