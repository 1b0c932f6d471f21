//! Answers by link and from Slack: GET changes nothing, the form does, and only for the incident of the link.

use axum::http::Method;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;
use watchbell::answer_link::{Answerable, LinkKey};
use watchbell::core::ids::IncidentId;
use watchbell::core::severity::Severity;
use watchbell::core::time::Span;

use super::{KEY, SLACK_SECRET, World, has, request};

fn link(world: &World, number: i64, days: i64) -> String {
    let about = Answerable {
        incident: IncidentId::new(number).unwrap(),
        who: "ana".into(),
        expires_at: world.clock.now().plus(Span::from_days(days)),
    };
    LinkKey::derive(&KEY).url("", &about)
}

#[tokio::test]
async fn link_shows_and_asks_and_only_the_form_does_something() {
    let world = World::guarded().await;
    world.fire("F", Severity::Critical).await;
    let path = link(&world, 1, 1);
    let page = world.get(&path).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(page.text.contains("INC-1") && page.text.contains("value=\"acknowledge\""));
    let token = world
        .token("t", watchbell::api_token::Role::Viewer, None)
        .await;
    let auth = format!("Bearer {token}");
    let incident = async || {
        let get = request(
            Method::GET,
            "/api/v1/incidents/1",
            "",
            &[("authorization", &auth)],
        );
        world.send(get).await.ok()
    };
    has(&incident().await, &json!({"state": "new", "version": 1}));
    let done = world.post(&path, "do=acknowledge&note=on+it").await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert!(done.text.contains("you have it"), "{}", done.text);
    has(&incident().await, &json!({"state": "acknowledged"}));
    let again = world.post(&path, "do=acknowledge").await;
    assert_eq!(again.status, 409, "{}", again.text);
    let done = world.post(&path, "do=resolve").await;
    assert!(done.text.contains("Resolved."), "{}", done.text);
    has(&incident().await, &json!({"state": "resolved"}));
    world.post(&path, "").await.problem(400, "bad-request");
    world
        .post(&path, "do=close")
        .await
        .problem(400, "bad-request");
}

#[tokio::test]
async fn link_that_was_changed_or_has_expired_does_nothing() {
    let world = World::open().await;
    world.fire("F", Severity::Critical).await;
    let path = link(&world, 1, 1);
    let forged = format!("{path}A");
    for bad in [forged.as_str(), "/answer/x", "/answer/x.y"] {
        assert_eq!(world.get(bad).await.status, 404, "{bad}");
        assert_eq!(world.post(bad, "do=resolve").await.status, 404, "{bad}");
    }
    world.pass(24 * 3600);
    assert_eq!(world.get(&path).await.status, 410);
    assert_eq!(world.post(&path, "do=resolve").await.status, 410);
    let incident = world.get("/api/v1/incidents/1").await.ok();
    assert_eq!(incident["acknowledged_at"], json!(null));
}

#[tokio::test]
async fn button_in_slack_acknowledges_when_slack_signed_it() {
    let world = World::guarded().await;
    world.fire("F", Severity::Critical).await;
    let token = link(&world, 1, 1).rsplit_once('/').unwrap().1.to_owned();
    let payload = json!({
        "type": "block_actions", "user": {"id": "U1", "username": "ana"},
        "actions": [{"action_id": "watchbell:acknowledge", "value": token}],
    });
    let encoded: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", &payload.to_string())
        .finish();
    let seconds = (world.clock.now().as_millis() / 1000).to_string();
    let signature = |secret: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("v0:{seconds}:{encoded}").as_bytes());
        format!("v0={}", hex::encode(mac.finalize().into_bytes()))
    };
    let press = async |secret: &str| {
        let signature = signature(secret);
        let headers = [
            ("x-slack-request-timestamp", seconds.as_str()),
            ("x-slack-signature", signature.as_str()),
        ];
        world
            .send(request(Method::POST, "/answer/slack", &encoded, &headers))
            .await
    };
    press("another secret").await.problem(401, "unauthorized");
    let said = press(SLACK_SECRET).await.ok();
    assert_eq!(said["text"], "INC-1: Acknowledged: you have it.");
    let again = press(SLACK_SECRET).await.ok();
    assert!(
        again["text"]
            .as_str()
            .unwrap()
            .contains("acknowledged or further on"),
        "{again}"
    );
}
