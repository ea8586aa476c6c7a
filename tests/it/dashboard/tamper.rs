//! The tamper switch of the page `Send`: it changes what the scheme of the hook checks, and is not there where that is nothing.

use super::requests::{client, get, session};
use super::roles::send;
use super::{SECRET, node};

#[tokio::test]
async fn tampering_follows_the_scheme() {
    let (node, client) = (node().await, client());
    let cookie = session(&client, &node).await;
    let secret = "secret = \"env:DASHBOARD_SECRET\"\n";
    for (name, verify) in [
        (
            "in-header",
            "scheme = \"token\"\nfrom = { header = \"X-Token\" }\n",
        ),
        (
            "in-json",
            "scheme = \"token\"\nfrom = { json = \"/auth\" }\n",
        ),
    ] {
        let file = format!("component = \"in.wasm\"\nmode = \"async\"\n[verify]\n{verify}{secret}");
        node.put(&format!("{name}.toml"), file);
        node.until(name, "serving").await;
    }

    for (name, label, note) in [
        ("signed", "change one byte of the body after signing", ""),
        (
            "in-header",
            "change one character of the secret",
            "The scheme token does not cover the body",
        ),
        (
            "in-json",
            "change one character of the secret",
            "The scheme token does not cover the body",
        ),
    ] {
        let page = get(&client, &node, &format!("/send?hook={name}"), &cookie)
            .await
            .1;
        assert!(
            page.contains(label) && page.contains(note),
            "{name}: {page}"
        );
        for (switch, result) in [("", "was accepted"), ("&tamper=yes", "was refused")] {
            let fields = format!("hook={name}&body=%7B%22n%22%3A1%7D{switch}");
            let (status, page) = send(&client, &node, &cookie, "/send", &fields).await;
            assert_eq!(status, 200, "{name}");
            assert!(page.contains(result), "{name}{switch}: {page}");
            assert!(!page.contains(SECRET), "{name}");
        }
    }

    let page = get(&client, &node, "/send?hook=in", &cookie).await.1;
    assert!(!page.contains("name=\"tamper\""), "{page}");
    assert!(
        page.contains("There is no tamper switch: the hook accepts every request."),
        "{page}"
    );
}
