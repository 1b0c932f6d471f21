//! The real binary: it starts, says where it is, stops in order, and keeps what it has acknowledged.

mod handover;
mod imports;
mod refusals;
mod reload;
mod restart;
mod secrets;

use std::process::Command;

use rustix::process::Signal;
use serde_json::json;
use tokio::net::TcpStream;

use crate::support::daemon::{Daemon, Home, LISTEN, message};
use crate::support::http::{read_answer, read_to_close, say};
use crate::support::process::eventually;

/// One source that everybody on this machine may feed.
const AM: &str = "[[source]]\nname = \"am\"\nkind = \"alertmanager\"\n";

/// A configuration with that source and more.
fn config(more: &str) -> String {
    format!("{LISTEN}{more}\n{AM}")
}

/// Sends a request to the source but holds its last byte back; gives what is missing.
async fn half_a_message(daemon: &Daemon, name: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(daemon.address).await.unwrap();
    let body = message(name, "firing");
    let (first, rest) = body.split_at(body.len() - 1);
    let head = format!(
        "POST /ingest/am HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{first}",
        body.len()
    );
    say(&mut stream, &head).await;
    eventually("the request has begun", async || {
        (daemon.messages("received").await > 0).then_some(())
    })
    .await;
    (stream, rest.to_owned())
}

#[tokio::test]
async fn it_says_where_it_listens_and_when_it_is_ready() {
    let home = Home::new(&config(""));
    let daemon = home.start().await;
    assert_eq!(daemon.get("/readyz").await.ok(), json!({"status": "ready"}));
    assert_eq!(daemon.get("/healthz").await.ok(), json!({"status": "ok"}));
    daemon.alert("Hello", "firing").await;
    let incident = daemon.incident("incident", |_| true).await;
    assert_eq!(incident["title"], "Hello is in trouble");
    daemon.stop().await;
}

