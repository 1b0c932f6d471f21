//! Laws that hold for whatever happens in whatever order: random lives of a few alerts, with all invariants after
//! every step (see `support::invariants`).
//!
//! Must not repeat what a timeline tests; a law speaks about all inputs.

use proptest::collection::vec;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_assert_ne, prop_oneof,
    proptest,
};
use proptest::sample::{select, subsequence};
use watchbell::core::identity::AlertKey;
use watchbell::core::ids::SilenceId;
use watchbell::core::input::Command;
use watchbell::core::mute::Scope;
use watchbell::core::reason::Reason;
use watchbell::core::rules::{IncidentRules, Rules, SourceRules};
use watchbell::core::severity::{Priority, Severity};
use watchbell::core::silence::given::SilenceWanted;
use watchbell::core::silence::{SilenceState, Subject, parse_matchers};
use watchbell::core::time::{Span, Timestamp};

use crate::support::claim::{SOURCE, Said, firing, resolved, t};
use crate::support::world::Bench;

const NAMES: [&str; 3] = ["A", "B", "C"];

/// One thing that happens in a random life.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Heard(Said),
    Ordered(i64, Command),
    Polled(Vec<(&'static str, bool)>),
    Passed(Span),
    Leapt(Span),
    Stalled(Span),
    Restarted(Span),
    Silenced(&'static str, Span, Span),
    Extended(i64, Span),
    Expired(i64),
    Swept,
}

pub(crate) fn play(bench: &mut Bench, event: Event) {
    match event {
        Event::Heard(said) => {
            bench.hear(said);
        }
        Event::Ordered(incident, command) => {
            bench.command(incident, command);
        }
        Event::Polled(active) => bench.poll(&active),
        Event::Passed(span) => {
            bench.after(span);
        }
        Event::Leapt(span) => {
            bench.leap(span);
        }
        Event::Stalled(span) => {
            bench.stall(span);
        }
        Event::Restarted(span) => bench.restart(span),
        Event::Silenced(matchers, from, lasts) => {
            bench.put_silence(silence(matchers, bench.now.plus(from), lasts), None);
        }
        Event::Extended(id, lasts) => {
            let id = SilenceId::new(id);
            let before = id.and_then(|id| bench.state.silences().get(id)).cloned();
            if let Some(before) = before {
                let mut wanted = silence("a=b", before.starts_at, lasts);
                wanted.matchers = before.matchers.to_vec();
                bench.put_silence(wanted, id);
            }
        }
        Event::Expired(id) => {
            bench.expire_silence(id);
        }
        Event::Swept => bench.sweep(),
    }
}

fn silence(matchers: &str, starts_at: Timestamp, lasts: Span) -> SilenceWanted {
    SilenceWanted {
        scope: Scope::default(),
        matchers: parse_matchers(matchers).unwrap(),
        starts_at,
        ends_at: starts_at.plus(lasts),
        created_by: "ana".into(),
        comment: "known".into(),
    }
}

fn spans() -> impl Strategy<Value = Span> {
    select(vec![
        Span::ZERO,
        Span::from_secs(1),
        Span::from_secs(31),
        Span::from_mins(2),
        Span::from_mins(6),
        Span::from_mins(16),
        Span::from_hours(10),
        Span::from_days(8),
    ])
}

/// A start of one of a few episodes, sometimes with jitter, sometimes three hours off, sometimes none.
fn said() -> impl Strategy<Value = Said> {
    let start = (0..8_i64, select(vec![0, 3, -1_500, -10_800_000]));
    let start = start.prop_map(|(episode, off)| {
        let start = t("00:00").plus(Span::from_mins(5 * episode));
        start.plus(Span::from_millis(off))
    });
    let start = proptest::option::weighted(0.8, start);
    let lasts = proptest::option::of(select(vec![-1, 0, 200, 86_400]));
    let kind = (any::<bool>(), select(NAMES.as_slice()), 0..2_u64);
    let severity = select(Severity::ALL.as_slice());
    (kind, start, lasts, severity).prop_map(|((is_firing, name, text), start, lasts, severity)| {
        let said = if is_firing {
            firing(name)
        } else {
            resolved(name)
        };
        let end = start.zip(lasts);
        let end = end.map(|(start, lasts)| start.plus(Span::from_secs(lasts)));
        said.start_at(start)
            .end_at(end)
            .severity(severity)
            .text(text)
            .labelled(&[
                ("alertname", name),
                ("team", ["db", "net"][usize::from(text == 0)]),
            ])
    })
}

fn commands() -> impl Strategy<Value = Command> {
    let until = proptest::option::of(select(vec![t("00:10"), t("01:00"), t("1d 00:00")]));
    prop_oneof![
        until
            .clone()
            .prop_map(|until| Command::Acknowledge { until }),
        until.prop_map(|until| Command::Hold {
            reason: "parts".into(),
            until
        }),
        select(vec![
            Command::Start,
            Command::Resume,
            Command::Resolve { note: None },
            Command::Close,
            Command::Reopen { reason: None },
            Command::Note { text: "x".into() },
            Command::Priority {
                priority: Some(Priority::P1),
                reason: "x".into(),
            },
            Command::Priority {
                priority: None,
                reason: "".into(),
            },
            Command::Assign {
                assignee: None,
                team: None
            },
        ]),
    ]
}

fn polls() -> impl Strategy<Value = Vec<(&'static str, bool)>> {
    (subsequence(NAMES.to_vec(), 0..=3), any::<bool>())
        .prop_map(|(names, is_muted)| names.into_iter().map(|name| (name, is_muted)).collect())
}

fn silences() -> impl Strategy<Value = Event> {
    let matchers = [
        "alertname=A",
        "team=db",
        "alertname=~\"A|B\",team!=db",
        "alertname=C",
    ];
    prop_oneof![
        3 => (select(matchers.to_vec()), spans(), spans())
            .prop_map(|(matchers, from, lasts)| Event::Silenced(matchers, from, lasts)),
        1 => (1..4_i64, spans()).prop_map(|(id, lasts)| Event::Extended(id, lasts)),
        1 => (1..4_i64).prop_map(Event::Expired),
        2 => Just(Event::Swept),
    ]
}

pub(crate) fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => said().prop_map(Event::Heard),
        2 => (1..6_i64, commands()).prop_map(|(incident, command)| Event::Ordered(incident, command)),
        1 => polls().prop_map(Event::Polled),
        4 => spans().prop_map(Event::Passed),
        1 => spans().prop_map(Event::Leapt),
        1 => spans().prop_map(Event::Stalled),
        1 => spans().prop_map(Event::Restarted),
        2 => silences(),
    ];
    vec(event, 1..60)
}

