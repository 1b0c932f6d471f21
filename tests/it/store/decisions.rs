//! Decisions that were committed and loaded again are what memory holds: random lives of alerts, as in `core_laws`.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tokio::task::JoinSet;
use watchbell::core::decision::{CommandAnswer, Entry};
use watchbell::core::ids::{IdFeed, IncidentId, Seq};
use watchbell::core::input::{Command, CommandGiven, IdempotencyKey};
use watchbell::core::reason::Reason;
use watchbell::store::commit::Batch;
use watchbell::store::inbox::InputKind;
use watchbell::store::load::load;
use watchbell::store::query::timeline::{self, Subject};
use watchbell::store::query::{Page, alerts, incidents};
use watchbell::store::writer::{WriteError, WriterHandle, marker};
use watchbell::store::{Db, OwnedConn, snapshot};

use crate::core_laws::{events, play, rules};
use crate::support::database::{Engine, TestStore, on_both_engines};
use crate::support::rig::{PARTITION, Rig, TestClock};
use crate::support::world::Bench;

on_both_engines!(
    what_is_loaded_equals_memory,
    answers_to_commands_are_remembered,
    nothing_of_a_refused_batch_is_stored,
    whoever_waits_is_found_by_the_position,
);

/// Lives on SQLite and on Postgres, where each needs a database; each is written in batches of several sizes.
const LIVES: [usize; 2] = [24, 8];

/// Commits all that happened since the last call, so many decisions at once.
pub(crate) async fn commit(handle: &WriterHandle, bench: &mut Bench, per_batch: usize) {
    let happened = std::mem::take(&mut bench.recorded);
    let mut appends = JoinSet::new();
    for _ in &happened {
        let handle = handle.clone();
        appends.spawn(async move { handle.append_own(marker(InputKind::Deadline)).await });
    }
    let mut positions = Vec::new();
    for receipt in appends.join_all().await {
        positions.push(receipt.unwrap().seq());
    }
    positions.sort();
    let happened: Vec<_> = positions.into_iter().zip(happened).collect();
    for decisions in happened.chunks(per_batch.max(1)) {
        let mut batch = Batch::default();
        for (seq, (at, decision)) in decisions {
            batch.add(*seq, *at, decision.clone());
        }
        handle.commit(batch).await.unwrap();
    }
}

async fn what_is_loaded_equals_memory(store: TestStore) {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let lives = LIVES[usize::from(store.engine == Engine::Postgres)];
    for life in 0..lives {
        let store = TestStore::make(store.engine).await.unwrap();
        let (db, clock) = (store.open().await, TestClock::new());
        let rig = Rig::start(&db, &clock).await;
        let rules = rules().new_tree(&mut runner).unwrap().current();
        let mut bench = Bench::with(rules);
        for event in events().new_tree(&mut runner).unwrap().current() {
            play(&mut bench, event);
            if bench.recorded.len() >= 10 {
                commit(&rig.handle, &mut bench, 1 + life % 5).await;
            }
        }
        commit(&rig.handle, &mut bench, 7).await;
        let mut conn = db.connect().await.unwrap();
        let (state, ids) = load(conn.lend(), PARTITION).await.unwrap();
        assert!(
            state == bench.state,
            "life {life}: {state:?}\n{:?}",
            bench.state
        );
        assert_eq!(ids, bench.ids, "ids go on where they ended");
        // Also of PostgreSQL, whose rows are carried into a file.
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("kept.db");
        snapshot::write(&db, &kept).await.unwrap();
        let copy = Db::attach(&format!("sqlite:{}", kept.display()), 1).unwrap();
        let mut reader = copy.reader().await.unwrap();
        let (kept, _) = load(reader.lend(), PARTITION).await.unwrap();
        assert!(
            kept == bench.state,
            "life {life}: what is kept for replays is all of it"
        );
        views_tell_what_happened(&mut conn, &bench).await;
        rig.end().await;
    }
}

