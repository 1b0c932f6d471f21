//! Laws of correlation that hold for every graph: what one decision may cost, and that an explanation is one: without what it cites it does not hold.
//!
//! Must not repeat the timelines of [`super::correlation`].

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
use watchbell::core::cmdb::ci::CiNumber;
use watchbell::core::cmdb::graph::Graph;
use watchbell::core::cmdb::relation::{RelationKind, Role};
use watchbell::core::correlate::upstream::{REACH_MAX, Upstream};
use watchbell::core::decision::{Change, Decision};
use watchbell::core::input::ChangeRecord;
use watchbell::core::observation::Claim;
use watchbell::core::rules::Rules;
use watchbell::core::severity::Severity;
use watchbell::core::state::State;
use watchbell::core::time::{Span, Timestamp};
use watchbell::lab::event::{AlertSaid, Event, Said};
use watchbell::lab::play::{Play, Watch};
use watchbell::lab::random::Random;
use watchbell::lab::tracks::Tracks;

use crate::correlation::{bench, incident, said};
use crate::support::estate::Estate;
use crate::support::world::Bench;

/// The most that one decision may look at, and the most conditions that it may change, whatever is open.
const LOOKED_AT_MAX: usize = 100_000;
const CHANGED_MAX: usize = 2_000;

/// The dearest decisions of a play.
#[derive(Debug, Default)]
struct Dearest {
    looked_at: usize,
    changed: usize,
}

impl Watch for Dearest {
    fn decided(&mut self, _: &State, decision: &Decision) {
        let changes = decision.changes.iter();
        let changed =
            changes.filter(|it| matches!(it, Change::NodeChanged(_) | Change::NodeForgotten(_)));
        self.looked_at = self.looked_at.max(decision.looked_at);
        self.changed = self.changed.max(changed.count());
    }

    fn applied(&mut self, _: &State, _: Option<&Event>) {}
}

fn heard(play: &mut Play, dearest: &mut Dearest, millis: i64, ci: &str, check: &str) {
    let at = Timestamp::from_millis(1_000_000 + millis);
    let said = AlertSaid {
        id: format!("{ci} {check}").into(),
        source: "law".into(),
        key: format!("{ci} {check}").into(),
        claim: Claim::Firing,
        severity: Severity::Critical,
        summary: format!("{check} on {ci}").into(),
        labels: vec![("alertname".into(), check.into())],
        starts_at: Some(at),
        ends_at: None,
        ci: Some(ci.into()),
    };
    let said = Said::Alert(Box::new(said));
    play.hear(&Event { at, said }, dearest);
}

/// Switches with machines, the switches on one router; each falls with all of its machines, the router speaks last.
fn fall(switches: usize, machines: usize) -> (Play, Dearest) {
    let mut estate = Estate::new().ci("core", "router");
    for switch in 0..switches {
        let above = format!("sw{switch}");
        estate =
            estate
                .ci(&above, "switch")
                .relate(&above, "core", RelationKind::ConnectsTo, Role::Net);
        for machine in 0..machines {
            let id = format!("vm{switch}-{machine}");
            estate = estate.ci(&id, "vm").on(&id, &above);
        }
    }
    // Those that say nothing keep the router from being inferred before it speaks.
    for switch in 0..4 {
        let id = format!("quiet{switch}");
        estate = estate
            .ci(&id, "switch")
            .relate(&id, "core", RelationKind::ConnectsTo, Role::Net);
    }
    let mut play = Play::new(Rules::default(), &estate.difference);
    let mut dearest = Dearest::default();
    let mut at = 0;
    let mut tell = |play: &mut Play, dearest: &mut Dearest, ci: &str, check: &str, pause: i64| {
        at += pause;
        heard(play, dearest, at, ci, check);
    };
    for switch in 0..switches {
        tell(
            &mut play,
            &mut dearest,
            &format!("sw{switch}"),
            "SwitchDown",
            5_000,
        );
    }
    for machine in 0..machines {
        for switch in 0..switches {
            let id = format!("vm{switch}-{machine}");
            tell(&mut play, &mut dearest, &id, "InstanceDown", 20);
        }
    }
    tell(&mut play, &mut dearest, "core", "DeviceDown", 5_000);
    let now = play.now().unwrap();
    play.pass_until(now.plus(Span::from_mins(12)), &mut dearest);
    (play, dearest)
}

