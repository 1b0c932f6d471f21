//! The only text that knows which engine runs: connecting, pragmas, beginning, backup.
//!
//! Must not hold a query about the domain.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, PgPool, SqlitePool};

use super::{Conn, OwnedConn, Place, StoreError, Tx};

/// How long a statement waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a reader waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements kept prepared: every table in every chunk size, with room.
const STATEMENTS: usize = 400;
/// KiB that a writer keeps of the file, as `cache_size` has them.
const WRITER_CACHE: &str = "-65536";
const WRITER_CACHE_USUAL: &str = "PRAGMA cache_size = -65536";
const WRITER_CACHE_SMALL: &str = "PRAGMA cache_size = -12288";
/// The first SQLite without the WAL-reset corruption bug ("Write-Ahead Logging", section on the bug).
const SQLITE_OLDEST: [u32; 3] = [3, 51, 3];

/// Reads a store URL.
pub(super) fn place(url: &str) -> Result<Place, StoreError> {
    if let Some(path) = url.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() || path.contains('?') || path.contains(":memory:") {
            return Err(StoreError::Url(
                "write sqlite: and the path of a file, like sqlite:data/watchbell.db".into(),
            ));
        }
        return Ok(Place::Sqlite(PathBuf::from(path)));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let options = PgConnectOptions::from_str(url)
            .map_err(|error| StoreError::Url(error.to_string().into()))?;
        // A dead peer must not hold a transaction for ever, and an acknowledged commit must be on disk.
        let options = options
            .application_name("watchbell")
            .statement_cache_capacity(STATEMENTS)
            .options([
                ("synchronous_commit", "on"),
                ("statement_timeout", "30s"),
                ("idle_in_transaction_session_timeout", "60s"),
                ("tcp_user_timeout", "15000"),
                // The rollback after each reader's turn would be warned about, outside a transaction as it is.
                ("client_min_messages", "error"),
            ]);
        return Ok(Place::Postgres(Arc::new(options)));
    }
    Err(StoreError::Url(
        "it must start with sqlite: or postgres://".into(),
    ))
}

/// Refuses a SQLite that can corrupt its file.
pub(super) async fn check_sqlite_version() -> Result<(), StoreError> {
    let mut conn = SqliteConnectOptions::new()
        .in_memory(true)
        .connect()
        .await?;
    let (version,): (String,) = sqlx::query_as("SELECT sqlite_version()")
        .fetch_one(&mut conn)
        .await?;
    let numbers: Vec<u32> = version
        .split('.')
        .filter_map(|part| part.parse().ok())
        .collect();
    if numbers.as_slice() < SQLITE_OLDEST.as_slice() {
        return Err(StoreError::SqliteTooOld(version));
    }
    Ok(())
}

/// Makes the folder of a SQLite file.
pub(super) fn make_folder(path: &Path) -> Result<(), StoreError> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => {
            std::fs::create_dir_all(folder).map_err(|error| {
                let folder = folder.display();
                StoreError::Url(format!("the folder {folder} cannot be made: {error}").into())
            })
        }
        Some(_) | None => Ok(()),
    }
}

/// How much a writer keeps of the file, so that it need not read what it writes again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cache {
    /// As always.
    Usual,
    /// While very much is written once: it would fill whatever room there is, for nothing.
    Small,
}

/// Changes what the writer keeps of the file; only SQLite keeps it in this process.
pub(super) async fn keep(conn: Conn<'_>, cache: Cache) -> Result<(), StoreError> {
    let sql = match cache {
        Cache::Usual => WRITER_CACHE_USUAL,
        Cache::Small => WRITER_CACHE_SMALL,
    };
    match conn {
        Conn::Sqlite(conn) => sqlx::query(sql).execute(conn).await.map(drop)?,
        Conn::Postgres(_) => {}
    }
    Ok(())
}

/// A connection for writing.
pub(super) async fn connect(place: &Place) -> Result<OwnedConn, StoreError> {
    Ok(match place {
        Place::Sqlite(path) => {
            let options = sqlite_options(path)
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                // The WAL file is written over and over instead of being cut: growing it costs the file system's journal.
                .pragma("wal_autocheckpoint", "20000")
                .pragma("cache_size", WRITER_CACHE);
            OwnedConn::Sqlite(Box::new(options.connect().await?))
        }
        Place::Postgres(options) => OwnedConn::Postgres(Box::new(options.connect().await?)),
    })
}

