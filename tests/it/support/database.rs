//! A store of its own for every test, on each engine.
//!
//! SQLite is always there. PostgreSQL is the server at `WATCHBELL_TEST_POSTGRES` (where databases may be made), else a
//! throw-away one if it is installed. What cannot run prints a line, or fails with `WATCHBELL_TEST_REQUIRE_ALL=1`.
//! Making and dropping a database takes seconds with all the syncs, so one that a test is done with is emptied for the
//! next; the next run drops what this one leaves on a server that was given. Must not give one to two tests at once.

use std::future::Future;
use std::io::Write as _;
use std::path::Path;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection, QueryBuilder};
use tempfile::TempDir;
use watchbell::store::{Conn, Db};

use super::postgres::Cluster;

/// Connections for reading in a test.
const READERS: u32 = 4;

/// Longer than any of these tests should ever take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the names of our databases begin with; the process id follows.
const PREFIX: &str = "watchbell_test_";

/// An engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// An empty place for a store; gone when dropped.
pub(crate) struct TestStore {
    pub(crate) engine: Engine,
    /// Its URL.
    pub(crate) url: String,
    /// A folder for files beside it.
    pub(crate) folder: TempDir,
    _database: Option<Database>,
}

/// Declares the same tests for both engines; each is an async function that takes a [`TestStore`].
macro_rules! on_both_engines {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            use $crate::support::database::{Engine, run};
            $(#[test] fn $name() { run(Engine::Sqlite, super::$name); })+
        }
        mod postgres {
            use $crate::support::database::{Engine, run};
            $(#[test] fn $name() { run(Engine::Postgres, super::$name); })+
        }
    };
}
pub(crate) use on_both_engines;

/// Runs a statement with the connection of either engine.
macro_rules! on {
    ($conn:expr, $c:ident => $body:expr) => {
        match $conn {
            watchbell::store::Conn::Sqlite($c) => $body,
            watchbell::store::Conn::Postgres($c) => $body,
        }
    };
}
pub(crate) use on;

/// Runs one test on one engine, if that is there.
pub(crate) fn run<F: Future<Output = ()>>(engine: Engine, test: impl FnOnce(TestStore) -> F) {
    block_on(async {
        if let Some(store) = TestStore::make(engine).await {
            let ended = tokio::time::timeout(PATIENCE, test(store)).await;
            ended.expect("the test comes to an end");
        }
    });
}

/// Runs a future to its end on this thread.
pub(crate) fn block_on<F: Future>(work: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runtime");
    runtime.block_on(work)
}

/// Says that something is left out, or fails when everything is required.
pub(crate) fn skip(what: &str) {
    assert!(
        variable("WATCHBELL_TEST_REQUIRE_ALL").is_none_or(|value| value != "1"),
        "{what}, and WATCHBELL_TEST_REQUIRE_ALL is set"
    );
    say(&format!("skipped: {what}"));
}

/// Prints a line that is seen although the test succeeds.
pub(crate) fn say(line: &str) {
    let mut stderr = std::io::stderr().lock();
    stderr
        .write_all(format!("{line}\n").as_bytes())
        .expect("stderr");
}

/// A switch for people who run the tests.
pub(crate) fn variable(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a switch for people at work, not configuration"
    )]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A server to make databases on.
fn server() -> Option<&'static str> {
    struct Server {
        url: String,
        /// Its keeper stops it when this process is gone.
        _cluster: Option<Cluster>,
    }
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let found = SERVER.get_or_init(|| {
        if let Some(url) = variable("WATCHBELL_TEST_POSTGRES") {
            return Some(Server {
                url,
                _cluster: None,
            });
        }
        let Some(cluster) = Cluster::start() else {
            skip("PostgreSQL is not installed and WATCHBELL_TEST_POSTGRES is not set: nothing is tested on it");
            return None;
        };
        Some(Server {
            url: cluster.url("postgres"),
            _cluster: Some(cluster),
        })
    });
    found.as_ref().map(|server| server.url.as_str())
}

