//! Who may do what: bearer tokens and roles.
//!
//! A token is 32 random bytes; the store holds a keyed hash of it, so that a copy of the database opens nothing. The
//! answer to a wrong token is the same whatever is wrong with it. A valid token always works, also from an address
//! that sent many wrong ones. Must not log or store a token.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use smol_str::SmolStr;
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;

use super::ApiState;
use super::attempts::Attempts;
use super::browser;
use super::problem::{Kind, Problem};
use crate::core::time::Timestamp;
use crate::runtime::listen::PeerAddr;
use crate::store::tokens::{self, TokenRow};

/// How every token begins, so that it is recognised when it leaks.
const PREFIX: &str = "wbt_";
/// How long a token that was looked up is believed without looking again.
const REMEMBERED: Duration = Duration::from_secs(10);
/// Tokens that are remembered at most; beyond it the memory is emptied.
const REMEMBERED_MAX: usize = 1_024;
/// The name under which commands are recorded when nobody has to authenticate.
const LOCAL: &str = "local";

/// What a token is good for; each role may do all that the one before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads everything but tokens.
    Viewer,
    /// Works on incidents.
    Responder,
    /// Everything.
    Admin,
}

impl Role {
    /// Every role, least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Responder, Self::Admin];

    /// The word used in API, store and command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Responder => "responder",
            Self::Admin => "admin",
        }
    }

    /// Reads a role's word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// The one who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The token's name; it is recorded with what they do.
    pub actor: SmolStr,
    /// What they may do.
    pub role: Role,
}

/// The secret under which tokens are hashed.
#[derive(Clone)]
pub struct TokenKey([u8; 32]);

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey(..)")
    }
}

impl TokenKey {
    /// Takes the store's secret.
    pub const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The hash by which a token is stored, as lower-case hex.
    pub fn hash(&self, token: &str) -> String {
        // HMAC pads a short key with zeros to its block of 64 bytes (RFC 2104); done here it cannot fail.
        let mut block = [0_u8; 64];
        for (place, byte) in block.iter_mut().zip(self.0) {
            *place = byte;
        }
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(token.as_bytes());
        let hash = mac.finalize().into_bytes();
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The text of a token made of 32 random bytes.
pub fn token_text(random: [u8; 32]) -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random))
}

/// The public id of a token made of other random bytes.
pub fn token_id(random: [u8; 32]) -> String {
    let hex: String = random
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("tok-{hex}")
}

/// Whether a token's record is good at that time.
pub fn is_valid(token: &TokenRow, now: Timestamp) -> bool {
    token.revoked_at.is_none() && token.expires_at.is_none_or(|end| now.as_millis() < end)
}

/// Randomness for tokens, from the shell.
pub type Entropy = Arc<dyn Fn() -> Result<[u8; 32], String> + Send + Sync>;

/// What authentication needs from the shell.
#[derive(Clone, Debug)]
pub struct AuthSetup {
    /// Whether everybody is an administrator; only for listeners that other machines cannot reach.
    pub is_open: bool,
    /// Whether `/metrics` needs no token.
    pub is_metrics_open: bool,
    /// The secret under which tokens are hashed.
    pub key: TokenKey,
}

/// What is known about tokens and addresses while the daemon runs.
#[derive(Debug)]
pub struct Auth {
    setup: AuthSetup,
    attempts: Attempts,
    remembered: Mutex<BTreeMap<String, (Caller, Instant)>>,
    /// Raised by every change of tokens; what was looked up before is not remembered after.
    changes: AtomicU64,
}

impl Auth {
    pub(super) fn new(setup: AuthSetup) -> Self {
        Self {
            setup,
            attempts: Attempts::new(),
            remembered: Mutex::default(),
            changes: AtomicU64::new(0),
        }
    }

    pub(super) fn setup(&self) -> &AuthSetup {
        &self.setup
    }

