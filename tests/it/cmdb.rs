//! The CMDB from outside, with the real daemon: imports, binding (scenario S9's part), impact, history, kills.

use std::io::Write as _;

use rustix::process::Signal;
use serde_json::{Value, json};
use watchbell::core::cmdb::record::{CiRecord, Picture};
use watchbell::store::Db;
use watchbell::store::cmdb::read;

use crate::api::Answer;
use crate::support::daemon::{Daemon, Home, LISTEN};
use crate::support::database::{TestStore, on_both_engines};

use crate::support::process::eventually;

on_both_engines!(
    alerts_find_their_items_as_scenario_s9_says,
    imports_replace_what_they_said_and_are_held_when_they_delete_much,
    several_imports_are_one_and_versions_can_be_read_as_they_were,
    a_version_that_never_became_true_is_seen_by_nobody
);

pub(crate) fn home(store: &TestStore) -> Home {
    Home::new(&format!(
        "{LISTEN}[store]\nurl = \"{}\"\n[[source]]\nname = \"am\"\nkind = \"alertmanager\"\n",
        store.url
    ))
}

pub(crate) async fn import(daemon: &Daemon, query: &str, body: impl Into<reqwest::Body>) -> Answer {
    let url = daemon.url(&format!("/api/v1/cmdb/import?{query}"));
    daemon.send(daemon.client.post(url).body(body)).await
}

/// An alert with labels, and how it is bound as soon as it is in the list.
pub(crate) async fn alert(daemon: &Daemon, labels: Value) -> Value {
    let name = labels["alertname"].as_str().unwrap().to_owned();
    let body = json!({"version": "4", "alerts": [{"status": "firing", "labels": labels}]});
    let answer = daemon.ingest(body.to_string()).await;
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.text);
    found(daemon, &name, |_| true).await
}

async fn found(daemon: &Daemon, name: &str, is: impl Fn(&Value) -> bool) -> Value {
    eventually("the alert", async || {
        let alerts = daemon.list("/api/v1/alerts").await;
        let mut alerts = alerts.into_iter();
        alerts.find(|alert| alert["labels"]["alertname"] == name && is(alert))
    })
    .await
}

pub(crate) fn s9() -> Value {
    json!({
        "cis": [
            {"id": "sw1", "class": "switch", "name": "sw1"},
            {"id": "esx1", "class": "host", "name": "esx1", "addresses": ["10.0.0.1"]},
            {"id": "vm07", "class": "vm", "name": "vm07", "addresses": ["10.0.0.7"], "site": "a"},
            {"id": "vm07-old", "class": "vm", "name": "old", "addresses": ["10.0.0.7"], "status": "retired"},
            {"id": "twin-a", "class": "vm", "name": "twin", "site": "a"},
            {"id": "twin-b", "class": "vm", "name": "twin", "site": "b"},
            {"id": "svc1", "class": "service", "name": "checkout", "criticality": 1, "tier": "gold"},
        ],
        "relations": [
            {"from": "esx1", "to": "sw1", "type": "connects_to"},
            {"from": "vm07", "to": "esx1", "type": "runs_on"},
            {"from": "svc1", "to": "vm07", "type": "depends_on"},
            {"from": "vm07", "to": "svc1", "type": "uses"},
        ],
    })
}

