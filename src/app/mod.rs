//! The composition root: settings in, a running daemon out, and its orderly end.
//!
//! Stages start bottom-up (store, engine, api with ingest) and stop top-down, each with a deadline; their sum stays
//! below the unit's stop timeout. Must not hold logic of its own: what is decided here is only who knows whom.

mod admission;
mod answer_board;
mod answers;
mod brokers;
mod checkpoints;
pub(crate) mod connectors;
pub(crate) mod deliveries;
mod demo;
mod feeds;
mod figures;
mod heard;
mod imports;
mod janitor;
mod listeners;
mod lock;
mod polls;
mod reload;
mod replies;
pub mod snapshots;
pub(crate) mod tell_hooks;
mod watcher;
mod wiring;

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::answer_link::LinkKey;
use crate::api::{self, ApiState};
use crate::config::{LoadRequest, Settings};
use crate::core::rules::Rules;
use crate::core::time::Timestamp;
use crate::deliver::DeliverSetup;
use crate::deliver::board::Deliveries;
use crate::engine::handle::EngineHandle;
use crate::engine::{Decode, Engine, EngineSetup, rebind};
use crate::ingest::opsgenie::OpsgenieApi;
use crate::ingest::{self, Ingest};
use crate::runtime::clock::Clock;
use crate::runtime::listen::{Listener, Server};
use crate::runtime::notify::{Heartbeats, Notifier};
use crate::runtime::signals::{Outcome, ReloadRequest, Signals, serve_signals};
use crate::runtime::supervise::{Stage, Stopped, Supervisor, TaskError, TaskFailed};
use crate::runtime::thread::on_own_thread;
use crate::runtime::tls::TlsHolder;
use crate::store::inbox::NewInput;
use crate::store::writer::{Writer, WriterSetup};
use crate::store::{Db, StoreError};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::{LogHandle, log_init};
use crate::tickets::{Board, TicketsSetup};

use answer_board::AnswerBoard;
use brokers::Brokers;
use connectors::Connectors;
use feeds::{FeedBook, Feeds};
use imports::{ImportBoard, Imports};
use janitor::Janitor;
use lock::{FileLock, Instance};
use polls::Polls;
use reload::Reloader;
pub(crate) use replies::{PREFIX as ANSWERS, setup as mailbox_setup};
pub(crate) use wiring::broker_setups;

/// The partition of a daemon that has only one.
const PARTITION: i64 = 0;
/// How often a standby looks whether the lease is free.
const STANDBY_LOOK: Duration = Duration::from_secs(2);
/// How long each stage may take to stop; the http stage has its drain time besides.
const STAGE_DEADLINE: Duration = Duration::from_secs(10);

/// Runs the daemon until it is told to stop.
///
/// `inherited` are the sockets that systemd handed over; with none, the configured addresses are bound.
///
/// # Errors
/// What kept it from starting, or the name of the task that ended unasked.
pub async fn serve(
    request: LoadRequest,
    settings: Settings,
    inherited: Vec<TcpListener>,
) -> anyhow::Result<()> {
    let clock = Clock::system();
    let logs =
        log_init(&wiring::log_settings(&settings, &clock)).context("logging cannot be set up")?;
    let mut signals = Signals::install().context("signal handlers cannot be installed")?;
    let stop = CancellationToken::new();
    let reload = ReloadRequest::new();
    let work = run(
        request,
        settings,
        inherited,
        Shell {
            clock,
            logs: logs.clone(),
            stop: stop.clone(),
            reload: reload.clone(),
        },
    );
    let served = serve_signals(async || signals.next().await, stop, reload, work);
    let outcome = Box::pin(served).await;
    logs.flush();
    match outcome {
        Outcome::Finished(result) => result,
        Outcome::Forced => {
            anyhow::bail!("ended at once by a second signal; what was acknowledged is stored")
        }
    }
}

/// What the process gives to everything in it.
struct Shell {
    clock: Clock,
    logs: LogHandle,
    stop: CancellationToken,
    reload: ReloadRequest,
}

