//! Calendars behind an address, read again and again: maintenance windows, holidays and rotas.
//!
//! The text comes from whoever fetches it; here it is only understood. Must not fetch anything.

use std::sync::Arc;

use jiff::tz::TimeZone;
use smol_str::SmolStr;
use url::Url;

use crate::config::calendar_file::{self, Event};
use crate::config::error::Complaint;
use crate::config::reader::{Spot, expected};
use crate::config::secret::Secret;
use crate::config::settings::Settings;
use crate::config::tree::{Table, Value};
use crate::config::{holidays, maintenance, rota, values};
use crate::core::mute::parts::WindowParts;
use crate::core::mute::window::WindowWanted;
use crate::core::oncall::Layer;
use crate::core::time::{Span, Timestamp};

const HINT: &str =
    "write it like { url = \"https://calendar.example/maintenance.ics\", every = \"15m\" }";
const KEYS: [&str; 4] = ["url", "every", "allow_private", "token"];
const USUAL: Span = Span::from_mins(15);
const OFTEN: Span = Span::from_secs(1);
const SELDOM: Span = Span::from_days(7);

/// Where a calendar is, and how often it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// The address; such addresses often are secrets themselves.
    pub url: Secret,
    /// The server, for people.
    pub shown: String,
    /// Time between two reads.
    pub every: Span,
    /// Whether private and loopback addresses may be reached.
    pub allow_private: bool,
    /// Sent as bearer token.
    pub token: Option<Secret>,
}

/// `[[maintenance]] calendar = { url = ... }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowFeed {
    /// Where.
    pub feed: Feed,
    /// What every window of it has besides its times.
    pub parts: WindowParts,
}

/// `[[calendar]] holidays = { url = ... }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolidayFeed {
    /// Where.
    pub feed: Feed,
    /// The calendar's name.
    pub calendar: SmolStr,
}

/// `[[schedule]] ics = { url = ... }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotaFeed {
    /// Where.
    pub feed: Feed,
    /// The schedule's name.
    pub schedule: SmolStr,
    /// Where times are meant that do not say it.
    pub zone: TimeZone,
}

/// What a calendar is read for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedKind {
    /// Windows of maintenance.
    Windows,
    /// Holidays.
    Holidays,
    /// Who is on call, in this zone.
    Rota(TimeZone),
}

/// One use of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedUse {
    /// For what, unique: `maintenance plant`, `calendar office`.
    pub name: String,
    /// Where.
    pub feed: Feed,
    /// What it is read for.
    pub kind: FeedKind,
}

/// What is known of each feed by its name: its last good text.
pub trait FeedTexts {
    /// The text, if it was read once.
    fn text(&self, name: &str) -> Option<Arc<str>>;
}

/// Nothing was read.
#[derive(Clone, Copy, Debug)]
pub struct NoTexts;

impl FeedTexts for NoTexts {
    fn text(&self, _name: &str) -> Option<Arc<str>> {
        None
    }
}

impl WindowFeed {
    /// For what it is used.
    pub fn name(&self) -> String {
        format!(
            "maintenance {}",
            self.parts.name.as_deref().unwrap_or_default()
        )
    }

    /// The windows of a text that are not over; an event that does not hold together is left out.
    pub fn windows(&self, text: &str, now: Timestamp) -> Vec<WindowWanted> {
        let events = calendar_file::events(text).unwrap_or_default();
        let windows = events.iter().filter_map(|event: &Event| {
            let parts = maintenance::parts_of(&self.parts, event);
            parts.into_wanted(None).ok()
        });
        windows
            .filter(|window| window.plan.next(None, now).is_some())
            .collect()
    }
}

impl HolidayFeed {
    /// For what it is used.
    pub fn name(&self) -> String {
        format!("calendar {}", self.calendar)
    }

    /// The days, as days since 1970-01-01.
    pub fn days(&self, text: &str) -> Vec<i32> {
        holidays::read(text).unwrap_or_default()
    }
}

