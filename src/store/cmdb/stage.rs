//! The steps in which a new version is written before it is true.
//!
//! Each step is small enough to share a transaction with acknowledgements without holding them up. Must not touch a row
//! that readers of the active version see, other than by noting the version in which it ends.

use smol_str::SmolStr;
use sqlx::QueryBuilder;

use super::as_column;
use crate::core::cmdb::ci::CiNumber;
use crate::core::cmdb::record::{CiRecord, RelationRecord};
use crate::core::cmdb::relation::Relation;
use crate::core::time::Timestamp;
use crate::store::bulk::chunks;
use crate::store::dialect::{Cache, keep};
use crate::store::inbox::StoredBody;
use crate::store::{Conn, StoreError, Tx, on};

/// Rows of one step.
pub const STEP_ROWS: usize = 2_000;

/// One step.
#[derive(Debug)]
pub enum Stage {
    /// The import itself.
    Import(NewImport),
    /// What it said, packed; parts are numbered from the first one given.
    Parts(u64, i64, Vec<StoredBody>),
    /// Ids with their numbers.
    Numbers(Vec<(SmolStr, CiNumber)>),
    /// CIs that are new or changed.
    Cis(u64, Vec<CiRow>),
    /// CIs that end with the version: changed or gone.
    CisEnd(u64, Vec<CiNumber>),
    /// Relations that are new.
    Relations(u64, Vec<RelationRow>),
    /// Relations that end with the version.
    RelationsEnd(u64, Vec<(CiNumber, u64)>),
    /// Undoes everything of a version that never became true.
    Discard(u64),
    /// Forgets what an import said that was replaced.
    ForgetParts(u64),
    /// Notes that the import said the same again.
    Seen(u64),
    /// Notes that firing alerts were compared with the version.
    Rebound(u64),
}

/// An import.
#[derive(Clone, Debug)]
pub struct NewImport {
    /// The version that it makes.
    pub version: u64,
    /// Its name.
    pub name: String,
    /// The format.
    pub format: String,
    /// Who ordered it.
    pub actor: String,
    /// Hash of what it says.
    pub hash: u64,
    /// What it came to, as JSON.
    pub summary: String,
}

/// A CI with all that is known of it.
#[derive(Clone, Debug)]
pub struct CiRow {
    /// Its number.
    pub number: CiNumber,
    /// The hash of the rest.
    pub hash: u64,
    /// What imports say together.
    pub record: CiRecord,
    /// Which ones.
    pub imports: Vec<SmolStr>,
}

/// A relation with its words.
#[derive(Clone, Debug)]
pub struct RelationRow {
    /// The hash of its words.
    pub hash: u64,
    /// Its ends.
    pub relation: Relation,
    /// Its words.
    pub record: RelationRecord,
}

/// Writes one step.
pub(in crate::store) async fn write(
    tx: &mut Tx<'_>,
    partition: i64,
    at: Timestamp,
    stage: &Stage,
) -> Result<(), StoreError> {
    match stage {
        Stage::Import(import) => {
            keep(tx.lend(), Cache::Small).await?;
            insert_import(tx.lend(), partition, at, import).await
        }
        Stage::Parts(version, first, parts) => {
            for (part, number) in parts.iter().zip(*first..) {
                insert_part(tx.lend(), *version, number, part).await?;
            }
            Ok(())
        }
        Stage::Numbers(numbers) => {
            for rows in chunks(numbers) {
                upsert_numbers(tx.lend(), rows).await?;
            }
            Ok(())
        }
        Stage::Cis(version, rows) => {
            for rows in chunks(rows) {
                insert_cis(tx.lend(), partition, *version, rows).await?;
            }
            Ok(())
        }
        Stage::CisEnd(version, numbers) => {
            for numbers in chunks(numbers) {
                end_cis(tx.lend(), *version, numbers).await?;
            }
            Ok(())
        }
        Stage::Relations(version, rows) => {
            for rows in chunks(rows) {
                insert_relations(tx.lend(), *version, rows).await?;
            }
            Ok(())
        }
        Stage::RelationsEnd(version, gone) => {
            for gone in chunks(gone) {
                end_relations(tx.lend(), *version, gone).await?;
            }
            Ok(())
        }
        Stage::Discard(version) => discard(tx, *version).await,
        Stage::Seen(version) => {
            let version = as_column(*version);
            on!(tx.lend(), c => sqlx::query("UPDATE cmdb_import SET seen_at = $2 WHERE version = $1")
                .bind(version).bind(at.as_millis()).execute(c).await.map(drop))?;
            Ok(())
        }
        Stage::Rebound(version) => {
            let version = as_column(*version);
            on!(tx.lend(), c => sqlx::query("UPDATE cmdb_import SET rebound_at = $2 WHERE version = $1")
                .bind(version).bind(at.as_millis()).execute(c).await.map(drop))?;
            Ok(())
        }
        Stage::ForgetParts(version) => {
            run(
                tx.lend(),
                "DELETE FROM cmdb_part WHERE version = $1",
                *version,
            )
            .await
        }
    }
}

