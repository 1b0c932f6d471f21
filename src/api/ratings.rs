//! Ratings: a signed link that shows a page, and a form on it that says, once, how an incident was handled.
//!
//! Programs open links to preview them, so GET never changes anything. Must not show more of an incident than its title:
//! whoever has the link is somebody served, not somebody on call.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use serde::Serialize;
use smol_str::{SmolStr, format_smolstr};
use utoipa::ToSchema;

use super::ApiState;
use super::answers::{page, show};
use super::body;
use super::incidents::{find as find_incident, id as incident_id};
use super::page::List;
use super::problem::Problem;
use super::record_order::{Fields, give};
use super::time::Time;
use crate::answer_link::{Answerable, BadLink};
use crate::core::ids::IncidentId;
use crate::core::reason::Reason;
use crate::core::records::RecordOrder;
use crate::core::records::rating::{RatingWanted, SCORE_MAX};
use crate::core::time::Timestamp;
use crate::store::query::incidents::{self, IncidentView};
use crate::store::query::ratings;

/// Bytes of a form; the largest field is a comment.
const FORM_BYTES_MAX: usize = 64 * 1024;
/// Characters of a comment.
const COMMENT_MAX: usize = 4_000;
/// What the scores are called, the best first.
const WORDS: [(u8, &str); 5] = [
    (5, "Very good"),
    (4, "Good"),
    (3, "Fair"),
    (2, "Poor"),
    (1, "Bad"),
];

/// What somebody said of how an incident was handled.
#[derive(Debug, Serialize, ToSchema)]
pub struct RatingShape {
    /// The incident.
    #[schema(example = "INC-42")]
    incident: String,
    /// Who.
    who: String,
    /// From 1, bad, to 5, very good.
    rating: i64,
    /// What else.
    comment: String,
    /// When.
    at: Time,
}

/// A link to rate by.
#[derive(Debug, Serialize, ToSchema)]
pub struct RatingLinkShape {
    /// The incident.
    #[schema(example = "INC-42")]
    incident: String,
    /// Who is asked.
    who: String,
    /// The link; whoever has it can rate in that name, once.
    url: String,
    /// Until when it works.
    expires_at: Time,
}

/// For whom a link is made.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "for the document only: bodies are read leniently")]
pub struct RatingLinkBody {
    /// Who is asked; each rates an incident once.
    who: Option<String>,
}

/// Makes a link by which somebody rates how an incident was handled.
#[utoipa::path(post, path = "/api/v1/incidents/{number}/rating-links", tag = "reports",
    request_body(content = RatingLinkBody),
    params(("number" = String, Path, description = "Its number, like INC-42")),
    responses((status = 201, description = "The link", body = RatingLinkShape)))]
pub async fn make_link(
    State(api): State<ApiState>,
    Path(number): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let id = incident_id(&number)?;
    find_incident(&api, id).await?;
    let fields = Fields(body::read(body).await?);
    let who = fields.line(&["who", "name", "email", "person"])?;
    let who = who.unwrap_or_else(|| SmolStr::new_static("somebody served"));
    let who: SmolStr = who.chars().take(200).collect();
    let (url, expires_at) = (api.setup().rating_link)(id, &who, api.now());
    let link = RatingLinkShape {
        incident: id.to_string(),
        who: who.to_string(),
        url,
        expires_at: expires_at.into(),
    };
    Ok((StatusCode::CREATED, Json(link)).into_response())
}

/// What people said of how an incident was handled.
#[utoipa::path(get, path = "/api/v1/incidents/{number}/ratings", tag = "reports",
    params(("number" = String, Path, description = "Its number, like INC-42")),
    responses((status = 200, description = "Its ratings", body = List<RatingShape>)))]
pub async fn list_ratings(
    State(api): State<ApiState>,
    Path(number): Path<String>,
) -> Result<Json<List<RatingShape>>, Problem> {
    let id = incident_id(&number)?;
    find_incident(&api, id).await?;
    let rows = api
        .read(async move |db| ratings::of_incident(db.reader().await?.lend(), id).await)
        .await?;
    let items = rows.into_iter().map(|row| RatingShape {
        incident: id.to_string(),
        who: row.who,
        rating: row.score,
        comment: row.comment,
        at: Timestamp::from_millis(row.at).into(),
    });
    Ok(Json(List {
        items: items.collect(),
        next_cursor: None,
    }))
}

/// Asks how an incident was handled; changes nothing.
#[utoipa::path(get, path = "/rate/{token}", tag = "answers",
    params(("token" = String, Path, description = "The signed token of the link")),
    responses((status = 200, description = "A page with a form", content_type = "text/html")))]
