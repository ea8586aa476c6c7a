//! The plugins directory while the node runs: dropped, replaced, broken, mended, deleted; nothing
//! in flight is lost.

mod chaos;
mod components;
mod directory;
mod hook_files;
mod languages;

use landfall_tests::{Node, Setup, eventually, guest};

const OPEN: &str = "mode = \"sync\"\n[verify]\nscheme = \"none\"\n";

async fn says(node: &Node, text: &str) {
    eventually(&format!("the hook says {text}"), || async {
        (node.post("/hook", &[], "{}").await == (200, text.to_owned())).then_some(())
    })
    .await;
}

async fn running_one() -> Node {
    Setup::new()
        .compiles()
        .hook("hook", &guest("answers_one"), OPEN)
        .serving("hook")
        .await
}

/// Asks all the while that `change` takes; every answer must be 200.
async fn always_answers(node: &Node, path: &str, change: impl Future<Output = ()>) {
    let mut change = std::pin::pin!(change);
    loop {
        tokio::select! {
            biased;
            answer = node.post(path, &[], "{}") => assert_eq!(answer.0, 200, "{}", node.log()),
            () = &mut change => return,
        }
    }
}
