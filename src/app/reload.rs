//! Applying a changed configuration without a restart; an invalid one changes nothing.
//!
//! Must always tell the service manager that a reload is over, whether it succeeded or not.

use std::net::SocketAddr;
use std::sync::Arc;

use smol_str::{SmolStr, format_smolstr};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{self, LoadRequest, Settings};
use crate::core::audit::{AuditEntry, Values};
use crate::core::rules::Rules;
use crate::ingest::Ingest;
use crate::ingest::mqtt::BrokerSetup;
use crate::ingest::reconcile::PollSetup;
use crate::runtime::notify::Notifier;
use crate::runtime::signals::ReloadRequest;
use crate::runtime::tls::TlsHolder;
use crate::store::writer::WriterHandle;
use crate::telemetry::LogHandle;

use super::feeds::FeedBook;
use super::wiring;

/// Lines of a changed configuration that the audit tells.
const LINES_TOLD: usize = 50;

/// Everything that takes a new configuration.
pub(super) struct Reloader {
    pub(super) request: LoadRequest,
    pub(super) notifier: Notifier,
    pub(super) logs: LogHandle,
    pub(super) rules: watch::Sender<Arc<Rules>>,
    pub(super) feeds: FeedBook,
    pub(super) polls: watch::Sender<Vec<PollSetup>>,
    pub(super) brokers: watch::Sender<Vec<BrokerSetup>>,
    /// The name of this installation in client ids.
    pub(super) instance: String,
    pub(super) settings: watch::Sender<Arc<Settings>>,
    pub(super) ingest: Ingest,
    /// Where it is noted what was changed.
    pub(super) writer: WriterHandle,
    pub(super) tls: Option<TlsHolder>,
    /// Where the daemon really listens; no reload changes that.
    pub(super) addresses: Vec<SocketAddr>,
}

impl Reloader {
    /// Reloads whenever it is asked to, until it is told to stop.
    pub(super) async fn run(self, asked: ReloadRequest, stop: CancellationToken) {
        while stop.run_until_cancelled(asked.wait()).await.is_some() {
            self.notifier.reloading();
            match tokio::task::block_in_place(|| config::load(&self.request)) {
                Ok(settings) => {
                    let before = Arc::clone(&self.settings.borrow());
                    self.apply(settings);
                    let after = Arc::clone(&self.settings.borrow());
                    self.note(&before, &after).await;
                }
                Err(errors) => {
                    log::error!(
                        "the new configuration is not valid, the old one stays in force:\n{errors}"
                    );
                }
            }
            self.notifier.ready();
        }
    }

    /// Writes what the reload changed into the audit.
    async fn note(&self, before: &Settings, after: &Settings) {
        let entry = AuditEntry {
            actor: "watchbell".into(),
            action: "configuration.reload".into(),
            subject: "configuration".into(),
            before: lines_missing(before, after),
            after: lines_missing(after, before),
            why: None,
        };
        if let Err(error) = self.writer.audit(entry).await {
            log::error!(error:% = error; "the reload could not be written into the audit: {error}");
        }
    }

    fn apply(&self, settings: Settings) {
        let before = Arc::clone(&self.settings.borrow());
        if let Some(refusal) = settings.refusal_to_apply(&before, &self.addresses) {
            log::error!(
                "the new configuration is not applied, the old one stays in force: the daemon still listens where it did, and {refusal}; restart it"
            );
            return;
        }
        for key in before.needs_restart(&settings) {
            log::warn!(key = key; "{key} has changed; that takes a restart");
        }
        if let (Some(tls), Some(paths)) = (&self.tls, wiring::tls_paths(&settings))
            && let Err(error) = tokio::task::block_in_place(|| tls.reload(&paths))
        {
            log::error!(error:% = error; "the certificate was not reloaded, the old one stays in use: {error}");
        }
        if let Err(error) = self.logs.set_filter(&settings.log.level) {
            log::error!(error:% = error; "the log level was not changed: {error}");
        }
        self.ingest
            .set_up(wiring::ingest_setup(&settings, self.request.is_demo));
        self.feeds.configure(&settings.feeds());
        self.rules.send_replace(self.feeds.rules(&settings));
        self.polls.send_replace(wiring::poll_setups(&settings));
        let brokers = wiring::broker_setups(&settings, &self.instance);
        self.brokers.send_replace(brokers);
        self.settings.send_replace(Arc::new(settings));
        log::info!("the configuration was reloaded");
    }
}

/// Lines of the one that the other has not, numbered; secrets print as such.
fn lines_missing(of: &Settings, in_other: &Settings) -> Values {
    let other = format!("{in_other:#?}");
    let other: std::collections::BTreeSet<&str> = other.lines().map(str::trim).collect();
    let of = format!("{of:#?}");
    let missing = of
        .lines()
        .map(str::trim)
        .filter(|line| !other.contains(line));
    let missing = missing.filter(|line| line.chars().any(char::is_alphanumeric));
    (1..)
        .zip(missing.take(LINES_TOLD))
        .map(|(number, line)| (format_smolstr!("{number}"), SmolStr::new(line)))
        .collect()
}
