//! The client against real sockets on loopback: what is refused must not connect.

mod addresses;
mod credentials;
mod given;
mod placeholders;
mod redirects;
mod responses;
mod secret_paths;

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use landfall_model::{Allow, Secret, SecretError, SecretRef};

struct OneSecret;

impl SecretSource for OneSecret {
    fn value(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
        match reference {
            SecretRef::Env(name) if name == "GONE" => Err(SecretError::NotSet(name.clone())),
            _ => Ok(Secret::new("t0ken-of-some-length")),
        }
    }
}

fn client(http: &[String], addresses: &[&str]) -> Client {
    with_credentials(http, addresses, Vec::new())
}

fn with_credentials(http: &[String], addresses: &[&str], credentials: Vec<Credential>) -> Client {
    let allow = Allow {
        http: http.iter().map(|prefix| prefix.parse().unwrap()).collect(),
        addresses: addresses
            .iter()
            .map(|range| range.parse().unwrap())
            .collect(),
        ..Allow::default()
    };
    Client::new(
        Policy::new(allow),
        credentials,
        Arc::new(OneSecret),
        Clock::System,
    )
}

fn get(url: &str) -> Outgoing {
    Outgoing {
        method: "GET".into(),
        url: url.into(),
        headers: Vec::new(),
        body: Bytes::new(),
        timeout: Duration::from_secs(2),
        untrusted: None,
        memory: None,
    }
}

/// A server for one connection: gives `response`, returns the request it read.
async fn server(response: &'static str) -> (u16, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = vec![0; 4096];
        let count = stream.read(&mut bytes).await.unwrap();
        stream.write_all(response.as_bytes()).await.unwrap();
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    });
    (port, task)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-a: 1\r\n\r\nhi";

fn secret(name: &str) -> SecretRef {
    format!("env:{name}").parse().unwrap()
}
