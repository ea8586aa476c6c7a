//! Who may use the admin API: requests that name this node as their host, come from no foreign web
//! page, and carry a token whose role the route allows.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use super::api::error::error_response;
use super::role::{Caller, Role};
use landfall_model::{Peer, SecretRef, SecretSource};

/// An answer to a wrong token is held back for this long, and its turn with it.
const WRONG_TOKEN_PAUSE: Duration = Duration::from_millis(500);
/// Tokens that are checked at a time, so that at most 16 wrong ones are checked in a second.
const TURNS_MAX: usize = 8;
/// Requests with a token that wait for a turn. Further ones are answered at once, and their token
/// is not compared: the answer is the same for a right one. Fewer than the connections of the
/// listener, so that the probes have some left.
const WAITING_MAX: usize = 40;

/// Checks every request except those for the probes.
#[derive(Clone)]
pub struct Guard {
    token: SecretRef,
    read_token: Option<SecretRef>,
    secrets: Arc<dyn SecretSource>,
    names: Arc<BTreeSet<String>>,
    turns: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    on_refused: OnRefused,
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
            turns: Arc::new(Semaphore::new(TURNS_MAX)),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
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
    pub async fn check_typed(&self, token: &str) -> Result<Role, Refused> {
        // A token that no header can carry counts as missing.
        let value = HeaderValue::from_bytes(format!("Bearer {token}").as_bytes());
        let value = value.unwrap_or(HeaderValue::from_static("Bearer"));
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
        let allowed = self.check_token_in_turn(&headers).await?;
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

    fn check_sender(&self, request: &Request) -> Result<(), Refused> {
        let host = self.check_host(request)?;
        check_origin(request.headers(), &host)
    }

    /// Makes guessing slow: right and wrong tokens wait for their turn in one queue, and a wrong
    /// one keeps its turn during the pause.
    async fn check_token_in_turn(&self, headers: &HeaderMap) -> Result<Allowed, Refused> {
        let turn = match self.turns.clone().try_acquire_owned() {
            Ok(turn) => turn,
            Err(_) => {
                let _waiting = self.waiting.try_acquire().map_err(|_| {
                    refused(
                        "admin_tokens_pending",
                        StatusCode::TOO_MANY_REQUESTS,
                        "too many requests wait because of wrong admin tokens: this token was not compared".into(),
                        "send it again; `landfall explain` shows which clients send wrong tokens",
                    )
                })?;
                let turn = self.turns.clone().acquire_owned().await;
                turn.expect("the semaphore is never closed")
            }
        };

        let checked = self.check_token(headers);
        if matches!(&checked, Err(why) if why.reason == "admin_token_wrong") {
            // A task of its own: a client that closes its connection does not end the turn.
            let pause = tokio::spawn(async move {
                tokio::time::sleep(WRONG_TOKEN_PAUSE).await;
                drop(turn);
            });
            pause.await.ok();
        }

        checked
    }

    /// A web page whose name was made to resolve to this node (DNS rebinding) sends that name as
    /// the host.
    fn check_host(&self, request: &Request) -> Result<String, Refused> {
        let header = request
            .headers()
            .get(header::HOST)
            .and_then(|value| value.to_str().ok());
        let host = header
            .or_else(|| {
                request
                    .uri()
                    .authority()
                    .map(|authority| authority.as_str())
            })
            .unwrap_or_default();
        let host = host.to_ascii_lowercase();
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

    fn require(self, wanted: Role) -> Result<Allowed, Refused> {
        if self.role >= wanted {
            return Ok(self);
        }

        Err(refused(
            "admin_role_missing",
            StatusCode::FORBIDDEN,
            "this token may read, and this request changes something".into(),
            "send the token of admin.token; that of admin.read_token only reads",
        ))
    }
}

/// Passes a request on whose token has this role, and answers any other with the reason.
pub(crate) async fn guard(
    State((guard, role)): State<(Guard, Role)>,
    mut request: Request,
    next: Next,
) -> Response {
    let checked = match guard.check_sender(&request) {
        Ok(()) => guard.check_token_in_turn(request.headers()).await,
        Err(why) => Err(why),
    };
    let checked = checked.and_then(|allowed| allowed.require(role));
    let checked = checked.and_then(|allowed| {
        check_content_type(request.method(), request.headers()).map(|()| allowed)
    });
    let client = request
        .extensions()
        .get::<Peer>()
        .map(|Peer(peer)| peer.ip().to_canonical());
    let why = match checked {
        Ok(Allowed { role, digest }) => {
            let caller = Caller::new(role, &digest, client);
            request.extensions_mut().insert(caller);
            return next.run(request).await;
        }
        Err(why) => Refused { client, ..why },
    };

    let mut response = error_response(why.status, why.detail.clone(), Some(why.hint.to_owned()));
    if why.status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(
            header::WWW_AUTHENTICATE,
            header::HeaderValue::from_static("Bearer"),
        );
    }

    (guard.on_refused)(why);
    response
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
fn check_content_type(method: &Method, headers: &HeaderMap) -> Result<(), Refused> {
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
    if *method == Method::GET || !has_body || essence.eq_ignore_ascii_case("application/json") {
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
