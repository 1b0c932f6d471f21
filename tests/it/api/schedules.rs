//! Schedules, on-call and overrides over the API.

use axum::http::Method;
use serde_json::{Value, json};

use super::{World, has, request};
use crate::on_call::policy;

const FILE: &str = r#"
[[schedule]]
name = "net"
zone = "Europe/Berlin"
members = ["ana", "ben"]
start = "2026-11-16"
[[schedule]]
name = "office"
members = ["cem"]
hours = { mon-fri = "08:00-16:00" }
[[team]]
name = "network"
schedule = "net"
"#;

#[tokio::test]
async fn who_is_on_call_is_told_for_any_time() {
    let world = World::with(policy(FILE)).await;
    let all = world.get("/api/v1/on-call").await.ok();
    let items = all["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    has(
        &items[0],
        &json!({"schedule": "net", "teams": ["network"], "people": ["ana"], "by": "rotation",
            "starts_at": "2026-11-16T08:00:00.000Z", "ends_at": "2026-11-23T08:00:00.000Z"}),
    );
    has(&items[0]["next"], &json!({"people": ["ben"]}));
    let later = world
        .get("/api/v1/on-call?at=2026-11-28T12:00:00Z&team=network")
        .await
        .ok();
    assert_eq!(later["items"][0]["people"], json!(["ben"]));
    let gap = world
        .get("/api/v1/on-call?at=2026-11-28T12:00:00Z&schedule=office")
        .await
        .ok();
    has(&gap["items"][0], &json!({"people": [], "by": null}));
    world
        .get("/api/v1/on-call?team=nobody")
        .await
        .problem(404, "not-found");
    world
        .get("/api/v1/on-call?at=noon")
        .await
        .problem(400, "bad-request");
}

#[tokio::test]
async fn a_schedule_shows_its_shifts_its_gaps_and_a_calendar() {
    let world = World::with(policy(FILE)).await;
    let list = world.get("/api/v1/schedules").await.ok();
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    let path = "/api/v1/schedules/office?from=2026-11-20T00:00:00Z&to=2026-11-24T00:00:00Z";
    let shown = world.get(path).await.ok();
    let people = |shifts: &Value| -> Vec<usize> {
        let shifts = shifts.as_array().unwrap().iter();
        shifts
            .map(|shift| shift["people"].as_array().unwrap().len())
            .collect()
    };
    assert_eq!(people(&shown["shifts"]), [0, 1, 0, 1, 0]);
    assert_eq!(shown["gaps"].as_array().unwrap().len(), 3);
    let calendar = world.get("/api/v1/schedules/net.ics").await;
    assert_eq!(
        calendar.header("content-type"),
        "text/calendar; charset=utf-8"
    );
    assert!(
        calendar.text.contains("SUMMARY:ben on call: net\r\n"),
        "{}",
        calendar.text
    );
    world
        .get("/api/v1/schedules/ten")
        .await
        .problem(404, "not-found");
    world
        .get("/api/v1/schedules/ten.ics")
        .await
        .problem(404, "not-found");
}

#[tokio::test]
async fn an_override_is_made_shown_and_ended() {
    let world = World::with(policy(FILE)).await;
    let path = "/api/v1/schedules/net/overrides";
    let body =
        json!({"person": "ben", "replaces": "ana", "duration_s": 3600, "comment": "dentist"});
    let made = world.post(path, &body.to_string()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.json();
    has(
        &made,
        &json!({"id": "OVR-1", "person": "ben", "replaces": "ana", "created_by": "local",
            "starts_at": "2026-11-20T12:00:00.000Z", "ends_at": "2026-11-20T13:00:00.000Z"}),
    );
    let now = world.get("/api/v1/on-call?team=network").await.ok();
    has(&now["items"][0], &json!({"people": ["ben"], "by": "OVR-1"}));
    world.pass(60);
    let ended = world
        .send(request(Method::DELETE, &format!("{path}/OVR-1"), "", &[]))
        .await
        .ok();
    assert_eq!(ended["ends_at"], "2026-11-20T12:01:00.000Z");
    let now = world.get("/api/v1/on-call?team=network").await.ok();
    has(&now["items"][0], &json!({"people": ["ana"]}));
    let then = world
        .get("/api/v1/on-call?team=network&at=2026-11-20T12:00:30Z")
        .await
        .ok();
    has(&then["items"][0], &json!({"people": ["ben"]}));
    let again = world
        .send(request(Method::DELETE, &format!("{path}/OVR-1"), "", &[]))
        .await;
    again.problem(404, "not-found");
    for bad in [
        json!({"person": "nobody", "duration_s": 60}),
        json!({"duration_s": 60}),
        json!({"person": "ben"}),
        json!({"person": "ben", "duration_s": 60, "ends_at": "2026-11-21T00:00:00Z"}),
    ] {
        world
            .post(path, &bad.to_string())
            .await
            .problem(400, "bad-request");
    }
    let late = json!({"person": "ben", "ends_at": "2026-11-19T00:00:00Z"});
    world
        .post(path, &late.to_string())
        .await
        .problem(422, "override-ends-too-early");
}