/// The readers of a SQLite file.
pub(super) fn sqlite_readers(path: &Path, readers_max: u32) -> SqlitePool {
    let options = sqlite_options(path)
        .read_only(true)
        .pragma("cache_size", "-8192");
    PoolOptions::new()
        .max_connections(readers_max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(Duration::from_secs(60))
        .after_release(|conn, _| {
            Box::pin(async move {
                // Fails unless a snapshot was read, and that is fine.
                sqlx::query("ROLLBACK").execute(conn).await.ok();
                Ok(true)
            })
        })
        .connect_lazy_with(options)
}

/// The readers of a Postgres database.
pub(super) fn postgres_readers(options: &PgConnectOptions, readers_max: u32) -> PgPool {
    PoolOptions::new()
        .max_connections(readers_max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // sqlx 0.9.0 (#4385): a begin that was dropped in flight leaves the connection inside a transaction.
        .after_release(|conn, _| {
            Box::pin(async move {
                sqlx::query("ROLLBACK").execute(conn).await?;
                Ok(true)
            })
        })
        .connect_lazy_with(options.clone())
}

fn sqlite_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .statement_cache_capacity(STATEMENTS)
}

/// A step of the schema as SQLite gets it: a key of type `INTEGER` is the row's own number ("Rowid Tables"), with any other
/// word it is a second tree that each statement searches first. Stores of releases before that keep their form.
pub(super) fn sqlite_form(sql: &'static str) -> sqlx::SqlStr {
    let sql = sql.replace("BIGINT PRIMARY KEY", "INTEGER PRIMARY KEY");
    sqlx::QueryBuilder::<sqlx::Sqlite>::new(sql).into_sql()
}

/// Leaves room on the pages of rows that change with every message: the next version of a row then stays on its page and
/// touches no index (PostgreSQL, "Heap-Only Tuples"), which doubles the rate of updates. SQLite changes rows in place.
pub(super) async fn leave_room(conn: &mut OwnedConn) -> Result<(), StoreError> {
    match conn {
        OwnedConn::Sqlite(_) => {}
        OwnedConn::Postgres(conn) => {
            for sql in [
                "ALTER TABLE alert_state SET (fillfactor = 50)",
                "ALTER TABLE alert_text SET (fillfactor = 50)",
                "ALTER TABLE incident SET (fillfactor = 50)",
                "ALTER TABLE engine SET (fillfactor = 10)",
                // Large bodies come compressed; trying once more costs time and gains nothing.
                "ALTER TABLE input ALTER COLUMN body SET STORAGE EXTERNAL",
            ] {
                sqlx::query(sql).execute(&mut **conn).await.map(drop)?;
            }
        }
    }
    Ok(())
}

/// Copies what it can from the log into the file (`PRAGMA wal_checkpoint(PASSIVE)`); returns the pages left.
pub(super) async fn checkpoint(conn: &mut OwnedConn) -> Result<i64, StoreError> {
    match conn {
        OwnedConn::Sqlite(conn) => {
            let (_, logged, copied): (i64, i64, i64) =
                sqlx::query_as("PRAGMA wal_checkpoint(PASSIVE)")
                    .fetch_one(&mut **conn)
                    .await?;
            Ok(logged.saturating_sub(copied).max(0))
        }
        OwnedConn::Postgres(_) => Ok(0),
    }
}

/// Begins a transaction in which every statement sees the same moment. May be cancelled: connections of the pools are
/// rolled back when they are given back.
pub(super) async fn begin_reading(conn: Conn<'_>) -> Result<(), StoreError> {
    match conn {
        // A reader's snapshot is taken by its first statement.
        Conn::Sqlite(conn) => sqlx::query("BEGIN").execute(conn).await.map(drop)?,
        Conn::Postgres(conn) => {
            sqlx::query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                .execute(conn)
                .await
                .map(drop)?;
        }
    }
    Ok(())
}

/// Makes another SQLite file readable as `live`.
pub(super) async fn attach_live(conn: Conn<'_>, file: &str) -> Result<(), StoreError> {
    match conn {
        Conn::Sqlite(conn) => {
            let attach = sqlx::query("ATTACH DATABASE $1 AS live");
            attach.bind(file).execute(conn).await?;
            Ok(())
        }
        Conn::Postgres(_) => Err(StoreError::Other("Postgres has no files to attach".into())),
    }
}

/// Begins a writing transaction. Only for tasks that nobody cancels.
pub(super) async fn begin(conn: &mut OwnedConn) -> Result<Tx<'_>, StoreError> {
    match conn {
        // A deferred transaction that reads first and writes later fails at once when another writer was faster.
        OwnedConn::Sqlite(conn) => sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut **conn)
            .await
            .map(drop)?,
        OwnedConn::Postgres(conn) => sqlx::query("BEGIN").execute(&mut **conn).await.map(drop)?,
    }
    Ok(Tx(conn.lend()))
}

/// Commits it.
pub(super) async fn commit(mut tx: Tx<'_>) -> Result<(), StoreError> {
    super::on!(tx.lend(), c => sqlx::query("COMMIT").execute(c).await.map(drop))?;
    Ok(())
}

/// Undoes it.
pub(super) async fn rollback(conn: &mut OwnedConn) -> Result<(), StoreError> {
    super::on!(conn.lend(), c => sqlx::query("ROLLBACK").execute(c).await.map(drop))?;
    Ok(())
}

/// Enough room on a disk for a commit of ordinary size.
pub(super) const ROOM_FOR_A_COMMIT: u64 = 4 * 1024 * 1024;

/// Whether the disk of a SQLite file has so many bytes left.
pub(super) fn has_space(file: &Path, bytes: u64) -> bool {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    rustix::fs::statvfs(folder)
        .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= bytes)
}

/// Closes a connection in an orderly way.
pub(super) async fn close(conn: OwnedConn) -> Result<(), StoreError> {
    match conn {
        OwnedConn::Sqlite(conn) => conn.close().await?,
        OwnedConn::Postgres(conn) => conn.close().await?,
    }
    Ok(())
}

/// Writes a consistent copy of a SQLite file while it is in use.
pub(super) async fn copy_to(conn: Conn<'_>, file: &str) -> Result<(), StoreError> {
    match conn {
        Conn::Sqlite(conn) => {
            sqlx::query("VACUUM INTO $1").bind(file).execute(conn).await?;
            Ok(())
        }
        Conn::Postgres(_) => Err(StoreError::Other(
            "the store is a Postgres database; back it up with pg_dump or with the server's own backup".into(),
        )),
    }
}
