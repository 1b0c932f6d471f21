//! How good the CMDB is, as a list of findings with what to do about each.
//!
//! Must not repair anything.

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::ApiState;
use super::page::Params;
use super::problem::Problem;
use super::shapes::CiRef;
use crate::core::cmdb::ci::CiNumber;
use crate::core::cmdb::graph::Graph;
use crate::core::cmdb::quality::{Findings, HUB_DEPENDENTS, quality};
use crate::store::query::Page;
use crate::store::query::bindings::{self, Unbound};
use crate::store::query::cmdb::{self, ImportView};

/// Rows of a finding that the store is asked for.
const ROWS_MAX: i64 = 50;
/// An import that said nothing for so long is stale.
const STALE_MS: i64 = 7 * 24 * 3_600 * 1_000;

/// The quality report.
#[derive(Debug, Serialize, ToSchema)]
pub struct Doctor {
    /// Configuration items.
    cis: usize,
    /// Relations.
    relations: usize,
    /// Every check, whether it found something or not.
    checks: Vec<Check>,
}

/// One check of the report.
#[derive(Debug, Serialize, ToSchema)]
pub struct Check {
    /// Its name.
    check: &'static str,
    /// What is looked at.
    title: &'static str,
    /// How many findings there are.
    count: usize,
    /// The first ones.
    items: Vec<Finding>,
    /// What to do about them.
    todo: &'static str,
}

/// One finding.
#[derive(Debug, Serialize, ToSchema)]
pub struct Finding {
    /// What was found.
    text: String,
    /// The items it is about.
    cis: Vec<CiRef>,
}

