//! Ticket platforms: where each stands, what is said with it, and the orders of people about it.
//!
//! Must not talk with a platform.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::collections::BTreeMap;
use utoipa::ToSchema;

use super::ApiState;
use super::auth::Caller;
use super::page::{List, PageQuery, Params, Sorting};
use super::problem::Problem;
use super::shapes::{CONNECTOR_REMOVED, rests};
use super::time::Time;
use crate::core::rules::Rules;
use crate::core::ticket::order::{TicketOrder, Wanted};
use crate::core::ticket::report::Exchange;
use crate::store::tickets::{self as store, TicketView};

const SORTING: Sorting = Sorting {
    list: "connectors",
    words: &["id"],
};

/// Where a connector stands.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct ConnectorStatus {
    /// Its name.
    #[schema(example = "snow")]
    pub name: String,
    /// The profile of its platform.
    #[schema(example = "servicenow")]
    pub profile: String,
    /// The platform.
    pub title: String,
    /// Where its API is.
    pub url: String,
    /// `ok`, `failing`, `waiting` (it asks to wait, or is left alone after failures), `paused`, or `removed` when the
    /// configuration no longer names it although it has tickets.
    #[schema(example = "ok")]
    pub state: String,
    /// What was wrong last; null once something went well.
    pub last_error: Option<String>,
    /// When something was wrong last.
    pub last_error_at: Option<Time>,
    /// When something went well last.
    pub last_success_at: Option<Time>,
    /// Until when it is left alone.
    pub waits_until: Option<Time>,
    /// When it was looked last what changed there.
    pub polled_at: Option<Time>,
    /// Whether requests that change something are only logged.
    pub dry_run: bool,
    /// Tickets by where they stand.
    pub tickets: BTreeMap<String, i64>,
    /// Problems and requests that are kept there (`send` of the connector), as far as they were looked at since the start.
    pub records: Vec<KeptRecord>,
    /// What could not be verified about the platform.
    pub unverified: Vec<String>,
}

/// A problem or a request with its counterpart on a platform.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KeptRecord {
    /// Its number here.
    #[schema(example = "PRB-3")]
    pub record: String,
    /// Its number there.
    #[schema(example = "PRB0040007")]
    pub id: String,
    /// Link to it.
    pub url: Option<String>,
    /// Its status there, in the platform's words.
    pub status: String,
}

/// A ticket with everything that is known about it.
#[derive(Debug, Serialize, ToSchema)]
pub struct TicketDetail {
    /// The connector.
    connector: String,
    /// Its number there.
    id: Option<String>,
    /// Link to it.
    url: Option<String>,
    /// Where it stands.
    state: String,
    /// Why nothing is written any more.
    error: Option<String>,
    /// What it is found by.
    key: String,
    /// Its status in the platform's words.
    remote_status: Option<String>,
    /// What that status means.
    remote_state: Option<String>,
    /// Who has it there.
    remote_assignee: Option<String>,
    /// What it shall be.
    wanted_state: Option<String>,
    /// Numbers of the tickets before this one.
    former: Vec<String>,
    /// When it changed last.
    changed_at: Time,
    /// What was said about it, oldest first.
    exchanges: Vec<ExchangeShape>,
}

/// One request and what came back.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExchangeShape {
    /// When it was sent.
    at: Time,
    /// What for.
    step: String,
    /// The method.
    method: String,
    /// The path.
    path: String,
    /// The status of the answer; 0 when none came.
    status: u16,
    /// How long it took.
    took_ms: i64,
    /// What was wrong with it.
    error: Option<String>,
}

/// What is to be brought in step.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResyncBody {
    /// Only the ticket of this incident; one that was detached gets another ticket then.
    incident: Option<String>,
}

impl From<Exchange> for ExchangeShape {
    fn from(one: Exchange) -> Self {
        Self {
            at: one.at.into(),
            step: one.step.to_string(),
            method: one.method.to_string(),
            path: one.path.to_string(),
            status: one.status,
            took_ms: one.took_ms,
            error: one.error.map(|error| error.to_string()),
        }
    }
}

impl TicketDetail {
    fn new(view: TicketView, said: Vec<Exchange>) -> Self {
        let record = view.link.record.as_ref();
        let word = |state: crate::core::incident::StateWord| state.word().to_owned();
        Self {
            remote_status: record.map(|record| record.status.to_string()),
            remote_state: record.and_then(|record| record.state).map(word),
            remote_assignee: record
                .and_then(|record| record.assignee.as_ref())
                .map(ToString::to_string),
            wanted_state: view.link.wanted.state.map(word),
            former: view.link.former.iter().map(ToString::to_string).collect(),
            connector: view.connector,
            id: view.number,
            url: view.url,
            state: view.standing,
            error: view.error,
            key: view.key,
            changed_at: view.changed_at.into(),
            exchanges: said.into_iter().map(ExchangeShape::from).collect(),
        }
    }

    fn judged(mut self, rules: &Rules) -> Self {
        if rests(&self.connector, &self.state, false, rules) {
            "paused".clone_into(&mut self.state);
            self.error = Some(CONNECTOR_REMOVED.to_owned());
        }
        self
    }
}

