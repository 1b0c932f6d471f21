//! Starting, failing and stopping, in driven time.

use std::future::pending;

use tokio::sync::{mpsc, oneshot};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A task that notes its name when it was asked to stop.
async fn obedient(
    token: CancellationToken,
    name: &'static str,
    log: mpsc::Sender<&'static str>,
) -> Result<(), TaskError> {
    token.cancelled().await;
    log.send(name).await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn stages_stop_from_the_top_down() {
    let (log, mut seen) = mpsc::channel(8);
    let mut supervisor = Supervisor::new();
    for name in ["store", "engine", "ingest"] {
        let stage = supervisor.stage(name, SECOND);
        let log = log.clone();
        supervisor.spawn(&stage, "loop", move |token| obedient(token, name, log));
    }
    let list = supervisor.list();
    assert_eq!(list.list()[1].state, TaskState::Running);
    assert_eq!(supervisor.run(async {}).await.unwrap(), Stopped::default());
    for name in ["ingest", "engine", "store"] {
        assert_eq!(seen.recv().await, Some(name));
    }
    assert!(
        list.list()
            .iter()
            .all(|task| task.state == TaskState::Ended)
    );
}

/// Runs one faulty task beside a good one and returns the error text.
async fn fate(task: impl Future<Output = Result<(), TaskError>> + Send + 'static) -> String {
    let mut supervisor = Supervisor::new();
    let (log, mut seen) = mpsc::channel(8);
    let store = supervisor.stage("store", SECOND);
    supervisor.spawn(&store, "writer", |token| obedient(token, "writer", log));
    let ingest = supervisor.stage("ingest", SECOND);
    supervisor.spawn(&ingest, "mqtt plant", |_| task);
    let error = supervisor.run(pending()).await.unwrap_err();
    assert_eq!(
        seen.recv().await,
        Some("writer"),
        "the rest is stopped in order"
    );
    error.to_string()
}

#[tokio::test(start_paused = true)]
async fn unasked_end_error_and_panic_stop_the_process_with_the_name() {
    assert_eq!(
        fate(async { Ok(()) }).await,
        "task ingest/mqtt plant ended although nobody asked it to"
    );
    assert_eq!(
        fate(async { Err("disk is gone".into()) }).await,
        "task ingest/mqtt plant failed: disk is gone"
    );
    assert_eq!(
        fate(async { panic!("index {} of 3", 7) }).await,
        "task ingest/mqtt plant panicked: index 7 of 3"
    );
}

#[tokio::test(start_paused = true)]
async fn late_tasks_are_named_and_cost_one_deadline_each_stage() {
    let mut supervisor = Supervisor::new();
    let below = supervisor.stage("store", 2 * SECOND);
    supervisor.spawn(&below, "stuck", |_| pending());
    let above = supervisor.stage("api", 3 * SECOND);
    supervisor.spawn(&above, "deaf", |_| pending());
    let work = above.track(pending::<()>());
    let started = Instant::now();
    let stopped = supervisor.run(async {}).await.unwrap();
    assert_eq!(
        stopped.late,
        ["api/deaf", "api/1 pieces of short work", "store/stuck"]
    );
    assert_eq!(started.elapsed(), 5 * SECOND);
    assert_eq!(work.await.unwrap(), None, "short work was cut off");
}

#[tokio::test(start_paused = true)]
async fn short_work_is_waited_for() {
    let mut supervisor = Supervisor::new();
    let stage = supervisor.stage("api", 5 * SECOND);
    let work = stage.track(async {
        tokio::time::sleep(3 * SECOND).await;
        7
    });
    let stopped = supervisor.run(async {}).await.unwrap();
    assert!(stopped.late.is_empty());
    assert_eq!(work.await.unwrap(), Some(7));
}

#[tokio::test(start_paused = true)]
async fn failure_while_stopping_is_not_swallowed() {
    let mut supervisor = Supervisor::new();
    let stage = supervisor.stage("engine", SECOND);
    supervisor.spawn(&stage, "loop", |token| async move {
        token.cancelled().await;
        Err("last commit failed".into())
    });
    let error = supervisor.run(async {}).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "task engine/loop failed: last commit failed"
    );
}

#[tokio::test]
async fn dropping_the_run_ends_every_task() {
    let mut supervisor = Supervisor::new();
    let stage = supervisor.stage("engine", SECOND);
    let (alive, gone) = oneshot::channel::<()>();
    supervisor.spawn(&stage, "loop", |_| async move {
        let _alive = alive;
        pending().await
    });
    drop(supervisor.run(pending()));
    assert!(gone.await.is_err());
}
