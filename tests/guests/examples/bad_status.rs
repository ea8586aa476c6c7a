//! Answers with a status that is none.

use landfall_sdk::{Event, Failure, Reply, handler};

#[handler]
fn on_event(_: Event) -> Result<Reply, Failure> {
    Ok(Reply::new(42))
}
