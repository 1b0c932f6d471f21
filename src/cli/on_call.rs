//! `watchbell on-call` and `watchbell schedule`: who is on call, when that changes, and who stands in.
//!
//! Must not compute anything; the daemon knows rules and overrides.

use clap::{Args, Subcommand};
use jiff::Timestamp as Rfc3339;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cli::client::{Client, parse};
use crate::cli::failure::{Exit, Failure};
use crate::cli::incidents::filters;
use crate::cli::json;
use crate::cli::machine::now;
use crate::cli::options::{DaemonArgs, Extent, Output, Until, duration, until};
use crate::cli::out::Out;
use crate::cli::pages;
use crate::cli::table::{Cell, Fit, Paint, Table};
use crate::cli::text::{relative, rfc3339, utc};
use crate::cli::views::time;
use crate::core::time::{Span, Timestamp};

/// The examples of `on-call --help`.
pub const ON_CALL_EXAMPLES: &str = "\
Examples:
  watchbell on-call
  watchbell on-call --at 2026-12-24T20:00:00Z
  watchbell on-call --team network --output json";

/// The examples of `schedule --help`.
pub const EXAMPLES: &str = "\
Examples:
  watchbell schedule list
  watchbell schedule show network-primary --for 30d
  watchbell schedule override network-primary --person ben --for 4h --comment \"dentist\"
  watchbell schedule override network-primary --person ben --replaces ana --start 2026-12-24T08:00:00Z --for 3d
  watchbell schedule overrides network-primary
  watchbell schedule end network-primary OVR-7

Calendars subscribe to /api/v1/schedules/network-primary.ics.";

