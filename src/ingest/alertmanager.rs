//! `POST /api/v2/alerts`, by which Prometheus and others send straight to us as to an Alertmanager.
//!
//! The list is stored as it came, as a message of the source that owns the API. As there, what is good in it is kept
//! when something else is not: 200 when all is, 400 with the reasons otherwise, both after the commit. What is over the
//! source's rate is answered 503, never 429: Prometheus drops a batch for good on any 4xx. Must not ask for tokens;
//! that is done before.
//! Source: prometheus/alertmanager `api/v2/api.go`, `postAlertsHandler`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::RETRY_AFTER;
use axum::http::{Request, Response, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::json;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::decompression::RequestDecompressionLayer;

use crate::runtime::problem::Problem;

use super::door::Door;
use super::http::{RETRY_AFTER_S, Tally, panicked, read_body, refused};
use super::limits::Told;
use super::{Accepted, Incoming, Ingest, Refusal, body, proof};

/// The route, to be called by whoever has checked the sender.
pub fn router(ingest: Ingest) -> Router {
    let gzip = RequestDecompressionLayer::new()
        .gzip(true)
        .pass_through_unaccepted(true);
    Router::new()
        .route("/api/v2/alerts", post(receive))
        .layer(gzip)
        .layer(from_fn_with_state(ingest.clone(), proof::begin))
        .layer(CatchPanicLayer::custom(panicked))
        .with_state(ingest)
}

async fn receive(State(ingest): State<Ingest>, request: Request<Body>) -> Response<Body> {
    let (parts, mut body) = request.into_parts();
    let Some(door) = ingest.api_door() else {
        body::drain(&mut body).await;
        return answer(StatusCode::NOT_FOUND, "no source owns this API");
    };
    let tally = Tally::begin(&door);
    let bytes_max = ingest.0.body_max.load(Ordering::Relaxed);
    let taken = async {
        let held = read_body(&ingest, &parts, &mut body, bytes_max).await?;
        ingest.prove(&door, &parts, &held.body).await?;
        let tally = ingest.within_rate_as(Told::Unavailable, &door, tally)?;
        let body = held.body.clone();
        let message = Incoming::of_request(door.decoder(), &parts.headers, None, body);
        let accepted = take(&ingest, &door, message).await?;
        Ok::<_, Refused>((tally, accepted))
    };
    match taken.await {
        Ok((tally, accepted)) => {
            tally.taken(accepted.is_duplicate);
            if accepted.rejected == 0 {
                StatusCode::OK.into_response()
            } else {
                (StatusCode::BAD_REQUEST, Json(problems(&accepted))).into_response()
            }
        }
        Err(refused) => {
            log::info!(source = door.name.as_str(), status = refused.status.as_u16(); "refused alerts for {}: {}", door.name, refused.text);
            body::drain(&mut body).await;
            refused.into_response()
        }
    }
}

async fn take(ingest: &Ingest, door: &Arc<Door>, message: Incoming) -> Result<Accepted, Refused> {
    if message.body.trim_ascii_start().first() != Some(&b'[') {
        let text = "parsing alerts body failed, because it is not a JSON array of alerts";
        return Err(Refused::new(StatusCode::BAD_REQUEST, text));
    }
    ingest
        .take(door, message)
        .await
        .map_err(|refusal| match refusal {
            Refusal::NothingUsable { path, problem } => Refused {
                is_plain: true,
                ..Refused::new(StatusCode::BAD_REQUEST, &format!("{path}: {problem}"))
            },
            Refusal::NotUnderstood(_) | Refusal::Overloaded(_) | Refusal::NotStored(_) => {
                refused(&refusal).into()
            }
        })
}

/// What is wrong with the items that were not taken.
fn problems(accepted: &Accepted) -> String {
    let mut text = accepted.problems.join("; ");
    let more = accepted.rejected.saturating_sub(accepted.problems.len());
    if more > 0 {
        text.push_str(&format!("; and {more} more"));
    }
    text
}

fn answer(status: StatusCode, text: &str) -> Response<Body> {
    let code = status.as_u16();
    (status, Json(json!({"code": code, "message": text}))).into_response()
}

/// Alerts that were not taken at all.
struct Refused {
    status: StatusCode,
    text: String,
    /// Seconds after which the sender may try again.
    retry_after_s: u32,
    /// Whether the answer is a bare text, as Alertmanager's own checks give, and not of its framework.
    is_plain: bool,
}

impl Refused {
    fn new(status: StatusCode, text: &str) -> Self {
        Self {
            status,
            text: text.to_owned(),
            retry_after_s: RETRY_AFTER_S,
            is_plain: false,
        }
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
        Self {
            retry_after_s: problem.retry_after_s.unwrap_or(RETRY_AFTER_S),
            ..Self::new(status, &problem.detail)
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response<Body> {
        if self.is_plain {
            return (self.status, Json(self.text)).into_response();
        }
        let mut response = answer(self.status, &self.text);
        if self.status.is_server_error() {
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, self.retry_after_s.into());
        }
        response
    }
}
