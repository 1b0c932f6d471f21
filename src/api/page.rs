//! Query parameters of lists: filters, order, limit and cursor.
//!
//! A parameter may be repeated and may hold several values between commas. A cursor is opaque to clients: it carries
//! where the last page ended and a checksum, so that a forged or cut one is refused instead of skipping rows. Must not
//! ignore a parameter that it does not know: a mistyped filter would look like a full list.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use xxhash_rust::xxh3::xxh3_64;

use super::problem::Problem;
use crate::store::query::{Listed, Page, Position};

/// Items of a page when the client does not say.
const LIMIT_DEFAULT: u32 = 50;
/// Items of a page at most; more is refused.
pub const LIMIT_MAX: u32 = 500;
/// Bytes of one value; nothing that can be searched for is longer.
const VALUE_BYTES_MAX: usize = 256;
/// Values in one request; each is a part of one statement.
const VALUES_MAX: usize = 100;
/// The parameters that every list has.
const PAGING: [&str; 3] = ["limit", "cursor", "sort"];

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct List<T> {
    /// The items, newest first unless asked otherwise.
    pub items: Vec<T>,
    /// Give this as `cursor` to get the next page; null on the last one.
    pub next_cursor: Option<String>,
}

/// The parameters of every list, for the document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Items of a page, 1 to 500; 50 when not given.
    #[param(minimum = 1, maximum = 500, default = 50)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// What to sort by: `id`, with a minus in front for newest first, which is the default.
    pub sort: Option<String>,
}

/// The query parameters of a request, checked against those that the list has.
#[derive(Debug)]
pub struct Params {
    pairs: Vec<(String, String)>,
}

/// A list's name, for its cursors, and the words it can be sorted by; the first is the default, newest first.
#[derive(Clone, Copy, Debug)]
pub struct Sorting {
    /// The list.
    pub list: &'static str,
    /// The words.
    pub words: &'static [&'static str],
}

/// The order and part of a list that a request asks for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The list and its words.
    sorting: Sorting,
    /// What to sort by.
    pub word: &'static str,
    /// Which part.
    pub page: Page,
}

impl Params {
    /// Reads the query of a request; `filters` are the parameters besides those of every list.
    ///
    /// # Errors
    /// A parameter that the list does not have, or a value that is too long.
    pub fn read(query: Option<&str>, filters: &[&str]) -> Result<Self, Problem> {
        let mut pairs = Vec::new();
        let decoded = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        for (name, value) in decoded {
            if !filters.contains(&&*name) && !PAGING.contains(&&*name) {
                return Err(unknown(&name, filters));
            }
            if value.len() > VALUE_BYTES_MAX || value.contains('\0') {
                let detail = format!(
                    "the value of {name} is longer than {VALUE_BYTES_MAX} bytes or holds NUL"
                );
                return Err(Problem::bad_request(detail));
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self { pairs })
    }

    /// All values of a parameter; empty ones count as not given.
    ///
    /// # Errors
    /// Too many of them.
    pub fn values(&self, name: &str) -> Result<Vec<String>, Problem> {
        let texts = self.pairs.iter().filter(|(known, _)| known == name);
        let values: Vec<String> = texts
            .flat_map(|(_, text)| text.split(','))
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
            .collect();
        if values.len() > VALUES_MAX {
            let detail = format!("{name} has more than {VALUES_MAX} values");
            return Err(Problem::bad_request(detail));
        }
        Ok(values)
    }

    /// All values of a parameter as members of a closed list.
    ///
    /// # Errors
    /// A value that is none of `words`.
    pub fn words<T>(
        &self,
        name: &str,
        words: &[&str],
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, Problem> {
        let values = self.values(name)?.into_iter();
        values
            .map(|value| {
                read(&value).ok_or_else(|| {
                    let words = words.join(", ");
                    Problem::bad_request(format!("{value:?} is no {name}; it is one of {words}"))
                })
            })
            .collect()
    }

    /// The text of a parameter that has one value; commas mean themselves.
    ///
    /// # Errors
    /// It is given twice.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut texts = self.pairs.iter().filter(|(known, _)| known == name);
        let text = texts.next().map(|(_, text)| text.trim());
        if texts.next().is_some() {
            return Err(Problem::bad_request(format!("{name} is given twice")));
        }
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// The order and page that is asked for.
    ///
    /// # Errors
    /// A limit, order or cursor that the list does not have.
    pub fn wanted(&self, sorting: Sorting) -> Result<Wanted, Problem> {
        let limit = match self.one("limit")? {
            None => LIMIT_DEFAULT,
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=LIMIT_MAX).contains(limit))
                .ok_or_else(|| {
                    let detail = format!("limit is a number from 1 to {LIMIT_MAX}, not {text:?}");
                    Problem::bad_request(detail)
                })?,
        };
        let sort = self.one("sort")?;
        let (word, is_newest_first) = match sort {
            None => (sorting.words.first().copied().unwrap_or_default(), true),
            Some(sort) => {
                let bare = sort.strip_prefix('-').unwrap_or(sort);
                let known = sorting.words.iter().find(|word| **word == bare);
                let word = known.ok_or_else(|| {
                    let words = sorting.words.join(", ");
                    Problem::bad_request(format!(
                        "sort is one of {words}, with a minus in front for newest first, not {sort:?}"
                    ))
                })?;
                (*word, sort.starts_with('-'))
            }
        };
        let mut wanted = Wanted {
            sorting,
            word,
            page: Page {
                limit,
                is_newest_first,
                after: None,
            },
        };
        if let Some(cursor) = self.one("cursor")? {
            wanted.page.after = Some(wanted.position(cursor)?);
        }
        Ok(wanted)
    }
}

