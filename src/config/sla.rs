//! Reads `[[sla]]` and `[priority]`.
//!
//! Must not decide which rule applies to what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;

use crate::config::conditions::when;
use crate::config::error::Complaint;
use crate::config::reader::{Spot, TableReader, expected, nearest};
use crate::config::tree::{Node, Value};
use crate::config::values::{self, FOREVER};
use crate::core::calendar::Calendar;
use crate::core::condition::Section;
use crate::core::outcome::CostRules;
use crate::core::priority::PriorityRules;
use crate::core::severity::{Priority, Severity};
use crate::core::sla::{SlaRule, SlaRules};
use crate::core::time::Span;

const SECOND: Span = Span::from_secs(1);
/// Shares of a target at which people are warned, when a rule says none.
const WARN_AT: [u16; 1] = [800];
const WARN_HINT: &str = "write shares of the target between 0 and 1, like [0.5, 0.8]";
const MATRIX_HINT: &str = "write three rows of three, like [[\"P1\", \"P2\", \"P3\"], [\"P2\", \"P3\", \"P4\"], [\"P3\", \"P4\", \"P5\"]]";

/// Reads the rules of service levels, in order.
pub(super) fn read(
    tables: Vec<TableReader<'_>>,
    calendars: BTreeMap<SmolStr, Arc<Calendar>>,
    is_calendar: &dyn Fn(&str) -> bool,
) -> SlaRules {
    let mut rules = Vec::new();
    let mut names = BTreeSet::new();
    for (index, mut table) in tables.into_iter().enumerate() {
        let name = table.optional("name", values::text);
        let name = name.unwrap_or_else(|| format!("sla[{index}]"));
        if !names.insert(name.clone()) {
            let message = format!("the name {name:?} is used already");
            let hint = "every rule that has a name needs one of its own";
            table.refuse(Some("name"), Complaint::new(message).hint(hint));
        }
        let rule = rule(&mut table, &name);
        if let Some(rule) = rule {
            check_calendar(&table, &rule, &calendars, is_calendar);
            rules.push(rule);
        }
        table.finish();
    }
    SlaRules { rules, calendars }
}

fn rule(table: &mut TableReader<'_>, name: &str) -> Option<SlaRule> {
    let when = when(table, Section::Sla, name);
    let response = table.optional("response", values::duration(SECOND..=FOREVER));
    let resolution = table.optional("resolution", values::duration(SECOND..=FOREVER));
    let calendar = table.optional("calendar", values::text).map(SmolStr::from);
    let is_warned = table.has("warn_at");
    let mut warn_at = table.list("warn_at", share);
    if !is_warned {
        warn_at = WARN_AT.to_vec();
    }
    warn_at.sort_unstable();
    warn_at.dedup();
    if !table.has("response") && !table.has("resolution") {
        let message = "a service level needs `response`, `resolution` or both";
        table.refuse(
            None,
            Complaint::new(message).hint("write response = \"30m\""),
        );
    }
    Some(SlaRule {
        when: when?,
        response,
        resolution,
        calendar,
        warn_at,
    })
}

fn check_calendar(
    table: &TableReader<'_>,
    rule: &SlaRule,
    calendars: &BTreeMap<SmolStr, Arc<Calendar>>,
    is_calendar: &dyn Fn(&str) -> bool,
) {
    let Some(name) = rule.calendar.as_deref().filter(|name| !is_calendar(name)) else {
        return;
    };
    let known: BTreeSet<&str> = calendars.keys().map(SmolStr::as_str).collect();
    let hint = match nearest(name, &known) {
        Some(near) => format!("did you mean {near:?}?"),
        None => {
            "write the name of a [[calendar]], or leave it out: then all time counts".to_owned()
        }
    };
    let message = format!("there is no calendar {name:?}");
    table.refuse(Some("calendar"), Complaint::new(message).hint(hint));
}

/// A share of a target, in 1/1,000.
fn share(spot: &Spot<'_>) -> Result<u16, Complaint> {
    let text = match &spot.node.value {
        Value::Float => spot.node.raw.clone().unwrap_or_default(),
        Value::Integer(Some(number)) => number.to_string(),
        Value::Text(text) => text.to_string(),
        other @ (Value::Integer(None)
        | Value::Flag(_)
        | Value::Date
        | Value::List(_)
        | Value::Table(_)) => return Err(expected("a share", other).hint(WARN_HINT)),
    };
    let wrong = || Complaint::new(format!("{text:?} is not a share of a target")).hint(WARN_HINT);
    let (digits, unit) = match text.strip_suffix('%') {
        Some(percent) => (percent.trim(), 10),
        None => (text.as_str(), 1_000),
    };
    thousandths(digits, unit)
        .filter(|share| (1..1_000).contains(share))
        .ok_or_else(wrong)
}

/// A decimal number times `unit`, without floating point; more than six digits behind the point do not count.
fn thousandths(digits: &str, unit: u64) -> Option<u16> {
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    if !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part: String = part.chars().chain("000000".chars()).take(6).collect();
    let millionths = whole
        .checked_mul(1_000_000)?
        .checked_add(part.parse().ok()?)?;
    u16::try_from(millionths.checked_mul(unit)? / 1_000_000).ok()
}

