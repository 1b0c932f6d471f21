//! Incidents against outages.
//!
//! `n_io` is the number of alerts of outage `o` in incident `i`; noise counts as an outage of its own everywhere but where
//! real outages are named. An alert in no incident is an incident of its own. Must not weigh anything.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::lab::score::{float, harmonic, share};

/// One alert: where it was put, and where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The incident, if any.
    pub incident: Option<usize>,
    /// The outage or noise.
    pub group: usize,
}

/// What is known about an outage or a piece of noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupFacts {
    /// Whether it is an outage.
    pub is_outage: bool,
    /// When it began, in milliseconds.
    pub onset: i64,
}

/// Onsets further apart than this are not compared by pairs.
const NEAR_MS: i64 = 3_600_000;
/// Outages from this size on are storms.
const STORM: usize = 50;
/// Outages from this size on can be split.
const SPLITTABLE: usize = 3;
/// An outage is split when less than this share of it is in one incident.
const WHOLE: f64 = 0.8;

/// The metrics of a grouping; shares are from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Grouping {
    /// How many alerts there are.
    pub alerts: usize,
    /// How many incidents there are.
    pub incidents: usize,
    /// How many outages have an alert.
    pub outages: usize,
    /// Mean over outages of F1 with the incident that holds most of it.
    pub macro_f1: f64,
    /// Share of outages that share an incident with another outage, with a tenth of both.
    pub merged_outages: f64,
    /// Share of alert pairs of different outages near in time that are in one incident.
    pub merged_pairs: f64,
    /// Share of outages of three alerts and more without four fifths in one incident.
    pub split_outages: f64,
    /// Mean number of incidents per outage.
    pub fragments: f64,
    /// Share of noise that is in an incident with a real outage.
    pub noise_absorbed: f64,
    /// Share of incidents saved against one per alert.
    pub compression: f64,
    /// The same within outages of fifty alerts and more; `None` without one.
    pub storm_compression: Option<f64>,
    /// Over pairs of alerts.
    pub pair_precision: f64,
    /// Over pairs of alerts.
    pub pair_recall: f64,
    /// Over pairs of alerts.
    pub pair_f1: f64,
    /// Over alerts.
    pub b3_f1: f64,
    /// Share of alerts that belong to the largest outage of their incident.
    pub purity: f64,
    /// Adjusted Rand index.
    pub ari: f64,
}

/// How many alerts of which outage are in which incident.
#[derive(Clone, Debug, Default)]
pub struct Table {
    cells: BTreeMap<(usize, usize), usize>,
    incidents: BTreeMap<usize, usize>,
    groups: BTreeMap<usize, usize>,
    total: usize,
}

impl Table {
    /// Counts.
    pub fn new(placed: &[Placed]) -> Self {
        let mut table = Self::default();
        let alone = placed
            .iter()
            .filter_map(|it| it.incident)
            .max()
            .map_or(0, |last| last + 1);
        for (index, it) in placed.iter().enumerate() {
            let incident = it.incident.unwrap_or(alone + index);
            *table.cells.entry((incident, it.group)).or_default() += 1;
            *table.incidents.entry(incident).or_default() += 1;
            *table.groups.entry(it.group).or_default() += 1;
            table.total += 1;
        }
        table
    }

    /// The incidents of each group with the counts.
    pub fn by_group(&self) -> BTreeMap<usize, Vec<(usize, usize)>> {
        let mut by_group: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
        for (&(incident, group), &count) in &self.cells {
            by_group.entry(group).or_default().push((incident, count));
        }
        by_group
    }

    fn group_size(&self, group: usize) -> usize {
        self.groups.get(&group).copied().unwrap_or_default()
    }

    fn incident_size(&self, incident: usize) -> usize {
        self.incidents.get(&incident).copied().unwrap_or_default()
    }
}

/// The incident that holds most of a group; of equals the first.
pub fn best(incidents: &[(usize, usize)]) -> Option<(usize, usize)> {
    let mut best: Option<(usize, usize)> = None;
    for &(incident, count) in incidents {
        if best.is_none_or(|(_, most)| count > most) {
            best = Some((incident, count));
        }
    }
    best
}

