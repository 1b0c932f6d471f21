//! Reads `[answers]`: how people answer messages.
//!
//! Must not show a secret.

use crate::config::reader::TableReader;
use crate::config::routes::known;
use crate::config::secret::Secret;
use crate::config::targets::TargetSettings;
use crate::config::values;
use crate::core::time::Span;

const HOUR: Span = Span::from_hours(1);
const LONGEST: Span = Span::from_days(90);

/// `[answers]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerSettings {
    /// How long the link of a message works.
    pub link_expires: Span,
    /// The targets whose message of a resolved incident carries a link to rate by.
    pub rating_targets: Vec<String>,
    /// How long such a link works.
    pub rating_expires: Span,
    /// What Slack signs with.
    pub slack_signing_secret: Option<Secret>,
}

/// Reads the section.
pub(super) fn read(root: &mut TableReader<'_>, targets: &[TargetSettings]) -> AnswerSettings {
    let Some(mut table) = root.table("answers") else {
        return AnswerSettings::default();
    };
    let answers = AnswerSettings {
        link_expires: table
            .required("link_expires", values::duration(HOUR..=LONGEST))
            .unwrap_or_default(),
        rating_targets: table.list("rating_targets", |spot| known(spot, targets)),
        rating_expires: table
            .required("rating_expires", values::duration(HOUR..=LONGEST))
            .unwrap_or_default(),
        slack_signing_secret: table.optional("slack_signing_secret", values::remote_secret),
    };
    table.finish();
    answers
}