pub(crate) fn rules() -> impl Strategy<Value = Rules> {
    let span = || select(vec![Span::ZERO, Span::from_mins(5), Span::from_days(10)]);
    let source = (span(), span(), any::<bool>());
    let source = source.prop_map(
        |(expire_after, reorder_window, is_reconciled)| SourceRules {
            expire_after: expire_after.max(Span::from_secs(1)),
            reorder_window,
            is_reconciled,
        },
    );
    let incident = (span(), span(), span());
    let incident = incident.prop_map(
        |(recover_after, reopen_window, close_after)| IncidentRules {
            recover_after,
            reopen_window,
            close_after,
            acknowledge_for: None,
        },
    );
    let odd = (source, incident).prop_map(|(source, incident)| Rules {
        sources: [(SOURCE.into(), source)].into(),
        incident,
        ..Rules::default()
    });
    // Clocks run in every second life; the store and the laws must not mind.
    let with_clocks = any::<bool>();
    (prop_oneof![Just(Rules::default()), odd], with_clocks).prop_map(|(rules, with_clocks)| {
        if with_clocks {
            Rules {
                sla: crate::sla::both_kinds(),
                ..rules
            }
        } else {
            rules
        }
    })
}

/// What there is: alerts with their status, and incidents in their states, without numbers.
fn standing(bench: &Bench) -> (Vec<String>, Vec<String>) {
    let mut alerts: Vec<_> = bench
        .state
        .alerts()
        .map(|alert| format!("{:?} {:?} {:?}", alert.key, alert.status, alert.starts_at))
        .collect();
    let mut incidents: Vec<_> = bench
        .state
        .incidents()
        .map(|incident| {
            let members = bench.state.alerts_of(incident.id);
            let names = members.iter().map(|alert| &bench.ledger.names[alert]);
            let names: Vec<_> = names.collect();
            format!("{names:?} {:?} {:?}", incident.state, incident.priority)
        })
        .collect();
    alerts.sort();
    incidents.sort();
    (alerts, incidents)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_invariants_hold_and_every_open_gets_its_close(
        rules in rules(),
        events in events(),
    ) {
        let mut bench = Bench::with(rules);
        for event in events {
            play(&mut bench, event);
        }
        bench.after(Span::from_days(60));
        for incident in bench.state.incidents() {
            prop_assert!(!incident.state.is_open() || bench.ledger.reopened_by_person.contains(&incident.id));
        }
        prop_assert!(bench.state.alerts().all(|alert| !alert.is_firing()));
        prop_assert!(bench.state.alert_count() <= NAMES.len(), "what ended long ago is forgotten");
    }

    #[test]
    fn same_inputs_give_the_same_timeline(rules in rules(), events in events()) {
        let mut first = Bench::with(rules.clone());
        let mut second = Bench::with(rules);
        for event in events {
            play(&mut first, event.clone());
            play(&mut second, event);
        }
        prop_assert_eq!(&first.entries, &second.entries);
        prop_assert!(first.state == second.state);
    }

    #[test]
    fn what_is_silenced_is_what_the_active_silences_match(events in events()) {
        let mut bench = Bench::new();
        for event in events {
            play(&mut bench, event);
        }
        bench.leap(Span::ZERO);
        bench.sweep();
        let silences = bench.state.silences();
        for alert in bench.state.alerts().filter(|alert| alert.is_firing()) {
            let text = &bench.ledger.texts[&alert.id];
            let subject = Subject {
                graph: bench.state.graph(),
                ci: alert.ci,
                label: |name: &str| text.label(name),
            };
            let expected = silences.matching(bench.now, &subject);
            let active = silences.iter().filter(|it| it.state(bench.now) == SilenceState::Active);
            let by_hand = active.filter(|it| it.is_match(|name| text.label(name)));
            let mut by_hand: Vec<_> = by_hand.map(|it| it.id).collect();
            let held: Vec<_> = silences.of(alert.id).map(|it| it.id).collect();
            prop_assert_eq!(&held, &by_hand);
            by_hand.sort();
            let mut expected = expected;
            expected.sort();
            prop_assert_eq!(expected, by_hand, "the index finds the same");
        }
    }

    #[test]
    fn duplicate_of_a_message_changes_no_set_of_incidents(events in events()) {
        let mut bench = Bench::new();
        for event in events {
            play(&mut bench, event.clone());
            if let Event::Heard(said) = event {
                let before = standing(&bench);
                bench.hear(said);
                prop_assert_eq!(before, standing(&bench));
            }
        }
    }

    #[test]
    fn duplicate_of_a_command_opens_nothing(events in events()) {
        let mut bench = Bench::new();
        for event in events {
            if let Event::Ordered(..) = event {
                bench.leap(Span::ZERO);
            }
            play(&mut bench, event.clone());
            if let Event::Ordered(incident, command) = event {
                let before = standing(&bench);
                bench.command(incident, command);
                prop_assert_eq!(before, standing(&bench));
            }
        }
    }

    #[test]
    fn refusal_leaves_the_state_unchanged(events in events(), command in commands()) {
        let mut bench = Bench::new();
        for event in events {
            play(&mut bench, event);
        }
        bench.leap(Span::ZERO);
        for incident in 1..4 {
            let before = bench.state.clone();
            let decision = bench.order(incident, command.clone());
            prop_assert!(!decision.is_refused || bench.state == before);
        }
    }

    #[test]
    fn order_of_independent_alerts_does_not_matter(
        lives in vec(vec(said(), 0..4), 1..8),
        pauses in vec(spans(), 4),
    ) {
        let play_in = |order: &dyn Fn(usize) -> usize| {
            let mut bench = Bench::new();
            for (turn, pause) in pauses.iter().enumerate() {
                for index in 0..lives.len() {
                    let index = order(index);
                    if let Some(said) = lives[index].get(turn) {
                        bench.hear(said.clone().named(&format!("{index}")));
                    }
                }
                bench.after(*pause);
            }
            standing(&bench)
        };
        let forward = play_in(&|index| index);
        let backward = play_in(&|index| lives.len() - 1 - index);
        prop_assert_eq!(forward, backward);
    }

    #[test]
    fn deliveries_of_one_episode_may_come_in_any_order_and_number(
        deliveries in vec((any::<bool>(), 0..4_i64, 0..1_000_i64), 1..20),
    ) {
        let mut bench = Bench::new();
        let mut has_ended = false;
        let start = t("00:00");
        bench.at("00:01");
        // All arrive within the reorder window; jitter stays inside the tolerance.
        for (is_resolve, seconds, jitter) in deliveries {
            bench.after(Span::from_secs(seconds / 3));
            let start = Some(start.plus(Span::from_millis(jitter)));
            let said = if is_resolve { resolved("F").end("00:00:50") } else { firing("F") };
            bench.hear(said.start_at(start));
            has_ended |= is_resolve;
        }
        bench.after(Span::from_mins(10));
        prop_assert_eq!(bench.is_firing("F"), !has_ended);
        prop_assert_eq!(bench.incidents().1, usize::from(!has_ended));
        prop_assert!(bench.incidents().0 <= 1);
        prop_assert_eq!(bench.count(Reason::IncidentReopened), 0);
    }

    #[test]
    fn keys_are_injective_and_stable(
        one in ("[ab:%3]{0,4}(:v1:)?[ab]?", "[ab:%3\u{0}]{0,3}(:v1:|sha256-)?[ab]{0,3}"),
        other in ("[ab:%3]{0,4}(:v1:)?[ab]?", "[ab:%3\u{0}]{0,3}(:v1:|sha256-)?[ab]{0,3}"),
    ) {
        let key = AlertKey::new(&one.0, &one.1);
        prop_assert_eq!(&key, &AlertKey::new(&one.0, &one.1));
        prop_assert_eq!(&key, &AlertKey::from_text(key.text().clone()));
        let another = AlertKey::new(&other.0, &other.1);
        if one == other {
            prop_assert_eq!(key.hash(), another.hash());
        } else {
            prop_assert_ne!(key.text(), another.text());
            prop_assert_ne!(key.hash(), another.hash());
        }
    }
}

