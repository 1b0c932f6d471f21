//! How much a source, or an address, may send: what is over it is refused in the way that its sender repeats.
//!
//! A quota is no failure of ours, but most senders of alerts drop a message for good on 429, so they get 503; only
//! those that speak an API in which 429 means "again, later" get that. Nothing that was accepted is touched. Must not
//! keep a count for more addresses than [`ADDRESSES_MAX`]; beyond it newcomers share one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response, StatusCode};
use axum::middleware::Next;
use axum::response::IntoResponse as _;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::time::Instant;

use crate::runtime::listen::PeerAddr;
use crate::runtime::problem::Problem;

use super::{Ingest, body};

/// Addresses that are counted apart.
pub const ADDRESSES_MAX: usize = 10_000;
/// Time between two looks for addresses to be forgotten.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// How many messages in which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Messages each second in the long run.
    pub per_second: NonZeroU32,
    /// Messages at once.
    pub burst: NonZeroU32,
}

impl Rate {
    fn quota(self) -> Quota {
        Quota::per_second(self.per_second).allow_burst(self.burst)
    }
}

/// How a sender has to be told that it sends too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// 503: it drops a message on any 4xx.
    Unavailable,
    /// 429: it repeats the message later.
    TooMany,
}

impl Told {
    /// What the clients of a path expect.
    pub fn of_path(path: &str) -> Self {
        let is_their_own = ["/pagerduty/", "/opsgenie/", "/v2/", "/generic/"];
        if is_their_own.iter().any(|start| path.starts_with(start)) {
            Self::TooMany
        } else {
            Self::Unavailable
        }
    }

    /// The status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
        }
    }
}

/// How much one source may send.
#[derive(Debug)]
pub struct SourceLimit {
    rate: Rate,
    limiter: DefaultDirectRateLimiter,
}

impl SourceLimit {
    /// A fresh count.
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            limiter: RateLimiter::direct(rate.quota()),
        }
    }

    /// What is allowed.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Counts a message; returns how long to wait when it is one too many.
    pub fn check(&self) -> Result<(), Duration> {
        let clock = DefaultClock::default();
        let checked = self.limiter.check();
        checked.map_err(|until| until.wait_time_from(clock.now()))
    }
}

/// How much one address may send, all sources together.
#[derive(Debug)]
pub struct PeerLimit {
    rate: Rate,
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    swept_at: Mutex<Instant>,
}

impl PeerLimit {
    /// Fresh counts.
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            limiter: RateLimiter::keyed(rate.quota()),
            swept_at: Mutex::new(Instant::now()),
        }
    }

    /// What is allowed.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Counts a message; returns how long to wait when it is one too many.
    pub fn check(&self, peer: IpAddr) -> Result<(), Duration> {
        if self.limiter.len() >= ADDRESSES_MAX {
            self.sweep();
        }
        let key = if self.limiter.len() < ADDRESSES_MAX {
            network(peer)
        } else {
            IpAddr::V4(Ipv4Addr::BROADCAST)
        };
        let clock = DefaultClock::default();
        let checked = self.limiter.check_key(&key);
        checked.map_err(|until| until.wait_time_from(clock.now()))
    }
}

impl PeerLimit {
    /// Forgets addresses that have their whole burst again; not oftener than the walk costs.
    fn sweep(&self) {
        let mut swept_at = self.swept_at.lock().unwrap_or_else(PoisonError::into_inner);
        if swept_at.elapsed() >= SWEEP_PAUSE {
            *swept_at = Instant::now();
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
    }
}

/// One machine has as many addresses of the newer protocol as it likes, so those count by network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(four) => IpAddr::V4(four),
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// The answer to what is over a limit.
pub(super) fn over(told: Told, who: &str, wait: Duration) -> Problem {
    let wait_s = u32::try_from(wait.as_secs())
        .unwrap_or(u32::MAX)
        .saturating_add(1);
    let detail = format!(
        "{who} sends more than it may; the message was not stored, send it again in {wait_s} s"
    );
    Problem::new(told.status(), "rate-limited", "Too many messages", detail).retry_after(wait_s)
}

/// Refuses what an address sends over its limit; for every path that messages come in by.
pub async fn guard(
    State(ingest): State<Ingest>,
    request: Request<Body>,
    next: Next,
) -> Response<Body> {
    let limit = ingest.0.peers.load();
    let peer = request
        .extensions()
        .get::<PeerAddr>()
        .map(|peer| peer.0.ip());
    let checked = match (limit.as_ref(), peer) {
        (Some(limit), Some(peer)) => limit.check(peer),
        (Some(_), None) | (None, _) => Ok(()),
    };
    let Err(wait) = checked else {
        return next.run(request).await;
    };
    ingest.0.metrics.peer_limited.inc();
    let told = Told::of_path(request.uri().path());
    body::drain(&mut request.into_body()).await;
    over(told, "your address", wait).into_response()
}

/// Keeps the counts of a limit that did not change.
pub(super) fn renewed(
    before: Option<&Arc<PeerLimit>>,
    rate: Option<Rate>,
) -> Option<Arc<PeerLimit>> {
    let rate = rate?;
    let same = before.filter(|before| before.rate() == rate);
    Some(same.map_or_else(|| Arc::new(PeerLimit::new(rate)), Arc::clone))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: u32, burst: u32) -> Rate {
        Rate {
            per_second: NonZeroU32::new(per_second).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
        }
    }

    #[test]
    fn a_burst_passes_and_the_next_waits() {
        let limit = SourceLimit::new(rate(1, 3));
        let passed = (0..5).filter(|_| limit.check().is_ok()).count();
        assert_eq!(passed, 3);
        let wait = limit.check().unwrap_err();
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
    }

    #[test]
    fn addresses_count_apart_by_network_and_their_number_is_bounded() {
        let limit = PeerLimit::new(rate(1, 1));
        let of = |text: &str| limit.check(text.parse().unwrap()).is_ok();
        assert!(of("2001:db8:1:2::1"));
        assert!(!of("2001:db8:1:2:ffff::9"));
        assert!(of("192.0.2.1") && !of("::ffff:192.0.2.1") && of("192.0.2.2"));
        for number in 0..u32::try_from(ADDRESSES_MAX).unwrap() + 500 {
            limit.check(IpAddr::V4(Ipv4Addr::from_bits(number))).ok();
        }
        assert!(limit.limiter.len() <= ADDRESSES_MAX + 1);
    }

    #[test]
    fn alertmanager_is_never_told_429() {
        for path in ["/ingest/am", "/api/v2/alerts", "/heartbeat/backup"] {
            assert_eq!(Told::of_path(path), Told::Unavailable, "{path}");
        }
        for path in [
            "/pagerduty/v2/enqueue",
            "/v2/enqueue",
            "/opsgenie/v2/alerts",
            "/v2/alerts",
        ] {
            assert_eq!(Told::of_path(path), Told::TooMany, "{path}");
        }
    }
}