async fn run(
    request: LoadRequest,
    settings: Settings,
    inherited: Vec<TcpListener>,
    shell: Shell,
) -> anyhow::Result<()> {
    let (notifier, heartbeats) = (Notifier::from_env(), Heartbeats::new());
    wiring::make_state_dir(&settings)?;
    let _lock = FileLock::take(&settings)?;
    let instance = Instance::take(&settings)?;
    let tls = wiring::tls(&settings)?;
    let (token_key, links) = wiring::keys(&settings)?;
    let db = open_store(&settings).await?;
    let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION")));
    let Some(claimed) = claim(&db, &instance.holder, &shell, &metrics).await? else {
        return Ok(());
    };
    metrics.leader.set(1);
    // Before anything runs that would have to be stopped when an address is taken.
    let listeners = listeners::open(&settings, inherited, tls.as_ref()).await?;
    let addresses = listeners::addresses(&listeners)?;

    let mut supervisor = Supervisor::new();
    let inside = Inside {
        db: db.clone(),
        clock: shell.clock.clone(),
        metrics: Arc::clone(&metrics),
        heartbeats: heartbeats.clone(),
        is_demo: request.is_demo,
    };
    let core = start_core(&mut supervisor, &settings, claimed, inside);
    heard::restore(&db, &core.ingest).await;
    let side_stage = supervisor.stage("side", STAGE_DEADLINE);
    let http_stage = supervisor.stage("http", http_deadline(&settings));

    let state = wiring::api_state(wiring::ApiParts {
        settings: &settings,
        token_key,
        db: db.clone(),
        engine: core.engine.clone(),
        ingest: core.ingest.clone(),
        deliveries: core.deliveries.clone(),
        answers: core.answers.clone(),
        metrics: Arc::clone(&metrics),
        imports: core.board.clone(),
        feeds: core.feeds.clone(),
        connectors: core.connectors.clone(),
        clock: shell.clock.clone(),
        stage: http_stage.clone(),
    });
    let answering = state.clone();
    let router = marked(api::router(state).merge(doors(&core, &db)), request.is_demo);
    let server = Server::new(router, wiring::limits(&settings));
    supervisor.spawn(&http_stage, "http", |stop| {
        done(serve_http(server, listeners, stop))
    });

    let side = Side {
        metrics,
        request,
        settings,
        notifier: notifier.clone(),
        db: db.clone(),
        tls,
        addresses,
        logs: shell.logs,
        clock: shell.clock,
        reload: shell.reload,
        instance: instance.name().to_owned(),
        links,
        api: answering,
    };
    start_side(&mut supervisor, &side_stage, side, core);

    let ended = supervise(supervisor, shell.stop, notifier, heartbeats).await?;
    db.close().await;
    told_late(&ended?);
    Ok(())
}

/// Runs until everything has stopped.
async fn supervise(
    supervisor: Supervisor,
    stop: CancellationToken,
    notifier: Notifier,
    heartbeats: Heartbeats,
) -> anyhow::Result<Result<Stopped, TaskFailed>> {
    let watchdog = notifier.clone().watch(heartbeats, CancellationToken::new());
    let running = supervisor.run(async move {
        stop.cancelled().await;
        notifier.stopping();
    });
    tokio::select! {
        ended = running => Ok(ended),
        () = watchdog => anyhow::bail!("the watchdog ended unasked"),
    }
}

fn marked(router: Router, is_demo: bool) -> Router {
    if is_demo {
        router.layer(demo::mark())
    } else {
        router
    }
}

async fn open_store(settings: &Settings) -> anyhow::Result<Db> {
    let url = settings.store.full_url().map_err(anyhow::Error::msg)?;
    let opened = Db::open(url.expose(), settings.store.read_connections).await;
    opened.map_err(|error| match error {
        // Nothing runs yet that would go on by itself.
        StoreError::Unavailable(cause) => {
            anyhow::anyhow!("the database of [store] url cannot be reached: {cause}; start it, or correct the url")
        }
        StoreError::Full
        | StoreError::Busy
        | StoreError::Fenced
        | StoreError::InUse(_)
        | StoreError::Missing(_)
        | StoreError::TooNew
        | StoreError::SqliteTooOld(_)
        | StoreError::Url(_)
        | StoreError::Corrupt(_)
        | StoreError::Other(_) => error.into(),
    })
}