#[test]
fn key_texts_never_change() {
    for (source, payload, text) in [
        ("am", "bbeccb151ae67847", "am:v1:bbeccb151ae67847"),
        ("a:b", "x", "a%3ab:v1:x"),
        ("a%3ab", "x", "a%253ab:v1:x"),
        (
            "am",
            "sha256-x",
            "am:v1:sha256-e606654cdcb6600d7c8bc454f4fbfee0",
        ),
    ] {
        assert_eq!(AlertKey::new(source, payload).text(), text);
    }
    let hash = AlertKey::new("am", "bbeccb151ae67847").hash();
    assert_eq!(
        format!("{:032x}", hash.0),
        "dd98c9844ae49982fca65c5c49916cdc"
    );
}

#[test]
fn many_deadlines_at_once_need_few_decisions() {
    let mut bench = Bench::new();
    for n in 0..2_500 {
        bench.firing(&format!("v{n}"), "00:00");
    }
    for _ in 0..3 {
        bench.leap(Span::from_days(100));
    }
    assert_eq!((bench.state.alert_count(), bench.incidents().0), (0, 0));
    // Expired, forgotten; recovered, closed, forgotten: five looks at 2,500 records, 1,000 at a time.
    assert!(
        bench.deadline_decisions <= 5 * 3 + 5,
        "{}",
        bench.deadline_decisions
    );
}

#[test]
fn clock_may_leap_a_thousand_years() {
    let mut bench = Bench::polled();
    bench.firing("A", "00:00");
    bench.resolved("B", "00:00", "00:00");
    bench.firing("B", "00:00");
    bench.firing("C", "00:00");
    let until = Some(bench.now.plus(Span::from_mins(1)));
    bench.command(2, Command::Acknowledge { until });
    bench
        .leap(Span::from_days(365_000))
        .leap(Span::from_days(365_000));
    assert_eq!(bench.incidents().1, 0);
}
