//! Requests with random changes, on the public listener.

use landfall_tests::changes::change;
use landfall_tests::faults::{Random, rounds};
use landfall_tests::http_table::{HTTP1, bytes, groups};
use landfall_tests::{Setup, guest};

use super::{OPEN, send};

/// After so many requests, a good one must be answered.
const CHECK_EVERY: usize = 50;

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for group in groups(HTTP1) {
        let rows = group.rows.iter();
        seeds.extend(rows.map(|row| bytes(&group.parts(row).concat())));
    }
    seeds
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_requests_cause_no_error() {
    let hook_file = format!("max_body = \"64KiB\"\n{OPEN}");
    let node = Setup::new()
        .hook("hook", &guest("answers_one"), &hook_file)
        .serving("hook")
        .await;
    let (seeds, mut random) = (seeds(), Random::seeded());
    for number in 0..rounds(600, 50_000) {
        let seed = &seeds[random.below(seeds.len())];
        let other = &seeds[random.below(seeds.len())];
        let request = change(seed, other, &mut random);

        let status = send(node.public, &request).await;
        let shown = String::from_utf8_lossy(&request);
        let is_error = status.is_some_and(|status| status >= 500 && status != 501 && status != 505);
        assert!(!is_error, "{status:?}: {shown:?}\n{}", node.log());
        if number.is_multiple_of(CHECK_EVERY) {
            let next = node.post("/hook", &[], "{}").await;
            assert_eq!(next, (200, "one".to_owned()), "after {shown:?}");
        }
    }
}
