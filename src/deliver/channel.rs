//! How a target is spoken to: one variant per way.
//!
//! Must not retry or wait for a turn; a channel makes one attempt and says what it came to.

use super::channels::webhook::Webhook;
use super::{Attempt, Parcel};

/// How a target is spoken to.
#[derive(Clone, Debug)]
pub enum Channel {
    /// The incident as JSON, signed.
    Webhook(Box<Webhook>),
}

impl Channel {
    /// Sends a message once.
    pub async fn send(&self, parcel: &Parcel) -> Attempt {
        match self {
            Self::Webhook(webhook) => webhook.send(parcel).await,
        }
    }
}

pub use super::channels::webhook::{SigningKey, Webhook as WebhookChannel, WebhookSetup};
