//! What a CMDB export's bytes mean: files in, one neutral picture out.
//!
//! An importer knows one format and nothing else. A picture is read as far as it can be: a bad row is left out and
//! named with its place in [`Picture::problems`], the good ones are kept; only files that make no sense as a whole are
//! an error, and so is a fetch of which a part is missing, since a partial picture would delete what it does not name.
//! Must not do I/O, read a clock, log, or compare with what is known. Start at [`Format`]; a new one goes into
//! [`IMPORTERS`].

pub mod ansible;
pub mod backstage;
pub mod classes;
pub mod conversation;
pub mod csv;
pub mod documents;
pub mod draft;
pub mod glpi;
pub mod graphml;
pub mod itop;
pub mod kubernetes;
pub mod native;
pub mod netbox;
pub mod plain;
pub mod prometheus;
pub mod servicenow;
pub mod terraform;
pub mod value;

use bytes::Bytes;
use thiserror::Error;

use crate::core::cmdb::record::Picture;

/// Problems kept in full per import; more are only counted in a last line, so that a hostile file stays cheap.
pub const PROBLEMS_MAX: usize = 1_000;

/// A file, or one fetched page, with its name.
#[derive(Clone, Debug)]
pub struct NamedBytes {
    /// The file's name or the page's address, for messages and for telling kinds of files apart.
    pub name: String,
    /// What it holds, without compression.
    pub bytes: Bytes,
}

/// One import format.
pub trait Format: Sync {
    /// The word of `--format` and of `kind` in `[[cmdb.import]]`.
    fn name(&self) -> &'static str;

    /// Whether these files look like this format; asked in the order of [`IMPORTERS`] when nobody names one.
    fn recognises(&self, files: &[NamedBytes]) -> bool {
        let _unread = files;
        false
    }

    /// Reads all files of one export.
    ///
    /// # Errors
    /// The files make no sense as a whole.
    fn read(&self, files: &[NamedBytes]) -> Result<Picture, ImportError>;
}

/// Why an export could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImportError {
    /// There is nothing in it.
    #[error("{0} is empty; nothing was changed")]
    Empty(String),
    /// It is not of that format; the text says where and what is expected.
    #[error("{file}: {problem}")]
    Malformed {
        /// The file or page.
        file: String,
        /// What is wrong, where, and what is expected.
        problem: String,
    },
}

/// Every format, in the order in which they are tried when none is named.
pub static IMPORTERS: &[&dyn Format] = &[
    &itop::Itop,
    &native::Native,
    &netbox::NetBox,
    &servicenow::ServiceNow,
    &glpi::Glpi,
    &terraform::Terraform,
    &prometheus::Prometheus,
    &backstage::Backstage,
    &kubernetes::Kubernetes,
    &graphml::GraphMl,
    &ansible::Ansible,
    &csv::Csv,
];

/// Finds a format by its name.
pub fn find(name: &str) -> Option<&'static dyn Format> {
    let found = IMPORTERS.iter().find(|format| format.name() == name);
    found.copied()
}

/// Finds the format of files that nobody named.
pub fn guess(files: &[NamedBytes]) -> Option<&'static dyn Format> {
    let found = IMPORTERS.iter().find(|format| format.recognises(files));
    found.copied()
}

/// Adds a problem unless there are too many already.
pub fn note(picture: &mut Picture, place: impl AsRef<str>, text: impl AsRef<str>) {
    use crate::core::cmdb::record::Problem;
    if picture.problems.len() < PROBLEMS_MAX {
        picture.problems.push(Problem {
            place: place.as_ref().into(),
            text: text.as_ref().into(),
        });
    } else if picture.problems.len() == PROBLEMS_MAX {
        picture.problems.push(Problem {
            place: "more".into(),
            text: "there are more problems than are listed".into(),
        });
    }
}
