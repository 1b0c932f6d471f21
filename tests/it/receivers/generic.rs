//! Sources that a mapping understands, over HTTP: every way to wrap a message, and what is kept of it.

use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};

use crate::api::Answer;
use crate::support::daemon::{Daemon, Home, LISTEN};
use crate::support::process::eventually;

const SOURCES: &str = r#"
[[source]]
name = "any"
kind = "json"
[source.map]
key = "payload.host"
summary = "payload.text"
status = "payload.state or 'firing'"
ci = ["payload.asset", "payload.host"]

[[source]]
name = "headed"
kind = "json"
[source.map]
key = "headers['x-check'] ~ '/' ~ query.site"
labels = { check = "headers['x-check']", secret = "headers.authorization", site = "query.site" }

[[source]]
name = "events"
kind = "cloudevents"
preset = "cloudevents"

[[source]]
name = "am"
kind = "alertmanager"
"#;

fn home() -> Home {
    Home::new(&format!("{LISTEN}{SOURCES}"))
}

/// Sends a request; each header is a name and a value.
async fn send(
    daemon: &Daemon,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let method = method.parse().unwrap();
    let mut request = daemon.client.request(method, daemon.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    daemon.send(request.body(body.to_owned())).await
}

/// The alert with this key, as soon as there is one.
async fn alert(daemon: &Daemon, key: &str) -> Value {
    eventually(key, async || {
        let alerts = daemon.list("/api/v1/alerts").await;
        alerts.into_iter().find(|alert| alert["key"] == key)
    })
    .await
}

fn accepted(answer: &Answer, observations: u64) {
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.text);
    assert_eq!(answer.json()["observations"], observations);
}

#[tokio::test]
async fn forms_multipart_plain_json_and_queries_are_one_message_each() {
    let home = home();
    let daemon = home.start().await;
    let multipart = "--b\r\nContent-Disposition: form-data; name=\"host\"\r\n\r\nmulti\r\n--b\r\n\
                     Content-Disposition: form-data; name=\"text\"\r\n\r\nin parts\r\n--b--\r\n";
    for (host, kind, body) in [
        (
            "plain",
            "text/plain",
            r#"{"host": "plain", "text": "in json"}"#,
        ),
        (
            "form",
            "application/x-www-form-urlencoded",
            "host=form&text=in+a+form",
        ),
        (
            "wrapped",
            "application/x-www-form-urlencoded",
            "payload=%7B%22host%22%3A%22wrapped%22%7D",
        ),
        ("multi", "multipart/form-data; boundary=b", multipart),
    ] {
        let answer = send(
            &daemon,
            "POST",
            "/ingest/any",
            &[("content-type", kind)],
            body,
        )
        .await;
        accepted(&answer, 1);
        alert(&daemon, &format!("any:v1:{host}")).await;
    }
    for method in ["GET", "POST"] {
        let path = format!("/ingest/any?host=query-{method}&text=a%20b&token=hush&asset=sw1");
        accepted(&send(&daemon, method, &path, &[], "").await, 1);
        let alert = alert(&daemon, &format!("any:v1:query-{method}")).await;
        assert_eq!(
            (&alert["summary"], &alert["ci_hint"]),
            (&json!("a b"), &json!("sw1"))
        );
    }
    // The query is the message: another one is no duplicate of it.
    let metrics = daemon.get("/metrics").await.text;
    assert!(metrics.contains(r#"messages_total{source="any",outcome="duplicate"} 0"#));
    daemon.stop().await;
    let mut store = store(&home).await;
    let told: Vec<(Vec<u8>, Option<String>)> =
        sqlx::query_as("SELECT body, envelope FROM input WHERE source = 'any'")
            .fetch_all(&mut store)
            .await
            .unwrap();
    assert_eq!(told.len(), 6);
    for (body, envelope) in told {
        assert!(!String::from_utf8(body).unwrap().contains("hush"));
        assert_eq!(envelope, None, "this mapping reads nothing of it");
    }
}

#[tokio::test]
async fn get_is_for_sources_that_take_a_query() {
    let home = home();
    let daemon = home.start().await;
    let empty = send(&daemon, "GET", "/ingest/any", &[], "").await;
    empty.problem(400, "not-understood");
    for (method, path, allow) in [
        ("GET", "/ingest/am?host=a", "POST, PUT"),
        ("GET", "/ingest/events?host=a", "POST, PUT"),
        ("HEAD", "/ingest/any?host=a", "GET, POST, PUT"),
        ("DELETE", "/ingest/any", "GET, POST, PUT"),
    ] {
        let answer = send(&daemon, method, path, &[], "").await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("allow")),
            (405, allow),
            "{method} {path}"
        );
    }
    let unknown = send(&daemon, "GET", "/ingest/nobody?host=a", &[], "").await;
    unknown.problem(404, "unknown-source");
    assert!(daemon.list("/api/v1/alerts").await.is_empty());
    assert!(daemon.list("/api/v1/dead-letters").await.is_empty());
    daemon.stop().await;
}

const BINARY: [(&str, &str); 7] = [
    ("ce-specversion", "1.0"),
    ("ce-type", "example.alert.firing"),
    ("ce-source", "/plant"),
    ("ce-subject", "motor-7"),
    ("ce-id", "1"),
    ("authorization", "Bearer hush"),
    ("content-type", "application/json"),
];

