//! What went wrong, outage by outage: for those who improve the engine.
//!
//! Must not be needed by anybody else.

use std::collections::BTreeMap;

use crate::lab::contest::{Answer, OutageVerdict, Verdict};
use crate::lab::estate::Estate;
use crate::lab::sets::World;

/// Incidents listed per outage.
const LISTED: usize = 6;

/// Every outage that was split, merged, or given another root.
pub fn tell(world: &World, answer: &Answer, verdict: &Verdict) -> String {
    let mut text = String::new();
    for outage in &verdict.outages {
        let is_right =
            |ci: &usize| *ci == outage.truth.root || outage.truth.acceptable.contains(ci);
        let is_named = outage.named.roots.first().is_some_and(is_right);
        let is_whole = outage.inside * 10 >= outage.alerts * 8;
        if !is_named || !is_whole || !outage.merged_with.is_empty() {
            about(world, answer, outage, &mut text);
        }
    }
    text
}

fn about(world: &World, answer: &Answer, outage: &OutageVerdict, text: &mut String) {
    let (estate, truth) = (&world.estate, &world.story.truth);
    let Some(fault) = truth
        .groups
        .get(outage.group)
        .and_then(|group| group.fault.as_ref())
    else {
        return;
    };
    let named: Vec<String> = outage
        .named
        .roots
        .iter()
        .map(|&ci| shown(estate, ci))
        .collect();
    let merged: Vec<String> = outage
        .merged_with
        .iter()
        .filter_map(|&other| truth.groups.get(other)?.fault.as_ref())
        .map(|other| format!("{} at {}", other.kind.word(), shown(estate, other.root)))
        .collect();
    text.push_str(&format!(
"seed {} {} {} {:?} at {} s: {} alerts, {} inside of INC-{} with {} strangers, {} fragments; named [{}]{}{}{}\n",
        world.seed,
        fault.kind.word(),
        shown(estate, fault.root),
        fault.health,
        fault.onset / 1_000,
        outage.alerts,
        outage.inside,
        outage.incident,
        outage.strangers,
        outage.fragments,
        named.join(", "),
        if merged.is_empty() {
            String::new()
        } else {
            format!("; merged with {}", merged.join(", "))
        },
        if outage.truth.is_observable {
            ""
        } else {
            "; silent root"
        },
        if outage.truth.is_solvable {
            ""
        } else {
            "; unsolvable"
        },
    ));
    let mut pieces: BTreeMap<Option<usize>, Vec<String>> = BTreeMap::new();
    for (it, &incident) in truth.occurrences.iter().zip(&answer.incidents) {
        if it.group == outage.group && incident != Some(outage.incident) {
            let at = (it.start - fault.onset) / 1_000;
            let piece = format!("{} {:?} +{at}s {}", shown(estate, it.ci), it.family, it.id);
            pieces.entry(incident).or_default().push(piece);
        }
    }
    for (incident, alerts) in pieces.iter().take(LISTED) {
        let incident = incident.map_or("none".to_owned(), |incident| format!("INC-{incident}"));
        let some: Vec<&str> = alerts.iter().take(4).map(String::as_str).collect();
        text.push_str(&format!(
            "    {incident}: {} alerts: {}\n",
            alerts.len(),
            some.join("; ")
        ));
    }
}

fn shown(estate: &Estate, ci: usize) -> String {
    estate
        .cis
        .get(ci)
        .map_or_else(String::new, |ci| format!("{} ({})", ci.id, ci.class.word()))
}
