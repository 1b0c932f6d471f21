//! Who may do what.

use std::net::SocketAddr;

use axum::http::{Method, StatusCode};
use serde_json::json;
use watchbell::api_token::Role;
use watchbell::core::severity::Severity;
use watchbell::runtime::listen::PeerAddr;

use super::{Answer, World, has, request};

async fn ask(world: &World, method: Method, path: &str, token: Option<&str>) -> Answer {
    let bearer = format!("Bearer {}", token.unwrap_or_default());
    let headers = [("authorization", bearer.as_str())];
    let headers = if token.is_some() { &headers[..] } else { &[] };
    world.send(request(method, path, "", headers)).await
}

/// Every operation of the document, with a path that exists.
async fn operations(world: &World) -> Vec<(Method, String, Option<Role>)> {
    let document = world.get("/api/v1/openapi.json").await.ok();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        // Senders show what their source asks for, not a token.
        if item["post"]["tags"][0] == "doors" {
            continue;
        }
        for (method, operation) in item.as_object().unwrap() {
            let method: Method = method.to_ascii_uppercase().parse().unwrap();
            let role = operation["security"][0]["bearer"][0].as_str();
            let id = if path.contains("tokens") {
                "tok-none"
            } else {
                "1"
            };
            let path = path.replace("{number}", "1").replace("{id}", id);
            found.push((method, path, role.map(|role| role.parse().unwrap())));
        }
    }
    found
}

#[tokio::test]
async fn every_route_asks_for_its_role() {
    let world = World::guarded().await;
    world.fire("PortDown", Severity::Critical).await;
    let mut tokens = Vec::new();
    for role in Role::ALL {
        tokens.push((role, world.token(role.as_str(), role, None).await));
    }
    let operations = operations(&world).await;
    assert!(operations.len() > 25);
    for (method, path, needed) in operations {
        let expected = match (&method, path.as_str()) {
            (_, "/" | "/healthz" | "/readyz" | "/api/docs" | "/api/v1/openapi.json") => None,
            // Links and Slack's buttons carry a signature of their own; a token counts for nothing there.
            (_, path) if path.starts_with("/answer/") || path.starts_with("/rate/") => None,
            (_, path) if path.starts_with("/api/v1/tokens") => Some(Role::Admin),
            (_, path) if path.starts_with("/api/v1/audit") => Some(Role::Admin),
            (_, "/api/v1/cmdb/import") => Some(Role::Admin),
            (&Method::GET, _) => Some(Role::Viewer),
            // Asks who would be told, and tells nobody.
            (_, "/api/v1/routes/try") => Some(Role::Viewer),
            _ => Some(Role::Responder),
        };
        assert_eq!(needed, expected, "{method} {path}");
        let answer = ask(&world, method.clone(), &path, None).await;
        if path.starts_with("/answer/") || path.starts_with("/rate/") {
            let refused = if path == "/answer/slack" {
                401_u16
            } else {
                404
            };
            assert_eq!(
                answer.status, refused,
                "{method} {path} without a signature"
            );
            for (_, token) in &tokens {
                let answer = ask(&world, method.clone(), &path, Some(token)).await;
                assert_eq!(answer.status, refused, "{method} {path} with a token");
            }
            continue;
        }
        match needed {
            None => assert!(answer.status.as_u16() < 400, "{method} {path}"),
            Some(_) => {
                answer.problem(401, "unauthorized");
                assert_eq!(
                    answer.header("www-authenticate"),
                    "Bearer realm=\"watchbell\""
                );
            }
        }
        for (role, token) in &tokens {
            let answer = ask(&world, method.clone(), &path, Some(token)).await;
            if needed.is_some_and(|needed| *role < needed) {
                let problem = answer.problem(403, "forbidden");
                assert_eq!(problem["role"], needed.unwrap().as_str());
            } else {
                let status = answer.status;
                assert!(
                    status != StatusCode::UNAUTHORIZED && status != StatusCode::FORBIDDEN,
                    "{method} {path} for {role:?}: {status}"
                );
            }
        }
    }
}

