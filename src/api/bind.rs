//! What a person says about the configuration item of an alert.
//!
//! Must not decide anything: the core binds, and keeps what a person said.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use serde_json::Value;
use utoipa::ToSchema;

use super::ApiState;
use super::alerts::find;
use super::auth::Caller;
use super::body;
use super::problem::Problem;
use super::record_order::{Fields, give};
use super::shapes::Alert;
use crate::core::input::Rebound;
use crate::core::records::RecordOrder;

/// Which configuration item an alert is about.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "for the document only: bodies are read leniently")]
pub struct BindBody {
    /// Its id; null to let the rules decide again.
    ci: Option<String>,
    /// Why.
    reason: String,
}

/// Says which configuration item an alert is about. It holds until a person says otherwise.
#[utoipa::path(post, path = "/api/v1/alerts/{id}/bind", tag = "alerts", request_body = BindBody,
    params(("id" = String, Path, description = "The alert, like A-17")),
    responses((status = 200, description = "The alert afterwards", body = Alert)))]
pub async fn bind(
    State(api): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<Alert>, Problem> {
    let view = find(&api, &id).await?;
    let fields = Fields(body::read(body).await?);
    let ci = match fields.0.get("ci") {
        None => {
            let detail = "ci is missing; give the id of a configuration item, or null to let the rules decide";
            return Err(Problem::bad_request(detail));
        }
        Some(Value::Null) => None,
        Some(_) => fields.text(&["ci"])?,
    };
    let reason = fields.required(&["reason", "note", "comment"])?;
    let pairs = |pairs: &BTreeMap<String, String>| {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
            .collect()
    };
    let told = Rebound {
        alert: view.alert.id,
        source: view.source.as_str().into(),
        labels: pairs(&view.labels),
        annotations: pairs(&view.annotations),
        hint: view.ci_hint.as_deref().map(Into::into),
        reason: None,
    };
    let order = RecordOrder::Bind {
        alert: Box::new(told),
        ci,
        reason: reason.as_str().into(),
    };
    give(&api, order, caller.actor, (None, None)).await?;
    Ok(Json(find(&api, &id).await?.into()))
}
