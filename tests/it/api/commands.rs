//! Every command, every refusal, versions and idempotency.

use axum::http::Method;
use serde_json::{Value, json};
use watchbell::core::ids::IncidentId;
use watchbell::core::severity::Severity;
use watchbell::engine::handle::SubmitError;
use watchbell::store::StoreError;
use watchbell::store::query::incidents;

use super::{Answer, World, has, request, send};

async fn one() -> World {
    let world = World::open().await;
    world.fire("PortDown", Severity::Critical).await;
    world
}

async fn command(world: &World, name: &str, body: &str) -> Answer {
    world
        .post(&format!("/api/v1/incidents/INC-1/{name}"), body)
        .await
}

/// Commands in the order of life, with what the incident then shows.
fn life() -> Vec<(&'static str, &'static str, Value)> {
    let until = r#"{"until": "2026-11-20T14:00:00+01:00"}"#;
    let hold = r#"{"reason": "waits for a part", "until": "2026-11-20T13:00:00Z"}"#;
    let one_o_clock = "2026-11-20T13:00:00.000Z";
    let now = "2026-11-20T12:00:00.000Z";
    vec![
        (
            "acknowledge",
            until,
            json!({"state": "acknowledged", "acknowledged_at": now, "acknowledged_until": one_o_clock, "version": 2}),
        ),
        (
            "assign",
            r#"{"assignee": "ana"}"#,
            json!({"assignee": "ana", "team": null}),
        ),
        (
            "assign",
            r#"{"team": "network"}"#,
            json!({"assignee": "ana", "team": "network"}),
        ),
        (
            "start",
            "",
            json!({"state": "in_progress", "acknowledged_until": null}),
        ),
        (
            "hold",
            hold,
            json!({"state": "on_hold", "hold_reason": "waits for a part", "hold_until": one_o_clock}),
        ),
        (
            "resume",
            "{}",
            json!({"state": "in_progress", "hold_reason": null, "hold_until": null}),
        ),
        (
            "resolve",
            r#"{"note": "replaced"}"#,
            json!({
                "state": "resolved", "resolved_at": now, "closes_at": "2026-11-27T12:00:00.000Z",
                "alerts": {"firing": 0, "resolved": 1, "total": 1, "undelivered": 0},
            }),
        ),
        (
            "reopen",
            r#"{"reason": "still broken"}"#,
            json!({"number": "INC-1", "state": "new", "reopen_count": 1, "resolved_at": null}),
        ),
        (
            "notes",
            r#"{"text": " looked at it "}"#,
            json!({"state": "new"}),
        ),
        ("close", "", json!({"state": "closed", "closed_at": now})),
    ]
}

#[tokio::test]
async fn life_of_an_incident_by_commands() {
    let world = one().await;
    for (name, body, expected) in life() {
        has(&command(&world, name, body).await.ok(), &expected);
    }
    has(
        &world.get("/api/v1/alerts/1").await.ok(),
        &json!({"ended_by": "person"}),
    );
    let timeline = world.get("/api/v1/incidents/1/timeline").await.ok();
    let items = timeline["items"].as_array().unwrap().iter();
    let notes: Vec<&str> = items.filter_map(|item| item["note"].as_str()).collect();
    for note in [
        "looked at it",
        "still broken",
        "replaced",
        "waits for a part",
    ] {
        assert!(notes.contains(&note), "{note} is not in {notes:?}");
    }
}

#[tokio::test]
async fn assigning_nobody_means_oneself() {
    let world = one().await;
    assert_eq!(
        command(&world, "assign", "").await.ok()["assignee"],
        "local"
    );
}

