//! The worker of one target: reads what is due, looks again, commits the intent, sends, and writes what became of it.
//!
//! Must not send without a committed intent, and must not mark what it has not heard of.

mod landing;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::core::ids::IncidentId;
use crate::core::tell::event::Event;
use crate::core::tell::webhook_id;
use crate::core::time::Timestamp;
use crate::runtime::pace::Pace;
use crate::store::StoreError;
use crate::store::outbox::work::{Mark, OutboxStep, list_due, list_heard};

use super::board::Post;
use super::plan::{Now, Plan, Skip, believes_open, plan};
use super::queue::{LaneKey, Queue, Row};
use super::retry::Breaker;
use super::rows::{as_duration, claim, into_row, skipped};
use super::{Asked, Attempt, Briefing, Briefings, DeliverSetup, LAST_WAIT, Parcel, TargetSetup};

/// Rows read at once.
const ROWS_PER_READ: usize = 1_000;
/// How often the store is looked at although nobody has said that something is due.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Reports of what is given up that are on their way at once.
const REPORTS_MAX: usize = 100;
/// How long a failed store is left alone.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// The worker of one target.
pub(super) struct Worker {
    setup: DeliverSetup,
    target: TargetSetup,
    post: Arc<Post>,
    queue: Queue,
    breaker: Breaker,
    pace: Option<Pace>,
    /// When the rate allows the next one.
    limited_until: Option<tokio::time::Instant>,
    flights: JoinSet<Flight>,
    /// Word of what is given up, on its way to the incidents.
    reports: JoinSet<()>,
    /// What became of messages, until it is committed.
    marks: Vec<Mark>,
    may_have_more: bool,
}

/// A message that came back from its attempt.
struct Flight {
    key: LaneKey,
    row: Row,
    attempt: Attempt,
    opened_at: Option<Timestamp>,
}

/// What was prepared for a lane: the message to send, those that are done with, and how the incident stands.
type Prepared = (Option<Row>, Vec<i64>, Option<Arc<Briefing>>);

/// A lane whose message is to be sent.
struct Ready {
    key: LaneKey,
    row: Row,
    briefing: Option<Arc<Briefing>>,
}

impl Worker {
    pub(super) fn new(setup: DeliverSetup, target: TargetSetup, post: Arc<Post>) -> Self {
        Self {
            setup,
            pace: target.rate.map(Pace::new),
            target,
            post,
            queue: Queue::default(),
            breaker: Breaker::default(),
            limited_until: None,
            flights: JoinSet::new(),
            reports: JoinSet::new(),
            marks: Vec::new(),
            may_have_more: true,
        }
    }

