//! Addresses that components may not reach, in every spelling: no connection is made, by name, literal, resolver or
//! redirect.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use landfall_tests::faults::faults;
use landfall_tests::ports::listener;
use landfall_tests::{Node, Setup, guest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const OPEN: &str = "[verify]\nscheme = \"none\"\n";
/// Of one attempt.
const CALLS: usize = 50;

/// Counts who comes.
struct Forbidden {
    port: u16,
    accepted: Arc<AtomicUsize>,
}

/// A socket on loopback, on both families where there are both.
async fn forbidden() -> Forbidden {
    let listener = listener();
    let port = listener.local_addr().unwrap().port();
    let accepted = Arc::new(AtomicUsize::new(0));
    let sixth = TcpListener::bind(("::1", port)).await.ok();
    for listener in std::iter::once(listener).chain(sixth) {
        let accepted = accepted.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::SeqCst);
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    .await
                    .ok();
            }
        });
    }
    Forbidden { port, accepted }
}

/// Spellings of an address as a host, in every form known to have bypassed a check.
fn spellings(address: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = address.octets();
    let number = u32::from(address);
    let (high, low) = (number >> 16, number & 0xffff);
    vec![
        format!("{a}.{b}.{c}.{d}"),
        format!("{a}.{b}.{c}.{d}."),
        format!("{number}"),
        format!("0x{number:x}"),
        format!("0x{number:X}"),
        format!("0{number:o}"),
        format!("0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("{a}.{b}.{}", number & 0xffff),
        format!("{a}.{}", number & 0xff_ffff),
        format!("{a}.0x{b:x}.0{c:o}.{d}"),
        format!("{a}。{b}。{c}。{d}"),
        format!("{a}．{b}．{c}．{d}"),
        format!(
            "%{:02x}{}.{b}.{c}.{d}",
            a.to_string().as_bytes()[0],
            &a.to_string()[1..]
        ),
        format!("[::ffff:{a}.{b}.{c}.{d}]"),
        format!("[::ffff:{high:x}:{low:x}]"),
        format!("[0:0:0:0:0:ffff:{high:x}:{low:x}]"),
        format!("[::{a}.{b}.{c}.{d}]"),
        format!("[::ffff:0:{high:x}:{low:x}]"),
        format!("[64:ff9b::{high:x}:{low:x}]"),
        format!("[64:ff9b:1::{high:x}:{low:x}]"),
        format!("[2002:{high:x}:{low:x}::1]"),
        format!("[2001:0:{high:x}:{low:x}::1]"),
        format!("good.test@{a}.{b}.{c}.{d}"),
    ]
}

fn targets(port: u16) -> Vec<String> {
    let addresses = [
        "127.0.0.1",
        "169.254.169.254",
        "10.0.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "0.0.0.0",
        "127.255.255.254",
    ];
    let hosts = addresses
        .iter()
        .flat_map(|text| spellings(text.parse().unwrap()));
    let more = [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "localhost.localdomain",
        "ip6-localhost",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[fec0::1]",
        "[fc00::1]",
        "[ff02::1]",
        "metadata.google.internal",
        "metadata",
        "instance-data",
        "127.0.0.1.nip.test",
        "good.test.evil.test",
        "ɢood.test",
    ];
    let hosts: Vec<String> = hosts.chain(more.map(str::to_owned)).collect();
    let mut urls: Vec<String> = hosts
        .iter()
        .map(|host| format!("http://{host}:{port}/"))
        .collect();
    urls.extend([
        format!("http://good.test:{port}@127.0.0.1:{port}/"),
        format!("http://good.test#@127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}\\@good.test/"),
        format!("http://127.0.0.1:{port}#@good.test:{port}/"),
        format!("http:127.0.0.1:{port}/"),
        format!("http:/127.0.0.1:{port}/"),
        format!("http:///127.0.0.1:{port}/"),
        format!("http://\t127.0.0.1:{port}/"),
        format!("HTTP://127.0.0.1:{port}/"),
        format!("https://127.0.0.1:{port}/"),
        format!("ftp://127.0.0.1:{port}/"),
        "file:///etc/passwd".to_owned(),
        format!("gopher://127.0.0.1:{port}/_GET"),
        format!("//127.0.0.1:{port}/"),
        "unix:///run/x.sock".to_owned(),
        format!("http://good.test:{port}/\r\nHost: 127.0.0.1"),
    ]);
    urls
}

async fn ends(node: &Node, urls: &[String]) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for some in urls.chunks(CALLS) {
        let lines: Vec<String> = some.iter().map(|url| url.replace('\n', "%0a")).collect();
        let (status, text) = node.post("/reaches", &[], lines.join("\n")).await;
        assert_eq!(status, 200, "{text}\n{}", node.log());
        all.extend(
            some.iter()
                .cloned()
                .zip(text.split('\n').map(str::to_owned)),
        );
    }
    all
}

