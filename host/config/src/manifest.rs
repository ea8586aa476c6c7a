//! The manifest of a component: what its author says about it, what it suggests for the hook file,
//! and which grants it needs. It never grants anything. Documented for authors in docs/MANIFEST.md.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::allow::{AllowTable, allow};
use super::error::ConfigError;
use super::hook_tables::{HookFile, ModeName};
use super::settings_schema::SettingsSchema;
use super::values::{MethodName, Time};
use landfall_model::{Allow, GrantKey, HttpGrant};

/// The number of the format that this host knows.
const FORMAT: i64 = 1;
/// The keys of `Suggestions`.
const SUGGESTED: [&str; 4] = ["settings", "methods", "mode", "answer_within"];
/// A key under `[needs]` beside the capabilities.
const HTTP: &str = "http";

/// A manifest. The default is that of a component without one.
#[derive(Debug, Clone, Default)]
pub struct Manifest {
    /// The component's name.
    pub name: Option<String>,
    /// The component's version.
    pub version: Option<String>,
    /// One sentence about the component.
    pub description: Option<String>,
    /// The kinds of events that it handles; empty if the author names none.
    pub event_types: Vec<String>,
    /// The schema of `[settings]`.
    pub settings_schema: Option<SettingsSchema>,
    /// What is not used of the manifest, as sentences for the operator.
    pub warnings: Vec<String>,
    suggests: Suggestions,
    needs: Table,
    needed: Allow,
}

/// The keys of a hook file that a manifest may suggest: no paths, callers, grants or limits.
#[derive(Debug, Clone, Default, Deserialize)]
struct Suggestions {
    settings: Option<Table>,
    methods: Option<Vec<MethodName>>,
    mode: Option<ModeName>,
    answer_within: Option<Time>,
}

/// Reads the keys of one table. With a newer format, what cannot be read is a warning, and not an
/// error.
struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    is_newer: bool,
    warnings: Vec<String>,
}

// === impl Manifest ===

impl Manifest {
    /// Reads the text of a manifest. `file` is its name in errors, `capabilities` the keys of
    /// capabilities under `[allow]`.
    pub fn parse(
        file: &str,
        text: &str,
        capabilities: &[GrantKey],
    ) -> Result<Manifest, ConfigError> {
        let mut table: Table =
            toml::from_str(text).map_err(|error| ConfigError::of_toml(file, text, &error))?;
        let format = match table.remove("manifest") {
            Some(Value::Integer(format)) if format >= 1 => format,
            _ => {
                let why =
                    format!("the manifest has no `manifest = {FORMAT}`: nothing of it is used");
                return Ok(Manifest {
                    warnings: vec![why],
                    ..Manifest::default()
                });
            }
        };

        let mut reader = Reader::new(file, text, format);
        let suggests: Table = reader.take(&mut table, "suggests")?.unwrap_or_default();
        let needs: Table = reader.take(&mut table, "needs")?.unwrap_or_default();
        let (needs, needed) = reader.needs(needs, capabilities)?;
        let manifest = Manifest {
            name: reader.take(&mut table, "name")?,
            version: reader.take(&mut table, "version")?,
            description: reader.take(&mut table, "description")?,
            event_types: reader.take(&mut table, "event-types")?.unwrap_or_default(),
            settings_schema: reader.schema(&mut table)?,
            suggests: reader.suggests(suggests)?,
            needs,
            needed,
            warnings: Vec::new(),
        };

        for key in table.keys() {
            reader.warn(format!("`{}` is unknown", key.escape_debug()));
        }
        Ok(Manifest {
            warnings: reader.warnings,
            ..manifest
        })
    }

    /// The `answer_within` that it suggests. Callers must use it only if it is below the default.
    pub fn answer_within(&self) -> Option<Duration> {
        let typed = self.suggests.answer_within.as_ref()?;
        Some(typed.0).filter(|time| !time.is_zero())
    }

    /// The grants that it needs.
    pub fn needed(&self) -> &Allow {
        &self.needed
    }

    /// The grants that it needs, as lines of `[allow]`. `None`: it needs none.
    pub fn needed_lines(&self) -> Option<String> {
        (!self.needs.is_empty()).then(|| self.needs.to_string())
    }

    /// The grants that it needs and that these lack, as lines of `[allow]`. `None`: they lack none.
    pub fn lacking_lines(&self, granted: &Allow) -> Option<String> {
        let mut lacking = self.needs.clone();
        lacking.retain(|key, needed| match needed {
            Value::Array(names) => {
                names.retain(|name| !is_granted(granted, key, name.as_str().unwrap_or_default()));
                !names.is_empty()
            }
            _ => !granted.capabilities.contains(key),
        });
        (!lacking.is_empty()).then(|| lacking.to_string())
    }

    /// `[needs]` as it is written.
    pub(crate) fn needs_table(&self) -> &Table {
        &self.needs
    }

    /// The value that it suggests for a setting.
    pub fn suggested_setting(&self, name: &str) -> Option<&Value> {
        self.suggests.settings.as_ref()?.get(name)
    }

