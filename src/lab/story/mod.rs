//! What happens in an estate on one day, and what monitoring says about it: events with the truth about them.
//!
//! Read [`fault`] (what breaks), [`mod@spread`] (who suffers), [`mod@checks`] and [`tell`] (what is said), then [`write()`]. Must
//! not know any method of correlation.

#![expect(
    clippy::indexing_slicing,
    reason = "CI numbers are positions that the estate itself hands out"
)]

pub mod checks;
pub mod fault;
pub mod spread;
pub mod tell;

use smol_str::{SmolStr, format_smolstr};

use crate::core::input::ChangeRecord;
use crate::lab::estate::{Class, Estate};
use crate::lab::event::{Event, Said};
use crate::lab::random::Random;
use crate::lab::story::checks::{Family, NOISE, UNSEEN, checks};
use crate::lab::story::fault::{Fault, Kind, strike, strike_at};
use crate::lab::story::spread::{Impact, reach, spread};
use crate::lab::story::tell::{Episode, Teller, time};

/// How faithfully monitoring tells what happens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Faithfulness {
    /// Share of alerts that never come.
    pub lost: f64,
    /// Share of names that the CMDB does not know.
    pub unbindable: f64,
    /// Decides who has which habit.
    pub seed: u64,
}

/// What shall happen.
#[derive(Clone, Debug)]
pub struct Plot {
    /// How long the story is, in hours.
    pub hours: f64,
    /// How many outages there are.
    pub outages: usize,
    /// Share of outages that begin within ten minutes of the one before.
    pub overlap: f64,
    /// Kinds of faults by weight.
    pub kinds: Vec<(Kind, f64)>,
    /// Alerts that mean nothing, per CI and day.
    pub noise: f64,
    /// Whether one whole site is cut off at a third of the story.
    pub has_partition: bool,
    /// Whether outages come in pairs whose distance matters.
    pub is_twins: bool,
    /// Whether half of the outages seem to be over for a minute.
    pub has_lulls: bool,
    /// How faithfully it is told.
    pub how: Faithfulness,
}

/// One alert as it truly is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrueOccurrence {
    /// Its name in the events.
    pub id: SmolStr,
    /// The outage or noise that it belongs to, as a position in [`Truth::groups`].
    pub group: usize,
    /// The CI that it is truly about.
    pub ci: usize,
    /// What it is a sign of.
    pub family: Family,
    /// When it began, in milliseconds of the story.
    pub start: i64,
    /// When it arrived.
    pub at: i64,
}

/// An outage or a piece of noise.
#[derive(Clone, Debug)]
pub struct Group {
    /// What happened; `None` for noise.
    pub fault: Option<Fault>,
    /// The change that caused it.
    pub change: Option<SmolStr>,
    /// Business services that suffer, with the time from which they do.
    pub businesses: Vec<(usize, i64)>,
    /// Whether somebody who sees the true estate could tell the root from the alerts.
    pub is_solvable: bool,
    /// The other one of a pair, with the hops between both roots, at most seven.
    pub twin: Option<(usize, usize)>,
}

/// What truly happened.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// Every alert that was told, by position of first telling.
    pub occurrences: Vec<TrueOccurrence>,
    /// Outages and noise.
    pub groups: Vec<Group>,
}

/// Events with the truth about them.
#[derive(Clone, Debug)]
pub struct Story {
    /// What is said, in order of arrival.
    pub events: Vec<Event>,
    /// What it truly is.
    pub truth: Truth,
}

/// Milliseconds of an hour.
const HOUR_MS: f64 = 3_600.0;

/// Writes a story.
pub fn write(estate: &Estate, plot: &Plot, seed: u64) -> Story {
    let mut writer = Writer {
        estate,
        plot,
        random: Random::new(seed, "story"),
        teller: Teller::new(estate, plot.how, seed),
        groups: Vec::new(),
        changes: Vec::new(),
    };
    for (fault, twin) in writer.schedule() {
        writer.outage(fault, twin);
    }
    writer.noise();
    writer.innocent_changes();
    writer.finish()
}

struct Writer<'a> {
    estate: &'a Estate,
    plot: &'a Plot,
    random: Random,
    teller: Teller<'a>,
    groups: Vec<Group>,
    changes: Vec<Event>,
}

