//! Scenario S9 with the real daemon: a cascade in the worst order over HTTP, against an imported CMDB.
//!
//! Must not look into the core; what people see through the API is what counts.

use serde_json::{Value, json};

use crate::support::daemon::{Daemon, Home, LISTEN};
use crate::support::database::{TestStore, on_both_engines};
use crate::support::process::eventually;

on_both_engines!(a_cascade_is_one_incident_with_its_cause_and_strangers_stay_apart);

const VMS: usize = 40;

/// A switch over two hosts over forty machines over three services, with a cycle, a bystander and a retired twin.
fn estate() -> Value {
    let mut cis = vec![
        json!({"id": "sw1", "class": "switch", "name": "sw1"}),
        json!({"id": "esx1", "class": "host", "name": "esx1"}),
        json!({"id": "esx2", "class": "host", "name": "esx2"}),
        json!({"id": "nas9", "class": "storage", "name": "nas9"}),
        json!({"id": "old", "class": "vm", "name": "old", "addresses": ["10.0.0.7"], "status": "retired"}),
    ];
    let mut relations = vec![
        json!({"from": "esx1", "to": "sw1", "type": "connects_to"}),
        json!({"from": "esx2", "to": "sw1", "type": "connects_to"}),
        json!({"from": "vm03", "to": "svc1", "type": "uses"}),
    ];
    for vm in 1..=VMS {
        let id = vm_id(vm);
        let host = if vm <= VMS / 2 { "esx1" } else { "esx2" };
        cis.push(
            json!({"id": id, "class": "vm", "name": id, "addresses": [format!("10.0.0.{vm}")]}),
        );
        relations.push(json!({"from": id, "to": host, "type": "hosted_on"}));
    }
    for service in 1..=3_usize {
        let id = format!("svc{service}");
        let criticality = if service == 1 { 1 } else { 3 };
        cis.push(json!({"id": id, "class": "service", "name": id, "criticality": criticality}));
        for vm in (service..=VMS).step_by(4) {
            relations.push(json!({"from": id, "to": vm_id(vm), "type": "member_of"}));
        }
    }
    json!({"cis": cis, "relations": relations})
}

fn vm_id(vm: usize) -> String {
    format!("vm{vm:02}")
}

async fn fire(daemon: &Daemon, name: &str, instance: &str, severity: &str) {
    let body = json!({"version": "4", "alerts": [{
        "status": "firing",
        "labels": {"alertname": name, "instance": instance, "severity": severity},
        "annotations": {"summary": format!("{name} on {instance}")},
    }]});
    let answer = daemon.ingest(body.to_string()).await;
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.text);
}

/// An open incident, as soon as one is like this.
async fn incident(daemon: &Daemon, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    eventually(what, async || {
        let incidents = daemon.list("/api/v1/incidents?state=open").await;
        incidents.into_iter().find(|incident| is(incident))
    })
    .await
}

/// The incident of the alert with that name and instance.
async fn number_of(daemon: &Daemon, name: &str, instance: &str) -> String {
    let alerts = daemon.list("/api/v1/alerts?limit=500").await;
    let alert = alerts.iter().find(|alert| {
        alert["labels"]["alertname"] == name && alert["labels"]["instance"] == instance
    });
    alert.unwrap()["incident"].as_str().unwrap().to_owned()
}

#[expect(clippy::too_many_lines, reason = "one story, told in its order")]
async fn a_cascade_is_one_incident_with_its_cause_and_strangers_stay_apart(store: TestStore) {
    let home = Home::new(&format!(
        "{LISTEN}[store]\nurl = \"{}\"\n[[source]]\nname = \"am\"\nkind = \"alertmanager\"\n",
        store.url
    ));
    let daemon = home.start().await;
    let url = daemon.url("/api/v1/cmdb/import?name=lab");
    let import = daemon.client.post(url).body(estate().to_string());
    daemon.send(import).await.ok();

    for vm in 1..=VMS {
        let instance = match vm {
            7 => "VM07.CORP.EXAMPLE".to_owned(),
            _ => format!("{}:9100", vm_id(vm)),
        };
        fire(&daemon, "InstanceDown", &instance, "high").await;
    }
    fire(&daemon, "CertificateExpiresSoon", "vm07", "warning").await;
    fire(&daemon, "BackupFailed", "nas9", "warning").await;
    fire(&daemon, "InstanceDown", "nobody:9100", "high").await;
    let before = incident(&daemon, "the machines", |it| it["alerts"]["firing"] == VMS).await;
    fire(&daemon, "HostDown", "esx1", "critical").await;
    fire(&daemon, "HostDown", "esx2", "critical").await;
    fire(&daemon, "SwitchDown", "sw1", "critical").await;
    let incident = incident(&daemon, "the switch as the cause", |it| {
        let cause = &it["root_cause"];
        // The counts and the cause of an answer are read one after the other.
        cause["ci"]["id"] == "sw1" && cause["inferred"] == false && it["cis"] == VMS + 3
    })
    .await;

    assert_eq!(incident["number"], before["number"]);
    let number = incident["number"].as_str().unwrap();
    let incident = daemon
        .get(&format!("/api/v1/incidents/{number}"))
        .await
        .ok();
    assert_eq!(incident["alerts"]["total"], VMS + 3);
    assert_eq!(
        (
            &incident["priority"],
            &incident["cis"],
            &incident["services"]
        ),
        (
            &json!("P1"),
            &json!(VMS + 3),
            &json!(["svc1", "svc2", "svc3"])
        )
    );
    let title = incident["title"].as_str().unwrap();
    assert!(
        title.starts_with("sw1 ") && title.contains("40 VMs"),
        "{title}"
    );
    let score = incident["root_cause"]["score"].as_f64().unwrap();
    assert!((0.5..=1.0).contains(&score), "{score}");
    assert!(!incident["root_cause"]["why"].as_array().unwrap().is_empty());

    for (name, instance) in [
        ("CertificateExpiresSoon", "vm07"),
        ("BackupFailed", "nas9"),
        ("InstanceDown", "nobody:9100"),
    ] {
        assert_ne!(
            number_of(&daemon, name, instance).await,
            number,
            "{instance}"
        );
    }
    let down = number_of(&daemon, "InstanceDown", "VM07.CORP.EXAMPLE").await;
    assert_eq!(
        down, number,
        "the name is normalised, the retired twin no candidate"
    );
    let alerts = daemon.list("/api/v1/alerts?q=nobody").await;
    assert_eq!(alerts[0]["binding"]["outcome"], "unbound");
    assert!(
        alerts[0]["binding"]["reason"]
            .as_str()
            .unwrap()
            .contains("No CI")
    );
    let reasons = daemon.reasons(number).await;
    assert!(reasons.contains(&"root_changed".to_owned()), "{reasons:?}");
    daemon.stop().await;
}
