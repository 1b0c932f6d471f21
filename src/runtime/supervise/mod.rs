//! How the process runs and stops: stages of named tasks.
//!
//! Stages are made bottom-up (store, engine, deliver, api, ingest) and stopped top-down, each with its own deadline,
//! so that what is below still works while what is above finishes. A named task that ends before it was asked to, or
//! panics, ends the whole process with its name in the error: systemd restarts, and a restart is a recovery.
//! Short-lived work (a request, one delivery) is tracked without a name and without kept results.
//!
//! Must not restart a task inside the process, and must not wait for anything without a deadline.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::task::{AbortHandle, Id, JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Why a task failed; any error will do.
pub type TaskError = Box<dyn std::error::Error + Send + Sync>;

/// How long work may take to end after it was cut off at its stage's deadline.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);

/// A layer of the process. Clones share it.
#[derive(Clone, Debug)]
pub struct Stage(Arc<StageState>);

#[derive(Debug)]
struct StageState {
    name: &'static str,
    deadline: Duration,
    stop: CancellationToken,
    cut: CancellationToken,
    short: TaskTracker,
}

impl Stage {
    /// The name given when it was made.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// Is cancelled when this stage shall finish what it does and end.
    pub fn token(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// Runs short-lived work that the stage waits for when it stops, and cuts off at its deadline.
    ///
    /// The handle gives `None` when the work was cut off. Dropping the handle does not stop the work, so a write that
    /// must not be torn by a caller who goes away runs here and is awaited.
    pub fn track<F>(&self, work: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let cut = self.0.cut.clone();
        self.0
            .short
            .spawn(async move { cut.run_until_cancelled(work).await })
    }
}

/// What a named task does at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// It runs.
    Running,
    /// It ended in order.
    Ended,
    /// It ended with this error or panic.
    Failed(String),
}

/// One line of the task list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskStatus {
    /// The stage it belongs to.
    pub stage: &'static str,
    /// Its name.
    pub name: String,
    /// What it does.
    pub state: TaskState,
}

/// The list of all named tasks, for a status page. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct TaskList(Arc<Mutex<Vec<TaskStatus>>>);

impl TaskList {
    /// A copy of the list in order of start.
    pub fn list(&self) -> Vec<TaskStatus> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn add(&self, stage: &'static str, name: &str) -> usize {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.push(TaskStatus {
            stage,
            name: name.to_owned(),
            state: TaskState::Running,
        });
        list.len().saturating_sub(1)
    }

    fn set(&self, index: usize, state: TaskState) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(status) = list.get_mut(index) {
            status.state = state;
        }
    }
}

/// Why [`Supervisor::run`] ended the process.
#[derive(Debug, Error)]
#[error("task {stage}/{task} {how}")]
pub struct TaskFailed {
    /// The stage of the task.
    pub stage: &'static str,
    /// The name of the task.
    pub task: String,
    /// What happened to it.
    pub how: Ending,
}

/// How a named task ended although nobody asked it to.
#[derive(Debug)]
pub enum Ending {
    /// It returned without an error.
    Unasked,
    /// It returned this error.
    Failed(TaskError),
    /// It panicked with this message.
    Panicked(String),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unasked => write!(f, "ended although nobody asked it to"),
            Self::Failed(error) => write!(f, "failed: {error}"),
            Self::Panicked(message) => write!(f, "panicked: {message}"),
        }
    }
}

/// What [`Supervisor::run`] found when everything was stopped as asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Work that missed its stage's deadline and was cut off, as `stage/task`.
    pub late: Vec<String>,
}

struct Entry {
    handle: AbortHandle,
    index: usize,
    stage: Stage,
    name: String,
}

/// Starts, watches and stops the stages.
#[derive(Default)]
pub struct Supervisor {
    stages: Vec<Stage>,
    tasks: JoinSet<Result<(), TaskError>>,
    running: Vec<Entry>,
    list: TaskList,
}

impl Supervisor {
    /// A supervisor without stages.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a stage on top of those added before; `deadline` is the time it has to finish when stopped.
    pub fn stage(&mut self, name: &'static str, deadline: Duration) -> Stage {
        let stage = Stage(Arc::new(StageState {
            name,
            deadline,
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
            short: TaskTracker::new(),
        }));
        self.stages.push(stage.clone());
        stage
    }

    /// Starts a task that runs until the token it is given is cancelled; it starts at once.
    pub fn spawn<F, T>(&mut self, stage: &Stage, name: &str, task: F)
    where
        F: FnOnce(CancellationToken) -> T,
        T: Future<Output = Result<(), TaskError>> + Send + 'static,
    {
        let handle = self.tasks.spawn(task(stage.0.stop.child_token()));
        let index = self.list.add(stage.name(), name);
        self.running.push(Entry {
            handle,
            index,
            stage: stage.clone(),
            name: name.to_owned(),
        });
    }

