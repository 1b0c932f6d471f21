//! How a target is spoken to: one variant per way.
//!
//! Must not retry or wait for a turn; a channel makes one attempt and says what it came to.

use super::channels::command::Program;
use super::channels::mail::Mail;
use super::channels::mqtt::Publisher;
use super::channels::profile::Profile;
use super::channels::webhook::Webhook;
use super::{Attempt, Parcel};

pub use super::channels::command::{CommandSetup, Program as CommandChannel};
pub use super::channels::mail::{Mail as MailChannel, MailSetup, MailTls};
pub use super::channels::mqtt::{MqttSetup, Publisher as MqttChannel};
pub use super::channels::profile::{Profile as ProfileChannel, ProfileSetup};
pub use super::channels::webhook::{SigningKey, Webhook as WebhookChannel, WebhookSetup};

/// How a target is spoken to.
#[derive(Clone, Debug)]
pub enum Channel {
    /// The incident as JSON, signed.
    Webhook(Box<Webhook>),
    /// Something that is only HTTP.
    Profile(Box<Profile>),
    /// E-mail.
    Mail(Box<Mail>),
    /// A publish to a broker.
    Mqtt(Box<Publisher>),
    /// A program.
    Command(Box<Program>),
}

impl Channel {
    /// Sends a message once.
    pub async fn send(&self, parcel: &Parcel) -> Attempt {
        match self {
            Self::Webhook(webhook) => webhook.send(parcel).await,
            Self::Profile(profile) => profile.send(parcel).await,
            Self::Mail(mail) => Box::pin(mail.send(parcel)).await,
            Self::Mqtt(publisher) => publisher.send(parcel).await,
            Self::Command(program) => program.send(parcel).await,
        }
    }

    /// Whether its texts name alerts.
    pub(super) const fn names_alerts(&self) -> bool {
        match self {
            Self::Webhook(_) | Self::Mqtt(_) => false,
            Self::Profile(_) | Self::Mail(_) | Self::Command(_) => true,
        }
    }
}
