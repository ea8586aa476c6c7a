//! `[environment]`: the environment variables of a component.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::credential::{below, parts};
use super::mistake::{Mistake, mistake};
use super::value_error::ValueError;
use landfall_model::{CredentialPart, EnvironmentVariable};

/// A value as typed.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "a value of [environment] is a text, a number, true or false"
)]
pub(crate) enum Typed {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
}

const KEY: &[&str] = &["environment"];
/// A value that begins with one of these words and a colon is a secret reference.
pub(crate) const SCHEMES: [&str; 6] = [
    "env",
    "file",
    "gcp-secret",
    "gcp-kms",
    "vault",
    "aws-secret",
];
const VARIABLES_MAX: usize = 100;
const NAME_BYTES_MAX: usize = 128;
/// The most bytes of all names and values, without the values of secrets.
const BYTES_MAX: usize = 64 << 10;

/// The variables of an `[environment]` table.
pub(crate) fn environment(
    table: BTreeMap<String, Typed>,
    dir: &Path,
) -> Result<Vec<EnvironmentVariable>, Mistake> {
    if table.len() > VARIABLES_MAX {
        return mistake(
            KEY,
            format!("{} variables: at most {VARIABLES_MAX}", table.len()),
        );
    }
    let mut bytes = 0;
    let mut variables = Vec::with_capacity(table.len());
    for (name, typed) in table {
        check_name(&name)?;
        let text = match typed {
            Typed::Text(text) => text,
            Typed::Integer(number) => number.to_string(),
            Typed::Float(number) => number.to_string(),
            Typed::Boolean(value) => value.to_string(),
        };
        if text.contains('\0') {
            return mistake(KEY, format!("the value of {name} has a NUL in it"));
        }
        bytes += name.len() + text.len();
        let value = value(&text).or_else(|why| mistake(KEY, format!("{name}: {why}")))?;
        let value = value.into_iter().map(|part| placed(part, dir)).collect();
        variables.push(EnvironmentVariable { name, value });
    }
    if bytes > BYTES_MAX {
        return mistake(
            KEY,
            format!("the environment takes {bytes} bytes: at most {BYTES_MAX}"),
        );
    }
    Ok(variables)
}

fn check_name(name: &str) -> Result<(), Mistake> {
    let is_start = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.as_bytes().first().is_some_and(is_start)
        && name.bytes().all(is_part)
        && name.len() <= NAME_BYTES_MAX
    {
        return Ok(());
    }
    mistake(
        KEY,
        format!(
            "`{}` cannot name a variable: use letters, digits and `_`, at most {NAME_BYTES_MAX} characters, and do not \
             begin with a digit",
            name.escape_debug()
        ),
    )
}

/// A secret reference alone, or text with `${…}` references in it.
fn value(text: &str) -> Result<Vec<CredentialPart>, ValueError> {
    let is_reference = text
        .split_once(':')
        .is_some_and(|(scheme, _)| SCHEMES.contains(&scheme));
    if !is_reference {
        return parts(text);
    }

    Ok(vec![CredentialPart::Secret(text.parse()?)])
}

fn placed(part: CredentialPart, dir: &Path) -> CredentialPart {
    match part {
        CredentialPart::Secret(reference) => CredentialPart::Secret(below(dir, reference)),
        literal => literal,
    }
}
