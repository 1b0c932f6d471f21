//! Every report over a store with a million closed incidents: `cargo bench --bench reports [-- INCIDENTS [FILE]]`.
//!
//! Three years of incidents with their outcomes and sums, one rating for each tenth of them and one change likewise, and
//! 2,000 that are open. With a second argument the store stays at that file, to ask a daemon over HTTP. Results stand in
//! `docs/measurements.md`.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark measures time, prints what it found, and stops at whatever is odd"
)]

use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection};
use watchbell::core::time::{Span, Timestamp};
use watchbell::store::Db;
use watchbell::store::query::ratings;
use watchbell::store::query::reports::{self, Period};

/// The end of the history: 2026-11-30.
const NOW: i64 = 1_796_000_000_000;
const DAY: i64 = 86_400_000;
const DAYS: i64 = 3 * 365;
/// How often each report is asked for.
const ROUNDS: usize = 15;
/// What one report may take.
const GOAL: Duration = Duration::from_millis(300);

const FIGURES: &str = "incidents, acknowledged, acknowledge_ms, resolve_ms, reopened, recurring, escalated, by_itself, \
    response_met, response_breached, resolution_met, resolution_breached, alerts, messages";

fn main() {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| arg != "--bench")
        .collect();
    let incidents: i64 = args
        .first()
        .map_or(1_000_000, |text| text.parse().expect("a number"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        let file = args.get(1).cloned();
        let file = file.unwrap_or_else(|| folder.path().join("reports.db").display().to_string());
        let db = Db::open(&format!("sqlite:{file}"), 2)
            .await
            .expect("a store");
        let started = Instant::now();
        fill(&file, incidents).await;
        println!(
            "{incidents} closed incidents written in {:.1?}",
            started.elapsed()
        );
        measure(&db).await;
        db.close().await;
    });
}

