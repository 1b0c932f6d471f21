//! Real faults with a known root, as a check of what made-up worlds claim.
//!
//! Each row is an alert episode of a service or of a call between two; each fault has a window, and the question is which
//! service is named for the alerts in it. Alerts on calls are charged to the callee. Beside our engine stand predictors that
//! need no engine. Must not be tuned on: the sets are small.

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
use crate::lab::score::{float, share};
use crate::lab::tracks::Tracks;

/// What ranks; our engine first.
const NAMES: [&str; 4] = [
    "watchbell",
    "first alert",
    "largest deviation",
    "most alerts",
];

/// One alert episode of the data.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// When it began, in seconds.
    pub start: i64,
    /// When it ended.
    pub end: i64,
    /// A service, or `caller_callee`.
    pub ci: SmolStr,
    /// The metric.
    pub metric: SmolStr,
    /// What kind of metric it is.
    pub class: SmolStr,
    /// How far from normal.
    pub peak: f64,
    /// The fault in whose window it lies; empty outside.
    pub fault: SmolStr,
    /// The service at which that fault was injected.
    pub root: SmolStr,
}

/// How often a ranking names the root.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranking {
    /// What ranks.
    pub name: &'static str,
    /// In the first place.
    pub top1: f64,
    /// In the first three.
    pub top3: f64,
}

/// A replay's result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Replay {
    /// Faults with an alert in their window.
    pub faults: usize,
    /// Faults whose root has an alert in the window.
    pub observable: usize,
    /// Our engine first.
    pub rankings: Vec<Ranking>,
}

/// Plays rows over a graph of `(dependent, provider)`.
pub fn replay(rows: &[Row], edges: &[(SmolStr, SmolStr)], rules: &Rules) -> Replay {
    let mut play = Play::new(rules.clone(), &first_difference(&picture(rows, edges)));
    let mut tracks = Tracks::default();
    for instant in events(rows).chunk_by_mut(|one, other| one.at == other.at) {
        play.hear_together(instant, &mut tracks);
    }
    if let Some(now) = play.now() {
        play.pass_until(now.plus(Span::from_mins(10)), &mut tracks);
    }
    tracks.finish(&play);
    let roots: BTreeMap<_, Vec<SmolStr>> = tracks
        .outcomes()
        .map(|(id, outcome)| {
            (
                id,
                outcome.roots.iter().map(|root| root.ci.clone()).collect(),
            )
        })
        .collect();
    let incidents: Vec<_> = tracks
        .occurrences()
        .iter()
        .map(|occurrence| (occurrence.id.clone(), tracks.incident_of(occurrence)))
        .collect();
    let incident_of: BTreeMap<_, _> = incidents.into_iter().collect();
    judge(rows, &incident_of, &roots)
}

/// Compares what was named for each window with its root.
fn judge(
    rows: &[Row],
    incident_of: &BTreeMap<SmolStr, Option<IncidentId>>,
    roots: &BTreeMap<IncidentId, Vec<SmolStr>>,
) -> Replay {
    let mut windows: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        if !row.fault.is_empty() {
            windows.entry(row.fault.as_str()).or_default().push(index);
        }
    }
    let mut hits: BTreeMap<&'static str, (usize, usize)> = BTreeMap::new();
    let mut observable = 0;
    for indexes in windows.values() {
        let window: Vec<&Row> = indexes
            .iter()
            .filter_map(|&index| rows.get(index))
            .collect();
        let Some(root) = window.first().map(|row| row.root.clone()) else {
            continue;
        };
        observable += usize::from(window.iter().any(|row| target(row) == root));
        let mut most: BTreeMap<IncidentId, usize> = BTreeMap::new();
        for &index in indexes {
            let id = format_smolstr!("r{index}");
            if let Some(incident) = incident_of.get(&id).copied().flatten() {
                *most.entry(incident).or_default() += 1;
            }
        }
        let best = most
            .iter()
            .max_by_key(|(id, count)| (**count, std::cmp::Reverse(**id)));
        let named = best.and_then(|(id, _)| roots.get(id)).cloned();
        let ranked = [
            (NAMES[0], named.unwrap_or_default()),
            (NAMES[1], by(&window, |row| -float_of(row.start))),
            (NAMES[2], by(&window, |row| row.peak.abs())),
            (NAMES[3], most_alerts(&window)),
        ];
        for (name, ranked) in ranked {
            let place = ranked.iter().position(|ci| *ci == root);
            let held = hits.entry(name).or_default();
            held.0 += usize::from(place == Some(0));
            held.1 += usize::from(place.is_some_and(|place| place < 3));
        }
    }
    let all = float(windows.len());
    let rankings = NAMES.into_iter().map(|name| {
        let (first, three) = hits.get(name).copied().unwrap_or_default();
        Ranking {
            name,
            top1: share(float(first), all),
            top3: share(float(three), all),
        }
    });
    Replay {
        faults: windows.len(),
        observable,
        rankings: rankings.collect(),
    }
}

