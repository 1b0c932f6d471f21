//! Lists and single things read from a daemon: what is asked, and what is shown at a width of 100.

use serde_json::{Value, json};
use watchbell::core::time::Span;

use super::scripted::Scripted;
use super::{Shell, ago};

fn incident(number: &str, title: &str, opened: Span) -> Value {
    json!({
        "number": number, "state": "in_progress", "priority": "P2", "title": title,
        "alerts": {"firing": 40, "resolved": 3, "total": 43, "undelivered": 0},
        "team": "network", "assignee": "ana", "opened_at": ago(opened), "version": 17,
        "resolved_at": null, "services": ["checkout"], "some_new_field": {"x": 1}
    })
}

fn page(items: &[Value], next_cursor: Option<&str>) -> String {
    json!({ "items": items, "next_cursor": next_cursor }).to_string()
}

fn at(daemon: &Scripted) -> Shell {
    Shell::new().set("WATCHBELL_URL", &daemon.url)
}

#[test]
fn incidents_fit_the_terminal() {
    let mut second = incident(
        "INC-7",
        "電源障害: rack 12 has lost one of two feeds, \x1b[31mand this text is far too long for the line",
        Span::from_secs(2 * 86_400 + 3 * 3_600 + 1_800),
    );
    second["state"] = "new".into();
    second["assignee"] = Value::Null;
    second["priority"] = "P1".into();
    let first = incident(
        "INC-42",
        "sw-a1 unreachable: 2 hosts, 40 VMs",
        Span::from_secs(7_530),
    );
    let daemon = Scripted::start(&[("GET /api/v1/incidents", 200, &page(&[first, second], None))]);
    let expected = "\
NUMBER  PRI  STATE          AGE  ALERTS  TITLE                                              ASSIGNEE
INC-42  P2   in progress  2h05m   40/43  sw-a1 unreachable: 2 hosts, 40 VMs                 ana
INC-7   P1   new          2d03h   40/43  電源障害: rack 12 has lost one of two feeds,  [3…
";
    assert!(expected.lines().all(|line| line.chars().count() <= 100));
    let ran = at(&daemon).run(&["incidents"]);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), (expected, ""));
    assert_eq!(daemon.lines(), ["GET /api/v1/incidents?limit=50"]);
}

