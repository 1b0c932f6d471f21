//! Every field of every answer.

use serde_json::{Value, json};
use watchbell::core::observation::Claim;
use watchbell::core::severity::Severity;
use watchbell::core::time::{Span, Timestamp};
use watchbell::store::writer::Receipt;

use super::{World, claim};

#[tokio::test]
async fn alert_has_the_fields_of_the_contract() {
    let world = World::open().await;
    world.fire("PortDown", Severity::Critical).await;
    world.pass(60);
    world.fire("PortDown", Severity::Critical).await;
    let expected = json!({
        "id": "A-1", "key": "am:v1:PortDown", "source": "am", "status": "firing", "ended_by": null,
        "severity": "critical", "summary": "PortDown is in trouble",
        "labels": {"alertname": "PortDown"}, "annotations": {"runbook": "turn it off and on"},
        "ci": null, "binding": {"outcome": "unbound", "reason": "no CMDB is loaded"},
        "incident": "INC-1", "starts_at": "2026-11-20T12:01:00.000Z", "ends_at": null,
        "first_seen_at": "2026-11-20T12:00:00.000Z", "last_seen_at": "2026-11-20T12:01:00.000Z",
        "count": 2, "flapping": false, "suppressed_by": [],
        "episode": 2, "expires_at": "2026-11-20T21:01:00.000Z",
        "generator_url": "http://prometheus.example/graph", "ci_hint": "sw1", "is_cut": false, "undelivered": 0, "late": null,
    });
    for path in ["A-1", "a-1", "1"] {
        assert_eq!(
            world.get(&format!("/api/v1/alerts/{path}")).await.ok(),
            expected
        );
    }
    let list = world.get("/api/v1/alerts").await.ok();
    assert_eq!(list, json!({"items": [expected], "next_cursor": null}));
    world.end("PortDown").await;
    let ended = world.get("/api/v1/alerts/1").await.ok();
    assert_eq!(ended["status"], "resolved");
    assert_eq!(ended["ended_by"], "resolved");
    assert_eq!(ended["ends_at"], "2026-11-20T12:01:00.000Z");
    assert_eq!(ended["expires_at"], Value::Null);
}

#[tokio::test]
async fn incident_has_the_fields_of_the_contract() {
    let world = World::open().await;
    let mut first = claim(
        "PortDown",
        Claim::Firing,
        Severity::Critical,
        world.clock.now(),
    );
    first.undelivered = 3;
    world.receive(vec![first]).await;
    let expected = json!({
        "number": "INC-1", "state": "new", "kind": "incident", "priority": "P2", "impact": 2, "urgency": 1,
        "title": "PortDown is in trouble",
        "root_cause": {
            "ci": null, "alert": "A-1", "score": 1.0, "inferred": false,
            "why": ["the only alert of the incident"], "others": [],
        },
        "services": [], "cis": 0, "alerts": {"firing": 1, "resolved": 0, "total": 1, "undelivered": 3},
        "events": 1, "team": null, "assignee": null, "opened_at": "2026-11-20T12:00:00.000Z",
        "announced_at": null, "acknowledged_at": null, "resolved_at": null, "closed_at": null,
        "sla": [], "tickets": [], "flapping": false, "suppressed_by": [], "merged_into": null, "version": 1,
        "severity": "critical", "previous": null, "reopen_count": 0, "hold_reason": null, "hold_until": null,
        "acknowledged_until": null, "recovers_at": null, "closes_at": null,
        "changes": [], "known_errors": [], "problems": [], "major": null, "priority_override": null,
    });
    for path in ["INC-1", "inc-1", "1"] {
        assert_eq!(
            world.get(&format!("/api/v1/incidents/{path}")).await.ok(),
            expected
        );
    }
    let list = world.get("/api/v1/incidents").await.ok();
    assert_eq!(list, json!({"items": [expected], "next_cursor": null}));
    for missing in [
        "INC-2",
        "2",
        "x",
        "INC-0",
        "0",
        "-1",
        "INC-99999999999999999999",
    ] {
        let answer = world.get(&format!("/api/v1/incidents/{missing}")).await;
        answer.problem(404, "not-found");
    }
}

#[tokio::test]
async fn events_stay_with_the_incident_in_which_they_were_counted() {
    let world = World::open().await;
    world.fire("PortDown", Severity::Critical).await;
    for _ in 0..3 {
        world.receive(vec![repeat("PortDown", 0)]).await;
    }
    assert_eq!(world.get("/api/v1/incidents/1").await.ok()["events"], 4);
    world.post("/api/v1/incidents/1/resolve", "{}").await.ok();
    world.pass(16 * 60);
    let linked = world.post("/api/v1/incidents/1/reopen", "").await.ok();
    assert_eq!(linked["number"], "INC-2");
    assert_eq!(linked["previous"], "INC-1");
    world.pass(60);
    world.fire("PortDown", Severity::Critical).await;
    assert_eq!(world.get("/api/v1/incidents/1").await.ok()["events"], 4);
    assert_eq!(world.get("/api/v1/incidents/2").await.ok()["events"], 1);
    let members = world.get("/api/v1/incidents/1/alerts").await.ok();
    assert_eq!(members["items"][0]["id"], "A-1");
    assert_eq!(members["items"][0]["incident"], "INC-2");
}

