//! Ticket platforms: what to send and what an answer means, as pure conversations.
//!
//! One engine ([`profile`]) reads the file of a platform and holds every conversation ([`talk`]) of the five operations:
//! find, create, apply, changes, probe. A new platform is one file in `config/connectors/`. What a platform cannot
//! prove is [`Failure::Doubtful`], the only outcome that makes somebody look before a ticket is made again.
//!
//! Must not know the store, the network, a clock, or a secret: a secret is a mark in a request that the way out fills in.

pub mod apply;
pub mod call;
pub mod change_list;
mod compile;
mod file;
pub mod hook;
mod judge;
pub mod list;
pub mod login;
pub mod profile;
mod site;
pub mod talk;
mod text;
mod vars;

use serde_json::Value as Json;
use smol_str::SmolStr;

pub use self::profile::Profile;
pub use self::vars::{Brief, TicketVars, secret_mark};

/// Every profile that comes with Watchbell: name and file.
pub const PROFILES: &[(&str, &str)] = &[
    (
        "freshservice",
        include_str!("../../config/connectors/freshservice.toml"),
    ),
    ("glpi", include_str!("../../config/connectors/glpi.toml")),
    (
        "infraon",
        include_str!("../../config/connectors/infraon.toml"),
    ),
    ("itop", include_str!("../../config/connectors/itop.toml")),
    ("jira", include_str!("../../config/connectors/jira.toml")),
    (
        "maximo",
        include_str!("../../config/connectors/maximo.toml"),
    ),
    (
        "monday",
        include_str!("../../config/connectors/monday.toml"),
    ),
    (
        "ninjaone",
        include_str!("../../config/connectors/ninjaone.toml"),
    ),
    (
        "opsgenie",
        include_str!("../../config/connectors/opsgenie.toml"),
    ),
    (
        "pagerduty",
        include_str!("../../config/connectors/pagerduty.toml"),
    ),
    (
        "redmine",
        include_str!("../../config/connectors/redmine.toml"),
    ),
    (
        "request-tracker",
        include_str!("../../config/connectors/request-tracker.toml"),
    ),
    (
        "servicedesk-plus",
        include_str!("../../config/connectors/servicedesk-plus.toml"),
    ),
    (
        "servicenow",
        include_str!("../../config/connectors/servicenow.toml"),
    ),
    (
        "servicenow-events",
        include_str!("../../config/connectors/servicenow-events.toml"),
    ),
    (
        "zammad",
        include_str!("../../config/connectors/zammad.toml"),
    ),
    ("znuny", include_str!("../../config/connectors/znuny.toml")),
];

/// One request, with marks where secrets belong.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What it is for, in one word.
    pub step: SmolStr,
    /// The method.
    pub method: SmolStr,
    /// The path below the configured address, encoded.
    pub path: String,
    /// The query, not encoded.
    pub query: Vec<(String, String)>,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Body,
    /// Whether it changes something there.
    pub is_write: bool,
}

/// The body of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Body {
    /// None.
    #[default]
    Empty,
    /// JSON.
    Json(Json),
    /// Fields of a form.
    Form(Vec<(String, String)>),
    /// One part of a multipart form, as JSON.
    Multipart(String, Json),
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why an operation came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It is not known whether it was done.
    #[error("it is not known whether it was done: {0}")]
    Doubtful(String),
    /// Too much was asked; nothing was done.
    #[error("the platform asks to wait{}", .after_s.map_or_else(String::new, |s| format!(" {s} s")))]
    Limited {
        /// How long to wait.
        after_s: Option<u64>,
    },
    /// The login is not accepted.
    #[error("the login is not accepted: {0}")]
    Login(String),
    /// Somebody else changed it at the same time.
    #[error("somebody else changed it at the same time")]
    Conflict,
    /// The platform refused.
    #[error("{0}")]
    Refused(String),
    /// There is no such ticket.
    #[error("{0}")]
    Gone(String),
    /// The platform cannot be reached or does not work; nothing was done.
    #[error("{0}")]
    Away(String),
    /// The platform does not do what its profile says: nothing may be written before a person has looked.
    #[error("{0}")]
    Broken(String),
}

/// What to do next in a conversation.
#[derive(Debug)]
pub enum Step<T> {
    /// To send this.
    Send(Box<Request>),
    /// It is done.
    Done(T),
    /// It came to nothing.
    Failed(Failure),
}
