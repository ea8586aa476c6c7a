//! Answers with a body of 100 MiB; the hook needs `limits.memory` above that to get so far.

use landfall_sdk::{Event, Failure, Payload, Reply, handler};

#[handler]
fn on_event(_: Event) -> Result<Reply, Failure> {
    Ok(Reply {
        body: Payload::Binary(vec![b'x'; 100 << 20]),
        ..Reply::ok()
    })
}