/// Options of `on-call`.
#[derive(Args, Clone, Debug)]
pub struct OnCallArgs {
    /// At this time, as a time like 2026-01-31T08:00:00Z or a duration from now [default: now]
    #[arg(long, value_name = "WHEN", value_parser = until)]
    at: Option<Until>,
    /// Only the schedules of this team
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// Only this schedule
    #[arg(long, value_name = "NAME")]
    schedule: Option<String>,
    /// Which daemon.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// Options of `schedule`.
#[derive(Args, Clone, Debug)]
pub struct ScheduleArgs {
    #[command(subcommand)]
    command: ScheduleCommand,
    /// Which daemon.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// What to do about schedules.
#[derive(Subcommand, Clone, Debug)]
enum ScheduleCommand {
    /// List the schedules with who is on call now
    #[command(after_help = EXAMPLES)]
    List,
    /// Show the shifts of one
    #[command(after_help = EXAMPLES)]
    Show {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// From when on [default: now]
        #[arg(long, visible_alias = "from", value_name = "WHEN", value_parser = until)]
        start: Option<Until>,
        /// How long
        #[arg(long = "for", value_name = "DURATION", value_parser = duration, default_value = "14d")]
        span: Span,
    },
    /// Let somebody stand in
    #[command(after_help = EXAMPLES)]
    Override {
        /// The schedule
        #[arg(value_name = "NAME")]
        name: String,
        /// Who stands in
        #[arg(long, value_name = "PERSON", required_unless_present = "replaces")]
        person: Option<String>,
        /// Only in the place of this person [default: of everybody]
        #[arg(long, value_name = "PERSON")]
        replaces: Option<String>,
        /// From when on [default: now]
        #[arg(long, visible_alias = "from", value_name = "WHEN", value_parser = until)]
        start: Option<Until>,
        /// How long
        #[arg(long = "for", value_name = "DURATION", value_parser = duration, conflicts_with = "until",
            required_unless_present = "until")]
        span: Option<Span>,
        /// Until when, as a time or a duration from now
        #[arg(long, visible_alias = "to", value_name = "WHEN", value_parser = until)]
        until: Option<Until>,
        /// Why
        #[arg(short, long, value_name = "TEXT")]
        comment: Option<String>,
    },
    /// List who stands in, now and later
    #[command(after_help = EXAMPLES)]
    Overrides {
        /// The schedule
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// End an override now, or take it back before it begins
    #[command(after_help = EXAMPLES)]
    End {
        /// The schedule
        #[arg(value_name = "NAME")]
        name: String,
        /// The override, like OVR-7
        #[arg(value_name = "ID")]
        id: String,
    },
}

#[derive(Deserialize)]
struct Shift {
    starts_at: Rfc3339,
    ends_at: Option<Rfc3339>,
    people: Vec<String>,
    by: Option<String>,
}

#[derive(Deserialize)]
struct OnCall {
    schedule: String,
    teams: Vec<String>,
    #[serde(flatten)]
    shift: Shift,
    next: Option<Shift>,
}

#[derive(Deserialize)]
struct Schedule {
    name: String,
    zone: String,
    teams: Vec<String>,
    on_call: Shift,
    next: Option<Shift>,
    #[serde(default)]
    shifts: Vec<Shift>,
}

#[derive(Deserialize)]
struct Override {
    id: String,
    person: Option<String>,
    replaces: Option<String>,
    starts_at: Rfc3339,
    ends_at: Rfc3339,
    created_by: String,
    comment: String,
}

/// Tells who is on call.
///
/// # Errors
/// The daemon does not answer, or refuses.
pub async fn run(client: &Client, args: &OnCallArgs, out: &Out) -> Result<Exit, Failure> {
    let at = args.at.map(|at| rfc3339(at.resolve(now())));
    let filters = filters([
        ("at", at),
        ("team", args.team.clone()),
        ("schedule", args.schedule.clone()),
    ]);
    let page = pages::read(client, &["on-call"], &filters, Extent::all()).await?;
    pages::print(&page, "schedules", args.daemon.output, out, |page| {
        let mut table = Table::new(&[
            ("SCHEDULE", Fit::Fixed),
            ("TEAM", Fit::Fixed),
            ("ON CALL", Fit::Fixed),
            ("UNTIL", Fit::Right),
            ("NEXT", Fit::Fixed),
            ("BY", Fit::Cut),
        ]);
        for entry in page.values::<OnCall>()? {
            table.row([
                entry.schedule.as_str().into(),
                entry.teams.join(", ").into(),
                people(&entry.shift),
                ends(&entry.shift, now()).into(),
                entry
                    .next
                    .map_or_else(String::new, |next| next.people.join(", "))
                    .into(),
                entry.shift.by.as_deref().unwrap_or("").into(),
            ]);
        }
        Ok(table.render(out))
    })?;
    Ok(Exit::Done)
}

/// Does what is asked about schedules.
///
/// # Errors
/// The daemon does not answer, or refuses.
pub async fn schedule(client: &Client, args: &ScheduleArgs, out: &Out) -> Result<Exit, Failure> {
    let output = args.daemon.output;
    match &args.command {
        ScheduleCommand::List => {
            let page = pages::read(client, &["schedules"], &[], Extent::all()).await?;
            pages::print(&page, "schedules", output, out, |page| {
                Ok(list(&page.values::<Schedule>()?, out))
            })?;
        }
        ScheduleCommand::Show { name, start, span } => {
            let from = start.map_or_else(now, |start| start.resolve(now()));
            let query = [("from", rfc3339(from)), ("to", rfc3339(from.plus(*span)))];
            let answer = client.get(&["schedules", name], &query).await?;
            if output == Output::Json {
                json::print(&answer, out)?;
            } else {
                out.print(&shifts(&parse(&answer)?, out))?;
            }
        }
        wanted @ ScheduleCommand::Override { name, .. } => {
            let body = Value::Object(body(wanted));
            let answer = client
                .post(&["schedules", name, "overrides"], &body)
                .await?;
            print_id(&answer, output, out)?;
        }
        ScheduleCommand::Overrides { name } => {
            let path = ["schedules", name, "overrides"];
            let page = pages::read(client, &path, &[], Extent::all()).await?;
            pages::print(&page, "overrides", output, out, |page| {
                Ok(overrides(&page.values::<Override>()?, out))
            })?;
        }
        ScheduleCommand::End { name, id } => {
            let answer = client.delete(&["schedules", name, "overrides", id]).await?;
            if output == Output::Json {
                json::print(&answer, out)?;
            }
        }
    }
    Ok(Exit::Done)
}

/// The body that makes an override.
fn body(wanted: &ScheduleCommand) -> Map<String, Value> {
    let mut body = Map::new();
    let ScheduleCommand::Override {
        person,
        replaces,
        start,
        span,
        until,
        comment,
        ..
    } = wanted
    else {
        return body;
    };
    let now = now();
    let from = start.map_or(now, |start| start.resolve(now));
    let to = until.map(|until| until.resolve(now));
    let to = to.or(span.map(|span| from.plus(span)));
    for (name, text) in [
        ("person", person.clone()),
        ("replaces", replaces.clone()),
        ("comment", comment.clone()),
        ("starts_at", Some(rfc3339(from))),
        ("ends_at", to.map(rfc3339)),
    ] {
        if let Some(text) = text {
            body.insert(name.to_owned(), text.into());
        }
    }
    body
}

/// The id alone, so that scripts can keep it.
fn print_id(answer: &str, output: Output, out: &Out) -> Result<(), Failure> {
    if output == Output::Json {
        return json::print(answer, out);
    }
    let made: Override = parse(answer)?;
    out.print(&made.id)
}

fn people(shift: &Shift) -> Cell {
    if shift.people.is_empty() {
        Cell::painted("nobody", Paint::Red)
    } else {
        shift.people.join(", ").into()
    }
}

fn ends(shift: &Shift, now: Timestamp) -> String {
    let ends = shift.ends_at.map(time);
    ends.map_or_else(String::new, |at| relative(at, now))
}

fn list(schedules: &[Schedule], out: &Out) -> String {
    let mut table = Table::new(&[
        ("SCHEDULE", Fit::Fixed),
        ("ZONE", Fit::Fixed),
        ("TEAM", Fit::Fixed),
        ("ON CALL", Fit::Fixed),
        ("UNTIL", Fit::Right),
        ("NEXT", Fit::Cut),
    ]);
    for schedule in schedules {
        let next = schedule.next.as_ref();
        table.row([
            schedule.name.as_str().into(),
            schedule.zone.as_str().into(),
            schedule.teams.join(", ").into(),
            people(&schedule.on_call),
            ends(&schedule.on_call, now()).into(),
            next.map_or_else(String::new, |next| next.people.join(", "))
                .into(),
        ]);
    }
    table.render(out)
}

fn shifts(schedule: &Schedule, out: &Out) -> String {
    let mut table = Table::new(&[
        ("FROM", Fit::Fixed),
        ("UNTIL", Fit::Fixed),
        ("ON CALL", Fit::Fixed),
        ("BY", Fit::Cut),
    ]);
    for shift in &schedule.shifts {
        let ends = shift.ends_at.map(time);
        table.row([
            utc(time(shift.starts_at)).into(),
            ends.map_or_else(String::new, utc).into(),
            people(shift),
            shift.by.as_deref().unwrap_or("").into(),
        ]);
    }
    format!(
        "{} ({})\n{}",
        schedule.name,
        schedule.zone,
        table.render(out)
    )
}

fn overrides(overrides: &[Override], out: &Out) -> String {
    let mut table = Table::new(&[
        ("ID", Fit::Fixed),
        ("PERSON", Fit::Fixed),
        ("FOR", Fit::Fixed),
        ("FROM", Fit::Fixed),
        ("UNTIL", Fit::Fixed),
        ("BY", Fit::Fixed),
        ("COMMENT", Fit::Cut),
    ]);
    for it in overrides {
        table.row([
            it.id.as_str().into(),
            it.person.as_deref().unwrap_or("nobody").into(),
            it.replaces.as_deref().unwrap_or("everybody").into(),
            utc(time(it.starts_at)).into(),
            utc(time(it.ends_at)).into(),
            it.created_by.as_str().into(),
            it.comment.as_str().into(),
        ]);
    }
    table.render(out)
}