    /// Works until it is told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.turn().await {
                let target = self.target.name.as_str();
                log::warn!(target_name = target, error:% = error; "messages to {target} wait for the store: {error}");
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = sleep(STORE_PAUSE) => {}
                }
                continue;
            }
            let wait = self.wait();
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.post.notify.notified() => self.may_have_more = true,
                Some(flight) = self.flights.join_next(), if !self.flights.is_empty() => self.land(flight),
                () = sleep(wait) => self.may_have_more = true,
            }
        }
        self.finish().await;
    }

    /// Ends what is on its way; what does not end in time may have arrived, and is sent again at the next start.
    async fn finish(mut self) {
        let until = tokio::time::Instant::now() + LAST_WAIT;
        while let Ok(Some(flight)) = tokio::time::timeout_at(until, self.flights.join_next()).await
        {
            self.land(flight);
        }
        let marks = std::mem::take(&mut self.marks);
        if let Err(error) = self.commit(marks).await {
            log::warn!(error:% = error; "what became of the last messages could not be stored: {error}");
        }
    }

    /// How long nothing happens unless somebody says so.
    fn wait(&self) -> Duration {
        if self.has_room() && self.is_allowed() && self.queue.is_ready() {
            // Only the rate holds it up.
            let until = self
                .limited_until
                .map(|at| at.duration_since(tokio::time::Instant::now()));
            return until.unwrap_or(Duration::from_millis(1)).min(LOOK_EVERY);
        }
        let now = self.setup.clock.now();
        let due = match self.breaker.closed_until() {
            Some(until) if until > now => Some(until),
            _ => self.queue.next_due(),
        };
        let wait = due.map_or(LOOK_EVERY, |at| as_duration(at.since(now)));
        wait.clamp(Duration::from_millis(1), LOOK_EVERY)
    }

    fn has_room(&self) -> bool {
        let width = if self.breaker.is_open() {
            1
        } else {
            self.target.width
        };
        self.flights.len() < width
    }

    /// Whether the target may be spoken to now.
    fn is_allowed(&self) -> bool {
        let now = self.setup.clock.now();
        let is_closed = self.breaker.closed_until().is_some_and(|until| until > now);
        !is_closed && self.post.health().paused.is_none()
    }

    /// Reads what is due and sends what there is room for.
    async fn turn(&mut self) -> Result<(), StoreError> {
        self.land_more();
        if self.post.take_stale() {
            self.queue.last = 0;
            self.may_have_more = true;
        }
        if self.may_have_more {
            self.read().await?;
        }
        let lanes = self.take();
        let mut marks = std::mem::take(&mut self.marks);
        let outcome = self.prepare(&lanes, &mut marks).await;
        let ready = match outcome {
            Ok(ready) => ready,
            Err(error) => {
                self.marks = marks;
                self.put_back(lanes);
                return Err(error);
            }
        };
        let marks_kept = marks.clone();
        if let Err(error) = self.commit(marks).await {
            // The claims among them are not true; the lanes are read from the store again.
            let own: Vec<i64> = lanes
                .iter()
                .flat_map(|(_, rows)| rows.iter().map(|row| row.id))
                .collect();
            self.marks = marks_kept
                .into_iter()
                .filter(|mark| !own.contains(&mark.id))
                .collect();
            self.put_back(lanes);
            return Err(error);
        }
        self.send(lanes, ready);
        Ok(())
    }

    fn put_back(&mut self, lanes: Vec<(LaneKey, Vec<Row>)>) {
        let now = self.setup.clock.now();
        for (key, _) in lanes {
            self.queue.give_back(&key, &[], None, now);
        }
    }

    /// Reads rows until there are none or no room.
    async fn read(&mut self) -> Result<(), StoreError> {
        let now = self.setup.clock.now();
        loop {
            let at_most = self.queue.room().min(ROWS_PER_READ);
            if at_most == 0 {
                return Ok(());
            }
            let mut reader = self.setup.db.reader().await?;
            let rows = list_due(
                reader.lend(),
                self.setup.partition,
                &self.target.name,
                self.queue.last,
                i64::try_from(at_most).unwrap_or(i64::MAX),
            )
            .await?;
            drop(reader);
            let is_last = rows.len() < at_most;
            for row in rows {
                let id = row.id;
                match into_row(row)? {
                    Some((key, row)) => self.queue.add(&key, row, now),
                    None => self.queue.last = self.queue.last.max(id),
                }
            }
            if is_last {
                self.may_have_more = false;
                return Ok(());
            }
        }
    }

    /// Takes the lanes that there is room for.
    fn take(&mut self) -> Vec<(LaneKey, Vec<Row>)> {
        let mut lanes = Vec::new();
        if !self.is_allowed() {
            return lanes;
        }
        let now = self.setup.clock.now();
        self.limited_until = None;
        while self.has_room_for(lanes.len()) && self.queue_is_ready(now) {
            if let Some(wait) = self.rate_wait() {
                self.limited_until = Some(tokio::time::Instant::now() + wait);
                break;
            }
            let Some(lane) = self.queue.take(now) else {
                break;
            };
            lanes.push(lane);
        }
        lanes
    }

    fn has_room_for(&self, more: usize) -> bool {
        let width = if self.breaker.is_open() {
            1
        } else {
            self.target.width
        };
        self.flights.len().saturating_add(more) < width
    }

    fn queue_is_ready(&self, now: Timestamp) -> bool {
        self.queue.is_ready() || self.queue.next_due().is_some_and(|at| at <= now)
    }

    /// How long the rate makes the next message wait.
    fn rate_wait(&self) -> Option<Duration> {
        self.pace.as_ref()?.take().err()
    }

    /// Looks at the incidents again, plans each lane, and writes down what is skipped and what is about to be sent.
    async fn prepare(
        &mut self,
        lanes: &[(LaneKey, Vec<Row>)],
        marks: &mut Vec<Mark>,
    ) -> Result<Vec<Prepared>, StoreError> {
        let mut ready = Vec::with_capacity(lanes.len());
        if lanes.is_empty() {
            return Ok(ready);
        }
        let incidents: Vec<IncidentId> = lanes.iter().filter_map(|(key, _)| key.incident).collect();
        let mut briefings =
            (self.setup.brief)(incidents, self.target.channel.names_alerts()).await?;
        let now = self.setup.clock.now();
        for (key, rows) in lanes {
            let plan = self.plan(key, rows, &briefings).await?;
            let mut done = Vec::new();
            for row in rows {
                if let Some((_, skip)) = plan.skips.iter().find(|(id, _)| *id == row.id) {
                    marks.push(skipped(row, *skip, now));
                    self.count("skipped");
                    done.push(row.id);
                }
            }
            let sent = rows.iter().find(|row| Some(row.id) == plan.send);
            let claimed = sent.map(|row| {
                let claimed = Row {
                    attempts: row.attempts.saturating_add(1),
                    tried_at: row.tried_at.or(Some(now)),
                    ..row.clone()
                };
                marks.push(claim(&claimed));
                claimed
            });
            let briefing = key
                .incident
                .and_then(|id| briefings.remove(&id))
                .map(Arc::new);
            if let (Some(id), Some(briefing)) = (key.incident, &briefing) {
                // Another lane of the same incident may come.
                briefings.insert(id, (**briefing).clone());
            }
            ready.push((claimed, done, briefing));
        }
        Ok(ready)
    }

    async fn plan(
        &self,
        key: &LaneKey,
        rows: &[Row],
        briefings: &Briefings,
    ) -> Result<Plan, StoreError> {
        let Some(id) = key.incident else {
            return Ok(Plan {
                send: rows.first().map(|row| row.id),
                skips: Vec::new(),
            });
        };
        let Some(briefing) = briefings.get(&id) else {
            return Ok(Plan {
                send: None,
                skips: rows.iter().map(|row| (row.id, Skip::Gone)).collect(),
            });
        };
        let first = rows.first().map_or(0, |row| row.id);
        let mut reader = self.setup.db.reader().await?;
        let heard = list_heard(reader.lend(), id, &self.target.name, &key.recipient, first).await?;
        let heard: Vec<Event> = heard
            .iter()
            .filter_map(|word| Event::from_word(word))
            .collect();
        let waiting: Vec<_> = rows.iter().map(Row::waiting).collect();
        let now = Now {
            is_open: briefing.is_open,
            is_new: briefing.is_new,
        };
        Ok(plan(&waiting, now, believes_open(&heard)))
    }

    async fn commit(&self, marks: Vec<Mark>) -> Result<(), StoreError> {
        if marks.is_empty() {
            return Ok(());
        }
        let step = OutboxStep {
            marks,
            ..OutboxStep::default()
        };
        match self.setup.writer.outbox(step).await {
            Ok(_) => Ok(()),
            Err(error) => Err(StoreError::Unavailable(error.to_string().into())),
        }
    }

    /// Sends what was prepared and committed.
    fn send(&mut self, lanes: Vec<(LaneKey, Vec<Row>)>, ready: Vec<Prepared>) {
        let now = self.setup.clock.now();
        for ((key, _), (row, done, briefing)) in lanes.into_iter().zip(ready) {
            let Some(row) = row else {
                self.queue.give_back(&key, &done, None, now);
                continue;
            };
            // The lane stays busy; what was skipped goes now.
            self.queue.drop_rows(&key, &done);
            if row.attempts == 1 {
                let waited = now.since(row.created_at);
                self.setup.metrics.first_attempt(waited.as_millis());
            }
            self.fly(Ready { key, row, briefing }, now);
        }
    }

    fn fly(&mut self, ready: Ready, now: Timestamp) {
        let Ready { key, row, briefing } = ready;
        let parcel = Parcel {
            id: webhook_id(row.id, row.created_at),
            event: row.event,
            at: row.created_at,
            now,
            note: row.note.clone(),
            recipient: key.recipient.clone(),
            is_repeat: row.may_have_arrived,
            incident: key.incident,
            answer_url: self.answer_url(&key, briefing.as_deref(), now),
            rating_url: self.rating_url(&key, row.event, now),
            thread: key.incident.map(&*self.setup.thread),
            briefing: briefing.clone(),
        };
        let channel = self.target.channel.clone();
        self.flights.spawn(async move {
            let attempt = channel.send(&parcel).await;
            Flight {
                key,
                row,
                attempt,
                opened_at: briefing.map(|it| it.opened_at),
            }
        });
    }

    /// Where whoever is told can answer; what is over needs no answer.
    fn answer_url(
        &self,
        key: &LaneKey,
        briefing: Option<&Briefing>,
        now: Timestamp,
    ) -> Option<String> {
        let incident = key
            .incident
            .filter(|_| briefing.is_some_and(|it| it.is_open))?;
        Some((self.setup.answer)(
            incident,
            key.who(&self.target.name),
            now,
        ))
    }

    /// Where whoever is told that it is over can rate how it was handled.
    fn rating_url(&self, key: &LaneKey, event: Event, now: Timestamp) -> Option<String> {
        let incident = key.incident.filter(|_| event == Event::Resolved)?;
        let (target, who) = (&*self.target.name, key.who(&self.target.name));
        (self.setup.rating)(incident, Asked { target, who }, now)
    }
}
