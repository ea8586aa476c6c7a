//! Who may use the admin API: requests that name this node as their host, come from no foreign web
//! page, and carry a token. `api::command` asks whether the token may change something.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::allowance::Allowance;
use super::api::error::error_response;
use super::role::{Caller, Role};
use super::turns::Turns;
use landfall_model::{Peer, SecretRef, SecretSource};

/// Headers that a request has at most once. Of two, another reader of the request could take the
/// one that is not checked here.
const SINGLE_HEADERS: [&str; 4] = ["host", "origin", "sec-fetch-site", "authorization"];

/// Checks every request except those for the probes.
#[derive(Clone)]
pub struct Guard {
    token: SecretRef,
    read_token: Option<SecretRef>,
    secrets: Arc<dyn SecretSource>,
    names: Arc<BTreeSet<String>>,
    turns: Arc<Turns>,
    readers: Arc<Allowance>,
    on_refused: OnRefused,
}

/// The token of a request, for answers that go on. An extension of each guarded request.
#[derive(Clone)]
pub(crate) struct PresentedToken {
    guard: Guard,
    digest: [u8; 32],
}

/// Called with every request that is refused.
pub(crate) type OnRefused = Arc<dyn Fn(Refused) + Send + Sync>;

/// A refused request to the admin API.
#[derive(Debug)]
pub struct Refused {
    /// One word, for records and counters.
    pub reason: &'static str,
    /// The status of the answer.
    pub status: StatusCode,
    /// How the request differs from what was expected. Never holds a token.
    pub detail: String,
    /// What to do.
    pub hint: &'static str,
    /// The other end of the connection.
    pub client: Option<IpAddr>,
}

// === impl Guard ===

impl Guard {
    /// `token` may read and change, `read_token` may only read. `names` are host names of this node
    /// beside `localhost`, in lower case.
    pub fn new(
        token: SecretRef,
        read_token: Option<SecretRef>,
        secrets: Arc<dyn SecretSource>,
        names: impl IntoIterator<Item = String>,
        on_refused: OnRefused,
    ) -> Guard {
        let names = names.into_iter().chain(["localhost".to_owned()]).collect();
        Guard {
            token,
            read_token,
            secrets,
            names: Arc::new(names),
            turns: Arc::new(Turns::new()),
            readers: Arc::default(),
            on_refused,
        }
    }

    /// For a page: refuses a foreign host, and a form of another origin. A link from another site
    /// may lead to a page, which changes nothing.
    pub fn check_page(&self, request: &Request) -> Result<(), Refused> {
        let host = self.check_host(request)?;
        if request.method().is_safe() {
            return Ok(());
        }

        check_origin(request.headers(), &host)
    }

    /// Checks a token that was typed into a form, as slowly as one in a header.
    pub async fn check_typed(&self, token: &str, client: Option<IpAddr>) -> Result<Role, Refused> {
        // A token that no header can carry counts as missing.
        let value = HeaderValue::from_bytes(format!("Bearer {token}").as_bytes());
        let value = value.unwrap_or(HeaderValue::from_static("Bearer"));
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
        let allowed = self.check_token_in_turn(&headers, client).await?;
        Ok(allowed.role)
    }

    /// What the token with this SHA-256 allows now. `None`: it is no token any more.
    pub fn role_of_digest(&self, digest: &[u8; 32]) -> Option<Role> {
        let is_present = |token: &SecretRef| {
            self.secrets.value(token).is_ok_and(|secret| {
                let present: [u8; 32] = Sha256::digest(secret.expose()).into();
                present[..].ct_eq(&digest[..]).into()
            })
        };
        if is_present(&self.token) {
            return Some(Role::Operate);
        }
        self.read_token
            .as_ref()
            .filter(|token| is_present(token))
            .map(|_| Role::Read)
    }

    /// Records a refused request of a page.
    pub fn report(&self, refused: Refused, client: Option<IpAddr>) {
        (self.on_refused)(Refused { client, ..refused });
    }

