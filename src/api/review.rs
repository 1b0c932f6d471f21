//! The post-incident review: drafted from what is stored, completed by people, exported as Markdown.
//!
//! Must not guess: what nobody has written and nothing stored says is marked as open.

use std::fmt::Write as _;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::ApiState;
use super::auth::Caller;
use super::body;
use super::incidents::{find as find_incident, id as incident_id};
use super::majors::{Action, give_major, review_wanted};
use super::problem::Problem;
use super::record_order::Fields;
use super::time::Time;
use crate::core::ids::IncidentId;
use crate::core::records::major::{MajorWanted, Review, id_of};
use crate::core::records::{Kind, Role};
use crate::core::time::{Span, Timestamp};
use crate::store::query::incidents::IncidentView;
use crate::store::query::records::{self, RecordFilter};
use crate::store::query::timeline::{self, Subject, TimelineView};
use crate::store::query::{Page, cmdb};
use crate::store::{Db, StoreError};

/// Lines of the timeline in a review; the timeline has them all.
const LINES_MAX: u32 = 500;
/// Services of which it is looked how many people they serve.
const SERVICES_MAX: usize = 50;
const MARKDOWN: &str = "text/markdown; charset=utf-8";

/// What a review says.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReviewShape {
    /// The incident.
    #[schema(example = "INC-42")]
    incident: String,
    /// Whether people agree on it.
    #[serde(rename = "final")]
    is_final: bool,
    /// How long it lasted, from its opening to its resolve.
    duration_s: i64,
    /// How many people were served worse: as people say, else by the attribute `users` of the services reached; null when
    /// nothing says it.
    users: Option<i64>,
    /// Users by minutes; null when nothing says how many users.
    user_minutes: Option<i64>,
    /// What happened.
    summary: String,
    /// What caused it.
    cause: String,
    /// What is to be done.
    actions: Vec<Action>,
    /// All of it, as Markdown.
    markdown: String,
}

/// What people write into a review.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "for the document only: bodies are read leniently")]
pub struct ReviewBody {
    /// What happened.
    summary: Option<String>,
    /// Who noticed it.
    detection: Option<String>,
    /// What it meant to the people served.
    impact: Option<String>,
    /// How many of them.
    users: Option<i64>,
    /// What caused it.
    cause: Option<String>,
    /// What ended it.
    resolution: Option<String>,
    /// What went well, and what did not.
    lessons: Option<String>,
    /// Whether people agree on it.
    #[schema(rename = "final")]
    is_final: Option<bool>,
}

/// The review of an incident, as JSON, or as Markdown with `Accept: text/markdown`.
#[utoipa::path(get, path = "/api/v1/incidents/{number}/review", tag = "major incidents",
    params(("number" = String, Path, description = "The incident, like INC-42")),
    responses((status = 200, description = "The review", body = ReviewShape)),
)]
pub async fn review(
    State(api): State<ApiState>,
    Path(number): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let review = draft(&api, incident_id(&number)?).await?;
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/markdown")) {
        return Ok(([(CONTENT_TYPE, MARKDOWN)], review.markdown).into_response());
    }
    Ok(Json(review).into_response())
}

/// Writes into the review of an incident; what is not named stays.
#[utoipa::path(post, path = "/api/v1/incidents/{number}/review", tag = "major incidents",
    request_body(content = ReviewBody),
    params(("number" = String, Path, description = "The incident, like INC-42")),
    responses((status = 200, description = "The review afterwards", body = ReviewShape)))]
pub async fn write(
    State(api): State<ApiState>,
    caller: Caller,
    Path(number): Path<String>,
    body: Body,
) -> Result<Json<ReviewShape>, Problem> {
    let incident = incident_id(&number)?;
    let fields = Fields(body::read(body).await?);
    let wanted = MajorWanted {
        review: Some(review_wanted(&fields)?),
        ..MajorWanted::default()
    };
    give_major(&api, incident, wanted, caller).await?;
    Ok(Json(draft(&api, incident).await?))
}

