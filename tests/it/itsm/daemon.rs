//! The real daemon beside a ticket platform: made once, in step both ways, whatever goes wrong on the way.

use serde_json::{Value, json};

use super::platforms::servicenow::ServiceNow;
use super::server::{Fault, Server};
use crate::support::daemon::{Daemon, Home, LISTEN, message};
use crate::support::process::eventually;

pub(super) const RULES: &str = "[settle]\nP1 = \"0s\"\nP2 = \"0s\"\nP3 = \"0s\"\n[incident]\nrecover_after = \"0s\"\n\
    [[source]]\nname = \"am\"\nkind = \"alertmanager\"\n";

pub(super) fn connector(url: &str, more: &str) -> String {
    format!(
        "{LISTEN}{RULES}[[connector]]\nname = \"snow\"\nprofile = \"servicenow\"\nurl = \"{url}\"\n\
         auth = {{ user = \"watchbell\", password = \"s3cret-word\" }}\nallow_private = true\npoll_every = \"1s\"\n{more}\n"
    )
}

/// The only incident once its ticket stands like this.
pub(super) async fn ticket(daemon: &Daemon, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let incident = daemon.incident(what, |incident| is(&incident["tickets"][0]));
    incident.await
}

pub(super) fn in_sync(ticket: &Value) -> bool {
    ticket["state"] == "in_sync"
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a timeline reads best in one piece")]
async fn an_incident_and_its_ticket_are_kept_in_step_both_ways() {
    let snow = Server::start(ServiceNow {
        authorization: Some("Basic d2F0Y2hiZWxsOnMzY3JldC13b3Jk".to_owned()),
        ..ServiceNow::default()
    })
    .await;
    let home = Home::new(&connector(
        &snow.url(),
        "when = \"incident.priority <= 'P3'\"",
    ));
    let daemon = home.start().await;
    daemon.alert("DiskFull", "firing").await;
    let incident = ticket(&daemon, "ticket", in_sync).await;
    let shown = &incident["tickets"][0];
    assert_eq!(
        (&shown["connector"], &shown["id"]),
        (&json!("snow"), &json!("INC0000001"))
    );
    assert!(
        shown["url"].as_str().unwrap().contains(&snow.url()),
        "{shown}"
    );
    let record = snow.inside(|snow| snow.only());
    assert!(
        record["correlation_id"]
            .as_str()
            .unwrap()
            .starts_with("wbl-")
    );
    assert!(
        record["short_description"]
            .as_str()
            .unwrap()
            .contains("DiskFull"),
        "{record:?}"
    );
    assert_eq!(snow.count("POST", "/"), 1);

    // Ours goes there: a note, a state.
    let number = incident["number"].as_str().unwrap().to_owned();
    let path = |command: &str| format!("/api/v1/incidents/{number}/{command}");
    daemon
        .post(&path("notes"), &json!({"text": "looking at it"}))
        .await
        .ok();
    daemon.post(&path("start"), &json!({})).await.ok();
    let id = record["sys_id"].as_str().unwrap().to_owned();
    eventually("note and state there", async || {
        snow.inside(|snow| {
            let notes = snow.notes(&id);
            let is_there = notes
                .iter()
                .filter(|note| note.contains("looking at it"))
                .count()
                == 1;
            (is_there && snow.only()["state"] == "2").then_some(())
        })
    })
    .await;

    // Theirs comes here: on hold, a note, an assignee.
    snow.inside(|snow| {
        snow.edit(
            &id,
            "lee",
            &json!({"state": "3", "hold_reason": "4", "assigned_to": "lee"}),
        );
        snow.note(&id, "lee", "waiting for the vendor");
    });
    let held = daemon
        .incident("on hold", |incident| {
            incident["state"] == "on_hold" && incident["assignee"] == "lee"
        })
        .await;
    assert_eq!(held["hold_reason"], "on hold in snow INC0000001");
    eventually("note here", async || {
        let entries = daemon
            .list(&format!("/api/v1/incidents/{number}/timeline?limit=500"))
            .await;
        entries.into_iter().find(|entry| {
            entry["reason"] == "ticket_note_added"
                && entry["note"] == "waiting for the vendor"
                && entry["actor"] == "lee (snow)"
        })
    })
    .await;

    // The alert ends: the incident resolves, and so does the ticket, with the fields that the platform demands.
    daemon.alert("DiskFull", "resolved").await;
    eventually("resolved there", async || {
        snow.inside(|snow| (snow.only()["state"] == "6").then_some(()))
    })
    .await;
    let done = ticket(&daemon, "in step", in_sync).await;
    assert_eq!(done["state"], "resolved");
    let record = snow.inside(|snow| snow.only());
    assert_eq!(record["close_code"], "Solution provided");
    eventually("it is counted", async || {
        let metrics = daemon.get("/metrics").await.text;
        let line = "watchbell_tickets{connector=\"snow\",state=\"in_sync\"} 1";
        metrics.contains(line).then_some(())
    })
    .await;
    let connectors = daemon.list("/api/v1/connectors").await;
    assert_eq!(
        (&connectors[0]["state"], &connectors[0]["last_error"]),
        (&json!("ok"), &Value::Null)
    );
    let detail = daemon.get(&path("tickets")).await.ok();
    assert!(
        detail[0]["exchanges"].as_array().unwrap().len() > 3,
        "{detail}"
    );
    assert!(!detail.to_string().contains("s3cret-word"));
    assert_eq!(snow.count("POST", "/"), 1);
    daemon.stop().await;
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_ticket() {
    for fault in [
        Fault::LoseAnswer,
        Fault::StatusAfter(502),
        Fault::DropBefore,
        Fault::Status(503),
        Fault::Page,
    ] {
        let snow = Server::start(ServiceNow::default()).await;
        snow.fault(fault.clone());
        let home = Home::new(&connector(&snow.url(), ""));
        let daemon = home.start().await;
        daemon.alert("DiskFull", "firing").await;
        let incident = ticket(&daemon, "ticket", in_sync).await;
        assert_eq!(incident["tickets"][0]["id"], "INC0000001", "{fault:?}");
        snow.inside(|snow| snow.only());
        daemon.stop().await;
    }
}

#[tokio::test]
async fn a_filter_that_is_ignored_is_an_error_and_nobody_elses_ticket_is_touched() {
    let snow = Server::start(ServiceNow {
        ignores_filters: true,
        ..ServiceNow::default()
    })
    .await;
    snow.inside(|snow| {
        for at in 0..5 {
            let id = format!("stranger{at}");
            let record = json!({"sys_id": id, "number": format!("INC9{at}"), "state": "1", "correlation_id": "other"});
            snow.records.insert(id, record.as_object().unwrap().clone());
        }
    });
    // The first answer is lost, so it has to look.
    snow.fault(Fault::DropBefore);
    let home = Home::new(&connector(&snow.url(), ""));
    let daemon = home.start().await;
    daemon.alert("DiskFull", "firing").await;
    let status = eventually("the connector says so", async || {
        let connectors = daemon.list("/api/v1/connectors").await;
        let error = connectors[0]["last_error"]
            .as_str()?
            .contains("ignores the filter");
        error.then(|| connectors[0].clone())
    })
    .await;
    assert_ne!(status["state"], "ok");
    let incident = daemon.incident("untouched", |_| true).await;
    assert_eq!(incident["state"], "new");
    assert_eq!(incident["tickets"][0]["state"], "pending");
    snow.inside(|snow| {
        assert_eq!(snow.records.len(), 5);
        assert!(snow.records.values().all(|record| record["state"] == "1"));
    });
    daemon.stop().await;
}

#[tokio::test]
async fn what_was_closed_as_not_to_be_done_or_deleted_stays_so() {
    let snow = Server::start(ServiceNow::default()).await;
    let home = Home::new(&connector(&snow.url(), ""));
    let daemon = home.start().await;
    daemon.alert("DiskFull", "firing").await;
    ticket(&daemon, "ticket", in_sync).await;
    let id = snow.inside(|snow| snow.only()["sys_id"].as_str().unwrap().to_owned());
    snow.inside(|snow| {
        snow.edit(
            &id,
            "lee",
            &json!({"state": "8", "close_code": "Duplicate", "close_notes": "won't fix"}),
        );
    });
    let resolved = daemon
        .incident("resolved here", |incident| incident["state"] == "resolved")
        .await;
    let number = resolved["number"].as_str().unwrap().to_owned();
    let answer = daemon
        .post(
            &format!("/api/v1/incidents/{number}/reopen"),
            &json!({"reason": "not so"}),
        )
        .await;
    answer.ok();
    let open = ticket(&daemon, "left closed", |ticket| ticket["state"] == "closed").await;
    assert_eq!(open["state"], "new");
    snow.inside(|snow| assert_eq!(snow.only()["state"], "8"));

    let snow2 = Server::start(ServiceNow::default()).await;
    let home2 = Home::new(&connector(&snow2.url(), ""));
    let daemon2 = home2.start().await;
    daemon2.alert("DiskFull", "firing").await;
    ticket(&daemon2, "ticket", in_sync).await;
    snow2.inside(|snow| snow.records.clear());
    let number = daemon2.incident("open", |_| true).await["number"]
        .as_str()
        .unwrap()
        .to_owned();
    daemon2
        .post(&format!("/api/v1/incidents/{number}/start"), &json!({}))
        .await
        .ok();
    ticket(&daemon2, "detached", |ticket| ticket["state"] == "detached").await;
    daemon2.ingest(message("DiskFull", "firing")).await;
    assert_eq!(snow2.count("POST", "/"), 1);
    // A person may ask for another one.
    let body = json!({"incident": number});
    daemon2
        .post("/api/v1/connectors/snow/resync", &body)
        .await
        .ok();
    ticket(&daemon2, "another one", in_sync).await;
    assert_eq!(snow2.count("POST", "/"), 2);
    daemon.stop().await;
    daemon2.stop().await;
}
