//! The identity of a delivery: fields of a request that are the same when the provider retries it,
//! and different otherwise.

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::value_location::ValueLocation;

/// The fields that together identify a delivery.
///
/// Written as one place (`{ header = "X-Id" }`), as a list of places that form the identity
/// together, or as a list of such lists: alternatives. The first alternative whose fields are all
/// present is used. CloudEvents needs two, for its binary and its structured form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryId(Vec<Vec<ValueLocation>>);

/// Whether a different body under the same identity is another event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdMatch {
    /// A different body is the same event, for providers that change the body when they retry.
    Id,
    /// A different body is another event, and runs.
    #[default]
    IdAndBody,
}

const FIELDS_MAX: usize = 8;

// === impl DeliveryId ===

impl DeliveryId {
    /// The alternatives in order. Each has at least one field.
    pub fn alternatives(&self) -> &[Vec<ValueLocation>] {
        &self.0
    }

    /// The fields of the first alternative.
    pub fn fields(&self) -> &[ValueLocation] {
        &self.0[0]
    }

    /// Every field of every alternative.
    pub fn all_fields(&self) -> impl Iterator<Item = &ValueLocation> {
        self.0.iter().flatten()
    }
}

impl<'de> Deserialize<'de> for DeliveryId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DeliveryId, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "{ header = \"NAME\" }, { json = \"/POINTER\" } or a list of such fields"
        )]
        enum Typed {
            One(ValueLocation),
            All(Vec<ValueLocation>),
            Alternatives(Vec<Vec<ValueLocation>>),
        }
        let alternatives = match Typed::deserialize(deserializer)? {
            Typed::One(place) => vec![vec![place]],
            Typed::All(places) => vec![places],
            Typed::Alternatives(alternatives) => alternatives,
        };

        let is_good = |fields: &Vec<ValueLocation>| (1..=FIELDS_MAX).contains(&fields.len());
        if alternatives.is_empty() || !alternatives.iter().all(is_good) {
            return Err(D::Error::custom(format!(
                "an identity has 1 to {FIELDS_MAX} fields"
            )));
        }
        Ok(DeliveryId(alternatives))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DeliveryId, String> {
        #[derive(Deserialize)]
        struct File {
            id: DeliveryId,
        }
        toml::from_str::<File>(&format!("id = {text}"))
            .map(|file| file.id)
            .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn identity_takes_one_field_or_lists() {
        let (a, b) = (
            ValueLocation::Header("A".into()),
            ValueLocation::Json("/b".into()),
        );
        assert_eq!(
            parse(r#"{ header = "A" }"#).unwrap().alternatives(),
            [vec![a.clone()]]
        );
        let both = parse(r#"[{ header = "A" }, { json = "/b" }]"#).unwrap();
        assert_eq!(both.alternatives(), [vec![a.clone(), b.clone()]]);
        let either = parse(r#"[[{ header = "A" }], [{ json = "/b" }]]"#).unwrap();
        assert_eq!(either.alternatives(), [vec![a], vec![b]]);
        assert!(parse("[]").unwrap_err().contains("1 to 8 fields"));
        assert!(parse("[[]]").unwrap_err().contains("1 to 8 fields"));
    }
}