impl Writer<'_> {
    /// When what breaks where, in order of time.
    fn schedule(&mut self) -> Vec<(Fault, Option<(usize, usize)>)> {
        let length = crate::lab::random::millis(self.plot.hours * HOUR_MS);
        let outages = i64::try_from(self.plot.outages).unwrap_or(0);
        let mut faults: Vec<(Fault, Option<(usize, usize)>)> = Vec::new();
        if self.plot.is_twins {
            return self.twins(length / outages.max(1));
        }
        let slot = length * 9 / 10 / outages.max(1);
        let mut onset = 0;
        for number in 0..outages {
            let is_near = number > 0 && self.random.chance(self.plot.overlap);
            let begin = length / 50 + slot * number;
            onset = if is_near {
                onset + self.random.seconds(0.0, 600.0)
            } else {
                begin.max(onset) + self.random.seconds(0.0, 1.0) * slot / 2_000
            };
            let Some(&kind) = self.random.weighted(&self.plot.kinds) else {
                break;
            };
            faults.extend(
                self.strike_elsewhere(kind, onset, &faults)
                    .map(|it| (it, None)),
            );
        }
        if self.plot.has_partition
            && let Some(&site) = self.estate.of(Class::Site).first()
        {
            let fault = strike_at(
                self.estate,
                Kind::Partition,
                site,
                length / 3,
                &mut self.random,
            );
            faults.push((fault, None));
        }
        faults.sort_by_key(|(fault, _)| fault.onset);
        faults
    }

    /// Breaks something that is not broken already, nor was until a quarter of an hour ago: nobody could tell two such
    /// outages apart.
    fn strike_elsewhere(
        &mut self,
        kind: Kind,
        onset: i64,
        faults: &[(Fault, Option<(usize, usize)>)],
    ) -> Option<Fault> {
        const TRIES: usize = 8;
        const QUARTER_MS: i64 = 900_000;
        (0..TRIES).find_map(|_| {
            let fault = strike(self.estate, kind, onset, &mut self.random)?;
            let is_same = |known: &Fault| {
                let touches = known.root == fault.root || known.acceptable.contains(&fault.root);
                touches && known.end + QUARTER_MS > onset
            };
            let is_new = !faults.iter().any(|(known, _)| is_same(known));
            is_new.then_some(fault)
        })
    }

    /// Pairs of outages whose distance and gap are spread evenly.
    fn twins(&mut self, slot: i64) -> Vec<(Fault, Option<(usize, usize)>)> {
        const KINDS: [Kind; 5] = [
            Kind::Switch,
            Kind::Machine,
            Kind::Storage,
            Kind::Deploy,
            Kind::Database,
        ];
        const GAPS: [i64; 5] = [0, 60_000, 120_000, 300_000, 600_000];
        let mut faults = Vec::new();
        for pair in 0..self.plot.outages / 2 {
            let onset =
                slot * 2 * i64::try_from(pair).unwrap_or(0) + self.random.seconds(60.0, 600.0);
            let wanted = 1 + pair % 6;
            let gap = GAPS[pair / 6 % GAPS.len()];
            let mut best: Option<(usize, Fault, Fault)> = None;
            for _ in 0..40 {
                let kinds = (
                    *self.random.pick(&KINDS).unwrap_or(&Kind::Machine),
                    *self.random.pick(&KINDS).unwrap_or(&Kind::Machine),
                );
                let one = strike(self.estate, kinds.0, onset, &mut self.random);
                let other = strike(self.estate, kinds.1, onset + gap, &mut self.random);
                let (Some(one), Some(other)) = (one, other) else {
                    continue;
                };
                let hops = self.estate.distance(one.root, other.root, 6).unwrap_or(7);
                let is_nearer = best
                    .as_ref()
                    .is_none_or(|(held, _, _)| hops.abs_diff(wanted) < held.abs_diff(wanted));
                if hops > 0 && is_nearer {
                    best = Some((hops, one, other));
                }
                if best.as_ref().is_some_and(|(held, _, _)| *held == wanted) {
                    break;
                }
            }
            if let Some((hops, one, other)) = best {
                let first = faults.len();
                faults.push((one, Some((first + 1, hops))));
                faults.push((other, Some((first, hops))));
            }
        }
        faults
    }

    fn outage(&mut self, fault: Fault, twin: Option<(usize, usize)>) {
        let group = self.groups.len();
        let change = self.cause(&fault);
        let impacts = spread(self.estate, &fault, &mut self.random);
        let lull = (self.plot.has_lulls && self.random.chance(0.5))
            .then(|| fault.onset + (fault.end - fault.onset) / 2);
        let mut businesses: Vec<(usize, i64)> = Vec::new();
        for impact in &impacts {
            let is_business = self.estate.cis[impact.ci].class == Class::Business;
            if is_business && businesses.iter().all(|(known, _)| *known != impact.ci) {
                businesses.push((impact.ci, impact.at));
            }
            self.suffer(group, &fault, impact, lull);
        }
        if fault.kind == Kind::Monitoring {
            self.blind(group, &fault);
        }
        self.groups.push(Group {
            fault: Some(fault),
            change,
            businesses,
            is_solvable: false,
            twin,
        });
    }

    /// What is said of a CI that got worse.
    fn suffer(&mut self, group: usize, fault: &Fault, impact: &Impact, lull: Option<i64>) {
        let class = self.estate.cis[impact.ci].class;
        for check in checks(class, impact.health) {
            if !self.random.chance(check.probability) {
                continue;
            }
            let start = impact.at + self.random.seconds(check.delay.0, check.delay.1);
            let end = fault.end + self.random.delay(30.0) + 5_000;
            self.teller.tell(&Episode {
                group,
                ci: impact.ci,
                check,
                start,
                end: end.max(start + 30_000),
                lull,
            });
        }
    }

    /// What a dead monitoring server no longer sees.
    fn blind(&mut self, group: usize, fault: &Fault) {
        let targets: Vec<usize> = (0..self.estate.cis.len())
            .filter(|&ci| self.estate.cis[ci].monitor == Some(fault.root))
            .collect();
        let share = self.random.unit() * 0.35 + 0.05;
        for ci in targets {
            if !self.random.chance(share) {
                continue;
            }
            for check in &UNSEEN {
                if self.random.chance(check.probability) {
                    let delay = self.random.seconds(check.delay.0, check.delay.1);
                    self.teller.tell(&Episode {
                        group,
                        ci,
                        check,
                        start: fault.onset + delay,
                        end: fault.end + self.random.delay(30.0),
                        lull: None,
                    });
                }
            }
        }
    }

    /// The change behind a fault.
    fn cause(&mut self, fault: &Fault) -> Option<SmolStr> {
        if fault.kind != Kind::Deploy {
            return None;
        }
        let at = fault.onset - self.random.seconds(20.0, 240.0);
        Some(self.change(at, fault.root))
    }

    fn change(&mut self, at: i64, ci: usize) -> SmolStr {
        let id = format_smolstr!("CHG-{}", self.changes.len() + 1);
        let ci = self.estate.cis[ci].id.clone();
        self.changes.push(Event {
            at: time(at.max(0)),
            said: Said::Change(ChangeRecord {
                id: id.clone(),
                summary: format_smolstr!("Deploy {ci}"),
                ci,
            }),
        });
        id
    }

    /// Alerts that mean nothing; some strike where an outage is going on.
    fn noise(&mut self) {
        let cis = u32::try_from(self.estate.cis.len()).unwrap_or(u32::MAX);
        let length = crate::lab::random::millis(self.plot.hours * HOUR_MS);
        let sources = f64::from(cis) * self.plot.noise * self.plot.hours / 24.0;
        let count = crate::lab::random::millis(sources / 1_000.0);
        let troubled: Vec<(usize, i64)> = self
            .teller
            .occurrences
            .iter()
            .map(|it| (it.ci, it.start))
            .collect();
        for _ in 0..count {
            let group = self.groups.len();
            let near = self.random.pick(&troubled).copied();
            let (ci, at) = match near.filter(|_| self.random.chance(0.1)) {
                Some((ci, at)) => (ci, at + self.random.seconds(0.0, 300.0)),
                None => (
                    self.random.below(self.estate.cis.len()),
                    self.random.seconds(0.0, self.plot.hours * HOUR_MS),
                ),
            };
            let Some(check) = self.random.pick(&NOISE) else {
                break;
            };
            let mut start = at.min(length);
            let repeats = if self.random.chance(0.25) {
                self.random.between(1, 3)
            } else {
                0
            };
            for _ in 0..=repeats {
                let end = start + 20_000 + self.random.delay(600.0);
                self.teller.tell(&Episode {
                    group,
                    ci,
                    check,
                    start,
                    end,
                    lull: None,
                });
                start = end + self.random.seconds(60.0, 900.0);
            }
            self.groups.push(Group {
                fault: None,
                change: None,
                businesses: Vec::new(),
                is_solvable: false,
                twin: None,
            });
        }
    }

    fn innocent_changes(&mut self) {
        let count = crate::lab::random::millis(40.0 * self.plot.hours / 24_000.0);
        let services = [
            self.estate.of(Class::Application),
            self.estate.of(Class::Vm),
        ]
        .concat();
        for _ in 0..count {
            let at = self.random.seconds(0.0, self.plot.hours * HOUR_MS);
            if let Some(&ci) = self.random.pick(&services) {
                self.change(at, ci);
            }
        }
    }

    fn finish(mut self) -> Story {
        let mut told: Vec<Vec<&TrueOccurrence>> = vec![Vec::new(); self.groups.len()];
        for occurrence in &self.teller.occurrences {
            told[occurrence.group].push(occurrence);
        }
        let deploys: Vec<(usize, i64)> = self
            .groups
            .iter()
            .filter_map(|group| group.fault.as_ref())
            .filter(|fault| fault.kind == Kind::Deploy)
            .map(|fault| (fault.root, fault.onset))
            .collect();
        for (group, told) in self.groups.iter_mut().zip(&told) {
            if let Some(fault) = &group.fault {
                group.is_solvable = is_solvable(self.estate, fault, told, &deploys);
            }
        }
        let mut events = self.teller.events;
        events.extend(self.changes);
        // What arrives at one instant keeps the order in which it was told.
        events.sort_by_key(|event| event.at);
        Story {
            events,
            truth: Truth {
                occurrences: self.teller.occurrences,
                groups: self.groups,
            },
        }
    }
}

