//! What the API may ask of those who tell people, and how a try is made.
//!
//! Must not decide who is told.

use std::sync::Arc;

use tokio::time::Instant;

use crate::api::targets::{Order, Ordered, SentTest, TargetStatus, TellHooks};
use crate::core::ids::IncidentId;
use crate::core::tell::event::Event;
use crate::core::time::Timestamp;
use crate::deliver::board::{Deliveries, TargetHealth};
use crate::deliver::{Attempt, Briefing, Outcome, Parcel};
use crate::runtime::clock::Clock;
use crate::runtime::entropy::random_bytes;
use crate::store::outbox::work::Revival;
use crate::store::writer::{WriteError, WriterHandle};

use super::answer_board::AnswerBoard;

/// The hooks of a running daemon.
pub(super) fn tell_hooks(
    deliveries: &Deliveries,
    answers: AnswerBoard,
    writer: &WriterHandle,
    clock: &Clock,
) -> TellHooks {
    let (listed, ordered, tried) = (deliveries.clone(), deliveries.clone(), deliveries.clone());
    let (seen_at, ordered_at, tried_at) = (clock.clone(), clock.clone(), clock.clone());
    let writer = writer.clone();
    TellHooks {
        targets: Arc::new(move || {
            let now = seen_at.now();
            let targets = listed.list();
            targets
                .into_iter()
                .map(|target| status(target, now))
                .collect()
        }),
        answers: Arc::new(move || answers.list()),
        order: Arc::new(move |order| {
            let (deliveries, writer) = (ordered.clone(), writer.clone());
            let now = ordered_at.now();
            Box::pin(async move { obey(&deliveries, &writer, order, now).await })
        }),
        test: Arc::new(move |name, to| {
            let (deliveries, now) = (tried.clone(), tried_at.now());
            Box::pin(async move { test(&deliveries, name, to, now).await })
        }),
    }
}

fn status(target: TargetHealth, now: Timestamp) -> TargetStatus {
    let health = target.health;
    let is_closed = health.closed_until.is_some_and(|until| until > now);
    let word = if health.paused.is_some() {
        "paused"
    } else if health.failures >= 5 || (is_closed && health.failures > 0) {
        "down"
    } else if health.failures > 0 {
        "failing"
    } else if health.sent > 0 {
        "up"
    } else {
        "unknown"
    };
    let ms = |at: Timestamp| u64::try_from(now.since(at).as_millis()).unwrap_or(0);
    let seconds = |at| std::time::Duration::from_millis(ms(at)).as_secs_f64();
    TargetStatus {
        name: target.name,
        kind: target.kind,
        health: word,
        paused: health.paused.is_some(),
        paused_at: health.paused.as_ref().map(|(at, _)| (*at).into()),
        paused_by: health.paused.map(|(_, actor)| actor),
        queue: health.depth,
        oldest_s: health.oldest_at.map(seconds),
        sent: health.sent,
        failed: health.failed,
        consecutive_failures: health.failures,
        last_sent_at: health.last_sent_at.map(Into::into),
        last_error_at: health.last_failed_at.map(Into::into),
        last_error: health.last_error,
        retry_at: health.closed_until.filter(|_| is_closed).map(Into::into),
    }
}

async fn obey(
    deliveries: &Deliveries,
    writer: &WriterHandle,
    order: Order,
    now: Timestamp,
) -> Ordered {
    let done = |done: Result<bool, WriteError>| match done {
        Ok(true) => Ordered::Done,
        Ok(false) => Ordered::NoSuchTarget,
        Err(error) => Ordered::Unavailable(error.to_string()),
    };
    match order {
        Order::Pause { name, actor } => {
            done(deliveries.pause(writer, &name, Some((now, actor))).await)
        }
        Order::Resume { name } => done(deliveries.pause(writer, &name, None).await),
        Order::Revive {
            id,
            target,
            is_discarded,
        } => {
            let revival = Revival {
                id,
                target,
                at: now,
                is_discarded,
            };
            match deliveries.revive(writer, revival).await {
                Ok(count) => Ordered::Reached(count),
                Err(error) => Ordered::Unavailable(error.to_string()),
            }
        }
    }
}

async fn test(
    deliveries: &Deliveries,
    name: String,
    to: String,
    now: Timestamp,
) -> Option<SentTest> {
    let (kind, channel) = deliveries.channel(&name)?;
    let started = Instant::now();
    let attempt = channel.send(&sample(&to, now)).await;
    Some(sent_test(
        (name, kind),
        attempt,
        started.elapsed().as_secs_f64(),
    ))
}

/// What a try came to, for people.
pub(crate) fn sent_test(
    (target, kind): (String, String),
    attempt: Attempt,
    took_s: f64,
) -> SentTest {
    let Attempt {
        outcome,
        status,
        trace,
    } = attempt;
    let error = match outcome {
        Outcome::Arrived => None,
        Outcome::Failed(failure) => Some(failure.error),
    };
    SentTest {
        target,
        kind,
        ok: error.is_none(),
        error,
        status,
        request: trace.request,
        response: trace.response,
        took_s,
    }
}

/// A message that says that it is a try.
pub(crate) fn sample(to: &str, now: Timestamp) -> Parcel {
    // Without entropy the time tells two tries apart.
    let random = random_bytes::<8>().map(hex::encode).unwrap_or_default();
    let id = IncidentId::new(1);
    Parcel {
        id: format!("msg_test_{:x}{random}", now.as_millis()),
        event: Event::Test,
        at: now,
        now,
        note: Some("This is a test of Watchbell. Nothing is wrong.".to_owned()),
        recipient: to.to_owned(),
        is_repeat: false,
        incident: id,
        briefing: Some(Arc::new(sample_briefing(now))),
        answer_url: None,
        rating_url: None,
        thread: None,
    }
}

fn sample_briefing(now: Timestamp) -> Briefing {
    let at = crate::deliver::rfc3339(now);
    let incident = serde_json::json!({
        "number": "INC-0", "state": "new", "kind": "incident", "priority": "P5", "impact": 3, "urgency": 3,
        "title": "Test message from Watchbell: nothing is wrong",
        "root_cause": {"ci": null, "alert": null, "score": 1.0, "inferred": false, "why": ["somebody asked for a test"]},
        "services": [], "cis": 0, "alerts": {"firing": 0, "resolved": 0, "total": 0}, "events": 0,
        "team": null, "assignee": null, "opened_at": at, "announced_at": at, "acknowledged_at": null,
        "resolved_at": null, "closed_at": null, "sla": [], "tickets": [], "flapping": false, "suppressed_by": [],
        "merged_into": null, "version": 1,
    });
    Briefing {
        incident,
        alerts: Vec::new(),
        is_open: true,
        is_new: true,
        opened_at: now,
    }
}
