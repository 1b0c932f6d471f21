//! The figures of a benchmark: per world and method, with intervals over seeds, gates beside them.
//!
//! What separates methods leads; compression never stands without the share of wrong merges. Must not judge beyond the
//! frozen gates.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::lab::contest::{Answer, Contestant, Verdict};
use crate::lab::gates::gate;
use crate::lab::score::interval::{Interval, of};
use crate::lab::score::{float, harmonic, share};
use crate::lab::sets::{Ground, Set, World};

/// The metrics, in the order in which they are shown, with short heads.
pub const METRICS: [(&str, &str); 20] = [
    ("macro_f1", "macroF1"),
    ("merged_outages", "merged"),
    ("noise_absorbed", "noise"),
    ("top1", "top1"),
    ("top1_observable", "top1obs"),
    ("top3_observable", "top3obs"),
    ("merged_pairs", "mpairs"),
    ("split_outages", "split"),
    ("storm_compression", "stormC"),
    ("b3_f1", "B3"),
    ("ari", "ARI"),
    ("pair_f1", "pairF1"),
    ("services_f1", "svcF1"),
    ("false_incidents", "false/k"),
    ("top3", "top3"),
    ("mrr", "MRR"),
    ("top1_solvable", "top1sol"),
    ("solvable", "solv"),
    ("fragments", "frag"),
    ("binding", "bind"),
];

/// How many of the metrics a table on a terminal shows.
const SHOWN: usize = 14;

/// One contestant's verdict on one world.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The contestant's name.
    pub name: String,
    /// Its figures by metric.
    pub metrics: BTreeMap<&'static str, f64>,
    /// Its figures by kind of fault.
    pub kinds: BTreeMap<&'static str, KindSums>,
    /// For pairs: hops, minutes between, whether they were merged.
    pub twins: Vec<(usize, i64, bool)>,
}

/// Sums over outages of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct KindSums {
    outages: usize,
    f1: f64,
    merged: usize,
    split: usize,
    top1: usize,
    top3: usize,
    observable: usize,
    solvable: usize,
}

/// Figures of one kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct KindFigures {
    /// Outages.
    pub outages: usize,
    /// Mean F1 with the best incident.
    pub macro_f1: f64,
    /// Share merged with another outage.
    pub merged: f64,
    /// Share without four fifths in one incident.
    pub split: f64,
    /// Share with the right root named first.
    pub top1: f64,
    /// Share with the right root among the first three.
    pub top3: f64,
    /// Share whose root alerted.
    pub observable: f64,
    /// Share whose root can be told.
    pub solvable: f64,
}

/// All figures of one method in one kind of world.
#[derive(Clone, Debug, Serialize)]
pub struct MethodReport {
    /// Its name.
    pub name: String,
    /// Means with intervals over seeds.
    pub metrics: BTreeMap<&'static str, Interval>,
    /// By kind of fault, over all seeds.
    pub kinds: BTreeMap<&'static str, KindFigures>,
    /// Wrongly merged pairs of outages, by `hops/minutes between`: merged and all.
    pub twins: BTreeMap<String, (usize, usize)>,
}

/// All methods in one kind of world.
#[derive(Clone, Debug, Serialize)]
pub struct WorldReport {
    /// The set.
    pub set: &'static str,
    /// The estate.
    pub ground: &'static str,
    /// CIs of the last seed.
    pub cis: usize,
    /// Alerts per seed.
    pub alerts: f64,
    /// Outages per seed.
    pub outages: f64,
    /// Our engine first, then the ceiling, then the others.
    pub methods: Vec<MethodReport>,
    /// Release gates of our engine: metric, bound, whether it is passed.
    pub gates: Vec<(&'static str, String, bool)>,
}

/// A whole benchmark.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The first seed and the last.
    pub seeds: (u64, u64),
    /// Every kind of world.
    pub worlds: Vec<WorldReport>,
}

/// Makes an entry of a verdict.
pub fn entry(world: &World, contestant: Contestant, answer: &Answer, verdict: &Verdict) -> Entry {
    let (grouping, roots) = (&verdict.grouping, &verdict.roots);
    let mut metrics = BTreeMap::from([
        ("noise_absorbed", grouping.noise_absorbed),
        ("compression", grouping.compression),
        ("pair_f1", grouping.pair_f1),
        ("b3_f1", grouping.b3_f1),
        ("ari", grouping.ari),
        ("purity", grouping.purity),
        ("false_incidents", verdict.false_incidents),
        ("alerts", float(grouping.alerts)),
        ("incidents", float(grouping.incidents)),
    ]);
    if grouping.outages > 0 {
        metrics.extend([
            ("macro_f1", grouping.macro_f1),
            ("merged_outages", grouping.merged_outages),
            ("merged_pairs", grouping.merged_pairs),
            ("split_outages", grouping.split_outages),
            ("fragments", grouping.fragments),
            ("top1", roots.top1),
            ("top1_strict", roots.top1_strict),
            ("top3", roots.top3),
            ("mrr", roots.mrr),
            ("solvable", roots.solvable),
        ]);
    }
    let optional = [
        ("storm_compression", grouping.storm_compression),
        ("top1_observable", roots.top1_observable),
        ("top3_observable", roots.top3_observable),
        ("top1_solvable", roots.top1_solvable),
        ("services_f1", roots.services_f1),
        (
            "binding",
            (!answer.bound.is_empty()).then_some(verdict.binding),
        ),
    ];
    metrics.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    metrics.extend(costs(answer));
    Entry {
        name: contestant.name(),
        metrics,
        kinds: kinds(world, verdict),
        twins: twins(world, verdict),
    }
}

