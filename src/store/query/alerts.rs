//! Alerts as readers see them, with their texts.

use std::collections::BTreeMap;

use super::cmdb::{ACTIVE, CiName};
use super::select::{Select, pattern};
use super::silences::{self, UPSTREAM};
use super::{Listed, Page, Position};
use crate::core::alert::Alert;
use crate::core::ids::{AlertId, IncidentId};
use crate::core::severity::Severity;
use crate::store::rows::{ALERT_COLUMNS, AlertRow, row};
use crate::store::{Conn, StoreError, on};

/// Which alerts are wanted; an empty list means any.
#[derive(Clone, Debug, Default)]
pub struct AlertFilter {
    /// Whether firing ones, resolved ones, or both (`None`).
    pub is_firing: Option<bool>,
    /// Of one of these severities.
    pub severities: Vec<Severity>,
    /// Of one of these sources.
    pub sources: Vec<String>,
    /// That belong, or last belonged, to one of these incidents.
    pub incidents: Vec<IncidentId>,
    /// That ever belonged to this incident.
    pub member_of: Option<IncidentId>,
    /// With one of these ids.
    pub ids: Vec<AlertId>,
    /// About one of these CIs, by id.
    pub cis: Vec<String>,
    /// With this text in the summary, the labels or the key.
    pub search: Option<String>,
}

/// What alerts are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertOrder {
    /// The order of first arrival.
    Id,
    /// When the last message about it was received.
    LastSeen,
}

/// An alert with its texts.
#[derive(Clone, Debug)]
pub struct AlertView {
    /// The record.
    pub alert: Alert,
    /// Its key as text.
    pub key: String,
    /// The name of its source.
    pub source: String,
    /// One line for people.
    pub summary: String,
    /// Labels by name.
    pub labels: BTreeMap<String, String>,
    /// Annotations by name.
    pub annotations: BTreeMap<String, String>,
    /// Link to where it was made, or empty.
    pub generator_url: String,
    /// Whether something of it was too long and has been cut.
    pub is_cut: bool,
    /// What keeps people from being told of it: `upstream` or `silence:<id>`.
    pub suppressed_by: Vec<String>,
    /// Whether it comes and goes.
    pub is_flapping: bool,
    /// What the source says about which CI it is about.
    pub ci_hint: Option<String>,
    /// The CI that it is about.
    pub ci: Option<CiName>,
    /// How that was found; `None` while there was no CMDB.
    pub binding: Option<BindingView>,
}

/// How an alert's CI was found.
#[derive(Clone, Debug)]
pub struct BindingView {
    /// `bound`, `unbound` or `ambiguous`.
    pub outcome: String,
    /// Why.
    pub reason: String,
    /// Numbers of the CIs that would have fitted.
    pub candidates: Vec<i64>,
}

row! {
    struct ViewRow {
        ..alert: AlertRow = ALERT_COLUMNS;
        source: String,
        summary: String,
        labels: String,
        annotations: String,
        generator_url: String,
        is_cut: bool,
        ci_hint: Option<String>,
        outcome: Option<String>,
        reason: Option<String>,
        candidates: Option<String>,
        ci_id: Option<String>,
        ci_name: Option<String>,
        ci_class: Option<String>,
        is_flapping: bool,
    }
}

/// Alerts by id or by last message.
///
/// # Errors
/// The database cannot be read.
pub async fn list(
    mut conn: Conn<'_>,
    filter: &AlertFilter,
    order: AlertOrder,
    page: Page,
) -> Result<Listed<AlertView>, StoreError> {
    let mut select = start();
    let severities: Vec<_> = filter.severities.iter().map(|one| one.word()).collect();
    select.sql(" WHERE TRUE");
    if let Some(is_firing) = filter.is_firing {
        let status = if is_firing { "firing" } else { "resolved" };
        select.sql(" AND s.status = ").text(status);
    }
    if !filter.incidents.is_empty() {
        // The members are few; they lead to the alerts faster than a walk over all of them.
        let ids: Vec<_> = filter.incidents.iter().map(|id| id.get()).collect();
        select
            .any_number(" AND s.incident IN", &ids, "")
            .any_number(
                " AND k.id IN (SELECT m.alert FROM incident_alert m WHERE m.incident IN",
                &ids,
                ")",
            );
    }
    let ids: Vec<_> = filter.ids.iter().map(|id| id.get()).collect();
    select.any_number(" AND k.id IN", &ids, "");
    if let Some(id) = filter.member_of {
        let members = " AND k.id IN (SELECT m.alert FROM incident_alert m WHERE m.incident = ";
        select.sql(members).number(id.get()).sql(")");
    }
    select.any_of(" AND s.severity IN", &severities, "").any_of(
        " AND source.name IN",
        &filter.sources,
        "",
    );
    // By id, or by the name that people know.
    select
        .any_of(" AND (ci.id IN", &filter.cis, "")
        .any_of(" OR ci.name IN", &filter.cis, ")");
    if let Some(text) = &filter.search {
        let pattern = pattern(text);
        select
            .sql(" AND (lower(t.summary) LIKE lower(")
            .text(&pattern)
            .sql(r") ESCAPE '\' OR lower(t.labels) LIKE lower(")
            .text(&pattern)
            .sql(r") ESCAPE '\' OR lower(k.key) LIKE lower(")
            .text(&pattern)
            .sql(r") ESCAPE '\')");
    }
    let column = match order {
        AlertOrder::Id => "k.id",
        AlertOrder::LastSeen => "s.last_seen_at",
    };
    select.page(page, column, "k.id");
    let rows: Vec<ViewRow> = select.fetch(conn.lend()).await?;
    let views: Result<Vec<_>, _> = rows.into_iter().map(ViewRow::into_view).collect();
    let mut views = views?;
    silences::add_to_alerts(conn, &mut views).await?;
    Ok(Listed::of(views, page, |view| Position {
        value: match order {
            AlertOrder::Id => view.alert.id.get(),
            AlertOrder::LastSeen => view.alert.last_seen_at.as_millis(),
        },
        id: view.alert.id.get(),
    }))
}

