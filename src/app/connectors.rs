//! Connectors and their workers: made of the settings, replaced when those change.
//!
//! Must not decide what a ticket is to be.

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::SmolStr;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::api::connectors::{ConnectorStatus, KeptRecord};
use crate::api::shapes::Incident;
use crate::config::Settings;
use crate::config::connectors::ConnectorSettings;
use crate::connectors::login::Login;
use crate::core::records::RecordId;
use crate::core::ticket::Record;
use crate::core::time::Timestamp;
use crate::engine::handle::EngineHandle;
use crate::runtime::clock::Clock;
use crate::store::Db;
use crate::store::query::incidents;
use crate::tickets::board::Post;
use crate::tickets::changes::ChangePoll;
use crate::tickets::records::RecordSync;
use crate::tickets::{self, ConnectorSetup, Describe, TicketsSetup};
use crate::wire::itsm::ItsmSetup;

use super::wiring::duration;

/// The workers to be run.
pub(super) struct Connectors {
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    pub(super) setup: TicketsSetup,
}

impl Connectors {
    /// Works until it is told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut engine = self.setup.engine.clone();
        if stop.run_until_cancelled(engine.ready()).await.is_none() {
            return;
        }
        while !stop.is_cancelled() {
            let settings = Arc::clone(&self.settings.borrow_and_update());
            let round = stop.child_token();
            self.setup.board.clear();
            let setup = TicketsSetup {
                external_url: settings.server.external_url.clone(),
                ..self.setup.clone()
            };
            let connectors = setups(&settings.connectors);
            let mut work = std::pin::pin!(tickets::run(setup, connectors, round.clone()));
            loop {
                tokio::select! {
                    () = &mut work => break,
                    changed = self.settings.changed(), if !round.is_cancelled() => {
                        // A reload that leaves the connectors as they are does not disturb them.
                        if changed.is_err() {
                            stop.cancelled().await;
                            round.cancel();
                        } else if self.settings.borrow().connectors != settings.connectors {
                            round.cancel();
                        }
                    }
                }
            }
        }
    }
}

fn setups(connectors: &[ConnectorSettings]) -> Vec<ConnectorSetup> {
    let made = connectors.iter().filter_map(|connector| {
        let made = setup(connector);
        if let Err(why) = &made {
            let name = connector.name.as_str();
            log::error!(connector = name, error = why.as_str(); "connector {name} cannot be used: {why}");
        }
        made.ok()
    });
    made.collect()
}

/// One connector, ready to be spoken with.
///
/// # Errors
/// Its address or its certificates cannot be used, in words.
pub(crate) fn setup(connector: &ConnectorSettings) -> Result<ConnectorSetup, String> {
    let profile = Arc::clone(&connector.profile.profile);
    let base = Url::parse(&connector.url).map_err(|error| format!("url is none: {error}"))?;
    let login_at = connector.token_url.as_deref().map(Url::parse).transpose();
    let login_at = login_at.map_err(|error| format!("token_url is none: {error}"))?;
    let secrets = connector.secrets.iter();
    let secrets: BTreeMap<String, String> = secrets
        .map(|(name, secret)| (name.clone(), secret.expose().to_owned()))
        .collect();
    let ca = connector.ca.as_ref();
    let ca = ca.map(std::fs::read).transpose();
    let pairs = |table: &BTreeMap<String, String>| {
        let pairs = table.iter();
        pairs
            .map(|(ours, theirs)| (ours.clone(), theirs.clone()))
            .collect()
    };
    Ok(ConnectorSetup {
        name: SmolStr::new(&connector.name),
        login: Login::new(&profile, connector.credential)?,
        wire: ItsmSetup {
            base: profile.site(base),
            login_at,
            secrets,
            allow_private: connector.allow_private,
            ca: ca.map_err(|error| format!("ca cannot be read: {error}"))?,
            timeout: duration(connector.timeout),
        },
        profile,
        poll_every: duration(connector.poll_every),
        rate: connector.rate.map(|rate| (rate.per_second, rate.burst)),
        width: usize::try_from(connector.width).unwrap_or(1),
        people: pairs(&connector.people),
        groups: pairs(&connector.groups),
        extras: connector.extras,
        records: connector
            .records
            .iter()
            .map(|(kind, compiled)| RecordSync {
                kind: *kind,
                profile: Arc::clone(&compiled.profile),
            })
            .collect(),
        is_dry_run: connector.is_dry_run,
        changes: connector.changes.as_ref().map(|changes| ChangePoll {
            query: changes.query.clone(),
            every: duration(changes.every),
            first_look: changes.first_look,
            opens_maintenance: changes.maintenance,
        }),
        hook_secret: connector
            .hook_secret
            .as_ref()
            .map(|it| it.expose().to_owned()),
    })
}

/// Reads incidents in the form of the API.
pub(super) fn describe(db: &Db, engine: &EngineHandle, clock: &Clock) -> Describe {
    let (db, engine, clock) = (db.clone(), engine.clone(), clock.clone());
    Arc::new(move |id| {
        let (db, rules, now) = (db.clone(), engine.rules(), clock.now());
        Box::pin(async move {
            let found = async {
                let mut reader = db.reader().await?;
                incidents::find(reader.lend(), id).await
            };
            let view = found.await.map_err(|error| error.to_string())?;
            view.map(|view| serde_json::to_value(Incident::from(view).counted(&rules, now)))
                .transpose()
                .map_err(|error| error.to_string())
        })
    })
}

fn kept((id, record): (&RecordId, &Record)) -> KeptRecord {
    let url = record.url.to_string();
    KeptRecord {
        record: id.to_string(),
        id: record.number.to_string(),
        url: (!url.is_empty()).then_some(url),
        status: record.status.to_string(),
    }
}

/// Where a connector stands, in the form of the API.
pub(super) fn connector_status(post: Post, now: Timestamp) -> ConnectorStatus {
    let waits_until = post.waits_until.filter(|until| *until > now);
    let state = match (&post.last_error, waits_until) {
        (_, Some(_)) => "waiting",
        (Some(_), None) => "failing",
        (None, None) => "ok",
    };
    ConnectorStatus {
        name: post.name.to_string(),
        profile: post.profile,
        title: post.title,
        url: post.url,
        state: state.to_owned(),
        last_error: post.last_error,
        last_error_at: post.last_error_at.map(Into::into),
        last_success_at: post.last_success_at.map(Into::into),
        waits_until: waits_until.map(Into::into),
        polled_at: post.polled_at.map(Into::into),
        dry_run: post.is_dry_run,
        tickets: BTreeMap::new(),
        records: post.records.iter().map(kept).collect(),
        unverified: post.unverified,
    }
}
