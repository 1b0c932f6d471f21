//! The command line: one definition of every command, from which help, completions and man page are made.
//!
//! Reading order: [`Command`] (what there is), [`run`] (how it ends), then one file per command. Commands that talk to
//! a daemon use `client` over the API; `check`, `migrate`, `backup`, `token` and `doctor` look at files and the store
//! themselves. Results go to stdout, everything else to stderr, exit codes are those of [`failure::Exit`].
//!
//! Must not decide anything about alerts or incidents, and must not log: errors are printed once, here.

pub mod alerts;
pub mod audit;
pub mod bench;
pub mod check;
pub mod client;
pub mod cmdb;
pub mod connector;
pub mod correlate;
pub mod dead_letters;
pub mod doctor;
pub mod explain;
pub mod failure;
pub mod generate;
pub mod incident;
pub mod incident_page;
pub mod incidents;
pub mod json;
pub mod machine;
pub mod maintenance;
pub mod near;
pub mod on_call;
pub mod options;
pub mod out;
pub mod pages;
pub mod records;
pub mod replay;
pub mod replay_log;
pub mod report;
pub mod route;
mod scope;
pub mod send_test;
pub mod serve;
pub mod settings;
pub mod silence;
pub mod simulate;
pub mod source;
pub mod source_table;
pub mod store;
pub mod table;
pub mod target;
pub mod test;
pub mod text;
pub mod token;
pub mod views;

use std::ffi::OsString;
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

use crate::cli::client::Client;
use crate::cli::failure::{Exit, Failure};
use crate::cli::options::{DaemonArgs, Output};
use crate::cli::out::Out;
use crate::config::Env;
use crate::runtime::listen;

const EXAMPLES: &str = "\
Two minutes to the first incident:
  watchbell serve &                                # on http://127.0.0.1:8080, store in ./data
  curl -H 'content-type: application/json' http://127.0.0.1:8080/ingest/alertmanager \\
    -d '{\"version\":\"4\",\"alerts\":[{\"status\":\"firing\",\"labels\":{\"alertname\":\"Hello\"}}]}'
  watchbell incidents
  watchbell incident 1 ack

`watchbell COMMAND --help` has more examples. Exit codes: 0 it worked, 1 the check failed or the
daemon refused, 2 the command line makes no sense, 3 something could not be reached or opened.";

