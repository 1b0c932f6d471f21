//! Inventories that are read again and again: one task per import, replaced when the configuration changes.
//!
//! An import that fails, or of which a part is missing, changes nothing. Must not interpret any format.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::api::cmdb_imports::ImportStatus;
use crate::config::Settings;
use crate::config::imports::{ImportKind, ImportSettings};
use crate::core::cmdb::record::Picture;
use crate::core::time::Span;

use crate::engine::handle::{EngineHandle, ImportOutcome, ImportRequest};
use crate::importers::conversation::Conversation;
use crate::importers::documents::BYTES_MAX;
use crate::importers::{NamedBytes, find, glpi, itop, kubernetes, netbox, plain, servicenow};
use crate::runtime::clock::Clock;
use crate::runtime::supervise::Stage;
use crate::wire::{Egress, EgressSetup};

use super::wiring;

/// A failed import is tried again after this long, or at its usual time if that is sooner.
const RETRY_AFTER: Duration = Duration::from_secs(300);
/// The first pause before one request is sent again.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a long import tells how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(30);

/// How every import does, for the API.
#[derive(Clone, Default)]
pub(super) struct ImportBoard(Arc<Mutex<BTreeMap<String, ImportStatus>>>);

impl ImportBoard {
    /// The configured imports, by name.
    pub(super) fn list(&self) -> Vec<ImportStatus> {
        let board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        board.values().cloned().collect()
    }

    fn set(&self, name: &str, change: impl FnOnce(&mut ImportStatus)) {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(status) = board.get_mut(name) {
            change(status);
        }
    }

    /// Keeps what is known of imports that are still configured.
    fn configure(&self, imports: &[ImportSettings]) {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *board);
        for import in imports {
            let known = before.remove(&import.name).unwrap_or_default();
            let status = ImportStatus {
                name: import.name.clone(),
                kind: import.kind.word().to_owned(),
                from: origin(import),
                every_s: wiring::duration(import.every).as_secs_f64(),
                running: false,
                next_due_at: None,
                ..known
            };
            board.insert(import.name.clone(), status);
        }
    }
}

fn origin(import: &ImportSettings) -> String {
    let files = import.files.iter().map(|path| path.display().to_string());
    import
        .url
        .clone()
        .unwrap_or_else(|| files.collect::<Vec<_>>().join(", "))
}

/// The imports to be run.
pub(super) struct Imports {
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    pub(super) engine: EngineHandle,
    pub(super) clock: Clock,
    pub(super) stage: Stage,
    pub(super) board: ImportBoard,
}

impl Imports {
    /// Works until it is told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let imports = self.settings.borrow_and_update().imports.clone();
            self.board.configure(&imports);
            let round = stop.child_token();
            let mut tasks = JoinSet::new();
            for import in &imports {
                let task = Import {
                    import: import.clone(),
                    engine: self.engine.clone(),
                    clock: self.clock.clone(),
                    stage: self.stage.clone(),
                    board: self.board.clone(),
                    known: BTreeSet::new(),
                };
                tasks.spawn(task.run(round.clone()));
            }
            // A reload that leaves the imports as they are does not start them again.
            wiring::until_other(&mut self.settings, &stop, |it| {
                it.imports.clone() != imports
            })
            .await;
            round.cancel();
            while tasks.join_next().await.is_some() {}
        }
    }
}

struct Import {
    import: ImportSettings,
    engine: EngineHandle,
    clock: Clock,
    stage: Stage,
    board: ImportBoard,
    /// What the server had the last time.
    known: BTreeSet<String>,
}

impl Import {
    async fn run(mut self, stop: CancellationToken) {
        let name = self.import.name.clone();
        let every = wiring::duration(self.import.every);
        let mut last_error: Option<String> = None;
        while !stop.is_cancelled() {
            let started = self.clock.now();
            self.board.set(&name, |status| {
                status.running = true;
                status.next_due_at = None;
                status.last_started_at = Some(started.into());
            });
            // A server that does not answer must not hold up the stop; the engine's part runs to its end.
            let Some(read) = stop.run_until_cancelled(self.read()).await else {
                break;
            };
            let imported = match read {
                Ok(picture) => self.commit(picture).await,
                Err(error) => Err(error),
            };
            let pause = if imported.is_ok() {
                every
            } else {
                every.min(RETRY_AFTER)
            };
            self.tell(&name, imported, pause, &mut last_error);
            if stop
                .run_until_cancelled(tokio::time::sleep(pause))
                .await
                .is_none()
            {
                break;
            }
        }
        self.board.set(&name, |status| status.running = false);
    }