    /// Records a refused form of a session that may only read.
    pub fn report_reader(&self, caller: &Caller) {
        self.report(role_missing(), caller.address);
    }

    /// The answer to a refused request, which is recorded.
    pub(crate) fn refuse(&self, refused: Refused, client: Option<IpAddr>) -> Response {
        let hint = Some(refused.hint.to_owned());
        let mut response = error_response(refused.status, refused.detail.clone(), hint);
        if refused.status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, bearer);
        }

        self.report(refused, client);
        response
    }

    /// Whether the audit record keeps a further refused command of a reader.
    pub(crate) fn records_reader(&self) -> bool {
        self.readers.take(Instant::now())
    }

    fn check_sender(&self, request: &Request) -> Result<(), Refused> {
        let host = self.check_host(request)?;
        check_origin(request.headers(), &host)
    }

    /// Makes guessing slow: right and wrong tokens of a client wait for their turn in one queue,
    /// and a wrong one keeps its turn for a while.
    async fn check_token_in_turn(
        &self,
        headers: &HeaderMap,
        client: Option<IpAddr>,
    ) -> Result<Allowed, Refused> {
        let turn = self.turns.take(client).await.ok_or_else(|| {
            refused(
                "admin_tokens_pending",
                StatusCode::TOO_MANY_REQUESTS,
                "too many requests of this client wait because of wrong admin tokens: this token was not compared".into(),
                "send it again; `landfall explain` shows which clients send wrong tokens",
            )
        })?;

        let checked = self.check_token(headers);
        if matches!(&checked, Err(why) if why.reason == "admin_token_wrong") {
            self.turns.keep(turn).await;
        }

        checked
    }

    /// The host of the request, in lower case. A web page whose name was made to resolve to this
    /// node (DNS rebinding) sends that name as the host.
    fn check_host(&self, request: &Request) -> Result<String, Refused> {
        check_single_headers(request.headers())?;
        let host = host_of(request)?;
        let name = name_of(&host);
        if is_address(name) || self.names.contains(name) {
            return Ok(host);
        }

        Err(refused(
            "admin_host_unknown",
            StatusCode::MISDIRECTED_REQUEST,
            format!("the host `{}` is no name of this node", host.escape_debug()),
            "use an IP address or localhost, or list the name in admin.hosts",
        ))
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<Allowed, Refused> {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        let secret = self.secrets.value(&self.token).map_err(|error| {
            refused(
                "admin_token_unreadable",
                StatusCode::SERVICE_UNAVAILABLE,
                format!("the admin token cannot be read: {error}"),
                "give admin.token a value, or remove the setting and start the node again: it \
                 then makes a token",
            )
        })?;
        match given {
            Some(given) if same(secret.expose(), given) => Ok(Allowed::of(Role::Operate, given)),
            Some(given) if self.may_read(given) => Ok(Allowed::of(Role::Read, given)),
            Some(_) => Err(refused(
                "admin_token_wrong",
                StatusCode::UNAUTHORIZED,
                "the admin token is wrong".into(),
                "send the value of admin.token, or of the file `admin-token` in the data directory",
            )),
            None => Err(refused(
                "admin_token_missing",
                StatusCode::UNAUTHORIZED,
                "the request has no admin token".into(),
                "send `Authorization: Bearer TOKEN` with the value of admin.token, or of the file \
                 `admin-token` in the data directory",
            )),
        }
    }

    /// Whether this is the token that may only read. One that has no value now allows nothing.
    fn may_read(&self, given: &[u8]) -> bool {
        let secret = self
            .read_token
            .as_ref()
            .and_then(|token| self.secrets.value(token).ok());
        secret.is_some_and(|secret| same(secret.expose(), given))
    }
}

/// The role of a token, and its digest.
struct Allowed {
    role: Role,
    digest: [u8; 32],
}

// === impl Allowed ===