/// The configured connectors, by name.
#[utoipa::path(get, path = "/api/v1/connectors", tag = "connectors", params(PageQuery), responses(
    (status = 200, description = "All connectors", body = List<ConnectorStatus>),
))]
pub async fn list(
    State(api): State<ApiState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<ConnectorStatus>>, Problem> {
    let wanted = Params::read(query.as_deref(), &[])?.wanted(SORTING)?;
    Ok(Json(wanted.slice(statuses(&api).await)))
}

/// One connector.
#[utoipa::path(get, path = "/api/v1/connectors/{name}", tag = "connectors",
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "The connector", body = ConnectorStatus)),
)]
pub async fn get(
    State(api): State<ApiState>,
    Path(name): Path<String>,
) -> Result<Json<ConnectorStatus>, Problem> {
    find(&api, &name).await.map(Json)
}

/// The tickets of an incident with everything that was said about them.
#[utoipa::path(get, path = "/api/v1/incidents/{number}/tickets", tag = "incidents",
    params(("number" = String, Path, description = "Its number, like INC-42 or 42")),
    responses((status = 200, description = "Its tickets", body = Vec<TicketDetail>)),
)]
pub async fn of_incident(
    State(api): State<ApiState>,
    Path(number): Path<String>,
) -> Result<Json<Vec<TicketDetail>>, Problem> {
    let id = super::incidents::id(&number)?;
    super::incidents::find(&api, id).await?;
    let rules = api.setup().engine.rules();
    let tickets = api
        .read(async move |db| {
            let mut reader = db.reader().await?;
            let mut found = store::of_incidents(reader.lend(), &[id]).await?;
            let mut tickets = Vec::new();
            for view in found.remove(&id).unwrap_or_default() {
                let said = store::exchanges(reader.lend(), id, &view.connector).await?;
                tickets.push(TicketDetail::new(view, said).judged(&rules));
            }
            Ok(tickets)
        })
        .await?;
    Ok(Json(tickets))
}

/// Pause a connector: nothing is sent or read until it goes on.
#[utoipa::path(post, path = "/api/v1/connectors/{name}/pause", tag = "connectors",
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "The connector", body = ConnectorStatus)),
)]
pub async fn pause(
    State(api): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<ConnectorStatus>, Problem> {
    order(api, caller, name, Wanted::Pause).await
}

/// Let a connector go on.
#[utoipa::path(post, path = "/api/v1/connectors/{name}/resume", tag = "connectors",
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "The connector", body = ConnectorStatus)),
)]
pub async fn resume(
    State(api): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<ConnectorStatus>, Problem> {
    order(api, caller, name, Wanted::Resume).await
}

/// Read and compare tickets anew, and try refused ones again.
#[utoipa::path(post, path = "/api/v1/connectors/{name}/resync", tag = "connectors",
    params(("name" = String, Path, description = "Its name")), request_body = ResyncBody,
    responses((status = 200, description = "The connector", body = ConnectorStatus)),
)]
pub async fn resync(
    State(api): State<ApiState>,
    caller: Caller,
    Path(name): Path<String>,
    body: Body,
) -> Result<Json<ConnectorStatus>, Problem> {
    let wanted: ResyncBody = super::body::read(body).await?;
    let incident = wanted.incident.as_deref();
    let incident = incident.map(super::incidents::id).transpose()?;
    order(api, caller, name, Wanted::Resync { incident }).await
}

async fn order(
    api: ApiState,
    caller: Caller,
    name: String,
    wanted: Wanted,
) -> Result<Json<ConnectorStatus>, Problem> {
    find(&api, &name).await?;
    let order = TicketOrder {
        connector: SmolStr::new(&name),
        wanted,
        actor: caller.actor,
    };
    let engine = api.setup().engine.clone();
    let answer = api
        .run(async move { engine.order_connector(order).await })
        .await?;
    let answer = answer.map_err(Problem::from)?;
    if answer.is_refused {
        return Err(Problem::not_found(answer.reason.sentence()));
    }
    find(&api, &name).await.map(Json)
}

async fn find(api: &ApiState, name: &str) -> Result<ConnectorStatus, Problem> {
    let found = statuses(api).await.into_iter().find(|one| one.name == name);
    found.ok_or_else(|| Problem::not_found(format!("there is no connector {name:?}")))
}

async fn statuses(api: &ApiState) -> Vec<ConnectorStatus> {
    let mut all = (api.setup().connectors)();
    let looked = api.setup().engine.look(|state| {
        let tickets = state.tickets();
        let counts = tickets.counts().iter();
        let counts: Vec<_> = counts
            .map(|((connector, standing), count)| (connector.clone(), standing.word(), *count))
            .collect();
        (tickets.paused().cloned().collect::<Vec<_>>(), counts)
    });
    let Ok((paused, counts)) = looked.await else {
        return all;
    };
    let rules = api.setup().engine.rules();
    for (connector, _, count) in &counts {
        let is_known = rules.connectors.iter().any(|rule| rule.name == *connector);
        if *count > 0 && !is_known && !all.iter().any(|one| one.name == *connector) {
            all.push(ConnectorStatus {
                name: connector.to_string(),
                state: "removed".to_owned(),
                last_error: Some(CONNECTOR_REMOVED.to_owned()),
                ..ConnectorStatus::default()
            });
        }
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    for one in &mut all {
        if paused.iter().any(|name| *name == one.name) {
            "paused".clone_into(&mut one.state);
        }
        let own = counts
            .iter()
            .filter(|(connector, ..)| *connector == one.name);
        one.tickets = own
            .filter(|(_, _, count)| *count > 0)
            .map(|(_, word, count)| ((*word).to_owned(), *count))
            .collect();
    }
    all
}
