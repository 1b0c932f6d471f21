//! Answers by link: a page that shows the incident and asks, and a form that does it.
//!
//! Mail programs and chats open links to preview them, so GET never changes anything; only the form does. The link is
//! the permission, for one incident. Must not show more of an incident than the message did that carried the link.

pub(super) mod page;
pub mod slack;
pub mod ways;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::Markup;
use sha2::{Digest as _, Sha256};
use smol_str::{SmolStr, format_smolstr};

use super::ApiState;
use super::body;
use super::order::{optional, past_of};
use super::problem::Problem;
use crate::answer_link::{Answerable, BadLink};
use crate::core::ids::IncidentId;
use crate::core::incident::IncidentState;
use crate::core::input::{Command, CommandGiven, IdempotencyKey};
use crate::core::reason::Reason;
use crate::core::time::Span;
use crate::engine::handle::{CommandAnswer, SubmitError};
use crate::replies::{Reply, Wish};
use crate::store::query::incidents::{self, IncidentView};

/// Bytes of a form; the largest field is a note.
const FORM_BYTES_MAX: usize = 256 * 1024;
/// How long whoever answers waits; what is stored by then is carried out all the same.
const ANSWER_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);
/// How long an acknowledgement may be asked for.
const ACKNOWLEDGE_MAX: Span = Span::from_days(7);

/// Asks what to do about the incident of a link; changes nothing.
#[utoipa::path(get, path = "/answer/{token}", tag = "answers",
    params(("token" = String, Path, description = "The signed token of the link")),
    responses((status = 200, description = "A page with a form", content_type = "text/html")))]
pub async fn ask(State(api): State<ApiState>, Path(token): Path<String>) -> Response {
    let about = match open(&api, &token) {
        Ok(about) => about,
        Err(refused) => return *refused,
    };
    match read(&api, about.incident).await {
        Ok(Some(view)) => show(StatusCode::OK, &page::question(&view, &about.who, None)),
        Ok(None) => show(StatusCode::NOT_FOUND, &page::gone(about.incident)),
        Err(problem) => problem.into_response(),
    }
}

/// Does what the form of a link's page says: acknowledges, resolves, or adds a note.
#[utoipa::path(post, path = "/answer/{token}", tag = "answers",
    params(("token" = String, Path, description = "The signed token of the link")),
    request_body(content = String, content_type = "application/x-www-form-urlencoded",
        description = "`do` is acknowledge, resolve or note; `note` is a text; `for` is how long an acknowledgement holds, like 2h; an object with the same fields is taken too"),
    responses((status = 200, description = "A page that says what came of it", content_type = "text/html")))]
