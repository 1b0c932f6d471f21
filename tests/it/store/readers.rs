//! Readers, tokens and backups beside a running writer.

use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use watchbell::core::ids::Seq;
use watchbell::core::time::Span;
use watchbell::store::backup::copy_to;
use watchbell::store::dead_letters::NewDeadLetter;
use watchbell::store::inbox::list_after;
use watchbell::store::inspect::{find_damage, try_write};
use watchbell::store::load::load;
use watchbell::store::query::{Page, alerts, incidents};
use watchbell::store::tickets::changes_read_until;
use watchbell::store::tokens::{self, TokenRow};
use watchbell::store::{Db, OwnedConn, StoreError};

use super::decisions::commit;
use crate::support::claim::t;
use crate::support::database::{Engine, TestStore, execute, numbers, on, on_both_engines};
use crate::support::http::soon;
use crate::support::rig::{PARTITION, Rig, TestClock, message};
use crate::support::world::Bench;

on_both_engines!(
    how_far_changes_were_read_is_kept_per_connector,
    cancelled_reads_do_not_poison_connections,
    tokens_are_kept_by_their_hash,
    backup_is_whole_while_writing_goes_on,
    the_log_is_emptied_beside_the_writer,
    looks_from_outside_change_nothing,
);

async fn cancelled_reads_do_not_poison_connections(store: TestStore) {
    let (db, clock) = (store.open().await, TestClock::new());
    let mut rig = Rig::start(&db, &clock).await;
    let mut bench = Bench::new();
    for n in 0..50 {
        bench.firing(&format!("v{n}"), "00:00");
    }
    commit(&rig.handle, &mut bench, 10).await;
    let page = Page {
        limit: 500,
        is_newest_first: true,
        after: None,
    };
    let mut watcher = db.connect().await.unwrap();
    for round in 0..80_u64 {
        // Cut off at every point where it waits, half of the time with the connection in hand.
        let held = if round % 2 == 0 {
            Some(db.reader().await.unwrap())
        } else {
            None
        };
        let read = async {
            let mut reader = match held {
                Some(reader) => reader,
                None => db.reader().await?,
            };
            on!(reader.lend(), c => sqlx::Connection::begin(c).await.map(drop))?;
            let order = alerts::AlertOrder::LastSeen;
            alerts::list(reader.lend(), &alerts::AlertFilter::default(), order, page).await?;
            incidents::list(reader.lend(), &incidents::IncidentFilter::default(), page).await
        };
        if let Some(Err(error)) = cut_after(round / 2 % 20, read).await {
            panic!("round {round}: {error}");
        }
        if store.engine == Engine::Postgres {
            no_transaction_stays_open(&mut watcher).await;
        }
        if round % 20 == 0 {
            rig.handle.append(message("x"), None, None).await.unwrap();
        }
    }
    while rig.appended.try_recv().is_ok() {}
    for _ in 0..8 {
        let mut reader = db.reader().await.unwrap();
        // A statement that fails would show whether the connection was left inside a transaction.
        let failed =
            on!(reader.lend(), c => sqlx::query("SELECT nothing").execute(c).await.is_err());
        assert!(failed);
        let (firing, _) = alerts::count_by_status(reader.lend()).await.unwrap();
        assert_eq!(firing, 50);
    }
    rig.handle.append(message("x"), None, None).await.unwrap();
    rig.end().await;
}

