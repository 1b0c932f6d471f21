//! Incidents as readers see them, closed for good or not.
//!
//! `events` is exact at the time of reading: an alert that still belongs here counts its messages since it joined,
//! one that has moved on left its number behind.

use std::collections::BTreeMap;

use super::causes::{self, CauseView};
use super::records::{self, LinkView};
use super::select::{Select, pattern};
use super::{Listed, Page, Position, practice, silences};
use crate::core::ids::{AlertId, IncidentId};
use crate::core::incident::{Incident, StateWord};
use crate::core::past::PastIncident;
use crate::core::priority::Standing;
use crate::core::severity::{Priority, Severity};
use crate::core::sla::Clocks;
use crate::store::rows::{INCIDENT_COLUMNS, IncidentRow, alert_id, row, severity};
use crate::store::tickets::{self, TicketView};
use crate::store::{Conn, StoreError, on};

/// Which incidents are wanted; an empty list means any.
#[derive(Clone, Debug, Default)]
pub struct IncidentFilter {
    /// In one of these states.
    pub states: Vec<StateWord>,
    /// Of one of these priorities.
    pub priorities: Vec<Priority>,
    /// Of one of these severities.
    pub severities: Vec<Severity>,
    /// Of one of these teams.
    pub teams: Vec<String>,
    /// With one of these people.
    pub assignees: Vec<String>,
    /// With an alert of one of these sources.
    pub sources: Vec<String>,
    /// With a condition of one of these CIs, by id.
    pub cis: Vec<String>,
    /// Reaching one of these services, by id.
    pub services: Vec<String>,
    /// With this text in the title or in an alert's summary, or with this number.
    pub search: Option<String>,
}

/// An incident with what its alerts add to it.
#[derive(Clone, Debug)]
pub struct IncidentView {
    /// The record.
    pub incident: Incident,
    /// One line for people: its own title, else the summary of its first alert.
    pub title: String,
    /// The alert that it was opened for.
    pub first_alert: Option<AlertId>,
    /// Messages received about its alerts while they belonged to it.
    pub events: i64,
    /// Alerts that the sources left out of their messages.
    pub undelivered: i64,
    /// What keeps people from being told of it, when that holds for every alert that fires: `upstream` or
    /// `silence:<id>`.
    pub suppressed_by: Vec<String>,
    /// Whether one of its alerts comes and goes.
    pub is_flapping: bool,
    /// What it is about, if more is known than its alert.
    pub cause: Option<CauseView>,
    /// Its tickets in other systems.
    pub tickets: Vec<TicketView>,
    /// Where its priority comes from, if not from its severity alone.
    pub standing: Option<Standing>,
    /// Its service level clocks.
    pub clocks: Clocks,
    /// The records beside it, the best founded first.
    pub records: Vec<LinkView>,
}

row! {
    struct ViewRow {
        ..incident: IncidentRow = INCIDENT_COLUMNS;
        title: String,
        first_alert: Option<i64>,
        events: i64,
        undelivered: i64,
        suppressed: i64,
        is_flapping: bool,
    }
}

/// The members of an incident with their state.
const MEMBERS: &str =
    " FROM incident_alert m JOIN alert_state s ON s.id = m.alert WHERE m.incident = incident.id";

/// Incidents by number.
///
/// # Errors
/// The database cannot be read.
pub async fn list(
    mut conn: Conn<'_>,
    filter: &IncidentFilter,
    page: Page,
) -> Result<Listed<IncidentView>, StoreError> {
    let mut select = start();
    let states: Vec<_> = filter.states.iter().map(|state| state.word()).collect();
    let priorities: Vec<_> = filter.priorities.iter().map(|one| one.word()).collect();
    let severities: Vec<_> = filter.severities.iter().map(|one| one.word()).collect();
    select
        .sql(" WHERE TRUE")
        .any_of(" AND incident.state IN", &states, "")
        .any_of(" AND incident.priority IN", &priorities, "")
        .any_of(" AND incident.severity IN", &severities, "")
        .any_of(" AND incident.team IN", &filter.teams, "")
        .any_of(" AND incident.assignee IN", &filter.assignees, "")
        .any_of(
            " AND EXISTS (SELECT 1 FROM incident_alert m JOIN alert_key k ON k.id = m.alert \
             JOIN source ON source.partition = k.partition AND source.id = k.source \
             WHERE m.incident = incident.id AND source.name IN",
            &filter.sources,
            ")",
        )
        // By id, or by the name that people know.
        .any_of(
            " AND (EXISTS (SELECT 1 FROM node n JOIN ci_number i ON i.number = n.ci WHERE n.incident = incident.id \
             AND i.id IN",
            &filter.cis,
            ")",
        )
        .any_of(
            " OR EXISTS (SELECT 1 FROM node n JOIN ci_version i ON i.number = n.ci AND i.to_version IS NULL \
             WHERE n.incident = incident.id AND i.name IN",
            &filter.cis,
            "))",
        )
        .any_of(
            " AND (EXISTS (SELECT 1 FROM incident_service v JOIN ci_number i ON i.number = v.ci \
             WHERE v.incident = incident.id AND i.id IN",
            &filter.services,
            ")",
        )
        .any_of(
            " OR EXISTS (SELECT 1 FROM incident_service v JOIN ci_version i ON i.number = v.ci \
             AND i.to_version IS NULL WHERE v.incident = incident.id AND i.name IN",
            &filter.services,
            "))",
        );
    if let Some(text) = &filter.search {
        search(&mut select, text);
    }
    select.page(page, "incident.id", "incident.id");
    let rows: Vec<ViewRow> = select.fetch(conn.lend()).await?;
    let views = into_views(conn, rows).await?;
    Ok(Listed::of(views, page, |view| Position {
        value: view.incident.id.get(),
        id: view.incident.id.get(),
    }))
}