#[tokio::test]
async fn incident_is_suppressed_only_when_every_firing_alert_is_muted() {
    use watchbell::core::ids::AlertId;
    use watchbell::core::input::PollDifference;
    use watchbell::store::inbox::{InputKind, NewInput, StoredBody};
    let world = World::open().await;
    world.fire("PortDown", Severity::Critical).await;
    let difference = PollDifference {
        asked_at: Some(world.clock.now()),
        muted: vec![AlertId::new(1).unwrap()],
        ..PollDifference::default()
    };
    let input = NewInput {
        kind: InputKind::Poll,
        source: Some("am".to_owned()),
        content_type: None,
        envelope: None,
        body: StoredBody::new(serde_json::to_vec(&difference).unwrap().into()),
    };
    let writer = world.engine.writer();
    let receipt: Receipt = writer.append(input, None, None).await.unwrap();
    world
        .until(async |_| writer.progress.decided() >= receipt.seq())
        .await;
    assert_eq!(
        world.get("/api/v1/alerts/1").await.ok()["suppressed_by"],
        json!(["upstream"])
    );
    assert_eq!(
        world.get("/api/v1/incidents/1").await.ok()["suppressed_by"],
        json!(["upstream"])
    );
    world.end("PortDown").await;
    assert_eq!(
        world.get("/api/v1/incidents/1").await.ok()["suppressed_by"],
        json!([])
    );
}

