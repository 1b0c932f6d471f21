//! What people do with incidents from a terminal: what is sent, what is shown, and that nothing is done twice.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};

use super::Shell;
use super::scripted::Scripted;

fn answer(number: &str, state: &str) -> String {
    json!({
        "number": number, "state": state, "priority": "P2", "title": "sw-a1 unreachable",
        "alerts": {"firing": 2, "total": 3}, "team": "network", "assignee": "ana",
        "opened_at": "2026-01-01T00:00:00.000Z", "version": 18
    })
    .to_string()
}

#[test]
fn each_action_is_one_command_of_the_api() {
    let body = answer("INC-42", "acknowledged");
    for (arguments, path, sent) in [
        (&["ack"][..], "acknowledge", json!({})),
        (
            &["ack", "--until", "2026-01-31T08:00:00Z"],
            "acknowledge",
            json!({"until": "2026-01-31T08:00:00.000Z"}),
        ),
        (&["assign", "ana"], "assign", json!({"assignee": "ana"})),
        (&["assign", "--team", "db"], "assign", json!({"team": "db"})),
        (&["start"], "start", json!({})),
        (&["hold", "a part"], "hold", json!({"reason": "a part"})),
        (
            &["hold", "--reason", "a part"],
            "hold",
            json!({"reason": "a part"}),
        ),
        (&["resume"], "resume", json!({})),
        (
            &["resolve", "--note", "done"],
            "resolve",
            json!({"note": "done"}),
        ),
        (&["close"], "close", json!({})),
        (
            &["reopen", "--reason", "again"],
            "reopen",
            json!({"reason": "again"}),
        ),
        (
            &["note", "fan replaced"],
            "notes",
            json!({"text": "fan replaced"}),
        ),
        (
            &["start", "--if-version", "17"],
            "start",
            json!({"expected_version": 17}),
        ),
    ] {
        let line = format!("POST /api/v1/incidents/INC-42/{path}");
        let daemon = Scripted::start(&[(line.as_str(), 200, body.as_str())]);
        let shell = Shell::new();
        let url = ["--url", daemon.url.as_str()];
        let shown = shell.good(&[&["incident", "42"], arguments, &url].concat());
        assert_eq!(
            shown,
            "INC-42, P2, acknowledged, with ana, team network, 2 of 3 alerts firing: sw-a1 unreachable\n"
        );
        let asked = daemon.asked();
        assert_eq!(asked.len(), 1, "{arguments:?}");
        assert_eq!(asked[0].line, line);
        let body: Value = serde_json::from_str(&asked[0].body).expect("JSON");
        assert_eq!(body, sent, "{arguments:?}");
        let key = asked[0].headers["idempotency-key"].to_str().expect("text");
        assert_eq!(key.len(), 32, "{key}");
    }
}

#[test]
fn a_duration_means_that_long_from_now() {
    let line = "POST /api/v1/incidents/INC-42/hold";
    let daemon = Scripted::start(&[(line, 200, &answer("INC-42", "on_hold"))]);
    let before = jiff::Timestamp::from_millisecond(now_ms()).expect("time");
    let url = daemon.url.as_str();
    Shell::new().good(&[
        "incident", "42", "--url", url, "hold", "part", "--until", "2h",
    ]);
    let after = jiff::Timestamp::from_millisecond(now_ms()).expect("time");
    let body: Value = serde_json::from_str(&daemon.asked()[0].body).expect("JSON");
    let until: jiff::Timestamp = body["until"]
        .as_str()
        .expect("text")
        .parse()
        .expect("RFC 3339");
    let hours = jiff::SignedDuration::from_hours(2);
    assert!(before + hours <= until && until <= after + hours, "{until}");
}

fn now_ms() -> i64 {
    watchbell::runtime::clock::Clock::system().now().as_millis()
}

#[test]
fn a_reopen_that_opens_a_new_incident_says_so() {
    let line = "POST /api/v1/incidents/INC-42/reopen";
    let daemon = Scripted::start(&[(line, 200, &answer("INC-57", "new"))]);
    let ran = Shell::new().run(&["incident", "42", "reopen", "--url", &daemon.url]);
    assert!(ran.stdout.starts_with("INC-57, P2, new"), "{ran:?}");
    assert!(
        ran.stderr.contains("INC-57 was opened and linked"),
        "{ran:?}"
    );
}

#[test]
fn the_answer_of_the_api_is_passed_on_as_it_is() {
    let line = "POST /api/v1/incidents/INC-42/ack";
    let body = r#"{"number":"INC-42","z":1.10,"a":[]}"#;
    let daemon = Scripted::start(&[(&line.replace("/ack", "/acknowledge"), 200, body)]);
    let shell = Shell::new();
    let url = daemon.url.as_str();
    let shown = shell.good(&["incident", "42", "--output", "json", "ack", "--url", url]);
    assert_eq!(shown, format!("{body}\n"));
}

#[test]
fn a_refusal_is_exit_code_1_with_its_reason() {
    let refused = json!({"type": "/problems/refused", "title": "refused", "status": 409,
        "detail": "The incident is closed.", "reason": "already_closed"})
    .to_string();
    let line = "POST /api/v1/incidents/INC-42/acknowledge";
    let missing = refused.replace("The incident is closed.", "There is no such incident.");
    let daemon = Scripted::start(&[(line, 409, &refused), (line, 404, &missing)]);
    let shell = Shell::new().set("WATCHBELL_URL", &daemon.url);
    assert_eq!(
        shell.bad(1, &["incident", "42", "ack"]),
        "watchbell: The incident is closed; look at it as it is now, for example with `watchbell incident N`\n"
    );
    assert_eq!(
        shell.bad(1, &["incident", "42", "ack"]),
        "watchbell: There is no such incident.\n"
    );
}

#[test]
fn a_broken_connection_is_tried_once_more_with_the_same_key() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    let url = format!("http://{}", listener.local_addr().expect("address"));
    let body = answer("INC-42", "acknowledged");
    let daemon = std::thread::spawn(move || {
        // The first connection breaks after the request was read, when nobody knows whether it was done.
        let (first, _) = listener.accept().expect("connection");
        let lost = read_head(&first);
        drop(first);
        let (mut second, _) = listener.accept().expect("connection");
        let done = read_head(&second);
        write!(
            second,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
        .expect("answer");
        [lost, done]
    });
    let ran = Shell::new().run(&["incident", "42", "ack", "--url", &url]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let heads = daemon.join().expect("no panic");
    let key = |head: &str| {
        let line = head
            .lines()
            .find(|line| line.starts_with("idempotency-key: "));
        line.expect("a key").to_owned()
    };
    assert_eq!(key(&heads[0]), key(&heads[1]));
}

/// Reads a request to its end, so that closing is orderly; its head.
fn read_head(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).expect("request"), 0);
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("body");
    head
}
