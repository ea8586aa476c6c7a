//! Events may arrive late or twice. Only a newer version changes what is stored.

use landfall_sdk::serde::Deserialize;
use landfall_sdk::{Failure, Json, handler, json, kv, log, table};

#[derive(Deserialize)]
#[serde(crate = "landfall_sdk::serde")]
struct Product {
    id: String,
    version: u64,
    price: String,
}

#[handler]
fn newest(Json(product): Json<Product>) -> Result<(), Failure> {
    let key = format!("version/{}", product.id);
    let stored = kv::get(&key)?;
    let known = stored
        .as_ref()
        .and_then(|value| value.as_text()?.parse::<u64>().ok());
    if known.is_some_and(|known| known >= product.version) {
        log::info(format!(
            "version {} of {} is not newer",
            product.version, product.id
        ));
        return Ok(());
    }

    // If another event changes the value first, nothing of this attempt is kept, and the event runs again.
    if !kv::compare_and_set(&key, stored.as_ref(), product.version.to_string())? {
        return Err(Failure::retry("another event was faster"));
    }
    table::append(
        "prices",
        &json!({ "product": product.id, "price": product.price }),
    )?;
    Ok(())
}