/// Judges a grouping.
pub fn judge(placed: &[Placed], facts: &[GroupFacts]) -> Grouping {
    let table = Table::new(placed);
    let by_group = table.by_group();
    let is_outage = |group: usize| facts.get(group).is_some_and(|facts| facts.is_outage);
    let outages: Vec<(usize, &Vec<(usize, usize)>)> = by_group
        .iter()
        .filter(|(group, _)| is_outage(**group))
        .map(|(&group, incidents)| (group, incidents))
        .collect();
    let count = float(outages.len());
    let mut grouping = Grouping {
        alerts: table.total,
        incidents: table.incidents.len(),
        outages: outages.len(),
        compression: 1.0 - share(float(table.incidents.len()), float(table.total)),
        ..Grouping::default()
    };
    let f1 = outages.iter().map(|(group, incidents)| {
        let Some((incident, inside)) = best(incidents) else {
            return 0.0;
        };
        let precision = share(float(inside), float(table.incident_size(incident)));
        let recall = share(float(inside), float(table.group_size(*group)));
        harmonic(precision, recall)
    });
    grouping.macro_f1 = share(f1.sum(), count);
    let pieces: usize = outages.iter().map(|(_, incidents)| incidents.len()).sum();
    grouping.fragments = share(float(pieces), count);
    let splittable = outages
        .iter()
        .filter(|(group, _)| table.group_size(*group) >= SPLITTABLE);
    let (mut all, mut split) = (0, 0);
    for (group, incidents) in splittable {
        let inside = best(incidents).map_or(0, |(_, inside)| inside);
        all += 1;
        split += usize::from(share(float(inside), float(table.group_size(*group))) < WHOLE);
    }
    grouping.split_outages = share(float(split), float(all));
    let storms = outages
        .iter()
        .filter(|(group, _)| table.group_size(*group) >= STORM);
    let (mut fragments, mut alerts) = (0, 0);
    for (group, incidents) in storms {
        fragments += incidents.len();
        alerts += table.group_size(*group);
    }
    grouping.storm_compression = (alerts > 0).then(|| 1.0 - share(float(fragments), float(alerts)));
    merges(&mut grouping, &table, facts);
    pairs(&mut grouping, &table);
    grouping
}

/// What was put together and does not belong together.
fn merges(grouping: &mut Grouping, table: &Table, facts: &[GroupFacts]) {
    let is_outage = |group: usize| facts.get(group).is_some_and(|facts| facts.is_outage);
    let mut by_incident: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
    for (&(incident, group), &count) in &table.cells {
        by_incident
            .entry(incident)
            .or_default()
            .push((group, count));
    }
    let mut merged = std::collections::BTreeSet::new();
    let (mut noise, mut absorbed, mut wrong_pairs) = (0, 0, 0.0);
    for groups in by_incident.values() {
        let is_large = |(group, count): (usize, usize)| count * 10 >= table.group_size(group);
        let large: Vec<usize> = groups
            .iter()
            .filter(|cell| is_outage(cell.0) && is_large(**cell))
            .map(|cell| cell.0)
            .collect();
        if large.len() > 1 {
            merged.extend(large);
        }
        let real: Vec<&(usize, usize)> = groups.iter().filter(|cell| is_outage(cell.0)).collect();
        let noisy: usize = groups
            .iter()
            .filter(|cell| !is_outage(cell.0))
            .map(|cell| cell.1)
            .sum();
        noise += noisy;
        absorbed += if real.is_empty() { 0 } else { noisy };
        for (index, one) in real.iter().enumerate() {
            let others = real.iter().skip(index + 1);
            for other in others.filter(|other| is_near(facts, one.0, other.0)) {
                wrong_pairs += float(one.1) * float(other.1);
            }
        }
    }
    grouping.merged_outages = share(float(merged.len()), float(grouping.outages));
    grouping.noise_absorbed = share(float(absorbed), float(noise));
    let sizes: Vec<(usize, f64)> = table
        .groups
        .iter()
        .filter(|(group, _)| is_outage(**group))
        .map(|(&group, &size)| (group, float(size)))
        .collect();
    let mut all_pairs = 0.0;
    for (index, one) in sizes.iter().enumerate() {
        let others = sizes.iter().skip(index + 1);
        for other in others.filter(|other| is_near(facts, one.0, other.0)) {
            all_pairs += one.1 * other.1;
        }
    }
    grouping.merged_pairs = share(wrong_pairs, all_pairs);
}

fn is_near(facts: &[GroupFacts], one: usize, other: usize) -> bool {
    let onset = |group: usize| facts.get(group).map_or(0, |facts| facts.onset);
    (onset(one) - onset(other)).abs() <= NEAR_MS
}