#[tokio::test]
async fn ungranted_addresses_are_never_connected() {
    let socket = forbidden().await;
    let port = socket.port;
    let file = format!(
        "{OPEN}[allow]\nhttp = [\"http://good.test:{port}/\", \"http://*.good.test:{port}/\"]\nredirects = 3\n"
    );
    let node = Setup::new()
        .hook("reaches", &guest("reaches"), &file)
        .serving("reaches")
        .await;
    let urls = targets(port);
    assert!(urls.len() >= 150, "{}", urls.len());
    for (url, end) in ends(&node, &urls).await {
        assert!(
            ["denied", "invalid", "unresolved"].contains(&end.as_str()),
            "{url}: {end}"
        );
    }
    assert_eq!(socket.accepted.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn ungranted_addresses_of_names_are_refused() {
    let Some(library) = faults() else { return };
    let socket = forbidden().await;
    let port = socket.port;
    let names = [
        ("loop", "127.0.0.1"),
        ("meta", "169.254.169.254"),
        ("six", "::1"),
        ("mapped", "::ffff:127.0.0.1"),
        ("private", "10.0.0.1"),
        ("cgnat", "100.64.0.1"),
        ("nat64", "64:ff9b::7f00:1"),
        ("sixtofour", "2002:7f00:1::1"),
        ("zero", "0.0.0.0"),
        ("ula", "fd00:ec2::254"),
        ("link", "fe80::1"),
        // First a public address without a server, then loopback: check and connection must use the same DNS answer.
        ("rebinds", "203.0.113.1 127.0.0.1"),
        ("rebinds2", "127.0.0.1 198.51.100.1"),
    ];
    let table: String = names
        .iter()
        .map(|(name, addresses)| format!("{name}.good.test {addresses}\n"))
        .collect();
    let setup = Setup::new();
    let resolver = setup.data().with_file_name("names");
    std::fs::write(&resolver, table).unwrap();
    // A range is no host: what a wildcard covers does not reach a metadata server even so.
    let file = format!(
        "{OPEN}[allow]\nhttp = [\"http://*.good.test:{port}/\", \"http://good.test:{port}/\"]\naddresses = [\"169.254.0.0/16\", \"fd00::/8\"]\n"
    );
    let setup = setup.hook("reaches", &guest("reaches"), &file);
    let setup = setup
        .env("LD_PRELOAD", library.to_str().unwrap())
        .env("RESOLVE", resolver.to_str().unwrap());
    let node = setup.serving("reaches").await;
    let urls: Vec<String> = names
        .iter()
        .flat_map(|(name, _)| (0..3).map(move |_| format!("http://{name}.good.test:{port}/")))
        .collect();
    for (url, end) in ends(&node, &urls).await {
        assert_eq!(end, "denied", "{url}");
    }
    assert_eq!(socket.accepted.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn redirects_reach_only_granted_urls() {
    let socket = forbidden().await;
    let redirects = listener();
    let from: SocketAddr = redirects.local_addr().unwrap();
    assert_eq!(from.ip(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    let port = socket.port;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = redirects.accept().await {
            tokio::spawn(async move {
                let mut head = vec![0; 4096];
                while let Ok(count) = stream.read(&mut head).await {
                    if count == 0 {
                        break;
                    }
                    let text = String::from_utf8_lossy(&head[..count]).into_owned();
                    let path = text
                        .split(' ')
                        .nth(1)
                        .and_then(|path| path.strip_prefix('/'))
                        .unwrap_or_default();
                    let to = path.replace("PORT", &port.to_string());
                    let answer =
                        format!("HTTP/1.1 307 Go\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
                    stream.write_all(answer.as_bytes()).await.ok();
                }
            });
        }
    });
    let file = format!("{OPEN}[allow]\nhttp = [\"http://{from}/\"]\nredirects = 3\n");
    let node = Setup::new()
        .hook("reaches", &guest("reaches"), &file)
        .serving("reaches")
        .await;
    let places = [
        "http://127.0.0.1:PORT/",
        "//127.0.0.1:PORT/",
        "http://localhost:PORT/",
        "http://169.254.169.254/",
        "http://[::1]:PORT/",
        "https://127.0.0.1:PORT/",
        "http://2130706433:PORT/",
    ];
    let urls: Vec<String> = places
        .iter()
        .map(|place| format!("http://{from}/{place}"))
        .collect();
    // The redirecting server may have acted, so the error is not one after which nothing was sent.
    for (url, end) in ends(&node, &urls).await {
        assert_eq!(end, "other", "{url}");
    }
    // One that only leads back is followed so often and no further.
    let round = ends(&node, &[format!("http://{from}//{from}/")]).await;
    assert!(["307", "other"].contains(&round[0].1.as_str()), "{round:?}");
    assert_eq!(socket.accepted.load(Ordering::SeqCst), 0);
}