impl Wanted {
    /// Makes the page of a list, with the cursor of the next.
    pub fn list<T, S>(&self, listed: Listed<T>, shape: impl FnMut(T) -> S) -> List<S> {
        List {
            items: listed.items.into_iter().map(shape).collect(),
            next_cursor: listed.next.map(|position| self.cursor(position)),
        }
    }

    /// Makes a page of a short list that is at hand as a whole, newest first; nothing is ever taken out of it.
    pub fn slice<T>(&self, newest_first: Vec<T>) -> List<T> {
        let ids = (1..=i64::try_from(newest_first.len()).unwrap_or(i64::MAX)).rev();
        let mut rows: Vec<_> = ids.zip(newest_first).collect();
        if !self.page.is_newest_first {
            rows.reverse();
        }
        if let Some(after) = self.page.after {
            let is_newest_first = self.page.is_newest_first;
            rows.retain(|(id, _)| {
                if is_newest_first {
                    *id < after.id
                } else {
                    *id > after.id
                }
            });
        }
        let limit = usize::try_from(self.page.limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().map(|(id, _)| Position {
            value: *id,
            id: *id,
        });
        List {
            items: rows.into_iter().map(|(_, item)| item).collect(),
            next_cursor: last
                .filter(|_| has_more)
                .map(|position| self.cursor(position)),
        }
    }

    fn cursor(&self, position: Position) -> String {
        let mut text = format!("{}|{}", position.value, position.id);
        let checksum = self.checksum(&text);
        text.push_str(&format!("|{checksum:x}"));
        URL_SAFE_NO_PAD.encode(text)
    }

    fn position(&self, cursor: &str) -> Result<Position, Problem> {
        let read = || {
            let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
            let text = String::from_utf8(bytes).ok()?;
            let (body, checksum) = text.rsplit_once('|')?;
            if format!("{:x}", self.checksum(body)) != checksum {
                return None;
            }
            let (value, id) = body.split_once('|')?;
            Some(Position {
                value: value.parse().ok()?,
                id: id.parse().ok()?,
            })
        };
        read().ok_or_else(|| {
            let detail =
                "this cursor was not given by this list in this order; start again without one";
            Problem::bad_request(detail)
        })
    }

    /// Ties a cursor to its list and order.
    fn checksum(&self, body: &str) -> u64 {
        let list = self.sorting.list;
        let newest = self.page.is_newest_first;
        xxh3_64(format!("watchbell cursor 1|{list}|{}|{newest}|{body}", self.word).as_bytes())
    }
}

fn unknown(name: &str, filters: &[&str]) -> Problem {
    let known = || filters.iter().chain(&PAGING);
    let near = known()
        .map(|word| (strsim::damerau_levenshtein(name, word), word))
        .filter(|(distance, _)| *distance <= 2)
        .min();
    let hint = match near {
        Some((_, word)) => format!("did you mean {word}?"),
        None => {
            let known: Vec<_> = known().copied().collect();
            format!("there are {}", known.join(", "))
        }
    };
    Problem::bad_request(format!("there is no parameter {name:?} here; {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Sorting = Sorting {
        list: "one",
        words: &["id", "last_seen_at"],
    };

    fn wanted(query: &str, sorting: Sorting) -> Result<Wanted, Problem> {
        Params::read(Some(query), &["state"])?.wanted(sorting)
    }

    #[test]
    fn values_are_repeated_or_between_commas() {
        let params =
            Params::read(Some("state=a,b&state=c&state=&state=%20d%20"), &["state"]).unwrap();
        assert_eq!(params.values("state").unwrap(), ["a", "b", "c", "d"]);
    }

    #[test]
    fn cursor_is_good_for_its_own_list_and_order_only() {
        let newest = wanted("", ONE).unwrap();
        let cursor = newest.cursor(Position { value: 7, id: 7 });
        assert!(
            cursor
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
        let again = wanted(&format!("cursor={cursor}"), ONE).unwrap();
        assert_eq!(again.page.after, Some(Position { value: 7, id: 7 }));
        let other = Sorting {
            list: "other",
            ..ONE
        };
        assert!(wanted(&format!("cursor={cursor}"), other).is_err());
        assert!(wanted(&format!("cursor={cursor}&sort=id"), ONE).is_err());
        assert!(wanted(&format!("cursor={cursor}&sort=-last_seen_at"), ONE).is_err());
        let forged = URL_SAFE_NO_PAD.encode("8|8|0");
        for bad in [
            forged.as_str(),
            "x",
            "%00",
            "MQ",
            cursor.trim_start_matches('N'),
        ] {
            assert!(wanted(&format!("cursor={bad}"), ONE).is_err(), "{bad}");
        }
    }

    #[test]
    fn limits_outside_the_range_are_refused() {
        for (query, limit) in [("", 50), ("limit=1", 1), ("limit=500", 500)] {
            assert_eq!(wanted(query, ONE).unwrap().page.limit, limit);
        }
        for bad in [
            "limit=0",
            "limit=501",
            "limit=-1",
            "limit=ten",
            "limit=1&limit=2",
            "sort=size",
        ] {
            assert!(wanted(bad, ONE).is_err(), "{bad}");
        }
        assert!(Params::read(Some("stat=new"), &["state"]).is_err());
    }
}