/// One alert.
///
/// # Errors
/// The database cannot be read.
pub async fn find(mut conn: Conn<'_>, id: AlertId) -> Result<Option<AlertView>, StoreError> {
    let mut select = start();
    select.sql(" WHERE k.id = ").number(id.get());
    let rows: Vec<ViewRow> = select.fetch(conn.lend()).await?;
    let Some(row) = rows.into_iter().next() else {
        return Ok(None);
    };
    let mut views = [row.into_view()?];
    silences::add_to_alerts(conn, &mut views).await?;
    let [view] = views;
    Ok(Some(view))
}

/// How many alerts fire and how many have ended.
///
/// # Errors
/// The database cannot be read.
pub async fn count_by_status(conn: Conn<'_>) -> Result<(i64, i64), StoreError> {
    let row: (i64, i64) = on!(conn, c => sqlx::query_as(
        "SELECT CAST(COALESCE(SUM(CASE WHEN status = 'firing' THEN 1 ELSE 0 END), 0) AS BIGINT), COUNT(*) \
         FROM alert_state"
    ).fetch_one(c).await?);
    Ok((row.0, row.1.saturating_sub(row.0)))
}

fn start() -> Select {
    let mut select = Select::new("SELECT ");
    select
        .sql(ALERT_COLUMNS)
        .sql(", source.name, COALESCE(t.summary, ''), COALESCE(t.labels, '{}'), COALESCE(t.annotations, '{}'), ")
        .sql("COALESCE(t.generator_url, ''), COALESCE(t.is_cut, FALSE), t.ci_hint, ")
        .sql("b.outcome, b.reason, b.candidates, ci.id, ci.name, ci.class, EXISTS (SELECT 1 FROM alert_flap f ")
        .sql("WHERE f.alert = k.id AND f.is_flapping) FROM alert_key k ")
        .sql("JOIN alert_state s ON s.id = k.id ")
        .sql("JOIN source ON source.partition = k.partition AND source.id = k.source ")
        .sql("LEFT JOIN alert_text t ON t.id = k.id LEFT JOIN alert_binding b ON b.alert = k.id ")
        .sql("LEFT JOIN ci_version ci ON ci.number = b.ci AND ci.from_version <= ")
        .sql(ACTIVE)
        .sql(" AND (ci.to_version IS NULL OR ci.to_version > ")
        .sql(ACTIVE)
        .sql(")");
    select
}

impl ViewRow {
    fn into_view(self) -> Result<AlertView, StoreError> {
        let pairs = |column: &str, text: &str| {
            serde_json::from_str(text).map_err(|_| StoreError::corrupt("alert_text", column, text))
        };
        Ok(AlertView {
            key: self.alert.key.clone(),
            suppressed_by: if self.alert.is_muted_upstream {
                vec![UPSTREAM.to_owned()]
            } else {
                Vec::new()
            },
            is_flapping: self.is_flapping,
            alert: self.alert.into_core()?,
            source: self.source,
            summary: self.summary,
            labels: pairs("labels", &self.labels)?,
            annotations: pairs("annotations", &self.annotations)?,
            generator_url: self.generator_url,
            is_cut: self.is_cut,
            ci_hint: self.ci_hint,
            ci: CiName::of(self.ci_id, self.ci_name, self.ci_class),
            binding: self.outcome.map(|outcome| BindingView {
                outcome,
                reason: self.reason.unwrap_or_default(),
                candidates: serde_json::from_str(&self.candidates.unwrap_or_default())
                    .unwrap_or_default(),
            }),
        })
    }
}
