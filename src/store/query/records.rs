//! Records beside incidents as readers see them.

use std::collections::BTreeMap;

use super::cmdb::{ACTIVE, CiName};
use super::select::{Select, pattern};
use super::{Listed, Page, Position};
use crate::core::ids::IncidentId;
use crate::core::records::{Kind, Link, Record, RecordId};
use crate::core::time::Timestamp;
use crate::store::records::{LINK_COLUMNS, LinkRow, read_body};
use crate::store::rows::row;
use crate::store::{Conn, StoreError};

/// Which records are wanted; an empty list means any.
#[derive(Clone, Debug, Default)]
pub struct RecordFilter {
    /// In one of these states.
    pub states: Vec<String>,
    /// About one of these CIs, by id.
    pub cis: Vec<String>,
    /// With one of these keys.
    pub keys: Vec<String>,
    /// Beside one of these incidents.
    pub incidents: Vec<i64>,
    /// Changed no earlier than this, in milliseconds.
    pub since: Option<i64>,
    /// With this text in the title.
    pub search: Option<String>,
}

/// A record beside an incident.
#[derive(Clone, Debug)]
pub struct LinkView {
    /// The incident.
    pub incident: IncidentId,
    /// What the record has to do with it.
    pub link: Link,
    /// The record.
    pub record: Record,
}

row! {
    struct ViewRow {
        ..link: LinkRow = LINK_COLUMNS;
        body: String,
    }
}

/// Records of a kind, by number.
///
/// # Errors
/// The database cannot be read.
pub async fn list(
    conn: Conn<'_>,
    kind: Kind,
    filter: &RecordFilter,
    page: Page,
) -> Result<Listed<Record>, StoreError> {
    let mut select = Select::new("SELECT r.body FROM record r WHERE r.kind = ");
    select
        .text(kind.word())
        .any_of(" AND r.state IN", &filter.states, "")
        .any_of(" AND r.record_key IN", &filter.keys, "")
        .any_of(
            " AND EXISTS (SELECT 1 FROM record_ci c WHERE c.kind = r.kind AND c.number = r.number AND c.ci IN",
            &filter.cis,
            ")",
        )
        .any_number(
            " AND EXISTS (SELECT 1 FROM record_incident l WHERE l.kind = r.kind AND l.number = r.number AND l.incident IN",
            &filter.incidents,
            ")",
        );
    if let Some(since) = filter.since {
        select.sql(" AND r.updated_at >= ").number(since);
    }
    if let Some(text) = &filter.search {
        select
            .sql(" AND lower(r.title) LIKE lower(")
            .text(&pattern(text))
            .sql(r") ESCAPE '\'");
    }
    select.page(page, "r.number", "r.number");
    let rows: Vec<(String,)> = select.fetch(conn).await?;
    let records: Result<Vec<_>, _> = rows.iter().map(|(body,)| read_body(body)).collect();
    Ok(Listed::of(records?, page, |record| Position {
        value: record.id().number,
        id: record.id().number,
    }))
}

/// One record.
///
/// # Errors
/// The database cannot be read.
pub async fn find(conn: Conn<'_>, id: RecordId) -> Result<Option<Record>, StoreError> {
    let mut select = Select::new("SELECT r.body FROM record r WHERE r.kind = ");
    select
        .text(id.kind.word())
        .sql(" AND r.number = ")
        .number(id.number);
    let rows: Vec<(String,)> = select.fetch(conn).await?;
    rows.first().map(|(body,)| read_body(body)).transpose()
}