    /// The list of tasks, to be shown while [`Supervisor::run`] goes on.
    pub fn list(&self) -> TaskList {
        self.list.clone()
    }

    /// Watches all tasks until `shutdown` is ready, then stops the stages top-down.
    ///
    /// Dropping this future ends every task at once, for a second signal.
    ///
    /// # Errors
    /// [`TaskFailed`] with the first task that ended unasked, failed or panicked, after the others were stopped too.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<Stopped, TaskFailed> {
        tokio::pin!(shutdown);
        let mut failure = loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break None,
                Some(ended) = self.tasks.join_next_with_id() => {
                    if let Some(failure) = self.ended(ended) {
                        log::error!("{failure}; the process stops");
                        break Some(failure);
                    }
                }
            }
        };
        let mut stopped = Stopped::default();
        while let Some(stage) = self.stages.pop() {
            log::info!("stage {} stops", stage.name());
            self.stop(&stage, &mut stopped, &mut failure).await;
        }
        match failure {
            Some(failure) => Err(failure),
            None => Ok(stopped),
        }
    }

    async fn stop(
        &mut self,
        stage: &Stage,
        stopped: &mut Stopped,
        failure: &mut Option<TaskFailed>,
    ) {
        let deadline = Instant::now() + stage.0.deadline;
        stage.0.stop.cancel();
        stage.0.short.close();
        while self.is_running(stage) {
            match timeout_at(deadline, self.tasks.join_next_with_id()).await {
                Ok(Some(ended)) => {
                    if let Some(also) = self.ended(ended) {
                        log::error!("{also}; the process was stopping");
                        failure.get_or_insert(also);
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    self.cut_tasks(stage, stopped);
                    break;
                }
            }
        }
        if timeout_at(deadline, stage.0.short.wait()).await.is_err() {
            let late = format!(
                "{}/{} pieces of short work",
                stage.name(),
                stage.0.short.len()
            );
            log::warn!("{late} missed the deadline and are cut off");
            stopped.late.push(late);
            stage.0.cut.cancel();
            if timeout_at(Instant::now() + CUT_TIMEOUT, stage.0.short.wait())
                .await
                .is_err()
            {
                log::warn!(
                    "stage {} leaves work behind that does not yield",
                    stage.name()
                );
            }
        }
    }

    fn is_running(&self, stage: &Stage) -> bool {
        self.running
            .iter()
            .any(|entry| Arc::ptr_eq(&entry.stage.0, &stage.0))
    }

    /// Books an ended task; returns why the process must stop, if it must.
    fn ended(
        &mut self,
        ended: Result<(Id, Result<(), TaskError>), JoinError>,
    ) -> Option<TaskFailed> {
        let (id, result) = match ended {
            Ok((id, Ok(()))) => (id, None),
            Ok((id, Err(error))) => (id, Some(Ending::Failed(error))),
            Err(error) if error.is_cancelled() => return None,
            Err(error) => (error.id(), Some(Ending::Panicked(panic_message(error)))),
        };
        let position = self
            .running
            .iter()
            .position(|entry| entry.handle.id() == id)?;
        let entry = self.running.swap_remove(position);
        let how = match result {
            None if entry.stage.0.stop.is_cancelled() => {
                self.list.set(entry.index, TaskState::Ended);
                return None;
            }
            None => Ending::Unasked,
            Some(how) => how,
        };
        self.list
            .set(entry.index, TaskState::Failed(how.to_string()));
        Some(TaskFailed {
            stage: entry.stage.name(),
            task: entry.name,
            how,
        })
    }

    /// Gives up on the tasks of `stage`: aborts and names them, and does not wait for them any more.
    fn cut_tasks(&mut self, stage: &Stage, stopped: &mut Stopped) {
        let (late, rest): (Vec<Entry>, Vec<Entry>) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(|entry| Arc::ptr_eq(&entry.stage.0, &stage.0));
        self.running = rest;
        for entry in late {
            let name = format!("{}/{}", stage.name(), entry.name);
            entry.handle.abort();
            log::warn!("task {name} missed the deadline and is cut off");
            self.list.set(
                entry.index,
                TaskState::Failed("missed the deadline".to_owned()),
            );
            stopped.late.push(name);
        }
    }
}

fn panic_message(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(payload) => payload_text(payload.as_ref()),
        Err(error) => error.to_string(),
    }
}

fn payload_text(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "without a message".to_owned()
    }
}

#[cfg(test)]
mod tests;
