//! Amazon SNS over HTTPS: the envelope around a message, its confirmations, and raw delivery.
//!
//! The payload is the message when that is JSON, else an object of `Subject`, `Message`, `TopicArn`, `MessageId` and
//! `Timestamp`; `topic` is the topic's ARN. A confirmation makes no observation: whether to follow its `SubscribeURL`
//! is decided where signatures are checked. Must not open an address.
//! Source: AWS "SNS HTTP/HTTPS notification JSON formats", "Verifying message signatures".

use std::sync::Arc;

use minijinja::value::Value;
use serde::Deserialize;

use crate::sources::mapped::payload;
use crate::sources::mapping::value::{self, Budget};
use crate::sources::mapping::{Observer, Origin};
use crate::sources::{DecodeError, Message, body, json};

/// Names the topic of a message of raw delivery.
pub(super) const TOPIC_HEADER: &str = "x-amz-sns-topic-arn";

/// The envelope; what is absent is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SnsEnvelope {
    /// `Notification`, `SubscriptionConfirmation` or `UnsubscribeConfirmation`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// The same over retries.
    pub message_id: String,
    /// The topic.
    pub topic_arn: String,
    /// Only if the publisher set one.
    pub subject: Option<String>,
    /// What was published.
    pub message: String,
    /// When it was published.
    pub timestamp: String,
    /// `1` for SHA-1, `2` for SHA-256.
    pub signature_version: String,
    /// Base64 of the signature over [`SnsEnvelope::signed_text`].
    pub signature: String,
    /// Where the certificate is.
    #[serde(rename = "SigningCertURL")]
    pub signing_cert_url: String,
    /// Where a subscription is confirmed.
    #[serde(rename = "SubscribeURL")]
    pub subscribe_url: Option<String>,
    /// What confirms it.
    pub token: Option<String>,
}

impl SnsEnvelope {
    /// Reads an envelope; `None` when the text is something else, such as a message of raw delivery.
    pub fn read(text: &str) -> Option<Self> {
        let envelope: Self = serde_json::from_str(text).ok()?;
        let is_known = [
            "Notification",
            "SubscriptionConfirmation",
            "UnsubscribeConfirmation",
        ]
        .contains(&envelope.kind.as_str());
        (is_known && !envelope.topic_arn.is_empty()).then_some(envelope)
    }

    /// The text that is signed: names and values on lines of their own, in a fixed order.
    pub fn signed_text(&self) -> String {
        let is_notification = self.kind == "Notification";
        let lines = [
            ("Message", Some(self.message.as_str())),
            ("MessageId", Some(self.message_id.as_str())),
            (
                "Subject",
                self.subject.as_deref().filter(|_| is_notification),
            ),
            (
                "SubscribeURL",
                self.subscribe_url.as_deref().filter(|_| !is_notification),
            ),
            ("Timestamp", Some(self.timestamp.as_str())),
            ("Token", self.token.as_deref().filter(|_| !is_notification)),
            ("TopicArn", Some(self.topic_arn.as_str())),
            ("Type", Some(self.kind.as_str())),
        ];
        let lines = lines.into_iter();
        lines
            .filter_map(|(name, value)| Some(format!("{name}\n{}\n", value?)))
            .collect()
    }
}

/// Feeds the published message to the observer.
pub(super) fn observe(
    message: &Message<'_>,
    budget: &Arc<Budget>,
    observer: &mut Observer<'_>,
) -> Result<(), DecodeError> {
    let Some(envelope) = SnsEnvelope::read(json::text(message.body)?) else {
        if let Some(topic) = message.envelope.header(TOPIC_HEADER) {
            observer.set_topic(topic);
        }
        return observer.payload(&payload(message, budget)?, &Origin::default());
    };
    match envelope.kind.as_str() {
        "Notification" => {
            observer.set_topic(&envelope.topic_arn);
            let (payload, origin) = unwrapped(&envelope, budget);
            observer.payload(&payload, &origin)
        }
        kind => {
            let what = if kind == "SubscriptionConfirmation" {
                observer.test();
                "asks to confirm the subscription: its SubscribeURL has to be opened within two days"
            } else {
                observer.skip();
                "says that the subscription has ended"
            };
            observer.note("Type", format!("{what} (topic {})", envelope.topic_arn));
            Ok(())
        }
    }
}

fn unwrapped(envelope: &SnsEnvelope, budget: &Arc<Budget>) -> (Value, Origin) {
    let text = &envelope.message;
    if body::looks_like_json(text)
        && let Ok(inner) = json::text(text.as_bytes()).and_then(|text| value::read(text, budget))
    {
        return (inner, Origin("Message".to_owned()));
    }
    let entries = [
        ("Subject", envelope.subject.as_deref().unwrap_or_default()),
        ("Message", text),
        ("TopicArn", &envelope.topic_arn),
        ("MessageId", &envelope.message_id),
        ("Timestamp", &envelope.timestamp),
    ];
    let entries = entries.map(|(name, text)| (Value::from(name), value::text(text)));
    (value::map(entries.into(), Some(budget)), Origin::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_text_has_the_published_order() {
        let notification = r#"{"Type":"Notification","MessageId":"m","TopicArn":"t","Subject":"s","Message":"x\ny",
            "Timestamp":"2026","Token":"never"}"#;
        assert_eq!(
            SnsEnvelope::read(notification).unwrap().signed_text(),
            "Message\nx\ny\nMessageId\nm\nSubject\ns\nTimestamp\n2026\nTopicArn\nt\nType\nNotification\n"
        );
        let confirmation = r#"{"Type":"SubscriptionConfirmation","MessageId":"m","TopicArn":"t","Message":"x",
            "Timestamp":"2026","Token":"k","SubscribeURL":"u"}"#;
        assert_eq!(
            SnsEnvelope::read(confirmation).unwrap().signed_text(),
            "Message\nx\nMessageId\nm\nSubscribeURL\nu\nTimestamp\n2026\nToken\nk\nTopicArn\nt\nType\n\
             SubscriptionConfirmation\n"
        );
        assert_eq!(SnsEnvelope::read(r#"{"AlarmName":"a"}"#), None);
    }
}
