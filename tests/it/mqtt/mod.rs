//! MQTT through a real broker: what publishers were told is stored, and nothing counts twice.

pub(crate) mod broker;
mod faults;
mod feeds;
mod sparkplug;

use rustix::process::Signal;
use serde_json::Value;

use self::broker::Broker;
use crate::support::daemon::{Daemon, Home, LISTEN};
use crate::support::process::eventually;

/// A source of this name with these keys, at this broker.
fn source(name: &str, broker: &Broker, keys: &str) -> String {
    let url = broker.url();
    format!("[[source]]\nname = \"{name}\"\nkind = \"mqtt\"\nurl = \"{url}\"\n{keys}\n")
}

/// Plain payloads by a map: ON fires, OFF resolves, anything else is no status.
const PLAIN: &str = "[source.map]\nkey = \"topic\"\nstatus = \"{'ON': 'firing', 'OFF': 'resolved'}[payload]\"\nsummary = \"topic ~ ' is ' ~ payload\"\n";

/// The source as the API shows it, as soon as it is like this.
async fn status(daemon: &Daemon, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    eventually(what, async || {
        let sources = daemon.list("/api/v1/sources").await;
        sources
            .into_iter()
            .find(|source| source["name"] == name && is(source))
    })
    .await
}

async fn connected(daemon: &Daemon, name: &str) {
    let is = |source: &Value| source["connection"]["connected"] == true;
    status(daemon, name, "a connection", is).await;
}

/// The alert of this key, as soon as it has this status.
async fn alert(daemon: &Daemon, key: &str, status: &str) -> Value {
    eventually(&format!("{key} {status}"), async || {
        let alerts = daemon.list("/api/v1/alerts?limit=500").await;
        alerts
            .into_iter()
            .find(|alert| alert["key"] == key && alert["status"] == status)
    })
    .await
}

/// Messages of a source with an outcome, from the metrics.
async fn messages(daemon: &Daemon, source: &str, outcome: &str) -> u64 {
    let name = format!("watchbell_messages_total{{source=\"{source}\",outcome=\"{outcome}\"}} ");
    let metrics = daemon.get("/metrics").await.text;
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |count| count.parse().unwrap())
}

