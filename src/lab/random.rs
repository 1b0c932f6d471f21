//! Numbers by seed: the same on every machine, for ever.
//!
//! `SplitMix64` (Steele, Lea, Flood 2014), written out because worlds must not change when a library does; exponential
//! delays by von Neumann's comparisons, so that no mathematical library is asked. Must not be used for secrets.

use std::time::Duration;

/// A stream of numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of a seed and a purpose; streams of different purposes have nothing to do with each other.
    pub fn new(seed: u64, purpose: &str) -> Self {
        let mut random = Self(seed ^ 0x5757_6174_6368_4265);
        for byte in purpose.bytes() {
            random.0 = random.bits().wrapping_add(u64::from(byte));
        }
        random
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`, or 0 when `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u128::try_from(end).unwrap_or(0);
        // The multiplication keeps the high bits, which are the best ones.
        let scaled = u128::from(self.bits()).wrapping_mul(end) >> 64;
        usize::try_from(scaled).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// A fraction from 0 to less than 1.
    pub fn unit(&mut self) -> f64 {
        let bits = u32::try_from(self.bits() >> 32).unwrap_or(0);
        f64::from(bits) / 4_294_967_296.0
    }

    /// True with that probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of several; `None` of none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }

    /// One of several by weight; `None` of none.
    pub fn weighted<'a, T>(&mut self, of: &'a [(T, f64)]) -> Option<&'a T> {
        let total: f64 = of.iter().map(|(_, weight)| weight).sum();
        let mut left = self.unit() * total;
        for (one, weight) in of {
            left -= weight;
            if left < 0.0 {
                return Some(one);
            }
        }
        of.last().map(|(one, _)| one)
    }

    /// Milliseconds from `low` to `high` seconds, evenly spread.
    pub fn seconds(&mut self, low: f64, high: f64) -> i64 {
        millis(low + (high - low) * self.unit())
    }

    /// Milliseconds of an exponential delay with that mean in seconds.
    pub fn delay(&mut self, mean: f64) -> i64 {
        millis(mean * self.exponential())
    }

    fn exponential(&mut self) -> f64 {
        let mut whole = 0.0;
        loop {
            let first = self.unit();
            let (mut last, mut is_odd) = (first, true);
            loop {
                let next = self.unit();
                if next >= last {
                    break;
                }
                last = next;
                is_odd = !is_odd;
            }
            if is_odd {
                return whole + first;
            }
            whole += 1.0;
        }
    }

    /// Shuffles in place.
    pub fn shuffle<T>(&mut self, of: &mut [T]) {
        for end in (1..of.len()).rev() {
            of.swap(end, self.below(end + 1));
        }
    }
}

/// Seconds as milliseconds; negative ones are none.
pub fn millis(seconds: f64) -> i64 {
    let length = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::ZERO);
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_of_a_seed_never_changes() {
        let mut random = Random(0);
        let published = [
            0xe220_a839_7b1d_cdaf,
            0x6e78_9e6a_a1b9_65f4,
            0x06c4_5d18_8009_454f,
        ];
        assert_eq!([random.bits(), random.bits(), random.bits()], published);
        assert_ne!(Random::new(1, "a").bits(), Random::new(1, "b").bits());
    }

    #[test]
    fn delays_have_their_mean() {
        let mut random = Random::new(7, "mean");
        let total: i64 = (0..20_000).map(|_| random.delay(30.0)).sum();
        let mean = total / 20_000;
        assert!((29_000..31_000).contains(&mean), "{mean}");
        let mut of = [0; 4];
        (0..4_000).for_each(|_| of[random.below(4)] += 1);
        assert!(
            of.iter().all(|count| (900..1_100).contains(count)),
            "{of:?}"
        );
    }
}
