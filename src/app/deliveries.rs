//! Targets and their workers: made of the settings, replaced when those change.
//!
//! Must not decide who is told, or what a message says.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::tz::TimeZone;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::api::shapes::{Alert, Incident};
use crate::config::target_profiles;
use crate::config::targets::{TargetKind, TargetSettings};
use crate::config::{Secret, Settings};
use crate::core::ids::IncidentId;
use crate::core::incident::StateWord;
use crate::core::rules::Rules;
use crate::core::time::Timestamp;
use crate::deliver::board::Deliveries;
use crate::deliver::channel::{
    Channel, CommandChannel, CommandSetup, MailChannel, MailSetup, MailTls, MqttChannel, MqttSetup,
    ProfileChannel, ProfileSetup, SigningKey, WebhookChannel, WebhookSetup,
};
use crate::deliver::strays::{self, Strays};
use crate::deliver::text::TextSetup;
use crate::deliver::{self, Brief, Briefing, Briefings, DeliverSetup, Lost, TargetSetup};
use crate::engine::handle::EngineHandle;
use crate::runtime::clock::Clock;
use crate::store::query::Page;
use crate::store::query::alerts::{self, AlertFilter, AlertOrder};
use crate::store::query::incidents::{self, IncidentView};
use crate::store::{Conn, Db, StoreError};
use crate::wire::post::Poster;

use super::wiring::{basic_header, duration};

/// Alerts that a text names.
const ALERTS_SHOWN: u32 = 5;
/// How often it is counted what waits.
const COUNT_EVERY: std::time::Duration = std::time::Duration::from_secs(2);

/// The workers to be run.
pub(super) struct Workers {
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    pub(super) setup: DeliverSetup,
    pub(super) deliveries: Deliveries,
    pub(super) strays: Strays,
}

impl Workers {
    /// Works until it is told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let settings = Arc::clone(&self.settings.borrow_and_update());
            let round = stop.child_token();
            let mut work = std::pin::pin!(deliver::run(
                self.setup.clone(),
                target_setups(&settings),
                self.deliveries.clone(),
                round.clone(),
            ));
            // Whoever looks right after the start sees every target.
            self.count().await;
            loop {
                tokio::select! {
                    () = &mut work => break,
                    () = tokio::time::sleep(COUNT_EVERY) => self.count().await,
                    changed = self.settings.changed(), if !round.is_cancelled() => {
                        if changed.is_err() {
                            stop.cancelled().await;
                        }
                        // A reload that leaves the targets as they are does not disturb them.
                        if is_other(&self.settings.borrow(), &settings) || changed.is_err() {
                            self.setup.metrics.forget_targets();
                            round.cancel();
                        }
                    }
                }
            }
        }
    }

    async fn count(&mut self) {
        if let Err(error) = self.look().await {
            log::debug!(error:% = error; "what waits in the outbox could not be counted: {error}");
        }
    }

    /// Counts what waits, and ends what waits for targets that are no longer configured.
    async fn look(&mut self) -> Result<(), StoreError> {
        let mut seen = self.deliveries.count(&self.setup).await?;
        // One that is configured but cannot be used keeps what waits for it: the next reload may mend it.
        for target in &self.settings.borrow().targets {
            seen.remove(&target.name);
        }
        for name in self.strays.settled(seen) {
            strays::end(&self.setup, &name).await?;
        }
        Ok(())
    }
}

/// Whether the targets or what their texts are made of have changed.
fn is_other(now: &Settings, before: &Settings) -> bool {
    now.targets != before.targets || surroundings(now) != surroundings(before)
}

/// What all targets depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Surroundings<'a> {
    external_url: Option<&'a str>,
    is_interactive: bool,
    state_dir: &'a Path,
}

/// What all targets depend on, by these settings.
pub(crate) fn surroundings(settings: &Settings) -> Surroundings<'_> {
    Surroundings {
        external_url: settings.server.external_url.as_deref(),
        is_interactive: settings.answers.slack_signing_secret.is_some(),
        state_dir: settings.state_dir(),
    }
}

