//! How a setting of the node is declared: `settings!` makes a table of settings from its documented
//! fields. The environment variables, the ranges and the table in docs/CONFIG.md follow from the
//! same fields.

use std::fmt::Display;

use serde::de::DeserializeOwned;

use super::values::{Size, Time};

/// One setting, as it is declared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// The tables and the key: `limits.connections`.
    pub(crate) key: &'static str,
    /// The doc comment of the field, in Markdown.
    pub(crate) meaning: &'static str,
    /// TOML. `None`: the setting has no value, or one that depends on other settings.
    pub(crate) default: Option<&'static str>,
    /// The least and the greatest value, as TOML.
    pub(crate) range: Option<[&'static str; 2]>,
    pub(crate) flag: Option<&'static str>,
}

/// A value outside of the range of its setting.
#[derive(Debug, thiserror::Error)]
#[error("{key} = {value} is out of range: {min} to {max}")]
pub(crate) struct OutOfRange {
    pub(crate) key: &'static str,
    value: String,
    min: String,
    max: String,
}

/// A table of settings.
pub(crate) trait SettingsTable {
    /// The settings of this table, in the order of their declaration.
    const SETTINGS: &'static [Setting];

    /// The settings of this table and of the tables within it.
    fn all() -> Vec<Setting>;

    /// Compares each value with its range.
    fn check_ranges(&self) -> Result<(), OutOfRange>;
}

/// A value that can have a range. An absent value is in every range.
pub(crate) trait Ranged {
    /// The value as text, if it is below `min` or above `max`.
    fn outside(&self, min: toml::Value, max: toml::Value) -> Option<String>;
}

/// Declares a struct that is read from a table of `landfall.toml`, and its settings.
///
/// ```ignore
/// settings! {
///     /// `[limits]`
///     pub struct LimitsTable in "limits." {
///         /// What the setting does, in Markdown. A row of docs/CONFIG.md.
///         #[flag("--connections")]   // optional: its flag, see `Flags`
///         #[range(1, 1_000_000)]     // optional
///         connections: usize = 8192, // without a default, the type is an `Option`
///     }
///     tables {}                      // tables within this one
/// }
/// ```
macro_rules! settings {
    (
        $(#[doc = $about:literal])*
        pub struct $table:ident in $prefix:literal {
            $(
                $(#[doc = $meaning:literal])+
                $(#[flag($flag:literal)])?
                $(#[range($min:literal, $max:literal)])?
                $key:ident: $type:ty $(= $default:literal)?,
            )*
        }
        tables {
            $( $(#[$attribute:meta])* $inner:ident: $Inner:ty, )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $table {
            $( $(#[doc = $meaning])+ pub $key: $type, )*
            $(
                #[doc = concat!("`[", stringify!($inner), "]`")]
                $(#[$attribute])*
                pub $inner: $Inner,
            )*
        }

        impl Default for $table {
            fn default() -> $table {
                $table {
                    $( $key: $crate::setting::initial!($($default)?), )*
                    $( $inner: Default::default(), )*
                }
            }
        }

        impl $crate::setting::SettingsTable for $table {
            const SETTINGS: &'static [$crate::setting::Setting] = &[
                $( $crate::setting::Setting {
                    key: concat!($prefix, stringify!($key)),
                    meaning: concat!($($meaning),+),
                    default: $crate::setting::option!($(stringify!($default))?),
                    range: $crate::setting::option!($([stringify!($min), stringify!($max)])?),
                    flag: $crate::setting::option!($($flag)?),
                }, )*
            ];

            fn all() -> Vec<$crate::setting::Setting> {
                let inner: &[Vec<$crate::setting::Setting>] = &[$(<$Inner>::all()),*];
                [Self::SETTINGS, &inner.concat()].concat()
            }

            fn check_ranges(&self) -> Result<(), $crate::setting::OutOfRange> {
                $( $(
                    let (min, max) = ($min.into(), $max.into());
                    $crate::setting::check(concat!($prefix, stringify!($key)), &self.$key, min, max)?;
                )? )*
                $( self.$inner.check_ranges()?; )*
                Ok(())
            }
        }
    };
}

macro_rules! initial {
    () => {
        None
    };
    ($default:literal) => {
        $crate::setting::parse($default.into())
    };
}

macro_rules! option {
    () => {
        None
    };
    ($value:expr) => {
        Some($value)
    };
}

pub(crate) use {initial, option, settings};

/// A declared default or bound, read as the settings file would read it.
pub(crate) fn parse<T: DeserializeOwned>(declared: toml::Value) -> T {
    let shown = declared.to_string();
    let value = declared.try_into();
    value.unwrap_or_else(|error| panic!("{shown} is declared for a setting: {error}"))
}

pub(crate) fn check(
    key: &'static str,
    value: &impl Ranged,
    min: toml::Value,
    max: toml::Value,
) -> Result<(), OutOfRange> {
    match value.outside(min.clone(), max.clone()) {
        None => Ok(()),
        Some(value) => Err(OutOfRange {
            key,
            value,
            min: without_quotes(&min.to_string()).into(),
            max: without_quotes(&max.to_string()).into(),
        }),
    }
}

fn without_quotes(literal: &str) -> &str {
    literal.trim_matches('"')
}

fn compare<T: PartialOrd + Display + DeserializeOwned>(
    value: &T,
    min: toml::Value,
    max: toml::Value,
) -> Option<String> {
    let range = parse::<T>(min)..=parse::<T>(max);
    (!range.contains(value)).then(|| value.to_string())
}

// === impl Setting ===

impl Setting {
    /// The name of its environment variable: `LANDFALL_LIMITS_CONNECTIONS`.
    pub(crate) fn variable(&self) -> String {
        variable(self.key)
    }

    /// Its row of the table in docs/CONFIG.md.
    pub(crate) fn row(&self) -> String {
        let flag = match self.flag {
            None => String::new(),
            Some(flag) => format!("`{flag}` "),
        };
        let default = match self.default {
            None => String::new(),
            Some(default) => format!("`{}`. ", without_quotes(default)),
        };
        let range = match self.range {
            None => String::new(),
            Some([min, max]) => format!(
                ". Range: `{}` to `{}`",
                without_quotes(min),
                without_quotes(max).replace('_', "")
            ),
        };
        let (key, variable, meaning) = (self.key, self.variable(), self.meaning.trim());
        format!("| `{key}` | `{variable}` | {flag}| {default}{meaning}{range} |")
    }
}

/// The environment variable of a key.
pub(crate) fn variable(key: &str) -> String {
    format!("LANDFALL_{}", key.replace('.', "_").to_uppercase())
}

// === impl Ranged ===

impl Ranged for Time {
    fn outside(&self, min: toml::Value, max: toml::Value) -> Option<String> {
        compare(self, min, max)
    }
}

impl Ranged for Size {
    fn outside(&self, min: toml::Value, max: toml::Value) -> Option<String> {
        compare(self, min, max)
    }
}

impl Ranged for usize {
    fn outside(&self, min: toml::Value, max: toml::Value) -> Option<String> {
        compare(self, min, max)
    }
}

impl Ranged for u32 {
    fn outside(&self, min: toml::Value, max: toml::Value) -> Option<String> {
        compare(self, min, max)
    }
}

impl Ranged for f64 {
    fn outside(&self, min: toml::Value, max: toml::Value) -> Option<String> {
        compare(self, min, max)
    }
}

impl<T: Ranged> Ranged for Option<T> {
    fn outside(&self, min: toml::Value, max: toml::Value) -> Option<String> {
        self.as_ref().and_then(|value| value.outside(min, max))
    }
}
