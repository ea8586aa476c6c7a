// The handler of `shop` and of `shop_next`, which treats three orders differently. Per order, it reads the clock and random numbers,
// counts in `kv`, keeps a row, and calls the `url` of its settings, if there is one.

use std::hash::{BuildHasher, RandomState};
use std::time::SystemTime;

use landfall_sdk::http::Request;
use landfall_sdk::serde_json::Value;
use landfall_sdk::{Event, Failure, Json, handler, json, kv, settings, table};

#[handler]
fn on_event(event: Event) -> Result<Json<Value>, Failure> {
    let order: Value = event.json()?;
    let number = order["number"].as_i64().unwrap_or_default();
    if order["void"] == true {
        return Err(Failure::reject("the order is void"));
    }

    let nonce = RandomState::new().hash_one(number) ^ wasip2::random::random::get_random_u64();
    let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let amount = number * 10 + i64::from(IS_NEXT && number == 202);
    let charge = match settings::get("url") {
        Some(url) => charge(url, number, amount, nonce)?,
        None => Value::Null,
    };

    let count = kv::increment("orders", 1)?;
    let seen = format!("seen:{number}");
    if kv::get(&seen)?.is_none() {
        kv::set(&seen, at.as_millis().to_string())?;
    }
    let mut row = json!({ "number": number, "amount": amount, "charge": charge, "at_ms": at.as_millis() as u64 });
    if IS_NEXT && number == 303 {
        row["note"] = "new".into();
    }
    table::append("orders", &row)?;

    let ok = if IS_NEXT && number == 101 {
        "yes"
    } else {
        "ok"
    };
    Ok(Json(
        json!({ "order": ok, "count": count, "nonce": nonce.to_string() }),
    ))
}

fn charge(url: String, number: i64, amount: i64, nonce: u64) -> Result<Value, Failure> {
    let mut body = json!({ "order": number, "amount": amount, "nonce": nonce.to_string() });
    let mut request = Request::post(url);
    if let Ok(key) = std::env::var("SHOP_KEY") {
        body["note"] = format!("paid with {key}").into();
        request = request.header("X-Shop-Note", key);
    }
    let response = request.json(&body).send()?.error_for_status()?;
    Ok(response.json::<Value>()?["charge"].clone())
}
