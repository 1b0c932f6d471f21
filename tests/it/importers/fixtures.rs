//! Every format with a small inventory that has its quirks, and what no input may do to any of them.

use std::fs::read;
use std::path::Path;

use insta::{Settings, assert_json_snapshot};
use proptest::prelude::{ProptestConfig, any, prop, proptest};
use watchbell::core::cmdb::record::Picture;
use watchbell::importers::{Format, IMPORTERS, ImportError, NamedBytes, find, guess};

use crate::support::tree::top;

/// Formats and their fixtures; `csv` and `native` have tests of their own.
const FIXTURES: [(&str, &str); 12] = [
    ("netbox", "netbox.json"),
    ("servicenow", "servicenow.json"),
    ("itop", "itop.json"),
    ("glpi", "glpi.json"),
    ("backstage", "backstage.yaml"),
    ("kubernetes", "kubernetes.yaml"),
    ("terraform", "terraform.tfstate"),
    ("ansible", "ansible.ini"),
    ("ansible", "ansible.yaml"),
    ("prometheus", "prometheus.json"),
    ("graphml", "graphml.graphml"),
    ("prometheus", "file_sd.yaml"),
];

fn file(name: &str) -> NamedBytes {
    let path = top().join(Path::new("tests/fixtures/importers")).join(name);
    let bytes = read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    named(name, bytes)
}

fn named(name: &str, bytes: Vec<u8>) -> NamedBytes {
    NamedBytes {
        name: name.to_owned(),
        bytes: bytes.into(),
    }
}

fn import(format: &str, files: &[NamedBytes]) -> Result<Picture, ImportError> {
    find(format).unwrap().read(files)
}

#[test]
fn every_format_reads_its_fixture() {
    let mut settings = Settings::clone_current();
    settings.set_snapshot_path("../snapshots/importers");
    settings.set_prepend_module_to_snapshot(false);
    for (format, name) in FIXTURES {
        let picture = import(format, &[file(name)]).unwrap();
        // Broken rows stand next to good ones in each of them.
        assert!(!picture.cis.is_empty(), "{name}");
        settings.bind(|| assert_json_snapshot!(name.replace('.', "_"), picture));
    }
}

/// States and inventories hold passwords; none of the fixtures' may come through.
#[test]
fn no_format_keeps_a_secret() {
    for (format, name) in FIXTURES {
        let picture = import(format, &[file(name)]).unwrap();
        let text = serde_json::to_string(&picture).unwrap();
        assert!(
            !text.contains("hunter2") && !text.contains("aHVudGVyMg"),
            "{name}: {text}"
        );
    }
}

#[test]
fn formats_are_told_apart_by_their_files() {
    for (format, name) in FIXTURES {
        let found = guess(&[file(name)]).map(Format::name);
        assert_eq!(found, Some(format), "{name}");
    }
}

#[test]
fn an_empty_file_is_an_error_and_never_an_empty_picture() {
    for format in IMPORTERS {
        for empty in ["", " \n", "\u{feff}"] {
            let read = format.read(&[named("empty", empty.as_bytes().to_vec())]);
            assert!(
                matches!(read, Err(ImportError::Empty(_))),
                "{}: {read:?}",
                format.name()
            );
        }
    }
}

#[test]
fn a_cut_file_is_an_error_or_a_problem_and_never_silent() {
    for (format, name) in FIXTURES {
        let mut cut = file(name);
        let half = cut.bytes.len() / 2;
        cut.bytes = cut.bytes.slice(..half);
        let Ok(picture) = import(format, &[cut]) else {
            continue;
        };
        let is_lines = name.ends_with(".ini");
        assert!(is_lines || !picture.problems.is_empty(), "{name}");
    }
}

/// Nine levels of lists of nine: a billion items if anybody counted them.
#[test]
fn bombs_of_aliases_and_depth_are_refused_quickly() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let inner = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let nested = (0..5_000).fold(String::new(), |text, level| {
        text + &" ".repeat(level) + "a:\n"
    });
    for (format, _) in FIXTURES {
        for text in [&bomb, &deep, &nested] {
            if let Ok(picture) = import(format, &[named("bomb.yaml", text.clone().into_bytes())]) {
                assert!(picture.cis.len() < 10_000, "{format}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for format in IMPORTERS {
            drop(format.read(&[named("garbage", bytes.clone())]));
            format.recognises(&[named("garbage", bytes.clone())]);
        }
    }

    /// A fixture with a few bytes changed is nearer to what formats expect than noise is.
    #[test]
    fn broken_fixtures_never_panic(
        index in 0..FIXTURES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        length in any::<prop::sample::Index>(),
    ) {
        let (format, name) = FIXTURES[index];
        let mut bytes = file(name).bytes.to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        drop(import(format, &[named(name, bytes.clone())]));
        bytes.truncate(length.index(bytes.len()));
        drop(import(format, &[named(name, bytes)]));
    }

    /// Any JSON in place of what is expected, with the words that formats look for.
    #[test]
    fn odd_json_never_panics(words in prop::collection::vec(0..WORDS.len(), 1..40)) {
        let mut text = String::from("{");
        for pair in words.chunks(2) {
            let value = pair.get(1).map_or("null", |word| WORDS[*word]);
            let value = if value.starts_with(['[', '{', 'n', '1']) { value.to_owned() } else { format!("{value:?}") };
            text.push_str(&format!("{:?}: {value},", WORDS[pair[0]]));
        }
        text.push_str("\"end\": 1}");
        for format in IMPORTERS {
            drop(format.read(&[named("odd.json", text.clone().into_bytes())]));
            drop(format.read(&[named("odd.json", format!("[{text}]").into_bytes())]));
        }
    }
}

const WORDS: [&str; 40] = [
    "model",
    "pk",
    "fields",
    "results",
    "result",
    "sys_id",
    "parent",
    "child",
    "type",
    "code",
    "objects",
    "relations",
    "kind",
    "metadata",
    "name",
    "spec",
    "items",
    "version",
    "resources",
    "instances",
    "attributes",
    "hosts",
    "children",
    "all",
    "data",
    "activeTargets",
    "labels",
    "targets",
    "next",
    "url",
    "dcim.device",
    "ownerReferences",
    "[]",
    "{}",
    "null",
    "1",
    "[{}]",
    "[1, null, \"x\"]",
    "{\"name\": {}}",
    "{\"hosts\": {\"a[1:3]\": null}}",
];