/// Bridges monitoring and incident management: alerts in, one durable incident out
#[derive(Parser, Debug)]
#[command(name = "watchbell", version, after_help = EXAMPLES, max_term_width = 120, propagate_version = true)]
pub struct Cli {
    /// The configuration file [default: ./config/watchbell.toml, else /etc/watchbell/watchbell.toml, else built in]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
enum Command {
    /// Run the daemon
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::ServeArgs),
    /// Check the configuration: every error at once, with its place and a hint
    #[command(after_help = check::EXAMPLES)]
    Check,
    /// Bring the store's schema up to date
    #[command(after_help = store::MIGRATE_EXAMPLES)]
    Migrate,
    /// Write a consistent copy of the store while the daemon runs
    #[command(after_help = store::BACKUP_EXAMPLES)]
    Backup(store::BackupArgs),
    /// Find out what is wrong with this installation
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(doctor::DoctorArgs),
    /// Make, list and revoke API tokens
    #[command(subcommand, after_help = token::EXAMPLES)]
    Token(token::TokenCommand),
    /// Play the stored input log again with other rules, and tell what differs
    #[command(after_help = replay_log::EXAMPLES)]
    Replay(replay_log::ReplayArgs),
    /// Play written tests of rules
    #[command(after_help = test::EXAMPLES)]
    Test(test::TestArgs),
    /// List, show, make or change changes, requests, problems, known errors and actions
    #[command(after_help = records::EXAMPLES)]
    Records(records::RecordsArgs),
    /// Print the review of an incident as Markdown, or write into it
    #[command(after_help = records::REVIEW_EXAMPLES)]
    Review(records::ReviewArgs),
    /// Show who did what, and whether nobody has changed that since
    #[command(subcommand, after_help = audit::EXAMPLES)]
    Audit(audit::AuditCommand),
    /// List incidents
    #[command(after_help = incidents::EXAMPLES)]
    Incidents(incidents::IncidentsArgs),
    /// Show an incident, or do something with it
    #[command(after_help = incident::EXAMPLES)]
    Incident(incident::IncidentArgs),
    /// List alerts
    #[command(after_help = alerts::EXAMPLES)]
    Alerts(alerts::AlertsArgs),
    /// Import, look at and check the configuration items
    #[command(subcommand, after_help = cmdb::EXAMPLES)]
    Cmdb(cmdb::CmdbCommand),
    /// Keep people from being told of some alerts for a while
    #[command(after_help = silence::EXAMPLES)]
    Silence(silence::SilenceArgs),
    /// Plan times in which people are not told of what is worked on
    #[command(after_help = maintenance::EXAMPLES)]
    Maintenance(maintenance::MaintenanceArgs),
    /// Tell who is on call, now or at any time
    #[command(after_help = on_call::ON_CALL_EXAMPLES)]
    OnCall(on_call::OnCallArgs),
    /// Show schedules, and let somebody stand in
    #[command(after_help = on_call::EXAMPLES)]
    Schedule(on_call::ScheduleArgs),
    /// List the ticket platforms, and see whether one does what its profile says
    #[command(subcommand, after_help = connector::EXAMPLES)]
    Connector(connector::ConnectorCommand),
    /// Tell why an alert or an incident is what it is
    #[command(after_help = explain::EXAMPLES)]
    Explain(explain::ExplainArgs),
    /// Show how people and services do: times, service levels, backlog, noise, cost
    #[command(after_help = report::EXAMPLES)]
    Report(report::ReportArgs),
    /// Show messages that could not be understood
    #[command(after_help = dead_letters::EXAMPLES)]
    DeadLetters(dead_letters::DeadLettersArgs),
    /// Try a message on a source, and list the sources
    #[command(subcommand, after_help = source::EXAMPLES)]
    Source(source::SourceCommand),
    /// Send a test message to a target, or make a ticket and resolve it, and show what was said
    #[command(after_help = send_test::EXAMPLES)]
    SendTest(send_test::SendTestArgs),
    /// Show who would be told of an incident, and why
    #[command(after_help = route::EXAMPLES)]
    Route(route::RouteArgs),
    /// Play a file of timed alerts and changes in virtual time and tell which incidents they become
    #[command(after_help = simulate::EXAMPLES)]
    Simulate(simulate::SimulateArgs),
    /// Measure how fast alerts are acknowledged, and how well they are correlated
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Print a completion script for a shell
    #[command(after_help = generate::COMPLETIONS_EXAMPLES)]
    Completions(generate::CompletionsArgs),
    /// Print the manual page
    #[command(after_help = generate::MAN_EXAMPLES)]
    Man(generate::ManArgs),
}

/// Runs the command line and tells how it ended. The TLS provider must have been installed.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version also come this way; a reader that has gone is no error.
            drop(error.print());
            let is_asked_for = !error.use_stderr();
            return if is_asked_for {
                Exit::Done
            } else {
                Exit::Usage
            }
            .into();
        }
    };
    let env = Env::process();
    let out = Out::new(&env);
    let exit = execute(cli, &env, &out).unwrap_or_else(|failure| {
        if failure != Failure::ReaderGone {
            out.note(&format!("watchbell: {failure}"));
        }
        failure.exit()
    });
    exit.into()
}

fn execute(cli: Cli, env: &Env, out: &Out) -> Result<Exit, Failure> {
    // Reading them changes the environment, which is only safe while there is one thread.
    let inherited = if matches!(cli.command, Command::Serve(_)) {
        listen::inherited().map_err(|error| {
            Failure::unreachable(format!("a socket from systemd cannot be used: {error}"))
                .next("give the unit stream sockets only (ListenStream=)")
        })?
    } else {
        Vec::new()
    };
    let runtime = runtime(&cli.command).map_err(|error| {
        Failure::unreachable(format!("the operating system gave no threads: {error}"))
    })?;
    let exit = runtime.block_on(Box::pin(dispatch(cli, inherited, env, out)));
    // A name that is still being looked up must not hold up the end.
    runtime.shutdown_background();
    exit
}

