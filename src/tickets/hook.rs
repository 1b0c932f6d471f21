//! `POST /hooks/{connector}`: a platform says that a ticket may have changed.
//!
//! A hook is a hint: the ticket is read before anything is believed, so a hook that is lost, late, doubled or replayed
//! does no harm, and polling finds the same. Must not take over anything that a body says, and must not answer 2xx to
//! one that is not signed as agreed. Where no secret was agreed on there is nothing to check: whoever can reach the
//! listener can make us look at a ticket, and no more than that.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use http_body_util::BodyExt as _;
use serde_json::json;
use smol_str::SmolStr;

use super::Board;
use crate::connectors::hook::{Hook, Signature, Told};
use crate::runtime::problem::Problem;

/// Bytes of a hook's body; platforms send at most two.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The header with the secret, where a platform has no signature of its own.
const OWN_HEADER: &str = "x-watchbell-secret";
const UNSIGNED: &str =
    "the signature is missing or wrong; compare hook_secret with the secret there";

/// The route of hooks.
pub fn router(board: Board) -> Router {
    Router::new()
        .route("/hooks/{connector}", post(receive))
        .with_state(board)
}

async fn receive(
    State(board): State<Board>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Response {
    let (parts, body) = request.into_parts();
    let limited = http_body_util::Limited::new(body, BODY_BYTES_MAX);
    let Ok(body) = limited.collect().await else {
        let why = format!("a hook has at most {BODY_BYTES_MAX} bytes");
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, &why);
    };
    let body = body.to_bytes();
    let Some((profile, secret)) = board.hook(&name) else {
        return refuse(StatusCode::NOT_FOUND, "there is no connector of that name");
    };
    let Some(hook) = &profile.hook else {
        return unread(&board, &name, secret.as_deref(), &parts.headers);
    };
    let told = hook.read(&body);
    if let Told::Reply(reply) = told {
        // Whoever asks gets back what it said itself; nothing is believed.
        let kind = [("content-type", "application/json")];
        return (StatusCode::OK, kind, reply).into_response();
    }
    if let Some(secret) = &secret
        && !is_signed(hook, secret, &parts.headers, &body)
        && !has_secret(&parts.headers, secret)
    {
        return refuse(StatusCode::UNAUTHORIZED, UNSIGNED);
    }
    let ids = match told {
        Told::Touched(ids) => ids,
        Told::Reply(_) | Told::Unclear => Vec::new(),
    };
    accept(&board, &name, ids)
}

/// The hook of a platform that has none of its own: somebody there posts, and what changed is looked for.
fn unread(board: &Board, name: &str, secret: Option<&str>, headers: &HeaderMap) -> Response {
    if secret.is_some_and(|secret| !has_secret(headers, secret)) {
        return refuse(StatusCode::UNAUTHORIZED, UNSIGNED);
    }
    accept(board, name, Vec::new())
}