#[expect(clippy::too_many_lines, reason = "one story, told in its order")]
async fn alerts_find_their_items_as_scenario_s9_says(store: TestStore) {
    let home = home(&store);
    let daemon = home.start().await;
    // Before there is a CMDB: bound later, when it comes.
    let early = alert(&daemon, json!({"alertname": "early", "host": "esx1"})).await;
    assert_eq!(early["ci"], Value::Null);
    import(&daemon, "", s9().to_string()).await.ok();
    let bound = found(&daemon, "early", |alert| alert["ci"] != Value::Null).await;
    assert_eq!(
        bound["ci"],
        json!({"id": "esx1", "name": "esx1", "class": "host"})
    );
    assert_eq!(bound["binding"]["outcome"], "bound");

    let vm07 = alert(
        &daemon,
        json!({"alertname": "fqdn", "host": "VM07.CORP.EXAMPLE"}),
    )
    .await;
    assert_eq!(vm07["ci"]["id"], "vm07", "{vm07}");
    let by_ip = alert(
        &daemon,
        json!({"alertname": "ip", "instance": "10.0.0.7:9100"}),
    )
    .await;
    assert_eq!(
        by_ip["ci"]["id"], "vm07",
        "the retired twin is no candidate: {by_ip}"
    );
    let unknown = alert(&daemon, json!({"alertname": "unknown", "host": "nobody9"})).await;
    assert_eq!(
        (&unknown["ci"], &unknown["binding"]["outcome"]),
        (&Value::Null, &json!("unbound"))
    );
    let reason = unknown["binding"]["reason"].as_str().unwrap();
    assert!(
        reason.contains("No CI") && reason.contains("nobody9"),
        "{reason}"
    );
    let twin = alert(&daemon, json!({"alertname": "twin", "host": "twin"})).await;
    assert_eq!(twin["binding"]["outcome"], "ambiguous");
    let scoped = alert(
        &daemon,
        json!({"alertname": "scoped", "host": "twin", "site": "b"}),
    )
    .await;
    assert_eq!(scoped["ci"]["id"], "twin-b");

    let of_vm07 = daemon.list("/api/v1/alerts?ci=vm07").await;
    assert_eq!(of_vm07.len(), 2);
    let id = vm07["id"].as_str().unwrap();
    let explained = daemon
        .get(&format!("/api/v1/alerts/{id}/explain"))
        .await
        .ok();
    assert!(
        explained["summary"]
            .as_str()
            .unwrap()
            .contains("It is about vm07")
    );
    assert!(!explained["binding"].as_array().unwrap().is_empty());
    let check = json!({"labels": {"service": "checkout"}});
    let check = daemon.post("/api/v1/cmdb/bind-check", &check).await.ok();
    assert_eq!(check["ci"]["id"], "svc1", "{check}");

    let impact = daemon.get("/api/v1/cis/sw1/impact").await.ok();
    assert_eq!(impact["ci"]["id"], "sw1");
    assert_eq!(
        impact["services"],
        json!([{"ci": {"id": "svc1", "name": "checkout", "class": "service"}, "state": "predicted",
            "paths": [["sw1", "esx1", "vm07", "svc1"]]}])
    );
    let states: Vec<_> = impact["cis"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["state"].clone())
        .collect();
    assert_eq!(
        states,
        ["confirmed", "confirmed"],
        "esx1 and vm07 have alerts: {impact}"
    );
    assert_eq!(impact["truncated"], false);

    let report = daemon.get("/api/v1/cmdb/doctor").await.ok();
    let count = |name: &str| {
        let checks = report["checks"].as_array().unwrap();
        checks.iter().find(|check| check["check"] == name).unwrap()["count"].clone()
    };
    assert_eq!(
        (
            count("unbound_alerts"),
            count("ambiguous_names"),
            count("cycles")
        ),
        (json!(2), json!(1), json!(1))
    );
    let metrics = daemon.get("/metrics").await.text;
    assert!(metrics.contains("watchbell_cmdb_cis 7"), "{metrics}");
    assert!(metrics.contains("watchbell_bindings_total{outcome=\"ambiguous\"} 1"));

    // The graph and the bindings are there again after a restart.
    daemon.stop().await;
    let daemon = home.start().await;
    let again = found(&daemon, "fqdn", |_| true).await;
    assert_eq!(again["ci"]["id"], "vm07");
    let impact = daemon.get("/api/v1/cis/sw1/impact").await.ok();
    assert_eq!(impact["cis"].as_array().unwrap().len(), 2);
    daemon.stop().await;
}

fn hosts(ids: std::ops::Range<u32>) -> String {
    let rows = ids.map(|id| format!("h{id};host;Host {id};10.1.0.{id}\n"));
    format!("\u{feff}ID;Class; name ;ip\n{}", rows.collect::<String>())
}

