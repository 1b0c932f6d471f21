//! Imports that say the same again: the same bytes need not be read and compared.
//!
//! Remembered in memory only; after a start the content is compared once more. Must not take bytes for the same whose
//! version is no longer what that import says.

use crate::store::cmdb::read;
use crate::store::cmdb::stage::Stage;

use super::cmdb::{ImportCounts, ImportOutcome, ImportRefused};
use super::handle::EngineHandle;

/// Imports whose bytes are remembered.
const HEARD_MAX: usize = 64;

/// The bytes of an import without problems, so that the same bytes need not be read again.
#[derive(Debug)]
pub(super) struct Heard {
    name: String,
    format: String,
    bytes: u64,
    version: u64,
    counts: ImportCounts,
}

impl EngineHandle {
    /// The format and what an import came to whose bytes are those that said what it says now; `None` when they have to be read.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn unchanged_cmdb(
        &self,
        name: &str,
        bytes: u64,
    ) -> Result<Option<(String, ImportOutcome)>, ImportRefused> {
        let _one = self.imports.one_at_a_time.lock().await;
        let heard = self.imports.heard.lock().await;
        let same = heard.iter().find(|it| it.name == name && it.bytes == bytes);
        let same = same.map(|it| (it.format.clone(), it.version, it.counts));
        let Some((format, version, counts)) = same else {
            return Ok(None);
        };
        drop(heard);
        let mut reader = self.imports.db.reader().await?;
        let current = read::current(reader.lend()).await?;
        let (active, _) = read::versions(reader.lend()).await?;
        drop(reader);
        let is_current =
            |it: &read::CurrentImport| it.name == name && u64::try_from(it.version) == Ok(version);
        if !current.iter().any(is_current) {
            return Ok(None);
        }
        self.stage(Stage::Seen(version)).await?;
        let outcome = ImportOutcome {
            version: active,
            is_unchanged: true,
            counts,
            ..ImportOutcome::default()
        };
        Ok(Some((format, outcome)))
    }

    /// Remembers which bytes an import without problems came from.
    pub async fn heard_cmdb(&self, name: &str, format: &str, bytes: u64, outcome: &ImportOutcome) {
        let mut heard = self.imports.heard.lock().await;
        heard.retain(|it| it.name != name);
        if outcome.is_dry_run || outcome.is_unchanged || outcome.counts.problems > 0 {
            return;
        }
        heard.truncate(HEARD_MAX.saturating_sub(1));
        let (cis, relations) = (outcome.counts.cis, outcome.counts.relations);
        let counts = ImportCounts {
            cis,
            relations,
            ..ImportCounts::default()
        };
        let (name, format) = (name.to_owned(), format.to_owned());
        let version = outcome.version;
        heard.push(Heard {
            name,
            format,
            bytes,
            version,
            counts,
        });
    }
}
