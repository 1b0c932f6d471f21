//! Messages that are honest but large.

use serde_json::json;

use super::Target;

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
    let mut counted = 0;
    let mut path = "/api/v1/alerts?severity=info&limit=500".to_owned();
    loop {
        let page = target.daemon.get(&path).await.ok();
        counted += page["items"].as_array().unwrap().len();
        let Some(cursor) = page["next_cursor"].as_str() else {
            // What was acknowledged may still wait for its decision.
            if counted == 10_000 {
                break;
            }
            assert!(counted < 10_000);
            counted = 0;
            path = "/api/v1/alerts?severity=info&limit=500".to_owned();
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        path = format!("/api/v1/alerts?severity=info&limit=500&cursor={cursor}");
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
    let found = crate::support::process::eventually("the long one", async || {
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
