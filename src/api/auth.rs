//! Who may do what: bearer tokens and roles.
//!
//! How a token and its hash are made is `api_token`'s; here they are looked up. The answer to a wrong token is the same
//! whatever is wrong with it. A valid token always works, also from an address that sent many wrong ones. Must not log
//! or store a token.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use smol_str::SmolStr;
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;

use super::ApiState;
use super::attempts::Attempts;
use super::browser;
use super::problem::{Kind, Problem};
use crate::api_token::{self, Role};
use crate::core::time::Timestamp;
use crate::runtime::listen::PeerAddr;
use crate::store::tokens::{self, TokenRow};

/// How long a token that was looked up is believed without looking again: one that the command line made void works so
/// long at most.
const REMEMBERED: Duration = Duration::from_secs(1);
/// Tokens that are remembered at most; beyond it the memory is emptied.
const REMEMBERED_MAX: usize = 1_024;
/// The name under which commands are recorded when nobody has to authenticate.
const LOCAL: &str = "local";

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
    /// The secret itself, to derive other keys from.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Takes the store's secret.
    pub const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The hash by which a token is stored.
    pub fn hash(&self, token: &str) -> String {
        api_token::hash(&self.0, token)
    }
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
    remembered: Mutex<BTreeMap<String, LookedUp>>,
    /// Raised by every change of tokens; what was looked up before is not remembered after.
    changes: AtomicU64,
}

/// A token that was looked up and was good.
#[derive(Debug)]
struct LookedUp {
    caller: Caller,
    expires_at: Option<Timestamp>,
    at: Instant,
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
        self.remembered().clear();
    }

    fn recall(&self, hash: &str, now: Timestamp) -> Option<Caller> {
        let remembered = self.remembered();
        let looked_up = remembered.get(hash)?;
        let is_fresh = looked_up.at.elapsed() < REMEMBERED;
        let has_ended = looked_up.expires_at.is_some_and(|end| now >= end);
        (is_fresh && !has_ended).then(|| looked_up.caller.clone())
    }

    fn remember(&self, hash: String, looked_up: LookedUp, seen_changes: u64) {
        let mut remembered = self.remembered();
        if self.changes.load(Ordering::Acquire) != seen_changes {
            return;
        }
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(hash, looked_up);
    }

    fn remembered(&self) -> MutexGuard<'_, BTreeMap<String, LookedUp>> {
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
        let (has, needs) = (caller.role.as_str(), role.as_str());
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
    if !token.starts_with(api_token::PREFIX) || token.len() > 128 {
        return Ok(None);
    }
    let auth = api.auth();
    let hash = auth.setup.key.hash(token);
    if let Some(caller) = auth.recall(&hash, api.now()) {
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
    let looked_up = row.and_then(|row| {
        Some(LookedUp {
            caller: Caller {
                actor: SmolStr::new(&row.name),
                role: row.role.parse().ok()?,
            },
            expires_at: row.expires_at.map(Timestamp::from_millis),
            at: Instant::now(),
        })
    });
    Ok(looked_up.map(|looked_up| {
        let caller = looked_up.caller.clone();
        auth.remember(hash, looked_up, seen_changes);
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