#[test]
fn filters_and_token_travel_with_the_request() {
    let daemon = Scripted::start(&[
        ("GET /api/v1/incidents", 200, &page(&[], None)),
        ("GET /api/v1/alerts", 200, &page(&[], None)),
    ]);
    let shell = at(&daemon).set("WATCHBELL_TOKEN", "wbt_secret");
    let ran = shell.run(&[
        "incidents",
        "--state",
        "new,on_hold",
        "--priority",
        "p1",
        "--priority",
        "P2",
        "--severity",
        "critical",
        "--team",
        "net work",
        "--assignee",
        "ana",
        "--source",
        "am",
        "-q",
        "a&b",
        "--limit",
        "7",
    ]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert_eq!(ran.stderr, "No incidents match.\n");
    shell.good(&["alerts", "--status", "firing", "--incident", "42"]);
    assert_eq!(
        daemon.lines(),
        [
            "GET /api/v1/incidents?state=new%2Con_hold&priority=P1%2CP2&severity=critical\
             &team=net+work&assignee=ana&source=am&q=a%26b&limit=7",
            "GET /api/v1/alerts?status=firing&incident=INC-42&limit=50",
        ]
    );
    for asked in daemon.asked() {
        assert_eq!(asked.headers["authorization"], "Bearer wbt_secret");
    }
}

#[test]
fn all_follows_the_cursors_to_the_end() {
    let one = |number: &str| incident(number, "t", Span::ZERO);
    let pages = [
        page(&[one("INC-3"), one("INC-2")], Some("c/1")),
        page(&[one("INC-1")], None),
    ];
    let script = pages
        .each_ref()
        .map(|page| ("GET /api/v1/incidents", 200, page.as_str()));
    let daemon = Scripted::start(&script);
    let json = at(&daemon).good(&["incidents", "--all", "--output", "json"]);
    let all: Value = serde_json::from_str(&json).expect("JSON");
    let numbers: Vec<_> = all["items"]
        .as_array()
        .expect("list")
        .iter()
        .map(|one| &one["number"])
        .collect();
    assert_eq!(numbers, ["INC-3", "INC-2", "INC-1"]);
    assert_eq!(all["next_cursor"], Value::Null);
    assert_eq!(
        all["items"][0]["some_new_field"]["x"], 1,
        "the API's answer, not ours"
    );
    assert_eq!(
        daemon.lines(),
        [
            "GET /api/v1/incidents?limit=500",
            "GET /api/v1/incidents?limit=500&cursor=c%2F1"
        ]
    );

    let daemon = Scripted::start(&script);
    let ran = at(&daemon).run(&["incidents", "--limit", "2"]);
    assert_eq!(ran.stdout.lines().count(), 3, "{ran:?}");
    assert!(
        ran.stderr.starts_with("There are more incidents:"),
        "{ran:?}"
    );

    let stuck = Scripted::start(&[
        (
            "GET /api/v1/incidents",
            200,
            &page(&[one("INC-3")], Some("c")),
        ),
        (
            "GET /api/v1/incidents",
            200,
            &page(&[one("INC-3")], Some("c")),
        ),
    ]);
    at(&stuck).bad(3, &["incidents", "--all"]);
}

#[test]
fn alerts_show_what_ended_them() {
    let alert = |id: &str, status: &str, ended_by: Option<&str>| {
        json!({"id": id, "source": "alertmanager", "status": status, "ended_by": ended_by, "severity": "warning",
            "summary": "Disk of db1 is almost full", "labels": {}, "incident": "INC-42",
            "starts_at": ago(Span::from_secs(190)), "count": 17})
    };
    let items = [
        alert("A-18", "firing", None),
        alert("A-17", "resolved", Some("expired")),
    ];
    let daemon = Scripted::start(&[("GET /api/v1/alerts", 200, &page(&items, None))]);
    let shown = at(&daemon).good(&["alerts"]);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(
        lines[0],
        "ID    SEVERITY  STATUS     AGE  SEEN  INCIDENT  SOURCE        SUMMARY"
    );
    let cells: Vec<&str> = lines[2].split_whitespace().collect();
    assert_eq!(cells[..3], ["A-17", "warning", "expired"]);
    assert!(cells[3].starts_with("3m1"), "{shown}");
    assert!(
        lines[1].ends_with("17  INC-42    alertmanager  Disk of db1 is almost full"),
        "{shown}"
    );
}

#[test]
fn an_incident_is_shown_with_its_timeline_oldest_first() {
    let entries = [
        json!({"id": 9, "at": "2026-01-01T00:05:00.000Z", "seq": 3, "reason": "note_added", "text": "A note was added.",
            "actor": "ana", "note": "fan \u{7}replaced", "state": null, "alert": null}),
        json!({"id": 8, "at": "2026-01-01T00:00:00.000Z", "seq": 1, "reason": "incident_opened", "state": "new", "alert": "A-17"}),
    ];
    let opened = incident("INC-42", "sw-a1 unreachable", Span::from_secs(7_530)).to_string();
    let script = [
        ("GET /api/v1/incidents/INC-42", 200, opened.as_str()),
        (
            "GET /api/v1/incidents/INC-42/timeline",
            200,
            &page(&entries, None),
        ),
    ];
    let daemon = Scripted::start(&script);
    let shown = at(&daemon).good(&["incident", "42"]);
    assert!(
        shown.starts_with("INC-42 P2 in progress, 2h05m old\nsw-a1 unreachable\n\nassignee  ana\nteam      network\n"),
        "{shown}"
    );
    let opened_line = shown
        .lines()
        .find(|line| line.starts_with("opened"))
        .expect("opened");
    assert!(opened_line.ends_with("Z (2h05m ago)"), "{opened_line}");
    let mut timeline = shown
        .lines()
        .skip_while(|line| !line.starts_with("TIME (UTC)"));
    let first = timeline.nth(1).expect("an entry");
    assert!(first.starts_with("2026-01-01 00:00:00Z "), "{shown}");
    let told = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        told.contains("belongs to no open incident. (A-17, now new)"),
        "{told}"
    );
    assert!(
        told.contains("A note was added. \"fan replaced\" (by ana)"),
        "{told}"
    );

    let daemon = Scripted::start(&script);
    let json = at(&daemon).good(&["incident", "INC-42", "--output", "json"]);
    let both: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(both["incident"]["number"], "INC-42");
    assert_eq!(both["timeline"].as_array().map(Vec::len), Some(2));
}

#[test]
fn explain_tells_the_summary_and_every_decision() {
    let answer = json!({
        "summary": "INC-42 is open because A-17 fires.",
        "decisions": [{"id": 1, "at": "2026-01-01T00:00:00.000Z", "reason": "alert_opened", "text": "The alert fired for the first time."}]
    })
    .to_string();
    let daemon = Scripted::start(&[
        ("GET /api/v1/incidents/INC-42/explain", 200, &answer),
        ("GET /api/v1/alerts/A-17/explain", 200, &answer),
    ]);
    let shell = at(&daemon);
    for subject in ["inc-42", "A-17"] {
        let shown = shell.good(&["explain", subject]);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "INC-42 is open because A-17 fires.");
        assert_eq!(lines[1], "");
        assert!(lines[2].starts_with("TIME (UTC)"), "{shown}");
        assert!(lines[3].starts_with("2026-01-01 00:00:00Z"), "{shown}");
        assert!(
            lines[3].ends_with(" ago  The alert fired for the first time."),
            "{shown}"
        );
    }
}

#[test]
fn dead_letters_are_listed_and_shown_with_their_body() {
    let letter = json!({"id": "D-17", "at": ago(Span::from_secs(65)), "source": "am", "reason": "bad_request",
        "detail": "alerts[0].labels is missing", "content_type": "application/json", "body_bytes": 20,
        "body": "{\"alerts\":\n[{}]}\u{1b}[2J"});
    let daemon = Scripted::start(&[
        (
            "GET /api/v1/dead-letters",
            200,
            &page(std::slice::from_ref(&letter), None),
        ),
        ("GET /api/v1/dead-letters/D-17", 200, &letter.to_string()),
    ]);
    let shell = at(&daemon);
    let listed = shell.good(&["dead-letters", "list", "--source", "am"]);
    assert!(
        listed.contains("am      bad_request     20  alerts[0].labels is missing"),
        "{listed}"
    );
    let shown = shell.good(&["dead-letters", "show", "D-17"]);
    assert!(
        shown.contains("detail        alerts[0].labels is missing\n"),
        "{shown}"
    );
    assert!(
        shown.ends_with("\n\n{\"alerts\":\n[{}]} [2J\n"),
        "{shown:?}"
    );
}
