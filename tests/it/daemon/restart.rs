//! What is still there after the end, whichever end it was.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::config;
use crate::support::daemon::Home;
use crate::support::process::eventually;

#[tokio::test]
async fn alerts_incidents_commands_and_tokens_survive_any_end() {
    let home = Home::new(&config("[auth]\nrequired = true"));
    let token = home.token("admin");
    let daemon = home.start().await.with_token(&token);
    daemon.alert("Disk", "firing").await;
    daemon.incident("incident", |_| true).await;
    let assigned = json!({"assignee": "ana", "team": "network"});
    daemon
        .post("/api/v1/incidents/1/assign", &assigned)
        .await
        .ok();
    let wanted = json!({"name": "bob", "role": "viewer"});
    let made = daemon.post("/api/v1/tokens", &wanted).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.text);
    let viewer = made.json()["token"].as_str().unwrap().to_owned();
    let everything = [
        "/api/v1/incidents",
        "/api/v1/incidents/1/timeline",
        "/api/v1/alerts",
        "/api/v1/tokens",
    ];
    let mut before = Vec::new();
    for path in everything {
        before.push(daemon.get(path).await.ok());
    }
    let mut process = daemon.process;
    process.signal(Signal::KILL);
    process.ended().await;

    for _ in 0..2 {
        let daemon = home.start().await.with_token(&token);
        for (path, before) in everything.into_iter().zip(&before) {
            assert_eq!(daemon.get(path).await.ok(), *before, "{path}");
        }
        let daemon = daemon.with_token(&viewer);
        daemon.get("/api/v1/alerts").await.ok();
        daemon.get("/api/v1/tokens").await.problem(403, "forbidden");
        daemon.stop().await;
    }
}

/// All alerts of the incident have ended; its recovery time runs.
fn recovering(incident: &Value) -> bool {
    !incident["recovers_at"].is_null()
}

#[tokio::test]
async fn a_due_time_survives_a_restart() {
    let home = Home::new(&config("[incident]\nrecover_after = \"1h\""));
    let daemon = home.start().await;
    daemon.alert("Disk", "firing").await;
    daemon.alert("Disk", "resolved").await;
    let before = daemon.incident("recovering", recovering).await;
    daemon.stop().await;
    let daemon = home.start().await;
    let after = daemon.incident("recovering", recovering).await;
    assert_eq!(after, before, "the due time has not moved");
}

#[tokio::test]
async fn what_became_due_while_nobody_ran_is_done_once() {
    let home = Home::new(&config("[incident]\nrecover_after = \"1s\""));
    let daemon = home.start().await;
    daemon.alert("Disk", "firing").await;
    daemon.alert("Disk", "resolved").await;
    let due = daemon.incident("recovering", recovering).await["recovers_at"].clone();
    let mut process = daemon.process;
    process.signal(Signal::KILL);
    process.ended().await;
    eventually("the due time passes while nobody runs", async || {
        let now = clock_text();
        (now.as_str() > due.as_str().unwrap()).then_some(())
    })
    .await;

    for _ in 0..2 {
        let daemon = home.start().await;
        let resolved = |incident: &Value| incident["state"] == "resolved";
        daemon.incident("resolved", resolved).await;
        let reasons = daemon.reasons("INC-1").await;
        let count = reasons
            .iter()
            .filter(|code| *code == "recovery_sustained")
            .count();
        assert_eq!(count, 1, "{reasons:?}");
        daemon.stop().await;
    }
}

/// The time now as the API writes it.
fn clock_text() -> String {
    let now = watchbell::runtime::clock::Clock::system().now();
    watchbell::api::time::Time(now).to_string()
}
