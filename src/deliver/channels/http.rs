//! What is common to all targets that are spoken to over HTTP: what an answer means, and how it is shown.
//!
//! Must not show a secret.

use std::time::Duration;

use reqwest::header::HeaderMap;
use url::Url;

use crate::deliver::{Attempt, Failure, Outcome, Trace, retry};
use crate::wire::post::{Outgoing, PostError, Poster, Reply};

/// Characters of an answer that are shown with an error.
const SHOWN_MAX: usize = 300;

/// Sends and judges by the status; `judge` looks at the body of a 2xx and says what is wrong with it.
pub(in crate::deliver) async fn send(
    poster: &Poster,
    outgoing: Outgoing,
    within: Duration,
    shown_url: &str,
    judge: impl FnOnce(&Reply) -> Option<Failure>,
) -> Attempt {
    let request = show_request(&outgoing, shown_url);
    match poster.send(outgoing, within).await {
        Ok(reply) => {
            let response = show_reply(&reply);
            let failure = by_status(&reply).or_else(|| judge(&reply));
            Attempt {
                outcome: failure.map_or(Outcome::Arrived, Outcome::Failed),
                status: Some(i64::from(reply.status)),
                trace: Trace { request, response },
            }
        }
        Err(error) => {
            let text = error.to_string();
            Attempt {
                outcome: Outcome::Failed(Failure {
                    error: text.clone(),
                    may_have_arrived: matches!(error, PostError::Lost(_)),
                    is_final: false,
                    is_own_fault: false,
                    asked: None,
                }),
                status: None,
                trace: Trace {
                    request,
                    response: text,
                },
            }
        }
    }
}

/// What a status other than 2xx means.
fn by_status(reply: &Reply) -> Option<Failure> {
    let status = reply.status;
    if (200..300).contains(&status) {
        return None;
    }
    // A refusal of this very message will not become a yes; a lock, a login or a limit may.
    let is_final = matches!(status, 400 | 405 | 406 | 410 | 411 | 413..=417 | 422 | 501);
    let asked = reply.retry_after_s.filter(|_| !is_final);
    Some(Failure {
        error: format!("it answered {status}{}", said(&reply.body)),
        may_have_arrived: false,
        is_final,
        is_own_fault: is_final,
        asked: asked.map(retry::asked),
    })
}

/// The beginning of a body, for an error.
pub(in crate::deliver) fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(SHOWN_MAX)
        .collect();
    match text.trim() {
        "" => String::new(),
        text => format!(": {text}"),
    }
}

fn show_request(outgoing: &Outgoing, shown_url: &str) -> String {
    let mut shown = format!("{} {shown_url}\n", outgoing.method);
    shown.push_str(&show_headers(&outgoing.headers));
    shown.push('\n');
    shown.push_str(&String::from_utf8_lossy(&outgoing.body));
    shown
}

/// Headers line by line; those that carry a secret are marked so and not shown.
fn show_headers(headers: &HeaderMap) -> String {
    let mut shown = String::new();
    for (name, value) in headers {
        let text = if value.is_sensitive() {
            "***"
        } else {
            value.to_str().unwrap_or("(not text)")
        };
        shown.push_str(&format!("{name}: {text}\n"));
    }
    shown
}

fn show_reply(reply: &Reply) -> String {
    let mut shown = format!(
        "{}\n\n{}",
        reply.status,
        String::from_utf8_lossy(&reply.body)
    );
    if !reply.is_whole {
        shown.push_str("\n(the rest was not read)");
    }
    shown
}

/// An address without what may be secret in it: user, password, query, and the path where it is one long key.
pub(in crate::deliver) fn show_url(url: &Url, is_secret: bool) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let path = if is_secret { "/***" } else { url.path() };
    format!("{}://{host}{port}{path}", url.scheme())
}
