//! Who is logged in. A session is in memory only: after a restart, operators log in again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use landfall_admin::Role;
use landfall_model::lock;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The most sessions. A further login ends the session that was unused for longest.
const SESSIONS_MAX: usize = 64;
/// A session ends after this time, whether it is used or not.
pub(crate) const LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// A session ends when it was not used for this long.
const IDLE_MAX: Duration = Duration::from_secs(2 * 3600);
const COOKIE: &str = "landfall_session";
const SECRET_BYTES: usize = 32;

/// The sessions by the digest of their secret: the memory has no secret that a cookie could carry.
#[derive(Default)]
pub(crate) struct Sessions {
    open: Mutex<HashMap<[u8; 32], OpenSession>>,
}

struct OpenSession {
    csrf: Arc<str>,
    opened: Instant,
    used: Instant,
    /// The SHA-256 of the admin token at the login: another token ends the session.
    token: [u8; 32],
    /// What the next page tells about the last form.
    notice: String,
}

/// A session of a request.
#[derive(Clone)]
pub(crate) struct Session {
    id: [u8; 32],
    /// What each form of the session carries.
    pub(crate) csrf: Arc<str>,
    /// What the token of the session allows now.
    pub(crate) role: Role,
    /// The SHA-256 of that token.
    pub(crate) token: [u8; 32],
}

/// The system has no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("no session can be made: the system has no random numbers")]
pub(crate) struct NoRandom;

// === impl Sessions ===

impl Sessions {
    /// Opens a session. Returns the value of its cookie.
    pub(crate) fn open(&self, token: &str, now: Instant) -> Result<String, NoRandom> {
        let secret = random()?;
        let session = OpenSession {
            csrf: random()?.into(),
            opened: now,
            used: now,
            token: digest(token),
            notice: String::new(),
        };

        let mut open = lock(&self.open);
        open.retain(|_, session| session.is_valid(now));
        if open.len() >= SESSIONS_MAX {
            let oldest = open.iter().min_by_key(|(_, session)| session.used);
            if let Some(id) = oldest.map(|(id, _)| *id) {
                open.remove(&id);
            }
        }
        open.insert(digest(&secret), session);
        Ok(secret)
    }

    /// The session of a request. `role_of` says what a token allows now, by its SHA-256.
    pub(crate) fn find(
        &self,
        headers: &HeaderMap,
        role_of: impl Fn(&[u8; 32]) -> Option<Role>,
        now: Instant,
    ) -> Option<Session> {
        let id = digest(cookie(headers)?);
        let mut open = lock(&self.open);
        let session = open.get_mut(&id)?;
        let role = role_of(&session.token).filter(|_| session.is_valid(now));
        let Some(role) = role else {
            open.remove(&id);
            return None;
        };

        session.used = now;
        Some(Session {
            id,
            csrf: session.csrf.clone(),
            role,
            token: session.token,
        })
    }

    /// Whether a session is still open. Does not count as use.
    pub(crate) fn is_open(&self, session: &Session, now: Instant) -> bool {
        let open = lock(&self.open);
        open.get(&session.id).is_some_and(|open| open.is_valid(now))
    }

    /// The next page of the session shows this text once.
    pub(crate) fn notify(&self, session: &Session, notice: String) {
        if let Some(open) = lock(&self.open).get_mut(&session.id) {
            open.notice = notice;
        }
    }

    /// The text for the next page; empty if there is none.
    pub(crate) fn take_notice(&self, session: &Session) -> String {
        let mut open = lock(&self.open);
        let session = open.get_mut(&session.id);
        session.map_or_else(String::new, |open| std::mem::take(&mut open.notice))
    }

    /// Ends a session.
    pub(crate) fn close(&self, session: &Session) {
        lock(&self.open).remove(&session.id);
    }
}

// === impl OpenSession ===

impl OpenSession {
    fn is_valid(&self, now: Instant) -> bool {
        now.duration_since(self.opened) < LIFETIME && now.duration_since(self.used) < IDLE_MAX
    }
}

// === impl Session ===

impl Session {
    /// Whether a form comes from a page of this session.
    pub(crate) fn is_own_form(&self, csrf: &str) -> bool {
        self.csrf.as_bytes().ct_eq(csrf.as_bytes()).into()
    }

    /// Whether its forms may change something.
    pub(crate) fn may_change(&self) -> bool {
        self.role == Role::Operate
    }
}

/// The header that sets the cookie. `is_secure`: the browser came by HTTPS.
pub(crate) fn set_cookie(secret: &str, is_secure: bool) -> String {
    let seconds = if secret.is_empty() {
        0
    } else {
        LIFETIME.as_secs()
    };
    let secure = if is_secure { "; Secure" } else { "" };
    format!("{COOKIE}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

fn random() -> Result<String, NoRandom> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(|_| NoRandom)?;
    Ok(hex::encode(bytes))
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "token";

    fn role_of(token: &[u8; 32]) -> Option<Role> {
        (*token == digest(TOKEN)).then_some(Role::Operate)
    }

    fn headers(secret: &str) -> HeaderMap {
        let value = format!("other=1; {COOKIE}={secret}");
        HeaderMap::from_iter([(header::COOKIE, value.parse().unwrap())])
    }

    #[test]
    fn sessions_end_in_time() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let secret = sessions.open(TOKEN, start).unwrap();
        let find = |after: Duration| {
            sessions
                .find(&headers(&secret), role_of, start + after)
                .is_some()
        };
        assert!(find(Duration::ZERO));
        for hours in 1..12 {
            assert!(find(Duration::from_secs(hours * 3600)), "{hours}");
        }
        assert!(!find(LIFETIME));

        let idle = sessions.open(TOKEN, start).unwrap();
        assert!(
            sessions
                .find(&headers(&idle), role_of, start + IDLE_MAX)
                .is_none()
        );
    }

    #[test]
    fn sessions_have_a_role() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let secret = sessions.open(TOKEN, now).unwrap();
        for (role, may_change) in [(Role::Read, false), (Role::Operate, true)] {
            let found = sessions.find(&headers(&secret), |_| Some(role), now);
            assert_eq!(found.unwrap().may_change(), may_change);
        }
    }

    #[test]
    fn another_token_ends_sessions() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let secret = sessions.open(TOKEN, now).unwrap();
        assert!(sessions.find(&headers(&secret), |_| None, now).is_none());
        assert!(sessions.find(&headers(&secret), role_of, now).is_none());
    }

    #[test]
    fn the_number_of_sessions_is_bounded() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let secrets: Vec<String> = (0..=SESSIONS_MAX as u64)
            .map(|at| {
                sessions
                    .open(TOKEN, start + Duration::from_millis(at))
                    .unwrap()
            })
            .collect();
        let now = start + Duration::from_secs(1);
        assert!(sessions.find(&headers(&secrets[0]), role_of, now).is_none());
        assert!(sessions.find(&headers(&secrets[1]), role_of, now).is_some());
        assert_eq!(lock(&sessions.open).len(), SESSIONS_MAX);
    }

    #[test]
    fn forms_belong_to_one_session() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let [a, b] = [(); 2].map(|()| sessions.open(TOKEN, now).unwrap());
        let [a, b] = [a, b].map(|secret| sessions.find(&headers(&secret), role_of, now).unwrap());
        assert!(a.is_own_form(&a.csrf) && !a.is_own_form(&b.csrf) && !a.is_own_form(""));
        sessions.close(&a);
        assert!(!sessions.is_open(&a, now) && sessions.is_open(&b, now));
    }
}
