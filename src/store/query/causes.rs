//! What incidents are about, with the names of the CIs, and why an alert hangs where it hangs.
//!
//! Must not judge: everything was judged when it was decided.

use std::collections::{BTreeMap, BTreeSet};

use super::cmdb::{ACTIVE, CiName};
use super::select::Select;
use crate::core::cmdb::ci::CiNumber;
use crate::core::correlate::cause::Cause;
use crate::core::ids::{AlertId, IncidentId};
use crate::store::rows::row;
use crate::store::{Conn, StoreError, on};

/// Numbers in one statement.
const AT_ONCE: usize = 200;

/// What an incident is about.
#[derive(Clone, Debug, Default)]
pub struct CauseView {
    /// The judgement.
    pub cause: Cause,
    /// The CIs that it names, as far as they are known still.
    pub cis: BTreeMap<CiNumber, CiName>,
}

impl CauseView {
    /// The services reached, by id.
    pub fn services(&self) -> Vec<String> {
        let services = self.cause.services.iter();
        let services = services.filter_map(|ci| self.cis.get(ci));
        services.map(|ci| ci.id.clone()).collect()
    }
}

row! {
    struct CiRow {
        number: i64,
        id: String,
        name: String,
        class: String,
    }
}

row! {
    struct CauseRow {
        incident: i64,
        body: String,
    }
}

/// What these incidents are about; those of which nothing but their alert is known are left out.
///
/// # Errors
/// The database cannot be read.
pub async fn of(
    mut conn: Conn<'_>,
    incidents: &[IncidentId],
) -> Result<BTreeMap<IncidentId, CauseView>, StoreError> {
    let mut views = BTreeMap::new();
    let mut named = BTreeSet::new();
    for part in incidents.chunks(AT_ONCE) {
        let numbers: Vec<i64> = part.iter().map(|incident| incident.get()).collect();
        let mut select = Select::new("SELECT incident, body FROM incident_cause WHERE ");
        select.any_number("incident IN", &numbers, "");
        let rows: Vec<CauseRow> = select.fetch(conn.lend()).await?;
        for row in rows {
            let Some(incident) = IncidentId::new(row.incident) else {
                continue;
            };
            let cause: Cause = serde_json::from_str(&row.body)
                .map_err(|error| StoreError::corrupt("incident_cause", "body", error))?;
            named.extend(cause.services.iter().copied());
            named.extend(cause.roots.iter().filter_map(|root| root.ci));
            let cis = BTreeMap::new();
            views.insert(incident, CauseView { cause, cis });
        }
    }
    let names = names(conn, &named).await?;
    for view in views.values_mut() {
        let of_roots = view.cause.roots.iter().filter_map(|root| root.ci);
        let all = view.cause.services.iter().copied().chain(of_roots);
        let known = all.filter_map(|ci| Some((ci, names.get(&ci)?.clone())));
        view.cis = known.collect();
    }
    Ok(views)
}

async fn names(
    mut conn: Conn<'_>,
    wanted: &BTreeSet<CiNumber>,
) -> Result<BTreeMap<CiNumber, CiName>, StoreError> {
    let mut names = BTreeMap::new();
    let wanted: Vec<_> = wanted.iter().copied().collect();
    for part in wanted.chunks(AT_ONCE) {
        let mut select =
            Select::new("SELECT ci.number, ci.id, ci.name, ci.class FROM ci_version ci ");
        select
            .sql("WHERE ci.from_version <= ")
            .sql(ACTIVE)
            .sql(" AND (ci.to_version IS NULL OR ci.to_version > ")
            .sql(ACTIVE)
            .sql(") AND ci.number IN (0");
        for ci in part {
            select.sql(", ").number(i64::from(ci.get()));
        }
        select.sql(")");
        let rows: Vec<CiRow> = select.fetch(conn.lend()).await?;
        for row in rows {
            if let Some(ci) = u32::try_from(row.number).ok().and_then(CiNumber::new) {
                let CiRow {
                    id, name, class, ..
                } = row;
                names.insert(ci, CiName { id, name, class });
            }
        }
    }
    Ok(names)
}

/// Why an alert belongs where it does, in the words of the decision; `None` when nothing explains it.
///
/// # Errors
/// The database cannot be read.
pub async fn why(conn: Conn<'_>, alert: AlertId) -> Result<Option<String>, StoreError> {
    let row: Option<(Option<String>,)> = on!(conn, c => sqlx::query_as(
        "SELECT n.why FROM node_alert a JOIN node n ON n.id = a.node WHERE a.alert = $1"
    ).bind(alert.get()).fetch_optional(c).await?);
    Ok(row.and_then(|(why,)| why))
}
