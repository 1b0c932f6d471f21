//! Reads the `when` of a rule.
//!
//! Must not evaluate it; it is compiled here so that its errors have a file and a line.

use crate::config::error::Complaint;
use crate::config::reader::{Spot, TableReader};
use crate::config::values;
use crate::core::condition::{Condition, Section};

/// The condition of a rule that people know as `rule`, like `sla[2]`; a rule without `when` always applies. `None` (with
/// an error) when it is wrong.
pub(super) fn when(table: &mut TableReader<'_>, section: Section, rule: &str) -> Option<Condition> {
    named(table, "when", section, rule)
}

/// The same under another key.
pub(super) fn named(
    table: &mut TableReader<'_>,
    key: &'static str,
    section: Section,
    rule: &str,
) -> Option<Condition> {
    let is_written = table.has(key);
    let read = |spot: &Spot<'_>| {
        let source = values::text(spot)?;
        Condition::compile(section, rule, source.trim()).map_err(|message| {
            let hint = "write a Jinja expression, like \"incident.priority <= 'P2'\"";
            Complaint::new(message).hint(hint)
        })
    };
    let read = table.optional(key, read);
    if is_written {
        return read;
    }
    Some(Condition::always(section, rule))
}
