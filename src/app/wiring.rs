//! Settings turned into what each layer takes.
//!
//! Must not start anything.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::response::IntoResponse as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::answer_link::LinkKey;
use crate::api::alertmanager::{Hooks, Pass};
use crate::api::auth::{AuthSetup, TokenKey};
use crate::api::sources::{
    SourceConnection, SourceErrors, SourceStatus, SubscriptionStatus, Trial, Tried, VolatileLabels,
};
use crate::api::{ApiSetup, ApiState, RatingLink};
use crate::config::Settings;
use crate::config::mqtt::{MqttSettings, MqttVersion, Retained};
use crate::config::settings::{LogFormat, ReconcileAuth, SourceKind, SourceSettings};
use crate::core::limits;
use crate::core::time::{Span, Timestamp};
use crate::deliver::board::Deliveries;
use crate::engine::handle::EngineHandle;
use crate::engine::pulses::{Pulse, Word};
use crate::engine::sweep::Sweeper;
use crate::ingest::churn::Volatile;
use crate::ingest::door::{Credential, Door, KeyDigest, SourceSetup};
use crate::ingest::mqtt::{BrokerSetup, Hello, LinkState, RECEIVE_MAX, SparkplugSetup, Version};
use crate::ingest::reconcile::PollSetup;
use crate::ingest::seen::Summary;
use crate::ingest::{Incoming, Ingest, IngestSetup};
use crate::runtime::clock::Clock;
use crate::runtime::entropy::random_bytes;
use crate::runtime::listen::Limits;
use crate::runtime::supervise::Stage;
use crate::runtime::tls::{ClientTlsPaths, TlsHolder, TlsPaths};
use crate::store::Db;
use crate::telemetry::LogSettings;
use crate::telemetry::metrics::Metrics;
use crate::tickets::Board;
use crate::token_key;

use super::answer_board::AnswerBoard;
use super::connectors;
use super::feeds::FeedBook;
use super::imports::ImportBoard;
use super::tell_hooks::tell_hooks;
use super::{admission, demo};

/// Waits for settings that are other in what somebody looks at, or for the stop.
pub(super) async fn until_other(
    settings: &mut watch::Receiver<Arc<Settings>>,
    stop: &CancellationToken,
    is_other: impl Fn(&Settings) -> bool,
) {
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => {}
            changed = settings.changed() => {
                if changed.is_err() {
                    stop.cancelled().await;
                }
            }
        }
        if is_other(&settings.borrow_and_update()) {
            return;
        }
    }
}

/// Who looks after what is stored but not decided.
pub(super) fn sweeper(db: &Db, engine: &EngineHandle, clock: &Clock) -> Sweeper {
    Sweeper {
        db: db.clone(),
        partition: super::PARTITION,
        engine: engine.clone(),
        clock: clock.clone(),
    }
}

/// The folder of lock file, instance id and token key; only its owner may look inside.
pub(super) fn make_state_dir(settings: &Settings) -> anyhow::Result<()> {
    let folder = settings.state_dir();
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("the state directory {} cannot be made", folder.display()))
}

/// What each log line is like.
pub(super) fn log_settings(settings: &Settings, clock: &Clock) -> LogSettings {
    use crate::telemetry::LogFormat as To;
    let clock = clock.clone();
    LogSettings {
        filter: settings.log.level.clone(),
        format: match settings.log.format {
            LogFormat::Auto | LogFormat::Journal => To::Auto,
            LogFormat::Text => To::Text,
            LogFormat::Json => To::Json,
        },
        now: Arc::new(move || clock.now().as_millis()),
    }
}

/// What a client may use.
pub(super) fn limits(settings: &Settings) -> Limits {
    let server = &settings.server;
    Limits {
        connections: usize::try_from(server.connections_max).unwrap_or(usize::MAX),
        header_timeout: duration(server.header_timeout),
        body_timeout: duration(server.body_timeout),
        drain_timeout: duration(server.drain_timeout),
        ..Limits::default()
    }
}

/// The certificate, if TLS is configured.
pub(super) fn tls(settings: &Settings) -> anyhow::Result<Option<TlsHolder>> {
    let paths = tls_paths(settings);
    Ok(paths.as_ref().map(TlsHolder::load).transpose()?)
}

/// The files of the certificate, if TLS is configured.
pub(super) fn tls_paths(settings: &Settings) -> Option<TlsPaths> {
    let tls = settings.server.tls.as_ref()?;
    Some(TlsPaths {
        cert: tls.cert.clone(),
        key: tls.key.clone(),
        client_ca: tls.client_ca.clone(),
    })
}

