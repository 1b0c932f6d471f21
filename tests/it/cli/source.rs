//! `source try` without a daemon: what it shows, and how it ends.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use super::{Ran, Shell};

const CONFIG: &str = r#"
[[source]]
name = "grid"
kind = "json"
[source.map]
alerts = "payload.events"
key = "item.host ~ '/' ~ item.check"
status = "'resolved' if item.value == 0 else 'firing'"
severity = { from = "item.level", table = { disaster = "critical" } }
summary = "item.text"
labels = "item.tags"
ci = { name = "item.host", address = "item.ip" }
starts_at = "item.since"

[[source]]
name = "events"
kind = "cloudevents"
preset = "cloudevents"

[[source]]
name = "am"
kind = "alertmanager"

[[source]]
name = "pd"
kind = "pagerduty"
routing_keys = ["0123456789abcdef0123456789abcdef"]
"#;

fn shell() -> Shell {
    let shell = Shell::new();
    shell.configure(CONFIG);
    shell
}

fn tried(shell: &Shell, arguments: &[&str], payload: &str) -> Ran {
    let arguments = [&["source", "try", "--config", "w.toml"], arguments].concat();
    let mut child = shell
        .command(&arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that ends without reading is no error here.
    child
        .stdin
        .take()
        .unwrap()
        .write_all(payload.as_bytes())
        .ok();
    shell.finish(child.wait_with_output().unwrap())
}

fn as_json(shell: &Shell, arguments: &[&str], payload: &str) -> (i32, Value) {
    let arguments = [arguments, &["--output", "json"]].concat();
    let ran = tried(shell, &arguments, payload);
    (
        ran.code,
        serde_json::from_str(&ran.stdout).expect(&ran.stdout),
    )
}

const EVENTS: &str = r#"{"events": [
  {"host": "db1", "check": "disk", "value": 7, "level": "disaster", "text": "97 % used", "tags": {"fs": "/var"},
   "since": "2026-01-01T00:00:00Z"},
  {"host": "db2", "check": "load", "value": 0, "level": "odd", "text": "ok", "since": "then"},
  {"check": "load", "value": 1}
]}"#;

