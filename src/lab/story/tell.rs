//! How monitoring tells it: episodes as messages, with the names that each product uses, lost, late, flapping, repeated.
//!
//! An alert's key fires once at a time: what fires already is not told again by a second outage. Must not know which
//! outage is told beyond its number.

#![expect(
    clippy::indexing_slicing,
    reason = "CI numbers are positions that the estate itself hands out"
)]

use hashbrown::HashMap;
use smol_str::{SmolStr, format_smolstr};

use crate::core::observation::Claim;
use crate::core::time::Timestamp;
use crate::lab::estate::record::fqdn;
use crate::lab::estate::{Class, Estate};
use crate::lab::event::{AlertSaid, Event, Said};
use crate::lab::random::Random;
use crate::lab::story::checks::{Check, Family, System};
use crate::lab::story::{Faithfulness, TrueOccurrence};

/// Midnight of every story: 2000-01-01.
pub const MIDNIGHT_MS: i64 = 946_684_800_000;

/// One episode that monitoring may tell.
#[derive(Clone, Copy, Debug)]
pub struct Episode<'a> {
    /// The number of the outage or noise that it belongs to.
    pub group: usize,
    /// The CI that it is about.
    pub ci: usize,
    /// What is said.
    pub check: &'a Check,
    /// When it can be said first.
    pub start: i64,
    /// When it is over.
    pub end: i64,
    /// When everything seems fine for a minute and then is not.
    pub lull: Option<i64>,
}

/// Tells a story.
#[derive(Debug)]
pub struct Teller<'a> {
    estate: &'a Estate,
    how: Faithfulness,
    random: Random,
    active: HashMap<SmolStr, i64, foldhash::fast::FixedState>,
    /// What was said, in any order.
    pub events: Vec<Event>,
    /// What it truly was.
    pub occurrences: Vec<TrueOccurrence>,
}

impl<'a> Teller<'a> {
    /// Starts to tell.
    pub fn new(estate: &'a Estate, how: Faithfulness, seed: u64) -> Self {
        Self {
            estate,
            how,
            random: Random::new(seed, "tell"),
            active: HashMap::default(),
            events: Vec::new(),
            occurrences: Vec::new(),
        }
    }

    /// Tells an episode if monitoring notices it; says how many occurrences it made.
    pub fn tell(&mut self, episode: &Episode<'_>) -> usize {
        let key = format_smolstr!("{}/{}", episode.check.name, self.estate.cis[episode.ci].id);
        let is_active = self
            .active
            .get(&key)
            .is_some_and(|&until| episode.start <= until);
        let is_lost = self.random.chance(self.how.lost);
        if is_active || is_lost || episode.start + 1_000 >= episode.end {
            return 0;
        }
        let is_wan = self.estate.cis[episode.ci].class == Class::Wan;
        let flaps = if is_wan { 0.5 } else { 0.08 };
        let cycles = if self.random.chance(flaps) {
            self.random.between(1, 4)
        } else {
            0
        };
        let pieces = self.pieces(episode, cycles);
        let is_late = self.random.chance(0.04);
        let late = if is_late {
            self.random.seconds(300.0, 900.0)
        } else {
            0
        };
        let is_closed = !self.random.chance(0.05);
        let count = pieces.len();
        for (index, (start, end)) in pieces.into_iter().enumerate() {
            // Only the last one may be left open: what fires again was over before.
            self.say(
                episode,
                &key,
                (start, end),
                (late, is_closed || index + 1 < count),
            );
        }
        self.active.insert(key, episode.end);
        count
    }

    /// The times at which it fires.
    fn pieces(&mut self, episode: &Episode<'_>, cycles: usize) -> Vec<(i64, i64)> {
        let mut pieces = Vec::new();
        let mut start = episode.start;
        if let Some(lull) = episode.lull
            && start < lull
        {
            let end = lull + self.random.seconds(0.0, 60.0);
            if end + 300_000 < episode.end {
                pieces.push((start, end));
                start = end + self.random.seconds(60.0, 240.0);
            }
        }
        for _ in 0..cycles {
            let end = start + self.random.seconds(20.0, 90.0);
            let again = end + self.random.seconds(30.0, 120.0);
            if again + 20_000 >= episode.end {
                break;
            }
            pieces.push((start, end));
            start = again;
        }
        pieces.push((start, episode.end));
        pieces
    }