#[tokio::test]
async fn timeline_tells_what_happened_newest_first() {
    let world = World::open().await;
    world.fire("PortDown", Severity::Critical).await;
    world
        .post("/api/v1/incidents/1/notes", r#"{"text": "on it"}"#)
        .await
        .ok();
    let list = world.get("/api/v1/incidents/1/timeline").await.ok();
    let items = list["items"].as_array().unwrap();
    assert_eq!(
        items[0],
        json!({
            "id": 2, "at": "2026-11-20T12:00:00.000Z", "seq": 3, "reason": "note_added",
            "text": "A person added a note.", "state": "new", "actor": "local", "note": "on it",
            "incident": "INC-1", "alert": null,
        })
    );
    let oldest = world.get("/api/v1/incidents/1/timeline?sort=id").await.ok();
    let mut reversed = items.clone();
    reversed.reverse();
    assert_eq!(oldest["items"], Value::Array(reversed));
    let of_alert = world.get("/api/v1/alerts/1/timeline").await.ok();
    assert!(
        of_alert["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|item| item["alert"] == "A-1")
    );
    world
        .get("/api/v1/incidents/9/timeline")
        .await
        .problem(404, "not-found");
    world
        .get("/api/v1/alerts/9/timeline")
        .await
        .problem(404, "not-found");
}

#[tokio::test]
async fn explanation_names_the_facts_and_the_inputs() {
    let world = World::open().await;
    world.fire("PortDown", Severity::Critical).await;
    world
        .post("/api/v1/incidents/1/acknowledge", "{}")
        .await
        .ok();
    let incident = world.get("/api/v1/incidents/INC-1/explain").await.ok();
    assert_eq!(incident["subject"], "INC-1");
    assert_eq!(incident["key"], Value::Null);
    assert_eq!(incident["truncated"], false);
    let summary = incident["summary"].as_str().unwrap();
    for part in [
        "INC-1 was opened at 2026-11-20T12:00:00.000Z",
        "A-1 of source am",
        "P2",
        "acknowledged",
    ] {
        assert!(summary.contains(part), "{summary}");
    }
    let decisions = incident["decisions"].as_array().unwrap();
    let first = decisions.first().unwrap();
    assert_eq!(first["input"]["kind"], "message");
    assert_eq!(first["input"]["source"], "am");
    let last = decisions.last().unwrap();
    assert_eq!(last["reason"], "acknowledged");
    assert_eq!(last["actor"], "local");
    assert_eq!(last["input"]["kind"], "command");
    assert_eq!(last["input"]["seq"], last["seq"]);

    let alert = world.get("/api/v1/alerts/A-1/explain").await.ok();
    assert_eq!(
        alert["key"],
        json!({
            "text": "am:v1:PortDown", "source": "am", "version": "v1", "payload": "PortDown",
        })
    );
    let summary = alert["summary"].as_str().unwrap();
    for part in ["A-1", "source am", "fires since", "INC-1", "no CMDB"] {
        assert!(summary.contains(part), "{summary}");
    }
}

#[tokio::test]
async fn dead_letters_show_their_body_one_by_one() {
    use watchbell::store::dead_letters::NewDeadLetter;
    let world = World::open().await;
    for n in 0..3 {
        let letter = NewDeadLetter {
            source: "am".to_owned(),
            reason: "bad_request",
            detail: format!("line {n} is not JSON"),
            content_type: Some("text/plain".to_owned()),
            envelope: None,
            body: bytes::Bytes::from_static(b"\xff{"),
        };
        world.engine.writer().dead_letter(letter).await.unwrap();
    }
    let list = world.get("/api/v1/dead-letters?limit=2").await.ok();
    assert_eq!(
        list["items"][0],
        json!({
            "id": "D-3", "at": "2026-11-20T12:00:00.000Z", "source": "am", "reason": "bad_request",
            "detail": "line 2 is not JSON", "content_type": "text/plain", "body_bytes": 2,
        })
    );
    let cursor = list["next_cursor"].as_str().unwrap();
    let rest = world
        .get(&format!("/api/v1/dead-letters?limit=2&cursor={cursor}"))
        .await
        .ok();
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    assert_eq!(rest["next_cursor"], Value::Null);
    for path in ["D-3", "d-3", "3"] {
        let one = world
            .get(&format!("/api/v1/dead-letters/{path}"))
            .await
            .ok();
        assert_eq!(one["body"], "\u{fffd}{");
    }
    world
        .get("/api/v1/dead-letters/D-4")
        .await
        .problem(404, "not-found");
    world
        .get("/api/v1/dead-letters/x")
        .await
        .problem(404, "not-found");
    assert_eq!(
        world.get("/api/v1/dead-letters?source=pd").await.ok()["items"],
        json!([])
    );
}

#[tokio::test]
async fn health_readiness_and_metrics_answer() {
    let world = World::open().await;
    assert_eq!(world.get("/healthz").await.ok(), json!({"status": "ok"}));
    assert_eq!(world.get("/readyz").await.ok(), json!({"status": "ready"}));
    let metrics = world.get("/metrics").await;
    assert_eq!(
        metrics.header("content-type"),
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert_eq!(metrics.text, "# EOF\n");
    let mut setup = world.setup.clone();
    setup.unready = std::sync::Arc::new(|| vec!["the disk is full".to_owned()]);
    let router = watchbell::api::router(watchbell::api::ApiState::new(setup));
    let answer = super::send(
        &router,
        super::request(axum::http::Method::GET, "/readyz", "", &[]),
    )
    .await;
    assert_eq!(answer.status.as_u16(), 503);
    assert_eq!(
        answer.json(),
        json!({"status": "not ready", "reasons": ["the disk is full"]})
    );
}

#[tokio::test]
async fn sources_are_listed_as_configured() {
    let world = World::open().await;
    let list = world.get("/api/v1/sources").await.ok();
    assert_eq!(
        list["items"][0],
        json!({
            "name": "am", "kind": "alertmanager", "path": "/ingest/am", "open": false, "reconciled": false,
            "last_message_at": null, "silent_s": null, "last_test_at": null, "last_test": null, "tests": 0, "rate": 0.0,
            "messages": {}, "errors": {"count": 0, "last_at": null, "last_reason": null}, "skew_s": null,
            "volatile_labels": [], "warnings": [], "silent_after_s": null, "silent": null, "subscription": null, "connection": null,
        })
    );
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    let first = world.get("/api/v1/sources?limit=1").await.ok();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = world
        .get(&format!("/api/v1/sources?limit=1&cursor={cursor}"))
        .await
        .ok();
    assert_eq!(second["items"][0]["name"], "pd");
    assert_eq!(second["next_cursor"], Value::Null);
    let one = world.get("/api/v1/sources/pd").await.ok();
    assert_eq!(one, second["items"][0]);
    let unknown = world.get("/api/v1/sources/pdd").await;
    unknown.problem(404, "not-found");
}

#[tokio::test]
async fn messages_are_tried_on_sources_that_exist() {
    let world = World::open().await;
    let tried = world.post("/api/v1/sources/am/try", "{}").await.ok();
    let expected = json!({
        "source": "am", "kind": "", "understood": false, "error": null, "observed": 0, "rejected": 0, "skipped": 0,
        "tests": 0, "items": [], "notes": [], "advice": [],
    });
    assert_eq!(tried, expected);
    let unknown = world.post("/api/v1/sources/an/try", "{}").await;
    let problem = unknown.problem(404, "not-found");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("did you mean am?")
    );
}

/// The same episode again, which started so long ago.
fn repeat(name: &str, age_s: i64) -> watchbell::core::observation::Observation {
    let now = Timestamp::from_millis(super::START_MS).minus(Span::from_secs(age_s));
    claim(name, Claim::Firing, Severity::Critical, now)
}
