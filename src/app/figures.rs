//! Shows the figures of reports as metrics: those of the last 30 days, read anew every few seconds.
//!
//! A reading is some hundred rows of sums whatever the number of closed incidents, and one look at all open ones. Must
//! not hold anything up: what cannot be read now is read the next time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::core::outcome::{CostRules, Figures};
use crate::core::severity::Priority;
use crate::core::time::{Span, Timestamp};
use crate::engine::handle::EngineHandle;
use crate::runtime::clock::Clock;
use crate::runtime::supervise::{Stage, Supervisor};
use crate::store::query::ratings::{self, RatingSum};
use crate::store::query::reports::{self, Backlog, OutcomeSum, Period};
use crate::store::{Db, StoreError};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::reports::ReportFigure;

use super::done;

/// How often they are read.
const EVERY: Duration = Duration::from_secs(5);
/// Between two readings lies so many times what a reading took: the backlog is counted over all that is open.
const PAUSE_FACTOR: u32 = 100;
/// Over how long.
const PERIOD: Span = Span::from_days(30);
/// The label of the figures over all priorities.
const ALL: &str = "all";

/// What is read at once.
struct Read {
    outcomes: Vec<OutcomeSum>,
    backlog: Vec<Backlog>,
    ratings: Vec<RatingSum>,
    changes: Vec<(String, i64, i64)>,
}

/// Begins to.
pub(super) fn start(
    supervisor: &mut Supervisor,
    stage: &Stage,
    (db, engine, clock): (Db, EngineHandle, Clock),
    metrics: Arc<Metrics>,
) {
    supervisor.spawn(stage, "figures", |stop| {
        done(run(db, engine, clock, metrics, stop))
    });
}

/// Works until it is told to stop.
async fn run(
    db: Db,
    engine: EngineHandle,
    clock: Clock,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let mut wait = Duration::ZERO;
    while stop
        .run_until_cancelled(tokio::time::sleep(wait))
        .await
        .is_some()
    {
        let (now, began) = (clock.now(), Instant::now());
        match read(&db, now).await {
            Ok(read) => show(&metrics, &read, &engine.rules().cost, now),
            Err(error) => {
                log::debug!(error:% = error; "figures of reports cannot be read now: {error}");
            }
        }
        wait = EVERY.max(began.elapsed().saturating_mul(PAUSE_FACTOR));
    }
}

async fn read(db: &Db, now: Timestamp) -> Result<Read, StoreError> {
    let period = Period {
        since: now.minus(PERIOD),
        until: now,
    };
    let mut reader = db.reader().await?;
    Ok(Read {
        outcomes: reports::outcomes(reader.lend(), period).await?,
        backlog: reports::backlog(reader.lend(), now).await?,
        ratings: ratings::sums(reader.lend(), period).await?,
        changes: reports::changes(reader.lend(), period).await?,
    })
}

/// The sums of one priority, or of all.
#[derive(Default)]
struct Sum {
    figures: Figures,
    /// In hundredths of the currency.
    cost: i64,
    open: i64,
    age_s: i64,
    ratings: i64,
    score: i64,
}

fn show(metrics: &Metrics, read: &Read, cost: &CostRules, now: Timestamp) {
    let mut sums: BTreeMap<&'static str, Sum> = Priority::ALL
        .iter()
        .map(|priority| priority.word())
        .chain([ALL])
        .map(|label| (label, Sum::default()))
        .collect();
    let mut add = |priority: Priority, add: &dyn Fn(&mut Sum)| {
        for label in [priority.word(), ALL] {
            add(sums.entry(label).or_default());
        }
    };
    for one in &read.outcomes {
        let price = cost.of(one.priority, one.figures.incidents, one.figures.resolve_ms);
        add(one.priority, &|sum| {
            sum.figures = sum.figures.plus(&one.figures);
            sum.cost = sum.cost.saturating_add(price);
        });
    }
    for one in &read.backlog {
        add(one.priority, &|sum| {
            sum.open = sum.open.saturating_add(one.open);
            sum.age_s = sum.age_s.saturating_add(one.age_s);
        });
    }
    for one in &read.ratings {
        add(one.priority, &|sum| {
            sum.ratings = sum.ratings.saturating_add(one.ratings);
            sum.score = sum.score.saturating_add(one.score);
        });
    }
    for (label, sum) in sums {
        for (figure, value) in values(&sum) {
            metrics.report(figure, label, value);
        }
    }
    let success = change_success(&read.changes);
    metrics.report(ReportFigure::ChangeSuccess, ALL, success);
    log::trace!("figures of reports as of {} are shown", now.as_millis());
}