#[expect(clippy::too_many_lines, reason = "one story, told in its order")]
async fn imports_replace_what_they_said_and_are_held_when_they_delete_much(store: TestStore) {
    let home = home(&store);
    let daemon = home.start().await;
    let dry = import(&daemon, "name=sheet&dry_run=true", hosts(1..11))
        .await
        .ok();
    assert_eq!(
        (&dry["counts"]["cis_added"], &dry["dry_run"], &dry["format"]),
        (&json!(10), &json!(true), &json!("csv"))
    );
    assert!(
        daemon.list("/api/v1/cis").await.is_empty(),
        "a dry run changes nothing"
    );
    let first = import(&daemon, "name=sheet&format=csv", hosts(1..11))
        .await
        .ok();
    assert_eq!(
        (&first["version"], &first["unchanged"]),
        (&json!(1), &json!(false))
    );
    let again = import(&daemon, "name=sheet", hosts(1..11)).await.ok();
    assert_eq!(
        (&again["version"], &again["unchanged"]),
        (&json!(1), &json!(true))
    );

    let same = import(&daemon, "name=sheet", hosts(1..11)).await.ok();
    assert_eq!(
        (&same["unchanged"], &same["counts"]["cis"]),
        (&json!(true), &json!(10))
    );
    for (ids, is_unchanged) in [(1..12, false), (1..12, true), (1..11, false), (1..11, true)] {
        let answer = import(&daemon, "name=to-and-fro&format=csv", hosts(ids))
            .await
            .ok();
        let (format, counts) = (&answer["format"], &answer["counts"]["relations"]);
        assert_eq!((format, counts), (&json!("csv"), &json!(0)));
        assert_eq!(
            answer["unchanged"], is_unchanged,
            "the same bytes: {answer}"
        );
    }
    import(
        &daemon,
        "name=to-and-fro&confirm_deletes=true",
        "id,class\n",
    )
    .await
    .ok();

    let shown = import(&daemon, "name=sheet&dry_run=true", hosts(1..8))
        .await
        .ok();
    assert_eq!(
        (&shown["held"], &shown["counts"]["cis_removed"]),
        (&json!(true), &json!(3))
    );
    let held = import(&daemon, "name=sheet", hosts(1..8)).await;
    let held = held.problem(409, "import-held");
    assert_eq!(
        (&held["would_delete"], &held["of"]),
        (&json!(3), &json!(10))
    );
    assert_eq!(
        daemon.list("/api/v1/cis").await.len(),
        10,
        "nothing changed"
    );
    let other = import(&daemon, "name=other", hosts(100..101)).await.ok();
    assert_eq!(
        other["counts"]["cis_removed"], 0,
        "of another import nothing goes"
    );
    let confirmed = import(&daemon, "name=sheet&confirm_deletes=true", hosts(1..8))
        .await
        .ok();
    assert_eq!(
        (&confirmed["counts"]["cis_removed"], &confirmed["removed"]),
        (&json!(3), &json!(["h10", "h8", "h9"]))
    );
    let a_fifth = import(&daemon, "name=sheet", hosts(1..7)).await.ok();
    assert_eq!(
        a_fifth["counts"]["cis_removed"], 1,
        "one of seven is no fifth"
    );

    let bad =
        "id,class,depends_on\na,host,a|b|zzz\nb,odd class,\na,host,\n,host,\nc,host,x,too,many\n";
    let kept = import(&daemon, "name=bad", bad).await.ok();
    let problems = kept["problems"].as_array().unwrap();
    let places: Vec<_> = problems
        .iter()
        .map(|it| it["place"].as_str().unwrap())
        .collect();
    assert_eq!(
        places,
        ["body:2", "body:4", "body:5", "body:6", "a -> zzz"],
        "{problems:?}"
    );
    assert_eq!(kept["counts"]["cis_added"], 2, "good rows are kept");
    let worse = bad.replace("odd class", "other");
    let strict = import(&daemon, "name=bad&strict=true", worse).await;
    strict.problem(422, "import-refused");
    let odd = daemon.get("/api/v1/cis/b").await.ok();
    assert_eq!(odd["class"], "odd class", "strict refused everything");
    import(&daemon, "name=x&format=csv", "a,a\n")
        .await
        .problem(400, "bad-request");
    import(&daemon, "name=x", "garbage")
        .await
        .problem(400, "bad-request");
    import(&daemon, "name=x&format=nothing", "{}")
        .await
        .problem(400, "bad-request");
    import(&daemon, "nam=x", "{}")
        .await
        .problem(400, "bad-request");
    daemon
        .get("/api/v1/cis/nope")
        .await
        .problem(404, "not-found");
    daemon
        .get("/api/v1/cis/nope/impact")
        .await
        .problem(404, "not-found");

    let zipped = {
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zip.write_all(hosts(1..7).as_bytes()).unwrap();
        zip.finish().unwrap()
    };
    let url = daemon.url("/api/v1/cmdb/import?name=sheet");
    let zipped = daemon
        .client
        .post(url)
        .header("content-encoding", "gzip")
        .body(zipped);
    assert_eq!(daemon.send(zipped).await.ok()["unchanged"], true);
    daemon.stop().await;
}

