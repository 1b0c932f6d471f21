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
use crate::config::gaps::warnings;
use crate::config::settings::SourceSettings;
use crate::config::targets::TargetSettings;
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
    for (what, line) in tell_lines(settings) {
        table.row([what.into(), line.into()]);
    }
    format!("The configuration is valid.\n{}", table.render(out))
}

/// Who is told, and by which way.
fn tell_lines(settings: &Settings) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let targets = settings.targets.iter();
    lines.extend(targets.map(|target| ("target", target_line(target))));
    if settings.targets.is_empty() {
        lines.push(("target", "none: nobody is told".to_owned()));
    }
    for route in &settings.routes {
        let when = route.when.source().unwrap_or("always");
        let mut to: Vec<String> = route.targets.iter().map(ToString::to_string).collect();
        to.extend(route.team.iter().map(|team| format!("team {team}")));
        to.extend(route.escalation.iter().map(|it| format!("escalation {it}")));
        let to = if to.is_empty() {
            "nobody".to_owned()
        } else {
            to.join(", ")
        };
        let more = if route.goes_on { ", and goes on" } else { "" };
        let name = route.when.rule();
        lines.push(("route", format!("{name}: {when} -> {to}{more}")));
    }
    if settings.routes.is_empty() && !settings.targets.is_empty() {
        let line = "none: every target is told of every incident";
        lines.push(("route", line.to_owned()));
    }
    for schedule in settings.on_call.schedules.values() {
        let people = schedule.people().join(", ");
        lines.push(("schedule", format!("{}: {people}", schedule.name)));
    }
    for ladder in settings.ladders.values() {
        let steps = ladder.steps.len();
        lines.push(("escalation", format!("{}: {steps} steps", ladder.name)));
    }
    lines
}

fn target_line(target: &TargetSettings) -> String {
    let (name, kind) = (&target.name, target.kind.word());
    let mut line = format!("{name} ({kind})");
    if target.kind.word() == "webhook" {
        let signed = if target.secret.is_some() {
            "signed"
        } else {
            "not signed"
        };
        line.push_str(&format!(", {signed}"));
    }
    if target.allow_private {
        line.push_str(", also at private addresses");
    }
    line
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
