//! The key with which API tokens are hashed: one file per installation, `<state_dir>/token.key`.
//!
//! The file holds 32 random bytes as hex, readable by its owner only, and is made once: whoever loses it makes all
//! tokens void. Must not overwrite a file that is there, whatever is in it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Bytes of a key file that holds a key, with room for a line break.
const FILE_BYTES_MAX: u64 = 128;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeyError {
    /// The file or its folder cannot be read or written.
    #[error("the token key {0} cannot be read or made: {1}")]
    Io(PathBuf, io::Error),
    /// The file holds something else.
    #[error("the token key {0} does not hold 64 hex digits; restore it from a backup")]
    Malformed(PathBuf),
}

/// Where the key of an installation lies.
pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("token.key")
}

/// Reads the key; `None` when there is none yet.
///
/// # Errors
/// The file cannot be read, or holds something else.
pub fn load(state_dir: &Path) -> Result<Option<Zeroizing<[u8; 32]>>, TokenKeyError> {
    let path = path(state_dir);
    let text = match read(&path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(TokenKeyError::Io(path, error)),
    };
    let mut key = Zeroizing::new([0; 32]);
    match hex::decode_to_slice(text.trim_end(), &mut *key) {
        Ok(()) => Ok(Some(key)),
        Err(_) => Err(TokenKeyError::Malformed(path)),
    }
}

/// Reads the key, or makes the file from `fresh` random bytes; of two processes that make it at once, both get the
/// one that was first.
///
/// # Errors
/// The file cannot be read or made, or holds something else.
pub fn load_or_create(
    state_dir: &Path,
    fresh: [u8; 32],
) -> Result<Zeroizing<[u8; 32]>, TokenKeyError> {
    if let Some(key) = load(state_dir)? {
        return Ok(key);
    }
    create(state_dir, fresh).map_err(|error| TokenKeyError::Io(path(state_dir), error))?;
    let missing = || TokenKeyError::Io(path(state_dir), io::Error::from(ErrorKind::NotFound));
    load(state_dir)?.ok_or_else(missing)
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    io::Read::read_to_string(
        &mut io::Read::take(File::open(path)?, FILE_BYTES_MAX),
        &mut text,
    )?;
    Ok(text)
}

/// Writes the whole file under another name first, so that nobody ever reads half of it.
fn create(state_dir: &Path, fresh: [u8; 32]) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state_dir)?;
    let draft = state_dir.join(format!(".token.key.{}", std::process::id()));
    let made = write_draft(&draft, state_dir, fresh).and_then(|()| {
        // Unlike a rename, a link fails when somebody was faster.
        match fs::hard_link(&draft, path(state_dir)) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            Ok(()) | Err(_) => File::open(state_dir)?.sync_all(),
        }
    });
    let removed = fs::remove_file(&draft);
    made.and(removed)
}

fn write_draft(draft: &Path, state_dir: &Path, fresh: [u8; 32]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(draft)?;
    // Made by root for a daemon that runs as somebody else, it must be readable for that one.
    let owner = fs::metadata(state_dir)?;
    if file.metadata()?.uid() != owner.uid() {
        std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
    }
    writeln!(file, "{}", *Zeroizing::new(hex::encode(fresh)))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_key_is_made_once_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        assert!(load(&state).unwrap().is_none());
        assert_eq!(*load_or_create(&state, [7; 32]).unwrap(), [7; 32]);
        assert_eq!(*load_or_create(&state, [8; 32]).unwrap(), [7; 32]);
        let mode = fs::metadata(path(&state)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1);
    }

    #[test]
    fn a_broken_key_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(path(dir.path()), "not a key\n").unwrap();
        let error = load_or_create(dir.path(), [7; 32]).unwrap_err();
        assert!(matches!(error, TokenKeyError::Malformed(_)), "{error}");
        assert_eq!(fs::read_to_string(path(dir.path())).unwrap(), "not a key\n");
    }
}
