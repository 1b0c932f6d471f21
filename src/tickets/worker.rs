//! The worker of one connector: takes what waits, as much at once as is allowed, and looks what changed there.
//!
//! Tickets to be made come before those to be brought up to date. Must not hold up the engine: it looks at the state for
//! a moment and works on copies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use smol_str::SmolStr;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::poll::{self, Cursor};
use super::runner::Line;
use super::sync::{self, Landed, Past, Shared};
use super::{ConnectorSetup, TicketsSetup};
use crate::connectors::Failure;
use crate::core::ids::IncidentId;
use crate::core::ticket::{Link, Standing};
use crate::core::time::{Span, Timestamp};

/// How often it is looked without being told.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A new title alone waits so long for the next one.
const TITLE_WAIT: Duration = Duration::from_secs(15);
/// A ticket that nobody has read for so many polls is read: it may have been deleted, which no list of changes tells.
const AUDIT_POLLS: u32 = 4;
/// The shortest and the longest of these times.
const AUDIT_AFTER: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));
/// A hook that names no ticket brings the next poll forward, up to so soon after the last one.
const HINT_POLL: Duration = Duration::from_secs(1);
/// Tickets that are read so after one poll.
const AUDITS: usize = 3;
/// Among how many they are chosen.
const AUDIT_CHOICE: usize = 2_000;
/// Time that works get at the end.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// What is under way.
enum Flight {
    Ticket(IncidentId, Landed),
    Poll(Cursor, Landed),
}

/// What is known of a ticket that did not work out.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    since: Instant,
    tries: u32,
}

pub(super) struct Worker {
    shared: Arc<Shared>,
    started_at: Timestamp,
    flights: JoinSet<Flight>,
    busy: BTreeSet<IncidentId>,
    doubts: BTreeMap<IncidentId, Doubt>,
    later: BTreeMap<IncidentId, Instant>,
    retitled: BTreeMap<IncidentId, Instant>,
    read_at: BTreeMap<IncidentId, Instant>,
    hints: BTreeSet<SmolStr>,
    cursor: Cursor,
    poll_at: Instant,
    is_polling: bool,
    wants_audit: bool,
    /// Tickets from before the start that were dealt with since.
    settled: BTreeSet<IncidentId>,
    last_error: Option<String>,
}

/// What the state holds for this worker.
struct Work {
    is_paused: bool,
    links: Vec<Arc<Link>>,
    counts: Vec<(Standing, i64)>,
}

impl Worker {
    pub(super) fn new(
        setup: TicketsSetup,
        connector: ConnectorSetup,
    ) -> Result<Self, (SmolStr, String)> {
        let name = connector.name.clone();
        let line = Line::new(connector.clone(), setup.clock.clone());
        let line = line.map_err(|why| (name, why))?;
        let started_at = setup.clock.now();
        Ok(Self {
            shared: Arc::new(Shared {
                setup,
                connector,
                line,
                touched: std::sync::Mutex::default(),
                cis: std::sync::Mutex::default(),
            }),
            started_at,
            flights: JoinSet::new(),
            busy: BTreeSet::new(),
            doubts: BTreeMap::new(),
            later: BTreeMap::new(),
            retitled: BTreeMap::new(),
            read_at: BTreeMap::new(),
            hints: BTreeSet::new(),
            cursor: Cursor::default(),
            poll_at: Instant::now(),
            is_polling: false,
            wants_audit: false,
            settled: BTreeSet::new(),
            last_error: None,
        })
    }

