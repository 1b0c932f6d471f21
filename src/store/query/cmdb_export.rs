//! Everything that the CMDB held at a version, as imports say it.
//!
//! Must not leave out what a later import would need to say the same.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use super::cmdb::{CI_COLUMNS, CiRow, CiView};
use super::select::Select;
use crate::core::cmdb::record::{CiRecord, Picture, RelationRecord};
use crate::core::cmdb::relation::Relation;
use crate::store::cmdb::read::read_min;
use crate::store::rows::row;
use crate::store::{Conn, StoreError, on};

row! {
    struct RelationWords {
        from: i64,
        to: i64,
        kind: String,
        role: Option<String>,
        group: Option<String>,
        min: Option<i64>,
        confidence: i64,
    }
}

/// Everything at a version, as imports say it.
///
/// # Errors
/// The database cannot be read, or holds a row that cannot be understood.
pub async fn export(mut conn: Conn<'_>, version: i64) -> Result<Picture, StoreError> {
    let mut picture = Picture::default();
    let mut ids: BTreeMap<i64, SmolStr> = BTreeMap::new();
    let mut select = Select::new("SELECT ");
    select
        .sql(CI_COLUMNS)
        .sql(" FROM ci_version ci WHERE ci.from_version <= ")
        .number(version);
    select
        .sql(" AND (ci.to_version IS NULL OR ci.to_version > ")
        .number(version);
    select.sql(") ORDER BY ci.number");
    for row in select.fetch::<CiRow>(conn.lend()).await? {
        let view = row.into_view()?;
        ids.insert(view.number, SmolStr::new(&view.name.id));
        picture.cis.push(view.into_record());
    }
    let rows: Vec<RelationWords> = on!(conn, c => sqlx::query_as(
        "SELECT from_ci, to_ci, kind, role, redundancy, redundancy_min, confidence FROM relation_version \
         WHERE from_version <= $1 AND (to_version IS NULL OR to_version > $1) ORDER BY from_ci, to_ci, kind"
    ).bind(version).fetch_all(c).await?);
    for row in rows {
        let (Some(from), Some(to)) = (ids.get(&row.from), ids.get(&row.to)) else {
            continue;
        };
        let confidence = u16::try_from(row.confidence).ok();
        picture.relations.push(RelationRecord {
            from: from.clone(),
            to: to.clone(),
            kind: SmolStr::new(row.kind),
            role: row.role.map(SmolStr::new),
            group: row.group.map(SmolStr::new),
            min: row.min.and_then(read_min),
            confidence: confidence.filter(|share| *share < Relation::SURE),
        });
    }
    Ok(picture)
}

impl CiView {
    fn into_record(self) -> CiRecord {
        let attributes = self.attributes.into_iter();
        CiRecord {
            id: self.name.id.into(),
            class: self.name.class.into(),
            name: self.name.name.into(),
            identifiers: self.identifiers,
            site: self.site.map(SmolStr::new),
            rack: self.rack.map(SmolStr::new),
            environment: self.environment.map(SmolStr::new),
            criticality: self.criticality.and_then(|level| u8::try_from(level).ok()),
            owner: self.owner.map(SmolStr::new),
            is_retired: self.is_retired,
            attributes: attributes
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        }
    }
}
