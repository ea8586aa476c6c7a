//! `landfall push` and `landfall add oci://…`, with a real registry and with one that lies.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use landfall_tests::component;
use landfall_tests::ports::listener;
use landfall_tests::registry::Registry;
use serde_json::{Value, json};

use super::{Desk, digest, needy, text};

#[tokio::test]
async fn pushed_components_can_be_added() {
    let Some(registry) = Registry::start().await else {
        return;
    };
    let desk = Desk::new();
    let bytes = needy();
    let file = text(&desk.write("one.wasm", &bytes));
    let tag = registry.oci("acme/handlers/slack:1.2.0");

    let pushed = desk.run(&["push", &file, &tag, "--json"]).await.json();
    assert_eq!(pushed["digest"], digest(&bytes));
    let pinned = pushed["pinned"].as_str().unwrap();
    let again = desk.run(&["push", &file, &tag, "--json"]).await.json();
    assert_eq!(
        again["pinned"], pinned,
        "the same component is the same artifact"
    );

    let added = desk.run(&["add", &tag, "--yes", "--json"]).await.json();
    assert_eq!(
        (&added["hook"], &added["digest"]),
        (&json!("slack"), &json!(digest(&bytes)))
    );
    assert_eq!(
        added["from"], pinned,
        "the tag is replaced by the digest that it had"
    );
    assert_eq!(
        std::fs::read(desk.path("plugins/slack.wasm")).unwrap(),
        bytes
    );
    assert!(desk.read("plugins/slack.toml").contains(&digest(&bytes)));

    let said = desk
        .run(&[
            "add",
            pinned,
            "--as",
            "two",
            "--yes",
            "--digest",
            &digest(&bytes),
        ])
        .await
        .ok();
    assert!(said.contains("name     one 1.2.0"), "{said}");
    assert_eq!(std::fs::read(desk.path("plugins/two.wasm")).unwrap(), bytes);
}

/// The layout that wkg and other tools read.
#[tokio::test]
async fn artifacts_have_the_common_layout() {
    let Some(registry) = Registry::start().await else {
        return;
    };
    let desk = Desk::new();
    let bytes = needy();
    let file = text(&desk.write("one.wasm", &bytes));
    let said = desk
        .run(&["push", &file, &registry.oci("slack:1")])
        .await
        .ok();
    assert!(
        said.contains(&format!("digest   {}\n", digest(&bytes))),
        "{said}"
    );
    assert!(
        said.contains(&format!(
            "add it   landfall add {}@sha256:",
            registry.oci("slack")
        )),
        "{said}"
    );

    let base = format!("http://{}/v2/slack", registry.host());
    let client = reqwest::Client::new();
    let accept = "application/vnd.oci.image.manifest.v1+json";
    let manifest = client
        .get(format!("{base}/manifests/1"))
        .header("accept", accept);
    let manifest: Value = manifest.send().await.unwrap().json().await.unwrap();
    assert_eq!(manifest["mediaType"], accept);
    assert_eq!(
        manifest["config"]["mediaType"],
        "application/vnd.wasm.config.v0+json"
    );
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 1);
    assert_eq!(
        (
            &layers[0]["mediaType"],
            &layers[0]["digest"],
            &layers[0]["size"]
        ),
        (
            &json!("application/wasm"),
            &json!(digest(&bytes)),
            &json!(bytes.len())
        )
    );
    assert_eq!(
        manifest["annotations"]["org.opencontainers.image.version"],
        "1.2.0"
    );

    let config = manifest["config"]["digest"].as_str().unwrap();
    let config: Value = client
        .get(format!("{base}/blobs/{config}"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&config["architecture"], &config["os"]),
        (&json!("wasm"), &json!("wasip2"))
    );
    assert_eq!(config["layerDigests"], json!([digest(&bytes)]));
    let exports = config["component"]["exports"].as_array().unwrap();
    assert!(
        exports
            .iter()
            .any(|name| name.as_str().unwrap().starts_with("landfall:hook/handler@")),
        "{config}"
    );
}

#[tokio::test]
async fn wrong_names_are_refused() {
    let Some(registry) = Registry::start().await else {
        return;
    };
    let desk = Desk::new();
    let file = text(&desk.write("one.wasm", component("answers_one")));
    desk.run(&["push", &file, &registry.oci("slack:1")])
        .await
        .ok();

    desk.run(&["add", &registry.oci("slack:2")])
        .await
        .refused("slack:2 does not exist, or may not be read: check the name and the tag");
    desk.run(&["add", &registry.oci("slak:1")])
        .await
        .refused("does not exist");
    let other = format!("{}@{}", registry.oci("slack"), digest(b"other"));
    desk.run(&["add", &other]).await.refused("does not exist");
    desk.run(&[
        "add",
        &registry.oci("slack:1"),
        "--digest",
        &digest(b"other"),
    ])
    .await
    .refused("was asked for");
    desk.run(&["push", &file, &other])
        .await
        .refused("has a digest");
    desk.run(&["push", &file, "slack:1"])
        .await
        .refused("is not a registry");
    let module = text(&desk.write("module.wasm", b"\0asm\x01\0\0\0"));
    desk.run(&["push", &module, &registry.oci("slack:1")])
        .await
        .refused("is a core module");
    assert!(desk.plugins().is_empty());
}

