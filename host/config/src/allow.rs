//! `[allow]`: what a hook grants to its component. The keys of capabilities are known to the
//! engine, which hands them in.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::error::unknown_key;
use super::mistake::{Mistake, mistake};
use super::value_error::ValueError;
use super::values::Parsed;
use landfall_model::{Allow, GrantForm, GrantKey, Grants, HttpGrant, is_table_name};

const REDIRECTS_MAX: u8 = 3;
/// The keys that are no capability.
const OWN_KEYS: [&str; 3] = ["http", "redirects", "addresses"];

/// The keys under `[allow]` as they are typed.
#[derive(Debug, Default)]
pub(super) struct AllowTable {
    http: Vec<Parsed<HttpGrant>>,
    redirects: u8,
    addresses: Vec<Parsed<AddressRange>>,
    capabilities: BTreeMap<String, CapabilityGrant>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum CapabilityGrant {
    Flag(bool),
    Names(Vec<String>),
    /// `AllowTable::check` refuses it: an unknown key is reported before the form of its value.
    Other(IgnoredAny),
}

/// `10.0.0.0/8`, or one address.
#[derive(Debug)]
pub(super) struct AddressRange(pub(super) ipnet::IpNet);

/// A mistake at a key under `[allow]`.
pub(super) struct GrantMistake {
    pub(super) key: String,
    pub(super) message: String,
}

/// The grants.
pub(super) fn allow(table: AllowTable) -> Result<Allow, Mistake> {
    if table.redirects > REDIRECTS_MAX {
        return mistake(
            &["allow", "redirects"],
            format!(
                "redirects {} is out of range: 0 to {REDIRECTS_MAX}",
                table.redirects
            ),
        );
    }

    let mut capabilities = Grants::default();
    for (key, grant) in table.capabilities {
        match grant {
            CapabilityGrant::Flag(true) => capabilities.grant(key),
            CapabilityGrant::Flag(false) | CapabilityGrant::Other(_) => {}
            CapabilityGrant::Names(names) => capabilities.grant_names(key, names),
        }
    }
    Ok(Allow {
        http: table.http.into_iter().map(|parsed| parsed.0).collect(),
        redirects: table.redirects,
        addresses: table
            .addresses
            .into_iter()
            .map(|parsed| parsed.0.0)
            .collect(),
        capabilities,
    })
}

// === impl AllowTable ===

impl AllowTable {
    /// Checks the capabilities against those of the engine.
    pub(super) fn check(&self, known: &[GrantKey]) -> Result<(), GrantMistake> {
        for (key, grant) in &self.capabilities {
            let message = match known.iter().find(|known| known.name == key) {
                None => {
                    let names = known.iter().map(|known| known.name);
                    let names: Vec<&str> = OWN_KEYS.into_iter().chain(names).collect();
                    Some(unknown_key(key, &names))
                }
                Some(known) => form_problem(known, grant),
            };
            if let Some(message) = message {
                let key = key.clone();
                return Err(GrantMistake { key, message });
            }
        }
        Ok(())
    }
}

fn form_problem(key: &GrantKey, grant: &CapabilityGrant) -> Option<String> {
    match (key.form, grant) {
        (GrantForm::Flag, CapabilityGrant::Flag(_)) => None,
        (GrantForm::Names(_), CapabilityGrant::Names(names)) => {
            let bad = names.iter().find(|name| !is_table_name(name))?;
            let (bad, key) = (bad.escape_debug(), key.name);
            Some(format!(
                "`{bad}` is not a name for {key}: use a-z, 0-9, `-` and `_`, at most 64 characters, and do not begin with `-`"
            ))
        }
        _ => Some(format!(
            "{} has another form: write {}",
            key.name,
            key.line()
        )),
    }
}

impl<'de> Deserialize<'de> for AllowTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AllowTable, D::Error> {
        deserializer.deserialize_map(AllowVisitor)
    }
}

struct AllowVisitor;

impl<'de> Visitor<'de> for AllowVisitor {
    type Value = AllowTable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of grants")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AllowTable, A::Error> {
        let mut table = AllowTable::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "http" => table.http = map.next_value()?,
                "redirects" => table.redirects = map.next_value()?,
                "addresses" => table.addresses = map.next_value()?,
                _ => {
                    table.capabilities.insert(key, map.next_value()?);
                }
            }
        }
        Ok(table)
    }
}

// === impl AddressRange ===

impl std::str::FromStr for AddressRange {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<AddressRange, ValueError> {
        let range = text.parse::<ipnet::IpNet>();
        let range = range.or_else(|_| text.parse::<std::net::IpAddr>().map(ipnet::IpNet::from));
        range
            .map(AddressRange)
            .map_err(|_| ValueError::AddressRange(text.to_owned()))
    }
}