/// The doors.
pub(super) fn ingest_setup(settings: &Settings, is_demo: bool) -> IngestSetup {
    let mut sources: Vec<_> = settings.sources.iter().filter_map(source_setup).collect();
    sources.extend(admission::heartbeat_source(settings));
    if is_demo {
        sources.extend(demo::source());
    }
    IngestSetup {
        sources,
        heartbeats: settings
            .heartbeats
            .iter()
            .map(admission::heartbeat_setup)
            .collect(),
        peer_rate: settings.limits.peer_rate.map(admission::rate),
        body_max: usize::try_from(settings.server.body_max).unwrap_or(usize::MAX),
        inbox_rows: i64::from(settings.limits.inbox_rows),
    }
}

/// `None` never happens for settings that were loaded: a source without the mapping that its kind needs is an error there.
fn source_setup(source: &SourceSettings) -> Option<SourceSetup> {
    let decoder = source.decoder()?;
    let mut credentials = Vec::new();
    if let Some(token) = &source.token {
        credentials.push(Credential::new(
            "authorization",
            &format!("Bearer {}", token.expose()),
        ));
    }
    if let Some(basic) = &source.basic {
        credentials.push(Credential::new(
            "authorization",
            &basic_header(&basic.user, basic.password.expose()),
        ));
    }
    if let Some(header) = &source.header {
        credentials.push(Credential::new(&header.name, header.value.expose()));
    }
    Some(SourceSetup {
        name: source.name.clone(),
        path: source.path(),
        decoder,
        credentials,
        keys: source
            .keys
            .iter()
            .map(|key| KeyDigest::new(key.expose()))
            .collect(),
        is_reconciled: source.reconcile.is_some(),
        has_api: source.api,
        proof: admission::proof(source),
        filters: source
            .mqtt
            .as_ref()
            .map(|mqtt| mqtt.subscribe.clone())
            .unwrap_or_default(),
    })
}

/// The sources that are asked what is really active.
pub(super) fn poll_setups(settings: &Settings) -> Vec<PollSetup> {
    let polled = settings
        .sources
        .iter()
        .filter_map(|source| Some((source, source.reconcile.as_ref()?)));
    polled
        .map(|(source, reconcile)| PollSetup {
            source: source.name.clone(),
            url: reconcile.url.clone(),
            every: duration(reconcile.every),
            authorization: reconcile.auth.as_ref().map(|auth| match auth {
                ReconcileAuth::Token(token) => format!("Bearer {}", token.expose()),
                ReconcileAuth::Basic(basic) => basic_header(&basic.user, basic.password.expose()),
            }),
        })
        .collect()
}

/// The brokers, each with the client id of this installation unless the operator chose one.
pub(crate) fn broker_setups(settings: &Settings, instance: &str) -> Vec<BrokerSetup> {
    let sources = settings.sources.iter().filter_map(|source| {
        let mqtt = source.mqtt.as_ref()?;
        let sparkplug = (source.kind == SourceKind::Sparkplug).then(|| SparkplugSetup {
            is_mapped: source.mapping.is_some(),
            asks_rebirth: mqtt.rebirth,
        });
        Some((source.name.clone(), mqtt, sparkplug))
    });
    let answers = settings.answers.brokers.iter().map(|answers| {
        let name = format!("{}{}", super::replies::PREFIX, answers.name);
        (name, &answers.broker, None)
    });
    let setups = sources.chain(answers);
    setups
        .map(|(name, mqtt, sparkplug)| broker_setup(name, mqtt, sparkplug, instance))
        .collect()
}

fn broker_setup(
    name: String,
    mqtt: &MqttSettings,
    sparkplug: Option<SparkplugSetup>,
    instance: &str,
) -> BrokerSetup {
    let seconds = |span: Span| span.as_millis() / 1000;
    let login = mqtt.user.clone().map(|user| {
        let password = mqtt
            .password
            .as_ref()
            .map(|password| password.expose().to_owned());
        (user, password.unwrap_or_default())
    });
    let hello = Hello {
        version: match mqtt.version {
            MqttVersion::V3 => Version::V3,
            MqttVersion::V5 => Version::V5,
        },
        client_id: mqtt
            .client_id
            .clone()
            .unwrap_or_else(|| format!("watchbell-{}-{instance}", name.replace(':', "-"))),
        keep_alive: u16::try_from(seconds(mqtt.keep_alive)).unwrap_or(u16::MAX),
        login,
        session_expiry: u32::try_from(seconds(mqtt.session_expiry)).unwrap_or(u32::MAX),
        packet_max: u32::try_from(mqtt.packet_max).unwrap_or(u32::MAX),
        receive_max: RECEIVE_MAX,
    };
    BrokerSetup {
        source: name,
        host: mqtt.host.clone(),
        port: mqtt.port,
        shown: mqtt.shown(),
        tls: mqtt.is_tls.then(|| ClientTlsPaths {
            ca: mqtt.ca.clone(),
            identity: mqtt.identity.clone(),
        }),
        hello,
        filters: mqtt.subscribe.clone(),
        shared_group: mqtt.shared_group.clone(),
        ignores_retained: mqtt.retained == Retained::Ignore,
        sparkplug,
    }
}

