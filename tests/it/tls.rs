//! Calls out over TLS: an authority that the machine does not trust is refused, one that it trusts is not. The server and
//! the certificates are openssl's.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use landfall_tests::ports::free_port;
use landfall_tests::require::missing;
use landfall_tests::{Postgres, Setup, eventually, guest, landfall};

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn openssl(dir: &Path, args: &str) {
    let output = Command::new("openssl")
        .args(args.split(' '))
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{args}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn certificates(dir: &Path) {
    openssl(
        dir,
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=authority -days 2",
    );
    openssl(
        dir,
        "req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=localhost",
    );
    std::fs::write(
        dir.join("more"),
        "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n",
    )
    .unwrap();
    openssl(
        dir,
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 \
         -extfile more",
    );
}

#[tokio::test]
async fn only_trusted_certificates_are_talked_to() {
    if Command::new("openssl").arg("version").output().is_err() {
        missing("openssl is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let args = [
        "s_server", "-accept", &address, "-cert", "cert.pem", "-key", "key.pem", "-www", "-quiet",
    ];
    let mut command = Command::new("openssl");
    command
        .args(args)
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _server = Server(command.spawn().unwrap());
    eventually("openssl listens", || async {
        std::net::TcpStream::connect(&address).ok()
    })
    .await;
    let mut send = Command::new(landfall());
    send.args([
        "send",
        "github",
        "--to",
        &format!("https://localhost:{port}/"),
        "--secret",
        "env:GITHUB_SECRET",
    ]);
    let sent = send.env("GITHUB_SECRET", "a secret").output().unwrap();
    let said = String::from_utf8_lossy(&sent.stderr).into_owned();
    assert!(
        !sent.status.success() && said.contains("set SSL_CERT_FILE to that certificate"),
        "{said}"
    );

    let hook = |host: &str| {
        let url = format!("https://{host}:{port}/");
        format!(
            "[verify]\nscheme = \"none\"\n[settings]\nurl = \"{url}\"\n\
             [allow]\nhttp = [\"{url}\"]\naddresses = [\"127.0.0.1\", \"::1\"]\n"
        )
    };
    let ask = async |host: &str, roots: &str| {
        let setup = Setup::new().hook("calls", &guest("calls"), &hook(host));
        let node = setup
            .env("SSL_CERT_FILE", roots)
            .env("SSL_CERT_DIR", "/nonexistent")
            .serving("calls")
            .await;
        node.post("/calls", &[], "{}").await.1
    };
    let authority = dir.path().join("ca.pem");
    let trusted = ask("localhost", authority.to_str().unwrap()).await;
    assert!(trusted.contains("\"status\":200"), "{trusted}");
    let other_name = ask("127.0.0.1", authority.to_str().unwrap()).await;
    assert!(other_name.contains("\"error\":\"tls\""), "{other_name}");
    certificates(dir.path());
    let untrusted = ask("localhost", authority.to_str().unwrap()).await;
    assert!(untrusted.contains("\"error\":\"tls\""), "{untrusted}");
}

/// Real handshakes with a PostgreSQL server whose certificate is for `localhost` alone and issued by a CA that only the test knows.
#[tokio::test(flavor = "multi_thread")]
async fn ledger_certificates_are_checked() {
    if Command::new("openssl").arg("version").output().is_err() {
        missing("openssl is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let Some(server) =
        Postgres::with_tls(&dir.path().join("cert.pem"), &dir.path().join("key.pem"))
    else {
        return;
    };
    let database = server.database();
    let ca = dir
        .path()
        .join("ca.pem")
        .display()
        .to_string()
        .replace('/', "%2F");
    let setup = |host: &str, options: &str| {
        let url = database.replace("127.0.0.1", host) + options;
        let file = "mode = \"async\"\n[verify]\nscheme = \"none\"\n";
        Setup::new()
            .hook("hook", &guest("answers_one"), file)
            .env("LANDFALL_LEDGER_URL", &url)
    };
    for (host, options) in [
        (
            "localhost",
            format!("?sslmode=verify-full&sslrootcert={ca}"),
        ),
        ("localhost", format!("?sslmode=require&sslrootcert={ca}")),
        ("127.0.0.1", format!("?sslmode=verify-ca&sslrootcert={ca}")),
    ] {
        let node = setup(host, &options).serving("hook").await;
        assert_eq!(
            node.post("/hook", &[], "{}").await.0,
            202,
            "{host}{options}"
        );
        let encrypted = "SELECT count(*) > 0 AND bool_and(s.ssl) FROM pg_stat_ssl s JOIN pg_stat_activity USING (pid)
             WHERE application_name = 'landfall'";
        assert_eq!(server.sql("postgres", encrypted), "t", "{host}{options}");
    }
    for (host, options, why) in [
        (
            "127.0.0.1",
            format!("?sslmode=verify-full&sslrootcert={ca}"),
            "not valid for name",
        ),
        (
            "localhost",
            "?sslmode=verify-full".to_owned(),
            "UnknownIssuer",
        ),
        (
            "localhost",
            "?sslmode=require".to_owned(),
            "sslrootcert=PATH in the URL",
        ),
    ] {
        let said = setup(host, &options).refusal().await;
        assert!(said.contains(why), "{host}{options}: {said}");
    }

    let Some(plain) = Postgres::shared() else {
        return;
    };
    let file = "[verify]\nscheme = \"none\"\n";
    let url = plain.database() + "?sslmode=require";
    let said = Setup::new()
        .hook("hook", &guest("answers_one"), file)
        .env("LANDFALL_LEDGER_URL", &url)
        .refusal()
        .await;
    assert!(
        said.contains("the server does not support TLS") || said.contains("add sslmode=disable"),
        "{said}"
    );
}
