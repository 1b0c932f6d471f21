//! What is deleted, in what steps, and what never is.

use bytes::Bytes;
use watchbell::core::ids::Seq;
use watchbell::core::input::{Command, CommandGiven, IdempotencyKey};
use watchbell::core::rules::Rules;
use watchbell::core::tell::TellRules;
use watchbell::core::tell::event::EventSet;
use watchbell::core::time::{Span, Timestamp};
use watchbell::store::Db;
use watchbell::store::dead_letters::NewDeadLetter;
use watchbell::store::load::load;
use watchbell::store::outbox::work::{Mark, OutboxStep, Standing};
use watchbell::store::retention::{Limits, find_overflow};
use watchbell::store::writer::WriterHandle;

use super::decisions::commit;
use crate::support::claim::{resolved, t};
use crate::support::database::{TestStore, numbers, on_both_engines};
use crate::support::rig::{PARTITION, Rig, TestClock, message};
use crate::support::world::Bench;

on_both_engines!(
    inputs_go_in_steps_and_never_before_they_are_decided,
    the_newest_part_of_the_log_that_fits_stays,
    incidents_go_with_all_that_is_theirs,
    numbers_are_never_given_out_twice,
    alerts_without_an_incident_and_old_answers_go_too,
    messages_that_ended_go_unless_their_incident_is_held,
);

/// Nothing is old enough.
const NOTHING: Limits = Limits {
    inputs_before: Timestamp::from_millis(0),
    inputs_through: Seq::new(0),
    incidents_before: Timestamp::from_millis(0),
    answers_before: Timestamp::from_millis(0),
    cmdb_before: Timestamp::from_millis(0),
};

async fn retain_all(handle: &WriterHandle, limits: Limits) -> Vec<u64> {
    let mut steps = Vec::new();
    loop {
        match handle.retain(limits).await.unwrap() {
            0 => return steps,
            rows => steps.push(rows),
        }
        assert!(steps.len() < 100, "it comes to an end");
    }
}

async fn count(db: &Db, sql: &'static str) -> i64 {
    let mut conn = db.connect().await.unwrap();
    numbers(conn.lend(), sql).await[0]
}

async fn inputs_go_in_steps_and_never_before_they_are_decided(store: TestStore) {
    let (db, clock) = (store.open().await, TestClock::new());
    let rig = Rig::start(&db, &clock).await;
    let mut bench = Bench::new();
    for n in 0..1_200 {
        bench.hear(resolved("F").start("00:00").text(n));
    }
    commit(&rig.handle, &mut bench, 1_200).await;
    let letter = || NewDeadLetter {
        source: "am".to_owned(),
        reason: "bad_items",
        detail: String::new(),
        content_type: None,
        envelope: None,
        body: Bytes::new(),
    };
    rig.handle.dead_letter(letter()).await.unwrap();
    for _ in 0..3 {
        rig.handle
            .append(message("undecided"), None, None)
            .await
            .unwrap();
    }
    clock.pass(Span::from_days(1));
    rig.handle.dead_letter(letter()).await.unwrap();
    rig.handle
        .append(message("young"), None, None)
        .await
        .unwrap();

    assert_eq!(retain_all(&rig.handle, NOTHING).await, Vec::<u64>::new());
    let limits = Limits {
        inputs_before: clock.now(),
        ..NOTHING
    };
    let steps = retain_all(&rig.handle, limits).await;
    assert_eq!(steps.iter().sum::<u64>(), 1_200 + 1, "{steps:?}");
    assert!(
        steps.iter().all(|&rows| rows <= 501),
        "bounded steps: {steps:?}"
    );
    assert_eq!(count(&db, "SELECT COUNT(*) FROM input").await, 4);
    assert_eq!(count(&db, "SELECT MIN(seq) FROM input").await, 1_201);
    assert_eq!(count(&db, "SELECT id FROM dead_letter").await, 2);
    let by_size = Limits {
        inputs_through: Seq::new(i64::MAX),
        ..NOTHING
    };
    assert!(
        retain_all(&rig.handle, by_size).await.is_empty(),
        "undecided ones stay"
    );
    rig.end().await;
}

