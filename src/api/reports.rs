//! Reports: how people and services do, as figures over a period.
//!
//! Each is a table with a formula that says how its columns come about; the same formulas are in `docs/reports.md`. Must
//! not compute anything that is not in its formula.

#![expect(
    unused_qualifications,
    reason = "the document's macro writes the paths of parameter types out"
)]

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use super::ApiState;
use super::page::Params;
use super::problem::Problem;
use super::time::{Time, read, read_span};
use crate::core::outcome::{CostRules, Figures};
use crate::core::severity::Priority;
use crate::core::time::{Span, Timestamp};
use crate::store::query::reports::{self, Backlog, OutcomeSum, Period};

/// The period of a report when none is asked for.
const PERIOD: Span = Span::from_days(30);

/// One report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    name: &'static str,
    title: &'static str,
    formula: &'static str,
}

/// Every report that is made of incidents that are over.
const KINDS: [Kind; 11] = [
    Kind {
        name: "mtta",
        title: "Mean time to acknowledge",
        formula: "mtta_s = sum of (acknowledged_at - opened_at) / acknowledged, over incidents that ended in the period and \
                  of which somebody took notice",
    },
    Kind {
        name: "mttr",
        title: "Mean time to resolve",
        formula: "mttr_s = sum of (resolved_at - opened_at) / incidents, over incidents that ended in the period; by_itself \
                  counts those that recovered before anybody took notice",
    },
    Kind {
        name: "sla",
        title: "Compliance with service levels",
        formula: "compliance_percent = 100 * (response_met + resolution_met) / (all targets met or missed); \
                  response_percent and resolution_percent the same for one clock",
    },
    Kind {
        name: "backlog",
        title: "Open incidents and their age",
        formula: "open = incidents that are new, acknowledged, in progress or on hold now; age_s = sum of (now - opened_at) / \
                  open; oldest_s = now - the earliest opened_at; the period does not matter",
    },
    Kind {
        name: "reopen",
        title: "Reopened incidents",
        formula: "reopen_percent = 100 * incidents that were reopened at least once / incidents that ended in the period",
    },
    Kind {
        name: "escalation",
        title: "Resolved without escalation",
        formula: "without_escalation_percent = 100 * (incidents - escalated) / incidents that ended in the period",
    },
    Kind {
        name: "recurring",
        title: "Recurring incidents",
        formula: "recurring_percent = 100 * incidents that continue an earlier one / incidents that ended in the period",
    },
    Kind {
        name: "noise",
        title: "Noise compression",
        formula: "messages_per_incident = messages about the alerts of incidents that ended in the period / incidents; \
                  alerts_per_incident the same with alerts; compression_percent = 100 * (1 - incidents / messages)",
    },
    Kind {
        name: "changes",
        title: "Changes and how they went",
        formula: "success_percent = 100 * successful / (successful + failed), over changes that were last changed in the \
                  period; those that are planned, in progress or cancelled are only counted",
    },
    Kind {
        name: "cost",
        title: "Cost of incidents",
        formula: "cost = incidents * [report] cost_per_incident + hours from open to resolved * [report] cost_per_hour of the \
                  priority; cost_per_incident = cost / incidents",
    },
    Kind {
        name: "summary",
        title: "All figures at a glance",
        formula: "the columns of mtta, mttr, sla, reopen, escalation, recurring and noise",
    },
];

/// A report that there is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReportKind {
    /// Its name, for the path.
    #[schema(example = "mttr")]
    name: &'static str,
    /// What it shows.
    title: &'static str,
    /// How its columns come about.
    formula: &'static str,
}

/// All reports.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReportKinds {
    /// The reports.
    items: Vec<ReportKind>,
    /// Always null: there is one page.
    next_cursor: Option<String>,
}

/// A report.
#[derive(Debug, Serialize, ToSchema)]
pub struct Report {
    /// Its name.
    #[schema(example = "mttr")]
    report: &'static str,
    /// What it shows.
    title: &'static str,
    /// From when.
    since: Time,
    /// To when.
    until: Time,
    /// What the rows stand for: `priority` or `team`.
    by: &'static str,
    /// The names of the columns, in order.
    columns: Vec<&'static str>,
    /// A row per priority or team; columns without a value are null.
    #[schema(value_type = Vec<Object>)]
    rows: Vec<Map<String, Value>>,
    /// The same over all rows.
    #[schema(value_type = Object)]
    total: Map<String, Value>,
    /// How the columns come about.
    formula: &'static str,
}

/// Which period, for the document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReportQuery {
    /// From when: a time, or so long ago, like 30d; 30d when not given.
    pub since: Option<String>,
    /// To when: a time, or so long ago; now when not given.
    pub until: Option<String>,
    /// What the rows stand for: `priority` (the default) or `team`.
    pub by: Option<String>,
}