    /// Works until it is told to stop.
    pub(super) async fn run(
        mut self,
        mut hinted: mpsc::Receiver<SmolStr>,
        stop: CancellationToken,
    ) {
        let mut wanted = self.shared.setup.engine.tickets_wanted();
        while !stop.is_cancelled() {
            wanted.borrow_and_update();
            self.fill().await;
            tokio::select! {
                () = stop.cancelled() => break,
                Some(landed) = self.flights.join_next(), if !self.flights.is_empty() => {
                    if let Ok(flight) = landed {
                        self.land(flight);
                    }
                }
                changed = wanted.changed() => {
                    if changed.is_err() {
                        stop.cancelled().await;
                    }
                }
                Some(id) = hinted.recv() => {
                    self.hints.insert(id);
                }
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        let ended = async { while self.flights.join_next().await.is_some() {} };
        // What does not end in time may have been done; the next start looks before it does anything again.
        drop(tokio::time::timeout(LAST_WAIT, ended).await);
    }

    fn name(&self) -> SmolStr {
        self.shared.connector.name.clone()
    }

    /// Takes on as much as is allowed.
    async fn fill(&mut self) {
        let now = Instant::now();
        let gate = self.shared.line.gate();
        let closed_until = gate.closed_until(now);
        self.show(closed_until);
        self.later.retain(|_, until| *until > now);
        let width = if gate.is_on_trial() {
            1
        } else {
            self.shared.connector.width
        };
        let room = width.saturating_sub(self.flights.len());
        let Some(work) = self
            .work(if closed_until.is_some() { 0 } else { room })
            .await
        else {
            return;
        };
        for (standing, count) in &work.counts {
            let metrics = &self.shared.setup.metrics;
            metrics.tickets(&self.name(), standing.word()).set(*count);
        }
        if work.is_paused || closed_until.is_some() {
            return;
        }
        if !self.is_polling && self.poll_at <= now && self.flights.len() < width {
            self.poll();
        }
        for link in work.links {
            if self.flights.len() < width && self.is_ripe(&link, now) {
                self.start(link);
            }
        }
        self.follow_hints(width).await;
        if self.wants_audit && self.flights.is_empty() {
            self.audit().await;
        }
    }

    async fn work(&mut self, room: usize) -> Option<Work> {
        let name = self.name();
        let (busy, later) = (self.busy.clone(), self.later.clone());
        let titles = self.retitled.len();
        let looked = self.shared.setup.engine.look(move |state| {
            let tickets = state.tickets();
            let is_free = |link: &&Arc<Link>| {
                !busy.contains(&link.incident) && !later.contains_key(&link.incident)
            };
            let some = if room == 0 {
                0
            } else {
                room.saturating_add(titles).saturating_add(8)
            };
            let links = tickets.waiting(&name).filter(is_free).take(some);
            let count = |standing: Standing| {
                let key = (name.clone(), standing);
                (standing, tickets.counts().get(&key).copied().unwrap_or(0))
            };
            Work {
                is_paused: tickets.is_paused(&name),
                links: links.cloned().collect(),
                counts: Standing::ALL.into_iter().map(count).collect(),
            }
        });
        looked.await.ok()
    }

    /// Whether a ticket is to be worked on now; a mere change of title waits for more of it.
    fn is_ripe(&mut self, link: &Link, now: Instant) -> bool {
        if !link.is_only_retitled() {
            self.retitled.remove(&link.incident);
            return true;
        }
        let since = *self.retitled.entry(link.incident).or_insert(now);
        if now.duration_since(since) < TITLE_WAIT {
            return false;
        }
        self.retitled.remove(&link.incident);
        true
    }

    fn start(&mut self, link: Arc<Link>) {
        let id = link.incident;
        let past = match self.doubts.get(&id) {
            Some(doubt) => Past::Doubtful(doubt.since.elapsed()),
            // It was wanted before this worker began: another one may have tried.
            None if link.made_at < self.started_at && !self.settled.contains(&id) => {
                let now = self.shared.setup.clock.now();
                let since = now.since(self.started_at).as_millis();
                Past::Doubtful(Duration::from_millis(u64::try_from(since).unwrap_or(0)))
            }
            None => Past::Fresh,
        };
        self.busy.insert(id);
        self.shared.touch(id);
        let shared = Arc::clone(&self.shared);
        self.flights
            .spawn(async move { Flight::Ticket(id, sync::work(shared, link, past).await) });
    }

    fn poll(&mut self) {
        self.is_polling = true;
        let shared = Arc::clone(&self.shared);
        let (cursor, busy) = (self.cursor.clone(), self.busy.iter().copied().collect());
        self.flights.spawn(async move {
            let (cursor, landed) = poll::look(shared, cursor, busy).await;
            Flight::Poll(cursor, landed)
        });
    }

    /// Reads the tickets that a webhook named.
    async fn follow_hints(&mut self, width: usize) {
        if self.hints.is_empty() || self.flights.len() >= width {
            return;
        }
        let mut hints = std::mem::take(&mut self.hints);
        if hints.remove("") {
            let soon = Instant::now() + HINT_POLL;
            self.poll_at = self.poll_at.min(soon);
        }
        let name = self.name();
        let looked = self.shared.setup.engine.look(move |state| {
            let tickets = state.tickets();
            let by_id = hints.iter().filter_map(|id| tickets.by_remote(&name, id));
            let mut links: Vec<Arc<Link>> = by_id.cloned().collect();
            if links.len() < hints.len() {
                let numbers = tickets.all_of(&name).filter(|link| {
                    let number = link.record.as_ref().map(|record| &record.number);
                    number.is_some_and(|number| hints.contains(number)) || hints.contains(&link.key)
                });
                links.extend(numbers.cloned());
            }
            links
        });
        for link in looked.await.unwrap_or_default() {
            self.read(link);
        }
    }

    fn read(&mut self, link: Arc<Link>) {
        let id = link.incident;
        if !self.busy.insert(id) {
            // What is being worked on is read in the course of it, or by the next poll.
            return;
        }
        self.read_at.insert(id, Instant::now());
        let shared = Arc::clone(&self.shared);
        self.flights
            .spawn(async move { Flight::Ticket(id, sync::read(shared, link).await) });
    }

    fn land(&mut self, flight: Flight) {
        match flight {
            Flight::Ticket(id, landed) => {
                self.busy.remove(&id);
                self.shared.touch(id);
                self.judge(Some(id), landed);
            }
            Flight::Poll(cursor, landed) => {
                self.cursor = cursor;
                self.is_polling = false;
                self.poll_at = Instant::now() + self.shared.connector.poll_every;
                let is_good = matches!(landed, Landed::Reported);
                self.judge(None, landed);
                if is_good {
                    let now = self.shared.setup.clock.now();
                    let name = self.name();
                    self.shared
                        .setup
                        .board
                        .change(&name, |post| post.polled_at = Some(now));
                    self.wants_audit = true;
                }
            }
        }
    }

    /// Reads a few tickets that nobody has read for long.
    async fn audit(&mut self) {
        self.wants_audit = false;
        let now = Instant::now();
        let (least, most) = AUDIT_AFTER;
        let after = (self.shared.connector.poll_every * AUDIT_POLLS).clamp(least, most);
        self.read_at
            .retain(|_, at| now.duration_since(*at) < after * 60);
        let is_fresh = |at: &Instant| now.duration_since(*at) < after;
        let fresh = self.read_at.iter().filter(|(_, at)| is_fresh(at));
        let mut fresh: BTreeSet<IncidentId> = fresh.map(|(id, _)| *id).collect();
        fresh.extend(self.busy.iter().copied());
        let order = self.read_at.clone();
        let name = self.name();
        let looked = self.shared.setup.engine.look(move |state| {
            let links = state.tickets().all_of(&name).filter(|link| {
                link.standing() == Standing::InSync && !fresh.contains(&link.incident)
            });
            let open = links.filter(|link| {
                let incident = state.incident(link.incident);
                incident.is_some_and(|incident| incident.state.is_open())
            });
            let mut links: Vec<Arc<Link>> = open.take(AUDIT_CHOICE).cloned().collect();
            links.sort_by_key(|link| order.get(&link.incident).copied());
            links.truncate(AUDITS);
            links
        });
        for link in looked.await.unwrap_or_default() {
            self.read(link);
        }
    }

    /// What a landing means for the ticket and for the platform.
    fn judge(&mut self, id: Option<IncidentId>, landed: Landed) {
        let now = Instant::now();
        match landed {
            Landed::Reported | Landed::Seen => {
                if let Some(id) = id {
                    if matches!(landed, Landed::Reported) {
                        self.doubts.remove(&id);
                        self.settled.insert(id);
                    }
                    self.later.remove(&id);
                    self.read_at.insert(id, now);
                }
                // What was under way when it asked to wait says nothing against that.
                if self.shared.line.gate().closed_until(now).is_none() {
                    self.shared.line.change_gate(super::gate::Gate::went_well);
                    self.went_well();
                }
            }
            Landed::Wait(wait) => {
                if let Some(id) = id {
                    self.doubts.entry(id).or_insert(Doubt {
                        since: now,
                        tries: 0,
                    });
                    self.later
                        .insert(id, now + wait.max(Duration::from_millis(50)));
                }
            }
            Landed::Unheard(why) => {
                log::debug!(error = why.as_str(); "a report on a ticket was not taken: {why}");
                if let Some(id) = id {
                    // What was done is not written down, so it is in doubt.
                    self.doubt(id, now);
                }
            }
            Landed::Later => {
                if let Some(id) = id {
                    self.put_off(id, 0, now);
                }
            }
            Landed::Failed(failure) => self.failed(id, &failure, now),
        }
    }

    fn doubt(&mut self, id: IncidentId, now: Instant) {
        let doubt = self.doubts.entry(id).or_insert(Doubt {
            since: now,
            tries: 0,
        });
        doubt.since = now;
        doubt.tries = doubt.tries.saturating_add(1);
        let tries = doubt.tries;
        self.put_off(id, tries, now);
    }

    /// Tries again later: each time later, and not all at once.
    fn put_off(&mut self, id: IncidentId, tries: u32, now: Instant) {
        let base = 250_u64.saturating_mul(2_u64.saturating_pow(tries.min(9)));
        let spread = id.get().unsigned_abs().wrapping_mul(7_919) % 250;
        let wait = Duration::from_millis(base.saturating_add(spread));
        self.later.insert(id, now + wait);
    }

    fn failed(&mut self, id: Option<IncidentId>, failure: &Failure, now: Instant) {
        let gate = |change: &dyn Fn(&mut super::gate::Gate)| {
            self.shared.line.change_gate(|gate| change(gate));
        };
        match failure {
            // What was under way when it asked to wait, or was held back, says nothing new.
            Failure::Limited { .. } if self.shared.line.gate().closed_until(now).is_some() => {
                return;
            }
            Failure::Limited { after_s } => {
                let after_s = *after_s;
                gate(&|gate| gate.limited(after_s, now));
            }
            Failure::Away(_) | Failure::Doubtful(_) => gate(&|gate| gate.failed(now)),
            Failure::Login(_) | Failure::Broken(_) => gate(&|gate| gate.refused(now)),
            Failure::Conflict | Failure::Refused(_) | Failure::Gone(_) => {}
        }
        if let Some(id) = id {
            match failure {
                Failure::Doubtful(_) => self.doubt(id, now),
                Failure::Conflict | Failure::Away(_) | Failure::Refused(_) | Failure::Gone(_) => {
                    self.put_off(id, 1, now);
                }
                Failure::Limited { .. } | Failure::Login(_) | Failure::Broken(_) => {}
            }
        }
        self.tell(&failure.to_string());
    }

    fn tell(&mut self, why: &str) {
        let name = self.name();
        if self.last_error.as_deref() != Some(why) {
            log::warn!(connector = name.as_str(), error = why; "connector {name}: {why}");
            self.last_error = Some(why.to_owned());
        }
        let now = self.shared.setup.clock.now();
        self.shared.setup.board.failed(&name, why, now);
    }

    fn went_well(&mut self) {
        let name = self.name();
        if self.last_error.take().is_some() {
            log::info!(connector = name.as_str(); "connector {name} works again");
        }
        let now = self.shared.setup.clock.now();
        self.shared.setup.board.change(&name, |post| {
            post.last_success_at = Some(now);
            post.last_error = None;
        });
    }

    fn show(&self, closed_until: Option<Instant>) {
        let wait = closed_until.map(|until| until.saturating_duration_since(Instant::now()));
        let wait = wait.map(|wait| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
        let now = self.shared.setup.clock.now();
        let until = wait.map(|wait| now.plus(Span::from_millis(wait)));
        self.shared
            .setup
            .board
            .change(&self.name(), |post| post.waits_until = until);
    }
}
