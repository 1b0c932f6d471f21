//! `watchbell silence`: keep people from being told of some alerts for a while.
//!
//! Written like amtool's commands. Must not match anything by itself; the daemon does.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::cli::client::{Client, parse};
use crate::cli::failure::{Exit, Failure};
use crate::cli::incidents::filters;
use crate::cli::json;
use crate::cli::machine::now;
use crate::cli::options::{DaemonArgs, Extent, Output, Until, duration, until};
use crate::cli::out::Out;
use crate::cli::pages::{self, Page};
use crate::cli::scope::ScopeArgs;
use crate::cli::table::{Cell, Fit, Paint, Table};
use crate::cli::text::{relative, rfc3339, utc};
use crate::cli::views::{Alert, Silence, time};
use crate::core::silence::parse_word;
use crate::core::time::{Span, Timestamp};

/// The examples of `--help`.
pub const EXAMPLES: &str = "\
Examples:
  watchbell silence add alertname=DiskFull instance=~\"web.*\" --for 2h --comment \"disks are swapped\"
  watchbell silence add DiskFull --for 2h --comment \"the same, for every instance\"
  watchbell silence add --ci sw1 --downstream --for 2h --comment \"switch firmware\"
  watchbell silence add severity!=critical --service checkout --for 1d --comment \"load test\"
  watchbell silence preview team=db severity!=critical
  watchbell silence list --state active
  watchbell silence show 4f0d1a2b-3c4d-8e5f-9a6b-7c8d9e0f1a2b
  watchbell silence update 4f0d1a2b-3c4d-8e5f-9a6b-7c8d9e0f1a2b --for 4h
  watchbell silence expire 4f0d1a2b-3c4d-8e5f-9a6b-7c8d9e0f1a2b

Alerts that are silenced are recorded all the same; only people are not told.";

const STATES: [&str; 3] = ["pending", "active", "expired"];

/// Options of `silence`.
#[derive(Args, Clone, Debug)]
pub struct SilenceArgs {
    #[command(subcommand)]
    command: Option<SilenceCommand>,
    /// Which daemon.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// What to do about silences.
#[derive(Subcommand, Clone, Debug)]
enum SilenceCommand {
    /// List them, newest first; those that are over only when asked for
    #[command(after_help = EXAMPLES, alias = "query")]
    List {
        /// Only in these states
        #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = STATES,
            default_values = ["pending", "active"])]
        state: Vec<String>,
        /// Only those that are over
        #[arg(long, conflicts_with = "state")]
        expired: bool,
        #[command(flatten)]
        extent: Extent,
    },
    /// Make one: all matchers must match
    #[command(after_help = EXAMPLES)]
    Add {
        /// name=value, name!=value, name=~expression or name!~expression; a bare word means alertname
        #[arg(value_name = "MATCHER")]
        matchers: Vec<String>,
        #[command(flatten)]
        scope: ScopeArgs,
        #[command(flatten)]
        times: Times,
        /// Why people must not be told
        #[arg(short, long, visible_alias = "reason", value_name = "TEXT")]
        comment: String,
        /// Who wants it [default: the name of the token]
        #[arg(short, long, value_name = "NAME")]
        author: Option<String>,
    },
    /// Show which firing alerts matchers would hide, without making a silence
    #[command(after_help = EXAMPLES)]
    Preview {
        /// name=value, name!=value, name=~expression or name!~expression; a bare word means alertname
        #[arg(value_name = "MATCHER")]
        matchers: Vec<String>,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Show one
    #[command(after_help = EXAMPLES)]
    Show {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Change the end or the comment of one; of one that is over a new one is made
    #[command(after_help = EXAMPLES)]
    Update {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        times: Times,
        /// Why people must not be told
        #[arg(short, long, visible_alias = "reason", value_name = "TEXT")]
        comment: Option<String>,
    },
    /// End some now
    #[command(after_help = EXAMPLES)]
    Expire {
        /// Their ids
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
}

/// From when until when.
#[derive(Args, Clone, Copy, Debug)]
struct Times {
    /// How long it holds, like 2h or 1d
    #[arg(long = "for", short = 'd', visible_alias = "duration", value_name = "DURATION",
        value_parser = duration, conflicts_with = "until")]
    span: Option<Span>,
    /// Until when, as a time like 2026-01-31T08:00:00Z or a duration from now
    #[arg(long, visible_alias = "end", value_name = "WHEN", value_parser = until)]
    until: Option<Until>,
    /// From when on [default: now]
    #[arg(long, value_name = "WHEN", value_parser = until)]
    start: Option<Until>,
}

