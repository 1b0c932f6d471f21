//! `watchbell connector` and `send-test` of one: how the ticket platforms do, and trying one out by hand.
//!
//! `probe` and `send-test` need no daemon: they read the configuration and speak with the platform as the daemon would.
//! Must not show a secret.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::app::connectors::setup;
use crate::cli::client::Client;
use crate::cli::failure::{Exit, Failure};
use crate::cli::options::{DaemonArgs, Output};
use crate::cli::out::Out;
use crate::cli::settings::{load_sections, request};
use crate::cli::{json as print_json, near};
use crate::config::Env;
use crate::core::ticket::KEY_PREFIX;
use crate::runtime::clock::Clock;
use crate::runtime::entropy::random_bytes;
use crate::tickets::ConnectorSetup;
use crate::tickets::trial::{self, Tried};

/// The examples of `--help`.
pub const EXAMPLES: &str = "\
Examples:
  watchbell connector list
  watchbell connector probe snow
  watchbell connector pause snow
  watchbell connector resync snow --incident INC-42";

/// The examples of `connector probe --help`.
pub const PROBE_EXAMPLES: &str = "\
Examples:
  watchbell connector probe snow
  watchbell connector probe snow --output json | jq .ok

Logs in and looks up a key that no ticket has. Nothing is changed there, no daemon is asked.
Exit code 0: the platform does what its profile says; 1: not; 2: there is no such connector.";

/// The examples of `connector list --help`.
pub const LIST_EXAMPLES: &str = "\
Examples:
  watchbell connector list
  watchbell connector list --output json | jq '.items[] | select(.state != \"ok\") | .last_error'";

/// The examples of orders to a connector.
pub const ORDER_EXAMPLES: &str = "\
Examples:
  watchbell connector pause snow
  watchbell connector resume snow
  watchbell connector resync snow
  watchbell connector resync snow --incident INC-42

A pause outlasts a restart. Incidents go on meanwhile; their tickets follow when the connector goes on.";

/// What to do with connectors.
#[derive(Subcommand, Clone, Debug)]
pub enum ConnectorCommand {
    /// List the connectors of the daemon and how they do
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// Which daemon.
        #[command(flatten)]
        daemon: DaemonArgs,
    },
    /// See whether a platform does what its profile says
    #[command(after_help = PROBE_EXAMPLES)]
    Probe(ProbeArgs),
    /// Send and read nothing until it goes on
    #[command(after_help = ORDER_EXAMPLES)]
    Pause(OrderArgs),
    /// Let it go on
    #[command(after_help = ORDER_EXAMPLES)]
    Resume(OrderArgs),
    /// Read and compare tickets anew, and try refused ones again
    #[command(after_help = ORDER_EXAMPLES)]
    Resync {
        /// Which connector, and which daemon.
        #[command(flatten)]
        order: OrderArgs,
        /// Only the ticket of this incident; one that was deleted there gets another ticket then
        #[arg(long, value_name = "NUMBER")]
        incident: Option<String>,
    },
}

/// Options of orders to a connector.
#[derive(Args, Clone, Debug)]
pub struct OrderArgs {
    /// The name of the connector
    #[arg(value_name = "NAME")]
    name: String,
    /// Which daemon.
    #[command(flatten)]
    daemon: DaemonArgs,
}

/// Options of `connector probe`.
#[derive(Args, Clone, Debug)]
pub struct ProbeArgs {
    /// The name of the connector, as the configuration has it
    #[arg(value_name = "NAME")]
    name: String,
    /// `table` for people, `json` for programs
    #[arg(long, value_enum, default_value_t = Output::Table, hide_possible_values = true)]
    output: Output,
}

/// Options of `send-test`.
#[derive(Args, Clone, Debug)]
pub struct SendTestArgs {
    /// The name of the connector, as the configuration has it
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Only show the first request that would be sent
    #[arg(long)]
    pub dry_run: bool,
    /// `table` for people, `json` for programs
    #[arg(long, value_enum, default_value_t = Output::Table, hide_possible_values = true)]
    pub output: Output,
}

/// Carries out a command about connectors.
///
/// # Errors
/// There is no such connector, the configuration is wrong, or the daemon does not answer.
pub async fn run(
    config: Option<&Path>,
    command: &ConnectorCommand,
    env: &Env,
    out: &Out,
) -> Result<Exit, Failure> {
    match command {
        ConnectorCommand::List { daemon } => {
            let client = Client::new(daemon, config, env)?;
            let answer = client.get(&["connectors"], &[]).await?;
            match daemon.output {
                Output::Json => print_json::print(&answer, out)?,
                Output::Table | Output::Csv => out.print(listed(&answer).trim_end())?,
            }
            Ok(Exit::Done)
        }
        ConnectorCommand::Probe(args) => {
            let setup = find(config, &args.name, env)?;
            let tried = trial::probe(setup, Clock::system(), &random_key()?).await;
            show(&tried, args.output, out)
        }
        ConnectorCommand::Pause(args) => order(config, (args, "pause", json!({})), env, out).await,
        ConnectorCommand::Resume(args) => {
            order(config, (args, "resume", json!({})), env, out).await
        }
        ConnectorCommand::Resync {
            order: args,
            incident,
        } => {
            let body = match incident {
                Some(incident) => json!({"incident": incident}),
                None => json!({}),
            };
            order(config, (args, "resync", body), env, out).await
        }
    }
}

