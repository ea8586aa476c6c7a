//! Behind a proxy: whose word counts for the client's address, who may call, and a real nginx with the file of docs/deploy.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use landfall_tests::ports::{free_port, listener};
use landfall_tests::{Node, Setup, eventually, guest, root, sign};
use serde_json::Value;

const OPEN: &str = "[verify]\nscheme = \"none\"\n";

/// What a handler sees as the client's address.
async fn client_address(node: &Node, url: &str, headers: &[(&str, &str)]) -> String {
    let request = headers
        .iter()
        .fold(node.client.post(url), |request, (name, value)| {
            request.header(*name, *value)
        });
    let answer: Value = request
        .body("{}")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let attributes = answer["event"]["attributes"].as_array().unwrap();
    let address = attributes.iter().find(|pair| pair[0] == "client-address");
    address.unwrap_or_else(|| panic!("{attributes:?}"))[1]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn only_configured_proxies_are_believed() {
    let spoofed = [
        ("x-forwarded-for", "192.0.2.7"),
        ("forwarded", "for=192.0.2.8"),
    ];
    let node = Setup::new()
        .hook("inspect_event", &guest("inspect_event"), OPEN)
        .serving("inspect_event")
        .await;
    assert_eq!(
        client_address(&node, &node.url("/inspect_event"), &spoofed).await,
        "127.0.0.1"
    );

    let setup = Setup::new().hook("inspect_event", &guest("inspect_event"), OPEN);
    let node = setup
        .env("LANDFALL_TRUSTED_PROXIES", "127.0.0.0/8, 10.0.0.0/8")
        .serving("inspect_event")
        .await;
    for (headers, expected) in [
        (&spoofed[..], "192.0.2.7"),
        (&spoofed[1..], "192.0.2.8"),
        (
            &[("x-forwarded-for", "6.6.6.6, 192.0.2.9, 10.1.2.3")],
            "192.0.2.9",
        ),
        (
            &[("x-forwarded-for", "192.0.2.9, garbage, 10.1.2.3")],
            "10.1.2.3",
        ),
        (&[], "127.0.0.1"),
    ] {
        assert_eq!(
            client_address(&node, &node.url("/inspect_event"), headers).await,
            expected,
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn other_addresses_are_refused() {
    let hook =
        "[verify]\nscheme = \"none\"\nfrom_addresses = [\"192.0.2.0/24\", \"2001:db8::/32\"]\n";
    let setup = Setup::new().hook("in", &guest("answers_one"), hook);
    let node = setup
        .env("LANDFALL_TRUSTED_PROXIES", "127.0.0.1")
        .serving("in")
        .await;
    let post = async |address: &str| {
        node.post("/in", &[("x-forwarded-for", address)], "{}")
            .await
            .0
    };
    assert_eq!(
        (post("192.0.2.200").await, post("[2001:db8::7]:443").await),
        (200, 200)
    );
    assert_eq!(
        (post("192.0.3.1").await, node.post("/in", &[], "{}").await.0),
        (401, 401)
    );

    let refusals = node.ask("/api/v1/refusals").await;
    assert_eq!(
        (&refusals[0]["reason"], &refusals[0]["client_address"]),
        (&"address_not_allowed".into(), &"127.0.0.1".into())
    );
    assert_eq!(refusals[1]["client_address"], "192.0.3.1");

    let setup = Setup::new().hook("in", &guest("answers_one"), hook);
    let node = setup.serving("in").await;
    assert_eq!(
        node.post("/in", &[("x-forwarded-for", "192.0.2.7")], "{}")
            .await
            .0,
        401
    );
    let refusals = node.ask("/api/v1/refusals").await;
    assert!(
        refusals[0]["hint"]
            .as_str()
            .unwrap()
            .contains("trusted_proxies"),
        "{refusals}"
    );
}

#[tokio::test]
async fn provider_ranges_come_from_packs() {
    let pack = "name = \"Acme\"\nfrom_addresses = [\"127.0.0.0/8\"]\n[verify]\nscheme = \"none\"\n";
    let setup = Setup::new()
        .file("keep", "")
        .hook(
            "acme",
            &guest("answers_one"),
            "[verify]\nprovider = \"acme\"\nfrom_addresses = \"provider\"\n",
        )
        .hook(
            "none",
            &guest("answers_one"),
            "[verify]\nscheme = \"none\"\nfrom_addresses = \"provider\"\n",
        );
    std::fs::create_dir(setup.plugins().join("providers")).unwrap();
    let node = setup
        .file("providers/acme.toml", pack)
        .serving("acme")
        .await;
    assert_eq!(node.post("/acme", &[], "{}").await.0, 200);
    let problem = node.until("none", "unavailable").await["problem"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(problem.contains("no published address ranges"), "{problem}");
}

/// nginx with the file of docs/deploy, in a folder and on a port of its own.
struct Nginx {
    dir: tempfile::TempDir,
    child: Child,
    port: u16,
}

impl Nginx {
    /// In front of a port of this machine.
    async fn before(upstream: u16) -> Nginx {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let site = std::fs::read_to_string(root().join("docs/deploy/nginx.conf")).unwrap();
        let replaced = [
            (
                "listen 443 ssl;".to_owned(),
                format!("listen 127.0.0.1:{port};"),
            ),
            (
                "server 127.0.0.1:8080;".to_owned(),
                format!("server 127.0.0.1:{upstream};"),
            ),
        ];
        let site = replaced.iter().fold(site, |site, (from, to)| {
            assert!(
                site.contains(from),
                "docs/deploy/nginx.conf has no `{from}`"
            );
            site.replace(from, to)
        });
        let site: Vec<&str> = site
            .lines()
            .filter(|line| !line.trim_start().starts_with("ssl_"))
            .collect();
        std::fs::write(dir.path().join("site.conf"), site.join("\n")).unwrap();
        std::fs::write(dir.path().join("nginx.conf"), main_config(dir.path())).unwrap();
        let config = dir.path().join("nginx.conf");
        let mut command = Command::new(nginx());
        command
            .arg("-p")
            .arg(dir.path())
            .arg("-c")
            .arg(config)
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let nginx = Nginx { dir, child, port };
        eventually("nginx listens", || async {
            tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .ok()
        })
        .await;
        nginx
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("error.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master process ends its workers at TERM, and not at KILL.
        Command::new("kill")
            .arg(self.child.id().to_string())
            .status()
            .ok();
        self.child.wait().ok();
    }
}

fn main_config(dir: &Path) -> String {
    let dir = dir.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary: String = temporary
        .map(|kind| format!("    {kind}_temp_path {dir}/{kind};\n"))
        .concat();
    format!(
        "daemon off;\nworker_processes 1;\npid {dir}/pid;\nerror_log {dir}/error.log;\n\
         events {{ worker_connections 256; }}\nhttp {{\n    access_log off;\n{temporary}    include {dir}/site.conf;\n}}\n"
    )
}

fn nginx() -> &'static str {
    let found = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"]
        .into_iter()
        .find(|path| Path::new(path).exists());
    found.expect("nginx is not installed: apt-get install nginx-light")
}

/// A line to a port that counts the connections made over it.
async fn counting_line(to: u16) -> (u16, Arc<AtomicUsize>) {
    let listener = listener();
    let (port, count) = (
        listener.local_addr().unwrap().port(),
        Arc::new(AtomicUsize::new(0)),
    );
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                if let Ok(mut server) = tokio::net::TcpStream::connect(("127.0.0.1", to)).await {
                    tokio::io::copy_bidirectional(&mut client, &mut server)
                        .await
                        .ok();
                }
            });
        }
    });
    (port, count)
}

