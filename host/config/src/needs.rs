//! The grants that a component needs, one by one, so that an operator can decide on each.

use std::fmt;

use toml::Value;

use super::manifest::{Manifest, is_granted};
use landfall_model::Allow;

/// One grant under `[needs]`: a capability, or one name or URL of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The key under `[allow]`.
    pub key: String,
    /// One entry of the list. `None`: the value is `true`.
    pub value: Option<String>,
}

// === impl Need ===

impl Need {
    fn of(key: &str, value: Option<&str>) -> Need {
        Need {
            key: key.to_owned(),
            value: value.map(str::to_owned),
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            None => f.write_str(&self.key),
            Some(value) => write!(f, "{}={value}", self.key),
        }
    }
}

// === impl Manifest ===

impl Manifest {
    /// The grants that it needs and that these lack.
    pub fn lacking(&self, granted: &Allow) -> Vec<Need> {
        let mut lacking = Vec::new();
        for (key, needed) in self.needs_table() {
            match needed {
                Value::Array(names) => {
                    let names = names.iter().filter_map(Value::as_str);
                    let names = names.filter(|name| !is_granted(granted, key, name));
                    lacking.extend(names.map(|name| Need::of(key, Some(name))));
                }
                _ if granted.capabilities.contains(key) => {}
                _ => lacking.push(Need::of(key, None)),
            }
        }
        lacking
    }
}
