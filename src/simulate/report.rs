//! The lines of the result: first every occurrence, then every incident.
//!
//! Must not compute anything but counts.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use crate::core::ids::IncidentId;
use crate::lab::tracks::Tracks;
use crate::simulate::line::Epoch;

#[derive(Serialize)]
struct OccurrenceLine<'a> {
    alert: &'a str,
    incident: Option<String>,
    ci: Option<&'a str>,
    binding: Option<&'static str>,
    binding_reason: Option<&'a str>,
}

#[derive(Serialize)]
struct IncidentLine<'a> {
    incident: String,
    opened_at: f64,
    roots: Vec<RootLine<'a>>,
    services: Vec<&'a str>,
    alerts: u64,
    why: &'a str,
}

#[derive(Serialize)]
struct RootLine<'a> {
    ci: &'a str,
    score: f64,
    inferred: bool,
}

/// Writes the result of a simulation.
///
/// # Errors
/// The place cannot be written.
pub fn write(tracks: &Tracks, epoch: Epoch, to: &mut dyn Write) -> io::Result<()> {
    let mut alerts: BTreeMap<IncidentId, u64> = BTreeMap::new();
    for occurrence in tracks.occurrences() {
        let incident = tracks.incident_of(occurrence);
        if let Some(incident) = incident {
            let count = alerts.entry(incident).or_default();
            *count = count.saturating_add(1);
        }
        let binding = occurrence.binding.as_ref();
        let line = OccurrenceLine {
            alert: &occurrence.id,
            incident: incident.map(|incident| incident.to_string()),
            ci: occurrence.ci.as_deref(),
            binding: binding.map(|(outcome, _)| outcome.word()),
            binding_reason: binding.map(|(_, reason)| reason.as_ref()),
        };
        write_line(&line, to)?;
    }
    for (id, outcome) in tracks.outcomes() {
        let roots = outcome.roots.iter().map(|root| RootLine {
            ci: &root.ci,
            score: f64::from(root.score) / 10_000.0,
            inferred: root.is_inferred,
        });
        let line = IncidentLine {
            incident: id.to_string(),
            opened_at: epoch.seconds(outcome.opened_at),
            roots: roots.collect(),
            services: outcome.services.iter().map(|name| name.as_str()).collect(),
            alerts: alerts.get(&id).copied().unwrap_or_default(),
            why: &outcome.why,
        };
        write_line(&line, to)?;
    }
    Ok(())
}

fn write_line(line: &impl Serialize, to: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *to, line).map_err(io::Error::from)?;
    to.write_all(b"\n")
}
