//! What every request passes, from the outside in: panics, log line, compression, headers, errors as problems.
//!
//! Must not log a query or a body: they may hold what people typed.

use std::any::Any;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use tokio::time::Instant;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::decompression::RequestDecompressionLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa_axum::router::OpenApiRouter;

use super::ApiState;
use super::problem::{PROBLEM_JSON, Problem};
use crate::answer_link::PATH;

/// Headers of every answer that does not set them itself.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CACHE_CONTROL, "no-store"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Puts the layers around a router; the last one is the outermost.
pub(super) fn wrap(router: Router) -> Router {
    let mut router = router.layer(from_fn(as_problem));
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        router = router.layer(SetResponseHeaderLayer::if_not_present(name, value));
    }
    router
        .layer(CompressionLayer::new())
        .layer(from_fn(log_line))
        .layer(CatchPanicLayer::custom(panicked))
}

/// Unpacks request bodies that come compressed.
pub(super) fn unpack(routes: OpenApiRouter<ApiState>) -> OpenApiRouter<ApiState> {
    routes.route_layer(RequestDecompressionLayer::new())
}

/// Gives errors that a library made the same form as ours.
async fn as_problem(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_ours = kind.is_some_and(|kind| {
        let bytes = kind.as_bytes();
        let ours: [&[u8]; 3] = [PROBLEM_JSON.as_bytes(), b"application/json", b"text/html"];
        ours.iter().any(|kind| bytes.starts_with(kind))
    });
    if !is_error || is_ours {
        return response;
    }
    let mut problem = Problem::for_status(status).into_response();
    for name in [header::ALLOW, header::ACCEPT_ENCODING] {
        if let Some(value) = response.headers().get(&name) {
            problem.headers_mut().insert(name, value.clone());
        }
    }
    problem
}

async fn log_line(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let path = match request.uri().path() {
        // Whoever has the link may answer.
        link if link.starts_with(PATH) => format!("{PATH}..."),
        path => path.to_owned(),
    };
    let response = next.run(request).await;
    let status = response.status();
    let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let level = level(&method, &path, status);
    log::log!(
        level,
        "http.method" = method.as_str(), "http.path" = path.as_str(), "http.status" = status.as_u16(),
        duration_ms = ms;
        "{method} {path} {} in {ms} ms", status.as_u16()
    );
    response
}

/// What only reads, and works, is not worth a line; what failed here is worth a warning.
fn level(method: &Method, path: &str, status: StatusCode) -> log::Level {
    let is_routine = matches!(path, "/healthz" | "/readyz" | "/metrics");
    let is_read = matches!(*method, Method::GET | Method::HEAD) && !status.is_client_error();
    if status.is_server_error() && path != "/readyz" {
        log::Level::Warn
    } else if is_routine || is_read {
        log::Level::Debug
    } else {
        log::Level::Info
    }
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    log::error!("a request failed by a defect; the message above this line says where");
    Problem::internal().into_response()
}