#[tokio::test]
async fn whatever_is_wrong_with_a_token_the_answer_is_the_same() {
    let world = World::guarded().await;
    let now_ms = world.clock.now().as_millis();
    let expired = world.token("old", Role::Admin, Some(now_ms)).await;
    let good = world
        .token("ana", Role::Viewer, Some(now_ms + 60_000))
        .await;
    let mut bodies = Vec::new();
    for token in [
        None,
        Some("x"),
        Some("wbt_"),
        Some("wbt_unknown"),
        Some(expired.as_str()),
    ] {
        let answer = ask(&world, Method::GET, "/api/v1/alerts", token).await;
        answer.problem(401, "unauthorized");
        bodies.push(answer.text);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
    ask(&world, Method::GET, "/api/v1/alerts", Some(&good))
        .await
        .ok();
    let lower = [("authorization", format!("bearer {good}"))];
    let lower = [("authorization", lower[0].1.as_str())];
    world
        .send(request(Method::GET, "/api/v1/alerts", "", &lower))
        .await
        .ok();
    let basic = [("authorization", "Basic YTpi")];
    world
        .send(request(Method::GET, "/api/v1/alerts", "", &basic))
        .await
        .problem(401, "unauthorized");
}

/// Asks for a new token.
async fn make(world: &World, admin: &str, body: &str) -> Answer {
    let bearer = format!("Bearer {admin}");
    let headers = [("authorization", bearer.as_str())];
    world
        .send(request(Method::POST, "/api/v1/tokens", body, &headers))
        .await
}

const ANA: &str = r#"{"name": "ana", "role": "responder", "expires": "30d"}"#;

#[tokio::test]
async fn a_new_token_is_shown_once_and_works() {
    let world = World::guarded().await;
    let admin = world.token("root", Role::Admin, None).await;
    world.pass(1);
    let answer = make(&world, &admin, ANA).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.header("cache-control"), "no-store");
    let made = answer.json();
    has(
        &made,
        &json!({
            "name": "ana", "role": "responder", "created_at": "2026-11-20T12:00:01.000Z",
            "expires_at": "2026-12-20T12:00:01.000Z", "revoked_at": null, "valid": true,
        }),
    );
    let id = made["id"].as_str().unwrap();
    assert_eq!(answer.header("location"), format!("/api/v1/tokens/{id}"));
    let token = made["token"].as_str().unwrap();
    assert!(token.starts_with("wbt_") && token.len() == 47);

    world.fire("PortDown", Severity::Critical).await;
    let path = "/api/v1/incidents/1/acknowledge";
    ask(&world, Method::POST, path, Some(token)).await.ok();
    let path = "/api/v1/incidents/1/timeline";
    let timeline = ask(&world, Method::GET, path, Some(token)).await.ok();
    assert_eq!(timeline["items"][0]["actor"], "ana");

    let list = ask(&world, Method::GET, "/api/v1/tokens", Some(&admin)).await;
    assert!(
        !list.text.contains("wbt_") && !list.text.contains("hash"),
        "{}",
        list.text
    );
    let list = list.ok();
    assert_eq!(list["items"][0]["id"], id);
    assert_eq!(list["items"][1]["name"], "root");
}

#[tokio::test]
async fn a_revoked_token_stops_at_once_and_stays_in_the_list() {
    let world = World::guarded().await;
    let admin = world.token("root", Role::Admin, None).await;
    world.pass(1);
    let made = make(&world, &admin, ANA).await.json();
    let token = made["token"].as_str().unwrap();
    ask(&world, Method::GET, "/api/v1/alerts", Some(token))
        .await
        .ok();
    let path = format!("/api/v1/tokens/{}", made["id"].as_str().unwrap());
    for _ in 0..2 {
        let gone = ask(&world, Method::DELETE, &path, Some(&admin)).await;
        assert_eq!(
            (gone.status, gone.text.as_str()),
            (StatusCode::NO_CONTENT, "")
        );
    }
    let answer = ask(&world, Method::GET, "/api/v1/alerts", Some(token)).await;
    answer.problem(401, "unauthorized");
    let list = ask(&world, Method::GET, "/api/v1/tokens", Some(&admin))
        .await
        .ok();
    has(
        &list["items"][0],
        &json!({"valid": false, "revoked_at": "2026-11-20T12:00:01.000Z"}),
    );
    let none = ask(
        &world,
        Method::DELETE,
        "/api/v1/tokens/tok-none",
        Some(&admin),
    )
    .await;
    none.problem(404, "not-found");
}