/// Reads how priorities are made.
pub(super) fn priority(root: &mut TableReader<'_>) -> PriorityRules {
    let usual = PriorityRules::default();
    let Some(mut table) = root.table("priority") else {
        return usual;
    };
    let grade = || values::count(1..=3);
    let small = |number: u32| u8::try_from(number).unwrap_or(3);
    let urgency = table.table("urgency").map(|mut table| {
        let urgency = Severity::ALL.map(|severity| {
            let number = table.required(severity.word(), grade());
            small(number.unwrap_or(3))
        });
        table.finish();
        urgency
    });
    let rules = PriorityRules {
        matrix: table.required("matrix", matrix).unwrap_or(usual.matrix),
        urgency: urgency.unwrap_or(usual.urgency),
        criticality: table
            .required("criticality", criticality)
            .unwrap_or(usual.criticality),
        services_many: table
            .required("services_many", values::count(1..=1_000_000))
            .unwrap_or(usual.services_many),
        spread: table
            .required("spread", values::count(2..=1_000_000))
            .unwrap_or(usual.spread),
        rising: table
            .required("rising", values::count(0..=1_000_000))
            .unwrap_or(usual.rising),
        rising_within: table
            .required(
                "rising_within",
                values::duration(Span::from_secs(1)..=FOREVER),
            )
            .unwrap_or(usual.rising_within),
        lower_after: table
            .required("lower_after", values::duration(Span::ZERO..=FOREVER))
            .unwrap_or(usual.lower_after),
    };
    table.finish();
    rules
}

/// Reads what incidents cost.
pub(super) fn cost(root: &mut TableReader<'_>) -> CostRules {
    let Some(mut table) = root.table("report") else {
        return CostRules::default();
    };
    let amount = || values::count(0..=1_000_000_000);
    let hundredths = |amount: Option<u32>| i64::from(amount.unwrap_or(0)).saturating_mul(100);
    let currency = table.required("currency", values::text);
    let per_incident = table.required("cost_per_incident", amount());
    let per_hour = table.table("cost_per_hour").map(|mut table| {
        let rates =
            Priority::ALL.map(|priority| hundredths(table.required(priority.word(), amount())));
        table.finish();
        rates
    });
    table.finish();
    CostRules {
        currency: currency.map(SmolStr::from).unwrap_or_default(),
        per_incident: hundredths(per_incident),
        per_hour: per_hour.unwrap_or_default(),
    }
}

fn matrix(spot: &Spot<'_>) -> Result<[[Priority; 3]; 3], Complaint> {
    let rows = three(spot.node)?;
    let row = |node: &Node| -> Result<[Priority; 3], Complaint> {
        let [first, second, third] = three(node)?;
        Ok([cell(first)?, cell(second)?, cell(third)?])
    };
    let [first, second, third] = rows;
    Ok([row(first)?, row(second)?, row(third)?])
}

fn three(node: &Node) -> Result<[&Node; 3], Complaint> {
    let Value::List(items) = &node.value else {
        return Err(expected("a list of three", &node.value).hint(MATRIX_HINT));
    };
    match items.as_slice() {
        [first, second, third] => Ok([first, second, third]),
        _ => {
            Err(Complaint::new(format!("expected three, found {}", items.len())).hint(MATRIX_HINT))
        }
    }
}

fn cell(node: &Node) -> Result<Priority, Complaint> {
    let word = match &node.value {
        Value::Text(text) => text.to_string(),
        Value::Integer(Some(number)) => format!("P{number}"),
        other @ (Value::Integer(None)
        | Value::Float
        | Value::Flag(_)
        | Value::Date
        | Value::List(_)
        | Value::Table(_)) => return Err(expected("a priority", other).hint(MATRIX_HINT)),
    };
    Priority::from_word(&word)
        .ok_or_else(|| Complaint::new(format!("{word:?} is not a priority")).hint(MATRIX_HINT))
}

/// Impact by criticality, 1 first.
fn criticality(spot: &Spot<'_>) -> Result<[u8; 5], Complaint> {
    let hint = "write five impacts of 1 to 3 for criticality 1 to 5, like [1, 2, 2, 2, 2]";
    let Value::List(items) = &spot.node.value else {
        return Err(expected("a list of five", &spot.node.value).hint(hint));
    };
    let impacts = items.iter().map(|item| match &item.value {
        Value::Integer(Some(number)) => u8::try_from(*number)
            .ok()
            .filter(|number| (1..=3).contains(number)),
        Value::Integer(None)
        | Value::Text(_)
        | Value::Float
        | Value::Flag(_)
        | Value::Date
        | Value::List(_)
        | Value::Table(_) => None,
    });
    let impacts: Option<Vec<u8>> = impacts.collect();
    let impacts = impacts.and_then(|impacts| <[u8; 5]>::try_from(impacts).ok());
    impacts.ok_or_else(|| Complaint::new("is not a list of five impacts").hint(hint))
}
