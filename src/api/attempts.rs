//! Slows down those who guess tokens: wrong ones are counted per address.
//!
//! The number of addresses is bounded; an address of the newer protocol counts by its network, since one machine has
//! as many of them as it likes. Must not keep a valid token out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::problem::{Kind, Problem};

/// Wrong tokens that an address may send at once.
const BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
/// Wrong tokens that it may send each minute after that.
const PER_MINUTE: NonZeroU32 = NonZeroU32::MIN.saturating_add(29);
/// Addresses that are counted apart; beyond it newcomers share one count.
const ADDRESSES_MAX: usize = 10_000;

/// Wrong tokens by address.
#[derive(Debug)]
pub(super) struct Attempts {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
}

impl Attempts {
    pub(super) fn new() -> Self {
        let quota = Quota::per_minute(PER_MINUTE).allow_burst(BURST);
        Self {
            limiter: RateLimiter::keyed(quota),
            clock: DefaultClock::default(),
        }
    }

    /// Counts a wrong token.
    pub(super) fn count(&self, peer: Option<IpAddr>) -> Result<(), Problem> {
        let address = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        if self.limiter.len() >= ADDRESSES_MAX {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        let key = if self.limiter.len() < ADDRESSES_MAX {
            network(address)
        } else {
            IpAddr::V4(Ipv4Addr::BROADCAST)
        };
        self.limiter.check_key(&key).map_err(|until| {
            let wait_s = until
                .wait_time_from(self.clock.now())
                .as_secs()
                .saturating_add(1);
            let detail =
                format!("too many wrong tokens came from your address; try again in {wait_s} s");
            Problem::new(Kind::TooManyAttempts, detail).retry_after(wait_s)
        })
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => match six.to_ipv4_mapped() {
            Some(four) => IpAddr::V4(four),
            None => {
                let [a, b, c, d, ..] = six.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_count_together() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
