//! Sentences for people: why a condition hangs where it hangs, and what an incident is called.
//!
//! Built from the facts at hand when the decision is made, and stored; never made up afterwards. Must not decide.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use smol_str::SmolStr;

use crate::core::cmdb::graph::Graph;
use crate::core::correlate::family::Family;
use crate::core::correlate::grove::Grove;
use crate::core::correlate::judge::Judgement;
use crate::core::correlate::node::{Node, NodeId};
use crate::core::time::Span;

/// A share in 1/10,000 as people read it.
pub(crate) fn share(value: u32) -> String {
    format!("{}.{:02}", value / 10_000, value % 10_000 / 100)
}

/// A length of time as people read it.
pub(crate) fn length(span: Span) -> String {
    let seconds = span.abs().as_millis() / 1_000;
    if seconds < 120 {
        format!("{seconds} s")
    } else {
        format!("{} min", seconds / 60)
    }
}

/// What the node of that number is called; nothing when it is gone.
pub(crate) fn of_id(grove: &Grove<'_>, id: NodeId) -> String {
    let node = grove.node(id);
    node.map_or_else(String::new, |node| of_node(grove.graph(), node))
}

/// What a node is called: CI and alert.
pub(crate) fn of_node(graph: &Graph, node: &Node) -> String {
    let ci = node
        .ci
        .and_then(|ci| graph.ci(ci))
        .map(|ci| ci.name.clone());
    match (ci, node.name.is_empty()) {
        (Some(ci), true) => ci.to_string(),
        (Some(ci), false) => format!("{ci} {}", node.name),
        (None, false) => node.name.to_string(),
        (None, true) => "an alert without a CI".to_owned(),
    }
}

/// Why `child` hangs below `parent`.
pub(crate) fn of_link(
    grove: &Grove<'_>,
    child: &Node,
    parent: &Node,
    judgement: Judgement,
) -> Arc<str> {
    let graph = grove.graph();
    let name = |ci| graph.ci(ci).map_or("?", |ci| ci.name.as_str());
    let mut text = of_node(graph, child);
    match (child.ci, parent.ci) {
        (Some(own), Some(other)) if own != other => {
            let path = grove.path(own, other);
            let path: Vec<_> = path.into_iter().map(name).collect();
            push(&mut text, format_args!(" depends on {}", path.join(" > ")));
        }
        (Some(own), _) => push(&mut text, format_args!(" is about {} itself", name(own))),
        (None, _) => {
            if let Some(about) = child.about {
                push(&mut text, format_args!(" belongs to {}", name(about)));
            }
        }
    }
    let delay = child.onset.since(parent.onset);
    let when = match delay.as_millis() {
        1_000.. => format!("{} earlier", length(delay)),
        -1_000..1_000 => "at the same time".to_owned(),
        _ => format!("{} later, as monitors notice late", length(delay)),
    };
    if parent.is_silent() {
        let ci = parent.ci.map_or("?", name);
        push(
            &mut text,
            format_args!("; {ci} has no alert itself and is inferred from what depends on it"),
        );
    } else {
        push(
            &mut text,
            format_args!("; {} began {when}", of_node(graph, parent)),
        );
        if let Some(change) = &parent.change {
            push(&mut text, format_args!(" after the change {change}"));
        }
    }
    push(
        &mut text,
        format_args!(
            ". Score {} = path {} x evidence {} x time {} x kind {} x rest {}.",
            share(judgement.score),
            share(judgement.weight),
            share(judgement.evidence),
            share(judgement.time),
            share(judgement.kind),
            share(judgement.rest),
        ),
    );
    Arc::from(text)
}

/// Writing into a text cannot fail.
fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).unwrap_or_default();
}

/// What is wrong with the root, in one word or two.
pub(crate) const fn state_of(family: Family) -> &'static str {
    match family {
        Family::Reach => "unreachable",
        Family::Link => "link down",
        Family::Resource => "out of resources",
        Family::Redundancy => "without redundancy",
        Family::Symptom => "degraded",
        Family::NoData => "not seen",
        Family::Config => "needs attention",
        Family::Silent => "probably down",
    }
}

/// Counts of CIs by class as people read them: `2 hosts, 40 VMs`.
pub(crate) fn classes(counts: &BTreeMap<SmolStr, usize>) -> Vec<String> {
    let mut by_count: Vec<_> = counts.iter().collect();
    by_count.sort_by_key(|&(class, _)| (rank(class), class.clone()));
    let words = by_count.into_iter().map(|(class, &count)| {
        let class = match class.as_str() {
            "" => "CI",
            "vm" => "VM",
            other => other,
        };
        counted(count, class)
    });
    words.collect()
}

/// `1 host`, `2 hosts`, `2 switches`.
pub(crate) fn counted(count: usize, word: &str) -> String {
    let plural = if count == 1 {
        ""
    } else if word.ends_with(['s', 'x', 'h']) {
        "es"
    } else {
        "s"
    };
    format!("{count} {}{plural}", word.replace(['_', '-'], " "))
}

/// Infrastructure before what runs on it.
fn rank(class: &str) -> u8 {
    match class {
        "site" | "power_feed" | "pdu" | "feed" => 0,
        "core" | "spine" | "router" | "switch" | "tor" | "firewall" => 1,
        "storage" | "array" | "storage_array" => 2,
        "host" | "hypervisor" | "server" => 3,
        "vm" | "pod" | "container" => 4,
        _ => 5,
    }
}