/// What is wrong with the CMDB, each with what to do about it.
#[utoipa::path(get, path = "/api/v1/cmdb/doctor", tag = "cmdb", responses(
    (status = 200, description = "The report", body = Doctor),
))]
pub async fn doctor(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<Doctor>, Problem> {
    Params::read(query.as_deref(), &[])?;
    let engine = api.setup().engine.clone();
    let looked = api.run(async move { engine.look(|state| of_graph(state.graph())).await });
    let mut report = looked.await??;
    let page = Page {
        limit: 500,
        is_newest_first: true,
        after: None,
    };
    let (unbound, imports) = api
        .read(async move |db| {
            let mut reader = db.snapshot().await?;
            let unbound = bindings::unbound(reader.lend(), ROWS_MAX).await?;
            Ok((
                unbound,
                cmdb::imports(reader.lend(), None, page).await?.items,
            ))
        })
        .await?;
    let current: Vec<_> = imports
        .into_iter()
        .filter(|import| import.is_current)
        .collect();
    report.checks.insert(0, of_alerts(unbound));
    report.checks.push(stale(&current, api.now().as_millis()));
    report.checks.extend(of_imports(&current));
    Ok(Json(report))
}

/// A check's name, what is looked at, and what to do.
type About = [&'static str; 3];

const AMBIGUOUS: About = [
    "ambiguous_names",
    "Names and identifiers that several items share",
    "Give one of them another name, or remove the identifier that is wrong: alerts that say it stay unbound.",
];
const BARE: About = [
    "services_without_providers",
    "Services of which nobody knows what they depend on",
    "Relate them to what they run on: no outage can be seen to reach them.",
];
const ORPHANS: About = [
    "orphans",
    "Items without any relation",
    "Relate them, or leave them out: their alerts can only stand alone.",
];
const RETIRED: About = [
    "retired_providers",
    "Retired items that others still depend on",
    "Move the dependents to what replaced them, or correct the status.",
];
const HUBS: About = [
    "hubs",
    "Items with suspiciously many dependents",
    "See whether all of these really fail with it; a place or a team is no provider.",
];
const CYCLES: About = [
    "cycles",
    "Items that depend on each other in a circle",
    "Circles do no harm, but often one direction is wrong: `from` depends on `to`.",
];

fn of_graph(graph: &Graph) -> Doctor {
    let found = quality(graph);
    let name = |ci: CiNumber| {
        let ci = graph.ci(ci);
        ci.map(|ci| ci.name.to_string()).unwrap_or_default()
    };
    let finding = |text: String, cis: &[CiNumber]| Finding {
        text,
        cis: cis
            .iter()
            .filter_map(|ci| graph.ci(*ci))
            .map(CiRef::from)
            .collect(),
    };
    let single = |ci: CiNumber| finding(name(ci), &[ci]);
    let checks = vec![
        check(AMBIGUOUS, found.ambiguous, |(text, cis)| {
            finding(text.to_string(), &cis)
        }),
        check(BARE, found.bare_services, single),
        check(ORPHANS, found.orphans, single),
        check(RETIRED, found.retired_providers, single),
        check(HUBS, found.hubs, |(ci, count)| {
            let text = format!("{count} dependents; {HUB_DEPENDENTS} or more are suspicious");
            finding(text, &[ci])
        }),
        check(CYCLES, found.cycles, |cis| {
            finding(format!("{} items", cis.len()), &cis)
        }),
    ];
    Doctor {
        cis: graph.len(),
        relations: graph.relation_count(),
        checks,
    }
}

fn check<T>(
    [check, title, todo]: About,
    findings: Findings<T>,
    shape: impl FnMut(T) -> Finding,
) -> Check {
    Check {
        check,
        title,
        count: findings.count,
        items: findings.items.into_iter().map(shape).collect(),
        todo,
    }
}

fn of_alerts(rows: Vec<Unbound>) -> Check {
    let count = rows
        .iter()
        .map(|row| usize::try_from(row.count).unwrap_or(0))
        .sum();
    let items = rows.into_iter().map(|row| Finding {
        text: format!(
            "{} from {} ({}): {} For example A-{}",
            row.count, row.source, row.outcome, row.reason, row.example
        ),
        cis: Vec::new(),
    });
    Check {
        check: "unbound_alerts",
        title: "Firing alerts that are bound to no item",
        count,
        items: items.collect(),
        todo: "Add the missing items or aliases, or write a [[cmdb.bind]] rule; `watchbell cmdb bind-check` shows every step.",
    }
}

fn stale(imports: &[ImportView], now_ms: i64) -> Check {
    let stale = imports.iter().filter(|import| {
        let seen = import.seen_at.or(import.active_at).unwrap_or(0);
        now_ms.saturating_sub(seen) > STALE_MS
    });
    let items: Vec<_> = stale
        .map(|import| Finding {
            text: format!(
                "the import {} said nothing for more than 7 days",
                import.name
            ),
            cis: Vec::new(),
        })
        .collect();
    Check {
        check: "stale_records",
        title: "Imports that were not repeated for a long time",
        count: items.len(),
        items,
        todo: "Run them again, at best by [[cmdb.import]] with `every`.",
    }
}

/// What was noted when the imports were made.
fn of_imports(imports: &[ImportView]) -> [Check; 2] {
    let mut items = Vec::new();
    let mut conflict_count = 0_usize;
    let mut conflicts = Vec::new();
    for import in imports {
        let summary: serde_json::Value = serde_json::from_str(&import.summary).unwrap_or_default();
        let text = |value: &serde_json::Value, key: &str| {
            value
                .get(key)
                .and_then(|it| it.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        for problem in summary
            .get("problems")
            .and_then(|it| it.as_array())
            .into_iter()
            .flatten()
        {
            let (place, said) = (text(problem, "place"), text(problem, "text"));
            items.push(Finding {
                text: format!("{}: {place}: {said}", import.name),
                cis: Vec::new(),
            });
        }
        let listed = summary.get("conflicts").and_then(|it| it.as_array());
        // Every import lists those with all others; the last one knows best.
        if conflicts.is_empty() {
            for row in listed.into_iter().flatten() {
                let word = |index: usize| {
                    row.get(index)
                        .and_then(|it| it.as_str())
                        .unwrap_or_default()
                };
                conflict_count = conflict_count.saturating_add(1);
                conflicts.push(Finding {
                    text: format!(
                        "{} of {}: {} says {:?}, {} says {:?}",
                        word(1),
                        word(0),
                        word(2),
                        word(3),
                        word(4),
                        word(5)
                    ),
                    cis: Vec::new(),
                });
            }
        }
    }
    let limit = usize::try_from(ROWS_MAX).unwrap_or(0);
    let count = items.len();
    items.truncate(limit);
    conflicts.truncate(limit);
    [
        Check {
            check: "import_problems",
            title: "Rows and relations that imports could not use",
            count,
            items,
            todo: "Correct them where they come from; the place is a line, a path or the ends of a relation.",
        },
        Check {
            check: "conflicts",
            title: "Fields about which imports disagree",
            count: conflict_count,
            items: conflicts,
            todo: "Say in [cmdb] precedence or attribute_precedence whose word counts, or correct the wrong one.",
        },
    ]
}
