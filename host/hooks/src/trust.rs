//! Which components may be loaded: those with a signature of a trusted key, if there are trusted
//! keys.

use super::error::HookError;
use super::file::Content;
use super::files::Files;
use landfall_model::TrustedKey;

/// `[components]` of the node's settings.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// `None`: components need no signature.
    pub keys: Option<Vec<TrustedKey>>,
    /// Bundled components need none although there are keys.
    pub bundled: bool,
}

// === impl Trust ===

impl Trust {
    /// Checks the signature of a component, before any byte of it is compiled.
    pub(crate) fn check(&self, files: &Files, content: &Content) -> Result<(), HookError> {
        let Some(keys) = &self.keys else {
            return Ok(());
        };
        if self.bundled && files.is_bundled {
            return Ok(());
        }

        let component = &files.component_name;
        let file = signature_file(component);
        let Some(signature) = &files.signature else {
            return Err(HookError::Unsigned {
                component: component.clone(),
                file,
                way_out: if files.is_bundled {
                    OR_TRUST_BUNDLED
                } else {
                    ""
                },
            });
        };
        let signature = signature.as_ref().map_err(|error| HookError::File {
            file: file.clone(),
            error: error.clone(),
        })?;
        let text = signature.text().map_err(|error| HookError::File {
            file: file.clone(),
            error,
        })?;
        TrustedKey::check(keys, &content.bytes, text).map_err(|error| HookError::Untrusted {
            component: component.clone(),
            file,
            error,
        })
    }
}

const OR_TRUST_BUNDLED: &str =
    ", or set components.trust_bundled = true to trust what came with the binary";

/// The file of a component's signature.
pub(crate) fn signature_file(component: &str) -> String {
    format!("{component}.minisig")
}
