//! `watchbell simulate` and `watchbell bench correlate` by the real binary: formats, exit codes, the same bytes twice.
//!
//! The example is the one of `docs/simulate.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::tree::{file, top};

/// Runs the program in a folder of its own, with something to read on stdin.
fn run(folder: &Path, arguments: &[&str], stdin: &str) -> Output {
    let input = folder.join("stdin");
    fs::write(&input, stdin).unwrap();
    Command::new(env!("CARGO_BIN_EXE_watchbell"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::from(fs::File::open(input).unwrap()))
        .output()
        .unwrap()
}

fn example(name: &str) -> String {
    let path = top().join("tests/fixtures/simulate").join(name);
    path.to_str().unwrap().to_owned()
}

/// Plays the events and gives the lines of the result.
fn simulate(events: &str) -> Vec<Value> {
    let folder = TempDir::new().unwrap();
    let cmdb = example("cmdb.json");
    let arguments = [
        "simulate",
        "--cmdb",
        &cmdb,
        "--events",
        "-",
        "--out",
        "out.jsonl",
    ];
    let output = run(folder.path(), &arguments, events);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let text = fs::read_to_string(folder.path().join("out.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Says how it ended and what it said.
fn refusal(arguments: &[&str], stdin: &str) -> (Option<i32>, String) {
    let folder = TempDir::new().unwrap();
    let output = run(folder.path(), arguments, stdin);
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said)
}

#[test]
fn the_example_becomes_the_incidents_that_its_document_shows() {
    let lines = simulate(&file("tests/fixtures/simulate/events.jsonl").text);
    let incident_of: BTreeMap<&str, &str> = lines
        .iter()
        .filter_map(|line| Some((line["alert"].as_str()?, line["incident"].as_str()?)))
        .collect();
    assert_eq!(
        incident_of.len(),
        10,
        "every occurrence has a line: {incident_of:?}"
    );
    let outage: BTreeSet<&str> = (3..=9)
        .map(|n| incident_of[format!("e{n}").as_str()])
        .collect();
    assert_eq!(
        outage.len(),
        1,
        "hosts, machines, service and switch are one: {incident_of:?}"
    );
    for alone in ["e1", "e2", "e10"] {
        let together = incident_of
            .values()
            .filter(|it| **it == incident_of[alone])
            .count();
        assert_eq!(
            together, 1,
            "{alone} has nothing to do with it: {incident_of:?}"
        );
    }
    let incidents: Vec<&Value> = lines
        .iter()
        .filter(|line| line["roots"].is_array())
        .collect();
    assert_eq!(incidents.len(), 4);
    let own = incidents
        .iter()
        .find(|it| Some(it["incident"].as_str().unwrap()) == outage.first().copied());
    let own = own.unwrap();
    assert_eq!(own["opened_at"], 100.25);
    assert_eq!(own["alerts"], 7);
    assert_eq!(own["roots"][0]["ci"], "tor-1", "{own}");
    assert_eq!(own["roots"][0]["inferred"], false);
    assert_eq!(own["services"], serde_json::json!(["checkout"]), "{own}");
    assert!(
        own["roots"][0]["score"]
            .as_f64()
            .is_some_and(|score| score > 0.0 && score <= 1.0)
    );
    assert!(own["why"].as_str().is_some_and(|why| !why.is_empty()));
    let unknown = lines.iter().find(|line| line["alert"] == "e10").unwrap();
    assert_eq!(
        (&unknown["ci"], &unknown["binding"]),
        (&Value::Null, &"unbound".into())
    );
    let known = lines.iter().find(|line| line["alert"] == "e9").unwrap();
    assert_eq!(
        (&known["ci"], &known["binding"]),
        (&"tor-1".into(), &"bound".into())
    );
}

#[test]
fn the_document_shows_the_files() {
    let document = file("docs/simulate.md").text;
    for name in ["cmdb.json", "events.jsonl"] {
        assert!(
            document.contains(&format!("../tests/fixtures/simulate/{name}")),
            "{name}"
        );
    }
    let first = file("tests/fixtures/simulate/events.jsonl").text;
    assert!(
        document.contains(first.lines().nth(2).unwrap()),
        "its third line stands there whole"
    );
}

#[test]
fn several_occurrences_may_share_a_key_and_one_id_is_one_line() {
    let day = 86_400;
    let lines = simulate(&format!(
        "{{\"at\":0,\"alert\":{{\"id\":\"a\",\"key\":\"k\",\"status\":\"firing\"}},\"more\":[]}}\n\n\
         {{\"at\":60,\"source\":\"never heard of\",\"alert\":{{\"id\":\"a\",\"key\":\"k\",\"status\":\"firing\"}}}}\r\n\
         {{\"at\":100,\"alert\":{{\"id\":\"a\",\"key\":\"k\",\"status\":\"resolved\"}}}}\n\
         {{\"at\":{day},\"alert\":{{\"id\":\"b\",\"key\":\"k\",\"status\":\"firing\"}}}}\n\
         {{\"at\":{day},\"change\":{{\"id\":\"CHG-1\",\"ci\":\"no such\"}}}}"
    ));
    let alerts: Vec<_> = lines
        .iter()
        .filter(|line| line["alert"].is_string())
        .collect();
    let ids: Vec<_> = alerts
        .iter()
        .map(|line| line["alert"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["a", "b"]);
    assert_ne!(
        alerts[0]["incident"], alerts[1]["incident"],
        "a day later it is another incident"
    );
}

#[test]
fn the_same_files_give_the_same_bytes() {
    let folder = TempDir::new().unwrap();
    let (cmdb, events) = (example("cmdb.json"), example("events.jsonl"));
    let once = |out: &str| {
        let arguments = [
            "simulate", "--cmdb", &cmdb, "--events", &events, "--out", out,
        ];
        assert_eq!(run(folder.path(), &arguments, "").status.code(), Some(0));
        fs::read(folder.path().join(out)).unwrap()
    };
    assert_eq!(once("1.jsonl"), once("2.jsonl"));
}

#[test]
fn bad_input_is_told_with_its_line() {
    let cmdb = example("cmdb.json");
    let play = ["simulate", "--cmdb", &cmdb, "--events", "-", "--out", "-"];
    let good = "{\"at\":1,\"alert\":{\"id\":\"a\"}}\n";
    for (bad, words) in [
        ("{\"at\":", "line 2: not an event"),
        ("{\"alert\":{\"id\":\"a\"}}", "line 2: `at` is missing"),
        (
            "{\"at\":2,\"alert\":{\"id\":\"a\",\"status\":\"?\"}}",
            "line 2: `status` is \"?\"",
        ),
        ("{\"at\":2}", "line 2: neither"),
    ] {
        let (code, said) = refusal(&play, &format!("{good}{bad}\n"));
        assert!(
            code == Some(1) && said.contains(words),
            "{bad}: {code:?} {said}"
        );
    }
    let (code, said) = refusal(
        &[
            "simulate",
            "--cmdb",
            "gone.json",
            "--events",
            "-",
            "--out",
            "-",
        ],
        "",
    );
    assert!(
        code == Some(3) && said.contains("gone.json cannot be read"),
        "{said}"
    );
    let (code, said) = refusal(
        &[
            "simulate", "--cmdb", &cmdb, "--events", "gone", "--out", "-",
        ],
        "",
    );
    assert!(
        code == Some(3) && said.contains("gone cannot be read"),
        "{said}"
    );
    let (code, _) = refusal(&["simulate", "--cmdb", &cmdb], "");
    assert_eq!(code, Some(2));
    let (code, said) = refusal(
        &["simulate", "--cmdb", "stdin", "--events", "-", "--out", "-"],
        "{\"cis\":7}",
    );
    assert!(code == Some(1) && said.contains("stdin"), "{said}");
}

#[test]
fn a_made_up_world_can_be_written_and_played() {
    let folder = TempDir::new().unwrap();
    let write = [
        "bench",
        "correlate",
        "--set",
        "S0",
        "--seeds",
        "3..3",
        "--write",
        "worlds",
    ];
    assert_eq!(run(folder.path(), &write, "").status.code(), Some(0));
    let place = "worlds/S0-1k-3";
    let (cmdb, events) = (
        format!("{place}/cmdb.json"),
        format!("{place}/events.jsonl"),
    );
    let play = [
        "simulate",
        "--cmdb",
        &cmdb,
        "--events",
        &events,
        "--out",
        "out.jsonl",
    ];
    let output = run(folder.path(), &play, "");
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let ids = |name: &str| -> BTreeSet<String> {
        let text = fs::read_to_string(folder.path().join(name)).unwrap();
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .filter_map(|line| Some(line["alert"].as_str()?.to_owned()))
            .collect()
    };
    let told = ids(&format!("{place}/truth.jsonl"));
    assert!(told.len() > 500);
    assert_eq!(
        ids("out.jsonl"),
        told,
        "every alert of the truth has a line"
    );
}

#[test]
fn a_benchmark_reports_every_method_with_its_interval() {
    let folder = TempDir::new().unwrap();
    let arguments = [
        "bench",
        "correlate",
        "--set",
        "S4",
        "--seeds",
        "1..1",
        "--json",
    ];
    let output = run(folder.path(), &arguments, "");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let world = &report["worlds"][0];
    assert_eq!(
        (&world["set"], &world["ground"]),
        (&"S4".into(), &"1k".into())
    );
    let methods = world["methods"].as_array().unwrap();
    assert!(methods[0]["name"] == "watchbell" && methods.len() > 15);
    assert!(methods[0]["metrics"]["false_incidents"]["mean"].is_number());
    let (code, said) = refusal(&["bench", "correlate", "--set", "S9"], "");
    assert!(code == Some(2) && said.contains("S0 to S6"), "{said}");
    let (code, _) = refusal(&["bench", "correlate", "--seeds", "9..1"], "");
    assert_eq!(code, Some(2));
}
