//! Silences as readers see them, and what they suppress.

use std::collections::BTreeMap;

use super::alerts::AlertView;
use super::incidents::IncidentView;
use super::select::Select;
use super::{Listed, Page, Position};
use crate::core::ids::{IncidentId, WindowId};
use crate::core::silence::{Silence, SilenceState, SilenceUuid};
use crate::core::time::Timestamp;
use crate::store::rows::row;
use crate::store::silences::{SILENCE_COLUMNS, SilenceRow};
use crate::store::{Conn, StoreError};

/// The reason for not telling people that a source mutes the alert on its side.
pub(super) const UPSTREAM: &str = "upstream";

/// A silence with what it does now.
#[derive(Clone, Debug)]
pub struct SilenceView {
    /// The silence.
    pub silence: Silence,
    /// Firing alerts that it keeps people from being told of.
    pub alerts: i64,
}

row! {
    struct ViewRow {
        ..silence: SilenceRow = SILENCE_COLUMNS;
        alerts: i64,
    }
}

/// Silences by number; `states` are those wanted as of `now`, none means any.
///
/// # Errors
/// The database cannot be read.
pub async fn list(
    conn: Conn<'_>,
    states: &[SilenceState],
    now: Timestamp,
    page: Page,
) -> Result<Listed<SilenceView>, StoreError> {
    let now = now.as_millis();
    let mut select = start();
    // What people planned as maintenance is shown as such.
    select.sql(" WHERE silence.maintenance IS NULL AND (FALSE");
    for state in states {
        match state {
            SilenceState::Pending => select
                .sql(" OR (silence.starts_at > ")
                .number(now)
                .sql(" AND silence.ends_at > ")
                .number(now)
                .sql(")"),
            SilenceState::Active => select
                .sql(" OR (silence.starts_at <= ")
                .number(now)
                .sql(" AND silence.ends_at > ")
                .number(now)
                .sql(")"),
            SilenceState::Expired => select.sql(" OR silence.ends_at <= ").number(now),
        };
    }
    select.sql(if states.is_empty() { " OR TRUE)" } else { ")" });
    select.page(page, "silence.id", "silence.id");
    let rows: Vec<ViewRow> = select.fetch(conn).await?;
    let views: Result<Vec<_>, _> = rows.into_iter().map(ViewRow::into_view).collect();
    Ok(Listed::of(views?, page, |view| Position {
        value: view.silence.id.get(),
        id: view.silence.id.get(),
    }))
}

/// One silence by its public name.
///
/// # Errors
/// The database cannot be read.
pub async fn find(conn: Conn<'_>, uuid: SilenceUuid) -> Result<Option<SilenceView>, StoreError> {
    let mut select = start();
    select
        .sql(" WHERE silence.maintenance IS NULL AND silence.uuid = ")
        .text(&uuid.to_string());
    let rows: Vec<ViewRow> = select.fetch(conn).await?;
    rows.into_iter().next().map(ViewRow::into_view).transpose()
}

/// One silence by its number.
///
/// # Errors
/// The database cannot be read.
pub async fn get(conn: Conn<'_>, id: i64) -> Result<Option<SilenceView>, StoreError> {
    let mut select = start();
    select.sql(" WHERE silence.id = ").number(id);
    let rows: Vec<ViewRow> = select.fetch(conn).await?;
    rows.into_iter().next().map(ViewRow::into_view).transpose()
}

fn start() -> Select {
    let mut select = Select::new("SELECT ");
    select
        .sql(SILENCE_COLUMNS)
        .sql(", (SELECT COUNT(*) FROM silence_alert a WHERE a.silence = silence.id) FROM silence");
    select
}

impl ViewRow {
    fn into_view(self) -> Result<SilenceView, StoreError> {
        Ok(SilenceView {
            silence: self.silence.into_core()?,
            alerts: self.alerts,
        })
    }
}

