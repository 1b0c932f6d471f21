//! A table of records by dense, ascending number: rows of a page lie together, empty pages are given back.
//!
//! A million alerts need neither a tree node nor a hash bucket each. Iteration is in order of number. A page also
//! keeps one reminder for all its records, which costs nothing per record. Must not be used for sparse numbers: a
//! page with one record costs as much as a full one.

use std::collections::BTreeMap;

use crate::core::time::Timestamp;

/// Records per page.
const PAGE: i64 = 512;

/// Records by number.
#[derive(Clone, Debug)]
pub struct Pages<T> {
    pages: BTreeMap<i64, Page<T>>,
    len: usize,
}

#[derive(Clone, Debug)]
struct Page<T> {
    slots: Vec<Option<T>>,
    live: usize,
    remind_at: Option<Timestamp>,
}

/// Where a page keeps the time at which its records are looked at next.
pub type Reminder<'a> = &'a mut Option<Timestamp>;

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self {
            pages: BTreeMap::new(),
            len: 0,
        }
    }
}

impl<T> Pages<T> {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The record with that number.
    pub fn get(&self, number: i64) -> Option<&T> {
        self.pages
            .get(&page_of(number))?
            .slots
            .get(slot_of(number))?
            .as_ref()
    }

    /// The record with that number, to change, and the reminder of its page.
    pub fn get_mut(&mut self, number: i64) -> Option<(&mut T, Reminder<'_>)> {
        let page = self.pages.get_mut(&page_of(number))?;
        let record = page.slots.get_mut(slot_of(number))?.as_mut()?;
        Some((record, &mut page.remind_at))
    }

    /// The records of one page, in order of number.
    pub fn page(&self, page: i64) -> impl Iterator<Item = &T> {
        let page = self.pages.get(&page);
        page.into_iter()
            .flat_map(|page| page.slots.iter().flatten())
    }

    /// The reminder of one page.
    pub fn reminder(&mut self, page: i64) -> Option<Reminder<'_>> {
        Some(&mut self.pages.get_mut(&page)?.remind_at)
    }

    /// Puts a record in place; returns the reminder of its page.
    pub fn insert(&mut self, number: i64, record: T) -> Reminder<'_> {
        let page = self.pages.entry(page_of(number)).or_insert_with(|| Page {
            slots: Vec::new(),
            live: 0,
            remind_at: None,
        });
        let slot = slot_of(number);
        if page.slots.len() <= slot {
            page.slots.resize_with(slot.saturating_add(1), || None);
        }
        let before = page
            .slots
            .get_mut(slot)
            .and_then(|place| place.replace(record));
        if before.is_none() {
            page.live = page.live.saturating_add(1);
            self.len = self.len.saturating_add(1);
        }
        &mut page.remind_at
    }

    /// Takes a record out; with it the reminder of a page that is empty then and given back.
    pub fn remove(&mut self, number: i64) -> Option<(T, Option<Timestamp>)> {
        let page = self.pages.get_mut(&page_of(number))?;
        let before = page.slots.get_mut(slot_of(number))?.take()?;
        page.live = page.live.saturating_sub(1);
        self.len = self.len.saturating_sub(1);
        let mut remind_at = None;
        if page.live == 0 {
            remind_at = page.remind_at;
            self.pages.remove(&page_of(number));
        }
        Some((before, remind_at))
    }

    /// Every record from that number on, in order of number; the pages before it are not looked at.
    pub fn iter_from(&self, number: i64) -> impl Iterator<Item = &T> {
        let first = page_of(number);
        self.pages.range(first..).flat_map(move |(at, page)| {
            let before = if *at == first { slot_of(number) } else { 0 };
            page.slots.iter().skip(before).flatten()
        })
    }

    /// Every record before that number, the last one first; the pages behind it are not looked at.
    pub fn iter_back_from(&self, number: i64) -> impl Iterator<Item = &T> {
        let last = page_of(number);
        let pages = self.pages.range(..=last).rev();
        pages.flat_map(move |(at, page)| {
            let count = if *at == last {
                slot_of(number)
            } else {
                usize::MAX
            };
            let before = page.slots.get(..count).unwrap_or(&page.slots);
            before.iter().rev().flatten()
        })
    }

    /// Every record, in order of number.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages
            .values()
            .flat_map(|page| page.slots.iter().flatten())
    }
}

/// The page on which a number stands.
pub fn page_of(number: i64) -> i64 {
    number.div_euclid(PAGE)
}

fn slot_of(number: i64) -> usize {
    usize::try_from(number.rem_euclid(PAGE)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaves_like_a_map_and_gives_pages_back() {
        let mut pages = Pages::default();
        for number in [1, 2, 511, 512, 2000] {
            assert_eq!(*pages.insert(number, number * 10), None);
        }
        pages.insert(2, 21);
        assert_eq!(
            pages.iter().copied().collect::<Vec<_>>(),
            [10, 21, 5110, 5120, 20_000]
        );
        let at = Some(Timestamp::MAX);
        *pages.reminder(page_of(2000)).unwrap() = at;
        for (from, all) in [(2, 4), (3, 3), (511, 3), (513, 1), (2001, 0)] {
            assert_eq!(pages.iter_from(from).count(), all, "from {from}");
        }
        for (before, all) in [(1, 0), (2, 1), (512, 3), (513, 4), (2001, 5), (i64::MAX, 5)] {
            assert_eq!(pages.iter_back_from(before).count(), all, "before {before}");
        }
        assert_eq!(pages.iter_back_from(2001).next(), Some(&20_000));
        assert_eq!(pages.remove(2000), Some((20_000, at)));
        assert_eq!(pages.remove(2000), None);
        assert_eq!((pages.len(), pages.pages.len()), (4, 2));
        *pages.get_mut(1).unwrap().0 = 11;
        assert_eq!(pages.page(1).copied().collect::<Vec<_>>(), [5120]);
        assert_eq!(
            (pages.get(1), pages.get(3), pages.get(99_999)),
            (Some(&11), None, None)
        );
    }
}
