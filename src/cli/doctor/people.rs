//! People: gaps of schedules, who cannot be reached, and incidents that nobody looks after.
//!
//! Must not tell anybody anything.

use serde::Deserialize;

use super::Finding;
use crate::cli::client::{Client, parse};
use crate::cli::machine::now;
use crate::cli::target;
use crate::config::Settings;
use crate::config::gaps::warnings;

#[derive(Deserialize)]
struct Unattended {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    incident: String,
    detail: Option<String>,
}

/// Checks who is told, as configured and as it is now.
pub(super) async fn check(settings: &Settings) -> Vec<Finding> {
    let check = "on call";
    let warned = warnings(settings, now());
    let next = "docs/on-call.md tells how schedules, people and ladders are written";
    let mut findings: Vec<_> = warned
        .into_iter()
        .map(|text| Finding::warn(check, text, next))
        .collect();
    if findings.is_empty() && !settings.on_call.schedules.is_empty() {
        findings.push(Finding::ok(
            check,
            "every schedule is covered for five weeks",
        ));
    }
    findings.extend(unattended(settings).await);
    findings
}

/// What the daemon's auditor says; nothing when it does not answer, or asks for a token.
async fn unattended(settings: &Settings) -> Option<Finding> {
    let check = "incidents";
    let client = Client::to(&target::of_settings(settings)?, None, None).ok()?;
    let query = [("care", "nobody".to_owned())];
    let answer = client.get(&["escalations", "audit"], &query).await.ok()?;
    let found: Unattended = parse(&answer).ok()?;
    let Some(first) = found.items.first() else {
        return Some(Finding::ok(check, "somebody looks after each open one"));
    };
    let why = first.detail.as_deref().unwrap_or("");
    let text = format!(
        "{} open without anybody who looks after them, among them {}: {why}",
        found.items.len(),
        first.incident
    );
    Some(Finding::warn(
        check,
        text,
        "acknowledge or assign them, and give their route an escalation",
    ))
}
