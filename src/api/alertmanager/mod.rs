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
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use smol_str::format_smolstr;

use super::ApiState;
use super::auth::{Caller, require};
use super::problem::Problem;
use crate::api_token::Role;
use crate::core::time::Timestamp;

/// What the shell gives to this API.
#[derive(Clone)]
pub struct Hooks {
    /// When the process started.
    pub started_at: Timestamp,
    /// What the source that owns this API says of a request's headers; `None` when there is no such source.
    pub door: Arc<dyn Fn(&HeaderMap) -> Option<Pass> + Send + Sync>,
    /// Takes a `POST` of alerts whose sender was checked.
    pub take: Arc<dyn Fn(Request) -> TakeFuture + Send + Sync>,
}

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
            framework(StatusCode::NOT_FOUND, 404, text)
        }
        Some(Pass::Opened(source)) => {
            let actor = format_smolstr!("alertmanager:{source}");
            let role = Role::Responder;
            request.extensions_mut().insert(Caller { actor, role });
            next.run(request).await
        }
        // Where nobody is asked for a token, the source's own secret still guards its door.
        Some(Pass::Refused) if is_sending && api.setup().auth.is_open => {
            let text = "this source asks for a secret; send it as its [[source]] entry says";
            let mut response = framework(StatusCode::UNAUTHORIZED, 401, text);
            let challenge = axum::http::HeaderValue::from_static("Bearer realm=\"watchbell\"");
            response
                .headers_mut()
                .insert(axum::http::header::WWW_AUTHENTICATE, challenge);
            response
        }
        Some(Pass::Refused | Pass::Unguarded) => require(State((api, role)), request, next).await,
    }
}

async fn take(State(api): State<ApiState>, request: Request) -> Response {
    let taken = (api.setup().alertmanager.take)(request);
    // Goes on when the client hangs up: what it sent may be stored by then.
    match api.run(taken).await {
        Ok(response) => response,
        Err(problem) => text(&problem),
    }
}

async fn healthy() -> &'static str {
    "OK"
}

async fn unknown(uri: Uri) -> Response {
    let text = format!("path {} was not found", uri.path());
    framework(StatusCode::NOT_FOUND, 404, &text)
}

async fn wrong_method(request: Request) -> Response {
    let text = format!("method {} is not allowed", request.method());
    framework(StatusCode::METHOD_NOT_ALLOWED, 405, &text)
}

/// An error as Alertmanager's framework gives it.
fn framework(status: StatusCode, code: u16, text: &str) -> Response {
    (status, Json(json!({"code": code, "message": text}))).into_response()
}

/// An error as Alertmanager's own checks give it: a bare text.
fn plain(status: StatusCode, text: &str) -> Response {
    (status, Json(text)).into_response()
}

/// A problem of ours in Alertmanager's shape.
fn text(problem: &Problem) -> Response {
    let mut response = plain(problem.status(), problem.detail());
    let is_later = problem.status() == StatusCode::SERVICE_UNAVAILABLE;
    if is_later {
        let headers = response.headers_mut();
        headers.insert(axum::http::header::RETRY_AFTER, 5_u16.into());
    }
    response
}

impl FromRequestParts<ApiState> for query::Query {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _: &ApiState,
    ) -> Result<Self, Response> {
        Ok(Self::new(parts.uri.query().unwrap_or_default()))
    }
}
