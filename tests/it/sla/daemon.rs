//! Priority, clocks and reports in the real daemon, over its API; and a kill in front of a due time.

use rustix::process::Signal;
use serde_json::json;

use crate::support::daemon::{Home, LISTEN};
use crate::support::process::eventually;

const SOURCE: &str = "[[source]]\nname = \"am\"\nkind = \"alertmanager\"\n";

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "a timeline reads best in one piece")]
async fn clocks_and_reports_are_served() {
    let home = Home::new(&format!(
        "{LISTEN}{SOURCE}[report]\ncurrency = \"EUR\"\ncost_per_incident = 50\n\
         [[calendar]]\nname = \"always\"\nzone = \"America/New_York\"\n\
         [[sla]]\nname = \"fast\"\nwhen = \"incident.priority == 'P1'\"\nresponse = \"10m\"\nresolution = \"1h\"\n\
         [[sla]]\nresponse = \"30m\"\nresolution = \"8h\"\ncalendar = \"always\"\n"
    ));
    let daemon = home.start().await;
    daemon.alert("Disk", "firing").await;
    let incident = daemon.incident("an incident", |_| true).await;
    let path = "/api/v1/incidents/INC-1";
    assert_eq!(
        (&incident["impact"], &incident["urgency"]),
        (&json!(2), &json!(1))
    );
    let clocks = incident["sla"].as_array().unwrap();
    assert_eq!(clocks.len(), 2);
    assert_eq!(clocks[0]["clock"], "response");
    assert_eq!(clocks[0]["target_s"], 1800);
    assert_eq!(clocks[0]["state"], "running");
    assert_eq!(clocks[1]["calendar"], "always");
    assert!(
        clocks[1]["computed"]["text"]
            .as_str()
            .unwrap()
            .contains("America/New_York")
    );
    let explained = daemon.get(&format!("{path}/explain")).await.text;
    assert!(explained.contains("Response within 30 min"), "{explained}");
    let body = json!({"priority": "P1", "reason": "the board meets"});
    let after = daemon.post(&format!("{path}/priority"), &body).await.ok();
    assert_eq!(after["priority"], "P1");
    assert_eq!(after["priority_override"]["reason"], "the board meets");
    assert_eq!(after["sla"][1]["target_s"], 3600);
    assert_eq!(after["sla"][1]["rule"], "fast");
    let refused = daemon
        .post(&format!("{path}/priority"), &json!({"priority": "P9"}))
        .await;
    assert_eq!(refused.status.as_u16(), 400);
    let after = daemon
        .post(&format!("{path}/priority"), &json!({"priority": null}))
        .await
        .ok();
    assert_eq!(
        (&after["priority"], &after["sla"][1]["target_s"]),
        (&json!("P2"), &json!(28_800))
    );
    daemon
        .post(&format!("{path}/acknowledge"), &json!({}))
        .await
        .ok();
    let held = daemon
        .post(&format!("{path}/hold"), &json!({"reason": "a part"}))
        .await
        .ok();
    assert_eq!(
        (&held["sla"][0]["state"], &held["sla"][1]["state"]),
        (&json!("met"), &json!("paused"))
    );
    assert!(held["sla"][1]["due_at"].is_null());
    daemon
        .post(&format!("{path}/resolve"), &json!({}))
        .await
        .ok();
    let report = daemon.get("/api/v1/reports/sla?since=1d").await.ok();
    assert_eq!(report["total"]["incidents"], 1, "{report}");
    assert_eq!(report["total"]["compliance_percent"], 100.0);
    assert_eq!(report["rows"][0]["priority"], "P2");
    let cost = daemon.get("/api/v1/reports/cost").await.ok();
    assert_eq!(cost["total"]["cost_per_incident"], 50.0);
    for name in [
        "mtta",
        "mttr",
        "backlog",
        "reopen",
        "escalation",
        "recurring",
        "noise",
        "changes",
        "summary",
    ] {
        let report = daemon
            .get(&format!("/api/v1/reports/{name}?by=team&since=30d"))
            .await
            .ok();
        assert_eq!(report["report"], name);
        assert!(report["formula"].as_str().unwrap().len() > 20);
    }
    daemon
        .post(&format!("{path}/reopen"), &json!({}))
        .await
        .ok();
    let report = daemon.get("/api/v1/reports/mttr").await.ok();
    assert_eq!(report["total"]["incidents"], 0, "taken back: {report}");
    assert_eq!(
        daemon.get("/api/v1/reports/nothing").await.status.as_u16(),
        404
    );
    let reasons = daemon.reasons("INC-1").await;
    for reason in [
        "priority_set_by_person",
        "priority_handed_back",
        "sla_target_changed",
    ] {
        assert!(reasons.iter().any(|it| it == reason), "{reasons:?}");
    }
    let url = daemon.url("");
    let table = home.run(&["report", "backlog", "--url", &url]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(
        table.contains("PRIORITY") && table.contains("P2") && table.contains("total"),
        "{table}"
    );
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_front_of_a_due_time_it_is_missed_once() {
    let home = Home::new(&format!(
        "{LISTEN}{SOURCE}[[sla]]\nresponse = \"2s\"\nresolution = \"1h\"\nwarn_at = [0.5]\n"
    ));
    let mut daemon = home.start().await;
    daemon.alert("Disk", "firing").await;
    daemon
        .incident("an incident", |it| it["sla"][0]["state"] == "running")
        .await;
    daemon.process.signal(Signal::KILL);
    daemon.process.ended().await;
    let mut daemon = home.start().await;
    let breached = daemon
        .incident("a missed target", |it| it["sla"][0]["state"] == "breached")
        .await;
    let due = &breached["sla"][0]["due_at"];
    assert_eq!(
        &breached["sla"][0]["breached_at"], due,
        "missed when it was due"
    );
    daemon.process.signal(Signal::KILL);
    daemon.process.ended().await;
    let daemon = home.start().await;
    let metrics = eventually("metrics", async || {
        let text = daemon.get("/metrics").await.text;
        text.contains("watchbell_sla_clocks{clock=\"response\",state=\"breached\"} 1")
            .then_some(text)
    })
    .await;
    assert!(metrics.contains("watchbell_sla_clocks"));
    let reasons = daemon.reasons("INC-1").await;
    let count = |code: &str| reasons.iter().filter(|it| *it == code).count();
    assert_eq!(count("sla_breached"), 1, "{reasons:?}");
    assert!(count("sla_warned") <= 1, "{reasons:?}");
    daemon.stop().await;
}
