//! Messages of MQTT brokers: one connection per source, made again and again until it is told to stop.
//!
//! A message is acknowledged when it is committed, never before; what is not acknowledged comes again. The session at
//! the broker is kept while we are away. Must not decide what a message means.

mod connect;
mod line;
mod link;
mod memory;
mod packets;
mod session;
mod window;
mod write;

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use super::{Incoming, Ingest};
use crate::runtime::entropy::random_bytes;
use crate::runtime::tls::ClientTlsPaths;
use crate::sources::topic::Subscription;
use crate::store::dead_letters::NewDeadLetter;
use crate::store::writer::WriteError;

pub use self::link::{Link, LinkState};
use self::memory::Memory;
use self::session::{Ended, Session};
pub use self::write::Hello;

/// Messages without an answer that a broker may have sent.
pub const RECEIVE_MAX: u16 = window::MESSAGES_MAX;
/// Waits between connections: the first, and the longest.
const WAIT_FIRST: Duration = Duration::from_millis(200);
const WAIT_LAST: Duration = Duration::from_secs(5);

/// The revision of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 3.1.1
    V3,
    /// 5.0
    V5,
}

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// It cannot be used, and is put aside.
    Bad {
        /// Word of the dead-letter list.
        reason: &'static str,
        /// For people.
        detail: String,
    },
    /// It may be taken later; until then it waits at the broker.
    Later(String),
}

/// What becomes of a message that was handed on.
pub type Taken = Pin<Box<dyn Future<Output = Result<(), NotTaken>> + Send>>;

/// Who takes the messages of a broker that are no observations.
#[derive(Clone)]
pub struct Taker {
    /// How the connection does.
    pub link: Arc<Link>,
    /// Takes one message; the broker is told when it is done.
    pub take: Arc<dyn Fn(Incoming) -> Taken + Send + Sync>,
}

impl std::fmt::Debug for Taker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Taker").finish_non_exhaustive()
    }
}

/// One source and its broker.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerSetup {
    /// The source's name.
    pub source: String,
    /// Name or address of the broker.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The broker for people, without secrets.
    pub shown: String,
    /// How TLS is done, if it is.
    pub tls: Option<ClientTlsPaths>,
    /// How we introduce ourselves.
    pub hello: Hello,
    /// What is subscribed; the first filter that fits a topic gives its captures.
    pub filters: Vec<Subscription>,
    /// The group of a shared subscription.
    pub shared_group: Option<String>,
    /// Whether messages that the broker kept are passed over.
    pub ignores_retained: bool,
    /// How Sparkplug B is read, if messages are of it.
    pub sparkplug: Option<SparkplugSetup>,
}

/// How Sparkplug B is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SparkplugSetup {
    /// Whether metrics matter.
    pub is_mapped: bool,
    /// Whether nodes are asked for new births.
    pub asks_rebirth: bool,
}

impl std::fmt::Debug for BrokerSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokerSetup")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// Receives messages of a broker until it is told to stop; they go to the door of their source, or to a taker.
pub async fn run(
    setup: Arc<BrokerSetup>,
    ingest: Ingest,
    taker: Option<Taker>,
    stop: CancellationToken,
) {
    let source = setup.source.as_str();
    let link = match &taker {
        Some(taker) => Some(Arc::clone(&taker.link)),
        None => ingest.door(source).map(|door| Arc::clone(&door.link)),
    };
    let Some(link) = link else {
        return stop.cancelled().await;
    };
    link.begin(setup.shown.clone(), ingest.now());
    let mut memory = Memory::default();
    let mut wait = WAIT_FIRST;
    let mut is_told = false;
    while !stop.is_cancelled() {
        let inside = Inside {
            ingest: &ingest,
            taker: taker.as_ref(),
        };
        let connection = connection(&setup, inside, (&mut memory, &link), &stop);
        // A defect in a codec must cost one connection, not the daemon.
        let ended = AssertUnwindSafe(connection).catch_unwind().await;
        let was_connected = link.state().is_connected;
        link.lost(ingest.now());
        let why = match ended {
            Ok(Ended::Stopped) => break,
            Ok(Ended::Lost(why)) => why,
            Err(_) => {
                "a packet of the broker met a defect; the message above says where".to_owned()
            }
        };
        link.troubled(&why, ingest.now());
        if was_connected {
            wait = WAIT_FIRST;
            is_told = false;
        }
        if !is_told {
            log::warn!(source = source; "source {source} is not connected: {why}; it is tried again and again");
            is_told = true;
        }
        let pause = tokio::time::sleep(jittered(wait));
        if stop.run_until_cancelled(pause).await.is_none() {
            break;
        }
        wait = wait.saturating_mul(2).min(WAIT_LAST);
    }
    link.lost(ingest.now());
}

/// Where messages go.
#[derive(Clone, Copy)]
struct Inside<'a> {
    ingest: &'a Ingest,
    taker: Option<&'a Taker>,
}

async fn connection(
    setup: &BrokerSetup,
    inside: Inside<'_>,
    (memory, link): (&mut Memory, &Link),
    stop: &CancellationToken,
) -> Ended {
    let open = Session::open(setup, inside, (memory, link));
    let session = match stop.run_until_cancelled(open).await {
        None => return Ended::Stopped,
        Some(Err(ended)) => return ended,
        Some(Ok(session)) => session,
    };
    let (source, shown) = (setup.source.as_str(), &setup.shown);
    let session_is = if link.state().is_session_kept {
        "kept"
    } else {
        "new"
    };
    log::info!(source = source; "source {source} is connected to {shown}; the session is {session_is}");
    session.run(stop).await
}

impl Ingest {
    /// Keeps a message that is no observation and that whoever took it cannot use, so that it can be looked at.
    ///
    /// # Errors
    /// It could not be stored.
    pub async fn keep_letter(
        &self,
        source: &str,
        (reason, detail): (&'static str, String),
        message: &Incoming,
    ) -> Result<(), WriteError> {
        self.0.metrics.dead_letter(source, reason);
        let letter = NewDeadLetter {
            source: source.to_owned(),
            reason,
            detail,
            content_type: message.content_type.clone(),
            envelope: serde_json::to_string(&message.envelope).ok(),
            body: message.body.clone(),
        };
        self.0.engine.writer().dead_letter(letter).await?;
        Ok(())
    }
}

/// Between half and all of a wait, so that many clients do not come back at once.
fn jittered(wait: Duration) -> Duration {
    let [byte] = random_bytes::<1>().unwrap_or([128]);
    wait / 2 + (wait / 2).mul_f64(f64::from(byte) / 255.0)
}

/// Tries to connect once, for people who look for what is wrong; nothing is subscribed and no session is made.
///
/// # Errors
/// Why the broker cannot be used.
pub async fn probe(setup: &BrokerSetup) -> Result<(), String> {
    session::probe(setup).await
}
