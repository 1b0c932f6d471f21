//! Orders about overrides on their way to the engine.
//!
//! What can be said without the core is said here, so that a client learns which field is wrong. Must not decide who is
//! on call.

use std::time::Duration;

use smol_str::SmolStr;

use super::ApiState;
use super::problem::{Kind, Problem};
use super::schedules::OverrideBody;
use crate::core::oncall::overrides::{COMMENT_BYTES_MAX, OverrideOrder};
use crate::core::oncall::{Override, OverrideGiven, OverrideId};
use crate::core::reason::Reason;
use crate::core::rules::Rules;
use crate::core::time::{Span, Timestamp};
use crate::engine::handle::SubmitError;
use crate::store::overrides;

/// How long a client waits for an answer; an order that is stored by then is carried out all the same.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// One override.
pub(super) async fn read_override(
    api: &ApiState,
    id: OverrideId,
) -> Result<Option<Override>, Problem> {
    api.read(async move |db| overrides::find(db.reader().await?.lend(), id).await)
        .await
}

/// The order that a body means.
pub(super) fn order(
    rules: &Rules,
    schedule: &str,
    body: OverrideBody,
    now: Timestamp,
) -> Result<OverrideOrder, Problem> {
    let known = |name: Option<String>, field| match name.filter(|name| !name.trim().is_empty()) {
        Some(name) if rules.on_call.people.contains_key(name.as_str()) => {
            Ok(Some(SmolStr::from(name)))
        }
        Some(name) => Err(Problem::bad_request(format!(
            "{field}: there is no person {name:?}; add a [[person]]"
        ))),
        None => Ok(None),
    };
    let person = known(body.person, "person")?;
    let replaces = known(body.replaces, "replaces")?;
    if person.is_none() && replaces.is_none() {
        return Err(Problem::bad_request(
            "person is missing; say who stands in, or with replaces who is taken off",
        ));
    }
    let from = body.starts_at.map_or(now, |time| time.0);
    let to = match (body.ends_at, body.duration_s) {
        (Some(time), None) => time.0,
        (None, Some(seconds)) => from.plus(Span::from_secs(seconds)),
        (Some(_), Some(_)) => {
            return Err(Problem::bad_request("give either ends_at or duration_s"));
        }
        (None, None) => {
            return Err(Problem::bad_request("ends_at (or duration_s) is missing"));
        }
    };
    let comment = body.comment.unwrap_or_default();
    if comment.len() > COMMENT_BYTES_MAX || comment.contains('\0') {
        let detail = format!("the comment has at most {COMMENT_BYTES_MAX} bytes and no NUL");
        return Err(Problem::bad_request(detail));
    }
    Ok(OverrideOrder::Make {
        schedule: schedule.into(),
        person,
        replaces,
        from,
        to,
        comment: comment.into(),
    })
}

/// Hands an order to the engine and answers with the override after commit.
pub(super) async fn give(
    api: &ApiState,
    order: OverrideOrder,
    actor: SmolStr,
) -> Result<Override, Problem> {
    let engine = api.setup().engine.clone();
    let given = OverrideGiven { order, actor };
    let answer = api
        .run(async move {
            let given = engine.override_schedule(given);
            let answer = tokio::time::timeout(ANSWER_TIMEOUT, given).await;
            answer.unwrap_or(Err(SubmitError::Unknown))
        })
        .await??;
    let id = match (answer.is_refused, answer.made) {
        (false, Some(id)) => OverrideId::new(id),
        (true, _)
            if matches!(
                answer.reason,
                Reason::UnknownOverride | Reason::UnknownSchedule
            ) =>
        {
            return Err(Problem::not_found(answer.reason.sentence()));
        }
        (true, _) => return Err(Problem::refused(answer.reason)),
        (false, None) => return Err(Problem::internal()),
    };
    read_override(api, id).await?.ok_or_else(|| {
        let detail = "the order was carried out, but the override cannot be read now";
        Problem::new(Kind::OutcomeUnknown, detail)
    })
}
