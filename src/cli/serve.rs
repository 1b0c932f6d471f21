//! `watchbell serve`: the daemon.
//!
//! Must not set anything up; that is `app`'s.

use std::net::TcpListener;
use std::path::Path;

use clap::Args;

use crate::app;
use crate::cli::failure::{Exit, Failure};
use crate::cli::settings;
use crate::config::{Env, load};

/// The examples of `--help`.
pub const EXAMPLES: &str = "\
Examples:
  watchbell serve                            # defaults: http://127.0.0.1:8080, store in ./data
  watchbell serve --config /etc/watchbell/watchbell.toml
  watchbell serve --demo                     # with a made-up data centre and a storm in it; see http://127.0.0.1:8080/
  systemctl reload watchbell                 # or kill -HUP: reads the configuration again

Stops on SIGTERM or SIGINT. Try `watchbell check` first when it refuses to start.";

/// How to run it.
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// Add a small made-up data centre and play a storm against it
    #[arg(long)]
    demo: bool,
}

/// Runs the daemon until it is told to stop; `inherited` are the sockets that systemd handed over.
///
/// # Errors
/// The configuration is wrong, something cannot be opened, or a part of the daemon ended unasked.
pub async fn run(
    config: Option<&Path>,
    args: &ServeArgs,
    env: &Env,
    inherited: Vec<TcpListener>,
) -> Result<Exit, Failure> {
    let mut request = settings::request(config, env);
    request.is_demo = args.demo;
    let loaded = load(&request)?;
    Box::pin(app::serve(request, loaded, inherited)).await?;
    Ok(Exit::Done)
}
