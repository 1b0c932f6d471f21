//! A real daemon and a receiver that behaves badly: what is told arrives once, or is seen to be a repeat.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::hook::{Hook, Manner};
use crate::support::daemon::{Daemon, Home, LISTEN};
use crate::support::database::{TestStore, on_both_engines};
use crate::support::process::eventually;

on_both_engines! {
    opening_and_end_are_told_once_and_signed,
    bad_manners_are_survived_with_the_same_id,
    nobody_hears_of_what_is_taken_or_over_by_then,
    refused_message_is_dead_visible_and_can_be_tried_again,
    paused_target_waits_over_a_restart_and_then_hears_what_still_holds,
    kill_between_send_and_mark_is_at_most_one_marked_repeat,
    private_addresses_are_not_reached_unless_allowed,
    target_that_never_answers_does_not_hold_up_another,
}

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub(super) fn config(hook: &Hook, more: &str) -> String {
    config_for(&hook.url(), more)
}

/// The same for a receiver that may not be there yet.
pub(super) fn config_for(url: &str, more: &str) -> String {
    format!(
        "{LISTEN}[incident]\nrecover_after = \"0s\"\n[settle]\nP1 = \"0s\"\nP2 = \"0s\"\nP3 = \"0s\"\n\
         [[source]]\nname = \"am\"\nkind = \"alertmanager\"\n\
         [[target]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"{url}\"\nsecret = \"{SECRET}\"\nallow_private = true\n\
         timeout = \"2s\"\n{more}[[route]]\ntargets = [\"hook\"]\n"
    )
}

/// The same with a store of its own.
fn on(store: &TestStore, hook: &Hook, more: &str) -> String {
    format!("{}[store]\nurl = \"{}\"\n", config(hook, more), store.url)
}

pub(super) async fn heard(hook: &Hook, count: usize) -> Vec<String> {
    eventually("what is told", async || {
        Some(hook.lines()).filter(|lines| lines.len() >= count)
    })
    .await
}

pub(super) async fn outbox(daemon: &Daemon, query: &str) -> Vec<Value> {
    daemon
        .list(&format!("/api/v1/outbox?sort=id&{query}"))
        .await
}

/// Event and standing of every message, oldest first, once there are so many and none is due.
pub(super) async fn settled(daemon: &Daemon, count: usize) -> Vec<String> {
    eventually("an outbox with nothing due", async || {
        let items = outbox(daemon, "").await;
        let is_due = |item: &Value| matches!(item["state"].as_str(), Some("pending" | "sending"));
        (items.len() >= count && !items.iter().any(is_due)).then_some(items)
    })
    .await
    .iter()
    .map(|item| {
        let of = |name: &str| item[name].as_str().unwrap_or("-").to_owned();
        format!("{} {} {}", of("type"), of("state"), of("reason"))
    })
    .collect()
}

async fn opening_and_end_are_told_once_and_signed(store: TestStore) {
    let hook = Hook::start([]).await;
    let home = Home::new(&on(&store, &hook, ""));
    let daemon = home.start().await;
    daemon.alert("A", "firing").await;
    heard(&hook, 1).await;
    daemon.alert("A", "firing").await;
    daemon.alert("A", "resolved").await;
    let lines = heard(&hook, 2).await;
    assert_eq!(
        lines,
        [
            "incident.opened INC-1 new",
            "incident.resolved INC-1 resolved"
        ]
    );
    for one in hook.heard() {
        let key = STANDARD
            .decode(SECRET.strip_prefix("whsec_").unwrap())
            .unwrap();
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
        let stamp = &one.headers["webhook-timestamp"];
        mac.update(format!("{}.{stamp}.{}", one.id(), one.body).as_bytes());
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        assert_eq!(one.headers["webhook-signature"], expected);
        let body = one.json();
        let names: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(names, ["data", "timestamp", "type"]);
        assert_eq!(body["data"]["title"], "A is in trouble");
    }
    daemon.stop().await;
}

async fn bad_manners_are_survived_with_the_same_id(store: TestStore) {
    let hook = Hook::start([
        Manner::Say(429, "retry-after: 1\r\n", ""),
        Manner::Reset,
        Manner::Drip,
    ])
    .await;
    let home = Home::new(&on(&store, &hook, ""));
    let daemon = home.start().await;
    daemon.alert("A", "firing").await;
    let lines = heard(&hook, 4).await;
    assert_eq!(lines, ["incident.opened INC-1 new"; 4]);
    let all = hook.heard();
    let is_same = |one: &super::hook::Heard| one.id() == all[0].id();
    assert!(all.iter().all(is_same), "one id for all attempts");
    let is_repeat = |one: &super::hook::Heard| one.headers.contains_key("webhook-repeat");
    let repeats: Vec<bool> = all.iter().map(is_repeat).collect();
    assert_eq!(
        repeats,
        [false, false, true, true],
        "after the reset it may have arrived"
    );
    assert_eq!(settled(&daemon, 1).await, ["incident.opened sent -"]);
    let items = outbox(&daemon, "state=sent").await;
    assert_eq!(items[0]["attempts"], 4);
    daemon.stop().await;
}

