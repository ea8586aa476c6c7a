//! The files of one hook, as the last scan found them.

use super::file::{FileContent, FileError};

/// The files from which a hook is loaded.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    /// `NAME.toml`, if there is one.
    pub(crate) hook_file: Option<FileContent>,
    /// The component, if it was found.
    pub(crate) component: Option<FileContent>,
    /// The component's file name.
    pub(crate) component_name: String,
    /// The component's signature, if there is one.
    pub(crate) signature: Option<FileContent>,
    /// Whether the component came with the binary.
    pub(crate) is_bundled: bool,
    /// A component with a similar name, if the named one is missing.
    pub(crate) similar: Option<String>,
    /// Digest of the operator's own provider packs.
    pub(crate) packs: u64,
    /// SHA-256 of the component's own file, if a promoted version is in its place.
    pub(crate) over: Option<[u8; 32]>,
}

/// Identifies a version of a hook's files. The same fingerprint gives the same result, unless a
/// problem is passing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) hook_file: Option<Result<[u8; 32], FileError>>,
    pub(crate) component: Option<Result<[u8; 32], FileError>>,
    pub(crate) component_name: String,
    pub(crate) signature: Option<Result<[u8; 32], FileError>>,
    pub(crate) packs: u64,
}

// === impl Files ===

impl Files {
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint {
            hook_file: digest(&self.hook_file),
            component: digest(&self.component),
            component_name: self.component_name.clone(),
            signature: digest(&self.signature),
            packs: self.packs,
        }
    }
}

// === impl Fingerprint ===

impl Fingerprint {
    /// SHA-256 of the component, in hex. `None` if it was missing or could not be read.
    pub(crate) fn component_digest(&self) -> Option<String> {
        let digest = self.component.as_ref()?.as_ref().ok()?;
        Some(hex::encode(digest))
    }
}

fn digest(content: &Option<FileContent>) -> Option<Result<[u8; 32], FileError>> {
    let content = content.as_ref()?.as_ref();
    Some(content.map(|content| content.digest).map_err(Clone::clone))
}
