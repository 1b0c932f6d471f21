//! The state folder and the files in it: who may read and write them, and whether there is room.
//!
//! Must not make anything.

use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statvfs};

use super::Finding;
use crate::cli::settings::shown_path;
use crate::cli::text;
use crate::config::Settings;
use crate::config::settings::StoreUrl;
use crate::token_key::{self, load};

/// Free bytes below which commits are about to fail.
const FREE_FAIL: u64 = 100 << 20;
/// Free bytes below which somebody should look.
const FREE_WARN: u64 = 1 << 30;
/// Bytes of a write-ahead log that does not shrink any more.
const WAL_WARN: u64 = 512 << 20;

/// Checks folder, token key and disk.
pub(super) fn check(settings: &Settings) -> Vec<Finding> {
    let folder = settings.state_dir();
    let Ok(metadata) = fs::metadata(folder) else {
        let found = format!("{} is not there yet", shown_path(folder));
        return vec![Finding::warn(
            "state folder",
            found,
            "`watchbell serve` makes it; is this the machine and the folder of the daemon?",
        )];
    };
    let mut findings = vec![state_dir(folder, &metadata)];
    findings.push(token_key(folder, &metadata));
    if let StoreUrl::Sqlite(file) = &settings.store.url {
        findings.extend(disk(file));
        findings.extend(owner(file, &metadata));
        findings.extend(wal(file));
    }
    findings
}

fn state_dir(folder: &Path, metadata: &Metadata) -> Finding {
    let check = "state folder";
    let shown = shown_path(folder);
    let mode = metadata.permissions().mode() & 0o7777;
    if !metadata.is_dir() {
        return Finding::fail(check, format!("{shown} is no folder"), "remove it");
    }
    if access(folder, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let next = "run this as the user of the daemon, or give that user the folder (chown)";
        return Finding::fail(check, format!("{shown} cannot be written"), next);
    }
    if mode & 0o002 != 0 {
        let next = format!("chmod o-w {shown}");
        return Finding::fail(
            check,
            format!("everybody may write {shown} (mode {mode:04o})"),
            next,
        );
    }
    Finding::ok(check, format!("{shown}, mode {mode:04o}"))
}

fn token_key(folder: &Path, owner: &Metadata) -> Finding {
    let check = "token key";
    let path = token_key::path(folder);
    let shown = shown_path(&path);
    let key = match load(folder) {
        Ok(key) => key,
        Err(error) => {
            let next = "without it all API tokens are void: restore it from a backup, or remove it and make new tokens";
            return Finding::fail(check, error.to_string(), next);
        }
    };
    let Some(metadata) = key.and_then(|_| fs::metadata(&path).ok()) else {
        return Finding::ok(check, "none yet; the first token makes it");
    };
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        let found = format!("others may read {shown} (mode {mode:04o})");
        return Finding::fail(check, found, format!("chmod 600 {shown}"));
    }
    if metadata.uid() != owner.uid() {
        let found = format!("{shown} belongs to another user than its folder");
        let next = format!("chown --reference={} {shown}", folder.display());
        return Finding::fail(check, found, next);
    }
    Finding::ok(check, format!("{shown}, mode {mode:04o}"))
}

fn disk(file: &Path) -> Option<Finding> {
    let check = "disk";
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let disk = statvfs(folder).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let found = format!("{} free for {}", text::bytes(free), shown_path(folder));
    let next = "free some space, or lower [retention] inputs and input_bytes_max; when it is full, senders get 503";
    Some(if free < FREE_FAIL {
        Finding::fail(check, found, next)
    } else if free < FREE_WARN {
        Finding::warn(check, found, next)
    } else {
        Finding::ok(check, found)
    })
}

fn owner(file: &Path, folder: &Metadata) -> Option<Finding> {
    let metadata = fs::metadata(file).ok()?;
    if metadata.uid() == folder.uid() {
        return None;
    }
    let shown = shown_path(file);
    Some(Finding::warn(
        "store file",
        format!("{shown} belongs to another user than its folder"),
        "a command was run as another user; give it back with chown, with its -wal and -shm files",
    ))
}

fn wal(file: &Path) -> Option<Finding> {
    let mut name = file.to_owned().into_os_string();
    name.push("-wal");
    let bytes = fs::metadata(PathBuf::from(name)).ok()?.len();
    let found = format!("{} of write-ahead log", text::bytes(bytes));
    Some(if bytes > WAL_WARN {
        let next = "a reader keeps it from shrinking: look for a long-running program that has the store open";
        Finding::warn("WAL", found, next)
    } else {
        Finding::ok("WAL", found)
    })
}