async fn draft(api: &ApiState, id: IncidentId) -> Result<ReviewShape, Problem> {
    let view = find_incident(api, id).await?;
    let now = api.now();
    let filter = RecordFilter {
        incidents: vec![id.get()],
        ..RecordFilter::default()
    };
    let page = Page {
        limit: LINES_MAX,
        is_newest_first: false,
        after: None,
    };
    let services = view.cause.as_ref();
    let services = services.map(crate::store::query::causes::CauseView::services);
    let (services, opened_at) = (services.unwrap_or_default(), view.incident.opened_at);
    let (major, lines, actions, served) = api
        .read(async move |db| {
            let served = served(&db, &services, opened_at).await?;
            let mut reader = db.reader().await?;
            let major = records::find(reader.lend(), id_of(id)).await?;
            let lines = timeline::list(reader.lend(), Subject::Incident(id), page).await?;
            let newest = Page {
                is_newest_first: true,
                ..page
            };
            let actions = records::list(reader.lend(), Kind::Action, &filter, newest).await?;
            Ok((major, lines.items, actions.items, served))
        })
        .await?;
    let review = major.as_ref().and_then(|record| record.as_major());
    let mut review = review.map(|major| major.review.clone()).unwrap_or_default();
    review.users = review.users.or(served);
    let actions: Vec<Action> = actions
        .iter()
        .filter_map(|record| record.as_action())
        .filter(|action| action.incident == Some(id))
        .map(Action::from)
        .collect();
    let end = view.incident.resolved_at.unwrap_or(now);
    let lasted = end.since(view.incident.opened_at);
    let minutes = lasted.as_millis().max(0).saturating_add(59_999) / 60_000;
    let user_minutes = review.users.map(|users| users.saturating_mul(minutes));
    let markdown = markdown(&view, &review, (lasted, user_minutes), (&lines, &actions));
    Ok(ReviewShape {
        incident: id.to_string(),
        is_final: review.is_final,
        duration_s: lasted.as_millis() / 1_000,
        users: review.users,
        user_minutes,
        summary: review.summary.to_string(),
        cause: review.cause.to_string(),
        actions,
        markdown,
    })
}

/// How many people the services reached serve, as far as the CMDB says it in their attribute `users`.
async fn served(
    db: &Db,
    services: &[String],
    opened_at: Timestamp,
) -> Result<Option<i64>, StoreError> {
    let mut reader = db.reader().await?;
    let at = Some(opened_at.as_millis());
    let version = cmdb::version_at(reader.lend(), at).await?;
    let mut served: Option<i64> = None;
    for service in services.iter().take(SERVICES_MAX) {
        let found = cmdb::find(reader.lend(), service, version).await?;
        let users = found.and_then(|ci| ci.attributes.get("users")?.trim().parse::<i64>().ok());
        if let Some(users) = users.filter(|users| *users >= 0) {
            served = Some(served.unwrap_or(0).saturating_add(users));
        }
    }
    Ok(served)
}

/// What people wrote, else what is stored, else that it is open.
fn said(written: &str, stored: &str) -> String {
    match (written.trim(), stored.trim()) {
        ("", "") => "_To be written._".to_owned(),
        ("", stored) => stored.to_owned(),
        (written, _) => written.to_owned(),
    }
}

fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| Time(at).to_string())
}

