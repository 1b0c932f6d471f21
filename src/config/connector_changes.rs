//! Reads `changes` of a `[[connector]]`: the change records that are read from its platform.
//!
//! Must not name a platform; the reader of change records knows which profiles it can read.

use std::collections::BTreeMap;

use crate::config::error::Complaint;
use crate::config::reader::TableReader;
use crate::config::{connectors, values};
use crate::connectors::change_list::{ChangePlatform, ChangeQuery};
use crate::core::time::Span;

const EVERY: Span = Span::from_mins(5);
const FIRST_LOOK: Span = Span::from_days(7);
const SECOND: Span = Span::from_secs(1);
/// Fields of ours that may stand elsewhere in an installation.
const FIELDS: [&str; 6] = ["starts_at", "ends_at", "ci", "risk", "approval", "type"];

/// `changes` of a connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangePollSettings {
    /// Which.
    pub query: ChangeQuery,
    /// How often.
    pub every: Span,
    /// How far the first look reaches back.
    pub first_look: Span,
    /// Whether people are not told of alerts of their CIs while they are made.
    pub maintenance: bool,
}

/// Reads it.
pub(super) fn read(
    table: &mut TableReader<'_>,
    profile: Option<&str>,
) -> Option<ChangePollSettings> {
    let mut changes = table.table("changes")?;
    let platform = profile.and_then(ChangePlatform::of_profile);
    if let (Some(profile), None) = (profile, platform) {
        let message = format!("change records cannot be read from {profile}");
        let hint =
            "they are read from servicenow and jira; others can send them, see docs/changes.md";
        changes.refuse(None, Complaint::new(message).hint(hint));
    }
    let has_query = changes.has("query");
    let query = changes.optional("query", values::text).unwrap_or_default();
    if platform == Some(ChangePlatform::Jira) && !has_query {
        let message = "which issues are changes is missing";
        let hint = "write query = \"project = CHG AND issuetype = Change\"";
        changes.refuse(Some("query"), Complaint::new(message).hint(hint));
    }
    let fields: BTreeMap<_, _> = changes
        .optional("fields", connectors::texts)
        .unwrap_or_default();
    if let Some(odd) = fields.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        let message = format!("{odd:?} is no field of a change");
        let hint = format!("the fields are {}", FIELDS.join(", "));
        changes.refuse(Some("fields"), Complaint::new(message).hint(hint));
    }
    let day = Span::from_days(1);
    let settings = ChangePollSettings {
        every: changes
            .optional("every", values::duration(SECOND..=day))
            .unwrap_or(EVERY),
        first_look: changes
            .optional(
                "first_look",
                values::duration(SECOND..=Span::from_days(366)),
            )
            .unwrap_or(FIRST_LOOK),
        maintenance: changes
            .optional("maintenance", values::flag)
            .unwrap_or_default(),
        query: ChangeQuery {
            platform: platform.unwrap_or(ChangePlatform::ServiceNow),
            query: query.trim().to_owned(),
            table: changes
                .optional("table", values::text)
                .unwrap_or_else(|| "change_request".to_owned()),
            fields,
        },
    };
    changes.finish();
    platform.map(|_| settings)
}
