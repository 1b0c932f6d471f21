//! Real alarms of telecom networks, of which experts say which *types* cause which: a check of what made-up worlds claim.
//!
//! Nobody labelled the outages, so two things are asked. Of pairs of alarms shortly after each other: how often are the
//! types related, when both are in one incident, and when they are merely near in time or place. Of incidents with
//! related types: is a device named that has a type which nothing else in there causes. Simple predictors stand
//! beside. Must not be tuned on.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use smol_str::{SmolStr, format_smolstr};

use crate::core::cmdb::reconcile::first_difference;
use crate::core::cmdb::record::{CiRecord, Picture, RelationRecord};
use crate::core::ids::IncidentId;
use crate::core::observation::Claim;
use crate::core::rules::Rules;
use crate::core::severity::Severity;
use crate::core::time::{Span, Timestamp};
use crate::lab::event::{AlertSaid, Event, Said};
use crate::lab::play::Play;
use crate::lab::replay::Ranking;
use crate::lab::score::{float, share};
use crate::lab::tracks::Tracks;

/// Alarms further apart are no pair, in seconds.
const APART_S: i64 = 60;
/// Where the tables' own zero is put.
const EPOCH_S: i64 = 946_684_800;
/// Alarms before one that are looked at.
const BACK_MAX: usize = 50;

/// One alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Its type.
    pub kind: SmolStr,
    /// Where.
    pub device: SmolStr,
    /// When it began, in seconds.
    pub start: i64,
    /// When it ended.
    pub end: i64,
}

/// Pairs of alarms of different types, and how many of them have related types.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Pairs {
    /// Which pairs.
    pub name: &'static str,
    /// How many.
    pub pairs: usize,
    /// The share of related ones.
    pub related: f64,
}

/// A replay's result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Telecom {
    /// Alarms played.
    pub alarms: usize,
    /// Incidents made of them.
    pub incidents: usize,
    /// The share of alarms in the largest incident.
    pub largest: f64,
    /// Our incidents first.
    pub pairs: Vec<Pairs>,
    /// Incidents in which some type causes another.
    pub judged: usize,
    /// Our engine first; the last one is what blind choice would reach.
    pub rankings: Vec<Ranking>,
}

type Edges = BTreeSet<(SmolStr, SmolStr)>;

/// Plays alarms over undirected links; `causes` are pairs of types.
pub fn replay(alarms: &[Alarm], links: &Edges, causes: &Edges, rules: &Rules) -> Telecom {
    let mut play = Play::new(rules.clone(), &first_difference(&picture(alarms, links)));
    let mut tracks = Tracks::default();
    for instant in events(alarms).chunk_by_mut(|one, other| one.at == other.at) {
        play.hear_together(instant, &mut tracks);
    }
    if let Some(now) = play.now() {
        play.pass_until(now.plus(Span::from_mins(10)), &mut tracks);
    }
    tracks.finish(&play);
    let mut of_id = BTreeMap::new();
    for occurrence in tracks.occurrences() {
        of_id.insert(occurrence.id.clone(), tracks.incident_of(occurrence));
    }
    let incident = |index: usize| of_id.get(&name(index)).copied().flatten();
    let incidents: Vec<Option<IncidentId>> = (0..alarms.len()).map(incident).collect();
    let named = tracks.outcomes().map(|(id, outcome)| {
        let roots = outcome.roots.iter().map(|root| root.ci.clone());
        (id, roots.collect())
    });
    let named: BTreeMap<IncidentId, Vec<SmolStr>> = named.collect();
    let mut members: BTreeMap<IncidentId, Vec<&Alarm>> = BTreeMap::new();
    for (alarm, incident) in alarms.iter().zip(&incidents) {
        if let Some(incident) = incident {
            members.entry(*incident).or_default().push(alarm);
        }
    }
    let (judged, rankings) = rank(&members, &named, causes);
    let largest = members.values().map(Vec::len).max().unwrap_or(0);
    Telecom {
        alarms: alarms.len(),
        incidents: members.len(),
        largest: share(float(largest), float(alarms.len())),
        pairs: pairs(alarms, &incidents, links, causes),
        judged,
        rankings,
    }
}

