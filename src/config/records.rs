//! Reads the sections of the records beside incidents: `[change]`, `[[request]]`, `[problem]` and `[major]`.
//!
//! Must not default anything that the shipped file writes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;

use crate::config::conditions;
use crate::config::error::Complaint;
use crate::config::reader::{Spot, TableReader};
use crate::config::routes::known;
use crate::config::targets::TargetSettings;
use crate::config::values;
use crate::core::alert_facts::ALERT_VARIABLES;
use crate::core::condition::{Condition, Section};
use crate::core::expr::Expr;
use crate::core::records::problem::OCCURRENCES_KEPT;
use crate::core::records::{MajorRules, ProblemRules, RequestRule};
use crate::core::rules::RecordRules;
use crate::core::severity::Priority;
use crate::core::time::Span;

const DAY: Span = Span::from_days(1);
const MINUTE: Span = Span::from_mins(1);
const YEAR: Span = Span::from_days(366);
const PRIORITIES: &[(&str, &str)] = &[
    ("P1", "P1"),
    ("P2", "P2"),
    ("P3", "P3"),
    ("P4", "P4"),
    ("P5", "P5"),
];
/// Entries of the catalogue.
const REQUESTS_MAX: usize = 200;

/// Reads all of them.
pub(super) fn read(root: &mut TableReader<'_>, targets: &[TargetSettings]) -> RecordRules {
    let mut rules = RecordRules::default();
    if let Some(mut table) = root.table("change") {
        rules.suspect_within = table
            .required("suspect_within", values::duration(Span::ZERO..=DAY))
            .unwrap_or_default();
        table.finish();
    }
    rules.requests = requests(root.tables("request"));
    if let Some(mut table) = root.table("problem") {
        rules.problem = ProblemRules {
            after: table
                .required("after", values::count(0..=50))
                .unwrap_or_default(),
            within: table
                .required("within", values::duration(MINUTE..=OCCURRENCES_KEPT))
                .unwrap_or_default(),
        };
        table.finish();
    }
    if let Some(table) = root.table("major") {
        rules.major = major(table, targets);
    }
    rules
}

fn major(mut table: TableReader<'_>, targets: &[TargetSettings]) -> MajorRules {
    let has_rule = table.has("when");
    let condition = conditions::when(&mut table, Section::Other, "major");
    let rules = MajorRules {
        condition: condition.filter(|_| has_rule),
        update_every: table
            .required("update_every", values::duration(Span::ZERO..=DAY))
            .unwrap_or_default(),
        targets: table
            .list("targets", |spot| known(spot, targets))
            .into_iter()
            .map(SmolStr::from)
            .collect(),
        update: Arc::from(table.required("update", values::text).unwrap_or_default()),
        public: Arc::from(table.required("public", values::text).unwrap_or_default()),
    };
    table.finish();
    rules
}

fn requests(tables: Vec<TableReader<'_>>) -> Vec<RequestRule> {
    let mut rules: Vec<RequestRule> = Vec::with_capacity(tables.len());
    let mut places = BTreeMap::new();
    let mut open = Vec::new();
    for (index, mut table) in tables.into_iter().enumerate() {
        let rule = request(&mut table, index);
        if let Some(rule) = rule {
            if let Some(place) = places.insert(rule.name.clone(), table.place()) {
                let message = format!("the name {:?} is used at {place} already", rule.name);
                let hint = "every request of the catalogue needs a name of its own";
                table.refuse(Some("name"), Complaint::new(message).hint(hint));
            }
            if rules.len() == REQUESTS_MAX {
                let message = format!("there are more than {REQUESTS_MAX} requests");
                table.refuse(None, Complaint::new(message).hint("remove some"));
            }
            rules.push(rule);
        }
        open.push(table);
    }
    for (index, table) in open.into_iter().enumerate() {
        if let Some(rule) = rules.get(index) {
            check_chain(&table, rule, &rules);
        }
        table.finish();
    }
    rules
}

fn request(table: &mut TableReader<'_>, index: usize) -> Option<RequestRule> {
    let name = table.required("name", values::text);
    let is_written = table.has("when");
    let rule = format!("request[{index}]");
    let when = |spot: &Spot<'_>| {
        let source = values::text(spot)?;
        let condition =
            Condition::compile_with(Section::Other, &rule, source.trim(), &ALERT_VARIABLES);
        condition.map_err(|message| {
            let hint = "write a Jinja expression, like \"labels.alertname == 'CertificateExpiry'\"";
            Complaint::new(message).hint(hint)
        })
    };
    let condition = table.optional("when", when);
    let target = table.optional("target", values::duration(MINUTE..=YEAR));
    // As a service level calls it.
    let resolution = table.optional("resolution", values::duration(MINUTE..=YEAR));
    let rule = RequestRule {
        name: name.map(SmolStr::from).unwrap_or_default(),
        condition,
        title: table.optional("title", title).map(Arc::new),
        priority: table
            .optional("priority", values::word(PRIORITIES))
            .unwrap_or(Priority::P4.word())
            .into(),
        target: target.or(resolution),
        team: table.optional("team", values::text).map(SmolStr::from),
        then: table
            .list("then", values::text)
            .into_iter()
            .map(SmolStr::from)
            .collect(),
        ends_with_alert: table
            .optional("ends_with_alert", values::flag)
            .unwrap_or(true),
    };
    let is_fine = !rule.name.is_empty() && rule.condition.is_some() == is_written;
    is_fine.then_some(rule)
}

/// A text with `{{ expressions }}` in it, as one expression.
fn title(spot: &Spot<'_>) -> Result<Expr, Complaint> {
    let text = values::text(spot)?;
    let hint = "write a text with expressions in it, like \"Renew {{ labels.instance }}\"";
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    let mut parts = Vec::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((inside, behind)) = after.split_once("}}") else {
            return Err(Complaint::new("`{{` is not closed").hint(hint));
        };
        if !before.is_empty() {
            parts.push(quoted(before));
        }
        parts.push(format!("({})", inside.trim()));
        rest = behind;
    }
    if !rest.is_empty() || parts.is_empty() {
        parts.push(quoted(rest));
    }
    Expr::compile(&parts.join(" ~ "), &ALERT_VARIABLES)
        .map_err(|message| Complaint::new(message).hint(hint))
}

/// What follows a request must be in the catalogue, and must not lead back to it.
fn check_chain(table: &TableReader<'_>, rule: &RequestRule, all: &[RequestRule]) {
    let find = |name: &SmolStr| all.iter().find(|rule| rule.name == *name);
    for name in &rule.then {
        if find(name).is_none() {
            let message = format!("there is no request {name:?}");
            let hint = "write the name of a [[request]]";
            table.refuse(Some("then"), Complaint::new(message).hint(hint));
        }
    }
    let mut seen = BTreeSet::new();
    let mut next: Vec<&SmolStr> = rule.then.iter().collect();
    while let Some(name) = next.pop() {
        if *name == rule.name {
            let message = format!("the catalogue is circular: {name:?} leads back to itself");
            let hint = "take one of the names out of a `then`";
            table.refuse(Some("then"), Complaint::new(message).hint(hint));
            return;
        }
        if seen.insert(name) {
            next.extend(find(name).into_iter().flat_map(|rule| &rule.then));
        }
    }
}
