//! How the connection to a broker does, for people.
//!
//! Must not hold a secret: texts come from us and from the broker's answers.

use std::sync::{Mutex, PoisonError};

use crate::core::time::Timestamp;

/// The connection of one source. Shared by the task that holds it and those who show it.
#[derive(Debug, Default)]
pub struct Link {
    state: Mutex<LinkState>,
    /// What was subscribed last and under which client id, so that a reload can take it back.
    subscribed: Mutex<(String, Vec<String>)>,
}

/// What is shown of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkState {
    /// The broker.
    pub broker: String,
    /// Whether the broker has accepted us and the connection stands.
    pub is_connected: bool,
    /// Since when that is so.
    pub since: Option<Timestamp>,
    /// Whether the broker had kept our session at the last connect.
    pub is_session_kept: bool,
    /// What went wrong last; kept when it is over.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<Timestamp>,
    /// Whether messages wait because they cannot be stored.
    pub is_waiting: bool,
}

impl Link {
    /// A copy of what is shown.
    pub fn state(&self) -> LinkState {
        self.lock().clone()
    }

    pub(super) fn begin(&self, broker: String, now: Timestamp) {
        let mut state = self.lock();
        if state.broker != broker {
            *state = LinkState {
                broker,
                since: Some(now),
                ..LinkState::default()
            };
        }
    }

    pub(super) fn connected(&self, now: Timestamp, is_session_kept: bool) {
        let mut state = self.lock();
        state.is_connected = true;
        state.since = Some(now);
        state.is_session_kept = is_session_kept;
    }

    pub(super) fn lost(&self, now: Timestamp) {
        let mut state = self.lock();
        if state.is_connected {
            state.since = Some(now);
        }
        state.is_connected = false;
        state.is_waiting = false;
    }

    pub(super) fn troubled(&self, error: &str, now: Timestamp) {
        let mut state = self.lock();
        state.last_error = Some(error.chars().take(500).collect());
        state.last_error_at = Some(now);
    }

    /// Notes what is subscribed from now on; returns what no longer is.
    pub(super) fn subscribes(&self, client_id: &str, filters: Vec<String>) -> Vec<String> {
        let mut subscribed = self
            .subscribed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *subscribed, (client_id.to_owned(), filters));
        if before.0 != client_id {
            return Vec::new();
        }
        let mut gone = before.1;
        gone.retain(|filter| !subscribed.1.contains(filter));
        gone
    }

    pub(super) fn waits(&self, is_waiting: bool) {
        self.lock().is_waiting = is_waiting;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
