//! The harness of the end-to-end tests: builds the binary and the components with the tools a user has, starts real
//! nodes on ports of their own, speaks HTTP to them, and reads what they write.

mod admin;
pub mod backend;
pub mod browser;
pub mod changes;
mod compiled;
pub mod components;
pub mod descriptors;
pub mod disk;
pub mod faults;
pub mod forged;
pub mod google;
pub mod http2;
pub mod http_table;
pub mod languages;
mod launch;
mod log;
pub mod manifest;
mod mount;
pub mod nats;
mod node;
pub mod plot;
pub mod ports;
pub mod postgres;
mod process;
pub mod receiver;
pub mod registry;
pub mod relay;
pub mod require;
pub mod samples;
pub mod sdks;
mod setup;
pub mod side_effects;
pub mod versions;

use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

pub use browser::{Browser, Look};
pub use components::{bundle, bundled, component, guest, landfall, landfall_bench};
pub use languages::{Language, contract_cases};
pub use manifest::with_manifest;
pub use nats::Nats;
pub use node::{Node, event_id};
pub use postgres::{Postgres, Session};
pub use receiver::Receiver;
pub use sdks::{Sdk, SdkFolder, sdk_cases, sdk_handler};
pub use setup::Setup;

/// Whether nodes keep their ledger in a file; else, with `LANDFALL_TEST_LEDGER=postgres`, in a database. Says so in a line where a
/// test is about the file alone.
pub fn is_sqlite() -> bool {
    let is_sqlite = std::env::var_os("LANDFALL_TEST_LEDGER").is_none();
    if !is_sqlite {
        require::not_applicable("this is about a ledger in a file");
    }
    is_sqlite
}

/// The folder of the workspace.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests is a folder of the workspace")
        .into()
}

/// A recorded GitHub payload: `fixture("push-1")`.
pub fn fixture(name: &str) -> Vec<u8> {
    let path = root().join(format!("tests/fixtures/github/{name}.json"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `sha256=` and the HMAC-SHA256 in hex, as GitHub and the generic pack have it.
pub fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// A product that works needs far less, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// Waits until `condition` gives something; fails after `LIMIT`, naming what was waited for.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> T {
    let until = Instant::now() + LIMIT;
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(Instant::now() < until, "waited {LIMIT:?} for: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
