//! An order has several parts. Each becomes an event of its own.

use landfall_sdk::serde::{Deserialize, Serialize};
use landfall_sdk::{Failure, Json, emit, handler};

#[derive(Deserialize)]
#[serde(crate = "landfall_sdk::serde")]
struct Order {
    id: String,
    items: Vec<Item>,
}

#[derive(Deserialize, Serialize)]
#[serde(crate = "landfall_sdk::serde")]
struct Item {
    sku: String,
    quantity: u32,
}

#[handler]
fn split(Json(order): Json<Order>) -> Result<(), Failure> {
    for item in &order.items {
        let key = format!("{}/{}", order.id, item.sku);
        emit::to("pack")
            .event_type("item")
            .key(key)
            .json(item)
            .send()?;
    }
    Ok(())
}