async fn views_tell_what_happened(conn: &mut OwnedConn, bench: &Bench) {
    let page = Page {
        limit: 500,
        is_newest_first: false,
        after: None,
    };
    let filter = incidents::IncidentFilter::default();
    let listed = incidents::list(conn.lend(), &filter, page).await.unwrap();
    for view in &listed.items {
        let id = view.incident.id;
        if let Some(held) = bench.state.incident(id) {
            assert_eq!(view.incident, *held);
        }
        if let Some(title) = bench.ledger.titles.get(&id) {
            assert_eq!(view.title, title.as_str());
        }
        let members = bench.state.alerts_of(id);
        let held: Vec<_> = members
            .iter()
            .filter_map(|&id| bench.state.alert(id))
            .collect();
        if held.len() == members.len() {
            let own = held.iter().filter(|alert| alert.incident == Some(id));
            let own: i64 = own.map(|alert| alert.count - alert.count_before).sum();
            let left = bench.ledger.left.get(&id).copied().unwrap_or(0);
            assert!(
                members.is_empty() || view.events == own + left,
                "{id}: {view:?}"
            );
        }
        let told = timeline::list(conn.lend(), Subject::Incident(id), page)
            .await
            .unwrap();
        let told: Vec<_> = told
            .items
            .iter()
            .map(|it| (it.at, it.reason, it.alert))
            .collect();
        let said = bench
            .entries
            .iter()
            .filter(|(_, entry)| entry.incident == Some(id));
        let said: Vec<_> = said.map(|(at, it)| (*at, it.reason, it.alert)).collect();
        assert_eq!(told, said, "{id}");
    }
    let filter = alerts::AlertFilter::default();
    let listed = alerts::list(conn.lend(), &filter, alerts::AlertOrder::Id, page)
        .await
        .unwrap();
    for view in &listed.items {
        assert_eq!(view.key, bench.ledger.names[&view.alert.id].as_str());
        assert!(view.summary.ends_with(" is broken"), "{}", view.summary);
    }
    assert_eq!(listed.items.len(), bench.ledger.names.len());
}

async fn answers_to_commands_are_remembered(store: TestStore) {
    let (db, clock) = (store.open().await, TestClock::new());
    let rig = Rig::start(&db, &clock).await;
    let mut bench = Bench::new();
    bench.firing("F", "00:00");
    let given = |key, command| CommandGiven {
        incident: IncidentId::new(1).unwrap(),
        command,
        actor: "ana".into(),
        expected_version: None,
        // Both use all 64 bits, the columns are signed.
        idempotency: Some(IdempotencyKey {
            key,
            command: u64::MAX,
        }),
        past: None,
    };
    bench.give(given(u64::MAX, Command::Start));
    bench.give(given(u64::MAX - 1, Command::Resume));
    commit(&rig.handle, &mut bench, 2).await;
    let mut conn = db.connect().await.unwrap();
    let (state, ids) = load(conn.lend(), PARTITION).await.unwrap();
    assert!(state == bench.state);
    let mut again = Bench::new();
    (again.state, again.ids, again.now) = (state, ids, bench.now);
    again.ledger = bench.ledger.clone();
    let repeated = again.give(given(u64::MAX, Command::Start));
    assert_eq!(repeated.incident, IncidentId::new(1));
    assert!(
        repeated.entries.is_empty() && repeated.changes.is_empty(),
        "{repeated:?}"
    );
    rig.end().await;
}

async fn nothing_of_a_refused_batch_is_stored(store: TestStore) {
    let (db, clock) = (store.open().await, TestClock::new());
    let rig = Rig::start(&db, &clock).await;
    let mut bench = Bench::new();
    bench.firing("F", "00:00");
    commit(&rig.handle, &mut bench, 1).await;
    let before = everything(&db).await;
    bench.firing("G", "00:00");
    let mut batch = Batch::default();
    for (at, mut decision) in std::mem::take(&mut bench.recorded) {
        // The number of an entry that is there already.
        let stale = |entry: &Entry| Entry {
            id: 1,
            ..entry.clone()
        };
        decision.entries = decision.entries.iter().map(stale).collect();
        batch.add(Seq::new(9), at, decision);
    }
    let refused = rig.handle.commit(batch).await;
    assert!(matches!(refused, Err(WriteError::Store(_))), "{refused:?}");
    assert!(before == everything(&db).await);
    assert_eq!(rig.handle.position().await.unwrap().decided, Seq::new(1));
    rig.end().await;
}

async fn everything(db: &Db) -> (watchbell::core::state::State, IdFeed) {
    let mut conn = db.connect().await.unwrap();
    load(conn.lend(), PARTITION).await.unwrap()
}

async fn whoever_waits_is_found_by_the_position(store: TestStore) {
    let (db, clock) = (store.open().await, TestClock::new());
    let rig = Rig::start(&db, &clock).await;
    let (waiter, answer) = tokio::sync::oneshot::channel();
    let command = marker(InputKind::Command);
    let receipt = rig
        .handle
        .append(command, None, Some(waiter))
        .await
        .unwrap();
    assert!(rig.handle.waiter(receipt.seq().next()).is_none());
    let told = CommandAnswer {
        reason: Reason::Assigned,
        is_refused: false,
        incident: Some(IncidentId::new(1).unwrap()),
        silence: None,
        window: None,
        made: None,
        record: None,
    };
    rig.handle
        .waiter(receipt.seq())
        .unwrap()
        .send(told)
        .unwrap();
    assert_eq!(answer.await.unwrap(), told);
    assert!(rig.handle.waiter(receipt.seq()).is_none(), "only once");
    rig.end().await;
}
