//! What an import has to know before it can be compared: versions, what imports said, and what is there.
//!
//! Must not hold up the writer: everything here is read by others, at a version that no longer changes.

use std::num::NonZeroU8;

use futures_util::TryStreamExt as _;
use smol_str::SmolStr;

use super::as_column;
use crate::core::cmdb::ci::CiNumber;
use crate::core::cmdb::reconcile::Known;
use crate::core::cmdb::record::{Picture, RelationRecord};
use crate::core::cmdb::relation::Relation;
use crate::store::inbox::StoredBody;
use crate::store::rows::{number, row};
use crate::store::{Conn, StoreError, on};

row! {
    /// An import whose word counts.
    pub struct CurrentImport {
        /// The version that it made.
        version: i64,
        /// Its name.
        name: String,
        /// Hash of what it says.
        hash: i64,
    }
}

/// The active version, and the highest that was ever begun; zero when there is none.
///
/// # Errors
/// The database cannot be read.
pub async fn versions(conn: Conn<'_>) -> Result<(u64, u64), StoreError> {
    let (active, last): (Option<i64>, Option<i64>) = on!(conn, c => sqlx::query_as(
        "SELECT MAX(CASE WHEN active_at IS NOT NULL THEN version END), MAX(version) FROM cmdb_import"
    ).fetch_one(c).await?);
    let read = |version: Option<i64>| number("cmdb_import", "version", version.unwrap_or(0));
    Ok((read(active)?, read(last)?))
}

/// The last version that firing alerts were compared with in full; zero when there is none.
///
/// # Errors
/// The database cannot be read.
pub async fn rebound(conn: Conn<'_>) -> Result<u64, StoreError> {
    let (version,): (Option<i64>,) = on!(conn, c => sqlx::query_as(
        "SELECT MAX(version) FROM cmdb_import WHERE rebound_at IS NOT NULL"
    ).fetch_one(c).await?);
    number("cmdb_import", "version", version.unwrap_or(0))
}

/// Versions that were begun and never became true.
///
/// # Errors
/// The database cannot be read.
pub async fn unfinished(conn: Conn<'_>) -> Result<Vec<u64>, StoreError> {
    let rows: Vec<(i64,)> = on!(conn, c => sqlx::query_as(
        "SELECT version FROM cmdb_import WHERE active_at IS NULL ORDER BY version"
    ).fetch_all(c).await?);
    let versions = rows.into_iter();
    versions
        .map(|(version,)| number("cmdb_import", "version", version))
        .collect()
}

/// The imports whose word counts, by name.
///
/// # Errors
/// The database cannot be read.
pub async fn current(conn: Conn<'_>) -> Result<Vec<CurrentImport>, StoreError> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT version, name, hash FROM cmdb_import WHERE is_current ORDER BY name"
    ).fetch_all(c).await?))
}

/// Calls for every part of what an import said, in order.
///
/// # Errors
/// The database cannot be read, or a part cannot be understood.
pub async fn parts(
    conn: Conn<'_>,
    version: i64,
    mut call: impl FnMut(Picture) + Send,
) -> Result<(), StoreError> {
    on!(conn, c => {
        let mut rows = sqlx::query_as::<_, (bool, Vec<u8>)>(
            "SELECT is_packed, body FROM cmdb_part WHERE version = $1 ORDER BY part",
        )
        .bind(version)
        .fetch(c);
        while let Some((is_packed, body)) = rows.try_next().await? {
            let body = StoredBody::from_stored(body.into(), is_packed).open()?;
            let part = serde_json::from_slice(&body);
            call(part.map_err(|error| StoreError::corrupt("cmdb_part", "body", error))?);
        }
    });
    Ok(())
}

/// What an import said.
///
/// # Errors
/// The database cannot be read, or a part cannot be understood.
pub async fn picture(conn: Conn<'_>, version: i64) -> Result<Picture, StoreError> {
    let mut whole = Picture::default();
    parts(conn, version, |part| {
        whole.cis.extend(part.cis);
        whole.relations.extend(part.relations);
    })
    .await?;
    Ok(whole)
}

row! {
    struct RelationKnown {
        from_ci: i64,
        to_ci: i64,
        hash: i64,
        kind: String,
        role: Option<String>,
        redundancy: Option<String>,
        redundancy_min: Option<i64>,
        confidence: i64,
    }
}

/// What is there at a version.
///
/// # Errors
/// The database cannot be read, or holds a row that cannot be understood.
pub async fn known(mut conn: Conn<'_>, version: u64) -> Result<Known, StoreError> {
    let mut known = Known::default();
    on!(conn.lend(), c => {
        let mut rows = sqlx::query_as::<_, (String, i64)>("SELECT id, number FROM ci_number").fetch(c);
        while let Some((id, number)) = rows.try_next().await? {
            let number = ci_number("ci_number", number)?;
            known.last = known.last.max(number.get());
            known.numbers.insert(SmolStr::new(id), number);
        }
    });
    let version = as_column(version);
    on!(conn.lend(), c => {
        let mut rows = sqlx::query_as::<_, (i64, i64)>(
            "SELECT number, hash FROM ci_version WHERE from_version <= $1 AND (to_version IS NULL OR to_version > $1)",
        ).bind(version).fetch(c);
        while let Some((number, hash)) = rows.try_next().await? {
            known.present.insert(ci_number("ci_version", number)?, hash.cast_unsigned());
        }
    });
    relations(conn, version, |hash, relation| {
        known.relations.push((hash, relation));
    })
    .await?;
    Ok(known)
}

/// Calls for every relation at a version.
pub(super) async fn relations(
    conn: Conn<'_>,
    version: i64,
    mut call: impl FnMut(u64, Relation) + Send,
) -> Result<(), StoreError> {
    on!(conn, c => {
        let mut rows = sqlx::query_as::<_, RelationKnown>(
            "SELECT from_ci, to_ci, hash, kind, role, redundancy, redundancy_min, confidence FROM relation_version \
             WHERE from_version <= $1 AND (to_version IS NULL OR to_version > $1)",
        )
        .bind(version)
        .fetch(c);
        while let Some(row) = rows.try_next().await? {
            call(row.hash.cast_unsigned(), row.relation()?);
        }
    });
    Ok(())
}

impl RelationKnown {
    fn relation(&self) -> Result<Relation, StoreError> {
        let record = RelationRecord {
            kind: SmolStr::new(&self.kind),
            role: self.role.as_deref().map(SmolStr::new),
            group: self.redundancy.as_deref().map(SmolStr::new),
            min: self.redundancy_min.and_then(read_min),
            confidence: Some(number("relation_version", "confidence", self.confidence)?),
            ..RelationRecord::default()
        };
        Ok(crate::core::cmdb::reconcile::graph_relation(
            &record,
            ci_number("relation_version", self.from_ci)?,
            ci_number("relation_version", self.to_ci)?,
        ))
    }
}

/// Reads how many of a redundancy group must be left.
pub(in crate::store) fn read_min(value: i64) -> Option<NonZeroU8> {
    u8::try_from(value).ok().and_then(NonZeroU8::new)
}

/// Reads a CI's number.
pub(in crate::store) fn ci_number(table: &'static str, value: i64) -> Result<CiNumber, StoreError> {
    let number = u32::try_from(value).ok().and_then(CiNumber::new);
    number.ok_or_else(|| StoreError::corrupt(table, "number", value))
}
