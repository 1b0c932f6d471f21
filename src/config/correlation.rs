//! Reads `[correlation]`: how well conditions must be explained, and the operator's own rules.
//!
//! Must not evaluate a rule; it is compiled here so that its errors have a file and a line.

use smol_str::SmolStr;

use crate::config::error::Complaint;
use crate::config::reader::{Spot, TableReader, expected};
use crate::config::tree::Value;
use crate::config::values;
use crate::core::correlate::rule::{Bond, BondRule};
use crate::core::rules::CorrelationRules;
use crate::core::time::Span;

/// How long a rule brings together by itself.
const WITHIN: Span = Span::from_mins(15);
const DAY: Span = Span::from_hours(24);
const SECOND: Span = Span::from_secs(1);

/// Reads the section.
pub(super) fn read(root: &mut TableReader<'_>) -> CorrelationRules {
    let Some(mut table) = root.table("correlation") else {
        return CorrelationRules::default();
    };
    let percent = table.required("threshold_percent", values::count(1..=100));
    let rules = table.tables("rule").into_iter().enumerate();
    let rules = rules
        .filter_map(|(index, rule)| read_rule(index, rule))
        .collect();
    let rules = CorrelationRules {
        is_enabled: table.required("enabled", values::flag).unwrap_or_default(),
        learns: table.required("learn", values::flag).unwrap_or_default(),
        threshold: percent.unwrap_or_default().saturating_mul(100),
        keeps_environments_apart: table
            .required("environments_apart", values::flag)
            .unwrap_or_default(),
        separate_by: table
            .list("separate_by", values::text)
            .into_iter()
            .map(SmolStr::from)
            .collect(),
        rules,
    };
    table.finish();
    rules
}

fn read_rule(index: usize, mut table: TableReader<'_>) -> Option<BondRule> {
    let name = table.optional("name", values::text);
    let name = name.unwrap_or_else(|| format!("rule[{index}]"));
    let is_together = table.required("action", action);
    let when = table.optional("when", values::text);
    let by = table.optional("by", values::text);
    let within = table.optional("within", values::duration(SECOND..=DAY));
    if is_together == Some(true) && when.is_none() && by.is_none() {
        let message = "brings every alert together, as neither `when` nor `by` is given";
        table.refuse(
            Some("action"),
            Complaint::new(message).hint("say which alerts with `when`"),
        );
    }
    let rule = is_together.and_then(|is_together| {
        let bond = if is_together {
            Bond::Together(within.unwrap_or(WITHIN))
        } else if by.is_some() {
            Bond::Apart
        } else {
            Bond::Alone
        };
        let rule = BondRule::compile(&name, bond, when.as_deref(), by.as_deref());
        rule.map_err(|(key, message)| {
            let hint = "write a Jinja expression, like \"labels.batch\"";
            table.refuse(Some(key), Complaint::new(message).hint(hint));
        })
        .ok()
    });
    table.finish();
    rule
}

/// Whether a rule brings together; the other action keeps apart.
fn action(spot: &Spot<'_>) -> Result<bool, Complaint> {
    let wanted = "\"together\" or \"apart\"";
    match &spot.node.value {
        Value::Text(text) if text.as_str() == "together" => Ok(true),
        Value::Text(text) if text.as_str() == "apart" => Ok(false),
        other @ (Value::Text(_)
        | Value::Integer(_)
        | Value::Float
        | Value::Flag(_)
        | Value::Date
        | Value::List(_)
        | Value::Table(_)) => Err(expected(wanted, other)),
    }
}
