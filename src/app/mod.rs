//! The composition root: settings in, a running daemon out, and its orderly end.
//!
//! Stages start bottom-up (store, engine, api with ingest) and stop top-down, each with a deadline; their sum stays
//! below the unit's stop timeout. Must not hold logic of its own: what is decided here is only who knows whom.

mod janitor;
mod lock;
mod polls;
mod reload;
mod wiring;

use std::net::TcpListener;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{self, LoadRequest, Settings};
use crate::core::time::Timestamp;
use crate::engine::{Decode, Engine, EngineSetup};
use crate::ingest::{self, Ingest};
use crate::runtime::clock::Clock;
use crate::runtime::entropy::random_bytes;
use crate::runtime::listen::{Listener, Server};
use crate::runtime::notify::{Heartbeats, Notifier};
use crate::runtime::signals::{Outcome, ReloadRequest, Signals, serve_signals};
use crate::runtime::supervise::Supervisor;
use crate::runtime::tls::TlsHolder;
use crate::store::inbox::NewInput;
use crate::store::writer::{Writer, WriterSetup};
use crate::store::{Db, StoreError};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::{LogHandle, log_init};

use lock::FileLock;
use reload::Reloader;

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
    let outcome = serve_signals(async || signals.next().await, stop, reload, work).await;
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
    let notifier = Notifier::from_env();
    let heartbeats = Heartbeats::new();
    let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION")));
    wiring::make_state_dir(&settings)?;
    let _lock = FileLock::take(&settings)?;
    let db = Db::open(
        &wiring::store_url(&settings)?,
        settings.store.read_connections,
    )
    .await?;
    let claimed = claim(&db, &shell, &metrics).await?;
    let Some((writer, handle, appended)) = claimed else {
        return Ok(());
    };
    metrics.leader.set(1);

    let mut supervisor = Supervisor::new();
    let store_stage = supervisor.stage("store", STAGE_DEADLINE);
    let engine_stage = supervisor.stage("engine", STAGE_DEADLINE);
    let poll_stage = supervisor.stage("poll", STAGE_DEADLINE);
    let drain = wiring::duration(settings.server.drain_timeout);
    let http_stage = supervisor.stage("http", drain.saturating_add(STAGE_DEADLINE));

    supervisor.spawn(&store_stage, "writer", |stop| async move {
        Ok(writer.run(stop).await?)
    });
    let (rules_in, rules) = watch::channel(Arc::new(config::rules(&settings)));
    let doors: Arc<OnceLock<Ingest>> = Arc::default();
    let beat = heartbeats.register("engine");
    let (engine, engine_handle) = Engine::new(EngineSetup {
        db: db.clone(),
        partition: PARTITION,
        writer: handle,
        appended,
        rules,
        decode: decode_by(&doors),
        clock: shell.clock.clone(),
        metrics: Arc::clone(&metrics),
        on_turn: Box::new(move || beat.touch()),
    });
    let ingest = Ingest::new(
        engine_handle.clone(),
        Arc::clone(&metrics),
        shell.clock.clone(),
        wiring::ingest_setup(&settings),
    );
    // Set before the engine runs, so recovery can read messages again.
    doors.get_or_init(|| ingest.clone());
    supervisor.spawn(&engine_stage, "engine", |stop| async move {
        Ok(engine.run(stop).await?)
    });
    let (polls_in, polls) = watch::channel(wiring::poll_setups(&settings));
    let poller = polls::run(polls, engine_handle.clone(), shell.clock.clone());
    supervisor.spawn(&poll_stage, "polls", |stop| async move {
        Ok(poller.run(stop).await)
    });
    let (settings_in, settings_out) = watch::channel(Arc::new(settings.clone()));
    let janitor = janitor::Janitor::new(
        db.clone(),
        engine_handle.clone(),
        shell.clock.clone(),
        settings_out.clone(),
    );
    supervisor.spawn(&poll_stage, "janitor", |stop| async move {
        Ok(janitor.run(stop).await)
    });

    let tls = wiring::tls(&settings)?;
    let listeners = listeners(&settings, inherited, tls.as_ref()).await?;
    let figures = (ingest.clone(), Arc::clone(&metrics));
    let ready = engine_handle.clone();
    let router = axum::Router::new()
        .route(
            "/metrics",
            axum::routing::get(async move || {
                figures.0.refresh_figures();
                figures.1.encode()
            }),
        )
        .route(
            "/readyz",
            axum::routing::get(async move || match ready.readiness() {
                Ok(()) => (axum::http::StatusCode::OK, "ready".to_owned()),
                Err(why) => (axum::http::StatusCode::SERVICE_UNAVAILABLE, why),
            }),
        )
        .merge(ingest::http::router(ingest.clone()));
    let server = Server::new(router, wiring::limits(&settings));
    supervisor.spawn(&http_stage, "http", |stop| async move {
        let drained = server.run(listeners, stop).await;
        if drained.cut > 0 {
            log::warn!(cut = drained.cut; "{} connections were cut at the drain deadline", drained.cut);
        }
        Ok(())
    });
    let reloader = Reloader {
        request,
        notifier: notifier.clone(),
        logs: shell.logs,
        rules: rules_in,
        polls: polls_in,
        settings: settings_in,
        ingest,
        tls,
    };
    supervisor.spawn(&poll_stage, "reload", |stop| async move {
        Ok(reloader.run(shell.reload, stop).await)
    });
    let watchdog_stop = CancellationToken::new();
    let watchdog = notifier.clone().watch(heartbeats, watchdog_stop.clone());
    notifier.ready();
    log::info!(version = env!("CARGO_PKG_VERSION"); "watchbell {} serves", env!("CARGO_PKG_VERSION"));

    let running = supervisor.run(async move {
        shell.stop.cancelled().await;
        notifier.stopping();
    });
    let ended = tokio::select! {
        ended = running => ended,
        () = watchdog => anyhow::bail!("the watchdog ended unasked"),
    };
    watchdog_stop.cancel();
    db.close().await;
    let stopped = ended?;
    if !stopped.late.is_empty() {
        log::warn!("stopped, but these were late: {}", stopped.late.join(", "));
    }
    Ok(())
}

