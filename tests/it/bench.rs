//! The load generator against a server that misbehaves on purpose.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use watchbell::bench::report::Ended;
use watchbell::bench::{BenchError, IngestArgs, Report, fingerprint, read_ledger, run};

/// What the server does with a request, by its number.
#[derive(Clone, Copy)]
enum Act {
    Accept,
    AcceptAfter(Duration),
    /// Closes the connection with each answer, as servers with a process per request do.
    AcceptAndClose,
    Refuse(u16),
    /// Reads it and closes the connection without an answer.
    Drop,
    /// Answers 200 but closes in the middle of the body.
    Cut,
    Hang,
}

/// A request as the server saw it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Seen {
    path: String,
    body: Bytes,
    is_acknowledged: bool,
}

struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _task: JoinSet<()>,
}

struct Reply {
    rest: Option<Bytes>,
    is_cut: bool,
    is_flushed: bool,
}

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(bytes) = self.rest.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if !self.is_cut {
            return Poll::Ready(None);
        }
        if self.is_flushed {
            return Poll::Ready(Some(Err(io::Error::other("cut"))));
        }
        // hyper sends what it has when the body makes a pause.
        self.is_flushed = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Server {
    async fn start(act: fn(usize) -> Act) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut task = JoinSet::new();
        let log = Arc::clone(&seen);
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let log = Arc::clone(&log);
                let service = service_fn(move |request| answer(request, Arc::clone(&log), act));
                let http = hyper::server::conn::http1::Builder::new();
                let connection = http.serve_connection(TokioIo::new(stream), service);
                connections.spawn(async move { drop(connection.await) });
            }
        });
        Self {
            address,
            seen,
            _task: task,
        }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Runs the generator with `options` against this server.
    async fn load(&self, options: &str) -> Report {
        let url = format!("http://{}", self.address);
        run(&args(&format!("--url {url} {options}")), |_| {})
            .await
            .unwrap()
    }
}

async fn answer(
    request: Request<Incoming>,
    log: Arc<Mutex<Vec<Seen>>>,
    act: fn(usize) -> Act,
) -> Result<Response<Reply>, io::Error> {
    let path = request.uri().path().to_owned();
    let body = request
        .into_body()
        .collect()
        .await
        .map_err(io::Error::other)?
        .to_bytes();
    let act = {
        let mut log = log.lock().unwrap();
        let act = act(log.len());
        let is_acknowledged =
            matches!(act, Act::Accept | Act::AcceptAfter(_) | Act::AcceptAndClose);
        log.push(Seen {
            path,
            body,
            is_acknowledged,
        });
        act
    };
    let reply = |status: u16, is_cut| {
        let body = Reply {
            rest: Some(Bytes::from_static(b"body")),
            is_cut,
            is_flushed: false,
        };
        Ok(Response::builder().status(status).body(body).unwrap())
    };
    match act {
        Act::Accept => reply(200, false),
        Act::AcceptAfter(pause) => {
            tokio::time::sleep(pause).await;
            reply(200, false)
        }
        Act::AcceptAndClose => {
            let mut closing = reply(200, false)?;
            let close = hyper::header::HeaderValue::from_static("close");
            closing
                .headers_mut()
                .insert(hyper::header::CONNECTION, close);
            Ok(closing)
        }
        Act::Refuse(status) => reply(status, false),
        Act::Drop => Err(io::Error::other("dropped")),
        Act::Cut => reply(200, true),
        Act::Hang => Ok::<_, Infallible>(std::future::pending().await).map_err(|no| match no {}),
    }
}

fn args(options: &str) -> IngestArgs {
    IngestArgs::parse_from(std::iter::once("ingest").chain(options.split_whitespace()))
}

/// The numbers of the first and the last alert of a body, whichever format it has.
fn range(body: &[u8]) -> (u64, u64) {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap();
    let alerts = body.get("alerts").unwrap_or(&body).as_array().unwrap();
    let number =
        |alert: &serde_json::Value| alert["labels"]["n"].as_str().unwrap().parse().unwrap();
    (
        number(alerts.first().unwrap()),
        number(alerts.last().unwrap()),
    )
}

fn ledger_path() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger").to_str().unwrap().to_owned();
    (dir, path)
}