/// Time per event.
fn costs(answer: &Answer) -> Vec<(&'static str, f64)> {
    let mut sorted = answer.nanoseconds.clone();
    sorted.sort_unstable();
    let microseconds = |at: usize| {
        let nanoseconds = sorted.get(at).copied().unwrap_or_default();
        f64::from(u32::try_from(nanoseconds / 10).unwrap_or(u32::MAX)) / 100.0
    };
    if sorted.is_empty() {
        return Vec::new();
    }
    let last = sorted.len() - 1;
    let total: u64 = sorted.iter().sum();
    let total = f64::from(u32::try_from(total / 1_000).unwrap_or(u32::MAX));
    vec![
        ("cost_p50_us", microseconds(last / 2)),
        ("cost_p99_us", microseconds(last * 99 / 100)),
        ("cost_p999_us", microseconds(last * 999 / 1_000)),
        ("cost_max_us", microseconds(last)),
        ("cost_mean_us", share(total, float(sorted.len()))),
    ]
}

fn kinds(world: &World, verdict: &Verdict) -> BTreeMap<&'static str, KindSums> {
    let mut kinds: BTreeMap<&'static str, KindSums> = BTreeMap::new();
    for outage in &verdict.outages {
        let group = world.story.truth.groups.get(outage.group);
        let Some(fault) = group.and_then(|group| group.fault.as_ref()) else {
            continue;
        };
        let sums = kinds.entry(fault.kind.word()).or_default();
        let (inside, all) = (float(outage.inside), float(outage.alerts));
        let precision = share(inside, inside + float(outage.strangers));
        let is_right =
            |ci: &usize| *ci == outage.truth.root || outage.truth.acceptable.contains(ci);
        let place = outage.named.roots.iter().position(is_right);
        sums.outages += 1;
        sums.f1 += harmonic(precision, share(inside, all));
        sums.merged +=
            usize::from(!outage.merged_with.is_empty() && outage.inside * 10 >= outage.alerts);
        sums.split += usize::from(outage.alerts >= 3 && share(inside, all) < 0.8);
        sums.top1 += usize::from(place == Some(0));
        sums.top3 += usize::from(place.is_some_and(|place| place < 3));
        sums.observable += usize::from(outage.truth.is_observable);
        sums.solvable += usize::from(outage.truth.is_solvable);
    }
    kinds
}

fn twins(world: &World, verdict: &Verdict) -> Vec<(usize, i64, bool)> {
    let groups = &world.story.truth.groups;
    let onset = |group: usize| {
        let fault = groups.get(group).and_then(|group| group.fault.as_ref());
        fault.map_or(0, |fault| fault.onset)
    };
    let pairs = verdict.outages.iter().filter_map(|outage| {
        let (other, hops) = groups.get(outage.group)?.twin?;
        let gap = (onset(other) - onset(outage.group)) / 60_000;
        let is_first = outage.group < other;
        is_first.then(|| (hops, gap, outage.merged_with.contains(&other)))
    });
    pairs.collect()
}

/// Puts the entries of several seeds together; `entries` holds one list per seed, each in the same order.
pub fn world_report(set: Set, ground: Ground, cis: usize, entries: &[Vec<Entry>]) -> WorldReport {
    let names: Vec<String> = entries
        .first()
        .into_iter()
        .flatten()
        .map(|it| it.name.clone())
        .collect();
    let methods: Vec<MethodReport> = names
        .iter()
        .map(|name| {
            let own: Vec<&Entry> = entries
                .iter()
                .flatten()
                .filter(|it| it.name == *name)
                .collect();
            method_report(name, &own)
        })
        .collect();
    let first = methods.first();
    let mean = |metric: &str| {
        let found = first.and_then(|method| method.metrics.get(metric));
        found.map(|interval| interval.mean)
    };
    let all = METRICS
        .iter()
        .map(|(metric, _)| *metric)
        .chain(["cost_p99_us"]);
    let gates = all.filter_map(|metric| {
        let gate = gate(metric, set, ground)?;
        Some((metric, gate.text(), gate.is_passed(mean(metric)?)))
    });
    WorldReport {
        set: set.word(),
        ground: ground.word(),
        cis,
        alerts: mean("alerts").unwrap_or_default(),
        outages: first.map_or(0.0, |method| {
            let outages: usize = method.kinds.values().map(|kind| kind.outages).sum();
            share(float(outages), float(entries.len()))
        }),
        gates: gates.collect(),
        methods,
    }
}

