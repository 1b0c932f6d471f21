//! How the ways do by which answers come: brokers and mailboxes, for those who ask.
//!
//! Must not show a secret, nor decide about an answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::api::answers::ways::AnswerWay;
use crate::config::Settings;
use crate::config::answers::{BrokerAnswers, MailboxSettings, MailboxTls};
use crate::core::time::Timestamp;
use crate::ingest::mqtt::Link;

use super::wiring::duration;

/// Shared by whoever reads answers and whoever shows how that goes.
#[derive(Clone, Default)]
pub(super) struct AnswerBoard(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    settings: Option<watch::Receiver<Arc<Settings>>>,
    links: BTreeMap<String, Arc<Link>>,
    ways: BTreeMap<String, Way>,
}

/// What is known of one way.
#[derive(Clone, Debug, Default)]
struct Way {
    is_up: Option<bool>,
    since: Option<Timestamp>,
    answered: u64,
    refused: u64,
    last_answer_at: Option<Timestamp>,
    last_error: Option<(Timestamp, String)>,
}

impl AnswerBoard {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it shows the ways of these settings.
    pub(super) fn open(&self, settings: watch::Receiver<Arc<Settings>>) {
        self.lock().settings = Some(settings);
    }

    /// The connection of a broker, the same one for each name.
    pub(super) fn link(&self, name: &str) -> Arc<Link> {
        Arc::clone(self.lock().links.entry(name.to_owned()).or_default())
    }

    /// Notes how an answer ended that came by this way.
    pub(super) fn came(&self, name: &str, is_carried_out: bool, now: Timestamp) {
        let mut held = self.lock();
        let way = held.ways.entry(name.to_owned()).or_default();
        if is_carried_out {
            way.answered = way.answered.saturating_add(1);
            way.last_answer_at = Some(now);
        } else {
            way.refused = way.refused.saturating_add(1);
        }
    }

    /// Notes how a look into a mailbox ended.
    pub(super) fn looked(&self, name: &str, trouble: Option<&str>, now: Timestamp) {
        let mut held = self.lock();
        let way = held.ways.entry(name.to_owned()).or_default();
        let is_up = trouble.is_none();
        if way.is_up != Some(is_up) {
            way.is_up = Some(is_up);
            way.since = Some(now);
        }
        if let Some(why) = trouble {
            way.last_error = Some((now, why.chars().take(500).collect()));
        }
    }

    /// Every way that is configured.
    pub(super) fn list(&self) -> Vec<AnswerWay> {
        let held = self.lock();
        let settings = held.settings.as_ref().map(|it| Arc::clone(&it.borrow()));
        let Some(settings) = settings else {
            return Vec::new();
        };
        let answers = &settings.answers;
        let brokers = answers.brokers.iter().map(|it| held.broker(it));
        let mailboxes = answers.mailboxes.iter().map(|it| held.mailbox(it));
        brokers.chain(mailboxes).collect()
    }
}

impl Held {
    fn broker(&self, settings: &BrokerAnswers) -> AnswerWay {
        let way = self.ways.get(&settings.name).cloned().unwrap_or_default();
        let link = self.links.get(&settings.name).map(|link| link.state());
        let link = link.unwrap_or_default();
        let filters = settings.broker.subscribe.iter();
        AnswerWay {
            kind: "mqtt",
            server: settings.broker.shown(),
            listens_to: filters.map(|it| it.filter.written().to_owned()).collect(),
            every_s: None,
            health: health(link.since.map(|_| link.is_connected)),
            since: link.since.map(Into::into),
            last_error: link.last_error,
            last_error_at: link.last_error_at.map(Into::into),
            ..shown(&settings.name, way)
        }
    }

    fn mailbox(&self, settings: &MailboxSettings) -> AnswerWay {
        let way = self.ways.get(&settings.name).cloned().unwrap_or_default();
        let scheme = match settings.tls {
            MailboxTls::Wrapped => "imaps",
            MailboxTls::Started => "imap+starttls",
            MailboxTls::Plain => "imap",
        };
        AnswerWay {
            kind: "mailbox",
            server: format!("{scheme}://{}:{}", settings.host, settings.port),
            listens_to: vec![settings.folder.clone()],
            every_s: Some(duration(settings.every).as_secs_f64()),
            health: health(way.is_up),
            ..shown(&settings.name, way)
        }
    }
}

fn shown(name: &str, way: Way) -> AnswerWay {
    let error_at = way.last_error.as_ref().map(|(at, _)| *at);
    AnswerWay {
        name: name.to_owned(),
        since: way.since.map(Into::into),
        answered: way.answered,
        refused: way.refused,
        last_answer_at: way.last_answer_at.map(Into::into),
        last_error: way.last_error.map(|(_, why)| why),
        last_error_at: error_at.map(Into::into),
        ..AnswerWay::default()
    }
}

const fn health(is_up: Option<bool>) -> &'static str {
    match is_up {
        Some(true) => "up",
        Some(false) => "down",
        None => "unknown",
    }
}
