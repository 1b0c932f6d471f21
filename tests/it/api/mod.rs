//! The API from outside: a real store, writer and engine, and the router called in process.

mod answers;
mod auth;
mod commands;
mod document;
mod lists;
mod maintenance;
mod schedules;
mod shapes;
mod silences;
mod stream;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::Value;
use smol_str::SmolStr;
use tokio::sync::watch;
use tower::ServiceExt as _;
use watchbell::api::alertmanager::{Hooks, Pass};
use watchbell::api::auth::{AuthSetup, TokenKey};
use watchbell::api::dead_letters::Replayed;
use watchbell::api::sources::{SourceStatus, Trial, Tried};
use watchbell::api::{ApiSetup, ApiState, router};
use watchbell::api_token::{Role, mint, public_id};
use watchbell::core::identity::AlertKey;
use watchbell::core::observation::{AlertText, Claim, Observation};
use watchbell::core::rules::Rules;
use watchbell::core::severity::Severity;
use watchbell::core::time::{Span, Timestamp};
use watchbell::engine::handle::EngineHandle;
use watchbell::engine::sweep::Sweeper;
use watchbell::engine::{Engine, EngineSetup};
use watchbell::runtime::clock::Clock;
use watchbell::runtime::entropy::random_bytes;
use watchbell::runtime::supervise::{Stage, Supervisor};
use watchbell::store::Db;
use watchbell::store::inbox::{InputKind, NewInput, StoredBody};
use watchbell::store::tokens::{self, TokenRow};
use watchbell::store::writer::{Writer, WriterSetup};
use watchbell::telemetry::metrics::Metrics;

/// 2026-11-20T12:00:00Z
const START_MS: i64 = 1_795_176_000_000;
const KEY: [u8; 32] = [7; 32];
/// What Slack signs with.
const SLACK_SECRET: &str = "a secret of Slack";

/// A running daemon without its listener.
pub(crate) struct World {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) engine: EngineHandle,
    pub(crate) setup: ApiSetup,
    pub(crate) router: Router,
    _supervisor: Supervisor,
    _folder: tempfile::TempDir,
}

/// An answer of the API.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// Fails unless it is a problem of that status and name.
    pub(crate) fn problem(&self, status: u16, name: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(
            problem["type"],
            format!("urn:watchbell:problem:{name}"),
            "{problem}"
        );
        assert_eq!(problem["status"], status);
        assert!(!problem["title"].as_str().unwrap().is_empty());
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        problem
    }

    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/json");
        self.json()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// Only the source `am` can be tried.
fn tried(trial: Trial) -> Option<Tried> {
    (trial.source == "am").then(|| Tried {
        source: trial.source,
        ..Tried::default()
    })
}

/// A claim about an alert of the source `am`.
pub(crate) fn claim(name: &str, claim: Claim, severity: Severity, now: Timestamp) -> Observation {
    let text = AlertText {
        summary: SmolStr::new(format!("{name} is in trouble")),
        labels: vec![("alertname".into(), name.into())],
        annotations: vec![("runbook".into(), "turn it off and on".into())],
        generator_url: "http://prometheus.example/graph".into(),
        ci_hint: Some("sw1".into()),
        is_cut: false,
    };
    Observation {
        key: AlertKey::new("am", name),
        claim,
        starts_at: Some(now),
        ends_at: (claim == Claim::Resolved).then_some(now),
        severity,
        text_hash: 1,
        text: Arc::new(text),
        undelivered: 0,
        is_retained: false,
    }
}

fn auth(is_open: bool) -> AuthSetup {
    AuthSetup {
        is_open,
        is_metrics_open: false,
        key: TokenKey::new(KEY),
    }
}

impl World {
    /// Starts with nothing in the store and nobody asked for a token.
    pub(crate) async fn open() -> Self {
        Self::start(true, Rules::default()).await
    }

    /// Starts with tokens demanded.
    pub(crate) async fn guarded() -> Self {
        Self::start(false, Rules::default()).await
    }

    /// Starts with these rules.
    pub(crate) async fn with(rules: Rules) -> Self {
        Self::start(true, rules).await
    }

