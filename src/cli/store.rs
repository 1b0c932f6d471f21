//! `watchbell migrate` and `watchbell backup`: the store as a whole.
//!
//! Must not contain SQL; that is the store's.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::failure::{Exit, Failure};
use crate::cli::out::Out;
use crate::cli::settings::{
    attach, is_missing, load_sections, newest_schema, open, request, schema_version, shown_store,
};
use crate::cli::text;
use crate::config::Env;
use crate::store::{StoreError, backup};

/// The examples of `migrate --help`.
pub const MIGRATE_EXAMPLES: &str = "\
Examples:
  watchbell backup before-upgrade.db && watchbell migrate

`serve` does the same at its start; this is for a time of your choice, with the daemon stopped. A
schema only moves forward: to go back to an older release, restore a backup.";

/// The examples of `backup --help`.
pub const BACKUP_EXAMPLES: &str = "\
Examples:
  watchbell backup /var/backups/watchbell-$(date +%F).db

The copy is consistent and taken while the daemon runs. To restore it, stop the daemon, put the copy
in the place of the store, remove the store's -wal and -shm files, and start again. Keep token.key of
the state folder with it: without that file all API tokens are void. A PostgreSQL store is backed up
with pg_dump.";

/// Options of `backup`.
#[derive(Args, Clone, Debug)]
pub struct BackupArgs {
    /// The file to write; it must not exist yet
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Brings the store's schema up to date.
///
/// # Errors
/// The store cannot be opened, or belongs to a newer release.
pub async fn migrate(config: Option<&Path>, env: &Env, out: &Out) -> Result<Exit, Failure> {
    let settings = load_sections(&request(config, env), &["store"])?;
    let place = shown_store(&settings.store);
    let before = if is_missing(&settings.store) {
        None
    } else {
        schema_version(&attach(&settings)?).await?
    };
    let db = open(&settings).await?;
    let after = schema_version(&db).await?.unwrap_or_default();
    db.close().await;
    out.print(&match before {
        None => format!("made {place} with schema {after}"),
        Some(before) if before == after => {
            format!("{place} has schema {after} already; nothing to do")
        }
        Some(before) => format!("brought {place} from schema {before} to {after}"),
    })?;
    Ok(Exit::Done)
}

/// Writes a consistent copy of the store.
///
/// # Errors
/// The store cannot be opened, or the copy cannot be written.
pub async fn backup(
    config: Option<&Path>,
    args: &BackupArgs,
    env: &Env,
    out: &Out,
) -> Result<Exit, Failure> {
    let settings = load_sections(&request(config, env), &["store"])?;
    let db = attach(&settings)?;
    let version = schema_version(&db).await?;
    if version.is_some_and(|version| version > newest_schema()) {
        return Err(StoreError::TooNew.into());
    }
    if db.file().is_none() {
        let text = "a PostgreSQL store is backed up with PostgreSQL's own tools".to_owned();
        return Err(Failure::usage(text).next("`pg_dump` makes a copy while the daemon runs; keep token.key of the state folder with it"));
    }
    if args.file.exists() {
        let text = format!("{} exists already", args.file.display());
        return Err(Failure::unreachable(text).next("name a new file"));
    }
    let folder = args.file.parent();
    if let Some(folder) = folder.filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
    {
        let text = format!("the folder {} does not exist", folder.display());
        return Err(Failure::unreachable(text).next("make it, or name a file elsewhere"));
    }
    backup::copy_to(&db, &args.file).await.map_err(|error| {
        let text = format!("{} cannot be written: {error}", args.file.display());
        Failure::unreachable(text).next("is its folder there, writable, and with enough room?")
    })?;
    db.close().await;
    let bytes = fs::metadata(&args.file)
        .map_err(|error| Failure::unreachable(format!("the copy cannot be read: {error}")))?
        .len();
    let file = args.file.display();
    out.print(&format!("wrote {file}, {}", text::bytes(bytes)))?;
    Ok(Exit::Done)
}