/// Whether the secret itself comes along, as from those who cannot sign.
fn has_secret(headers: &HeaderMap, secret: &str) -> bool {
    let own = headers.get_all(OWN_HEADER).iter();
    let own = own.map(|value| value.as_bytes());
    let bearer = headers.get_all(AUTHORIZATION).iter();
    let bearer = bearer.filter_map(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let mut given = own.chain(bearer);
    given.any(|given| verify_slices_are_equal(given, secret.as_bytes()).is_ok())
}

/// Looks at the tickets that were named, and at what changed if none was.
fn accept(board: &Board, name: &str, ids: Vec<SmolStr>) -> Response {
    let count = ids.len();
    if ids.is_empty() {
        board.hint(name, SmolStr::default());
    }
    for id in ids {
        board.hint(name, id);
    }
    let answer = json!({"status": "accepted", "tickets": count});
    (StatusCode::ACCEPTED, axum::Json(answer)).into_response()
}

fn refuse(status: StatusCode, why: &str) -> Response {
    let (name, title) = match status {
        StatusCode::UNAUTHORIZED => ("unauthorized", "Not authenticated"),
        StatusCode::PAYLOAD_TOO_LARGE => ("too-large", "The body is too large"),
        _ => ("not-found", "Not found"),
    };
    Problem::new(status, name, title, why).into_response()
}

/// Whether a body is signed with the secret; of several signatures, as during a change of secrets, one is enough.
fn is_signed(hook: &Hook, secret: &str, headers: &HeaderMap, body: &[u8]) -> bool {
    let values = headers.get_all(&hook.header);
    let texts = values.iter().filter_map(|value| value.to_str().ok());
    let mut signatures = texts.flat_map(|text| text.split(',')).map(str::trim);
    let key = |algorithm| hmac::Key::new(algorithm, secret.as_bytes());
    let fits = |signature: &str, key: &hmac::Key, signed: &[u8]| {
        let digits = signature.strip_prefix(hook.prefix.as_str());
        let bytes = digits.and_then(|digits| hex::decode(digits).ok());
        bytes.is_some_and(|bytes| hmac::verify(key, signed, &bytes).is_ok())
    };
    match hook.signature {
        Signature::Header => signatures.any(|text| {
            let text = text.strip_prefix(hook.prefix.as_str()).unwrap_or(text);
            verify_slices_are_equal(text.as_bytes(), secret.as_bytes()).is_ok()
        }),
        Signature::HmacSha256 => {
            let key = key(hmac::HMAC_SHA256);
            signatures.any(|text| fits(text, &key, body))
        }
        Signature::HmacSha1 => {
            let key = key(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY);
            signatures.any(|text| fits(text, &key, body))
        }
        Signature::HmacSha256Time => {
            let time = headers.get(&hook.time_header);
            let Some(time) = time.and_then(|time| time.to_str().ok()) else {
                return false;
            };
            let signed = [body, time.as_bytes()].concat();
            let key = key(hmac::HMAC_SHA256);
            signatures.any(|text| fits(text, &key, &signed))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::Profile;
    use crate::connectors::profile::Own;

    fn hook(profile: &str, set: &serde_json::Value) -> Hook {
        let (_, text) = crate::connectors::PROFILES
            .iter()
            .find(|(name, _)| *name == profile)
            .unwrap();
        let own = Own {
            set: set.as_object().unwrap().clone(),
            ..Own::default()
        };
        Profile::parse(profile, text, &own).unwrap().hook.unwrap()
    }

    fn sign(key: &str, text: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
        hex::encode(hmac::sign(&key, text).as_ref())
    }

    #[test]
    fn signatures_are_checked_over_the_raw_body_and_one_of_several_is_enough() {
        let hook = hook(
            "pagerduty",
            &json!({"service": "P1", "from": "a@example.com"}),
        );
        let body = br#"{"event":{"data":{"id":"Q1"}}}"#;
        let (old, new) = (sign("old-secret", body), sign("new-secret", body));
        let mut headers = HeaderMap::new();
        let both = format!("v1={old},v1={new}");
        headers.insert("x-pagerduty-signature", both.parse().unwrap());
        assert!(is_signed(&hook, "old-secret", &headers, body));
        assert!(is_signed(&hook, "new-secret", &headers, body));
        assert!(!is_signed(&hook, "other", &headers, body));
        assert!(!is_signed(&hook, "old-secret", &headers, b"{}"));
        assert!(!is_signed(&hook, "old-secret", &HeaderMap::new(), body));
        assert_eq!(hook.read(body), Told::Touched(vec!["Q1".into()]));
    }

    #[test]
    fn challenge_is_given_back_and_nonsense_is_unclear() {
        let hook = hook("monday", &json!({"board": "1"}));
        let told = hook.read(br#"{"challenge":"abc"}"#);
        assert_eq!(told, Told::Reply("{\"challenge\":\"abc\"}".to_owned()));
        assert_eq!(hook.read(b"not json"), Told::Unclear);
    }
}
