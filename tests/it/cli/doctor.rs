//! `watchbell doctor`: what it looks at, and that it says what to do.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::Shell;
use super::scripted::Scripted;

const CHECKS: [&str; 11] = [
    "configuration",
    "state folder",
    "token key",
    "disk",
    "store",
    "durability",
    "integrity",
    "writing",
    "clock",
    "listener",
    "source",
];
const DOCTOR: [&str; 5] = ["doctor", "--config", "w.toml", "--output", "json"];

/// An installation whose listener and only source are this server.
fn installation(daemon: &Scripted) -> Shell {
    let shell = Shell::new();
    shell.configure(&format!(
        "[server]\nlisten = \"{}\"\n[[source]]\nname = \"am\"\nkind = \"alertmanager\"\n\
         reconcile = {{ url = \"{}\", token = \"of the source\" }}\n",
        daemon.address(),
        daemon.url
    ));
    shell.good(&["token", "create", "--role", "admin", "--config", "w.toml"]);
    shell
}

/// Check, verdict and next step of each finding.
fn findings(json: &str) -> Vec<[String; 3]> {
    let report: Value = serde_json::from_str(json).expect("JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let findings = report["findings"].as_array().expect("a list").iter();
    findings
        .map(|one| [&one["check"], &one["verdict"], &one["next"]].map(text))
        .collect()
}

#[test]
fn nothing_is_wrong_with_a_running_installation() {
    let daemon = Scripted::start(&[
        ("GET /readyz", 200, "ready"),
        ("GET /api/v2/status", 200, "{}"),
    ]);
    let shell = installation(&daemon);
    let found = findings(&shell.good(&DOCTOR));
    for check in CHECKS {
        assert!(found.iter().any(|[name, ..]| name == check), "{check}");
    }
    assert!(
        found.iter().all(|[_, verdict, _]| verdict == "ok"),
        "{found:?}"
    );
    let asked = daemon.asked();
    let status = asked.iter().find(|asked| asked.line.ends_with("/status"));
    let headers = &status.expect("the source was asked").headers;
    assert_eq!(headers["authorization"], "Bearer of the source");
}

#[test]
fn what_is_wrong_is_found_with_what_to_do() {
    let daemon = Scripted::start(&[
        (
            "GET /readyz",
            503,
            r#"{"status":"not ready","reasons":["no leader"]}"#,
        ),
        ("GET /readyz", 503, "still not"),
        ("GET /api/v2/status", 401, "{}"),
    ]);
    let shell = installation(&daemon);
    let key = shell.path("data/token.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("mode");
    let ran = shell.run(&DOCTOR);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("is not ready: no leader\""), "{ran:?}");
    let mut wrong = findings(&ran.stdout);
    wrong.retain(|[_, verdict, _]| verdict != "ok");
    let expected = [
        ["token key", "fail", "chmod 600 data/token.key"],
        [
            "listener",
            "warn",
            "wait a moment; if it stays so, its log tells why (journalctl -u watchbell)",
        ],
        [
            "source",
            "fail",
            "set reconcile.token or reconcile.basic to what it asks for",
        ],
    ];
    assert_eq!(wrong, expected.map(|finding| finding.map(str::to_owned)));

    let shown = shell.run(&["doctor", "--config", "w.toml"]).stdout;
    assert!(shown.contains("is not ready: still not -> "), "{shown}");
    assert!(
        shown.contains("\nFAIL  token key      others may read"),
        "{shown}"
    );
}

#[test]
fn targets_connectors_and_mailboxes_are_looked_for_without_sending() {
    let (there, gone) = (TcpListener::bind("127.0.0.1:0").unwrap(), {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap();
        closed.local_addr().unwrap()
    });
    let here = there.local_addr().unwrap();
    let shell = Shell::new();
    shell.configure(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n\
         [[target]]\nname = \"chat\"\nkind = \"slack\"\nurl = \"http://{here}/x\"\nallow_private = true\n\
         [[target]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"http://{gone}/x\"\nallow_private = true\n\
         [[target]]\nname = \"inside\"\nkind = \"webhook\"\nurl = \"http://{here}/x\"\n\
         [[target]]\nname = \"pager\"\nkind = \"command\"\ncommand = [\"/no/such/program\"]\n\
         [[connector]]\nname = \"snow\"\nprofile = \"servicenow\"\nurl = \"http://{gone}\"\nallow_private = true\n\
         auth = {{ user = \"wb\", password = \"pw-secret\" }}\n\
         [[answers.mailbox]]\nurl = \"imap://{gone}\"\nuser = \"wb\"\npassword = \"pw-secret\"\nallow_private = true\n"
    ));
    let ran = shell.run(&DOCTOR);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(!ran.stdout.contains("pw-secret"), "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let all = report["findings"].as_array().expect("a list").iter();
    let lines: Vec<String> = all
        .map(|one| {
            format!("{} {}: {}", one["check"], one["verdict"], one["found"]).replace('"', "")
        })
        .collect();
    for expected in [
        "target ok: chat (slack) is there; nothing was sent to it",
        "target fail: hook (webhook): 127.0.0.1:",
        "target fail: inside (webhook): ",
        "target fail: pager (command): there is no program /no/such/program",
        "connector fail: snow (servicenow): 127.0.0.1:",
        "answers fail: mailbox (127.0.0.1:",
    ] {
        assert!(
            lines.iter().any(|line| line.starts_with(expected)),
            "{expected}: {lines:#?}"
        );
    }
}

#[test]
fn a_look_makes_nothing() {
    let shell = Shell::new();
    shell.configure("[server]\nlisten = \"127.0.0.1:0\"\n");
    let found = findings(&shell.good(&DOCTOR));
    let warned: Vec<_> = found
        .iter()
        .filter(|[_, verdict, _]| verdict == "warn")
        .map(|[check, ..]| check.as_str())
        .collect();
    assert_eq!(warned, ["state folder", "store"]);
    assert!(!shell.path("data").exists());
}

#[test]
fn a_damaged_store_is_a_failure() {
    let shell = Shell::new();
    shell.good(&["migrate"]);
    // A copy has no write-ahead log, in which whole pages might be.
    shell.good(&["backup", "copy.db"]);
    shell.configure("[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite:copy.db\"\n");
    let store = shell.path("copy.db");
    let mut bytes = fs::read(&store).expect("store");
    for byte in bytes.iter_mut().skip(3 * 4096) {
        *byte = 0xa5;
    }
    fs::write(&store, bytes).expect("store");
    let ran = shell.run(&DOCTOR);
    assert_eq!(ran.code, 1, "{ran:?}");
    let found = findings(&ran.stdout);
    let damaged = found.iter().find(|[check, ..]| check == "integrity");
    assert_eq!(
        damaged.map(|[_, verdict, _]| verdict.as_str()),
        Some("fail"),
        "{found:?}"
    );
}
