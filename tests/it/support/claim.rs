//! Times and claims as a timeline writes them: `firing("F").start("10:00:03")`. Must not know any source format.

use std::fmt;
use std::sync::Arc;

use smol_str::SmolStr;
use watchbell::core::identity::AlertKey;
use watchbell::core::input::Input;
use watchbell::core::observation::{AlertText, Claim, Observation};
use watchbell::core::severity::Severity;
use watchbell::core::time::{Span, Timestamp};

/// 2026-05-04T00:00:00Z: the midnight that times of day are counted from.
const DAY_ZERO: Timestamp = Timestamp::from_millis(1_777_852_800_000);

/// The source that speaks when a claim names none.
pub(crate) const SOURCE: &str = "am";

/// Reads `10:00`, `10:00:03`, `10:00:03.250` or, on a later day, `2d 10:00`.
pub(crate) fn t(text: &str) -> Timestamp {
    let (days, clock) = text.split_once("d ").unwrap_or(("0", text));
    let mut parts = clock.split(':');
    let mut part = || {
        parts
            .next()
            .map_or(0.0, |part| part.parse::<f64>().unwrap())
    };
    let seconds = (part() * 60.0 + part()) * 60.0 + part();
    let millis = format!("{:.0}", seconds * 1000.0).parse().unwrap();
    DAY_ZERO
        .plus(Span::from_days(days.parse().unwrap()))
        .plus(Span::from_millis(millis))
}

/// Writes a time as [`t`] reads it.
pub(crate) fn clock(at: Timestamp) -> String {
    let ms = at.since(DAY_ZERO).as_millis();
    let (days, secs) = (ms.div_euclid(86_400_000), ms.div_euclid(1000));
    let day = if days == 0 {
        String::new()
    } else {
        format!("{days}d ")
    };
    let fraction = match ms.rem_euclid(1000) {
        0 => String::new(),
        ms => format!(".{ms:03}"),
    };
    let second_of_day = secs.rem_euclid(86_400);
    let (hour, minute) = (second_of_day / 3600, second_of_day / 60 % 60);
    let second = second_of_day % 60;
    format!("{day}{hour:02}:{minute:02}:{second:02}{fraction}")
}

/// One claim, ready to be heard.
#[derive(Clone)]
pub(crate) struct Said {
    pub(crate) observation: Observation,
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let it = &self.observation;
        let time = |at: Option<Timestamp>| at.map_or_else(|| "?".to_owned(), clock);
        let (start, end) = (time(it.starts_at), time(it.ends_at));
        write!(f, "{:?} {:?} {start} to {end}", it.key, it.claim)
    }
}

/// The alert fires; no start, severity `high`, nothing left out.
pub(crate) fn firing(payload: &str) -> Said {
    claim(payload, Claim::Firing)
}

/// The alert has ended.
pub(crate) fn resolved(payload: &str) -> Said {
    claim(payload, Claim::Resolved)
}

/// The identity of an alert of the usual source.
pub(crate) fn key(payload: &str) -> AlertKey {
    AlertKey::new(SOURCE, payload)
}

fn claim(payload: &str, claim: Claim) -> Said {
    let summary = SmolStr::new(format!("{payload} is broken"));
    Said {
        observation: Observation {
            key: key(payload),
            claim,
            starts_at: None,
            ends_at: None,
            severity: Severity::High,
            text_hash: 1,
            text: Arc::new(AlertText {
                summary,
                ..AlertText::default()
            }),
            undelivered: 0,
            is_retained: false,
        },
    }
}

impl Said {
    /// A broker had kept it.
    pub(crate) fn retained(mut self) -> Self {
        self.observation.is_retained = true;
        self
    }

    pub(crate) fn start(self, at: &str) -> Self {
        self.start_at(Some(t(at)))
    }

    pub(crate) fn start_at(mut self, at: Option<Timestamp>) -> Self {
        self.observation.starts_at = at;
        self
    }

    pub(crate) fn end(self, at: &str) -> Self {
        self.end_at(Some(t(at)))
    }

    pub(crate) fn end_at(mut self, at: Option<Timestamp>) -> Self {
        self.observation.ends_at = at;
        self
    }

    pub(crate) fn severity(mut self, severity: Severity) -> Self {
        self.observation.severity = severity;
        self
    }

    /// Another text than usual.
    pub(crate) fn text(mut self, hash: u64) -> Self {
        self.observation.text_hash = hash;
        self
    }

    /// Another summary, and with it another text.
    pub(crate) fn summed_up(mut self, summary: &str) -> Self {
        self.observation.text_hash = summary.bytes().map(u64::from).sum();
        Arc::make_mut(&mut self.observation.text).summary = summary.into();
        self
    }

    /// Labels for people to search.
    pub(crate) fn labelled(mut self, labels: &[(&str, &str)]) -> Self {
        let labels = labels
            .iter()
            .map(|&(name, value)| (name.into(), value.into()));
        Arc::make_mut(&mut self.observation.text).labels = labels.collect();
        self
    }

    pub(crate) fn undelivered(mut self, count: u32) -> Self {
        self.observation.undelivered = count;
        self
    }

    /// The same claim about another alert.
    pub(crate) fn named(mut self, payload: &str) -> Self {
        self.observation.key = key(payload);
        self
    }

    pub(crate) fn input(self) -> Input {
        Input::ObservationReceived {
            source: SmolStr::new(SOURCE),
            observation: self.observation,
        }
    }
}
