//! One process per SQLite file.
//!
//! The lock is the kernel's, so it is free again at once when its holder dies. Must not be taken for Postgres, where
//! the lease row decides.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::config::Settings;
use crate::config::settings::StoreUrl;
use crate::store::StoreError;

/// The lock; free again when this is dropped.
#[derive(Debug)]
pub(super) struct FileLock {
    _file: Option<File>,
}

impl FileLock {
    /// Takes the lock of the configured SQLite file.
    pub(super) fn take(settings: &Settings) -> anyhow::Result<Self> {
        let StoreUrl::Sqlite(path) = &settings.store.url else {
            return Ok(Self { _file: None });
        };
        let mut name = path.clone().into_os_string();
        name.push(".lock");
        let lock = PathBuf::from(name);
        if let Some(folder) = lock
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
        }
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock)
            .with_context(|| format!("the lock file {} cannot be opened", lock.display()))?;
        match file.try_lock() {
            Ok(()) => {
                // Only for people who look; the lock itself is what counts.
                file.set_len(0)?;
                writeln!(file, "{}", std::process::id())?;
                Ok(Self { _file: Some(file) })
            }
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse(path.clone()).into()),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("{} cannot be locked", lock.display()))
            }
        }
    }
}
