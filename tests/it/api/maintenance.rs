//! Maintenance windows over the API: made, shown, changed, cancelled, previewed, refused by field.

use axum::http::Method;
use serde_json::{Value, json};
use watchbell::api_token::Role;
use watchbell::core::rules::{Rules, SettleRules};
use watchbell::core::severity::Severity;
use watchbell::core::time::Span;

use super::{Answer, World, has, request};

impl World {
    async fn plan(&self, body: Value) -> Answer {
        self.post("/api/v1/maintenance", &body.to_string()).await
    }
}

#[tokio::test]
async fn a_window_hides_until_it_is_cancelled_and_stays_in_the_list() {
    // Nothing settles, so that only the window keeps people from being told.
    let world = World::with(Rules {
        settle: SettleRules([Span::ZERO; 5]),
        ..Rules::default()
    })
    .await;
    world.fire("F", Severity::Critical).await;
    let body = json!({"matchers": ["alertname=~\"F|G\""], "duration": "2h", "reason": "firmware"});
    let dry = world
        .post("/api/v1/maintenance?dry_run=true", &body.to_string())
        .await
        .ok();
    assert_eq!(dry["total"], 1);
    let made = world.plan(body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.header("location"), "/api/v1/maintenance/MW-1");
    has(
        &made.json(),
        &json!({"id": "MW-1", "name": "firmware", "state": "active", "origin": "api", "reason": "firmware",
            "created_by": "local", "duration_s": 7200, "rrule": null, "alerts": 1}),
    );
    let by = json!(["maintenance:MW-1"]);
    world.fire("G", Severity::Critical).await;
    for alert in ["A-1", "A-2"] {
        let shown = world.get(&format!("/api/v1/alerts/{alert}")).await.ok();
        assert_eq!(shown["suppressed_by"], by);
    }
    let incident = world.get("/api/v1/incidents/2").await.ok();
    assert_eq!(incident["suppressed_by"], by);
    assert_eq!(incident["announced_at"], Value::Null);
    let silences = world.get("/api/v1/silences").await.ok();
    assert_eq!(silences["items"], json!([]), "a window is no silence");
    let changed = json!({"duration_s": 3600});
    let changed = world
        .post("/api/v1/maintenance/MW-1", &changed.to_string())
        .await
        .ok();
    has(
        &changed,
        &json!({"state": "active", "duration_s": 3600, "reason": "firmware"}),
    );
    world.pass(60);
    let over = world
        .post("/api/v1/maintenance/firmware/cancel", "")
        .await
        .ok();
    assert_eq!(over["state"], "cancelled");
    // Letting go is a decision of its own, right behind the cancellation; the clock stands still meanwhile.
    let told = async |world: &World| {
        let incident = world.get("/api/v1/incidents/2").await.ok();
        incident["announced_at"] != Value::Null
    };
    world.until(told).await;
    let incident = world.get("/api/v1/incidents/2").await.ok();
    assert_eq!(incident["suppressed_by"], json!([]));
    assert_ne!(
        incident["announced_at"], incident["opened_at"],
        "told when it ended"
    );
    let list = world.get("/api/v1/maintenance?state=cancelled").await.ok();
    assert_eq!(list["items"][0]["id"], "MW-1");
    let list = world
        .get("/api/v1/maintenance?state=active,pending")
        .await
        .ok();
    assert_eq!(list["items"], json!([]));
}

#[tokio::test]
async fn a_recurring_window_shows_what_is_to_come() {
    let world = World::open().await;
    let made = world
        .plan(json!({"name": "weekly", "reason": "patches", "scope": {"class": "database", "site": ["a", "b"]},
            "rrule": "FREQ=WEEKLY;BYDAY=SU;BYHOUR=2;BYMINUTE=30", "duration_s": 3600, "zone": "Europe/Paris"}))
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let window = made.json();
    has(
        &window,
        &json!({"state": "pending", "zone": "Europe/Paris", "rrule": "FREQ=WEEKLY;BYDAY=SU;BYHOUR=2;BYMINUTE=30",
            "scope": {"ci": [], "downstream": false, "class": ["database"], "site": ["a", "b"], "service": []}}),
    );
    assert_eq!(window["next"].as_array().unwrap().len(), 5);
    let changed = json!({"duration": "2h"}).to_string();
    let put = request(Method::PUT, "/api/v1/maintenance/weekly", &changed, &[]);
    let changed = world.send(put).await.ok();
    has(
        &changed,
        &json!({"duration_s": 7200, "rrule": window["rrule"], "zone": "Europe/Paris"}),
    );
    let delete = request(Method::DELETE, "/api/v1/maintenance/MW-1", "", &[]);
    assert_eq!(world.send(delete).await.ok()["state"], "cancelled");
}

#[tokio::test]
async fn what_makes_no_sense_is_told_by_its_field() {
    let world = World::open().await;
    let ok = json!({"reason": "x", "ci": "sw1", "duration": "1h"});
    for (field, change) in [
        ("reason", json!({"reason": ""})),
        ("ci", json!({"ci": []})),
        ("ends_at", json!({"duration": null})),
        (
            "ends_at",
            json!({"duration": null, "starts_at": "2031-01-01T02:00:00Z", "ends_at": "2031-01-01T01:00:00Z"}),
        ),
        (
            "rrule",
            json!({"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}),
        ),
        ("zone", json!({"zone": "Europe/Nowhere"})),
        ("starts_at", json!({"starts_at": "tomorrow"})),
    ] {
        let mut body = ok.clone();
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        let refused = world.plan(body).await.problem(400, "bad-request");
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.starts_with(field), "{field}: {detail}");
    }
    world
        .get("/api/v1/maintenance/MW-9")
        .await
        .problem(404, "not-found");
    let past = json!({"reason": "x", "ci": "sw1", "starts_at": "2001-01-01T00:00:00Z", "ends_at": "2001-01-01T01:00:00Z"});
    assert_eq!(world.plan(past).await.status, 409);
}

#[tokio::test]
async fn readers_see_windows_and_responders_make_them() {
    let world = World::guarded().await;
    let bearer = |token: String| format!("Bearer {token}");
    let viewer = bearer(world.token("v", Role::Viewer, None).await);
    let body = json!({"reason": "x", "ci": "sw1", "duration": "1h"}).to_string();
    let post = request(
        Method::POST,
        "/api/v1/maintenance",
        &body,
        &[("authorization", &viewer)],
    );
    assert_eq!(world.send(post).await.status, 403);
    let responder = bearer(world.token("r", Role::Responder, None).await);
    let post = request(
        Method::POST,
        "/api/v1/maintenance",
        &body,
        &[("authorization", &responder)],
    );
    let made = world.send(post).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.json()["created_by"], "r");
    let get = request(
        Method::GET,
        "/api/v1/maintenance",
        "",
        &[("authorization", &viewer)],
    );
    assert_eq!(world.send(get).await.ok()["items"][0]["created_by"], "r");
}
