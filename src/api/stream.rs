//! `GET /api/v1/stream`: incidents as they change, as server-sent events (WHATWG HTML, "Server-sent events").
//!
//! What is followed is the timeline: whatever changes an incident has an entry there, numbered in order of happening,
//! and that number is the event's id. Who comes back with `Last-Event-ID` is sent what changed meanwhile, each incident
//! as it is now. Must not hold more for a client than what one look gives.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep};

use super::ApiState;
use super::problem::{Kind, Problem};
use super::shapes::Incident;
use crate::core::ids::{IncidentId, Seq};
use crate::store::query::{incidents, timeline};

/// Streams at the same time; each looks twice a second and holds a connection.
pub(super) const STREAMS_MAX: usize = 100;
/// How often a stream looks for what is new.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a stream lasts. The client comes back by itself, and its token is looked at again.
const LIFE: Duration = Duration::from_secs(15 * 60);
/// After how long a client should come back.
const RETRY: Duration = Duration::from_secs(2);
/// Something is sent this often even when nothing happens, so that nobody between takes the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Timeline entries read by one look.
const ENTRIES_AT_ONCE: i64 = 200;

/// Incidents as they change, as server-sent events named `incident`: the id is the number of the newest timeline entry, the
/// data the incident as it is now. With `Last-Event-ID` what was missed is sent first.
#[utoipa::path(get, path = "/api/v1/stream", tag = "incidents",
    params(("Last-Event-ID" = Option<i64>, Header, description = "The id of the last event that was seen")),
    responses((status = 200, description = "Events until the connection ends", body = String, content_type = "text/event-stream")),
)]
pub async fn stream(
    State(api): State<ApiState>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let place = api.streams().try_acquire_owned().map_err(|_| {
        let detail = format!(
            "{STREAMS_MAX} clients follow the stream already; ask for /api/v1/incidents from time to time instead"
        );
        Problem::new(Kind::Overloaded, detail)
    })?;
    let seen = headers.get("last-event-id");
    let seen = seen.and_then(|id| id.to_str().ok()?.trim().parse().ok());
    let last = match seen {
        Some(id) => id,
        None => {
            api.read(async move |db| timeline::find_newest(db.reader().await?.lend()).await)
                .await?
        }
    };
    // The first line tells the client that it is heard.
    let hello = Event::default().comment("incidents follow").retry(RETRY);
    let follower = Follower {
        api,
        last,
        through: None,
        ready: VecDeque::from([hello]),
        ends_at: Instant::now() + LIFE,
        _place: place,
    };
    let events = stream::unfold(follower, async |mut follower| {
        let event = follower.next().await?;
        Some((Ok(event), follower))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// One client, and how far it is.
struct Follower {
    api: ApiState,
    /// The last timeline entry that it was sent.
    last: i64,
    /// What was decided when it had been sent everything.
    through: Option<Seq>,
    ready: VecDeque<Event>,
    ends_at: Instant,
    _place: OwnedSemaphorePermit,
}

impl Follower {
    /// The next event; nothing when the stream ends.
    async fn next(&mut self) -> Option<Event> {
        let stop = self.api.setup().stage.token().clone();
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            // The client comes back, and knows how far it was, so that trouble of the store only ends the stream.
            self.look().await.ok()?;
            if self.ready.is_empty() {
                tokio::select! {
                    () = stop.cancelled() => return None,
                    () = sleep(LOOK_EVERY) => {}
                }
            }
            if Instant::now() >= self.ends_at {
                return None;
            }
        }
    }

    /// Reads what is new, if anything was decided since the last look.
    async fn look(&mut self) -> Result<(), Problem> {
        let last = self.last;
        // Asked before the read: what is decided meanwhile is looked for the next time.
        let decided = self.api.setup().engine.writer().progress.decided();
        if self.through == Some(decided) {
            return Ok(());
        }
        let (entries, views) = self
            .api
            .read(async move |db| {
                let mut reader = db.snapshot().await?;
                let entries = timeline::list_after(reader.lend(), last, ENTRIES_AT_ONCE).await?;
                let mut ids: Vec<IncidentId> = entries.iter().map(|(_, id)| *id).collect();
                ids.sort_unstable();
                ids.dedup();
                let views = incidents::find_all(reader.lend(), &ids).await?;
                Ok((entries, views))
            })
            .await?;
        let is_all = i64::try_from(entries.len()).is_ok_and(|count| count < ENTRIES_AT_ONCE);
        self.through = is_all.then_some(decided);
        let Some(&(newest, _)) = entries.last() else {
            return Ok(());
        };
        self.last = newest;
        let newest_of: BTreeMap<IncidentId, i64> =
            entries.iter().map(|&(entry, id)| (id, entry)).collect();
        let (rules, now) = (self.api.setup().engine.rules(), self.api.now());
        let mut events = BTreeMap::new();
        for view in views {
            let Some(&entry) = newest_of.get(&view.incident.id) else {
                continue;
            };
            let incident = Incident::from(view).counted(&rules, now);
            let event = Event::default().event("incident").id(entry.to_string());
            let event = event.json_data(incident).map_err(|_| Problem::internal())?;
            events.insert(entry, event);
        }
        self.ready = events.into_values().collect();
        Ok(())
    }
}
