//! One world, all methods: what each makes of the same messages, and how good that is.
//!
//! Our engine runs through `decide` and `apply` as in the daemon. The ceiling is the same engine on a CMDB without errors,
//! with every alert's true CI given; the share of solvable roots stands beside it. Must not read a clock: the caller
//! lends one, since cost is part of the result and of nothing else.

#![expect(
    clippy::indexing_slicing,
    reason = "positions of alerts, groups and CIs come from the lists themselves"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hashbrown::HashMap;
use smol_str::SmolStr;

use crate::core::cmdb::reconcile::first_difference;
use crate::core::cmdb::record::Picture;
use crate::core::observation::Claim;
use crate::core::rules::Rules;
use crate::core::time::Span;
use crate::lab::baseline::graph::Hops;
use crate::lab::baseline::{Method, Seen, group};
use crate::lab::estate::record::{Damage, record};
use crate::lab::estate::{Class, Estate};
use crate::lab::event::{AlertSaid, Event, Said};
use crate::lab::play::Play;
use crate::lab::score::partition::{self, GroupFacts, Grouping, Placed};
use crate::lab::score::roots::{self, Named, Roots, TrueRoot};
use crate::lab::sets::World;
use crate::lab::story::tell::MIDNIGHT_MS;
use crate::lab::tracks::Tracks;

/// Tells the time that has passed since some instant.
pub type Clock<'a> = &'a dyn Fn() -> Duration;

/// Who competes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Contestant {
    /// Our engine.
    Engine,
    /// Our engine on the true estate with true bindings.
    Ceiling,
    /// Another method.
    Baseline(Method),
}

impl Contestant {
    /// Its name in reports.
    pub fn name(self) -> String {
        match self {
            Self::Engine => "watchbell".to_owned(),
            Self::Ceiling => "B8 true graph".to_owned(),
            Self::Baseline(method) => method.name(),
        }
    }
}

/// What one contestant made of one world.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The incident of every true occurrence.
    pub incidents: Vec<Option<usize>>,
    /// What was named for an incident.
    pub named: BTreeMap<usize, Named>,
    /// The CI that each occurrence was bound to.
    pub bound: Vec<Option<usize>>,
    /// Nanoseconds per event, if a clock was lent.
    pub nanoseconds: Vec<u64>,
}

/// How good an answer is.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The grouping.
    pub grouping: Grouping,
    /// The causes.
    pub roots: Roots,
    /// Each outage that had an alert.
    pub outages: Vec<OutageVerdict>,
    /// Share of alerts bound to their true CI, of those whose name the CMDB knows or not.
    pub binding: f64,
    /// Incidents of several CIs that hold nothing but noise, per 1,000 pieces of noise.
    pub false_incidents: f64,
}

/// One outage.
#[derive(Clone, Debug)]
pub struct OutageVerdict {
    /// Its position in the truth.
    pub group: usize,
    /// How many alerts it had.
    pub alerts: usize,
    /// How many incidents it is spread over.
    pub fragments: usize,
    /// The best incident.
    pub incident: usize,
    /// Alerts of it in there.
    pub inside: usize,
    /// Alerts of others in there.
    pub strangers: usize,
    /// Other outages with a tenth of theirs in there.
    pub merged_with: Vec<usize>,
    /// What was named.
    pub named: Named,
    /// What is true.
    pub truth: TrueRoot,
}

/// How long time goes on after the last event.
const TAIL: Span = Span::from_mins(10);

