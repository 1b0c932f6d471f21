//! Durable state: one SQL text for SQLite and PostgreSQL.
//!
//! A statement is a function that takes a [`Conn`]; the [`on!`] macro runs the same text on whichever of the two
//! concrete connections it is, so no generics leave this layer. Only `dialect` knows which engine runs. All writes
//! of the daemon go through one task ([`writer::Writer`]) that nobody cancels; readers have their own pool and see
//! committed rows only.
//!
//! Must not contain a rule, a clock, or a random function, neither in Rust nor in SQL.

mod alert_rows;
mod alert_texts;
mod answers;
pub mod audit;
pub mod backup;
mod bulk;
mod carry;
mod change_cursor;
pub mod cmdb;
pub mod commit;
pub mod dead_letters;
pub(crate) mod dialect;
pub mod error;
mod escalations;
mod folds;
mod forest;
mod heartbeats;
pub mod inbox;
mod incident_rows;
mod inhibitions;
pub mod inspect;
mod jobs;
pub mod lease;
pub mod load;

mod flaps;
pub mod outbox;
pub(crate) mod outcomes;
pub mod overrides;
mod pieces;
pub(crate) mod practice;
pub mod query;
mod ratings;
pub mod records;
pub mod retention;
mod review;
pub mod rows;
pub mod silences;
pub mod snapshot;
mod table;
pub mod tickets;
pub mod tokens;
mod variants;
pub mod windows;
pub mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, PgConnection, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool};

pub use error::StoreError;

/// A connection of either engine.
#[derive(Debug)]
pub enum Conn<'a> {
    /// SQLite.
    Sqlite(&'a mut SqliteConnection),
    /// PostgreSQL.
    Postgres(&'a mut PgConnection),
}

/// Runs the same expression with the concrete connection of either engine.
macro_rules! on {
    ($conn:expr, $c:ident => $body:expr) => {
        match $conn {
            $crate::store::Conn::Sqlite($c) => $body,
            $crate::store::Conn::Postgres($c) => $body,
        }
    };
}
pub(crate) use on;

impl Conn<'_> {
    /// Lends the connection to one statement and keeps it for the next.
    pub fn lend(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(conn) => Conn::Sqlite(conn),
            Self::Postgres(conn) => Conn::Postgres(conn),
        }
    }
}

/// A connection that is owned: the writer's.
#[derive(Debug)]
pub enum OwnedConn {
    /// SQLite.
    Sqlite(Box<SqliteConnection>),
    /// PostgreSQL.
    Postgres(Box<PgConnection>),
}

impl OwnedConn {
    /// Lends the connection.
    pub fn lend(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(conn) => Conn::Sqlite(conn),
            Self::Postgres(conn) => Conn::Postgres(conn),
        }
    }

    /// Copies committed pages from SQLite's log into its file without waiting for anybody; returns how many are left.
    /// PostgreSQL does that by itself.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn checkpoint(&mut self) -> Result<i64, StoreError> {
        dialect::checkpoint(self).await
    }

    /// Closes it in an orderly way; the last one of a SQLite file takes the write-ahead log with it.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn close(self) -> Result<(), StoreError> {
        dialect::close(self).await
    }
}

/// A connection from the readers' pool.
#[derive(Debug)]
pub enum PooledConn {
    /// SQLite.
    Sqlite(PoolConnection<Sqlite>),
    /// PostgreSQL.
    Postgres(PoolConnection<Postgres>),
}

impl PooledConn {
    /// Lends the connection.
    pub fn lend(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(conn) => Conn::Sqlite(conn),
            Self::Postgres(conn) => Conn::Postgres(conn),
        }
    }
}

/// A transaction of the writer: what needs one takes this, so that it is in the type.
#[derive(Debug)]
pub struct Tx<'a>(Conn<'a>);

impl Tx<'_> {
    /// Lends the connection to one statement of the transaction.
    pub fn lend(&mut self) -> Conn<'_> {
        self.0.lend()
    }
}

/// Where the store is, and the pool of its readers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Db {
    place: Place,
    readers: Readers,
}

/// Where the store is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Sqlite(PathBuf),
    Postgres(Arc<sqlx::postgres::PgConnectOptions>),
}

#[derive(Clone, Debug)]
enum Readers {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Db {
    /// Opens the store at a URL (`sqlite:PATH` or `postgres://...`), creating a missing SQLite file, and brings its
    /// schema up to date.
    ///
    /// # Errors
    /// An unusable URL, an unreachable server, a schema from a newer release, or a SQLite that is too old.
    pub async fn open(url: &str, readers_max: u32) -> Result<Self, StoreError> {
        let place = dialect::place(url)?;
        if let Place::Sqlite(path) = &place {
            dialect::check_sqlite_version().await?;
            dialect::make_folder(path)?;
        }
        let mut conn = dialect::connect(&place).await?;
        migrate(&mut conn).await?;
        dialect::close(conn).await?;
        Ok(Self::with_readers(place, readers_max))
    }

    /// Opens a store that is there, as it is: no file is made and no schema step is run, so that a look at the store
    /// of a running daemon of another release changes nothing.
    ///
    /// # Errors
    /// An unusable URL, or no SQLite file there. A server is only reached by the first statement.
    pub fn attach(url: &str, readers_max: u32) -> Result<Self, StoreError> {
        let place = dialect::place(url)?;
        match &place {
            Place::Sqlite(path) if !path.exists() => Err(StoreError::Missing(path.clone())),
            Place::Sqlite(_) | Place::Postgres(_) => Ok(Self::with_readers(place, readers_max)),
        }
    }