/// Everything that messages come in by over HTTP.
fn doors(core: &Core, db: &Db) -> Router {
    let ingest = &core.ingest;
    let opsgenie = OpsgenieApi {
        ingest: ingest.clone(),
        db: db.clone(),
        partition: PARTITION,
    };
    let limits = axum::middleware::from_fn_with_state(ingest.clone(), ingest::limits::guard);
    ingest::http::router(ingest.clone())
        .merge(ingest::heartbeat::router(ingest.clone()))
        .merge(ingest::pagerduty::router(ingest.clone()))
        .merge(ingest::opsgenie::router(opsgenie))
        .merge(crate::tickets::hook::router(core.connectors.clone()))
        .layer(limits)
}

async fn serve_http(server: Server, listeners: Vec<Listener>, stop: CancellationToken) {
    let drained = server.run(listeners, stop).await;
    if drained.cut > 0 {
        log::warn!(cut = drained.cut; "{} connections were cut at the drain deadline", drained.cut);
    }
}

fn told_late(stopped: &Stopped) {
    if !stopped.late.is_empty() {
        log::warn!("stopped, but these were late: {}", stopped.late.join(", "));
    }
}

/// What works beside the core.
struct Side {
    request: LoadRequest,
    settings: Settings,
    notifier: Notifier,
    db: Db,
    tls: Option<TlsHolder>,
    addresses: Vec<SocketAddr>,
    logs: LogHandle,
    clock: Clock,
    reload: ReloadRequest,
    instance: String,
    links: LinkKey,
    api: ApiState,
    metrics: Arc<Metrics>,
}

/// Starts polls, brokers, imports, deleting, reloading and the notice of readiness.
fn start_side(supervisor: &mut Supervisor, stage: &Stage, side: Side, core: Core) {
    let (polls_in, polls) = watch::channel(wiring::poll_setups(&side.settings));
    let (brokers_in, brokers) = watch::channel(broker_setups(&side.settings, &side.instance));
    let (settings_in, settings_out) = watch::channel(Arc::new(side.settings));
    let clock = side.clock;
    let around = (&core.ingest, &clock, &settings_out);
    let desk = replies::Desk::new(side.api, side.links.clone(), core.answers, around);
    let brokers = Brokers::new(brokers, core.ingest.clone(), desk.takers());
    let sweeper = wiring::sweeper(&side.db, &core.engine, &clock);
    let poller = Polls::new(polls, core.engine.clone(), clock.clone());
    let imports = Imports {
        settings: settings_out.clone(),
        engine: core.engine.clone(),
        clock: clock.clone(),
        stage: stage.clone(),
        board: core.board,
    };
    if side.request.is_demo {
        start_demo(supervisor, stage, core.engine.clone(), core.ingest.clone());
    }
    let outward = Outward {
        settings: settings_out.clone(),
        engine: core.engine.clone(),
        db: side.db.clone(),
        clock: clock.clone(),
        metrics: Arc::clone(&side.metrics),
        board: core.connectors,
        deliveries: core.deliveries,
        links: side.links,
    };
    start_outward(supervisor, stage, outward);
    let shown = side.metrics;
    checkpoints::start(supervisor, stage, side.db.clone());
    let figured = (side.db.clone(), core.engine.clone(), clock.clone());
    figures::start(supervisor, stage, figured, shown);
    let feeds = Feeds {
        settings: settings_out.clone(),
        rules: core.rules.clone(),
        book: core.feeds.clone(),
    };
    let kept = (side.db.clone(), clock.clone(), settings_out.clone());
    snapshots::start(supervisor, stage, kept);
    let janitor = Janitor::new(side.db, core.engine.clone(), clock, settings_out);
    let reloader = Reloader {
        request: side.request,
        notifier: side.notifier.clone(),
        logs: side.logs,
        rules: core.rules,
        feeds: core.feeds,
        polls: polls_in,
        brokers: brokers_in,
        instance: side.instance,
        settings: settings_in,
        ingest: core.ingest,
        writer: core.engine.writer().clone(),
        tls: side.tls,
        addresses: side.addresses,
    };
    let reload = side.reload;
    let rebinding = core.engine.clone();
    supervisor.spawn(stage, "rebind", |stop| done(rebind::run(rebinding, stop)));
    let (ready, told) = (core.engine, side.notifier);
    supervisor.spawn(stage, "polls", |stop| done(poller.run(stop)));
    supervisor.spawn(stage, "feeds", |stop| done(feeds.run(stop)));
    supervisor.spawn(stage, "imports", |stop| done(imports.run(stop)));
    supervisor.spawn(stage, "sweeper", |stop| done(sweeper.run(stop)));
    supervisor.spawn(stage, "brokers", |stop| done(brokers.run(stop)));
    supervisor.spawn(stage, "answers", |stop| done(desk.run(stop)));
    supervisor.spawn(stage, "janitor", |stop| done(janitor.run(stop)));
    supervisor.spawn(stage, "reload", |stop| done(reloader.run(reload, stop)));
    supervisor.spawn(stage, "ready", |stop| done(tell_ready(ready, told, stop)));
}

