//! Due times of the real daemon: `kill -9` around them misses none and repeats none, and load does not hold them up.

use std::thread::JoinHandle;
use std::time::Duration;

use clap::Parser as _;
use rustix::process::Signal;
use serde_json::json;
use tokio::time::Instant;
use watchbell::bench::{self, IngestArgs};
use watchbell::store::Db;

use crate::support::daemon::{Home, LISTEN};
use crate::support::database::{say, texts};
use crate::support::process::eventually;

const SOURCES: &str = "[[source]]\nname = \"am\"\nkind = \"alertmanager\"\n";
/// Two targets for whoever says that they are of this test, one that is far for all others.
const RULES: &str = "[[sla]]\nwhen = \"labels.of == 'test'\"\nresponse = \"2s\"\nresolution = \"4s\"\nwarn_at = [0.5]\n\
    [[sla]]\nresponse = \"7d\"\n";
const ROUNDS: u64 = 5;
const PER_ROUND: u64 = 5;
/// Other alerts per second: as many as a debug build on a busy machine decides while they come.
const RATE: u64 = 200;

fn message(round: u64) -> String {
    let alerts = (0..PER_ROUND).map(|number| {
        json!({
            "status": "firing",
            "labels": {"alertname": format!("Disk{round}-{number}"), "severity": "critical", "of": "test"},
            "startsAt": "2026-01-01T00:00:00Z",
        })
    });
    json!({"version": "4", "alerts": alerts.collect::<Vec<_>>()}).to_string()
}

/// Entries of a kind whose incident has not exactly so many of them, and how late the latest was, in ms.
async fn look(home: &Home) -> (Vec<String>, Vec<i64>) {
    let url = format!("sqlite:{}", home.path("data/watchbell.db").display());
    let db = Db::attach(&url, 2).unwrap();
    let mut reader = db.reader().await.unwrap();
    // Of the 2 s half is 1 s, of the 4 s 2 s; whoever is told of a due time is not warned of it afterwards.
    let wrong = texts(
        reader.lend(),
        "SELECT i.id || ': ' || COUNT(t.id) || ' breaches' FROM incident i LEFT JOIN timeline t \
         ON t.incident = i.id AND t.reason = 'sla_breached' WHERE EXISTS (SELECT 1 FROM sla_clock s \
         WHERE s.incident = i.id AND s.target <= 4000) GROUP BY i.id HAVING COUNT(t.id) <> 2 \
         UNION ALL SELECT i.id || ': ' || COUNT(t.id) || ' warnings' FROM incident i JOIN timeline t \
         ON t.incident = i.id AND t.reason = 'sla_warned' GROUP BY i.id HAVING COUNT(t.id) > 2",
    )
    .await;
    let late = texts(
        reader.lend(),
        "SELECT CAST(t.at - s.due_at AS TEXT) FROM timeline t JOIN sla_clock s ON s.incident = t.incident \
         AND t.note LIKE s.clock || '%' WHERE t.reason = 'sla_breached'",
    )
    .await;
    // The pool waits for its reader.
    drop(reader);
    db.close().await;
    let mut late: Vec<i64> = late.iter().map(|text| text.parse().unwrap()).collect();
    late.sort_unstable();
    (wrong, late)
}

async fn breached(daemon: &crate::support::daemon::Daemon, count: u64) {
    eventually("missed targets", async || {
        let metrics = daemon.get("/metrics").await.text;
        let is_there = |clock: &str| {
            let line =
                format!("watchbell_sla_clocks{{clock=\"{clock}\",state=\"breached\"}} {count}");
            metrics.lines().any(|held| held == line)
        };
        (is_there("response") && is_there("resolution")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_around_due_times_miss_none_and_repeat_none() {
    let home = Home::new(&format!("{LISTEN}{SOURCES}{RULES}"));
    for round in 0..ROUNDS {
        let mut daemon = home.start().await;
        let answer = daemon.ingest(message(round)).await;
        assert_eq!(answer.status.as_u16(), 202, "{}", answer.text);
        // From before the first warning to after the last due time; the golden ratio spreads the instants.
        let after_ms = 700 + round.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 3_600;
        let kill_at = Instant::now() + Duration::from_millis(after_ms);
        eventually("the instant of the kill", async || {
            (Instant::now() >= kill_at).then_some(())
        })
        .await;
        daemon.process.signal(Signal::KILL);
        daemon.process.ended().await;
    }
    let daemon = home.start().await;
    breached(&daemon, ROUNDS * PER_ROUND).await;
    daemon.stop().await;
    let (wrong, late) = look(&home).await;
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(u64::try_from(late.len()).unwrap(), 2 * ROUNDS * PER_ROUND);
    assert!(
        late.iter().all(|late| *late >= 0),
        "none before its time: {late:?}"
    );
}

/// Sends other alerts for so long.
fn load(url: &str, seconds: u64) -> JoinHandle<()> {
    let args = [
        "bench".to_owned(),
        format!("--url={url}"),
        "--active=2000".to_owned(),
        "--per-request=20".to_owned(),
        format!("--rate={RATE}"),
        "--connections=4".to_owned(),
        format!("--seconds={seconds}"),
        "--preload=0".to_owned(),
        "--resolve=0.1".to_owned(),
        "--source=am".to_owned(),
    ];
    let args = IngestArgs::try_parse_from(args).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(bench::run(&args, |_| {})).unwrap();
    })
}

/// The figures of `docs/measurements.md` come from here, in a release build: see the line that it prints.
#[tokio::test(flavor = "multi_thread")]
async fn due_times_are_decided_in_time_under_load() {
    let home = Home::new(&format!("{LISTEN}{SOURCES}{RULES}"));
    let daemon = home.start().await;
    let load = load(&format!("http://{}", daemon.address), 6);
    for round in 0..ROUNDS {
        let answer = daemon.ingest(message(round)).await;
        assert_eq!(answer.status.as_u16(), 202, "{}", answer.text);
    }
    breached(&daemon, ROUNDS * PER_ROUND).await;
    load.join().unwrap();
    daemon.stop().await;
    let (wrong, late) = look(&home).await;
    assert_eq!(wrong, Vec::<String>::new());
    let (median, worst) = (late[late.len() / 2], late[late.len() - 1]);
    say(&format!(
        "{} due times under load were decided {median} ms late in the middle, {worst} ms at most",
        late.len()
    ));
    // A debug build on a busy machine; a release build is two orders of magnitude better.
    assert!(worst < 10_000, "{late:?}");
}
