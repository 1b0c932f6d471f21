//! Figures of reports as tables: which columns, how they are divided, a row for each priority or team and one for all.
//!
//! Must not read the store, and must not compute anything that is not in the formula of its report.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::core::outcome::{CostRules, Figures};
use crate::core::severity::Priority;
use crate::core::time::Timestamp;
use crate::store::query::ratings::RatingSum;
use crate::store::query::reports::{Backlog, OutcomeSum};

/// The columns and rows of a report.
pub(super) struct Table {
    pub(super) columns: Vec<&'static str>,
    pub(super) rows: Vec<Map<String, Value>>,
    pub(super) total: Map<String, Value>,
}

type Cells = Vec<(&'static str, Value)>;

fn table(by: &'static str, rows: Vec<(String, Cells)>, total: Cells) -> Table {
    let columns = std::iter::once(by).chain(total.iter().map(|(name, _)| *name));
    let columns = columns.collect();
    let fill = |cells: Cells| {
        let cells = cells.into_iter();
        cells
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<Map<_, _>>()
    };
    let rows = rows.into_iter().map(|(key, cells)| {
        let mut row = Map::new();
        row.insert(by.to_owned(), Value::String(key));
        row.extend(fill(cells));
        row
    });
    Table {
        columns,
        rows: rows.collect(),
        total: fill(total),
    }
}

/// One row of sums.
struct Sum {
    figures: Figures,
    /// In hundredths of the currency.
    cost: i64,
}

pub(super) fn outcomes(
    name: &str,
    sums: &[OutcomeSum],
    by: &'static str,
    cost: &CostRules,
) -> Table {
    let mut rows: Vec<(String, Sum)> = Vec::new();
    let mut total = Sum {
        figures: Figures::default(),
        cost: 0,
    };
    for sum in sums {
        let key = key_of(by, sum.priority, &sum.team);
        let price = cost.of(sum.priority, sum.figures.incidents, sum.figures.resolve_ms);
        total.figures = total.figures.plus(&sum.figures);
        total.cost = total.cost.saturating_add(price);
        match rows.iter_mut().find(|(held, _)| *held == key) {
            Some((_, row)) => {
                row.figures = row.figures.plus(&sum.figures);
                row.cost = row.cost.saturating_add(price);
            }
            None => rows.push((
                key,
                Sum {
                    figures: sum.figures,
                    cost: price,
                },
            )),
        }
    }
    rows.sort_by(|(left, _), (right, _)| left.cmp(right));
    let rows = rows.into_iter();
    let rows = rows.map(|(key, sum)| (key, cells(name, &sum, cost)));
    table(by, rows.collect(), cells(name, &total, cost))
}

/// What people said of how incidents were handled.
pub(super) fn satisfaction(found: &[RatingSum], by: &'static str) -> Table {
    let merge = |held: &mut RatingSum, more: &RatingSum| {
        held.ratings = held.ratings.saturating_add(more.ratings);
        held.score = held.score.saturating_add(more.score);
        held.content = held.content.saturating_add(more.content);
    };
    let key = |one: &RatingSum| key_of(by, one.priority, &one.team);
    let (rows, total) = summed(found, key, merge);
    let cells = |it: Option<&RatingSum>| {
        let count = |of: fn(&RatingSum) -> i64| it.map_or(0, of);
        let ratings = count(|it| it.ratings);
        vec![
            ("ratings", json!(ratings)),
            ("satisfaction", ratio(count(|it| it.score), ratings)),
            ("content", json!(count(|it| it.content))),
            ("content_percent", percent(count(|it| it.content), ratings)),
        ]
    };
    let shown = rows.into_iter().map(|(key, it)| (key, cells(Some(&it))));
    table(by, shown.collect(), cells(total.as_ref()))
}

/// Changes have neither priority nor team: there is one total.
pub(super) fn changes(counts: &[(String, i64, i64)]) -> Table {
    let count = |word: &str| {
        let found = counts.iter().find(|(state, ..)| state == word);
        found.map_or(0, |(_, count, _)| *count)
    };
    let caused = counts
        .iter()
        .map(|(_, _, caused)| *caused)
        .fold(0, i64::saturating_add);
    let blamed = |word: &str| {
        let found = counts.iter().find(|(state, ..)| state == word);
        found.map_or(0, |(.., caused)| *caused)
    };
    let successful = count("successful").saturating_sub(blamed("successful"));
    let failed = count("failed");
    let others = caused.saturating_sub(blamed("failed"));
    let judged = successful.saturating_add(failed).saturating_add(others);
    let total = vec![
        ("planned", json!(count("planned"))),
        ("in_progress", json!(count("in_progress"))),
        ("successful", json!(successful)),
        ("failed", json!(failed)),
        ("cancelled", json!(count("cancelled"))),
        ("caused_incidents", json!(caused)),
        ("success_percent", percent(successful, judged)),
    ];
    table("priority", Vec::new(), total)
}

/// What was found by key, in the order of the keys, and over all; nothing where nothing was found.
fn summed<T: Clone>(
    found: &[T],
    key: impl Fn(&T) -> String,
    merge: impl Fn(&mut T, &T),
) -> (BTreeMap<String, T>, Option<T>) {
    let mut rows: BTreeMap<String, T> = BTreeMap::new();
    let mut total: Option<T> = None;
    for one in found {
        match rows.get_mut(&key(one)) {
            Some(held) => merge(held, one),
            None => drop(rows.insert(key(one), one.clone())),
        }
        match &mut total {
            Some(total) => merge(total, one),
            None => total = Some(one.clone()),
        }
    }
    (rows, total)
}

fn key_of(by: &str, priority: Priority, team: &str) -> String {
    if by == "team" {
        team.to_owned()
    } else {
        priority.word().to_owned()
    }
}

fn cells(name: &str, sum: &Sum, cost: &CostRules) -> Cells {
    let it = &sum.figures;
    let all = it.incidents;
    let incidents = ("incidents", json!(all));
    let mtta = || {
        vec![
            ("acknowledged", json!(it.acknowledged)),
            ("mtta_s", seconds(it.acknowledge_ms, it.acknowledged)),
        ]
    };
    let mttr = || {
        vec![
            ("by_itself", json!(it.by_itself)),
            ("mttr_s", seconds(it.resolve_ms, all)),
        ]
    };
    let sla = || sla_cells(it);
    let reopen = || {
        vec![
            ("reopened", json!(it.reopened)),
            ("reopen_percent", percent(it.reopened, all)),
        ]
    };
    let escalation = || {
        vec![
            ("escalated", json!(it.escalated)),
            (
                "without_escalation_percent",
                percent(all.saturating_sub(it.escalated), all),
            ),
        ]
    };
    let recurring = || {
        vec![
            ("recurring", json!(it.recurring)),
            ("recurring_percent", percent(it.recurring, all)),
        ]
    };
    let parts: Vec<Cells> = match name {
        "mtta" => vec![mtta()],
        "mttr" => vec![mttr()],
        "sla" => vec![sla()],
        "reopen" => vec![reopen()],
        "escalation" => vec![escalation()],
        "recurring" => vec![recurring()],
        "noise" => vec![noise_cells(it)],
        "cost" => vec![cost_cells(sum, cost)],
        _ => vec![
            mtta(),
            mttr(),
            sla(),
            reopen(),
            escalation(),
            recurring(),
            noise_cells(it),
        ],
    };
    std::iter::once(incidents)
        .chain(parts.into_iter().flatten())
        .collect()
}

fn noise_cells(it: &Figures) -> Cells {
    let all = it.incidents;
    vec![
        ("alerts", json!(it.alerts)),
        ("messages", json!(it.messages)),
        ("alerts_per_incident", ratio(it.alerts, all)),
        ("messages_per_incident", ratio(it.messages, all)),
        (
            "compression_percent",
            percent(it.messages.saturating_sub(all).max(0), it.messages),
        ),
    ]
}

fn cost_cells(sum: &Sum, cost: &CostRules) -> Cells {
    let it = &sum.figures;
    vec![
        ("hours", ratio(it.resolve_ms, 3_600_000)),
        ("cost", ratio(sum.cost, 100)),
        (
            "cost_per_incident",
            ratio(sum.cost, it.incidents.saturating_mul(100)),
        ),
        ("currency", json!(cost.currency.as_str())),
    ]
}

fn sla_cells(it: &Figures) -> Cells {
    let response = it.response_met.saturating_add(it.response_breached);
    let resolution = it.resolution_met.saturating_add(it.resolution_breached);
    let met = it.response_met.saturating_add(it.resolution_met);
    vec![
        ("response_met", json!(it.response_met)),
        ("response_breached", json!(it.response_breached)),
        ("response_percent", percent(it.response_met, response)),
        ("resolution_met", json!(it.resolution_met)),
        ("resolution_breached", json!(it.resolution_breached)),
        ("resolution_percent", percent(it.resolution_met, resolution)),
        (
            "compliance_percent",
            percent(met, response.saturating_add(resolution)),
        ),
    ]
}

pub(super) fn backlog(found: &[Backlog], by: &'static str, now: Timestamp) -> Table {
    let merge = |held: &mut Backlog, more: &Backlog| {
        held.open = held.open.saturating_add(more.open);
        held.unacknowledged = held.unacknowledged.saturating_add(more.unacknowledged);
        held.on_hold = held.on_hold.saturating_add(more.on_hold);
        held.age_s = held.age_s.saturating_add(more.age_s);
        held.oldest_at = held.oldest_at.min(more.oldest_at);
    };
    let key = |one: &Backlog| key_of(by, one.priority, &one.team);
    let (rows, total) = summed(found, key, merge);
    let cells = |it: Option<&Backlog>| {
        let count = |of: fn(&Backlog) -> i64| json!(it.map_or(0, of));
        let open = it.map_or(0, |it| it.open);
        let age = it.map_or(0, |it| it.age_s.saturating_mul(1_000));
        let oldest = it.map(|it| now.since(it.oldest_at).as_millis() / 1_000);
        vec![
            ("open", count(|it| it.open)),
            ("unacknowledged", count(|it| it.unacknowledged)),
            ("on_hold", count(|it| it.on_hold)),
            ("age_s", seconds(age, open)),
            ("oldest_s", json!(oldest)),
        ]
    };
    let shown = rows.into_iter().map(|(key, it)| (key, cells(Some(&it))));
    table(by, shown.collect(), cells(total.as_ref()))
}

/// Milliseconds per count, in seconds with three digits; nothing when there is nothing to share among.
fn seconds(ms: i64, count: i64) -> Value {
    ratio(ms, count.saturating_mul(1_000))
}

fn percent(part: i64, whole: i64) -> Value {
    ratio(part.saturating_mul(100), whole)
}

/// A quotient with three digits behind the point; nothing when there is nothing to divide by.
fn ratio(part: i64, whole: i64) -> Value {
    if whole == 0 {
        return Value::Null;
    }
    let thousandths = i128::from(part).saturating_mul(1_000) / i128::from(whole);
    let text = format!(
        "{}{}.{:03}",
        if thousandths < 0 { "-" } else { "" },
        thousandths.abs() / 1_000,
        thousandths.abs() % 1_000
    );
    text.parse::<f64>()
        .map_or(Value::Null, |number| json!(number))
}
