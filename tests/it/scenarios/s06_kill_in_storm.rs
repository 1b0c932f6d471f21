//! S6: `kill -9` in the middle of a storm that comes by webhook, by the Alertmanager API and by MQTT at once, while the
//! ticket platform fails one write in ten.
//!
//! A real daemon, a real Mosquitto; smaller than in the text of the scenario, so that a debug build ends in seconds.
//! Senders send again what got no answer, as real ones do. What must hold is said at each assertion.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::itsm::platforms::servicenow::ServiceNow;
use crate::itsm::server::{Fault, Server};
use crate::mqtt::broker::Broker;
use crate::support::daemon::{Daemon, Home, LISTEN, client};
use crate::support::process::eventually;
use crate::telling::hook::Hook;

/// Alerts of each input.
const EACH: usize = 240;
/// Alerts of one message by HTTP.
const PER_MESSAGE: usize = 4;
/// Messages by HTTP that are on their way at once, of each sender.
const LANES: usize = 4;
/// One alert in so many is critical: it gets a ticket and is told.
const CRITICAL: usize = 20;

/// What the senders share: where the daemon is now, and how it has answered.
#[derive(Default)]
struct Shared {
    at: Mutex<String>,
    statuses: Mutex<BTreeMap<u16, usize>>,
    acknowledged: Mutex<BTreeSet<String>>,
}

fn severity(number: usize) -> &'static str {
    if number.is_multiple_of(CRITICAL) {
        "critical"
    } else {
        "warning"
    }
}

/// Sends until it is taken, as a sender does that was given a 503 or no answer at all.
async fn until_taken(shared: &Shared, path: &str, body: &Value) {
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    loop {
        pause.tick().await;
        let url = shared.at.lock().unwrap().clone();
        let Ok(answer) = client(None).post(url + path).json(body).send().await else {
            continue;
        };
        let status = answer.status().as_u16();
        *shared.statuses.lock().unwrap().entry(status).or_default() += 1;
        if answer.status().is_success() {
            return;
        }
        assert_eq!(status, 503, "overload is a 503, never a 429");
        assert!(answer.headers().contains_key("retry-after"));
    }
}

/// One sender by HTTP: its messages, each until it is taken.
fn send(shared: &Arc<Shared>, name: &'static str, senders: &mut JoinSet<()>) {
    for lane in 0..LANES {
        let shared = Arc::clone(shared);
        senders.spawn(async move {
            for message in (lane..EACH / PER_MESSAGE).step_by(LANES) {
                let numbers = message * PER_MESSAGE..(message + 1) * PER_MESSAGE;
                let alerts: Vec<_> = numbers.clone().map(|number| alert(name, number)).collect();
                let (path, body) = match name {
                    "hook" => (
                        "/ingest/hook",
                        json!({"version": "4", "status": "firing", "alerts": alerts}),
                    ),
                    _ => ("/api/v2/alerts", json!(alerts)),
                };
                until_taken(&shared, path, &body).await;
                let mut taken = shared.acknowledged.lock().unwrap();
                taken.extend(numbers.map(|number| format!("{name}-{number}")));
            }
        });
    }
}

fn alert(name: &str, number: usize) -> Value {
    json!({
        "status": "firing",
        "labels": {"alertname": format!("{name}-{number}"), "severity": severity(number)},
        "startsAt": "2026-01-01T00:00:00Z",
    })
}

fn config(broker: &Broker, snow: &Server<ServiceNow>, hook: &Hook) -> String {
    format!(
        "{LISTEN}[settle]\nP1 = \"0s\"\nP2 = \"0s\"\n\
         [[source]]\nname = \"hook\"\nkind = \"alertmanager\"\n\
         [[source]]\nname = \"api\"\nkind = \"alertmanager\"\napi = true\n\
         [[source]]\nname = \"plant\"\nkind = \"mqtt\"\nurl = \"{}\"\nsubscribe = [{{ filter = \"site/#\", qos = 1 }}]\n\
         [source.map]\nkey = \"payload.id\"\nseverity = \"payload.severity\"\nsummary = \"payload.id\"\nlabels = {{ alertname = \"payload.id\" }}\n\
         [[connector]]\nname = \"snow\"\nprofile = \"servicenow\"\nurl = \"{}\"\nauth = {{ user = \"watchbell\", password = \"s3cret-word\" }}\n\
         allow_private = true\npoll_every = \"1s\"\nwhen = \"incident.priority <= 'P2'\"\n\
         [[target]]\nname = \"people\"\nkind = \"webhook\"\nurl = \"{}\"\nallow_private = true\n\
         [[route]]\nwhen = \"incident.priority <= 'P2'\"\ntargets = [\"people\"]\n",
        broker.url(),
        snow.url(),
        hook.url(),
    )
}

