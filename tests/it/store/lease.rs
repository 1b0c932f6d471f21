//! One decides: leases, fencing numbers, and a writer that does not know yet that it is late.

use tokio_util::sync::CancellationToken;
use watchbell::core::time::Span;
use watchbell::store::StoreError;
use watchbell::store::lease::{LEASE, find_holder};
use watchbell::store::writer::WriteError;

use crate::support::database::{Engine, TestStore, numbers, on_both_engines};
use crate::support::rig::{PARTITION, Rig, TestClock, claim, message};

on_both_engines!(
    second_claim_waits_for_the_end_of_the_first,
    stale_writer_is_fenced_and_writes_nothing,
    a_lease_that_was_given_back_is_free_at_once,
    a_restart_under_the_same_name_need_not_wait,
);

async fn second_claim_waits_for_the_end_of_the_first(store: TestStore) {
    if store.engine == Engine::Sqlite {
        // Its lock file lets in one process only, so whoever claims is alone.
        return;
    }
    let (db, clock) = (store.open().await, TestClock::new());
    let first = claim(&db, &clock, "first").await.unwrap();
    assert!(claim(&db, &clock, "second").await.is_none());
    clock.pass(LEASE);
    assert!(
        claim(&db, &clock, "second").await.is_none(),
        "to its last moment"
    );
    let rig = Rig::run(first);
    rig.handle.append(message("x"), None, None).await.unwrap();
    clock.pass(LEASE);
    assert!(
        claim(&db, &clock, "second").await.is_none(),
        "every commit renews it"
    );
    clock.pass(Span::from_millis(1));
    let second = claim(&db, &clock, "second").await.unwrap();
    let mut reader = db.reader().await.unwrap();
    let (holder, until) = find_holder(reader.lend(), PARTITION)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (holder.as_str(), until),
        ("second", clock.now().plus(LEASE))
    );
    drop(second);
}

async fn stale_writer_is_fenced_and_writes_nothing(store: TestStore) {
    if store.engine == Engine::Sqlite {
        // Its lock file lets in one process only, so whoever claims is alone.
        return;
    }
    let (db, clock) = (store.open().await, TestClock::new());
    let first = Rig::run(claim(&db, &clock, "first").await.unwrap());
    first
        .handle
        .append(message("mine"), None, None)
        .await
        .unwrap();
    clock.pass(LEASE.times(2));
    let second = claim(&db, &clock, "second").await.unwrap();
    let refused = first.handle.append(message("late"), None, None).await;
    assert!(
        matches!(refused, Err(WriteError::Store(StoreError::Fenced))),
        "{refused:?}"
    );
    let ended = first.ended().await;
    assert!(
        matches!(ended, Err(StoreError::Fenced)),
        "it must not go on: {ended:?}"
    );
    let mut conn = db.connect().await.unwrap();
    assert_eq!(numbers(conn.lend(), "SELECT seq FROM input").await, [1]);
    let second = Rig::run(second);
    let receipt = second
        .handle
        .append(message("next"), None, None)
        .await
        .unwrap();
    assert_eq!(receipt.seq().get(), 2);
    second.end().await;
}

async fn a_lease_that_was_given_back_is_free_at_once(store: TestStore) {
    let (db, clock) = (store.open().await, TestClock::new());
    Rig::run(claim(&db, &clock, "first").await.unwrap())
        .end()
        .await;
    assert!(claim(&db, &clock, "second").await.is_some());
}

async fn a_restart_under_the_same_name_need_not_wait(store: TestStore) {
    if store.engine == Engine::Sqlite {
        // Its lock file lets in one process only, so whoever claims is alone.
        return;
    }
    let (db, clock) = (store.open().await, TestClock::new());
    let killed = claim(&db, &clock, "this one").await.unwrap();
    let restarted = claim(&db, &clock, "this one").await.unwrap();
    // Should the old one live after all, it is fenced all the same.
    let ended = async {
        let append = killed.handle.append(message("x"), None, None);
        tokio::join!(killed.writer.run(CancellationToken::new()), append).0
    };
    assert!(matches!(ended.await, Err(StoreError::Fenced)));
    drop(restarted);
}