/// Lets our engine play a world.
pub fn play(world: &World, rules: &Rules, is_ceiling: bool, clock: Option<Clock<'_>>) -> Answer {
    let cmdb = if is_ceiling {
        record(&world.estate, Damage::NONE, world.seed)
    } else {
        world.cmdb.clone()
    };
    let mut play = Play::new(rules.clone(), &first_difference(&cmdb));
    let mut tracks = Tracks::default();
    let truly: HashMap<&str, usize, foldhash::fast::FixedState> = world
        .story
        .truth
        .occurrences
        .iter()
        .map(|it| (it.id.as_str(), it.ci))
        .collect();
    let mut nanoseconds = Vec::new();
    for instant in world.story.events.chunk_by(|one, other| one.at == other.at) {
        let told = instant.iter().map(|event| {
            let told = is_ceiling.then(|| with_true_ci(event, &truly, &world.estate));
            told.flatten().unwrap_or_else(|| event.clone())
        });
        let mut told: Vec<Event> = told.collect();
        let begun = clock.map(|clock| clock());
        play.hear_together(&mut told, &mut tracks);
        if let (Some(clock), Some(begun)) = (clock, begun) {
            let passed = clock().saturating_sub(begun).as_nanos();
            let count = u128::try_from(told.len().max(1)).unwrap_or(1);
            let each = u64::try_from(passed / count).unwrap_or(u64::MAX);
            nanoseconds.extend(told.iter().map(|_| each));
        }
    }
    if let Some(now) = play.now() {
        play.pass_until(now.plus(TAIL), &mut tracks);
    }
    tracks.finish(&play);
    let mut answer = answer(world, &tracks);
    answer.nanoseconds = nanoseconds;
    answer
}

fn with_true_ci(
    event: &Event,
    truly: &HashMap<&str, usize, foldhash::fast::FixedState>,
    estate: &Estate,
) -> Option<Event> {
    let Said::Alert(said) = &event.said else {
        return None;
    };
    let ci = *truly.get(said.id.as_str())?;
    Some(Event {
        at: event.at,
        said: Said::Alert(Box::new(AlertSaid {
            ci: Some(estate.cis[ci].id.clone()),
            ..said.as_ref().clone()
        })),
    })
}

fn answer(world: &World, tracks: &Tracks) -> Answer {
    let numbers = numbers(&world.estate);
    let number = |id: &SmolStr| numbers.get(id.as_str()).copied();
    let mut of_id: HashMap<&str, (Option<usize>, Option<usize>), foldhash::fast::FixedState> =
        HashMap::default();
    for occurrence in tracks.occurrences() {
        let incident = tracks.incident_of(occurrence);
        let incident = incident.and_then(|incident| usize::try_from(incident.get()).ok());
        let ci = occurrence.ci.as_ref().and_then(number);
        of_id.insert(&occurrence.id, (incident, ci));
    }
    let all = &world.story.truth.occurrences;
    let of = |id: &SmolStr| of_id.get(id.as_str()).copied().unwrap_or_default();
    let named = tracks.outcomes().filter_map(|(id, outcome)| {
        let named = Named {
            roots: outcome
                .roots
                .iter()
                .filter_map(|root| number(&root.ci))
                .collect(),
            services: outcome.services.iter().filter_map(number).collect(),
        };
        Some((usize::try_from(id.get()).ok()?, named))
    });
    Answer {
        incidents: all.iter().map(|it| of(&it.id).0).collect(),
        bound: all.iter().map(|it| of(&it.id).1).collect(),
        named: named.collect(),
        nanoseconds: Vec::new(),
    }
}

fn numbers(estate: &Estate) -> HashMap<&str, usize, foldhash::fast::FixedState> {
    let cis = estate.cis.iter().enumerate();
    cis.map(|(number, ci)| (ci.id.as_str(), number)).collect()
}

/// What all baselines see of a world.
#[derive(Debug)]
pub struct View {
    seen: Vec<Seen>,
    /// Positions in the truth, in order of arrival.
    order: Vec<usize>,
    hops: Hops,
}

