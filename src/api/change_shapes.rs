//! What changes look like over the wire. Must not read a clock or the store.

use std::collections::BTreeMap;

use serde::Serialize;
use smol_str::SmolStr;
use utoipa::ToSchema;

use super::shapes::CiRef;
use super::time::Time;
use crate::core::records::Kind;
use crate::core::records::change::ItChange;
use crate::store::query::cmdb::CiName;
use crate::store::query::records::LinkView;

/// A change.
#[derive(Debug, Serialize, ToSchema)]
pub struct Change {
    /// Its id.
    #[schema(example = "CHG-7")]
    pub(super) id: String,
    /// The same, under the name that other records have for it.
    #[schema(example = "CHG-7")]
    number: String,
    /// Its id where it comes from.
    external_id: Option<String>,
    /// What kind of record it is: `change`.
    kind: &'static str,
    /// Where it comes from: the name of a source or connector, or `api`.
    source: String,
    /// One line for people.
    summary: String,
    /// The same, under the name that other records have for it.
    title: String,
    /// More of it.
    description: String,
    /// `normal`, `standard`, `emergency`, `deployment`, `release`, or another word.
    #[serde(rename = "type")]
    change_type: String,
    /// `planned`, `in_progress`, `successful`, `failed` or `cancelled`.
    state: &'static str,
    /// How risky it is said to be.
    risk: Option<String>,
    /// What the platform says about its approval.
    approval: Option<String>,
    /// The first configuration item that it changes.
    ci: Option<CiRef>,
    /// All of them.
    cis: Vec<CiRef>,
    /// Who makes it.
    by: Option<String>,
    /// Link to it, or empty.
    url: String,
    /// When it begins or began.
    starts_at: Option<Time>,
    /// When it ends or ended.
    ends_at: Option<Time>,
    /// When it was first heard of.
    recorded_at: Time,
    /// When it was changed last.
    updated_at: Time,
    /// Whether people are not told of alerts of its items while it is made.
    maintenance: bool,
    /// The incidents that a person says it caused.
    caused: Vec<String>,
}

/// A change beside an incident.
#[derive(Debug, Serialize, ToSchema)]
pub struct IncidentChange {
    /// The change's id.
    #[schema(example = "CHG-7")]
    id: String,
    /// One line for people.
    summary: String,
    /// What kind of change.
    #[serde(rename = "type")]
    change_type: String,
    /// Where the change stands.
    state: &'static str,
    /// `suspected`, `confirmed` or `dismissed`; the latter two only by a person.
    verdict: &'static str,
    /// How well the suspicion is founded: 0 to 1.
    score: f64,
    /// Why, in one sentence.
    why: String,
    /// The person who judged it.
    judged_by: Option<String>,
    /// The ids of the items that it changes.
    cis: Vec<String>,
    /// When it began.
    starts_at: Option<Time>,
    /// Link to it, or empty.
    url: String,
}

/// Shapes of changes, with what the CMDB calls their items.
pub(super) fn shape(change: &ItChange, names: &BTreeMap<String, CiName>) -> Change {
    let ci = |id: &SmolStr| match names.get(id.as_str()) {
        Some(name) => CiRef::from(name.clone()),
        None => CiRef {
            id: id.to_string(),
            name: id.to_string(),
            class: String::new(),
        },
    };
    let cis: Vec<CiRef> = change.cis.iter().map(ci).collect();
    let text = |text: &Option<SmolStr>| text.as_ref().map(ToString::to_string);
    Change {
        id: change.id.to_string(),
        number: change.id.to_string(),
        external_id: text(&change.external_id),
        kind: Kind::Change.word(),
        source: change.source.to_string(),
        summary: change.summary.to_string(),
        title: change.summary.to_string(),
        description: change.description.to_string(),
        change_type: change.kind.to_string(),
        state: change.state.word(),
        risk: text(&change.risk),
        approval: text(&change.approval),
        ci: cis.first().cloned(),
        cis,
        by: text(&change.by),
        url: change.url.to_string(),
        starts_at: change.starts_at.map(Time),
        ends_at: change.ends_at.map(Time),
        recorded_at: change.recorded_at.into(),
        updated_at: change.updated_at.into(),
        maintenance: change.opens_maintenance,
        caused: change.caused.iter().map(ToString::to_string).collect(),
    }
}

impl IncidentChange {
    /// The change of a link, if it is one.
    pub(super) fn of(view: &LinkView) -> Option<Self> {
        let change = view.record.as_change()?;
        Some(Self {
            id: change.id.to_string(),
            summary: change.summary.to_string(),
            change_type: change.kind.to_string(),
            state: change.state.word(),
            verdict: view.link.role.word(),
            score: f64::from(view.link.score) / 10_000.0,
            why: view.link.why.to_string(),
            judged_by: view.link.by.as_ref().map(ToString::to_string),
            cis: change.cis.iter().map(ToString::to_string).collect(),
            starts_at: change.starts_at.or(change.noted_at).map(Time),
            url: change.url.to_string(),
        })
    }
}
