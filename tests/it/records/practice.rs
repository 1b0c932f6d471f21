//! Requests, problems, known errors, major incidents and what people bind, by the real daemon.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{done, fire, home, send, shop};
use crate::api::has;
use crate::support::daemon::Daemon;
use crate::support::database::{TestStore, on_both_engines};
use crate::support::process::eventually;

on_both_engines!(
    work_is_a_request_and_pages_nobody,
    what_keeps_coming_back_is_a_problem_and_what_is_known_is_shown,
    a_major_incident_is_led_told_reviewed_and_followed_up,
    what_a_person_binds_stays_bound,
);

const QUICK: &str = "[incident]\nrecover_after = \"0s\"\nreopen_window = \"0s\"\n";

async fn one(daemon: &Daemon, path: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    eventually(what, async || {
        let answer = daemon.get(path).await;
        (answer.status == 200)
            .then(|| answer.json())
            .filter(|it| is(it))
    })
    .await
}

async fn work_is_a_request_and_pages_nobody(store: TestStore) {
    let more = "[[request]]\nname = \"certificate\"\nwhen = \"labels.alertname == 'CertificateExpiry'\"\n\
        title = \"Renew the certificate of {{ labels.host }}\"\npriority = \"P3\"\ntarget = \"14d\"\nthen = [\"inventory\"]\n\
        [[request]]\nname = \"inventory\"\n";
    let home = home(&store, more);
    let mut daemon = home.start().await;
    shop(&daemon).await;
    fire(&daemon, "CertificateExpiry", "web1").await;
    let request = one(&daemon, "/api/v1/requests/REQ-1", "the request", |_| true).await;
    has(
        &request,
        &json!({"number": "REQ-1", "kind": "request", "state": "new", "priority": "P3", "rule": "certificate",
            "title": "Renew the certificate of web1", "alert": "A-1", "cis": ["web1"], "target_s": 1_209_600, "sla": "running"}),
    );
    assert_eq!(
        daemon.list("/api/v1/incidents").await.len(),
        0,
        "no disruption"
    );
    done(
        &daemon,
        "/api/v1/requests/REQ-1",
        json!({"state": "in_progress", "assignee": "ana"}),
    )
    .await;
    daemon.process.signal(Signal::KILL);
    daemon.process.ended().await;
    let daemon = home.start().await;
    send(&daemon, "CertificateExpiry", "web1", "resolved").await;
    let request = one(&daemon, "/api/v1/requests/REQ-1", "its end", |it| {
        it["state"] == "fulfilled"
    })
    .await;
    has(
        &request,
        &json!({"sla": "met", "assignee": "ana", "firing": false}),
    );
    let next = one(&daemon, "/api/v1/requests/REQ-2", "what follows", |_| true).await;
    has(
        &next,
        &json!({"rule": "inventory", "after": "REQ-1", "state": "new"}),
    );
    assert_eq!(daemon.list("/api/v1/requests?state=open").await.len(), 1);
    fire(&daemon, "HostDown", "web1").await;
    daemon
        .incident("other alerts are incidents", |_| true)
        .await;

    home.configure(&format!(
        "[[source]]\nname = \"am\"\nkind = \"alertmanager\"\n{more}then = [\"certificate\"]\n"
    ));
    let check = home.run(&["check", "--config", "w.toml"]);
    assert_eq!(check.status.code(), Some(1));
    let said = String::from_utf8([check.stdout, check.stderr].concat()).unwrap();
    assert!(said.contains("circular"), "{said}");
}

/// Two known errors, by matchers and by condition.
async fn know(daemon: &Daemon) {
    let known = json!({"title": "Kernel panic", "matchers": ["alertname=HostDown"], "workaround": "power cycle",
        "runbook_url": "https://wiki.example/panic"});
    let made = daemon.post("/api/v1/known-errors", &known).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.text);
    let when = "labels.alertname == 'HostDown' and alert.ci.id == 'web1'";
    let known = json!({"title": "By condition", "when": when});
    let made = daemon.post("/api/v1/known-errors", &known).await;
    assert_eq!(made.json()["when"], when, "{}", made.text);
    let wrong = json!({"title": "x", "when": "labels.("});
    let refused = daemon.post("/api/v1/known-errors", &wrong).await;
    assert_eq!(refused.status.as_u16(), 400);
}

async fn what_keeps_coming_back_is_a_problem_and_what_is_known_is_shown(store: TestStore) {
    let home = home(
        &store,
        &format!("{QUICK}[problem]\nafter = 2\nwithin = \"1d\"\n"),
    );
    let daemon = home.start().await;
    shop(&daemon).await;
    know(&daemon).await;
    for round in 1..=3 {
        fire(&daemon, "HostDown", "web1").await;
        let path = format!("/api/v1/incidents/INC-{round}");
        let incident = one(&daemon, &path, "the incident", |_| true).await;
        has(
            &incident["known_errors"][0],
            &json!({"number": "KE-1", "workaround": "power cycle", "runbook_url": "https://wiki.example/panic"}),
        );
        assert_eq!(incident["known_errors"][1]["number"], "KE-2");
        done(
            &daemon,
            &format!("{path}/resolve"),
            json!({"note": format!("cycled {round}")}),
        )
        .await;
        send(&daemon, "HostDown", "web1", "resolved").await;
        done(&daemon, &format!("{path}/close"), json!({})).await;
    }
    let problem = one(&daemon, "/api/v1/problems/PRB-1", "the candidate", |it| {
        it["incident_count"] == 3
    })
    .await;
    has(
        &problem,
        &json!({"kind": "problem", "state": "candidate", "signature": "ci:web1", "cis": ["web1"],
            "incidents": ["INC-3", "INC-2", "INC-1"]}),
    );
    let similar = daemon.list("/api/v1/incidents/INC-3/similar").await;
    has(
        &similar[0],
        &json!({"number": "INC-2", "resolution": "cycled 2", "resolved_by": "local"}),
    );
    assert_eq!(
        daemon.get("/api/v1/incidents/INC-3").await.ok()["problems"],
        json!(["PRB-1"])
    );
    let changed = done(
        &daemon,
        "/api/v1/problems/PRB-1",
        json!({"state": "resolved", "root_cause": "old kernel", "owner": "ana"}),
    )
    .await;
    has(
        &changed,
        &json!({"state": "resolved", "root_cause": "old kernel"}),
    );
    let output = home.run(&["records", "problems", "--url", &daemon.url("")]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("PRB-1"), "{text}");
    let refused = daemon
        .post("/api/v1/known-errors", &json!({"title": "x"}))
        .await;
    assert_eq!(refused.status.as_u16(), 400);
}

