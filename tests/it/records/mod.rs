//! Records beside incidents, by the real daemon on both engines.

mod audit;
mod changes;
mod practice;
mod rule_tests;
mod served;

use serde_json::{Value, json};

use crate::cmdb::import;
use crate::support::daemon::{Daemon, Home, LISTEN};
use crate::support::database::TestStore;

/// A daemon's folder with sources and more.
pub(crate) fn home(store: &TestStore, more: &str) -> Home {
    Home::new(&format!(
        "{LISTEN}[store]\nurl = \"{}\"\n[[source]]\nname = \"am\"\nkind = \"alertmanager\"\n{more}",
        store.url
    ))
}

/// A shop on a machine behind a switch.
pub(crate) async fn shop(daemon: &Daemon) {
    let estate = json!({
        "cis": [
            {"id": "sw1", "class": "switch", "name": "sw1"},
            {"id": "web1", "class": "host", "name": "web1"},
            {"id": "db1", "class": "database", "name": "db1"},
            {"id": "shop", "class": "application", "name": "shop"},
            {"id": "checkout", "class": "service", "name": "checkout", "criticality": 1},
            {"id": "other", "class": "host", "name": "other"},
        ],
        "relations": [
            {"from": "web1", "to": "sw1", "type": "connects_to"},
            {"from": "shop", "to": "web1", "type": "runs_on"},
            {"from": "shop", "to": "db1", "type": "uses"},
            {"from": "checkout", "to": "shop", "type": "depends_on"},
        ],
    });
    let answer = import(daemon, "name=test&format=native", estate.to_string()).await;
    assert!(answer.status.is_success(), "{}", answer.text);
}

/// An alert about a host.
pub(crate) async fn fire(daemon: &Daemon, name: &str, host: &str) {
    send(daemon, name, host, "firing").await;
}

/// The same with its status.
pub(crate) async fn send(daemon: &Daemon, name: &str, host: &str, status: &str) {
    let body = json!({"version": "4", "alerts": [{
        "status": status,
        "labels": {"alertname": name, "host": host, "severity": "critical"},
        "annotations": {"summary": format!("{name} on {host}")},
    }]});
    let answer = daemon.ingest(body.to_string()).await;
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.text);
}

/// The answer to a POST that must be carried out.
pub(crate) async fn done(daemon: &Daemon, path: &str, body: Value) -> Value {
    let answer = daemon.post(path, &body).await;
    assert!(
        answer.status.is_success(),
        "{path}: {} {}",
        answer.status,
        answer.text
    );
    answer.json()
}