    fn say(
        &mut self,
        episode: &Episode<'_>,
        key: &SmolStr,
        (start, end): (i64, i64),
        (late, is_closed): (i64, bool),
    ) {
        let id = format_smolstr!("e{}", self.occurrences.len() + 1);
        let skew = self.skew(episode);
        let at = start + late + self.random.seconds(0.1, 2.0);
        let mut said = AlertSaid {
            id: id.clone(),
            source: episode.check.system.word().into(),
            key: key.clone(),
            claim: Claim::Firing,
            severity: episode.check.severity,
            summary: SmolStr::default(),
            labels: self.labels(episode),
            starts_at: Some(time(start + skew)),
            ends_at: None,
            ci: None,
        };
        let target = said.labels.get(1).map(|(_, value)| value.clone());
        said.summary = format_smolstr!("{} {}", episode.check.name, target.unwrap_or_default());
        self.push(at, &said);
        if episode.check.system == System::Metrics {
            let every = self.random.seconds(240.0, 300.0);
            let repeats = (1..12).map(|repeat| at + every * repeat);
            for repeat in repeats.take_while(|&repeat| repeat < end) {
                self.push(repeat, &said);
            }
        }
        if is_closed {
            let over = AlertSaid {
                claim: Claim::Resolved,
                ends_at: Some(time(end + skew)),
                ..said
            };
            let at = end + self.random.seconds(1.0, 15.0);
            self.push(at, &over);
        }
        self.occurrences.push(TrueOccurrence {
            id,
            group: episode.group,
            ci: episode.ci,
            family: episode.check.family,
            start,
            at,
        });
    }

    fn push(&mut self, at: i64, said: &AlertSaid) {
        self.events.push(Event {
            at: time(at),
            said: Said::Alert(Box::new(said.clone())),
        });
    }

    /// A hundredth of all clocks is wrong, by up to two minutes.
    fn skew(&self, episode: &Episode<'_>) -> i64 {
        let site = self.estate.cis[episode.ci].site;
        let purpose = format!("clock {} {site}", episode.check.system.word());
        let mut clock = Random::new(self.how.seed, &purpose);
        if clock.chance(0.01) {
            clock.seconds(0.0, 240.0) - 120_000
        } else {
            0
        }
    }

    /// The labels, of which the second names the CI.
    fn labels(&mut self, episode: &Episode<'_>) -> Vec<(SmolStr, SmolStr)> {
        let (estate, check) = (self.estate, episode.check);
        let ci = &estate.cis[episode.ci];
        let mut habit = Random::new(self.how.seed, &format!("{} {}", check.system.word(), ci.id));
        let is_unknown = habit.chance(self.how.unbindable);
        let id = if is_unknown {
            format_smolstr!("legacy-{:06x}", habit.bits() >> 40)
        } else {
            ci.id.clone()
        };
        let full = if is_unknown {
            id.clone()
        } else {
            fqdn(estate, ci)
        };
        let named = |name: &'static str, value: SmolStr| (SmolStr::new_static(name), value);
        let site = named("site", estate.sites[ci.site].clone());
        let seen_by = ci.monitor.map(|monitor| estate.cis[monitor].id.clone());
        let mut labels = vec![named("alertname", check.name.into())];
        match check.system {
            System::Metrics if ci.class == Class::Vm && estate.sites[0].starts_with("campus") => {
                let hash = habit.bits() >> 24;
                labels.push(named(
                    "pod",
                    format_smolstr!("{id}-{:010x}-x{:04x}", hash, hash & 0xffff),
                ));
                labels.push(site);
            }
            System::Metrics => {
                labels.push(named("instance", format_smolstr!("{full}:9100")));
                labels.push(site);
            }
            System::Checks if habit.chance(0.3) => {
                labels.push(named("host_name", SmolStr::from(id.to_uppercase())));
            }
            System::Checks => labels.push(named("host_name", id)),
            System::Traps if !is_unknown && ci.class != Class::Wan => {
                labels.push(named("instance", ci.address.clone()));
                labels.push(site);
            }
            System::Traps => labels.push(named("device", id)),
            System::Traces => labels.push(named("service", id)),
            System::Probes => {
                labels.push(named("instance", format_smolstr!("https://{full}/health")));
            }
            System::Cloud if ci.class == Class::Vm => labels.push(named("vm", id)),
            System::Cloud => labels.push(named("host", id)),
            System::Storage => labels.push(named("device", id)),
            System::Building => {
                labels.push(named("device", id));
                labels.push(site);
            }
        }
        if let Some(app) = ci.app.filter(|_| habit.chance(0.5)) {
            labels.push(named("app", estate.cis[app].id.clone()));
        }
        if let Some(monitor) = seen_by.filter(|_| check.family == Family::NoData) {
            labels.push(named("monitor", monitor));
        }
        labels
    }
}

/// A time of a story.
pub fn time(ms: i64) -> Timestamp {
    Timestamp::from_millis(MIDNIGHT_MS + ms)
}