#[tokio::test]
async fn tokens_that_make_no_sense_are_refused() {
    let world = World::guarded().await;
    let admin = world.token("root", Role::Admin, None).await;
    for bad in [
        "",
        "{}",
        r#"{"name": "x"}"#,
        r#"{"name": "", "role": "viewer"}"#,
        r#"{"name": "x", "role": "king"}"#,
        r#"{"name": "x", "role": "viewer", "expires": "soon"}"#,
        r#"{"name": "x", "role": "viewer", "expires": "2020-01-01T00:00:00Z"}"#,
        r#"{"name": "x", "role": "viewer", "expires": "0d"}"#,
        r#"{"name": "x", "role": "viewer", "scope": "all"}"#,
    ] {
        make(&world, &admin, bad).await.problem(400, "bad-request");
    }
}

#[tokio::test]
async fn a_token_that_was_used_ends_on_time() {
    let world = World::guarded().await;
    let end = world.clock.now().as_millis() + 5_000;
    let token = world.token("ana", Role::Viewer, Some(end)).await;
    ask(&world, Method::GET, "/api/v1/alerts", Some(&token))
        .await
        .ok();
    world.pass(5);
    let answer = ask(&world, Method::GET, "/api/v1/alerts", Some(&token)).await;
    answer.problem(401, "unauthorized");
}

#[tokio::test]
async fn guessing_is_slowed_down_and_keeps_nobody_out() {
    let world = World::guarded().await;
    let good = world.token("ana", Role::Viewer, None).await;
    let from = async |address: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        let mut request = request(
            Method::GET,
            "/api/v1/alerts",
            "",
            &[("authorization", &bearer)],
        );
        let address: SocketAddr = address.parse().unwrap();
        request.extensions_mut().insert(PeerAddr(address));
        world.send(request).await
    };
    let mut slowed = 0;
    for n in 0..15 {
        let answer = from("192.0.2.1:1000", &format!("wbt_guess{n}")).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            answer.problem(429, "too-many-attempts");
            assert!(!answer.header("retry-after").is_empty());
            slowed += 1;
        }
    }
    assert!((1..=5).contains(&slowed), "{slowed}");
    from("192.0.2.1:1000", &good).await.ok();
    from("192.0.2.2:1000", "wbt_guess")
        .await
        .problem(401, "unauthorized");
}

#[tokio::test]
async fn strange_pages_cannot_use_a_daemon_without_tokens() {
    let world = World::open().await;
    world.fire("PortDown", Severity::Critical).await;
    let path = "/api/v1/incidents/1/acknowledge";
    let strange = [
        ("host", "127.0.0.1:8080"),
        ("origin", "https://evil.example"),
    ];
    world
        .send(request(Method::POST, path, "", &strange))
        .await
        .problem(403, "forbidden");
    let rebound = [("host", "evil.example:8080")];
    world
        .send(request(Method::GET, "/api/v1/alerts", "", &rebound))
        .await
        .problem(403, "forbidden");
    let own = [
        ("host", "127.0.0.1:8080"),
        ("origin", "http://127.0.0.1:8080"),
    ];
    world.send(request(Method::POST, path, "", &own)).await.ok();
}

#[tokio::test]
async fn metrics_can_be_left_open() {
    let world = World::guarded().await;
    world.get("/metrics").await.problem(401, "unauthorized");
    let mut setup = world.setup.clone();
    setup.auth.is_metrics_open = true;
    let router = watchbell::api::router(watchbell::api::ApiState::new(setup));
    let answer = super::send(&router, request(Method::GET, "/metrics", "", &[])).await;
    assert_eq!(answer.status, StatusCode::OK);
}
