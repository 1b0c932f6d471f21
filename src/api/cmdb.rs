//! The CMDB as a whole: imports, the quality report, a check of bindings, and the export.
//!
//! Must not compare or merge imports; the engine's handle does.

#![expect(
    unused_qualifications,
    reason = "the document's macro writes the paths of parameter types out"
)]

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use utoipa::{IntoParams, ToSchema};
use xxhash_rust::xxh3::Xxh3;

use super::ApiState;
use super::auth::Caller;
use super::body;
use super::page::{List, PageQuery, Params, Sorting};
use super::problem::{Kind, Problem};
use super::shapes::{Binding, CiRef};
use super::time::Time;
use crate::core::bind::{Subject, bind_traced};
use crate::core::cmdb::record::Problem as RowProblem;
use crate::core::state::State as CoreState;
use crate::core::time::Timestamp;
use crate::engine::handle::{ImportOutcome, ImportRefused, ImportRequest};
use crate::importers::{self, NamedBytes};
use crate::store::query::{cmdb, cmdb_export};

/// Bytes of an export after decompression; 100,000 items with 500,000 relations are about 70 MB.
const IMPORT_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Bytes of an import's name.
const NAME_BYTES_MAX: usize = 64;
/// The name of imports that nobody named.
const NAME_DEFAULT: &str = "manual";
const SORTING: Sorting = Sorting {
    list: "imports",
    words: &["id"],
};

/// How to import.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ImportQuery {
    /// The import's name: what it said before under this name is replaced. `manual` when not given.
    pub name: Option<String>,
    /// The format; told from the content when not given.
    pub format: Option<String>,
    /// Only say what would change.
    pub dry_run: Option<bool>,
    /// Delete even more than a fifth of what this import named before.
    pub confirm_deletes: Option<bool>,
    /// Refuse everything when one row is wrong.
    pub strict: Option<bool>,
    /// The file's name, for messages; some formats tell kinds of items by it, like `Computer.json`.
    pub file: Option<String>,
}

/// What an import came to.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportResult {
    /// The import's name.
    name: String,
    /// The format.
    format: String,
    /// Whether only the difference was wanted.
    dry_run: bool,
    /// Whether it would be held because it deletes too much; only of a dry run.
    held: bool,
    /// Whether it said nothing new.
    unchanged: bool,
    /// The version of the CMDB that holds now.
    version: u64,
    /// How many of each.
    counts: ImportCounts,
    /// Ids of new items, the first hundred.
    added: Vec<String>,
    /// Ids of changed items, the first hundred.
    changed: Vec<String>,
    /// Ids of items that are gone, the first hundred.
    removed: Vec<String>,
    /// What was wrong with single rows, which were left out; the first ones.
    problems: Vec<RowTrouble>,
    /// Where imports disagree; the first ones.
    conflicts: Vec<Disagreement>,
}

/// How many of each.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportCounts {
    /// Items that this import names.
    cis: usize,
    /// Relations that this import names.
    relations: usize,
    /// Items that are new.
    cis_added: usize,
    /// Items that changed.
    cis_changed: usize,
    /// Items that are gone.
    cis_removed: usize,
    /// Relations that are new.
    relations_added: usize,
    /// Relations that are gone.
    relations_removed: usize,
    /// What was wrong with single rows.
    problems: usize,
    /// Fields about which imports disagree.
    conflicts: usize,
}

/// Something wrong with a row.
#[derive(Debug, Serialize, ToSchema)]
pub struct RowTrouble {
    /// Line, path or id.
    place: String,
    /// What is wrong.
    text: String,
}

/// Two imports that say different things.
#[derive(Debug, Serialize, ToSchema)]
pub struct Disagreement {
    /// The item.
    ci: String,
    /// The field.
    field: String,
    /// Whose word counts.
    kept_from: String,
    /// What it says.
    kept: String,
    /// Who says otherwise.
    other_from: String,
    /// And what.
    other: String,
}

