//! What the people served say, who was told further up a ladder, and change records that are read elsewhere, by the real
//! daemon on both engines.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{done, fire, home, shop};
use crate::api::has;
use crate::itsm::server::{Ask, Platform, Server, Tell};
use crate::support::daemon::Daemon;
use crate::support::database::{TestStore, on_both_engines};
use crate::support::process::eventually;

on_both_engines!(
    who_was_served_rates_once_by_a_signed_link,
    an_incident_told_further_up_is_escalated_whatever_follows,
    change_records_are_read_from_servicenow,
);

async fn rate(daemon: &Daemon, path: &str, form: &str) -> u16 {
    let kind = "application/x-www-form-urlencoded";
    let request = daemon.client.post(daemon.url(path));
    let request = request.header("Content-Type", kind).body(form.to_owned());
    daemon.send(request).await.status.as_u16()
}

async fn who_was_served_rates_once_by_a_signed_link(store: TestStore) {
    let home = home(&store, "");
    let mut daemon = home.start().await;
    fire(&daemon, "Down", "web1").await;
    daemon.incident("an incident", |_| true).await;
    done(&daemon, "/api/v1/incidents/INC-1/resolve", json!({})).await;
    let path = "/api/v1/incidents/INC-1/rating-links";
    let link = done(&daemon, path, json!({"who": "carol"})).await;
    let url = link["url"].as_str().unwrap();
    let (_, token) = url.split_once("/rate/").unwrap();
    let path = format!("/rate/{token}");
    for _ in 0..2 {
        let page = daemon.get(&path).await;
        assert_eq!(page.status.as_u16(), 200);
        assert!(page.text.contains("<form") && page.text.contains("carol"));
    }
    let report = "/api/v1/reports/satisfaction";
    let before = daemon.get(report).await.ok();
    assert_eq!(before["total"]["ratings"], 0, "looking changes nothing");
    assert_eq!(rate(&daemon, &path, "rating=9").await, 400);
    assert_eq!(rate(&daemon, &path, "rating=4&comment=fast").await, 200);
    assert_eq!(rate(&daemon, &path, "rating=1").await, 409, "once");
    daemon.process.signal(Signal::KILL);
    daemon.process.ended().await;
    let daemon = home.start().await;
    assert_eq!(rate(&daemon, &path, "rating=1").await, 409, "once for ever");
    let page = daemon.get(&path).await;
    assert!(!page.text.contains("<form"), "{}", page.text);
    let total = daemon.get(report).await.ok()["total"].clone();
    has(
        &total,
        &json!({"ratings": 1, "satisfaction": 4.0, "content": 1, "content_percent": 100.0}),
    );
    let said = daemon.list("/api/v1/incidents/INC-1/ratings").await;
    has(
        &said[0],
        &json!({"who": "carol", "rating": 4, "comment": "fast"}),
    );
    // A link to answer by is no link to rate by, and a forged one is nothing.
    let forged = path.replace("/rate/", "/answer/");
    assert_eq!(daemon.get(&forged).await.status.as_u16(), 404);
    let cut = path.get(..path.len() - 4).unwrap();
    assert_eq!(rate(&daemon, cut, "rating=5").await, 404);
    let reasons = daemon.reasons("INC-1").await;
    assert!(
        reasons.iter().any(|it| it == "incident_rated"),
        "{reasons:?}"
    );
    let audit = daemon.get("/api/v1/audit?action=incident.rate").await.ok();
    let done = audit["items"].as_array().unwrap().iter();
    let done: Vec<_> = done.map(|row| (&row["actor"], &row["why"])).collect();
    assert!(
        done.contains(&(&json!("carol (rating)"), &json!("fast"))),
        "{audit}"
    );
    eventually("the metric", async || {
        let metrics = daemon.get("/metrics").await.text;
        let line = "watchbell_report_satisfaction{priority=\"all\"} 4.0";
        metrics.contains(line).then_some(())
    })
    .await;
    daemon.stop().await;
}

