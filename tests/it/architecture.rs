//! The shape of the package: who may import whom, sizes, module texts, bans, and lists that must be complete.
//!
//! Each rule stands at its test with the reason why there is one. That the shipped configuration names every key with
//! a comment is checked in `src/config/tests.rs`, that every reason is met in `reasons`, that documents tell the truth in
//! `docs`. Must not list exceptions without saying why.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};
use watchbell::core::reason::Reason;
use watchbell::sources::SOURCES;

use crate::support::golden;
use crate::support::tree::{File, file, files, none, top};

/// What each layer may import besides itself: a layer, or one module of it. A new layer must be added here.
const IMPORTS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("telemetry", &[]),
    ("answer_link", &["core"]),
    ("replies", &["core", "answer_link", "runtime", "wire"]),
    ("api_token", &[]),
    ("token_key", &[]),
    ("bench", &[]),
    ("runtime", &["telemetry", "core::time"]),
    // A mapping is compiled where it is read, so that its errors have a file and a line.
    ("config", &["core", "sources", "connectors"]),
    ("connectors", &["core"]),
    ("sources", &["core"]),
    ("importers", &["core"]),
    ("wire", &["core", "importers", "connectors", "runtime::pin"]),
    (
        "deliver",
        &[
            "core",
            "store::outbox",
            "store::writer",
            "store::Db",
            "store::StoreError",
            "wire",
            "runtime",
            "telemetry",
        ],
    ),
    ("store", &["core", "telemetry"]),
    ("engine", &["core", "store", "runtime", "telemetry"]),
    (
        "ingest",
        &[
            "core",
            "sources",
            "store::dead_letters",
            "store::inbox",
            "store::writer",
            // Opsgenie's API also shows alerts, and what came of a request.
            "store::query",
            "store::Db",
            "store::StoreError",
            "engine::handle",
            // Opsgenie's API also shows how the heartbeats do.
            "engine::pulses",
            "runtime",
            "telemetry",
        ],
    ),
    (
        "api",
        &[
            "core",
            "store::audit",
            "store::dead_letters",
            "store::query",
            "store::overrides",
            "store::silences",
            "store::tickets",
            "store::tokens",
            "store::Db",
            "store::StoreError",
            "store::Conn",
            "engine::handle",
            "runtime",
            "telemetry",
            "api_token",
            "answer_link",
            "replies",
            // An uploaded export is read where it arrives.
            "importers",
            "web",
        ],
    ),
    ("web", &[]),
    (
        "tickets",
        &[
            "core",
            "connectors",
            "wire",
            "store::tickets",
            "store::query",
            "store::Db",
            "engine::handle",
            "runtime",
            "telemetry",
        ],
    ),
    ("lab", &["core"]),
    (
        "simulate",
        &[
            "core",
            "lab",
            "sources::severity_words",
            "sources::status_words",
            "sources::time_text",
        ],
    ),
    ("app", &["*"]),
    ("cli", &["*"]),
    ("lib", &[]),
    ("main", &[]),
];
/// The layers that only compute.
const PURE: [&str; 4] = ["core", "sources", "importers", "connectors"];
/// What the pure layers may take from outside besides `std`.
const PURE_CRATES: [&str; 13] = [
    "fnv",
    "foldhash",
    "hashbrown",
    "jiff",
    "proptest",
    "regex",
    "rrule",
    "serde",
    "sha2",
    "smol_str",
    "std",
    "thiserror",
    "xxhash_rust",
];
/// What only decoders may take besides: formats and the expressions of mappings, none of which does I/O.
const FORMAT_CRATES: [&str; 12] = [
    "base64",
    "bytes",
    "csv",
    "mailparse",
    "minijinja",
    "percent_encoding",
    "quick_xml",
    "prost",
    "serde_json",
    "serde_saphyr",
    "toml",
    "url",
];
/// Where the core evaluates what an operator wrote; values in, truth or a text out.
const EXPRESSIONS: [&str; 3] = [
    "src/core/expr.rs",
    "src/core/condition/mod.rs",
    "src/core/bind/rule.rs",
];
/// More lines than this are two files.
const LINES_MAX: usize = 600;

fn layer(path: &str) -> &str {
    let inner = path.strip_prefix("src/").unwrap();
    let first = inner.split('/').next().unwrap();
    first.strip_suffix(".rs").unwrap_or(first)
}

