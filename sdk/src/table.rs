//! Rows that are appended to tables of the host. The operator lists the tables under `[allow]
//! table`.

use crate::CapabilityError;
use serde::Serialize;

/// Stages one row: a JSON object of at most 256 KiB. The host stores it if the attempt succeeds.
pub fn append(table: &str, row: &(impl Serialize + ?Sized)) -> Result<(), CapabilityError> {
    let row =
        serde_json::to_string(row).map_err(|error| CapabilityError::Invalid(error.to_string()))?;
    host::append(table, &row)
}

/// The call to the host.
#[cfg(target_arch = "wasm32")]
mod host {
    wit_bindgen::generate!({
        path: ["../wit/event.wit", "../wit/table.wit"],
        inline: "package landfall:sdk; world appending { include landfall:table/imports@0.1.0; }",
        with: {
            "landfall:event/types@0.1.0": crate::bindings::landfall::event::types,
            "landfall:table/table@0.1.0": generate,
        },
    });

    use self::landfall::table::table;
    use super::CapabilityError;

    pub(crate) fn append(name: &str, row: &str) -> Result<(), CapabilityError> {
        Ok(table::append(name, row)?)
    }
}

/// The fake of native tests.
#[cfg(not(target_arch = "wasm32"))]
mod host {
    use serde_json::Value;

    use super::CapabilityError;
    use crate::testing::{Host, allowed, fake};

    type Rows = Vec<(String, Value)>;

    impl Host {
        /// The staged rows so far, each with its table.
        pub fn rows(&self) -> Vec<(String, Value)> {
            fake(|rows: &mut Rows| rows.clone())
        }
    }

    pub(crate) fn append(table: &str, row: &str) -> Result<(), CapabilityError> {
        allowed("table")?;
        let row: Value = serde_json::from_str(row)
            .map_err(|error| CapabilityError::Invalid(error.to_string()))?;
        if !row.is_object() {
            return Err(CapabilityError::Invalid("a row is a JSON object".into()));
        }
        fake(|rows: &mut Rows| rows.push((table.to_owned(), row)));
        Ok(())
    }
}