async fn the_newest_part_of_the_log_that_fits_stays(store: TestStore) {
    let (db, clock) = (store.open().await, TestClock::new());
    let rig = Rig::start(&db, &clock).await;
    for _ in 0..10 {
        rig.handle
            .append(message("0123456789"), None, None)
            .await
            .unwrap();
    }
    let mut reader = db.reader().await.unwrap();
    for (bytes_max, through) in [(1_000, 0), (100, 0), (99, 1), (50, 5), (49, 6), (0, 10)] {
        let found = find_overflow(reader.lend(), PARTITION, bytes_max)
            .await
            .unwrap();
        assert_eq!(found, Seq::new(through), "{bytes_max} bytes");
    }
    drop(reader);
    rig.end().await;
}

/// Fires and resolves so many alerts, and lets time pass until everything is forgotten.
fn live_and_end(bench: &mut Bench, names: &[&str]) {
    let start = bench.now;
    for name in names {
        bench.hear(crate::support::claim::firing(name).start_at(Some(start)));
    }
    bench.after(Span::from_mins(10));
    let end = bench.now;
    for name in names {
        bench.hear(resolved(name).start_at(Some(start)).end_at(Some(end)));
    }
    bench.after(Span::from_days(30));
}

async fn incidents_go_with_all_that_is_theirs(store: TestStore) {
    let (db, clock) = (store.open().await, TestClock::new());
    let rig = Rig::start(&db, &clock).await;
    let mut bench = Bench::new();
    live_and_end(&mut bench, &["A", "B"]);
    let later = bench.now;
    live_and_end(&mut bench, &["A", "C"]);
    bench.firing("still open", "00:00");
    let end = bench.now;
    bench.hear(resolved("just closed").start_at(Some(end)));
    commit(&rig.handle, &mut bench, 3).await;
    assert_eq!(count(&db, "SELECT COUNT(*) FROM incident").await, 5);

    let limits = |before| Limits {
        incidents_before: before,
        ..NOTHING
    };
    assert_eq!(
        retain_all(&rig.handle, limits(later))
            .await
            .iter()
            .sum::<u64>(),
        2
    );
    assert_eq!(count(&db, "SELECT MIN(id) FROM incident").await, 3);
    retain_all(&rig.handle, limits(Timestamp::MAX)).await;
    let mut conn = db.connect().await.unwrap();
    let (state, _) = load(conn.lend(), PARTITION).await.unwrap();
    assert!(state == bench.state, "what memory holds stays");
    assert_eq!(
        numbers(conn.lend(), "SELECT id FROM incident").await,
        [5],
        "the open one"
    );
    for orphans in [
        "SELECT COUNT(*) FROM incident_alert WHERE incident <> 5",
        "SELECT COUNT(*) FROM timeline WHERE incident <> 5",
        "SELECT COUNT(*) FROM alert_state WHERE id NOT IN (SELECT id FROM alert_key)",
        "SELECT COUNT(*) FROM alert_text WHERE id NOT IN (SELECT id FROM alert_key)",
        "SELECT COUNT(*) FROM alert_key WHERE id NOT IN (SELECT id FROM alert_state)",
        "SELECT COUNT(*) FROM alert_state WHERE is_forgotten",
    ] {
        assert_eq!(numbers(conn.lend(), orphans).await, [0], "{orphans}");
    }
    rig.end().await;
}

async fn numbers_are_never_given_out_twice(store: TestStore) {
    let (db, clock) = (store.open().await, TestClock::new());
    let rig = Rig::start(&db, &clock).await;
    let mut bench = Bench::new();
    live_and_end(&mut bench, &["A", "B", "C"]);
    commit(&rig.handle, &mut bench, 3).await;
    let everything = Limits {
        incidents_before: Timestamp::MAX,
        ..NOTHING
    };
    retain_all(&rig.handle, everything).await;
    let mut conn = db.connect().await.unwrap();
    let (_, mut ids) = load(conn.lend(), PARTITION).await.unwrap();
    assert_eq!((ids.alert().get(), ids.incident().get()), (4, 4));
    rig.end().await;
}

