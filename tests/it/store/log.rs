//! The input log and dead letters: positions, group commit, and neighbours that do not suffer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use tokio::task::JoinSet;
use watchbell::core::decision::{Change, Decision};
use watchbell::core::ids::Seq;
use watchbell::core::reason::Reason;
use watchbell::core::time::Span;
use watchbell::store::commit::Batch;
use watchbell::store::dead_letters::{self, BODY_BYTES_MAX, NewDeadLetter};
use watchbell::store::inbox::{InputKind, NewInput, StoredBody, StoredInput, list_after};
use watchbell::store::retention::Limits;
use watchbell::store::writer::{WriteError, marker};
use watchbell::store::{Db, StoreError};

use crate::support::claim::t;
use crate::support::database::{TestStore, numbers, on_both_engines};
use crate::support::rig::{PARTITION, Rig, TestClock, claim, message};
use crate::support::world::Bench;

on_both_engines!(
    inputs_come_back_in_order_as_they_came,
    appends_at_once_share_commits,
    positions_go_on_after_a_restart_and_after_everything_was_deleted,
    poison_does_not_harm_its_neighbours,
    dead_letters_are_kept_and_cut,
    a_full_queue_refuses_senders_but_not_the_engine,
);

async fn log_of(db: &Db) -> Vec<StoredInput> {
    let mut reader = db.reader().await.unwrap();
    list_after(reader.lend(), PARTITION, Seq::default(), 100_000)
        .await
        .unwrap()
}

async fn inputs_come_back_in_order_as_they_came(store: TestStore) {
    let (db, clock) = (store.open().await, TestClock::new());
    let mut rig = Rig::start(&db, &clock).await;
    let large: Bytes = (0..20_000_u32)
        .map(|n| u8::try_from(n % 251).unwrap())
        .collect::<Vec<_>>()
        .into();
    let poll = NewInput {
        kind: InputKind::Poll,
        source: Some("am".to_owned()),
        content_type: None,
        envelope: None,
        body: StoredBody::new(Bytes::from_static(b"{\"gone\":[1]}")),
    };
    let around = NewInput {
        envelope: Some("{\"query\":[[\"a\",\"\u{1f514}\"]]}".to_owned()),
        ..message("around")
    };
    let sent = [
        around,
        message("a\0b, \u{1f514}"),
        message(large),
        poll,
        marker(InputKind::Started),
        marker(InputKind::Deadline),
    ];
    for (n, input) in sent.iter().enumerate() {
        clock.pass(Span::from_secs(1));
        let receipt = rig.handle.append(input.clone(), None, None).await.unwrap();
        assert_eq!(receipt.seq().get(), i64::try_from(n).unwrap() + 1);
        assert_eq!(receipt.at(), clock.now());
        let handed = rig.appended.recv().await.unwrap();
        assert_eq!((handed.seq, handed.at), (receipt.seq(), receipt.at()));
    }
    // Time never runs backwards in the log, whatever the clock does.
    let latest = clock.now();
    clock.set(t("00:00"));
    let receipt = rig
        .handle
        .append_own(marker(InputKind::Deadline))
        .await
        .unwrap();
    assert_eq!(receipt.at(), latest);

    let stored = log_of(&db).await;
    assert_eq!(stored.len(), sent.len() + 1);
    for (stored, sent) in stored.iter().zip(&sent) {
        assert_eq!(stored.input.kind, sent.kind);
        assert_eq!(stored.input.source, sent.source);
        assert_eq!(stored.input.content_type, sent.content_type);
        assert_eq!(stored.input.envelope, sent.envelope);
        assert_eq!(stored.input.body.open().unwrap(), sent.body.open().unwrap());
    }
    let mut reader = db.reader().await.unwrap();
    let some = list_after(reader.lend(), PARTITION, Seq::new(2), 2)
        .await
        .unwrap();
    assert_eq!(
        some.iter().map(|it| it.seq.get()).collect::<Vec<_>>(),
        [3, 4]
    );
    rig.end().await;
}

