//! Orders about silences on their way to the engine, for our own API and for Alertmanager's.
//!
//! What can be said without the core is said here, so that a client learns which field is wrong. Must not decide what
//! becomes of a silence that is changed.

use std::time::Duration;

use smol_str::SmolStr;

use super::ApiState;
use super::problem::{Kind, Problem};
use crate::core::reason::Reason;
use crate::core::silence::given::{SilenceGiven, SilenceOrder, SilenceWanted};
use crate::core::silence::matcher::Matcher;
use crate::core::silence::{COMMENT_BYTES_MAX, CREATED_BY_BYTES_MAX, MATCHERS_MAX, SilenceUuid};
use crate::core::time::Timestamp;
use crate::engine::handle::SubmitError;
use crate::store::query::silences::{self, SilenceView};

/// How long a client waits for an answer; an order that is stored by then is carried out all the same.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a silence cannot be made, in Alertmanager's words where it has some.
pub(super) fn check(wanted: &SilenceWanted, now: Timestamp) -> Result<(), String> {
    let SilenceWanted {
        matchers,
        starts_at,
        ends_at,
        created_by,
        comment,
    } = wanted;
    if matchers.is_empty() {
        return Err("at least one matcher required".to_owned());
    }
    if matchers.len() > MATCHERS_MAX {
        return Err(format!("a silence has at most {MATCHERS_MAX} matchers"));
    }
    if matchers
        .iter()
        .all(|matcher: &Matcher| matcher.is_match(""))
    {
        return Err("at least one matcher must not match the empty string".to_owned());
    }
    if ends_at <= starts_at {
        return Err("start time must be before end time".to_owned());
    }
    if *ends_at <= now {
        return Err("end time can't be in the past".to_owned());
    }
    for (name, text, bytes_max) in [
        ("creator", created_by, CREATED_BY_BYTES_MAX),
        ("comment", comment, COMMENT_BYTES_MAX),
    ] {
        if text.len() > bytes_max {
            return Err(format!("the {name} is longer than {bytes_max} bytes"));
        }
        if text.contains('\0') {
            return Err(format!("the {name} holds a NUL character"));
        }
    }
    Ok(())
}

/// The silence with that public name.
pub(super) async fn find(api: &ApiState, uuid: SilenceUuid) -> Result<SilenceView, Problem> {
    let found = api
        .read(async move |db| silences::find(db.snapshot().await?.lend(), uuid).await)
        .await?;
    found.ok_or_else(|| Problem::not_found(format!("there is no silence {uuid}")))
}

/// Hands an order to the engine and answers with the silence after commit.
pub(super) async fn give(
    api: &ApiState,
    order: SilenceOrder,
    actor: SmolStr,
    once: Option<u64>,
) -> Result<SilenceView, Problem> {
    let what = match &order {
        SilenceOrder::Put { .. } => "made or changed",
        SilenceOrder::Expire { .. } => "ended",
    };
    let by = actor.clone();
    let given = SilenceGiven { order, actor, once };
    let (engine, db) = (api.setup().engine.clone(), api.setup().db.clone());
    let outcome = async move {
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, engine.silence(given))
            .await
            .unwrap_or(Err(SubmitError::Unknown))?;
        let id = match (answer.is_refused, answer.silence) {
            (false, Some(id)) => id,
            (true, _) if answer.reason == Reason::UnknownSilence => {
                return Err(Problem::not_found(answer.reason.sentence()));
            }
            (true, _) => return Err(Problem::refused(answer.reason)),
            (false, None) => return Err(Problem::internal()),
        };
        engine.until_swept().await;
        let view = async { silences::get(db.snapshot().await?.lend(), id.get()).await };
        match view.await {
            Ok(Some(view)) => {
                let uuid = view.silence.uuid;
                log::info!(actor = by.as_str(); "{by} {what} the silence {uuid}");
                Ok(view)
            }
            Ok(None) => Err(Problem::internal()),
            Err(error) => {
                log::warn!(error:% = error; "an order was carried out, its silence cannot be read: {error}");
                let detail =
                    "the order was carried out, but the silence cannot be read now; read it later";
                Err(Problem::new(Kind::OutcomeUnknown, detail))
            }
        }
    };
    api.run(outcome).await?
}

/// Ends a silence; one that is over stays as it is.
pub(super) async fn expire(
    api: &ApiState,
    uuid: SilenceUuid,
    actor: SmolStr,
) -> Result<SilenceView, Problem> {
    let view = find(api, uuid).await?;
    if view.silence.ends_at <= api.now() {
        return Ok(view);
    }
    let silence = view.silence.id;
    match give(api, SilenceOrder::Expire { silence }, actor, None).await {
        // It has ended by itself meanwhile.
        Err(problem) if problem.is(Kind::NotFound) => find(api, uuid).await,
        given => given,
    }
}