/// Many threads for the daemon and the load generator, this thread for the rest.
fn runtime(command: &Command) -> std::io::Result<Runtime> {
    match command {
        Command::Bench(_) => Builder::new_multi_thread(),
        Command::Serve(_) => {
            let mut builder = Builder::new_multi_thread();
            // Writer and engine have threads of their own; one core less of requests makes a quarter more of them
            // per second on two cores, since nobody waits for a turn.
            let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
            builder.worker_threads(cores.saturating_sub(1).max(1));
            builder
        }
        Command::Check
        | Command::Migrate
        | Command::Backup(_)
        | Command::Doctor(_)
        | Command::Token(_)
        | Command::Audit(_)
        | Command::Test(_)
        | Command::Replay(_)
        | Command::Records(_)
        | Command::Review(_)
        | Command::Incidents(_)
        | Command::Incident(_)
        | Command::Alerts(_)
        | Command::Cmdb(_)
        | Command::Connector(_)
        | Command::Silence(_)
        | Command::Maintenance(_)
        | Command::OnCall(_)
        | Command::Schedule(_)
        | Command::Explain(_)
        | Command::Report(_)
        | Command::DeadLetters(_)
        | Command::Source(_)
        | Command::SendTest(_)
        | Command::Route(_)
        | Command::Simulate(_)
        | Command::Completions(_)
        | Command::Man(_) => Builder::new_current_thread(),
    }
    .enable_all()
    .build()
}

async fn dispatch(
    cli: Cli,
    inherited: Vec<TcpListener>,
    env: &Env,
    out: &Out,
) -> Result<Exit, Failure> {
    let config = cli.config.as_deref();
    let client = |args: &DaemonArgs| Client::new(args, config, env);
    match cli.command {
        Command::Serve(args) => serve::run(config, &args, env, inherited).await,
        Command::Check => check::run(config, env, out),
        Command::Migrate => store::migrate(config, env, out).await,
        Command::Backup(args) => store::backup(config, &args, env, out).await,
        Command::Doctor(args) => doctor::run(config, &args, env, out).await,
        Command::Token(command) => token::run(config, &command, env, out).await,
        Command::Replay(args) => replay_log::run(config, &args, env, out).await,
        Command::Test(args) => test::run(config, &args, env, out),
        Command::Records(args) => records::run(&client(&args.daemon)?, &args, out).await,
        Command::Review(args) => records::review(&client(&args.daemon)?, &args, out).await,
        Command::Audit(command) => audit::run(config, &command, env, out).await,
        Command::Incidents(args) => incidents::run(&client(&args.daemon)?, &args, out).await,
        Command::Incident(args) => incident::run(&client(&args.daemon)?, &args, out).await,
        Command::Alerts(args) => alerts::run(&client(&args.daemon)?, &args, out).await,
        Command::Cmdb(command) => cmdb::run(&client(command.daemon())?, &command, out).await,
        Command::Connector(command) => connector::run(config, &command, env, out).await,
        Command::Silence(args) => silence::run(&client(&args.daemon)?, &args, out).await,
        Command::Maintenance(args) => maintenance::run(&client(&args.daemon)?, &args, out).await,
        Command::OnCall(args) => on_call::run(&client(&args.daemon)?, &args, out).await,
        Command::Schedule(args) => on_call::schedule(&client(&args.daemon)?, &args, out).await,
        Command::Explain(args) => explain::run(&client(&args.daemon)?, &args, out).await,
        Command::Report(args) => {
            // Only reports can be printed as comma-separated values.
            let daemon = DaemonArgs {
                output: Output::Table,
                ..args.daemon.clone()
            };
            report::run(&client(&daemon)?, &args, out).await
        }
        Command::DeadLetters(args) => dead_letters::run(&client(&args.daemon)?, &args, out).await,
        Command::Source(command) => source::run(config, &command, env, out).await,
        Command::SendTest(args) => send_test::run(config, &args, env, out).await,
        Command::Route(args) => route::run(config, &args, env, out).await,
        Command::Simulate(args) => simulate::run(config, &args, env, out),
        Command::Bench(command) => bench::run(&command, out).await,
        Command::Completions(args) => generate::completions(&args, Cli::command(), out),
        Command::Man(args) => generate::man(&args, Cli::command(), out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound_and_every_command_teaches_by_example() {
        let mut command = Cli::command();
        command.build();
        command.clone().debug_assert();
        let mut open = vec![&command];
        while let Some(command) = open.pop() {
            let name = command.get_bin_name().unwrap_or_default();
            if command.get_name() == "help" {
                continue;
            }
            assert!(command.get_about().is_some(), "{name} has no description");
            let has_examples = command.get_after_help().is_some();
            assert!(
                has_examples || command.has_subcommands(),
                "{name} has no examples"
            );
            open.extend(command.get_subcommands());
        }
    }
}
