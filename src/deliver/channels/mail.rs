//! E-mail: one thread per incident, plain text and HTML.
//!
//! The first message of an incident has an id that follows from the incident and that only we can make, and the later
//! ones refer to it, so that mailboxes thread them and a reply is known again. Must not put text of an alert into a header without its encoding; lettre does that.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use serde_json::Value;

use crate::core::tell::event::Event;
use crate::deliver::text::{TextSetup, Words};
use crate::deliver::{Attempt, Failure, Outcome, Parcel, Trace};
use crate::wire::resolve;

/// What says that a mail is from a program.
const BY_A_PROGRAM: [(&str, &str); 2] = [
    ("Auto-Submitted", "auto-generated"),
    ("X-Auto-Response-Suppress", "All"),
];

/// How a mail server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// TLS from the first byte.
    Wrapped,
    /// TLS or nothing is sent.
    Required,
    /// TLS if the server offers it.
    Opportunistic,
}

/// What a mail target is made of.
#[derive(Clone)]
pub struct MailSetup {
    /// The server's name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// TLS.
    pub tls: MailTls,
    /// Certificate authorities of the server besides the system's, PEM.
    pub ca: Option<PathBuf>,
    /// User and password.
    pub login: Option<(String, String)>,
    /// Who it is from.
    pub from: String,
    /// Who gets it, unless it is for one person.
    pub to: Vec<String>,
    /// Texts.
    pub text: TextSetup,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// Whether the server may stand at a private or loopback address.
    pub allow_private: bool,
}

impl std::fmt::Debug for MailSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MailSetup")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// Mail.
#[derive(Clone, Debug)]
pub struct Mail {
    setup: MailSetup,
}

impl Mail {
    /// Mail.
    pub fn new(setup: MailSetup) -> Self {
        Self { setup }
    }

    pub(in crate::deliver) async fn send(&self, parcel: &Parcel) -> Attempt {
        let message = match self.message(parcel) {
            Ok(message) => message,
            Err(error) => {
                let failure = Failure {
                    error,
                    is_final: true,
                    is_own_fault: true,
                    ..Failure::default()
                };
                return attempt(Outcome::Failed(failure), None, String::new(), String::new());
            }
        };
        let request = format!(
            "smtp {}:{}\n{}",
            self.setup.host,
            self.setup.port,
            String::from_utf8_lossy(&message.formatted())
        );
        match tokio::time::timeout(self.setup.timeout, self.give(message)).await {
            Ok(Ok((code, said))) => attempt(Outcome::Arrived, Some(code), request, said),
            Ok(Err((failure, code))) => {
                let said = failure.error.clone();
                attempt(Outcome::Failed(failure), code, request, said)
            }
            Err(_) => {
                let error = format!("no answer within {} s", self.setup.timeout.as_secs());
                let failure = Failure {
                    error: error.clone(),
                    may_have_arrived: true,
                    ..Failure::default()
                };
                attempt(Outcome::Failed(failure), None, request, error)
            }
        }
    }