/// What stands beside incidents, the best founded first.
///
/// # Errors
/// The database cannot be read.
pub async fn beside(
    conn: Conn<'_>,
    incidents: &[IncidentId],
) -> Result<BTreeMap<IncidentId, Vec<LinkView>>, StoreError> {
    let ids: Vec<_> = incidents.iter().map(|id| id.get()).collect();
    let mut select = Select::new("SELECT ");
    select
        .sql(LINK_COLUMNS)
        .sql(", r.body FROM record_incident l JOIN record r ON r.kind = l.kind AND r.number = l.number WHERE")
        .any_number(" l.incident IN", &ids, "")
        .sql(" ORDER BY l.incident, l.score DESC, l.kind, l.number");
    let mut found: BTreeMap<IncidentId, Vec<LinkView>> = BTreeMap::new();
    if ids.is_empty() {
        return Ok(found);
    }
    let rows: Vec<ViewRow> = select.fetch(conn).await?;
    for view in views(rows)? {
        found.entry(view.incident).or_default().push(view);
    }
    Ok(found)
}

/// The incidents beside which a record stands, the latest first.
///
/// # Errors
/// The database cannot be read.
pub async fn incidents_of(conn: Conn<'_>, id: RecordId) -> Result<Vec<LinkView>, StoreError> {
    let mut select = Select::new("SELECT ");
    select
        .sql(LINK_COLUMNS)
        .sql(", r.body FROM record_incident l JOIN record r ON r.kind = l.kind AND r.number = l.number WHERE l.kind = ")
        .text(id.kind.word())
        .sql(" AND l.number = ")
        .number(id.number)
        .sql(" ORDER BY l.incident DESC LIMIT 500");
    let rows: Vec<ViewRow> = select.fetch(conn).await?;
    views(rows)
}

fn views(rows: Vec<ViewRow>) -> Result<Vec<LinkView>, StoreError> {
    rows.into_iter()
        .map(|row| {
            let record = read_body(&row.body)?;
            let (incident, _, link) = row.link.into_core()?;
            Ok(LinkView {
                incident,
                link,
                record,
            })
        })
        .collect()
}

row! {
    struct NameRow {
        id: String,
        name: String,
        class: String,
    }
}

/// What the CMDB calls CIs now, by id; what it does not know is missing.
///
/// # Errors
/// The database cannot be read.
pub async fn names(
    mut conn: Conn<'_>,
    ids: &[String],
) -> Result<BTreeMap<String, CiName>, StoreError> {
    let mut names = BTreeMap::new();
    for part in ids.chunks(200) {
        let mut select = Select::new(
            "SELECT i.id, ci.name, ci.class FROM ci_version ci JOIN ci_number i ON i.number = ci.number \
             WHERE ci.from_version <= ",
        );
        select
            .sql(ACTIVE)
            .sql(" AND (ci.to_version IS NULL OR ci.to_version > ")
            .sql(ACTIVE)
            .sql(")")
            .any_of(" AND i.id IN", part, "");
        let rows: Vec<NameRow> = select.fetch(conn.lend()).await?;
        for NameRow { id, name, class } in rows {
            names.insert(id.clone(), CiName { id, name, class });
        }
    }
    Ok(names)
}

/// How changes went: made in all, successful, failed, and such that a person says they caused an incident.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeCounts {
    /// Changes that are over, cancelled ones aside.
    pub made: i64,
    /// Those that succeeded and caused nothing.
    pub successful: i64,
    /// Those that failed.
    pub failed: i64,
    /// Those that a person says caused an incident.
    pub caused_incidents: i64,
}

/// Counts the changes that were recorded or changed since a time, in milliseconds.
///
/// # Errors
/// The database cannot be read.
pub async fn count_changes(conn: Conn<'_>, since: i64) -> Result<ChangeCounts, StoreError> {
    let mut select = Select::new(
        "SELECT r.state, EXISTS (SELECT 1 FROM record_incident l WHERE l.kind = r.kind AND l.number = r.number \
         AND l.role = 'confirmed') AS caused, COUNT(*) FROM record r WHERE r.kind = 'change' AND r.updated_at >= ",
    );
    select.number(since).sql(" GROUP BY 1, 2");
    let rows: Vec<(String, bool, i64)> = select.fetch(conn).await?;
    let mut counts = ChangeCounts::default();
    for (state, has_caused, count) in rows {
        let is_made = state == "successful" || state == "failed";
        if !is_made && !has_caused {
            continue;
        }
        counts.made += count;
        if has_caused {
            counts.caused_incidents += count;
        }
        if state == "failed" {
            counts.failed += count;
        } else if !has_caused {
            counts.successful += count;
        }
    }
    Ok(counts)
}

