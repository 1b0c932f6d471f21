//! Answers from Slack: what its servers post when somebody presses a button under a message.
//!
//! The value of a button is the token of an answer link, so a message can only answer for its own incident; the
//! signature proves that Slack sent it (version 0: HMAC-SHA256 of `v0:<time>:<body>`). Must not act on a request that is
//! older than five minutes.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use serde_json::json;
use sha2::Sha256;
use smol_str::{SmolStr, format_smolstr};

use super::give;
use crate::api::ApiState;
use crate::api::body;
use crate::api::problem::{Kind, Problem};
use crate::core::time::{Span, Timestamp};
use crate::replies::{Reply, Wish};

/// Bytes of what Slack posts.
const BODY_BYTES_MAX: usize = 512 * 1024;
/// How far Slack's time may be from ours.
const TOLERANCE: Span = Span::from_mins(5);
/// What our buttons are called: `watchbell:acknowledge`.
pub const ACTION_PREFIX: &str = "watchbell:";

#[derive(Deserialize)]
struct Interaction {
    #[serde(default)]
    user: User,
    #[serde(default)]
    actions: Vec<Action>,
}

#[derive(Default, Deserialize)]
struct User {
    #[serde(default)]
    username: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    id: String,
}

#[derive(Deserialize)]
struct Action {
    #[serde(default)]
    action_id: String,
    #[serde(default)]
    value: String,
}

/// Takes what Slack posts when somebody presses a button.
#[utoipa::path(post, path = "/answer/slack", tag = "answers",
    request_body(content = String, content_type = "application/x-www-form-urlencoded",
        description = "`payload` is a block_actions interaction of Slack"),
    responses((status = 200, description = "What came of it, as a message that only the presser sees")))]
pub async fn interact(
    State(api): State<ApiState>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Some(secret) = api.setup().slack_secret.clone() else {
        return Err(Problem::not_found(
            "answers from Slack are not set up: set slack_signing_secret under [answers]",
        ));
    };
    let bytes = body::collect(body, BODY_BYTES_MAX).await?;
    if !is_signed(&secret, &headers, &bytes, api.now()) {
        let detail = "the signature is not Slack's, or older than five minutes";
        return Err(Problem::new(Kind::Unauthorized, detail));
    }
    let payload = url::form_urlencoded::parse(&bytes).find(|(name, _)| name == "payload");
    let payload = payload.map(|(_, value)| value).unwrap_or_default();
    let interaction: Interaction = serde_json::from_str(&payload)
        .map_err(|error| Problem::bad_request(format!("the payload cannot be read: {error}")))?;
    let mut said = Vec::new();
    for action in &interaction.actions {
        if let Some(reply) = reply(&api, &interaction.user, action) {
            let reply = match reply {
                Ok(reply) => reply,
                Err(why) => {
                    said.push(why);
                    continue;
                }
            };
            let number = reply.incident;
            let (Ok(text) | Err(text)) = give(&api, reply).await?;
            said.push(format!("{number}: {text}"));
        }
    }
    // A button of another app, or a link: nothing of ours.
    if said.is_empty() {
        return Ok(StatusCode::OK.into_response());
    }
    let text = said.join("\n");
    let message = json!({"response_type": "ephemeral", "replace_original": false, "text": text});
    Ok(axum::Json(message).into_response())
}

fn reply(api: &ApiState, user: &User, action: &Action) -> Option<Result<Reply, String>> {
    let word = action.action_id.strip_prefix(ACTION_PREFIX)?;
    let wish = Wish::from_word(word)?;
    let about = match api.setup().links.read(&action.value, api.now()) {
        Ok(about) => about,
        Err(bad) => return Some(Err(bad.to_string())),
    };
    let name = [&user.username, &user.name, &user.id]
        .into_iter()
        .find(|name| !name.is_empty());
    let who: SmolStr = name.map_or(about.who, |name| format_smolstr!("slack:{name}"));
    Some(Ok(Reply {
        incident: about.incident,
        who,
        wish,
        note: None,
        hold_for: None,
        key: None,
    }))
}

/// Whether Slack signed it, not long ago.
fn is_signed(secret: &str, headers: &HeaderMap, body: &[u8], now: Timestamp) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(seconds), Some(given)) = (
        text("x-slack-request-timestamp"),
        text("x-slack-signature").and_then(|it| it.strip_prefix("v0=")),
    ) else {
        return false;
    };
    let at = seconds
        .parse::<i64>()
        .ok()
        .and_then(|it| it.checked_mul(1000));
    let is_now = at.is_some_and(|at| Timestamp::from_millis(at).since(now).abs() <= TOLERANCE);
    let Ok(given) = hex::decode(given) else {
        return false;
    };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return false;
    };
    mac.update(format!("v0:{seconds}:").as_bytes());
    mac.update(body);
    is_now && mac.verify_slice(&given).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Slack's own documentation on verifying requests.
    #[test]
    fn the_example_of_slack_is_signed() {
        let secret = "8f742231b10e8888abcd99yyyzzz85a5";
        let body = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
        let mut headers = HeaderMap::new();
        headers.insert("x-slack-request-timestamp", "1531420618".parse().unwrap());
        let signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
        headers.insert("x-slack-signature", signature.parse().unwrap());
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        assert!(is_signed(secret, &headers, body, at(1_531_420_618)));
        assert!(!is_signed(secret, &headers, body, at(1_531_420_618 + 301)));
        assert!(!is_signed("another", &headers, body, at(1_531_420_618)));
        assert!(!is_signed(secret, &headers, b"other", at(1_531_420_618)));
    }
}