/// Whether the root can be told from the alerts by somebody who sees the true estate: it has an alert or a change of its
/// own, or no other CI that reaches all that alerted reaches less besides.
fn is_solvable(
    estate: &Estate,
    fault: &Fault,
    told: &[&TrueOccurrence],
    deploys: &[(usize, i64)],
) -> bool {
    const REACH_MAX: usize = 20_000;
    const QUARTER_MS: i64 = 900_000;
    let is_root = |ci: usize| ci == fault.root || fault.acceptable.contains(&ci);
    if told.is_empty() {
        return false;
    }
    if fault.kind == Kind::Deploy {
        let same = deploys.iter().filter(|(root, onset)| {
            *root == fault.root && (onset - fault.onset).abs() < QUARTER_MS
        });
        return same.count() < 2;
    }
    if fault.kind == Kind::Monitoring || told.iter().any(|it| is_root(it.ci)) {
        return true;
    }
    let alerted: std::collections::BTreeSet<usize> = told.iter().map(|it| it.ci).collect();
    let reaches_all = |ci: usize| {
        let reached = reach(estate, ci, REACH_MAX);
        let hit = reached.iter().filter(|ci| alerted.contains(ci)).count();
        (hit == alerted.len()).then_some(reached.len())
    };
    let Some(own) = reaches_all(fault.root) else {
        return false;
    };
    let Some(&first) = alerted.first() else {
        return false;
    };
    // Whoever explains everything explains the first one, so only what that depends on can.
    let mut open = vec![first];
    let mut seen = std::collections::BTreeSet::from([first]);
    while let Some(ci) = open.pop() {
        let is_rival = !is_root(ci) && reaches_all(ci).is_some_and(|size| size <= own);
        if is_rival {
            return false;
        }
        for link in estate.providers(ci) {
            if seen.len() < 200 && seen.insert(link.to) {
                open.push(link.to);
            }
        }
    }
    true
}