fn is_related(causes: &Edges, one: &SmolStr, other: &SmolStr) -> bool {
    let (there, back) = ((one.clone(), other.clone()), (other.clone(), one.clone()));
    causes.contains(&there) || causes.contains(&back)
}

/// Of pairs shortly after each other, how many have related types.
fn pairs(
    alarms: &[Alarm],
    incidents: &[Option<IncidentId>],
    links: &Edges,
    causes: &Edges,
) -> Vec<Pairs> {
    let mut order: Vec<usize> = (0..alarms.len()).collect();
    order.sort_by_key(|&index| alarms.get(index).map(|alarm| alarm.start));
    let mut counts: BTreeMap<&'static str, (usize, usize)> = BTreeMap::new();
    let mut count = |name, related: bool| {
        let held = counts.entry(name).or_default();
        held.0 += 1;
        held.1 += usize::from(related);
    };
    for (place, &index) in order.iter().enumerate() {
        let before = order.iter().take(place).rev().take(BACK_MAX);
        for &earlier in before {
            let (Some(one), Some(other)) = (alarms.get(earlier), alarms.get(index)) else {
                continue;
            };
            if other.start - one.start > APART_S || one.kind == other.kind {
                continue;
            }
            let related = is_related(causes, &one.kind, &other.kind);
            let is_near =
                one.device == other.device || is_related(links, &one.device, &other.device);
            count(PAIRS[2], related);
            if is_near {
                count(PAIRS[1], related);
            }
            let of = |index: usize| incidents.get(index).copied().flatten();
            if of(earlier).is_some() && of(earlier) == of(index) {
                count(PAIRS[0], related);
            }
        }
    }
    let kinds: BTreeSet<&SmolStr> = alarms.iter().map(|alarm| &alarm.kind).collect();
    for &one in &kinds {
        for &other in kinds.iter().filter(|&&other| other < one) {
            count(PAIRS[3], is_related(causes, one, other));
        }
    }
    let pairs = PAIRS.into_iter().map(|name| {
        let (pairs, related) = counts.get(name).copied().unwrap_or_default();
        Pairs {
            name,
            pairs,
            related: share(float(related), float(pairs)),
        }
    });
    pairs.collect()
}

const PAIRS: [&str; 4] = [
    "one incident",
    "same or linked device",
    "same minute",
    "any two types",
];
const NAMES: [&str; 4] = ["watchbell", "first alarm", "most alarms", "blind choice"];

/// How often a device is named first, or among three, that has a type which nothing else in the incident causes.
fn rank(
    members: &BTreeMap<IncidentId, Vec<&Alarm>>,
    named: &BTreeMap<IncidentId, Vec<SmolStr>>,
    causes: &Edges,
) -> (usize, Vec<Ranking>) {
    let mut sums: BTreeMap<&'static str, (f64, f64)> = BTreeMap::new();
    let mut judged = 0_usize;
    for (incident, alarms) in members {
        let kinds: BTreeSet<&SmolStr> = alarms.iter().map(|alarm| &alarm.kind).collect();
        let is_cause =
            |one: &SmolStr, other: &SmolStr| causes.contains(&(one.clone(), other.clone()));
        let is_source = |kind: &SmolStr| {
            let mut others = kinds.iter();
            kinds.iter().any(|other| is_cause(kind, other))
                && !others.any(|other| is_cause(other, kind))
        };
        let right: BTreeSet<&SmolStr> = alarms
            .iter()
            .filter(|alarm| is_source(&alarm.kind))
            .map(|alarm| &alarm.device)
            .collect();
        let devices: BTreeSet<&SmolStr> = alarms.iter().map(|alarm| &alarm.device).collect();
        if right.is_empty() || right.len() == devices.len() {
            continue;
        }
        judged += 1;
        let mut by_time = alarms.clone();
        by_time.sort_by_key(|alarm| alarm.start);
        let mut first: Vec<SmolStr> = Vec::new();
        let mut counts: BTreeMap<&SmolStr, usize> = BTreeMap::new();
        for alarm in by_time {
            *counts.entry(&alarm.device).or_default() += 1;
            if !first.contains(&alarm.device) {
                first.push(alarm.device.clone());
            }
        }
        let mut most: Vec<_> = counts.into_iter().collect();
        most.sort_by_key(|&(device, count)| (std::cmp::Reverse(count), device));
        let most = most.into_iter().map(|(device, _)| device.clone()).collect();
        let ours = named.get(incident).cloned().unwrap_or_default();
        for (name, ranked) in NAMES.into_iter().zip([ours, first, most]) {
            let place = ranked.iter().position(|device| right.contains(device));
            let held = sums.entry(name).or_default();
            held.0 += if place == Some(0) { 1.0 } else { 0.0 };
            held.1 += if place.is_some_and(|place| place < 3) {
                1.0
            } else {
                0.0
            };
        }
        let chance = share(float(right.len()), float(devices.len()));
        let held = sums.entry(NAMES[3]).or_default();
        held.0 += chance;
        held.1 += 1.0 - (1.0 - chance).powi(3);
    }
    let rankings = NAMES.into_iter().map(|name| {
        let (top1, top3) = sums.get(name).copied().unwrap_or_default();
        Ranking {
            name,
            top1: share(top1, float(judged)),
            top3: share(top3, float(judged)),
        }
    });
    (judged, rankings.collect())
}

