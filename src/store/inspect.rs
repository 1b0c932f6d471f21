//! A look at the store itself, for `doctor` and `migrate`: versions, durability settings, integrity, writability.
//!
//! Like `dialect` it knows which engine runs, since the engine is what it looks at. Must not change anything: what it
//! tries to write is rolled back.

use crate::core::time::Timestamp;

use super::{Conn, Db, StoreError, dialect, on};

/// A setting of the engine that durability depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name in the engine's manual.
    pub name: &'static str,
    /// Its value on a connection of ours.
    pub value: String,
    /// Whether an acknowledged commit survives a power cut with it.
    pub is_safe: bool,
}

/// The engine's name and version, like `SQLite 3.51.3`.
///
/// # Errors
/// The database cannot be read.
pub async fn find_version(conn: Conn<'_>) -> Result<String, StoreError> {
    let (name, (version,)): (&str, (String,)) = match conn {
        Conn::Sqlite(c) => {
            let row = sqlx::query_as("SELECT sqlite_version()").fetch_one(c);
            ("SQLite", row.await?)
        }
        Conn::Postgres(c) => {
            let row = sqlx::query_as("SHOW server_version").fetch_one(c);
            ("PostgreSQL", row.await?)
        }
    };
    Ok(format!("{name} {version}"))
}

/// The last schema step that was run; `None` in an empty database.
///
/// # Errors
/// The database cannot be read.
pub async fn find_schema_version(mut conn: Conn<'_>) -> Result<Option<i64>, StoreError> {
    let tables: (i64,) = match conn.lend() {
        Conn::Sqlite(c) => {
            let sql = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'";
            sqlx::query_as(sql).fetch_one(c).await?
        }
        Conn::Postgres(c) => {
            let sql = "SELECT CAST(COUNT(to_regclass('_sqlx_migrations')) AS BIGINT)";
            sqlx::query_as(sql).fetch_one(c).await?
        }
    };
    if tables.0 == 0 {
        return Ok(None);
    }
    let (version,): (Option<i64>,) = on!(conn, c => sqlx::query_as(
        "SELECT MAX(version) FROM _sqlx_migrations WHERE success"
    ).fetch_one(c).await?);
    Ok(version)
}

/// The settings that durability depends on, as a writing connection of ours has them.
///
/// # Errors
/// The database cannot be read.
pub async fn list_settings(conn: Conn<'_>) -> Result<Vec<Setting>, StoreError> {
    match conn {
        Conn::Sqlite(c) => {
            let (journal,): (String,) = sqlx::query_as("PRAGMA journal_mode")
                .fetch_one(&mut *c)
                .await?;
            let (synchronous,): (i64,) = sqlx::query_as("PRAGMA synchronous").fetch_one(c).await?;
            Ok(vec![
                setting("journal_mode", journal, &["wal"]),
                setting("synchronous", level(synchronous), &["full", "extra"]),
            ])
        }
        Conn::Postgres(c) => {
            let (commit,): (String,) = sqlx::query_as("SHOW synchronous_commit")
                .fetch_one(&mut *c)
                .await?;
            let (fsync,): (String,) = sqlx::query_as("SHOW fsync").fetch_one(c).await?;
            let safe = ["on", "local", "remote_write", "remote_apply"];
            Ok(vec![
                setting("synchronous_commit", commit, &safe),
                setting("fsync", fsync, &["on"]),
            ])
        }
    }
}

/// The word for a number of `PRAGMA synchronous` ("Pragma statements supported by SQLite").
fn level(synchronous: i64) -> String {
    match synchronous {
        0 => "off".to_owned(),
        1 => "normal".to_owned(),
        2 => "full".to_owned(),
        3 => "extra".to_owned(),
        other => other.to_string(),
    }
}

fn setting(name: &'static str, value: String, safe: &[&str]) -> Setting {
    let is_safe = safe.contains(&value.as_str());
    Setting {
        name,
        value,
        is_safe,
    }
}

/// Reads the whole SQLite file and says what is broken first; `None` when nothing is. A server checks itself.
///
/// # Errors
/// The database cannot be read.
pub async fn find_damage(conn: Conn<'_>) -> Result<Option<String>, StoreError> {
    match conn {
        Conn::Sqlite(c) => {
            let (verdict,): (String,) =
                sqlx::query_as("PRAGMA quick_check(1)").fetch_one(c).await?;
            Ok((verdict != "ok").then_some(verdict))
        }
        Conn::Postgres(_) => Ok(None),
    }
}

/// Writes something and undoes it.
///
/// # Errors
/// Why the store cannot be written.
pub async fn try_write(db: &Db) -> Result<(), StoreError> {
    // The statement below dirties no page, so a full disk would not refuse it.
    if db
        .file()
        .is_some_and(|file| !dialect::has_space(file, dialect::ROOM_FOR_A_COMMIT))
    {
        return Err(StoreError::Full);
    }
    let mut conn = db.connect().await?;
    let mut tx = dialect::begin(&mut conn).await?;
    // A partition that is not there: permissions and locks are checked all the same.
    let tried = on!(tx.lend(), c => sqlx::query(
        "UPDATE engine SET holder = holder WHERE partition = -1"
    ).execute(c).await.map(drop));
    dialect::rollback(&mut conn).await?;
    dialect::close(conn).await?;
    Ok(tried?)
}

/// When the newest input of a partition was recorded; `None` when there is none.
///
/// # Errors
/// The database cannot be read.
pub async fn find_newest_input_at(
    conn: Conn<'_>,
    partition: i64,
) -> Result<Option<Timestamp>, StoreError> {
    let row: Option<(i64,)> = on!(conn, c => sqlx::query_as(
        "SELECT at FROM input WHERE partition = $1 ORDER BY seq DESC LIMIT 1"
    ).bind(partition).fetch_optional(c).await?);
    Ok(row.map(|(at,)| Timestamp::from_millis(at)))
}
