//! From the lines of an events file to the tracks of its occurrences.
//!
//! Must not keep a line after it was played; lines of one time are played together.

use std::io::{self, BufRead, Read as _};

use crate::core::cmdb::graph::Difference;
use crate::core::rules::Rules;
use crate::core::time::Span;
use crate::lab::event::Event;
use crate::lab::instant::TOGETHER_MAX;
use crate::lab::play::Play;
use crate::lab::tracks::Tracks;
use crate::simulate::line::{self, Epoch};

/// Bytes of one line; the daemon's own limit for a whole message.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How long virtual time goes on after the last event, so that what was waiting to be decided is decided.
const TAIL: Span = Span::from_mins(10);

/// Why a simulation ended early.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The events cannot be read.
    #[error("line {line} cannot be read: {source}")]
    Unreadable {
        /// The line, from 1.
        line: u64,
        /// Why.
        source: io::Error,
    },
    /// A line is wrong.
    #[error("line {line}: {text}")]
    Line {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it, and what to do about it.
        text: String,
    },
}

/// What a simulation came to.
#[derive(Debug)]
pub struct Simulated {
    /// What became of occurrences and incidents.
    pub tracks: Tracks,
    /// The zero of the file's times.
    pub epoch: Epoch,
    /// How many events there were.
    pub events: u64,
    /// How many were written earlier than the one before them.
    pub out_of_order: u64,
}

/// Plays every line; `progress` is told how many were played, now and then.
///
/// # Errors
/// The events cannot be read, or a line is wrong.
pub fn run(
    rules: Rules,
    cmdb: &Difference,
    events: &mut dyn BufRead,
    progress: &mut dyn FnMut(u64),
) -> Result<Simulated, SimulateError> {
    let mut play = Play::new(rules, cmdb);
    let mut tracks = Tracks::default();
    let mut epoch = None;
    let (mut played, mut out_of_order) = (0_u64, 0_u64);
    let mut bytes = Vec::new();
    // What is said at one time is heard in an order of its own.
    let mut instant: Vec<Event> = Vec::new();
    for number in 1_u64.. {
        bytes.clear();
        let mut limited = events.take(LINE_BYTES_MAX);
        let read = limited.read_until(b'\n', &mut bytes);
        let read = read.map_err(|source| SimulateError::Unreadable {
            line: number,
            source,
        })?;
        if read == 0 {
            break;
        }
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        let wrong = |text: String| SimulateError::Line { line: number, text };
        if limited.limit() == 0 && bytes.last() != Some(&b'\n') {
            return Err(wrong(format!("longer than {LINE_BYTES_MAX} bytes")));
        }
        let event = line::read(&bytes, &mut epoch).map_err(wrong)?;
        let at = instant.first().map(|first| first.at).or_else(|| play.now());
        out_of_order = out_of_order.saturating_add(u64::from(at.is_some_and(|at| event.at < at)));
        let is_later = instant.first().is_some_and(|first| event.at > first.at);
        if is_later || instant.len() >= TOGETHER_MAX {
            play.hear_together(&mut instant, &mut tracks);
            instant.clear();
        }
        instant.push(event);
        played = played.saturating_add(1);
        progress(played);
    }
    play.hear_together(&mut instant, &mut tracks);
    if let Some(now) = play.now() {
        play.pass_until(now.plus(TAIL), &mut tracks);
    }
    tracks.finish(&play);
    Ok(Simulated {
        tracks,
        epoch: epoch.unwrap_or_else(|| Epoch::of_first(0.0)),
        events: played,
        out_of_order,
    })
}
