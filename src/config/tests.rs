//! The shipped file: it is the defaults, its examples are valid, and it names every key that is read.

use std::collections::BTreeSet;

use crate::config::env::Env;
use crate::config::files::{DEFAULTS, Files};
use crate::config::reader::Reading;
use crate::config::settings::{LogFormat, Settings, SourceKind, StoreUrl};
use crate::config::tree::{self, Lists, Table};
use crate::config::{LoadRequest, load, rules, sections};
use crate::core::rules::{Rules, SourceRules};
use crate::core::time::Span;

fn defaults(env: Env) -> Settings {
    let request = LoadRequest {
        file: None,
        search: Vec::new(),
        env,
        is_demo: false,
    };
    load(&request).expect("the shipped file is valid")
}

/// The shipped file with its examples switched on.
fn with_examples() -> String {
    let switched_on = |line: &'static str| match line.strip_prefix('#') {
        Some(example) if example.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => {
            example
        }
        Some(_) | None => line,
    };
    DEFAULTS
        .lines()
        .map(switched_on)
        .collect::<Vec<_>>()
        .join("\n")
}

fn parse(text: &str) -> Table {
    let (table, errors) = tree::parse(0, text);
    assert!(errors.is_empty(), "not TOML: {text}");
    table
}

fn table(value: &tree::Value) -> &Table {
    let tree::Value::Table(table) = value else {
        panic!("not a table: {value:?}");
    };
    table
}

/// Reads a document and returns its messages and the keys that were asked for.
fn read(text: &str) -> (Vec<String>, BTreeSet<String>) {
    let mut table = parse(text);
    table.remove("include");
    let env = Env::fixed([
        ("CREDENTIALS_DIRECTORY", "/nowhere"),
        ("ALERTMANAGER_PASSWORD", "long enough"),
    ]);
    let files = Files::none();
    let reading = Reading::new(&files, &env);
    sections::read(reading.root(&table), &env);
    let asked = reading.asked();
    let messages = match reading.finish() {
        Ok(()) => Vec::new(),
        Err(errors) => errors
            .0
            .iter()
            .map(|e| format!("{}: {}", e.key, e.message))
            .collect(),
    };
    (messages, asked)
}

#[test]
fn defaults_are_the_values_of_the_contract() {
    let settings = defaults(Env::fixed([]));
    assert_eq!(
        settings.server.listen,
        ["127.0.0.1:8080".parse().expect("address")]
    );
    assert_eq!(settings.server.body_max, 16 << 20);
    assert_eq!(settings.server.tls, None);
    assert_eq!(
        settings.store.url,
        StoreUrl::Sqlite("data/watchbell.db".into())
    );
    assert_eq!(settings.state_dir(), "data");
    assert!(!settings.auth.is_required);
    assert_eq!(settings.retention.inputs, Span::from_days(14));
    assert_eq!(settings.retention.input_bytes_max, 20 << 30);
    assert_eq!(
        settings.retention.closed_incidents,
        Span::from_days(3 * 365)
    );
    assert_eq!(settings.retention.cmdb_versions, Span::from_days(90));
    assert_eq!(settings.limits.inbox_rows, 100_000);
    assert_eq!(
        (settings.log.level.as_str(), settings.log.format),
        ("info", LogFormat::Auto)
    );
    assert!(settings.files.is_empty());
    let [source] = settings.sources.as_slice() else {
        panic!("one source is built in");
    };
    assert_eq!(
        (source.name.as_str(), source.kind),
        ("alertmanager", SourceKind::Alertmanager)
    );
    assert!(source.api && !source.is_authenticated());
}

#[test]
fn defaults_agree_with_the_defaults_of_the_core() {
    let built_in = rules(&defaults(Env::fixed([])));
    assert_eq!(built_in.incident, Rules::default().incident);
    assert_eq!(built_in.correlation, Rules::default().correlation);
    assert_eq!(built_in.sources["alertmanager"], SourceRules::default());
}

#[test]
fn state_goes_where_systemd_says() {
    let settings = defaults(Env::fixed([(
        "STATE_DIRECTORY",
        "/var/lib/watchbell:/var/lib/other",
    )]));
    assert_eq!(
        settings.store.url,
        StoreUrl::Sqlite("/var/lib/watchbell/watchbell.db".into())
    );
    assert_eq!(settings.state_dir(), "/var/lib/watchbell");
}

#[test]
fn every_example_in_the_shipped_file_is_valid() {
    let (messages, _) = read(&with_examples());
    // The files and credentials of the examples are not there; nothing else may be wrong.
    let other: Vec<_> = messages
        .iter()
        .filter(|m| !m.contains("cannot read"))
        .collect();
    assert!(other.is_empty(), "{other:#?}");
    assert_eq!(messages.len(), 26, "{messages:#?}");
}

#[test]
fn the_shipped_file_names_every_key_that_is_read() {
    let (_, asked) = read(&with_examples());
    assert!(asked.len() > 40, "{asked:?}");
    for path in asked {
        let key = path.rsplit('.').next().unwrap_or_default();
        let is_named = [format!("{key} = "), format!("[{key}]"), format!("[{path}]")]
            .iter()
            .any(|t| DEFAULTS.contains(t));
        assert!(is_named, "{path} is not in config/watchbell.toml");
    }
}

#[test]
fn every_value_in_the_shipped_file_has_a_comment_above() {
    let mut previous = "";
    for line in DEFAULTS.lines() {
        let is_value = line.contains(" = ") && !line.starts_with("# ");
        let is_explained = previous.starts_with('#') || previous.starts_with("header_timeout");
        assert!(!is_value || is_explained, "no comment above: {line}");
        previous = line;
    }
}

#[test]
fn every_table_refuses_unknown_keys() {
    let text = with_examples();
    let lines: Vec<&str> = text.lines().collect();
    let mut changed = Vec::new();
    for (at, line) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| !line.starts_with("# "))
    {
        if line.starts_with('[') {
            changed.push((at, format!("{line}\nzzz = 1")));
        }
        let braces = line
            .match_indices("{ ")
            // Two braces are a template inside a text, not a table.
            .filter(|(brace, _)| !line.split_at(*brace).0.ends_with('{'))
            .map(|(brace, _)| line.split_at(brace + 2));
        changed.extend(braces.map(|(head, tail)| (at, format!("{head}zzz = 1, {tail}"))));
    }
    assert!(changed.len() > 12, "{changed:?}");
    for (at, line) in changed {
        let mut lines = lines.clone();
        lines[at] = &line;
        let (messages, _) = read(&lines.join("\n"));
        let is_refused = |m: &String| {
            ["zzz: ", "exactly one", "`zzz`"]
                .iter()
                .any(|part| m.contains(part))
        };
        assert!(
            messages.iter().any(is_refused),
            "an unknown key passes: {line}"
        );
    }
}

#[test]
fn merge_appends_tables_of_files_and_replaces_anything_else() {
    let merged = |lists| {
        let mut base = parse("a = [1]\n[t]\nx = 1\ny = 2\n[[s]]\nn = 1");
        tree::merge(
            &mut base,
            parse("a = [2, 3]\n[t]\ny = 3\n[[s]]\nn = 2"),
            lists,
        );
        let count = |key: &str| {
            let value = &base[key].1.value;
            if let tree::Value::List(items) = value {
                items.len()
            } else {
                table(value).len()
            }
        };
        (count("a"), count("t"), count("s"))
    };
    assert_eq!(merged(Lists::Append), (2, 2, 2));
    assert_eq!(merged(Lists::Replace), (2, 2, 1));
}
