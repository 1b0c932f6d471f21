//! Grouping by what alerts say: equal labels, or words alike.
//!
//! Must not look at the CMDB.

use std::collections::BTreeMap;

use smol_str::{SmolStr, format_smolstr};

use crate::lab::baseline::Seen;

/// How long a group takes new alerts.
#[derive(Clone, Copy, Debug)]
pub enum Life {
    /// While one comes within so many seconds of the last.
    Gap(i64),
    /// While one of them fires.
    Firing,
}

/// Groups by equal text; what has none stands alone.
pub fn by(seen: &[Seen], text: impl Fn(&Seen) -> Option<SmolStr>, life: Life) -> Vec<usize> {
    let mut open: BTreeMap<SmolStr, (usize, i64)> = BTreeMap::new();
    let mut next = 0;
    let mut incidents = Vec::with_capacity(seen.len());
    for it in seen {
        let until = match life {
            Life::Gap(seconds) => it.at + seconds * 1_000,
            Life::Firing => it.end,
        };
        let held = text(it).map(|text| open.entry(text).or_insert((usize::MAX, i64::MIN)));
        let Some(held) = held else {
            incidents.push(next);
            next += 1;
            continue;
        };
        if held.1 < it.at {
            *held = (next, until);
            next += 1;
        }
        held.1 = held.1.max(until);
        incidents.push(held.0);
    }
    incidents
}

/// Name and site, with the service or without.
pub fn joined(it: &Seen, with_service: bool) -> SmolStr {
    let site = it.site.clone().unwrap_or_default();
    let service = it.app.clone().filter(|_| with_service).unwrap_or_default();
    format_smolstr!("{}\n{site}\n{service}", it.name)
}

/// Groups by words in common with the first alert of a group.
pub fn alike(seen: &[Seen], hundredths: u32, gap: i64) -> Vec<usize> {
    let mut open: Vec<(usize, i64, &[SmolStr])> = Vec::new();
    let mut next = 0;
    let mut incidents = Vec::with_capacity(seen.len());
    for it in seen {
        open.retain(|(_, last, _)| last + gap * 1_000 >= it.at);
        let found = open
            .iter_mut()
            .rev()
            .find(|(_, _, words)| is_alike(words, &it.words, hundredths));
        match found {
            Some((incident, last, _)) => {
                *last = it.at;
                incidents.push(*incident);
            }
            None => {
                open.push((next, it.at, &it.words));
                incidents.push(next);
                next += 1;
            }
        }
    }
    incidents
}

/// Whether sorted lists have so many hundredths of their union in common.
fn is_alike(one: &[SmolStr], other: &[SmolStr], hundredths: u32) -> bool {
    let common = one
        .iter()
        .filter(|word| other.binary_search(word).is_ok())
        .count();
    let union = one.len() + other.len() - common;
    let hundredths = usize::try_from(hundredths).unwrap_or(100);
    union > 0 && common * 100 >= union * hundredths
}