/// The targets, ready to be sent to; one that cannot be made is left out, loudly.
fn target_setups(settings: &Settings) -> Vec<TargetSetup> {
    let around = surroundings(settings);
    let made = settings.targets.iter().filter_map(|target| {
        let channel = channel(target, around);
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
pub(crate) fn channel(
    target: &TargetSettings,
    around: Surroundings<'_>,
) -> Result<Channel, String> {
    let text = TextSetup {
        is_interactive: around.is_interactive,
        external_url: around.external_url.map(str::to_owned),
        zone: target.zone.clone().unwrap_or(TimeZone::UTC),
        title: target.title.as_deref().map(Into::into),
        text: target.text.as_deref().map(Into::into),
    };
    let timeout = duration(target.timeout);
    match target.kind {
        TargetKind::Webhook => Ok(Channel::Webhook(Box::new(WebhookChannel::new(
            WebhookSetup {
                url: url(target)?,
                headers: headers(target, true)?,
                key: target
                    .secret
                    .as_ref()
                    .map(|it| SigningKey::read(it.expose())),
                timeout,
                poster: Poster::new(target.allow_private)?,
            },
        )))),
        TargetKind::Email => mail(target, text),
        TargetKind::Mqtt => {
            let url = url(target)?;
            let is_tls = matches!(url.scheme(), "mqtts" | "ssl");
            Ok(Channel::Mqtt(Box::new(MqttChannel::new(MqttSetup {
                host: host(&url)?,
                port: url.port().unwrap_or(if is_tls { 8883 } else { 1883 }),
                is_tls,
                ca: target.ca.clone(),
                retain: target.retain,
                login: login(target, &url),
                topic: target.to.first().cloned().unwrap_or_default(),
                text,
                timeout,
                allow_private: target.allow_private,
            }))))
        }
        TargetKind::Command => {
            let setup = CommandSetup {
                command: target.command.clone(),
                text,
                timeout,
                new_privileges: target.new_privileges,
                folder: around.state_dir.join("commands").join(&target.name),
            };
            Ok(Channel::Command(Box::new(CommandChannel::new(setup))))
        }
        TargetKind::Profile(kind) => profile(target, kind, text),
    }
}

fn profile(target: &TargetSettings, kind: &str, text: TextSetup) -> Result<Channel, String> {
    let (_, profile) = target_profiles::find(kind).ok_or("there is no such kind")?;
    let mut values = BTreeMap::new();
    let mut put = |name: &'static str, value: Option<&str>| {
        if let Some(value) = value {
            values.insert(name, value.to_owned());
        }
    };
    put(
        "url",
        target
            .url
            .as_ref()
            .map(|it| it.expose().trim_end_matches('/')),
    );
    put("token", target.token.as_ref().map(Secret::expose));
    put("user", target.basic.as_ref().map(|it| it.user.as_str()));
    put(
        "password",
        target.basic.as_ref().map(|it| it.password.expose()),
    );
    put("from", target.from.as_deref());
    put("to", target.to.first().map(String::as_str));
    let method = profile.method.as_deref().unwrap_or("POST");
    Ok(Channel::Profile(Box::new(ProfileChannel::new(
        ProfileSetup {
            method: method
                .parse()
                .map_err(|_| format!("{method} is no method"))?,
            url: profile.url.clone(),
            is_url_secret: profile.is_url_secret,
            headers: profile.headers.clone(),
            is_basic: profile.is_basic,
            body: profile.body.clone(),
            form: profile.form.clone(),
            failed: profile.failed.clone(),
            values,
            more_headers: headers(target, false)?,
            text,
            timeout: duration(target.timeout),
            poster: Poster::new(target.allow_private)?,
        },
    ))))
}

fn mail(target: &TargetSettings, text: TextSetup) -> Result<Channel, String> {
    let url = url(target)?;
    let (tls, port) = match url.scheme() {
        "smtps" => (MailTls::Wrapped, 465),
        "smtp+starttls" => (MailTls::Required, 587),
        _ => (MailTls::Opportunistic, 25),
    };
    Ok(Channel::Mail(Box::new(MailChannel::new(MailSetup {
        host: host(&url)?,
        port: url.port().unwrap_or(port),
        tls,
        ca: target.ca.clone(),
        login: login(target, &url),
        from: target.from.clone().unwrap_or_default(),
        to: target.to.clone(),
        text,
        timeout: duration(target.timeout),
        allow_private: target.allow_private,
    }))))
}

fn host(url: &Url) -> Result<String, String> {
    let host = url.host_str().ok_or("its url names no host")?;
    Ok(host.trim_matches(['[', ']']).to_owned())
}

/// User and password: keys of their own, or in the address.
fn login(target: &TargetSettings, url: &Url) -> Option<(String, String)> {
    if let Some(basic) = &target.basic {
        return Some((basic.user.clone(), basic.password.expose().to_owned()));
    }
    let decode = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    let password = url.password()?;
    Some((decode(url.username()), decode(password)))
}

fn url(target: &TargetSettings) -> Result<Url, String> {
    let url = target.url.as_ref().ok_or("it has no url")?;
    Url::parse(url.expose()).map_err(|error| format!("its url is none: {error}"))
}

fn headers(target: &TargetSettings, authorizes: bool) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let mut put = |name: &str, text: &str| -> Result<(), String> {
        let wrong = |_| format!("the header {name} has characters that a header cannot carry");
        let mut value = HeaderValue::try_from(text).map_err(wrong)?;
        value.set_sensitive(true);
        let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
        headers.insert(name, value);
        Ok(())
    };
    if let (Some(token), true) = (&target.token, authorizes) {
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

/// Lets the incident's own history know of a message that is given up.
pub(super) fn lost(engine: EngineHandle) -> Lost {
    Arc::new(move |undelivered| {
        let engine = engine.clone();
        Box::pin(async move {
            if let Err(error) = engine.report_undelivered(&undelivered).await {
                let id = undelivered.incident.to_string();
                log::warn!(incident = id.as_str(), error:% = error; "that a message is given up could not be noted: {error}");
            }
        })
    })
}

/// Reads incidents in the form of the API.
pub(super) fn brief(db: Db, engine: EngineHandle, clock: Clock) -> Brief {
    Arc::new(move |ids, with_alerts| {
        let db = db.clone();
        let (rules, now) = (engine.rules(), clock.now());
        Box::pin(async move {
            let mut reader = db.reader().await?;
            let views = incidents::find_all(reader.lend(), &ids).await?;
            let mut briefings = Briefings::new();
            for view in views {
                let id = view.incident.id;
                let mut briefing = briefing(view, &rules, now)?;
                if with_alerts {
                    briefing.alerts = first_alerts(reader.lend(), id).await?;
                }
                briefings.insert(id, briefing);
            }
            Ok(briefings)
        })
    })
}

/// The alerts that a text names: firing ones first, a few.
async fn first_alerts(
    conn: Conn<'_>,
    id: IncidentId,
) -> Result<Vec<serde_json::Value>, StoreError> {
    let filter = AlertFilter {
        member_of: Some(id),
        ..AlertFilter::default()
    };
    let page = Page {
        limit: ALERTS_SHOWN,
        is_newest_first: false,
        after: None,
    };
    let listed = alerts::list(conn, &filter, AlertOrder::Id, page).await?;
    let shown = listed
        .items
        .into_iter()
        .map(|view| serde_json::to_value(Alert::from(view)));
    Ok(shown.filter_map(Result::ok).collect())
}

fn briefing(view: IncidentView, rules: &Rules, now: Timestamp) -> Result<Briefing, StoreError> {
    let incident = &view.incident;
    let (is_open, is_new) = (
        incident.state.is_open(),
        incident.state.word() == StateWord::New,
    );
    let opened_at = incident.opened_at;
    let shown = serde_json::to_value(Incident::from(view).counted(rules, now));
    Ok(Briefing {
        incident: shown.map_err(|error| StoreError::corrupt("incident", "shape", error))?,
        alerts: Vec::new(),
        is_open,
        is_new,
        opened_at,
    })
}
