//! What providers really send: compressed bodies, forms of both kinds, JSON inside forms, large events.

use std::io::Write;

use landfall_tests::{Node, Receiver, Setup, bundled, guest, sign};
use serde_json::{Value, json};

const OPEN: &str = "[verify]\nscheme = \"none\"\n";
const GITHUB: &str = "mode = \"sync\"\nanswer_within = \"60s\"\n[verify]\nprovider = \"github\"\nsecret = \"env:SECRET\"\n";
const SECRET: &str = "a secret";
const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=limit";

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// A multipart form of these text fields, with a file between them.
fn multipart(fields: &[(&str, &str)]) -> String {
    let file = "--limit\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\n\0\r\n";
    let parts: Vec<String> = fields.iter().map(part).collect();
    format!("{file}{}--limit--\r\n", parts.concat())
}

fn part((name, value): &(&str, &str)) -> String {
    format!("--limit\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

/// What the handler sees of an event.
fn seen((status, text): (u16, String)) -> Value {
    assert_eq!(status, 200, "{text}");
    serde_json::from_str::<Value>(&text).unwrap()["event"].take()
}

fn has_header(event: &Value, name: &str) -> bool {
    event["headers"]
        .as_array()
        .unwrap()
        .iter()
        .any(|pair| pair[0] == name)
}

#[tokio::test]
async fn signatures_cover_what_the_pack_says() {
    let pack = "name = \"Acme\"\nsigns_body = \"decoded\"\nevent_type = { json = \"/type\" }\n[verify]\nscheme = \"signature\"\nalgorithm = \"hmac-sha256\"\nfrom = { header = \"X-Hub-Signature-256\" }\nprefix = \"sha256=\"\nencoding = \"hex\"\n";
    let setup = Setup::new().hook("github", &guest("inspect_event"), GITHUB);
    std::fs::create_dir(setup.plugins().join("providers")).unwrap();
    let setup = setup.file("providers/acme.toml", pack);
    let setup = setup
        .hook(
            "acme",
            &guest("inspect_event"),
            &GITHUB.replace("github", "acme"),
        )
        .env("SECRET", SECRET);
    let node = setup.serving("github").await;
    node.until("acme", "serving").await;
    let body = format!("{{\"type\":\"push\",\"text\":\"{}\"}}", "x".repeat(100_000));
    let encoded = gzip(body.as_bytes());
    let post = async |hook: &str, signed: &[u8]| {
        let (signature, path) = (sign(SECRET, signed), format!("/{hook}"));
        let headers = [
            ("content-encoding", "gzip"),
            ("x-hub-signature-256", signature.as_str()),
            ("x-github-event", "push"),
        ];
        node.post(&path, &headers, encoded.clone()).await
    };
    for (hook, signed, other) in [
        ("github", &encoded[..], body.as_bytes()),
        ("acme", body.as_bytes(), &encoded[..]),
    ] {
        let event = seen(post(hook, signed).await);
        assert_eq!(event["body"]["text"], body.as_str(), "{hook}");
        assert!(
            !has_header(&event, "content-encoding") && !has_header(&event, "content-length"),
            "{event}"
        );
        assert_eq!(event["event_type"], "push", "{hook}: {event}");
        assert_eq!(post(hook, other).await.0, 401, "{hook}");
    }
}

#[tokio::test]
async fn encodings_are_undone_within_bounds() {
    let node = Setup::new()
        .hook(
            "in",
            &guest("inspect_event"),
            &format!("max_body = \"4MiB\"\n{OPEN}"),
        )
        .serving("in")
        .await;
    let post = async |encoding: &str, body: Vec<u8>| {
        node.post("/in", &[("content-encoding", encoding)], body)
            .await
    };
    // Brotli and Zstandard: one block each that is not compressed.
    for (encoding, body) in [
        ("gzip", gzip(b"hello")),
        ("X-GZIP", gzip(b"hello")),
        ("identity", b"hello".to_vec()),
        ("br", b"\x0b\x02\x80hello\x03".to_vec()),
        (
            "zstd",
            b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello".to_vec(),
        ),
    ] {
        assert_eq!(
            seen(post(encoding, body).await)["body"],
            json!({ "text": "hello" }),
            "{encoding}"
        );
    }
    let text: String = (0..60_000).map(|n| format!("{n} words, ")).collect();
    assert_eq!(
        seen(post("gzip", gzip(text.as_bytes())).await)["body"]["text"],
        text.as_str()
    );
    for (case, encoding, body, status) in [
        (
            "above max_body when decoded",
            "gzip",
            gzip(text.repeat(8).as_bytes()),
            413,
        ),
        (
            "zeros, a thousand to one",
            "gzip",
            gzip(&vec![0; 3 << 20]),
            413,
        ),
        ("not gzip", "gzip", b"hello".to_vec(), 400),
        ("cut", "gzip", gzip(text.as_bytes())[..1000].to_vec(), 400),
        ("unknown", "compress", b"hello".to_vec(), 415),
        ("twice", "gzip, gzip", gzip(&gzip(b"hello")), 415),
    ] {
        assert_eq!(post(encoding, body).await.0, status, "{case}");
    }
    let request = node
        .client
        .post(node.url("/in"))
        .header("content-encoding", "compress")
        .body("x");
    let response = request.send().await.unwrap();
    assert_eq!(
        response.headers()["accept-encoding"],
        "gzip, deflate, br, zstd"
    );
}

#[tokio::test]
async fn encoding_may_make_bodies_larger() {
    const MAX: usize = 64 << 10;
    let node = Setup::new()
        .hook(
            "in",
            &guest("inspect_event"),
            &format!("max_body = \"64KiB\"\n{OPEN}"),
        )
        .serving("in")
        .await;
    // Bytes without a pattern.
    let next = |state: &u64| {
        Some(
            state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1),
        )
    };
    let states = || std::iter::successors(Some(1), next);
    let bytes = |count| {
        states()
            .map(|state: u64| (state >> 56) as u8)
            .take(count)
            .collect::<Vec<u8>>()
    };
    let post = async |body: Vec<u8>| {
        node.post("/in", &[("content-encoding", "gzip")], body)
            .await
            .0
    };
    let largest = gzip(&bytes(MAX));
    assert!(largest.len() > MAX, "{}", largest.len());
    assert_eq!(post(largest).await, 200);
    assert_eq!(post(gzip(&bytes(MAX + 1))).await, 413);
    assert_eq!(node.post("/in", &[], bytes(MAX + 1)).await.0, 413);
}

#[tokio::test]
async fn only_proven_bodies_are_decoded() {
    let pack = "name = \"Acme\"\nsigns_body = \"decoded\"\n[verify]\nscheme = \"signature\"\nalgorithm = \"hmac-sha256\"\nfrom = { header = \"X-Hub-Signature-256\" }\nprefix = \"sha256=\"\nencoding = \"hex\"\n";
    let max = "max_body = \"1MiB\"\n";
    let setup = Setup::new().env("LANDFALL_LIMITS_BODY_MEMORY", "1MiB");
    std::fs::create_dir(setup.plugins().join("providers")).unwrap();
    let setup = setup
        .file("providers/acme.toml", pack)
        .env("SECRET", SECRET);
    let setup = setup.hook("github", &guest("inspect_event"), &format!("{max}{GITHUB}"));
    let node = setup
        .hook(
            "acme",
            &guest("inspect_event"),
            &format!("{max}{}", GITHUB.replace("github", "acme")),
        )
        .start()
        .await;
    for hook in ["github", "acme"] {
        node.until(hook, "serving").await;
    }
    // Beside the body as sent and the decoder, the node has no room for the decoded body.
    let body = "some text, ".repeat((1 << 20) / 11);
    let encoded = gzip(body.as_bytes());
    let post = async |hook: &str, signature: String| {
        let request = node
            .client
            .post(node.url(&format!("/{hook}")))
            .body(encoded.clone());
        let request = request
            .header("content-encoding", "gzip")
            .header("x-github-event", "push");
        let response = request
            .header("x-hub-signature-256", signature)
            .send()
            .await
            .unwrap();
        (
            response.status().as_u16(),
            response.headers().contains_key("retry-after"),
        )
    };
    assert_eq!(
        post("github", sign(SECRET, b"another body")).await,
        (401, false),
        "refused without being decoded"
    );
    assert_eq!(post("github", sign(SECRET, &encoded)).await, (503, true));
    assert_eq!(
        post("acme", sign(SECRET, b"another body")).await,
        (503, true),
        "only the decoded body can be verified"
    );
    node.until_log("the request bodies in memory reach limits.body_memory")
        .await;
}

#[tokio::test]
async fn tokens_in_encoded_bodies_are_found() {
    let token = "mode = \"sync\"\n[verify]\nscheme = \"token\"\nfrom = { json = \"/token\" }\nsecret = \"env:SECRET\"\n";
    let node = Setup::new()
        .hook("in", &guest("inspect_event"), token)
        .env("SECRET", SECRET)
        .serving("in")
        .await;
    let post = async |body: Value| {
        node.post(
            "/in",
            &[("content-encoding", "gzip")],
            gzip(body.to_string().as_bytes()),
        )
        .await
    };
    assert_eq!(
        seen(post(json!({ "token": SECRET, "n": 1 })).await)["body"]["text"],
        json!({ "token": SECRET, "n": 1 }).to_string()
    );
    assert_eq!(post(json!({ "token": "other" })).await.0, 401);
}

#[tokio::test]
async fn forms_are_read_by_field() {
    let settings = "[verify]\nscheme = \"token\"\nfrom = { form = \"token\" }\nsecret = \"env:SECRET\"\n[settings]\ntable = \"rows\"\nwhen = [{ form = \"From\", starts_with = \"+\" }]\ntexts = { text = \"{{ event.form.Body }}\" }\n[allow]\ntable = [\"rows\"]\n";
    let json_in_form = format!(
        "{GITHUB}[settings]\ntable = \"rows\"\nfields = {{ branch = \"/ref\" }}\n[allow]\ntable = [\"rows\"]\n"
    );
    let setup = Setup::new().hook("form", &bundled("store"), settings).hook(
        "github",
        &bundled("store"),
        &json_in_form,
    );
    let node = setup.env("SECRET", SECRET).serving("form").await;
    node.until("github", "serving").await;
    let post = async |content_type: &str, body: String| {
        node.post("/form", &[("content-type", content_type)], body)
            .await
            .0
    };
    assert_eq!(
        post(FORM, format!("token={SECRET}&From=%2B1&Body=url+encoded")).await,
        202
    );
    assert_eq!(
        post(
            MULTIPART,
            multipart(&[("token", SECRET), ("From", "+1"), ("Body", "multi part")])
        )
        .await,
        202
    );
    // A condition leaves it out; a wrong token, or one that occurs twice, is rejected.
    assert_eq!(
        post(
            MULTIPART,
            multipart(&[("token", SECRET), ("From", "1"), ("Body", "left out")])
        )
        .await,
        202
    );
    assert_eq!(post(MULTIPART, multipart(&[("token", "other")])).await, 401);
    assert_eq!(
        post(
            MULTIPART,
            multipart(&[("token", SECRET), ("token", SECRET)])
        )
        .await,
        401
    );
    let texts: Vec<Value> = node
        .rows("form", "rows")
        .await
        .into_iter()
        .map(|row| row["row"]["text"].clone())
        .collect();
    assert!(
        texts.len() == 2
            && texts.contains(&json!("url encoded"))
            && texts.contains(&json!("multi part")),
        "{texts:?}"
    );
    // GitHub's JSON in the field `payload`.
    let body = "payload=%7B%22ref%22%3A%22refs%2Fheads%2Fmain%22%7D";
    let signature = sign(SECRET, body.as_bytes());
    let headers = [
        ("content-type", FORM),
        ("x-hub-signature-256", signature.as_str()),
        ("x-github-event", "push"),
    ];
    let answer = node.post("/github", &headers, body).await;
    assert_eq!(answer.0, 202, "{answer:?} {}", node.log());
    assert_eq!(
        node.rows("github", "rows").await[0]["row"]["branch"],
        "refs/heads/main"
    );
}

#[tokio::test]
async fn large_bodies_fit_their_provider() {
    let size = 24 << 20;
    // A busy machine takes longer than the default.
    let patient = "answer_within = \"60s\"\n";
    let too_small = "max_body = \"26MiB\"\n[limits]\nmemory = \"24MiB\"\n";
    let enough = "max_body = \"26MiB\"\n[limits]\nmemory = \"108MiB\"\n";
    let store =
        "[settings]\ntable = \"rows\"\nfields = { n = \"/n\" }\n[allow]\ntable = [\"rows\"]\n";
    let setup = Setup::new()
        .hook("github", &bundled("store"), &format!("{GITHUB}{store}"))
        .hook("small", &bundled("echo"), &format!("{too_small}{OPEN}"))
        .hook(
            "enough",
            &bundled("store"),
            &format!("{patient}{enough}{OPEN}{store}"),
        )
        .hook(
            "echo",
            &bundled("echo"),
            &format!("{patient}max_body = \"26MiB\"\n{OPEN}"),
        );
    let node = setup.env("SECRET", SECRET).serving("github").await;
    for hook in ["enough", "echo"] {
        node.until(hook, "serving").await;
    }
    let why = "small.toml:4:1: memory 24.0 MiB is too small for max_body 26.0 MiB: a handler \
               needs at least four times the body; write memory = \"108MiB\", or max_body = \
               \"5MiB\"";
    assert_eq!(node.until("small", "unavailable").await["problem"], why);
    let body = format!("{{\"n\":1,\"text\":\"{}\"}}", "x".repeat(size));
    let signature = sign(SECRET, body.as_bytes());
    for hook in ["github", "enough", "echo"] {
        let headers = [
            ("x-hub-signature-256", signature.as_str()),
            ("x-github-event", "push"),
        ];
        let (status, _) = node.post(&format!("/{hook}"), &headers, body.clone()).await;
        assert!(
            (200..300).contains(&status),
            "{hook}: {status} {}",
            node.log()
        );
    }
    assert_eq!(node.rows("github", "rows").await[0]["row"]["n"], 1);
}

/// Each handler that can do its work with any body does it.
#[tokio::test]
async fn handlers_take_every_body() {
    let receiver = Receiver::start().await;
    let (url, call) = (
        receiver.url("/"),
        format!("[allow]\nhttp = [\"{}\"]\n", receiver.url("/")),
    );
    let setup = [
        ("echo", String::new()),
        ("store", "[settings]\ntable = \"rows\"\n[allow]\ntable = [\"rows\"]\n".to_owned()),
        ("forward", format!("[settings]\ntargets = [\"{url}\"]\n{call}")),
        ("trigger", format!("[settings]\nurl = \"{url}\"\nbody = \"{{{{ event.id | tojson }}}}\"\n{call}")),
        ("fan-out", "[settings]\nhooks = [\"echo\"]\n[allow]\nemit = [\"echo\"]\n".to_owned()),
        ("filter", "[settings]\nhooks = [\"echo\"]\nwhen = [{ field = \"method\", equals = \"POST\" }]\n[allow]\nemit = [\"echo\"]\n".to_owned()),
        ("archive", format!("[settings]\nurl = \"{url}\"\n{call}")),
        ("slack-notify", format!("[settings]\nurl = \"{url}\"\ntext = \"{{{{ event.hook }}}}\"\n{call}")),
        ("discord-notify", format!("[settings]\nurl = \"{url}\"\ntext = \"{{{{ event.hook }}}}\"\n{call}")),
        ("teams-notify", format!("[settings]\nurl = \"{url}\"\ntext = \"{{{{ event.hook }}}}\"\n{call}")),
        (
            "cloudevents",
            format!("[settings]\nurl = \"{url}\"\nsource = \"/a\"\ntype = \"b\"\nmode = \"structured\"\n{call}"),
        ),
    ]
    .iter()
    .fold(Setup::new(), |setup, (name, more)| setup.hook(name, &bundled(name), &format!("{OPEN}{more}")));
    let node: Node = setup.start().await;
    for hook in [
        "echo",
        "store",
        "forward",
        "trigger",
        "fan-out",
        "filter",
        "archive",
        "slack-notify",
        "discord-notify",
        "teams-notify",
        "cloudevents",
    ] {
        node.until(hook, "serving").await;
        for (content_type, body) in [
            ("application/json", b"{\"a\":1}".to_vec()),
            ("application/json", b"{".to_vec()),
            (FORM, b"a=1&b=x+y".to_vec()),
            (MULTIPART, multipart(&[("a", "1")]).into_bytes()),
            ("text/plain", b"hello".to_vec()),
            ("application/json", Vec::new()),
            ("application/octet-stream", vec![0xff, 0, 1]),
        ] {
            let (status, text) = node
                .post(
                    &format!("/{hook}"),
                    &[("content-type", content_type)],
                    body.clone(),
                )
                .await;
            assert!(
                (200..300).contains(&status),
                "{hook}: {content_type} {body:?}: {status} {text}\n{}",
                node.log()
            );
        }
    }
}
