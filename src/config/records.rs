//! Reads the sections of the records beside incidents: `[change]`.
//!
//! Must not default anything that the shipped file writes.

use crate::config::reader::TableReader;
use crate::config::values;
use crate::core::rules::RecordRules;
use crate::core::time::Span;

const DAY: Span = Span::from_days(1);

/// Reads all of them.
pub(super) fn read(root: &mut TableReader<'_>) -> RecordRules {
    let mut rules = RecordRules::default();
    if let Some(mut table) = root.table("change") {
        rules.suspect_within = table
            .required("suspect_within", values::duration(Span::ZERO..=DAY))
            .unwrap_or_default();
        table.finish();
    }
    rules
}
