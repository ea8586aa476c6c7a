//! One HTTP message signature of a request: its components, parameters and bytes (RFC 9421).

use std::time::SystemTime;

use sfv::{BareItem, Dictionary, FieldType, InnerList, Item, ListEntry};

use super::http_components::{component_name, component_value};
use crate::refusal::{Reason, Refusal, malformed};
use crate::view::View;
use crate::window::{self, Window};

const SECOND_NS: i128 = 1_000_000_000;

/// The most components that one signature may cover.
pub(crate) const COMPONENTS_MAX: usize = 64;

/// The header with the components and parameters of signatures.
pub(super) const INPUT: &str = "signature-input";

/// One signature of a request.
pub(super) struct LabelledSignature<'a> {
    pub(super) input: &'a InnerList,
    pub(super) signature: &'a [u8],
}

// === impl LabelledSignature ===

impl<'a> LabelledSignature<'a> {
    pub(super) fn find(
        inputs: &'a Dictionary,
        signatures: &'a Dictionary,
        label: &str,
    ) -> Result<LabelledSignature<'a>, Refusal> {
        let input = match inputs.get(label).ok_or_else(|| no_signature(label))? {
            ListEntry::InnerList(input) => input,
            ListEntry::Item(_) => {
                return Err(malformed(format!(
                    "{INPUT} does not contain a list of components"
                )));
            }
        };

        let signature = match signatures.get(label).ok_or_else(|| no_signature(label))? {
            ListEntry::Item(Item {
                bare_item: BareItem::ByteSequence(bytes),
                ..
            }) => bytes,
            _ => {
                return Err(malformed("the signature is not a byte sequence (RFC 9651)"));
            }
        };

        Ok(LabelledSignature { input, signature })
    }

    /// The value of a string parameter.
    pub(super) fn text(&self, parameter: &str) -> Option<&'a str> {
        match self.input.params.get(parameter)? {
            BareItem::String(text) => Some(text.as_str()),
            // A value of another type matches nothing that is configured.
            _ => Some(""),
        }
    }

    fn seconds(&self, parameter: &str) -> Result<Option<i128>, Refusal> {
        match self.input.params.get(parameter) {
            None => Ok(None),
            Some(BareItem::Integer(seconds)) => {
                Ok(Some(i128::from(i64::from(*seconds)) * SECOND_NS))
            }
            Some(_) => Err(Refusal::new(
                Reason::MalformedTimestamp,
                format!("parameter {parameter} is not an integer"),
            )),
        }
    }

    pub(super) fn check_times(
        &self,
        window: Window,
        now: Option<SystemTime>,
    ) -> Result<(), Refusal> {
        let created = self.seconds("created")?;
        let created = created.ok_or_else(|| {
            Refusal::new(Reason::MissingTimestamp, "parameter created is missing")
        })?;
        let expires = self.seconds("expires")?;
        let Some(now) = now else { return Ok(()) };

        window::check_time(window, created, now)?;
        match expires {
            Some(expires) => window::check_time(
                Window {
                    past: Some(Default::default()),
                    future: None,
                },
                expires,
                now,
            ),
            None => Ok(()),
        }
    }

    /// The names of the covered components. Each may occur once.
    pub(super) fn covered_components(&self) -> Result<Vec<&'a str>, Refusal> {
        if self.input.items.len() > COMPONENTS_MAX {
            return Err(malformed(format!("more than {COMPONENTS_MAX} components")));
        }

        let mut identifiers: Vec<String> = self.input.items.iter().map(Item::serialize).collect();
        identifiers.sort();
        identifiers.dedup();
        if identifiers.len() < self.input.items.len() {
            return Err(malformed("a component is covered twice"));
        }

        self.input.items.iter().map(component_name).collect()
    }

    /// The signature base (RFC 9421 section 2.5).
    pub(super) fn signature_base(&self, view: &View<'_>) -> Result<String, Refusal> {
        let mut lines = Vec::with_capacity(self.input.items.len() + 1);
        for item in &self.input.items {
            lines.push(format!(
                "{}: {}",
                item.serialize(),
                component_value(item, view)?
            ));
        }

        lines.push(format!("\"@signature-params\": {}", serialize(self.input)));
        Ok(lines.join("\n"))
    }
}

fn no_signature(label: &str) -> Refusal {
    Refusal::new(
        Reason::MissingSignature,
        format!("no signature `{}`", label.escape_debug()),
    )
}

pub(super) fn serialize(list: &InnerList) -> String {
    vec![ListEntry::InnerList(list.clone())]
        .serialize()
        .unwrap_or_default()
}