/// How the engine reads stored messages again; the doors are made after the engine, so they are looked up late.
fn decode_by(doors: &Arc<OnceLock<Ingest>>) -> Decode {
    let doors = Arc::clone(doors);
    Arc::new(move |input: &NewInput, at: Timestamp| {
        doors
            .get()
            .map(|doors| doors.decode_again(input, at))
            .unwrap_or_default()
    })
}

type Claimed = (
    Writer,
    crate::store::writer::WriterHandle,
    tokio::sync::mpsc::Receiver<crate::store::writer::Appended>,
);

/// Takes the right to decide; waits for it as long as another process holds it.
async fn claim(db: &Db, shell: &Shell, metrics: &Arc<Metrics>) -> anyhow::Result<Option<Claimed>> {
    let id = random_bytes::<6>()?;
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let holder = format!("{}-{hex}", std::process::id());
    let mut is_told = false;
    loop {
        let (clock, figures) = (shell.clock.clone(), Arc::clone(metrics));
        let setup = WriterSetup {
            db: db.clone(),
            partition: PARTITION,
            holder: holder.clone(),
            now: Box::new(move || clock.now()),
            on_commit: Box::new(move |took| {
                figures.inbox_commit_seconds.observe(took.as_secs_f64())
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
                log::warn!(error:% = error; "the store is busy: {error}")
            }
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = shell.stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(STANDBY_LOOK) => {}
        }
    }
}

async fn listeners(
    settings: &Settings,
    inherited: Vec<TcpListener>,
    tls: Option<&TlsHolder>,
) -> anyhow::Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    if inherited.is_empty() {
        for address in &settings.server.listen {
            listeners.push(Listener::bind(*address, tls.cloned()).await?);
        }
    }
    for socket in inherited {
        if let Some(refusal) = settings.refusal_to_listen(socket.local_addr()?) {
            anyhow::bail!("the socket handed over by systemd is refused: {refusal}");
        }
        listeners.push(Listener::from_std(socket, tls.cloned())?);
    }
    for listener in &listeners {
        let address = listener.local_addr()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        log::info!(address:% = address; "listening on {scheme}://{address}");
    }
    Ok(listeners)
}
