//! The signed sample of the folder: a request, and the command that sends the same one.

use std::path::{Path, PathBuf};

use anyhow::bail;
use landfall_author::{Project, Sample, Target};
use landfall_model::{Secret, SecretRef};

use crate::app::{self, SignedSample};
use crate::cli::send::{ShellSecret, curl};

/// A sample that is signed now.
pub(super) struct DevSample {
    /// What is sent.
    pub request: SignedSample,
    /// The file of its body.
    file: Option<PathBuf>,
    /// Where a shell finds the secret.
    secret: Option<ShellSecret>,
}

// === impl DevSample ===

impl DevSample {
    /// Signs the first sample by the hook file in `plugins`. `base` is the address of the node.
    pub(super) fn sign(project: &Project, plugins: &Path, base: &str) -> anyhow::Result<DevSample> {
        let target = Target::read(project, plugins, base)?;
        let packs = app::packs(Some(&plugins.join("providers")))?;
        if let Some(why) = target.cannot_sign(&packs) {
            bail!("{why}");
        }

        let found = first_with_value(&target.secrets)?;
        let secret = found
            .as_ref()
            .map(|(reference, value)| shell_secret(reference, value));
        let sample = Sample::first(project)?;
        let value = found.map(|(_, value)| value);
        let request = target.request(sample.as_ref(), value, &packs);
        Ok(DevSample {
            request: app::sample(&request, &packs)?,
            file: sample.map(|sample| from_here(&sample.path)),
            secret,
        })
    }

    /// The command to paste into a shell.
    pub(super) fn command(&self) -> anyhow::Result<String> {
        curl(&self.request, self.file.as_deref(), self.secret.as_ref())
    }
}

/// The first secret that has a value now. The error is that of the first secret.
fn first_with_value(secrets: &[SecretRef]) -> anyhow::Result<Option<(&SecretRef, Secret)>> {
    let mut first_error = None;
    for secret in secrets {
        match app::secret_value(secret) {
            Ok(value) => return Ok(Some((secret, value))),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    first_error.map_or(Ok(None), Err)
}

/// A file is named relative to the working directory.
fn shell_secret(reference: &SecretRef, value: &Secret) -> ShellSecret {
    match reference {
        SecretRef::File(path) => {
            let path = path.canonicalize().unwrap_or_else(|_| path.clone());
            ShellSecret::new(value, &SecretRef::File(from_here(&path)))
        }
        other => ShellSecret::new(value, other),
    }
}

/// The path relative to the working directory, if it is below it.
fn from_here(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_without_value_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("second");
        std::fs::write(&path, "value").unwrap();
        let secrets = [dir.path().join("first"), path, dir.path().join("third")];
        let secrets = secrets.map(SecretRef::File);
        let (reference, value) = first_with_value(&secrets).unwrap().unwrap();
        assert_eq!(reference, &secrets[1]);
        assert_eq!(value.expose(), b"value");

        let error = first_with_value(&[secrets[0].clone(), secrets[2].clone()]).unwrap_err();
        assert!(format!("{error:#}").contains("first"), "{error:#}");
        assert!(first_with_value(&[]).unwrap().is_none());
    }
}
