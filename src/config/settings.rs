//! The checked configuration: the only thing other layers see.
//!
//! Invariants (kept by the readers): source names are unique and well formed, at most one source owns `/api/v2`, no
//! listener that other machines reach is without authentication, every length and size is inside its range. Must not
//! read files, the environment or TOML.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use smol_str::SmolStr;
use url::Url;

use crate::config::answers::AnswerSettings;
use crate::config::connectors::ConnectorSettings;
use crate::config::feeds::{HolidayFeed, RotaFeed, WindowFeed};
pub use crate::config::heartbeats::{HeartbeatSettings, WatchdogSettings};
pub use crate::config::housekeeping::{LimitSettings, LogFormat, LogSettings, RetentionSettings};
use crate::config::imports::ImportSettings;
use crate::config::mqtt::MqttSettings;
use crate::config::secret::Secret;
use crate::config::targets::TargetSettings;
use crate::config::watcher::WatcherSettings;
use crate::core::escalate::Ladder;
use crate::core::flap::FlapRules;
use crate::core::mute::inhibit::InhibitRule;
use crate::core::mute::window::WindowWanted;
use crate::core::oncall::OnCallRules;
use crate::core::practice::PracticeRules;
use crate::core::rules::{CmdbRules, CorrelationRules, IncidentRules, RecordRules, SettleRules};
use crate::core::tell::route::Route;
use crate::core::time::Span;
use crate::sources::mapping::Mapping;
use crate::sources::{Source, decoder};

/// Everything that is configured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// `[server]`: the HTTP listener.
    pub server: ServerSettings,
    /// `[store]`: where everything is kept.
    pub store: StoreSettings,
    /// `[auth]`: who may use the API.
    pub auth: AuthSettings,
    /// `[[source]]`: senders of alerts, in the order written.
    pub sources: Vec<SourceSettings>,
    /// `[[heartbeat]]`: what has to be heard of again and again.
    pub heartbeats: Vec<HeartbeatSettings>,
    /// `[[maintenance]]`: when people are not told of what is worked on.
    pub maintenance: Vec<WindowWanted>,
    /// Calendars behind an address, of which each event is such a window.
    pub window_feeds: Vec<WindowFeed>,
    /// Calendars behind an address that hold holidays.
    pub holiday_feeds: Vec<HolidayFeed>,
    /// Calendars behind an address that say who is on call.
    pub rota_feeds: Vec<RotaFeed>,
    /// `[[inhibit]]`: which incidents hold others.
    pub inhibit: Vec<InhibitRule>,
    /// `[[target]]`: where people are told.
    pub targets: Vec<TargetSettings>,
    /// `[[route]]`: who is told of which incident.
    pub routes: Vec<Route>,
    /// `[watcher]`: who watches the daemon.
    pub watcher: WatcherSettings,
    /// `[incident]`: recover, reopen, close.
    pub incident: IncidentRules,
    /// `[flapping]`: when an alert flaps.
    pub flapping: FlapRules,
    /// `[settle]`: how long incidents stand before people are told.
    pub settle: SettleRules,
    /// `[priority]`, `[[sla]]` and `[[calendar]]`: how soon people must act.
    pub practice: PracticeRules,
    /// `[correlation]`: what belongs together.
    pub correlation: CorrelationRules,
    /// `[cmdb]`: how imports are merged and alerts are bound.
    pub cmdb: CmdbRules,
    /// Records beside incidents: `[change]` and the like.
    pub records: RecordRules,
    /// `[[cmdb.import]]`: inventories that are read again and again.
    pub imports: Vec<ImportSettings>,
    /// `[[person]]`, `[[team]]`, `[[schedule]]`: who can be told, and who is on call.
    pub on_call: OnCallRules,
    /// `[[escalation]]`: who is told next when nobody takes an incident.
    pub ladders: BTreeMap<SmolStr, Arc<Ladder>>,
    /// `[answers]`: how people answer messages.
    pub answers: AnswerSettings,
    /// `[[connector]]`: ticket platforms.
    pub connectors: Vec<ConnectorSettings>,
    /// `[retention]`: how long things are kept.
    pub retention: RetentionSettings,
    /// `[limits]`: bounds that an operator tunes.
    pub limits: LimitSettings,
    /// `[log]`: what is logged and how.
    pub log: LogSettings,
    /// The files this was read from, in order; empty when only the compiled-in defaults were used.
    pub files: Vec<PathBuf>,
    pub(super) state_dir: PathBuf,
}