fn method_report(name: &str, entries: &[&Entry]) -> MethodReport {
    let mut values: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    let mut sums: BTreeMap<&'static str, KindSums> = BTreeMap::new();
    let mut twins: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for entry in entries {
        for (metric, value) in &entry.metrics {
            values.entry(metric).or_default().push(*value);
        }
        for (kind, one) in &entry.kinds {
            let sum = sums.entry(kind).or_default();
            sum.outages += one.outages;
            sum.f1 += one.f1;
            sum.merged += one.merged;
            sum.split += one.split;
            sum.top1 += one.top1;
            sum.top3 += one.top3;
            sum.observable += one.observable;
            sum.solvable += one.solvable;
        }
        for (hops, minutes, is_merged) in &entry.twins {
            let hops = if *hops > 6 {
                "far".to_owned()
            } else {
                hops.to_string()
            };
            let held = twins.entry(format!("{hops}/{minutes}")).or_default();
            held.0 += usize::from(*is_merged);
            held.1 += 1;
        }
    }
    let kinds = sums.into_iter().map(|(kind, sum)| {
        let all = float(sum.outages);
        let figures = KindFigures {
            outages: sum.outages,
            macro_f1: share(sum.f1, all),
            merged: share(float(sum.merged), all),
            split: share(float(sum.split), all),
            top1: share(float(sum.top1), all),
            top3: share(float(sum.top3), all),
            observable: share(float(sum.observable), all),
            solvable: share(float(sum.solvable), all),
        };
        (kind, figures)
    });
    let metrics = values
        .into_iter()
        .filter_map(|(metric, values)| Some((metric, of(&values)?)));
    MethodReport {
        name: name.to_owned(),
        metrics: metrics.collect(),
        kinds: kinds.collect(),
        twins,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = self.seeds;
        writeln!(
            f,
            "Seeds {first} to {last}; means, for watchbell with 95 % intervals below."
        )?;
        self.worlds.iter().try_for_each(|world| world.fmt(f))
    }
}

impl fmt::Display for WorldReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (set, ground, cis) = (self.set, self.ground, self.cis);
        let (alerts, outages) = (self.alerts, self.outages);
        writeln!(
            f,
            "\n{set} {ground}: {cis} CIs, {alerts:.0} alerts, {outages:.0} outages with alerts per seed"
        )?;
        let shown: Vec<_> = METRICS.iter().take(SHOWN).collect();
        write!(f, "{:26}", "")?;
        shown
            .iter()
            .try_for_each(|(_, head)| write!(f, " {head:>7}"))?;
        writeln!(f)?;
        for (index, method) in self.methods.iter().enumerate() {
            let line = |f: &mut fmt::Formatter<'_>, name: &str, of: fn(&Interval) -> f64| {
                write!(f, "{name:26}")?;
                shown
                    .iter()
                    .try_for_each(|(metric, _)| match method.metrics.get(metric) {
                        Some(interval) => write!(f, " {:>7.3}", of(interval)),
                        None => write!(f, " {:>7}", "-"),
                    })?;
                writeln!(f)
            };
            line(f, &method.name, |interval| interval.mean)?;
            if index == 0 {
                line(f, "  from", |interval| interval.low)?;
                line(f, "  to", |interval| interval.high)?;
            }
        }
        for (metric, bound, is_passed) in &self.gates {
            let word = if *is_passed { "passed" } else { "MISSED" };
            writeln!(f, "gate {metric} {bound}: {word}")?;
        }
        let Some(own) = self.methods.first() else {
            return Ok(());
        };
        if let Some(cost) = own.metrics.get("cost_mean_us") {
            let at = |metric| own.metrics.get(metric).map_or(0.0, |it: &Interval| it.mean);
            writeln!(
                f,
                "watchbell per event: mean {:.0} us, p50 {:.0}, p99 {:.0}, p99.9 {:.0}, most {:.0}",
                cost.mean,
                at("cost_p50_us"),
                at("cost_p99_us"),
                at("cost_p999_us"),
                at("cost_max_us")
            )?;
        }
        kinds_table(f, own)?;
        twins_table(f, own)
    }
}

fn kinds_table(f: &mut fmt::Formatter<'_>, own: &MethodReport) -> fmt::Result {
    if own.kinds.is_empty() {
        return Ok(());
    }
    writeln!(
        f,
        "watchbell by fault  outages macroF1  merged   split    top1    top3     obs    solv"
    )?;
    for (kind, it) in &own.kinds {
        writeln!(
            f,
            "  {kind:16} {:>8} {:>7.2} {:>7.2} {:>7.2} {:>7.2} {:>7.2} {:>7.2} {:>7.2}",
            it.outages,
            it.macro_f1,
            it.merged,
            it.split,
            it.top1,
            it.top3,
            it.observable,
            it.solvable
        )?;
    }
    Ok(())
}

fn twins_table(f: &mut fmt::Formatter<'_>, own: &MethodReport) -> fmt::Result {
    for (place, (merged, all)) in &own.twins {
        writeln!(
            f,
            "  pairs at hops/minutes {place}: {merged} of {all} merged"
        )?;
    }
    Ok(())
}
