//! A mixed load with every line logged: no secret is shown, every line is an object, every message is counted.

use serde_json::{Value, json};

use super::config;
use crate::support::daemon::{Daemon, Home, message};

/// In every secret, so that a part of one is found as well.
const CANARY: &str = "canary";

/// Everything that the daemon says while it is used well and badly.
async fn mixed_load(daemon: &Daemon, admin: &str) -> Vec<String> {
    let mut said = Vec::new();
    let url = daemon.url("/ingest/am");
    let good = message("Disk", "firing");
    for (body, token) in [
        (good.as_str(), "canary-source"),
        (good.as_str(), "canary-source"),
        (&message("Disk", "resolved"), "canary-source"),
        (good.as_str(), "canary-wrong"),
        ("{\"alerts\":", "canary-source"),
        ("{\"alerts\":[{}]}", "canary-source"),
        ("{\"alerts\":[]}", "canary-source"),
        (
            "{\"alerts\":[{\"status\":\"firing\",\"labels\":{\"alertname\":\"Fan\"}},{}]}",
            "canary-source",
        ),
    ] {
        let request = daemon.client.post(&url).bearer_auth(token);
        said.push(daemon.send(request.body(body.to_owned())).await.text);
    }
    let basic = daemon
        .client
        .post(&url)
        .basic_auth("am", Some("canary-basic"));
    said.push(daemon.send(basic.body(good.clone())).await.text);
    let header = daemon.client.post(&url).header("x-token", "canary-header");
    said.push(daemon.send(header.body(good)).await.text);
    for token in [admin, "wbt_canary", "canary"] {
        for path in [
            "/api/v1/incidents",
            "/api/v1/sources",
            "/api/v1/tokens",
            "/api/v1/dead-letters/1",
            "/metrics",
            "/api/v1/nothing",
        ] {
            let request = daemon.client.get(daemon.url(path)).bearer_auth(token);
            let answer = daemon.send(request).await;
            said.push(format!("{:?} {}", answer.headers, answer.text));
        }
    }
    said
}

#[tokio::test]
async fn no_secret_is_shown_every_line_is_an_object_and_every_message_is_counted() {
    let more = "[auth]\nrequired = true\n[log]\nlevel = \"trace\"\nformat = \"json\"";
    let source = "token = \"canary-source\"\nbasic = { user = \"am\", password = \"canary-basic\" }\n\
                  header = { name = \"X-Token\", value = { env = \"HEADER\" } }\n\
                  reconcile = { url = \"http://127.0.0.1:1\", every = \"1s\", token = \"canary-poll\" }\n";
    let text = format!("{}{source}", config(more));
    let home = Home::new(&text).set("HEADER", "canary-header");
    let admin = home.token("admin");
    let mut daemon = home.start().await;
    let mut said = mixed_load(&daemon, &admin).await;
    home.configure(&format!("{text}more = 1\n"));
    daemon.reload().await;
    daemon.process.line("could not be polled").await;

    let daemon = daemon.with_token(&admin);
    let (received, stored) = (
        daemon.messages("received").await,
        daemon.messages("stored").await,
    );
    let (duplicate, rejected) = (
        daemon.messages("duplicate").await,
        daemon.messages("rejected").await,
    );
    assert_eq!(received, stored + duplicate + rejected);
    assert_eq!((stored, duplicate, rejected), (4, 3, 3));
    let letters = daemon.list("/api/v1/dead-letters").await;
    assert_eq!(letters.len(), 3, "{letters:?}");

    let lines = daemon.process.lines();
    for line in &lines {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        for field in ["ts", "level", "target", "message"] {
            assert!(line[field].is_string(), "{line}");
        }
    }
    assert!(lines.iter().any(|line| line.contains("\"target\":\"hyper")));
    assert_ne!(json!(said), json!([]));
    said.extend(lines);
    let secret = admin.strip_prefix("wbt_").unwrap();
    for text in said {
        assert!(!text.contains(CANARY) && !text.contains(secret), "{text}");
    }
}
