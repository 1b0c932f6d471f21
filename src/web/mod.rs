//! The pages for people on call: one document, its scripts and one style, compiled in.
//!
//! The script uses the API like any other client, with the token of whoever looks, so the pages themselves hold nothing
//! that must be kept from anybody. Nothing comes from another host, and the policy of the answers says so. Must not know
//! anything of incidents; what is shown is the API's.

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::response::{AppendHeaders, IntoResponse};
use axum::routing::get;
use tower_http::compression::CompressionLayer;

/// What is served: path, type, content.
pub const ASSETS: [(&str, &str, &str); 12] = [
    ("/", "text/html; charset=utf-8", include_str!("index.html")),
    ("/assets/app.js", SCRIPT, include_str!("app.js")),
    ("/assets/base.js", SCRIPT, include_str!("base.js")),
    ("/assets/list.js", SCRIPT, include_str!("list.js")),
    ("/assets/queue.js", SCRIPT, include_str!("queue.js")),
    ("/assets/incident.js", SCRIPT, include_str!("incident.js")),
    ("/assets/graph.js", SCRIPT, include_str!("graph.js")),
    ("/assets/quiet.js", SCRIPT, include_str!("quiet.js")),
    ("/assets/items.js", SCRIPT, include_str!("items.js")),
    ("/assets/operate.js", SCRIPT, include_str!("operate.js")),
    (
        "/assets/app.css",
        "text/css; charset=utf-8",
        include_str!("app.css"),
    ),
    (
        "/assets/bell.svg",
        "image/svg+xml",
        include_str!("bell.svg"),
    ),
];

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Headers of every page.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (X_FRAME_OPTIONS, "DENY"),
    // They are small, and after an update an old script would ask a new API.
    (CACHE_CONTROL, "no-cache"),
];

/// The routes of the pages.
pub fn router() -> Router {
    let mut router = Router::new();
    for (path, kind, content) in ASSETS {
        router = router.route(path, get(move || async move { answer(kind, content) }));
    }
    router.layer(CompressionLayer::new())
}

fn answer(kind: &'static str, content: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, kind)], AppendHeaders(HEADERS), content)
}