    async fn start(is_open: bool, rules: Rules) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("watchbell.db").display());
        let db = Db::open(&url, 4).await.unwrap();
        let clock = Clock::manual(Timestamp::from_millis(START_MS));
        let mut supervisor = Supervisor::new();
        let stage = supervisor.stage("all", std::time::Duration::from_secs(5));
        let now = clock.clone();
        let claimed = Writer::claim(WriterSetup {
            db: db.clone(),
            partition: 0,
            holder: "test".to_owned(),
            now: Box::new(move || now.now()),
            on_commit: Box::new(|_| {}),
        });
        let (writer, handle, appended) = claimed.await.unwrap().unwrap();
        supervisor.spawn(&stage, "writer", |stop| async move {
            Ok(writer.run(stop).await?)
        });
        let metrics = Arc::new(Metrics::new("test"));
        let (_, rules) = watch::channel(Arc::new(rules));
        let (engine, engine_handle) = Engine::new(EngineSetup {
            batch_rows: 4_000,
            db: db.clone(),
            partition: 0,
            writer: handle,
            appended,
            rules,
            decode: Arc::new(|_, _| Ok(Vec::new())),
            clock: clock.clone(),
            metrics,
            on_told: Box::new(|_| {}),
            on_turn: Box::new(|| {}),
        });
        supervisor.spawn(&stage, "engine", |stop| async move {
            Ok(Box::pin(engine.run(stop)).await?)
        });
        let sweeper = Sweeper {
            db: db.clone(),
            partition: 0,
            engine: engine_handle.clone(),
            clock: clock.clone(),
        };
        supervisor.spawn(&stage, "sweeper", |stop| async move {
            sweeper.run(stop).await;
            Ok(())
        });
        let setup = api_setup(&db, &engine_handle, &clock, (stage, is_open));
        let world = Self {
            db,
            clock,
            engine: engine_handle,
            router: router(ApiState::new(setup.clone())),
            setup,
            _supervisor: supervisor,
            _folder: folder,
        };
        world
            .until(async |world| world.engine.readiness().is_ok())
            .await;
        world
    }

    /// Yields until something is so.
    pub(crate) async fn until(&self, mut is_so: impl AsyncFnMut(&Self) -> bool) {
        let waiting = async {
            while !is_so(self).await {
                tokio::task::yield_now().await;
            }
        };
        let limit = std::time::Duration::from_secs(20);
        tokio::time::timeout(limit, waiting)
            .await
            .expect("it never became so");
    }

    /// Moves the clock on.
    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.advance(Span::from_secs(seconds));
    }

    /// Receives a message with claims of the source `am`, and waits until they are decided.
    pub(crate) async fn receive(&self, observations: Vec<Observation>) {
        let input = NewInput {
            kind: InputKind::Message,
            source: Some("am".to_owned()),
            content_type: Some("application/json".to_owned()),
            envelope: None,
            body: StoredBody::new("{}".into()),
        };
        let writer = self.engine.writer();
        let receipt = writer
            .append(input, Some(observations), None)
            .await
            .unwrap();
        self.until(async |_| writer.progress.decided() >= receipt.seq())
            .await;
    }

    /// One alert fires.
    pub(crate) async fn fire(&self, name: &str, severity: Severity) {
        self.receive(vec![claim(name, Claim::Firing, severity, self.clock.now())])
            .await;
    }

    /// One alert ends.
    pub(crate) async fn end(&self, name: &str) {
        let ended = claim(name, Claim::Resolved, Severity::Critical, self.clock.now());
        self.receive(vec![ended]).await;
    }

    /// Stores a token and returns its text.
    pub(crate) async fn token(&self, name: &str, role: Role, expires_at: Option<i64>) -> String {
        let text = mint(random_bytes().unwrap());
        let hash = TokenKey::new(KEY).hash(&text);
        let row = TokenRow {
            id: public_id(&hash),
            name: name.to_owned(),
            role: role.as_str().to_owned(),
            hash,
            created_at: self.clock.now().as_millis(),
            expires_at,
            revoked_at: None,
        };
        tokens::insert(self.db.connect().await.unwrap().lend(), &row)
            .await
            .unwrap();
        text
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        send(&self.router, request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(request(Method::GET, path, "", &[])).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(request(Method::POST, path, body, &[])).await
    }
}

pub(crate) async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let kind = parts.headers.get("content-type");
    // A stream of events has no end.
    let bytes = if kind.is_some_and(|kind| kind == "text/event-stream") {
        Bytes::new()
    } else {
        body.collect().await.unwrap().to_bytes()
    };
    Answer {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// Fails unless every field of `expected` is in `got` with that value.
pub(crate) fn has(got: &Value, expected: &Value) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&got[name], value, "{name} of {got}");
    }
}

pub(crate) fn request(
    method: Method,
    path: &str,
    body: &str,
    headers: &[(&str, &str)],
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

/// What the API is made of here.
fn api_setup(
    db: &Db,
    engine: &EngineHandle,
    clock: &Clock,
    (stage, is_open): (Stage, bool),
) -> ApiSetup {
    let (commands, ready) = (engine.clone(), engine.clone());
    ApiSetup {
        rating_link: Arc::new(|incident, who, now| (format!("/rate/{incident}/{who}"), now)),
        db: db.clone(),
        engine: engine.clone(),
        submit: Arc::new(move |given| {
            let engine = commands.clone();
            Box::pin(async move { engine.command(given).await })
        }),
        alertmanager: hooks(clock.now()),
        unready: Arc::new(move || ready.readiness().err().into_iter().collect()),
        sources: Arc::new(|| ["am", "pd"].map(source).to_vec()),
        imports: Arc::new(Vec::new),
        feeds: Arc::new(Vec::new),
        heartbeats: Arc::new(Vec::new),
        connectors: Arc::new(Vec::new),
        replay: Arc::new(|_| Box::pin(async { Replayed::Gone })),
        try_source: Arc::new(tried),
        tell: watchbell::api::targets::TellHooks::none(),
        metrics: Arc::new(|| "# EOF\n".to_owned()),
        clock: clock.clone(),
        stage,
        auth: auth(is_open),
        links: watchbell::answer_link::LinkKey::derive(&KEY),
        slack_secret: Some(SLACK_SECRET.into()),
        entropy: Arc::new(|| random_bytes().map_err(|error| error.to_string())),
    }
}

/// The source `am` owns the API of Alertmanager and has a secret.
fn hooks(started_at: Timestamp) -> Hooks {
    Hooks {
        started_at,
        door: Arc::new(|headers| {
            Some(match headers.get("authorization") {
                Some(value) if value == "Bearer of-the-source" => Pass::Opened("am".to_owned()),
                Some(_) | None => Pass::Unguarded,
            })
        }),
        take: Arc::new(|_| Box::pin(async { StatusCode::OK.into_response() })),
    }
}

fn source(name: &str) -> SourceStatus {
    SourceStatus {
        name: name.to_owned(),
        kind: "alertmanager".to_owned(),
        path: Some(format!("/ingest/{name}")),
        ..SourceStatus::default()
    }
}