/// The document describes what other layers serve; nothing but knocking there shows that it is so.
#[tokio::test]
async fn doors_are_where_the_document_says() {
    let sources = "[[source]]\nname = \"pd\"\nkind = \"pagerduty\"\nrouting_keys = [\"k\"]\n\
                   [[source]]\nname = \"og\"\nkind = \"opsgenie\"\napi_keys = [\"k\"]\n";
    let home = Home::new(&config(sources));
    let daemon = home.start().await;
    let document = daemon.get("/api/v1/openapi.json").await.ok();
    let paths = document["paths"].as_object().unwrap();
    let doors: Vec<_> = paths
        .iter()
        .filter(|(_, item)| item["post"]["tags"][0] == "doors")
        .collect();
    assert!(doors.len() >= 7, "{doors:?}");
    for (path, item) in doors {
        let real = path.replace("{source}", "am").replace("{name}", "am");
        let mut answers = vec![daemon.post(&real, &json!({})).await];
        if item.get("get").is_some() {
            answers.push(daemon.get(&real).await);
        }
        for answer in answers {
            assert!(!answer.text.contains("under this path"), "{path}");
            let is_query_refused = real.starts_with("/ingest/") && answer.status == 405;
            assert!(answer.status != 405 || is_query_refused, "{path}");
        }
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_stop_answers_what_is_in_flight_and_closes_what_idles() {
    let home = Home::new(&config(""));
    let mut daemon = home.start().await;
    let mut idle = TcpStream::connect(daemon.address).await.unwrap();
    say(&mut idle, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(read_answer(&mut idle).await.starts_with("HTTP/1.1 200"));
    let silent = TcpStream::connect(daemon.address).await.unwrap();
    let (mut flying, rest) = half_a_message(&daemon, "Late").await;

    daemon.process.signal(Signal::TERM);
    daemon.process.line("stage http stops").await;
    assert_eq!(read_to_close(&mut idle).await, "");
    eventually("nobody is let in any more", async || {
        TcpStream::connect(daemon.address).await.err()
    })
    .await;
    say(&mut flying, &rest).await;
    let answer = read_to_close(&mut flying).await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert_eq!(daemon.process.ended().await.code(), Some(0));
    drop(silent);

    let lines = daemon.process.lines();
    let order: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split_once(" stage ").map(|(_, rest)| rest))
        .collect();
    assert_eq!(
        order,
        ["http stops", "side stops", "engine stops", "store stops"]
    );
    daemon.process.never_said("cut off");
    let daemon = home.start().await;
    daemon
        .incident("what was in flight is kept", |_| true)
        .await;
}

#[tokio::test]
async fn a_second_stop_signal_ends_it_at_once() {
    let home = Home::new(&config("drain_timeout = \"1h\""));
    let mut daemon = home.start().await;
    let (_flying, _) = half_a_message(&daemon, "Never").await;
    daemon.process.signal(Signal::TERM);
    daemon.process.line("stage http stops").await;
    daemon.process.signal(Signal::INT);
    let ended = daemon.process.ended().await;
    assert!(ended.code().is_some_and(|code| code != 0), "{ended:?}");
    daemon
        .process
        .line("ended at once by a second signal")
        .await;
    home.start().await.stop().await;
}

#[tokio::test]
async fn a_source_that_does_not_answer_polls_does_not_hold_up_the_stop() {
    // Accepts, and then says nothing.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = deaf.local_addr().unwrap();
    let reconcile = format!("reconcile = {{ url = \"http://{url}\", every = \"1s\" }}");
    let home = Home::new(&format!("{}{reconcile}\n", config("")));
    let daemon = home.start().await;
    let asked = std::thread::spawn(move || deaf.accept());
    eventually("it is polled", async || asked.is_finished().then_some(())).await;
    let _connection = asked.join().unwrap().unwrap();
    let mut process = daemon.process;
    process.signal(Signal::TERM);
    assert_eq!(process.ended().await.code(), Some(0));
    process.never_said("late");
}

#[tokio::test]
async fn a_command_with_the_same_key_is_carried_out_once_and_a_stale_version_is_refused() {
    let home = Home::new(&config(""));
    let daemon = home.start().await;
    daemon.alert("Disk", "firing").await;
    let incident = daemon.incident("incident", |_| true).await;
    let note = |key: &str, text: &str| {
        let request = daemon
            .client
            .post(daemon.url("/api/v1/incidents/INC-1/notes"));
        request
            .header("Idempotency-Key", key)
            .json(&json!({"text": text}))
    };
    let first = daemon.send(note("k1", "on it")).await.ok();
    for _ in 0..3 {
        let again = daemon.send(note("k1", "on it")).await.ok();
        assert_eq!(again["version"], first["version"]);
    }
    let other = daemon.send(note("k1", "something else")).await;
    other.problem(409, "idempotency-key-reused");
    daemon.send(note("k2", "on it")).await.ok();
    let notes = daemon.reasons("INC-1").await;
    let count = notes.iter().filter(|code| *code == "note_added").count();
    assert_eq!(count, 2);

    let stale = json!({"expected_version": incident["version"]});
    let refused = daemon
        .post("/api/v1/incidents/INC-1/acknowledge", &stale)
        .await
        .problem(409, "stale-version");
    let fresh = json!({"expected_version": refused["version"]});
    let acknowledged = daemon
        .post("/api/v1/incidents/INC-1/acknowledge", &fresh)
        .await
        .ok();
    assert_eq!(acknowledged["state"], "acknowledged");
}

/// Starts the daemon with a listening socket as its third descriptor, the way systemd hands one over.
fn socket_activated(home: &Home, socket: &std::net::TcpListener) -> Command {
    let mut command = home.command("/bin/sh");
    let script =
        "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" serve --config w.toml";
    let handed: std::os::fd::OwnedFd = socket.try_clone().unwrap().into();
    command
        .args(["-c", script, env!("CARGO_BIN_EXE_watchbell")])
        .stdin(handed);
    command
}
