//! The signed sample of the folder: a request, and the command that sends the same one.

use std::path::{Path, PathBuf};

use anyhow::bail;
use landfall_author::{Project, Sample, Target};
use landfall_model::SecretRef;

use crate::app::{self, SignedSample};
use crate::cli::send::{ShellSecret, curl};

/// A sample that is signed now.
pub struct DevSample {
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
    pub fn sign(project: &Project, plugins: &Path, base: &str) -> anyhow::Result<DevSample> {
        let target = Target::read(project, plugins, base)?;
        let packs = app::packs(Some(&plugins.join("providers")))?;
        if let Some(why) = target.cannot_sign(&packs) {
            bail!("{why}");
        }

        let value = target.secret.as_ref().map(app::secret_value).transpose()?;
        let secret = match (&target.secret, &value) {
            (Some(SecretRef::File(path)), Some(value)) => {
                let path = path.canonicalize().unwrap_or_else(|_| path.clone());
                Some(ShellSecret::new(value, &SecretRef::File(from_here(&path))))
            }
            (Some(reference), Some(value)) => Some(ShellSecret::new(value, reference)),
            _ => None,
        };
        let sample = Sample::first(project)?;
        let request = target.request(sample.as_ref(), value, &packs);
        Ok(DevSample {
            request: app::sample(&request, &packs)?,
            file: sample.map(|sample| from_here(&sample.path)),
            secret,
        })
    }

    /// The command to paste into a shell.
    pub fn command(&self) -> anyhow::Result<String> {
        curl(&self.request, self.file.as_deref(), self.secret.as_ref())
    }
}

/// The path relative to the working directory, if it is below it.
fn from_here(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).to_owned()
}