pub async fn answer(
    State(api): State<ApiState>,
    Path(token): Path<String>,
    body: Body,
) -> Response {
    let about = match open(&api, &token) {
        Ok(about) => about,
        Err(refused) => return *refused,
    };
    match answered(&api, &about, body).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn answered(api: &ApiState, about: &Answerable, body: Body) -> Result<Response, Problem> {
    let bytes = body::collect(body, FORM_BYTES_MAX).await?;
    let mut reply = Reply {
        incident: about.incident,
        who: about.who.clone(),
        wish: Wish::Note,
        note: None,
        hold_for: None,
        key: None,
    };
    let mut is_said = false;
    for (name, value) in fields(&bytes) {
        match &*name {
            "do" | "action" => {
                let wish = Wish::from_word(&value);
                reply.wish =
                    wish.ok_or_else(|| Problem::bad_request("do is acknowledge, resolve or note"))?;
                is_said = true;
            }
            "note" => reply.note = optional("note", Some(&value))?,
            "for" => reply.hold_for = super::time::read_span(value.trim()),
            _ => {}
        }
    }
    if !is_said {
        return Err(Problem::bad_request(
            "do is missing: acknowledge, resolve or note",
        ));
    }
    let outcome = give(api, reply).await?;
    let (status, message) = match outcome {
        Ok(message) => (StatusCode::OK, message),
        Err(message) => (StatusCode::CONFLICT, message),
    };
    let view = read(api, about.incident).await?;
    Ok(match view {
        Some(view) => show(status, &page::question(&view, &about.who, Some(&message))),
        None => show(StatusCode::NOT_FOUND, &page::gone(about.incident)),
    })
}

/// The fields of a form, or of an object where a program answers.
fn fields(bytes: &[u8]) -> Vec<(String, String)> {
    let object = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(bytes);
    let Ok(object) = object else {
        let form = url::form_urlencoded::parse(bytes);
        return form
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
    };
    let fields = object.into_iter();
    let text = |value: serde_json::Value| value.as_str().map(str::to_owned);
    fields
        .filter_map(|(name, value)| Some((name, text(value)?)))
        .collect()
}

/// Carries an answer out; says what came of it, or why not.
///
/// # Errors
/// The store or the engine does not answer; the answer may be given again.
pub async fn give(api: &ApiState, reply: Reply) -> Result<Result<String, String>, Problem> {
    let view = read(api, reply.incident).await?;
    let mut commands = Vec::new();
    if let (Some(text), Wish::Note | Wish::Acknowledge) = (&reply.note, reply.wish) {
        commands.push(Command::Note { text: text.clone() });
    }
    match reply.wish {
        Wish::Note if reply.note.is_none() => {
            return Ok(Err(
                "There is no note to add: write something first.".to_owned()
            ));
        }
        Wish::Note => {}
        Wish::Resolve => commands.push(Command::Resolve {
            note: reply.note.clone(),
        }),
        Wish::Acknowledge => {
            // Somebody works on it, but maybe nobody answers: who takes it, has it.
            let at_work = view
                .as_ref()
                .is_some_and(|view| view.incident.state == IncidentState::InProgress);
            let hold_for = reply.hold_for.map(|span| span.min(ACKNOWLEDGE_MAX));
            let until = hold_for.map(|span| api.now().plus(span));
            commands.push(if at_work {
                Command::Assign {
                    assignee: Some(reply.who.clone()),
                    team: None,
                }
            } else {
                Command::Acknowledge { until }
            });
        }
    }
    let mut last = None;
    for (number, command) in (0..).zip(commands) {
        let answer = command_of(api, &reply, (number, command)).await?;
        if answer.is_refused {
            return Ok(Err(answer.reason.sentence().to_owned()));
        }
        last = Some(answer.reason);
    }
    Ok(Ok(match last {
        Some(Reason::Acknowledged | Reason::Assigned) => "Acknowledged: you have it.".to_owned(),
        Some(Reason::ResolvedByPerson) => "Resolved.".to_owned(),
        Some(_) | None => "The note was added.".to_owned(),
    }))
}

async fn command_of(
    api: &ApiState,
    reply: &Reply,
    (number, command): (u64, Command),
) -> Result<CommandAnswer, Problem> {
    let (submit, db) = (api.setup().submit.clone(), api.setup().db.clone());
    let incident = reply.incident;
    let actor: SmolStr = format_smolstr!("{} (answer)", reply.who);
    // An answer may be two commands, a note and what is done; each is known again by itself.
    let idempotency = reply.key.map(|key| IdempotencyKey {
        key: key.wrapping_add(number),
        command: key,
    });
    let outcome = async move {
        let given = CommandGiven {
            incident,
            command,
            actor,
            expected_version: None,
            idempotency,
            past: past_of(&db, incident).await,
        };
        tokio::time::timeout(ANSWER_TIMEOUT, submit(given))
            .await
            .unwrap_or(Err(SubmitError::Unknown))
    };
    Ok(api.run(outcome).await??)
}

/// What a link is about, or the page that says why it does not work.
fn open(api: &ApiState, token: &str) -> Result<Answerable, Box<Response>> {
    api.setup().links.read(token, api.now()).map_err(|bad| {
        let status = match bad {
            BadLink::Forged => StatusCode::NOT_FOUND,
            BadLink::Expired => StatusCode::GONE,
        };
        Box::new(show(status, &page::bad_link(bad)))
    })
}

async fn read(api: &ApiState, id: IncidentId) -> Result<Option<IncidentView>, Problem> {
    api.read(async move |db| incidents::find(db.reader().await?.lend(), id).await)
        .await
}

pub(super) fn show(status: StatusCode, page: &Markup) -> Response {
    let hash = STANDARD.encode(Sha256::digest(page::STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (CONTENT_SECURITY_POLICY, policy),
        (CACHE_CONTROL, "no-store".to_owned()),
        (
            HeaderName::from_static("x-robots-tag"),
            "noindex".to_owned(),
        ),
    ];
    (status, headers, page.clone().into_string()).into_response()
}