/// A layer that may import everything can be imported by nobody, and the pure core by everybody: that keeps decisions
/// testable without a database, and a change in one layer out of the others.
#[test]
fn layers_import_only_what_they_may() {
    let mut wrong = Vec::new();
    for file in files("src", ".rs") {
        let own = layer(&file.path);
        let (_, allowed) = IMPORTS
            .iter()
            .find(|(name, _)| *name == own)
            .unwrap_or_else(|| panic!("{own} is not in the table of layers"));
        for (number, path) in paths(&file) {
            let is_in = |place: &str| path.strip_prefix(place).is_some_and(is_end);
            if !is_in(own) && !allowed.iter().any(|entry| *entry == "*" || is_in(entry)) {
                wrong.push(format!("{}: crate::{path}", file.at(number)));
            }
        }
        for (number, line) in file.code() {
            // Leads out of a layer unseen.
            if line.contains("super::super") {
                wrong.push(format!("{}: write crate:: instead", file.at(number)));
            }
        }
    }
    none("imports that the table of layers does not allow", &wrong);
}

/// Every path behind `crate::` with its line; a list in braces is as many paths.
fn paths(file: &File) -> Vec<(usize, String)> {
    let mut code = vec![""; file.text.lines().count() + 1];
    for (number, line) in file.code() {
        code[number - 1] = line;
    }
    let code = code.join("\n");
    let mut paths = Vec::new();
    let mut number = 1;
    let mut rest = code.as_str();
    while let Some((before, after)) = rest.split_once("crate::") {
        number += before.matches('\n').count();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let end = after.find(|c| !is_part(c)).unwrap_or(after.len());
        let (path, behind) = after.split_at(end);
        match behind.strip_prefix('{') {
            Some(list) => {
                let names = list.split('}').next().unwrap().split(',');
                let names = names.map(str::trim).filter(|name| !name.is_empty());
                paths.extend(names.map(|name| (number, format!("{path}{name}"))));
            }
            None => paths.push((number, path.to_owned())),
        }
        rest = after;
    }
    paths
}

fn is_end(rest: &str) -> bool {
    !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
}

#[test]
fn every_layer_in_the_table_exists() {
    for (name, _) in IMPORTS {
        let is_there = [format!("src/{name}/mod.rs"), format!("src/{name}.rs")]
            .iter()
            .any(|path| top().join(path).exists());
        assert!(is_there, "{name} is in the table and not in src");
    }
}

/// The same inputs must give the same decisions, at any speed, on any machine.
#[test]
fn pure_layers_do_not_wait_log_or_look_around() {
    let banned = [
        "async ",
        "async{",
        ".await",
        "log::",
        "tracing::",
        "tokio",
        "sqlx",
        "axum",
        "reqwest",
        "std::fs",
        "std::io",
        "std::env",
        "std::net",
        "std::process",
        "std::thread",
        "SystemTime",
        "Instant::",
        "println!",
        "eprintln!",
        "include_bytes!",
    ];
    let mut wrong = Vec::new();
    for layer in PURE {
        // Tests may look at the clock to see that hostile input ends.
        let product = files(&format!("src/{layer}"), ".rs").into_iter();
        for file in product.filter(|file| !file.path.ends_with("/tests.rs")) {
            for (number, line) in file.code() {
                let is_banned = banned.iter().any(|word| line.contains(word));
                let root = line
                    .strip_prefix("use ")
                    .or_else(|| line.strip_prefix("pub use "));
                let root = root.map(|path| path.split([':', ';']).next().unwrap_or_default());
                let is_known = root.is_none_or(|root| {
                    ["crate", "super", "self"].contains(&root)
                        || PURE_CRATES.contains(&root)
                        || (root == "minijinja" && EXPRESSIONS.contains(&file.path.as_str()))
                        || (layer != "core" && FORMAT_CRATES.contains(&root))
                });
                if is_banned || !is_known {
                    wrong.push(format!("{}: {}", file.at(number), line.trim()));
                }
            }
        }
    }
    none("core and sources are pure", &wrong);
}

#[test]
fn files_are_short() {
    let mut wrong = Vec::new();
    for file in files("", ".rs") {
        let count = file.text.lines().count();
        if count > LINES_MAX {
            wrong.push(format!("{}: {count} lines", file.path));
        }
    }
    none("more lines than one file may have", &wrong);
}

/// Who opens a file learns first what it is for; who changes a layer learns what must stay out of it.
#[test]
fn every_file_says_first_what_it_is_and_what_it_must_not() {
    let mut wrong = Vec::new();
    for file in files("", ".rs") {
        let text = file.module_text();
        if text.trim().is_empty() {
            wrong.push(format!("{}: no module text at its top", file.path));
        }
        let depth = file.path.matches('/').count();
        let is_layer = depth == 1 || (depth == 2 && file.path.ends_with("/mod.rs"));
        let is_bound =
            file.path.starts_with("src/") && (is_layer || file.path.starts_with("src/core/"));
        let says_must_not = text.contains("Must not") || text.contains("must not");
        if is_bound && !says_must_not && !file.path.ends_with("/tests.rs") {
            wrong.push(format!("{}: no sentence with \"Must not\"", file.path));
        }
    }
    none("module texts", &wrong);
}