impl Times {
    fn add_to(self, body: &mut Map<String, Value>) {
        let now = now();
        if let Some(start) = self.start {
            body.insert("starts_at".to_owned(), rfc3339(start.resolve(now)).into());
        }
        if let Some(end) = self.until {
            body.insert("ends_at".to_owned(), rfc3339(end.resolve(now)).into());
        }
        if let Some(span) = self.span {
            let seconds = span.as_millis().saturating_add(999) / 1000;
            body.insert("duration_s".to_owned(), seconds.into());
        }
    }
}

/// Does what is asked about silences.
///
/// # Errors
/// The daemon does not answer, or refuses; a matcher makes no sense.
pub async fn run(client: &Client, args: &SilenceArgs, out: &Out) -> Result<Exit, Failure> {
    let output = args.daemon.output;
    let list = SilenceCommand::List {
        state: ["pending", "active"].map(str::to_owned).to_vec(),
        expired: false,
        extent: Extent::default(),
    };
    match args.command.as_ref().unwrap_or(&list) {
        SilenceCommand::List {
            state,
            expired,
            extent,
        } => {
            let states = if *expired {
                "expired".to_owned()
            } else {
                state.join(",")
            };
            let filters = filters([("state", Some(states))]);
            let page = pages::read(client, &["silences"], &filters, *extent).await?;
            pages::print(&page, "silences", output, out, |page| {
                table(page, now(), out)
            })?;
        }
        add @ SilenceCommand::Add { .. } => {
            let body = wanted(add)?;
            let answer = client.post(&["silences"], &Value::Object(body)).await?;
            print_id(&answer, output, out)?;
        }
        SilenceCommand::Preview { matchers, scope } => {
            let body = Value::Object(extent(matchers, scope)?);
            let answer = client.post(&["silences", "preview"], &body).await?;
            print_preview(&answer, output, out)?;
        }
        SilenceCommand::Show { id } => {
            let answer = client.get(&["silences", id], &[]).await?;
            if output == Output::Json {
                json::print(&answer, out)?;
            } else {
                out.print(&page_of(&parse(&answer)?, now(), out))?;
            }
        }
        SilenceCommand::Update { id, times, comment } => {
            let body = changed(*times, comment.as_deref())?;
            let answer = client.post(&["silences", id], &Value::Object(body)).await?;
            print_id(&answer, output, out)?;
        }
        SilenceCommand::Expire { ids } => {
            for id in ids {
                let answer = client.delete(&["silences", id]).await?;
                if output == Output::Json {
                    json::print(&answer, out)?;
                }
            }
        }
    }
    Ok(Exit::Done)
}

/// The body that makes a silence.
fn wanted(add: &SilenceCommand) -> Result<Map<String, Value>, Failure> {
    let SilenceCommand::Add {
        matchers,
        scope,
        times,
        comment,
        author,
    } = add
    else {
        return Ok(Map::new());
    };
    if times.span.is_none() && times.until.is_none() {
        let failure = Failure::usage("a silence needs an end");
        return Err(failure.next("say how long with --for 2h, or until when with --until"));
    }
    let mut body = extent(matchers, scope)?;
    body.insert("comment".to_owned(), comment.as_str().into());
    if let Some(author) = author {
        body.insert("created_by".to_owned(), author.as_str().into());
    }
    times.add_to(&mut body);
    Ok(body)
}

/// What it is about.
fn extent(matchers: &[String], scope: &ScopeArgs) -> Result<Map<String, Value>, Failure> {
    if matchers.is_empty() && scope.is_empty() {
        let failure = Failure::usage("a silence needs something that it is about");
        return Err(failure
            .next("give matchers like alertname=DiskFull, or --ci, --class, --site, --service"));
    }
    let mut body = Map::new();
    if !matchers.is_empty() {
        body.insert("matchers".to_owned(), written(matchers)?);
    }
    scope.add_to(&mut body);
    Ok(body)
}

/// The body that changes a silence.
fn changed(times: Times, comment: Option<&str>) -> Result<Map<String, Value>, Failure> {
    let mut body = Map::new();
    times.add_to(&mut body);
    if let Some(comment) = comment {
        body.insert("comment".to_owned(), comment.into());
    }
    if body.is_empty() {
        let failure = Failure::usage("nothing to change");
        return Err(failure.next("give --for, --until, --start or --comment"));
    }
    Ok(body)
}

