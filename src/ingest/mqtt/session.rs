//! One connection to a broker, from CONNECT to its end.
//!
//! Reads as long as the window has room, acknowledges what is committed in the order it came, and writes all
//! acknowledgements that are due at once. While the store takes nothing, or the source is over its rate, nothing is
//! read: the broker waits, and nothing is dropped. Must not acknowledge what is not committed, nor anything of an
//! earlier connection.

use std::time::Duration;

use futures_util::FutureExt as _;
use smol_str::SmolStr;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::Xxh3;

use super::line::{ANSWER_TIMEOUT, Line};
use super::link::Link;
use super::memory::{Memory, Rebirth};
use super::packets::{Malformed, Packet, Publish};
use super::window::{Entry, Outcome, Trouble, Window, Work};
use super::write::{Hello, Wanted};
use super::{BrokerSetup, Inside, SparkplugSetup, connect};
use crate::ingest::door::Door;
use crate::ingest::{Incoming, Ingest};
use crate::sources::Envelope;

/// Time for what is under way to be committed when we stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Waits between attempts at a store that takes nothing.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// We were told to stop.
    Stopped,
    /// It was lost, or could not be made.
    Lost(String),
}

impl From<Malformed> for Ended {
    fn from(error: Malformed) -> Self {
        Self::Lost(error.to_string())
    }
}

/// One connection.
pub(super) struct Session<'a> {
    setup: &'a BrokerSetup,
    ingest: &'a Ingest,
    memory: &'a mut Memory,
    link: &'a Link,
    line: Line,
    window: Window,
    keep_alive: Duration,
    retry: Option<Retry>,
    /// When the source, which is over its rate, is asked again whether it may go on.
    held_until: Option<Instant>,
    was_held: bool,
}

/// When the store is tried again.
#[derive(Clone, Copy)]
struct Retry {
    at: Option<Instant>,
    wait: Duration,
}

impl<'a> Session<'a> {
    /// Connects, introduces us and subscribes.
    pub(super) async fn open(
        setup: &'a BrokerSetup,
        inside: Inside<'a>,
        (memory, link): (&'a mut Memory, &'a Link),
    ) -> Result<Self, Ended> {
        let Inside { ingest, taker } = inside;
        let lost = |error| Ended::Lost(format!("{} {error}", setup.shown));
        let stream = connect::connect(setup).await.map_err(lost)?;
        let (line, connected) = Line::open(stream, &setup.hello, false).await?;
        let seconds = connected.keep_alive.filter(|seconds| *seconds > 0);
        let seconds = seconds.unwrap_or(setup.hello.keep_alive);
        let mut session = Self {
            setup,
            ingest,
            memory,
            link,
            line,
            window: Window::new(ingest.clone(), &setup.source, taker.cloned()),
            keep_alive: Duration::from_secs(seconds.into()),
            retry: None,
            held_until: None,
            was_held: false,
        };
        session.subscribe(connected.is_present)?;
        session.line.flush().await?;
        Ok(session)
    }

    fn subscribe(&mut self, is_session_kept: bool) -> Result<(), Ended> {
        if !is_session_kept {
            self.memory.forget_packets();
        }
        let wanted = wanted(self.setup);
        let filters = wanted.iter().map(|wanted| wanted.filter.clone());
        let gone = self
            .link
            .subscribes(&self.setup.hello.client_id, filters.collect());
        if !gone.is_empty() {
            self.line.writer.unsubscribe(&gone, &mut self.line.out)?;
        }
        // Also when the session is there: what it is subscribed to may be from another configuration.
        self.line.writer.subscribe(&wanted, &mut self.line.out)?;
        self.link.connected(self.ingest.now(), is_session_kept);
        Ok(())
    }

    /// Works until the connection ends.
    pub(super) async fn run(mut self, stop: &CancellationToken) -> Ended {
        let mut pings = tokio::time::interval(self.keep_alive / 2);
        pings.reset();
        let ended = loop {
            if let Err(ended) = self.turn(&mut pings, stop).await {
                break ended;
            }
        };
        let ended = match ended {
            Ended::Stopped => {
                let drained = timeout(DRAIN_TIMEOUT, self.drain()).await;
                drop(drained);
                Ended::Stopped
            }
            Ended::Lost(why) => Ended::Lost(why),
        };
        if let Some(door) = self.door() {
            // The broker sends them again.
            let left = u64::try_from(self.window.len()).unwrap_or_default();
            door.series.rejected.inc_by(left);
        }
        ended
    }

