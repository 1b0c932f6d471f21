//! How a daemon is found, and what people are told when it does not answer as they hope.

use std::net::TcpListener;

use serde_json::json;

use super::Shell;
use super::scripted::Scripted;

const LIST: &str = "GET /api/v1/incidents";
const EMPTY: &str = r#"{"items":[],"next_cursor":null}"#;

#[test]
fn the_listener_of_the_configuration_is_asked_also_when_a_secret_is_missing() {
    let daemon = Scripted::start(&[(LIST, 200, EMPTY)]);
    let shell = Shell::new();
    shell.configure(&format!(
        "[server]\nlisten = \"0.0.0.0:{}\"\n[auth]\nrequired = true\n\
         [[source]]\nname = \"am\"\nkind = \"alertmanager\"\ntoken = {{ credential = \"am\" }}\n",
        daemon.address().port()
    ));
    let ran = shell.run(&["incidents", "--config", "w.toml"]);
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (0, "No incidents match.\n")
    );
    assert_eq!(daemon.lines(), ["GET /api/v1/incidents?limit=50"]);
}

#[test]
fn a_path_before_the_api_is_kept() {
    let line = "GET /tools/watchbell/api/v1/incidents";
    let daemon = Scripted::start(&[(line, 200, EMPTY)]);
    let url = format!("{}/tools/watchbell/", daemon.url);
    Shell::new().good(&["incidents", "--url", &url]);
}

#[test]
fn nobody_there_is_said_with_what_to_do() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("port");
        listener.local_addr().expect("address")
    };
    let url = format!("http://{address}");
    for arguments in [
        &["incidents"][..],
        &["incident", "42", "ack"],
        &["alerts"],
        &["explain", "A-1"],
        &["dead-letters", "list"],
    ] {
        let said = Shell::new().bad(3, &[arguments, &["--url", &url]].concat());
        let expected = format!(
            "watchbell: no Watchbell answers at {url}; is it running? start it with `watchbell serve`, or pass --url\n"
        );
        assert_eq!(said, expected);
    }
}

#[test]
fn answers_that_are_no_help_are_explained() {
    let problem = |detail: &str| json!({"title": "t", "detail": detail}).to_string();
    for (status, body, code, said) in [
        (
            401,
            problem("no token"),
            3,
            "the daemon asks for a token; pass one with --token",
        ),
        (
            403,
            problem("viewers only read"),
            1,
            "the daemon refused: viewers only read; use a token with another role",
        ),
        (
            400,
            problem("bad cursor"),
            2,
            "the daemon refused: bad cursor",
        ),
        (
            503,
            problem("store is full"),
            3,
            "not now: store is full; try again",
        ),
        (500, problem("oops"), 3, "the daemon failed: oops; its log"),
        (
            404,
            "<html>".to_owned(),
            3,
            "answered 404 Not Found, unlike Watchbell; say where",
        ),
        (
            301,
            String::new(),
            3,
            "answered 301 Moved Permanently, unlike Watchbell",
        ),
        (200, "<html>".to_owned(), 3, "unlike Watchbell"),
        (
            200,
            "{\"items\":7}".to_owned(),
            3,
            "the daemon's answer cannot be understood",
        ),
    ] {
        let daemon = Scripted::start(&[(LIST, status, &body)]);
        let shown = Shell::new().bad(code, &["incidents", "--url", &daemon.url]);
        assert!(shown.contains(said), "{status}: {shown}");
        assert_eq!(shown.lines().count(), 1, "{shown}");
    }
}
