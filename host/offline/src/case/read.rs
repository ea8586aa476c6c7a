//! Finds case files and reads them.

use std::path::{Path, PathBuf};

use landfall_config::ConfigError;
use serde_json::{Map, Number, Value};

use super::parse::parse;
use super::table::error_at;
use super::{Case, Source};
use crate::error::OfflineError;
use crate::files;

/// Every case of a folder, by name. All mistakes are reported together.
pub(crate) fn read_all(dir: &Path) -> Result<Vec<Case>, OfflineError> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| OfflineError::unreadable(dir, error))?,
    };

    let mut paths = Vec::new();
    for entry in entries {
        let path = entry
            .map_err(|error| OfflineError::unreadable(dir, error))?
            .path();
        if is_case(&path) {
            paths.push(path);
        }
    }
    paths.sort();

    let (mut cases, mut mistakes) = (Vec::new(), Vec::new());
    for path in paths {
        match read_one(&path) {
            Ok(case) => cases.push(case),
            Err(OfflineError::Config(error)) => mistakes.push(error),
            Err(error) => return Err(error),
        }
    }
    if !mistakes.is_empty() {
        return Err(OfflineError::Cases(mistakes));
    }
    check_names(&cases)?;
    Ok(cases)
}

/// A name stands for one case: `--case` and JUnit know no file endings.
fn check_names(cases: &[Case]) -> Result<(), OfflineError> {
    let twice = cases.windows(2).find(|two| two[0].name == two[1].name);
    match twice {
        Some([one, other]) => Err(OfflineError::Other(format!(
            "{} and {} have the same name: rename one",
            one.source.shown, other.source.shown
        ))),
        _ => Ok(()),
    }
}

fn is_case(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let is_hidden = name.is_none_or(|name| name.starts_with('.'));
    let ending = path.extension().and_then(|ending| ending.to_str());
    !is_hidden && matches!(ending, Some("toml" | "json"))
}

/// The case in a file.
pub(crate) fn read_one(path: &Path) -> Result<Case, OfflineError> {
    let text = files::read_text(path).map_err(|error| OfflineError::unreadable(path, error))?;
    let name = path
        .file_stem()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
        .to_owned();
    let source = Source {
        path: path.to_owned(),
        shown: shown(path),
        is_json: path.extension().is_some_and(|ending| ending == "json"),
        text,
    };
    let values = values(&source)?;
    Ok(parse(name, source, values)?)
}

/// The file and its folder, as in `cases/push.toml`.
fn shown(path: &Path) -> String {
    let parts: Vec<_> = path.components().rev().take(2).collect();
    let short: PathBuf = parts.into_iter().rev().collect();
    short.display().to_string()
}

fn values(source: &Source) -> Result<Map<String, Value>, ConfigError> {
    if source.is_json {
        return match serde_json::from_str(&source.text) {
            Ok(Value::Object(values)) => Ok(values),
            Ok(_) => Err(ConfigError::whole(
                &source.shown,
                "a case is a JSON object: write {\"event\": …, \"expect\": …}",
            )),
            Err(error) => Err(ConfigError::whole(&source.shown, error.to_string())),
        };
    }

    let table: toml::Table = source
        .text
        .parse()
        .map_err(|error| ConfigError::of_toml(&source.shown, &source.text, &error))?;
    let entries = table.into_iter().map(|(key, value)| {
        let value = json_of(source, &mut vec![key.clone()], value)?;
        Ok((key, value))
    });
    entries.collect()
}

/// TOML as JSON. Times become texts. `place` leads to the value: keys, and numbers of list
/// elements.
fn json_of(
    source: &Source,
    place: &mut Vec<String>,
    value: toml::Value,
) -> Result<Value, ConfigError> {
    Ok(match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => Value::Number(
            Number::from_f64(number).ok_or_else(|| not_in_json(source, place, number))?,
        ),
        toml::Value::Boolean(truth) => truth.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(list) => {
            let mut items = Vec::with_capacity(list.len());
            for (index, item) in list.into_iter().enumerate() {
                items.push(part_of(source, place, index.to_string(), item)?);
            }
            Value::Array(items)
        }
        toml::Value::Table(table) => {
            let mut entries = Map::new();
            for (key, value) in table {
                let part = part_of(source, place, key.clone(), value)?;
                entries.insert(key, part);
            }
            Value::Object(entries)
        }
    })
}

fn part_of(
    source: &Source,
    place: &mut Vec<String>,
    step: String,
    value: toml::Value,
) -> Result<Value, ConfigError> {
    place.push(step);
    let part = json_of(source, place, value);
    place.pop();
    part
}

fn not_in_json(source: &Source, place: &[String], number: f64) -> ConfigError {
    let name = match number {
        number if number.is_nan() => "nan",
        number if number < 0.0 => "-inf",
        _ => "inf",
    };
    error_at(
        source,
        place,
        format!("JSON has no {name}: write a number or a text"),
    )
}
