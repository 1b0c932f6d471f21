//! A target that the configuration no longer names: what waits for it ends visibly and can be tried again later.

use serde_json::json;

use super::daemon::{config, heard, outbox, settled};
use super::hook::{Hook, Manner};
use crate::support::daemon::{Daemon, Home, LISTEN};
use crate::support::database::{TestStore, on_both_engines};
use crate::support::process::eventually;

on_both_engines! {
    messages_of_a_removed_target_end_visibly_and_are_sent_when_it_is_back,
}

/// A configuration with the target, and one without.
fn both(store: &TestStore, hook: &Hook) -> (String, String) {
    let store = format!("[store]\nurl = \"{}\"\n", store.url);
    let without = "[[source]]\nname = \"am\"\nkind = \"alertmanager\"\n";
    (
        format!("{}{store}", config(hook, "")),
        format!("{LISTEN}{without}{store}"),
    )
}

async fn pending(daemon: &Daemon, count: usize) {
    eventually("messages that wait", async || {
        let items = outbox(daemon, "state=pending").await;
        let tried = items.iter().filter(|item| item["attempts"] != 0).count();
        (items.len() == count && tried > 0).then_some(())
    })
    .await;
}

async fn messages_of_a_removed_target_end_visibly_and_are_sent_when_it_is_back(store: TestStore) {
    let away = || Manner::Say(503, "retry-after: 600\r\n", "");
    let hook = Hook::start([away(), away()]).await;
    let (with, without) = both(&store, &hook);
    let home = Home::new(&with);
    let mut daemon = home.start().await;
    daemon.alert("A", "firing").await;
    pending(&daemon, 1).await;

    // By a reload.
    home.configure(&without);
    assert!(daemon.reload().await.contains("was reloaded"));
    let gone = "incident.opened dead target_removed";
    assert_eq!(settled(&daemon, 1).await, [gone]);
    let error = outbox(&daemon, "state=dead").await[0]["last_error"].to_string();
    assert!(error.contains("target removed"), "{error}");
    daemon.says("INC-1", "message_undelivered").await;

    // By a restart.
    home.configure(&with);
    daemon.reload().await;
    daemon.alert("B", "firing").await;
    pending(&daemon, 1).await;
    daemon.stop().await;
    home.configure(&without);
    let mut daemon = home.start().await;
    assert_eq!(settled(&daemon, 2).await, [gone, gone]);

    home.configure(&with);
    daemon.reload().await;
    let before = hook.lines().len();
    let retried = daemon.post("/api/v1/outbox/retry", &json!({})).await.ok();
    assert_eq!(retried["count"], 2);
    heard(&hook, before + 2).await;
    daemon.stop().await;
}