async fn insert_import(
    conn: Conn<'_>,
    partition: i64,
    at: Timestamp,
    import: &NewImport,
) -> Result<(), StoreError> {
    on!(conn, c => sqlx::query(
        "INSERT INTO cmdb_import (version, partition, name, format, actor, at, is_current, hash, summary) \
         VALUES ($1, $2, $3, $4, $5, $6, FALSE, $7, $8)"
    )
    .bind(as_column(import.version))
    .bind(partition)
    .bind(import.name.as_str())
    .bind(import.format.as_str())
    .bind(import.actor.as_str())
    .bind(at.as_millis())
    .bind(import.hash.cast_signed())
    .bind(import.summary.as_str())
    .execute(c)
    .await
    .map(drop))?;
    Ok(())
}

async fn insert_part(
    conn: Conn<'_>,
    version: u64,
    part: i64,
    body: &StoredBody,
) -> Result<(), StoreError> {
    let (bytes, is_packed) = body.stored();
    on!(conn, c => sqlx::query(
        "INSERT INTO cmdb_part (version, part, is_packed, body) VALUES ($1, $2, $3, $4)"
    ).bind(as_column(version)).bind(part).bind(is_packed).bind(bytes).execute(c).await.map(drop))?;
    Ok(())
}

async fn upsert_numbers(conn: Conn<'_>, rows: &[(SmolStr, CiNumber)]) -> Result<(), StoreError> {
    on!(conn, c => {
        let mut query = QueryBuilder::new("INSERT INTO ci_number (id, number) ");
        query.push_values(rows, |mut row, (id, number)| {
            row.push_bind(id.as_str()).push_bind(i64::from(number.get()));
        });
        query.push(" ON CONFLICT (id) DO UPDATE SET number = excluded.number");
        query.build().execute(c).await?;
    });
    Ok(())
}

async fn insert_cis(
    conn: Conn<'_>,
    partition: i64,
    version: u64,
    rows: &[CiRow],
) -> Result<(), StoreError> {
    let json = |text: serde_json::Result<String>| text.unwrap_or_else(|_| "null".to_owned());
    let texts: Vec<[String; 3]> = rows
        .iter()
        .map(|row| {
            [
                json(serde_json::to_string(&row.record.identifiers)),
                json(serde_json::to_string(&row.record.attributes)),
                json(serde_json::to_string(&row.imports)),
            ]
        })
        .collect();
    on!(conn, c => {
        let mut query = QueryBuilder::new(
            "INSERT INTO ci_version (number, from_version, partition, hash, id, name, class, site, rack, environment, \
             criticality, owner, is_retired, identifiers, attributes, imports) ",
        );
        query.push_values(rows.iter().zip(&texts), |mut row, (ci, [identifiers, attributes, imports])| {
            let record = &ci.record;
            row.push_bind(i64::from(ci.number.get()))
                .push_bind(as_column(version))
                .push_bind(partition)
                .push_bind(ci.hash.cast_signed())
                .push_bind(record.id.as_str())
                .push_bind(record.name.as_str())
                .push_bind(record.class.as_str())
                .push_bind(record.site.as_deref())
                .push_bind(record.rack.as_deref())
                .push_bind(record.environment.as_deref())
                .push_bind(record.criticality.map(i64::from))
                .push_bind(record.owner.as_deref())
                .push_bind(record.is_retired)
                .push_bind(identifiers.as_str())
                .push_bind(attributes.as_str())
                .push_bind(imports.as_str());
        });
        query.build().execute(c).await?;
    });
    Ok(())
}

