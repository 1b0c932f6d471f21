//! One process per SQLite file, and one per state directory that is known by its name.
//!
//! The locks are the kernel's, so they are free again at once when their holder dies. Of a Postgres database the lease
//! row decides; there the name lets a restarted process go on at once instead of waiting for its own old lease. Must
//! not give one name to two processes that live at the same time.

use std::fs::{File, OpenOptions, TryLockError, read_to_string};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use anyhow::Context as _;

use crate::config::Settings;
use crate::config::settings::StoreUrl;
use crate::runtime::entropy::random_bytes;
use crate::store::StoreError;

/// The lock; free again when this is dropped.
#[derive(Debug)]
pub(super) struct FileLock {
    _files: Option<[File; 2]>,
}

impl FileLock {
    /// Takes the lock of the configured SQLite file, under whatever name it is opened. Must be dropped after the last
    /// connection: closing any handle of a file gives up what SQLite has locked in it.
    pub(super) fn take(settings: &Settings) -> anyhow::Result<Self> {
        let StoreUrl::Sqlite(path) = &settings.store.url else {
            return Ok(Self { _files: None });
        };
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
        }
        // The file itself has one lock under all its names, links of either kind included; SQLite's own locks are of
        // another sort, and an empty file is an empty database to it.
        let store = locked(path, path)?;
        let mut name = path.clone().into_os_string();
        name.push(".lock");
        let mut file = locked(Path::new(&name), path)?;
        // Only for people who look; the locks themselves are what counts.
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self {
            _files: Some([store, file]),
        })
    }
}

fn locked(name: &Path, store: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(name)
        .with_context(|| format!("{} cannot be opened", name.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(store.to_owned()).into()),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("{} cannot be locked", name.display()))
        }
    }
}

/// The name under which this process holds the lease.
#[derive(Debug)]
pub(super) struct Instance {
    /// The same after a restart on the same machine, as long as it runs; unique otherwise.
    pub(super) holder: String,
    _file: Option<File>,
}

impl Instance {
    /// The part of the name that stays the same as long as the state directory does.
    pub(super) fn name(&self) -> &str {
        let name = self.holder.split('@').next();
        name.unwrap_or(&self.holder)
    }

    /// Takes the name of the state directory, or a name for this run only when another process has that one.
    pub(super) fn take(settings: &Settings) -> anyhow::Result<Self> {
        let fresh = hex::encode(random_bytes::<8>()?);
        let path = settings.state_dir().join("instance");
        match named(&path, &fresh) {
            Ok((name, file)) => Ok(Self {
                holder: name,
                _file: Some(file),
            }),
            Err(error) => {
                log::info!(error:% = error; "{} is not used ({error}); this run gets a name of its own", path.display());
                Ok(Self {
                    holder: fresh,
                    _file: None,
                })
            }
        }
    }
}

fn named(path: &Path, fresh: &str) -> io::Result<(String, File)> {
    // A copied directory on another machine must not pass for this one, nor a process from before a restart of it.
    let boot = read_to_string("/proc/sys/kernel/random/boot_id")?;
    let mut options = OpenOptions::new();
    let mut file = options
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)?;
    file.try_lock()?;
    let mut name = String::new();
    io::Read::by_ref(&mut file)
        .take(64)
        .read_to_string(&mut name)?;
    let mut name = name.trim_end();
    if name.len() != fresh.len() || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{fresh}")?;
        name = fresh;
    }
    Ok((format!("{name}@{}", boot.trim_end()), file))
}
