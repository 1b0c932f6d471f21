//! A store that is full, gone, or taken: refusals that senders repeat, readiness with a reason, recovery by itself.

use std::fs::File;
use std::io::Write as _;
use std::process::Command;

use serde_json::json;

use crate::support::daemon::{Daemon, Home, LISTEN};
use crate::support::database::skip;
use crate::support::postgres::Cluster;
use crate::support::process::eventually;

/// The source that `Daemon::ingest` sends to.
const SOURCE: &str = "[[source]]\nname = \"am\"\nkind = \"alertmanager\"\n";

/// A small disk of its own; unmounted when dropped.
pub(crate) struct SmallDisk<'a>(&'a Home);

impl<'a> SmallDisk<'a> {
    pub(crate) fn mount(home: &'a Home) -> Option<Self> {
        let place = home.path("disk");
        std::fs::create_dir(&place).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m", "watchbell-test"])
            .arg(&place)
            .output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Self(home));
        }
        None
    }

    /// Takes all the room that is left.
    pub(crate) fn fill(&self) {
        let mut filler = File::create(self.0.path("disk/filler")).unwrap();
        let mut chunk = vec![0_u8; 64 * 1024];
        while !chunk.is_empty() {
            if filler.write_all(&chunk).is_err() {
                chunk.truncate(chunk.len() / 2);
            }
        }
    }

    pub(crate) fn free(&self) {
        std::fs::remove_file(self.0.path("disk/filler")).unwrap();
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let done = Command::new("umount")
            .arg("-l")
            .arg(self.0.path("disk"))
            .status();
        assert!(done.is_ok_and(|status| status.success()), "unmounted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_and_survived() {
    let home = Home::new(&format!(
        "{LISTEN}{SOURCE}[store]\nurl = \"sqlite:disk/watchbell.db\"\n"
    ));
    let Some(disk) = SmallDisk::mount(&home) else {
        // Only root may mount; CI is root, a developer need not be.
        skip("a full disk: no tmpfs can be mounted here");
        return;
    };
    let daemon = home.start().await;
    let mut stored = send_until(&daemon, 0, |status| status == 202, 5).await;
    disk.fill();
    let refused = send_until(&daemon, stored, |status| status == 503, 1).await;
    stored += refused;
    let answer = daemon.ingest(large(stored)).await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert!(!answer.header("retry-after").is_empty());
    assert!(answer.json()["detail"].as_str().unwrap().contains("full"));
    let doctor = home.run(&["doctor", "--config", "w.toml"]);
    let found = String::from_utf8_lossy(&doctor.stdout).into_owned();
    let is_said = |line: &str| line.contains("writing") && line.contains("full");
    assert!(found.lines().any(is_said), "{found}");
    let ready = daemon.get("/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text.contains("full"));

    disk.free();
    eventually("ready again", async || {
        (daemon.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    stored += send_until(&daemon, stored, |status| status == 202, 1).await;
    all_are_there(&daemon, stored).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_server_that_goes_away_is_said_and_survived() {
    let Some(mut cluster) = Cluster::start() else {
        skip("a stopped PostgreSQL: no server can be started here");
        return;
    };
    let url = cluster.url("postgres");
    let home = Home::new(&format!("{LISTEN}{SOURCE}[store]\nurl = \"{url}\"\n"));
    let daemon = home.start().await;
    let mut stored = send_until(&daemon, 0, |status| status == 202, 3).await;
    cluster.stop_immediately();
    let answer = eventually("a refusal", async || {
        let answer = daemon.ingest(large(stored)).await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert!(!answer.header("retry-after").is_empty());
    let ready = daemon.get("/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text.contains("database"), "{}", ready.text);

    cluster.start_again();
    eventually("ready again", async || {
        (daemon.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    stored += send_until(&daemon, stored, |status| status == 202, 2).await;
    all_are_there(&daemon, stored).await;
    daemon.stop().await;
}

/// Sends messages with one new alert each, until `count` answers were as wanted; returns how many were stored.
async fn send_until(
    daemon: &Daemon,
    first: usize,
    is_wanted: impl Fn(u16) -> bool,
    count: usize,
) -> usize {
    let (mut stored, mut wanted) = (0, 0);
    let is_for_refusal = !is_wanted(202);
    for _ in 0..5_000 {
        let answer = daemon.ingest(large(first + stored)).await;
        stored += usize::from(answer.status.as_u16() == 202);
        wanted += usize::from(is_wanted(answer.status.as_u16()));
        if wanted == count || (is_for_refusal && wanted > 0) {
            return stored;
        }
    }
    panic!("{stored} were stored and {wanted} answers were as wanted");
}

/// A message with an alert of some size.
fn large(n: usize) -> String {
    let texts: String = (0..300).map(|part| format!("{n}-{part} ")).collect();
    json!({"version": "4", "alerts": [{
        "status": "firing",
        "labels": {"alertname": "Large", "n": n.to_string(), "severity": "info"},
        "annotations": {"summary": format!("large {n}"), "description": texts},
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
    }]})
    .to_string()
}

/// Everything acknowledged is there. A refused message may be too: its outcome was not known.
async fn all_are_there(daemon: &Daemon, stored: usize) {
    eventually("all alerts", async || {
        let mut names = std::collections::BTreeSet::new();
        let mut cursor = String::new();
        loop {
            let page = daemon
                .get(&format!("/api/v1/alerts?limit=500{cursor}"))
                .await
                .json();
            let items = page["items"].as_array().unwrap().clone();
            names.extend(
                items
                    .iter()
                    .map(|alert| alert["labels"]["n"].as_str().unwrap().to_owned()),
            );
            let Some(next) = page["next_cursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
        }
        (0..stored)
            .all(|n| names.contains(&n.to_string()))
            .then_some(())
    })
    .await;
}
