//! The API v2 of Alertmanager, so that Prometheus, amtool, Grafana and karma work unchanged.
//!
//! It belongs to one source: what is posted here is that source's message, and its secret opens every door here; an
//! API token does too, or nothing where none is asked for. Answers, errors included, have Alertmanager's shape, not
//! ours. Must not know more of a silence or an alert than the store shows.
//! Source: prometheus/alertmanager `api/v2/openapi.yaml`, `api/v2/api.go`.

pub mod alerts;
pub mod query;
pub mod shapes;
pub mod silences;
pub mod status;

use std::pin::Pin;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use smol_str::format_smolstr;

use super::ApiState;
use super::auth::{Caller, require};
use super::problem::Problem;
use crate::api_token::Role;
use crate::core::time::Timestamp;

/// Seconds after which a client may try again what failed for a moment.
const RETRY_AFTER_S: u16 = 5;

/// What the shell gives to this API.
#[derive(Clone)]
pub struct Hooks {
    /// When the process started.
    pub started_at: Timestamp,
    /// What the source that owns this API says of a request's headers; `None` when there is no such source.
    pub door: Arc<DoorOpens>,
    /// Takes a `POST` of alerts whose sender was checked.
    pub take: Arc<dyn Fn(Request) -> TakeFuture + Send + Sync>,
}

/// Looks at the headers of a request.
pub type DoorOpens = dyn Fn(&HeaderMap) -> Option<Pass> + Send + Sync;
/// The answer to posted alerts.
pub type TakeFuture = Pin<Box<dyn Future<Output = Response> + Send>>;

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

/// What the owning source says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pass {
    /// It has no secret: whoever may use our API may use this one.
    Unguarded,
    /// It has a secret and the request does not know it.
    Refused,
    /// It asks for no secret but for signed messages: those are checked when they are taken.
    Signed,
    /// The request knows the secret of the source of that name.
    Opened(String),
}

/// The routes, in the order of Alertmanager's document.
pub fn router(state: &ApiState) -> Router<ApiState> {
    let viewer = Router::new()
        .route("/api/v2/status", get(status::status).fallback(wrong_method))
        .route(
            "/api/v2/receivers",
            get(status::receivers).fallback(wrong_method),
        )
        .route(
            "/api/v2/alerts/groups",
            get(alerts::groups).fallback(wrong_method),
        )
        .route_layer(from_fn_with_state((state.clone(), Wants::Reading), gate));
    let both = Router::new()
        .route(
            "/api/v2/alerts",
            get(alerts::list).post(take).fallback(wrong_method),
        )
        .route(
            "/api/v2/silences",
            get(silences::list)
                .post(silences::put)
                .fallback(wrong_method),
        )
        .route(
            "/api/v2/silence/{id}",
            get(silences::get)
                .delete(silences::expire)
                .fallback(wrong_method),
        )
        .route_layer(from_fn_with_state((state.clone(), Wants::ByMethod), gate));
    Router::new()
        .merge(viewer)
        .merge(both)
        .route("/api/v2", get(unknown).fallback(unknown))
        .route("/api/v2/{*path}", get(unknown).fallback(unknown))
        .route("/-/healthy", get(healthy).fallback(wrong_method))
        .route("/-/ready", get(healthy).fallback(wrong_method))
        // Alertmanager's own `/-/reload` needs the rights of an administrator here; SIGHUP is the way.
        .route("/-/reload", post(unknown).fallback(wrong_method))
}

/// What a route is for.
#[derive(Clone, Copy, Debug)]
enum Wants {
    Reading,
    ByMethod,
}

/// Lets a request through by the owning source's secret, else by the rules of our own API.
async fn gate(
    State((api, wants)): State<(ApiState, Wants)>,
    mut request: Request,
    next: Next,
) -> Response {
    let is_read = request.method().is_safe();
    let role = match wants {
        Wants::Reading => Role::Viewer,
        Wants::ByMethod if is_read => Role::Viewer,
        Wants::ByMethod => Role::Responder,
    };
    let is_sending = !is_read && request.uri().path() == "/api/v2/alerts";
    match (api.setup().alertmanager.door)(request.headers()) {
        None => {
            let text = "no source owns this API; add a [[source]] of kind alertmanager, or write api = true at one";
            framework(StatusCode::NOT_FOUND, 404, text).into_response()
        }
        Some(Pass::Opened(source)) => {
            let actor = format_smolstr!("alertmanager:{source}");
            let role = Role::Responder;
            request.extensions_mut().insert(Caller { actor, role });
            next.run(request).await
        }
        Some(Pass::Signed) if is_sending => next.run(request).await,
        // Where nobody is asked for a token, the source's own secret still guards its door.
        Some(Pass::Refused) if is_sending && api.setup().auth.is_open => {
            let text = "this source asks for a secret; send it as its [[source]] entry says";
            framework(StatusCode::UNAUTHORIZED, 401, text).into_response()
        }
        Some(Pass::Refused | Pass::Signed | Pass::Unguarded) => {
            require(State((api, role)), request, next).await
        }
    }
}

async fn take(State(api): State<ApiState>, request: Request) -> Response {
    let taken = (api.setup().alertmanager.take)(request);
    // Goes on when the client hangs up: what it sent may be stored by then.
    match api.run(taken).await {
        Ok(response) => response,
        Err(problem) => Fault::from(problem).into_response(),
    }
}

async fn healthy() -> &'static str {
    "OK"
}

async fn unknown(uri: Uri) -> Fault {
    let text = format!("path {} was not found", uri.path());
    framework(StatusCode::NOT_FOUND, 404, &text)
}

async fn wrong_method(request: Request) -> Fault {
    let text = format!("method {} is not allowed", request.method());
    framework(StatusCode::METHOD_NOT_ALLOWED, 405, &text)
}

/// An answer that says what went wrong, in Alertmanager's shape.
#[derive(Debug)]
pub struct Fault {
    status: StatusCode,
    /// The code of Alertmanager's framework; without one it is an error of Alertmanager's own checks, a bare text.
    code: Option<u16>,
    text: String,
}

/// An error as Alertmanager's framework gives it.
fn framework(status: StatusCode, code: u16, text: &str) -> Fault {
    Fault {
        status,
        code: Some(code),
        text: text.to_owned(),
    }
}

/// An error as Alertmanager's own checks give it.
fn plain(status: StatusCode, text: &str) -> Fault {
    Fault {
        status,
        code: None,
        text: text.to_owned(),
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        plain(problem.status(), problem.detail())
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = match self.code {
            Some(code) => {
                let body = json!({"code": code, "message": self.text});
                (self.status, Json(body)).into_response()
            }
            None => (self.status, Json(self.text)).into_response(),
        };
        let headers = response.headers_mut();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, RETRY_AFTER_S.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"watchbell\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl FromRequestParts<ApiState> for query::Query {
    type Rejection = Fault;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _: &ApiState,
    ) -> Result<Self, Fault> {
        Ok(Self::new(parts.uri.query().unwrap_or_default()))
    }
}
