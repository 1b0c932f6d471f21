//! How a source does, as people see it: tests, errors, rate, silence, warnings; and a restart is no sign of life.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};

use crate::support::daemon::{Daemon, Home, LISTEN, message};
use crate::support::process::eventually;

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn home() -> Home {
    let sources = format!(
        r#"
[[source]]
name = "am"
kind = "alertmanager"
[[source]]
name = "kuma"
kind = "json"
preset = "uptime-kuma"
[[source]]
name = "icinga"
kind = "json"
preset = "icinga2"
[[source]]
name = "topic"
kind = "sns"
preset = "cloudwatch"
[[source]]
name = "pd"
kind = "pagerduty"
routing_keys = ["{KEY}"]
[[source]]
name = "og"
kind = "opsgenie"
api_keys = ["{KEY}"]
"#
    );
    Home::new(&format!("{LISTEN}{sources}"))
}

async fn status(daemon: &Daemon, name: &str) -> Value {
    let sources = daemon.list("/api/v1/sources").await;
    let found = sources.into_iter().find(|source| source["name"] == name);
    found.unwrap()
}

async fn accepted(daemon: &Daemon, path: &str, body: &Value) {
    let request = daemon.client.post(daemon.url(path)).json(body);
    let request = request.header("authorization", format!("GenieKey {KEY}"));
    let answer = daemon.send(request).await;
    assert!(
        answer.status.is_success(),
        "{path}: {} {}",
        answer.status,
        answer.text
    );
}

#[tokio::test]
async fn test_messages_of_products_are_shown_and_open_nothing() {
    let home = home();
    let daemon = home.start().await;
    let labels = json!({"alertname": "TestAlert", "instance": "Grafana"});
    let grafana = json!({"version": "1", "alerts": [{"status": "firing", "labels": labels}]});
    let kuma = json!({"heartbeat": null, "monitor": null, "msg": "watchbell Testing"});
    let confirmation = json!({
        "Type": "SubscriptionConfirmation", "MessageId": "1", "TopicArn": "arn:aws:sns:eu-west-1:1:alarms",
        "Message": "You have chosen to subscribe", "Timestamp": "2026-01-01T00:00:00.000Z",
        "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription", "Token": "x",
    });
    let pd = json!({
        "routing_key": KEY, "event_action": "trigger", "dedup_key": "Uptime Kuma/undefined",
        "payload": {"summary": "[Uptime Kuma Alert] [undefined] pd Testing", "severity": "warning",
                    "source": "Uptime Kuma Test Button"},
    });
    let og = json!({
        "message": "og Testing", "alias": "uptime-kuma-notification-test", "source": "Uptime Kuma", "priority": "P5",
    });
    for (path, name, body) in [
        ("/ingest/am", "am", &grafana),
        ("/ingest/kuma", "kuma", &kuma),
        ("/ingest/topic", "topic", &confirmation),
        ("/pagerduty/v2/enqueue", "pd", &pd),
        ("/opsgenie/v2/alerts", "og", &og),
    ] {
        assert_eq!(status(&daemon, name).await["tests"], 0);
        accepted(&daemon, path, body).await;
        let source = status(&daemon, name).await;
        assert_eq!(source["tests"], 1, "{source:#}");
        assert!(source["last_test_at"].is_string(), "{source:#}");
    }
    let shown = status(&daemon, "topic").await["last_test"].to_string();
    assert!(shown.contains("Action=ConfirmSubscription"), "{shown}");
    // A real alert afterwards, so that everything before it is decided.
    daemon.alert("Disk", "firing").await;
    daemon.incident("incident", |_| true).await;
    assert_eq!(daemon.list("/api/v1/alerts").await.len(), 1);
    assert_eq!(status(&daemon, "am").await["tests"], 1);
    daemon.stop().await;
}

#[tokio::test]
async fn an_acknowledgement_at_the_source_is_one_here() {
    let home = home();
    let daemon = home.start().await;
    let problem = |kind: &str, host: &str| json!({"type": kind, "host": host, "service": "disk", "state": "CRITICAL", "output": "3% free"});
    accepted(
        &daemon,
        "/ingest/icinga",
        &problem("ACKNOWLEDGEMENT", "nobody"),
    )
    .await;
    accepted(&daemon, "/ingest/icinga", &problem("PROBLEM", "db1")).await;
    accepted(
        &daemon,
        "/ingest/icinga",
        &problem("ACKNOWLEDGEMENT", "db1"),
    )
    .await;
    let is_acknowledged = |incident: &Value| incident["state"] == "acknowledged";
    let incident = daemon.incident("acknowledged", is_acknowledged).await;
    let number = incident["number"].as_str().unwrap();
    let path = format!("/api/v1/incidents/{number}/timeline");
    let entries = daemon.list(&path).await;
    assert!(
        entries.iter().any(|entry| entry["actor"] == "json:icinga"),
        "{entries:#?}"
    );
    // Again, which comes to nothing and is no error of the sender.
    accepted(
        &daemon,
        "/ingest/icinga",
        &problem("ACKNOWLEDGEMENT", "db1"),
    )
    .await;
    daemon.stop().await;
}

