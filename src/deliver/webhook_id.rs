//! The id of a message towards others: the same for every attempt, and of no other message.
//!
//! Must not depend on anything that a restart changes.

use crate::core::time::Timestamp;

/// The id of a message with this number, decided at that time. The time tells stores apart that number alike.
pub fn webhook_id(id: i64, at: Timestamp) -> String {
    format!("msg_{id}_{:x}", at.as_millis())
}