async fn appends_at_once_share_commits(store: TestStore) {
    let (db, clock) = (store.open().await, TestClock::new());
    let rig = Rig::start(&db, &clock).await;
    let mut senders = JoinSet::new();
    for n in 0..500 {
        let handle = rig.handle.clone();
        senders.spawn(async move {
            let receipt = handle.append(message(format!("{n}")), None, None).await;
            (receipt.unwrap().seq(), format!("{n}"))
        });
    }
    let mut told: Vec<_> = senders.join_all().await;
    told.sort();
    let stored: Vec<_> = log_of(&db)
        .await
        .into_iter()
        .map(|it| {
            (
                it.seq,
                String::from_utf8(it.input.body.open().unwrap().to_vec()).unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told, stored,
        "everybody got the position of the own message"
    );
    assert!(stored.iter().map(|(seq, _)| seq.get()).eq(1..=500));
    let commits = rig.commits.load(Ordering::SeqCst);
    assert!(commits <= 50, "{commits} commits for 500 messages");
    rig.end().await;
}

async fn positions_go_on_after_a_restart_and_after_everything_was_deleted(store: TestStore) {
    let (db, clock) = (store.open().await, TestClock::new());
    let rig = Rig::start(&db, &clock).await;
    for _ in 0..3 {
        rig.handle.append(message("x"), None, None).await.unwrap();
    }
    rig.handle.commit(decided(3)).await.unwrap();
    rig.end().await;
    let rig = Rig::start(&db, &clock).await;
    assert_eq!(rig.handle.position().await.unwrap().decided, Seq::new(3));
    clock.pass(Span::from_days(1));
    let limits = Limits {
        inputs_before: clock.now(),
        inputs_through: Seq::default(),
        incidents_before: t("00:00"),
        answers_before: t("00:00"),
        cmdb_before: t("00:00"),
    };
    assert_eq!(rig.handle.retain(limits).await.unwrap(), 3);
    rig.end().await;
    assert!(log_of(&db).await.is_empty());
    let rig = Rig::start(&db, &clock).await;
    assert_eq!(rig.handle.progress.depth(), 0);
    let receipt = rig.handle.append(message("x"), None, None).await.unwrap();
    assert_eq!(receipt.seq(), Seq::new(4));
    rig.end().await;
}

fn decided(seq: i64) -> Batch {
    let mut batch = Batch::default();
    batch.add(
        Seq::new(seq),
        t("00:00"),
        Decision::because(Reason::Started),
    );
    batch
}

/// Decisions that no store takes: an alert whose counts contradict each other.
fn poison() -> Batch {
    let mut bench = Bench::new();
    bench.firing("F", "00:00");
    let mut alert = bench.alert("F").clone();
    alert.count_before = alert.count + 1;
    let mut decision = Decision::because(Reason::AlertOpened);
    decision.change(Change::AlertChanged(alert));
    let mut batch = Batch::default();
    batch.add(Seq::new(1), t("00:00"), decision);
    batch
}

async fn poison_does_not_harm_its_neighbours(store: TestStore) {
    let (db, clock) = (store.open().await, TestClock::new());
    let rig = Rig::start(&db, &clock).await;
    let handle = &rig.handle;
    // All are queued before the writer gets a turn, so they meet in one transaction.
    let (before, poisoned, after, put_aside) = tokio::join!(
        handle.append(message("before"), None, None),
        handle.commit(poison()),
        handle.append(message("after"), None, None),
        handle.dead_letter(letter("detail", Bytes::new())),
    );
    let poisoned = poisoned.unwrap_err();
    assert!(
        matches!(poisoned, WriteError::Store(StoreError::Other(_))),
        "{poisoned:?}"
    );
    assert_eq!(before.unwrap().seq(), Seq::new(1));
    assert_eq!(after.unwrap().seq(), Seq::new(2));
    assert_eq!(put_aside.unwrap(), 1);
    assert!(
        handle.trouble.borrow().is_none(),
        "the last commit succeeded"
    );
    assert_eq!(handle.position().await.unwrap().decided, Seq::default());
    let mut conn = db.connect().await.unwrap();
    assert_eq!(
        numbers(conn.lend(), "SELECT COUNT(*) FROM alert_state").await,
        [0]
    );
    assert_eq!(log_of(&db).await.len(), 2);
    rig.end().await;
}

fn letter(detail: &str, body: Bytes) -> NewDeadLetter {
    NewDeadLetter {
        source: "am".to_owned(),
        reason: "not_understood",
        detail: detail.to_owned(),
        content_type: None,
        envelope: None,
        body,
    }
}

async fn dead_letters_are_kept_and_cut(store: TestStore) {
    let (db, clock) = (store.open().await, TestClock::new());
    let rig = Rig::start(&db, &clock).await;
    let large = Bytes::from(vec![7; BODY_BYTES_MAX + 1]);
    let first = rig
        .handle
        .dead_letter(letter("labels.a\0b is no text", large))
        .await
        .unwrap();
    rig.end().await;
    let rig = Rig::start(&db, &clock).await;
    let second = rig
        .handle
        .dead_letter(letter("x", Bytes::from_static(b"\0\xff")))
        .await
        .unwrap();
    assert_eq!((first, second), (1, 2), "numbers go on after a restart");
    let mut reader = db.reader().await.unwrap();
    let cut = dead_letters::find(reader.lend(), first)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(cut.detail, "labels.ab is no text");
    assert_eq!(cut.body.len(), BODY_BYTES_MAX);
    assert_eq!(usize::try_from(cut.body_bytes).unwrap(), BODY_BYTES_MAX + 1);
    let listed = dead_letters::list(reader.lend(), Some("am"), i64::MAX, 10)
        .await
        .unwrap();
    assert_eq!(listed.iter().map(|it| it.id).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(listed[0].body, b"\0\xff");
    let none = dead_letters::list(reader.lend(), Some("other"), i64::MAX, 10)
        .await
        .unwrap();
    assert!(none.is_empty());
    rig.end().await;
}

async fn a_full_queue_refuses_senders_but_not_the_engine(store: TestStore) {
    let (db, clock) = (store.open().await, TestClock::new());
    let claimed = claim(&db, &clock, "rig").await.unwrap();
    let mut senders = JoinSet::new();
    let queued = Arc::new(AtomicU32::new(0));
    for _ in 0..4_096 {
        let (handle, queued) = (claimed.handle.clone(), Arc::clone(&queued));
        senders.spawn(async move {
            queued.fetch_add(1, Ordering::SeqCst);
            handle.append(message("x"), None, None).await
        });
    }
    // The writer does not run yet.
    while queued.load(Ordering::SeqCst) < 4_096 {
        tokio::task::yield_now().await;
    }
    let own = claimed.handle.clone();
    senders.spawn(async move { own.append_own(marker(InputKind::Deadline)).await });
    let refused = claimed.handle.append(message("one more"), None, None).await;
    assert!(
        matches!(refused, Err(WriteError::Overloaded)),
        "{refused:?}"
    );
    let rig = Rig::run(claimed);
    for receipt in senders.join_all().await {
        receipt.expect("who was queued is stored, and so is the engine's own");
    }
    assert_eq!(log_of(&db).await.len(), 4_097);
    rig.end().await;
}
