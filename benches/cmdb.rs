//! The CMDB's pure parts at full size: `cargo bench --bench cmdb [-- CIS]`. With a second argument the picture is also
//! written to that file in the native format, to time an import with.
//!
//! An estate of switches, hosts, machines and services, five relations per item. Must not touch the network.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "a benchmark measures time, prints what it found, and stops at whatever is odd"
)]

use std::hint::black_box;
use std::time::Instant;

use smol_str::{SmolStr, format_smolstr};
use watchbell::core::bind::{Subject, bind};
use watchbell::core::cmdb::ci::{CiNumber, Identifier, IdentifierKind};
use watchbell::core::cmdb::graph::Graph;
use watchbell::core::cmdb::quality::quality;
use watchbell::core::cmdb::reconcile::first_difference;
use watchbell::core::cmdb::record::{CiRecord, Picture, RelationRecord};
use watchbell::core::impact::{Limits, impact};
use watchbell::importers::native;

/// Relations per CI.
const RELATIONS: u64 = 5;

/// A number that looks random and is the same at every run.
fn scatter(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 17
}

fn id(number: u64) -> SmolStr {
    let class = class(number);
    format_smolstr!("{class}-{number:06}")
}

fn class(number: u64) -> &'static str {
    match number % 100 {
        0 => "switch",
        1..=9 => "host",
        99 => "service",
        _ => "vm",
    }
}

fn ci(number: u64) -> CiRecord {
    let address = format_smolstr!(
        "10.{}.{}.{}",
        number >> 16 & 255,
        number >> 8 & 255,
        number & 255
    );
    let identifier = |kind, text| Identifier { kind, text };
    CiRecord {
        id: id(number),
        class: class(number).into(),
        name: id(number),
        site: Some(format_smolstr!("site{}", number % 20)),
        rack: Some(format_smolstr!("rack{}", number % 900)),
        environment: Some("production".into()),
        identifiers: vec![
            identifier(IdentifierKind::Ip, address),
            identifier(
                IdentifierKind::Fqdn,
                format_smolstr!("{}.corp.example", id(number)),
            ),
        ],
        attributes: [
            ("vendor", "acme"),
            ("contract", "C-1234"),
            ("warranty", "2029-01-01"),
        ]
        .into_iter()
        .map(|(key, value)| (key.into(), value.into()))
        .collect(),
        ..CiRecord::default()
    }
}

/// Hosts depend on switches, machines on hosts, services on machines.
fn picture(count: u64) -> Picture {
    let mut relations = Vec::new();
    for number in 0..count {
        for nth in 0..RELATIONS {
            let other = scatter(number.wrapping_mul(RELATIONS).wrapping_add(nth)) % count;
            let base = other - other % 100;
            let (to, kind) = match class(number) {
                "switch" => (other - other % 100, "connects_to"),
                "host" => (base, "connects_to"),
                "vm" => (base + 1 + nth % 9, "runs_on"),
                _ => (base + 10 + nth % 80, "depends_on"),
            };
            if to != number && to < count {
                relations.push(RelationRecord {
                    from: id(number),
                    to: id(to),
                    kind: kind.into(),
                    ..RelationRecord::default()
                });
            }
        }
    }
    Picture {
        cis: (0..count).map(ci).collect(),
        relations,
        problems: Vec::new(),
    }
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    println!(
        "{what:<34} {:>10.1} ms",
        start.elapsed().as_secs_f64() * 1e3
    );
    done
}

/// Prints the middle and the slowest hundredth of single calls.
fn spread(what: &str, mut calls: impl FnMut(u64), count: u64) {
    let mut times = Vec::new();
    for number in 0..count {
        let start = Instant::now();
        calls(number);
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or(0.0);
    println!("{what:<34} p50 {:>8.1} us   p99 {:>8.1} us", at(50), at(99));
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|it| !it.starts_with("--"));
    let count = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(100_000);
    let file = arguments.next();
    let picture = picture(count);
    println!(
        "{} items, {} relations",
        picture.cis.len(),
        picture.relations.len()
    );
    if let Some(file) = file {
        std::fs::write(file, native::write(&picture)).expect("the file can be written");
    }
    let difference = timed("merge and compare", || first_difference(&picture));
    let mut graph = Graph::default();
    timed("make the graph", || graph.apply(&difference));
    timed("quality report", || black_box(quality(&graph)));
    for (what, value) in [
        ("bind by address and port", "ip"),
        ("bind by upper-case domain name", "fqdn"),
        ("bind nothing", "unknown"),
    ] {
        let subjects: Vec<[(SmolStr, SmolStr); 4]> = (0..20_000)
            .map(|number| {
                let number = scatter(number) % count;
                let text = match value {
                    "ip" => format_smolstr!(
                        "10.{}.{}.{}:9100",
                        number >> 16 & 255,
                        number >> 8 & 255,
                        number & 255
                    ),
                    "fqdn" => format_smolstr!("{}.CORP.EXAMPLE", id(number).to_uppercase()),
                    _ => format_smolstr!("nobody{number}.example"),
                };
                let pair = |name: &str, value: SmolStr| (SmolStr::new(name), value);
                [
                    pair("alertname", "HostDown".into()),
                    pair("instance", text),
                    pair("job", "node".into()),
                    pair("severity", "critical".into()),
                ]
            })
            .collect();
        spread(
            what,
            |number| {
                let labels = &subjects[usize::try_from(number).unwrap_or(0)];
                let subject = Subject {
                    source: "am",
                    labels,
                    annotations: &[],
                    hint: None,
                    rules: &[],
                };
                black_box(bind(&graph, &subject));
            },
            20_000,
        );
    }
    spread(
        "impact of any item",
        |number| {
            let number = u32::try_from(scatter(number) % count + 1).ok();
            let root = number.and_then(CiNumber::new).expect("a number");
            black_box(impact(&graph, root, &|_| false, Limits::default()));
        },
        2_000,
    );
    spread(
        "impact of a switch",
        |number| {
            let root = format_smolstr!("switch-{:06}", (number * 100) % count);
            if let Some(root) = graph.find(&root) {
                black_box(impact(&graph, root, &|_| false, Limits::default()));
            }
        },
        500,
    );
}
