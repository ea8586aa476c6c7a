//! A place where tests hold a request, so that another one overtakes it.

use std::path::Path;
use std::time::Duration;

use landfall_model::fail;

const ASKED_EVERY: Duration = Duration::from_millis(10);

/// Waits if the environment variable `FAILPOINTS` has `NAME=return(FILE)`: writes the file, and
/// goes on when it is removed.
pub(super) async fn hold_point(name: &str) {
    let Some(Some(file)) = fail::eval(name, |file| file) else {
        return;
    };

    let file = Path::new(&file);
    let mut is_held = std::fs::write(file, "").is_ok();
    while is_held {
        tokio::time::sleep(ASKED_EVERY).await;
        is_held = file.exists();
    }
}