async fn an_incident_told_further_up_is_escalated_whatever_follows(store: TestStore) {
    let more = "[settle]\nP2 = \"0s\"\n[[target]]\nname = \"one\"\nkind = \"command\"\ncommand = [\"true\"]\n\
        [[escalation]]\nname = \"ladder\"\nsteps = [{ after = \"0s\", targets = [\"one\"] }, \
        { after = \"1s\", targets = [\"one\"] }]\n[[route]]\nescalation = \"ladder\"\n";
    let home = home(&store, more);
    let mut daemon = home.start().await;
    fire(&daemon, "Down", "web1").await;
    daemon.incident("an incident", |_| true).await;
    eventually("the second step", async || {
        let reasons = daemon.reasons("INC-1").await;
        let told = reasons.iter().filter(|it| *it == "escalated").count();
        (told == 2).then_some(())
    })
    .await;
    done(&daemon, "/api/v1/incidents/INC-1/acknowledge", json!({})).await;
    daemon.process.signal(Signal::KILL);
    daemon.process.ended().await;
    let daemon = home.start().await;
    // Its ladder is gone each time; that it was escalated stays.
    for _ in 0..2 {
        done(&daemon, "/api/v1/incidents/INC-1/resolve", json!({})).await;
        let total = daemon.get("/api/v1/reports/escalation").await.ok()["total"].clone();
        has(
            &total,
            &json!({"incidents": 1, "escalated": 1, "without_escalation_percent": 0.0}),
        );
        done(&daemon, "/api/v1/incidents/INC-1/reopen", json!({})).await;
        done(&daemon, "/api/v1/incidents/INC-1/acknowledge", json!({})).await;
    }
    daemon.stop().await;
}

/// A ServiceNow of which only the changes are asked for.
#[derive(Default)]
struct ChangeRequests {
    records: Vec<Value>,
    queries: Vec<String>,
    authorization: Vec<String>,
}

impl Platform for ChangeRequests {
    fn answer(&mut self, ask: &Ask) -> Tell {
        if !ask.path.ends_with("/change_request") {
            return Tell::json(200, &json!({"result": []}));
        }
        self.queries.push(ask.param("sysparm_query").to_owned());
        self.authorization
            .push(ask.header("authorization").to_owned());
        Tell::json(200, &json!({"result": self.records}))
    }
}

fn change_request(number: &str, state: &str, approval: &str) -> Value {
    let field = |value: &str, shown: &str| json!({"value": value, "display_value": shown});
    json!({
        "sys_id": field(number, number), "number": field(number, number),
        "short_description": field("New firmware", "New firmware"), "type": field("normal", "Normal"),
        "state": field(state, "x"), "approval": field(approval, approval), "cmdb_ci": field("0f1e", "web1"),
        "start_date": field("2026-11-30 10:00:00", "x"), "sys_updated_on": field("2026-11-30 10:00:00", "x"),
    })
}

async fn change_records_are_read_from_servicenow(store: TestStore) {
    let snow = Server::start(ChangeRequests {
        records: vec![change_request("CHG0001", "-2", "requested")],
        ..ChangeRequests::default()
    })
    .await;
    let more = format!(
        "[[connector]]\nname = \"snow\"\nprofile = \"servicenow\"\nurl = \"{}\"\nwhen = \"false\"\nallow_private = true\n\
         auth = {{ user = \"watchbell\", password = \"s3cret-word\" }}\nchanges = {{ every = \"1s\", query = \"type!=standard\" }}\n",
        snow.url()
    );
    let home = home(&store, &more);
    let daemon = home.start().await;
    shop(&daemon).await;
    let change = eventually("the change", async || {
        daemon.list("/api/v1/changes").await.into_iter().next()
    })
    .await;
    has(
        &change,
        &json!({"external_id": "CHG0001", "source": "snow", "state": "planned", "approval": "requested"}),
    );
    // It is made, and approved there.
    snow.inside(|snow| snow.records = vec![change_request("CHG0001", "-1", "approved")]);
    let change = eventually("the change as it is made", async || {
        let changes = daemon.list("/api/v1/changes").await;
        assert_eq!(changes.len(), 1, "one change, not {changes:?}");
        changes.into_iter().find(|it| it["state"] == "in_progress")
    })
    .await;
    has(
        &change,
        &json!({"approval": "approved", "summary": "New firmware"}),
    );
    let looks = snow.inside(|snow| snow.queries.len());
    eventually("more looks", async || {
        (snow.inside(|snow| snow.queries.len()) > looks + 1).then_some(())
    })
    .await;
    // What is known already is no order: it would be in the audit.
    let audit = daemon.get("/api/v1/audit?action=change.put").await.ok();
    assert_eq!(audit["items"].as_array().unwrap().len(), 2, "{audit}");
    let (query, login) = snow.inside(|snow| {
        let last = snow.queries.last().cloned().unwrap_or_default();
        (last, snow.authorization.last().cloned().unwrap_or_default())
    });
    assert!(
        query.contains("^type!=standard^ORDERBYsys_updated_on"),
        "{query}"
    );
    assert!(login.starts_with("Basic "), "{login}");
    daemon.stop().await;
}