/// A span as the runtime takes it; negative ones are none.
pub(super) fn duration(span: Span) -> Duration {
    Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(0))
}

pub(super) fn basic_header(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// What the API is made of.
pub(super) struct ApiParts<'a> {
    pub(super) settings: &'a Settings,
    pub(super) token_key: TokenKey,
    pub(super) db: Db,
    pub(super) engine: EngineHandle,
    pub(super) ingest: Ingest,
    pub(super) deliveries: Deliveries,
    pub(super) answers: AnswerBoard,
    pub(super) metrics: Arc<Metrics>,
    pub(super) imports: ImportBoard,
    pub(super) feeds: FeedBook,
    pub(super) connectors: Board,
    pub(super) clock: Clock,
    pub(super) stage: Stage,
}

/// The key of the token hashes.
///
/// # Errors
/// It cannot be read or made.
fn token_key(settings: &Settings) -> anyhow::Result<TokenKey> {
    let key = token_key::load_or_create(settings.state_dir(), random_bytes::<32>()?)?;
    Ok(TokenKey::new(*key))
}

/// The key of the token hashes, and that of the links by which people answer.
///
/// # Errors
/// It cannot be read or made.
pub(super) fn keys(settings: &Settings) -> anyhow::Result<(TokenKey, LinkKey)> {
    let key = token_key(settings)?;
    let links = LinkKey::derive(key.expose());
    Ok((key, links))
}

/// The API's state.
pub(super) fn api_state(parts: ApiParts<'_>) -> ApiState {
    let ApiParts {
        settings,
        token_key,
        db,
        engine,
        ingest,
        deliveries,
        answers,
        metrics,
        imports,
        feeds,
        connectors: board,
        clock,
        stage,
    } = parts;
    let [submit, readiness, pulses, silences, way_to_writer] =
        std::array::from_fn(|_| engine.clone());
    let links = LinkKey::derive(token_key.expose());
    let hooks = alertmanager_hooks(ingest.clone(), clock.now());
    let (figures, doors, tried_at, replayed) =
        (ingest.clone(), ingest.clone(), ingest.clone(), ingest);
    let (now, shown_at, board_clock) = (clock.clone(), clock.clone(), clock.clone());
    ApiState::new(ApiSetup {
        db,
        engine,
        submit: Arc::new(move |given| {
            let engine = submit.clone();
            Box::pin(async move { engine.command(given).await })
        }),
        alertmanager: hooks,
        unready: Arc::new(move || readiness.readiness().err().into_iter().collect()),
        sources: Arc::new(move || sources(&silences, &doors, &shown_at)),
        imports: Arc::new(move || imports.list()),
        feeds: Arc::new(move || feeds.list()),
        connectors: Arc::new(move || {
            let now = board_clock.now();
            let posts = board.list().into_iter();
            posts
                .map(|post| connectors::connector_status(post, now))
                .collect()
        }),
        heartbeats: Arc::new(move || {
            pulses
                .pulses()
                .heartbeats
                .iter()
                .map(admission::heartbeat_status)
                .collect()
        }),
        replay: Arc::new(move |letter| Box::pin(admission::replay(replayed.clone(), letter))),
        try_source: Arc::new(move |trial| try_source(&tried_at, &now, trial)),
        tell: tell_hooks(&deliveries, answers, way_to_writer.writer(), &clock),
        metrics: Arc::new(move || {
            figures.refresh_figures();
            metrics.encode()
        }),
        clock,
        stage,
        auth: AuthSetup {
            is_open: !settings.auth.is_required,
            is_metrics_open: !settings.auth.is_required,
            key: token_key,
        },
        rating_link: rating_link(&links, settings),
        links,
        slack_secret: slack_secret(settings),
        entropy: Arc::new(|| random_bytes::<32>().map_err(|error| error.to_string())),
    })
}

fn slack_secret(settings: &Settings) -> Option<Arc<str>> {
    let secret = settings.answers.slack_signing_secret.as_ref();
    secret.map(|secret| secret.expose().into())
}

/// Makes links to rate by with these settings.
fn rating_link(links: &LinkKey, settings: &Settings) -> RatingLink {
    let (key, settings) = (links.for_ratings(), settings.clone());
    Arc::new(move |incident, who, now| {
        super::answers::rating_url(&key, &settings, incident, who, now)
    })
}

/// The sources and how they do.
fn sources(engine: &EngineHandle, ingest: &Ingest, clock: &Clock) -> Vec<SourceStatus> {
    let pulses = engine.pulses();
    let of = |door: &Door| pulses.sources.iter().find(|pulse| pulse.name == door.name);
    let doors = ingest.doors();
    doors
        .iter()
        .map(|door| source_status(door, of(door), clock.now()))
        .collect()
}

