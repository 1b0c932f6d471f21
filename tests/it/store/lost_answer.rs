//! A commit whose outcome the writer does not learn, on PostgreSQL: SQLite answers in the same process.

use watchbell::core::ids::Seq;
use watchbell::store::Db;
use watchbell::store::StoreError;
use watchbell::store::commit::Batch;
use watchbell::store::inbox::InputKind;
use watchbell::store::load::load;
use watchbell::store::writer::{WriteError, marker};

use crate::support::database::{Engine, TestStore, block_on, numbers};
use crate::support::http::soon;
use crate::support::pg_proxy::{Fault, Proxy};
use crate::support::rig::{PARTITION, Rig, TestClock, message};
use crate::support::world::Bench;

/// Runs a writer through a proxy.
fn behind_proxy(test: impl AsyncFnOnce(Db, Rig, Proxy)) {
    block_on(async {
        let Some(store) = TestStore::make(Engine::Postgres).await else {
            return;
        };
        let proxy = Proxy::start(&store.url).await;
        let straight = store.open().await;
        let through = Db::open(&proxy.url(&store.url), 1).await.unwrap();
        let rig = Rig::start(&through, &TestClock::new()).await;
        test(straight, rig, proxy).await;
        through.close().await;
    });
}

fn is_unavailable<T: std::fmt::Debug>(result: &Result<T, WriteError>) -> bool {
    matches!(result, Err(WriteError::Store(StoreError::Unavailable(_))))
}

/// One decision, ready to be committed.
async fn decision(rig: &Rig, bench: &mut Bench, name: &str) -> Batch {
    bench.firing(name, "00:00");
    let receipt = rig
        .handle
        .append_own(marker(InputKind::Deadline))
        .await
        .unwrap();
    let mut batch = Batch::default();
    for (at, decision) in std::mem::take(&mut bench.recorded) {
        batch.add(receipt.seq(), at, decision);
    }
    batch
}

#[test]
fn decisions_whose_answer_is_lost_are_not_made_again() {
    behind_proxy(async |db, rig, proxy| {
        let mut bench = Bench::new();
        let batch = decision(&rig, &mut bench, "F").await;
        proxy.arm(Fault::LoseAnswer);
        let lost = rig.handle.commit(batch).await;
        assert!(is_unavailable(&lost), "{lost:?}");
        assert!(rig.handle.trouble.borrow().is_some());
        // Whatever is written next must not take the cursor back.
        rig.handle.append(message("x"), None, None).await.unwrap();
        assert_eq!(rig.handle.position().await.unwrap().decided, Seq::new(1));
        assert_eq!(rig.handle.progress.decided(), Seq::new(1));
        assert!(rig.handle.trouble.borrow().is_none());
        let mut conn = db.connect().await.unwrap();
        assert!(load(conn.lend(), PARTITION).await.unwrap().0 == bench.state);
        rig.end().await;
    });
}

#[test]
fn message_whose_answer_is_lost_keeps_its_place() {
    behind_proxy(async |db, rig, proxy| {
        rig.handle.append(message("a"), None, None).await.unwrap();
        proxy.arm(Fault::LoseAnswer);
        let lost = rig.handle.append(message("b"), None, None).await;
        assert!(is_unavailable(&lost), "{lost:?}");
        let next = rig.handle.append(message("c"), None, None).await.unwrap();
        assert_eq!(
            next.seq(),
            Seq::new(3),
            "b is stored, though its sender was told no"
        );
        let mut conn = db.connect().await.unwrap();
        assert_eq!(
            numbers(conn.lend(), "SELECT seq FROM input ORDER BY seq").await,
            [1, 2, 3]
        );
        rig.end().await;
    });
}

#[test]
fn commit_that_still_runs_when_its_connection_is_lost_is_waited_for() {
    behind_proxy(async |db, rig, proxy| {
        let mut bench = Bench::new();
        let batch = decision(&rig, &mut bench, "F").await;
        proxy.arm(Fault::HoldBack);
        let lost = rig.handle.commit(batch).await;
        assert!(is_unavailable(&lost), "{lost:?}");
        let append = rig.handle.append(message("x"), None, None);
        let held = async {
            wait_for_lock(&db).await;
            proxy.let_go().await;
        };
        let (receipt, ()) = soon("both commits", async { tokio::join!(append, held) }).await;
        assert_eq!(receipt.unwrap().seq(), Seq::new(2));
        assert_eq!(rig.handle.position().await.unwrap().decided, Seq::new(1));
        let mut conn = db.connect().await.unwrap();
        assert!(load(conn.lend(), PARTITION).await.unwrap().0 == bench.state);
        rig.end().await;
    });
}

/// Waits until the writer waits for the transaction that it has lost.
async fn wait_for_lock(db: &Db) {
    let mut conn = db.connect().await.unwrap();
    let waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    soon("a lock", async {
        while numbers(conn.lend(), waiting).await == [0] {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
}
