//! What the documents say, held against what there is: links, commands, configurations, metrics, tests.
//!
//! A block of code in a document is checked by what stands at its fence: `sh` lines that call `watchbell` must be
//! understood by it, `toml` must be a valid configuration, `yaml` is checked in `deploy`. Must not pass when a document has
//! nothing of the kind any more; then the check has lost its subject.

use std::collections::BTreeSet;
use std::fs::write;
use std::process::Command;

use tempfile::TempDir;
use watchbell::config::{Env, LoadRequest, load};
use watchbell::telemetry::metrics::NAMES;

use crate::support::tree::{File, file, files, none, top};

/// A block of code with the line of its fence.
pub(crate) struct Block {
    pub(crate) at: String,
    pub(crate) text: String,
}

/// Every document of the package.
fn documents() -> Vec<File> {
    files("", ".md")
}

/// The blocks of one language in all documents; there must be some.
pub(crate) fn blocks(language: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    for document in documents() {
        let mut open: Option<Block> = None;
        for (number, line) in (1..).zip(document.text.lines()) {
            match (&mut open, line.strip_prefix("```")) {
                (None, Some(found)) => {
                    open = Some(Block {
                        at: format!("{} {found}", document.at(number)),
                        text: String::new(),
                    });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(block), None) => block.text.extend([line, "\n"]),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block is not closed", document.path);
    }
    blocks.retain(|block| block.at.ends_with(&format!(" {language}")));
    assert!(!blocks.is_empty(), "no document has a block of {language}");
    blocks
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    for document in documents() {
        let folder = document
            .path
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder);
        for (number, line) in (1..).zip(document.text.lines()) {
            for link in line.split("](").skip(1) {
                let target = link.split(')').next().unwrap();
                let path = target.split('#').next().unwrap();
                let is_ours = !path.is_empty() && !target.contains("://");
                if is_ours && !top().join(folder).join(path).exists() {
                    wrong.push(format!("{}: {target}", document.at(number)));
                }
            }
        }
    }
    none("links that lead nowhere", &wrong);
}

#[test]
fn paths_that_are_named_exist() {
    let roots = [
        "src/", "tests/", "docs/", "config/", "deploy/", "benches/", ".ci/",
    ];
    let mut wrong = Vec::new();
    for document in documents() {
        for (number, line) in (1..).zip(document.text.lines()) {
            // Every second piece stands between backticks.
            for word in line.split('`').skip(1).step_by(2) {
                let is_path = roots.iter().any(|root| word.starts_with(root));
                if is_path && !word.contains(['<', '*', ' ']) && !top().join(word).exists() {
                    wrong.push(format!("{}: {word}", document.at(number)));
                }
            }
        }
    }
    none("paths that do not exist", &wrong);
}

#[test]
fn readme_leads_to_every_document() {
    let readme = file("README.md").text;
    for document in files("docs", ".md") {
        let is_there = readme.contains(&format!("({})", document.path));
        // One of several of a kind is reached through the one that README names.
        let kinds = ["docs/sources/", "docs/connectors/"];
        let is_of_a_kind = kinds.iter().any(|kind| document.path.starts_with(kind));
        assert!(
            is_there || is_of_a_kind,
            "README does not link {}",
            document.path
        );
    }
}

/// The calls of `watchbell` in a line of shell.
fn calls(line: &str) -> Vec<Vec<String>> {
    let line = line.split(" #").next().unwrap();
    // What another program prints is some argument.
    let mut pieces = line.split("$(");
    let mut line = pieces.next().unwrap().to_owned();
    for piece in pieces {
        match piece.split_once(')') {
            Some((_, rest)) if !piece.starts_with("watchbell ") => line.extend(["1", rest]),
            Some(_) | None => line.extend(["$(", piece]),
        }
    }
    let mut calls = Vec::new();
    for part in line.split(['|', ';', '>', '<', '&']) {
        let mut words = part.split_whitespace();
        if words.any(|word| word == "watchbell" || word.ends_with("$(watchbell")) {
            let arguments = words.map(|word| word.trim_end_matches(')').replace(['\'', '"'], ""));
            calls.push(arguments.collect());
        }
    }
    calls
}

#[test]
fn commands_are_understood() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for block in blocks("sh") {
        for line in block.text.replace("\\\n", " ").lines() {
            for arguments in calls(line) {
                count += 1;
                // Help is printed when everything before it was understood.
                let output = Command::new(env!("CARGO_BIN_EXE_watchbell"))
                    .args(&arguments)
                    .arg("--help")
                    .output()
                    .unwrap();
                // The units' names stand behind programs of systemd.
                let is_call = !arguments.is_empty() && !line.trim_start().starts_with("systemctl");
                if is_call && !output.status.success() {
                    wrong.push(format!("{}: watchbell {}", block.at, arguments.join(" ")));
                }
            }
        }
    }
    none("commands that watchbell does not understand", &wrong);
    assert!(count > 10, "{count} commands found");
}