async fn received(daemon: &Daemon, source: &str, count: u64) {
    eventually(&format!("{count} messages of {source}"), async || {
        (messages(daemon, source, "received").await >= count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishes_of_both_revisions_become_alerts_with_captures() {
    let Some(broker) = Broker::start().await else {
        return;
    };
    let five = source(
        "plant",
        &broker,
        "subscribe = [{ filter = \"site/+site/device/+device/alarm\", qos = 1 }]",
    );
    let three = source(
        "three",
        &broker,
        "version = 3\nsubscribe = [{ filter = \"v3/#\", qos = 2 }]",
    );
    let home = Home::new(&format!("{LISTEN}{five}{three}{PLAIN}"));
    let daemon = home.start().await;
    connected(&daemon, "plant").await;
    connected(&daemon, "three").await;

    let topic = "site/fra/device/pump 1/alarm";
    broker.publish(
        topic,
        1,
        r#"{"alert":"Hot","severity":"critical","message":"96 degrees","host":"pump1"}"#,
    );
    let hot = alert(&daemon, &format!("plant:v1:{topic}/Hot"), "firing").await;
    assert_eq!(hot["severity"], "critical");
    assert_eq!(hot["summary"], "96 degrees");
    assert_eq!(hot["labels"]["site"], "fra");
    assert_eq!(hot["labels"]["device"], "pump 1");
    broker.publish(topic, 1, r#"{"alert":"Hot","status":"ok"}"#);
    alert(&daemon, &format!("plant:v1:{topic}/Hot"), "resolved").await;
    broker.publish("site/fra/device/d2/alarm", 0, "leaking");
    let plain = alert(&daemon, "plant:v1:site/fra/device/d2/alarm", "firing").await;
    assert_eq!(plain["summary"], "site/fra/device/d2/alarm: leaking");
    // The topic itself is not subscribed, and nothing else is.
    broker.publish("site/fra/device/d2/other", 1, "ON");

    for qos in 0..=2 {
        broker.publish(&format!("v3/{qos}"), qos, "ON");
        alert(&daemon, &format!("three:v1:v3/{qos}"), "firing").await;
    }
    // Twice the same payload on two topics is no duplicate, twice on one is.
    assert_eq!(messages(&daemon, "three", "duplicate").await, 0);
    broker.publish("v3/2", 2, "ON");
    received(&daemon, "three", 4).await;
    eventually("the duplicate", async || {
        (messages(&daemon, "three", "duplicate").await == 1).then_some(())
    })
    .await;
    assert_eq!(messages(&daemon, "plant", "received").await, 3);
    let shown = status(&daemon, "plant", "its status", |_| true).await;
    assert_eq!(shown["path"], Value::Null);
    assert_eq!(shown["connection"]["broker"], broker.url());
    let refused = daemon.post("/ingest/plant", &Value::Null).await;
    assert_eq!(refused.status, 404);
    assert!(refused.text.contains("by its broker"), "{}", refused.text);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_is_put_aside_and_blocks_nothing() {
    let Some(broker) = Broker::start().await else {
        return;
    };
    let keys =
        "version = 3\npacket_max = \"64KiB\"\nsubscribe = [{ filter = \"p/+name\", qos = 1 }]";
    let home = Home::new(&format!(
        "{LISTEN}{}{PLAIN}",
        source("plant", &broker, keys)
    ));
    let daemon = home.start().await;
    connected(&daemon, "plant").await;
    broker.publish("p/binary", 1, b"\xff\xfe\x00");
    broker.publish("p/json", 1, "{\"half\":");
    broker.publish("p/word", 2, "neither");
    broker.publish("p/large", 1, "x".repeat(300 * 1024));
    broker.publish("p/large", 0, "x".repeat(70 * 1024));
    broker.publish("p/twenty", 1, "x".repeat(20 * 1024));
    broker.publish("p/empty", 1, "");
    broker.publish("p/good", 1, "ON");
    alert(&daemon, "plant:v1:p/good", "firing").await;
    let letters = daemon.list("/api/v1/dead-letters").await;
    let mut reasons: Vec<&str> = letters
        .iter()
        .map(|it| it["reason"].as_str().unwrap())
        .collect();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        [
            "bad_items",
            "bad_items",
            "not_understood",
            "not_understood",
            "too_large",
            "too_large"
        ]
    );
    let large = letters
        .iter()
        .find(|it| it["reason"] == "too_large")
        .unwrap();
    assert!(
        large["detail"].as_str().unwrap().contains("p/large"),
        "{large}"
    );
    assert_eq!(messages(&daemon, "plant", "received").await, 8);
    assert_eq!(messages(&daemon, "plant", "rejected").await, 6);
    // All of it over one connection.
    let lines = daemon.process.lines();
    let connects = lines.iter().filter(|line| line.contains("is connected to"));
    assert_eq!(connects.count(), 1);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_message_opens_nothing_that_has_ended() {
    let Some(mut broker) = Broker::start().await else {
        return;
    };
    let keys = "version = 3\nsubscribe = [\"kept/#\"]";
    let ignoring = format!("{keys}\nretained = \"ignore\"");
    let home = Home::new(&format!(
        "{LISTEN}{}{PLAIN}{}{PLAIN}",
        source("uses", &broker, keys),
        source("ignores", &broker, &ignoring)
    ));
    broker.publish_retained("kept/early", "ON");
    let daemon = home.start().await;
    connected(&daemon, "uses").await;
    connected(&daemon, "ignores").await;
    // A state of before our time is one that we did not know.
    alert(&daemon, "uses:v1:kept/early", "firing").await;
    broker.publish_retained("kept/a", "ON");
    alert(&daemon, "uses:v1:kept/a", "firing").await;
    broker.publish("kept/a", 1, "OFF");
    alert(&daemon, "uses:v1:kept/a", "resolved").await;
    broker.publish("kept/early", 1, "OFF");
    alert(&daemon, "uses:v1:kept/early", "resolved").await;
    let before = messages(&daemon, "uses", "received").await;
    broker.down(Signal::TERM).await;
    broker.up().await;
    // Both kept messages come again to the new subscription.
    received(&daemon, "uses", before + 2).await;
    broker.publish("kept/last", 1, "ON");
    alert(&daemon, "uses:v1:kept/last", "firing").await;
    alert(&daemon, "ignores:v1:kept/last", "firing").await;
    let alerts = daemon.list("/api/v1/alerts?limit=500").await;
    let firing = alerts.iter().filter(|alert| alert["status"] == "firing");
    assert_eq!(firing.count(), 2, "{alerts:#?}");
    let incidents = daemon.list("/api/v1/incidents?limit=500").await;
    assert_eq!(
        incidents.len(),
        5,
        "early, a and last of one, a and last of the other"
    );
    let early = alerts
        .iter()
        .any(|alert| alert["key"] == "ignores:v1:kept/early" && alert["status"] == "firing");
    assert!(!early, "a kept message was to be passed over");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_group_share_the_messages() {
    let Some(broker) = Broker::start().await else {
        return;
    };
    let keys = "shared_group = \"watchbell\"\nsubscribe = [\"s/+name\"]";
    let config = format!("{LISTEN}{}{PLAIN}", source("plant", &broker, keys));
    let homes = [Home::new(&config), Home::new(&config)];
    let daemons = [homes[0].start().await, homes[1].start().await];
    for daemon in &daemons {
        connected(daemon, "plant").await;
    }
    for n in 0..20 {
        broker.publish(&format!("s/{n}"), 1, "ON");
    }
    let [left, right] = &daemons;
    eventually("all messages", async || {
        let (left, right) = (
            messages(left, "plant", "stored").await,
            messages(right, "plant", "stored").await,
        );
        assert!(left + right <= 20, "each goes to one member");
        (left + right == 20 && left > 0 && right > 0).then_some(())
    })
    .await;
    for daemon in daemons {
        daemon.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_adds_changes_and_removes_brokers() {
    let Some(broker) = Broker::start().await else {
        return;
    };
    let home = Home::new(LISTEN);
    let mut daemon = home.start().await;
    let stays = source("stays", &broker, "subscribe = [\"stays/#\"]");
    let config = |topic: &str| {
        let keys = format!("subscribe = [\"{topic}/+x\"]");
        format!("{LISTEN}{stays}{}", source("plant", &broker, &keys))
    };
    home.configure(&config("one"));
    daemon.reload().await;
    connected(&daemon, "plant").await;
    connected(&daemon, "stays").await;
    broker.publish("one/a", 1, "ON");
    alert(&daemon, "plant:v1:one/a", "firing").await;

    let lines = daemon.process.lines().len();
    home.configure(&config("two"));
    daemon.reload().await;
    daemon
        .process
        .line_after(lines, "source plant is connected")
        .await;
    broker.publish("two/a", 1, "ON");
    alert(&daemon, "plant:v1:two/a", "firing").await;
    // The old filter is gone from the kept session.
    broker.publish("one/b", 1, "ON");
    broker.publish("two/b", 1, "ON");
    alert(&daemon, "plant:v1:two/b", "firing").await;
    assert_eq!(
        daemon.list("/api/v1/dead-letters").await,
        Vec::<Value>::new()
    );

    home.configure(&format!("{LISTEN}{stays}"));
    daemon.reload().await;
    broker.publish("stays/a", 1, "ON");
    alert(&daemon, "stays:v1:stays/a", "firing").await;
    let connects = daemon.process.lines();
    let connects = connects
        .iter()
        .filter(|line| line.contains("source stays is connected"));
    assert_eq!(connects.count(), 1, "what does not change stays connected");
    daemon.stop().await;
}
