//! The experiment that the store's shape rests on: how fast sqlx writes the rows of the hot path to SQLite with
//! `synchronous=FULL`, by way of writing and by layout. Run with `cargo bench --bench write_path`; it prints a table.
//!
//! Results and what followed from them stand in `docs/measurements.md`.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::as_conversions,
    reason = "an experiment that prints a table and stops at the first surprise"
)]

use std::fmt::Write as _;
use std::str::FromStr as _;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, QueryBuilder, Sqlite, SqliteConnection};
use tokio::time::Instant;

const ROWS: i64 = 100_000;
const BATCH: i64 = 2_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        println!("{ROWS} rows, {BATCH} rows a commit, synchronous=FULL; rows/s");
        for key in ["BIGINT PRIMARY KEY", "INTEGER PRIMARY KEY"] {
            for chunk in [20, 50, 200] {
                measure(key, "18 columns, VALUES upsert", chunk, Way::Wide).await;
            }
            for chunk in [50, 200, 500] {
                measure(key, "5 columns, WITH VALUES update", chunk, Way::Narrow).await;
            }
            measure(key, "5 columns, json_each update", BATCH, Way::Json).await;
            for chunk in [20, 100] {
                measure(key, "600-byte text, VALUES upsert", chunk, Way::Text).await;
            }
            measure(key, "600-byte text, json_each upsert", 500, Way::TextJson).await;
        }
        bodies().await;
    });
}

#[derive(Clone, Copy)]
enum Way {
    Wide,
    Narrow,
    Json,
    Text,
    TextJson,
}