    fn tell(
        &self,
        name: &str,
        imported: Result<ImportOutcome, String>,
        pause: Duration,
        last_error: &mut Option<String>,
    ) {
        let now = self.clock.now();
        let pause = Span::from_millis(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX));
        match imported {
            Ok(outcome) => {
                let counts = outcome.counts;
                if last_error.take().is_some() || !outcome.is_unchanged {
                    log::info!(
                        import = name, cis = counts.cis, relations = counts.relations, added = counts.cis_added,
                        changed = counts.cis_changed, removed = counts.cis_removed, problems = counts.problems;
                        "import {name}: {} items and {} relations; {} items added, {} changed, {} removed, {} rows with problems",
                        counts.cis, counts.relations, counts.cis_added, counts.cis_changed, counts.cis_removed, counts.problems
                    );
                }
                self.board.set(name, |status| {
                    status.running = false;
                    status.progress = None;
                    status.last_success_at = Some(now.into());
                    status.last_error = None;
                    status.version = Some(outcome.version);
                    status.cis = Some(counts.cis);
                    status.relations = Some(counts.relations);
                    status.problem_count = counts.problems;
                    status.problems = outcome
                        .problems
                        .into_iter()
                        .take(PROBLEMS_SHOWN)
                        .map(Into::into)
                        .collect();
                    status.next_due_at = Some(now.plus(pause).into());
                });
            }
            Err(error) => {
                if last_error.as_ref() != Some(&error) {
                    log::warn!(import = name, error = error.as_str(); "import {name} failed, nothing is changed: {error}");
                }
                self.board.set(name, |status| {
                    status.running = false;
                    status.progress = None;
                    status.last_error = Some(error.clone());
                    status.last_error_at = Some(now.into());
                    status.next_due_at = Some(now.plus(pause).into());
                });
                *last_error = Some(error);
            }
        }
    }

    async fn read(&mut self) -> Result<Picture, String> {
        match &self.import.url {
            Some(url) => {
                let url = url.clone();
                self.fetch(&url).await
            }
            None => self.read_files().await,
        }
    }

    async fn fetch(&mut self, url: &str) -> Result<Picture, String> {
        let base = Url::parse(url).map_err(|error| format!("url cannot be used: {error}"))?;
        let mut conversation = conversation(&self.import, &base, self.known.clone())?;
        let setup = EgressSetup {
            base,
            secrets: secrets(&self.import),
            allow_private: self.import.allow_private,
            pause: PAUSE,
        };
        let egress = Egress::new(setup).map_err(|error| error.to_string())?;
        let (name, board) = (self.import.name.clone(), self.board.clone());
        let told = Mutex::new(tokio::time::Instant::now());
        let progress = |text: &str| {
            board.set(&name, |status| status.progress = Some(text.to_owned()));
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.elapsed() > PROGRESS_EVERY {
                *told = tokio::time::Instant::now();
                log::info!(import = name.as_str(); "import {name} goes on: {text}");
            }
        };
        let picture = egress.converse(conversation.as_mut(), &progress).await;
        let picture = picture.map_err(|error| error.to_string())?;
        self.known = conversation.answered();
        Ok(picture)
    }

    async fn read_files(&self) -> Result<Picture, String> {
        let (kind, paths) = (self.import.kind, self.import.files.clone());
        let read = move || read_files(kind, &paths);
        tokio::task::spawn_blocking(read)
            .await
            .unwrap_or_else(|error| Err(format!("the files were not read to their end: {error}")))
    }

    /// Hands the picture to the engine, as work that nobody cancels.
    async fn commit(&self, picture: Picture) -> Result<ImportOutcome, String> {
        let request = ImportRequest {
            name: self.import.name.clone(),
            format: self.import.kind.word().to_owned(),
            picture,
            is_dry_run: false,
            confirm_deletes: false,
            is_strict: self.import.is_strict,
            actor: format!("import {}", self.import.name),
        };
        let engine = self.engine.clone();
        let work = self
            .stage
            .track(async move { engine.import_cmdb(request).await });
        match work.await {
            Ok(Some(imported)) => imported.map_err(|refused| refused.to_string()),
            Ok(None) | Err(_) => Err("the daemon is stopping".to_owned()),
        }
    }
}

