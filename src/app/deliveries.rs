//! Targets and their workers: made of the settings, replaced when those change.
//!
//! Must not decide who is told, or what a message says.

use std::sync::Arc;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::api::shapes::Incident;
use crate::config::Settings;
use crate::config::targets::{TargetKind, TargetSettings};
use crate::core::incident::StateWord;
use crate::deliver::board::Deliveries;
use crate::deliver::channel::{Channel, SigningKey, WebhookChannel, WebhookSetup};
use crate::deliver::{self, Brief, Briefing, Briefings, DeliverSetup, TargetSetup};
use crate::store::query::incidents::{self, IncidentView};
use crate::store::{Db, StoreError};
use crate::wire::post::Poster;

use super::wiring::{basic_header, duration};

/// How often it is counted what waits.
const COUNT_EVERY: std::time::Duration = std::time::Duration::from_secs(2);

/// The workers to be run.
pub(super) struct Workers {
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    pub(super) setup: DeliverSetup,
    pub(super) deliveries: Deliveries,
}

impl Workers {
    /// Works until it is told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let settings = Arc::clone(&self.settings.borrow_and_update());
            let round = stop.child_token();
            let mut work = std::pin::pin!(deliver::run(
                self.setup.clone(),
                target_setups(&settings.targets),
                self.deliveries.clone(),
                round.clone(),
            ));
            loop {
                tokio::select! {
                    () = &mut work => break,
                    () = tokio::time::sleep(COUNT_EVERY) => self.count().await,
                    changed = self.settings.changed(), if !round.is_cancelled() => {
                        if changed.is_err() {
                            stop.cancelled().await;
                        }
                        // A reload that leaves the targets as they are does not disturb them.
                        if self.settings.borrow().targets != settings.targets || changed.is_err() {
                            self.setup.metrics.forget_targets();
                            round.cancel();
                        }
                    }
                }
            }
        }
    }

    async fn count(&self) {
        if let Err(error) = self.deliveries.count(&self.setup).await {
            log::debug!(error:% = error; "what waits in the outbox could not be counted: {error}");
        }
    }
}

/// The targets, ready to be sent to; one that cannot be made is left out, loudly.
fn target_setups(targets: &[TargetSettings]) -> Vec<TargetSetup> {
    let made = targets.iter().filter_map(|target| {
        let channel = channel(target);
        if let Err(error) = &channel {
            let name = target.name.as_str();
            log::error!(target_name = name, error = error.as_str(); "target {name} cannot be used: {error}");
        }
        Some(TargetSetup {
            name: target.name.clone(),
            kind: target.kind.word().to_owned(),
            channel: channel.ok()?,
            width: usize::try_from(target.width).unwrap_or(1),
            rate: target.rate.map(|rate| (rate.per_second, rate.burst)),
            retry_for: target.retry_for,
        })
    });
    made.collect()
}

/// How a target is spoken to.
///
/// # Errors
/// Its address or a secret cannot be used, in words.
pub(super) fn channel(target: &TargetSettings) -> Result<Channel, String> {
    match target.kind {
        TargetKind::Webhook => Ok(Channel::Webhook(Box::new(WebhookChannel::new(
            WebhookSetup {
                url: url(target)?,
                headers: headers(target)?,
                key: target
                    .secret
                    .as_ref()
                    .map(|it| SigningKey::read(it.expose())),
                timeout: duration(target.timeout),
                poster: Poster::new(target.allow_private)?,
            },
        )))),
    }
}

fn url(target: &TargetSettings) -> Result<Url, String> {
    let url = target.url.as_ref().ok_or("it has no url")?;
    Url::parse(url.expose()).map_err(|error| format!("its url is none: {error}"))
}

fn headers(target: &TargetSettings) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let mut put = |name: &str, text: &str| -> Result<(), String> {
        let wrong = |_| format!("the header {name} has characters that a header cannot carry");
        let mut value = HeaderValue::try_from(text).map_err(wrong)?;
        value.set_sensitive(true);
        let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
        headers.insert(name, value);
        Ok(())
    };
    if let Some(token) = &target.token {
        put("authorization", &format!("Bearer {}", token.expose()))?;
    }
    if let Some(basic) = &target.basic {
        put(
            "authorization",
            &basic_header(&basic.user, basic.password.expose()),
        )?;
    }
    for (name, value) in &target.headers {
        put(name, value.expose())?;
    }
    Ok(headers)
}

/// Reads incidents in the form of the API.
pub(super) fn brief(db: Db) -> Brief {
    Arc::new(move |ids| {
        let db = db.clone();
        Box::pin(async move {
            let mut reader = db.reader().await?;
            let views = incidents::find_all(reader.lend(), &ids).await?;
            views
                .into_iter()
                .map(briefing)
                .collect::<Result<Briefings, StoreError>>()
        })
    })
}

fn briefing(view: IncidentView) -> Result<(crate::core::ids::IncidentId, Briefing), StoreError> {
    let incident = &view.incident;
    let id = incident.id;
    let (is_open, is_new) = (
        incident.state.is_open(),
        incident.state.word() == StateWord::New,
    );
    let opened_at = incident.opened_at;
    let shown = serde_json::to_value(Incident::from(view));
    Ok((
        id,
        Briefing {
            incident: shown.map_err(|error| StoreError::corrupt("incident", "shape", error))?,
            alerts: Vec::new(),
            is_open,
            is_new,
            opened_at,
        },
    ))
}
