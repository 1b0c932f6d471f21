//! Grouping by time alone.
//!
//! Must not look at labels.

use std::collections::{BTreeMap, BTreeSet};

use crate::lab::baseline::Seen;
use crate::lab::baseline::graph::Joined;

/// Fixed windows.
pub fn tumbling(seen: &[Seen], seconds: i64) -> Vec<usize> {
    let mut numbers: BTreeMap<i64, usize> = BTreeMap::new();
    let windows = seen.iter().map(|it| it.at.div_euclid(seconds * 1_000));
    windows
        .map(|window| {
            let next = numbers.len();
            *numbers.entry(window).or_insert(next)
        })
        .collect()
}

/// Every two minutes: alerts of the window whose buckets of five seconds are alike, and what hangs together by them.
pub fn rhythm(seen: &[Seen], hundredths: u32, window: i64) -> Vec<usize> {
    const BUCKET_MS: i64 = 5_000;
    const EVERY_MS: i64 = 120_000;
    let mut joined = Joined::new(seen.len());
    let hundredths = usize::try_from(hundredths).unwrap_or(100);
    let buckets = |it: &Seen, until: i64| -> BTreeSet<i64> {
        let first = it.at.div_euclid(BUCKET_MS);
        let mut set = BTreeSet::from([first, first + 1]);
        if it.end < until {
            let last = it.end.div_euclid(BUCKET_MS);
            set.extend([last, last + 1]);
        }
        set
    };
    let mut by_bucket: BTreeMap<i64, Vec<(usize, BTreeSet<i64>)>> = BTreeMap::new();
    let Some(first) = seen.first() else {
        return Vec::new();
    };
    for (index, it) in seen.iter().enumerate() {
        let run = (it.at - first.at).div_euclid(EVERY_MS) * EVERY_MS + first.at + EVERY_MS;
        let own = buckets(it, run);
        let oldest = (it.at - window * 1_000).div_euclid(BUCKET_MS);
        // Nothing is alike that has no bucket in common.
        let mut alike = Vec::new();
        for bucket in own.iter().filter(|bucket| **bucket >= oldest) {
            for (other, theirs) in by_bucket.get(bucket).into_iter().flatten().rev().take(50) {
                let common = own.intersection(theirs).count();
                let union = own.len() + theirs.len() - common;
                if common * 100 >= union * hundredths {
                    alike.push(*other);
                }
            }
        }
        for other in alike {
            joined.join(index, other);
        }
        for &bucket in &own {
            by_bucket
                .entry(bucket)
                .or_default()
                .push((index, own.clone()));
        }
    }
    joined.incidents()
}
