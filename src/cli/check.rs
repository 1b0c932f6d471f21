//! `watchbell check`: is the configuration right, and what does it say?
//!
//! Must not open the store or the network; that is `doctor`'s.

use std::path::Path;

use crate::cli::failure::{Exit, Failure};
use crate::cli::machine::now;
use crate::cli::out::Out;
use crate::cli::settings::{request, shown_path, shown_store};
use crate::cli::table::{Fit, Table};
use crate::cli::target;
use crate::config::people::warnings;
use crate::config::settings::SourceSettings;
use crate::config::{Env, Settings, load};

/// The examples of `--help`.
pub const EXAMPLES: &str = "\
Examples:
  watchbell check
  watchbell check --config /etc/watchbell/watchbell.toml
  watchbell check && systemctl reload watchbell

Every error is shown at once, with file, line, key and a hint.
Exit code 0: valid; 1: not; 3: a file cannot be read.";

/// Checks the configuration and prints what it amounts to.
///
/// # Errors
/// The configuration is wrong or cannot be read.
pub fn run(config: Option<&Path>, env: &Env, out: &Out) -> Result<Exit, Failure> {
    let settings = load(&request(config, env))?;
    out.print(&summary(&settings, out))?;
    for warning in warnings(&settings, now()) {
        out.note(&format!("warning: {warning}"));
    }
    Ok(Exit::Done)
}

fn summary(settings: &Settings, out: &Out) -> String {
    let mut table = Table::new(&[("", Fit::Fixed), ("", Fit::Wrap)]);
    let files: Vec<String> = settings
        .files
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let files = if files.is_empty() {
        "none; the built-in defaults are used".to_owned()
    } else {
        files.join(", ")
    };
    table.row(["files".into(), files.into()]);
    let scheme = target::scheme(settings);
    for address in &settings.server.listen {
        table.row(["listens on".into(), format!("{scheme}://{address}").into()]);
    }
    let auth = if settings.auth.is_required {
        "a token is required"
    } else {
        "open; only this machine can reach it"
    };
    table.row(["API".into(), auth.into()]);
    table.row(["store".into(), shown_store(&settings.store).into()]);
    let state = shown_path(settings.state_dir());
    table.row(["state folder".into(), state.into()]);
    let base = settings
        .server
        .external_url
        .clone()
        .or_else(|| target::of_settings(settings).map(|target| target.url))
        .unwrap_or_default();
    for source in &settings.sources {
        table.row(["source".into(), source_line(source, &base).into()]);
    }
    if settings.sources.is_empty() {
        table.row(["source".into(), "none: no alerts can come in".into()]);
    }
    for heartbeat in &settings.heartbeats {
        let line = format!(
            "{}: POST {base}/heartbeat/{}",
            heartbeat.name, heartbeat.name
        );
        table.row(["heartbeat".into(), line.into()]);
    }
    format!("The configuration is valid.\n{}", table.render(out))
}

fn source_line(source: &SourceSettings, base: &str) -> String {
    let (name, kind) = (&source.name, source.kind.word());
    let mut line = match &source.mqtt {
        Some(mqtt) => {
            let scheme = if mqtt.is_tls { "mqtts" } else { "mqtt" };
            format!("{name} ({kind}): {scheme}://{}:{}", mqtt.host, mqtt.port)
        }
        None => format!("{name} ({kind}): POST {base}{}", source.path()),
    };
    if let Some(preset) = &source.preset {
        line.push_str(&format!(", preset {preset}"));
    }
    if source.mqtt.is_none() {
        line.push_str(if source.is_authenticated() {
            ", with a secret"
        } else {
            ", open"
        });
    }
    if let Some(reconcile) = &source.reconcile {
        line.push_str(&format!(", reconciled with {}", reconcile.url));
    }
    line
}
