//! Reads `[[route]]` into checked settings.
//!
//! Must not try a route; a condition is only compiled here, so that its errors have a file and a line.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

use crate::config::conditions::when;
use crate::config::error::Complaint;
use crate::config::reader::{Spot, TableReader, nearest};
use crate::config::targets::TargetSettings;
use crate::config::values;
use crate::core::condition::{Condition, Section};
use crate::core::tell::route::Route;

/// Reads all routes, in order.
pub(super) fn read(tables: Vec<TableReader<'_>>, targets: &[TargetSettings]) -> Vec<Route> {
    let mut routes = Vec::with_capacity(tables.len());
    for (index, mut table) in tables.into_iter().enumerate() {
        table.also("targets", &["target", "to", "notify"]);
        table.also("zone", crate::config::schedules::ZONE);
        table.also("escalation", &["ladder", "escalation_policy"]);
        table.also("when", &["if", "match", "condition"]);
        let name = table.optional("name", values::text);
        let name = name.unwrap_or_else(|| format!("route[{index}]"));
        let route = Route {
            // A wrong one is an error already, and nothing is routed by it.
            when: when(&mut table, Section::Route, &name)
                .unwrap_or_else(|| Condition::always(Section::Route, &name)),
            zone: table.optional("zone", zone).unwrap_or(TimeZone::UTC),
            team: table.optional("team", values::text).map(Into::into),
            targets: table
                .list("targets", |spot| known(spot, targets))
                .into_iter()
                .map(Into::into)
                .collect(),
            escalation: table.optional("escalation", values::text).map(Into::into),
            goes_on: table.optional("continue", values::flag).unwrap_or_default(),
        };
        table.finish();
        routes.push(route);
    }
    routes
}

/// A time zone by its name.
pub(super) fn zone(spot: &Spot<'_>) -> Result<TimeZone, Complaint> {
    let name = spot.text("a time zone")?;
    TimeZone::get(name).map_err(|_| {
        Complaint::new(format!("{name:?} is not a time zone"))
            .hint("write a name of the IANA list, like Europe/Berlin or UTC")
    })
}

pub(super) fn known(spot: &Spot<'_>, targets: &[TargetSettings]) -> Result<String, Complaint> {
    let name = spot.text("the name of a target")?;
    if targets.iter().any(|target| target.name == name) {
        return Ok(name.to_owned());
    }
    let names: BTreeSet<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    let hint = match nearest(name, &names) {
        Some(near) => format!("did you mean {near:?}?"),
        None if names.is_empty() => "there is no [[target]] at all".to_owned(),
        None => {
            let listed: Vec<&str> = names.into_iter().collect();
            format!("the targets are {}", listed.join(", "))
        }
    };
    Err(Complaint::new(format!("there is no target {name:?}")).hint(hint))
}
