//! Inputs of our own making, read from the log again: commands, polls, imports, sweeps.
//!
//! Must not decide anything; what cannot be read is passed over, loudly.

use crate::core::ids::Seq;
use crate::core::input::Input;
use crate::store::inbox::{InputKind, NewInput};

use super::tell::LOST;
use super::tickets::{TICKET, TICKETS};
use super::{CHANGE, cmdb, handle, rebind, sweep};

/// What a poll or command says; its declared type tells which kind it is of.
pub fn own_input(seq: Seq, input: &NewInput) -> Option<Input> {
    let mark = input.content_type.as_deref();
    Some(match (input.kind, mark) {
        (InputKind::Command, Some(cmdb::IMPORT)) => Input::CmdbImported(read_json(seq, input)?),
        (InputKind::Command, Some(handle::SILENCE)) => Input::SilenceGiven(read_json(seq, input)?),
        (InputKind::Command, Some(handle::WINDOW)) => {
            Input::WindowGiven(Box::new(read_json(seq, input)?))
        }
        (InputKind::Command, Some(handle::OVERRIDE)) => {
            Input::OverrideGiven(read_json(seq, input)?)
        }
        (InputKind::Command, Some(handle::RECORD)) => Input::RecordGiven(read_json(seq, input)?),
        (InputKind::Command, Some(CHANGE)) => Input::ChangeRecorded(read_json(seq, input)?),
        (InputKind::Poll, Some(rebind::REBIND)) => Input::AlertsRebound(read_json(seq, input)?),
        (InputKind::Poll, Some(TICKET)) => Input::TicketReported(Box::new(read_json(seq, input)?)),
        (InputKind::Command, Some(TICKETS)) => Input::TicketOrdered(read_json(seq, input)?),
        (InputKind::Poll, Some(sweep::SWEEP)) => Input::SilencesSwept(read_json(seq, input)?),
        (InputKind::Poll, Some(LOST)) => Input::MessageLost(read_json(seq, input)?),
        (InputKind::Poll, _) => Input::SourcePolled(read_json(seq, input)?),
        (InputKind::Command, _) => Input::CommandGiven(read_json(seq, input)?),
        (InputKind::Message | InputKind::Deadline | InputKind::Started, _) => return None,
    })
}

/// Reads an input of our own making; one that cannot be read is passed over, loudly.
fn read_json<T: serde::de::DeserializeOwned>(seq: Seq, input: &NewInput) -> Option<T> {
    let read = input
        .body
        .open()
        .map_err(|error| error.to_string())
        .and_then(|body| serde_json::from_slice(&body).map_err(|error| error.to_string()));
    match read {
        Ok(read) => Some(read),
        Err(error) => {
            log::error!(seq = seq.get(), error = error.as_str(); "the stored input {} cannot be read: {error}", seq.get());
            None
        }
    }
}