/// Too much for one decision is left to the ones that follow at once, and in the end nothing is left behind.
#[test]
fn a_late_root_over_thousands_takes_them_over_in_bounded_steps() {
    let (play, dearest) = fall(2, 1_300);
    assert!(dearest.looked_at <= LOOKED_AT_MAX, "{dearest:?}");
    assert!(dearest.changed <= CHANGED_MAX, "{dearest:?}");
    let open = play.state().incidents().filter(|it| it.state.is_open());
    assert_eq!(open.count(), 1);
    let nodes = play.state().forest().nodes();
    let incidents: BTreeSet<_> = nodes.map(|node| node.incident).collect();
    assert_eq!(incidents.len(), 1);
}

/// A site that falls after all that stands in it: few depend on it directly, thousands do in the end, and each that it takes
/// over brings a tree of its own.
#[test]
fn a_late_root_takes_over_a_bounded_number_of_conditions_at_once() {
    let mut estate = Estate::new().ci("site", "site");
    let mut machines = Vec::new();
    for rack in 0..20 {
        let rack = format!("rack{rack}");
        estate = estate.ci(&rack, "rack").on(&rack, "site");
        for number in 0..30 {
            let machine = format!("{rack}-vm{number}");
            estate = estate.ci(&machine, "vm").on(&machine, &rack);
            machines.push(machine);
        }
    }
    let calls = |estate: Estate, from: &str, to: &str| {
        let estate = estate.ci(from, "service");
        estate.relate(from, to, RelationKind::Uses, Role::Call)
    };
    let mut callers = Vec::new();
    for machine in &machines {
        for one in 0..2 {
            let caller = format!("{machine}-svc{one}");
            estate = calls(estate, &caller, machine);
            callers.push(caller.clone());
            for other in 0..2 {
                let above = format!("{caller}-web{other}");
                estate = calls(estate, &above, &caller);
                callers.push(above);
            }
        }
    }
    let mut play = Play::new(Rules::default(), &estate.difference);
    let mut dearest = Dearest::default();
    heard(&mut play, &mut dearest, 0, "site", "RedundancyLost");
    let mut at = 0;
    for ci in callers.iter().chain(&machines) {
        at += 5;
        heard(&mut play, &mut dearest, at, ci, "HighErrorRate");
    }
    let before = std::mem::take(&mut dearest);
    heard(&mut play, &mut dearest, at + 5_000, "site", "SiteDown");
    assert!(before.changed < 100, "{before:?}");
    // One more tree may move with the last.
    assert!((500..=1_500).contains(&dearest.changed), "{dearest:?}");
    assert!(dearest.looked_at <= LOOKED_AT_MAX, "{dearest:?}");
    let now = play.now().unwrap();
    play.pass_until(now.plus(Span::from_mins(12)), &mut dearest);
    let nodes = play.state().forest().nodes();
    let incidents: BTreeSet<_> = nodes.map(|node| node.incident).collect();
    assert_eq!(incidents.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Hubs, chains and thickets: no decision exceeds its bounds.
    #[test]
    fn no_decision_exceeds_its_bounds_on_any_graph(
        hub in 1..6_usize,
        thickness in 0..12_usize,
        count in 50..500_usize,
        salt in 0..1_000_usize,
        checks in vec(0..3_usize, 7),
    ) {
        let mut estate = Estate::new();
        for number in 0..count {
            estate = estate.ci(&format!("c{number}"), if number % 5 == 0 { "service" } else { "vm" });
        }
        for number in 1..count {
            let id = format!("c{number}");
            estate = estate.relate(&id, &format!("c{}", number % hub), RelationKind::RunsOn, Role::Host);
            for turn in 0..thickness {
                let other = (number * 31 + turn * 17 + salt) % count;
                if other != number {
                    estate = estate.relate(&id, &format!("c{other}"), RelationKind::Uses, Role::Call);
                }
            }
        }
        let mut play = Play::new(Rules::default(), &estate.difference);
        let mut dearest = Dearest::default();
        for number in (0..count).rev() {
            let check = ["InstanceDown", "HighErrorRate", "HighCpu"][checks[number % checks.len()]];
            let millis = i64::try_from((count - number) * 50).unwrap();
            heard(&mut play, &mut dearest, millis, &format!("c{number}"), check);
        }
        let now = play.now().unwrap();
        play.pass_until(now.plus(Span::from_mins(12)), &mut dearest);
        prop_assert!(dearest.looked_at <= LOOKED_AT_MAX, "{:?}", dearest);
        prop_assert!(dearest.changed <= CHANGED_MAX, "{:?}", dearest);
    }

    /// What a CI depends on is found by a walk of at most so many CIs, cycles and all.
    #[test]
    fn a_walk_upstream_visits_no_more_than_its_bound(
        edges in vec((0..300_usize, 0..300_usize), 300..3_000),
    ) {
        let mut estate = Estate::new();
        for number in 0..300 {
            estate = estate.ci(&format!("c{number}"), "vm");
        }
        for (from, to) in edges.into_iter().filter(|(from, to)| from != to) {
            estate = estate.relate(&format!("c{from}"), &format!("c{to}"), RelationKind::RunsOn, Role::Host);
        }
        let mut graph = Graph::default();
        graph.apply(&estate.difference);
        for number in [1, 150, 300] {
            let upstream = Upstream::of(&graph, CiNumber::new(number).unwrap());
            prop_assert!(upstream.iter().count() <= REACH_MAX);
            prop_assert!(upstream.iter().all(|reach| reach.depth <= 6));
        }
    }
}

/// Which relations and alerts a story is made of.
#[derive(Clone, Debug)]
struct Tale {
    relations: Vec<(usize, usize, usize)>,
    alerts: Vec<(usize, usize, i64)>,
}

const CIS: usize = 9;
const CHECKS: [&str; 3] = ["InstanceDown", "HighErrorRate", "HighCpu"];

impl Tale {
    fn play(&self) -> Bench {
        let mut estate = Estate::new();
        for number in 0..CIS {
            estate = estate.ci(
                &format!("c{number}"),
                if number < 3 { "service" } else { "vm" },
            );
        }
        for &(from, to, role) in &self.relations {
            let role = [Role::Host, Role::Net, Role::Call, Role::Member][role];
            estate = estate.relate(
                &format!("c{from}"),
                &format!("c{to}"),
                RelationKind::DependsOn,
                role,
            );
        }
        let mut bench = bench(&estate);
        for &(ci, check, pause) in &self.alerts {
            bench.after(Span::from_secs(pause));
            bench.hear(said(&format!("c{ci}"), CHECKS[check]));
        }
        bench
    }

    /// The explanation of each CI by another one: who, and the score, together with the path that it cites.
    fn explained(bench: &Bench) -> BTreeMap<(CiNumber, CiNumber), u16> {
        let forest = bench.state.forest();
        let mut found = BTreeMap::new();
        for node in forest.nodes() {
            let link = node.link.as_ref();
            let link = link.filter(|link| link.why.contains("x evidence"));
            let Some(link) = link else { continue };
            let above = forest.node(link.parent).and_then(|above| above.ci);
            if let (Some(own), Some(above)) = (node.ci, above)
                && own != above
            {
                let score: &mut u16 = found.entry((own, above)).or_default();
                *score = (*score).max(link.score);
            }
        }
        found
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, failure_persistence: None, ..ProptestConfig::default() })]

    /// The flip test: without the relations by which a CI is said to depend on its cause, nothing says so any more.
    #[test]
    fn an_explanation_falls_with_the_relations_it_cites(
        relations in vec((0..CIS, 0..CIS, 0..4_usize), 1..16),
        alerts in vec((0..CIS, 0..3_usize, 0..60_i64), 2..14),
    ) {
        let mut relations = relations;
        relations.retain(|(from, to, _)| from != to);
        let tale = Tale { relations, alerts };
        let explained = Tale::explained(&tale.play());
        for &(own, above) in explained.keys().take(2) {
            let is_own = |from: usize| u32::try_from(from + 1).unwrap() == own.get();
            let mut without = tale.clone();
            without.relations.retain(|&(from, _, _)| !is_own(from));
            let after = Tale::explained(&without.play());
            prop_assert!(!after.contains_key(&(own, above)), "{own:?} below {above:?}: {after:?}");
        }
    }
}

