//! Who may use the admin API: requests that name this node as their host, come from no foreign web
//! page (`sender`), and carry a token. `command_head` asks whether the token may change something.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::allowance::Allowance;
use super::api::error::error_response;
use super::refused::{OnRefused, Refused, refused, role_missing};
use super::role::{Caller, Role};
use super::sender::{check_origin, check_single_headers, host_of, is_address, name_of};
use super::turns::Turns;
use landfall_model::{SecretRef, SecretSource};

/// Checks every request except those for the probes.
#[derive(Clone)]
pub struct Guard {
    token: SecretRef,
    read_token: Option<SecretRef>,
    secrets: Arc<dyn SecretSource>,
    names: Arc<BTreeSet<String>>,
    turns: Arc<Turns>,
    readers: Arc<Allowance>,
    foreign: Arc<Allowance>,
    on_refused: OnRefused,
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
            foreign: Arc::default(),
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

    /// Whether the audit record keeps a further command of a refused sender.
    pub(crate) fn records_foreign(&self) -> bool {
        self.foreign.take(Instant::now())
    }

    pub(crate) fn check_sender(&self, request: &Request) -> Result<(), Refused> {
        let host = self.check_host(request)?;
        check_origin(request.headers(), &host)
    }

    /// Makes guessing slow: right and wrong tokens of a client wait for their turn in one queue,
    /// and a wrong one keeps its turn for a while.
    pub(crate) async fn check_token_in_turn(
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
pub(crate) struct Allowed {
    pub(crate) role: Role,
    pub(crate) digest: [u8; 32],
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

fn same(secret: &[u8], given: &[u8]) -> bool {
    Sha256::digest(secret).ct_eq(&Sha256::digest(given)).into()
}
