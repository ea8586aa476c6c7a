//! Fetches a component from a registry: the manifest, then its only layer. Both are compared with
//! their digests, and the layer with its size.

use serde::Deserialize;

use super::client::{Access, Registry, Request};
use super::manifest::{Descriptor, ImageManifest, LAYER_TYPE, MANIFEST_TYPE, SIGNATURE};
use super::reference::{Reference, Version};
use crate::error::DistributionError;
use crate::fetched::Fetched;
use crate::signature::FoundSignature;
use landfall_engine::COMPONENT_BYTES_MAX;
use landfall_model::ComponentDigest;

/// What the specification asks registries to accept.
const MANIFEST_BYTES_MAX: usize = 4 << 20;
/// The type of layers before there was a common layout.
const OLD_LAYER_TYPE: &str = "application/vnd.wasm.content.layer.v1+wasm";
/// Several manifests, one for each platform.
const INDEX_TYPES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnyManifest {
    #[serde(default)]
    media_type: String,
    manifests: Option<serde_json::Value>,
}

/// Fetches the component of a reference.
pub(crate) async fn pull(reference: &Reference) -> Result<Fetched, DistributionError> {
    let from = reference.to_string();
    let mut registry = Registry::connect(reference, Access::Pull).await?;

    let mut request = Request::get(registry.url(&format!("manifests/{}", reference.version())));
    request.headers.push(("accept", MANIFEST_TYPE.to_owned()));
    let received = registry.call(request).await?;
    if received.status != 200 {
        return Err(registry.unexpected(&received));
    }
    let manifest_digest = ComponentDigest::of(&received.body);
    if let Version::Digest(expected) = reference.version()
        && *expected != manifest_digest
    {
        return Err(DistributionError::other_digest(
            &from,
            *expected,
            manifest_digest,
        ));
    }

    let layer = layer(&from, &received.body)?;
    if layer.size > COMPONENT_BYTES_MAX as u64 {
        return Err(DistributionError::TooLarge {
            from,
            bytes_max: COMPONENT_BYTES_MAX,
        });
    }
    let expected: ComponentDigest = layer.digest.parse().map_err(|_| {
        let why = "its layer has a digest that is not SHA-256: push it again".into();
        DistributionError::NotAComponent {
            from: from.clone(),
            why,
        }
    })?;

    let received = registry
        .call(Request::get(registry.url(&format!("blobs/{expected}"))))
        .await?;
    if received.status != 200 {
        return Err(registry.unexpected(&received));
    }
    let digest = ComponentDigest::of(&received.body);
    if digest != expected {
        return Err(DistributionError::other_digest(&from, expected, digest));
    }
    let found = received.body.len() as u64;
    if found != layer.size {
        return Err(DistributionError::OtherSize {
            from,
            expected: layer.size,
            found,
        });
    }

    let signature = match layer.annotations.get(SIGNATURE) {
        Some(text) => FoundSignature::of(
            &format!("the annotation {SIGNATURE} of {from}"),
            text.as_bytes(),
        ),
        None => FoundSignature::None,
    };
    Ok(Fetched {
        bytes: received.body,
        digest,
        signature,
        from: reference.at(manifest_digest).to_string(),
    })
}

/// The layer with the component.
fn layer(from: &str, manifest: &[u8]) -> Result<Descriptor, DistributionError> {
    let wrong = |why: String| DistributionError::NotAComponent {
        from: from.to_owned(),
        why,
    };
    if manifest.len() > MANIFEST_BYTES_MAX {
        return Err(wrong("its manifest is larger than 4 MiB".into()));
    }

    let any: Option<AnyManifest> = serde_json::from_slice(manifest).ok();
    let is_index = any.is_some_and(|any| {
        any.manifests.is_some() || INDEX_TYPES.contains(&any.media_type.as_str())
    });
    if is_index {
        let why = "it is an index of several artifacts: name one of them by its digest";
        return Err(wrong(why.into()));
    }
    let manifest: ImageManifest = serde_json::from_slice(manifest)
        .map_err(|error| wrong(format!("its manifest cannot be read: {error}")))?;

    let types: Vec<String> = manifest
        .layers
        .iter()
        .map(|layer| layer.media_type.escape_debug().to_string())
        .collect();
    let mut layers = manifest
        .layers
        .into_iter()
        .filter(|layer| [LAYER_TYPE, OLD_LAYER_TYPE].contains(&layer.media_type.as_str()));
    match (layers.next(), layers.next()) {
        (Some(layer), None) => Ok(layer),
        (Some(_), Some(_)) => Err(wrong(
            "it has several components, and a hook runs one".into(),
        )),
        (None, _) => Err(wrong(format!(
            "it has no layer of the type {LAYER_TYPE} (its layers: {}); push it with `landfall push` or `wkg oci push`",
            types.join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(manifest: &str) -> String {
        layer("oci://r.example/a:1", manifest.as_bytes())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn other_artifacts_are_refused() {
        let image = r#"{"schemaVersion":2,"config":{"mediaType":"x","digest":"sha256:0","size":1},"layers":[LAYERS]}"#;
        let layer =
            |kind: &str| format!(r#"{{"mediaType":"{kind}","digest":"sha256:0","size":1}}"#);
        let wasm = layer(LAYER_TYPE);
        for (manifest, words) in [
            (
                image.replace(
                    "LAYERS",
                    &layer("application/vnd.oci.image.layer.v1.tar+gzip"),
                ),
                "no layer of the type application/wasm",
            ),
            (
                image.replace("LAYERS", &format!("{wasm},{wasm}")),
                "several components",
            ),
            (image.replace("LAYERS", ""), "no layer"),
            (
                r#"{"schemaVersion":2,"manifests":[]}"#.to_owned(),
                "an index of several artifacts",
            ),
            ("<html>".to_owned(), "its manifest cannot be read"),
        ] {
            let error = refusal(&manifest);
            assert!(
                error.starts_with("oci://r.example/a:1 is not a component: ")
                    && error.contains(words),
                "{error}"
            );
        }
        let one = super::layer("a", image.replace("LAYERS", &wasm).as_bytes()).unwrap();
        assert_eq!((one.media_type.as_str(), one.size), (LAYER_TYPE, 1));
    }
}
