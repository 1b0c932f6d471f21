//! A secret: redacted wherever it is printed, wiped when dropped, compared in constant time.
//!
//! Inline text, or `{ file = F }`, `{ env = V }`, `{ credential = C }` (systemd: `$CREDENTIALS_DIRECTORY/C`). Must not
//! end up in a message, a log line or an error.

use std::fmt;
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::config::env::Env;
use crate::config::error::Complaint;
use crate::config::files;

/// Bytes of a secret's file; a larger one is the wrong file and is refused.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// A text that is never shown.
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself; only for the place that compares or sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Secret {
    /// Takes the same time wherever two secrets of one length differ.
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where a secret comes from.
pub(super) enum Origin {
    Inline(Zeroizing<String>),
    File(PathBuf),
    Env(String),
    Credential(String),
}

/// Fetches a secret and removes the line break that editors and `echo` leave at its end.
pub(super) fn fetch(origin: &Origin, env: &Env) -> Result<Zeroizing<String>, Complaint> {
    let text = match origin {
        Origin::Inline(text) => text.clone(),
        Origin::File(path) => read_secret(path)?,
        Origin::Credential(name) => read_secret(&credential_path(name, env)?)?,
        Origin::Env(name) => Zeroizing::new(env.get(name).ok_or_else(|| {
            Complaint::new(format!("environment variable {name} is not set"))
                .hint("set it where the process is started")
        })?),
    };
    Ok(Zeroizing::new(
        text.trim_end_matches(['\n', '\r']).to_owned(),
    ))
}

/// The file in which systemd puts the credential `name`.
pub(super) fn credential_path(name: &str, env: &Env) -> Result<PathBuf, Complaint> {
    if name.is_empty() || name.contains('/') || name == "." || name == ".." {
        return Err(Complaint::new(format!("{name:?} is not a credential name"))
            .hint("write the name given to LoadCredential= in the unit, without a folder"));
    }
    let folder = env.get("CREDENTIALS_DIRECTORY").ok_or_else(|| {
        Complaint::new(format!(
            "credential {name} is not there: $CREDENTIALS_DIRECTORY is not set"
        ))
        .hint("systemd sets it for units with LoadCredential=; outside of systemd use file or env")
    })?;
    Ok(Path::new(&folder).join(name))
}

fn read_secret(path: &Path) -> Result<Zeroizing<String>, Complaint> {
    files::read_text(path, SECRET_BYTES_MAX).map_err(|cause| {
        Complaint::new(format!(
            "cannot read the secret in {}: {cause}",
            path.display()
        ))
        .hint("check the path and who may read it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_redacted_in_every_form_of_print() {
        let secret = Secret::new("canary");
        assert_eq!(
            format!("{secret} {secret:?} {:?}", Some(&secret)),
            "*** Secret(***) Some(Secret(***))"
        );
        assert_eq!(secret, Secret::new("canary"));
        assert_ne!(secret, Secret::new("canarz"));
    }
}