impl Allowed {
    fn of(role: Role, token: &[u8]) -> Allowed {
        Allowed {
            role,
            digest: Sha256::digest(token).into(),
        }
    }
}

// === impl PresentedToken ===

impl PresentedToken {
    /// Whether the token is still one of this node.
    pub(crate) fn is_valid(&self) -> bool {
        self.guard.role_of_digest(&self.digest).is_some()
    }
}

/// Passes on a request with a token of this node, and answers any other with the reason.
pub(crate) async fn authenticate(
    State(guard): State<Guard>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<Peer>();
    let client = peer.map(|Peer(peer)| peer.ip().to_canonical());
    let checked = match guard.check_sender(&request) {
        Ok(()) => guard.check_token_in_turn(request.headers(), client).await,
        Err(why) => Err(why),
    };
    let Allowed { role, digest } = match checked {
        Ok(allowed) => allowed,
        Err(why) => return guard.refuse(why, client),
    };

    let extensions = request.extensions_mut();
    extensions.insert(Caller::new(role, &digest, client));
    extensions.insert(PresentedToken { guard, digest });
    next.run(request).await
}

/// Requires a token that may change something, and JSON.
pub(crate) fn check_command(caller: &Caller, headers: &HeaderMap) -> Result<(), Refused> {
    if caller.may_change() {
        check_content_type(headers)
    } else {
        Err(role_missing())
    }
}

fn role_missing() -> Refused {
    refused(
        "admin_role_missing",
        StatusCode::FORBIDDEN,
        "this token may read, and this request changes something".into(),
        "send the token of admin.token; that of admin.read_token only reads",
    )
}

fn check_single_headers(headers: &HeaderMap) -> Result<(), Refused> {
    let repeated = SINGLE_HEADERS
        .into_iter()
        .find(|name| headers.get_all(*name).iter().nth(1).is_some());
    let Some(name) = repeated else {
        return Ok(());
    };

    Err(refused(
        "admin_header_repeated",
        StatusCode::BAD_REQUEST,
        format!("the request has more than one header `{name}`"),
        "send it once",
    ))
}

/// The host that the request names, in lower case. A target with another host is refused.
fn host_of(request: &Request) -> Result<String, Refused> {
    let header = request.headers().get(header::HOST);
    let header = header.map(|host| String::from_utf8_lossy(host.as_bytes()).to_ascii_lowercase());
    let target = request.uri().authority();
    let target = target.map(|authority| authority.as_str().to_ascii_lowercase());
    match (header, target) {
        (Some(header), Some(target)) if header != target => Err(refused(
            "admin_host_conflict",
            StatusCode::BAD_REQUEST,
            "the target of the request names another host than its header `host`".into(),
            "send only the path as the target",
        )),
        (header, target) => Ok(header.or(target).unwrap_or_default()),
    }
}

fn foreign(what: String) -> Refused {
    refused(
        "admin_origin_foreign",
        StatusCode::FORBIDDEN,
        what,
        "the admin API answers no other web page: use the command line, or a page of this node",
    )
}

/// Refuses requests that a browser sends from a page of another origin.
fn check_origin(headers: &HeaderMap, host: &str) -> Result<(), Refused> {
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = String::from_utf8_lossy(origin.as_bytes()).to_ascii_lowercase();
        let is_own = ["http://", "https://"]
            .iter()
            .any(|scheme| origin.strip_prefix(scheme) == Some(host));
        if !is_own {
            return Err(foreign(format!(
                "the request comes from a page of `{}`",
                origin.escape_debug()
            )));
        }
    }

    match headers.get("sec-fetch-site").map(|value| value.as_bytes()) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(foreign(
            "the request comes from a page of another site".into(),
        )),
    }
}

/// Requires JSON: an HTML form of a foreign page can send any text, but not with this content type.
fn check_content_type(headers: &HeaderMap) -> Result<(), Refused> {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .map(|value| value.as_bytes());
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || length.is_some_and(|length| length != b"0");
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if !has_body || essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }

    Err(refused(
        "admin_content_type",
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        format!(
            "the content type is `{}`, not application/json",
            given.escape_debug()
        ),
        "send `Content-Type: application/json`",
    ))
}