fn length(span: Span) -> String {
    let minutes = span.as_millis().max(0) / 60_000;
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// One line, without what would break a table or begin another element.
fn line(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.replace('|', "\\|").replace('<', "&lt;")
}

/// What is stored about the cause: confirmed records, then why the guess was made.
fn stored_cause(view: &IncidentView) -> String {
    let why: Vec<String> = view.cause.as_ref().map_or_else(Vec::new, |cause| {
        cause.cause.why.iter().map(ToString::to_string).collect()
    });
    let confirmed: Vec<String> = view
        .records
        .iter()
        .filter(|view| view.link.role == Role::Confirmed)
        .map(|view| {
            format!(
                "{} {}: {}",
                view.record.id(),
                view.record.title(),
                view.link.why
            )
        })
        .collect();
    [confirmed, why].concat().join("\n\n")
}

/// What people have written about the impact, and what it amounts to.
fn impact(review: &Review, lasted: Span, user_minutes: Option<i64>) -> String {
    let impact = match (review.users, user_minutes) {
        (Some(users), Some(minutes)) => format!(
            "{users} users for {}: {minutes} user-minutes.",
            length(lasted)
        ),
        _ => String::new(),
    };
    match review.impact.trim() {
        "" => impact,
        written if impact.is_empty() => written.to_owned(),
        written => format!("{written}\n\n{impact}"),
    }
}

/// What ended it: of the entries since it was resolved last, what a person said, else why.
fn ended_by(lines: &[TimelineView]) -> Option<String> {
    let is_over = |line: &&TimelineView| line.state.as_deref() == Some("resolved");
    let since = lines.iter().rposition(|line| {
        line.state
            .as_deref()
            .is_some_and(|state| !matches!(state, "resolved" | "closed"))
    });
    let since = since.map_or(0, |at| at.saturating_add(1));
    let mut after = lines.iter().skip(since).filter(is_over);
    let by_person = after.clone().find(|line| line.actor.is_some());
    let line = by_person.or_else(|| after.next())?;
    let note = line.note.clone().filter(|note| !note.is_empty());
    Some(note.unwrap_or_else(|| line.reason.sentence().to_owned()))
}

fn push_actions(text: &mut String, actions: &[Action]) {
    text.push_str("## Actions\n\n");
    if actions.is_empty() {
        text.push_str("_None yet._\n");
    } else {
        text.push_str("| number | action | owner | due | state |\n|---|---|---|---|---|\n");
        for action in actions {
            writeln!(
                text,
                "| {} | {} | {} | {} | {} |",
                action.number,
                line(&action.title),
                line(action.owner.as_deref().unwrap_or("-")),
                action
                    .due_at
                    .map_or_else(|| "-".to_owned(), |at| at.to_string()),
                action.state,
            )
            .ok();
        }
    }
}

fn push_timeline(text: &mut String, lines: &[TimelineView]) {
    text.push_str("\n## Timeline\n\n| time (UTC) | what | who |\n|---|---|---|\n");
    for entry in lines {
        let note = entry.note.as_deref().filter(|note| !note.is_empty());
        let what = match note {
            Some(note) => format!("{} ({})", entry.reason.sentence(), line(note)),
            None => entry.reason.sentence().to_owned(),
        };
        let who = line(entry.actor.as_deref().unwrap_or("-"));
        writeln!(text, "| {} | {what} | {who} |", Time(entry.at)).ok();
    }
}

fn markdown(
    view: &IncidentView,
    review: &Review,
    (lasted, user_minutes): (Span, Option<i64>),
    (lines, actions): (&[TimelineView], &[Action]),
) -> String {
    let incident = &view.incident;
    let mut text = String::new();
    let cause = view.cause.as_ref();
    let stored = stored_cause(view);
    let services = cause.map(crate::store::query::causes::CauseView::services);
    let services = services.unwrap_or_default().join(", ");
    // Writing to a text cannot fail.
    write!(
        text,
        "# Review of {}: {}\n\n{}| | |\n|---|---|\n| Priority | {} |\n| State | {} |\n| Opened | {} |\n| Acknowledged | {} |\n\
         | Resolved | {} |\n| Lasted | {} |\n| Services | {} |\n\n",
        incident.id,
        line(&view.title),
        if review.is_final { "" } else { "_Draft._\n\n" },
        incident.priority.word(),
        incident.state.word().word(),
        time(Some(incident.opened_at)),
        time(incident.acknowledged_at),
        time(incident.resolved_at),
        length(lasted),
        if services.is_empty() { "-" } else { &services },
    )
    .ok();
    let impact = impact(review, lasted, user_minutes);
    let resolution = ended_by(lines);
    for (head, body) in [
        ("What happened", said(&review.summary, &view.title)),
        ("Detection", said(&review.detection, "")),
        ("Impact", said(&impact, "")),
        ("Cause", said(&review.cause, &stored)),
        (
            "Resolution",
            said(&review.resolution, &resolution.unwrap_or_default()),
        ),
        ("Lessons", said(&review.lessons, "")),
    ] {
        write!(text, "## {head}\n\n{body}\n\n").ok();
    }
    push_actions(&mut text, actions);
    push_timeline(&mut text, lines);
    text
}