async fn fill(file: &str, incidents: i64) {
    let mut conn = SqliteConnectOptions::new()
        .filename(file)
        .connect()
        .await
        .expect("a file");
    let series = |count: i64| {
        format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})")
    };
    let ended = format!("{NOW} - {DAYS} * {DAY} + (i * {DAYS} * {DAY}) / {incidents}");
    let grade = "'P' || (1 + (i * 7919) % 5)";
    let team = "'team-' || ((i * 104729) % 20)";
    let open = incidents + 2_000;
    let sums = "SUM(incidents), SUM(acknowledged), SUM(acknowledge_ms), SUM(resolve_ms), SUM(reopened), SUM(recurring), \
        SUM(escalated), SUM(by_itself), SUM(response_met), SUM(response_breached), SUM(resolution_met), \
        SUM(resolution_breached), SUM(alerts), SUM(messages)";
    for sql in [
        "PRAGMA synchronous = OFF".to_owned(),
        format!(
            "{} INSERT INTO incident (id, partition, state, severity, priority, firing, total, opened_at, acknowledged_at, \
             resolved_at, closed_at, reopen_count, team, version, title, is_forgotten) SELECT i, 0, 'closed', 'high', {grade}, \
             0, 3, {ended} - 3600000, {ended} - 1800000, {ended}, {ended}, 0, {team}, 7, 'db-' || i || ' is down', TRUE FROM n",
            series(incidents)
        ),
        format!(
            "INSERT INTO incident (id, partition, state, severity, priority, firing, total, opened_at, reopen_count, team, \
             version, is_forgotten) WITH RECURSIVE n(i) AS (SELECT {incidents} + 1 UNION ALL SELECT i + 1 FROM n WHERE i < {open}) \
             SELECT i, 0, 'new', 'high', {grade}, 1, 1, {NOW} - (i % 900) * 60000, 0, {team}, 1, FALSE FROM n"
        ),
        format!(
            "{} INSERT INTO incident_outcome (incident, partition, ended_at, day, priority, team, {FIGURES}) SELECT i, 0, \
             {ended}, ({ended}) / {DAY}, {grade}, {team}, 1, i % 2, 60000 * (i % 30), 60000 * (i % 600), i % 11 = 0, i % 13 = 0, \
             i % 5 = 0, i % 3 = 0, 1, 0, i % 4 > 0, i % 4 = 0, 3, 40 FROM n",
            series(incidents)
        ),
        format!(
            "INSERT INTO outcome_sum (partition, days, part, priority, team, {FIGURES}) SELECT 0, 1, day, priority, team, {sums} \
             FROM incident_outcome GROUP BY day, priority, team"
        ),
        format!(
            "INSERT INTO outcome_sum (partition, days, part, priority, team, {FIGURES}) SELECT 0, 32, day / 32, priority, team, \
             {sums} FROM incident_outcome GROUP BY day / 32, priority, team"
        ),
        "INSERT INTO rating (incident, who, partition, at, priority, team, score, comment) SELECT incident, 'somebody', 0, ended_at, \
         priority, team, 1 + incident % 5, '' FROM incident_outcome WHERE incident % 10 = 0"
            .to_owned(),
        format!(
            "INSERT INTO rating_sum (partition, days, part, priority, team, ratings, score, content) SELECT 0, 1, at / {DAY}, \
             priority, team, COUNT(*), SUM(score), SUM(score >= 4) FROM rating GROUP BY at / {DAY}, priority, team"
        ),
        format!(
            "INSERT INTO rating_sum (partition, days, part, priority, team, ratings, score, content) SELECT 0, 32, at / {DAY} / 32, \
             priority, team, COUNT(*), SUM(score), SUM(score >= 4) FROM rating GROUP BY at / {DAY} / 32, priority, team"
        ),
        format!(
            "{} INSERT INTO record (kind, number, partition, state, record_key, title, updated_at, is_held, body) SELECT 'change', \
             i, 0, CASE WHEN i % 9 = 0 THEN 'failed' ELSE 'successful' END, 'x:' || i, 'change', {NOW} - {DAYS} * {DAY} + \
             (i * {DAYS} * {DAY}) / {}, FALSE, '{{}}' FROM n",
            series(incidents / 10),
            incidents / 10
        ),
        "INSERT INTO record_incident (incident, kind, number, partition, role, score, why, at) SELECT number * 10, kind, number, 0, \
         'confirmed', 1, '', updated_at FROM record WHERE number % 20 = 0"
            .to_owned(),
    ] {
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await;
        done.expect("rows");
    }
    SqliteConnection::close(conn).await.expect("a closed file");
}

async fn measure(db: &Db) {
    let now = Timestamp::from_millis(NOW);
    println!("report                    rows   median      max");
    for (name, days) in [
        ("30 days", 30),
        ("90 days", 90),
        ("a year", 365),
        ("3 years", DAYS),
    ] {
        let since = now.minus(Span::from_days(days)).plus(Span::from_hours(7));
        let period = Period { since, until: now };
        let mut reader = db.reader().await.expect("a reader");
        let mut times: [Vec<Duration>; 4] = Default::default();
        let mut rows = [0; 4];
        for _ in 0..ROUNDS {
            let at = Instant::now();
            rows[0] = reports::outcomes(reader.lend(), period)
                .await
                .expect("sums")
                .len();
            times[0].push(at.elapsed());
            let at = Instant::now();
            rows[1] = reports::backlog(reader.lend(), now)
                .await
                .expect("a backlog")
                .len();
            times[1].push(at.elapsed());
            let at = Instant::now();
            rows[2] = ratings::sums(reader.lend(), period)
                .await
                .expect("ratings")
                .len();
            times[2].push(at.elapsed());
            let at = Instant::now();
            rows[3] = reports::changes(reader.lend(), period)
                .await
                .expect("changes")
                .len();
            times[3].push(at.elapsed());
        }
        let kinds = ["outcomes", "backlog", "satisfaction", "changes"];
        for ((kind, rows), mut times) in kinds.into_iter().zip(rows).zip(times) {
            times.sort_unstable();
            let (median, max) = (times[ROUNDS / 2], times[ROUNDS - 1]);
            let verdict = if max <= GOAL { "" } else { "  OVER THE GOAL" };
            println!("{kind:<13} {name:<9} {rows:>6} {median:>8.1?} {max:>8.1?}{verdict}");
        }
    }
}
