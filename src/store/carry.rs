//! The rows of a PostgreSQL store carried into a SQLite file, table by table as they are.
//!
//! Both have the same schema, so a row is copied by its values and nobody lists its columns. All tables are read at one
//! moment, and a few thousand rows are in memory at most. Must not know what a table means.

use futures_util::TryStreamExt as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::Sqlite;
use sqlx::{Column as _, PgConnection, QueryBuilder, Row as _, SqliteConnection, TypeInfo as _};

use super::snapshot::{COPIES, Rows};
use super::{Conn, Db, PooledConn, StoreError, dialect};

/// Values of one statement; SQLite takes 32,766.
const VALUES_MAX: usize = 30_000;

/// One value of a row.
#[derive(Debug)]
enum Value {
    Number(Option<i64>),
    Flag(Option<bool>),
    Bytes(Option<Vec<u8>>),
    Text(Option<String>),
}

/// Fills an empty SQLite file with the state of a PostgreSQL store.
pub(super) async fn fill(to: Conn<'_>, db: &Db) -> Result<(), StoreError> {
    let mut reader = db.reader().await?;
    dialect::begin_reading(reader.lend()).await?;
    let (Conn::Sqlite(to), PooledConn::Postgres(from)) = (to, &mut reader) else {
        return Err(StoreError::Other(
            "rows are carried from Postgres to SQLite only".into(),
        ));
    };
    // A million rows take longer than any other statement may, and nobody waits for them.
    sqlx::query("SET LOCAL statement_timeout = '10min'")
        .execute(&mut **from)
        .await?;
    sqlx::query("BEGIN").execute(&mut *to).await?;
    for (table, rows) in COPIES {
        carry(from, to, table, rows).await?;
    }
    sqlx::query("COMMIT").execute(&mut *to).await?;
    Ok(())
}

async fn carry(
    from: &mut PgConnection,
    to: &mut SqliteConnection,
    table: &'static str,
    rows: Rows,
) -> Result<(), StoreError> {
    let mut select = QueryBuilder::new("SELECT * FROM ");
    select.push(table);
    for part in condition(rows) {
        select.push(part);
    }
    let query = select.build();
    let mut stream = query.fetch(from);
    let mut held: Vec<Vec<Value>> = Vec::new();
    while let Some(row) = stream.try_next().await? {
        let width = row.columns().len().max(1);
        held.push(values(&row)?);
        if held.len().saturating_add(1).saturating_mul(width) > VALUES_MAX {
            insert(to, table, std::mem::take(&mut held)).await?;
        }
    }
    insert(to, table, held).await
}

fn condition(rows: Rows) -> [&'static str; 2] {
    const ALERTS: &str = "(SELECT id FROM alert_state WHERE NOT is_forgotten \
        OR id = (SELECT MAX(id) FROM alert_key))";
    match rows {
        Rows::All => ["", ""],
        Rows::Incidents => [
            " WHERE NOT is_forgotten OR id = (SELECT MAX(id) FROM incident)",
            "",
        ],
        Rows::OfIncidents => [
            " WHERE incident IN (SELECT id FROM incident WHERE NOT is_forgotten ",
            "OR id = (SELECT MAX(id) FROM incident))",
        ],
        Rows::Alerts => [" WHERE id IN ", ALERTS],
        Rows::OfAlerts(column) => [column, ALERTS],
    }
}

fn values(row: &PgRow) -> Result<Vec<Value>, StoreError> {
    let columns = row.columns().iter();
    let values = columns.map(|column| {
        let at = column.ordinal();
        Ok(match column.type_info().name() {
            "INT8" => Value::Number(row.try_get(at)?),
            "BOOL" => Value::Flag(row.try_get(at)?),
            "BYTEA" => Value::Bytes(row.try_get(at)?),
            // Whatever else there may be one day says so itself.
            _ => Value::Text(row.try_get(at)?),
        })
    });
    values.collect()
}

async fn insert(
    to: &mut SqliteConnection,
    table: &'static str,
    rows: Vec<Vec<Value>>,
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut insert: QueryBuilder<Sqlite> = QueryBuilder::new("INSERT INTO ");
    insert.push(table).push(" ");
    insert.push_values(rows, |mut places, row| {
        for value in row {
            match value {
                Value::Number(number) => places.push_bind(number),
                Value::Flag(flag) => places.push_bind(flag),
                Value::Bytes(bytes) => places.push_bind(bytes),
                Value::Text(text) => places.push_bind(text),
            };
        }
    });
    insert.build().persistent(false).execute(to).await?;
    Ok(())
}
