//! The configured imports and how they do.

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::ApiState;
use super::page::{List, PageQuery, Params, Sorting};
use super::problem::Problem;
use super::time::Time;
use crate::core::cmdb::record;

/// A configured import.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct ImportStatus {
    /// Its name.
    #[schema(example = "netbox")]
    pub name: String,
    /// Whose inventory it is.
    #[schema(example = "netbox")]
    pub kind: String,
    /// The address or files that it is read from.
    #[schema(example = "https://netbox.example")]
    pub from: String,
    /// Seconds between two imports.
    #[schema(example = 900.0)]
    pub every_s: f64,
    /// Whether it runs at the moment.
    pub running: bool,
    /// What it reads at the moment.
    pub progress: Option<String>,
    /// When it started last.
    pub last_started_at: Option<Time>,
    /// When it last came to its end, since the daemon started.
    pub last_success_at: Option<Time>,
    /// Why the last one failed; null when it did not.
    pub last_error: Option<String>,
    /// When one failed last.
    pub last_error_at: Option<Time>,
    /// When the next one starts; null while one runs.
    pub next_due_at: Option<Time>,
    /// The version of the CMDB that the last success made or found.
    pub version: Option<u64>,
    /// Items that it names.
    pub cis: Option<usize>,
    /// Relations that it names.
    pub relations: Option<usize>,
    /// Rows that were wrong at the last success.
    pub problem_count: usize,
    /// The first of them.
    pub problems: Vec<ImportProblem>,
}

/// A row of an import that was wrong.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct ImportProblem {
    /// Where: line, path or id.
    pub place: String,
    /// What is wrong and what to do about it.
    pub text: String,
}

impl From<record::Problem> for ImportProblem {
    fn from(problem: record::Problem) -> Self {
        Self {
            place: problem.place.into(),
            text: problem.text.into(),
        }
    }
}

const SORTING: Sorting = Sorting {
    list: "imports",
    words: &["name"],
};

/// The configured imports by name: last success, last error, next due.
#[utoipa::path(get, path = "/api/v1/cmdb/imports/configured", tag = "cmdb", params(PageQuery), responses(
    (status = 200, description = "All configured imports", body = List<ImportStatus>),
))]
pub async fn configured(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<ImportStatus>>, Problem> {
    let wanted = Params::read(query.as_deref(), &[])?.wanted(SORTING)?;
    Ok(Json(wanted.slice((api.setup().imports)())))
}