/// Statements live where the test that runs each of them on both engines finds them, and only text that the compiler has
/// seen reaches a database.
#[test]
fn sql_stays_in_the_store_and_is_never_built_from_text() {
    let keywords = [
        "SELECT ",
        "INSERT INTO ",
        "UPDATE ",
        "DELETE FROM ",
        "CREATE TABLE ",
        "CREATE INDEX ",
        "DROP TABLE ",
        "ALTER TABLE ",
        "PRAGMA ",
        "VACUUM ",
    ];
    let marker = concat!("Assert", "SqlSafe");
    let mut wrong = Vec::new();
    for file in files("src", ".rs") {
        for (number, line) in file.code() {
            let is_sql =
                layer(&file.path) != "store" && keywords.iter().any(|word| line.contains(word));
            if is_sql || line.contains(marker) {
                wrong.push(format!("{}: {}", file.at(number), line.trim()));
            }
        }
    }
    none("SQL outside the store, or built at run time", &wrong);
}

/// Rooms that exist on one machine only, and places to download from: a checkout must work anywhere.
#[test]
fn no_file_names_a_machine_or_a_registry() {
    let folders = [
        concat!("/wo", "rk"),
        concat!("/ro", "ot"),
        concat!("/ho", "me"),
    ];
    let hosts = [
        concat!("crates", ".io"),
        concat!("docker", ".io"),
        concat!("gh", "cr.io"),
        concat!("quay", ".io"),
        concat!("npm", "js"),
        concat!("pypi", ".org"),
        concat!("proxy", ".golang"),
        concat!("deb", ".debian.org"),
    ];
    let mut wrong = Vec::new();
    // Cargo writes the registry into the lock file itself.
    let all = files("", "")
        .into_iter()
        .filter(|file| file.path != "Cargo.lock");
    for file in all {
        for (number, line) in (1..).zip(file.text.lines()) {
            let has_folder = folders.iter().any(|folder| names_folder(line, folder));
            if has_folder || hosts.iter().any(|host| line.contains(host)) {
                wrong.push(format!("{}: {}", file.at(number), line.trim()));
            }
        }
    }
    none("names of one machine or of a registry", &wrong);
}

/// Whether an absolute path into `folder` stands in the line; a part of a longer path or URL is none.
fn names_folder(line: &str, folder: &str) -> bool {
    let parts: Vec<&str> = line.split(folder).collect();
    parts.windows(2).any(|pair| {
        let before = pair[0].chars().next_back();
        let is_start = before.is_none_or(|c| !c.is_alphanumeric() && !"-_.}/".contains(c));
        is_start && pair[1].starts_with('/')
    })
}

/// A test that is skipped, or that guesses how long something takes, proves nothing.
#[test]
fn tests_are_never_ignored_and_do_not_sleep() {
    // Files that pause on purpose, with the reason.
    let pauses = [
        (
            "tests/it/bench.rs",
            "a server that answers late is what is tested",
        ),
        (
            "tests/it/listen.rs",
            "a client that drips, and a request that lasts, are what is tested",
        ),
        (
            "tests/it/store/readers.rs",
            "somebody who holds the lock for a while is what is tested",
        ),
        (
            "tests/it/hostile/volume.rs",
            "the pause between two looks at a condition",
        ),
        (
            "tests/it/store/lost_answer.rs",
            "the pause between two looks at a condition",
        ),
        (
            "tests/it/support/mod.rs",
            "the pause between two looks at a condition",
        ),
        (
            "tests/it/support/process.rs",
            "the pause between two looks at a condition",
        ),
    ];
    let mut wrong = Vec::new();
    for file in files("tests", ".rs").into_iter().chain(files("src", ".rs")) {
        // On driven time a sleep is an event, not a wait.
        let is_driven =
            file.text.contains("start_paused = true") || file.text.contains("time::pause()");
        let is_known = pauses.iter().any(|(path, _)| *path == file.path);
        for (number, line) in file.code() {
            let sleeps = file.path.starts_with("tests/")
                && !is_driven
                && !is_known
                && line.contains("sleep(");
            if sleeps || line.contains(concat!("#[ig", "nore")) {
                wrong.push(format!("{}: {}", file.at(number), line.trim()));
            }
        }
    }
    wrong.retain(|line| !line.starts_with("tests/it/architecture.rs"));
    none("ignored or sleeping tests", &wrong);
}