/// A connection is only given back in the background, so this may take a moment.
async fn no_transaction_stays_open(watcher: &mut OwnedConn) {
    let open = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() \
                AND state LIKE 'idle in transaction%'";
    soon("end of the transaction", async {
        while numbers(watcher.lend(), open).await != [0] {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// Drops a future in its so manieth wait, as a server does with the request of a client that hangs up.
async fn cut_after<F: Future>(waits: u64, work: F) -> Option<F::Output> {
    let mut work = Box::pin(work);
    let mut left = waits;
    std::future::poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

async fn tokens_are_kept_by_their_hash(store: TestStore) {
    let db = store.open().await;
    let mut conn = db.connect().await.unwrap();
    let token = |id: &str, created_at: i64| TokenRow {
        id: id.to_owned(),
        name: format!("for {id}"),
        role: "responder".to_owned(),
        hash: format!("hash of {id}"),
        created_at,
        expires_at: Some(created_at + 1),
        revoked_at: None,
    };
    tokens::insert(conn.lend(), &token("b", 1)).await.unwrap();
    tokens::insert(conn.lend(), &token("a", 2)).await.unwrap();
    let mut same_hash = token("c", 3);
    same_hash.hash = "hash of a".to_owned();
    assert!(tokens::insert(conn.lend(), &same_hash).await.is_err());
    let mut bad_role = token("d", 3);
    bad_role.role = "king".to_owned();
    assert!(tokens::insert(conn.lend(), &bad_role).await.is_err());

    let listed = tokens::list(conn.lend()).await.unwrap();
    let ids: Vec<_> = listed.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, ["b", "a"], "oldest first");
    let found = tokens::find_by_hash(conn.lend(), "hash of a")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.name.as_str(), found.expires_at), ("for a", Some(3)));
    assert!(
        tokens::find_by_hash(conn.lend(), "a")
            .await
            .unwrap()
            .is_none()
    );
    assert!(tokens::revoke(conn.lend(), "a", t("00:00")).await.unwrap());
    assert!(!tokens::revoke(conn.lend(), "a", t("01:00")).await.unwrap());
    assert!(
        !tokens::revoke(conn.lend(), "nobody", t("00:00"))
            .await
            .unwrap()
    );
    let found = tokens::find_by_hash(conn.lend(), "hash of a")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        found.revoked_at,
        Some(t("00:00").as_millis()),
        "the first time counts"
    );
}

async fn the_log_is_emptied_beside_the_writer(store: TestStore) {
    let (db, clock) = (store.open().await, TestClock::new());
    let rig = Rig::start(&db, &clock).await;
    let mut bench = Bench::new();
    for n in 0..100 {
        bench.firing(&format!("v{n}"), "00:00");
    }
    commit(&rig.handle, &mut bench, 10).await;
    let mut conn = db.connect().await.unwrap();
    assert_eq!(conn.checkpoint().await.unwrap(), 0);
    conn.close().await.unwrap();
    // The writer goes on, and what it wrote can be read.
    let receipt = rig.handle.append(message("after"), None, None).await;
    assert!(receipt.unwrap().seq().get() > 0);
}

async fn backup_is_whole_while_writing_goes_on(store: TestStore) {
    let (db, clock) = (store.open().await, TestClock::new());
    let file = store.folder.path().join("copy.db");
    if store.engine == Engine::Postgres {
        let refused = copy_to(&db, &file).await.unwrap_err();
        assert!(refused.to_string().contains("pg_dump"), "{refused}");
        return;
    }
    let rig = Rig::start(&db, &clock).await;
    let mut bench = Bench::new();
    for n in 0..300 {
        bench.firing(&format!("v{n}"), "00:00");
    }
    commit(&rig.handle, &mut bench, 10).await;
    let (copied, ()) = tokio::join!(copy_to(&db, &file), async {
        for _ in 0..50 {
            rig.handle
                .append(message("meanwhile"), None, None)
                .await
                .unwrap();
        }
    });
    copied.unwrap();
    let again = copy_to(&db, &file).await;
    assert!(
        matches!(again, Err(StoreError::Other(_))),
        "nothing is overwritten"
    );
    let copy = Db::open(&format!("sqlite:{}", file.display()), 1)
        .await
        .unwrap();
    let mut conn = copy.connect().await.unwrap();
    assert_eq!(find_damage(conn.lend()).await.unwrap(), None);
    assert!(load(conn.lend(), PARTITION).await.unwrap().0 == bench.state);
    let mut whole = db.connect().await.unwrap();
    let all = list_after(whole.lend(), PARTITION, Seq::default(), 1_000)
        .await
        .unwrap();
    let some = list_after(conn.lend(), PARTITION, Seq::default(), 1_000)
        .await
        .unwrap();
    assert!(
        all.len() == 350 && some.len() >= 300,
        "{} of {}",
        some.len(),
        all.len()
    );
    for (one, other) in all.iter().zip(&some) {
        assert_eq!(
            (one.seq, one.at),
            (other.seq, other.at),
            "a copy is a beginning of the log"
        );
    }
    rig.end().await;
}

async fn looks_from_outside_change_nothing(store: TestStore) {
    if store.engine == Engine::Sqlite {
        let missing = Db::attach(&store.url, 1).map(drop);
        assert!(
            matches!(missing, Err(StoreError::Missing(_))),
            "{missing:?}"
        );
    }
    let (db, clock) = (store.open().await, TestClock::new());
    let rig = Rig::start(&db, &clock).await;
    clock.pass(Span::from_secs(1));
    let letter = NewDeadLetter {
        source: "am".to_owned(),
        reason: "bad_items",
        detail: String::new(),
        content_type: None,
        envelope: None,
        body: Bytes::new(),
    };
    rig.handle.dead_letter(letter).await.unwrap();
    let other = Db::attach(&store.url, 1).unwrap();
    try_write(&other).await.unwrap();
    let mut conn = other.connect().await.unwrap();
    assert_eq!(
        numbers(conn.lend(), "SELECT COUNT(*) FROM engine").await,
        [1]
    );
    rig.handle
        .append(message("x"), None, None)
        .await
        .expect("the lease was not touched");
    if store.engine == Engine::Sqlite {
        // Somebody with a database shell open: the writer waits for them, and so do their commits.
        execute(conn.lend(), "BEGIN IMMEDIATE").await;
        let (appended, ()) = tokio::join!(rig.handle.append(message("y"), None, None), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            execute(conn.lend(), "COMMIT").await;
        });
        appended.unwrap();
    }
    rig.end().await;
}

async fn how_far_changes_were_read_is_kept_per_connector(store: TestStore) {
    let (db, clock) = (store.open().await, TestClock::new());
    let rig = Rig::start(&db, &clock).await;
    let until = async |name| {
        let mut reader = db.reader().await.unwrap();
        changes_read_until(reader.lend(), name).await.unwrap()
    };
    assert_eq!(until("snow").await, None);
    let (first, second) = (clock.now(), clock.now().plus(Span::from_mins(5)));
    for at in [first, second] {
        rig.handle.changes_read("snow".into(), at).await.unwrap();
    }
    rig.handle.changes_read("jira".into(), first).await.unwrap();
    assert_eq!(until("snow").await, Some(second));
    assert_eq!(until("jira").await, Some(first));
    rig.end().await;
    // Also after a start.
    let rig = Rig::start(&db, &clock).await;
    assert_eq!(until("snow").await, Some(second));
    rig.end().await;
}
