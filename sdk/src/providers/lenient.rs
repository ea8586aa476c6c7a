//! Reads a provider's JSON as a type, and keeps it as it is if it does not fit: providers change
//! what they send.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::log;
#[cfg(any(feature = "github", feature = "shopify"))]
use crate::{Event, Failure};

/// The body of an event. Only a body that is not JSON is a rejection.
#[cfg(any(feature = "github", feature = "shopify"))]
pub(super) fn typed<T: DeserializeOwned, R>(
    event: &Event,
    kind: &str,
    fits: impl FnOnce(T) -> R,
    other: impl FnOnce(Value) -> R,
) -> Result<R, Failure> {
    match event.json() {
        Ok(payload) => Ok(fits(payload)),
        Err(_) => Ok(typed_value(&event.json()?, kind, fits, other)),
    }
}

/// A value. A field that is null has its default.
pub(super) fn typed_value<T: DeserializeOwned, R>(
    value: &Value,
    kind: &str,
    fits: impl FnOnce(T) -> R,
    other: impl FnOnce(Value) -> R,
) -> R {
    let mut without_nulls = value.clone();
    remove_nulls(&mut without_nulls);
    match serde_path_to_error::deserialize(without_nulls) {
        Ok(payload) => fits(payload),
        Err(error) => {
            log::warn(format_args!(
                "`{kind}` is not as documented, so that it is `Other`: `{}`: {}",
                error.path(),
                error.inner()
            ));
            other(value.clone())
        }
    }
}

fn remove_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(remove_nulls);
        }
        Value::Array(values) => values.iter_mut().for_each(remove_nulls),
        _ => {}
    }
}