/// A source that is written and not listed would never be asked.
#[test]
fn sources_are_listed_and_have_fixtures() {
    let mut written = 0;
    for file in files("src/sources", ".rs") {
        written += file
            .code()
            .filter(|(_, line)| line.contains("impl Source for"))
            .count();
    }
    // One decoder runs every mapping; its presets are listed by their files instead. Sparkplug says nothing without its
    // topic, and has tests of its own.
    assert_eq!(written, SOURCES.len() + 2, "a source is missing in SOURCES");
    let mut kinds: BTreeSet<_> = SOURCES
        .iter()
        .map(|source| source.kind().to_owned())
        .collect();
    let presets = files("config/sources", ".toml");
    let names = presets
        .iter()
        .map(|file| file.path.rsplit('/').next().unwrap());
    assert_eq!(kinds.len(), SOURCES.len(), "two sources of one kind");
    kinds.extend(names.map(|name| name.trim_end_matches(".toml").to_owned()));
    for kind in &kinds {
        assert!(!files(&format!("tests/fixtures/{kind}"), "").is_empty());
    }
    // Inventories and histories are checked where they are read.
    let ours = |file: &File| {
        let other = ["tests/fixtures/importers/", "tests/fixtures/simulate/"];
        !other.iter().any(|folder| file.path.starts_with(folder))
    };
    for file in files("tests/fixtures", "").into_iter().filter(ours) {
        let folder = file.path.split('/').nth(2).unwrap();
        let kind = folder.strip_suffix("_poll").unwrap_or(folder);
        // The example of `watchbell simulate` is no sender's.
        if kind == "simulate" {
            continue;
        }
        assert!(kinds.contains(kind), "{} belongs to no source", file.path);
    }
}

/// Reasons are a promise: stored, shown to people, and counted under their codes.
#[test]
fn every_reason_has_a_code_and_a_sentence_of_its_own() {
    let mut seen = BTreeSet::new();
    for reason in Reason::ALL {
        let (code, sentence) = (reason.code(), reason.sentence());
        assert!(seen.insert(code) && seen.insert(sentence), "{code} twice");
        let is_word = code.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        assert!(is_word, "{code} is not a word for a label");
        let is_sentence = sentence.starts_with(char::is_uppercase) && sentence.ends_with('.');
        assert!(is_sentence && sentence.len() > 20, "{code}: {sentence:?}");
    }
}

/// A migration that has run somewhere must never change: the store would refuse to start.
///
/// Until the first release `0001` may still be edited; then run this test with `WATCHBELL_GOLDEN=write` and commit the
/// new checksum. From the first release on a line in that file is only ever added.
#[test]
fn migrations_are_frozen() {
    let mut text = String::new();
    for file in files("src/store/schema", ".sql") {
        let name = file.path.rsplit('/').next().unwrap();
        let sum = hex::encode(Sha256::digest(file.text.as_bytes()));
        text.push_str(&format!("{sum}  {name}\n"));
    }
    golden::equals("schema.sha256", &text);
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let manifest = file("Cargo.toml");
    let mut is_list = false;
    let mut wrong = Vec::new();
    for (number, line) in (1..).zip(manifest.text.lines()) {
        if line.starts_with('[') {
            is_list = line.ends_with("dependencies]");
        } else if is_list && line.contains(" = ") && !line.contains(" # ") {
            wrong.push(format!("{}: {line}", manifest.at(number)));
        }
    }
    none("dependencies without a reason behind them", &wrong);
}

/// The rules above, given what they must refuse.
#[test]
fn the_rules_bite() {
    assert!(names_folder(
        concat!("see /wo", "rk/x"),
        concat!("/wo", "rk")
    ));
    assert!(!names_folder(
        concat!("https://a/wo", "rk/x"),
        concat!("/wo", "rk")
    ));
    assert!(!is_end("_more") && is_end("::more") && is_end(";"));
    assert_eq!(layer("src/core/time.rs"), "core");
    let imports = File {
        path: "src/a/b.rs".to_owned(),
        text: "// crate::no\nuse crate::a::{\n    B,\n    c::D,\n};\nlet x = crate::e::f(1);"
            .to_owned(),
    };
    let found = paths(&imports)
        .into_iter()
        .map(|(number, path)| format!("{number} {path}"));
    assert_eq!(found.collect::<Vec<_>>(), ["2 a::B", "2 a::c::D", "6 e::f"]);
    let sample = File {
        path: "x.rs".to_owned(),
        text: "//! One.\n//! Two.\n\n// no\nlet x = 1;".to_owned(),
    };
    assert_eq!(sample.module_text(), " One. Two.");
    assert_eq!(
        sample.code().collect::<Vec<_>>(),
        [(3, ""), (5, "let x = 1;")]
    );
}