    async fn turn(
        &mut self,
        pings: &mut tokio::time::Interval,
        stop: &CancellationToken,
    ) -> Result<(), Ended> {
        while self.reads() {
            match self.line.frames.next()? {
                Some(packet) => self.take(packet)?,
                None => break,
            }
        }
        self.line.flush().await?;
        let is_reading = self.reads();
        let held_until = self.held_until;
        let retry_at = self.retry.and_then(|retry| retry.at);
        tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Ended::Stopped),
            done = self.window.next() => self.done(done)?,
            () = until(retry_at) => {
                if let Some(retry) = &mut self.retry {
                    retry.at = None;
                }
                self.window.start();
            }
            () = until(held_until) => {
                // Nothing was read meanwhile, so silence says nothing.
                self.line.read_at = Instant::now();
                self.held_until = None;
                self.count();
            }
            read = self.line.read(), if is_reading => read?,
            _ = pings.tick() => self.ping(is_reading)?,
        }
        // All others that are done too, so that their acknowledgements are written together.
        while let Some(done) = self.window.next().now_or_never() {
            self.done(done)?;
        }
        Ok(())
    }

    fn reads(&self) -> bool {
        self.held_until.is_none() && self.window.has_room()
    }

    /// Counts a message against the rate of the source; one too many is kept, and nothing is read until it may count.
    fn count(&mut self) {
        let door = self.door();
        let limit = door.as_ref().and_then(|door| door.limit.as_ref());
        let Some(Err(wait)) = limit.map(|limit| limit.check()) else {
            return;
        };
        self.held_until = Some(Instant::now() + wait);
        if !self.was_held {
            self.was_held = true;
            let source = self.setup.source.as_str();
            log::info!(source = source; "messages of {source} wait at the broker, since more come than its rate allows; raise `rate` if they should not");
        }
    }

    fn done(&mut self, done: Result<(Entry, Outcome), Trouble>) -> Result<(), Ended> {
        match done {
            Ok((entry, outcome)) => {
                self.memory.answered(&entry);
                if let Some(door) = self.door() {
                    let counter = match outcome {
                        Outcome::Stored => &door.series.stored,
                        Outcome::Duplicate => &door.series.duplicate,
                        Outcome::Rejected => &door.series.rejected,
                    };
                    counter.inc();
                }
                self.line
                    .writer
                    .acknowledge(entry.qos, entry.pkid, &mut self.line.out);
                if self.retry.take().is_some() {
                    log::info!(source = self.setup.source.as_str(); "messages of {} are stored again", self.setup.source);
                    self.link.waits(false);
                }
                Ok(())
            }
            Err(Trouble::Stop) => Err(Ended::Stopped),
            Err(Trouble::Later(why)) => {
                let wait = match self.retry {
                    None => {
                        let source = self.setup.source.as_str();
                        log::warn!(source = source; "messages of {source} wait at the broker, since they cannot be stored: {why}");
                        self.link.troubled(&why, self.ingest.now());
                        self.link.waits(true);
                        RETRY_FIRST
                    }
                    Some(retry) => retry.wait.saturating_mul(2).min(RETRY_LAST),
                };
                let at = Some(Instant::now() + wait);
                self.retry = Some(Retry { at, wait });
                Ok(())
            }
        }
    }

    fn take(&mut self, packet: Packet) -> Result<(), Ended> {
        match packet {
            Packet::Publish(publish) => self.publish(&publish),
            Packet::TooLarge { publish, size } => {
                let limit = self.setup.hello.packet_max;
                let detail = format!(
                    "a packet of {size} bytes on topic {:?} is larger than packet_max, {limit} bytes; its content was not kept",
                    publish.topic
                );
                let message = Incoming {
                    envelope: Envelope::of_publish(&publish.topic, Vec::new()),
                    ..Incoming::default()
                };
                let work = Work::PutAside {
                    reason: "too_large",
                    detail,
                    message,
                };
                self.push(&publish, 0, work);
            }
            Packet::Release(pkid) => {
                self.memory.released(pkid);
                self.line.writer.complete(pkid, &mut self.line.out);
            }
            Packet::Subscribed(each) => self.subscribed(&each),
            Packet::Disconnect(why) => {
                let text = format!("the broker closes the connection: {why}");
                return Err(Ended::Lost(text));
            }
            Packet::Connected(_) => {
                return Err(Ended::Lost("the broker answers a second time".to_owned()));
            }
            Packet::Other => {}
        }
        Ok(())
    }

    fn publish(&mut self, publish: &Publish) {
        let hash = hash(publish);
        if self.memory.is_known(publish, hash)
            || (publish.is_retained && self.setup.ignores_retained)
        {
            return self.push(publish, hash, Work::Nothing);
        }
        let filters = self.setup.filters.iter();
        let captures = filters
            .filter_map(|filter| filter.filter.captures(&publish.topic))
            .next();
        let is_subscribed = captures.is_some();
        let mut envelope = Envelope::of_publish(&publish.topic, captures.unwrap_or_default());
        envelope.is_retained = publish.is_retained;
        let door = self.door();
        let reads = |name: &SmolStr| door.as_ref().is_some_and(|door| door.reads_header(name));
        let properties = publish.properties.iter().filter(|(name, _)| reads(name));
        envelope.set_headers(properties.cloned());
        if let Some(sparkplug) = self.setup.sparkplug {
            self.note_sparkplug(publish, &mut envelope, sparkplug);
        }
        let message = Incoming {
            body: publish.payload.clone(),
            content_type: publish.content_type.clone(),
            envelope,
        };
        let work = if is_subscribed {
            Work::Take(message)
        } else {
            let detail = format!(
                "topic {:?} fits no filter of the source; the broker still has a subscription of an earlier configuration under client id {:?}",
                publish.topic, self.setup.hello.client_id
            );
            Work::PutAside {
                reason: "not_subscribed",
                detail,
                message,
            }
        };
        self.push(publish, hash, work);
    }

    fn note_sparkplug(
        &mut self,
        publish: &Publish,
        envelope: &mut Envelope,
        setup: SparkplugSetup,
    ) {
        let memory = &mut self.memory;
        let rebirth = memory.note_sparkplug(publish, envelope, setup.is_mapped);
        let Some(Rebirth { topic, is_due }) = rebirth else {
            return;
        };
        if setup.asks_rebirth && is_due {
            let payload = crate::sources::sparkplug::rebirth(self.ingest.now());
            // Only a wish: a node that cannot be asked is asked again later.
            drop(
                self.line
                    .writer
                    .publish(&topic, &payload, &mut self.line.out),
            );
        }
    }

    fn push(&mut self, publish: &Publish, hash: u128, work: Work) {
        if let Some(door) = self.door() {
            door.series.received.inc();
        }
        let entry = Entry {
            qos: publish.qos,
            pkid: publish.pkid,
            hash,
            work: work.into(),
        };
        let is_halted = self.retry.is_some_and(|retry| retry.at.is_some());
        self.window.push(entry, is_halted);
        self.count();
    }

    fn subscribed(&self, each: &[Result<u8, String>]) {
        let source = self.setup.source.as_str();
        for (filter, granted) in self.setup.filters.iter().zip(each) {
            let written = filter.filter.written();
            match granted {
                Ok(qos) if *qos < filter.qos => {
                    log::warn!(source = source; "the broker grants {source} only quality {qos} for {written}");
                }
                Ok(_) => {}
                Err(why) => {
                    log::error!(source = source; "the broker refuses {source} the filter {written}: {why}; nothing comes from there");
                    let text = format!("the broker refuses the filter {written}: {why}");
                    self.link.troubled(&text, self.ingest.now());
                }
            }
        }
    }

    fn ping(&mut self, is_reading: bool) -> Result<(), Ended> {
        // Without room nothing is read, so silence says nothing.
        if is_reading && self.line.read_at.elapsed() > self.keep_alive + ANSWER_TIMEOUT {
            return Err(Ended::Lost(
                "the broker does not answer any more".to_owned(),
            ));
        }
        self.line.writer.ping(&mut self.line.out);
        Ok(())
    }

    /// Acknowledges what is still being stored, and says goodbye.
    async fn drain(&mut self) {
        while self.window.is_busy() {
            let done = self.window.next().await;
            if self.done(done).is_err() {
                break;
            }
        }
        self.line.close().await;
    }

    fn door(&self) -> Option<std::sync::Arc<Door>> {
        self.ingest.door(&self.setup.source)
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// What the broker is asked for.
fn wanted(setup: &BrokerSetup) -> Vec<Wanted> {
    let filters = setup.filters.iter();
    let each = filters.map(|subscription| {
        let wire = subscription.filter.wire();
        Wanted {
            filter: match &setup.shared_group {
                Some(group) => format!("$share/{group}/{wire}"),
                None => wire.to_owned(),
            },
            qos: subscription.qos,
        }
    });
    each.collect()
}

fn hash(publish: &Publish) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(publish.topic.as_bytes());
    hash.update(&[0]);
    hash.update(&publish.payload);
    hash.digest128()
}

/// Introduces us under another client id, without a session, and says goodbye.
pub(super) async fn probe(setup: &BrokerSetup) -> Result<(), String> {
    let stream = connect::connect(setup).await?;
    let hello = Hello {
        client_id: format!("{}-probe", setup.hello.client_id),
        ..setup.hello.clone()
    };
    match Line::open(stream, &hello, true).await {
        Ok((mut line, _)) => {
            line.close().await;
            Ok(())
        }
        Err(Ended::Lost(why)) => Err(why),
        Err(Ended::Stopped) => Ok(()),
    }
}
