//! The CMDB as readers see it: CIs and relations of the active version, or of an earlier one.
//!
//! Rows of a version that is not active yet are there and must never be seen. Must not walk the graph; the core does.

use std::collections::BTreeMap;

use super::select::{Select, pattern};
use super::{Listed, Page, Position};
use crate::core::cmdb::ci::Identifier;
use crate::store::rows::row;
use crate::store::{Conn, StoreError, on};

/// The active version.
pub(super) const ACTIVE: &str =
    "(SELECT COALESCE(MAX(version), 0) FROM cmdb_import WHERE active_at IS NOT NULL)";

/// How a CI is named wherever another thing mentions it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CiName {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its class.
    pub class: String,
}

impl CiName {
    /// From columns that are all there or all missing.
    pub(super) fn of(
        id: Option<String>,
        name: Option<String>,
        class: Option<String>,
    ) -> Option<Self> {
        Some(Self {
            id: id?,
            name: name.unwrap_or_default(),
            class: class.unwrap_or_default(),
        })
    }
}

row! {
    pub(super) struct CiRow {
        number: i64,
        from_version: i64,
        id: String,
        name: String,
        class: String,
        site: Option<String>,
        rack: Option<String>,
        environment: Option<String>,
        criticality: Option<i64>,
        owner: Option<String>,
        is_retired: bool,
        identifiers: String,
        attributes: String,
        imports: String,
    }
}

pub(super) const CI_COLUMNS: &str = "ci.number, ci.from_version, ci.id, ci.name, ci.class, ci.site, ci.rack, ci.environment, \
    ci.criticality, ci.owner, ci.is_retired, ci.identifiers, ci.attributes, ci.imports";

/// A CI with all that is known of it.
#[derive(Clone, Debug)]
pub struct CiView {
    /// Its number.
    pub number: i64,
    /// The version that made it what it is.
    pub from_version: i64,
    /// How it is named.
    pub name: CiName,
    /// Where it stands.
    pub site: Option<String>,
    /// The rack within the site.
    pub rack: Option<String>,
    /// Production, test, ...
    pub environment: Option<String>,
    /// 1 (most critical) to 5.
    pub criticality: Option<i64>,
    /// The team that owns it.
    pub owner: Option<String>,
    /// Whether it is out of use.
    pub is_retired: bool,
    /// What identifies it besides id and name.
    pub identifiers: Vec<Identifier>,
    /// Everything else.
    pub attributes: BTreeMap<String, String>,
    /// The imports that name it.
    pub imports: Vec<String>,
}

/// Which CIs are wanted; an empty list means any.
#[derive(Clone, Debug, Default)]
pub struct CiFilter {
    /// Of one of these classes.
    pub classes: Vec<String>,
    /// At one of these sites.
    pub sites: Vec<String>,
    /// In one of these environments.
    pub environments: Vec<String>,
    /// Named by one of these imports.
    pub import: Option<String>,
    /// With this text in the id, the name or an identifier.
    pub search: Option<String>,
}

/// CIs by number.
///
/// # Errors
/// The database cannot be read.
pub async fn list(
    conn: Conn<'_>,
    filter: &CiFilter,
    page: Page,
) -> Result<Listed<CiView>, StoreError> {
    let mut select = Select::new("SELECT ");
    select
        .sql(CI_COLUMNS)
        .sql(" FROM ci_version ci WHERE ci.from_version <= ")
        .sql(ACTIVE)
        .sql(" AND (ci.to_version IS NULL OR ci.to_version > ")
        .sql(ACTIVE)
        .sql(")")
        .any_of(" AND ci.class IN", &filter.classes, "")
        .any_of(" AND ci.site IN", &filter.sites, "")
        .any_of(" AND ci.environment IN", &filter.environments, "");
    if let Some(import) = &filter.import {
        let quoted = serde_json::to_string(import).unwrap_or_default();
        select
            .sql(" AND ci.imports LIKE ")
            .text(&pattern(&quoted))
            .sql(r" ESCAPE '\'");
    }
    if let Some(text) = &filter.search {
        let pattern = pattern(text);
        select
            .sql(" AND (lower(ci.id) LIKE lower(")
            .text(&pattern)
            .sql(r") ESCAPE '\' OR lower(ci.name) LIKE lower(")
            .text(&pattern)
            .sql(r") ESCAPE '\' OR lower(ci.identifiers) LIKE lower(")
            .text(&pattern)
            .sql(r") ESCAPE '\')");
    }
    select.page(page, "ci.number", "ci.number");
    let rows: Vec<CiRow> = select.fetch(conn).await?;
    let views: Result<Vec<_>, _> = rows.into_iter().map(CiRow::into_view).collect();
    Ok(Listed::of(views?, page, |view| Position {
        value: view.number,
        id: view.number,
    }))
}

