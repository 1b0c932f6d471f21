//! Configuration items and business services: lists, one, its relations and its blast radius.
//!
//! Must not walk the graph itself; the core does, on the engine's state.

#![expect(
    unused_qualifications,
    reason = "the document's macro writes the paths of parameter types out"
)]

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::ApiState;
use super::page::{List, PageQuery, Params, Sorting};
use super::problem::Problem;
use super::shapes::CiRef;
use super::time::Time;
use crate::core::cmdb::ci::{CiNumber, IdentifierKind};
use crate::core::cmdb::graph::Graph;
use crate::core::impact::{self as walk, Impact, Limits};
use crate::core::state::State as CoreState;
use crate::core::time::Timestamp;
use crate::store::query::cmdb::{self, CiFilter, CiView, RelationFilter, RelationView};

const SORTING: Sorting = Sorting {
    list: "cis",
    words: &["id"],
};
const SERVICES: Sorting = Sorting {
    list: "services",
    words: &["id"],
};
const RELATIONS: Sorting = Sorting {
    list: "relations",
    words: &["id"],
};
const FILTERS: [&str; 5] = ["q", "class", "site", "environment", "import"];
const SERVICE_FILTERS: [&str; 3] = ["q", "site", "environment"];
/// The classes of business services.
const SERVICE_CLASSES: [&str; 4] = [
    "service",
    "business_service",
    "business-service",
    "business service",
];
/// Relations of one CI that can be read; a hub with more is a finding of the doctor.
const RELATIONS_MAX: i64 = 20_000;
/// Changes that are shown with a CI.
const HISTORY_MAX: i64 = 20;

/// Which items; each may be repeated or hold several values between commas.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CiQuery {
    /// Text in the id, the name or an identifier.
    pub q: Option<String>,
    /// The class.
    pub class: Option<String>,
    /// The site.
    pub site: Option<String>,
    /// The environment.
    pub environment: Option<String>,
    /// The import that names it.
    pub import: Option<String>,
}

/// Which relations; each may be repeated or hold several values between commas.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RelationQuery {
    /// The type, like `runs_on`.
    pub r#type: Option<String>,
    /// The id of the dependent.
    pub from: Option<String>,
    /// The id of the provider.
    pub to: Option<String>,
}

/// As of when.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AtQuery {
    /// A time, RFC 3339; now when not given.
    pub at: Option<String>,
}

/// A configuration item with all that is known of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct CiDetail {
    /// Its id.
    id: String,
    /// Its name.
    name: String,
    /// Its class.
    class: String,
    /// Where it stands.
    site: Option<String>,
    /// The rack within the site.
    rack: Option<String>,
    /// Production, test, ...
    environment: Option<String>,
    /// 1 (most critical) to 5.
    criticality: Option<i64>,
    /// The team that owns it.
    owner: Option<String>,
    /// Whether it is out of use; then no alert is bound to it.
    retired: bool,
    /// Other names and ids.
    aliases: Vec<String>,
    /// Domain names.
    fqdn: Vec<String>,
    /// IP addresses.
    addresses: Vec<String>,
    /// Hardware addresses.
    macs: Vec<String>,
    /// Serials and asset tags.
    serials: Vec<String>,
    /// Everything else that the imports say.
    attributes: BTreeMap<String, String>,
    /// The imports that name it, the most trusted first.
    imports: Vec<String>,
    /// The version of the CMDB that made it what it is.
    version: i64,
}

/// A configuration item with its changes.
#[derive(Debug, Serialize, ToSchema)]
pub struct CiWithHistory {
    /// The item.
    #[serde(flatten)]
    ci: CiDetail,
    /// Who changed it and when, the last change first.
    history: Vec<CiHistory>,
}

/// A change of an item.
#[derive(Debug, Serialize, ToSchema)]
pub struct CiHistory {
    /// The version of the CMDB.
    version: i64,
    /// When.
    at: Time,
    /// By which import.
    import: String,
    /// Who ordered it.
    actor: String,
}

/// A relation: `from` depends on `to`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Relation {
    /// The dependent.
    from: CiRef,
    /// The provider.
    to: CiRef,
    /// How, in the import's word.
    #[serde(rename = "type")]
    kind: String,
    /// In more detail.
    role: Option<String>,
    /// Relations of one `from` with the same group are redundant to each other.
    group: Option<String>,
    /// How many of those must be left; one when the import does not say.
    min: Option<i64>,
    /// How sure that is: 0 to 1.
    confidence: f64,
}

/// What a failure of an item reaches.
#[derive(Debug, Serialize, ToSchema)]
pub struct BlastRadius {
    /// The item.
    ci: CiRef,
    /// Business services that are reached.
    services: Vec<ReachedCi>,
    /// Other items that are reached.
    cis: Vec<ReachedCi>,
    /// Whether a limit cut the walk short.
    truncated: bool,
}