/// One incident.
///
/// # Errors
/// The database cannot be read.
pub async fn find(mut conn: Conn<'_>, id: IncidentId) -> Result<Option<IncidentView>, StoreError> {
    let mut select = start();
    select.sql(" WHERE incident.id = ").number(id.get());
    let rows: Vec<ViewRow> = select.fetch(conn.lend()).await?;
    Ok(into_views(conn, rows).await?.pop())
}

/// Incidents by their numbers, as many as there are.
///
/// # Errors
/// The database cannot be read.
pub async fn find_all(
    mut conn: Conn<'_>,
    ids: &[IncidentId],
) -> Result<Vec<IncidentView>, StoreError> {
    let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
    let mut views = Vec::new();
    for ids in ids.chunks(500) {
        let mut select = start();
        select.any_number(" WHERE incident.id IN", ids, "");
        let rows: Vec<ViewRow> = select.fetch(conn.lend()).await?;
        views.extend(into_views(conn.lend(), rows).await?);
    }
    Ok(views)
}

async fn into_views(
    mut conn: Conn<'_>,
    rows: Vec<ViewRow>,
) -> Result<Vec<IncidentView>, StoreError> {
    let mut suppressed = Vec::new();
    let mut views = Vec::with_capacity(rows.len());
    for row in rows {
        let count = row.suppressed;
        let view = row.into_view()?;
        let firing = i64::from(view.incident.firing);
        if firing > 0 && count >= firing {
            suppressed.push(view.incident.id.get());
        }
        views.push(view);
    }
    if !suppressed.is_empty() {
        silences::add_to_incidents(conn.lend(), &suppressed, &mut views).await?;
    }
    silences::add_inhibitions(conn.lend(), &mut views).await?;
    add_practice(conn.lend(), &mut views).await?;
    add_causes(conn.lend(), &mut views).await?;
    add_tickets(conn.lend(), &mut views).await?;
    add_records(conn, &mut views).await?;
    Ok(views)
}

async fn add_tickets(conn: Conn<'_>, views: &mut [IncidentView]) -> Result<(), StoreError> {
    let ids: Vec<_> = views.iter().map(|view| view.incident.id).collect();
    let mut found = tickets::of_incidents(conn, &ids).await?;
    for view in views {
        view.tickets = found.remove(&view.incident.id).unwrap_or_default();
    }
    Ok(())
}

async fn add_practice(mut conn: Conn<'_>, views: &mut [IncidentView]) -> Result<(), StoreError> {
    let ids: Vec<_> = views.iter().map(|view| view.incident.id.get()).collect();
    let mut standings = practice::standings(conn.lend(), &ids).await?;
    let mut clocks = practice::clocks(conn, &ids).await?;
    for view in views {
        view.standing = standings.remove(&view.incident.id);
        view.clocks = clocks.remove(&view.incident.id).unwrap_or_default();
    }
    Ok(())
}

async fn add_causes(conn: Conn<'_>, views: &mut [IncidentView]) -> Result<(), StoreError> {
    let ids: Vec<_> = views.iter().map(|view| view.incident.id).collect();
    let mut found = causes::of(conn, &ids).await?;
    for view in views {
        view.cause = found.remove(&view.incident.id);
    }
    Ok(())
}

async fn add_records(conn: Conn<'_>, views: &mut [IncidentView]) -> Result<(), StoreError> {
    let ids: Vec<_> = views.iter().map(|view| view.incident.id).collect();
    let mut found = records::beside(conn, &ids).await?;
    for view in views {
        view.records = found.remove(&view.incident.id).unwrap_or_default();
    }
    Ok(())
}

/// Alerts of a past incident that are looked at; an incident of more has long gone on in others.
const PAST_ALERTS_MAX: i64 = 10_000;