fn refused(
    reason: &'static str,
    status: StatusCode,
    detail: String,
    hint: &'static str,
) -> Refused {
    Refused {
        reason,
        status,
        detail,
        hint,
        client: None,
    }
}

/// The host without its port. A text after the last colon that is not a port belongs to the host,
/// so that `127.0.0.1:1@evil` is not taken for an address.
fn name_of(host: &str) -> &str {
    let after_address = host.rfind(']').map_or(0, |end| end + 1);
    let port = host[after_address..].rsplit_once(':');
    match port {
        Some((_, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            &host[..host.len() - port.len() - 1]
        }
        _ => host,
    }
}

fn is_address(name: &str) -> bool {
    let bare = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(name);
    bare.parse::<IpAddr>().is_ok() || name.parse::<SocketAddr>().is_ok()
}

fn same(secret: &[u8], given: &[u8]) -> bool {
    Sha256::digest(secret).ct_eq(&Sha256::digest(given)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_without_ports() {
        for (host, name, is_own) in [
            ("127.0.0.1:8081", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("[::1]:8081", "[::1]", true),
            ("[::1]", "[::1]", true),
            ("localhost:8081", "localhost", false),
            (
                "127.0.0.1.evil.example:8081",
                "127.0.0.1.evil.example",
                false,
            ),
            ("127.0.0.1:1@evil", "127.0.0.1:1@evil", false),
            ("127.0.0.1:80@evil:80", "127.0.0.1:80@evil", false),
            ("evil@127.0.0.1:80", "evil@127.0.0.1", false),
            ("[::1]:80@evil", "[::1]:80@evil", false),
            ("", "", false),
        ] {
            assert_eq!(
                (name_of(host), is_address(name_of(host))),
                (name, is_own),
                "{host}"
            );
        }
    }

    #[test]
    fn hosts_must_be_unambiguous() {
        for (target, hosts, host) in [
            ("/a", &["LOCALHOST:1"][..], Some("localhost:1")),
            ("/a", &[], Some("")),
            (
                "http://localhost:1/a",
                &["localhost:1"],
                Some("localhost:1"),
            ),
            ("http://Localhost/a", &["localhost"], Some("localhost")),
            ("http://localhost/a", &[], Some("localhost")),
            ("http://evil.example/a", &["localhost"], None),
            ("http://localhost/a", &["evil.example"], None),
            ("http://localhost/a", &["\u{e9}"], None),
            ("/a", &["localhost", "localhost"], None),
        ] {
            let mut request = Request::new(axum::body::Body::empty());
            *request.uri_mut() = target.parse().unwrap();
            for host in hosts {
                let value = HeaderValue::from_bytes(host.as_bytes()).unwrap();
                request.headers_mut().append(header::HOST, value);
            }
            let single = check_single_headers(request.headers());
            let found = single.and_then(|()| host_of(&request)).ok();
            assert_eq!(found.as_deref(), host, "{target} {hosts:?}");
        }
    }

    #[test]
    fn foreign_origins_are_recognised() {
        let check = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect();
            check_origin(&headers, "127.0.0.1:8081").is_ok()
        };
        assert!(check(&[]));
        assert!(check(&[
            ("origin", "http://127.0.0.1:8081"),
            ("sec-fetch-site", "same-origin")
        ]));
        assert!(check(&[("sec-fetch-site", "none")]));
        for origin in [
            "null",
            "http://127.0.0.1:8082",
            "http://127.0.0.1",
            "https://evil.example",
            "",
        ] {
            assert!(!check(&[("origin", origin)]), "{origin}");
        }
        for site in ["cross-site", "same-site", ""] {
            assert!(!check(&[("sec-fetch-site", site)]), "{site}");
        }
    }
}
