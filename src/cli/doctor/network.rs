//! The listener, the sources that are asked what is really active, brokers, and the mailboxes of answers.
//!
//! Must not send anything that changes something at the other end.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::DATE;

use super::Finding;
use crate::app::{ANSWERS, broker_setups, mailbox_setup};
use crate::cli::client::{Client, cause, is_refused};
use crate::cli::machine::now;
use crate::cli::target;
use crate::cli::text::{clean, span};
use crate::config::Settings;
use crate::config::answers::MailboxSettings;
use crate::config::settings::{Reconcile, ReconcileAuth, SourceSettings};
use crate::core::time::{Span, Timestamp};
use crate::ingest::mqtt::{self, BrokerSetup};
use crate::replies::mailbox;

/// Time for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How far a source's clock may be off; HTTP dates have whole seconds.
const SKEW_MAX: Span = Span::from_secs(30);

/// Checks the listener and every polled source.
pub(super) async fn check(settings: &Settings) -> Vec<Finding> {
    let mut findings = listener(settings).await;
    for source in &settings.sources {
        if let Some(reconcile) = &source.reconcile {
            findings.push(reconciled(source, reconcile).await);
        }
    }
    for setup in broker_setups(settings, "doctor") {
        findings.push(broker(&setup).await);
    }
    for mailbox in &settings.answers.mailboxes {
        findings.push(mailbox_of(mailbox).await);
    }
    findings
}

async fn listener(settings: &Settings) -> Vec<Finding> {
    let check = "listener";
    let Some(target) = target::of_settings(settings) else {
        return vec![Finding::ok(check, "the port is chosen at the start")];
    };
    let client = match Client::to(&target, None, None) {
        Ok(client) => client,
        Err(failure) => {
            let next = "correct [server] listen and tls";
            return vec![Finding::fail(check, failure.to_string(), next)];
        }
    };
    let shown = client.shown();
    let finding = match client.ready().await {
        Ok((StatusCode::OK, _)) => Finding::ok(check, format!("Watchbell is ready at {shown}")),
        Ok((StatusCode::SERVICE_UNAVAILABLE, why)) => Finding::warn(
            check,
            format!("Watchbell at {shown} is not ready: {}", reasons(&why)),
            "wait a moment; if it stays so, its log tells why (journalctl -u watchbell)",
        ),
        Ok((status, _)) => Finding::fail(
            check,
            format!("what listens at {shown} answers {status} to /readyz, unlike Watchbell"),
            "stop the other program, or choose another [server] listen",
        ),
        Err(error) if is_refused(&error) => {
            return settings.server.listen.iter().map(bind).collect();
        }
        Err(error) => Finding::warn(
            check,
            format!("{shown} does not answer: {}", cause(&error)),
            "with TLS, set [server] external_url to the name in the certificate; else look into the daemon's log",
        ),
    };
    vec![finding]
}

fn bind(address: &SocketAddr) -> Finding {
    let check = "listener";
    let Err(error) = TcpListener::bind(address) else {
        return Finding::ok(check, format!("no daemon runs; {address} is free"));
    };
    let known = [
        (
            ErrorKind::AddrInUse,
            "another program listens there: stop it, or choose another [server] listen",
        ),
        (
            ErrorKind::PermissionDenied,
            "ports below 1024 need CAP_NET_BIND_SERVICE, or a socket unit",
        ),
        (
            ErrorKind::AddrNotAvailable,
            "this machine does not have that address: correct [server] listen",
        ),
    ];
    let next = known.iter().find(|(kind, _)| *kind == error.kind());
    let next = next.map_or("correct [server] listen", |(_, next)| *next);
    let found = format!("{address} cannot be listened on: {error}");
    Finding::fail(check, found, next)
}