#[tokio::test]
async fn the_ledger_holds_exactly_what_was_acknowledged() {
    let server = Server::start(|number| match number {
        number if number % 7 == 3 => Act::Drop,
        number if number % 11 == 5 => Act::Cut,
        number if number % 13 == 6 => Act::Refuse(503),
        number if number % 17 == 8 => Act::Refuse(400),
        _ => Act::Accept,
    })
    .await;
    let (_dir, path) = ledger_path();
    let options = format!("--active 1000 --per-request 10 --requests 150 --ledger {path}");
    let report = server.load(&format!("{options} --connections 4")).await;
    let mut acknowledged: Vec<_> = server
        .seen()
        .iter()
        .filter(|seen| seen.is_acknowledged)
        .map(|seen| range(&seen.body))
        .collect();
    let ledger = read_ledger(&path).unwrap();
    let mut written: Vec<_> = ledger
        .iter()
        .map(|line| (line.first, line.first + line.count - 1))
        .collect();
    acknowledged.sort_unstable();
    written.sort_unstable();
    assert_eq!(written, acknowledged);
    assert!(
        ledger
            .iter()
            .all(|line| line.status == 200 && line.pass < 2)
    );
    let round = &report.rounds()[0];
    assert_eq!(round.requests, u64::try_from(ledger.len()).unwrap());
    assert_eq!(
        round.statuses.values().sum::<u64>() + round.disconnects,
        150
    );
    assert!(round.statuses.contains_key(&503) && round.statuses.contains_key(&400));
    assert_eq!(report.ended, Ended::Finished);
    assert!(!report.is_clean());
}

#[tokio::test]
async fn a_run_ends_normally_when_the_server_goes_away() {
    let server = Server::start(|number| if number < 20 { Act::Accept } else { Act::Drop }).await;
    let (_dir, path) = ledger_path();
    let options =
        "--active 100 --seconds 60 --preload 0 --connections 2 --stop-on-disconnect --rounds 3";
    let report = server.load(&format!("{options} --ledger {path}")).await;
    assert_eq!(report.ended, Ended::Disconnected);
    assert_eq!(report.rounds().len(), 1);
    assert!(
        report.rounds()[0].disconnects <= 2,
        "no connection is opened again"
    );
    assert_eq!(read_ledger(&path).unwrap().len(), 20);
}

#[tokio::test]
async fn a_dead_server_is_given_up_after_some_attempts() {
    let server = Server::start(|_| Act::Drop).await;
    let report = server
        .load("--active 100 --seconds 60 --preload 0 --connections 2")
        .await;
    assert_eq!(report.ended, Ended::Disconnected);
    assert_eq!(report.rounds()[0].requests, 0);
    assert_eq!(report.rounds()[0].disconnects, 10);
}

#[tokio::test]
async fn nobody_listening_is_an_error_that_names_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for wait in ["", "--wait 0.05"] {
        let args = args(&format!("--url http://{address} {wait}"));
        let error = run(&args, |_| {}).await.unwrap_err();
        assert!(matches!(error, BenchError::Unreachable { .. }));
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}

