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
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::ApiState;
use super::page::Params;
use super::problem::Problem;
use super::report_table::{backlog, changes, outcomes, satisfaction};
use super::time::{Time, read, read_span};
use crate::core::time::{Span, Timestamp};
use crate::store::query::ratings;
use crate::store::query::reports::{self, Period};

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
const KINDS: [Kind; 12] = [
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
        formula: "success_percent = 100 * successful / (successful + failed + others that caused an incident), over changes \
                  that were last changed in the period; successful are those that did not fail and of which nobody says \
                  that they caused an incident; those that are planned, in progress or cancelled are only counted",
    },
    Kind {
        name: "cost",
        title: "Cost of incidents",
        formula: "cost = incidents * [report] cost_per_incident + hours from open to resolved * [report] cost_per_hour of the \
                  priority; cost_per_incident = cost / incidents",
    },
    Kind {
        name: "satisfaction",
        title: "What the people served say",
        formula: "satisfaction = sum of ratings from 1 to 5 / ratings, over ratings given in the period; content_percent = \
                  100 * ratings of 4 or 5 / ratings",
    },
    Kind {
        name: "summary",
        title: "All figures at a glance",
        formula: "the columns of mtta, mttr, sla, reopen, escalation, recurring and noise",
    },
];

/// Other names that people have for them.
const ALSO: [(&str, &str); 26] = [
    ("acknowledge", "mtta"),
    ("mean-time-to-acknowledge", "mtta"),
    ("mean-time-to-resolve", "mttr"),
    ("resolve", "mttr"),
    ("compliance", "sla"),
    ("service-levels", "sla"),
    ("sla-compliance", "sla"),
    ("backlog-age", "backlog"),
    ("reopen-rate", "reopen"),
    ("reopened", "reopen"),
    ("escalations", "escalation"),
    ("resolved-without-escalation", "escalation"),
    ("without-escalation", "escalation"),
    ("recurrence", "recurring"),
    ("recurring-share", "recurring"),
    ("compression", "noise"),
    ("noise-compression", "noise"),
    ("change-success", "changes"),
    ("change-success-rate", "changes"),
    ("cost-per-incident", "cost"),
    ("costs", "cost"),
    ("csat", "satisfaction"),
    ("ratings", "satisfaction"),
    ("kpi", "summary"),
    ("kpis", "summary"),
    ("overview", "summary"),
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
    let wanted = name.to_ascii_lowercase().replace('_', "-");
    let also = ALSO.iter().find(|(other, _)| *other == wanted);
    let wanted = also.map_or(wanted.as_str(), |(_, name)| *name);
    let kind = KINDS.iter().find(|kind| kind.name == wanted);
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
    } else if kind.name == "satisfaction" {
        let sums = api
            .read(async move |db| ratings::sums(db.reader().await?.lend(), period).await)
            .await?;
        satisfaction(&sums, by)
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