/// Matchers as the API takes them; amtool's bare word is the name of an alert.
fn written(matchers: &[String]) -> Result<Value, Failure> {
    let mut texts = Vec::with_capacity(matchers.len());
    for matcher in matchers {
        let is_bare = !matcher.contains(['=', '~']);
        let text = if is_bare {
            format!("alertname={matcher}")
        } else {
            matcher.clone()
        };
        for matcher in parse_word(&text).map_err(|bad| Failure::usage(bad.to_string()))? {
            let operator = matcher.operator();
            texts.push(json!({
                "name": matcher.name().as_str(), "value": matcher.value().as_str(),
                "is_regex": operator.is_regex(), "is_equal": operator.is_equal(),
            }));
        }
    }
    Ok(Value::Array(texts))
}

/// The id alone, so that scripts can keep it.
fn print_id(answer: &str, output: Output, out: &Out) -> Result<(), Failure> {
    if output == Output::Json {
        return json::print(answer, out);
    }
    let silence: Silence = parse(answer)?;
    out.print(&silence.id)
}

pub(super) fn print_preview(answer: &str, output: Output, out: &Out) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Preview {
        total: u64,
        items: Vec<Alert>,
    }
    if output == Output::Json {
        return json::print(answer, out);
    }
    let preview: Preview = parse(answer)?;
    if preview.items.is_empty() {
        out.note("No firing alert would be hidden.");
        return Ok(());
    }
    let mut table = Table::new(&[
        ("ID", Fit::Fixed),
        ("SEVERITY", Fit::Fixed),
        ("INCIDENT", Fit::Fixed),
        ("SOURCE", Fit::Fixed),
        ("SUMMARY", Fit::Cut),
    ]);
    for alert in &preview.items {
        table.row([
            alert.id.as_str().into(),
            alert.severity.as_str().into(),
            alert.incident.as_deref().unwrap_or("").into(),
            alert.source.as_str().into(),
            alert.summary.as_str().into(),
        ]);
    }
    out.print(&table.render(out))?;
    let noun = if preview.total == 1 {
        "alert"
    } else {
        "alerts"
    };
    out.note(&format!("{} firing {noun} would be hidden.", preview.total));
    Ok(())
}

fn table(page: &Page, now: Timestamp, out: &Out) -> Result<String, Failure> {
    let mut table = Table::new(&[
        ("ID", Fit::Fixed),
        ("STATE", Fit::Fixed),
        ("ENDS", Fit::Right),
        ("ALERTS", Fit::Right),
        ("BY", Fit::Fixed),
        ("ABOUT", Fit::Cut),
        ("COMMENT", Fit::Cut),
    ]);
    for silence in page.values::<Silence>()? {
        let ends = silence.ends_at.map(time);
        table.row([
            silence.id.as_str().into(),
            state(&silence),
            ends.map_or_else(String::new, |at| relative(at, now)).into(),
            silence.alerts.to_string().into(),
            silence.created_by.as_str().into(),
            silence.matchers().join(" ").into(),
            silence.comment.as_str().into(),
        ]);
    }
    Ok(table.render(out))
}

fn state(silence: &Silence) -> Cell {
    let paint = if silence.state == "active" {
        Paint::Green
    } else {
        Paint::Dim
    };
    Cell::painted(&silence.state, paint)
}

fn page_of(silence: &Silence, now: Timestamp, out: &Out) -> String {
    let mut table = Table::new(&[("", Fit::Fixed), ("", Fit::Wrap)]);
    table.row(["id".into(), silence.id.as_str().into()]);
    table.row(["state".into(), state(silence)]);
    for matcher in silence.matchers() {
        table.row(["about".into(), matcher.into()]);
    }
    for (name, at) in [
        ("starts", silence.starts_at),
        ("ends", silence.ends_at),
        ("changed", silence.updated_at),
    ] {
        if let Some(at) = at.map(time) {
            let shown = format!("{} ({})", utc(at), relative(at, now));
            table.row([name.into(), shown.into()]);
        }
    }
    table.row(["by".into(), silence.created_by.as_str().into()]);
    table.row(["comment".into(), silence.comment.as_str().into()]);
    table.row(["alerts now".into(), silence.alerts.to_string().into()]);
    table.render(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_are_written_like_amtools() {
        let shown = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
            written(&texts).map(|value| value.to_string())
        };
        assert_eq!(
            shown(&["Foo", "a=~b,c"]).unwrap(),
            r#"[{"is_equal":true,"is_regex":false,"name":"alertname","value":"Foo"},{"is_equal":true,"is_regex":true,"name":"a","value":"b,c"}]"#
        );
        assert_eq!(shown(&["{a=b,c!=d}"]).unwrap().matches("name").count(), 2);
        assert!(shown(&["a=~("]).is_err());
    }
}
