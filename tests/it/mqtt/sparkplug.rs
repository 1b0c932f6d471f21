//! Sparkplug B through a real broker.

use prost::Message as _;
use serde_json::Value;
use watchbell::sources::sparkplug::wire::{self, Metric, Payload};

use super::broker::Broker;
use super::{alert, connected, messages, received};
use crate::support::daemon::{Home, LISTEN};
use crate::support::process::eventually;

fn metric(name: Option<&str>, alias: Option<u64>, value: wire::Value) -> Metric {
    Metric {
        name: name.map(str::to_owned),
        alias,
        value: Some(value),
        ..Metric::default()
    }
}

fn payload(metrics: Vec<Metric>) -> Vec<u8> {
    let payload = Payload {
        timestamp: Some(1_767_226_000_000),
        metrics,
        seq: Some(0),
    };
    payload.encode_to_vec()
}

fn bd_seq(number: u64) -> Metric {
    metric(Some("bdSeq"), None, wire::Value::Long(number))
}

#[tokio::test(flavor = "multi_thread")]
async fn deaths_fire_and_births_resolve() {
    let Some(broker) = Broker::start().await else {
        return;
    };
    let config = format!(
        "{LISTEN}[[source]]\nname = \"line\"\nkind = \"sparkplug\"\nurl = \"{}\"\nrebirth = true\n\
         [source.map]\nwhen = \"item.name is startingwith('Alarm/')\"\nkey = \"payload.node ~ '/' ~ (payload.device or '') ~ '/' ~ item.name\"\n\
         status = \"item.value\"\nsummary = \"item.name\"\n",
        broker.url()
    );
    let home = Home::new(&config);
    let daemon = home.start().await;
    connected(&daemon, "line").await;
    let node = "line:v1:offline/g/n1";

    broker.publish("spBv1.0/g/NBIRTH/n1", 0, payload(vec![bd_seq(7)]));
    broker.publish("spBv1.0/g/NDEATH/n1", 1, payload(vec![bd_seq(7)]));
    let dead = alert(&daemon, node, "firing").await;
    assert_eq!(dead["summary"], "Edge node g/n1 is offline");
    assert_eq!(dead["labels"]["node"], "n1");
    broker.publish("spBv1.0/g/NBIRTH/n1", 0, payload(vec![bd_seq(8)]));
    alert(&daemon, node, "resolved").await;
    // The will of the connection before comes late.
    broker.publish("spBv1.0/g/NDEATH/n1", 1, payload(vec![bd_seq(7)]));

    let alarm = metric(Some("Alarm/Hot"), Some(5), wire::Value::Boolean(false));
    broker.publish("spBv1.0/g/DBIRTH/n1/d1", 0, payload(vec![alarm]));
    broker.publish(
        "spBv1.0/g/DDATA/n1/d1",
        0,
        payload(vec![metric(None, Some(5), wire::Value::Boolean(true))]),
    );
    let hot = alert(&daemon, "line:v1:n1/d1/Alarm/Hot", "firing").await;
    assert_eq!(hot["labels"]["device"], "d1");
    broker.publish(
        "spBv1.0/g/DDATA/n1/d1",
        0,
        payload(vec![metric(None, Some(99), wire::Value::Boolean(true))]),
    );
    broker.publish(
        "spBv1.0/g/DDATA/n1/d1",
        0,
        payload(vec![metric(None, Some(5), wire::Value::Boolean(false))]),
    );
    alert(&daemon, "line:v1:n1/d1/Alarm/Hot", "resolved").await;
    broker.publish("spBv1.0/g/DDEATH/n1/d1", 0, payload(Vec::new()));
    alert(&daemon, "line:v1:offline/g/n1/d1", "firing").await;
    broker.publish("spBv1.0/g/DBIRTH/n1/d1", 0, payload(Vec::new()));
    alert(&daemon, "line:v1:offline/g/n1/d1", "resolved").await;
    broker.publish("spBv1.0/g/NDATA/n1", 0, "no protobuf at all");
    received(&daemon, "line", 11).await;
    eventually("the reject", async || {
        (messages(&daemon, "line", "rejected").await == 1).then_some(())
    })
    .await;
    assert_eq!(daemon.list("/api/v1/dead-letters").await.len(), 1);
    alert(&daemon, node, "resolved").await;
    let incidents = daemon.list("/api/v1/incidents").await;
    assert_eq!(incidents.len(), 3, "node, device, alarm: {incidents:?}");
    assert!(incidents.iter().all(|it| it["number"] != Value::Null));
    daemon.stop().await;
}
