//! Problems and requests beside a ticket platform: made there once, brought to what they are here, also over a restart.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::daemon::connector;
use super::platforms::servicenow::ServiceNow;
use super::server::{Ask, Platform, Server, Tell};
use crate::support::daemon::{Daemon, Home};
use crate::support::process::eventually;

/// One instance with a table for each kind of records.
#[derive(Debug, Default)]
struct Tables(BTreeMap<String, ServiceNow>);

impl Tables {
    fn rows(&self, table: &str) -> Vec<Map<String, Value>> {
        let table = self.0.get(table).into_iter();
        table.flat_map(|it| it.records.values().cloned()).collect()
    }
}

impl Platform for Tables {
    fn answer(&mut self, ask: &Ask) -> Tell {
        let table = ask.path.split('/').nth(4).unwrap_or_default().to_owned();
        let path = ask.path.replacen(&table, "incident", 1);
        let ask = Ask {
            path,
            ..ask.clone()
        };
        self.0.entry(table).or_default().answer(&ask)
    }
}

async fn until(
    snow: &Server<Tables>,
    what: &str,
    table: &str,
    is: impl Fn(&Map<String, Value>) -> bool,
) {
    eventually(what, async || {
        let rows = snow.inside(|snow| snow.rows(table));
        assert!(rows.len() <= 1, "one record, not {rows:#?}");
        rows.iter().any(&is).then_some(())
    })
    .await;
}

async fn kept(daemon: &Daemon, record: &str) -> Value {
    eventually(record, async || {
        let list = daemon.list("/api/v1/connectors").await;
        let records = list.first()?["records"].as_array()?.clone();
        records.into_iter().find(|it| it["record"] == record)
    })
    .await
}

#[tokio::test]
async fn problems_and_requests_are_kept_where_that_is_asked_for() {
    let snow = Server::start(Tables::default()).await;
    let config = connector(
        &snow.url(),
        "send = { problems = true, requests = true }\nwhen = \"false\"",
    );
    let home = Home::new(&config);
    let daemon = home.start().await;
    let problem = json!({"title": "The cache fills up"});
    let problem = daemon.post("/api/v1/problems", &problem).await.json();
    let request = json!({"title": "More disk for db1", "priority": "P4"});
    let request = daemon.post("/api/v1/requests", &request).await.json();
    let name = |record: &Value| record["number"].as_str().unwrap().to_owned();
    let (problem, request) = (name(&problem), name(&request));
    let titled = |row: &Map<String, Value>, text: &str| {
        row["short_description"].as_str().unwrap().contains(text)
    };
    until(&snow, "a problem there", "problem", |row| {
        titled(row, "The cache fills up")
            && row["correlation_id"].as_str().unwrap().starts_with("wbl-")
    })
    .await;
    until(&snow, "a request there", "sc_request", |row| {
        titled(row, "More disk")
    })
    .await;
    assert_eq!(kept(&daemon, &problem).await["id"], "INC0000001");
    assert!(snow.inside(|snow| snow.rows("incident").is_empty()));

    // What changes here changes there, also when it was made by a daemon before this one; nothing is made twice.
    let put = json!({"state": "investigating", "title": "The cache leaks"});
    daemon
        .post(&format!("/api/v1/problems/{problem}"), &put)
        .await
        .ok();
    until(&snow, "in progress there", "problem", |row| {
        row["state"] == "2" && titled(row, "leaks")
    })
    .await;
    daemon.stop().await;
    let daemon = home.start().await;
    let put = json!({"state": "fulfilled"});
    daemon
        .post(&format!("/api/v1/requests/{request}"), &put)
        .await
        .ok();
    until(&snow, "done there", "sc_request", |row| row["state"] == "3").await;
    let put = json!({"state": "resolved", "root_cause": "a leak in the cache"});
    daemon
        .post(&format!("/api/v1/problems/{problem}"), &put)
        .await
        .ok();
    until(&snow, "resolved there", "problem", |row| {
        row["state"] == "3"
    })
    .await;
    assert_eq!(snow.count("POST", "/"), 2);
    daemon.stop().await;
}