pub async fn ask_rating(State(api): State<ApiState>, Path(token): Path<String>) -> Response {
    let about = match open(&api, &token) {
        Ok(about) => about,
        Err(refused) => return *refused,
    };
    match look(&api, &about).await {
        Ok((Some(view), is_rated)) => show(
            StatusCode::OK,
            &question(&view, &about.who, is_rated, is_rated.then_some(RATED)),
        ),
        Ok((None, _)) => show(StatusCode::NOT_FOUND, &page::gone(about.incident)),
        Err(problem) => problem.into_response(),
    }
}

const RATED: &str = "You have rated this already. Thank you.";

/// Takes a rating; a second one is refused.
#[utoipa::path(post, path = "/rate/{token}", tag = "answers",
    params(("token" = String, Path, description = "The signed token of the link")),
    request_body(content = String, content_type = "application/x-www-form-urlencoded",
        description = "`rating` is 1 to 5; `comment` is a text"),
    responses((status = 200, description = "A page that says thank you", content_type = "text/html")))]
pub async fn rate(State(api): State<ApiState>, Path(token): Path<String>, body: Body) -> Response {
    let about = match open(&api, &token) {
        Ok(about) => about,
        Err(refused) => return *refused,
    };
    match rated(&api, &about, body).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn rated(api: &ApiState, about: &Answerable, body: Body) -> Result<Response, Problem> {
    let bytes = body::collect(body, FORM_BYTES_MAX).await?;
    let (mut score, mut comment) = (None, String::new());
    for (name, value) in url::form_urlencoded::parse(&bytes) {
        match &*name {
            "rating" | "score" => score = value.trim().parse::<u8>().ok(),
            "comment" => {
                let text = value.trim().chars().filter(|&c| c != '\0');
                comment = text.take(COMMENT_MAX).collect();
            }
            _ => {}
        }
    }
    let score = score.filter(|score| (1..=SCORE_MAX).contains(score));
    let score = score.ok_or_else(|| {
        Problem::bad_request(format!("rating is missing: a number from 1 to {SCORE_MAX}"))
    })?;
    let (Some(view), is_rated) = look(api, about).await? else {
        return Ok(show(StatusCode::NOT_FOUND, &page::gone(about.incident)));
    };
    let order = RecordOrder::Rate {
        incident: about.incident,
        wanted: Box::new(RatingWanted {
            who: about.who.clone(),
            score,
            comment: comment.into(),
            priority: view.incident.priority.word().into(),
            team: team_of(&view),
            is_rated,
        }),
    };
    let actor = format_smolstr!("{} (rating)", about.who);
    let given = give(api, order, actor, (None, Some(about.incident))).await;
    let (status, said) = match given {
        Ok(_) => (StatusCode::OK, "Thank you: your rating is noted."),
        Err(problem) if problem.is_for(Reason::AlreadyRated) => (StatusCode::CONFLICT, RATED),
        Err(problem) => return Err(problem),
    };
    Ok(show(status, &question(&view, &about.who, true, Some(said))))
}

fn team_of(view: &IncidentView) -> SmolStr {
    let owner = view.incident.owner.as_deref();
    owner
        .and_then(|owner| owner.team.clone())
        .unwrap_or_default()
}

/// The incident of a link, and whether that person has rated it.
async fn look(api: &ApiState, about: &Answerable) -> Result<(Option<IncidentView>, bool), Problem> {
    let (incident, who): (IncidentId, _) = (about.incident, about.who.clone());
    api.read(async move |db| {
        let mut reader = db.snapshot().await?;
        let view = incidents::find(reader.lend(), incident).await?;
        let is_rated = ratings::is_rated(reader.lend(), incident, &who).await?;
        Ok((view, is_rated))
    })
    .await
}

/// What a link is about, or the page that says why it does not work.
fn open(api: &ApiState, token: &str) -> Result<Answerable, Box<Response>> {
    let key = api.setup().links.for_ratings();
    key.read(token, api.now()).map_err(|bad| {
        let status = match bad {
            BadLink::Forged => StatusCode::NOT_FOUND,
            BadLink::Expired => StatusCode::GONE,
        };
        Box::new(show(status, &page::bad_link(bad)))
    })
}

fn question(view: &IncidentView, who: &str, is_rated: bool, said: Option<&str>) -> Markup {
    let number = view.incident.id.to_string();
    page::whole(
        &format!("How was {number} handled?"),
        &html! {
            @if let Some(said) = said {
                p .said role="status" { (said) }
            }
            h1 { "How was " (number) " handled?" }
            p { (view.title) }
            @if !is_rated {
                form method="post" {
                    label for="comment" { "Comment (optional)" }
                    textarea #comment name="comment" maxlength=(COMMENT_MAX) {}
                    div .buttons {
                        @for (score, word) in WORDS {
                            button .first[score == SCORE_MAX] type="submit" name="rating" value=(score) { (word) }
                        }
                    }
                }
            }
            p { small { "You answer as " (who) ", once. Whoever has this link can do the same, until it expires." } }
        },
    )
}
