//! Messages that are honest but large.

use serde_json::json;

use super::Target;
use crate::support::daemon::Daemon;
use crate::support::process::eventually;

#[tokio::test]
async fn ten_thousand_alerts_in_one_message_are_ten_thousand_alerts() {
    let target = Target::start("").await;
    let alerts: Vec<_> = (0..10_000)
        .map(|number| {
            json!({
                "status": "firing",
                "labels": {"alertname": "Port", "port": number.to_string(), "severity": "info"},
                "annotations": {"summary": "a port is down"},
                "startsAt": "2026-01-01T00:00:00Z",
            })
        })
        .collect();
    let taken = target.takes(json!({"alerts": alerts}).to_string()).await;
    assert_eq!(taken["observations"], 10_000);
    // What was acknowledged may still wait for its decision.
    eventually("all are listed", async || {
        let counted = count(&target.daemon, "/api/v1/alerts?severity=info&limit=500").await;
        assert!(counted <= 10_000, "{counted}");
        (counted == 10_000).then_some(())
    })
    .await;
}

/// The length of a list over all its pages.
async fn count(daemon: &Daemon, path: &str) -> usize {
    let (mut counted, mut cursor) = (0, String::new());
    loop {
        let page = daemon.get(&format!("{path}{cursor}")).await.ok();
        counted += page["items"].as_array().unwrap().len();
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return counted,
        }
    }
}

#[tokio::test]
async fn long_texts_and_many_labels_are_cut_and_say_so() {
    let target = Target::start("").await;
    let long = "é".repeat(512 * 1024);
    let mut labels = json!({"alertname": "Long", "long": long, long.as_str(): "name"});
    for number in 0..1_000 {
        labels[format!("label{number}")] = json!("x");
    }
    let alert = json!({"status": "firing", "labels": labels, "annotations": {"summary": long}});
    target.takes(json!({"alerts": [alert]}).to_string()).await;
    let found = eventually("the long one", async || {
        let found = target.daemon.list("/api/v1/alerts?q=Long").await;
        found.into_iter().next()
    })
    .await;
    let labels = found["labels"].as_object().unwrap();
    assert!(labels.len() <= 128, "{}", labels.len());
    assert!(
        labels
            .values()
            .all(|value| value.as_str().unwrap().len() <= 4096)
    );
    assert!(
        found.to_string().len() < 128 * 1024,
        "{}",
        found.to_string().len()
    );
}
