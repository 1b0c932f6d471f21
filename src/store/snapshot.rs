//! The state at one moment as a small store of its own, so that a replay need not begin at the first input.
//!
//! It holds what a start loads and nothing else: no inputs, no history, nothing that is over for good. It is a SQLite file
//! whatever the store is: rows of PostgreSQL are carried into it ([`super::carry`]).
//! Must not copy a table that [`super::load`] does not read; a test compares both.

use std::path::{Path, PathBuf};

use sqlx::QueryBuilder;

use crate::core::ids::Seq;
use crate::core::time::Timestamp;

use super::{Conn, Db, StoreError, carry, dialect, on};

/// Bytes of a state whose store is no file, for the look at the disk.
const ROOM_WITHOUT_A_FILE: u64 = 128 * 1024 * 1024;

/// Which rows of a table are copied.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rows {
    /// Every one.
    All,
    /// Incidents that are not over for good, and the last one, whose number must not come again.
    Incidents,
    /// Those of such incidents.
    OfIncidents,
    /// Alerts that are not over for good, and the last one.
    Alerts,
    /// Those of such alerts; what begins the condition names the column.
    OfAlerts(&'static str),
}

/// What is copied, in an order in which whatever is referred to is there first.
pub(super) const COPIES: [(&str, Rows); 41] = [
    ("engine", Rows::All),
    ("source", Rows::All),
    ("incident", Rows::Incidents),
    ("incident_alert", Rows::OfIncidents),
    ("incident_cause", Rows::OfIncidents),
    ("incident_service", Rows::OfIncidents),
    ("incident_standing", Rows::OfIncidents),
    ("incident_escalated", Rows::OfIncidents),
    ("rating", Rows::OfIncidents),
    ("sla_clock", Rows::OfIncidents),
    ("told", Rows::OfIncidents),
    ("inhibition", Rows::All),
    ("alert_state", Rows::Alerts),
    ("alert_key", Rows::OfAlerts(" WHERE id IN ")),
    ("alert_text", Rows::OfAlerts(" WHERE id IN ")),
    ("alert_binding", Rows::OfAlerts(" WHERE alert IN ")),
    ("alert_forced", Rows::OfAlerts(" WHERE alert IN ")),
    ("alert_flap", Rows::All),
    ("alert_fold", Rows::All),
    ("alert_variant", Rows::All),
    ("node", Rows::All),
    ("node_alert", Rows::All),
    ("ci_change", Rows::All),
    ("habit", Rows::All),
    ("ci_number", Rows::All),
    ("ci_version", Rows::All),
    ("relation_version", Rows::All),
    ("cmdb_import", Rows::All),
    ("silence", Rows::All),
    ("silence_alert", Rows::All),
    ("silence_unchecked", Rows::All),
    ("maintenance", Rows::All),
    ("schedule_override", Rows::All),
    ("escalation", Rows::All),
    ("heartbeat", Rows::All),
    ("record", Rows::All),
    ("record_ci", Rows::All),
    ("record_incident", Rows::All),
    ("record_occurrence", Rows::All),
    ("ticket", Rows::OfIncidents),
    ("rules_review", Rows::All),
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

/// Where states are kept: beside the file of the store, else in the state directory.
pub fn folder(db: &Db, state_dir: &Path) -> PathBuf {
    let beside = db.file().and_then(Path::parent);
    beside.unwrap_or(state_dir).join("snapshots")
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
    std::fs::create_dir_all(folder).map_err(other)?;
    let bytes = match db.file() {
        Some(live) => std::fs::metadata(live).map_err(other)?.len(),
        None => ROOM_WITHOUT_A_FILE,
    };
    if !dialect::has_space(&folder.join("unfinished"), bytes.saturating_mul(2)) {
        let text = "the disk has less room than twice the size of the store";
        return Err(StoreError::Other(text.into()));
    }
    let mut reader = db.reader().await?;
    let known = decided(reader.lend()).await?;
    drop(reader);
    if list(folder).last().is_some_and(|last| last.seq == known) {
        return Ok(None);
    }
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
/// The file exists or cannot be written, or the store cannot be read.
pub async fn write(db: &Db, file: &Path) -> Result<Seq, StoreError> {
    let Some(name) = file.to_str() else {
        let text = "states are only kept in a folder whose path is UTF-8";
        return Err(StoreError::Other(text.into()));
    };
    if file.exists() {
        return Err(StoreError::Other(format!("{name} exists already").into()));
    }
    let copy = Db::open(&format!("sqlite:{name}"), 1).await?;
    let mut conn = copy.connect().await?;
    let written = match db.file().map(Path::to_str) {
        Some(Some(live)) => fill(conn.lend(), live).await,
        Some(None) => Err(StoreError::Other("the store's path is not UTF-8".into())),
        None => carry::fill(conn.lend(), db).await,
    };
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
    for (table, rows) in COPIES {
        on!(conn.lend(), c => {
            let mut copy = QueryBuilder::new("INSERT INTO ");
            copy.push(table).push(" SELECT * FROM live.").push(table);
            for part in attached(rows) {
                copy.push(part);
            }
            copy.build().execute(c).await.map(drop)
        })?;
    }
    on!(conn.lend(), c => sqlx::query("COMMIT").execute(c).await.map(drop))?;
    Ok(())
}

/// Which rows, of an attached store: what was copied before says which.
fn attached(rows: Rows) -> [&'static str; 2] {
    match rows {
        Rows::All => ["", ""],
        Rows::Incidents => [
            " WHERE NOT is_forgotten OR id = (SELECT MAX(id) FROM live.incident)",
            "",
        ],
        Rows::OfIncidents => [" WHERE incident IN (SELECT id FROM main.incident)", ""],
        Rows::Alerts => [
            " WHERE NOT is_forgotten OR id = (SELECT MAX(id) FROM live.alert_key)",
            "",
        ],
        Rows::OfAlerts(column) => [column, "(SELECT id FROM main.alert_state)"],
    }
}
