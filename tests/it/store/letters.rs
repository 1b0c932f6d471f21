//! Dead letters that become inputs, messages that become dead letters, and heartbeats, on both engines.

use bytes::Bytes;
use watchbell::core::decision::{Change, Decision};
use watchbell::core::heartbeat::Heartbeat;
use watchbell::core::ids::Seq;
use watchbell::core::reason::Reason;
use watchbell::core::time::Span;
use watchbell::store::Db;
use watchbell::store::commit::Batch;
use watchbell::store::dead_letters::{self, NewDeadLetter};
use watchbell::store::inbox::InputKind;
use watchbell::store::load::load;
use watchbell::store::retention::Limits;
use watchbell::store::writer::marker;

use crate::support::claim::t;
use crate::support::database::{TestStore, numbers, on_both_engines};
use crate::support::rig::{PARTITION, Rig, TestClock, message};

on_both_engines!(
    a_letter_becomes_an_input_once_and_in_one_step,
    what_a_batch_puts_aside_is_numbered_with_the_others,
    heartbeats_are_loaded_as_they_were_committed,
);

fn letter(detail: &str) -> NewDeadLetter {
    NewDeadLetter {
        source: "am".to_owned(),
        reason: "not_understood",
        detail: detail.to_owned(),
        content_type: None,
        envelope: None,
        body: Bytes::from_static(b"body"),
    }
}

async fn count(db: &Db, sql: &'static str) -> Vec<i64> {
    let mut conn = db.connect().await.unwrap();
    numbers(conn.lend(), sql).await
}

async fn a_letter_becomes_an_input_once_and_in_one_step(store: TestStore) {
    let (db, clock) = (store.open().await, TestClock::new());
    let mut rig = Rig::start(&db, &clock).await;
    let received_at = clock.now();
    let id = rig.handle.dead_letter(letter("x")).await.unwrap();
    clock.pass(Span::from_hours(1));
    rig.handle
        .amend(id, "still\0 not".to_owned())
        .await
        .unwrap();
    let mut reader = db.reader().await.unwrap();
    let held = dead_letters::find(reader.lend(), id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (held.detail.as_str(), held.at),
        ("still not", received_at.as_millis())
    );
    drop(reader);
    let handle = &rig.handle;
    // All meet in one transaction, with messages around them.
    let (before, first, second, missing, after) = tokio::join!(
        handle.append(message("before"), None, None),
        handle.replay(id, message("again"), Vec::new()),
        handle.replay(id, message("again"), Vec::new()),
        handle.replay(99, message("nothing"), Vec::new()),
        handle.append(message("after"), None, None),
    );
    assert_eq!(before.unwrap().seq(), Seq::new(1));
    assert_eq!(first.unwrap().unwrap().seq(), Seq::new(2));
    assert!(second.unwrap().is_none() && missing.unwrap().is_none());
    assert_eq!(after.unwrap().seq(), Seq::new(3));
    for (seq, body) in [(1, "before"), (2, "again"), (3, "after")] {
        let handed = rig.appended.recv().await.unwrap();
        assert_eq!(handed.seq, Seq::new(seq));
        assert_eq!(handed.input.body.open().unwrap(), body.as_bytes());
    }
    assert_eq!(count(&db, "SELECT COUNT(*) FROM dead_letter").await, [0]);
    let noted = "SELECT received_at FROM replayed WHERE seq = 2 AND letter = 1";
    assert_eq!(count(&db, noted).await, [received_at.as_millis()]);
    let mut batch = Batch::default();
    batch.decided = Seq::new(3);
    rig.handle.commit(batch).await.unwrap();
    rig.handle
        .append(message("last"), None, None)
        .await
        .unwrap();
    let limits = Limits {
        inputs_before: clock.now(),
        inputs_through: Seq::new(3),
        incidents_before: t("00:00"),
        answers_before: t("00:00"),
        cmdb_before: t("00:00"),
    };
    while rig.handle.retain(limits).await.unwrap() > 0 {}
    assert_eq!(count(&db, "SELECT COUNT(*) FROM replayed").await, [0]);
    rig.end().await;
}

async fn what_a_batch_puts_aside_is_numbered_with_the_others(store: TestStore) {
    let (db, clock) = (store.open().await, TestClock::new());
    let rig = Rig::start(&db, &clock).await;
    let receipt = rig.handle.append(message("x"), None, None).await.unwrap();
    let mut batch = Batch::default();
    batch.decided = receipt.seq();
    batch.put_aside(receipt.at(), letter("gone"));
    let (first, committed, last) = tokio::join!(
        rig.handle.dead_letter(letter("first")),
        rig.handle.commit(batch),
        rig.handle.dead_letter(letter("last")),
    );
    committed.unwrap();
    assert_eq!((first.unwrap(), last.unwrap()), (1, 3));
    assert_eq!(rig.handle.dead_letter(letter("next")).await.unwrap(), 4);
    let mut reader = db.reader().await.unwrap();
    let gone = dead_letters::find(reader.lend(), 2).await.unwrap().unwrap();
    assert_eq!(
        (gone.detail.as_str(), gone.at),
        ("gone", receipt.at().as_millis())
    );
    drop(reader);
    rig.end().await;
}

async fn heartbeats_are_loaded_as_they_were_committed(store: TestStore) {
    let (db, clock) = (store.open().await, TestClock::new());
    let rig = Rig::start(&db, &clock).await;
    let heartbeat = |name: &str, is_missing| Heartbeat {
        name: name.into(),
        heard_at: t("10:00"),
        is_seen: true,
        is_missing,
        due_at: t("10:06"),
        begun_at: is_missing.then(|| t("10:01")),
        last_run: is_missing.then(|| Span::from_secs(3)),
        failure: is_missing.then(|| "disk full".into()),
    };
    let changes = [
        vec![
            Change::HeartbeatChanged(heartbeat("a", false)),
            Change::HeartbeatChanged(heartbeat("b", false)),
            Change::HeartbeatChanged(heartbeat("c", false)),
        ],
        vec![
            Change::HeartbeatChanged(heartbeat("b", true)),
            Change::HeartbeatForgotten("c".into()),
        ],
    ];
    for changes in changes {
        let receipt = rig
            .handle
            .append_own(marker(InputKind::Deadline))
            .await
            .unwrap();
        let mut decision = Decision::because(Reason::DeadlinesChecked);
        changes
            .into_iter()
            .for_each(|change| decision.change(change));
        let mut batch = Batch::default();
        batch.add(receipt.seq(), receipt.at(), decision);
        rig.handle.commit(batch).await.unwrap();
    }
    let mut conn = db.connect().await.unwrap();
    let (state, _) = load(conn.lend(), PARTITION).await.unwrap();
    let held: Vec<_> = state.heartbeats().cloned().collect();
    assert_eq!(held, [heartbeat("a", false), heartbeat("b", true)]);
    rig.end().await;
}