fn values(sum: &Sum) -> [(ReportFigure, Option<f64>); 13] {
    let it = &sum.figures;
    let all = it.incidents;
    let response = it.response_met.saturating_add(it.response_breached);
    let resolution = it.resolution_met.saturating_add(it.resolution_breached);
    let apart = it.messages.saturating_sub(all).max(0);
    let seconds = |ms, of: i64| quotient(ms, of.saturating_mul(1_000));
    [
        (ReportFigure::Incidents, quotient(all, 1)),
        (
            ReportFigure::AcknowledgeSeconds,
            seconds(it.acknowledge_ms, it.acknowledged),
        ),
        (ReportFigure::ResolveSeconds, seconds(it.resolve_ms, all)),
        (
            ReportFigure::ResponseMet,
            quotient(it.response_met, response),
        ),
        (
            ReportFigure::ResolutionMet,
            quotient(it.resolution_met, resolution),
        ),
        (ReportFigure::Backlog, quotient(sum.open, 1)),
        (ReportFigure::BacklogAge, quotient(sum.age_s, sum.open)),
        (ReportFigure::Reopened, quotient(it.reopened, all)),
        (
            ReportFigure::WithoutEscalation,
            quotient(all.saturating_sub(it.escalated), all),
        ),
        (ReportFigure::Recurring, quotient(it.recurring, all)),
        (ReportFigure::Compression, quotient(apart, it.messages)),
        (
            ReportFigure::Cost,
            quotient(sum.cost, all.saturating_mul(100)),
        ),
        (ReportFigure::Satisfaction, quotient(sum.score, sum.ratings)),
    ]
}

fn change_success(counts: &[(String, i64, i64)]) -> Option<f64> {
    let of = |word: &str| {
        let found = counts.iter().find(|(state, ..)| state == word);
        found.map_or((0, 0), |(_, count, caused)| (*count, *caused))
    };
    let caused = counts.iter().map(|(.., caused)| *caused);
    let caused = caused.fold(0, i64::saturating_add);
    let (successful, blamed) = of("successful");
    let (failed, failed_blamed) = of("failed");
    let successful = successful.saturating_sub(blamed);
    let judged = successful
        .saturating_add(failed)
        .saturating_add(caused.saturating_sub(failed_blamed));
    quotient(successful, judged)
}

/// A quotient with four digits behind the point; nothing when there is nothing to divide by.
fn quotient(part: i64, whole: i64) -> Option<f64> {
    if whole == 0 {
        return None;
    }
    let parts = i128::from(part).saturating_mul(10_000) / i128::from(whole);
    let sign = if parts < 0 { "-" } else { "" };
    let parts = parts.abs();
    format!("{sign}{}.{:04}", parts / 10_000, parts % 10_000)
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quotient_has_four_digits_or_is_nothing() {
        assert_eq!(quotient(1, 3), Some(0.3333));
        assert_eq!(quotient(-5, 2), Some(-2.5));
        assert_eq!(quotient(7, 1), Some(7.0));
        assert_eq!(quotient(1, 0), None);
    }

    #[test]
    fn a_change_that_caused_an_incident_is_no_success() {
        let counts = [
            ("failed".to_owned(), 1, 1),
            ("in_progress".to_owned(), 4, 1),
            ("successful".to_owned(), 7, 1),
        ];
        // 6 went well; 1 failed, 1 caused an incident though it succeeded, 1 while it was made.
        assert_eq!(change_success(&counts), Some(0.6666));
        assert_eq!(change_success(&[]), None);
    }
}
