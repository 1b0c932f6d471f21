//! Where the priorities of incidents come from, and their service level clocks, as readers see them.

use std::collections::BTreeMap;

use super::select::Select;
use crate::core::ids::IncidentId;
use crate::core::priority::Standing;
use crate::core::sla::Clocks;
use crate::store::practice::{CLOCK_COLUMNS, ClockRow, STANDING_COLUMNS, StandingRow};
use crate::store::{Conn, StoreError};

/// Where the priorities of these incidents come from; those that follow their severity alone are left out.
pub(super) async fn standings(
    conn: Conn<'_>,
    incidents: &[i64],
) -> Result<BTreeMap<IncidentId, Standing>, StoreError> {
    if incidents.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut select = Select::new("SELECT ");
    select
        .sql(STANDING_COLUMNS)
        .sql(" FROM incident_standing s")
        .any_number(" WHERE s.incident IN", incidents, "");
    let rows: Vec<StandingRow> = select.fetch(conn).await?;
    rows.into_iter().map(StandingRow::into_core).collect()
}

/// The clocks of these incidents.
pub(super) async fn clocks(
    conn: Conn<'_>,
    incidents: &[i64],
) -> Result<BTreeMap<IncidentId, Clocks>, StoreError> {
    let mut clocks = BTreeMap::new();
    if incidents.is_empty() {
        return Ok(clocks);
    }
    let mut select = Select::new("SELECT ");
    select
        .sql(CLOCK_COLUMNS)
        .sql(" FROM sla_clock s")
        .any_number(" WHERE s.incident IN", incidents, "");
    let rows: Vec<ClockRow> = select.fetch(conn).await?;
    for row in rows {
        row.add_to(&mut clocks)?;
    }
    Ok(clocks)
}