#[expect(clippy::too_many_lines, reason = "one story, told in its order")]
async fn several_imports_are_one_and_versions_can_be_read_as_they_were(store: TestStore) {
    let home = home(&store);
    home.configure(&format!(
        "{LISTEN}[store]\nurl = \"{}\"\n[cmdb]\nprecedence = [\"net\"]\nattribute_precedence = {{ owner = [\"snow\"] }}\n\
         [[cmdb.bind]]\nname = \"meters\"\nwhen = \"labels.meter\"\nci = \"'meter-' ~ labels.meter\"\n",
        store.url
    ));
    let daemon = home.start().await;
    let snow = json!({"cis": [{"id": "sys1", "name": "Core switch", "serial": "ABC", "owner": "itil", "class": "thing"},
        {"id": "meter-7"}]});
    import(&daemon, "name=snow", snow.to_string()).await.ok();
    let before = daemon.get("/api/v1/cis/sys1").await.ok();
    let net = json!({"cis": [{"id": "sw1", "class": "switch", "serial": "abc", "owner": "net"}],
        "relations": [{"from": "meter-7", "to": "sys1", "type": "sits near", "role": "net"}]});
    let merged = import(&daemon, "name=net", net.to_string()).await.ok();
    assert_eq!(
        merged["counts"]["conflicts"], 2,
        "class and owner: {merged}"
    );
    let ci = daemon.get("/api/v1/cis/sw1").await.ok();
    assert_eq!(
        (&ci["class"], &ci["owner"], &ci["name"]),
        (&json!("switch"), &json!("itil"), &json!("Core switch"))
    );
    assert_eq!(
        (&ci["aliases"], &ci["imports"]),
        (&json!(["sys1"]), &json!(["net", "snow"]))
    );
    assert_eq!(
        ci["history"].as_array().unwrap().len(),
        2,
        "the same item under its new id: {ci}"
    );
    daemon
        .get("/api/v1/cis/sys1")
        .await
        .problem(404, "not-found");
    let at = ci["history"][0]["at"].as_str().unwrap();
    let earlier = before["history"][0]["at"].as_str().unwrap();
    if at != earlier {
        let then = daemon
            .get(&format!("/api/v1/cis/sys1?at={earlier}"))
            .await
            .ok();
        assert_eq!(then["owner"], "itil");
        assert_eq!(then["class"], "thing");
    }
    daemon
        .get("/api/v1/cis/sys1?at=2020-01-01T00:00:00Z")
        .await
        .problem(404, "not-found");
    let relations = daemon.list("/api/v1/cis/sw1/relations").await;
    assert_eq!(relations.len(), 1);
    assert_eq!(
        (&relations[0]["from"]["id"], &relations[0]["type"]),
        (&json!("meter-7"), &json!("sits near"))
    );

    let check = json!({"labels": {"meter": "7", "host": "unknown"}});
    let check = daemon.post("/api/v1/cmdb/bind-check", &check).await.ok();
    assert_eq!(check["ci"]["id"], "meter-7", "{check}");
    let export = daemon.get("/api/v1/cmdb/export").await;
    let picture: Value = serde_json::from_str(&export.text).unwrap();
    assert_eq!(picture["cis"].as_array().unwrap().len(), 2);
    let imports = daemon.list("/api/v1/cmdb/imports").await;
    assert_eq!(
        (&imports[0]["name"], &imports[0]["current"]),
        (&json!("net"), &json!(true))
    );
    assert!(daemon.list("/api/v1/services").await.is_empty());
    let found = daemon.list("/api/v1/cis?q=CORE&class=switch").await;
    assert_eq!(found.len(), 1);
    daemon.stop().await;
}

async fn a_version_that_never_became_true_is_seen_by_nobody(store: TestStore) {
    let home = home(&store);
    let daemon = home.start().await;
    let one = json!({"cis": [{"id": "one"}]});
    import(&daemon, "", one.to_string()).await.ok();
    let many = Picture {
        cis: (0..20_000)
            .map(|id| CiRecord {
                id: format!("many{id}").into(),
                ..CiRecord::default()
            })
            .chain([CiRecord {
                id: "one".into(),
                class: "changed".into(),
                ..CiRecord::default()
            }])
            .collect(),
        ..Picture::default()
    };
    let many = watchbell::importers::native::write(&many);
    let db = store.open().await;
    let (client, url) = (daemon.client.clone(), daemon.url("/api/v1/cmdb/import"));
    let (body, mut daemon) = (many.clone(), daemon);
    let sending = async move { client.post(url).body(body).send().await };
    let killing = async {
        eventually("rows of a new version", async || {
            (!unfinished(&db).await.is_empty()).then_some(())
        })
        .await;
        daemon.process.signal(Signal::KILL);
        daemon.process.ended().await;
    };
    let (sent, ()) = tokio::join!(sending, killing);
    assert!(sent.is_err(), "killed before it was done");

    let daemon = home.start().await;
    let kept = daemon.list("/api/v1/cis").await;
    if kept.len() == 1 {
        assert_eq!(
            (&kept[0]["id"], &kept[0]["class"]),
            (&json!("one"), &json!(""))
        );
    }
    let again = import(&daemon, "", many).await.ok();
    assert_eq!(again["counts"]["cis"], 20_001);
    assert!(
        unfinished(&db).await.is_empty(),
        "what was left over is discarded"
    );
    let all = daemon.get("/api/v1/cis?limit=500").await.ok();
    assert_eq!(all["items"].as_array().unwrap().len(), 500);
    let export = daemon.get("/api/v1/cmdb/export").await;
    let picture: Value = serde_json::from_str(&export.text).unwrap();
    assert_eq!(picture["cis"].as_array().unwrap().len(), 20_001);
    db.close().await;
    daemon.stop().await;
}

async fn unfinished(db: &Db) -> Vec<u64> {
    let mut reader = db.reader().await.unwrap();
    read::unfinished(reader.lend()).await.unwrap()
}