#[tokio::test]
async fn nginx_passes_on_what_providers_send() {
    let signed = "[verify]\nscheme = \"signature\"\nalgorithm = \"hmac-sha256\"\nfrom = { header = \"X-Signature\" }\n\
        prefix = \"sha256=\"\nencoding = \"hex\"\npayload = [\"{url}\", \"\\n\", \"{body}\"]\nsecret = \"env:SECRET\"\n\
        public_url = \"https://hooks.example.com\"\nfrom_addresses = [\"192.0.2.0/24\"]\n";
    let large =
        format!("max_body = \"26MB\"\ndeadline = \"60s\"\n{OPEN}[limits]\nmemory = \"256MiB\"\n");
    let setup = Setup::new()
        .hook(
            "signed",
            &guest("answers_one"),
            &format!("path = \"/signed/{{id}}\"\n{signed}"),
        )
        .hook("inspect_event", &guest("inspect_event"), OPEN)
        .hook("large", &guest("answers_one"), &large)
        .env("SECRET", "s3cret")
        .env("LANDFALL_TRUSTED_PROXIES", "127.0.0.1");
    let node = setup.serving("signed").await;
    node.until("inspect_event", "serving").await;
    node.until("large", "serving").await;
    let (line, connections) = counting_line(node.public.port()).await;
    let nginx = Nginx::before(line).await;

    // A balancer before nginx says who called; what the caller itself has written does not count.
    let balancer = [
        ("x-forwarded-for", "6.6.6.6, 192.0.2.7"),
        ("forwarded", "for=6.6.6.6"),
    ];
    assert_eq!(
        client_address(&node, &nginx.url("/inspect_event"), &balancer).await,
        "192.0.2.7",
        "{}",
        nginx.log()
    );
    assert_eq!(
        client_address(
            &node,
            &nginx.url("/inspect_event"),
            &[("forwarded", "for=6.6.6.6")]
        )
        .await,
        "127.0.0.1"
    );

    // The signature covers the public URL, with the spelling that the provider has used.
    let path = "/signed/a%2Fb%20c?x=1&y=%C3%A4";
    let signature = sign(
        "s3cret",
        format!("https://hooks.example.com{path}\n{{\"a\": 1}}").as_bytes(),
    );
    let send = async |address: &str| {
        let request = node
            .client
            .post(nginx.url(path))
            .header("x-signature", &signature);
        request
            .header("x-forwarded-for", address)
            .body("{\"a\": 1}")
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(
        send("192.0.2.7").await,
        200,
        "{}",
        node.ask("/api/v1/refusals").await
    );
    assert_eq!(send("203.0.113.9").await, 401);
    assert_eq!(
        node.ask("/api/v1/refusals").await[0]["reason"],
        "address_not_allowed"
    );

    let body = vec![b'x'; 25_000_000];
    let response = node
        .client
        .post(nginx.url("/large"))
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200, "{} {}", nginx.log(), node.log());

    let before = connections.load(Ordering::SeqCst);
    for _ in 0..50 {
        assert_eq!(
            node.client
                .post(nginx.url("/large"))
                .body("{}")
                .send()
                .await
                .unwrap()
                .status(),
            200
        );
    }
    let made = connections.load(Ordering::SeqCst) - before;
    assert!(made <= 2, "{made} connections for 50 requests");
}