impl Settings {
    /// The folder of the lock file and the instance id: `$STATE_DIRECTORY`, else the folder of the SQLite file, else
    /// `data`.
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// Why a listener with this address must not be served, if so: other machines reach it and something is open. For
    /// sockets that systemd hands over; configured addresses are checked at load.
    pub fn refusal_to_listen(&self, address: SocketAddr) -> Option<String> {
        if is_loopback(&address) {
            return None;
        }
        if !self.auth.is_required {
            return Some(format!(
                "{address} is reachable from other machines and [auth] required is false"
            ));
        }
        let open = self
            .heartbeats
            .iter()
            .find(|heartbeat| !heartbeat.is_guarded());
        if let Some(open) = open {
            let name = &open.name;
            return Some(format!(
                "{address} is reachable from other machines and heartbeat {name:?} has no token"
            ));
        }
        let open = self
            .sources
            .iter()
            .find(|source| !source.is_authenticated() && !source.is_open)?;
        let name = &open.name;
        Some(format!(
            "{address} is reachable from other machines and source {name:?} has no token"
        ))
    }

    /// Why these settings must not be applied while the sockets of `running` stay open, if so: a reload cannot move
    /// them, and other machines may reach one of them.
    pub fn refusal_to_apply(&self, running: &Self, sockets: &[SocketAddr]) -> Option<String> {
        let applied = Self {
            auth: running.auth,
            sources: self.sources.clone(),
            heartbeats: self.heartbeats.clone(),
            ..Self::default()
        };
        sockets
            .iter()
            .find_map(|address| applied.refusal_to_listen(*address))
    }

    /// The keys that differ in `new` and that only a restart applies; a reload keeps their old values.
    pub fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        let (was, is) = (&self.server, &new.server);
        let differs = [
            ("server.listen", was.listen != is.listen),
            (
                "server.header_timeout",
                was.header_timeout != is.header_timeout,
            ),
            ("server.body_timeout", was.body_timeout != is.body_timeout),
            (
                "server.drain_timeout",
                was.drain_timeout != is.drain_timeout,
            ),
            (
                "auth.required",
                self.auth.is_required != new.auth.is_required,
            ),
            ("server.tls", was.tls.is_some() != is.tls.is_some()),
            (
                "server.connections_max",
                was.connections_max != is.connections_max,
            ),
            ("store.url", self.store.url != new.store.url),
            ("store.password", self.store.password != new.store.password),
            (
                "store.read_connections",
                self.store.read_connections != new.store.read_connections,
            ),
            (
                "store.batch_rows",
                self.store.batch_rows != new.store.batch_rows,
            ),
            ("log.format", self.log.format != new.log.format),
        ];
        differs
            .into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(key, _)| key)
            .collect()
    }
}

/// Whether only this machine reaches the address.
pub fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// `[server]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerSettings {
    /// Addresses to listen on; at least one.
    pub listen: Vec<SocketAddr>,
    /// The address under which people and other systems reach this daemon, without a slash at its end.
    pub external_url: Option<String>,
    /// Bytes of a request body after decompression.
    pub body_max: u64,
    /// Open connections; further ones wait to be accepted.
    pub connections_max: u32,
    /// Time for a request's headers to arrive.
    pub header_timeout: Span,
    /// Time for a request's body to arrive.
    pub body_timeout: Span,
    /// Time that running requests get at shutdown.
    pub drain_timeout: Span,
    /// TLS; plain HTTP without it.
    pub tls: Option<TlsSettings>,
}

/// `server.tls`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// PEM file of the certificate chain; readable at load.
    pub cert: PathBuf,
    /// PEM file of the private key; readable at load.
    pub key: PathBuf,
    /// PEM file of the authorities whose client certificates are demanded.
    pub client_ca: Option<PathBuf>,
}

/// `[store]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreSettings {
    /// Which database.
    pub url: StoreUrl,
    /// Password for PostgreSQL, when it is not in the URL.
    pub password: Option<Secret>,
    /// Connections for reading; one more writes.
    pub read_connections: u32,
    /// Rows written in one transaction at most.
    pub batch_rows: u32,
}

/// Where everything is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// A SQLite file, relative to the working directory.
    Sqlite(PathBuf),
    /// A `postgres://` URL; secret, since it may hold a password.
    Postgres(Secret),
}

