//! Where each connector stands, for the API; and the way for hints from webhooks.
//!
//! Must not decide anything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use smol_str::SmolStr;
use tokio::sync::mpsc;

use super::ConnectorSetup;
use crate::connectors::Profile;
use crate::core::records::RecordId;
use crate::core::ticket::Record;
use crate::core::time::Timestamp;

/// Problems and requests of one connector that are shown; the newest stay.
const RECORDS_MAX: usize = 500;

/// Where one connector stands.
#[derive(Clone, Debug, Default)]
pub struct Post {
    /// Its name.
    pub name: SmolStr,
    /// The name of the platform's profile.
    pub profile: String,
    /// The platform.
    pub title: String,
    /// Where its API is.
    pub url: String,
    /// What was wrong last; gone once something went well.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<Timestamp>,
    /// When something went well last.
    pub last_success_at: Option<Timestamp>,
    /// Until when it is left alone.
    pub waits_until: Option<Timestamp>,
    /// When it was looked last what changed there.
    pub polled_at: Option<Timestamp>,
    /// Requests since the start.
    pub requests: u64,
    /// Whether nothing is written there.
    pub is_dry_run: bool,
    /// What could not be verified about the platform.
    pub unverified: Vec<String>,
    /// Problems and requests that are kept there, with their counterparts.
    pub records: BTreeMap<RecordId, Record>,
}

struct Entry {
    post: Post,
    profile: Arc<Profile>,
    hints: mpsc::Sender<SmolStr>,
    hook_secret: Option<String>,
}

/// Where every connector stands. Cheap to clone.
#[derive(Clone, Default)]
pub struct Board(Arc<Mutex<BTreeMap<SmolStr, Entry>>>);

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Board")
    }
}

impl Board {
    /// Forgets every connector, before others are opened.
    pub fn clear(&self) {
        self.lock().clear();
    }

    pub(super) fn open(&self, setup: &ConnectorSetup, hints: mpsc::Sender<SmolStr>) {
        let post = Post {
            name: setup.name.clone(),
            profile: setup.profile.name.clone(),
            title: setup.profile.title.clone(),
            url: setup.base(),
            is_dry_run: setup.is_dry_run,
            unverified: setup.profile.unverified.clone(),
            ..Post::default()
        };
        let entry = Entry {
            post,
            profile: Arc::clone(&setup.profile),
            hints,
            hook_secret: setup.hook_secret.clone(),
        };
        self.lock().insert(setup.name.clone(), entry);
    }

    /// Every connector, by name.
    pub fn list(&self) -> Vec<Post> {
        self.lock()
            .values()
            .map(|entry| entry.post.clone())
            .collect()
    }

    /// The profile of a connector, and the secret of its webhooks if there is one.
    pub fn hook(&self, name: &str) -> Option<(Arc<Profile>, Option<String>)> {
        let entries = self.lock();
        let entry = entries.get(name)?;
        Some((Arc::clone(&entry.profile), entry.hook_secret.clone()))
    }

    /// Says that a ticket may have changed there, or, without an id, that something did; what does not fit into the queue is found by the next poll.
    pub fn hint(&self, name: &str, id: SmolStr) {
        if let Some(entry) = self.lock().get(name) {
            drop(entry.hints.try_send(id));
        }
    }

    pub(super) fn failed(&self, name: &str, why: &str, now: Timestamp) {
        self.change(name, |post| {
            post.last_error = Some(why.to_owned());
            post.last_error_at = Some(now);
        });
    }

    /// Notes that a problem or a request is in step.
    pub(super) fn kept(&self, name: &str, id: RecordId, record: &Record, now: Timestamp) {
        self.change(name, |post| {
            post.last_success_at = Some(now);
            post.records.insert(id, record.clone());
            while post.records.len() > RECORDS_MAX {
                post.records.pop_first();
            }
        });
    }

    pub(super) fn change(&self, name: &str, change: impl FnOnce(&mut Post)) {
        if let Some(entry) = self.lock().get_mut(name) {
            change(&mut entry.post);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<SmolStr, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
