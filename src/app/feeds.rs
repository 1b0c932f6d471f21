//! Calendars that are read from an address again and again: one task each, replaced when the configuration changes.
//!
//! The last good text is kept in the state directory, so that a server that is away takes no window with it, also over a
//! restart. A text that is no calendar changes nothing. Must not understand calendars; the configuration does.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;
use xxhash_rust::xxh3::xxh3_64;

use crate::api::feeds::FeedStatus;
use crate::config::feeds::{FeedTexts, FeedUse};
use crate::config::{self, Settings};
use crate::core::rules::Rules;
use crate::core::time::Span;
use crate::runtime::clock::Clock;
use crate::wire::{Egress, EgressSetup};

use super::wiring;

/// Bytes of a calendar; a larger one is the wrong one.
const BYTES_MAX: usize = 4 << 20;
/// One that could not be read is tried again after this long, or at its usual time if that is sooner.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// What is known of every feed.
#[derive(Clone)]
pub(super) struct FeedBook {
    held: Arc<Mutex<BTreeMap<String, Held>>>,
    folder: PathBuf,
    clock: Clock,
}

#[derive(Clone, Default)]
struct Held {
    text: Option<Arc<str>>,
    status: FeedStatus,
}

impl FeedTexts for FeedBook {
    fn text(&self, name: &str) -> Option<Arc<str>> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(name)?.text.clone()
    }
}

impl FeedBook {
    /// The book with the copies of earlier runs.
    pub(super) fn open(settings: &Settings, clock: &Clock) -> Self {
        let book = Self {
            held: Arc::default(),
            folder: settings.state_dir().join("feeds"),
            clock: clock.clone(),
        };
        book.configure(&settings.feeds());
        book
    }

    /// The rules of these settings with what the feeds say.
    pub(super) fn rules(&self, settings: &Settings) -> Arc<Rules> {
        Arc::new(config::rules_with(settings, self, self.clock.now()))
    }

    /// How every feed does.
    pub(super) fn list(&self) -> Vec<FeedStatus> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.values().map(|held| held.status.clone()).collect()
    }

    /// Keeps what is known of feeds that are still configured, and looks for copies of new ones.
    pub(super) fn configure(&self, feeds: &[FeedUse]) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *held);
        for feed in feeds {
            let from = feed.feed.shown.clone();
            let known = before.remove(&feed.name);
            let known = known.filter(|known| known.status.from == from);
            let mut now = known.unwrap_or_else(|| self.copy_of(feed));
            now.status.name = feed.name.clone();
            now.status.from = from;
            now.status.every_s = wiring::duration(feed.feed.every).as_secs_f64();
            held.insert(feed.name.clone(), now);
        }
    }

    fn path(&self, feed: &FeedUse) -> PathBuf {
        let what = format!("{}\n{}", feed.name, feed.feed.url.expose());
        self.folder
            .join(format!("{:016x}.ics", xxh3_64(what.as_bytes())))
    }

    fn copy_of(&self, feed: &FeedUse) -> Held {
        let text = std::fs::read_to_string(self.path(feed)).ok();
        let events = text.as_deref().and_then(|text| feed.check(text).ok());
        let mut held = Held::default();
        held.status.events = events;
        held.status.copy = events.is_some();
        held.text = text.filter(|_| events.is_some()).map(Into::into);
        held
    }

    fn keep_copy(&self, feed: &FeedUse, text: &str) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let path = self.path(feed);
        let draft = path.with_extension("new");
        std::fs::write(&draft, text)?;
        std::fs::rename(draft, path)
    }

    fn set(&self, name: &str, change: impl FnOnce(&mut Held)) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = held.get_mut(name) {
            change(held);
        }
    }
}

/// The feeds to be read.
pub(super) struct Feeds {
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    pub(super) rules: watch::Sender<Arc<Rules>>,
    pub(super) book: FeedBook,
}