async fn open() -> (tempfile::TempDir, SqliteConnection) {
    let folder = tempfile::tempdir().expect("a folder");
    let options = SqliteConnectOptions::from_str("sqlite::memory:")
        .expect("options")
        .filename(folder.path().join("t.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "20000")
        .statement_cache_capacity(200);
    let connection = options.connect().await.expect("a database");
    (folder, connection)
}

async fn measure(key: &str, name: &str, chunk: i64, way: Way) {
    let (_folder, mut db) = open().await;
    let mut columns = String::new();
    for n in 1..18 {
        write!(columns, ", c{n} BIGINT").expect("text");
    }
    run(&mut db, format!("CREATE TABLE s (id {key}{columns})")).await;
    run(&mut db, format!("CREATE TABLE t (id {key}, body TEXT)")).await;
    fill(&mut db, Way::Wide).await;
    if matches!(way, Way::Text | Way::TextJson) {
        fill(&mut db, Way::Text).await;
    }
    let started = Instant::now();
    let mut written = 0;
    for pass in 0..2 {
        for first in (0..ROWS).step_by(usize::try_from(BATCH).expect("small")) {
            commit(&mut db, way, first, chunk, pass + 7).await;
            written += BATCH;
        }
    }
    let rate = written as f64 / started.elapsed().as_secs_f64();
    println!("{key:22} {name:34} {chunk:5} rows/statement {rate:10.0}");
}

async fn fill(db: &mut SqliteConnection, way: Way) {
    for first in (0..ROWS).step_by(5_000) {
        commit_rows(db, way, first, 5_000, 50, 1).await;
    }
}

async fn commit(db: &mut SqliteConnection, way: Way, first: i64, chunk: i64, value: i64) {
    commit_rows(db, way, first, BATCH, chunk, value).await;
}

async fn commit_rows(
    db: &mut SqliteConnection,
    way: Way,
    first: i64,
    rows: i64,
    chunk: i64,
    value: i64,
) {
    let mut tx = db.begin_with("BEGIN IMMEDIATE").await.expect("begin");
    let mut from = first;
    while from < first + rows {
        let ids = from..(from + chunk).min(first + rows);
        write(&mut tx, way, ids.clone(), value).await;
        from = ids.end;
    }
    tx.commit().await.expect("commit");
}

async fn write(db: &mut SqliteConnection, way: Way, ids: std::ops::Range<i64>, value: i64) {
    let text = "x".repeat(600);
    let mut query: QueryBuilder<Sqlite> = match way {
        Way::Wide => {
            let mut query = QueryBuilder::new("INSERT INTO s ");
            query.push_values(ids, |mut row, id| {
                row.push_bind(id);
                for n in 1..18 {
                    row.push_bind(1_700_000_000_000 + value * n);
                }
            });
            query.push(" ON CONFLICT (id) DO UPDATE SET c1 = excluded.c1");
            for n in 2..18 {
                query.push(format!(", c{n} = excluded.c{n}"));
            }
            query
        }
        Way::Narrow => {
            let mut query = QueryBuilder::new("WITH v(id, a, b, c, d) AS (");
            query.push_values(ids, |mut row, id| {
                row.push_bind(id)
                    .push_bind(value)
                    .push_bind(value)
                    .push_bind(value)
                    .push_bind(value);
            });
            query.push(
                ") UPDATE s SET c1 = v.a, c2 = v.b, c3 = v.c, c4 = v.d FROM v WHERE s.id = v.id",
            );
            query
        }
        Way::Json => {
            let mut json = String::from("[");
            for id in ids {
                write!(
                    json,
                    "{}[{id},{value},{value},{value},{value}]",
                    if json.len() > 1 { "," } else { "" }
                )
                .expect("text");
            }
            json.push(']');
            let mut query = QueryBuilder::new(
                "UPDATE s SET c1 = v.a, c2 = v.b, c3 = v.c, c4 = v.d FROM (SELECT value ->> 0 AS id, value ->> 1 AS a, value ->> 2 AS b, value ->> 3 AS c, value ->> 4 AS d FROM json_each(",
            );
            query.push_bind(json).push(")) v WHERE s.id = v.id");
            query
        }
        Way::Text => {
            let mut query = QueryBuilder::new("INSERT INTO t ");
            query.push_values(ids, |mut row, id| {
                row.push_bind(id).push_bind(text.clone());
            });
            query.push(" ON CONFLICT (id) DO UPDATE SET body = excluded.body");
            query
        }
        Way::TextJson => {
            let rows: Vec<_> = ids.map(|id| (id, &text)).collect();
            let mut query =
                QueryBuilder::new("INSERT INTO t SELECT value ->> 0, value ->> 1 FROM json_each(");
            query.push_bind(serde_json::to_string(&rows).expect("json"));
            query.push(") WHERE TRUE ON CONFLICT (id) DO UPDATE SET body = excluded.body");
            query
        }
    };
    query.build().execute(db).await.expect("a write");
}

/// Raw request bodies of 100 alerts, appended.
async fn bodies() {
    for per_commit in [1, 10, 50] {
        let (_folder, mut db) = open().await;
        run(
            &mut db,
            "CREATE TABLE i (id BIGINT PRIMARY KEY, body BYTEA)".to_owned(),
        )
        .await;
        let body = vec![b'x'; 61_600];
        let started = Instant::now();
        let commits = 600 / per_commit;
        for commit in 0..commits {
            let mut tx = db.begin_with("BEGIN IMMEDIATE").await.expect("begin");
            let mut query: QueryBuilder<Sqlite> = QueryBuilder::new("INSERT INTO i ");
            query.push_values(0..per_commit, |mut row, n| {
                row.push_bind(commit * per_commit + n)
                    .push_bind(body.clone());
            });
            query.build().execute(&mut *tx).await.expect("a write");
            tx.commit().await.expect("commit");
        }
        let rate = (commits * per_commit * 100) as f64 / started.elapsed().as_secs_f64();
        println!("raw bodies of 100 alerts, {per_commit:2} a commit: {rate:10.0} alerts/s");
    }
}

async fn run(db: &mut SqliteConnection, sql: String) {
    let mut query: QueryBuilder<Sqlite> = QueryBuilder::new(sql);
    query.build().execute(db).await.expect("a statement");
}
