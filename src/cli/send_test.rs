//! `watchbell send-test`: a real message to a target, or a ticket of a connector, with what went over the wire.
//!
//! Needs no daemon: the configuration is read and the message sent as the daemon would. Must not show a secret.

use std::path::Path;

use clap::Args;
use tokio::time::Instant;

use crate::app::{deliveries, tell_hooks};
use crate::cli::connector;
use crate::cli::failure::{Exit, Failure};
use crate::cli::json;
use crate::cli::machine::now;
use crate::cli::options::Output;
use crate::cli::out::Out;
use crate::cli::settings::{load_sections, request};
use crate::cli::text::clean_lines;
use crate::config::Env;

/// The examples of `--help`.
pub const EXAMPLES: &str = "\
Examples:
  watchbell send-test ops-chat
  watchbell send-test mail --to ana@example.org
  watchbell send-test ops-chat --output json | jq .ok
  watchbell send-test snow --dry-run                         # a connector: a ticket is made and resolved at once

Exit code 0: it worked; 1: it did not; 2: there is no such target or connector.";

/// Options of `send-test`.
#[derive(Args, Clone, Debug)]
pub struct SendTestArgs {
    /// The name of the target, as the configuration has it
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The address of one person, for targets that need one
    #[arg(long, value_name = "ADDRESS")]
    pub to: Option<String>,
    /// For connectors: only show the first request that would be sent
    #[arg(long)]
    pub dry_run: bool,
    /// `table` for people, `json` for programs
    #[arg(long, value_enum, default_value_t = Output::Table, hide_possible_values = true)]
    pub output: Output,
}

/// Sends a test.
///
/// # Errors
/// There is no such target or connector, or the configuration is wrong.
pub async fn run(
    config: Option<&Path>,
    args: &SendTestArgs,
    env: &Env,
    out: &Out,
) -> Result<Exit, Failure> {
    let settings = load_sections(&request(config, env), &["target", "server", "answers"])?;
    let found = settings
        .targets
        .iter()
        .find(|target| target.name == args.name);
    let Some(target) = found else {
        let args = connector::SendTestArgs {
            name: args.name.clone(),
            dry_run: args.dry_run,
            output: args.output,
        };
        return connector::send_test(config, &args, env, out).await;
    };
    if args.dry_run {
        let text = format!("{} is a target, and those have no --dry-run", target.name);
        return Err(Failure::usage(text));
    }
    let around = deliveries::surroundings(&settings);
    let channel = deliveries::channel(target, around).map_err(Failure::failed)?;
    let parcel = tell_hooks::sample(args.to.as_deref().unwrap_or_default(), now());
    let started = Instant::now();
    let attempt = channel.send(&parcel).await;
    let took_s = started.elapsed().as_secs_f64();
    let kind = target.kind.word().to_owned();
    let sent = tell_hooks::sent_test((target.name.clone(), kind), attempt, took_s);
    match args.output {
        Output::Json => {
            let text = serde_json::to_string(&sent).map_err(|error| {
                Failure::failed(format!("the result cannot be written: {error}"))
            })?;
            json::print(&text, out)?;
        }
        Output::Table | Output::Csv => {
            let verdict = match &sent.error {
                None => format!("{} took it in {took_s:.2} s.", sent.target),
                Some(error) => format!("{} did not take it: {error}", sent.target),
            };
            let (request, response) = (clean_lines(&sent.request), clean_lines(&sent.response));
            out.print(&format!(
                "--- sent\n{request}\n--- came back\n{response}\n---\n{verdict}\n"
            ))?;
        }
    }
    Ok(if sent.ok { Exit::Done } else { Exit::Failed })
}