impl RotaFeed {
    /// For what it is used.
    pub fn name(&self) -> String {
        format!("schedule {}", self.schedule)
    }

    /// Who is on call by a text; nobody when it does not hold together.
    pub fn layer(&self, text: &str) -> Option<Layer> {
        rota::of_text(text, &self.zone).ok()
    }
}

impl FeedUse {
    /// How many events a text holds.
    ///
    /// # Errors
    /// It is no calendar, or an event of it cannot be understood at all.
    pub fn check(&self, text: &str) -> Result<usize, String> {
        if !text.contains("BEGIN:VCALENDAR") {
            return Err("what came is not an iCalendar file".to_owned());
        }
        match &self.kind {
            FeedKind::Windows => calendar_file::events(text).map(|events| events.len()),
            FeedKind::Holidays => holidays::read(text).map(|days| days.len()),
            FeedKind::Rota(zone) => rota::on_call(text, zone).map(|shifts| shifts.len()),
        }
    }
}

impl Settings {
    /// Every use of a feed.
    pub fn feeds(&self) -> Vec<FeedUse> {
        let windows = self.window_feeds.iter().map(|it| FeedUse {
            name: it.name(),
            feed: it.feed.clone(),
            kind: FeedKind::Windows,
        });
        let holidays = self.holiday_feeds.iter().map(|it| FeedUse {
            name: it.name(),
            feed: it.feed.clone(),
            kind: FeedKind::Holidays,
        });
        let rotas = self.rota_feeds.iter().map(|it| FeedUse {
            name: it.name(),
            feed: it.feed.clone(),
            kind: FeedKind::Rota(it.zone.clone()),
        });
        windows.chain(holidays).chain(rotas).collect()
    }
}

/// The feed that a value describes; `None` when it has no `url`.
pub(super) fn read(spot: &Spot<'_>) -> Result<Option<Feed>, Complaint> {
    let Value::Table(table) = &spot.node.value else {
        return Ok(None);
    };
    if !table.contains_key("url") {
        return Ok(None);
    }
    if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(Complaint::new(format!("`{key}` is not known here")).hint(HINT));
    }
    let (url, shown) = of(spot, table, "url", address)?.unwrap_or_default();
    let every = of(spot, table, "every", values::duration(OFTEN..=SELDOM))?;
    let allow_private = of(spot, table, "allow_private", values::flag)?;
    Ok(Some(Feed {
        url: Secret::new(url),
        shown,
        every: every.unwrap_or(USUAL),
        allow_private: allow_private.unwrap_or_default(),
        token: of(spot, table, "token", values::remote_secret)?,
    }))
}

fn of<T>(
    spot: &Spot<'_>,
    table: &Table,
    key: &str,
    parse: impl FnOnce(&Spot<'_>) -> Result<T, Complaint>,
) -> Result<Option<T>, Complaint> {
    let Some((_, node)) = table.get(key) else {
        return Ok(None);
    };
    let reading = spot.reading;
    parse(&Spot { reading, node }).map(Some)
}

/// The address, and the server of it.
fn address(spot: &Spot<'_>) -> Result<(String, String), Complaint> {
    let Value::Text(text) = &spot.node.value else {
        return Err(expected("a URL", &spot.node.value).hint(HINT));
    };
    // Calendars are often given with a scheme of their own.
    let text = text.replacen("webcal://", "https://", 1);
    // The text itself is not shown: it may be a secret.
    let url = Url::parse(&text)
        .map_err(|error| Complaint::new(format!("is not a URL: {error}")).hint(HINT))?;
    let host = url.host_str().unwrap_or_default();
    if !matches!(url.scheme(), "http" | "https") || host.is_empty() {
        return Err(Complaint::new("a calendar is read over http or https").hint(HINT));
    }
    let shown = format!("{}://{host}", url.scheme());
    Ok((text, shown))
}