/// Over pairs and single alerts.
fn pairs(grouping: &mut Grouping, table: &Table) {
    let two = |count: usize| float(count) * (float(count) - 1.0) / 2.0;
    let together: f64 = table.cells.values().map(|&count| two(count)).sum();
    let by_incident: f64 = table.incidents.values().map(|&count| two(count)).sum();
    let by_group: f64 = table.groups.values().map(|&count| two(count)).sum();
    grouping.pair_precision = if by_incident > 0.0 {
        together / by_incident
    } else {
        1.0
    };
    grouping.pair_recall = if by_group > 0.0 {
        together / by_group
    } else {
        1.0
    };
    grouping.pair_f1 = harmonic(grouping.pair_precision, grouping.pair_recall);
    let expected = share(by_incident * by_group, two(table.total));
    let most = (by_incident + by_group) / 2.0;
    grouping.ari = if (most - expected).abs() < f64::EPSILON {
        1.0
    } else {
        (together - expected) / (most - expected)
    };
    let (mut precision, mut recall) = (0.0, 0.0);
    let mut largest: BTreeMap<usize, usize> = BTreeMap::new();
    for (&(incident, group), &count) in &table.cells {
        let squared = float(count) * float(count);
        precision += share(squared, float(table.incident_size(incident)));
        recall += share(squared, float(table.group_size(group)));
        let held = largest.entry(incident).or_default();
        *held = (*held).max(count);
    }
    let total = float(table.total);
    grouping.b3_f1 = harmonic(share(precision, total), share(recall, total));
    let pure: usize = largest.values().sum();
    grouping.purity = share(float(pure), total);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, expected: f64) {
        assert!((got - expected).abs() < 1e-9, "{got} is not {expected}");
    }

    /// Outage 0 has alerts 1 2 3, outage 1 has 4 5, group 2 is one piece of noise.
    /// Incident 0 holds 1 2 4, incident 1 holds 3, incident 2 holds 5 and the noise.
    fn example() -> Grouping {
        let placed =
            [(0, 0), (0, 0), (1, 0), (0, 1), (2, 1), (2, 2)].map(|(incident, group)| Placed {
                incident: Some(incident),
                group,
            });
        let facts = [(true, 0), (true, 60_000), (false, 0)]
            .map(|(is_outage, onset)| GroupFacts { is_outage, onset });
        judge(&placed, &facts)
    }

    #[test]
    fn pairs_and_alerts_are_counted_as_defined() {
        let got = example();
        // Pairs together: (1,2). By incident: 3 + 0 + 1. By outage: 3 + 1 + 0.
        near(got.pair_precision, 0.25);
        near(got.pair_recall, 0.25);
        near(got.pair_f1, 0.25);
        // E = 4 * 4 / 15; (1 - E) / (4 - E).
        near(got.ari, (1.0 - 16.0 / 15.0) / (4.0 - 16.0 / 15.0));
        // Precision (4/3 + 1/3 + 1 + 1/2 + 1/2) / 6, recall (4/3 + 1/3 + 1/2 + 1/2 + 1) / 6.
        near(got.b3_f1, 11.0 / 18.0);
        near(got.purity, 4.0 / 6.0);
        near(got.compression, 0.5);
        assert_eq!(got.storm_compression, None);
    }

    #[test]
    fn outages_are_judged_by_their_best_incident() {
        let got = example();
        // Outage 0: best incident 0, p 2/3, r 2/3. Outage 1: of two equals the first, p 1/3, r 1/2.
        near(got.macro_f1, (2.0 / 3.0 + 0.4) / 2.0);
        near(got.merged_outages, 1.0);
        // Alerts 1 and 2 with 4, of six pairs.
        near(got.merged_pairs, 2.0 / 6.0);
        near(got.split_outages, 1.0);
        near(got.fragments, 2.0);
        near(got.noise_absorbed, 1.0);
    }

    #[test]
    fn a_perfect_grouping_has_no_flaw_and_one_bucket_has_all() {
        let facts =
            [(true, 0), (true, 0)].map(|(is_outage, onset)| GroupFacts { is_outage, onset });
        let place = |is_perfect: bool| -> Vec<Placed> {
            let group = |index: usize| usize::from(index >= 60);
            let incident = |index| Some(if is_perfect { group(index) } else { 0 });
            (0..120)
                .map(|index| Placed {
                    incident: incident(index),
                    group: group(index),
                })
                .collect()
        };
        let perfect = judge(&place(true), &facts);
        near(
            perfect.macro_f1 + perfect.pair_f1 + perfect.b3_f1 + perfect.ari,
            4.0,
        );
        near(
            perfect.merged_outages + perfect.merged_pairs + perfect.split_outages,
            0.0,
        );
        near(perfect.storm_compression.unwrap(), 1.0 - 2.0 / 120.0);
        let bucket = judge(&place(false), &facts);
        near(bucket.merged_outages, 1.0);
        near(bucket.merged_pairs, 1.0);
        near(bucket.ari, 0.0);
        near(bucket.storm_compression.unwrap(), 1.0 - 2.0 / 120.0);
    }

    #[test]
    fn alerts_without_incident_stand_alone() {
        let facts = [GroupFacts {
            is_outage: true,
            onset: 0,
        }];
        let placed = [Placed {
            incident: None,
            group: 0,
        }; 4];
        let got = judge(&placed, &facts);
        assert_eq!(got.incidents, 4);
        near(got.macro_f1, 0.4);
        near(got.split_outages, 1.0);
    }
}
