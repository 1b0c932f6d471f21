//! A connector that the configuration no longer names: its tickets rest, and go on from there when it is back.

use super::daemon::{RULES, connector, in_sync, ticket};
use super::platforms::servicenow::ServiceNow;
use super::server::Server;
use crate::support::daemon::{Home, LISTEN};

#[tokio::test]
async fn tickets_of_a_removed_connector_rest_and_are_brought_in_step_when_it_is_back() {
    let snow = Server::start(ServiceNow::default()).await;
    let with = connector(&snow.url(), "");
    let home = Home::new(&with);
    let mut daemon = home.start().await;
    daemon.alert("DiskFull", "firing").await;
    let number = ticket(&daemon, "ticket", in_sync).await["number"].clone();
    let number = number.as_str().unwrap();

    home.configure(&format!("{LISTEN}{RULES}"));
    assert!(daemon.reload().await.contains("was reloaded"));
    let rests = ticket(&daemon, "rest", |ticket| ticket["state"] == "paused").await;
    assert_eq!(rests["tickets"][0]["id"], "INC0000001");
    let connectors = daemon.list("/api/v1/connectors").await;
    assert_eq!(connectors[0]["name"], "snow");
    assert_eq!(connectors[0]["state"], "removed");
    assert_eq!(connectors[0]["tickets"]["in_sync"], 1);
    let path = format!("/api/v1/incidents/{number}/tickets");
    assert_eq!(daemon.get(&path).await.ok()[0]["state"], "paused");

    // What happens meanwhile is not forgotten, over a restart either.
    daemon.alert("DiskFull", "resolved").await;
    daemon
        .incident("end", |incident| incident["state"] == "resolved")
        .await;
    daemon.stop().await;
    let mut daemon = home.start().await;
    assert_eq!(snow.inside(|snow| snow.only())["state"], "1");

    home.configure(&with);
    daemon.reload().await;
    ticket(&daemon, "step", in_sync).await;
    assert_eq!(snow.inside(|snow| snow.only())["state"], "6");
    assert_eq!(snow.count("POST", "/"), 1);
    daemon.stop().await;
}
