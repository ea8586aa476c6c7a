//! Reads JSON. An error names the place in the document: `commits[0].id`.

use crate::Payload;
use serde::de::DeserializeOwned;
use serde_json::Deserializer;

/// Reads a body.
pub(crate) fn read<T: DeserializeOwned>(body: &Payload) -> Result<T, Mismatch> {
    body.json()
        .map_err(|error| Mismatch::new::<T>(body.as_bytes(), &error))
}

/// Reads a text.
pub(crate) fn read_text<T: DeserializeOwned>(text: &str) -> Result<T, Mismatch> {
    serde_json::from_str(text).map_err(|error| Mismatch::new::<T>(text.as_bytes(), &error))
}

/// Why a document is not of the expected type.
pub(crate) struct Mismatch {
    /// Where in the document; `None` for the whole of it.
    pub(crate) path: Option<String>,
    /// What is wrong, with line and column.
    pub(crate) error: String,
}

// === impl Mismatch ===

impl Mismatch {
    /// Reads the document a second time: only a failure pays for the path.
    fn new<T: DeserializeOwned>(json: &[u8], error: &serde_json::Error) -> Self {
        let mut reader = Deserializer::from_slice(json);
        let found = serde_path_to_error::deserialize::<_, T>(&mut reader).err();
        let path = found.map(|found| found.path().to_string());
        Self {
            path: path.filter(|path| path != "."),
            error: error.to_string(),
        }
    }

    /// Without the position: the reader of the sentence did not write the JSON.
    pub(crate) fn without_position(&self) -> String {
        let error = self.error.rsplit_once(" at line ");
        self.sentence(error.map_or(self.error.as_str(), |(words, _)| words))
    }

    fn sentence(&self, error: &str) -> String {
        match &self.path {
            Some(path) => format!("`{path}`: {error}"),
            None => error.to_owned(),
        }
    }
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentence(&self.error))
    }
}
