//! The graph as of the active version, for the engine's start.
//!
//! Must fail rather than guess when a row cannot be understood.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use smol_str::SmolStr;

use super::as_column;
use super::read::{ci_number, relations, versions};
use crate::core::cmdb::ci::{Ci, Identifier};
use crate::core::cmdb::graph::Difference;
use crate::core::state::State;
use crate::store::rows::{number, row};
use crate::store::{Conn, StoreError, on};

/// Rows put into the graph at once: few enough that the loading needs no second copy of it.
const STEP: usize = 10_000;

row! {
    pub(in crate::store) struct CiCore {
        number: i64,
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
    }
}

impl CiCore {
    /// The core's value of it.
    pub(in crate::store) fn into_core(self) -> Result<Ci, StoreError> {
        let identifiers: Result<Vec<Identifier>, _> = serde_json::from_str(&self.identifiers);
        let level = self
            .criticality
            .map(|it| number("ci_version", "criticality", it));
        Ok(Ci {
            number: ci_number("ci_version", self.number)?,
            id: SmolStr::new(self.id),
            name: SmolStr::new(self.name),
            class: SmolStr::new(self.class),
            site: self.site.map(SmolStr::new),
            rack: self.rack.map(SmolStr::new),
            environment: self.environment.map(SmolStr::new),
            criticality: level.transpose()?,
            owner: self.owner.map(SmolStr::new),
            is_retired: self.is_retired,
            identifiers: identifiers
                .map_err(|error| StoreError::corrupt("ci_version", "identifiers", error))?,
        })
    }
}

/// Loads the graph.
pub(in crate::store) async fn graph(
    mut conn: Conn<'_>,
    state: &mut State,
) -> Result<(), StoreError> {
    let (version, _) = versions(conn.lend()).await?;
    if version == 0 {
        return Ok(());
    }
    let empty = Difference {
        version,
        ..Difference::default()
    };
    let at = as_column(version);
    let mut step = empty.clone();
    on!(conn.lend(), c => {
        let mut rows = sqlx::query_as::<_, CiCore>(
            "SELECT number, id, name, class, site, rack, environment, criticality, owner, is_retired, identifiers \
             FROM ci_version WHERE from_version <= $1 AND (to_version IS NULL OR to_version > $1) ORDER BY number",
        )
        .bind(at)
        .fetch(c);
        while let Some(row) = rows.try_next().await? {
            step.put.push(Arc::new(row.into_core()?));
            if step.put.len() >= STEP {
                state.change_graph(&step);
                step.put.clear();
            }
        }
    });
    state.change_graph(&step);
    step = empty;
    relations(conn, at, |_, relation| {
        step.linked.push(relation);
        if step.linked.len() >= STEP {
            state.change_graph(&step);
            step.linked.clear();
        }
    })
    .await?;
    state.change_graph(&step);
    Ok(())
}
