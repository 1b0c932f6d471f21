//! `watchbell test`: what is as expected, what differs, and what makes no sense.

use std::fs::write;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use watchbell::app::snapshots::Snapshots;
use watchbell::config::{Env, LoadRequest, load};
use watchbell::core::time::{Span, Timestamp};
use watchbell::runtime::clock::Clock;
use watchbell::store::{Db, snapshot};

use super::{fire, home, send, shop};
use crate::support::daemon::Home;
use crate::support::database::{Engine, TestStore, block_on, execute, on_both_engines};

on_both_engines!(the_log_is_played_again_with_other_rules);

const TESTS: &str = r#"
[[test]]
name = "a switch takes its hosts along"
[test.cmdb]
cis = [{ id = "sw1", class = "switch", name = "sw1" }, { id = "h1", class = "host", name = "h1" }, { id = "h2", class = "host", name = "h2" }]
relations = [{ from = "h1", to = "sw1", type = "connects_to" }, { from = "h2", to = "sw1", type = "connects_to" }]
[[test.step]]
at = "0s"
alerts = [
  { name = "InstanceDown", labels = { host = "h1" }, severity = "critical" },
  { name = "InstanceDown", labels = { host = "h2" }, severity = "critical" },
  { name = "SwitchDown", labels = { host = "sw1" }, severity = "critical" },
]
[[test.step]]
at = "2m"
command = { do = "acknowledge", by = "ana" }
expect = { open = 1, incidents = 1, incident = { root = "sw1", state = "acknowledged", total = 3, acknowledged_at = "2m", opened_at = "0s" } }
[[test.step]]
at = "3m"
command = { do = "acknowledge", refused = "already_acknowledged" }

[[test]]
name = "a certificate is work"
[[test.step]]
alert = { name = "CertificateExpiry", labels = { host = "h1" } }
[[test.step]]
at = "1h"
expect = { incidents = 0, pages = 0, requests = [{ number = "REQ-1", state = "new" }] }
"#;

