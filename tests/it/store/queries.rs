//! Lists and details as readers get them: filters, order, pages.

use std::collections::BTreeMap;

use watchbell::core::ids::{AlertId, IncidentId};
use watchbell::core::incident::StateWord;
use watchbell::core::input::Command;
use watchbell::core::severity::{Priority, Severity};
use watchbell::store::dead_letters::NewDeadLetter;
use watchbell::store::inbox::NewInput;
use watchbell::store::query::alerts::{self, AlertFilter, AlertOrder};
use watchbell::store::query::incidents::{self, IncidentFilter};
use watchbell::store::query::sources::list_last_heard;
use watchbell::store::query::timeline::{self, Subject};
use watchbell::store::query::{Page, Position, dead_letters};
use watchbell::store::{Db, StoreError};

use super::decisions::commit;
use crate::support::claim::{SOURCE, firing, resolved, t};
use crate::support::database::{TestStore, on_both_engines};
use crate::support::rig::{PARTITION, Rig, TestClock, message};
use crate::support::world::Bench;

on_both_engines!(
    incidents_are_filtered,
    alerts_are_filtered_and_sorted,
    pages_neither_repeat_nor_skip,
    timelines_tell_the_input,
    dead_letters_are_listed_without_bodies,
    counts_include_everything,
    sources_are_known_by_their_messages_and_by_their_alerts,
);

const ALL: Page = Page {
    limit: 500,
    is_newest_first: true,
    after: None,
};

/// A small world: INC-1 critical with ana, INC-2 warning and resolved alert, INC-3 low, closed; A-4 without incident.
async fn world(store: &TestStore) -> (Db, Rig, Bench) {
    let db = store.open().await;
    let rig = Rig::start(&db, &TestClock::new()).await;
    let mut bench = Bench::new();
    let disk = firing("Disk")
        .severity(Severity::Critical)
        .labelled(&[("host", "db1"), ("q", "a\"b")]);
    bench.hear(disk.start("00:00"));
    bench
        .at("00:01")
        .hear(firing("Load").severity(Severity::Warning).start("00:00"));
    bench
        .at("00:02")
        .hear(firing("100% of_it").severity(Severity::Low).start("00:00"));
    let team = Command::Assign {
        assignee: Some("ana".into()),
        team: Some("storage".into()),
    };
    bench.command(1, team);
    bench.command(1, Command::Acknowledge { until: None });
    bench
        .at("00:03")
        .hear(resolved("Load").start("00:00").end("00:02"));
    bench.command(3, Command::Resolve { note: None });
    bench.command(3, Command::Close);
    bench
        .at("00:04")
        .hear(resolved("Lone").start("00:00").end("00:03"));
    commit(&rig.handle, &mut bench, 4).await;
    (db, rig, bench)
}