#[tokio::test]
async fn refused_transitions_are_conflicts_with_their_reason() {
    let world = one().await;
    let refused = async |name: &str, body: &str, reason: &str| {
        let problem = command(&world, name, body)
            .await
            .problem(409, &reason.replace('_', "-"));
        assert_eq!(problem["reason"], reason);
        assert_eq!(problem["incident"], "INC-1");
        problem
    };
    refused("resume", "", "not_on_hold").await;
    refused("reopen", "", "not_resolved_yet").await;
    let past = r#"{"until": "2026-11-20T12:00:00Z"}"#;
    refused("acknowledge", past, "time_not_in_future").await;
    command(&world, "acknowledge", "").await.ok();
    let problem = refused("acknowledge", "", "already_acknowledged").await;
    assert_eq!(
        (&problem["state"], &problem["version"]),
        (&json!("acknowledged"), &json!(2))
    );
    command(&world, "start", "").await.ok();
    refused("start", "", "already_in_progress").await;
    command(&world, "hold", r#"{"reason": "x"}"#).await.ok();
    refused("hold", r#"{"reason": "x"}"#, "already_on_hold").await;
    command(&world, "resolve", "").await.ok();
    refused("resolve", "", "already_resolved").await;
    command(&world, "close", "").await.ok();
    refused("close", "", "already_closed").await;
    refused("acknowledge", "", "already_closed").await;
    assert_eq!(
        world.get("/api/v1/incidents/1").await.ok()["version"],
        6,
        "refusals change nothing"
    );
}

#[tokio::test]
async fn stale_version_is_refused() {
    let world = one().await;
    command(&world, "acknowledge", r#"{"expected_version": 1}"#)
        .await
        .ok();
    for (name, more) in [
        ("acknowledge", ""),
        ("assign", ""),
        ("start", ""),
        ("hold", r#", "reason": "x""#),
        ("resume", ""),
        ("resolve", ""),
        ("close", ""),
        ("reopen", ""),
        ("notes", r#", "text": "x""#),
    ] {
        let body = format!(r#"{{"expected_version": 1{more}}}"#);
        let problem = command(&world, name, &body)
            .await
            .problem(409, "stale-version");
        assert_eq!(
            (&problem["reason"], &problem["version"]),
            (&json!("stale_version"), &json!(2)),
            "{name}"
        );
    }
}

#[tokio::test]
async fn incident_closed_for_good_takes_notes_and_is_continued_under_a_new_number() {
    let world = one().await;
    let problem = world
        .post("/api/v1/incidents/77/start", "")
        .await
        .problem(404, "not-found");
    assert_eq!(problem["reason"], "unknown_incident");
    world
        .post("/api/v1/incidents/x/start", "")
        .await
        .problem(404, "not-found");
    let closed = command(&world, "close", "").await.ok();
    world.pass(16 * 60);
    let number = IncidentId::new(1).unwrap();
    world
        .until(async |world| {
            let mut reader = world.db.reader().await.unwrap();
            let past = incidents::find_past(reader.lend(), number).await;
            past.unwrap().is_some()
        })
        .await;
    // It can be talked about and continued, and nothing else.
    let problem = command(&world, "start", "")
        .await
        .problem(409, "already-closed");
    assert_eq!(problem["reason"], "already_closed");
    let answer = command(&world, "notes", r#"{"text": "late"}"#).await.ok();
    assert_eq!(
        (&answer["state"], &answer["version"]),
        (&closed["state"], &closed["version"])
    );
    command(&world, "notes", r#"{"text": "x", "expected_version": 77}"#)
        .await
        .problem(409, "stale-version");
    let timeline = world.get("/api/v1/incidents/1/timeline").await.ok();
    let items = timeline["items"].as_array().unwrap();
    assert!(
        items
            .iter()
            .any(|item| item["note"] == "late" && item["state"] == "closed"),
        "{items:?}"
    );
    let linked = command(&world, "reopen", r#"{"reason": "again"}"#)
        .await
        .ok();
    assert_eq!(
        (&linked["number"], &linked["state"], &linked["priority"]),
        (&json!("INC-2"), &json!("new"), &closed["priority"])
    );
    assert_eq!(linked["alerts"]["total"], 1);
    command(&world, "reopen", "")
        .await
        .problem(409, "already-continued");
}

#[tokio::test]
async fn same_command_with_the_same_key_is_carried_out_once() {
    let world = one().await;
    let note = async |key: &str, text: &str| {
        let body = format!(r#"{{"text": "{text}"}}"#);
        let headers = [("idempotency-key", key)];
        world
            .send(request(
                Method::POST,
                "/api/v1/incidents/1/notes",
                &body,
                &headers,
            ))
            .await
    };
    note("k1", "once").await.ok();
    let again = note("k1", "once").await.ok();
    assert_eq!(again["version"], 2);
    let problem = note("k1", "something else")
        .await
        .problem(409, "idempotency-key-reused");
    assert_eq!(problem["reason"], "idempotency_key_reused");
    note("k2", "once").await.ok();
    let timeline = world
        .get("/api/v1/incidents/1/timeline?limit=500")
        .await
        .ok();
    let items = timeline["items"].as_array().unwrap();
    assert_eq!(
        items.iter().filter(|item| item["note"] == "once").count(),
        2
    );
    // The answer of a refusal is remembered too.
    let start = async || {
        let headers = [("idempotency-key", "k3")];
        world
            .send(request(
                Method::POST,
                "/api/v1/incidents/1/resume",
                "",
                &headers,
            ))
            .await
    };
    start().await.problem(409, "not-on-hold");
    command(&world, "hold", r#"{"reason": "x"}"#).await.ok();
    start().await.problem(409, "not-on-hold");
    note("", "x").await.problem(400, "bad-request");
    note(&"k".repeat(256), "x")
        .await
        .problem(400, "bad-request");
    note(&"k".repeat(255), "x").await.ok();
}

#[tokio::test]
async fn bodies_are_read_strictly() {
    let world = one().await;
    for (name, body) in [
        ("acknowledge", r#"{"untill": "2026-11-20T13:00:00Z"}"#),
        ("acknowledge", r#"{"until": "2h"}"#),
        ("acknowledge", r#"{"until": 1795176000}"#),
        ("acknowledge", r#"{"until""#),
        ("acknowledge", "[]"),
        ("acknowledge", "null"),
        ("acknowledge", "x=1"),
        ("acknowledge", r#"{"expected_version": "1"}"#),
        (
            "acknowledge",
            r#"{"expected_version": 1, "expected_version": 2}"#,
        ),
        ("start", r#"{"reason": "x"}"#),
        ("assign", r#"{"assignee": " "}"#),
        ("assign", r#"{"team": "a\nb"}"#),
        ("hold", ""),
        ("hold", "{}"),
        ("hold", r#"{"reason": ""}"#),
        ("hold", r#"{"reason": " "}"#),
        ("notes", ""),
        ("notes", r#"{"text": ""}"#),
        ("notes", r#"{"text": "a\u0000b"}"#),
    ] {
        let answer = command(&world, name, body).await;
        answer.problem(400, "bad-request");
    }
    assert_eq!(world.get("/api/v1/incidents/1").await.ok()["version"], 1);
    let detail = command(&world, "acknowledge", r#"{"untill": 1}"#)
        .await
        .json();
    assert!(
        detail["detail"]
            .as_str()
            .unwrap()
            .contains("unknown field `untill`"),
        "{detail}"
    );
    let note = |bytes: usize| format!(r#"{{"text": "{}"}}"#, "x".repeat(bytes));
    command(&world, "notes", &note(64 * 1024)).await.ok();
    command(&world, "notes", &note(64 * 1024 + 1))
        .await
        .problem(400, "bad-request");
    command(&world, "notes", &note(1024 * 1024))
        .await
        .problem(413, "body-too-large");
    // Null stands for a field that is not given, whatever the content type says.
    let headers = [("content-type", "text/csv")];
    let body = r#"{"until": null, "expected_version": null}"#;
    world
        .send(request(
            Method::POST,
            "/api/v1/incidents/1/acknowledge",
            body,
            &headers,
        ))
        .await
        .ok();
}

#[tokio::test]
async fn only_known_content_encodings_are_taken() {
    let world = one().await;
    let headers = [("content-encoding", "br")];
    let answer = world
        .send(request(
            Method::POST,
            "/api/v1/incidents/1/start",
            "{}",
            &headers,
        ))
        .await;
    answer.problem(415, "unsupported-encoding");
    let headers = [("content-encoding", "gzip")];
    let answer = world
        .send(request(
            Method::POST,
            "/api/v1/incidents/1/start",
            "{}",
            &headers,
        ))
        .await;
    answer.problem(400, "bad-request");
}

#[tokio::test]
async fn commands_that_get_no_answer_say_so_and_when_to_try_again() {
    let world = one().await;
    for (error, name) in [
        (SubmitError::Overloaded, "overloaded"),
        (SubmitError::Stopping, "stopping"),
        (SubmitError::NotReady("loading".to_owned()), "not-ready"),
        (SubmitError::Store(StoreError::Full), "store-unavailable"),
        (SubmitError::Unknown, "outcome-unknown"),
    ] {
        let mut setup = world.setup.clone();
        setup.submit = std::sync::Arc::new(move |_| {
            let error = error.clone();
            Box::pin(async move { Err(error) })
        });
        let router = watchbell::api::router(watchbell::api::ApiState::new(setup));
        let answer = send(
            &router,
            request(Method::POST, "/api/v1/incidents/1/start", "", &[]),
        )
        .await;
        answer.problem(503, name);
        assert!(!answer.header("retry-after").is_empty());
    }
}
