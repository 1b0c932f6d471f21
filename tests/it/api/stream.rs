//! The stream of changes.

use axum::body::Body;
use axum::http::Method;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use watchbell::api_token::Role;
use watchbell::core::severity::Severity;

use super::{World, request};

/// Follows from an event on, or from now.
async fn follow(world: &World, seen: Option<i64>) -> Body {
    let seen = seen.map(|id| id.to_string());
    let headers: Vec<_> = seen
        .iter()
        .map(|id| ("last-event-id", id.as_str()))
        .collect();
    let request = request(Method::GET, "/api/v1/stream", "", &headers);
    let response = world.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    let hello = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(hello.starts_with(b": "), "{hello:?}");
    body
}

/// The next event about an incident: its id and the data.
async fn next(body: &mut Body, number: &str) -> (i64, Value) {
    loop {
        let frame = body.frame().await.unwrap().unwrap();
        let text = String::from_utf8(frame.into_data().unwrap().into()).unwrap();
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        if field("event: ") != Some("incident") {
            continue;
        }
        let incident: Value = serde_json::from_str(field("data: ").unwrap()).unwrap();
        if incident["number"] == number {
            return (field("id: ").unwrap().parse().unwrap(), incident);
        }
    }
}

#[tokio::test]
async fn who_follows_is_sent_changes_and_later_what_was_missed() {
    let world = World::open().await;
    world.fire("PortDown", Severity::Critical).await;
    let mut body = follow(&world, None).await;
    world.fire("FanBroken", Severity::Warning).await;
    let (seen, incident) = next(&mut body, "INC-2").await;
    let now = world.get("/api/v1/incidents/INC-2").await.ok();
    assert_eq!(incident["title"], now["title"]);
    assert_eq!(incident["state"], "new");
    drop(body);

    for (command, order) in [
        ("acknowledge", json!({})),
        ("notes", json!({"text": "on it"})),
    ] {
        let path = format!("/api/v1/incidents/INC-1/{command}");
        world.post(&path, &order.to_string()).await.ok();
    }
    let mut body = follow(&world, Some(seen)).await;
    let (id, incident) = next(&mut body, "INC-1").await;
    assert!(id > seen);
    assert_eq!(incident["state"], "acknowledged");

    world.setup.stage.token().cancel();
    let rest = body.collect().await.unwrap().to_bytes();
    assert!(!rest.starts_with(b"event: "), "each is sent once: {rest:?}");
}

#[tokio::test]
async fn followers_need_a_token_and_have_a_limit() {
    let world = World::guarded().await;
    let refused = world.get("/api/v1/stream").await;
    refused.problem(401, "unauthorized");
    let token = world.token("screen", Role::Viewer, None).await;
    let bearer = format!("Bearer {token}");
    let ask = async || {
        let request = request(
            Method::GET,
            "/api/v1/stream",
            "",
            &[("authorization", bearer.as_str())],
        );
        world.router.clone().oneshot(request).await.unwrap()
    };
    let mut held = Vec::new();
    while held.len() < 1_000 {
        let response = ask().await;
        if response.status() == 503 {
            break;
        }
        assert_eq!(response.status(), 200);
        held.push(response);
    }
    assert_eq!(held.len(), 100);
    held.pop();
    assert_eq!(ask().await.status(), 200);
}
