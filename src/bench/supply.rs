//! Bodies ready to send: from memory where passes are alike, else rendered into a buffer that is used again.
//!
//! The generator shares the cores with the server, so every tenth of a microsecond per alert shows in the result.
//! Must not hold more than [`KEPT_BYTES_MAX`] per server.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::body::Renderer;
use super::plan::{Plan, Slice};

/// The most memory for bodies kept per server; a million alerts, 100 per request, fit.
const KEPT_BYTES_MAX: u64 = 704 << 20;

/// Makes the bodies of one connection.
#[derive(Debug, Clone)]
pub(super) struct Supply {
    renderer: Renderer,
    buffer: BytesMut,
    kept: Option<Kept>,
}

/// All bodies of a pass.
#[derive(Debug, Clone)]
struct Kept {
    bodies: Arc<[Bytes]>,
    per_request: u64,
}

impl Supply {
    /// Renders each body when it is asked for.
    pub(super) fn new(renderer: Renderer) -> Self {
        Self {
            renderer,
            buffer: BytesMut::new(),
            kept: None,
        }
    }

    /// Renders what can be kept; takes about half a second per million alerts.
    pub(super) fn keep(&mut self, plan: Plan) {
        let Some(requests) = plan.requests_per_pass() else {
            return;
        };
        let size = self.render(plan.request(0)).len();
        let total = u64::try_from(size)
            .unwrap_or(u64::MAX)
            .saturating_mul(requests);
        if self.renderer.is_pass_invariant() && total <= KEPT_BYTES_MAX {
            let bodies = (0..requests)
                .map(|index| self.render(plan.request(index)))
                .collect();
            self.kept = Some(Kept {
                bodies,
                per_request: plan.per_request,
            });
        } else if let Some(active) = plan.active {
            self.renderer.keep_fingerprints(active);
        }
    }

    /// The body for `slice`.
    pub(super) fn body(&mut self, slice: Slice) -> Bytes {
        match self.kept.as_ref().and_then(|kept| kept.get(slice)) {
            Some(body) => body,
            None => self.render(slice),
        }
    }

    fn render(&mut self, slice: Slice) -> Bytes {
        self.renderer.render(slice, &mut self.buffer);
        let body = self.buffer.split().freeze();
        // Takes the same memory again as soon as hyper has let go of this body.
        self.buffer.reserve(body.len());
        body
    }
}

impl Kept {
    fn get(&self, slice: Slice) -> Option<Bytes> {
        let index = usize::try_from(slice.first / self.per_request).ok()?;
        self.bodies.get(index).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::alerts::Population;
    use crate::bench::args::Target;
    use std::time::Duration;

    #[test]
    fn kept_bodies_and_fingerprints_give_the_same_bytes_as_rendering() {
        let plan = Plan {
            active: Some(95),
            per_request: 10,
            first_pass: 0,
        };
        for (share, is_churning) in [(0, false), (0, true), (300, false)] {
            let population = Population::new(3, 1_000_000, Duration::from_millis(share));
            let renderer = Renderer::new(Target::Watchbell, population, is_churning);
            let mut supply = Supply::new(renderer.clone());
            supply.keep(plan);
            assert_eq!(supply.kept.is_some(), share == 0 && !is_churning);
            for index in 0..25 {
                let slice = plan.request(index);
                let mut plain = BytesMut::new();
                renderer.clone().render(slice, &mut plain);
                assert_eq!(supply.body(slice), plain);
            }
        }
    }
}
