//! Reads a table of a case file key by key. A mistake names the file, the line, the key, and what
//! to write.

use landfall_config::{ConfigError, nearest};
use serde_json::{Map, Value};

use super::Source;

/// A table of a case file. Each key is taken once; what is left over is unknown.
pub(super) struct Table<'a> {
    source: &'a Source,
    /// Keys and numbers of list elements that lead here.
    place: Vec<String>,
    values: Map<String, Value>,
    known: Vec<&'static str>,
}

pub(super) type Read<T> = Result<T, ConfigError>;

// === impl Table ===

impl<'a> Table<'a> {
    pub(super) fn new(source: &'a Source, values: Map<String, Value>) -> Table<'a> {
        Table {
            source,
            place: Vec::new(),
            values,
            known: Vec::new(),
        }
    }

    /// The value of a key, whatever it is.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.values.remove(key)
    }

    pub(super) fn text(&mut self, key: &'static str) -> Read<Option<String>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong_kind(key, &other, "a text")),
        }
    }

    pub(super) fn number(&mut self, key: &'static str, max: u64) -> Read<Option<u64>> {
        match self.take(key) {
            None => Ok(None),
            Some(value) => match value.as_u64().filter(|number| *number <= max) {
                Some(number) => Ok(Some(number)),
                None => {
                    let wanted = format!("a whole number from 0 to {max}");
                    Err(self.wrong_kind(key, &value, &wanted))
                }
            },
        }
    }

    pub(super) fn texts(&mut self, key: &'static str) -> Read<Option<Vec<String>>> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        let texts = value.as_array().and_then(|list| {
            list.iter()
                .map(|one| one.as_str().map(str::to_owned))
                .collect()
        });
        match texts {
            Some(texts) => Ok(Some(texts)),
            None => Err(self.wrong_kind(key, &value, "a list of texts")),
        }
    }

    /// A table of texts, in the order of their names.
    pub(super) fn named_texts(&mut self, key: &'static str) -> Read<Vec<(String, String)>> {
        let mut texts = Vec::new();
        for (name, value) in self.object(key)?.unwrap_or_default() {
            match value {
                Value::String(text) => texts.push((name, text)),
                other => return Err(self.wrong_part(&[key, &name], &other, "a text")),
            }
        }
        Ok(texts)
    }

    /// A table as it is.
    pub(super) fn object(&mut self, key: &'static str) -> Read<Option<Map<String, Value>>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(other) => Err(self.wrong_kind(key, &other, &format!("a table: [{key}]"))),
        }
    }

    /// A table that is read key by key.
    pub(super) fn table(&mut self, key: &'static str) -> Read<Option<Table<'a>>> {
        let place = self.path(&[key]);
        Ok(self.object(key)?.map(|values| self.inner(place, values)))
    }

    /// A list of tables.
    pub(super) fn tables(&mut self, key: &'static str) -> Read<Option<Vec<Table<'a>>>> {
        let list = match self.take(key) {
            None => return Ok(None),
            Some(Value::Array(list)) => list,
            Some(other) => {
                let wanted = format!("a list of tables: [[{key}]]");
                return Err(self.wrong_kind(key, &other, &wanted));
            }
        };

        let mut tables = Vec::new();
        for (index, value) in list.into_iter().enumerate() {
            let index = index.to_string();
            match value {
                Value::Object(values) => {
                    tables.push(self.inner(self.path(&[key, &index]), values));
                }
                other => return Err(self.wrong_part(&[key, &index], &other, "a table")),
            }
        }
        Ok(Some(tables))
    }

    /// A table within this one whose value was taken already.
    pub(super) fn within(&self, key: &str, values: Map<String, Value>) -> Table<'a> {
        self.inner(self.path(&[key]), values)
    }

    fn inner(&self, place: Vec<String>, values: Map<String, Value>) -> Table<'a> {
        Table {
            source: self.source,
            place,
            values,
            known: Vec::new(),
        }
    }

    /// Fails if a key was not taken.
    pub(super) fn finish(self) -> Read<()> {
        let Some(unknown) = self.values.keys().next() else {
            return Ok(());
        };
        let meant = match nearest(unknown, &self.known) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("known here are {}", self.known.join(", ")),
        };
        Err(self.error(&[unknown], format!("unknown key: {meant}")))
    }

    pub(super) fn wrong_kind(&self, key: &str, value: &Value, wanted: &str) -> ConfigError {
        self.wrong_part(&[key], value, wanted)
    }

    pub(super) fn wrong_part(&self, keys: &[&str], value: &Value, wanted: &str) -> ConfigError {
        self.error(keys, format!("{} is not {wanted}", described(value)))
    }

    /// An error at a key of this table.
    pub(super) fn error(&self, keys: &[&str], message: impl std::fmt::Display) -> ConfigError {
        error_at(self.source, &self.path(keys), message)
    }

    fn path(&self, keys: &[&str]) -> Vec<String> {
        let keys = keys.iter().map(|key| (*key).to_owned());
        self.place.iter().cloned().chain(keys).collect()
    }
}

/// An error at a key of a case file.
pub(super) fn error_at(
    source: &Source,
    path: &[String],
    message: impl std::fmt::Display,
) -> ConfigError {
    let message = format!("`{}`: {message}", path.join("."));
    if source.is_json {
        return ConfigError::whole(&source.shown, message);
    }
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    ConfigError::at_key(&source.shown, &source.text, &path, message)
}

fn described(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("the text \"{}\"", text.escape_debug()),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a table".into(),
    }
}