async fn end_cis(conn: Conn<'_>, version: u64, numbers: &[CiNumber]) -> Result<(), StoreError> {
    let version = as_column(version);
    on!(conn, c => {
        let mut query = QueryBuilder::new("UPDATE ci_version SET to_version = ");
        query.push_bind(version).push(" WHERE to_version IS NULL AND from_version < ");
        query.push_bind(version).push(" AND number IN (");
        let mut list = query.separated(", ");
        for number in numbers {
            list.push_bind(i64::from(number.get()));
        }
        query.push(")");
        query.build().execute(c).await?;
    });
    Ok(())
}

async fn insert_relations(
    conn: Conn<'_>,
    version: u64,
    rows: &[RelationRow],
) -> Result<(), StoreError> {
    on!(conn, c => {
        let mut query = QueryBuilder::new(
            "INSERT INTO relation_version (from_ci, to_ci, from_version, hash, kind, role, redundancy, redundancy_min, confidence) ",
        );
        query.push_values(rows, |mut row, it| {
            row.push_bind(i64::from(it.relation.from.get()))
                .push_bind(i64::from(it.relation.to.get()))
                .push_bind(as_column(version))
                .push_bind(it.hash.cast_signed())
                .push_bind(it.record.kind.as_str())
                .push_bind(it.record.role.as_deref())
                .push_bind(it.record.group.as_deref())
                .push_bind(it.record.min.map(|min| i64::from(min.get())))
                .push_bind(i64::from(it.relation.confidence));
        });
        query.build().execute(c).await?;
    });
    Ok(())
}

async fn end_relations(
    conn: Conn<'_>,
    version: u64,
    gone: &[(CiNumber, u64)],
) -> Result<(), StoreError> {
    on!(conn, c => {
        let mut query = QueryBuilder::new("WITH gone (from_ci, hash) AS (");
        query.push_values(gone, |mut row, (from, hash)| {
            row.push_bind(i64::from(from.get())).push_bind(hash.cast_signed());
        });
        query.push(") UPDATE relation_version SET to_version = ");
        query.push_bind(as_column(version));
        query.push(
            " FROM gone WHERE relation_version.from_ci = gone.from_ci AND relation_version.hash = gone.hash \
             AND relation_version.to_version IS NULL",
        );
        query.build().execute(c).await?;
    });
    Ok(())
}

async fn discard(tx: &mut Tx<'_>, version: u64) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM ci_version WHERE from_version = $1",
        "UPDATE ci_version SET to_version = NULL WHERE to_version = $1",
        "DELETE FROM relation_version WHERE from_version = $1",
        "UPDATE relation_version SET to_version = NULL WHERE to_version = $1",
        "DELETE FROM cmdb_part WHERE version = $1",
        "DELETE FROM cmdb_import WHERE version = $1",
    ] {
        run(tx.lend(), sql, version).await?;
    }
    Ok(())
}

async fn run(conn: Conn<'_>, sql: &'static str, version: u64) -> Result<(), StoreError> {
    let version = as_column(version);
    on!(conn, c => sqlx::query(sql).bind(version).execute(c).await.map(drop))?;
    Ok(())
}