/// What is known of an incident that was closed for good; `None` for one that the core still holds.
///
/// # Errors
/// The database cannot be read.
pub async fn find_past(
    mut conn: Conn<'_>,
    id: IncidentId,
) -> Result<Option<PastIncident>, StoreError> {
    let row: Option<(i64, String, Option<String>, Option<String>)> = on!(conn.lend(), c => sqlx::query_as(
        "SELECT version, severity, assignee, team FROM incident WHERE id = $1 AND is_forgotten"
    ).bind(id.get()).fetch_optional(c).await?);
    let Some((version, word, assignee, team)) = row else {
        return Ok(None);
    };
    let rows: Vec<(i64,)> = on!(conn, c => sqlx::query_as(
        "SELECT alert FROM incident_alert WHERE incident = $1 ORDER BY joined_at, alert LIMIT $2"
    ).bind(id.get()).bind(PAST_ALERTS_MAX).fetch_all(c).await?);
    let alerts: Result<_, _> = rows.into_iter().map(|(alert,)| alert_id(alert)).collect();
    Ok(Some(PastIncident {
        version,
        severity: severity("incident", &word)?,
        assignee: assignee.map(Into::into),
        team: team.map(Into::into),
        alerts: alerts?,
    }))
}

/// How many incidents there are by state, those of long ago included.
///
/// # Errors
/// The database cannot be read.
pub async fn count_by_state(conn: Conn<'_>) -> Result<BTreeMap<StateWord, i64>, StoreError> {
    let rows: Vec<(String, i64)> = on!(conn, c => sqlx::query_as(
        "SELECT state, COUNT(*) FROM incident GROUP BY state"
    ).fetch_all(c).await?);
    rows.into_iter()
        .map(|(word, count)| {
            let state = StateWord::from_word(&word)
                .ok_or_else(|| StoreError::corrupt("incident", "state", &word))?;
            Ok((state, count))
        })
        .collect()
}

fn start() -> Select {
    const FIRST: &str = " FROM incident_alert m JOIN alert_text t ON t.id = m.alert \
        WHERE m.incident = incident.id ORDER BY m.joined_at, m.alert LIMIT 1)";
    let mut select = Select::new("SELECT ");
    select
        .sql(INCIDENT_COLUMNS)
        .sql(", COALESCE(title, (SELECT t.summary")
        .sql(FIRST)
        .sql(", ''), (SELECT m.alert FROM incident_alert m WHERE m.incident = incident.id ")
        .sql("ORDER BY m.joined_at, m.alert LIMIT 1), ")
        .sql("(SELECT CAST(COALESCE(SUM(CASE WHEN s.incident = incident.id THEN s.count - s.count_before ")
        .sql("ELSE COALESCE(m.events, 0) END), 0) AS BIGINT)")
        .sql(MEMBERS)
        .sql("), (SELECT CAST(COALESCE(SUM(s.undelivered), 0) AS BIGINT)")
        .sql(MEMBERS)
        .sql(" AND s.incident = incident.id), (SELECT COUNT(*)")
        .sql(MEMBERS)
        .sql(" AND s.incident = incident.id AND s.status = 'firing' AND (s.is_muted_upstream ")
        .sql("OR EXISTS (SELECT 1 FROM silence_alert a WHERE a.alert = s.id))), EXISTS (SELECT 1")
        // By the members: there is no index by incident, and a scan of all alerts for each incident would be one.
        .sql(MEMBERS)
        .sql(" AND s.incident = incident.id AND EXISTS (SELECT 1 FROM alert_flap f WHERE f.alert = s.id ")
        .sql("AND f.is_flapping))")
        .sql(" FROM incident");
    select
}

fn search(select: &mut Select, text: &str) {
    let pattern = pattern(text);
    select
        .sql(" AND (lower(incident.title) LIKE lower(")
        .text(&pattern)
        .sql(r") ESCAPE '\' OR EXISTS (SELECT 1 FROM incident_alert m JOIN alert_text t ON t.id = m.alert ")
        .sql("WHERE m.incident = incident.id AND lower(t.summary) LIKE lower(")
        .text(&pattern)
        .sql(r") ESCAPE '\')");
    let number = text.parse::<IncidentId>().ok();
    let number = number.or_else(|| text.parse().ok().and_then(IncidentId::new));
    if let Some(number) = number {
        select.sql(" OR incident.id = ").number(number.get());
    }
    select.sql(")");
}

impl ViewRow {
    fn into_view(self) -> Result<IncidentView, StoreError> {
        Ok(IncidentView {
            incident: self.incident.into_core()?,
            suppressed_by: Vec::new(),
            is_flapping: self.is_flapping,
            cause: None,
            tickets: Vec::new(),
            standing: None,
            clocks: Clocks::default(),
            records: Vec::new(),
            title: self.title,
            first_alert: self.first_alert.map(alert_id).transpose()?,
            events: self.events,
            undelivered: self.undelivered,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reading_an_incident_goes_through_no_whole_table() {
        let mut one = start();
        one.sql(" WHERE incident.id = ").number(1);
        let mut some = start();
        some.any_number(" WHERE incident.id IN", &[1, 2], "");
        for select in [one, some] {
            let plan = select.plan().await;
            assert!(plan.len() > 5, "{plan:#?}");
            let scans = plan.iter().filter(|step| step.starts_with("SCAN"));
            assert_eq!(
                scans.collect::<Vec<_>>(),
                Vec::<&String>::new(),
                "{plan:#?}"
            );
        }
    }
}