#[tokio::test]
async fn two_runs_send_the_same_bytes() {
    let options = "--active 40 --per-request 10 --requests 12 --connections 1 -r 0.3 --churn 1";
    let mut runs = Vec::new();
    for _ in 0..2 {
        let server = Server::start(|_| Act::Accept).await;
        assert!(server.load(options).await.is_clean());
        runs.push(server.seen());
    }
    assert_eq!(runs[0].len(), 12);
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test]
async fn both_servers_get_the_same_alerts_and_the_table_fits() {
    let (ours, theirs) = tokio::join!(
        Server::start(|_| Act::Accept),
        Server::start(|_| Act::Accept)
    );
    let options = "--active 45 --per-request 10 --requests 7 --rounds 3 --preload 1";
    let (own_pid, dir) = (std::process::id(), tempfile::tempdir().unwrap());
    let report = ours
        .load(&format!(
            "{options} --peer-url http://{} --pid {own_pid} --peer-pid {own_pid} --probe-disk {}",
            theirs.address,
            dir.path().display()
        ))
        .await;
    let alerts = |server: &Server| {
        let mut ranges: Vec<_> = server.seen().iter().map(|seen| range(&seen.body)).collect();
        ranges.sort_unstable();
        ranges
    };
    assert_eq!(alerts(&ours), alerts(&theirs));
    assert_eq!(ours.seen().len(), 5 + 3 * 7);
    assert_eq!(alerts(&ours).into_iter().collect::<BTreeSet<_>>().len(), 5);
    assert_eq!(ours.seen()[0].path, "/ingest/alertmanager");
    assert_eq!(theirs.seen()[0].path, "/api/v2/alerts");
    assert!(report.is_clean() && report.disk.is_some());
    let ratio = report.ratio.clone().unwrap();
    assert!(ratio.alerts_per_s.min > 0.0 && ratio.p99.is_some());
    let table = report.to_string();
    assert!(
        table.lines().all(|line| line.chars().count() <= 100),
        "{table}"
    );
    assert_eq!(
        table
            .lines()
            .filter(|line| line.starts_with("alertmanager "))
            .count(),
        4
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["target"]["preload"]["alerts"], 45);
    assert_eq!(json["peer"]["rounds"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn the_open_loop_counts_from_the_scheduled_time() {
    let hold = Duration::from_millis(200);
    let server = Server::start(|number| match number {
        0 => Act::AcceptAfter(Duration::from_millis(200)),
        _ => Act::Accept,
    })
    .await;
    // Ten requests, one every 10 ms: while the first one is held, the others wait for their turn.
    let options = "--active 100 --per-request 1 --rate 100 --requests 10 --connections 1";
    let report = server.load(options).await;
    let latency = report.rounds()[0].latency_ms.unwrap();
    assert!(latency.max >= hold.as_secs_f64() * 1000.0);
    assert!(
        latency.p50 >= 100.0,
        "an omitted wait: p50 is {} ms",
        latency.p50
    );
}

#[tokio::test]
async fn waiting_ends_with_the_first_acknowledgement() {
    let server = Server::start(|number| {
        if number < 3 {
            Act::Refuse(503)
        } else {
            Act::Accept
        }
    })
    .await;
    let (_dir, path) = ledger_path();
    let report = server
        .load(&format!(
            "--active 100 --wait 60 --requests 1 --ledger {path}"
        ))
        .await;
    assert!(report.target.ready_ms.is_some());
    assert_eq!(server.seen().len(), 5);
    assert_eq!(read_ledger(&path).unwrap().len(), 2);
}

#[tokio::test]
async fn busy_answers_are_repeated_only_when_asked() {
    let act = |number| {
        if number % 2 == 0 {
            Act::Refuse(503)
        } else {
            Act::Accept
        }
    };
    let options = "--active 600 --requests 6 --connections 1";
    let plain = Server::start(act).await.load(options).await;
    assert_eq!(plain.rounds()[0].requests, 3);
    let server = Server::start(act).await;
    let patient = server.load(&format!("{options} --retry-503 1")).await;
    assert_eq!(patient.rounds()[0].requests, 6);
    assert_eq!(server.seen()[0].body, server.seen()[1].body);

    let busy = Server::start(|_| Act::Refuse(503)).await;
    let patient = busy.load("--preload 0 --seconds 0.2 --retry-503 1").await;
    assert_eq!(patient.rounds()[0].requests, 0, "it ends with its time");
}

#[tokio::test]
async fn a_server_that_closes_after_each_answer_gets_every_request_once() {
    let server = Server::start(|_| Act::AcceptAndClose).await;
    let report = server
        .load("--target alerta --per-request 1 --connections 2 --requests 20")
        .await;
    assert_eq!((server.seen().len(), report.rounds()[0].requests), (20, 20));
    assert!(server.seen().iter().all(|seen| seen.path == "/alert"));
}

#[tokio::test]
async fn a_missing_answer_is_given_up_and_the_run_goes_on() {
    let server = Server::start(|number| if number == 1 { Act::Hang } else { Act::Accept }).await;
    let options = "--active 600 --requests 4 --connections 1 --timeout 0.2";
    let report = server.load(options).await;
    assert_eq!(
        (report.rounds()[0].requests, report.rounds()[0].timeouts),
        (3, 1)
    );
}

#[tokio::test]
async fn new_alerts_have_new_fingerprints() {
    let server = Server::start(|_| Act::Accept).await;
    server
        .load("--new --requests 30 --per-request 5 --active 10 --seed 4")
        .await;
    let mut prints = BTreeSet::new();
    for seen in server.seen() {
        let body: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
        for alert in body["alerts"].as_array().unwrap() {
            let n = alert["labels"]["n"].as_str().unwrap().parse().unwrap();
            assert_eq!(alert["fingerprint"], fingerprint(4, n));
            prints.insert(alert["fingerprint"].to_string());
        }
    }
    assert_eq!(prints.len(), 150);
}

#[test]
fn senseless_options_are_refused_by_name() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for (options, name) in [
        ("-r 1.5", "--resolve"),
        ("--rate 0", "--rate"),
        ("--per-request 0", "--per-request"),
        ("--url ftp://x", "--url"),
        ("--seconds -1", "--seconds"),
    ] {
        let options = options.replace(' ', "=");
        let error = runtime.block_on(run(&args(&options), |_| {})).unwrap_err();
        assert!(error.to_string().starts_with(name), "{error}");
    }
}

/// The measured rounds of the server at `--url`.
trait Rounds {
    fn rounds(&self) -> &[watchbell::bench::report::PhaseReport];
}

impl Rounds for Report {
    fn rounds(&self) -> &[watchbell::bench::report::PhaseReport] {
        &self.target.rounds
    }
}
