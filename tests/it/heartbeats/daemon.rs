//! The same with the real daemon: paths, tokens, restart, reload, the list and the metric.

use reqwest::Method;
use serde_json::Value;

use crate::support::daemon::{Daemon, Home, LISTEN};
use crate::support::process::eventually;

const SOURCES: &str = "[[source]]\nname = \"am\"\nkind = \"alertmanager\"\n\
    [[source]]\nname = \"og\"\nkind = \"opsgenie\"\napi_keys = [\"genie-key-1\"]\n";

fn heartbeat(name: &str, every: &str, rest: &str) -> String {
    format!("[[heartbeat]]\nname = \"{name}\"\nevery = \"{every}\"\n{rest}\n")
}

fn config(heartbeats: &[String]) -> String {
    let quick = "[incident]\nrecover_after = \"1s\"\n";
    format!("{LISTEN}{quick}{SOURCES}{}", heartbeats.concat())
}

async fn status(daemon: &Daemon, name: &str) -> Value {
    let list = daemon.list("/api/v1/heartbeats").await;
    let found = list.into_iter().find(|heartbeat| heartbeat["name"] == name);
    found.expect("the heartbeat is listed")
}

async fn until(daemon: &Daemon, name: &str, state: &str) -> Value {
    eventually(state, async || {
        let status = status(daemon, name).await;
        (status["state"] == state).then_some(status)
    })
    .await
}