impl Feeds {
    /// Works until it is told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let feeds = self.settings.borrow_and_update().feeds();
            let round = stop.child_token();
            let mut tasks = JoinSet::new();
            for feed in &feeds {
                let reader = Reader {
                    feed: feed.clone(),
                    settings: self.settings.clone(),
                    rules: self.rules.clone(),
                    book: self.book.clone(),
                };
                tasks.spawn(reader.run(round.clone()));
            }
            // A reload that leaves the feeds as they are does not start them again.
            wiring::until_other(&mut self.settings, &stop, |it| it.feeds() != feeds).await;
            round.cancel();
            while tasks.join_next().await.is_some() {}
        }
    }
}

struct Reader {
    feed: FeedUse,
    settings: watch::Receiver<Arc<Settings>>,
    rules: watch::Sender<Arc<Rules>>,
    book: FeedBook,
}

impl Reader {
    async fn run(self, stop: CancellationToken) {
        let every = wiring::duration(self.feed.feed.every);
        let mut last_error: Option<String> = None;
        while !stop.is_cancelled() {
            let Some(read) = stop.run_until_cancelled(self.read()).await else {
                break;
            };
            let pause = match &read {
                Ok(_) => every,
                Err(_) => every.min(RETRY_AFTER),
            };
            match read {
                Ok((text, events)) => {
                    self.take(text, events).await;
                    if last_error.take().is_some() {
                        log::info!("{} is read again", self.feed.name);
                    }
                }
                Err(error) => self.tell(error, &mut last_error),
            }
            let due = Span::from_millis(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX));
            let due = self.book.clock.now().plus(due);
            self.book.set(&self.feed.name, |held| {
                held.status.next_due_at = Some(due.into());
            });
            let pause = tokio::time::sleep(pause);
            if stop.run_until_cancelled(pause).await.is_none() {
                break;
            }
        }
    }

    async fn read(&self) -> Result<(String, usize), String> {
        let feed = &self.feed.feed;
        let base = Url::parse(feed.url.expose()).map_err(|error| error.to_string())?;
        let bearer = |token: &config::Secret| format!("Bearer {}", token.expose());
        let token = feed.token.as_ref().map(bearer);
        let setup = EgressSetup {
            base,
            secrets: token.map(|it| ("authorization", it)).into_iter().collect(),
            allow_private: feed.allow_private,
            pause: Duration::ZERO,
        };
        let egress = Egress::new(setup).map_err(|error| error.to_string())?;
        let text = egress.document(BYTES_MAX).await;
        let text = text.map_err(|error| error.to_string())?;
        let events = self.feed.check(&text)?;
        Ok((text, events))
    }

    async fn take(&self, text: String, events: usize) {
        let name = &self.feed.name;
        let is_same = self.book.text(name).is_some_and(|held| *held == *text);
        let now = self.book.clock.now();
        let (book, feed, copy) = (self.book.clone(), self.feed.clone(), text.clone());
        self.book.set(name, |held| {
            held.text = Some(text.into());
            held.status.events = Some(events);
            held.status.copy = false;
            held.status.last_success_at = Some(now.into());
            held.status.last_error = None;
        });
        if is_same {
            return;
        }
        log::info!(feed = name.as_str(), events = events; "{name} has changed: {events} events");
        let kept = tokio::task::spawn_blocking(move || book.keep_copy(&feed, &copy)).await;
        if let Ok(Err(error)) = kept {
            log::warn!(error:% = error; "the copy of {name} cannot be kept: {error}");
        }
        let settings = Arc::clone(&self.settings.borrow());
        self.rules.send_replace(self.book.rules(&settings));
    }

    fn tell(&self, error: String, last_error: &mut Option<String>) {
        let (name, now) = (&self.feed.name, self.book.clock.now());
        if last_error.as_ref() != Some(&error) {
            log::warn!(feed = name.as_str(), error = error.as_str(); "{name} cannot be read, what it said last stays: {error}");
        }
        self.book.set(name, |held| {
            held.status.last_error = Some(error.clone());
            held.status.last_error_at = Some(now.into());
        });
        *last_error = Some(error);
    }
}