/// The version that was active at a time; the active one without a time. Zero when there was none.
///
/// # Errors
/// The database cannot be read.
pub async fn version_at(conn: Conn<'_>, at: Option<i64>) -> Result<i64, StoreError> {
    let (version,): (Option<i64>,) = on!(conn, c => sqlx::query_as(
        "SELECT MAX(version) FROM cmdb_import WHERE active_at <= $1"
    ).bind(at.unwrap_or(i64::MAX)).fetch_one(c).await?);
    Ok(version.unwrap_or(0))
}

/// One CI at a version, by id.
///
/// # Errors
/// The database cannot be read.
pub async fn find(conn: Conn<'_>, id: &str, version: i64) -> Result<Option<CiView>, StoreError> {
    let mut select = Select::new("SELECT ");
    select
        .sql(CI_COLUMNS)
        .sql(" FROM ci_version ci WHERE ci.id = ")
        .text(id);
    select.sql(" AND ci.from_version <= ").number(version);
    select
        .sql(" AND (ci.to_version IS NULL OR ci.to_version > ")
        .number(version)
        .sql(")");
    let rows: Vec<CiRow> = select.fetch(conn).await?;
    rows.into_iter().next().map(CiRow::into_view).transpose()
}

impl CiRow {
    pub(super) fn into_view(self) -> Result<CiView, StoreError> {
        fn json<T: serde::de::DeserializeOwned>(
            column: &'static str,
            text: &str,
        ) -> Result<T, StoreError> {
            serde_json::from_str(text).map_err(|_| StoreError::corrupt("ci_version", column, text))
        }
        Ok(CiView {
            number: self.number,
            from_version: self.from_version,
            name: CiName {
                id: self.id,
                name: self.name,
                class: self.class,
            },
            site: self.site,
            rack: self.rack,
            environment: self.environment,
            criticality: self.criticality,
            owner: self.owner,
            is_retired: self.is_retired,
            identifiers: json("identifiers", &self.identifiers)?,
            attributes: json("attributes", &self.attributes)?,
            imports: json("imports", &self.imports)?,
        })
    }
}

row! {
    /// A relation with the other end's name.
    pub struct RelationView {
        /// The dependent.
        from: String,
        /// The dependent's name.
        from_name: String,
        /// The dependent's class.
        from_class: String,
        /// The provider.
        to: String,
        /// The provider's name.
        to_name: String,
        /// The provider's class.
        to_class: String,
        /// The type's word.
        kind: String,
        /// The role's word.
        role: Option<String>,
        /// Redundant to others of the same dependent with the same text.
        group: Option<String>,
        /// How many of those must be left.
        min: Option<i64>,
        /// How sure that is, in 1/10,000.
        confidence: i64,
    }
}

/// The relations of a CI at a version, those to providers first; at most so many.
///
/// # Errors
/// The database cannot be read.
pub async fn relations(
    conn: Conn<'_>,
    number: i64,
    version: i64,
    at_most: i64,
) -> Result<Vec<RelationView>, StoreError> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT f.id, f.name, f.class, t.id, t.name, t.class, r.kind, r.role, r.redundancy, r.redundancy_min, r.confidence \
         FROM relation_version r \
         JOIN ci_version f ON f.number = r.from_ci AND f.from_version <= $2 AND (f.to_version IS NULL OR f.to_version > $2) \
         JOIN ci_version t ON t.number = r.to_ci AND t.from_version <= $2 AND (t.to_version IS NULL OR t.to_version > $2) \
         WHERE (r.from_ci = $1 OR r.to_ci = $1) AND r.from_version <= $2 AND (r.to_version IS NULL OR r.to_version > $2) \
         ORDER BY CASE WHEN r.from_ci = $1 THEN 0 ELSE 1 END, f.id, t.id, r.kind LIMIT $3"
    ).bind(number).bind(version).bind(at_most).fetch_all(c).await?))
}

row! {
    struct PlacedRelation {
        from_ci: i64,
        hash: i64,
        from: String,
        from_name: String,
        from_class: String,
        to: String,
        to_name: String,
        to_class: String,
        kind: String,
        role: Option<String>,
        group: Option<String>,
        min: Option<i64>,
        confidence: i64,
    }
}

