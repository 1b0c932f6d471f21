//! `watchbell incident N`: one incident, and what a person does with it.
//!
//! Must not decide what is allowed: the daemon does, and its refusal is shown.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::cli::client::{Client, parse};
use crate::cli::failure::{Exit, Failure};
use crate::cli::incident_page;
use crate::cli::json;
use crate::cli::machine::now;
use crate::cli::options::{DaemonArgs, Output, Until, incident, until};
use crate::cli::out::Out;
use crate::cli::text::{clean, rfc3339};
use crate::cli::views::{Incident, filled, words};
use crate::core::ids::IncidentId;

/// The examples of `--help`.
pub const EXAMPLES: &str = "\
Examples:
  watchbell incident 42                            # what is it, and what happened so far
  watchbell incident 42 ack --until 2h
  watchbell incident INC-42 assign ana --team network
  watchbell incident 42 hold \"waiting for the spare part\" --until 2026-02-01T08:00:00Z
  watchbell incident 42 note \"fan replaced\" && watchbell incident 42 resolve --note \"fan replaced\"

Exit code 1: there is no such incident, or its state does not allow the action; the reason is shown.";

/// Options of `incident`.
#[derive(Args, Clone, Debug)]
pub struct IncidentArgs {
    /// Its number, like 42 or INC-42
    #[arg(value_name = "N", value_parser = incident)]
    number: IncidentId,
    #[command(subcommand)]
    action: Option<Action>,
    /// Refuse the action when the incident has changed since this version, which `incident N` shows
    #[arg(long, global = true, value_name = "VERSION")]
    if_version: Option<u64>,
    /// Which daemon.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// What to do with the incident; without an action it is shown with its timeline.
#[derive(Subcommand, Clone, Debug)]
enum Action {
    /// Take notice: nobody else is told while you look at it
    #[command(
        visible_alias = "acknowledge",
        after_help = "Example:\n  watchbell incident 42 ack --until 2h"
    )]
    Ack {
        /// It becomes new again then: a duration like 2h, or a time like 2026-01-31T08:00:00Z
        #[arg(long, value_name = "WHEN", value_parser = until)]
        until: Option<Until>,
    },
    /// Give it to a person, a team, or both
    #[command(
        after_help = "Examples:\n  watchbell incident 42 assign ana\n  watchbell incident 42 assign --team network"
    )]
    Assign {
        /// The person
        #[arg(value_name = "WHO", required_unless_present = "team")]
        assignee: Option<String>,
        /// The team
        #[arg(long, value_name = "TEAM")]
        team: Option<String>,
    },
    /// Begin to work on it
    #[command(after_help = "Example:\n  watchbell incident 42 start")]
    Start,
    /// Wait for something outside
    #[command(
        after_help = "Example:\n  watchbell incident 42 hold \"waiting for the vendor\" --until 1d"
    )]
    Hold {
        /// What it waits for
        #[arg(value_name = "REASON", required_unless_present = "why")]
        reason: Option<String>,
        /// The same as an option
        #[arg(long = "reason", value_name = "REASON", conflicts_with = "reason")]
        why: Option<String>,
        /// It is resumed then: a duration like 2h, or a time like 2026-01-31T08:00:00Z
        #[arg(long, value_name = "WHEN", value_parser = until)]
        until: Option<Until>,
    },
    /// Go on after a hold
    #[command(after_help = "Example:\n  watchbell incident 42 resume")]
    Resume,
    /// Say that it is over, also when alerts still fire
    #[command(after_help = "Example:\n  watchbell incident 42 resolve --note \"switch rebooted\"")]
    Resolve {
        /// What was done
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Close it for good
    #[command(after_help = "Example:\n  watchbell incident 42 close")]
    Close,
    /// It is not over after all: the same number shortly after the end, later a new, linked incident
    #[command(after_help = "Example:\n  watchbell incident 42 reopen --reason \"it came back\"")]
    Reopen {
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Make one incident of this and another one; the other one goes on
    #[command(after_help = "Example:\n  watchbell incident 43 merge 42")]
    Merge {
        /// The incident that goes on
        #[arg(value_name = "INTO")]
        into: String,
    },
    /// Take alerts out into a new incident
    #[command(after_help = "Example:\n  watchbell incident 42 split A-17 A-18")]
    Split {
        /// The alerts
        #[arg(value_name = "ALERT", required = true)]
        alerts: Vec<String>,
    },
    /// Take alerts out, each into an incident of its own
    #[command(after_help = "Example:\n  watchbell incident 42 unlink A-17")]
    Unlink {
        /// The alerts
        #[arg(value_name = "ALERT", required = true)]
        alerts: Vec<String>,
    },
    /// Keep alerts in it, whatever the rules say later
    #[command(after_help = "Example:\n  watchbell incident 42 pin A-17")]
    Pin {
        /// The alerts
        #[arg(value_name = "ALERT", required = true)]
        alerts: Vec<String>,
    },
    /// Name the root cause
    #[command(after_help = "Example:\n  watchbell incident 42 root sw-a1 \"seen on site\"")]
    Root {
        /// The id of the configuration item
        #[arg(value_name = "CI")]
        ci: String,
        /// Why
        #[arg(value_name = "REASON", required_unless_present = "why")]
        reason: Option<String>,
        /// The same as an option
        #[arg(long = "reason", value_name = "REASON", conflicts_with = "reason")]
        why: Option<String>,
    },
    /// Set the priority whatever the rules say, or hand it back to them
    #[command(
        after_help = "Examples:\n  watchbell incident 42 priority P1 \"board meeting depends on it\"\n  watchbell incident 42 priority auto"
    )]
    Priority {
        /// P1 to P5; auto hands it back to the rules
        #[arg(value_name = "PRIORITY")]
        priority: String,
        /// Why; needed when a priority is set
        #[arg(value_name = "REASON")]
        reason: Option<String>,
        /// The same as an option
        #[arg(long = "reason", value_name = "REASON", conflicts_with = "reason")]
        why: Option<String>,
    },
    /// Write something down
    #[command(after_help = "Example:\n  watchbell incident 42 note \"vendor case 4711\"")]
    Note {
        /// What to write down
        #[arg(value_name = "TEXT")]
        text: String,
    },
}