impl TestStore {
    /// A place on that engine; `None` if the engine is not there.
    pub(crate) async fn make(engine: Engine) -> Option<Self> {
        let folder = TempDir::new().expect("folder");
        if engine == Engine::Sqlite {
            return Some(Self {
                engine,
                url: format!("sqlite:{}", folder.path().join("w.db").display()),
                folder,
                _database: None,
            });
        }
        let server = server()?;
        let database = Database::take(server).await;
        let url = database.url();
        Some(Self {
            engine,
            url,
            folder,
            _database: Some(database),
        })
    }

    /// Opens the store, making its schema if it is missing.
    pub(crate) async fn open(&self) -> Db {
        Db::open(&self.url, READERS).await.expect("the store opens")
    }
}

/// A database of a server that nobody else uses; given back when dropped.
struct Database {
    server: &'static str,
    name: String,
}

/// The empty databases.
static FREE: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Database {
    async fn take(server: &'static str) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let free = FREE.lock().expect("no panic").pop();
        if let Some(name) = free {
            return Self { server, name };
        }
        let mut admin = connect(server).await;
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        if number == 0 {
            drop_leftovers(&mut admin).await;
        }
        let name = format!("{PREFIX}{}_{number}", std::process::id());
        statement(&mut admin, &["CREATE DATABASE ", &name]).await;
        Self { server, name }
    }

    fn url(&self) -> String {
        let mut url = url::Url::parse(self.server).expect("a URL");
        url.set_path(&self.name);
        url.to_string()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, url, name) = (self.server, self.url(), self.name.clone());
        // Whoever drops this may be inside a runtime, which cannot be waited on.
        let emptied = std::thread::spawn(move || {
            block_on(async move {
                let mut admin = connect(server).await;
                let gone = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1";
                let query = sqlx::query(gone).bind(&name).execute(&mut admin);
                query.await.expect("its connections end");
                let mut inside = connect(&url).await;
                statement(&mut inside, &["DROP SCHEMA public CASCADE"]).await;
                statement(&mut inside, &["CREATE SCHEMA public"]).await;
                FREE.lock().expect("no panic").push(name);
            });
        });
        // A test that failed has more to say than this.
        drop(emptied.join());
    }
}

async fn connect(url: &str) -> PgConnection {
    let options = PgConnectOptions::from_str(url).expect("a URL");
    // Dropping everything in a schema is told item by item.
    let options = options.options([("client_min_messages", "error")]);
    options.connect().await.expect("the server answers")
}

/// Drops databases of test runs that are over.
async fn drop_leftovers(admin: &mut PgConnection) {
    let names: Vec<(String,)> = sqlx::query_as("SELECT CAST(datname AS TEXT) FROM pg_database")
        .fetch_all(&mut *admin)
        .await
        .expect("databases");
    for (name,) in names {
        let pid = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('_').next());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            statement(admin, &["DROP DATABASE IF EXISTS ", &name, " WITH (FORCE)"]).await;
        }
    }
}

/// Runs a statement made of pieces; names cannot be bound.
async fn statement(conn: &mut PgConnection, pieces: &[&str]) {
    let mut query = QueryBuilder::<sqlx::Postgres>::new("");
    for piece in pieces {
        query.push(*piece);
    }
    query
        .build()
        .persistent(false)
        .execute(conn)
        .await
        .expect("a statement of the tests");
}

/// The numbers that a statement returns, one column.
pub(crate) async fn numbers(conn: Conn<'_>, sql: &'static str) -> Vec<i64> {
    let rows: Vec<(i64,)> = on!(conn, c => sqlx::query_as(sql).fetch_all(c).await.expect("rows"));
    rows.into_iter().map(|(number,)| number).collect()
}

/// The texts that a statement returns, one column.
pub(crate) async fn texts(conn: Conn<'_>, sql: &'static str) -> Vec<String> {
    let rows: Vec<(String,)> =
        on!(conn, c => sqlx::query_as(sql).fetch_all(c).await.expect("rows"));
    rows.into_iter().map(|(text,)| text).collect()
}

/// Runs a statement.
pub(crate) async fn execute(conn: Conn<'_>, sql: &'static str) {
    on!(conn, c => sqlx::query(sql).execute(c).await.map(drop).expect("a statement of the tests"));
}
