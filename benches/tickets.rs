//! Many incidents and one ticket platform that is slow and fails: `cargo bench --bench tickets [-- INCIDENTS OUTAGE_S RATE]`.
//!
//! Starts a platform with ServiceNow's Table API (100 ms for each answer; 5 % of the writes fail, half of them after the
//! work was done) and a daemon on free ports of loopback, sends the alerts, and waits until every ticket is in step; then
//! ends all alerts during an outage of the platform and waits again. Prints requests by incident, times, tickets with the
//! same key, and the busiest second.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::panic,
    reason = "a stopwatch for people, which stops at the first surprise"
)]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

const ANSWER: Duration = Duration::from_millis(100);
/// One write in so many fails.
const FAULT_EVERY: u64 = 20;
const PER_MESSAGE: usize = 100;
const PATIENCE: Duration = Duration::from_secs(3_600);

/// A process that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[derive(Default)]
struct Desk {
    records: BTreeMap<String, Map<String, Value>>,
    /// Requests by method.
    asked: BTreeMap<&'static str, u64>,
    writes: u64,
    is_away: bool,
    /// Requests of each second since the start.
    seconds: BTreeMap<u64, u64>,
}

type Shared = Arc<(Mutex<Desk>, Instant)>;

fn main() {
    // The HTTP client asks for one, although it only speaks plain text here.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run());
}

fn numbers() -> (usize, u64, u64) {
    let mut numbers = std::env::args().filter_map(|text| text.parse::<u64>().ok());
    let incidents = numbers.next().unwrap_or(10_000);
    let outage = numbers.next().unwrap_or(60);
    let rate = numbers.next().unwrap_or(0);
    (usize::try_from(incidents).expect("a number"), outage, rate)
}