/// An item that is reached.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReachedCi {
    /// The item.
    ci: CiRef,
    /// `confirmed` by an alert of its own, `predicted`, or `at_risk` while redundancy holds.
    state: &'static str,
    /// Ids from the failed item to this one.
    paths: Vec<Vec<String>>,
}

/// Configuration items, the newest first.
#[utoipa::path(get, path = "/api/v1/cis", tag = "cmdb", params(CiQuery, PageQuery), responses(
    (status = 200, description = "A page of items", body = List<CiDetail>),
))]
pub async fn list(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<CiDetail>>, Problem> {
    let params = Params::read(query.as_deref(), &FILTERS)?;
    let filter = CiFilter {
        classes: lower(params.values("class")?),
        import: params.one("import")?.map(str::to_owned),
        ..shared_filter(&params)?
    };
    read_list(&api, &params, filter, SORTING).await
}

/// Business services, the newest first.
#[utoipa::path(get, path = "/api/v1/services", tag = "cmdb", params(PageQuery), responses(
    (status = 200, description = "A page of services", body = List<CiDetail>),
))]
pub async fn services(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<CiDetail>>, Problem> {
    let params = Params::read(query.as_deref(), &SERVICE_FILTERS)?;
    let filter = CiFilter {
        classes: SERVICE_CLASSES
            .iter()
            .map(|class| (*class).to_owned())
            .collect(),
        ..shared_filter(&params)?
    };
    read_list(&api, &params, filter, SERVICES).await
}

fn lower(values: Vec<String>) -> Vec<String> {
    values
        .into_iter()
        .map(|value| value.to_lowercase())
        .collect()
}

fn shared_filter(params: &Params) -> Result<CiFilter, Problem> {
    Ok(CiFilter {
        sites: params.values("site")?,
        environments: params.values("environment")?,
        search: params.one("q")?.map(str::to_owned),
        ..CiFilter::default()
    })
}

async fn read_list(
    api: &ApiState,
    params: &Params,
    filter: CiFilter,
    sorting: Sorting,
) -> Result<Json<List<CiDetail>>, Problem> {
    let wanted = params.wanted(sorting)?;
    let page = wanted.page;
    let listed = api
        .read(async move |db| cmdb::list(db.snapshot().await?.lend(), &filter, page).await)
        .await?;
    Ok(Json(wanted.list(listed, CiDetail::from)))
}

/// One configuration item, now or as it was.
#[utoipa::path(get, path = "/api/v1/cis/{id}", tag = "cmdb",
    params(("id" = String, Path, description = "The id that its import gave it"), AtQuery),
    responses((status = 200, description = "The item", body = CiWithHistory)),
)]
pub async fn get(
    State(api): State<ApiState>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<CiWithHistory>, Problem> {
    let params = Params::read(query.as_deref(), &["at"])?;
    let at = at(&params)?;
    let (view, _) = find(&api, &id, at).await?;
    let number = view.number;
    let history = api
        .read(async move |db| cmdb::history(db.snapshot().await?.lend(), number, HISTORY_MAX).await)
        .await?;
    let history = history
        .into_iter()
        .filter(|change| at.is_none_or(|at| change.at <= at));
    Ok(Json(CiWithHistory {
        ci: view.into(),
        history: history
            .map(|change| CiHistory {
                version: change.version,
                at: Time(Timestamp::from_millis(change.at)),
                import: change.import,
                actor: change.actor,
            })
            .collect(),
    }))
}

/// What an item depends on, and what depends on it.
#[utoipa::path(get, path = "/api/v1/cis/{id}/relations", tag = "cmdb",
    params(("id" = String, Path, description = "The id that its import gave it"), AtQuery, PageQuery),
    responses((status = 200, description = "A page of relations, those to providers first", body = List<Relation>)),
)]
pub async fn relations(
    State(api): State<ApiState>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<Relation>>, Problem> {
    let params = Params::read(query.as_deref(), &["at"])?;
    let wanted = params.wanted(RELATIONS)?;
    let (view, version) = find(&api, &id, at(&params)?).await?;
    let rows = api
        .read(async move |db| {
            let mut reader = db.snapshot().await?;
            cmdb::relations(reader.lend(), view.number, version, RELATIONS_MAX).await
        })
        .await?;
    Ok(Json(
        wanted.slice(rows.into_iter().map(Relation::from).collect()),
    ))
}

/// Every relation of the CMDB.
#[utoipa::path(get, path = "/api/v1/relations", tag = "cmdb", params(RelationQuery, PageQuery),
    responses((status = 200, description = "A page of relations", body = List<Relation>)),
)]
pub async fn all_relations(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<Relation>>, Problem> {
    let params = Params::read(query.as_deref(), &["type", "from", "to"])?;
    let wanted = params.wanted(RELATIONS)?;
    let filter = RelationFilter {
        kinds: params.values("type")?,
        from: params.values("from")?,
        to: params.values("to")?,
    };
    let page = wanted.page;
    let listed = api
        .read(async move |db| cmdb::all_relations(db.snapshot().await?.lend(), &filter, page).await)
        .await?;
    Ok(Json(wanted.list(listed, Relation::from)))
}

impl From<RelationView> for Relation {
    fn from(row: RelationView) -> Self {
        Self {
            from: CiRef {
                id: row.from,
                name: row.from_name,
                class: row.from_class,
            },
            to: CiRef {
                id: row.to,
                name: row.to_name,
                class: row.to_class,
            },
            kind: row.kind,
            role: row.role,
            group: row.group,
            min: row.min,
            confidence: share(row.confidence),
        }
    }
}

/// What a failure of an item reaches: services and items, each with a path.
#[utoipa::path(get, path = "/api/v1/cis/{id}/impact", tag = "cmdb",
    params(("id" = String, Path, description = "The id that its import gave it")),
    responses((status = 200, description = "The blast radius", body = BlastRadius)),
)]
pub async fn impact(
    State(api): State<ApiState>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<BlastRadius>, Problem> {
    Params::read(query.as_deref(), &[])?;
    let engine = api.setup().engine.clone();
    let wanted = id.clone();
    let found = api
        .run(async move { engine.look(move |state| radius(state, &wanted)).await })
        .await??;
    found.map(Json).ok_or_else(|| unknown(&id))
}

fn radius(state: &CoreState, id: &str) -> Option<BlastRadius> {
    let graph = state.graph();
    let root = graph.find(id)?;
    let firing = state.alerts().filter(|alert| alert.is_firing());
    let firing: BTreeSet<CiNumber> = firing.filter_map(|alert| alert.ci).collect();
    let impact = walk::impact(graph, root, &|ci| firing.contains(&ci), Limits::default());
    Some(shape(graph, root, &impact))
}

fn shape(graph: &Graph, root: CiNumber, impact: &Impact) -> BlastRadius {
    let id = |ci: &CiNumber| {
        graph
            .ci(*ci)
            .map(|ci| ci.id.to_string())
            .unwrap_or_default()
    };
    let mut services = Vec::new();
    let mut cis = Vec::new();
    for reached in &impact.reached {
        let Some(ci) = graph.ci(reached.ci) else {
            continue;
        };
        let list = if ci.is_service() {
            &mut services
        } else {
            &mut cis
        };
        list.push(ReachedCi {
            ci: ci.into(),
            state: reached.state.word(),
            paths: vec![reached.path.iter().map(id).collect()],
        });
    }
    let empty = || CiRef {
        id: String::new(),
        name: String::new(),
        class: String::new(),
    };
    BlastRadius {
        ci: graph.ci(root).map_or_else(empty, CiRef::from),
        services,
        cis,
        truncated: impact.is_truncated,
    }
}

/// A share in 1/10,000 as a number from 0 to 1.
pub(super) fn share(of_ten_thousand: i64) -> f64 {
    let parts = u32::try_from(of_ten_thousand).unwrap_or(0);
    f64::from(parts) / 10_000.0
}

fn at(params: &Params) -> Result<Option<i64>, Problem> {
    let Some(text) = params.one("at")? else {
        return Ok(None);
    };
    let at = text.parse::<jiff::Timestamp>().map_err(|_| {
        Problem::bad_request(format!(
            "at is a time like 2026-11-20T12:00:00Z, not {text:?}"
        ))
    })?;
    Ok(Some(at.as_millisecond()))
}

/// A CI at a time, and the version that was active then.
async fn find(api: &ApiState, id: &str, at: Option<i64>) -> Result<(CiView, i64), Problem> {
    let wanted = id.to_owned();
    let found = api
        .read(async move |db| {
            let mut reader = db.snapshot().await?;
            let version = cmdb::version_at(reader.lend(), at).await?;
            let view = cmdb::find(reader.lend(), &wanted, version).await?;
            Ok(view.map(|view| (view, version)))
        })
        .await?;
    found.ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> Problem {
    let id: String = id.chars().take(100).collect();
    Problem::not_found(format!(
        "the CMDB has no item with the id {id:?}; /api/v1/cis?q= searches ids, names and addresses"
    ))
}

impl From<CiView> for CiDetail {
    fn from(view: CiView) -> Self {
        let texts = |kind: IdentifierKind| {
            let of_kind = view.identifiers.iter().filter(|it| it.kind == kind);
            of_kind.map(|it| it.text.to_string()).collect()
        };
        Self {
            aliases: texts(IdentifierKind::Alias),
            fqdn: texts(IdentifierKind::Fqdn),
            addresses: texts(IdentifierKind::Ip),
            macs: texts(IdentifierKind::Mac),
            serials: texts(IdentifierKind::Serial),
            id: view.name.id,
            name: view.name.name,
            class: view.name.class,
            site: view.site,
            rack: view.rack,
            environment: view.environment,
            criticality: view.criticality,
            owner: view.owner,
            retired: view.is_retired,
            attributes: view.attributes,
            imports: view.imports,
            version: view.from_version,
        }
    }
}
