//! `kill -9` under load: what was acknowledged is in the store, and no alert has two open incidents.
//!
//! The load generator keeps a ledger of every answer it has read to the end; the store must hold at least that. The same
//! check is shown to fail for a server that acknowledges before it stores.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use clap::Parser as _;
use rustix::process::Signal;
use serde_json::Value;
use tokio::time::Instant;
use watchbell::bench::{self, IngestArgs, fingerprint, read_ledger};
use watchbell::store::Db;

use crate::support::daemon::{Home, LISTEN};
use crate::support::database::{Engine, TestStore, say, texts};
use crate::support::process::eventually;

/// Different alerts of one run.
const ALERTS: u64 = 300;
/// Alerts of one message.
const PER_MESSAGE: u64 = 7;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_lose_nothing_on_sqlite() {
    let home = Home::new(LISTEN);
    let path = home.path("data/watchbell.db");
    kill_again_and_again(&home, 50, &format!("sqlite:{}", path.display())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_kills_lose_nothing_on_postgres() {
    let Some(store) = TestStore::make(Engine::Postgres).await else {
        return;
    };
    let url = &store.url;
    let home = Home::new(&format!("{LISTEN}[store]\nurl = \"{url}\"\n"));
    kill_again_and_again(&home, 10, url).await;
}

async fn kill_again_and_again(home: &Home, kills: u64, store: &str) {
    let mut ledgers = Vec::new();
    let mut starts_ms = Vec::new();
    for seed in 1..=kills {
        let since = Instant::now();
        let mut daemon = home.start().await;
        starts_ms.push(since.elapsed().as_millis());
        let ledger = home.path(&format!("ledger-{seed}"));
        let load = load(&format!("http://{}", daemon.address), seed, &ledger);
        // Any instant will do, as long as a failure can be repeated: the golden ratio spreads them.
        let answers = 1 + seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 120;
        eventually("answers before the kill", async || {
            (lines(&ledger) >= answers).then_some(())
        })
        .await;
        daemon.process.signal(Signal::KILL);
        daemon.process.ended().await;
        load.join().unwrap();
        ledgers.push((seed, ledger));
    }
    // The last start decides what the last kill left over.
    let daemon = home.start().await;
    starts_ms.sort_unstable();
    let median = starts_ms.get(starts_ms.len() / 2).unwrap();
    let slowest = starts_ms.last().unwrap();
    say(&format!(
        "{kills} kills: start to ready {median} ms in the middle, {slowest} ms at most"
    ));

    let db = Db::open(store, 2).await.unwrap();
    let counts = counts(&db).await;
    let lost: Vec<_> = ledgers
        .iter()
        .flat_map(|(seed, ledger)| missing(*seed, ledger, &counts))
        .collect();
    assert_eq!(lost, Vec::<String>::new(), "acknowledged and not stored");
    let mut reader = db.reader().await.unwrap();
    let doubles = texts(
        reader.lend(),
        "SELECT k.key FROM incident i JOIN incident_alert m ON m.incident = i.id \
         JOIN alert_key k ON k.id = m.alert WHERE i.state IN ('new', 'acknowledged', 'in_progress', 'on_hold') \
         GROUP BY k.key HAVING COUNT(*) > 1",
    )
    .await;
    assert_eq!(
        doubles,
        Vec::<String>::new(),
        "alerts with two open incidents"
    );
    daemon.stop().await;
}

/// The check can fail: a server that says yes first and stores later loses what it had not come to.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_acknowledges_first_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger");
    let waiting: Arc<Mutex<Vec<Bytes>>> = Arc::default();
    let inbox = Arc::clone(&waiting);
    let take = async move |body: Bytes| {
        inbox.lock().unwrap().push(body);
        axum::http::StatusCode::ACCEPTED
    };
    let router = Router::new().route("/ingest/alertmanager", post(take));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = tokio::task::JoinSet::new();
    server.spawn(async move { axum::serve(listener, router).await });
    let load = load(&format!("http://{address}"), 1, &ledger);
    eventually("answers", async || (lines(&ledger) > 20).then_some(())).await;
    // It stores half of what it has said yes to, and dies.
    server.shutdown().await;
    let said_yes = std::mem::take(&mut *waiting.lock().unwrap());
    let mut counts = BTreeMap::new();
    for body in said_yes.iter().take(said_yes.len() / 2) {
        let message: Value = serde_json::from_slice(body).unwrap();
        for alert in message["alerts"].as_array().unwrap() {
            let key = format!("alertmanager:v1:{}", alert["fingerprint"].as_str().unwrap());
            *counts.entry(key).or_insert(0_u64) += 1;
        }
    }
    drop(load);
    assert!(!missing(1, &ledger, &counts).is_empty());
}

/// Sends alerts until the server goes away.
fn load(url: &str, seed: u64, ledger: &Path) -> JoinHandle<()> {
    let args = [
        "bench".to_owned(),
        format!("--url={url}"),
        format!("--active={ALERTS}"),
        format!("--per-request={PER_MESSAGE}"),
        "--connections=4".to_owned(),
        "--seconds=60".to_owned(),
        "--preload=0".to_owned(),
        "--resolve=0.2".to_owned(),
        "--churn=1".to_owned(),
        format!("--seed={seed}"),
        format!("--ledger={}", ledger.display()),
        "--stop-on-disconnect".to_owned(),
    ];
    let args = IngestArgs::try_parse_from(args).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let run = async {
            // It must end by itself when the server goes away.
            tokio::time::timeout(Duration::from_secs(90), bench::run(&args, |_| {})).await
        };
        runtime.block_on(run).unwrap().unwrap();
    })
}

fn lines(ledger: &PathBuf) -> u64 {
    let bytes = std::fs::read(ledger).unwrap_or_default();
    u64::try_from(bytes.iter().filter(|&&byte| byte == b'\n').count()).unwrap()
}

/// How often each alert was received, as the store has it.
async fn counts(db: &Db) -> BTreeMap<String, u64> {
    let mut reader = db.reader().await.unwrap();
    let rows = texts(
        reader.lend(),
        "SELECT k.key || ' ' || s.count FROM alert_key k JOIN alert_state s ON s.id = k.id",
    );
    let rows = rows.await.into_iter();
    rows.map(|row| {
        let (key, count) = row.split_once(' ').unwrap();
        (key.to_owned(), count.parse().unwrap())
    })
    .collect()
}

/// Alerts that were acknowledged more often than they are stored.
fn missing(seed: u64, ledger: &Path, counts: &BTreeMap<String, u64>) -> Vec<String> {
    let mut acknowledged = BTreeMap::new();
    for line in read_ledger(ledger).unwrap() {
        for n in line.first..line.first + line.count {
            *acknowledged.entry(n % ALERTS).or_insert(0_u64) += 1;
        }
    }
    acknowledged
        .into_iter()
        .filter_map(|(n, times)| {
            let key = format!("alertmanager:v1:{}", fingerprint(seed, n));
            let stored = counts.get(&key).copied().unwrap_or(0);
            (stored < times).then(|| format!("{key}: {times} acknowledged, {stored} stored"))
        })
        .collect()
}
