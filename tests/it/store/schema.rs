//! The schema: made once however many start, the same on both engines, and refused when it is newer than we are.

use std::collections::BTreeSet;

use watchbell::store::inspect::{find_damage, find_schema_version, find_version, list_settings};
use watchbell::store::{Db, MIGRATIONS, StoreError};

use crate::support::database::{
    Engine, TestStore, block_on, execute, numbers, on_both_engines, texts,
};

on_both_engines!(
    schema_is_made_once,
    starters_at_once_do_not_disturb_each_other,
    newer_schema_is_refused,
    commits_survive_a_power_cut,
);

async fn schema_is_made_once(store: TestStore) {
    for _ in 0..2 {
        let db = store.open().await;
        let mut conn = db.connect().await.unwrap();
        let newest = MIGRATIONS.last().map(|(version, ..)| *version);
        assert_eq!(find_schema_version(conn.lend()).await.unwrap(), newest);
        let steps = numbers(conn.lend(), "SELECT version FROM _sqlx_migrations").await;
        assert_eq!(steps.len(), MIGRATIONS.len());
        assert_eq!(find_damage(conn.lend()).await.unwrap(), None);
    }
}

async fn starters_at_once_do_not_disturb_each_other(first: TestStore) {
    let more = [
        TestStore::make(first.engine).await,
        TestStore::make(first.engine).await,
    ];
    for store in std::iter::once(first).chain(more.into_iter().flatten()) {
        let start = async || Db::open(&store.url, 1).await.map(drop);
        let started = tokio::join!(start(), start(), start(), start());
        for started in [started.0, started.1, started.2, started.3] {
            started.expect("each of them finds the schema or makes it");
        }
    }
}

async fn newer_schema_is_refused(store: TestStore) {
    let db = store.open().await;
    let mut conn = db.connect().await.unwrap();
    execute(
        conn.lend(),
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         SELECT 9999, 'from the future', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1",
    )
    .await;
    let refused = Db::open(&store.url, 1).await.map(drop);
    assert!(matches!(refused, Err(StoreError::TooNew)), "{refused:?}");
}

async fn commits_survive_a_power_cut(store: TestStore) {
    let db = store.open().await;
    let mut conn = db.connect().await.unwrap();
    let settings = list_settings(conn.lend()).await.unwrap();
    assert!(settings.len() >= 2, "{settings:?}");
    for setting in &settings {
        assert!(setting.is_safe, "{setting:?}");
    }
    let version = find_version(conn.lend()).await.unwrap();
    let Some(version) = version.strip_prefix("SQLite ") else {
        return;
    };
    let numbers: Vec<u32> = version
        .split('.')
        .map(|part| part.parse().unwrap())
        .collect();
    assert!(numbers >= vec![3, 51, 3], "{version} can corrupt its file");
    let full = crate::support::database::numbers(conn.lend(), "PRAGMA synchronous").await;
    assert_eq!(full, [2], "the writing connection syncs at every commit");
}

#[test]
fn names_are_the_same_on_both_engines() {
    block_on(async {
        let Some(postgres) = TestStore::make(Engine::Postgres).await else {
            return;
        };
        let sqlite = TestStore::make(Engine::Sqlite).await.unwrap();
        let names = async |store: &TestStore, sql: &'static str| -> BTreeSet<String> {
            let db = store.open().await;
            let mut conn = db.connect().await.unwrap();
            texts(conn.lend(), sql).await.into_iter().collect()
        };
        let columns = names(
            &sqlite,
            "SELECT t.name || '.' || c.name FROM sqlite_master t JOIN pragma_table_info(t.name) c \
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND t.name NOT LIKE '_sqlx%'",
        )
        .await;
        assert!(
            columns.contains("input.seq") && columns.len() > 80,
            "{columns:?}"
        );
        let on_postgres = names(
            &postgres,
            "SELECT CAST(table_name || '.' || column_name AS TEXT) FROM information_schema.columns \
             WHERE table_schema = 'public' AND table_name NOT LIKE '_sqlx%'",
        )
        .await;
        assert_eq!(columns, on_postgres);
        let indexes = names(
            &sqlite,
            "SELECT name FROM sqlite_master WHERE type = 'index' AND name NOT LIKE 'sqlite%'",
        )
        .await;
        assert!(indexes.contains("token_by_hash"), "{indexes:?}");
        let on_postgres = names(
            &postgres,
            "SELECT CAST(indexname AS TEXT) FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT LIKE '%_pkey'",
        )
        .await;
        assert_eq!(indexes, on_postgres);
    });
}