#[test]
fn configurations_are_valid() {
    for block in blocks("toml") {
        let folder = TempDir::new().unwrap();
        let place = folder.path().to_str().unwrap();
        // Whatever a block names between quotes may be a secret's file, or its name.
        for word in block.text.split('"').skip(1).step_by(2) {
            let name = word.strip_prefix("/etc/watchbell/").unwrap_or(word);
            if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
                write(folder.path().join(name), "as long as a secret should be").unwrap();
            }
        }
        let path = folder.path().join("watchbell.toml");
        write(&path, block.text.replace("/etc/watchbell", place)).unwrap();
        let env = Env::fixed([
            ("CREDENTIALS_DIRECTORY", place),
            // The address of a channel is a secret, and has to be an address.
            ("OPS_CHAT_WEBHOOK", "https://chat.example/hook"),
        ]);
        if let Err(errors) = load(&LoadRequest::new(Some(path), env)) {
            panic!("{}: {errors}", block.at);
        }
    }
}

#[test]
fn json_is_json() {
    for block in blocks("json") {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(&block.text);
        assert!(parsed.is_ok(), "{}: {parsed:?}", block.at);
    }
}

/// Every word in a text that looks like the name of one of our metrics or series.
pub(crate) fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_part(c))
        .filter(|word| {
            ["watchbell_", "process_", "alertmanager_build_"]
                .iter()
                .any(|start| word.starts_with(start))
        })
        .map(ToOwned::to_owned)
        .collect()
}

#[test]
fn metrics_are_documented_and_nothing_else_is_used() {
    let document = file("docs/metrics.md");
    let rows: BTreeSet<String> = document
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .flat_map(metrics_in)
        .collect();
    let names: BTreeSet<String> = NAMES.iter().map(ToString::to_string).collect();
    assert_eq!(
        rows, names,
        "left: the table of docs/metrics.md, right: NAMES"
    );
    let all = documents().into_iter().chain(files("deploy", ""));
    let mut wrong = Vec::new();
    for file in all.filter(|file| !file.path.contains("systemd")) {
        for word in metrics_in(&file.text) {
            let base = ["_bucket", "_count", "_sum"].iter().find_map(|ending| {
                word.strip_suffix(ending)
                    .filter(|_| word.contains("_seconds_"))
            });
            if !names.contains(base.unwrap_or(&word)) {
                wrong.push(format!("{}: {word}", file.path));
            }
        }
    }
    none("metrics that do not exist", &wrong);
}

/// A promise without its test is only a wish.
#[test]
fn tests_that_guarantees_name_exist() {
    let document = file("docs/guarantees.md");
    let mut named = 0;
    for (number, line) in (1..).zip(document.text.lines()) {
        if !line.starts_with("| ") || line.starts_with("| promise") {
            continue;
        }
        let shown_by = line.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let tests: Vec<&str> = shown_by.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "{} names no test", document.at(number));
        for test in tests {
            named += 1;
            assert!(
                exists(test),
                "{}: there is no test {test}",
                document.at(number)
            );
        }
    }
    assert!(named > 20, "{named} tests are named");
}

/// Whether the path of a test, as the test program prints it, leads to a function.
fn exists(test: &str) -> bool {
    let (module, name) = test.rsplit_once("::").unwrap();
    let path = module.replace("::", "/");
    let unit = path.strip_suffix("/tests").unwrap_or(&path);
    let places = [
        format!("tests/it/{path}.rs"),
        format!("tests/it/{path}/mod.rs"),
        format!("src/{unit}.rs"),
        format!("src/{unit}/mod.rs"),
        format!("src/{path}.rs"),
    ];
    places
        .iter()
        .filter(|place| top().join(place).exists())
        .any(|place| file(place).text.contains(&format!("fn {name}(")))
}

#[test]
fn the_checks_find_what_they_look_for() {
    let found =
        calls("watchbell check --config a.toml && systemctl reload watchbell   # all errors");
    assert_eq!(found, [vec!["check", "--config", "a.toml"], vec![]]);
    let found = calls("export T=$(watchbell token create --role 'viewer')");
    assert_eq!(found, [["token", "create", "--role", "viewer"]]);
    let found = calls("watchbell bench ingest --pid $(pidof watchbell)");
    assert_eq!(found, [["bench", "ingest", "--pid", "1"]]);
    let found = calls("STATE_DIRECTORY=/x watchbell backup f.db | cat");
    assert_eq!(found, [["backup", "f.db"]]);
    assert!(exists("docs::links_lead_somewhere") && !exists("docs::links_lead_nowhere"));
    assert!(exists(
        "telemetry::metrics::tests::forgotten_source_keeps_its_counters_only"
    ));
    let words = metrics_in("rate(watchbell_a_total{x=\"watchbell\"}[5m]) / process_b");
    assert_eq!(
        words.into_iter().collect::<Vec<_>>(),
        ["process_b", "watchbell_a_total"]
    );
}
