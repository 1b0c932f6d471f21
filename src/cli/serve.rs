//! `watchbell serve`: the daemon.
//!
//! Must not set anything up; that is `app`'s.

use std::net::TcpListener;
use std::path::Path;

use crate::app;
use crate::cli::failure::{Exit, Failure};
use crate::cli::settings;
use crate::config::{Env, load};

/// The examples of `--help`.
pub const EXAMPLES: &str = "\
Examples:
  watchbell serve                            # defaults: http://127.0.0.1:8080, store in ./data
  watchbell serve --config /etc/watchbell/watchbell.toml
  systemctl reload watchbell                 # or kill -HUP: reads the configuration again

Stops on SIGTERM or SIGINT. Try `watchbell check` first when it refuses to start.";

/// Runs the daemon until it is told to stop; `inherited` are the sockets that systemd handed over.
///
/// # Errors
/// The configuration is wrong, something cannot be opened, or a part of the daemon ended unasked.
pub async fn run(
    config: Option<&Path>,
    env: &Env,
    inherited: Vec<TcpListener>,
) -> Result<Exit, Failure> {
    let request = settings::request(config, env);
    let loaded = load(&request)?;
    app::serve(request, loaded, inherited).await?;
    Ok(Exit::Done)
}