#[test]
fn tests_pass_or_say_what_differs() {
    let home = Home::new(
        "[[request]]\nname = \"certificate\"\nwhen = \"labels.alertname == 'CertificateExpiry'\"\n",
    );
    write(home.path("a.toml"), format!("config = \"w.toml\"\n{TESTS}")).unwrap();
    let run = |arguments: &[&str]| {
        let output = home.run(&[&["test"], arguments].concat());
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), text)
    };
    let (code, said) = run(&["a.toml"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("2 of 2 as expected"), "{said}");
    // Without the catalogue a certificate is an incident.
    write(home.path("b.toml"), TESTS.replace("open = 1", "open = 2")).unwrap();
    let (code, said) = run(&["b.toml", "--config", "b-rules.toml"]);
    assert_eq!(code, Some(3), "{said}");
    write(home.path("b-rules.toml"), "").unwrap();
    let (code, said) = run(&["b.toml", "--config", "b-rules.toml"]);
    assert_eq!(code, Some(1), "{said}");
    for part in [
        "step 2 at 2m00s: open incidents: 1, expected 2",
        "incidents: 1, expected 0",
        "0 of 2 as expected",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    write(home.path("c.yaml"), "tests:\n  - name: yaml\n    steps:\n      - alert: {name: A}\n      - at: 1m\n        expect: {open: 1}\n").unwrap();
    assert_eq!(run(&["c.yaml"]).0, Some(0));
    write(
        home.path("d.toml"),
        "[[test]]\nname = \"x\"\n[[test.step]]\nexpct = 1\n",
    )
    .unwrap();
    let (code, said) = run(&["d.toml"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("expct"), "{said}");
}

async fn the_log_is_played_again_with_other_rules(store: TestStore) {
    let home = home(&store, "");
    let daemon = home.start().await;
    shop(&daemon).await;
    fire(&daemon, "CertificateExpiry", "other").await;
    fire(&daemon, "HostDown", "web1").await;
    send(&daemon, "HostDown", "web1", "resolved").await;
    crate::support::process::eventually("two incidents", async || {
        (daemon.list("/api/v1/incidents").await.len() == 2).then_some(())
    })
    .await;
    for (path, count) in [
        ("/api/v1/incidents?service=checkout", 1),
        ("/api/v1/incidents?service=nothing", 0),
        ("/api/v1/incidents?ci=web1", 1),
        ("/api/v1/alerts?ci=web1", 1),
    ] {
        assert_eq!(daemon.list(path).await.len(), count, "{path}");
    }
    write(
        home.path("new.toml"),
        format!(
            "[store]\nurl = \"{}\"\n[[source]]\nname = \"am\"\nkind = \"alertmanager\"\n[[request]]\nname = \"c\"\nwhen = \"labels.alertname == 'CertificateExpiry'\"\n",
            store.url
        ),
    )
    .unwrap();
    let run = |more: &[&str]| {
        let output = home.run(&[&["replay", "--config", "w.toml", "--from", "1h"], more].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let found: Value = serde_json::from_str(&run(&["--rules", "new.toml", "--json"])).unwrap();
    assert_eq!(found["now"]["incidents"], 2, "{found}");
    assert_eq!(found["then"]["incidents"], 1, "{found}");
    assert_eq!(found["then"]["requests"], 1);
    assert_eq!(found["only_now"][0]["number"], "INC-1");
    assert_eq!(found["changed"], serde_json::json!([]));
    let said = run(&["--rules", "w.toml"]);
    assert!(said.contains("no difference"), "{said}");

    // From a state that was kept, what was before it is known without its inputs.
    let db = Db::attach(&store.url, 1).unwrap();
    let folder = snapshot::folder(&db, &home.path("data"));
    let now = Clock::system().now();
    // A crash has left the log of a database that was not finished.
    std::fs::create_dir_all(&folder).unwrap();
    for left in ["unfinished", "unfinished-wal"] {
        write(folder.join(left), "left over").unwrap();
    }
    assert!(snapshot::keep(&db, &folder, now).await.unwrap().is_some());
    assert_eq!(snapshot::keep(&db, &folder, now).await.unwrap(), None);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    fire(&daemon, "HostDown", "web2").await;
    crate::support::process::eventually("a third incident", async || {
        (daemon.list("/api/v1/incidents").await.len() == 3).then_some(())
    })
    .await;
    let from = jiff::Timestamp::from_millisecond(now.as_millis()).unwrap();
    let from = from.to_string();
    let output = home.run(&["replay", "--config", "w.toml", "--from", &from, "--json"]);
    let noted = String::from_utf8_lossy(&output.stderr);
    assert!(noted.contains("the state that was kept"), "{noted}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let incidents = found["incidents"].as_array().unwrap();
    assert_eq!(
        (incidents.len(), &incidents[0]["number"]),
        (1, &"INC-3".into()),
        "{found}"
    );
}

/// Six days in virtual time: one state a day, none for a day on which nothing was decided, and none that is older than the
/// inputs that it would begin.
#[test]
fn a_state_is_kept_every_day_as_long_as_inputs() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        block_on(async {
            if let Some(store) = TestStore::make(engine).await {
                six_days(store).await;
            }
        });
    }
}

async fn six_days(store: TestStore) {
    let home = Home::new(&format!(
        "[store]\nurl = \"{}\"\n[retention]\nsnapshots = \"1d\"\ninputs = \"3d\"\n",
        store.url
    ));
    let env = Env::fixed([("STATE_DIRECTORY", home.path("").to_str().unwrap())]);
    let settings = load(&LoadRequest::new(Some(home.path("w.toml")), env)).unwrap();
    let db = store.open().await;
    let mut conn = db.connect().await.unwrap();
    execute(
        conn.lend(),
        "INSERT INTO engine (partition, holder, fence, lease_until, decided_seq) VALUES (7, 'x', 1, 0, 1)",
    )
    .await;
    let folder = snapshot::folder(&db, &home.path(""));
    let start = Timestamp::from_millis(1_767_225_600_000);
    let clock = Clock::manual(start);
    let (_in, settings) = tokio::sync::watch::channel(Arc::new(settings));
    let (stop, keeper) = (
        CancellationToken::new(),
        Snapshots {
            db: db.clone(),
            clock: clock.clone(),
            settings,
        },
    );
    tokio::time::pause();
    let mut run = tokio::task::JoinSet::new();
    run.spawn(keeper.run(stop.clone()));
    let mut days = Vec::new();
    for day in 0..6 {
        // On the third day nothing happens.
        if day != 2 {
            execute(
                conn.lend(),
                "UPDATE engine SET decided_seq = decided_seq + 1 WHERE partition = 7",
            )
            .await;
        }
        for _ in 0..24 * 60 {
            clock.advance(Span::from_mins(1));
            tokio::time::sleep(Duration::from_mins(1)).await;
        }
        let kept = snapshot::list(&folder);
        days.push(kept.iter().map(|it| it.seq.get()).collect::<Vec<_>>());
    }
    stop.cancel();
    run.join_all().await;
    assert_eq!(days[1], [2, 3]);
    assert_eq!(days[2], [2, 3], "nothing new, nothing kept");
    assert_eq!(days[5], [4, 5, 6], "what began before the inputs is gone");
    tokio::time::resume();
}