    /// Hands a message to the server; its code and words, or why not.
    async fn give(&self, message: Message) -> Result<(i64, String), (Failure, Option<i64>)> {
        let unsent = |error: String| {
            let failure = Failure {
                error,
                ..Failure::default()
            };
            (failure, None)
        };
        let setup = &self.setup;
        let address = resolve(&setup.host, setup.port, setup.allow_private)
            .await
            .map_err(unsent)?;
        let own = own_authority(setup.ca.as_deref()).await.map_err(unsent)?;
        let parameters = || {
            let mut parameters = TlsParameters::builder(setup.host.clone());
            for certificate in own.clone() {
                parameters = parameters.add_root_certificate(certificate);
            }
            parameters.build()
        };
        let tls = match setup.tls {
            MailTls::Wrapped => parameters().map(Tls::Wrapper),
            MailTls::Required => parameters().map(Tls::Required),
            MailTls::Opportunistic => parameters().map(Tls::Opportunistic),
        };
        let tls = tls.map_err(|error| unsent(error.to_string()))?;
        // The address that was checked is the one that is used.
        let mut builder =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.ip().to_string())
                .port(setup.port)
                .tls(tls)
                .timeout(Some(setup.timeout));
        if let Some((user, password)) = &setup.login {
            builder = builder.credentials(Credentials::new(user.clone(), password.clone()));
        }
        let transport: AsyncSmtpTransport<Tokio1Executor> = builder.build();
        match transport.send(message).await {
            Ok(response) => {
                let code: u16 = response.code().into();
                let said: Vec<&str> = response.message().collect();
                Ok((i64::from(code), said.join(" ")))
            }
            Err(error) => {
                let code = error.status().map(|code| i64::from(u16::from(code)));
                let failure = Failure {
                    error: chain(&error),
                    // An answer is a no; a broken conversation may have been a yes.
                    may_have_arrived: code.is_none() && error.is_timeout(),
                    is_final: error.is_permanent() && code != Some(535),
                    is_own_fault: error.is_permanent(),
                    asked: None,
                };
                Err((failure, code))
            }
        }
    }

    fn message(&self, parcel: &Parcel) -> Result<Message, String> {
        let setup = &self.setup;
        let from: Mailbox = setup
            .from
            .parse()
            .map_err(|error| format!("from: {error}"))?;
        let domain = from.email.domain().to_owned();
        let words = setup.text.words(parcel);
        let mut builder = Message::builder().from(from).subject(&words.headline);
        let own = [parcel.recipient.clone()];
        let recipients: &[String] = if parcel.recipient.is_empty() {
            &setup.to
        } else {
            &own
        };
        if recipients.is_empty() {
            return Err("it is not said to whom: set `to`".to_owned());
        }
        for to in recipients {
            builder = builder.to(to.parse().map_err(|error| format!("{to}: {error}"))?);
        }
        let thread = parcel.thread.as_deref();
        let root = thread.map(|thread| format!("<{thread}@{domain}>"));
        let own_id = format!("<{}@{domain}>", parcel.id);
        builder = match (root, parcel.event) {
            (Some(root), Event::Opened) => builder.message_id(Some(root)),
            (Some(root), _) => builder
                .message_id(Some(own_id))
                .in_reply_to(root.clone())
                .references(root),
            (None, _) => builder.message_id(Some(own_id)),
        };
        // Programs that answer mails by themselves are asked not to.
        for (name, value) in BY_A_PROGRAM {
            builder = builder.raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str(name),
                value.to_owned(),
            ));
        }
        body(builder, &words)
    }
}

/// The certificate of an authority of the operator's.
async fn own_authority(file: Option<&Path>) -> Result<Vec<Certificate>, String> {
    let Some(file) = file else {
        return Ok(Vec::new());
    };
    let shown = file.display();
    let pem = tokio::fs::read(file).await;
    let pem = pem.map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let certificate = Certificate::from_pem(&pem).map_err(|error| format!("{shown}: {error}"))?;
    Ok(vec![certificate])
}

fn body(builder: lettre::message::MessageBuilder, words: &Words) -> Result<Message, String> {
    let plain = format!("{}\n\n{}\n", words.headline, words.details);
    let html = words.values.get("html").and_then(Value::as_str);
    let html = html.unwrap_or_default().to_owned();
    let part = |kind, text| SinglePart::builder().header(kind).body(text);
    builder
        .multipart(
            MultiPart::alternative()
                .singlepart(part(ContentType::TEXT_PLAIN, plain))
                .singlepart(part(ContentType::TEXT_HTML, html)),
        )
        .map_err(|error| error.to_string())
}

fn attempt(outcome: Outcome, status: Option<i64>, request: String, response: String) -> Attempt {
    Attempt {
        outcome,
        status,
        trace: Trace { request, response },
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(one) = next {
        let said = one.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = one.source();
    }
    text
}