/// How the API of Alertmanager reaches the source that owns it.
fn alertmanager_hooks(ingest: Ingest, started_at: Timestamp) -> Hooks {
    let router = crate::ingest::alertmanager::router(ingest.clone());
    Hooks {
        started_at,
        door: Arc::new(move |headers| {
            let door = ingest.api_door()?;
            Some(match (door.asks_for_secret(), door.knows_secret(headers)) {
                (_, true) => Pass::Opened(door.name.clone()),
                (true, false) => Pass::Refused,
                // What it signs is looked at when its body is there; it opens nothing else.
                (false, false) if door.is_guarded() => Pass::Signed,
                (false, false) => Pass::Unguarded,
            })
        }),
        take: Arc::new(move |request| {
            let router = router.clone();
            Box::pin(async move { router.oneshot(request).await.into_response() })
        }),
    }
}

/// What a source makes of a message, in the form of the API.
fn try_source(ingest: &Ingest, clock: &Clock, trial: Trial) -> Option<Tried> {
    let door = ingest.door(&trial.source)?;
    let query = trial.query.as_deref();
    let mut message = Incoming::of_request(door.decoder(), &trial.headers, query, trial.body);
    message.published_to(&trial.topic, &door.filters);
    let tried = message.tried(door.decoder(), &door.name, clock.now());
    let items = tried.items.iter().map(serde_json::to_value);
    Some(Tried {
        items: items.filter_map(Result::ok).collect(),
        source: tried.source,
        kind: tried.kind,
        understood: tried.understood,
        error: tried.error,
        observed: tried.observed,
        rejected: tried.rejected,
        skipped: tried.skipped,
        tests: tried.tests,
        notes: tried.notes,
        advice: tried.advice,
    })
}

fn source_status(door: &Door, silence: Option<&Pulse>, now: Timestamp) -> SourceStatus {
    let seen = door.seen.summary(now);
    let counts = [
        ("received", &door.series.received),
        ("stored", &door.series.stored),
        ("duplicate", &door.series.duplicate),
        ("rejected", &door.series.rejected),
        ("limited", &door.series.limited),
    ];
    SourceStatus {
        warnings: warnings(&seen),
        name: door.name.clone(),
        kind: door.kind().to_owned(),
        path: (!door.is_remote()).then(|| door.path.clone()),
        connection: door.is_remote().then(|| connection(door.link.state())),
        open: !door.is_guarded(),
        reconciled: door.is_reconciled,
        last_message_at: seen.last_message_at.map(Into::into),
        silent_s: seen.last_message_at.map(|at| duration_s(now.since(at))),
        last_test_at: seen.last_test_at.map(Into::into),
        last_test: seen.last_test,
        tests: seen.tests,
        rate: (seen.rate * 1000.0).round() / 1000.0,
        messages: counts
            .map(|(outcome, counter)| (outcome.to_owned(), counter.get()))
            .into(),
        errors: SourceErrors {
            count: seen.errors,
            last_at: seen.last_error_at.map(Into::into),
            last_reason: seen.last_error,
        },
        skew_s: seen.skew.map(duration_s),
        silent_after_s: silence.map(|pulse| duration_s(pulse.rule.every)),
        subscription: seen.subscription.map(|wanted| SubscriptionStatus {
            topic: wanted.topic,
            url: wanted.url,
            at: wanted.at.into(),
            confirmed: wanted.is_confirmed,
        }),
        silent: silence.map(|pulse| pulse.word == Word::Missing),
        volatile_labels: seen
            .volatile
            .into_iter()
            .map(|found| VolatileLabels {
                alertname: found.alertname,
                labels: found.labels,
                variants: found.variants,
            })
            .collect(),
    }
}

fn connection(state: LinkState) -> SourceConnection {
    SourceConnection {
        broker: state.broker,
        connected: state.is_connected,
        since: state.since.map(Into::into),
        session_kept: state.is_session_kept,
        waiting: state.is_waiting,
        last_error: state.last_error,
        last_error_at: state.last_error_at.map(Into::into),
    }
}

fn warnings(seen: &Summary) -> Vec<String> {
    let skew = seen.skew.filter(|skew| *skew > limits::SKEW_WARN);
    let skew = skew.map(|skew| {
        let ahead_s = skew.as_millis() / 1000;
        format!("its clock is {ahead_s} s ahead of ours")
    });
    let volatile = seen.volatile.iter().map(Volatile::warning);
    skew.into_iter().chain(volatile).collect()
}

fn duration_s(span: Span) -> f64 {
    let magnitude = Duration::from_millis(span.as_millis().unsigned_abs()).as_secs_f64();
    if span < Span::ZERO {
        -magnitude
    } else {
        magnitude
    }
}
