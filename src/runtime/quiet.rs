//! Log lines that a sender or a fault can cause again and again: one now and then, with the number of the others.
//!
//! Must not be used for what happens once.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lets a line through once in a while.
#[derive(Debug)]
pub struct Quiet {
    every: Duration,
    state: Mutex<(Option<Instant>, u64)>,
}

impl Quiet {
    /// One line in this time.
    pub const fn new(every: Duration) -> Self {
        Self {
            every,
            state: Mutex::new((None, 0)),
        }
    }

    /// Whether to write the line; then how many were left out since the last one.
    pub fn pass(&self) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, left_out) = &mut *state;
        if last.is_some_and(|last| last.elapsed() < self.every) {
            *left_out = left_out.saturating_add(1);
            return None;
        }
        *last = Some(Instant::now());
        Some(std::mem::take(left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_in_a_while_says_how_many_there_were() {
        let quiet = Quiet::new(Duration::from_secs(10));
        assert_eq!(quiet.pass(), Some(0));
        assert_eq!((quiet.pass(), quiet.pass()), (None, None));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(quiet.pass(), Some(2));
        assert_eq!(quiet.pass(), None);
    }
}