/// Every item of a list, page by page.
async fn all(daemon: &Daemon, path: &str) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = daemon.get(&format!("{path}?limit=500{cursor}")).await.ok();
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_a_storm_over_all_three_inputs_loses_and_doubles_nothing() {
    let Some(broker) = Broker::start().await else {
        return;
    };
    let snow = Server::start(ServiceNow::default()).await;
    let hook = Hook::start([]).await;
    let home = Home::new(&config(&broker, &snow, &hook));
    let mut daemon = home.start().await;
    // Kept by the broker, so it comes again at every reconnect.
    let retained = json!({"id": "plant-retained", "severity": "warning"}).to_string();
    broker.publish_retained("site/retained", &retained);
    for n in 0..6 {
        // One in ten of sixty writes, at different places of their way.
        snow.fault(
            [
                Fault::Status(503),
                Fault::LoseAnswer,
                Fault::StatusAfter(503),
            ][n % 3]
                .clone(),
        );
    }
    let shared = Arc::new(Shared::default());
    *shared.at.lock().unwrap() = daemon.url("");
    let mut senders = JoinSet::new();
    send(&shared, "hook", &mut senders);
    send(&shared, "api", &mut senders);
    let lines: Vec<String> = (0..EACH)
        .map(|n| json!({"id": format!("plant-{n}"), "severity": severity(n)}).to_string())
        .collect();
    let broker = Arc::new(broker);
    let publisher = Arc::clone(&broker);
    senders.spawn_blocking(move || assert!(publisher.publish_lines("site/a", 1, &lines)));

    // In mid-storm: a third of what comes by HTTP is taken, and something by MQTT.
    eventually("the middle of the storm", async || {
        let taken = shared.acknowledged.lock().unwrap().len();
        (taken > 2 * EACH / 3).then_some(())
    })
    .await;
    daemon.process.signal(Signal::KILL);
    daemon.process.ended().await;
    let taken_before = shared.acknowledged.lock().unwrap().clone();
    assert!(taken_before.len() < 2 * EACH, "killed before the end");
    daemon = home.start().await;
    *shared.at.lock().unwrap() = daemon.url("");
    senders.join_all().await;

    let mut expected: BTreeSet<String> = shared.acknowledged.lock().unwrap().clone();
    expected.extend((0..EACH).map(|n| format!("plant-{n}")));
    expected.insert("plant-retained".to_owned());
    assert_eq!(expected.len(), 3 * EACH + 1);
    let alerts = eventually("every alert", async || {
        let alerts = all(&daemon, "/api/v1/alerts").await;
        (alerts.len() >= expected.len()).then_some(alerts)
    })
    .await;
    let named = |alert: &Value| alert["labels"]["alertname"].as_str().unwrap().to_owned();
    let names: BTreeSet<String> = alerts.iter().map(named).collect();
    assert_eq!(names, expected, "everything acknowledged is there");
    assert_eq!(alerts.len(), expected.len(), "and nothing twice");
    let incidents = all(&daemon, "/api/v1/incidents").await;
    assert_eq!(incidents.len(), alerts.len(), "one incident each");
    accounts(&daemon).await;
    tickets_and_pages(&daemon, &snow, &hook).await;
    let statuses = shared.statuses.lock().unwrap().clone();
    assert!(
        statuses
            .keys()
            .all(|status| [200, 202, 503].contains(status)),
        "{statuses:?}"
    );
    daemon.process.never_said("defect");
    daemon.stop().await;
}

/// Received = stored + duplicate + rejected, of every source.
async fn accounts(daemon: &Daemon) {
    let metrics = daemon.get("/metrics").await.text;
    for source in ["hook", "api", "plant"] {
        let count = |outcome: &str| {
            let name =
                format!("watchbell_messages_total{{source=\"{source}\",outcome=\"{outcome}\"}} ");
            let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
            line.map_or(0, |count| count.parse::<u64>().unwrap())
        };
        let kept = count("stored") + count("duplicate") + count("rejected");
        assert_eq!(count("received"), kept, "{source}");
        assert_eq!(count("rejected"), 0, "{source}");
    }
}

/// One ticket and one page of every critical incident, whatever was lost on the way.
async fn tickets_and_pages(daemon: &Daemon, snow: &Server<ServiceNow>, hook: &Hook) {
    let critical = 3 * EACH.div_ceil(CRITICAL);
    let incidents = eventually("every ticket", async || {
        let incidents = all(daemon, "/api/v1/incidents").await;
        let urgent = incidents.into_iter().filter(|it| it["priority"] == "P2");
        let urgent: Vec<Value> = urgent.collect();
        let in_sync = urgent
            .iter()
            .filter(|it| it["tickets"][0]["state"] == "in_sync");
        (in_sync.count() == critical).then_some(urgent)
    })
    .await;
    assert_eq!(incidents.len(), critical);
    let made = snow.inside(|snow| {
        let records = snow.records.values();
        let ids = records.map(|it| it["correlation_id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    });
    let different: BTreeSet<_> = made.iter().collect();
    assert_eq!((made.len(), different.len()), (critical, critical));
    let told = eventually("every page", async || {
        let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for heard in hook.heard() {
            let number = heard.json()["data"]["number"].as_str().unwrap().to_owned();
            told.entry(number)
                .or_default()
                .insert(heard.id().to_owned());
        }
        (told.len() == critical).then_some(told)
    })
    .await;
    for (number, ids) in told {
        assert_eq!(ids.len(), 1, "{number} is told once: {ids:?}");
    }
}