fn start_demo(supervisor: &mut Supervisor, stage: &Stage, engine: EngineHandle, ingest: Ingest) {
    let imported = stage.clone();
    supervisor.spawn(stage, "demo", |stop| {
        done(demo::run(engine, ingest, imported, stop))
    });
}

/// What those need who tell people and keep tickets.
struct Outward {
    settings: watch::Receiver<Arc<Settings>>,
    engine: EngineHandle,
    db: Db,
    clock: Clock,
    metrics: Arc<Metrics>,
    board: Board,
    deliveries: Deliveries,
    links: LinkKey,
}

/// Starts what tells people and keeps tickets in step.
fn start_outward(supervisor: &mut Supervisor, stage: &Stage, outward: Outward) {
    let tickets = Connectors {
        settings: outward.settings.clone(),
        setup: TicketsSetup {
            engine: outward.engine.clone(),
            db: outward.db.clone(),
            clock: outward.clock.clone(),
            metrics: Arc::clone(&outward.metrics),
            describe: connectors::describe(&outward.db, &outward.engine, &outward.clock),
            board: outward.board,
            external_url: None,
        },
    };
    let watcher = watcher::Watcher {
        settings: outward.settings.clone(),
        engine: outward.engine.clone(),
        deliveries: outward.deliveries.clone(),
        clock: outward.clock.clone(),
    };
    supervisor.spawn(stage, "watcher", |stop| done(watcher.run(stop)));
    let workers = deliveries::Workers {
        strays: crate::deliver::strays::Strays::default(),
        settings: outward.settings.clone(),
        setup: DeliverSetup {
            db: outward.db.clone(),
            partition: PARTITION,
            writer: outward.engine.writer().clone(),
            brief: deliveries::brief(outward.db, outward.engine.clone(), outward.clock.clone()),
            rating: answers::rating_link(&outward.links, outward.settings.clone()),
            lost: deliveries::lost(outward.engine.clone()),
            thread: answers::thread(outward.links.clone()),
            answer: answers::answer_link(outward.links, outward.settings),
            clock: outward.clock,
            metrics: outward.metrics,
        },
        deliveries: outward.deliveries,
    };
    supervisor.spawn(stage, "deliver", |stop| done(workers.run(stop)));
    supervisor.spawn(stage, "connectors", |stop| done(tickets.run(stop)));
}

/// The running core, for those around it.
struct Core {
    engine: EngineHandle,
    ingest: Ingest,
    rules: watch::Sender<Arc<Rules>>,
    board: ImportBoard,
    feeds: FeedBook,
    connectors: Board,
    deliveries: Deliveries,
    answers: AnswerBoard,
}

/// What the inner stages share.
struct Inside {
    db: Db,
    clock: Clock,
    metrics: Arc<Metrics>,
    heartbeats: Heartbeats,
    is_demo: bool,
}

