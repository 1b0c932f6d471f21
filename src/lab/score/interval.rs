//! How sure a mean over seeds is: the bootstrap's 95 % interval.
//!
//! Must not assume any distribution.

use serde::Serialize;

use crate::lab::random::Random;
use crate::lab::score::{float, share};

/// How often it is drawn anew.
const DRAWS: usize = 1_000;

/// A mean with its interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Interval {
    /// The mean.
    pub mean: f64,
    /// 2.5 % of all draws lie below.
    pub low: f64,
    /// 2.5 % of all draws lie above.
    pub high: f64,
}

/// The mean of values that are there; `None` without any.
pub fn of(values: &[f64]) -> Option<Interval> {
    let average = |values: &[f64]| share(values.iter().sum(), float(values.len()));
    if values.is_empty() {
        return None;
    }
    let mut random = Random::new(1, "bootstrap");
    let mut means: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let draw: Vec<f64> = values
                .iter()
                .filter_map(|_| random.pick(values).copied())
                .collect();
            average(&draw)
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |per_mille: usize| means.get(DRAWS * per_mille / 1_000).copied();
    let mean = average(values);
    Some(Interval {
        mean,
        low: at(25).unwrap_or(mean),
        high: at(975).unwrap_or(mean),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_hold_the_mean_and_shrink_with_more_values() {
        assert_eq!(of(&[]), None);
        let one = of(&[0.5]).unwrap();
        assert_eq!((one.low, one.mean, one.high), (0.5, 0.5, 0.5));
        let few = of(&[0.0, 1.0, 0.0, 1.0]).unwrap();
        let many = of(&[0.0, 1.0].repeat(50)).unwrap();
        assert!(few.low < 0.5 && few.high > 0.5);
        assert!(many.high - many.low < few.high - few.low);
    }
}
