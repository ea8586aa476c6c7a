//! Reads a component from its source, within the limits of a component, and compares its digest.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use url::Url;

use super::client::client_for;
use super::error::DistributionError;
use super::fetched::{DOWNLOAD_TIMEOUT, Fetched, failed};
use super::install::signature_file;
use super::registry;
use super::signature::{FoundSignature, SIGNATURE_BYTES_MAX};
use super::source::Source;
use landfall_egress::{Outgoing, OutgoingError, Received, shown_url};
use landfall_engine::COMPONENT_BYTES_MAX;
use landfall_model::ComponentDigest;

/// Reads the component. `digest` is the digest that it must have; a URL must have one.
pub async fn fetch(
    source: &Source,
    digest: Option<ComponentDigest>,
) -> Result<Fetched, DistributionError> {
    let fetched = match source {
        Source::File(path) => from_file(path)?,
        Source::Url {
            url,
            digest: pinned,
        } => {
            let expected: Vec<ComponentDigest> = [digest, *pinned].into_iter().flatten().collect();
            if expected.is_empty() {
                let url = shown_url(url.as_str());
                return Err(DistributionError::NoDigest { url });
            }
            from_url(url, &expected).await?
        }
        Source::Registry(reference) => registry::pull(reference).await?,
    };

    match digest {
        Some(expected) if expected != fetched.digest => Err(DistributionError::other_digest(
            &source.to_string(),
            expected,
            fetched.digest,
        )),
        _ => Ok(fetched),
    }
}

fn from_file(path: &Path) -> Result<Fetched, DistributionError> {
    let unreadable = |error| DistributionError::File {
        path: path.to_owned(),
        act: "read",
        error,
    };
    let meta = std::fs::metadata(path).map_err(unreadable)?;
    if meta.len() > COMPONENT_BYTES_MAX as u64 {
        return Err(DistributionError::TooLarge {
            from: path.display().to_string(),
            bytes_max: COMPONENT_BYTES_MAX,
        });
    }

    let bytes: Bytes = std::fs::read(path).map_err(unreadable)?.into();
    Ok(Fetched {
        digest: ComponentDigest::of(&bytes),
        bytes,
        signature: signature_of_file(path),
        from: path.display().to_string(),
    })
}

/// The signature beside a file.
fn signature_of_file(component: &Path) -> FoundSignature {
    let path = signature_file(component);
    let place = path.display().to_string();
    let mut bytes = Vec::new();
    let read = File::open(&path).and_then(|file| {
        // One byte more than a signature has tells that it is too long.
        file.take(SIGNATURE_BYTES_MAX as u64 + 1)
            .read_to_end(&mut bytes)
    });
    match read {
        Ok(_) => FoundSignature::of(&place, &bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => FoundSignature::None,
        Err(error) => FoundSignature::unusable(&place, &format!("it cannot be read: {error}")),
    }
}

/// `expected` are digests, all of which the file must have.
async fn from_url(url: &Url, expected: &[ComponentDigest]) -> Result<Fetched, DistributionError> {
    let from = shown_url(url.as_str());
    let received = get(url, COMPONENT_BYTES_MAX)
        .await
        .map_err(|error| failed(&from, error))?;
    match received.status {
        200 => {}
        404 | 410 => return Err(DistributionError::NotFound { from, hint: "" }),
        status => {
            return Err(DistributionError::Status {
                from,
                status,
                detail: String::new(),
            });
        }
    }

    let digest = ComponentDigest::of(&received.body);
    if let Some(other) = expected.iter().find(|expected| **expected != digest) {
        return Err(DistributionError::other_digest(&from, *other, digest));
    }
    Ok(Fetched {
        bytes: received.body,
        digest,
        signature: signature_at(url).await,
        from,
    })
}

/// The signature beside a URL. Most places have none.
async fn signature_at(url: &Url) -> FoundSignature {
    let mut url = url.clone();
    url.set_path(&format!("{}.minisig", url.path()));
    let place = shown_url(url.as_str());
    match get(&url, SIGNATURE_BYTES_MAX).await {
        Ok(received) if received.status == 200 => FoundSignature::of(&place, &received.body),
        // The page of an error may be large.
        Ok(_) | Err(_) => FoundSignature::None,
    }
}

async fn get(url: &Url, bytes_max: usize) -> Result<Received, OutgoingError> {
    let client = client_for(url.as_str(), bytes_max).await;
    let outgoing = Outgoing {
        method: "GET".into(),
        url: url.to_string(),
        headers: Vec::new(),
        body: Bytes::new(),
        timeout: DOWNLOAD_TIMEOUT,
        untrusted: None,
        memory: None,
    };
    client.send_own(outgoing).await
}
