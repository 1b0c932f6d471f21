//! Every profile over the store of both engines: random lives in which the daemon dies at any step and goes on from what
//! was committed.
//!
//! Between two steps memory may be thrown away: before what was decided is worked on, and after the platform did
//! something that nobody wrote down. At the end there is one ticket per key, each note once, and both sides are equal.

use std::collections::BTreeSet;

use proptest::prelude::{Just, Strategy, prop_oneof};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use watchbell::core::input::Command;
use watchbell::core::ticket::Standing;
use watchbell::core::ticket::rules::ReopenPolicy;
use watchbell::core::time::Span;
use watchbell::store::Db;
use watchbell::store::load::load;

use super::bridge::{Bridge, NAME};
use super::conformance::{Inside, desk, names};
use super::server::Fault;
use crate::store::decisions::commit;
use crate::support::claim::{clock, firing, resolved};
use crate::support::database::{Engine, TestStore, on_both_engines};
use crate::support::rig::{PARTITION, Rig, TestClock};
use crate::support::world::Bench;

on_both_engines!(tickets_go_on_from_what_was_committed);

/// Lives of each profile on SQLite and on PostgreSQL, where each needs a database.
const LIVES: [usize; 2] = [4, 1];
const STEPS: usize = 14;
/// What a step may cost a platform, faults and looks after a start included.
const REQUESTS_PER_STEP: usize = 40;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Happens {
    Fires(&'static str),
    Ends(&'static str),
    Orders(i64, Command),
    Passes(i64),
    /// The next write goes wrong so.
    Fails(Fault),
    /// The daemon dies before it works on what was decided.
    Restarts,
    /// It dies after the platform did what was wanted and before that is written down.
    DiesUnheard,
}

fn happens() -> impl Strategy<Value = Happens> {
    let name = || prop_oneof![Just("A"), Just("B")];
    let number = || 1_i64..3;
    let note = |said: &str| Command::Note { text: said.into() };
    prop_oneof![
        4 => name().prop_map(Happens::Fires),
        1 => name().prop_map(Happens::Ends),
        2 => number().prop_map(|id| Happens::Orders(id, Command::Start)),
        2 => number().prop_map(move |id| Happens::Orders(id, note("somebody looks"))),
        1 => number().prop_map(|id| Happens::Orders(id, Command::Hold { reason: "vendor".into(), until: None })),
        1 => number().prop_map(|id| Happens::Orders(id, Command::Resume)),
        2 => (1_i64..120).prop_map(Happens::Passes),
        1 => Just(Happens::Fails(Fault::LoseAnswer)),
        1 => Just(Happens::Fails(Fault::Status(503))),
        1 => Just(Happens::Fails(Fault::Limit(30))),
        2 => Just(Happens::Restarts),
        2 => Just(Happens::DiesUnheard),
    ]
}

/// A bridge whose memory is worth nothing.
struct Life {
    bridge: Bridge<Box<dyn Inside>>,
    rig: Rig,
    db: Db,
}

impl Life {
    async fn begin(store: &TestStore, profile: &str) -> Self {
        let db = store.open().await;
        let rig = Rig::start(&db, &TestClock::new()).await;
        let desk = desk(profile);
        let reopenable = desk.profile.caps.reopenable();
        let rules = super::core::rules(ReopenPolicy::Reopen, reopenable);
        let bridge = Bridge::new(Bench::with(rules), desk);
        Self { bridge, rig, db }
    }

    async fn happen(&mut self, happens: Happens) {
        let bench = &mut self.bridge.bench;
        let now = clock(bench.now);
        match happens {
            Happens::Fires(name) => {
                bench.hear(firing(name).start(&now));
            }
            Happens::Ends(name) => {
                bench.hear(resolved(name).end(&now));
            }
            Happens::Orders(id, command) => {
                bench.command(id, command);
            }
            Happens::Passes(seconds) => {
                bench.after(Span::from_secs(seconds));
            }
            Happens::Fails(fault) => self.bridge.desk.faults.push(Some(fault)),
            Happens::Restarts => self.restart().await,
            Happens::DiesUnheard => self.bridge.dies = true,
        }
    }

    /// Works off what waits, and goes on from the store when it died over that.
    async fn work(&mut self) {
        commit(&self.rig.handle, &mut self.bridge.bench, 3).await;
        self.bridge.work();
        if self.bridge.is_dead() {
            self.restart().await;
            self.bridge.work();
        }
        commit(&self.rig.handle, &mut self.bridge.bench, 3).await;
    }

    async fn restart(&mut self) {
        commit(&self.rig.handle, &mut self.bridge.bench, 5).await;
        let mut conn = self.db.connect().await.unwrap();
        let (state, ids) = load(conn.lend(), PARTITION).await.unwrap();
        self.bridge.restarted(state, ids);
    }

    /// Lets everything come to rest and looks at both sides.
    async fn ends_well(&mut self, told: &str) {
        self.bridge.desk.faults.clear();
        self.bridge.dies = false;
        for _ in 0..4 {
            self.bridge.bench.after(Span::from_secs(600));
            self.work().await;
        }
        let before = self.bridge.desk.requests;
        self.work().await;
        assert_eq!(self.bridge.desk.requests, before, "{told}: it is at rest");
        let errors = &self.bridge.errors;
        assert!(errors.is_empty(), "{told}: {errors:?}");
        let tickets = self.bridge.desk.platform.look();
        let keys: BTreeSet<_> = tickets.iter().map(|(key, _)| key).collect();
        assert_eq!(keys.len(), tickets.len(), "{told}: one ticket per key");
        for (key, notes) in &tickets {
            let marks = notes.iter().filter_map(|note| note.split("[wb n").nth(1));
            let marks: Vec<i64> = marks
                .filter_map(|rest| rest.split(']').next()?.parse().ok())
                .filter(|mark| *mark > 0)
                .collect();
            assert!(
                marks.windows(2).all(|two| two[0] < two[1]),
                "{told}: notes of {key} once and in order: {notes:?}"
            );
        }
        let profile = &self.bridge.desk.profile;
        for link in self.bridge.bench.state.tickets().all_of(NAME) {
            let (wanted, record) = (link.wanted.state.unwrap(), link.record.as_ref().unwrap());
            let is = record.state.unwrap();
            assert!(profile.is_there(wanted, is), "{told}: {wanted:?}, {is:?}");
            assert_eq!(link.standing(), Standing::InSync, "{told}: {link:?}");
            let has_it = keys.iter().any(|key| key.contains(link.key.as_str()));
            assert!(has_it, "{told}: {} in {keys:?}", link.key);
        }
    }
}

async fn tickets_go_on_from_what_was_committed(store: TestStore) {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[8; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let lives = LIVES[usize::from(store.engine == Engine::Postgres)];
    let steps = proptest::collection::vec(happens(), STEPS);
    for profile in names() {
        for number in 0..lives {
            let store = TestStore::make(store.engine).await.unwrap();
            let mut life = Life::begin(&store, profile).await;
            let steps = steps.new_tree(&mut runner).unwrap().current();
            let told = format!("{profile} {number} {steps:?}");
            let first = [Happens::Fires("A")];
            for step in first.into_iter().chain(steps) {
                life.happen(step).await;
                life.work().await;
            }
            life.ends_well(&told).await;
            let (requests, allowed) = (life.bridge.desk.requests, REQUESTS_PER_STEP * STEPS);
            assert!(requests <= allowed, "{told}: {requests} requests");
            life.rig.end().await;
            life.db.close().await;
        }
    }
}