/// An incident like another one, with how it was resolved.
#[derive(Clone, Debug)]
pub struct SimilarView {
    /// The incident.
    pub incident: IncidentId,
    /// Where it stands.
    pub state: String,
    /// How urgent it was.
    pub priority: String,
    /// One line for people.
    pub title: String,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// How, in the words of the person who did, else the reason.
    pub resolution: Option<String>,
    /// Who did.
    pub resolved_by: Option<String>,
    /// What the two have in common.
    pub signature: String,
}

row! {
    struct SimilarRow {
        id: i64,
        state: String,
        priority: String,
        title: String,
        opened_at: i64,
        resolved_at: Option<i64>,
        signature: String,
    }
}

row! {
    struct ResolvedRow {
        incident: i64,
        reason: String,
        note: Option<String>,
        actor: Option<String>,
    }
}

/// The incidents of the same signature as this one, the latest first.
///
/// # Errors
/// The database cannot be read.
pub async fn similar(
    mut conn: Conn<'_>,
    incident: IncidentId,
    at_most: i64,
) -> Result<Vec<SimilarView>, StoreError> {
    let mut select = Select::new(
        "SELECT i.id, i.state, i.priority, COALESCE(i.title, (SELECT t.summary FROM incident_alert m \
         JOIN alert_text t ON t.id = m.alert WHERE m.incident = i.id ORDER BY m.joined_at, m.alert LIMIT 1), ''), \
         i.opened_at, i.resolved_at, o.signature FROM record_occurrence o JOIN incident i ON i.id = o.incident \
         WHERE o.signature = (SELECT signature FROM record_occurrence WHERE incident = ",
    );
    select
        .number(incident.get())
        .sql(") AND i.id <> ")
        .number(incident.get())
        .sql(" ORDER BY o.at DESC, i.id DESC LIMIT ")
        .number(at_most);
    let rows: Vec<SimilarRow> = select.fetch(conn.lend()).await?;
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let mut resolved: BTreeMap<i64, ResolvedRow> = BTreeMap::new();
    if !ids.is_empty() {
        let mut select = Select::new(
            "SELECT t.incident, t.reason, t.note, t.actor FROM timeline t WHERE t.reason IN \
             ('resolved_by_person', 'recovery_sustained', 'closed_by_person')",
        );
        select.any_number(" AND t.incident IN", &ids, " ORDER BY t.id");
        let rows: Vec<ResolvedRow> = select.fetch(conn).await?;
        for row in rows {
            // Closing what was resolved says nothing new of how, unless somebody says it.
            let is_silent = row.note.as_ref().is_none_or(String::is_empty);
            if row.reason == "closed_by_person" && is_silent {
                resolved.entry(row.incident).or_insert(row);
            } else {
                resolved.insert(row.incident, row);
            }
        }
    }
    rows.into_iter()
        .map(|row| {
            let how = resolved.remove(&row.id);
            let said = how.as_ref().map(|how| {
                let said = how.note.clone().filter(|note| !note.is_empty());
                let sentence = || {
                    let reason = crate::core::reason::Reason::from_code(&how.reason);
                    reason.map(|reason| reason.sentence().to_owned())
                };
                said.or_else(sentence).unwrap_or_default()
            });
            Ok(SimilarView {
                incident: crate::store::rows::incident_id(row.id)?,
                state: row.state,
                priority: row.priority,
                title: row.title,
                opened_at: Timestamp::from_millis(row.opened_at),
                resolved_at: row.resolved_at.map(Timestamp::from_millis),
                resolution: said,
                resolved_by: how.and_then(|how| how.actor),
                signature: row.signature,
            })
        })
        .collect()
}
