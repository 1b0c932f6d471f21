//! Worlds of the laboratory in the formats of `watchbell simulate`, with the truth beside them.
//!
//! Must not write anything that our own reader does not understand; a test plays it back.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::core::cmdb::ci::IdentifierKind;
use crate::core::cmdb::record::{CiRecord, Picture};
use crate::core::observation::Claim;
use crate::core::time::Timestamp;
use crate::lab::estate::Estate;
use crate::lab::event::{Event, Said};
use crate::lab::sets::World;
use crate::lab::story::tell::MIDNIGHT_MS;

/// Writes a CMDB in the native format.
///
/// # Errors
/// The place cannot be written.
pub fn cmdb(picture: &Picture, to: &mut dyn Write) -> io::Result<()> {
    to.write_all(b"{\"cis\":[\n")?;
    list(picture.cis.iter().map(ci), to)?;
    to.write_all(b"],\"relations\":[\n")?;
    let relations = picture.relations.iter().map(|relation| {
        present(json!({
            "from": relation.from, "to": relation.to, "type": relation.kind,
            "role": relation.role, "group": relation.group,
        }))
    });
    list(relations, to)?;
    to.write_all(b"]}\n")
}

fn ci(ci: &CiRecord) -> Value {
    let of = |kinds: &[IdentifierKind]| -> Vec<&str> {
        let texts = ci.identifiers.iter().filter(|it| kinds.contains(&it.kind));
        texts.map(|it| it.text.as_str()).collect()
    };
    present(json!({
        "id": ci.id, "class": ci.class, "name": ci.name,
        "aliases": of(&[IdentifierKind::Alias, IdentifierKind::Fqdn]),
        "addresses": of(&[IdentifierKind::Ip, IdentifierKind::Mac]),
        "site": ci.site, "rack": ci.rack, "criticality": ci.criticality,
    }))
}

/// Writes events, one per line.
///
/// # Errors
/// The place cannot be written.
pub fn events(events: &[Event], to: &mut dyn Write) -> io::Result<()> {
    for event in events {
        let at = seconds(event.at);
        let row = match &event.said {
            Said::Alert(said) => {
                let labels: Map<String, Value> = said
                    .labels
                    .iter()
                    .map(|(name, value)| (name.to_string(), Value::from(value.as_str())))
                    .collect();
                let status = match said.claim {
                    Claim::Firing => "firing",
                    Claim::Resolved => "resolved",
                };
                let alert = present(json!({
                    "id": said.id, "key": said.key, "status": status,
                    "severity": said.severity.word(), "summary": said.summary, "labels": labels,
                    "starts_at": said.starts_at.map(seconds), "ends_at": said.ends_at.map(seconds),
                    "ci": said.ci,
                }));
                json!({"at": at, "source": said.source, "alert": alert})
            }
            Said::Change(change) => json!({"at": at, "change": change}),
        };
        line(&row, to)?;
    }
    Ok(())
}

/// Writes the truth: one line per occurrence, then one per outage.
///
/// # Errors
/// The place cannot be written.
pub fn truth(world: &World, to: &mut dyn Write) -> io::Result<()> {
    let (estate, truth) = (&world.estate, &world.story.truth);
    for it in &truth.occurrences {
        let is_noise = truth
            .groups
            .get(it.group)
            .is_none_or(|group| group.fault.is_none());
        line(
            &json!({"alert": it.id, "group": it.group, "noise": is_noise, "ci": id(estate, it.ci)}),
            to,
        )?;
    }
    for (number, group) in truth.groups.iter().enumerate() {
        let Some(fault) = &group.fault else {
            continue;
        };
        let acceptable: Vec<&str> = fault.acceptable.iter().map(|&ci| id(estate, ci)).collect();
        let services: Vec<Value> = group
            .businesses
            .iter()
            .map(|&(ci, at)| json!({"ci": id(estate, ci), "at": story_seconds(at)}))
            .collect();
        line(
            &json!({
                "group": number, "kind": fault.kind.word(), "root": id(estate, fault.root),
                "acceptable": acceptable, "onset": story_seconds(fault.onset),
                "end": story_seconds(fault.end), "change": group.change, "services": services,
                "solvable": group.is_solvable,
            }),
            to,
        )?;
    }
    Ok(())
}

fn id(estate: &Estate, ci: usize) -> &str {
    estate.cis.get(ci).map_or("", |ci| ci.id.as_str())
}

/// Seconds since the story's midnight.
fn seconds(time: Timestamp) -> f64 {
    story_seconds(time.as_millis() - MIDNIGHT_MS)
}

fn story_seconds(ms: i64) -> f64 {
    let length = std::time::Duration::from_millis(ms.unsigned_abs()).as_secs_f64();
    if ms < 0 { -length } else { length }
}

/// Without what is null or an empty list.
fn present(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(_, value)| {
                    !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty())
                })
                .collect(),
        ),
        other @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)) => other,
    }
}

fn list(rows: impl Iterator<Item = Value>, to: &mut dyn Write) -> io::Result<()> {
    for (index, row) in rows.enumerate() {
        if index > 0 {
            to.write_all(b",\n")?;
        }
        serde_json::to_writer(&mut *to, &row).map_err(io::Error::from)?;
    }
    to.write_all(b"\n")
}

fn line(row: &impl Serialize, to: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *to, row).map_err(io::Error::from)?;
    to.write_all(b"\n")
}
