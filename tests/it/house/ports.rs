//! What the servers of tests listen on.

use landfall_tests::root;

use super::{files, files_ending};

/// The kernel gives a port again at once, and the calls of another test may still go there. A node
/// may choose its port: `--listen 127.0.0.1:0`.
#[test]
fn test_servers_get_ports_once() {
    let tests = root().join("tests");
    let sources = [
        files(&tests.join("src")),
        files(&tests.join("it")),
        files_ending(&tests.join("sdk"), "py"),
    ];
    for path in sources.into_iter().flatten() {
        if path.ends_with("tests/src/ports.rs") || path.ends_with("tests/it/house/ports.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let text: String = text.split_whitespace().collect();
        let of_kernel = ["bind(\"127.0.0.1:0\")", "\"127.0.0.1\",0)", "LOCALHOST,0)"];
        let found = of_kernel.iter().find(|words| text.contains(**words));
        assert!(
            found.is_none(),
            "{}: {found:?}: use landfall_tests::ports",
            path.display()
        );
    }
}
