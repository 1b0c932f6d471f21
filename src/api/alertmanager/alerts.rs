//! `GET /api/v2/alerts` and `/api/v2/alerts/groups`: every firing alert, of whatever source, in Alertmanager's shape.
//!
//! There are no pages in this API: the whole list is one answer, up to a limit.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::query::Query;
use super::shapes::{AlertGroup, GettableAlert, RECEIVER};
use super::{Fault, plain};
use crate::api::ApiState;
use crate::core::silence::all_match;
use crate::core::silence::matcher::Matcher;
use crate::store::query::Page;
use crate::store::query::alerts::{self, AlertFilter, AlertOrder, AlertView};

/// Alerts of one answer: some 50 MB. Beyond it the answer is an error that says to filter.
const ALERTS_MAX: usize = 50_000;
/// Alerts read at once.
const PAGE: u32 = 500;

/// Firing alerts, sorted by fingerprint.
pub async fn list(
    State(api): State<ApiState>,
    query: Query,
) -> Result<Json<Vec<GettableAlert>>, Fault> {
    read(&api, &query).await.map(Json)
}

/// The same, one group per incident.
pub async fn groups(
    State(api): State<ApiState>,
    query: Query,
) -> Result<Json<Vec<AlertGroup>>, Fault> {
    let mut by_incident: BTreeMap<String, Vec<GettableAlert>> = BTreeMap::new();
    for alert in read(&api, &query).await? {
        let group = by_incident.entry(alert.incident.clone()).or_default();
        group.push(alert);
    }
    if !query.is_wanted("muted") {
        let is_told = |alert: &GettableAlert| alert.status.state == "active";
        by_incident.retain(|_, alerts| alerts.iter().any(is_told));
    }
    let groups = by_incident.into_iter();
    Ok(Json(
        groups
            .map(|(incident, alerts)| AlertGroup::new(incident, alerts))
            .collect(),
    ))
}

async fn read(api: &ApiState, query: &Query) -> Result<Vec<GettableAlert>, Fault> {
    let filters = query.filters()?;
    if !query.is_receiver(RECEIVER)? {
        return Ok(Vec::new());
    }
    let (active, silenced, inhibited) = (
        query.is_wanted("active"),
        query.is_wanted("silenced"),
        query.is_wanted("inhibited"),
    );
    // Whoever posts an alert reads it at once.
    api.setup().engine.until_settled().await;
    let views = read_firing(api, filters).await?;
    let mut found: Vec<GettableAlert> = views.into_iter().map(GettableAlert::from).collect();
    found.retain(|alert| {
        let status = &alert.status;
        (active || status.state != "active")
            && (silenced || !status.is_silenced())
            && (inhibited || !status.is_inhibited())
    });
    found.sort_by(|one, other| one.fingerprint.cmp(&other.fingerprint));
    Ok(found)
}

/// Every firing alert that matches.
async fn read_firing(api: &ApiState, filters: Vec<Matcher>) -> Result<Vec<AlertView>, Fault> {
    let found = api
        .read(async move |db| {
            let filter = AlertFilter {
                is_firing: Some(true),
                ..AlertFilter::default()
            };
            let mut page = Page {
                limit: PAGE,
                is_newest_first: false,
                after: None,
            };
            let mut found = Vec::new();
            loop {
                let mut reader = db.snapshot().await?;
                let listed = alerts::list(reader.lend(), &filter, AlertOrder::Id, page).await?;
                drop(reader);
                found.extend(listed.items.into_iter().filter(|view| {
                    all_match(&filters, |name| view.labels.get(name).map(String::as_str))
                }));
                page.after = listed.next;
                if page.after.is_none() || found.len() > ALERTS_MAX {
                    return Ok(found);
                }
            }
        })
        .await?;
    if found.len() > ALERTS_MAX {
        let why = format!(
            "more than {ALERTS_MAX} alerts match; name some with filter, or use /api/v1/alerts, which has pages"
        );
        return Err(plain(StatusCode::INTERNAL_SERVER_ERROR, &why));
    }
    Ok(found)
}
