//! The connections to brokers as one task: one per source, begun anew only when its own settings change.
//!
//! Must not speak MQTT; `ingest::mqtt` does.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::ingest::Ingest;
use crate::ingest::mqtt::{self, BrokerSetup, Taker};

/// Who takes the messages of a connection, by its name; none for the source of that name.
pub(super) type Takers = Arc<dyn Fn(&str) -> Option<Taker> + Send + Sync>;

/// The brokers to be connected to.
pub(super) struct Brokers {
    setups: watch::Receiver<Vec<BrokerSetup>>,
    ingest: Ingest,
    takers: Takers,
}

/// A connection that is kept up.
struct Running {
    setup: Arc<BrokerSetup>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Running {
    async fn end(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Brokers {
    /// Connections as set up, now and after each change.
    pub(super) fn new(
        setups: watch::Receiver<Vec<BrokerSetup>>,
        ingest: Ingest,
        takers: Takers,
    ) -> Self {
        Self {
            setups,
            ingest,
            takers,
        }
    }

    /// Works until it is told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut running: BTreeMap<String, Running> = BTreeMap::new();
        while !stop.is_cancelled() {
            let setups = self.setups.borrow_and_update().clone();
            let is_changed = |name: &String, known: &mut Running| {
                !setups
                    .iter()
                    .any(|setup| setup.source == *name && *setup == *known.setup)
            };
            let changed: Vec<Running> = running
                .extract_if(.., is_changed)
                .map(|(_, old)| old)
                .collect();
            // Before the new ones begin: two connections with one client id throw each other out.
            for old in changed {
                old.end().await;
            }
            for setup in setups {
                if running.contains_key(&setup.source) {
                    continue;
                }
                let name = setup.source.clone();
                running.insert(name, self.start(setup, &stop));
            }
            tokio::select! {
                () = stop.cancelled() => {}
                changed = self.setups.changed() => {
                    if changed.is_err() {
                        stop.cancelled().await;
                    }
                }
            }
        }
        let mut ending = JoinSet::new();
        for (_, old) in running {
            ending.spawn(old.end());
        }
        while ending.join_next().await.is_some() {}
    }

    fn start(&self, setup: BrokerSetup, stop: &CancellationToken) -> Running {
        let (setup, stop) = (Arc::new(setup), stop.child_token());
        let mut tasks = JoinSet::new();
        tasks.spawn(mqtt::run(
            Arc::clone(&setup),
            self.ingest.clone(),
            (self.takers)(&setup.source),
            stop.clone(),
        ));
        Running { setup, stop, tasks }
    }
}
