//! Reads `[[inhibit]]`: which incidents hold others.
//!
//! Must not look at an incident.

use crate::config::conditions;
use crate::config::reader::TableReader;
use crate::config::values;
use crate::core::condition::{Condition, Section};
use crate::core::mute::inhibit::InhibitRule;

/// Reads all rules, in order.
pub(super) fn read(tables: Vec<TableReader<'_>>) -> Vec<InhibitRule> {
    let mut rules = Vec::with_capacity(tables.len());
    for (index, mut table) in tables.into_iter().enumerate() {
        let name = table.optional("name", values::text);
        let name = name.unwrap_or_else(|| format!("inhibit[{index}]"));
        let by = conditions::named(&mut table, "by", Section::Other, &name);
        let when = conditions::named(&mut table, "when", Section::Other, &name);
        let always = || Condition::always(Section::Other, &name);
        rules.push(InhibitRule {
            // A wrong one is an error already.
            by: by.unwrap_or_else(always),
            when: when.unwrap_or_else(always),
            name: name.as_str().into(),
        });
        table.finish();
    }
    rules
}