/// Which relations are wanted; what is empty means any.
#[derive(Clone, Debug, Default)]
pub struct RelationFilter {
    /// Of one of these types.
    pub kinds: Vec<String>,
    /// Of one of these dependents.
    pub from: Vec<String>,
    /// To one of these providers.
    pub to: Vec<String>,
}

/// Every relation that is there, by its dependent.
///
/// # Errors
/// The database cannot be read.
pub async fn all_relations(
    conn: Conn<'_>,
    filter: &RelationFilter,
    page: Page,
) -> Result<Listed<RelationView>, StoreError> {
    let mut select = Select::new(
        "SELECT r.from_ci, r.hash, f.id, f.name, f.class, t.id, t.name, t.class, r.kind, r.role, r.redundancy, \
         r.redundancy_min, r.confidence FROM relation_version r \
         JOIN ci_version f ON f.number = r.from_ci AND f.to_version IS NULL AND f.from_version <= ",
    );
    select
        .sql(ACTIVE)
        .sql(" JOIN ci_version t ON t.number = r.to_ci AND t.to_version IS NULL AND t.from_version <= ")
        .sql(ACTIVE)
        .sql(" WHERE r.to_version IS NULL AND r.from_version <= ")
        .sql(ACTIVE)
        .any_of(" AND r.kind IN", &filter.kinds, "")
        .any_of(" AND f.id IN", &filter.from, "")
        .any_of(" AND t.id IN", &filter.to, "")
        .page(page, "r.from_ci", "r.hash");
    let rows: Vec<PlacedRelation> = select.fetch(conn).await?;
    let listed = Listed::of(rows, page, |row| Position {
        value: row.from_ci,
        id: row.hash,
    });
    let view = |row: PlacedRelation| RelationView {
        from: row.from,
        from_name: row.from_name,
        from_class: row.from_class,
        to: row.to,
        to_name: row.to_name,
        to_class: row.to_class,
        kind: row.kind,
        role: row.role,
        group: row.group,
        min: row.min,
        confidence: row.confidence,
    };
    Ok(Listed {
        items: listed.items.into_iter().map(view).collect(),
        next: listed.next,
    })
}

row! {
    /// An import.
    pub struct ImportView {
        /// The version that it made.
        version: i64,
        /// Its name.
        name: String,
        /// Its format.
        format: String,
        /// Who ordered it.
        actor: String,
        /// When it became true.
        active_at: Option<i64>,
        /// When it said so last, changed or not.
        seen_at: Option<i64>,
        /// Whether it is the last one of its name.
        is_current: bool,
        /// What it came to, as JSON.
        summary: String,
    }
}

/// Imports that became true.
///
/// # Errors
/// The database cannot be read.
pub async fn imports(
    conn: Conn<'_>,
    name: Option<&str>,
    page: Page,
) -> Result<Listed<ImportView>, StoreError> {
    let mut select = Select::new(
        "SELECT version, name, format, actor, active_at, seen_at, is_current, summary FROM cmdb_import WHERE active_at IS NOT NULL",
    );
    if let Some(name) = name {
        select.sql(" AND name = ").text(name);
    }
    select.page(page, "version", "version");
    let rows: Vec<ImportView> = select.fetch(conn).await?;
    Ok(Listed::of(rows, page, |row| Position {
        value: row.version,
        id: row.version,
    }))
}

row! {
    /// What a CI was from one version to another.
    pub struct CiChange {
        /// The version that made it so.
        version: i64,
        /// When.
        at: i64,
        /// By which import.
        import: String,
        /// Who ordered that.
        actor: String,
        /// The version that made it otherwise.
        to_version: Option<i64>,
    }
}

/// Who changed a CI and when, the last change first; at most so many.
///
/// # Errors
/// The database cannot be read.
pub async fn history(
    conn: Conn<'_>,
    number: i64,
    at_most: i64,
) -> Result<Vec<CiChange>, StoreError> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT ci.from_version, i.active_at, i.name, i.actor, ci.to_version FROM ci_version ci \
         JOIN cmdb_import i ON i.version = ci.from_version AND i.active_at IS NOT NULL \
         WHERE ci.number = $1 ORDER BY ci.from_version DESC LIMIT $2"
    ).bind(number).bind(at_most).fetch_all(c).await?))
}