#[tokio::test]
async fn private_registries_need_a_login() {
    let Some(registry) = Registry::with_password().await else {
        return;
    };
    let desk = Desk::new();
    let file = text(&desk.write("one.wasm", component("answers_one")));
    let target = registry.oci("slack:1");
    let user = ("LANDFALL_REGISTRY_USER", "user");

    let said = desk
        .run(&["push", &file, &target])
        .await
        .refused("refuses access to slack: log in with `docker login");
    assert!(said.contains("LANDFALL_REGISTRY_USER"), "{said}");
    let wrong = [user, ("LANDFALL_REGISTRY_PASSWORD", "hunter2")];
    let said = desk
        .run_with(&["push", &file, &target], &wrong)
        .await
        .refused("refuses access");
    assert!(!said.contains("hunter2"), "{said}");
    desk.run_with(&["push", &file, &target], &[user])
        .await
        .refused("set both LANDFALL_REGISTRY_USER and");
    let right = [user, ("LANDFALL_REGISTRY_PASSWORD", "pass:word")];
    desk.run_with(&["push", &file, &target], &right).await.ok();

    // As `docker login` writes it, and as a credential helper prints it.
    std::fs::create_dir(desk.path("docker")).unwrap();
    let login = json!({ "auths": { registry.host(): { "auth": "dXNlcjpwYXNzOndvcmQ=" } } });
    desk.write("docker/config.json", login.to_string());
    desk.run(&["add", &target]).await.ok();

    let helper = desk.write(
        "docker-credential-test",
        "#!/bin/sh\nread key\n[ \"$1 $key\" = \"get $EXPECTED\" ] && echo '{\"Username\":\"user\",\"Secret\":\"pass:word\"}'\n",
    );
    std::fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    desk.write("docker/config.json", r#"{ "credsStore": "test" }"#);
    let path = format!(
        "{}:{}",
        text(desk.dir.path()),
        std::env::var("PATH").unwrap()
    );
    let host = registry.host();
    let env = [("PATH", path.as_str()), ("EXPECTED", &host)];
    desk.run_with(&["add", &target, "--as", "two"], &env)
        .await
        .ok();
    assert_eq!(
        desk.plugins(),
        ["slack.toml", "slack.wasm", "two.toml", "two.wasm"]
    );
}

/// A registry that serves what it is told, to callers with a token of its own.
struct StandIn {
    manifest: String,
    blob: Vec<u8>,
}

async fn stand_in(manifest: &Value, blob: &[u8]) -> String {
    let listener = listener();
    let host = listener.local_addr().unwrap().to_string();
    let state = Arc::new(StandIn {
        manifest: manifest.to_string(),
        blob: blob.to_vec(),
    });
    let router = Router::new().fallback(answer).with_state(state);
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("oci://{host}/acme/slack")
}

async fn answer(State(registry): State<Arc<StandIn>>, uri: Uri, headers: HeaderMap) -> Response {
    let host = headers[header::HOST].to_str().unwrap();
    if uri.path() == "/token" {
        let query = uri.query().unwrap_or_default();
        assert!(
            query.contains("scope=repository%3Aacme%2Fslack%3Apull&service=reg"),
            "{query}"
        );
        return r#"{"access_token":"t0ken"}"#.into_response();
    }
    if headers
        .get(header::AUTHORIZATION)
        .is_none_or(|value| value != "Bearer t0ken")
    {
        let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"reg\"");
        return (
            StatusCode::UNAUTHORIZED,
            [(header::WWW_AUTHENTICATE, challenge)],
        )
            .into_response();
    }
    match uri.path() {
        "/v2/acme/slack/manifests/1" => registry.manifest.clone().into_response(),
        path if path.starts_with("/v2/acme/slack/manifests/sha256:") => {
            registry.manifest.clone().into_response()
        }
        path if path.starts_with("/v2/acme/slack/blobs/") => registry.blob.clone().into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn manifest(component: &[u8]) -> Value {
    json!({
        "schemaVersion": 2,
        "config": { "mediaType": "application/vnd.wasm.config.v0+json", "digest": digest(b"{}"), "size": 2 },
        "layers": [{ "mediaType": "application/wasm", "digest": digest(component), "size": component.len() }],
    })
}

#[tokio::test]
async fn tokens_are_fetched_when_asked_for() {
    let desk = Desk::new();
    let one = component("answers_one");
    let name = stand_in(&manifest(&one), &one).await;
    let added = desk
        .run(&["add", &format!("{name}:1"), "--json"])
        .await
        .json();
    assert_eq!(added["digest"], digest(&one));
}

#[tokio::test]
async fn lying_registries_are_found_out() {
    let desk = Desk::new();
    let (one, two) = (component("answers_one"), component("answers_two"));

    let name = stand_in(&manifest(&one), &two).await;
    desk.run(&["add", &format!("{name}:1")])
        .await
        .refused(&format!(
            "has the digest {}, and {} was asked for",
            digest(&two),
            digest(&one)
        ));
    let other = format!("{name}@{}", digest(b"another manifest"));
    desk.run(&["add", &other]).await.refused("was asked for");

    let mut longer = manifest(&one);
    longer["layers"][0]["size"] = json!(one.len() + 1);
    let name = stand_in(&longer, &one).await;
    desk.run(&["add", &format!("{name}:1")])
        .await
        .refused(&format!(
            "slack:1 has {} bytes, and its manifest says {}: nothing was changed",
            one.len(),
            one.len() + 1
        ));

    let mut large = manifest(&one);
    large["layers"][0]["size"] = json!((64 << 20) + 1);
    let name = stand_in(&large, &one).await;
    desk.run(&["add", &format!("{name}:1")])
        .await
        .refused("is larger than 64 MiB");

    let mut image = manifest(&one);
    image["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+gzip");
    let name = stand_in(&image, &one).await;
    desk.run(&["add", &format!("{name}:1")])
        .await
        .refused("is not a component: it has no layer of the type application/wasm");
    assert!(desk.plugins().is_empty());
}