/// Takes a full picture of one import's items: what it no longer names is deleted.
#[utoipa::path(post, path = "/api/v1/cmdb/import", tag = "cmdb", params(ImportQuery),
    request_body(content = String, description = "The export, with gzip if it is declared"),
    responses((status = 200, description = "What it came to", body = ImportResult)),
)]
pub async fn import(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
    caller: Caller,
    body: Body,
) -> Result<Json<ImportResult>, Problem> {
    let keys = [
        "name",
        "format",
        "dry_run",
        "confirm_deletes",
        "strict",
        "file",
    ];
    let params = Params::read(query.as_deref(), &keys)?;
    let name = params.one("name")?.unwrap_or(NAME_DEFAULT).to_owned();
    if name.len() > NAME_BYTES_MAX {
        let detail = format!("the name of an import has at most {NAME_BYTES_MAX} bytes");
        return Err(Problem::bad_request(detail));
    }
    let format = params.one("format")?.map(str::to_owned);
    let (is_dry_run, confirm_deletes) =
        (flag(&params, "dry_run")?, flag(&params, "confirm_deletes")?);
    let is_strict = flag(&params, "strict")?;
    let file = params.one("file")?.unwrap_or("body").to_owned();
    let bytes = body::collect(body, IMPORT_BYTES_MAX).await?.freeze();
    let engine = api.setup().engine.clone();
    let work = async move {
        let hash = hash_of(&bytes, format.as_deref(), &file);
        if !is_dry_run {
            let same = engine.unchanged_cmdb(&name, hash).await;
            if let Some((format, outcome)) = same.map_err(Problem::from)? {
                return Ok(Json(ImportResult::new(name, &format, outcome)));
            }
        }
        let read = tokio::task::spawn_blocking(move || read(file, bytes, format.as_deref())).await;
        let (format, picture) = read.map_err(|_| Problem::internal())??;
        let request = ImportRequest {
            name: name.clone(),
            format: format.to_owned(),
            picture,
            is_dry_run,
            confirm_deletes,
            is_strict,
            actor: caller.actor.to_string(),
        };
        let outcome = engine.import_cmdb(request).await.map_err(Problem::from)?;
        engine.heard_cmdb(&name, format, hash, &outcome).await;
        Ok(Json(ImportResult::new(name, format, outcome)))
    };
    api.run(Box::pin(work)).await?
}

/// What the bytes are and how they are to be read, as a number.
fn hash_of(bytes: &[u8], format: Option<&str>, file: &str) -> u64 {
    let mut hash = Xxh3::new();
    for text in [format.unwrap_or_default(), file] {
        hash.update(text.as_bytes());
        // No text of UTF-8 holds this byte.
        hash.update(&[0xff]);
    }
    hash.update(bytes);
    hash.digest()
}

pub(super) fn flag(params: &Params, name: &str) -> Result<bool, Problem> {
    match params.one(name)? {
        None | Some("false" | "0") => Ok(false),
        Some("true" | "1") => Ok(true),
        Some(other) => {
            let detail = format!("{name} is true or false, not {other:?}");
            Err(Problem::bad_request(detail))
        }
    }
}

fn read(
    file: String,
    bytes: bytes::Bytes,
    format: Option<&str>,
) -> Result<(&'static str, crate::core::cmdb::record::Picture), Problem> {
    let names = || {
        let names = importers::IMPORTERS.iter().map(|format| format.name());
        names.collect::<Vec<_>>().join(", ")
    };
    let files = [NamedBytes { name: file, bytes }];
    let format = match format {
        Some(name) => importers::find(name).ok_or_else(|| {
            Problem::bad_request(format!(
                "{name:?} is no import format; there are {}",
                names()
            ))
        })?,
        None => importers::guess(&files).ok_or_else(|| {
            let detail = format!(
                "the format cannot be told from the content; name one: {}",
                names()
            );
            Problem::bad_request(detail)
        })?,
    };
    let picture = format
        .read(&files)
        .map_err(|error| Problem::bad_request(error.to_string()))?;
    Ok((format.name(), picture))
}

