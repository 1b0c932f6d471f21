//! How every target does, and what people can ask for: pause, resume, try again, give up.
//!
//! Must not send anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use smol_str::SmolStr;
use tokio::sync::Notify;

use crate::core::time::Timestamp;
use crate::store::outbox::work::{OutboxStep, Revival, list_depths, list_paused};
use crate::store::writer::{WriteError, WriterHandle};

use super::channel::Channel;
use super::{DeliverSetup, TargetSetup};

/// How a target does.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Messages that arrived since the daemon started.
    pub sent: u64,
    /// Tries that failed since then.
    pub failed: u64,
    /// Failures in a row.
    pub failures: u32,
    /// When a message arrived last.
    pub last_sent_at: Option<Timestamp>,
    /// When a try failed last.
    pub last_failed_at: Option<Timestamp>,
    /// Why.
    pub last_error: Option<String>,
    /// Until when nothing is sent, because it failed too often or asked for it.
    pub closed_until: Option<Timestamp>,
    /// Since when it is paused, and by whom.
    pub paused: Option<(Timestamp, String)>,
    /// Messages that wait.
    pub depth: i64,
    /// When the oldest of them was decided.
    pub oldest_at: Option<Timestamp>,
}

/// The letter box of one target.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) notify: Notify,
    pub(super) kind: String,
    pub(super) channel: Channel,
    state: Mutex<PostState>,
}

#[derive(Debug, Default)]
struct PostState {
    health: Health,
    /// Whether rows before the last one read are to be looked at again.
    is_stale: bool,
}

impl Post {
    /// What is known of the target.
    pub(super) fn health(&self) -> Health {
        self.lock().health.clone()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Health)) {
        change(&mut self.lock().health);
    }

    /// Whether dead messages came to life again since the last call.
    pub(super) fn take_stale(&self) -> bool {
        std::mem::take(&mut self.lock().is_stale)
    }

    fn stale(&self) {
        self.lock().is_stale = true;
        self.notify.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, PostState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A target as people see it.
#[derive(Clone, Debug)]
pub struct TargetHealth {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// How it does.
    pub health: Health,
}

/// Every target. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Deliveries {
    posts: Arc<Mutex<BTreeMap<String, Arc<Post>>>>,
    /// Held by whoever pauses, and while it is read who is paused: the later one sees what the earlier one did.
    pausing: Arc<tokio::sync::Mutex<()>>,
}

impl Deliveries {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<Post>>> {
        self.posts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the configured targets; what is known of those that stay is kept.
    pub(super) async fn configure(&self, targets: &[TargetSetup], setup: &DeliverSetup) {
        // They are there for whoever asks right after the start, however long the store takes.
        self.take(targets);
        let _pausing = self.pausing.lock().await;
        let paused = read_paused(setup).await;
        for (name, post) in self.lock().iter() {
            post.change(|health| health.paused = paused.get(name).cloned());
        }
    }

    fn take(&self, targets: &[TargetSetup]) {
        let mut posts = self.lock();
        let before = std::mem::take(&mut *posts);
        for target in targets {
            let health = before
                .get(&target.name)
                .map(|it| it.health())
                .unwrap_or_default();
            let post = Post {
                notify: Notify::new(),
                kind: target.kind.clone(),
                channel: target.channel.clone(),
                state: Mutex::new(PostState {
                    health,
                    is_stale: false,
                }),
            };
            posts.insert(target.name.clone(), Arc::new(post));
        }
    }

    pub(super) fn post(&self, name: &str) -> Option<Arc<Post>> {
        self.lock().get(name).cloned()
    }

    /// The channel of a target, and its kind; for a try.
    pub fn channel(&self, name: &str) -> Option<(String, Channel)> {
        let post = self.post(name)?;
        Some((post.kind.clone(), post.channel.clone()))
    }

    /// Tells targets that something is due for them.
    pub fn wake(&self, names: &[SmolStr]) {
        let posts = self.lock();
        for name in names {
            if let Some(post) = posts.get(name.as_str()) {
                post.notify.notify_one();
            }
        }
    }

    /// Every target, by name.
    pub fn list(&self) -> Vec<TargetHealth> {
        let posts = self.lock();
        let shown = posts.iter().map(|(name, post)| TargetHealth {
            name: name.clone(),
            kind: post.kind.clone(),
            health: post.health(),
        });
        shown.collect()
    }

    /// Pauses a target, or lets it go on; false when there is none of this name.
    ///
    /// # Errors
    /// What the store says.
    pub async fn pause(
        &self,
        writer: &WriterHandle,
        name: &str,
        pause: Option<(Timestamp, String)>,
    ) -> Result<bool, WriteError> {
        let _pausing = self.pausing.lock().await;
        let Some(post) = self.post(name) else {
            return Ok(false);
        };
        let step = OutboxStep {
            pauses: vec![(name.to_owned(), pause.clone())],
            ..OutboxStep::default()
        };
        writer.outbox(step).await?;
        post.change(|health| health.paused = pause);
        post.notify.notify_one();
        Ok(true)
    }

    /// Tries dead messages again, or gives them up; returns how many there were.
    ///
    /// # Errors
    /// What the store says.
    pub async fn revive(&self, writer: &WriterHandle, revival: Revival) -> Result<u64, WriteError> {
        let step = OutboxStep {
            revived: vec![revival],
            ..OutboxStep::default()
        };
        let count = writer.outbox(step).await?;
        for post in self.lock().values() {
            post.stale();
        }
        Ok(count)
    }

    /// Reads how much waits for each target; returns the names of those that have something and no worker.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn count(
        &self,
        setup: &DeliverSetup,
    ) -> Result<BTreeSet<String>, crate::store::StoreError> {
        let depths = list_depths(setup.db.reader().await?.lend(), setup.partition).await?;
        let mut by_name: BTreeMap<String, (i64, i64)> = depths
            .into_iter()
            .map(|(name, depth, oldest)| (name, (depth, oldest)))
            .collect();
        let now = setup.clock.now();
        for (name, post) in self.lock().iter() {
            let found = by_name.remove(name);
            let oldest_at = found.map(|(_, oldest)| Timestamp::from_millis(oldest));
            let depth = found.map_or(0, |(depth, _)| depth);
            post.change(|health| {
                health.depth = depth;
                health.oldest_at = oldest_at;
            });
            let age = oldest_at.map_or(0, |at| now.since(at).as_millis());
            setup.metrics.outbox(name, depth, age);
        }
        Ok(by_name.into_keys().collect())
    }
}

async fn read_paused(setup: &DeliverSetup) -> BTreeMap<String, (Timestamp, String)> {
    let read = async {
        let mut reader = setup.db.reader().await?;
        list_paused(reader.lend(), setup.partition).await
    };
    match read.await {
        Ok(rows) => rows
            .into_iter()
            .map(|(name, at, actor)| (name, (Timestamp::from_millis(at), actor)))
            .collect(),
        Err(error) => {
            log::warn!(error:% = error; "it is not known which targets are paused: {error}");
            BTreeMap::new()
        }
    }
}