impl View {
    /// Looks at a world; `bound` says which CI each occurrence was bound to.
    pub fn new(world: &World, cmdb: &Picture, bound: &[Option<usize>]) -> Self {
        let all = &world.story.truth.occurrences;
        let mut first: HashMap<&str, &AlertSaid, foldhash::fast::FixedState> = HashMap::default();
        let mut ends: HashMap<&str, i64, foldhash::fast::FixedState> = HashMap::default();
        for event in &world.story.events {
            if let Said::Alert(said) = &event.said {
                match said.claim {
                    Claim::Firing => {
                        first.entry(said.id.as_str()).or_insert(said);
                    }
                    Claim::Resolved => {
                        ends.insert(said.id.as_str(), event.at.as_millis() - MIDNIGHT_MS);
                    }
                }
            }
        }
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by_key(|&index| (all[index].at, index));
        let seen = order.iter().filter_map(|&index| {
            let said = first.get(all[index].id.as_str())?;
            let end = ends.get(all[index].id.as_str()).copied();
            Some(seen(said, all[index].at, end, bound[index]))
        });
        Self {
            seen: seen.collect(),
            hops: Hops::new(cmdb),
            order,
        }
    }

    /// What a method makes of it: once naming the first alert, once the first of the worst as root.
    pub fn answers(&self, method: Method) -> [Answer; 2] {
        let groups = group(method, &self.seen, &self.hops);
        let mut incidents = vec![None; self.order.len()];
        let mut members: BTreeMap<usize, Vec<&Seen>> = BTreeMap::new();
        for ((&index, &incident), seen) in self.order.iter().zip(&groups).zip(&self.seen) {
            incidents[index] = Some(incident);
            members.entry(incident).or_default().push(seen);
        }
        let named = |by_severity: bool| -> BTreeMap<usize, Named> {
            let named = members.iter().map(|(&incident, members)| {
                let mut members = members.clone();
                if by_severity {
                    members.sort_by_key(|it| it.severity);
                }
                let mut roots = Vec::new();
                for ci in members.iter().filter_map(|it| it.ci) {
                    if roots.len() < 3 && !roots.contains(&ci) {
                        roots.push(ci);
                    }
                }
                let services = Vec::new();
                (incident, Named { roots, services })
            });
            named.collect()
        };
        [false, true].map(|by_severity| Answer {
            incidents: incidents.clone(),
            named: named(by_severity),
            bound: Vec::new(),
            nanoseconds: Vec::new(),
        })
    }
}

fn seen(said: &AlertSaid, at: i64, end: Option<i64>, ci: Option<usize>) -> Seen {
    const NEVER_MS: i64 = 9 * 3_600_000;
    let label = |names: &[&str]| {
        let found = said
            .labels
            .iter()
            .find(|(name, _)| names.contains(&name.as_str()));
        found.map(|(_, value)| value.clone())
    };
    let target = said
        .labels
        .get(1)
        .map(|(_, value)| value.clone())
        .unwrap_or_default();
    let host = target
        .trim_start_matches("https://")
        .split(['.', ':', '/'])
        .next();
    let host = SmolStr::from(host.unwrap_or_default().to_lowercase());
    let mut words: Vec<SmolStr> = said
        .labels
        .iter()
        .flat_map(|(_, value)| value.split(|letter: char| !letter.is_alphanumeric()))
        .filter(|word| !word.is_empty())
        .map(|word| SmolStr::from(word.to_lowercase()))
        .collect();
    words.sort();
    words.dedup();
    Seen {
        at,
        end: end.unwrap_or(at + NEVER_MS),
        key: said.key.clone(),
        name: label(&["alertname"]).unwrap_or_default(),
        severity: said.severity,
        site: label(&["site"]),
        app: label(&["app", "service"]),
        host,
        words,
        ci,
    }
}