#[expect(clippy::too_many_lines, reason = "one table of filters")]
async fn incidents_are_filtered(store: TestStore) {
    let (db, rig, bench) = world(&store).await;
    let mut reader = db.reader().await.unwrap();
    let mut listed = async |filter: IncidentFilter| {
        let listed = incidents::list(reader.lend(), &filter, ALL).await.unwrap();
        assert_eq!(listed.next, None);
        listed
            .items
            .iter()
            .map(|it| it.incident.id.get())
            .collect::<Vec<_>>()
    };
    let any = IncidentFilter::default;
    let texts = |text: &str| vec![text.to_owned()];
    for (expected, filter) in [
        (&[3, 2, 1][..], any()),
        (
            &[1],
            IncidentFilter {
                states: vec![StateWord::Acknowledged],
                ..any()
            },
        ),
        (
            &[3, 2],
            IncidentFilter {
                states: vec![StateWord::New, StateWord::Closed],
                ..any()
            },
        ),
        (
            &[1],
            IncidentFilter {
                priorities: vec![Priority::P2],
                ..any()
            },
        ),
        (
            &[2],
            IncidentFilter {
                severities: vec![Severity::Warning],
                ..any()
            },
        ),
        (
            &[1],
            IncidentFilter {
                teams: texts("storage"),
                ..any()
            },
        ),
        (
            &[1],
            IncidentFilter {
                assignees: texts("ana"),
                ..any()
            },
        ),
        (
            &[],
            IncidentFilter {
                assignees: texts("ANA"),
                ..any()
            },
        ),
        (
            &[3, 2, 1],
            IncidentFilter {
                sources: texts("am"),
                ..any()
            },
        ),
        (
            &[],
            IncidentFilter {
                sources: texts("other"),
                ..any()
            },
        ),
        (
            &[1],
            IncidentFilter {
                search: Some("dISK is".to_owned()),
                ..any()
            },
        ),
        (
            &[2],
            IncidentFilter {
                search: Some("INC-2".to_owned()),
                ..any()
            },
        ),
        (
            &[2],
            IncidentFilter {
                search: Some("2".to_owned()),
                ..any()
            },
        ),
        (
            &[3],
            IncidentFilter {
                search: Some("100% OF_".to_owned()),
                ..any()
            },
        ),
        (
            &[],
            IncidentFilter {
                search: Some("1__% of".to_owned()),
                ..any()
            },
        ),
        (
            &[],
            IncidentFilter {
                search: Some("'; --\\".to_owned()),
                ..any()
            },
        ),
        (
            &[1],
            IncidentFilter {
                states: vec![StateWord::Acknowledged],
                teams: texts("storage"),
                ..any()
            },
        ),
        (
            &[],
            IncidentFilter {
                states: vec![StateWord::New],
                teams: texts("storage"),
                ..any()
            },
        ),
    ] {
        assert_eq!(listed(filter.clone()).await, expected, "{filter:?}");
    }
    let one = incidents::find(reader.lend(), IncidentId::new(1).unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(one.incident, *bench.incident(1));
    assert_eq!((one.title.as_str(), one.events), ("Disk is broken", 1));
    assert_eq!(one.first_alert, AlertId::new(1));
    assert!(
        incidents::find(reader.lend(), IncidentId::new(99).unwrap())
            .await
            .unwrap()
            .is_none()
    );
    rig.end().await;
}

#[expect(clippy::too_many_lines, reason = "one table of filters")]
async fn alerts_are_filtered_and_sorted(store: TestStore) {
    let (db, rig, bench) = world(&store).await;
    let mut reader = db.reader().await.unwrap();
    let mut listed = async |filter: &AlertFilter, order: AlertOrder| {
        let listed = alerts::list(reader.lend(), filter, order, ALL)
            .await
            .unwrap();
        listed
            .items
            .iter()
            .map(|it| it.alert.id.get())
            .collect::<Vec<_>>()
    };
    let any = AlertFilter::default;
    let incidents = |id| vec![IncidentId::new(id).unwrap()];
    for (expected, filter) in [
        (&[4, 3, 2, 1][..], any()),
        (
            &[1],
            AlertFilter {
                is_firing: Some(true),
                ..any()
            },
        ),
        (
            &[4, 3, 2],
            AlertFilter {
                is_firing: Some(false),
                ..any()
            },
        ),
        (
            &[3, 2],
            AlertFilter {
                severities: vec![Severity::Low, Severity::Warning],
                ..any()
            },
        ),
        (
            &[4, 3, 2, 1],
            AlertFilter {
                sources: vec!["am".to_owned()],
                ..any()
            },
        ),
        (
            &[],
            AlertFilter {
                sources: vec!["a".to_owned()],
                ..any()
            },
        ),
        (
            &[2],
            AlertFilter {
                incidents: incidents(2),
                ..any()
            },
        ),
        (
            &[2],
            AlertFilter {
                member_of: IncidentId::new(2),
                ..any()
            },
        ),
        (
            &[1],
            AlertFilter {
                search: Some("DB1".to_owned()),
                ..any()
            },
        ),
        (
            &[3],
            AlertFilter {
                search: Some("100%".to_owned()),
                ..any()
            },
        ),
        (
            &[2],
            AlertFilter {
                search: Some("am:v1:load".to_owned()),
                ..any()
            },
        ),
    ] {
        assert_eq!(
            listed(&filter, AlertOrder::Id).await,
            expected,
            "{filter:?}"
        );
    }
    assert_eq!(listed(&any(), AlertOrder::LastSeen).await, [4, 2, 3, 1]);
    let one = alerts::find(reader.lend(), AlertId::new(1).unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(one.alert, *bench.alert("Disk"));
    assert_eq!(
        (one.key.as_str(), one.source.as_str()),
        ("am:v1:Disk", "am")
    );
    let labels = [("host", "db1"), ("q", "a\"b")];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(one.labels, BTreeMap::from(labels));
    assert!(
        alerts::find(reader.lend(), AlertId::new(99).unwrap())
            .await
            .unwrap()
            .is_none()
    );
    rig.end().await;
}

async fn pages_neither_repeat_nor_skip(store: TestStore) {
    let db = store.open().await;
    let rig = Rig::start(&db, &TestClock::new()).await;
    let mut bench = Bench::new();
    for n in 0..23 {
        bench.firing(&format!("v{n}"), "00:00");
        if n % 4 == 3 {
            bench.after(watchbell::core::time::Span::from_secs(1));
        }
    }
    commit(&rig.handle, &mut bench, 5).await;
    for is_newest_first in [true, false] {
        for limit in [1, 5, 23, 24] {
            for order in [AlertOrder::Id, AlertOrder::LastSeen] {
                let mut seen = Vec::new();
                let mut after: Option<Position> = None;
                loop {
                    let page = Page {
                        limit,
                        is_newest_first,
                        after,
                    };
                    let mut reader = db.reader().await.unwrap();
                    let filter = AlertFilter::default();
                    let listed = alerts::list(reader.lend(), &filter, order, page)
                        .await
                        .unwrap();
                    assert!(listed.items.len() <= usize::try_from(limit).unwrap());
                    seen.extend(listed.items.iter().map(|it| it.alert.id.get()));
                    // What arrives while somebody turns pages moves nothing.
                    bench.after(watchbell::core::time::Span::from_secs(1));
                    after = listed.next;
                    if after.is_none() {
                        break;
                    }
                }
                let mut sorted: Vec<_> = (1..=23).collect();
                if is_newest_first {
                    sorted.reverse();
                }
                assert_eq!(seen, sorted, "{order:?}, {limit} a page");
            }
        }
    }
    rig.end().await;
}

async fn timelines_tell_the_input(store: TestStore) {
    let (db, rig, bench) = world(&store).await;
    let mut reader = db.reader().await.unwrap();
    let page = Page {
        is_newest_first: false,
        ..ALL
    };
    let subject = Subject::Incident(IncidentId::new(1).unwrap());
    let told = timeline::list(reader.lend(), subject, page)
        .await
        .unwrap()
        .items;
    let said: Vec<_> = bench
        .entries
        .iter()
        .filter(|(_, it)| it.incident == IncidentId::new(1))
        .collect();
    assert_eq!(told.len(), said.len());
    for (told, (at, said)) in told.iter().zip(said) {
        assert_eq!((told.id, told.at, told.reason), (said.id, *at, said.reason));
        assert_eq!(told.alert, said.alert);
        assert_eq!(told.state.as_deref(), said.state.map(StateWord::word));
        assert_eq!(told.actor.as_deref(), said.actor.as_deref());
        assert_eq!(told.note.as_deref(), said.note.as_deref());
        assert_eq!(told.input.as_ref().unwrap().kind, "deadline");
    }
    let lone = Subject::Alert(AlertId::new(4).unwrap());
    let told = timeline::list(reader.lend(), lone, page)
        .await
        .unwrap()
        .items;
    assert_eq!(told.len(), 1, "also without an incident");
    rig.end().await;
}

async fn dead_letters_are_listed_without_bodies(store: TestStore) {
    let db = store.open().await;
    let rig = Rig::start(&db, &TestClock::new()).await;
    for (source, reason) in [
        ("a", "bad_items"),
        ("b", "bad_items"),
        ("a", "not_understood"),
    ] {
        let letter = NewDeadLetter {
            source: source.to_owned(),
            reason,
            detail: "d".to_owned(),
            content_type: Some("text/plain".to_owned()),
            envelope: None,
            body: "body".into(),
        };
        rig.handle.dead_letter(letter).await.unwrap();
    }
    let mut reader = db.reader().await.unwrap();
    let mut listed = async |sources: &[&str], reasons: &[&str], page: Page| {
        let own = |texts: &[&str]| {
            texts
                .iter()
                .map(|&text| text.to_owned())
                .collect::<Vec<_>>()
        };
        let listed = dead_letters::list(reader.lend(), &own(sources), &own(reasons), page).await?;
        Ok::<_, StoreError>((
            listed.items.iter().map(|it| it.id).collect::<Vec<_>>(),
            listed.next,
        ))
    };
    assert_eq!(listed(&[], &[], ALL).await.unwrap(), (vec![3, 2, 1], None));
    assert_eq!(listed(&["a"], &[], ALL).await.unwrap().0, [3, 1]);
    assert_eq!(
        listed(&["a", "b"], &["bad_items"], ALL).await.unwrap().0,
        [2, 1]
    );
    let (first, next) = listed(&[], &[], Page { limit: 2, ..ALL }).await.unwrap();
    let (second, end) = listed(
        &[],
        &[],
        Page {
            limit: 2,
            after: next,
            ..ALL
        },
    )
    .await
    .unwrap();
    assert_eq!((first, second, end), (vec![3, 2], vec![1], None));
    rig.end().await;
}

async fn sources_are_known_by_their_messages_and_by_their_alerts(store: TestStore) {
    let (db, clock) = (store.open().await, TestClock::new());
    let rig = Rig::start(&db, &clock).await;
    let heard = async || {
        let mut reader = db.reader().await.unwrap();
        list_last_heard(reader.lend(), PARTITION).await.unwrap()
    };
    assert_eq!(heard().await, []);
    let mut bench = Bench::new();
    bench.at("03:00").firing("Disk", "02:00");
    bench.at("04:00").firing("Load", "02:00");
    commit(&rig.handle, &mut bench, 4).await;
    let said = NewInput {
        source: Some("quiet".to_owned()),
        ..message("nothing about an alert")
    };
    clock.set(t("05:00"));
    rig.handle.append(said, None, None).await.unwrap();
    let expected = [
        (SOURCE.to_owned(), t("04:00")),
        ("quiet".to_owned(), t("05:00")),
    ];
    assert_eq!(heard().await, expected);
    rig.end().await;
}

async fn counts_include_everything(store: TestStore) {
    let (db, rig, _) = world(&store).await;
    let mut reader = db.reader().await.unwrap();
    let counts = incidents::count_by_state(reader.lend()).await.unwrap();
    let expected = [
        (StateWord::New, 1),
        (StateWord::Acknowledged, 1),
        (StateWord::Closed, 1),
    ];
    assert_eq!(counts, BTreeMap::from(expected));
    assert_eq!(
        alerts::count_by_status(reader.lend()).await.unwrap(),
        (1, 3)
    );
    rig.end().await;
}
