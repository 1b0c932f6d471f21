//! Which alerts request `i` holds.
//!
//! A request never spans two passes, so one ledger line names it. Must not depend on time or on connections: the
//! same `i` is the same request in every run.

use std::sync::atomic::{AtomicU64, Ordering};

/// The alerts of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice {
    /// The number of the first alert.
    pub(super) first: u64,
    /// How many alerts, consecutive numbers.
    pub(super) count: u64,
    /// Which time these alerts are sent.
    pub(super) pass: u64,
}

/// How alerts are cut into requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// Distinct alerts; `None` if every alert is new.
    pub(super) active: Option<u64>,
    /// Alerts per request, at least 1.
    pub(super) per_request: u64,
    /// The pass of request 0.
    pub(super) first_pass: u64,
}

/// The position of one server in the plan, shared by its connections.
#[derive(Debug)]
pub(super) struct Sequence {
    next: AtomicU64,
}

impl Plan {
    /// Requests of one pass; `None` if there is only one, endless pass.
    pub(super) fn requests_per_pass(&self) -> Option<u64> {
        self.active
            .map(|active| active.div_ceil(self.per_request).max(1))
    }

    /// The alerts of request `index`.
    pub(super) fn request(&self, index: u64) -> Slice {
        match (self.active, self.requests_per_pass()) {
            (Some(active), Some(per_pass)) => {
                let first = index % per_pass * self.per_request;
                Slice {
                    first,
                    count: self.per_request.min(active - first.min(active)),
                    pass: self.first_pass + index / per_pass,
                }
            }
            (None, _) | (_, None) => Slice {
                first: index.saturating_mul(self.per_request),
                count: self.per_request,
                pass: self.first_pass,
            },
        }
    }
}

impl Sequence {
    /// Starts at request 0.
    pub(super) fn new() -> Self {
        Self {
            next: AtomicU64::new(0),
        }
    }

    /// Takes the next request below `end`.
    pub(super) fn claim(&self, end: Option<u64>) -> Option<u64> {
        self.next
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
                end.is_none_or(|end| next < end).then_some(next + 1)
            })
            .ok()
    }

    /// The request that would be claimed next.
    pub(super) fn position(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_covers_every_alert_once_and_no_request_spans_two() {
        let plan = Plan {
            active: Some(250),
            per_request: 100,
            first_pass: 3,
        };
        let slices: Vec<_> = (0..4).map(|index| plan.request(index)).collect();
        let expected = [(0, 100, 3), (100, 100, 3), (200, 50, 3), (0, 100, 4)];
        for (slice, (first, count, pass)) in slices.into_iter().zip(expected) {
            assert_eq!(slice, Slice { first, count, pass });
        }
    }

    #[test]
    fn new_alerts_never_wrap() {
        let plan = Plan {
            active: None,
            per_request: 100,
            first_pass: 0,
        };
        assert_eq!(
            plan.request(1_000_000),
            Slice {
                first: 100_000_000,
                count: 100,
                pass: 0
            }
        );
    }

    #[test]
    fn claims_stop_at_the_end_and_go_on_from_there() {
        let sequence = Sequence::new();
        assert_eq!(sequence.claim(Some(1)), Some(0));
        assert_eq!(sequence.claim(Some(1)), None);
        assert_eq!(sequence.position(), 1);
        assert_eq!(sequence.claim(None), Some(1));
    }
}