/// The reports that there are.
#[utoipa::path(get, path = "/api/v1/reports", tag = "reports", responses(
    (status = 200, description = "All reports", body = ReportKinds),
))]
pub async fn list() -> Json<ReportKinds> {
    let items = KINDS.iter().map(|kind| ReportKind {
        name: kind.name,
        title: kind.title,
        formula: kind.formula,
    });
    Json(ReportKinds {
        items: items.collect(),
        next_cursor: None,
    })
}

/// A report over a period.
#[utoipa::path(get, path = "/api/v1/reports/{name}", tag = "reports", params(
    ("name" = String, Path, description = "Its name, like mttr"), ReportQuery), responses(
    (status = 200, description = "The report", body = Report),
))]
pub async fn get(
    State(api): State<ApiState>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Report>, Problem> {
    let kind = KINDS.iter().find(|kind| kind.name == name);
    let kind = kind.copied().ok_or_else(|| {
        let names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
        Problem::not_found(format!(
            "there is no such report; there are {}",
            names.join(", ")
        ))
    })?;
    let params = Params::read(query.as_deref(), &["since", "until", "by"])?;
    let now = api.now();
    let until = moment(params.one("until")?, now)?.unwrap_or(now);
    let since = moment(params.one("since")?, now)?.unwrap_or_else(|| until.minus(PERIOD));
    if since >= until {
        return Err(Problem::bad_request("`since` must lie before `until`"));
    }
    let by = match params.one("by")? {
        None | Some("priority") => "priority",
        Some("team") => "team",
        Some(other) => {
            let shown: String = other.chars().take(40).collect();
            let detail = format!("{shown:?} is not known as `by`; write priority or team");
            return Err(Problem::bad_request(detail));
        }
    };
    let period = Period { since, until };
    let table = if kind.name == "backlog" {
        let rows = api
            .read(async move |db| reports::backlog(db.reader().await?.lend(), now).await)
            .await?;
        backlog(&rows, by, now)
    } else if kind.name == "changes" {
        let counts = api
            .read(async move |db| reports::changes(db.reader().await?.lend(), period).await)
            .await?;
        changes(&counts)
    } else {
        let sums = api
            .read(async move |db| reports::outcomes(db.reader().await?.lend(), period).await)
            .await?;
        let cost = api.setup().engine.rules().cost.clone();
        outcomes(kind.name, &sums, by, &cost)
    };
    Ok(Json(Report {
        report: kind.name,
        title: kind.title,
        since: since.into(),
        until: until.into(),
        by,
        columns: table.columns,
        rows: table.rows,
        total: table.total,
        formula: kind.formula,
    }))
}

fn moment(text: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = text else {
        return Ok(None);
    };
    if let Some(span) = read_span(text) {
        return Ok(Some(now.minus(span)));
    }
    let is_date = text.len() == 10;
    let whole = if is_date {
        format!("{text}T00:00:00Z")
    } else {
        text.to_owned()
    };
    read(&whole).map(Some).map_err(Problem::bad_request)
}

/// The columns and rows of a report.
struct Table {
    columns: Vec<&'static str>,
    rows: Vec<Map<String, Value>>,
    total: Map<String, Value>,
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

fn outcomes(name: &str, sums: &[OutcomeSum], by: &'static str, cost: &CostRules) -> Table {
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

/// Changes have neither priority nor team: there is one total.
fn changes(counts: &[(String, i64)]) -> Table {
    let count = |word: &str| {
        let found = counts.iter().find(|(state, _)| state == word);
        found.map_or(0, |(_, count)| *count)
    };
    let (successful, failed) = (count("successful"), count("failed"));
    let judged = successful.saturating_add(failed);
    let total = vec![
        ("planned", json!(count("planned"))),
        ("in_progress", json!(count("in_progress"))),
        ("successful", json!(successful)),
        ("failed", json!(failed)),
        ("cancelled", json!(count("cancelled"))),
        ("success_percent", percent(successful, judged)),
    ];
    table("priority", Vec::new(), total)
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

fn backlog(found: &[Backlog], by: &'static str, now: Timestamp) -> Table {
    let merge = |held: &mut Backlog, more: &Backlog| {
        held.open = held.open.saturating_add(more.open);
        held.unacknowledged = held.unacknowledged.saturating_add(more.unacknowledged);
        held.on_hold = held.on_hold.saturating_add(more.on_hold);
        held.age_s = held.age_s.saturating_add(more.age_s);
        held.oldest_at = held.oldest_at.min(more.oldest_at);
    };
    let mut rows: Vec<(String, Backlog)> = Vec::new();
    let mut total: Option<Backlog> = None;
    for one in found {
        let key = key_of(by, one.priority, &one.team);
        match rows.iter_mut().find(|(held, _)| *held == key) {
            Some((_, held)) => merge(held, one),
            None => rows.push((key, one.clone())),
        }
        match &mut total {
            Some(total) => merge(total, one),
            None => total = Some(one.clone()),
        }
    }
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
    rows.sort_by(|(left, _), (right, _)| left.cmp(right));
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