impl Default for StoreUrl {
    fn default() -> Self {
        Self::Sqlite(PathBuf::from("data/watchbell.db"))
    }
}

impl StoreSettings {
    /// The URL that the store is opened with, the password in it.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub fn full_url(&self) -> Result<Secret, &'static str> {
        match (&self.url, &self.password) {
            (StoreUrl::Sqlite(path), _) => match path.to_str() {
                Some(path) => Ok(Secret::new(format!("sqlite:{path}"))),
                None => {
                    Err("the path of the store is not valid UTF-8; set [store] url to another path")
                }
            },
            (StoreUrl::Postgres(url), None) => Ok(url.clone()),
            (StoreUrl::Postgres(url), Some(password)) => {
                let bad = "the store url cannot hold a password; write it as postgres://user@host/database";
                let mut url = Url::parse(url.expose()).map_err(|_| bad)?;
                url.set_password(Some(password.expose()))
                    .map_err(|()| bad)?;
                Ok(Secret::new(url.as_str()))
            }
        }
    }
}

/// `[auth]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuthSettings {
    /// Whether the API asks for a token; always true when other machines reach a listener.
    pub is_required: bool,
}

/// `[[source]]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceSettings {
    /// Unique; part of the path `/ingest/{name}` and of every alert key.
    pub name: String,
    /// Which decoder reads its messages.
    pub kind: SourceKind,
    /// Accepted as `Authorization: Bearer`.
    pub token: Option<Secret>,
    /// Accepted as HTTP basic authentication.
    pub basic: Option<Basic>,
    /// Accepted as a header of its own.
    pub header: Option<HeaderToken>,
    /// How its messages are proven.
    pub signature: Option<SignatureSettings>,
    /// What is done with the messages of Amazon SNS.
    pub sns: SnsSettings,
    /// How much it may send.
    pub rate: Option<RateSettings>,
    /// What senders of a kind with keys of its own send; empty for other kinds.
    pub keys: Vec<Secret>,
    /// Whether everybody may send, written down by the operator.
    pub is_open: bool,
    /// A firing alert that is not repeated for this long expires.
    pub expire_after: Span,
    /// A late firing after an explicit resolve is parked this long.
    pub reorder_window: Span,
    /// An alert fires when no message comes for this long.
    pub silent_after: Option<Span>,
    /// How the source is asked what is really active.
    pub reconcile: Option<Reconcile>,
    /// Whether this source owns `/api/v2`; true for at most one.
    pub api: bool,
    /// The preset that its mapping starts from.
    pub preset: Option<String>,
    /// What its messages mean; always there for the kinds that need it.
    pub mapping: Option<Arc<Mapping>>,
    /// The broker, for the kinds that have one.
    pub mqtt: Option<Arc<MqttSettings>>,
}

impl SourceSettings {
    /// The decoder of this source, for as long as these settings hold; `None` only for settings that were not loaded.
    pub fn decoder(&self) -> Option<Arc<dyn Source>> {
        decoder(self.kind.word(), self.mapping.as_ref())
    }

    /// The path that its senders are given; empty when they publish to a broker.
    pub fn path(&self) -> String {
        match self.kind {
            SourceKind::PagerDuty => "/pagerduty/v2/enqueue".to_owned(),
            SourceKind::Opsgenie => "/opsgenie/v2/alerts".to_owned(),
            SourceKind::Alertmanager
            | SourceKind::Json
            | SourceKind::CloudEvents
            | SourceKind::Sns => format!("/ingest/{}", self.name),
            SourceKind::Mqtt | SourceKind::Sparkplug => String::new(),
        }
    }

    /// Whether a sender has to prove who it is.
    pub fn is_authenticated(&self) -> bool {
        let has_secret = self.token.is_some() || self.basic.is_some() || self.header.is_some();
        let is_proven = self.signature.is_some() || self.sns.is_verified;
        has_secret || is_proven || !self.keys.is_empty()
    }
}

/// `source.signature`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureSettings {
    /// Whose way of signing.
    pub kind: SignatureKind,
    /// Secrets, any of which will do; read with [`SignatureSettings::key_bytes`].
    pub keys: Vec<Secret>,
    /// The header of the signature, in lower case; empty for Standard Webhooks.
    pub header: String,
    /// The header of the time that is signed with the body, in lower case.
    pub timestamp_header: Option<String>,
    /// What stands before the signature.
    pub prefix: String,
    /// Which hash.
    pub hash: SignatureHash,
    /// How far a signed time may be from ours.
    pub tolerance: Span,
}