async fn run() {
    let (incidents, outage, rate) = numbers();
    let shared: Shared = Arc::new((Mutex::default(), Instant::now()));
    let url = platform(Arc::clone(&shared)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let _daemon = daemon(folder.path(), port, &url, rate).await;
    let client = reqwest::Client::new();
    let base = format!("http://127.0.0.1:{port}");

    let begun = Instant::now();
    send(&client, &base, incidents, "firing").await;
    let sent = begun.elapsed();
    in_step(&client, &base, incidents, "new").await;
    report("made", incidents, &shared, begun.elapsed());
    println!("alerts taken in {:.1} s", sent.as_secs_f64());

    let begun = Instant::now();
    shared.0.lock().expect("a lock").is_away = true;
    send(&client, &base, incidents, "resolved").await;
    sleep(Duration::from_secs(outage).saturating_sub(begun.elapsed())).await;
    let asked: u64 = shared.0.lock().expect("a lock").asked.values().sum();
    println!("outage of {outage} s: {asked} requests went there");
    shared.0.lock().expect("a lock").asked.clear();
    shared.0.lock().expect("a lock").seconds.clear();
    shared.0.lock().expect("a lock").is_away = false;
    let begun = Instant::now();
    in_step(&client, &base, incidents, "resolved").await;
    report(
        "resolved after the outage",
        incidents,
        &shared,
        begun.elapsed(),
    );
    let desk = shared.0.lock().expect("a lock");
    let open = desk
        .records
        .values()
        .filter(|record| record["state"] != "6");
    println!("tickets that are not resolved: {}", open.count());
}

/// What went over the wire.
fn report(what: &str, incidents: usize, shared: &Shared, took: Duration) {
    let mut desk = shared.0.lock().expect("a lock");
    let mut keys: BTreeMap<String, u64> = BTreeMap::new();
    for record in desk.records.values() {
        *keys
            .entry(record["correlation_id"].to_string())
            .or_default() += 1;
    }
    let doubles = keys.values().filter(|count| **count > 1).count();
    let by_incident: Vec<_> = desk
        .asked
        .iter()
        .map(|(method, count)| format!("{method} {:.3}", *count as f64 / incidents as f64))
        .collect();
    let busiest = desk.seconds.values().max().copied().unwrap_or(0);
    println!(
        "{what}: {incidents} incidents, {} tickets, {doubles} keys twice, in step after {:.1} s; requests by incident: {}; busiest second {busiest}",
        desk.records.len(),
        took.as_secs_f64(),
        by_incident.join(", ")
    );
    desk.asked.clear();
    desk.seconds.clear();
}

async fn send(client: &reqwest::Client, base: &str, incidents: usize, status: &str) {
    let all: Vec<_> = (0..incidents).collect();
    for some in all.chunks(PER_MESSAGE) {
        let alerts: Vec<_> = some.iter().map(|at| alert(*at, status)).collect();
        let body = json!({"version": "4", "status": status, "alerts": alerts});
        let url = format!("{base}/ingest/alertmanager");
        loop {
            let answer = client
                .post(&url)
                .json(&body)
                .send()
                .await
                .expect("an answer");
            if answer.status().is_success() {
                break;
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
}

fn alert(at: usize, status: &str) -> Value {
    let ends = if status == "resolved" {
        "2026-01-01T01:00:00Z"
    } else {
        "0001-01-01T00:00:00Z"
    };
    json!({"status": status, "labels": {"alertname": format!("Down{at}"), "instance": format!("host{at}"), "severity": "critical"},
           "annotations": {}, "startsAt": "2026-01-01T00:00:00Z", "endsAt": ends})
}

/// Waits until every ticket is in step and says what the incident says.
async fn in_step(client: &reqwest::Client, base: &str, incidents: usize, state: &str) {
    let begun = Instant::now();
    let count = async |url: String| -> Value {
        let text = client
            .get(url)
            .send()
            .await
            .expect("an answer")
            .text()
            .await;
        serde_json::from_str(&text.expect("a text")).unwrap_or_default()
    };
    while begun.elapsed() < PATIENCE {
        let connector = count(format!("{base}/api/v1/connectors/snow")).await;
        let other = if state == "new" { "resolved" } else { "new" };
        let rest = count(format!("{base}/api/v1/incidents?state={other}&limit=1")).await;
        let is_all = connector["tickets"]["in_sync"].as_u64() == u64::try_from(incidents).ok();
        if is_all && rest["items"].as_array().is_some_and(Vec::is_empty) {
            return;
        }
        sleep(Duration::from_millis(500)).await;
    }
    panic!("the tickets do not get in step");
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

async fn daemon(folder: &Path, port: u16, url: &str, rate: u64) -> Running {
    let rate = match rate {
        0 => String::new(),
        rate => format!("rate = {{ per_second = {rate}, burst = {rate} }}\n"),
    };
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\n[store]\nurl = \"sqlite:{}/w.db\"\n\
         [settle]\nP1 = \"0s\"\nP2 = \"0s\"\nP3 = \"0s\"\n[incident]\nrecover_after = \"0s\"\n\
         [[source]]\nname = \"alertmanager\"\nkind = \"alertmanager\"\nexpire_after = \"30d\"\n\
         [[connector]]\nname = \"snow\"\nprofile = \"servicenow\"\nurl = \"{url}\"\nallow_private = true\nwidth = 16\n\
         auth = {{ user = \"watchbell\", password = \"word\" }}\npoll_every = \"30s\"\n{rate}",
        folder.display()
    );
    let path = folder.join("w.toml");
    std::fs::write(&path, config).expect("a file");
    let log = std::fs::File::create(folder.join("log")).expect("a file");
    // Held so that it ends with whatever happens from here on.
    let child = Running(
        Command::new(env!("CARGO_BIN_EXE_watchbell"))
            .args(["serve", "--config"])
            .arg(&path)
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("a daemon"),
    );
    let client = reqwest::Client::new();
    for _ in 0..600 {
        let ready = client
            .get(format!("http://127.0.0.1:{port}/readyz"))
            .send()
            .await;
        if ready.is_ok_and(|answer| answer.status().is_success()) {
            return child;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("the daemon does not start");
}

async fn platform(shared: Shared) -> String {
    let router = Router::new().fallback(answer).with_state(shared);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

async fn answer(State(shared): State<Shared>, method: Method, uri: Uri, body: Bytes) -> Response {
    sleep(ANSWER).await;
    let second = shared.1.elapsed().as_secs();
    let mut desk = shared.0.lock().expect("a lock");
    *desk.seconds.entry(second).or_default() += 1;
    let name = match method.as_str() {
        "POST" => "POST",
        "PATCH" => "PATCH",
        _ => "GET",
    };
    *desk.asked.entry(name).or_default() += 1;
    let busy = || (StatusCode::SERVICE_UNAVAILABLE, "busy").into_response();
    if desk.is_away {
        return busy();
    }
    let is_write = name != "GET";
    desk.writes += u64::from(is_write);
    let fault = (is_write && desk.writes.is_multiple_of(FAULT_EVERY)).then_some(desk.writes);
    let is_before = fault.is_some_and(|at| (at / FAULT_EVERY).is_multiple_of(2));
    if is_before {
        return busy();
    }
    let told = desk.told(name, &uri, &body);
    if fault.is_some() {
        return busy();
    }
    told
}

impl Desk {
    fn told(&mut self, method: &str, uri: &Uri, body: &[u8]) -> Response {
        let last = uri.path().rsplit('/').next().unwrap_or_default().to_owned();
        let good =
            |status, result: Value| (status, axum::Json(json!({"result": result}))).into_response();
        let fields: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
        if method == "POST" {
            let id = format!("{:032x}", self.records.len() + 1);
            let mut record = Map::new();
            record.insert("sys_id".into(), json!(id));
            record.insert(
                "number".into(),
                json!(format!("INC{:07}", self.records.len() + 1)),
            );
            record.insert("state".into(), json!("1"));
            record.insert("sys_updated_on".into(), json!("2026-01-01 00:00:00"));
            record.extend(fields);
            self.records.insert(id, record.clone());
            return good(StatusCode::CREATED, Value::Object(record));
        }
        if let Some(record) = self.records.get_mut(&last) {
            record.extend(fields);
            return good(StatusCode::OK, Value::Object(record.clone()));
        }
        let query = uri.query().unwrap_or_default();
        let pairs: BTreeMap<_, _> = url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let query = pairs.get("sysparm_query").cloned().unwrap_or_default();
        let key = query
            .split('^')
            .find_map(|part| part.strip_prefix("correlation_id="));
        let found: Vec<_> = self
            .records
            .values()
            .filter(|record| key.is_some_and(|key| record["correlation_id"] == key))
            .cloned()
            .map(Value::Object)
            .collect();
        good(StatusCode::OK, Value::Array(found))
    }
}