/// Problems that the status shows.
const PROBLEMS_SHOWN: usize = 20;

fn read_files(kind: ImportKind, paths: &[PathBuf]) -> Result<Picture, String> {
    let format = find(kind.word()).ok_or("this version cannot read that kind")?;
    let files = paths
        .iter()
        .map(|path| read_file(path))
        .collect::<Result<Vec<_>, _>>()?;
    format.read(&files).map_err(|error| error.to_string())
}

fn read_file(path: &Path) -> Result<NamedBytes, String> {
    let shown = path.display();
    let told = |error: std::io::Error| {
        format!("{shown} cannot be read: {error}; check the path and who may read it")
    };
    let size = std::fs::metadata(path).map_err(told)?.len();
    if size > u64::try_from(BYTES_MAX).unwrap_or(u64::MAX) {
        return Err(format!(
            "{shown} is larger than {} MiB; split it",
            BYTES_MAX >> 20
        ));
    }
    Ok(NamedBytes {
        name: path.file_name().map_or_else(
            || shown.to_string(),
            |name| name.to_string_lossy().into_owned(),
        ),
        bytes: std::fs::read(path).map_err(told)?.into(),
    })
}

/// How the kind's API is asked.
fn conversation(
    import: &ImportSettings,
    base: &Url,
    known: BTreeSet<String>,
) -> Result<Box<dyn Conversation>, String> {
    let options = import.options.clone();
    let base = base.clone();
    Ok(match import.kind {
        ImportKind::NetBox => Box::new(netbox::fetch::Fetch::new(base, &options.skip, known)),
        ImportKind::ServiceNow => Box::new(servicenow::fetch::Fetch::new(
            base,
            options.tables,
            options.query,
            known,
        )),
        ImportKind::Itop => Box::new(itop::fetch::Fetch::new(base, options.class)),
        ImportKind::Glpi => {
            let app_token = import
                .app_token
                .as_ref()
                .map(|token| token.expose().to_owned());
            Box::new(glpi::fetch::Fetch::new(base, options.types, app_token))
        }
        ImportKind::Kubernetes => Box::new(kubernetes::fetch::Fetch::new(base)),
        ImportKind::Prometheus
        | ImportKind::Native
        | ImportKind::Csv
        | ImportKind::Backstage
        | ImportKind::Terraform
        | ImportKind::Ansible
        | ImportKind::GraphMl => {
            let format = find(import.kind.word()).ok_or("this version cannot read that kind")?;
            let is_api = import.kind == ImportKind::Prometheus && plain::is_base(&base);
            let url = if is_api {
                crate::importers::conversation::below(
                    &base,
                    "api/v1/targets",
                    &[("state", "active")],
                )?
            } else {
                base
            };
            Box::new(plain::Fetch::new(format, url))
        }
    })
}

/// The header with the secret, in the way of the product.
fn secrets(import: &ImportSettings) -> Vec<(&'static str, String)> {
    if let Some(basic) = &import.basic {
        let text = format!("{}:{}", basic.user, basic.password.expose());
        return vec![("authorization", format!("Basic {}", STANDARD.encode(text)))];
    }
    let Some(token) = &import.token else {
        return Vec::new();
    };
    let token = token.expose();
    match import.kind {
        // Tokens of the second version say so by their start.
        ImportKind::NetBox if !token.starts_with("nbt_") => {
            vec![("authorization", format!("Token {token}"))]
        }
        ImportKind::Itop => vec![("auth-token", token.to_owned())],
        ImportKind::Glpi => vec![("authorization", format!("user_token {token}"))],
        ImportKind::NetBox
        | ImportKind::ServiceNow
        | ImportKind::Native
        | ImportKind::Csv
        | ImportKind::Backstage
        | ImportKind::Kubernetes
        | ImportKind::Terraform
        | ImportKind::Ansible
        | ImportKind::Prometheus
        | ImportKind::GraphMl => vec![("authorization", format!("Bearer {token}"))],
    }
}