#[tokio::test]
async fn rate_errors_and_silence_are_shown() {
    let home = home();
    let daemon = home.start().await;
    let fresh = status(&daemon, "am").await;
    for field in ["last_message_at", "silent_s", "last_test_at", "skew_s"] {
        assert_eq!(fresh[field], Value::Null, "{field}");
    }
    assert_eq!(
        (&fresh["rate"], &fresh["errors"]["count"]),
        (&json!(0.0), &json!(0))
    );
    for number in 0..5 {
        daemon.alert(&format!("Disk{number}"), "firing").await;
    }
    daemon
        .ingest("not json")
        .await
        .problem(400, "not-understood");
    daemon.ingest(r#"{"alerts": [{"status": "odd"}]}"#).await;
    let source = status(&daemon, "am").await;
    assert!(source["rate"].as_f64().unwrap() > 0.01, "{source:#}");
    assert!(source["silent_s"].as_f64().unwrap() < 60.0, "{source:#}");
    assert_eq!(source["errors"]["count"], 2);
    let reason = source["errors"]["last_reason"].as_str().unwrap();
    assert!(reason.contains("alerts[0]"), "{reason}");
    assert!(source["errors"]["last_at"].is_string());
    assert_eq!(source["warnings"], json!([]));
    let table = listed(&home, &daemon);
    assert!(table.contains("SOURCE"), "{table}");
    let row = table.lines().find(|line| line.starts_with("am ")).unwrap();
    assert!(row.contains("alertmanager") && row.contains(" 2 "), "{row}");
    daemon.stop().await;
}

fn listed(home: &Home, daemon: &Daemon) -> String {
    let ran = home.run(&["source", "list", "--url", &daemon.url("")]);
    assert!(ran.status.success(), "{ran:?}");
    String::from_utf8(ran.stdout).unwrap()
}

#[tokio::test]
async fn labels_that_never_stay_the_same_are_named_in_a_warning() {
    let home = home();
    let mut daemon = home.start().await;
    for number in 0..8 {
        for status in ["firing", "resolved"] {
            let labels =
                json!({"alertname": "WebDown", "cluster": "prod", "pod": format!("web-{number}")});
            let body = json!({"version": "4", "alerts": [{"status": status, "labels": labels}]});
            accepted(&daemon, "/ingest/am", &body).await;
        }
    }
    let source = status(&daemon, "am").await;
    assert_eq!(
        source["volatile_labels"],
        json!([{"alertname": "WebDown", "labels": ["pod"], "variants": 8}])
    );
    let warning = source["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains("the label pod never stayed the same"),
        "{warning}"
    );
    daemon
        .process
        .line("the label pod never stayed the same")
        .await;
    assert!(listed(&home, &daemon).contains("WebDown came as 8 alerts"));
    daemon.stop().await;
}

async fn last_message_at(daemon: &Daemon) -> Timestamp {
    let source = status(daemon, "am").await;
    source["last_message_at"].as_str().unwrap().parse().unwrap()
}

async fn silence(daemon: &Daemon, name: &str) -> f64 {
    let metrics = daemon.get("/metrics").await.text;
    let head = format!("watchbell_source_silent_seconds{{source=\"{name}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&head));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_restart_is_no_sign_of_life() {
    let home = home();
    let daemon = home.start().await;
    daemon.ingest(message("Disk", "firing")).await;
    let kuma = json!({"heartbeat": null, "monitor": null, "msg": "watchbell Testing"});
    accepted(&daemon, "/ingest/kuma", &kuma).await;
    daemon.incident("incident", |_| true).await;
    let before = last_message_at(&daemon).await;
    daemon.stop().await;
    let daemon = home.start().await;
    let apart = last_message_at(&daemon).await.duration_since(before);
    assert!(apart.abs() < SignedDuration::from_secs(2), "{apart}");
    daemon.stop().await;

    // As if both had been silent for a day; what the log has forgotten is known from the alerts.
    let file = home.path("data/watchbell.db");
    let url = format!("sqlite:{}", file.display());
    let mut store = SqliteConnection::connect(&url).await.unwrap();
    for sql in [
        "DELETE FROM input WHERE source = 'am'",
        "UPDATE alert_state SET last_seen_at = last_seen_at - 86400000",
        "UPDATE input SET at = at - 86400000 WHERE source = 'kuma'",
    ] {
        sqlx::query(sql).execute(&mut store).await.unwrap();
    }
    store.close().await.unwrap();
    let daemon = home.start().await;
    for name in ["am", "kuma"] {
        let source = status(&daemon, name).await;
        assert!(
            source["silent_s"].as_f64().unwrap() >= 86400.0,
            "{source:#}"
        );
        assert!(silence(&daemon, name).await >= 86400.0, "{name}");
    }
    assert!(
        silence(&daemon, "pd").await < 60.0,
        "never heard of: since the start"
    );
    assert_eq!(status(&daemon, "pd").await["silent_s"], Value::Null);
    daemon.alert("Disk", "firing").await;
    eventually("the silence ends", async || {
        (silence(&daemon, "am").await < 60.0).then_some(())
    })
    .await;
    daemon.stop().await;
}
