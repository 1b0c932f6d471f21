//! What a source with a broker shares with all others: its rate, and that it feeds heartbeats.

use serde_json::Value;

use super::broker::Broker;
use super::{PLAIN, alert, connected, messages, source};
use crate::support::daemon::{Home, LISTEN};
use crate::support::process::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_the_rate_waits_at_the_broker_and_nothing_is_lost() {
    let Some(broker) = Broker::start().await else {
        return;
    };
    let keys =
        "rate = { per_second = 10, burst = 5 }\nsubscribe = [{ filter = \"p/+name\", qos = 1 }]";
    let home = Home::new(&format!(
        "{LISTEN}{}{PLAIN}",
        source("plant", &broker, keys)
    ));
    let daemon = home.start().await;
    connected(&daemon, "plant").await;
    let begun = tokio::time::Instant::now();
    // Each is another message, or it would be a duplicate.
    let lines: Vec<String> = (0..30).map(|n| format!("N{n}")).collect();
    assert!(broker.publish_lines("p/a", 1, &lines));
    broker.publish("p/last", 1, "ON");
    alert(&daemon, "plant:v1:p/last", "firing").await;
    let took = begun.elapsed().as_millis();
    // 31 messages, 5 (and the one in hand) at once and ten each second after that.
    assert!(took >= 2_000, "{took} ms: the rate was not kept");
    eventually("all of them", async || {
        let taken = messages(&daemon, "plant", "stored").await
            + messages(&daemon, "plant", "rejected").await;
        (taken == 31).then_some(())
    })
    .await;
    assert_eq!(messages(&daemon, "plant", "limited").await, 0);
    let log = daemon.process.lines();
    let told = log
        .iter()
        .filter(|line| line.contains("wait at the broker"));
    assert_eq!(told.count(), 1, "told once: {log:?}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_broker_feeds_a_heartbeat() {
    let Some(broker) = Broker::start().await else {
        return;
    };
    let keys = "subscribe = [{ filter = \"site/+site/+what\", qos = 1 }]";
    let beats = "[incident]\nrecover_after = \"1s\"\n\
        [[heartbeat]]\nname = \"gateway\"\nevery = \"2s\"\n\
        watchdog = { source = \"plant\", match = { site = \"fra\", what = \"alive\" } }\n";
    let plant = source("plant", &broker, keys);
    let home = Home::new(&format!("{LISTEN}{beats}{plant}{PLAIN}"));
    let daemon = home.start().await;
    connected(&daemon, "plant").await;
    let until = async |state: &str| -> Value {
        eventually(state, async || {
            let list = daemon.list("/api/v1/heartbeats").await;
            list.into_iter().find(|beat| beat["state"] == state)
        })
        .await
    };
    // Another site, and another message of this one, are no pings but alerts.
    broker.publish("site/muc/alive", 1, "ON");
    broker.publish("site/fra/door", 1, "ON");
    alert(&daemon, "plant:v1:site/muc/alive", "firing").await;
    alert(&daemon, "plant:v1:site/fra/door", "firing").await;
    let shown = until("new").await;
    assert_eq!(shown["name"], "gateway");
    broker.publish("site/fra/alive", 1, "ON");
    until("missing").await;
    alert(&daemon, "heartbeat:v1:gateway", "firing").await;
    broker.publish("site/fra/alive", 1, "ON");
    alert(&daemon, "heartbeat:v1:gateway", "resolved").await;
    let alerts = daemon.list("/api/v1/alerts?limit=500").await;
    let pings = alerts
        .iter()
        .filter(|alert| alert["key"] == "plant:v1:site/fra/alive");
    assert_eq!(pings.count(), 0, "a ping is no alert: {alerts:#?}");
    daemon.stop().await;
}