/// Starts the writer and the engine, and opens the doors.
fn start_core(
    supervisor: &mut Supervisor,
    settings: &Settings,
    (writer, handle, appended): Claimed,
    inside: Inside,
) -> Core {
    let store_stage = supervisor.stage("store", STAGE_DEADLINE);
    let engine_stage = supervisor.stage("engine", STAGE_DEADLINE);
    let way_in = handle.clone();
    supervisor.spawn(&store_stage, "writer", |stop| {
        on_own_thread("writer", async move {
            let ended = writer.run(stop).await;
            // Were it dropped with the engine, whose state takes a moment to go, the writer would end unasked.
            drop(way_in);
            ended
        })
    });
    let feeds = FeedBook::open(settings, &inside.clock);
    let (rules_in, rules) = watch::channel(feeds.rules(settings));
    let doors: Arc<OnceLock<Ingest>> = Arc::default();
    let deliveries = Deliveries::default();
    let wake = deliveries.clone();
    let beat = inside.heartbeats.register("engine");
    let (engine, engine_handle) = Engine::new(EngineSetup {
        db: inside.db,
        partition: PARTITION,
        writer: handle,
        appended,
        rules,
        decode: decode_by(&doors),
        batch_rows: usize::try_from(settings.store.batch_rows).unwrap_or(1),
        clock: inside.clock.clone(),
        metrics: Arc::clone(&inside.metrics),
        on_told: Box::new(move |targets| wake.wake(targets)),
        on_turn: Box::new(move || beat.touch()),
    });
    let ingest = Ingest::new(
        engine_handle.clone(),
        Arc::clone(&inside.metrics),
        inside.clock.clone(),
        wiring::ingest_setup(settings, inside.is_demo),
    );
    // Set before the engine runs, so that recovery can read messages again.
    doors.get_or_init(|| ingest.clone());
    supervisor.spawn(&engine_stage, "engine", |stop| {
        on_own_thread("engine", engine.run(stop))
    });
    Core {
        engine: engine_handle,
        ingest,
        rules: rules_in,
        board: ImportBoard::default(),
        feeds,
        connectors: Board::default(),
        deliveries,
        answers: AnswerBoard::default(),
    }
}

/// How long the answers in flight may take at the end.
fn http_deadline(settings: &Settings) -> Duration {
    wiring::duration(settings.server.drain_timeout).saturating_add(STAGE_DEADLINE)
}

/// A task that cannot fail.
async fn done(task: impl Future<Output = ()>) -> Result<(), TaskError> {
    task.await;
    Ok(())
}

/// Tells the service manager and the log when decisions are made; messages are taken before that.
async fn tell_ready(mut engine: EngineHandle, notifier: Notifier, stop: CancellationToken) {
    if stop.run_until_cancelled(engine.ready()).await.is_some() {
        notifier.ready();
        log::info!(version = env!("CARGO_PKG_VERSION"); "watchbell {} serves", env!("CARGO_PKG_VERSION"));
        stop.cancelled().await;
    }
}

/// How the engine reads stored messages again; the doors are made after the engine, so they are looked up late.
fn decode_by(doors: &Arc<OnceLock<Ingest>>) -> Decode {
    let doors = Arc::clone(doors);
    Arc::new(move |input: &NewInput, at: Timestamp| {
        doors
            .get()
            .map_or_else(|| Ok(Vec::new()), |doors| doors.decode_again(input, at))
    })
}

type Claimed = (
    Writer,
    crate::store::writer::WriterHandle,
    tokio::sync::mpsc::Receiver<crate::store::writer::Appended>,
);

/// Takes the right to decide; waits for it as long as another process holds it.
async fn claim(
    db: &Db,
    holder: &str,
    shell: &Shell,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Option<Claimed>> {
    let mut is_told = false;
    loop {
        let (clock, figures) = (shell.clock.clone(), Arc::clone(metrics));
        let setup = WriterSetup {
            db: db.clone(),
            partition: PARTITION,
            holder: holder.to_owned(),
            now: Box::new(move || clock.now()),
            on_commit: Box::new(move |took| {
                figures.inbox_commit_seconds.observe(took.as_secs_f64());
            }),
        };
        match Writer::claim(setup).await {
            Ok(Some(claimed)) => return Ok(Some(claimed)),
            Ok(None) => {
                if !is_told {
                    log::info!("another process decides; this one stands by until its lease ends");
                }
                is_told = true;
            }
            Err(error @ StoreError::Busy) => {
                log::warn!(error:% = error; "the store is busy: {error}");
            }
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = shell.stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(STANDBY_LOOK) => {}
        }
    }
}