async fn broker(setup: &BrokerSetup) -> Finding {
    let (check, name) = match setup.source.strip_prefix(ANSWERS) {
        Some(name) => ("answers", name),
        None => ("source", setup.source.as_str()),
    };
    let shown = format!("{name} ({})", setup.shown);
    match mqtt::probe(setup).await {
        Ok(()) => Finding::ok(
            check,
            format!("{shown} takes us; its topics are not checked"),
        ),
        Err(why) => {
            let next = format!("check url, tls, user and password of {check} {name:?}");
            Finding::fail(check, format!("{shown}: {why}"), next)
        }
    }
}

/// Logs in to a mailbox and looks at its folder, without reading or marking a mail.
async fn mailbox_of(mailbox: &MailboxSettings) -> Finding {
    let check = "answers";
    let (name, folder) = (&mailbox.name, &mailbox.folder);
    let shown = format!("{name} ({}:{})", mailbox.host, mailbox.port);
    let setup = mailbox_setup(mailbox);
    let looked = tokio::time::timeout(TIMEOUT, mailbox::probe(&setup)).await;
    let looked = looked.unwrap_or_else(|_| Err("it does not answer".to_owned()));
    match looked {
        Ok(unread) => Finding::ok(
            check,
            format!("{shown} lets us in; {unread} unread in {folder}"),
        ),
        Err(why) => {
            let next =
                format!("check url, ca, user, password and folder of [[answers.mailbox]] {name:?}");
            Finding::fail(check, format!("{shown}: {why}"), next)
        }
    }
}

async fn reconciled(source: &SourceSettings, reconcile: &Reconcile) -> Finding {
    let check = "source";
    let shown = format!("{} ({})", source.name, reconcile.url);
    let failed = |what: String| {
        let next = format!(
            "check reconcile.url of source {:?}, and that it runs",
            source.name
        );
        Finding::fail(check, format!("{shown} {what}"), next)
    };
    let client = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none());
    let client = if reconcile.url.starts_with("http://") {
        client.tls_certs_only([])
    } else {
        client
    };
    let client = match client.build() {
        Ok(client) => client,
        Err(error) => return failed(format!("cannot be asked: {}", cause(&error))),
    };
    let request = client.get(format!("{}/api/v2/status", reconcile.url));
    let request = match &reconcile.auth {
        Some(ReconcileAuth::Token(token)) => request.bearer_auth(token.expose()),
        Some(ReconcileAuth::Basic(basic)) => {
            request.basic_auth(&basic.user, Some(basic.password.expose()))
        }
        None => request,
    };
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => return failed(format!("does not answer: {}", cause(&error))),
    };
    match answer.status() {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Finding::fail(
            check,
            format!("{shown} answers {}", answer.status()),
            "set reconcile.token or reconcile.basic to what it asks for",
        ),
        status if status.is_success() => skew(&shown, answer.headers().get(DATE)),
        status => failed(format!("answers {status} to /api/v2/status")),
    }
}

/// Compares the clock of a source with ours.
fn skew(shown: &str, date: Option<&reqwest::header::HeaderValue>) -> Finding {
    let check = "source";
    let theirs = date
        .and_then(|date| date.to_str().ok())
        .and_then(|date| jiff::fmt::rfc2822::parse(date).ok())
        .map(|date| Timestamp::from_millis(date.timestamp().as_millisecond()));
    let off = theirs.map(|theirs| now().since(theirs));
    match off {
        Some(off) if off.abs() > SKEW_MAX => {
            let side = if off > Span::ZERO { "behind" } else { "ahead" };
            let found = format!("{shown} answers; its clock is {} {side}", span(off.abs()));
            Finding::warn(check, found, "set both clocks (timedatectl)")
        }
        Some(_) | None => Finding::ok(check, format!("{shown} answers")),
    }
}

/// Why the daemon says that it is not ready.
fn reasons(body: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Health {
        reasons: Vec<String>,
    }
    match serde_json::from_str::<Health>(body) {
        Ok(health) => clean(&health.reasons.join("; ")),
        Err(_) => clean(body.lines().next().unwrap_or_default()),
    }
}
