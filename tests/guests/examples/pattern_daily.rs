//! Says something once a day for each account, however many events there are.

use std::time::Duration;

use landfall_sdk::serde::Deserialize;
use landfall_sdk::{Failure, Json, emit, handler, json, kv};

#[derive(Deserialize)]
#[serde(crate = "landfall_sdk::serde")]
struct Alert {
    account: String,
}

#[handler]
fn once_a_day(Json(alert): Json<Alert>) -> Result<(), Failure> {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    let key = format!("told/{}", alert.account);
    if kv::compare_and_set_for(&key, None, "yes", DAY)? {
        emit::to("notify")
            .json(&json!({ "account": alert.account }))
            .send()?;
    }
    Ok(())
}
