//! Changes: made by API and pipelines, shown beside incidents, judged by people only.

use rustix::process::Signal;
use serde_json::json;

use super::{done, fire, home, shop};
use crate::api::has;
use crate::support::database::{TestStore, on_both_engines};
use crate::support::process::eventually;

on_both_engines!(
    a_change_is_made_once_and_suspected_until_a_person_says_otherwise,
    pipelines_tell_of_changes,
);

#[expect(clippy::too_many_lines, reason = "a timeline reads best in one piece")]
async fn a_change_is_made_once_and_suspected_until_a_person_says_otherwise(store: TestStore) {
    let home = home(&store, "");
    let mut daemon = home.start().await;
    shop(&daemon).await;
    let body = json!({"external_id": "CR-1", "summary": "New firmware", "type": "normal", "ci": "sw1", "state": "in_progress"});
    let made = daemon.post("/api/v1/changes", &body).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.text);
    has(
        &made.json(),
        &json!({"id": "CHG-1", "external_id": "CR-1", "state": "in_progress", "source": "api", "kind": "change",
            "type": "normal", "ci": {"id": "sw1", "name": "sw1", "class": "switch"}}),
    );
    let again = daemon.post("/api/v1/changes", &body).await;
    assert_eq!(again.status.as_u16(), 200, "{}", again.text);
    assert_eq!(again.json(), made.json(), "the same again changes nothing");
    done(
        &daemon,
        "/api/v1/changes",
        json!({"summary": "Elsewhere", "ci": "other"}),
    )
    .await;

    fire(&daemon, "HostDown", "web1").await;
    let incident = daemon
        .incident("a suspect", |it| it["changes"] != json!([]))
        .await;
    let changes = incident["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1, "only what it depends on: {changes:?}");
    has(
        &changes[0],
        &json!({"id": "CHG-1", "verdict": "suspected", "summary": "New firmware", "judged_by": null}),
    );
    let why = changes[0]["why"].as_str().unwrap();
    // The switch says nothing itself; that it is being changed makes one witness enough to name it.
    assert!(why.contains("was being made to sw1"), "{why}");
    let root = &incident["root_cause"];
    has(&root["ci"], &json!({"id": "sw1"}));
    assert_eq!(root["inferred"], true, "{root}");
    let explained = daemon.get("/api/v1/incidents/INC-1/explain").await.text;
    assert!(explained.contains("CHG-1 (New firmware)"), "{explained}");

    // Heard of only now, made before.
    let before = json!({"external_id": "CR-2", "summary": "Kernel", "ci": "web1", "starts_at": incident["opened_at"],
        "ends_at": incident["opened_at"]});
    done(&daemon, "/api/v1/changes", before).await;
    let incident = daemon
        .incident("the late one", |it| {
            it["changes"].as_array().unwrap().len() == 2
        })
        .await;
    assert_eq!(
        incident["changes"][0]["id"], "CHG-3",
        "of the very item, so first"
    );

    let path = "/api/v1/incidents/INC-1/changes";
    let judged = done(
        &daemon,
        path,
        json!({"change": "CHG-3", "verdict": "confirmed", "reason": "rolled back, gone"}),
    )
    .await;
    has(
        &judged["changes"][0],
        &json!({"id": "CHG-3", "verdict": "confirmed", "why": "rolled back, gone", "judged_by": "local"}),
    );
    done(
        &daemon,
        path,
        json!({"change": "CHG-1", "verdict": "dismissed", "reason": "other cable"}),
    )
    .await;

    daemon.process.signal(Signal::KILL);
    daemon.process.ended().await;
    let daemon = home.start().await;
    let incident = daemon.get("/api/v1/incidents/INC-1").await.ok();
    let verdicts: Vec<_> = incident["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| {
            (
                change["id"].as_str().unwrap(),
                change["verdict"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(verdicts, [("CHG-3", "confirmed"), ("CHG-1", "dismissed")]);
    let figures = daemon.get("/api/v1/changes/figures").await.ok();
    has(
        &figures,
        &json!({"made": 2, "successful": 1, "failed": 0, "caused_incidents": 1, "success_rate": 0.5}),
    );
    let list = daemon.list("/api/v1/changes?ci=sw1").await;
    assert_eq!(list.len(), 1);
    let list = daemon
        .list("/api/v1/changes?incident=INC-1&state=successful")
        .await;
    assert_eq!(list[0]["caused"], json!(["INC-1"]));
    let failed = done(
        &daemon,
        "/api/v1/changes/CHG-1",
        json!({"status": "rolled back"}),
    )
    .await;
    has(
        &failed,
        &json!({"state": "failed", "summary": "New firmware"}),
    );
    assert_ne!(failed["ends_at"], json!(null));
    let new = done(
        &daemon,
        "/api/v1/changes",
        json!({"title": "Next", "services": ["checkout"]}),
    )
    .await;
    assert_eq!(new["id"], "CHG-4", "numbers go on after a crash");
    for (path, body, status) in [
        ("/api/v1/changes", json!({"external_id": "CR-9"}), 400),
        (
            "/api/v1/changes",
            json!({"summary": "x", "state": "purple"}),
            400,
        ),
        ("/api/v1/changes/CHG-99", json!({"summary": "x"}), 404),
        (
            "/api/v1/incidents/INC-9/changes",
            json!({"change": "CHG-1"}),
            404,
        ),
        (
            "/api/v1/changes",
            json!({"summary": "x", "starts_at": "2026-01-02T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z"}),
            422,
        ),
    ] {
        let answer = daemon.post(path, &body).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.text);
    }
}

async fn pipelines_tell_of_changes(store: TestStore) {
    let more = "[[source]]\nname = \"gh\"\nkind = \"json\"\npreset = \"github\"\n\
        [[source]]\nname = \"pd\"\nkind = \"pagerduty\"\nrouting_keys = [\"k1\"]\n";
    let home = home(&store, more);
    let daemon = home.start().await;
    shop(&daemon).await;
    let status = |state: &str, at: &str| {
        json!({"deployment_status": {"state": state, "created_at": at, "target_url": "https://ci.example/1"},
            "deployment": {"id": 7, "ref": "v2", "environment": "production", "creator": {"login": "ana"}, "created_at": at},
            "repository": {"name": "shop", "full_name": "acme/shop"}})
    };
    let now = daemon.get("/api/v1/changes/figures?since=0s").await.ok()["since"].clone();
    let now = now.as_str().unwrap();
    for state in ["in_progress", "success"] {
        let answer = daemon
            .send(
                daemon
                    .client
                    .post(daemon.url("/ingest/gh"))
                    .json(&status(state, now)),
            )
            .await;
        assert_eq!(answer.status.as_u16(), 202, "{}", answer.text);
    }
    let changes = daemon.list("/api/v1/changes").await;
    assert_eq!(
        changes.len(),
        1,
        "every status of one deployment is one change: {changes:?}"
    );
    has(
        &changes[0],
        &json!({"source": "gh", "external_id": "acme/shop/deployment/7", "state": "successful", "type": "deployment",
            "by": "ana", "summary": "Deploy shop v2 to production"}),
    );
    assert_eq!(changes[0]["ci"]["id"], "shop");
    let event = json!({"routing_key": "k1", "payload": {"summary": "Build 42 deployed", "source": "db1", "timestamp": now,
        "custom_details": {"build": "42"}}, "links": [{"href": "https://ci.example/42", "text": "build"}]});
    let answer = daemon.post("/pagerduty/v2/change/enqueue", &event).await;
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.text);
    fire(&daemon, "ShopDown", "shop").await;
    let incident = eventually("both suspects", async || {
        let incident = daemon.get("/api/v1/incidents/INC-1").await;
        (incident.status == 200).then(|| incident.json())
    })
    .await;
    let ids: Vec<_> = incident["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["id"].clone())
        .collect();
    assert_eq!(ids, [json!("CHG-1"), json!("CHG-2")], "{incident}");
    assert_eq!(
        daemon.list("/api/v1/alerts").await.len(),
        1,
        "a change is no alert"
    );
}