#[test]
fn every_item_is_shown_with_what_it_was_made_from() {
    let (code, made) = as_json(&shell(), &["grid"], EVENTS);
    assert_eq!(code, 1, "one item has no key");
    assert_eq!(
        (
            &made["source"],
            &made["kind"],
            &made["understood"],
            &made["error"]
        ),
        (&json!("grid"), &json!("json"), &json!(false), &Value::Null)
    );
    assert_eq!(
        (&made["observed"], &made["rejected"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(
        made["items"][0],
        json!({
            "index": 0, "outcome": "firing", "status": "firing", "key": "grid:v1:db1/disk",
            "key_inputs": [{"path": "item.check", "value": "disk"}, {"path": "item.host", "value": "db1"}],
            "severity": "critical", "summary": "97 % used", "starts_at": "2026-01-01T00:00:00.000Z",
            "labels": {"fs": "/var"},
            "ci_hints": [{"name": "name", "expression": "item.host", "value": "db1"},
                         {"name": "address", "expression": "item.ip", "value": null}],
            "missing": [{"field": "ci", "path": "item.ip"}],
        })
    );
    assert_eq!(made["items"][1]["status"], "resolved");
    let problem = made["items"][2]["problem"].as_str().unwrap();
    assert!(problem.starts_with("alerts[2].key: "), "{problem}");
    assert!(problem.contains("`item.host` is missing"), "{problem}");
    let notes = made["notes"].to_string();
    assert!(
        notes.contains("alerts[1].starts_at: is not a time"),
        "{notes}"
    );
    assert!(
        notes.contains(r#"alerts[1].severity: \"odd\" is in no table; taken as warning"#),
        "{notes}"
    );

    let ran = tried(&shell(), &["grid"], EVENTS);
    for line in [
        "source  grid (json)",
        "result  understood in part, 2 observed, 1 rejected",
        "key        grid:v1:db1/disk",
        "from     item.host = db1",
        "CI hint    name = db1 (item.host)",
        "label      fs = /var",
        "missing    item.ip (looked for by ci)",
    ] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
}

#[test]
fn the_exit_code_says_whether_it_was_understood() {
    let shell = shell();
    let good = r#"{"events": [{"host": "a", "check": "b", "value": 1}]}"#;
    assert_eq!(tried(&shell, &["grid"], good).code, 0);
    for bad in ["", "{", r#"{"events": 7}"#, "[]", "\u{0}"] {
        let (code, made) = as_json(&shell, &["grid"], bad);
        assert_eq!((code, &made["understood"]), (1, &json!(false)), "{bad:?}");
        assert!(made["error"].is_string(), "{bad:?}: {made}");
    }
    let ran = tried(&shell, &["grdi"], good);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .contains("no source \"grdi\"; did you mean grid?"),
        "{}",
        ran.stderr
    );
    let ran = tried(&shell, &["zabbix"], good);
    assert!(
        ran.stderr.contains("it has grid, events, am, pd"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        tried(&shell, &["grid", "--header", "no colon"], good).code,
        2
    );
    assert!(!shell.path("data").exists(), "nothing is stored");
    shell.configure("[[source]]\nname = \"x\"\nkind = \"json\"\n");
    assert_eq!(
        tried(&shell, &["x"], good).code,
        1,
        "the mapping is missing"
    );
}

#[test]
fn what_is_around_a_body_can_be_given() {
    let shell = shell();
    let headers = [
        "ce-specversion: 1.0",
        "ce-id: 1",
        "ce-type: disk.full",
        "ce-source: db1",
    ];
    let mut arguments = vec!["events", "--topic", "a/b"];
    let (code, made) = as_json(&shell, &arguments, "{}");
    assert_eq!((code, made["error"].is_string()), (1, true));
    arguments.truncate(1);
    for header in headers {
        arguments.extend(["--header", header]);
    }
    let (code, made) = as_json(&shell, &arguments, r#"{"severity": "critical"}"#);
    assert_eq!(
        (code, &made["items"][0]["key"]),
        (0, &json!("events:v1:db1||disk.full")),
        "{made:#}"
    );
    let query = [
        "grid",
        "--query",
        "events=%5B%7B%22host%22:%22a%22,%22check%22:%22b%22%7D%5D&n=1",
    ];
    let (code, made) = as_json(&shell, &query, "");
    assert_eq!(
        (code, &made["items"][0]["key"]),
        (0, &json!("grid:v1:a/b")),
        "{made:#}"
    );
    let form = [
        "grid",
        "--content-type",
        "application/x-www-form-urlencoded",
    ];
    let (code, _) = as_json(&shell, &form, "payload=%7B%22events%22%3A%5B%5D%7D");
    assert_eq!(code, 0);
}

#[test]
fn kinds_without_a_mapping_are_tried_as_their_senders_write() {
    let shell = shell();
    for (name, key, input) in [
        ("am", "am:v1:", "labels.alertname"),
        ("pd", "pd:v1:db1/disk", "dedup_key"),
    ] {
        let (code, made) = as_json(&shell, &[name, "--example"], "");
        assert_eq!(code, 0, "{made:#}");
        let item = &made["items"][0];
        assert!(item["key"].as_str().unwrap().starts_with(key), "{item:#}");
        let inputs = item["key_inputs"].to_string();
        assert!(inputs.contains(input), "{inputs}");
    }
    let (_, made) = as_json(&shell, &["pd", "--example"], "");
    assert_eq!(made["items"][0]["ci_hints"], json!([{"value": "db1"}]));
    let trigger = r#"{"event_action": "trigger", "payload": {"summary": "x", "severity": "info", "source": "db1"}}"#;
    let (code, made) = as_json(&shell, &["pd"], trigger);
    assert_eq!(
        (code, made["advice"].as_array().unwrap().len()),
        (0, 1),
        "{made:#}"
    );
    let (code, made) = as_json(&shell, &["pd"], r#"{"event_action": "resolve"}"#);
    assert_eq!(code, 1, "{made:#}");
}