/// Says of alerts which silences keep people from being told of them.
pub(super) async fn add_to_alerts(
    mut conn: Conn<'_>,
    views: &mut [AlertView],
) -> Result<(), StoreError> {
    let firing = views.iter().filter(|view| view.alert.is_firing());
    let ids: Vec<_> = firing.map(|view| view.alert.id.get()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let mut select = Select::new(
        "SELECT a.alert, silence.uuid, silence.maintenance FROM silence_alert a JOIN silence ON silence.id = a.silence WHERE",
    );
    select.any_number(" a.alert IN", &ids, " ORDER BY a.alert, a.silence");
    let rows: Vec<(i64, String, Option<i64>)> = select.fetch(conn.lend()).await?;
    let mut by_alert: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for (alert, uuid, window) in rows {
        let by = by_alert.entry(alert).or_default();
        by.push(shown(&uuid, window));
    }
    for view in views.iter_mut() {
        if let Some(by) = by_alert.remove(&view.alert.id.get()) {
            view.suppressed_by.extend(by);
        }
    }
    let incidents: Vec<i64> = views.iter().filter_map(firing_in).collect();
    let held = inhibitions(conn, &incidents).await?;
    for view in views.iter_mut() {
        if let Some(by) = firing_in(view).and_then(|incident| held.get(&incident)) {
            view.suppressed_by.push(by.clone());
        }
    }
    Ok(())
}

fn firing_in(view: &AlertView) -> Option<i64> {
    let incident = view.alert.incident.filter(|_| view.alert.is_firing())?;
    Some(incident.get())
}

/// What holds incidents that people are not told of because of another one.
async fn inhibitions(
    conn: Conn<'_>,
    incidents: &[i64],
) -> Result<BTreeMap<i64, String>, StoreError> {
    if incidents.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut select = Select::new("SELECT incident, held_by FROM inhibition WHERE");
    select.any_number(" incident IN", incidents, " ORDER BY incident");
    let rows: Vec<(i64, i64)> = select.fetch(conn).await?;
    let shown = |by: i64| IncidentId::new(by).map(|by| format!("incident:{by}"));
    let rows = rows.into_iter();
    Ok(rows
        .filter_map(|(incident, by)| Some((incident, shown(by)?)))
        .collect())
}

/// Says of incidents which other one holds them.
pub(super) async fn add_inhibitions(
    conn: Conn<'_>,
    views: &mut [IncidentView],
) -> Result<(), StoreError> {
    let ids: Vec<i64> = views.iter().map(|view| view.incident.id.get()).collect();
    let mut held = inhibitions(conn, &ids).await?;
    for view in views {
        view.suppressed_by
            .extend(held.remove(&view.incident.id.get()));
    }
    Ok(())
}

/// The word under which a silence, or the window that it is an occurrence of, is shown.
fn shown(uuid: &str, window: Option<i64>) -> String {
    match window.and_then(WindowId::new) {
        Some(window) => format!("maintenance:{window}"),
        None => format!("silence:{uuid}"),
    }
}

/// Says of incidents of which every firing alert is suppressed, by what.
pub(super) async fn add_to_incidents(
    conn: Conn<'_>,
    ids: &[i64],
    views: &mut [IncidentView],
) -> Result<(), StoreError> {
    let mut select = Select::new(
        "SELECT DISTINCT m.incident, s.is_muted_upstream, COALESCE(silence.uuid, ''), silence.maintenance FROM incident_alert m \
         JOIN alert_state s ON s.id = m.alert LEFT JOIN silence_alert a ON a.alert = s.id \
         LEFT JOIN silence ON silence.id = a.silence WHERE s.incident = m.incident AND s.status = 'firing'",
    );
    select.any_number(" AND m.incident IN", ids, " ORDER BY 1, 2, 3, 4");
    let rows: Vec<(i64, bool, String, Option<i64>)> = select.fetch(conn).await?;
    for view in views {
        let of_it = || rows.iter().filter(|row| row.0 == view.incident.id.get());
        let mut by = Vec::new();
        if of_it().any(|(_, is_muted, ..)| *is_muted) {
            by.push(UPSTREAM.to_owned());
        }
        for (_, _, uuid, window) in of_it().filter(|(_, _, uuid, _)| !uuid.is_empty()) {
            let text = shown(uuid, *window);
            if !by.contains(&text) {
                by.push(text);
            }
        }
        view.suppressed_by = by;
    }
    Ok(())
}
