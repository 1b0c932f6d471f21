//! Versions of the CMDB: each can be asked for as it was, old ones go, and alerts follow the newest.

use std::collections::BTreeMap;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use smol_str::SmolStr;
use watchbell::core::cmdb::merge::{Precedence, merge};
use watchbell::core::cmdb::record::{CiRecord, Picture, RelationRecord};
use watchbell::core::ids::Seq;
use watchbell::core::time::Timestamp;
use watchbell::importers::native;
use watchbell::store::Db;
use watchbell::store::query::{cmdb, cmdb_export};
use watchbell::store::retention::Limits;

use crate::cmdb::{alert, home, import, s9};
use crate::cmdb_laws::picture;
use crate::support::daemon::Daemon;
use crate::support::database::{TestStore, execute, numbers, on_both_engines};
use crate::support::process::eventually;
use crate::support::rig::{Rig, TestClock};

on_both_engines!(
    every_version_can_be_asked_for_as_it_was,
    old_versions_go_and_those_that_are_kept_stay_whole,
    alerts_that_came_before_the_cmdb_join_their_incident,
    how_many_of_a_group_must_be_left_is_kept,
);

/// What a picture says, in words and in order.
fn words<'a>(
    cis: impl Iterator<Item = &'a CiRecord>,
    relations: impl Iterator<Item = &'a RelationRecord>,
) -> Vec<String> {
    let cis: Vec<_> = cis.collect();
    let is_there = |id: &SmolStr| cis.iter().any(|ci| ci.id == *id);
    let relations = relations.filter(|it| is_there(&it.from) && is_there(&it.to));
    let mut words: Vec<String> = relations
        .filter(|it| it.from != it.to)
        .map(|it| format!("{} {} {}", it.from, it.kind, it.to))
        .collect();
    words.extend(cis.iter().map(|ci| {
        let mut texts: Vec<_> = ci.identifiers.iter().map(|it| it.text.as_str()).collect();
        texts.sort_unstable();
        let (site, retired) = (&ci.site, ci.is_retired);
        format!("{} {} {site:?} {retired} {texts:?}", ci.id, ci.class)
    }));
    words.sort();
    words
}

async fn words_at(db: &Db, version: u64) -> Vec<String> {
    let mut reader = db.reader().await.unwrap();
    let version = i64::try_from(version).unwrap();
    let picture = cmdb_export::export(reader.lend(), version).await.unwrap();
    words(picture.cis.iter(), picture.relations.iter())
}

/// Random imports under three names; what was true with each version, by a model that keeps no rows.
async fn random_imports(daemon: &Daemon, steps: usize) -> BTreeMap<u64, Vec<String>> {
    let mut runner = TestRunner::deterministic();
    let mut latest: BTreeMap<&str, Picture> = BTreeMap::new();
    let mut told = BTreeMap::new();
    for step in 0..steps {
        let picture = picture().new_tree(&mut runner).unwrap().current();
        let name = ["a", "b", "c"][step % 3];
        let query = format!("name={name}&format=native&confirm_deletes=true");
        let answer = import(daemon, &query, native::write(&picture)).await.ok();
        latest.insert(name, picture);
        let named = latest
            .iter()
            .map(|(name, it)| (SmolStr::new(name), it.clone()));
        let merged = merge(named.collect(), &Precedence::default());
        let records = merged.cis.iter().map(|ci| &ci.record);
        let now = words(records, merged.relations.iter());
        told.insert(answer["version"].as_u64().unwrap(), now);
    }
    assert!(told.len() > steps / 2, "most of them say something new");
    told
}

async fn every_version_can_be_asked_for_as_it_was(store: TestStore) {
    let home = home(&store);
    let daemon = home.start().await;
    let told = random_imports(&daemon, 30).await;
    let db = store.open().await;
    for (&version, expected) in &told {
        assert_eq!(words_at(&db, version).await, *expected, "version {version}");
    }
    daemon.stop().await;
    // Of two in the same millisecond the later one is what was true then.
    let mut conn = db.connect().await.unwrap();
    execute(
        conn.lend(),
        "UPDATE cmdb_import SET active_at = 1000 WHERE version <= 5",
    )
    .await;
    execute(
        conn.lend(),
        "UPDATE cmdb_import SET active_at = 2000 WHERE version > 5",
    )
    .await;
    let last = i64::try_from(*told.keys().next_back().unwrap()).unwrap();
    for (at, version) in [(999, 0), (1000, 5), (1999, 5), (2000, last)] {
        let found = cmdb::version_at(conn.lend(), Some(at)).await.unwrap();
        assert_eq!(found, version, "at {at}");
    }
}

