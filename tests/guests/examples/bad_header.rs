//! Tries to smuggle a header, and a body, into its reply.

use landfall_sdk::{Event, Failure, Reply, handler};

#[handler]
fn on_event(_: Event) -> Result<Reply, Failure> {
    Ok(Reply::text(200, "ok").with_header("x-note", "a\r\nx-smuggled: yes\r\n\r\nbody"))
}
