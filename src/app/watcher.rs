//! Who watches the watcher: a heartbeat to somebody outside that stops when promises cannot be kept, and word of the
//! daemon's own trouble through a target that is there for it.
//!
//! Must not depend on the store or the engine: their trouble is what it speaks of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderMap;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::config::Settings;
use crate::core::tell::event::Event;
use crate::core::time::{Span, Timestamp};
use crate::deliver::board::{Deliveries, TargetHealth};
use crate::deliver::{Outcome, Parcel};
use crate::engine::handle::EngineHandle;
use crate::runtime::clock::Clock;
use crate::wire::post::{Outgoing, Poster};

use super::wiring::duration;

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long something must be wrong before it is told.
const PATIENCE: Span = Span::from_secs(30);
/// A message that waits longer than this is late.
const LATE: Span = Span::from_mins(5);
/// How long one ping may take.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// The watcher.
pub(super) struct Watcher {
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    pub(super) engine: EngineHandle,
    pub(super) deliveries: Deliveries,
    pub(super) clock: Clock,
}

/// Something that is wrong.
struct Trouble {
    since: Timestamp,
    said: String,
    is_told: bool,
}

impl Watcher {
    /// Works until it is told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut troubles: BTreeMap<String, Trouble> = BTreeMap::new();
        let mut next_ping = self.clock.now();
        while stop
            .run_until_cancelled(tokio::time::sleep(LOOK_EVERY))
            .await
            .is_some()
        {
            let settings = Arc::clone(&self.settings.borrow_and_update());
            let now = self.clock.now();
            let wrong = self.look(&settings, now);
            if next_ping <= now {
                next_ping = now.plus(settings.watcher.every);
                self.ping(&settings, &wrong).await;
            }
            self.tell(&settings, wrong, &mut troubles, now).await;
        }
    }

    /// What is wrong now, by name.
    fn look(&self, settings: &Settings, now: Timestamp) -> BTreeMap<String, String> {
        let mut wrong = BTreeMap::new();
        if let Err(why) = self.engine.readiness() {
            wrong.insert(
                "engine".to_owned(),
                format!("alerts are not decided: {why}"),
            );
        }
        let depth = self.engine.writer().progress.depth();
        let bound = i64::from(settings.limits.inbox_rows);
        if depth > bound.saturating_mul(9) / 10 {
            let said = format!("{depth} messages wait to be decided, of {bound} that may");
            wrong.insert("inbox".to_owned(), said);
        }
        for target in self.deliveries.list() {
            if let Some(said) = trouble_of(&target, now) {
                wrong.insert(format!("target {}", target.name), said);
            }
        }
        wrong
    }

    /// Tells somebody outside that all is well; says nothing when it is not.
    async fn ping(&self, settings: &Settings, wrong: &BTreeMap<String, String>) {
        let Some(url) = &settings.watcher.url else {
            return;
        };
        if let Some((name, said)) = wrong.first_key_value() {
            log::warn!(trouble = said.as_str(); "the watcher's heartbeat is not sent: {name}: {said}");
            return;
        }
        let sent = async {
            let url = Url::parse(url.expose()).map_err(|error| error.to_string())?;
            let outgoing = Outgoing {
                method: Method::GET,
                url,
                headers: HeaderMap::new(),
                body: Bytes::new(),
            };
            let poster = Poster::new(settings.watcher.allow_private)?;
            let reply = poster.send(outgoing, PING_TIMEOUT).await;
            let reply = reply.map_err(|error| error.to_string())?;
            match reply.status {
                200..300 => Ok(()),
                status => Err(format!("it answered {status}")),
            }
        };
        let sent: Result<(), String> = sent.await;
        if let Err(error) = sent {
            log::warn!(error = error.as_str(); "the watcher's heartbeat did not arrive: {error}");
        }
    }

    /// Tells people of trouble that lasts, and of its end.
    async fn tell(
        &self,
        settings: &Settings,
        wrong: BTreeMap<String, String>,
        troubles: &mut BTreeMap<String, Trouble>,
        now: Timestamp,
    ) {
        let Some(fallback) = &settings.watcher.target else {
            return;
        };
        let over: Vec<String> = troubles
            .keys()
            .filter(|name| !wrong.contains_key(*name))
            .cloned()
            .collect();
        for name in over {
            if troubles.get(&name).is_some_and(|it| it.is_told)
                && !self
                    .say(fallback, format!("{name}: it works again"), now)
                    .await
            {
                // Said at the next look.
                continue;
            }
            troubles.remove(&name);
        }
        for (name, said) in wrong {
            let trouble = troubles.entry(name.clone()).or_insert(Trouble {
                since: now,
                said: said.clone(),
                is_told: false,
            });
            trouble.said = said;
            let is_due = !trouble.is_told && now.since(trouble.since) >= PATIENCE;
            // A target cannot tell of its own trouble.
            if is_due && name != format!("target {fallback}") {
                let text = format!("{name}: {}", trouble.said);
                trouble.is_told = self.say(fallback, text, now).await;
            }
        }
    }

    /// Sends one sentence; whether it arrived.
    async fn say(&self, target: &str, said: String, now: Timestamp) -> bool {
        let Some((_, channel)) = self.deliveries.channel(target) else {
            return false;
        };
        let parcel = Parcel {
            id: format!("msg_self_{:x}", now.as_millis()),
            event: Event::Trouble,
            at: now,
            now,
            note: Some(said),
            recipient: String::new(),
            is_repeat: false,
            incident: None,
            briefing: None,
            answer_url: None,
            rating_url: None,
            thread: None,
        };
        match channel.send(&parcel).await.outcome {
            Outcome::Arrived => true,
            Outcome::Failed(failure) => {
                let error = failure.error;
                log::error!(target_name = target, error = error.as_str(); "the daemon's own trouble could not be told to {target}: {error}");
                false
            }
        }
    }
}

/// What is wrong with a target, if anything.
fn trouble_of(target: &TargetHealth, now: Timestamp) -> Option<String> {
    let health = &target.health;
    if health.paused.is_some() {
        return None;
    }
    let late = health
        .oldest_at
        .map(|at| now.since(at))
        .filter(|age| *age > LATE);
    let error = health.last_error.as_deref().unwrap_or("no error is known");
    match (late, health.failures >= 5) {
        (_, true) => Some(format!(
            "{} tries in a row failed: {error}",
            health.failures
        )),
        (Some(age), false) => {
            let minutes = duration(age).as_secs() / 60;
            Some(format!(
                "a message has waited for {minutes} minutes: {error}"
            ))
        }
        (None, false) => None,
    }
}