impl From<ImportRefused> for Problem {
    fn from(refused: ImportRefused) -> Self {
        let text = refused.to_string();
        match refused {
            ImportRefused::Held { gone, all } => Self::new(Kind::ImportHeld, text)
                .with("reason", "import_held")
                .with("would_delete", gone)
                .with("of", all),
            ImportRefused::TooLarge { .. } => Self::new(Kind::TooLarge, text),
            ImportRefused::Strict(problems) => {
                let problems = problems.into_iter().map(RowTrouble::from);
                let problems: Vec<_> = problems.collect();
                let problems = serde_json::to_value(problems).unwrap_or_default();
                Self::new(Kind::ImportRefused, text).with("problems", problems)
            }
            ImportRefused::Submit(error) => error.into(),
        }
    }
}

impl From<RowProblem> for RowTrouble {
    fn from(problem: RowProblem) -> Self {
        Self {
            place: problem.place.to_string(),
            text: problem.text.to_string(),
        }
    }
}

impl ImportResult {
    fn new(name: String, format: &str, outcome: ImportOutcome) -> Self {
        let texts = |ids: Vec<SmolStr>| ids.iter().map(SmolStr::to_string).collect();
        let counts = outcome.counts;
        let conflicts = outcome.conflicts.into_iter().map(|it| Disagreement {
            ci: it.ci.to_string(),
            field: it.field.to_string(),
            kept_from: it.kept_from.to_string(),
            kept: it.kept.to_string(),
            other_from: it.other_from.to_string(),
            other: it.other.to_string(),
        });
        Self {
            name,
            format: format.to_owned(),
            dry_run: outcome.is_dry_run,
            held: outcome.is_held,
            unchanged: outcome.is_unchanged,
            version: outcome.version,
            counts: ImportCounts {
                cis: counts.cis,
                relations: counts.relations,
                cis_added: counts.cis_added,
                cis_changed: counts.cis_changed,
                cis_removed: counts.cis_removed,
                relations_added: counts.relations_added,
                relations_removed: counts.relations_removed,
                problems: counts.problems,
                conflicts: counts.conflicts,
            },
            added: texts(outcome.added),
            changed: texts(outcome.changed),
            removed: texts(outcome.removed),
            problems: outcome.problems.into_iter().map(RowTrouble::from).collect(),
            conflicts: conflicts.collect(),
        }
    }
}

/// An import that became true.
#[derive(Debug, Serialize, ToSchema)]
pub struct Import {
    /// The version of the CMDB that it made.
    version: i64,
    /// Its name.
    name: String,
    /// Its format.
    format: String,
    /// Who ordered it.
    actor: String,
    /// When it became true.
    at: Option<Time>,
    /// When it said so last, changed or not.
    last_seen_at: Option<Time>,
    /// Whether it is the last one of its name.
    current: bool,
    /// What it came to: counts, problems and conflicts.
    #[schema(value_type = Object)]
    summary: serde_json::Value,
}

/// Which imports.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ImportsQuery {
    /// The import's name.
    pub name: Option<String>,
}

