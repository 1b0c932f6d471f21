//! Reads `[answers]`: how people answer messages.
//!
//! Must not show a secret.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use url::Url;

use crate::config::error::Complaint;
use crate::config::mqtt::{self, MqttSettings};
use crate::config::reader::{Spot, TableReader};
use crate::config::routes::known;
use crate::config::secret::Secret;
use crate::config::settings::SourceKind;
use crate::config::targets::TargetSettings;
use crate::config::values;
use crate::core::time::Span;

const HOUR: Span = Span::from_hours(1);
const LONGEST: Span = Span::from_days(90);
const MAILBOX_HINT: &str = "write it like imaps://mail.example, imap+starttls://mail.example, or imap:// for a server on this machine";

/// `[answers]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerSettings {
    /// How long the link of a message works.
    pub link_expires: Span,
    /// The targets whose message of a resolved incident carries a link to rate by.
    pub rating_targets: Vec<String>,
    /// How long such a link works.
    pub rating_expires: Span,
    /// What Slack signs with.
    pub slack_signing_secret: Option<Secret>,
    /// Brokers where answers are published.
    pub brokers: Vec<BrokerAnswers>,
    /// Mailboxes that replies go to.
    pub mailboxes: Vec<MailboxSettings>,
}

/// `[[answers.mqtt]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerAnswers {
    /// Its name.
    pub name: String,
    /// The broker, and what is subscribed.
    pub broker: Arc<MqttSettings>,
    /// Whether whoever may publish there may answer, and names themselves.
    pub is_open: bool,
}

/// How a mailbox is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailboxTls {
    /// TLS from the first byte.
    Wrapped,
    /// TLS before anything is said.
    Started,
    /// None.
    Plain,
}

/// `[[answers.mailbox]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxSettings {
    /// Its name.
    pub name: String,
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// TLS.
    pub tls: MailboxTls,
    /// Certificate authorities of the server, in place of the system's.
    pub ca: Option<PathBuf>,
    /// Whose mailbox.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// The folder that is looked into.
    pub folder: String,
    /// Time between two looks.
    pub every: Span,
    /// Whether mails that are done with are deleted; else they are marked as read.
    pub deletes: bool,
    /// Whether the server may stand at a private or loopback address.
    pub allow_private: bool,
}

/// Reads the section.
pub(super) fn read(root: &mut TableReader<'_>, targets: &[TargetSettings]) -> AnswerSettings {
    let Some(mut table) = root.table("answers") else {
        return AnswerSettings::default();
    };
    let answers = AnswerSettings {
        link_expires: table
            .required("link_expires", values::duration(HOUR..=LONGEST))
            .unwrap_or_default(),
        rating_targets: table.list("rating_targets", |spot| known(spot, targets)),
        rating_expires: table
            .required("rating_expires", values::duration(HOUR..=LONGEST))
            .unwrap_or_default(),
        slack_signing_secret: table.optional("slack_signing_secret", values::remote_secret),
        brokers: brokers(table.tables("mqtt")),
        mailboxes: mailboxes(table.tables("mailbox")),
    };
    table.finish();
    answers
}

fn brokers(tables: Vec<TableReader<'_>>) -> Vec<BrokerAnswers> {
    let mut names = BTreeSet::new();
    let mut read = Vec::new();
    for mut table in tables {
        table.also("subscribe", &["topic", "topics"]);
        let name = name(&mut table, "mqtt", &mut names);
        let is_open = table.optional("open", values::flag).unwrap_or_default();
        let broker = mqtt::read_broker(&mut table, SourceKind::Mqtt, false);
        if let (Some(name), Some(broker)) = (name, broker) {
            read.push(BrokerAnswers {
                name,
                broker,
                is_open,
            });
        }
        table.finish();
    }
    read
}

fn mailboxes(tables: Vec<TableReader<'_>>) -> Vec<MailboxSettings> {
    let mut names = BTreeSet::new();
    let mut read = Vec::new();
    for mut table in tables {
        let name = name(&mut table, "mailbox", &mut names);
        let place = table.required("url", server);
        let user = table.required("user", values::text);
        let password = table.required("password", values::remote_secret);
        let folder = table.optional("folder", values::text);
        let every = table.optional(
            "every",
            values::duration(Span::from_secs(1)..=Span::from_hours(24)),
        );
        let ca = table.optional("ca", values::pem_file);
        let deletes = table.optional("delete", values::flag).unwrap_or_default();
        let allow_private = table.optional("allow_private", values::flag);
        if let (Some(name), Some((host, port, tls)), Some(user), Some(password)) =
            (name, place, user, password)
        {
            read.push(MailboxSettings {
                name,
                host,
                port,
                tls,
                ca,
                user,
                password,
                folder: folder.unwrap_or_else(|| "INBOX".to_owned()),
                every: every.unwrap_or(Span::from_secs(30)),
                deletes,
                allow_private: allow_private.unwrap_or_default(),
            });
        }
        table.finish();
    }
    read
}

/// The name, or the usual one where there is only one.
fn name(table: &mut TableReader<'_>, usual: &str, names: &mut BTreeSet<String>) -> Option<String> {
    let is_named = table.has("name");
    let name = table.optional("name", values::text);
    let name = if is_named { name? } else { usual.to_owned() };
    if !names.insert(name.clone()) {
        let complaint = Complaint::new(format!("there is another one named {name:?}"));
        table.refuse(
            is_named.then_some("name"),
            complaint.hint("give each a name of its own"),
        );
        return None;
    }
    Some(name)
}

fn server(spot: &Spot<'_>) -> Result<(String, u16, MailboxTls), Complaint> {
    let wrong = |message: String| Complaint::new(message).hint(MAILBOX_HINT);
    let text = spot.text("a URL")?;
    let url = Url::parse(text).map_err(|error| wrong(format!("is not a URL: {error}")))?;
    let (tls, port) = match url.scheme() {
        "imaps" => (MailboxTls::Wrapped, 993),
        "imap+starttls" => (MailboxTls::Started, 143),
        "imap" => (MailboxTls::Plain, 143),
        other => return Err(wrong(format!("{other:?} is not a scheme for this URL"))),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Complaint::new("the URL holds a user or password")
            .hint("write them as `user` and `password` next to it, where they are kept secret"));
    }
    let is_bare = matches!(url.path(), "" | "/") && url.query().is_none();
    let Some(host) = url.host_str().filter(|host| !host.is_empty() && is_bare) else {
        return Err(wrong("has more or less than a host and a port".to_owned()));
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok((host.to_owned(), url.port().unwrap_or(port), tls))
}
