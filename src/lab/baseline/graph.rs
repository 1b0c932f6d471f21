//! Grouping by nearness in the CMDB, whichever way relations point.
//!
//! Must not use more than hops: that is what these methods do.

#![expect(
    clippy::indexing_slicing,
    reason = "positions of CIs and alerts come from the lists themselves"
)]

use std::collections::{BTreeMap, VecDeque};

use hashbrown::HashMap;

use crate::core::cmdb::record::Picture;
use crate::lab::baseline::Seen;

/// CIs looked at around one alert; a hub has a whole estate around it.
const VISITS_MAX: usize = 4_000;

/// Who is next to whom.
#[derive(Clone, Debug, Default)]
pub struct Hops(Vec<Vec<usize>>);

impl Hops {
    /// The neighbours in a CMDB whose CIs are in the order of the estate.
    pub fn new(cmdb: &Picture) -> Self {
        let numbers: HashMap<&str, usize, foldhash::fast::FixedState> = cmdb
            .cis
            .iter()
            .enumerate()
            .map(|(index, ci)| (ci.id.as_str(), index))
            .collect();
        let mut next_to = vec![Vec::new(); cmdb.cis.len()];
        for relation in &cmdb.relations {
            let ends = (
                numbers.get(relation.from.as_str()),
                numbers.get(relation.to.as_str()),
            );
            if let (Some(&from), Some(&to)) = ends {
                next_to[from].push(to);
                next_to[to].push(from);
            }
        }
        Self(next_to)
    }

    /// CIs within so many hops, nearest first.
    fn around(&self, ci: usize, most: usize) -> Vec<(usize, usize)> {
        let mut found = vec![(ci, 0)];
        let mut seen = hashbrown::HashSet::with_hasher(foldhash::fast::FixedState::default());
        seen.insert(ci);
        let mut open = VecDeque::from([(ci, 0)]);
        while let Some((at, hops)) = open.pop_front() {
            if hops == most || found.len() >= VISITS_MAX {
                continue;
            }
            for &other in &self.0[at] {
                if seen.insert(other) {
                    found.push((other, hops + 1));
                    open.push_back((other, hops + 1));
                }
            }
        }
        found
    }
}

/// Joins the incident with the nearest CI that had an alert lately; the numbers are hops, seconds, seconds of life.
pub fn near(seen: &[Seen], hops: &Hops, (most, gap, life): (usize, i64, i64)) -> Vec<usize> {
    let mut last_of_ci: BTreeMap<usize, usize> = BTreeMap::new();
    // When each incident began, and when it had its last alert.
    let mut lives: Vec<(i64, i64)> = Vec::new();
    let mut incidents = Vec::with_capacity(seen.len());
    for it in seen {
        let is_open = |incident: usize| {
            let (first, last) = lives[incident];
            last + gap * 1_000 >= it.at && first + life * 1_000 >= it.at
        };
        let around = it.ci.map(|ci| hops.around(ci, most)).unwrap_or_default();
        let mut known = around
            .iter()
            .filter_map(|(ci, _)| last_of_ci.get(ci).copied());
        let incident = known.find(|&incident| is_open(incident));
        let incident = incident.unwrap_or_else(|| {
            lives.push((it.at, it.at));
            lives.len() - 1
        });
        lives[incident].1 = it.at;
        if let Some(ci) = it.ci {
            last_of_ci.insert(ci, incident);
        }
        incidents.push(incident);
    }
    incidents
}

/// Hangs together whatever is near enough in time and hops: `144.47 (0.5526 minutes + 0.4474 hops)`.
pub fn distance(seen: &[Seen], hops: &Hops, size: f64) -> Vec<usize> {
    const SCALE: f64 = 144.47;
    const TIME: f64 = 0.5526;
    let mut joined = Joined::new(seen.len());
    let mut last_of_ci: BTreeMap<usize, (usize, i64)> = BTreeMap::new();
    for (index, it) in seen.iter().enumerate() {
        let Some(ci) = it.ci else {
            continue;
        };
        for (other, count) in hops.around(ci, 4) {
            let count = u32::try_from(count).map_or(f64::MAX, f64::from);
            let left = size / SCALE - (1.0 - TIME) * count;
            let within = crate::lab::random::millis(left / TIME * 60.0);
            let held = last_of_ci
                .get(&other)
                .filter(|(_, at)| it.at - at <= within);
            if left >= 0.0
                && let Some(&(alert, _)) = held
            {
                joined.join(index, alert);
            }
        }
        last_of_ci.insert(ci, (index, it.at));
    }
    joined.incidents()
}

/// Sets that grow together.
#[derive(Clone, Debug)]
pub struct Joined(Vec<usize>);

impl Joined {
    /// So many sets of one.
    pub fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    /// Makes two sets one.
    pub fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.find(one), self.find(other));
        self.0[one.max(other)] = one.min(other);
    }

    fn find(&mut self, of: usize) -> usize {
        let mut at = of;
        while self.0[at] != at {
            self.0[at] = self.0[self.0[at]];
            at = self.0[at];
        }
        at
    }

    /// The first of its set, for each.
    pub fn incidents(mut self) -> Vec<usize> {
        (0..self.0.len()).map(|index| self.find(index)).collect()
    }
}
