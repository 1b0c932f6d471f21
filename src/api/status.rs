//! Health, metrics, and the API's own document.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::ApiState;
use super::openapi::Documents;
use crate::telemetry::metrics::CONTENT_TYPE as OPENMETRICS;

/// Whether the daemon is alive or ready.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`, `ready` or `not ready`.
    status: &'static str,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    reasons: Vec<String>,
}

/// Whether the process is alive.
#[utoipa::path(get, path = "/healthz", tag = "status", responses((status = 200, description = "Alive", body = Health)))]
pub async fn healthz() -> Json<Health> {
    Json(Health {
        status: "ok",
        reasons: Vec::new(),
    })
}

/// Whether alerts are accepted and decided.
#[utoipa::path(get, path = "/readyz", tag = "status", responses(
    (status = 200, description = "Ready", body = Health),
    (status = 503, description = "Not ready, and why", body = Health),
))]
pub async fn readyz(State(api): State<ApiState>) -> Response {
    let reasons = (api.setup().unready)();
    let (code, status) = if reasons.is_empty() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    (code, Json(Health { status, reasons })).into_response()
}

/// Figures of the daemon as OpenMetrics text.
#[utoipa::path(get, path = "/metrics", tag = "status", responses(
    (status = 200, description = "Figures", body = String, content_type = "application/openmetrics-text"),
))]
pub async fn metrics(State(api): State<ApiState>) -> Response {
    ([(CONTENT_TYPE, OPENMETRICS)], (api.setup().metrics)()).into_response()
}

/// The OpenAPI document of this API.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "status", responses(
    (status = 200, description = "OpenAPI 3.1", body = serde_json::Value),
))]
pub async fn openapi(Extension(documents): Extension<Arc<Documents>>) -> Response {
    ([(CONTENT_TYPE, "application/json")], documents.json.clone()).into_response()
}

/// The same document as a page for people.
#[utoipa::path(get, path = "/api/docs", tag = "status", responses(
    (status = 200, description = "A page", body = String, content_type = "text/html"),
))]
pub async fn docs(Extension(documents): Extension<Arc<Documents>>) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (CONTENT_SECURITY_POLICY, documents.policy.clone()),
    ];
    (headers, documents.html.clone()).into_response()
}
