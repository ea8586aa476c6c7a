//! Runs files of request vectors and handshakes through the real check, at the time that each
//! vector names. docs/VECTORS.md describes the formats, which other receivers can use too.

mod error;
mod handshake;
mod response;
mod setup;
mod vector;

pub use error::VectorError;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::pack::Packs;
use error::RunError;
use handshake::Handshake;
use response::NO_DIFFERENCE;
use vector::Vector;

/// The result of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// The number of vectors with the expected result.
    pub passed: usize,
    /// Id, expected and actual result of each other vector.
    pub failures: Vec<String>,
}

/// Runs request vectors: a JSON array, or an object that holds one as `vectors`.
pub fn run_vectors(text: &str, packs: &Packs) -> Result<Report, VectorError> {
    let mut report = Report::default();
    for vector in array::<Vector>(text, "vectors", "a request vector")? {
        report.record(&vector.id, &vector.expected(), vector.run(packs));
    }

    Ok(report)
}

/// Runs handshakes: a JSON array, or an object that holds one as `challenges`.
pub fn run_challenges(text: &str, packs: &Packs) -> Result<Report, VectorError> {
    let mut report = Report::default();
    let expected = [NO_DIFFERENCE.to_owned()];
    for handshake in array::<Handshake>(text, "challenges", "a handshake")? {
        report.record(&handshake.id, &expected, handshake.run(packs));
    }

    Ok(report)
}

// === impl Report ===

impl Report {
    fn record(&mut self, id: &str, expected: &[String], got: Result<String, RunError>) {
        let got = got.unwrap_or_else(|error| format!("error: {error}"));
        if expected.contains(&got) {
            self.passed += 1;
        } else {
            let expected = expected.join(" or ");
            self.failures
                .push(format!("{id}: expected {expected}, got {got}"));
        }
    }
}

/// The members of the array. `kind` names one of them in the error.
fn array<T: DeserializeOwned>(
    text: &str,
    key: &'static str,
    kind: &'static str,
) -> Result<Vec<T>, VectorError> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| VectorError::NotJson(error.to_string()))?;
    let values = match value {
        Value::Array(values) => values,
        Value::Object(mut object) => match object.remove(key) {
            Some(Value::Array(values)) => values,
            _ => return Err(VectorError::NoArray(key)),
        },
        _ => return Err(VectorError::NoArray(key)),
    };

    let values = values.into_iter().map(serde_json::from_value);
    values
        .collect::<Result<_, _>>()
        .map_err(|error| VectorError::Malformed(kind, error.to_string()))
}

#[cfg(test)]
mod tests;