    /// What it suggests for keys that the hook file leaves out.
    pub(crate) fn suggestions(&self) -> HookFile {
        HookFile {
            methods: self.suggests.methods.clone(),
            mode: self.suggests.mode,
            settings: self.suggests.settings.clone(),
            ..HookFile::default()
        }
    }
}

// === impl Reader ===

impl<'a> Reader<'a> {
    fn new(file: &'a str, text: &'a str, format: i64) -> Reader<'a> {
        let mut reader = Reader {
            file,
            text,
            is_newer: format > FORMAT,
            warnings: Vec::new(),
        };
        if reader.is_newer {
            reader.warn(format!(
                "it has format {format}, and this host knows {FORMAT}: what the host does not know is not used"
            ));
        }
        reader
    }

    /// Removes a key and reads its value.
    fn take<T: DeserializeOwned>(
        &mut self,
        table: &mut Table,
        key: &str,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = table.remove(key) else {
            return Ok(None);
        };
        let read = value
            .try_into()
            .map_err(|error: toml::de::Error| error.message().to_owned());
        self.lenient(&[key], read)
    }

    fn schema(&mut self, table: &mut Table) -> Result<Option<SettingsSchema>, ConfigError> {
        const KEY: &str = "settings-schema";
        let Some(value) = table.remove(KEY) else {
            return Ok(None);
        };
        let read = SettingsSchema::parse(&value).map_err(|error| format!("{KEY} {error}"));
        self.lenient(&[KEY], read)
    }

    fn suggests(&mut self, mut table: Table) -> Result<Suggestions, ConfigError> {
        for key in unknown(&table, |key| SUGGESTED.contains(&key)) {
            self.warn(format!(
                "`{}` under [suggests] is not used: a component may suggest {}",
                key.escape_debug(),
                SUGGESTED.join(", ")
            ));
            table.remove(&key);
        }
        self.keep_readable(&mut table, "suggests", suggestions);
        let read = suggestions(&table);
        Ok(self.lenient(&["suggests"], read)?.unwrap_or_default())
    }

    fn needs(
        &mut self,
        mut table: Table,
        capabilities: &[GrantKey],
    ) -> Result<(Table, Allow), ConfigError> {
        let is_known =
            |key: &str| key == HTTP || capabilities.iter().any(|known| known.name == key);
        for key in unknown(&table, is_known) {
            self.warn(format!(
                "it needs `{}`, which this host does not have",
                key.escape_debug()
            ));
            table.remove(&key);
        }
        self.keep_readable(&mut table, "needs", |one| needed(one, capabilities));
        // `kv = false` says that the component does not need it.
        table.retain(|_, value| value.as_bool() != Some(false));
        let read = needed(&table, capabilities);
        let needed = self.lenient(&["needs"], read)?;
        Ok(needed.map(|needed| (table, needed)).unwrap_or_default())
    }

    /// If the format is newer: removes the keys whose values cannot be read.
    fn keep_readable<T>(
        &mut self,
        table: &mut Table,
        name: &str,
        read: impl Fn(&Table) -> Result<T, String>,
    ) {
        if !self.is_newer {
            return;
        }
        let keys: Vec<String> = table.keys().cloned().collect();
        for key in keys {
            let alone = Table::from_iter([(key.clone(), table[&key].clone())]);
            if let Err(why) = read(&alone) {
                self.warn(format!(
                    "`{name}.{}` cannot be read: {why}",
                    key.escape_debug()
                ));
                table.remove(&key);
            }
        }
    }

    /// `None` instead of the error, if the format is newer.
    fn lenient<T>(
        &mut self,
        key: &[&str],
        read: Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        match read {
            Ok(value) => Ok(Some(value)),
            Err(why) if self.is_newer => {
                self.warn(format!("`{}` cannot be read: {why}", key.join(".")));
                Ok(None)
            }
            Err(why) => Err(ConfigError::at_key(self.file, self.text, key, why)),
        }
    }

    fn warn(&mut self, what: String) {
        self.warnings.push(format!("the manifest: {what}"));
    }
}

/// Whether this name, or the URLs of this text, are granted under the key.
pub(crate) fn is_granted(granted: &Allow, key: &str, name: &str) -> bool {
    if key == HTTP {
        let needed = name.parse::<HttpGrant>();
        return needed.is_ok_and(|needed| {
            granted
                .http
                .iter()
                .any(|grant| grant.covers_all_of(&needed))
        });
    }
    granted
        .capabilities
        .names(key)
        .iter()
        .any(|granted| granted == name)
}

fn unknown(table: &Table, is_known: impl Fn(&str) -> bool) -> Vec<String> {
    let keys = table.keys().filter(|key| !is_known(key));
    keys.cloned().collect()
}

fn suggestions(table: &Table) -> Result<Suggestions, String> {
    table
        .clone()
        .try_into()
        .map_err(|error: toml::de::Error| error.message().to_owned())
}

fn needed(table: &Table, capabilities: &[GrantKey]) -> Result<Allow, String> {
    let typed: AllowTable = table
        .clone()
        .try_into()
        .map_err(|error: toml::de::Error| error.message().to_owned())?;
    typed
        .check(capabilities)
        .map_err(|mistake| mistake.message)?;
    allow(typed).map_err(|mistake| mistake.message)
}
