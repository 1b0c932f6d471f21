//! The state at one moment as a small store of its own, so that a replay need not begin at the first input.
//!
//! It holds what a start loads and nothing else: no inputs, no history, nothing that is over for good. Only for SQLite.
//! Must not copy a table that [`super::load`] does not read; a test compares both.

use std::path::{Path, PathBuf};

use crate::core::ids::Seq;
use crate::core::time::Timestamp;

use super::{Conn, Db, StoreError, dialect, on};

/// What is copied; the store itself is attached as `live`.
const COPIES: [&str; 40] = [
    "INSERT INTO engine SELECT * FROM live.engine",
    "INSERT INTO source SELECT * FROM live.source",
    "INSERT INTO incident SELECT * FROM live.incident WHERE NOT is_forgotten \
     OR id = (SELECT MAX(id) FROM live.incident)",
    "INSERT INTO incident_alert SELECT * FROM live.incident_alert WHERE incident IN (SELECT id FROM main.incident)",
    "INSERT INTO incident_cause SELECT * FROM live.incident_cause WHERE incident IN (SELECT id FROM main.incident)",
    "INSERT INTO incident_service SELECT * FROM live.incident_service WHERE incident IN (SELECT id FROM main.incident)",
    "INSERT INTO incident_standing SELECT * FROM live.incident_standing WHERE incident IN (SELECT id FROM main.incident)",
    "INSERT INTO incident_escalated SELECT * FROM live.incident_escalated WHERE incident IN (SELECT id FROM main.incident)",
    "INSERT INTO rating SELECT * FROM live.rating WHERE incident IN (SELECT id FROM main.incident)",
    "INSERT INTO sla_clock SELECT * FROM live.sla_clock WHERE incident IN (SELECT id FROM main.incident)",
    "INSERT INTO told SELECT * FROM live.told WHERE incident IN (SELECT id FROM main.incident)",
    "INSERT INTO inhibition SELECT * FROM live.inhibition",
    "INSERT INTO alert_state SELECT * FROM live.alert_state WHERE NOT is_forgotten \
     OR id = (SELECT MAX(id) FROM live.alert_key)",
    "INSERT INTO alert_key SELECT * FROM live.alert_key WHERE id IN (SELECT id FROM main.alert_state)",
    "INSERT INTO alert_text SELECT * FROM live.alert_text WHERE id IN (SELECT id FROM main.alert_state)",
    "INSERT INTO alert_binding SELECT * FROM live.alert_binding WHERE alert IN (SELECT id FROM main.alert_state)",
    "INSERT INTO alert_forced SELECT * FROM live.alert_forced WHERE alert IN (SELECT id FROM main.alert_state)",
    "INSERT INTO alert_flap SELECT * FROM live.alert_flap",
    "INSERT INTO alert_fold SELECT * FROM live.alert_fold",
    "INSERT INTO alert_variant SELECT * FROM live.alert_variant",
    "INSERT INTO node SELECT * FROM live.node",
    "INSERT INTO node_alert SELECT * FROM live.node_alert",
    "INSERT INTO ci_change SELECT * FROM live.ci_change",
    "INSERT INTO ci_number SELECT * FROM live.ci_number",
    "INSERT INTO ci_version SELECT * FROM live.ci_version",
    "INSERT INTO relation_version SELECT * FROM live.relation_version",
    "INSERT INTO cmdb_import SELECT * FROM live.cmdb_import",
    "INSERT INTO silence SELECT * FROM live.silence",
    "INSERT INTO silence_alert SELECT * FROM live.silence_alert",
    "INSERT INTO silence_unchecked SELECT * FROM live.silence_unchecked",
    "INSERT INTO maintenance SELECT * FROM live.maintenance",
    "INSERT INTO schedule_override SELECT * FROM live.schedule_override",
    "INSERT INTO escalation SELECT * FROM live.escalation",
    "INSERT INTO heartbeat SELECT * FROM live.heartbeat",
    "INSERT INTO record SELECT * FROM live.record",
    "INSERT INTO record_ci SELECT * FROM live.record_ci",
    "INSERT INTO record_incident SELECT * FROM live.record_incident",
    "INSERT INTO record_occurrence SELECT * FROM live.record_occurrence",
    "INSERT INTO ticket SELECT * FROM live.ticket WHERE incident IN (SELECT id FROM main.incident)",
    "INSERT INTO rules_review SELECT * FROM live.rules_review",
];

