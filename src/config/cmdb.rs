//! Reads `[cmdb]`: whose word counts when imports disagree, rules that bind alerts, and the imports.
//!
//! Must not evaluate a rule; it is compiled here so that its errors have a file and a line.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use crate::config::error::Complaint;
use crate::config::imports::{self, ImportSettings};
use crate::config::reader::{Spot, TableReader, expected};
use crate::config::tree::{Node, Value};
use crate::config::values;
use crate::core::bind::rule::BindRule;
use crate::core::cmdb::merge::Precedence;
use crate::core::rules::CmdbRules;

/// Reads the section.
pub(super) fn read(root: &mut TableReader<'_>) -> (CmdbRules, Vec<ImportSettings>) {
    let Some(mut table) = root.table("cmdb") else {
        return (CmdbRules::default(), Vec::new());
    };
    let imports = table.list("precedence", values::text);
    let attributes = table.optional("attribute_precedence", attributes);
    let bind = table.tables("bind").into_iter().enumerate();
    let rules = CmdbRules {
        precedence: Precedence {
            imports: imports.into_iter().map(SmolStr::from).collect(),
            attributes: attributes.unwrap_or_default(),
        },
        bind: bind
            .filter_map(|(index, rule)| read_rule(index, rule))
            .collect(),
    };
    let imports = imports::read(table.tables("import"));
    table.finish();
    (rules, imports)
}

fn attributes(spot: &Spot<'_>) -> Result<BTreeMap<SmolStr, Vec<SmolStr>>, Complaint> {
    let hint = "write a table of lists, like { owner = [\"servicenow\"] }";
    let Value::Table(table) = &spot.node.value else {
        return Err(expected("a table", &spot.node.value).hint(hint));
    };
    let entries = table.iter();
    entries
        .map(|(name, (_, node))| {
            let names = names(node).map_err(|Complaint { message, .. }| {
                Complaint::new(format!("`{name}`: {message}")).hint(hint)
            });
            Ok((SmolStr::new(name), names?))
        })
        .collect()
}

fn names(node: &Node) -> Result<Vec<SmolStr>, Complaint> {
    let text = |node: &Node| match &node.value {
        Value::Text(text) => Ok(SmolStr::new(text.as_str())),
        other @ (Value::Integer(_)
        | Value::Float
        | Value::Flag(_)
        | Value::Date
        | Value::List(_)
        | Value::Table(_)) => Err(expected("the name of an import", other)),
    };
    match &node.value {
        Value::List(items) => items.iter().map(text).collect(),
        Value::Text(_)
        | Value::Integer(_)
        | Value::Float
        | Value::Flag(_)
        | Value::Date
        | Value::Table(_) => Ok(vec![text(node)?]),
    }
}

fn read_rule(index: usize, mut table: TableReader<'_>) -> Option<BindRule> {
    let name = table.optional("name", values::text);
    let name = name.unwrap_or_else(|| format!("bind[{index}]"));
    let when = table.optional("when", values::text);
    let ci = table.required("ci", values::text);
    let rule = ci.and_then(|ci| {
        let rule = BindRule::compile(&name, when.as_deref(), &ci);
        rule.map_err(|(key, message)| {
            let hint = "write a Jinja expression, like \"'meter-' ~ labels.meter\"";
            table.refuse(Some(key), Complaint::new(message).hint(hint));
        })
        .ok()
    });
    table.finish();
    rule
}