/// Whose way of signing messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureKind {
    /// GitHub's.
    GitHub,
    /// Grafana's.
    Grafana,
    /// Sentry's.
    Sentry,
    /// That of Standard Webhooks and Svix.
    StandardWebhooks,
    /// Any keyed hash in a header.
    Hmac,
}

/// Which hash a signature is made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignatureHash {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

/// What is done with the messages of Amazon SNS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnsSettings {
    /// Whether they must be signed by SNS.
    pub is_verified: bool,
    /// Topics whose subscriptions are confirmed without a person.
    pub confirmed_topics: Vec<String>,
}

/// How much may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateSettings {
    /// Messages each second in the long run; at least one.
    pub per_second: NonZeroU32,
    /// Messages at once; at least one.
    pub burst: NonZeroU32,
}

/// Kinds of sources that this version has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceKind {
    /// Prometheus and Alertmanager.
    #[default]
    Alertmanager,
    /// Anything that a mapping fits.
    Json,
    /// CloudEvents 1.0.
    CloudEvents,
    /// Amazon SNS.
    Sns,
    /// Tools that speak PagerDuty's Events API.
    PagerDuty,
    /// Tools that speak Opsgenie's alert API.
    Opsgenie,
    /// What a broker hands on, by a mapping.
    Mqtt,
    /// Births, deaths and metrics of Sparkplug B nodes.
    Sparkplug,
}

impl SourceKind {
    /// The word in the configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Alertmanager => "alertmanager",
            Self::Json => "json",
            Self::CloudEvents => "cloudevents",
            Self::Sns => "sns",
            Self::PagerDuty => "pagerduty",
            Self::Opsgenie => "opsgenie",
            Self::Mqtt => "mqtt",
            Self::Sparkplug => "sparkplug",
        }
    }

    /// Whether its messages mean nothing without a mapping.
    pub const fn is_mapped(self) -> bool {
        match self {
            Self::Alertmanager | Self::PagerDuty | Self::Opsgenie => false,
            Self::Json | Self::CloudEvents | Self::Sns | Self::Mqtt | Self::Sparkplug => true,
        }
    }

    /// Whether a mapping may be left out all the same.
    pub const fn is_mapping_optional(self) -> bool {
        matches!(self, Self::Sparkplug)
    }

    /// Whether we go to a broker for its messages.
    pub const fn has_broker(self) -> bool {
        matches!(self, Self::Mqtt | Self::Sparkplug)
    }

    /// Whether its senders say something once and never repeat it.
    pub const fn is_unrepeated(self) -> bool {
        self.keys_word().is_some() || self.has_broker()
    }

    /// The name of the keys by which senders of this kind say who they are, if it has such.
    pub const fn keys_word(self) -> Option<&'static str> {
        match self {
            Self::PagerDuty => Some("routing_keys"),
            Self::Opsgenie => Some("api_keys"),
            Self::Alertmanager
            | Self::Json
            | Self::CloudEvents
            | Self::Sns
            | Self::Mqtt
            | Self::Sparkplug => None,
        }
    }

    /// The preset of a mapped kind for which none is named.
    pub const fn usual_preset(self) -> Option<&'static str> {
        match self {
            Self::Alertmanager
            | Self::Json
            | Self::PagerDuty
            | Self::Opsgenie
            | Self::Sparkplug => None,
            Self::Mqtt => Some("mqtt"),
            Self::CloudEvents => Some("cloudevents"),
            Self::Sns => Some("cloudwatch"),
        }
    }
}

/// User and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basic {
    /// User name, without a colon.
    pub user: String,
    /// Password.
    pub password: Secret,
}

/// A header of its own that carries a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderToken {
    /// Header name in lower case.
    pub name: String,
    /// The whole value.
    pub value: Secret,
}

/// `source.reconcile`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconcile {
    /// Base URL of the source, without a slash at its end.
    pub url: String,
    /// Time between two polls.
    pub every: Span,
    /// How we authenticate there.
    pub auth: Option<ReconcileAuth>,
}

/// How we authenticate at a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReconcileAuth {
    /// `Authorization: Bearer`.
    Token(Secret),
    /// HTTP basic authentication.
    Basic(Basic),
}