    fn with_readers(place: Place, readers_max: u32) -> Self {
        let readers = match &place {
            Place::Sqlite(path) => Readers::Sqlite(dialect::sqlite_readers(path, readers_max)),
            Place::Postgres(options) => {
                Readers::Postgres(dialect::postgres_readers(options, readers_max))
            }
        };
        Self { place, readers }
    }

    /// The SQLite file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match &self.place {
            Place::Sqlite(path) => Some(path),
            Place::Postgres(_) => None,
        }
    }

    /// A connection of its own, for writing.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn connect(&self) -> Result<OwnedConn, StoreError> {
        dialect::connect(&self.place).await
    }

    /// A connection for reading.
    ///
    /// # Errors
    /// The database cannot be reached, or all readers are busy for too long.
    pub async fn reader(&self) -> Result<PooledConn, StoreError> {
        Ok(match &self.readers {
            Readers::Sqlite(pool) => PooledConn::Sqlite(pool.acquire().await?),
            Readers::Postgres(pool) => PooledConn::Postgres(pool.acquire().await?),
        })
    }

    /// A connection for several reads that must agree: all of them see what was committed at one moment.
    ///
    /// It goes back to the pool like any other, which ends the transaction.
    ///
    /// # Errors
    /// See [`Db::reader`].
    pub async fn snapshot(&self) -> Result<PooledConn, StoreError> {
        let mut reader = self.reader().await?;
        dialect::begin_reading(reader.lend()).await?;
        Ok(reader)
    }

    /// Closes the readers' connections.
    pub async fn close(&self) {
        match &self.readers {
            Readers::Sqlite(pool) => pool.close().await,
            Readers::Postgres(pool) => pool.close().await,
        }
    }
}

/// The schema's steps, oldest first. A step that was released is never edited: its checksum is stored.
pub const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "first", include_str!("schema/0001_first.sql")),
    (
        2,
        "envelope_and_hint",
        include_str!("schema/0002_envelope_and_hint.sql"),
    ),
    (5, "silences", include_str!("schema/0005_silences.sql")),
    (3, "heartbeats", include_str!("schema/0003_heartbeats.sql")),
    (6, "cmdb", include_str!("schema/0006_cmdb.sql")),
    (
        7,
        "correlation",
        include_str!("schema/0007_correlation.sql"),
    ),
    (9, "settle", include_str!("schema/0009_settle.sql")),
    (
        10,
        "cmdb_versions",
        include_str!("schema/0010_cmdb_versions.sql"),
    ),
    (
        29,
        "maintenance",
        include_str!("schema/0029_maintenance.sql"),
    ),
    (30, "flapping", include_str!("schema/0030_flapping.sql")),
    (31, "variants", include_str!("schema/0031_variants.sql")),
    (20, "practice", include_str!("schema/0020_practice.sql")),
    (21, "outcomes", include_str!("schema/0021_outcomes.sql")),
    (26, "tickets", include_str!("schema/0026_tickets.sql")),
    (23, "outbox", include_str!("schema/0023_outbox.sql")),
    (32, "records", include_str!("schema/0032_records.sql")),
    (33, "audit", include_str!("schema/0033_audit.sql")),
    (
        34,
        "practice_records",
        include_str!("schema/0034_practice_records.sql"),
    ),
    (37, "overrides", include_str!("schema/0037_overrides.sql")),
    (
        38,
        "escalations",
        include_str!("schema/0038_escalations.sql"),
    ),
    (
        50,
        "inhibitions",
        include_str!("schema/0050_inhibitions.sql"),
    ),
    (51, "folds", include_str!("schema/0051_folds.sql")),
    (
        53,
        "escalated_and_ratings",
        include_str!("schema/0053_escalated_and_ratings.sql"),
    ),
    (76, "review", include_str!("schema/0076_review.sql")),
    (77, "habits", include_str!("schema/0077_habits.sql")),
    (
        85,
        "heartbeat_runs",
        include_str!("schema/0085_heartbeat_runs.sql"),
    ),
];

async fn migrate(conn: &mut OwnedConn) -> Result<(), StoreError> {
    let is_sqlite = matches!(conn, OwnedConn::Sqlite(_));
    let steps = MIGRATIONS
        .iter()
        .map(|&(version, name, sql)| {
            let text = sqlx::SqlStr::from_static(sql);
            let mut step = Migration::new(version, name.into(), MigrationType::Simple, text, false);
            if is_sqlite {
                // The checksum stays that of the one text.
                step.sql = dialect::sqlite_form(sql);
            }
            step
        })
        .collect();
    let migrator = Migrator::with_migrations(steps);
    match conn {
        // sqlx locks Postgres by itself but not SQLite: of two starters the second must see what the first did.
        OwnedConn::Sqlite(conn) => {
            let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
            migrator.run(&mut *tx).await?;
            tx.commit().await?;
        }
        OwnedConn::Postgres(conn) => migrator.run(&mut **conn).await?,
    }
    dialect::leave_room(conn).await
}