async fn a_major_incident_is_led_told_reviewed_and_followed_up(store: TestStore) {
    let home = home(
        &store,
        "[major]\nwhen = \"incident.priority == 'P1'\"\nupdate_every = \"1h\"\n",
    );
    let mut daemon = home.start().await;
    shop(&daemon).await;
    fire(&daemon, "HostDown", "other").await;
    let path = "/api/v1/incidents/INC-1";
    let calm = one(&daemon, path, "the incident", |_| true).await;
    assert_eq!(calm["major"], Value::Null);
    let body = json!({"commander": "ana", "communication": "bo", "reason": "the warehouse stands still",
        "update": "we are on it", "public": "A part of the shop is slow."});
    let major = done(&daemon, &format!("{path}/major"), body).await;
    assert_eq!(major["major"], "active");
    let shown = daemon.get(&format!("{path}/major")).await.ok();
    has(
        &shown,
        &json!({"state": "active", "declared_by": "local", "commander": "ana", "communication": "bo", "update_every_s": 3600}),
    );
    assert!(
        shown["text"].as_str().unwrap().contains("INC-1")
            && shown["text"].as_str().unwrap().contains("we are on it")
    );
    let public = shown["public_text"].as_str().unwrap();
    assert!(
        public.contains("A part of the shop is slow.") && !public.contains("INC-1"),
        "{public}"
    );
    let action = daemon
        .post("/api/v1/actions", &json!({"title": "Buy a second one", "owner": "bo", "incident": "INC-1", "due_at": "2099-01-01T00:00:00Z"}))
        .await;
    assert_eq!(action.status.as_u16(), 201, "{}", action.text);
    done(
        &daemon,
        &format!("{path}/review"),
        json!({"users": 120, "cause": "one power supply"}),
    )
    .await;
    done(
        &daemon,
        &format!("{path}/resolve"),
        json!({"note": "replaced"}),
    )
    .await;
    daemon.process.signal(Signal::KILL);
    daemon.process.ended().await;
    let daemon = home.start().await;
    assert_eq!(daemon.get(path).await.ok()["major"], "ended");
    let review = daemon.get(&format!("{path}/review")).await.ok();
    has(&review, &json!({"users": 120, "final": false}));
    assert!(review["user_minutes"].as_i64().unwrap() >= 0);
    let output = home.run(&["review", "1", "--url", &daemon.url("")]);
    let markdown = String::from_utf8(output.stdout).unwrap();
    for part in [
        "# Review of INC-1",
        "one power supply",
        "replaced",
        "| ACT-1 | Buy a second one | bo |",
        "## Timeline",
    ] {
        assert!(markdown.contains(part), "{part} in {markdown}");
    }
    done(&daemon, "/api/v1/actions/ACT-1", json!({"state": "done"})).await;
    assert_eq!(daemon.list("/api/v1/actions?state=open").await.len(), 0);
}

async fn what_a_person_binds_stays_bound(store: TestStore) {
    let home = home(&store, "");
    let mut daemon = home.start().await;
    shop(&daemon).await;
    fire(&daemon, "DiskFull", "web1").await;
    let path = "/api/v1/alerts/A-1";
    one(&daemon, path, "the alert", |it| it["ci"]["id"] == "web1").await;
    let bind = format!("{path}/bind");
    let bound = done(
        &daemon,
        &bind,
        json!({"ci": "db1", "reason": "the exporter runs elsewhere"}),
    )
    .await;
    assert_eq!(bound["ci"]["id"], "db1");
    assert_eq!(
        daemon
            .post(&bind, &json!({"ci": "nope", "reason": "x"}))
            .await
            .status
            .as_u16(),
        409
    );
    assert_eq!(
        daemon
            .post(&bind, &json!({"ci": "db1"}))
            .await
            .status
            .as_u16(),
        400
    );
    daemon.process.signal(Signal::KILL);
    daemon.process.ended().await;
    let daemon = home.start().await;
    let estate = json!({"cis": [{"id": "new", "class": "host", "name": "new"}, {"id": "web1", "class": "host", "name": "web1"},
        {"id": "db1", "class": "database", "name": "db1", "owner": "ana"}], "relations": []});
    let answer =
        crate::cmdb::import(&daemon, "name=second&format=native", estate.to_string()).await;
    assert!(answer.status.is_success(), "{}", answer.text);
    fire(&daemon, "DiskFull", "web1").await;
    let alert = one(&daemon, path, "the repeat", |it| it["count"] == 2).await;
    assert_eq!(alert["ci"]["id"], "db1", "{alert}");
    let again = done(&daemon, &bind, json!({"ci": null, "reason": "put right"})).await;
    assert_eq!(again["ci"]["id"], "web1", "{again}");
}