/// What is said: occurrence, CI, check, second, whether it is the end, and the start if that is told.
type Line = (usize, usize, usize, i64, bool, Option<i64>);

/// The message of a line.
fn told(&(id, ci, check, second, is_end, start): &Line) -> Event {
    let time = |second: i64| Timestamp::from_millis(1_000_000 + second * 1_000);
    let name = format!("c{ci} {}", CHECKS[check]);
    let said = if check == 2 && start.is_some() {
        let (id, ci) = (format!("CHG-{id}").into(), format!("c{ci}").into());
        let summary = "changed".into();
        Said::Change(ChangeRecord { id, ci, summary })
    } else {
        Said::Alert(Box::new(AlertSaid {
            id: format!("{name} {id}").into(),
            source: "law".into(),
            key: name.as_str().into(),
            claim: if is_end {
                Claim::Resolved
            } else {
                Claim::Firing
            },
            severity: Severity::Critical,
            summary: name.as_str().into(),
            labels: vec![("alertname".into(), CHECKS[check].into())],
            starts_at: start.map(|before| time(second - before)),
            ends_at: None,
            ci: Some(format!("c{ci}").into()),
        }))
    };
    Event {
        at: time(second),
        said,
    }
}

/// The incidents as sets of occurrences, each with its roots.
fn outcome(
    relations: &[(usize, usize, usize)],
    lines: &[Line],
    order: impl Fn(&mut Vec<Event>),
) -> BTreeSet<(Vec<String>, Vec<String>)> {
    let mut estate = Estate::new();
    for number in 0..CIS {
        let class = if number < 3 { "service" } else { "vm" };
        estate = estate.ci(&format!("c{number}"), class);
    }
    for &(from, to, role) in relations.iter().filter(|(from, to, _)| from != to) {
        let role = [Role::Host, Role::Net, Role::Call, Role::Member][role];
        let (from, to) = (format!("c{from}"), format!("c{to}"));
        estate = estate.relate(&from, &to, RelationKind::DependsOn, role);
    }
    let mut events: Vec<Event> = lines.iter().map(told).collect();
    events.sort_by_key(|event| event.at);
    let mut play = Play::new(Rules::default(), &estate.difference);
    let mut tracks = Tracks::default();
    for instant in events.chunk_by(|one, other| one.at == other.at) {
        let mut instant = instant.to_vec();
        order(&mut instant);
        play.hear_together(&mut instant, &mut tracks);
    }
    let now = play.now().unwrap();
    play.pass_until(now.plus(Span::from_mins(12)), &mut tracks);
    tracks.finish(&play);
    let mut groups: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for occurrence in tracks.occurrences() {
        let incident = tracks.incident_of(occurrence);
        groups
            .entry(incident)
            .or_default()
            .push(occurrence.id.to_string());
    }
    let roots: BTreeMap<_, Vec<String>> = tracks
        .outcomes()
        .map(|(id, outcome)| {
            let roots = outcome
                .roots
                .iter()
                .map(|root| format!("{} {}", root.ci, root.score));
            (Some(id), roots.collect())
        })
        .collect();
    let groups = groups.into_iter().map(|(id, mut members)| {
        members.sort();
        (members, roots.get(&id).cloned().unwrap_or_default())
    });
    groups.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is said at one time may be said in any order: on every graph the same alerts share an incident, and the
    /// same roots are named with the same scores. Ends, further occurrences of an alert and changes are among it.
    #[test]
    fn order_within_one_time_changes_neither_incidents_nor_roots(
        relations in vec((0..CIS, 0..CIS, 0..4_usize), 0..24),
        lines in vec((0..2_usize, 0..CIS, 0..3_usize, 0..6_i64, any::<bool>(), option::of(0..90_i64)), 2..40),
        pace in 1..70_i64,
        salt in any::<u64>(),
    ) {
        let lines: Vec<Line> = lines.into_iter().map(|(id, ci, check, turn, is_end, start)| {
            // Two of three messages are no ends.
            (id, ci, check, turn * pace, is_end && ci % 3 == 0, start)
        }).collect();
        let before = outcome(&relations, &lines, |_| {});
        let mut random = Random::new(salt, "order");
        let random = RefCell::new(&mut random);
        let after = outcome(&relations, &lines, |events| random.borrow_mut().shuffle(events));
        prop_assert_eq!(before, after);
    }
}

/// The flip test would also pass if nothing were ever explained: here something is, and falls.
#[test]
fn a_host_explains_its_machine_until_the_relation_is_gone() {
    let tale = |relations: &[(usize, usize, usize)]| Tale {
        relations: relations.to_vec(),
        alerts: vec![(4, 0, 0), (3, 0, 20)],
    };
    let with = tale(&[(3, 4, 0)]).play();
    assert_eq!(Tale::explained(&with).len(), 1);
    assert_eq!(
        incident(&with, "c3 InstanceDown"),
        incident(&with, "c4 InstanceDown")
    );
    let without = tale(&[]).play();
    assert!(Tale::explained(&without).is_empty());
    assert_ne!(
        incident(&without, "c3 InstanceDown"),
        incident(&without, "c4 InstanceDown")
    );
}