    /// Forgets every token that was looked up, after one was revoked.
    pub(super) fn forget(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn recall(&self, hash: &str) -> Option<Caller> {
        let remembered = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (caller, until) = remembered.get(hash)?;
        (*until > Instant::now()).then(|| caller.clone())
    }

    fn remember(&self, hash: String, caller: Caller, seen_changes: u64, time: Duration) {
        let mut remembered = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if self.changes.load(Ordering::Acquire) != seen_changes {
            return;
        }
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(hash, (caller, Instant::now() + time));
    }
}

/// Lets a request through when its token has the role.
pub(super) async fn require(
    State((api, role)): State<(ApiState, Role)>,
    mut request: Request,
    next: Next,
) -> Response {
    let checked = if api.auth().setup.is_open {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        browser::refuse_strangers(request.headers(), is_read).map(|()| Caller {
            actor: SmolStr::new_static(LOCAL),
            role: Role::Admin,
        })
    } else {
        let peer = request
            .extensions()
            .get::<PeerAddr>()
            .map(|peer| peer.0.ip());
        let token = bearer(request.headers()).map(str::to_owned);
        check(&api, role, token, peer).await
    };
    match checked {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

async fn check(
    api: &ApiState,
    role: Role,
    token: Option<String>,
    peer: Option<IpAddr>,
) -> Result<Caller, Problem> {
    let token = token.ok_or_else(unauthorized)?;
    let Some(caller) = find(api, &token).await? else {
        api.auth().attempts.count(peer)?;
        return Err(unauthorized());
    };
    if caller.role < role {
        let (has, needs) = (caller.role.word(), role.word());
        let detail = format!("this needs a token with the role {needs}; yours has {has}");
        return Err(Problem::new(Kind::Forbidden, detail).with("role", needs));
    }
    Ok(caller)
}

/// The same for a missing, malformed, unknown, expired or revoked token.
fn unauthorized() -> Problem {
    let detail =
        "send a valid token as `Authorization: Bearer wbt_...`; `watchbell token create` makes one";
    Problem::new(Kind::Unauthorized, detail)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

async fn find(api: &ApiState, token: &str) -> Result<Option<Caller>, Problem> {
    if !token.starts_with(PREFIX) || token.len() > 128 {
        return Ok(None);
    }
    let auth = api.auth();
    let hash = auth.setup.key.hash(token);
    if let Some(caller) = auth.recall(&hash) {
        return Ok(Some(caller));
    }
    let seen_changes = auth.changes.load(Ordering::Acquire);
    let wanted = hash.clone();
    let row = api
        .read(async move |db| tokens::find_by_hash(db.reader().await?.lend(), &wanted).await)
        .await?;
    let now = api.now();
    let row = row.filter(|row| {
        let is_same: bool = row.hash.as_bytes().ct_eq(hash.as_bytes()).into();
        is_same && is_valid(row, now)
    });
    let caller = row.and_then(|row| {
        let caller = Caller {
            actor: SmolStr::new(&row.name),
            role: Role::from_word(&row.role)?,
        };
        let left = row
            .expires_at
            .map(|end| end.saturating_sub(now.as_millis()));
        Some((caller, left))
    });
    Ok(caller.map(|(caller, left_ms)| {
        let left = left_ms
            .and_then(|ms| u64::try_from(ms).ok())
            .map(Duration::from_millis);
        let time = left.map_or(REMEMBERED, |left| left.min(REMEMBERED));
        auth.remember(hash, caller.clone(), seen_changes, time);
        caller
    }))
}

impl FromRequestParts<ApiState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Problem> {
        parts
            .extensions
            .get()
            .cloned()
            .ok_or_else(Problem::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_is_the_keyed_one_of_the_standard() {
        // RFC 4231, test case 2, has a shorter key; padding with zeros is what the standard does with it.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        assert_eq!(
            TokenKey::new(key).hash("what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn token_texts_are_recognised_and_long_enough() {
        let text = token_text([7; 32]);
        assert!(text.starts_with("wbt_") && text.len() == 4 + 43);
        assert_eq!(token_id([0xab; 32]), "tok-abababababab");
    }

    #[test]
    fn roles_are_in_order_of_what_they_may() {
        assert!(Role::ALL.is_sorted());
        for role in Role::ALL {
            assert_eq!(Role::from_word(role.word()), Some(role));
        }
    }
}