async fn alerts_without_an_incident_and_old_answers_go_too(store: TestStore) {
    let (db, clock) = (store.open().await, TestClock::new());
    let rig = Rig::start(&db, &clock).await;
    let mut bench = Bench::new();
    bench.resolved("never seen firing", "00:00", "00:01");
    bench.firing("F", "00:00");
    bench.give(CommandGiven {
        incident: watchbell::core::ids::IncidentId::new(1).unwrap(),
        command: Command::Start,
        actor: "ana".into(),
        expected_version: None,
        idempotency: Some(IdempotencyKey { key: 1, command: 1 }),
        past: None,
    });
    bench.after(Span::from_days(8));
    bench.firing("F", "00:00");
    commit(&rig.handle, &mut bench, 3).await;
    let limits = Limits {
        incidents_before: t("00:00"),
        answers_before: t("00:00"),
        ..NOTHING
    };
    assert!(
        retain_all(&rig.handle, limits).await.is_empty(),
        "too young"
    );
    let limits = Limits {
        incidents_before: t("2d 00:00"),
        answers_before: t("2d 00:00"),
        ..NOTHING
    };
    assert_eq!(retain_all(&rig.handle, limits).await, [2]);
    assert_eq!(count(&db, "SELECT COUNT(*) FROM command_answer").await, 0);
    assert_eq!(
        count(
            &db,
            "SELECT COUNT(*) FROM alert_key WHERE key LIKE '%never%'"
        )
        .await,
        0
    );
    let lone = "SELECT COUNT(*) FROM timeline WHERE incident IS NULL";
    assert_eq!(count(&db, lone).await, 0);
    rig.end().await;
}

/// What has become of a message.
fn ended(id: i64, standing: Standing, at: Timestamp) -> Mark {
    let is_due = standing == Standing::Pending;
    Mark {
        id,
        standing,
        may_have_arrived: false,
        attempts: 1,
        due_at: at,
        tried_at: Some(at),
        ended_at: (!is_due).then_some(at),
        status: None,
        reason: None,
        error: None,
    }
}

async fn messages_that_ended_go_unless_their_incident_is_held(store: TestStore) {
    let (db, clock) = (store.open().await, TestClock::new());
    let rig = Rig::start(&db, &clock).await;
    let mut bench = Bench::with(Rules {
        tell: TellRules {
            targets: [("hook".into(), EventSet::default())].into(),
            routes: Vec::new(),
        },
        ..Rules::default()
    });
    let messages = async |sql| {
        let mut conn = db.connect().await.unwrap();
        numbers(conn.lend(), sql).await
    };
    // Two that are over and forgotten, each with an opening and an end; then one that is held.
    live_and_end(&mut bench, &["A", "B"]);
    bench.firing("held", "00:00");
    bench.after(Span::from_mins(5));
    bench.firing("the newest", "00:00");
    bench.after(Span::from_mins(5));
    commit(&rig.handle, &mut bench, 3).await;
    let all = "SELECT id FROM outbox ORDER BY id";
    assert_eq!(messages(all).await, [1, 2, 3, 4, 5, 6]);
    let at = bench.now;
    let standings = [
        (1, Standing::Sent),
        (2, Standing::Dead),
        (3, Standing::Skipped),
        (4, Standing::Pending),
        (5, Standing::Sent),
        (6, Standing::Sent),
    ];
    let marks = standings.map(|(id, standing)| ended(id, standing, at));
    let step = OutboxStep {
        marks: marks.into(),
        ..OutboxStep::default()
    };
    rig.handle.outbox(step).await.unwrap();

    let limits = |before| Limits {
        inputs_before: before,
        ..NOTHING
    };
    // The log goes at the same time; what is left of the outbox is looked at.
    retain_all(&rig.handle, limits(at)).await;
    assert_eq!(messages(all).await.len(), 6, "not old enough");
    retain_all(&rig.handle, limits(at.plus(Span::from_millis(1)))).await;
    let left = messages(all).await;
    assert_eq!(
        left,
        [4, 5, 6],
        "what is due, and what is known of those that are held"
    );
    let mut conn = db.connect().await.unwrap();
    let (state, _) = load(conn.lend(), PARTITION).await.unwrap();
    assert!(state == bench.state, "what memory holds stays");
    rig.end().await;
}