/// Judges an answer.
pub fn judge(world: &World, answer: &Answer) -> Verdict {
    let truth = &world.story.truth;
    let placed: Vec<Placed> = truth
        .occurrences
        .iter()
        .zip(&answer.incidents)
        .map(|(it, &incident)| Placed {
            incident,
            group: it.group,
        })
        .collect();
    let facts: Vec<GroupFacts> = truth
        .groups
        .iter()
        .map(|group| GroupFacts {
            is_outage: group.fault.is_some(),
            onset: group.fault.as_ref().map_or(0, |fault| fault.onset),
        })
        .collect();
    let outages = outages(world, answer, &placed);
    let pairs: Vec<(Named, TrueRoot)> = outages
        .iter()
        .map(|it| (it.named.clone(), it.truth.clone()))
        .collect();
    let right = truth
        .occurrences
        .iter()
        .zip(&answer.bound)
        .filter(|(it, bound)| **bound == Some(it.ci));
    let right = right.count();
    Verdict {
        grouping: partition::judge(&placed, &facts),
        roots: roots::judge(&pairs),
        binding: crate::lab::score::share(
            crate::lab::score::float(right),
            crate::lab::score::float(answer.bound.len()),
        ),
        false_incidents: false_incidents(world, &placed),
        outages,
    }
}

fn outages(world: &World, answer: &Answer, placed: &[Placed]) -> Vec<OutageVerdict> {
    let truth = &world.story.truth;
    let table = partition::Table::new(placed);
    let by_group = table.by_group();
    let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
    let mut holds: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
    for (&group, incidents) in &by_group {
        for &(incident, count) in incidents {
            *sizes.entry(incident).or_default() += count;
            holds.entry(incident).or_default().push((group, count));
        }
    }
    let total = |group: usize| -> usize {
        by_group
            .get(&group)
            .into_iter()
            .flatten()
            .map(|(_, count)| count)
            .sum()
    };
    let mut observed: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for it in &truth.occurrences {
        observed.entry(it.group).or_default().insert(it.ci);
    }
    let mut verdicts = Vec::new();
    for (&group, incidents) in &by_group {
        let (Some(fault), Some((incident, inside))) =
            (&truth.groups[group].fault, partition::best(incidents))
        else {
            continue;
        };
        let is_root = |ci: &usize| *ci == fault.root || fault.acceptable.contains(ci);
        let others = holds
            .get(&incident)
            .into_iter()
            .flatten()
            .filter(|(other, count)| {
                *other != group
                    && truth.groups[*other].fault.is_some()
                    && count * 10 >= total(*other)
            });
        verdicts.push(OutageVerdict {
            group,
            alerts: total(group),
            fragments: incidents.len(),
            incident,
            inside,
            strangers: sizes.get(&incident).copied().unwrap_or_default() - inside,
            merged_with: others.map(|(other, _)| *other).collect(),
            named: answer.named.get(&incident).cloned().unwrap_or_default(),
            truth: TrueRoot {
                root: fault.root,
                acceptable: fault.acceptable.clone(),
                is_observable: observed
                    .get(&group)
                    .is_some_and(|cis| cis.iter().any(is_root)),
                is_solvable: truth.groups[group].is_solvable,
                services: truth.groups[group]
                    .businesses
                    .iter()
                    .map(|(ci, _)| *ci)
                    .collect(),
            },
        });
    }
    verdicts
}

fn false_incidents(world: &World, placed: &[Placed]) -> f64 {
    let truth = &world.story.truth;
    let is_noise = |group: usize| truth.groups[group].fault.is_none();
    let mut cis: BTreeMap<usize, (bool, BTreeSet<usize>)> = BTreeMap::new();
    let mut noise = 0;
    for (it, place) in truth.occurrences.iter().zip(placed) {
        noise += usize::from(is_noise(it.group));
        if let Some(incident) = place.incident {
            let held = cis
                .entry(incident)
                .or_insert_with(|| (true, BTreeSet::new()));
            held.0 &= is_noise(it.group);
            held.1.insert(it.ci);
        }
    }
    let wrong = cis
        .values()
        .filter(|(is_noise, cis)| *is_noise && cis.len() > 1)
        .count();
    let float = crate::lab::score::float;
    crate::lab::score::share(1_000.0 * float(wrong), float(noise))
}

/// The class of a CI, for reports.
pub fn class_of(estate: &Estate, ci: usize) -> Class {
    estate.cis[ci].class
}