fn name(index: usize) -> SmolStr {
    format_smolstr!("a{index}")
}

fn picture(alarms: &[Alarm], links: &Edges) -> Picture {
    let mut devices: BTreeSet<&SmolStr> = alarms.iter().map(|alarm| &alarm.device).collect();
    devices.extend(links.iter().flat_map(|(one, other)| [one, other]));
    let cis = devices.into_iter().map(|device| CiRecord {
        id: device.clone(),
        name: device.clone(),
        class: SmolStr::new_static("device"),
        ..CiRecord::default()
    });
    // Nothing says which end the other depends on: both do.
    let both = links
        .iter()
        .flat_map(|(one, other)| [(one, other), (other, one)]);
    let relations = both.map(|(from, to)| RelationRecord {
        from: from.clone(),
        to: to.clone(),
        kind: SmolStr::new_static("connects_to"),
        ..RelationRecord::default()
    });
    Picture {
        cis: cis.collect(),
        relations: relations.collect(),
        ..Picture::default()
    }
}

fn events(alarms: &[Alarm]) -> Vec<Event> {
    let mut events = Vec::new();
    for (index, alarm) in alarms.iter().enumerate() {
        let time = |seconds: i64| Timestamp::from_millis((EPOCH_S + seconds).saturating_mul(1_000));
        let said = |claim, at: i64| Event {
            at: time(at),
            said: Said::Alert(Box::new(AlertSaid {
                id: name(index),
                source: SmolStr::new_static("replay"),
                key: format_smolstr!("{}/{}", alarm.device, alarm.kind),
                claim,
                severity: Severity::Warning,
                summary: format_smolstr!("alarm {} at {}", alarm.kind, alarm.device),
                labels: vec![("alertname".into(), format_smolstr!("alarm {}", alarm.kind))],
                starts_at: Some(time(alarm.start)),
                ends_at: (claim == Claim::Resolved).then(|| time(alarm.end)),
                ci: Some(alarm.device.clone()),
            })),
        };
        events.push(said(Claim::Firing, alarm.start));
        events.push(said(Claim::Resolved, alarm.end.max(alarm.start + 1)));
    }
    events.sort_by_key(|event| event.at);
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn related_types_and_their_source_are_found() {
        let alarm = |kind: &str, device: &str, start| Alarm {
            kind: kind.into(),
            device: device.into(),
            start,
            end: start + 300,
        };
        let edge = |one: &str, other: &str| (SmolStr::from(one), SmolStr::from(other));
        let alarms = [
            alarm("1", "a", 1_000),
            alarm("2", "b", 1_010),
            alarm("3", "z", 1_020),
        ];
        let links = BTreeSet::from([edge("a", "b")]);
        let causes = BTreeSet::from([edge("1", "2")]);
        let result = replay(&alarms, &links, &causes, &Rules::default());
        let of = |name: &str| result.pairs.iter().find(|it| it.name == name).unwrap();
        assert_eq!((result.incidents, result.judged), (2, 1));
        assert_eq!(
            (of("one incident").pairs, of("one incident").related),
            (1, 1.0)
        );
        assert_eq!(of("same minute").pairs, 3);
        let first = result.rankings.iter().find(|it| it.name == "first alarm");
        assert_eq!(first.unwrap().top1, 1.0);
    }
}