async fn old_versions_go_and_those_that_are_kept_stay_whole(store: TestStore) {
    let home = home(&store);
    let daemon = home.start().await;
    let told = random_imports(&daemon, 30).await;
    daemon.stop().await;
    let (db, clock) = (store.open().await, TestClock::new());
    let mut conn = db.connect().await.unwrap();
    execute(
        conn.lend(),
        "UPDATE cmdb_import SET active_at = version * 1000",
    )
    .await;
    let ended = "SELECT (SELECT COUNT(*) FROM ci_version WHERE to_version <= 20) \
        + (SELECT COUNT(*) FROM relation_version WHERE to_version <= 20)";
    assert!(numbers(conn.lend(), ended).await[0] > 0);
    drop(conn);

    let rig = Rig::start(&db, &clock).await;
    let zero = Timestamp::from_millis(0);
    let limits = |before| Limits {
        inputs_before: zero,
        inputs_through: Seq::new(0),
        incidents_before: zero,
        answers_before: zero,
        cmdb_before: Timestamp::from_millis(before),
    };
    assert_eq!(rig.handle.retain(limits(0)).await.unwrap(), 0);
    let mut steps = 0;
    while rig.handle.retain(limits(20_500)).await.unwrap() > 0 {
        steps += 1;
        assert!(steps < 200, "it comes to an end");
    }
    assert!(steps > 2, "rows, relations and records went");
    rig.end().await;
    let mut conn = db.connect().await.unwrap();
    assert_eq!(numbers(conn.lend(), ended).await, [0]);
    let nameless = "SELECT COUNT(*) FROM ci_version WHERE from_version NOT IN (SELECT version FROM cmdb_import)";
    assert_eq!(
        numbers(conn.lend(), nameless).await,
        [0],
        "who made them so is known"
    );
    let current = "SELECT COUNT(*) FROM cmdb_import WHERE is_current";
    assert_eq!(numbers(conn.lend(), current).await, [3]);
    let replaced = "SELECT COUNT(*) FROM cmdb_import i WHERE version < 20 AND NOT is_current \
        AND NOT EXISTS (SELECT 1 FROM ci_version ci WHERE ci.from_version = i.version)";
    assert_eq!(numbers(conn.lend(), replaced).await, [0]);
    drop(conn);
    for (&version, expected) in told.iter().filter(|(version, _)| **version >= 20) {
        assert_eq!(words_at(&db, version).await, *expected, "version {version}");
    }
    // Imports go on where they were.
    let daemon = home.start().await;
    let answer = import(&daemon, "name=d", s9().to_string()).await.ok();
    assert_eq!(
        answer["version"].as_u64(),
        told.keys().next_back().map(|last| last + 1)
    );
    daemon.stop().await;
}

async fn alerts_that_came_before_the_cmdb_join_their_incident(store: TestStore) {
    let home = home(&store);
    let daemon = home.start().await;
    let labels =
        |name: &str, host: &str| json!({"alertname": name, "host": host, "severity": "critical"});
    let switch = alert(&daemon, labels("SwitchDown", "sw1")).await;
    let host = alert(&daemon, labels("HostUnreachable", "esx1")).await;
    let stranger = alert(&daemon, labels("HostUnreachableElsewhere", "twin-a")).await;
    assert_ne!(
        switch["incident"], host["incident"],
        "nothing says that they belong together"
    );
    import(&daemon, "", s9().to_string()).await.ok();
    let incidents = eventually("one incident", async || {
        let alerts = daemon.list("/api/v1/alerts").await;
        let of = |before: &Value| {
            let mut alerts = alerts.iter();
            alerts
                .find(|alert| alert["id"] == before["id"])
                .map(|alert| alert["incident"].clone())
        };
        let (one, other) = (of(&switch)?, of(&host)?);
        (one == other).then_some((one, of(&stranger)?))
    })
    .await;
    assert_ne!(
        incidents.0, incidents.1,
        "what stands elsewhere stays alone"
    );
    let open = daemon.list("/api/v1/incidents?state=new").await;
    assert_eq!(open.len(), 2, "the other incident was merged away");
    daemon.stop().await;
}

async fn how_many_of_a_group_must_be_left_is_kept(store: TestStore) {
    let home = home(&store);
    let daemon = home.start().await;
    let cis: Vec<Value> = ["n1", "n2", "n3"]
        .map(|id| json!({"id": id, "class": "host"}))
        .into();
    let member = |to: &str, min: Value| json!({"from": "web", "to": to, "type": "member_of", "group": "g", "min": min});
    let cis = [cis, vec![json!({"id": "web", "class": "service"})]].concat();
    let body = json!({
        "cis": cis,
        "relations": [member("n1", json!(3)), member("n2", json!("3")), member("n3", json!("many"))],
    });
    let answer = import(&daemon, "", body.to_string()).await.ok();
    assert_eq!(answer["problems"].as_array().unwrap().len(), 1, "{answer}");
    daemon.stop().await;
    let daemon = home.start().await;
    let impact = daemon.get("/api/v1/cis/n3/impact").await.ok();
    assert_eq!(
        impact["services"][0]["state"], "predicted",
        "three of three are needed: {impact}"
    );
    let relations = daemon.list("/api/v1/cis/web/relations").await;
    let needed: Vec<_> = relations.iter().map(|it| &it["min"]).collect();
    assert_eq!(needed, [&json!(3), &json!(3), &Value::Null]);
    let export = daemon.get("/api/v1/cmdb/export").await;
    let again = import(&daemon, "", export.text).await.ok();
    let changes = ["cis_changed", "relations_added", "relations_removed"]
        .map(|key| again["counts"][key].clone());
    assert_eq!(changes, [json!(0), json!(0), json!(0)], "{again}");
    daemon.stop().await;
}
