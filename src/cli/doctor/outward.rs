//! Targets and connectors: what the running daemon says of each, else whether its place can be reached.
//!
//! Must not send a message, log in, or write to a ticket platform; `send-test` and `connector probe` do.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use super::Finding;
use crate::cli::client::{Client, parse};
use crate::cli::target;
use crate::cli::text::clean;
use crate::config::Settings;
use crate::config::connectors::ConnectorSettings;
use crate::config::targets::TargetSettings;
use crate::wire::resolve;

/// Time for a connection.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Listed {
    items: Vec<Told>,
}

/// What the daemon says of a target or a connector.
#[derive(Deserialize)]
struct Told {
    name: String,
    /// Of a target.
    #[serde(default)]
    health: Option<String>,
    /// Of a connector.
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    last_error: Option<String>,
}

impl Told {
    fn word(&self) -> &str {
        self.health
            .as_deref()
            .or(self.state.as_deref())
            .unwrap_or("")
    }
}

/// Checks every target and connector.
pub(super) async fn check(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !settings.targets.is_empty() {
        let told = ask(settings, "targets").await;
        for one in &settings.targets {
            findings.push(target_of(one, found(&told, &one.name)).await);
        }
    }
    if !settings.connectors.is_empty() {
        let told = ask(settings, "connectors").await;
        for one in &settings.connectors {
            findings.push(connector_of(one, found(&told, &one.name)).await);
        }
    }
    findings
}

/// What the daemon says; nothing when it does not answer, or asks for a token.
async fn ask(settings: &Settings, list: &str) -> Vec<Told> {
    let ask = async {
        let client = Client::to(&target::of_settings(settings)?, None, None).ok()?;
        let all = [("limit", "500".to_owned())];
        let answer = client.get(&[list], &all).await.ok()?;
        let listed: Listed = parse(&answer).ok()?;
        Some(listed.items)
    };
    ask.await.unwrap_or_default()
}

fn found<'a>(told: &'a [Told], name: &str) -> Option<&'a Told> {
    told.iter().find(|one| one.name == name)
}

async fn target_of(target: &TargetSettings, told: Option<&Told>) -> Finding {
    let check = "target";
    let name = &target.name;
    let shown = format!("{name} ({})", target.kind.word());
    let next =
        format!("correct [[target]] {name:?}, then try it with `watchbell send-test {name}`");
    if let Some(told) = told {
        let why = clean(told.last_error.as_deref().unwrap_or("no reason is known"));
        match told.word() {
            "down" => return Finding::fail(check, format!("{shown} is down: {why}"), next),
            "failing" => return Finding::warn(check, format!("{shown} failed last: {why}"), next),
            "paused" => {
                let next = format!("POST /api/v1/targets/{name}/resume lets it go on");
                return Finding::warn(check, format!("{shown} is paused: what is due waits"), next);
            }
            "up" => return Finding::ok(check, format!("{shown} takes what is sent")),
            _ => {}
        }
    }
    let tried = if let Some(program) = target.command.first() {
        program_is_there(program)
    } else if let Some(url) = &target.url {
        reach(url.expose(), target.allow_private).await
    } else {
        let found = format!("{shown} is at its usual address, which is not looked at");
        return Finding::ok(check, found);
    };
    match tried {
        Ok(()) => Finding::ok(check, format!("{shown} is there; nothing was sent to it")),
        Err(why) => Finding::fail(check, format!("{shown}: {why}"), next),
    }
}

async fn connector_of(connector: &ConnectorSettings, told: Option<&Told>) -> Finding {
    let check = "connector";
    let (name, profile) = (&connector.name, &connector.profile.profile.name);
    let shown = format!("{name} ({profile})");
    let next = format!("`watchbell connector probe {name}` asks it and tells what is wrong");
    if let Some(told) = told {
        let why = told.last_error.as_deref().map(clean);
        match (told.word(), why) {
            ("ok", _) => return Finding::ok(check, format!("{shown} is in touch")),
            ("paused", _) => {
                let next = format!("`watchbell connector resume {name}` lets it go on");
                return Finding::warn(check, format!("{shown} is paused: tickets wait"), next);
            }
            (word, Some(why)) => {
                return Finding::fail(check, format!("{shown} is {word}: {why}"), next);
            }
            (_, None) => {}
        }
    }
    match reach(&connector.url, connector.allow_private).await {
        Ok(()) => Finding::ok(check, format!("{shown} is there; nothing was asked of it")),
        Err(why) => Finding::fail(check, format!("{shown}: {why}"), next),
    }
}

fn program_is_there(program: &str) -> Result<(), String> {
    if Path::new(program).is_file() {
        return Ok(());
    }
    Err(format!("there is no program {program}"))
}

/// Opens a connection to the host of an address and closes it.
async fn reach(url: &str, allow_private: bool) -> Result<(), String> {
    let url = Url::parse(url).map_err(|error| format!("its url is none: {error}"))?;
    let host = url.host_str().ok_or("its url names no host")?;
    let host = host.trim_matches(['[', ']']);
    let port = url.port().unwrap_or(match url.scheme() {
        "http" => 80,
        "smtp" => 25,
        "smtps" => 465,
        "smtp+starttls" => 587,
        "mqtt" | "tcp" => 1883,
        "mqtts" | "ssl" => 8883,
        _ => 443,
    });
    let address = resolve(host, port, allow_private).await?;
    match timeout(TIMEOUT, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("{host}:{port} cannot be reached: {error}")),
        Err(_) => Err(format!("{host}:{port} does not answer")),
    }
}