async fn nobody_hears_of_what_is_taken_or_over_by_then(store: TestStore) {
    let hook = Hook::start([Manner::Say(503, "retry-after: 2\r\n", "")]).await;
    let home = Home::new(&on(&store, &hook, ""));
    let daemon = home.start().await;
    daemon.alert("A", "firing").await;
    heard(&hook, 1).await;
    // The target asked for two seconds; by then A is over, and B is taken.
    daemon.alert("B", "firing").await;
    daemon.alert("A", "resolved").await;
    daemon
        .post("/api/v1/incidents/2/acknowledge", &json!({}))
        .await
        .ok();
    assert_eq!(
        settled(&daemon, 3).await,
        [
            "incident.opened skipped resolved_meanwhile",
            "incident.opened skipped acknowledged_meanwhile",
            "incident.resolved skipped never_told_open",
        ]
    );
    assert_eq!(hook.lines().len(), 1);
    daemon.stop().await;
}

async fn refused_message_is_dead_visible_and_can_be_tried_again(store: TestStore) {
    let hook = Hook::start([Manner::Say(400, "", "no such channel")]).await;
    let home = Home::new(&on(&store, &hook, ""));
    let daemon = home.start().await;
    daemon.alert("A", "firing").await;
    assert_eq!(settled(&daemon, 1).await, ["incident.opened dead rejected"]);
    let dead = outbox(&daemon, "state=dead").await;
    assert_eq!(dead[0]["last_error"], "it answered 400: no such channel");
    assert_eq!(dead[0]["status"], 400);
    daemon.says("INC-1", "message_undelivered").await;
    let id = dead[0]["id"].as_str().unwrap();
    let retried = daemon
        .post(&format!("/api/v1/outbox/{id}/retry"), &json!({}))
        .await;
    assert_eq!(retried.status.as_u16(), 200, "{}", retried.text);
    assert_eq!(settled(&daemon, 1).await, ["incident.opened sent -"]);
    let again = daemon
        .post(&format!("/api/v1/outbox/{id}/retry"), &json!({}))
        .await;
    assert_eq!(again.status.as_u16(), 409);
    let metrics = daemon.get("/metrics").await.text;
    assert!(metrics.contains("watchbell_deliveries_total{target=\"hook\",outcome=\"dead\"} 1"));
    daemon.stop().await;
}

async fn paused_target_waits_over_a_restart_and_then_hears_what_still_holds(store: TestStore) {
    let hook = Hook::start([]).await;
    let home = Home::new(&on(&store, &hook, ""));
    let daemon = home.start().await;
    let paused = daemon.post("/api/v1/targets/hook/pause", &json!({})).await;
    assert_eq!(paused.ok()["health"], "paused");
    daemon.alert("A", "firing").await;
    daemon.alert("B", "firing").await;
    eventually("two incidents", async || {
        (daemon.list("/api/v1/incidents").await.len() == 2).then_some(())
    })
    .await;
    daemon.alert("A", "resolved").await;
    daemon.stop().await;
    let daemon = home.start().await;
    assert_eq!(hook.lines(), Vec::<String>::new());
    daemon.post("/api/v1/targets/hook/resume", &json!({})).await;
    assert_eq!(heard(&hook, 1).await, ["incident.opened INC-2 new"]);
    settled(&daemon, 3).await;
    assert_eq!(hook.lines().len(), 1);
    daemon.stop().await;
}

async fn kill_between_send_and_mark_is_at_most_one_marked_repeat(store: TestStore) {
    let gate = Arc::new(Notify::new());
    let hook = Hook::start([Manner::Held(Arc::clone(&gate))]).await;
    let home = Home::new(&on(&store, &hook, ""));
    let mut daemon = home.start().await;
    daemon.alert("A", "firing").await;
    heard(&hook, 1).await;
    // The request is there, its answer is not: the daemon cannot know.
    daemon.process.signal(Signal::KILL);
    daemon.process.ended().await;
    gate.notify_one();
    let daemon = home.start().await;
    heard(&hook, 2).await;
    assert_eq!(settled(&daemon, 1).await, ["incident.opened sent -"]);
    let all = hook.heard();
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].id(), all[1].id());
    assert_eq!(all[1].headers["webhook-repeat"], "true");
    daemon.alert("A", "resolved").await;
    heard(&hook, 3).await;
    assert_eq!(hook.lines()[2], "incident.resolved INC-1 resolved");
    daemon.stop().await;
}

async fn private_addresses_are_not_reached_unless_allowed(store: TestStore) {
    let hook = Hook::start([]).await;
    let config = on(&store, &hook, "").replace("allow_private = true\n", "");
    let home = Home::new(&config);
    let daemon = home.start().await;
    daemon.alert("A", "firing").await;
    let error = eventually("an error", async || {
        let items = outbox(&daemon, "").await;
        items
            .first()
            .and_then(|item| item["last_error"].as_str().map(str::to_owned))
    })
    .await;
    assert!(error.contains("allow_private"), "{error}");
    let tried = daemon
        .post("/api/v1/targets/hook/test", &json!({}))
        .await
        .ok();
    assert_eq!(tried["ok"], false);
    assert_eq!(hook.lines(), Vec::<String>::new());
    daemon.stop().await;
}

async fn target_that_never_answers_does_not_hold_up_another(store: TestStore) {
    let silent = Hook::start(std::iter::repeat_n(Manner::Silence, 100)).await;
    let hook = Hook::start([]).await;
    let more = format!(
        "[[target]]\nname = \"silent\"\nkind = \"webhook\"\nurl = \"{}\"\nallow_private = true\ntimeout = \"60s\"\n",
        silent.url()
    );
    let config = on(&store, &hook, &more).replace("[\"hook\"]", "[\"silent\", \"hook\"]");
    let home = Home::new(&config);
    let daemon = home.start().await;
    for name in ["A", "B", "C"] {
        daemon.alert(name, "firing").await;
    }
    assert_eq!(heard(&hook, 3).await.len(), 3);
    assert_eq!(heard(&silent, 3).await.len(), 3);
}