#[tokio::test]
async fn what_is_around_a_body_is_decoded_now_and_after_a_restart() {
    let home = home();
    let daemon = home.start().await;
    let event = r#"{"status": "firing", "summary": "too hot"}"#;
    accepted(
        &send(&daemon, "POST", "/ingest/events", &BINARY, event).await,
        1,
    );
    let headed = [("X-Check", "disk"), ("authorization", "Bearer hush")];
    accepted(
        &send(
            &daemon,
            "POST",
            "/ingest/headed?site=b1&api_key=hush",
            &headed,
            "{}",
        )
        .await,
        1,
    );
    let disk = alert(&daemon, "headed:v1:disk/b1").await;
    assert_eq!(disk["labels"], json!({"check": "disk", "site": "b1"}));
    let refused = send(&daemon, "POST", "/ingest/events", &BINARY[..4], "{}").await;
    refused.problem(400, "not-understood");
    let before = daemon.list("/api/v1/alerts").await;
    assert_eq!(before.len(), 2);
    assert_eq!(before[1]["ci_hint"], "motor-7");
    daemon.stop().await;

    let mut store = store(&home).await;
    let kept: Vec<String> = sqlx::query_scalar(
        "SELECT envelope FROM input WHERE envelope IS NOT NULL UNION ALL SELECT envelope FROM dead_letter",
    )
    .fetch_all(&mut store)
    .await
    .unwrap();
    assert_eq!(kept.len(), 3);
    assert!(
        kept.iter()
            .all(|text| !text.contains("hush") && !text.contains("host")),
        "{kept:?}"
    );
    // Messages that were stored and not yet decided when the daemon was killed.
    sqlx::query(
        "INSERT INTO input (partition, seq, at, kind, source, content_type, is_packed, body, envelope) \
         SELECT partition, seq + 1000, at + 1000, kind, source, content_type, is_packed, body, \
         replace(replace(envelope, 'motor-7', 'motor-8'), 'disk', 'load') FROM input WHERE kind = 'message'",
    )
    .execute(&mut store)
    .await
    .unwrap();
    store.close().await.unwrap();
    let daemon = home.start().await;
    let again = alert(&daemon, "headed:v1:load/b1").await;
    assert_eq!(again["labels"], json!({"check": "load", "site": "b1"}));
    let alerts = daemon.list("/api/v1/alerts").await;
    assert_eq!(alerts.len(), 4, "{alerts:#?}");
    assert!(alerts.iter().any(|alert| alert["ci_hint"] == "motor-8"));
    daemon.stop().await;
}

#[tokio::test]
async fn a_message_is_tried_over_the_api_and_leaves_no_trace() {
    let home = home();
    let daemon = home.start().await;
    let path = "/api/v1/sources/any/try";
    let made = send(&daemon, "POST", path, &[], r#"{"host": "a", "text": "b"}"#)
        .await
        .ok();
    assert_eq!(
        (
            &made["understood"],
            &made["items"][0]["key"],
            &made["items"][0]["status"]
        ),
        (&json!(true), &json!("any:v1:a"), &json!("firing")),
        "{made:#}"
    );
    let made = send(&daemon, "POST", path, &[], r#"{"text": "b"}"#)
        .await
        .ok();
    let problem = made["items"][0]["problem"].as_str().unwrap();
    assert!(
        problem.starts_with("key: ") && problem.contains("`payload.host` is missing"),
        "{problem}"
    );
    let made = send(&daemon, "POST", path, &[], "{").await.ok();
    assert_eq!(
        (&made["understood"], made["error"].is_string()),
        (&json!(false), true)
    );
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let made = send(&daemon, "POST", path, &form, "host=a&text=b")
        .await
        .ok();
    assert_eq!(made["observed"], 1);
    let made = send(&daemon, "POST", &format!("{path}?host=a"), &[], "")
        .await
        .ok();
    assert_eq!(made["observed"], 1, "{made:#}");
    let made = send(&daemon, "POST", "/api/v1/sources/events/try", &BINARY, "{}")
        .await
        .ok();
    assert_eq!(
        made["items"][0]["ci_hints"][2]["value"], "motor-7",
        "{made:#}"
    );
    let unknown = send(&daemon, "POST", "/api/v1/sources/ani/try", &[], "{}").await;
    let problem = unknown.problem(404, "not-found");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("did you mean any?")
    );
    for list in ["alerts", "dead-letters", "incidents"] {
        assert!(daemon.list(&format!("/api/v1/{list}")).await.is_empty());
    }
    let sources = daemon.list("/api/v1/sources").await;
    assert!(
        sources
            .iter()
            .all(|source| source["last_message_at"].is_null())
    );
    daemon.stop().await;
}

#[tokio::test]
async fn senders_of_cloud_events_may_ask_first() {
    let home = home();
    let daemon = home.start().await;
    let asks = [("webhook-request-origin", "events.example")];
    let answer = send(&daemon, "OPTIONS", "/ingest/events", &asks, "").await;
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!(answer.header("webhook-allowed-origin"), "events.example");
    assert_eq!(
        (
            answer.header("allow"),
            answer.header("webhook-allowed-rate")
        ),
        ("POST", "*")
    );
    for (path, headers) in [("/ingest/events", &[][..]), ("/ingest/any", &asks[..])] {
        let answer = send(&daemon, "OPTIONS", path, headers, "").await;
        assert_eq!(answer.status.as_u16(), 405, "{path}");
    }
    daemon.stop().await;
}

async fn store(home: &Home) -> SqliteConnection {
    let file = home.path("data/watchbell.db");
    SqliteConnection::connect(&format!("sqlite:{}", file.display()))
        .await
        .unwrap()
}