/// The service that an alert is about.
fn target(row: &Row) -> SmolStr {
    let callee = row.ci.rsplit('_').next().unwrap_or(&row.ci);
    SmolStr::new(callee)
}

fn float_of(seconds: i64) -> f64 {
    i32::try_from(seconds).map_or(f64::MAX, f64::from)
}

/// Services by the best of their alerts.
fn by(window: &[&Row], score: impl Fn(&Row) -> f64) -> Vec<SmolStr> {
    let mut sorted = window.to_vec();
    sorted.sort_by(|one, other| score(other).total_cmp(&score(one)));
    let mut named = Vec::new();
    for ci in sorted.iter().map(|row| target(row)) {
        if !named.contains(&ci) {
            named.push(ci);
        }
    }
    named
}

fn most_alerts(window: &[&Row]) -> Vec<SmolStr> {
    let mut counts: BTreeMap<SmolStr, usize> = BTreeMap::new();
    for row in window {
        *counts.entry(target(row)).or_default() += 1;
    }
    let mut sorted: Vec<_> = counts.into_iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    sorted.into_iter().map(|(ci, _)| ci).collect()
}

fn picture(rows: &[Row], edges: &[(SmolStr, SmolStr)]) -> Picture {
    let is_machine = |id: &SmolStr| {
        id.chars()
            .all(|letter| letter.is_ascii_digit() || letter == '.')
    };
    let mut ids: BTreeSet<SmolStr> = rows.iter().map(target).collect();
    ids.extend(
        edges
            .iter()
            .flat_map(|(from, to)| [from.clone(), to.clone()]),
    );
    let cis = ids.iter().map(|id| CiRecord {
        id: id.clone(),
        name: id.clone(),
        class: SmolStr::new_static(if is_machine(id) {
            "host"
        } else {
            "application"
        }),
        ..CiRecord::default()
    });
    let relations = edges.iter().map(|(from, to)| RelationRecord {
        from: from.clone(),
        to: to.clone(),
        kind: SmolStr::new_static(if is_machine(to) { "runs_on" } else { "uses" }),
        role: Some(SmolStr::new_static(if is_machine(to) {
            "host"
        } else {
            "call"
        })),
        ..RelationRecord::default()
    });
    Picture {
        cis: cis.collect(),
        relations: relations.collect(),
        ..Picture::default()
    }
}

fn events(rows: &[Row]) -> Vec<Event> {
    let mut events = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let said = |claim, at: i64| {
            let time = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1_000));
            Event {
                at: time(at),
                said: Said::Alert(Box::new(AlertSaid {
                    id: format_smolstr!("r{index}"),
                    source: SmolStr::new_static("replay"),
                    key: format_smolstr!("{}/{}", row.ci, row.metric),
                    claim,
                    severity: Severity::Warning,
                    summary: format_smolstr!("{} of {} is not normal", row.metric, row.ci),
                    labels: vec![
                        ("alertname".into(), row.metric.clone()),
                        ("class".into(), row.class.clone()),
                    ],
                    starts_at: Some(time(row.start)),
                    ends_at: (claim == Claim::Resolved).then(|| time(row.end)),
                    ci: Some(target(row)),
                })),
            }
        };
        events.push(said(Claim::Firing, row.start));
        events.push(said(Claim::Resolved, row.end.max(row.start + 1)));
    }
    events.sort_by_key(|event| event.at);
    events
}
