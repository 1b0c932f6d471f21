//! The laboratory: worlds are the same for ever, look like their design, and the core's laws hold on them.

use std::collections::{BTreeMap, BTreeSet};

use watchbell::core::cmdb::reconcile::first_difference;
use watchbell::core::rules::Rules;
use watchbell::core::time::Span;
use watchbell::lab::estate::{Class, Via};
use watchbell::lab::event::{Event, Said};
use watchbell::lab::play::Play;
use watchbell::lab::random::Random;
use watchbell::lab::sets::{Ground, Set, World, world};
use watchbell::lab::tracks::Tracks;

/// The incidents of a world as sets of occurrences.
fn partition(world: &World, events: &[Event]) -> BTreeSet<Vec<String>> {
    let mut play = Play::new(Rules::default(), &first_difference(&world.cmdb));
    let mut tracks = Tracks::default();
    for event in events {
        play.hear(event, &mut tracks);
    }
    if let Some(now) = play.now() {
        play.pass_until(now.plus(Span::from_mins(10)), &mut tracks);
    }
    tracks.finish(&play);
    let mut incidents: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for occurrence in tracks.occurrences() {
        let members = incidents.entry(tracks.incident_of(occurrence)).or_default();
        members.push(occurrence.id.to_string());
    }
    let sorted = |mut members: Vec<String>| {
        members.sort();
        members
    };
    incidents.into_values().map(sorted).collect()
}

#[test]
fn a_seed_is_a_world_for_ever() {
    for (set, ground) in [
        (Set::S1, Ground::Small),
        (Set::S1, Ground::Boutique),
        (Set::S5, Ground::Small),
    ] {
        let (one, other) = (world(set, ground, 5), world(set, ground, 5));
        assert_eq!(one.story.events, other.story.events);
        assert_eq!(one.cmdb, other.cmdb);
        assert_ne!(one.story.events, world(set, ground, 6).story.events);
    }
}

#[test]
fn an_estate_has_the_sizes_of_its_design() {
    let world = world(Set::S1, Ground::Small, 1);
    let count = |class| world.estate.of(class).len();
    assert!(
        (1_000..1_300).contains(&world.estate.cis.len()),
        "{}",
        world.estate.cis.len()
    );
    assert_eq!(
        (
            count(Class::Tor),
            count(Class::Hypervisor),
            count(Class::Vm)
        ),
        (24, 192, 768)
    );
    let dual = world
        .estate
        .links
        .iter()
        .filter(|link| link.via == Via::PowerDual)
        .count();
    let single = world
        .estate
        .links
        .iter()
        .filter(|link| link.via == Via::PowerSingle)
        .count();
    assert!(
        dual > single,
        "three quarters have two cords, which are two links each"
    );
    let ids: BTreeSet<_> = world.estate.cis.iter().map(|ci| &ci.id).collect();
    assert_eq!(ids.len(), world.estate.cis.len(), "ids are told apart");
}

#[test]
fn a_cmdb_misses_what_its_set_says() {
    let standard = world(Set::S1, Ground::Small, 2);
    let known = standard
        .estate
        .links
        .iter()
        .filter(|link| link.via != Via::Path)
        .count();
    let kept = standard.cmdb.relations.len();
    let share = 100 - kept * 100 / known;
    assert!((12..=24).contains(&share), "{share} % are missing");
    let clean = world(Set::S0, Ground::Small, 2);
    let known = clean
        .estate
        .links
        .iter()
        .filter(|link| link.via != Via::Path)
        .count();
    assert_eq!(clean.cmdb.relations.len(), known);
}

#[test]
fn a_day_looks_like_its_design() {
    let (mut alerts, mut outages, mut observable, mut noise) = (0, 0, 0, 0);
    for seed in 1..=4 {
        let world = world(Set::S1, Ground::Small, seed);
        let truth = &world.story.truth;
        alerts += truth.occurrences.len();
        for (number, group) in truth.groups.iter().enumerate() {
            let told: Vec<_> = truth
                .occurrences
                .iter()
                .filter(|it| it.group == number)
                .collect();
            let Some(fault) = &group.fault else {
                noise += usize::from(!told.is_empty());
                continue;
            };
            outages += usize::from(!told.is_empty());
            let is_root = |ci: usize| ci == fault.root || fault.acceptable.contains(&ci);
            observable += usize::from(told.iter().any(|it| is_root(it.ci)));
            assert!(
                told.iter().all(|it| it.start >= fault.onset),
                "nobody suffers in advance"
            );
        }
        let times: Vec<_> = world.story.events.iter().map(|event| event.at).collect();
        assert!(times.is_sorted(), "events are in order of arrival");
    }
    assert!(
        (1_000..3_500).contains(&(alerts / 4)),
        "{alerts} alerts in four days"
    );
    assert!((100..=120).contains(&outages), "{outages} outages");
    assert!(
        observable * 100 / outages > 65,
        "{observable} of {outages} roots alert"
    );
    assert!((800..1_400).contains(&noise), "{noise} pieces of noise");
}

#[test]
fn a_storm_is_a_storm_and_a_quiet_day_has_no_outage() {
    let storm = world(Set::S3, Ground::Large, 1);
    assert!(storm.estate.cis.len() > 95_000);
    let mut firing: Vec<i64> = storm
        .story
        .truth
        .occurrences
        .iter()
        .map(|it| it.at)
        .collect();
    firing.sort_unstable();
    let five_minutes = 300_000;
    let most = (0..firing.len())
        .map(|first| firing[first..].partition_point(|at| *at < firing[first] + five_minutes))
        .max();
    assert!(
        most.is_some_and(|most| most >= 20_000),
        "{most:?} alerts in five minutes"
    );
    let quiet = world(Set::S4, Ground::Small, 1);
    assert!(
        quiet
            .story
            .truth
            .groups
            .iter()
            .all(|group| group.fault.is_none())
    );
}

#[test]
fn pairs_have_every_distance() {
    let world = world(Set::S5, Ground::Small, 1);
    let groups = world.story.truth.groups.iter();
    let hops: BTreeSet<usize> = groups.filter_map(|group| Some(group.twin?.1)).collect();
    assert!(hops.len() >= 4, "{hops:?}");
}

/// Where nothing says which of two came first, the order must not matter.
#[test]
fn order_within_one_instant_does_not_matter() {
    let world = world(Set::S1, Ground::Small, 3);
    // Arrivals are rounded to seconds, so that many share one.
    let second = |event: &Event| event.at.as_millis().div_euclid(1_000);
    let mut events: Vec<Event> = world.story.events.iter().take(1_500).cloned().collect();
    for event in &mut events {
        event.at = watchbell::core::time::Timestamp::from_millis(second(event) * 1_000);
    }
    let before = partition(&world, &events);
    let mut random = Random::new(1, "shuffle");
    let mut shuffled = Vec::new();
    for bucket in events.chunk_by(|one, other| one.at == other.at) {
        let mut bucket = bucket.to_vec();
        let is_one_alert = |said: &Said| match said {
            Said::Alert(alert) => Some(alert.key.clone()),
            Said::Change(_) => None,
        };
        let keys: BTreeSet<_> = bucket
            .iter()
            .map(|event| is_one_alert(&event.said))
            .collect();
        // What one source says about one alert has an order.
        if keys.len() == bucket.len() {
            random.shuffle(&mut bucket);
        }
        shuffled.extend(bucket);
    }
    let after = partition(&world, &shuffled);
    let moved = before.symmetric_difference(&after).count();
    assert_eq!(moved, 0, "{moved} incidents differ of {}", before.len());
}
