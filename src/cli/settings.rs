//! The configuration and the store as commands need them: only the part that a command uses has to be right.
//!
//! Secrets that systemd hands to the daemon are missing in a person's shell, and that must not keep `incidents` from
//! finding the listener or `token create` from opening the store. Must not make a store or change its schema unless
//! the command is there for it.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use url::Url;

use crate::cli::failure::Failure;
use crate::config::settings::{StoreSettings, StoreUrl};
use crate::config::{ConfigErrors, Env, LoadRequest, Secret, Settings, load_partly};
use crate::store::{Db, MIGRATIONS, StoreError, inspect};

/// Connections for reading that a command opens at most.
const READERS: u32 = 1;

/// The sections of the configuration that hold rules.
pub const RULES: [&str; 19] = [
    "incident",
    "settle",
    "correlation",
    "cmdb",
    "change",
    "request",
    "problem",
    "major",
    "priority",
    "sla",
    "calendar",
    "maintenance",
    "inhibit",
    "flapping",
    "route",
    "team",
    "schedule",
    "escalation",
    "limits",
];

/// How the configuration is found.
pub fn request(file: Option<&Path>, env: &Env) -> LoadRequest {
    LoadRequest::new(file.map(PathBuf::from), env.clone())
}

/// Loads the configuration for a command that needs the sections `needed`; errors elsewhere are left to `check`.
///
/// # Errors
/// A file cannot be read, or a needed section is wrong.
pub fn load_sections(request: &LoadRequest, needed: &[&str]) -> Result<Settings, Failure> {
    let (settings, errors) = load_partly(request)?;
    let matters = |key: &str| {
        let section = key.split(['.', '[']).next().unwrap_or(key);
        section.is_empty() || needed.contains(&section)
    };
    let errors: Vec<_> = errors
        .into_iter()
        .filter(|error| matters(&error.key))
        .collect();
    if errors.is_empty() {
        Ok(settings)
    } else {
        Err(ConfigErrors(errors).into())
    }
}

/// The store's URL with its password in it.
///
/// # Errors
/// The path of a SQLite file is not UTF-8, or the URL has no place for the password.
pub fn store_url(store: &StoreSettings) -> Result<Secret, Failure> {
    store.full_url().map_err(Failure::unreachable)
}

/// The store as people know it: the whole path, or server and database without user and password.
pub fn shown_store(store: &StoreSettings) -> String {
    match &store.url {
        StoreUrl::Sqlite(path) => shown_path(path),
        StoreUrl::Postgres(url) => match Url::parse(url.expose()) {
            Ok(url) => format!(
                "postgres://{}{}",
                url.host_str().unwrap_or_default(),
                url.path()
            ),
            Err(_) => "a PostgreSQL database".to_owned(),
        },
    }
}

/// The whole path, so that nobody has to guess from where a relative one starts.
pub fn shown_path(path: &Path) -> String {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    whole.display().to_string()
}

/// Opens a store that is there, without changing it.
///
/// # Errors
/// It is not there, or cannot be reached.
pub fn attach(settings: &Settings) -> Result<Db, Failure> {
    Ok(Db::attach(store_url(&settings.store)?.expose(), READERS)?)
}

/// Opens the store and brings its schema up to date; a missing state folder and SQLite file are made.
///
/// # Errors
/// It cannot be reached, or its schema is newer than this release.
pub async fn open(settings: &Settings) -> Result<Db, Failure> {
    let folder = settings.state_dir();
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| {
        let shown = folder.display();
        Failure::unreachable(format!("the state folder {shown} cannot be made: {error}"))
    })?;
    Ok(Db::open(store_url(&settings.store)?.expose(), READERS).await?)
}

/// Opens the store of this release: one that is there must have its schema, a missing one is made.
///
/// # Errors
/// It cannot be reached, or its schema belongs to another release.
pub async fn open_current(settings: &Settings) -> Result<Db, Failure> {
    let db = match attach(settings) {
        Err(_) if is_missing(&settings.store) => return open(settings).await,
        attached => attached?,
    };
    match schema_version(&db).await? {
        None => open(settings).await,
        Some(version) if version == newest_schema() => Ok(db),
        Some(version) if version > newest_schema() => Err(StoreError::TooNew.into()),
        Some(version) => Err(Failure::unreachable(format!(
            "the store has schema {version}, this release uses {}",
            newest_schema()
        ))
        .next("stop the daemon of the older release, then run `watchbell migrate`")),
    }
}

/// Whether the store is a SQLite file that is not there yet.
pub fn is_missing(store: &StoreSettings) -> bool {
    match &store.url {
        StoreUrl::Sqlite(path) => !path.exists(),
        StoreUrl::Postgres(_) => false,
    }
}

/// The store's schema version; `None` in an empty database.
///
/// # Errors
/// The store cannot be read.
pub async fn schema_version(db: &Db) -> Result<Option<i64>, StoreError> {
    let mut conn = db.connect().await?;
    let version = inspect::find_schema_version(conn.lend()).await;
    conn.close().await?;
    version
}

/// The schema version that this release brings a store to.
pub fn newest_schema() -> i64 {
    MIGRATIONS.last().map_or(0, |(version, ..)| *version)
}