/// Gives the daemon an order and shows where the connector stands after it.
async fn order(
    config: Option<&Path>,
    (args, verb, body): (&OrderArgs, &str, serde_json::Value),
    env: &Env,
    out: &Out,
) -> Result<Exit, Failure> {
    let client = Client::new(&args.daemon, config, env)?;
    let answer = client
        .post(&["connectors", &args.name, verb], &body)
        .await?;
    match args.daemon.output {
        Output::Json => print_json::print(&answer, out)?,
        Output::Table | Output::Csv => {
            let one: serde_json::Value = serde_json::from_str(&answer).unwrap_or_default();
            out.print(listed(&json!({"items": [one]}).to_string()).trim_end())?;
        }
    }
    Ok(Exit::Done)
}

/// Makes a ticket and resolves it.
///
/// # Errors
/// There is no such connector, or the configuration is wrong.
pub async fn send_test(
    config: Option<&Path>,
    args: &SendTestArgs,
    env: &Env,
    out: &Out,
) -> Result<Exit, Failure> {
    let mut setup = find(config, &args.name, env)?;
    setup.is_dry_run |= args.dry_run;
    let tried = trial::send_test(setup, Clock::system(), &random_key()?).await;
    show(&tried, args.output, out)
}

fn find(config: Option<&Path>, name: &str, env: &Env) -> Result<ConnectorSetup, Failure> {
    let settings = load_sections(&request(config, env), &["connector"])?;
    let mut connectors = settings.connectors.iter();
    let found = connectors.find(|connector| connector.name == name);
    let connector = found.ok_or_else(|| {
        let names = settings.connectors.iter();
        let names: Vec<&str> = names.map(|it| it.name.as_str()).collect();
        let text = format!("the configuration has no connector {name:?}");
        Failure::usage(text).next(near::hint(name, &names, "its connectors are"))
    })?;
    setup(connector).map_err(Failure::failed)
}

fn random_key() -> Result<String, Failure> {
    let bytes = random_bytes::<16>();
    let bytes = bytes.map_err(|error| Failure::unreachable(error.to_string()))?;
    // Letters and digits that every platform's queries take.
    let letters = hex::encode(bytes).replace(['0', '1', '8', '9'], "x");
    let short: String = letters.chars().take(20).collect();
    Ok(format!("{KEY_PREFIX}test{short}"))
}

fn show(tried: &Tried, output: Output, out: &Out) -> Result<Exit, Failure> {
    let is_ok = tried.findings.is_ok();
    let (found, error) = match &tried.findings {
        Ok(found) => (found.clone(), None),
        Err(failure) => (Vec::new(), Some(failure.to_string())),
    };
    if output == Output::Json {
        let said = tried.shown.iter().map(|(request, answer)| {
            json!({"request": request.line, "headers": request.headers, "body": request.body, "answer": answer})
        });
        let said: Vec<_> = said.collect();
        let whole = json!({"ok": is_ok, "findings": found, "error": error, "exchanges": said});
        print_json::print(&whole.to_string(), out)?;
    } else {
        for (request, answer) in &tried.shown {
            let mut text = format!("> {}\n", request.line);
            for (name, value) in &request.headers {
                text.push_str(&format!("> {name}: {value}\n"));
            }
            if !request.body.is_empty() {
                text.push_str(&format!("> {}\n", request.body));
            }
            let answer: String = answer.chars().take(2_000).collect();
            for line in answer.lines() {
                text.push_str(&format!("< {line}\n"));
            }
            out.print(text.trim_end())?;
        }
        for line in &found {
            out.print(&format!("ok    {line}"))?;
        }
        if let Some(error) = &error {
            out.print(&format!("fails {error}"))?;
        }
    }
    Ok(if is_ok { Exit::Done } else { Exit::Failed })
}

fn listed(answer: &str) -> String {
    let parsed: serde_json::Value = serde_json::from_str(answer).unwrap_or_default();
    let items = parsed.get("items").and_then(|items| items.as_array());
    let items = items.cloned().unwrap_or_default();
    if items.is_empty() {
        return "no connectors are configured\n".to_owned();
    }
    let mut text = String::new();
    for item in items {
        let word = |key: &str| {
            let word = item.get(key).and_then(|word| word.as_str());
            word.unwrap_or("-").to_owned()
        };
        text.push_str(&format!(
            "{}  {}  {}  {}\n",
            word("name"),
            word("profile"),
            word("state"),
            word("last_error")
        ));
    }
    text
}