async fn up(daemon: &Daemon, name: &str) -> Option<String> {
    let metrics = daemon.get("/metrics").await.text;
    let series = format!("watchbell_heartbeat_up{{name=\"{name}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
    line.map(ToOwned::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_by_every_way_are_heard_and_a_missing_one_is_an_incident() {
    let home = Home::new(&config(&[
        heartbeat(
            "backup",
            "1s",
            "labels = { team = \"infra\" }\nseverity = \"high\"",
        ),
        heartbeat("quiet", "1h", "token = \"quiet-secret-1\""),
        heartbeat(
            "prom",
            "1h",
            "watchdog = { source = \"am\", match = { alertname = \"Watchdog\" } }",
        ),
    ]));
    let daemon = home.start().await;
    assert_eq!(status(&daemon, "backup").await["state"], "new");
    assert_eq!(up(&daemon, "backup").await, None);
    for method in [Method::POST, Method::GET, Method::HEAD] {
        let ping = daemon
            .client
            .request(method.clone(), daemon.url("/heartbeat/backup"));
        let answer = daemon.send(ping.body("done")).await;
        assert_eq!(answer.status.as_u16(), 200, "{method}: {}", answer.text);
    }
    until(&daemon, "backup", "missing").await;
    assert_eq!(up(&daemon, "backup").await.as_deref(), Some("0"));
    let incident = daemon.incident("the incident", |_| true).await;
    assert_eq!(incident["priority"], "P3");
    let alerts = daemon.list("/api/v1/alerts?status=firing").await;
    assert_eq!(alerts[0]["key"], "heartbeat:v1:backup");
    assert_eq!(alerts[0]["source"], "heartbeat");
    assert_eq!(alerts[0]["labels"]["team"], "infra");
    let genie = daemon
        .client
        .get(daemon.url("/opsgenie/v2/heartbeats/backup/ping"))
        .header("authorization", "GenieKey genie-key-1");
    let answer = daemon.send(genie).await;
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.text);
    assert_eq!(answer.json()["result"], "PONG - Heartbeat received");
    eventually("the end", async || {
        let ended = daemon.list("/api/v1/alerts?status=resolved").await;
        ended
            .first()
            .map(|alert| assert_eq!(alert["ended_by"], "resolved"))
    })
    .await;

    let ping = daemon.client.post(daemon.url("/heartbeat/quiet"));
    assert_eq!(
        daemon.send(ping.try_clone().unwrap()).await.status.as_u16(),
        401
    );
    let with_token = ping.bearer_auth("quiet-secret-1");
    assert_eq!(daemon.send(with_token).await.status.as_u16(), 200);
    daemon.alert("Watchdog", "firing").await;
    until(&daemon, "prom", "up").await;
    assert_eq!(daemon.get("/heartbeat/prom").await.status.as_u16(), 404);
    assert_eq!(daemon.get("/heartbeat/nobody").await.status.as_u16(), 404);
    let put = daemon.client.delete(daemon.url("/heartbeat/backup"));
    assert_eq!(daemon.send(put).await.status.as_u16(), 405);
    let genie = daemon
        .client
        .post(daemon.url("/v2/heartbeats/nobody/ping"))
        .header("authorization", "GenieKey genie-key-1");
    assert_eq!(daemon.send(genie).await.status.as_u16(), 202);
    let letters = daemon.list("/api/v1/dead-letters").await;
    assert_eq!(letters[0]["reason"], "unknown_heartbeat");
    let genie = daemon.get("/opsgenie/v2/heartbeats/backup/ping").await;
    assert_eq!(genie.status.as_u16(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_what_was_heard_and_a_removed_heartbeat_ends_its_alert() {
    let home = Home::new(&config(&[
        heartbeat("slow", "1h", ""),
        heartbeat("fast", "1s", "grace = \"100ms\""),
    ]));
    let daemon = home.start().await;
    for name in ["slow", "fast"] {
        let answer = daemon.get(&format!("/heartbeat/{name}")).await;
        assert_eq!(answer.status.as_u16(), 200);
    }
    let heard = until(&daemon, "slow", "up").await;
    until(&daemon, "fast", "missing").await;
    daemon.stop().await;
    let mut daemon = home.start().await;
    let again = until(&daemon, "slow", "up").await;
    assert_eq!(again["last_ping_at"], heard["last_ping_at"]);
    assert!(
        again["due_at"].as_str() > heard["due_at"].as_str(),
        "{again}"
    );
    assert_eq!(status(&daemon, "fast").await["state"], "missing");
    home.configure(&config(&[heartbeat("slow", "1h", "")]));
    daemon.reload().await;
    let reasons = eventually("the end", async || {
        let reasons = daemon.reasons("INC-1").await;
        reasons
            .contains(&"heartbeat_removed".to_owned())
            .then_some(reasons)
    })
    .await;
    assert!(
        reasons.contains(&"alert_resolved".to_owned()),
        "{reasons:?}"
    );
    assert_eq!(up(&daemon, "fast").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_falls_silent_is_an_alert() {
    let sources = SOURCES.replacen(
        "\"alertmanager\"\n",
        "\"alertmanager\"\nsilent_after = \"1s\"\n",
        1,
    );
    let home = Home::new(&format!("{LISTEN}{sources}"));
    let daemon = home.start().await;
    let alert = eventually("silence", async || {
        let alerts = daemon.list("/api/v1/alerts?status=firing").await;
        alerts.first().cloned()
    })
    .await;
    assert_eq!(alert["key"], "heartbeat:v1:source/am");
    assert_eq!(alert["labels"]["source"], "am");
    let am = eventually("the source's status", async || {
        let sources = daemon.list("/api/v1/sources").await;
        let am = sources.into_iter().find(|source| source["name"] == "am");
        am.filter(|am| am["silent"] == true)
    })
    .await;
    assert_eq!(am["silent_after_s"], 1.0);
    daemon.ingest("{\"version\":\"4\",\"alerts\":[]}").await;
    eventually("the end of silence", async || {
        let reasons = daemon.reasons("INC-1").await;
        reasons
            .contains(&"heartbeat_returned".to_owned())
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_says_that_it_begins_and_that_it_failed() {
    let home = Home::new(&config(&[heartbeat("backup", "1h", "max_run = \"2h\"")]));
    let daemon = home.start().await;
    let say = async |path: &str, body: &'static str| {
        let ping = daemon.client.post(daemon.url(path)).body(body);
        daemon.send(ping).await.status.as_u16()
    };
    assert_eq!(say("/heartbeat/backup/start", "").await, 200);
    let running = eventually("the run", async || {
        let status = status(&daemon, "backup").await;
        status["running_since"].is_string().then_some(status)
    })
    .await;
    assert_eq!(running["state"], "new");
    assert_eq!(running["max_run_s"], 7200.0);
    assert_eq!(
        say("/heartbeat/backup/3", "tar: disk full\nat /srv").await,
        200
    );
    let failed = until(&daemon, "backup", "missing").await;
    assert_eq!(failed["failure"], "exit status 3: tar: disk full\nat /srv");
    assert!(failed["last_run_s"].is_number(), "{failed}");
    let alert = &daemon.list("/api/v1/alerts?status=firing").await[0];
    assert_eq!(alert["summary"], "exit status 3: tar: disk full");
    assert_eq!(alert["labels"]["alertname"], "HeartbeatFailed");
    assert_eq!(say("/heartbeat/backup/0", "").await, 200);
    let up = until(&daemon, "backup", "up").await;
    assert_eq!(up["failure"], Value::Null);
    for unknown in [
        "/heartbeat/backup/stop",
        "/heartbeat/backup/256",
        "/heartbeat/no/fail",
    ] {
        assert_eq!(say(unknown, "").await, 404, "{unknown}");
    }
}