impl Action {
    /// The last segment of the path, and the body.
    fn request(&self) -> (&'static str, Map<String, Value>) {
        let at = |until: &Option<Until>| until.map(|until| rfc3339(until.resolve(now())));
        let (name, body) = match self {
            Self::Ack { until } => ("acknowledge", json!({ "until": at(until) })),
            Self::Assign { assignee, team } => {
                ("assign", json!({ "assignee": assignee, "team": team }))
            }
            Self::Start => ("start", json!({})),
            Self::Hold { reason, why, until } => {
                let reason = reason.as_ref().or(why.as_ref());
                ("hold", json!({ "reason": reason, "until": at(until) }))
            }
            Self::Resume => ("resume", json!({})),
            Self::Resolve { note } => ("resolve", json!({ "note": note })),
            Self::Close => ("close", json!({})),
            Self::Reopen { reason } => ("reopen", json!({ "reason": reason })),
            Self::Merge { into } => ("merge", json!({ "into": into })),
            Self::Split { alerts } => ("split", json!({ "alerts": alerts })),
            Self::Unlink { alerts } => ("unlink", json!({ "alerts": alerts })),
            Self::Pin { alerts } => ("pin", json!({ "alerts": alerts })),
            Self::Root { ci, reason, why } => {
                let reason = reason.as_ref().or(why.as_ref());
                ("root", json!({ "ci": ci, "reason": reason }))
            }
            Self::Priority {
                priority,
                reason,
                why,
            } => {
                let reason = reason.as_ref().or(why.as_ref());
                let priority = Some(priority.to_ascii_uppercase());
                let priority = priority.filter(|it| it != "AUTO" && it != "NULL");
                (
                    "priority",
                    json!({ "priority": priority, "reason": reason }),
                )
            }
            Self::Note { text } => ("notes", json!({ "text": text })),
        };
        let mut fields = match body {
            Value::Object(fields) => fields,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Map::new(),
        };
        fields.retain(|_, value| !value.is_null());
        (name, fields)
    }
}

/// Shows the incident, or does something with it.
///
/// # Errors
/// The daemon does not answer, or refuses.
pub async fn run(client: &Client, args: &IncidentArgs, out: &Out) -> Result<Exit, Failure> {
    let number = args.number.to_string();
    let Some(action) = &args.action else {
        incident_page::show(client, &number, args.daemon.output, out).await?;
        return Ok(Exit::Done);
    };
    let (name, mut body) = action.request();
    if let Some(version) = args.if_version {
        body.insert("expected_version".to_owned(), version.into());
    }
    let path = ["incidents", &number, name];
    let answer = client.post(&path, &Value::Object(body)).await?;
    if args.daemon.output == Output::Json {
        json::print(&answer, out)?;
        return Ok(Exit::Done);
    }
    let incident: Incident = parse(&answer)?;
    out.print(&line(&incident))?;
    if incident.number != number {
        out.note(&format!(
            "{number} was over for too long; {} was opened and linked to it.",
            incident.number
        ));
    }
    Ok(Exit::Done)
}

/// An incident in one line.
fn line(incident: &Incident) -> String {
    let mut parts = vec![
        incident.number.clone(),
        incident.priority.clone(),
        words(&incident.state),
    ];
    if let Some(assignee) = filled(incident.assignee.as_ref()) {
        parts.push(format!("with {assignee}"));
    }
    if let Some(team) = filled(incident.team.as_ref()) {
        parts.push(format!("team {team}"));
    }
    let counts = incident.alerts;
    parts.push(format!(
        "{} of {} alerts firing",
        counts.firing, counts.total
    ));
    clean(&format!("{}: {}", parts.join(", "), incident.title))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_hold_only_what_was_given() {
        let shown = |action: Action| {
            let (name, body) = action.request();
            format!("{name} {}", Value::Object(body))
        };
        assert_eq!(shown(Action::Ack { until: None }), "acknowledge {}");
        let at = until("2026-01-31T09:00:00+01:00").ok();
        assert_eq!(
            shown(Action::Ack { until: at }),
            r#"acknowledge {"until":"2026-01-31T08:00:00.000Z"}"#
        );
        let assign = Action::Assign {
            assignee: None,
            team: Some("network".to_owned()),
        };
        assert_eq!(shown(assign), r#"assign {"team":"network"}"#);
        let note = Action::Note {
            text: "done".to_owned(),
        };
        assert_eq!(shown(note), r#"notes {"text":"done"}"#);
        assert_eq!(shown(Action::Close), "close {}");
    }
}
