//! Calls the `url` of its settings 1000 times and answers how the calls ended, `limit` among them.

use landfall_sdk::http::Request;
use landfall_sdk::{Event, Failure, Json, handler, settings};
use std::collections::BTreeMap;

#[handler]
fn on_event(_: Event) -> Result<Json<BTreeMap<&'static str, u32>>, Failure> {
    let url = settings::get("url").ok_or_else(|| Failure::retry("no setting `url`"))?;
    let mut ends = BTreeMap::from([("answered", 0), ("limit", 0)]);
    for _ in 0..1000 {
        let end = Request::get(&url)
            .send()
            .map_or_else(|error| error.name(), |_| "answered");
        *ends.entry(end).or_default() += 1;
    }
    Ok(Json(ends))
}