/// A state that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The last input that it knows.
    pub seq: Seq,
    /// When it was kept.
    pub at: Timestamp,
    /// Where.
    pub file: PathBuf,
}

/// Where states are kept beside a store.
pub fn folder(store: &Path) -> Option<PathBuf> {
    Some(store.parent()?.join("snapshots"))
}

/// The states that were kept, the oldest first.
pub fn list(folder: &Path) -> Vec<Kept> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut kept: Vec<Kept> = entries
        .filter_map(|entry| {
            let file = entry.path();
            let name = file.file_name()?.to_str()?.strip_suffix(".db")?;
            let (at, seq) = name.split_once('-')?;
            Some(Kept {
                seq: Seq::new(seq.parse().ok()?),
                at: Timestamp::from_millis(at.parse().ok()?),
                file,
            })
        })
        .collect();
    kept.sort_by_key(|it| (it.at, it.seq));
    kept
}

/// Keeps the state of now in the folder, unless nothing was decided since the last time.
///
/// # Errors
/// There is too little room: senders need it more. Else see [`write()`].
pub async fn keep(db: &Db, folder: &Path, now: Timestamp) -> Result<Option<PathBuf>, StoreError> {
    let other = |error: std::io::Error| StoreError::Other(error.to_string().into());
    if let Some(live) = db.file() {
        let bytes = std::fs::metadata(live).map_err(other)?.len();
        if !dialect::has_space(live, bytes.saturating_mul(2)) {
            let text = "the disk has less room than twice the size of the store";
            return Err(StoreError::Other(text.into()));
        }
    }
    let mut reader = db.reader().await?;
    let known = decided(reader.lend()).await?;
    drop(reader);
    if list(folder).last().is_some_and(|last| last.seq == known) {
        return Ok(None);
    }
    std::fs::create_dir_all(folder).map_err(other)?;
    let unfinished = folder.join("unfinished");
    // What a crash left: SQLite would take an old log for one of the new file.
    for left in ["unfinished", "unfinished-wal", "unfinished-shm"] {
        match std::fs::remove_file(folder.join(left)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(other(error)),
            Ok(()) | Err(_) => {}
        }
    }
    let seq = write(db, &unfinished).await?;
    let file = folder.join(format!("{}-{}.db", now.as_millis(), seq.get()));
    std::fs::rename(&unfinished, &file).map_err(other)?;
    Ok(Some(file))
}

/// Writes the state that the store holds at one moment to a new file; the last input that it knows.
///
/// # Errors
/// The file exists or cannot be written, or the store is not SQLite.
pub async fn write(db: &Db, file: &Path) -> Result<Seq, StoreError> {
    let live = db.file().and_then(Path::to_str);
    let (Some(live), Some(name)) = (live, file.to_str()) else {
        let text = "states are only kept beside a SQLite store whose path is UTF-8";
        return Err(StoreError::Other(text.into()));
    };
    if file.exists() {
        return Err(StoreError::Other(format!("{name} exists already").into()));
    }
    let copy = Db::open(&format!("sqlite:{name}"), 1).await?;
    let mut conn = copy.connect().await?;
    let written = fill(conn.lend(), live).await;
    let seq = decided(conn.lend()).await;
    dialect::close(conn).await?;
    copy.close().await;
    written?;
    seq
}

/// The last input that a state knows.
///
/// # Errors
/// The store cannot be read.
pub async fn decided(conn: Conn<'_>) -> Result<Seq, StoreError> {
    let seq: Option<i64> = on!(conn, c => sqlx::query_scalar("SELECT MAX(decided_seq) FROM engine")
        .fetch_one(c).await?);
    Ok(Seq::new(seq.unwrap_or(0)))
}

async fn fill(mut conn: Conn<'_>, live: &str) -> Result<(), StoreError> {
    dialect::attach_live(conn.lend(), live).await?;
    // Begun as for reading: it must not keep the daemon from writing what it reads.
    dialect::begin_reading(conn.lend()).await?;
    for copy in COPIES {
        on!(conn.lend(), c => sqlx::query(copy).execute(c).await.map(drop))?;
    }
    on!(conn.lend(), c => sqlx::query("COMMIT").execute(c).await.map(drop))?;
    Ok(())
}
