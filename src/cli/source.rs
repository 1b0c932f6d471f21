//! `watchbell source`: what a source would make of a message, and how the sources do.
//!
//! `try` needs no daemon: it reads the configuration and decodes as the daemon would. Must not store anything.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::Path;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use clap::{Args, Subcommand};

use crate::cli::client::Client;
use crate::cli::failure::{Exit, Failure};
use crate::cli::json;
use crate::cli::machine::now;
use crate::cli::options::{DaemonArgs, Extent, Output};
use crate::cli::out::Out;
use crate::cli::settings::{load_sections, request};
use crate::cli::source_table::{sources, tried};
use crate::cli::{near, pages};
use crate::config::settings::SourceSettings;
use crate::config::{Env, Settings};
use crate::ingest::Incoming;

/// Bytes of a payload; as many as a sender may send by default.
const PAYLOAD_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The examples of `--help`.
pub const EXAMPLES: &str = "\
Examples:
  watchbell source try grid < payload.json
  watchbell source try grid --output json < payload.json | jq '.items[0].key'
  watchbell source try uptime-kuma --example
  watchbell source list";

/// The examples of `source try --help`.
pub const TRY_EXAMPLES: &str = "\
Examples:
  watchbell source try grid < payload.json
  watchbell source try grid --example > /dev/null && echo the mapping fits its example
  watchbell source try events --header 'ce-type: disk.full' --header 'ce-id: 1' --header 'ce-source: db1' \
    --header 'ce-specversion: 1.0' < data.json
  watchbell source try pings --query 'host=db1&state=down' < /dev/null

The configuration is read, no daemon is asked, nothing is stored.
Exit code 0: all of the message was understood; 1: not, or only in part; 2: there is no such source.";

/// The examples of `source list --help`.
pub const LIST_EXAMPLES: &str = "\
Examples:
  watchbell source list
  watchbell source list --output json | jq '.items[] | select(.silent_s > 3600) | .name'";

/// What to do with sources.
#[derive(Subcommand, Clone, Debug)]
pub enum SourceCommand {
    /// Show what a source would make of a message on stdin
    #[command(after_help = TRY_EXAMPLES)]
    Try(TryArgs),
    /// List the sources of the daemon and how they do
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// Which daemon.
        #[command(flatten)]
        daemon: DaemonArgs,
    },
}

/// Options of `source try`.
#[derive(Args, Clone, Debug)]
pub struct TryArgs {
    /// The name of the source, as the configuration has it
    #[arg(value_name = "NAME")]
    name: String,
    /// A header of the request, like 'ce-type: disk.full'; may be repeated
    #[arg(long, value_name = "NAME: VALUE", value_parser = a_header)]
    header: Vec<(HeaderName, HeaderValue)>,
    /// The query of the request, like 'host=db1&state=down'
    #[arg(long, value_name = "QUERY")]
    query: Option<String>,
    /// The declared type of the payload, like application/x-www-form-urlencoded; JSON needs none
    #[arg(long, value_name = "TYPE", value_parser = a_value)]
    content_type: Option<HeaderValue>,
    /// The topic of a message that would come over MQTT
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Try the example of the source's preset or kind in place of stdin
    #[arg(long)]
    example: bool,
    /// `table` for people, `json` for programs
    #[arg(long, value_enum, default_value_t = Output::Table, hide_possible_values = true)]
    output: Output,
}

/// Carries out a command about sources.
///
/// # Errors
/// There is no such source, the configuration is wrong, or the daemon does not answer.
pub async fn run(
    config: Option<&Path>,
    command: &SourceCommand,
    env: &Env,
    out: &Out,
) -> Result<Exit, Failure> {
    match command {
        SourceCommand::Try(args) => try_payload(config, args, env, out),
        SourceCommand::List { daemon } => {
            let client = Client::new(daemon, config, env)?;
            let page = pages::read(&client, &["sources"], &[], Extent::all()).await?;
            pages::print(&page, "sources", daemon.output, out, |page| {
                sources(page, now(), out)
            })?;
            Ok(Exit::Done)
        }
    }
}

fn try_payload(
    config: Option<&Path>,
    args: &TryArgs,
    env: &Env,
    out: &Out,
) -> Result<Exit, Failure> {
    let settings = load_sections(&request(config, env), &["source"])?;
    let source = find(&settings, &args.name)?;
    let decoder = source.decoder().ok_or_else(|| {
        let kind = source.kind.word();
        Failure::failed(format!(
            "a source of kind {kind} takes no messages that could be tried"
        ))
    })?;
    let payload = match (args.example, decoder.example()) {
        (true, "") => {
            let text = format!("the source {} has no example", source.name);
            return Err(Failure::usage(text).next("give a payload on stdin"));
        }
        (true, example) => example.as_bytes().to_vec(),
        (false, _) => payload(args, out)?,
    };
    let mut headers: HeaderMap = args.header.iter().cloned().collect();
    if let Some(declared) = &args.content_type {
        headers.insert(header::CONTENT_TYPE, declared.clone());
    }
    let query = args.query.as_deref();
    let mut message = Incoming::of_request(&*decoder, &headers, query, payload.into());
    if let Some(topic) = &args.topic {
        let mqtt = source.mqtt.as_deref();
        message.published_to(topic, mqtt.map_or(&[], |mqtt| &mqtt.subscribe));
    }
    let made = message.tried(&*decoder, &source.name, now());
    match args.output {
        Output::Json => {
            let text = serde_json::to_string(&made).map_err(|error| {
                Failure::failed(format!("the result cannot be written: {error}"))
            })?;
            json::print(&text, out)?;
        }
        Output::Table | Output::Csv => out.print(&tried(&made, out))?,
    }
    Ok(if made.understood {
        Exit::Done
    } else {
        Exit::Failed
    })
}

fn find<'s>(settings: &'s Settings, name: &str) -> Result<&'s SourceSettings, Failure> {
    let mut sources = settings.sources.iter();
    sources.find(|source| source.name == name).ok_or_else(|| {
        let names: Vec<&str> = settings.sources.iter().map(|it| it.name.as_str()).collect();
        let text = format!("the configuration has no source {name:?}");
        Failure::usage(text).next(near::hint(name, &names, "it has"))
    })
}

/// The payload on stdin.
fn payload(args: &TryArgs, out: &Out) -> Result<Vec<u8>, Failure> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        if args.query.is_some() {
            return Ok(Vec::new());
        }
        out.note("Type or paste the payload and end it with Ctrl-D on a line of its own.");
    }
    let mut payload = Vec::new();
    let mut reader = stdin.lock().take(PAYLOAD_BYTES_MAX.saturating_add(1));
    reader
        .read_to_end(&mut payload)
        .map_err(|error| Failure::unreachable(format!("stdin cannot be read: {error}")))?;
    if u64::try_from(payload.len()).is_ok_and(|bytes| bytes > PAYLOAD_BYTES_MAX) {
        let text = format!("the payload is larger than {PAYLOAD_BYTES_MAX} bytes");
        return Err(Failure::usage(text).next("a sender could not send it either"));
    }
    Ok(payload)
}

fn a_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let hint = "write it like 'ce-type: disk.full'";
    let (name, value) = text.split_once(':').ok_or(hint)?;
    let name = name.trim().parse().map_err(|_| hint)?;
    Ok((name, a_value(value)?))
}

fn a_value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_bytes(text.trim().as_bytes())
        .map_err(|_| "a header is one line of text".to_owned())
}
