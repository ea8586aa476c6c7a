//! The capabilities that a hook file grants under `[allow]`.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A key under `[allow]` that grants a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantKey {
    /// `kv`
    pub name: &'static str,
    /// The form of its value.
    pub form: GrantForm,
    /// When the capability writes to the ledger.
    pub writes: LedgerWrites,
}

/// The form of the value under `[allow]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantForm {
    /// `true` or `false`.
    Flag,
    /// A list of names. The text is a name in errors: `NAME`.
    Names(&'static str),
}

/// When a capability writes to the ledger, which a node on a disk that is memory may not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerWrites {
    /// In every mode.
    Always,
    /// In mode `sync`. In the other modes its effects are in the broker.
    InSync,
    /// In no mode.
    Never,
}

/// The grants of a hook file, by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants(BTreeMap<String, Grant>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Grant {
    Whole,
    Names(Arc<[String]>),
}

// === impl GrantKey ===

impl GrantKey {
    /// The line that grants it: `kv = true`, `table = ["NAME"]`.
    pub fn line(&self) -> String {
        let name = self.name;
        match self.form {
            GrantForm::Flag => format!("{name} = true"),
            GrantForm::Names(example) => format!("{name} = [\"{example}\"]"),
        }
    }
}

// === impl Grants ===

impl Grants {
    /// Grants a capability.
    pub fn grant(&mut self, key: impl Into<String>) {
        self.0.insert(key.into(), Grant::Whole);
    }

    /// Grants a capability for these names. No name is no grant.
    pub fn grant_names(&mut self, key: impl Into<String>, names: Vec<String>) {
        if !names.is_empty() {
            self.0.insert(key.into(), Grant::Names(names.into()));
        }
    }

    /// Whether the capability is granted.
    pub fn contains(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// The names for which the capability is granted.
    pub fn names(&self, key: &str) -> &[String] {
        match self.0.get(key) {
            Some(Grant::Names(names)) => names,
            Some(Grant::Whole) | None => &[],
        }
    }

    /// As `names`, to keep. `None`: for no name.
    pub fn shared_names(&self, key: &str) -> Option<Arc<[String]>> {
        match self.0.get(key) {
            Some(Grant::Names(names)) => Some(names.clone()),
            Some(Grant::Whole) | None => None,
        }
    }

    /// Each grant as text: `kv`, `table "pushes"`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().flat_map(|(key, grant)| match grant {
            Grant::Whole => vec![key.clone()],
            Grant::Names(names) => names
                .iter()
                .map(|name| format!("{key} \"{name}\""))
                .collect(),
        })
    }
}