/// Imports, the newest first.
#[utoipa::path(get, path = "/api/v1/cmdb/imports", tag = "cmdb", params(ImportsQuery, PageQuery), responses(
    (status = 200, description = "A page of imports", body = List<Import>),
))]
pub async fn imports(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<Import>>, Problem> {
    let params = Params::read(query.as_deref(), &["name"])?;
    let wanted = params.wanted(SORTING)?;
    let (name, page) = (params.one("name")?.map(str::to_owned), wanted.page);
    let listed = api
        .read(async move |db| {
            cmdb::imports(db.snapshot().await?.lend(), name.as_deref(), page).await
        })
        .await?;
    let time = |at: Option<i64>| at.map(|at| Time(Timestamp::from_millis(at)));
    Ok(Json(wanted.list(listed, |row| Import {
        version: row.version,
        name: row.name,
        format: row.format,
        actor: row.actor,
        at: time(row.active_at),
        last_seen_at: time(row.seen_at),
        current: row.is_current,
        summary: serde_json::from_str(&row.summary).unwrap_or_default(),
    })))
}

/// Labels whose configuration item is looked for.
#[derive(Debug, Deserialize, ToSchema)]
pub struct BindCheck {
    /// Labels by name.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// Annotations by name.
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    /// The source's name.
    #[serde(default)]
    source: String,
    /// What the source itself says about the item.
    #[serde(default)]
    hint: Option<String>,
}

/// What looking for a configuration item came to.
#[derive(Debug, Serialize, ToSchema)]
pub struct BindResult {
    /// The item.
    ci: Option<CiRef>,
    /// How it was found.
    binding: Binding,
    /// What else would have fitted.
    candidates: Vec<CiRef>,
    /// Every step that was tried.
    trace: Vec<String>,
}

/// Looks for the configuration item that an alert with these labels would be about; changes nothing.
#[utoipa::path(post, path = "/api/v1/cmdb/bind-check", tag = "cmdb", request_body = BindCheck, responses(
    (status = 200, description = "What it came to", body = BindResult),
))]
pub async fn bind_check(
    State(api): State<ApiState>,
    body: Body,
) -> Result<Json<BindResult>, Problem> {
    let check: BindCheck = body::read(body).await?;
    bind_now(&api, check).await.map(Json)
}

/// Binds with the CMDB and the rules as they are now.
pub(super) async fn bind_now(api: &ApiState, check: BindCheck) -> Result<BindResult, Problem> {
    let engine = api.setup().engine.clone();
    let rules = engine.rules();
    let bound = async move {
        engine
            .look(move |state| bind(state, &rules.cmdb.bind, &check))
            .await
    };
    Ok(api.run(bound).await??)
}

impl BindCheck {
    /// Of an alert that is there.
    pub(super) fn of(view: &crate::store::query::alerts::AlertView) -> Self {
        Self {
            labels: view.labels.clone(),
            annotations: view.annotations.clone(),
            source: view.source.clone(),
            hint: view.ci_hint.clone(),
        }
    }
}

impl BindResult {
    /// The steps that were tried.
    pub(super) fn into_trace(self) -> Vec<String> {
        self.trace
    }
}

fn bind(
    state: &CoreState,
    rules: &[crate::core::bind::rule::BindRule],
    check: &BindCheck,
) -> BindResult {
    let pairs = |pairs: &BTreeMap<String, String>| -> Vec<(SmolStr, SmolStr)> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (SmolStr::new(name), SmolStr::new(value)))
            .collect()
    };
    let (labels, annotations) = (pairs(&check.labels), pairs(&check.annotations));
    let subject = Subject {
        source: &check.source,
        labels: &labels,
        annotations: &annotations,
        hint: check.hint.as_deref(),
        rules,
    };
    let (binding, trace) = bind_traced(state.graph(), &subject);
    let name = |ci| state.graph().ci(ci).map(CiRef::from);
    BindResult {
        ci: binding.ci.and_then(name),
        candidates: binding
            .candidates
            .iter()
            .filter_map(|ci| name(*ci))
            .collect(),
        binding: Binding {
            outcome: binding.outcome.word().to_owned(),
            reason: binding.reason.to_string(),
        },
        trace,
    }
}

/// The whole CMDB in the native format.
#[utoipa::path(get, path = "/api/v1/cmdb/export", tag = "cmdb", responses(
    (status = 200, description = "Items and relations, as `cmdb import` takes them", body = String, content_type = "application/json"),
))]
pub async fn export(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::read(query.as_deref(), &[])?;
    let picture = api
        .read(async move |db| {
            let mut reader = db.snapshot().await?;
            let version = cmdb::version_at(reader.lend(), None).await?;
            cmdb_export::export(reader.lend(), version).await
        })
        .await?;
    let json = tokio::task::spawn_blocking(move || importers::native::write(&picture));
    let json = json.await.map_err(|_| Problem::internal())?;
    Ok(([(CONTENT_TYPE, "application/json")], json).into_response())
}
