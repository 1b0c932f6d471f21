//! SIGHUP: what a valid configuration changes, and that an invalid one changes nothing.

use super::config;
use crate::support::daemon::{Daemon, Home, message};

/// The status of an alert sent to a source with a token.
async fn sent(daemon: &Daemon, source: &str, token: &str) -> u16 {
    let url = daemon.url(&format!("/ingest/{source}"));
    let request = daemon.client.post(url).bearer_auth(token);
    let answer = daemon.send(request.body(message("Disk", "firing"))).await;
    answer.status.as_u16()
}

#[tokio::test]
async fn a_valid_configuration_is_applied() {
    let guarded = |token: &str| format!("{}token = \"{token}\"\n", config(""));
    let home = Home::new(&guarded("first-token-1"));
    let mut daemon = home.start().await;
    assert_eq!(sent(&daemon, "am", "first-token-1").await, 202);
    assert_eq!(sent(&daemon, "new", "third-token-3").await, 404);

    let new = "[[source]]\nname = \"new\"\nkind = \"alertmanager\"\ntoken = \"third-token-3\"\n";
    home.configure(&format!("{}{new}", guarded("second-token-2")));
    let said = daemon.reload().await;
    assert!(said.contains("the configuration was reloaded"), "{said}");
    assert_eq!(sent(&daemon, "am", "first-token-1").await, 401);
    assert_eq!(sent(&daemon, "am", "second-token-2").await, 202);
    assert_eq!(sent(&daemon, "new", "third-token-3").await, 202);
    assert_eq!(daemon.messages("received").await, 3, "counters go on");

    home.configure(&guarded("second-token-2"));
    daemon.reload().await;
    assert_eq!(sent(&daemon, "new", "third-token-3").await, 404);
}

#[tokio::test]
async fn an_invalid_configuration_changes_nothing_and_says_so() {
    let home = Home::new(&config(""));
    let mut daemon = home.start().await;
    home.configure("[server]\nlisten = \"nowhere\"\n[[source]]\nname = \"Bad Name\"\n");
    let said = daemon.reload().await;
    assert!(
        said.contains("not valid, the old one stays in force"),
        "{said}"
    );
    daemon.process.line("w.toml:2:10: server.listen").await;
    daemon.process.line("source[0].name").await;
    daemon.alert("Disk", "firing").await;

    std::fs::remove_file(home.path("w.toml")).unwrap();
    let said = daemon.reload().await;
    assert!(
        said.contains("not valid, the old one stays in force"),
        "{said}"
    );
    daemon.alert("Disk", "firing").await;
    daemon.stop().await;
}

#[tokio::test]
async fn what_takes_a_restart_is_named() {
    let home = Home::new(&config(""));
    let mut daemon = home.start().await;
    home.configure(&config(
        "connections_max = 7\nheader_timeout = \"7s\"\n[auth]\nrequired = true",
    ));
    daemon.reload().await;
    for key in [
        "server.connections_max",
        "server.header_timeout",
        "auth.required",
    ] {
        daemon
            .process
            .line(&format!("{key} has changed; that takes a restart"))
            .await;
    }
    daemon.get("/api/v1/incidents").await.ok();
}

#[tokio::test]
async fn limits_of_bodies_change_at_once() {
    let home = Home::new(&config(""));
    let mut daemon = home.start().await;
    let long = message(&"x".repeat(2000), "firing");
    assert_eq!(daemon.ingest(long.clone()).await.status.as_u16(), 202);
    home.configure(&config("body_max = \"1KiB\""));
    daemon.reload().await;
    let refused = daemon.ingest(long).await.problem(413, "body-too-large");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("1024 bytes") && detail.contains("body_max"));
}
