//! Problems and requests in another system: each made there once, and brought to what it is here.
//!
//! One way, from the store, level by level: of what has changed since the last look, the record there is looked up by a
//! key that follows from the record here, made if it is not there, and its state and title are set. So no ledger is
//! needed, and a crash between a create and its answer costs a look. Must not take anything over from there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use smol_str::SmolStr;
use tokio_util::sync::CancellationToken;

use super::runner::{Conversation, Line};
use super::{ConnectorSetup, TicketsSetup};
use crate::connectors::apply::{Apply, Brought};
use crate::connectors::talk::{Create, Find};
use crate::connectors::{Brief, Failure, Profile};
use crate::core::ids::IncidentId;
use crate::core::incident::StateWord;
use crate::core::records::problem::{Problem, ProblemState};
use crate::core::records::request::{Request, RequestState};
use crate::core::records::{Kind, Record, RecordId};
use crate::core::severity::Priority;
use crate::core::ticket::{Face, Link};
use crate::core::time::{Span, Timestamp};
use crate::store::query::Page;
use crate::store::query::records::{RecordFilter, list};

/// How far looks overlap: a record may be committed later than its time says.
const OVERLAP: Span = Span::from_mins(1);
/// How far the first look reaches back for what is over already.
const FIRST_LOOK: Span = Span::from_days(7);
/// Records of one page.
const PAGE: u32 = 200;
/// Records of one look; the next goes on.
const RECORDS_MAX: usize = 2_000;
/// Records whose counterpart is remembered; others are looked up again.
const KNOWN_MAX: usize = 5_000;
/// How often somebody else may change a record while it is brought up to date.
const TURNS_MAX: usize = 3;
/// The longest pause that a platform may ask for.
const PAUSE_MAX: u64 = 3_600;

/// Which records are kept there, and how the platform wants them.
#[derive(Clone, Debug)]
pub struct RecordSync {
    /// Problems or requests.
    pub kind: Kind,
    /// The profile with what differs for these.
    pub profile: Arc<Profile>,
}

/// A record as it shall be there.
struct Wanted {
    id: RecordId,
    opened_at: Timestamp,
    updated_at: Timestamp,
    state: StateWord,
    priority: Priority,
    title: String,
    text: String,
    resolution: String,
}

/// Its counterpart, and the title that it has.
#[derive(Clone)]
struct Known {
    link: Link,
    title: String,
}

struct Keeper {
    setup: TicketsSetup,
    name: SmolStr,
    base: String,
    line: Line,
    sync: RecordSync,
    known: BTreeMap<RecordId, Known>,
    /// What could not be done yet.
    left: BTreeMap<RecordId, Timestamp>,
}

/// Keeps records in step until it is told to stop.
pub(super) async fn run(
    setup: TicketsSetup,
    connector: ConnectorSetup,
    sync: RecordSync,
    stop: CancellationToken,
) {
    let (name, base, every) = (
        connector.name.clone(),
        connector.base(),
        connector.poll_every,
    );
    let line = match Line::new(connector, setup.clock.clone()) {
        Ok(line) => line,
        Err(why) => {
            log::error!(connector = name.as_str(), error = why.as_str(); "connector {name} cannot be used: {why}");
            return;
        }
    };
    let mut keeper = Keeper {
        setup,
        name,
        base,
        line,
        sync,
        known: BTreeMap::new(),
        left: BTreeMap::new(),
    };
    let mut since: Option<Timestamp> = None;
    loop {
        let pause = keeper.round(&mut since, every).await;
        let slept = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        if slept.is_none() {
            return;
        }
    }
}

impl Keeper {
    /// One look; how long until the next.
    async fn round(&mut self, since: &mut Option<Timestamp>, every: Duration) -> Duration {
        if self.is_paused().await {
            return every;
        }
        let begun = self.setup.clock.now();
        let wanted = match self.read(*since, begun).await {
            Ok(wanted) => wanted,
            Err(why) => {
                self.failed(&why);
                return every;
            }
        };
        let mut latest = *since;
        for record in wanted {
            let (id, updated_at) = (record.id, record.updated_at);
            match self.bring(record).await {
                Ok(()) => {
                    self.left.remove(&id);
                }
                Err(Failure::Refused(why) | Failure::Gone(why)) => {
                    // Looked at again when it changes here.
                    self.left.remove(&id);
                    self.failed(&format!("{id}: {why}"));
                }
                Err(failure) => {
                    self.failed(&format!("{id}: {failure}"));
                    self.left.insert(id, updated_at);
                    if let Failure::Limited { after_s: Some(s) } = failure {
                        return every.max(Duration::from_secs(s.min(PAUSE_MAX)));
                    }
                }
            }
            latest = latest.max(Some(updated_at));
        }
        // What is left over is read again with the next look.
        let oldest = self.left.values().min().copied();
        *since = match (latest, oldest) {
            (Some(latest), Some(oldest)) => Some(latest.min(oldest)),
            (latest, oldest) => latest.or(oldest).or(Some(begun)),
        };
        every
    }

    async fn is_paused(&self) -> bool {
        let name = self.name.clone();
        let engine = &self.setup.engine;
        let looked = engine.look(move |state| state.tickets().is_paused(&name));
        looked.await.unwrap_or(true)
    }

    fn failed(&self, why: &str) {
        let (name, kind) = (self.name.as_str(), self.sync.kind.word());
        log::warn!(connector = name, error = why; "a {kind} cannot be kept in {name}: {why}");
        self.setup.board.failed(name, why, self.setup.clock.now());
    }

    /// What may have to be done, the oldest first.
    async fn read(&self, since: Option<Timestamp>, now: Timestamp) -> Result<Vec<Wanted>, String> {
        let is_first = since.is_none();
        let since = since.map_or_else(|| now.minus(FIRST_LOOK), |since| since.minus(OVERLAP));
        let changed = RecordFilter {
            since: Some(since.as_millis()),
            ..RecordFilter::default()
        };
        let mut wanted = self.pages(&changed).await?;
        if is_first {
            let open = RecordFilter {
                states: open_states(self.sync.kind),
                ..RecordFilter::default()
            };
            wanted.append(&mut self.pages(&open).await?);
        }
        Ok(wanted.into_values().collect())
    }

    async fn pages(
        &self,
        filter: &RecordFilter,
    ) -> Result<BTreeMap<(Timestamp, RecordId), Wanted>, String> {
        let mut wanted = BTreeMap::new();
        let mut page = Page {
            limit: PAGE,
            is_newest_first: true,
            after: None,
        };
        loop {
            let read = async {
                let mut reader = self.setup.db.reader().await?;
                list(reader.lend(), self.sync.kind, filter, page).await
            };
            let found = read.await.map_err(|error| error.to_string())?;
            for record in found.items {
                if let Some(record) = self.wanted(record) {
                    wanted.insert((record.updated_at, record.id), record);
                }
            }
            match found.next {
                Some(next) if wanted.len() < RECORDS_MAX => page.after = Some(next),
                Some(_) | None => return Ok(wanted),
            }
        }
    }

    fn wanted(&self, record: Record) -> Option<Wanted> {
        let wanted = match record {
            Record::Problem(problem) => of_problem(&problem),
            Record::Request(request) => of_request(&request),
            Record::Change(_) | Record::KnownError(_) | Record::Major(_) | Record::Action(_) => {
                return None;
            }
        };
        let page = self.setup.external_url.as_ref();
        let page = page.map(|base| {
            format!(
                "\nLink: {base}/api/v1/{}s/{}",
                self.sync.kind.word(),
                wanted.id
            )
        });
        let text = format!("{}{}", wanted.text.trim(), page.unwrap_or_default());
        Some(Wanted { text, ..wanted })
    }

    /// Makes a record there if it is not, and brings it to what it is here.
    async fn bring(&mut self, wanted: Wanted) -> Result<(), Failure> {
        let now = self.setup.clock.now();
        let brief = Brief {
            incident: json!({}),
            title: wanted.title.clone(),
            text: wanted.text.clone(),
            resolution: wanted.resolution.clone(),
            now_ms: now.as_millis(),
            ..Brief::default()
        };
        let mut talk = self.line.begin();
        let mut known = match self.known.get(&wanted.id) {
            Some(known) if known.link.made_at == wanted.opened_at => known.clone(),
            Some(_) | None => match self.found_or_made(&wanted, &brief, &mut talk).await? {
                Some(known) => known,
                None => return Ok(()),
            },
        };
        let title = known.link.wanted.title;
        let title = title.saturating_add(u32::from(known.title != wanted.title));
        known.link.wanted = Face {
            state: Some(wanted.state),
            priority: Some(wanted.priority),
            assignee: None,
            title,
        };
        if known.link.sent.as_ref() != Some(&known.link.wanted) {
            known.link.record = Some(self.applied(&known.link, &brief, &mut talk).await?);
            known.link.sent = Some(known.link.wanted.clone());
            known.title = wanted.title;
        }
        self.show(wanted.id, &known.link);
        while self.known.len() >= KNOWN_MAX {
            self.known.pop_first();
        }
        self.known.insert(wanted.id, known);
        Ok(())
    }

    /// Its counterpart; none for what was over before it was ever there.
    async fn found_or_made(
        &self,
        wanted: &Wanted,
        brief: &Brief,
        talk: &mut Conversation<'_>,
    ) -> Result<Option<Known>, Failure> {
        let profile = &self.sync.profile;
        let whose = format!("{}/{}", self.name, self.sync.kind.word());
        let number = IncidentId::new(wanted.id.number).unwrap_or(IncidentId::LAST);
        let mut link = Link::new(number, wanted.opened_at, &whose, wanted.opened_at);
        let mut find = Find::new(profile, &self.base, &link.key);
        if let Some(record) = talk.hold(&mut find).await?.records.into_iter().next() {
            link.record = Some(record);
            let title = String::new();
            return Ok(Some(Known { link, title }));
        }
        if matches!(wanted.state, StateWord::Resolved | StateWord::Closed) {
            return Ok(None);
        }
        let face = Face {
            state: Some(StateWord::New),
            priority: Some(wanted.priority),
            assignee: None,
            title: 0,
        };
        let mut create = Create::new(profile, &self.base, &link, brief, &face);
        let made = talk.hold(&mut create).await?;
        log::info!(connector = self.name.as_str(); "{} is {} in {}", wanted.id, made.record.number, self.name);
        link.record = Some(made.record);
        link.wanted = face.clone();
        link.sent = Some(face);
        Ok(Some(Known {
            link,
            title: wanted.title.clone(),
        }))
    }

    /// Brings a record to what it shall be, whatever somebody made of it there.
    async fn applied(
        &self,
        link: &Link,
        brief: &Brief,
        talk: &mut Conversation<'_>,
    ) -> Result<crate::core::ticket::Record, Failure> {
        let mut link = link.clone();
        for _ in 0..TURNS_MAX {
            let mut apply = Apply::new(
                &self.sync.profile,
                &self.base,
                &link,
                brief,
                (Vec::new(), false),
            );
            match talk.hold(&mut apply).await? {
                Brought::Moved(record) => link.record = Some(record),
                Brought::Done { record, stuck } => {
                    if let Some(why) = stuck {
                        self.failed(&format!("{}: {why}", record.number));
                    }
                    return Ok(record);
                }
            }
        }
        Err(Failure::Away(
            "somebody changes it there all the time".to_owned(),
        ))
    }

    fn show(&self, id: RecordId, link: &Link) {
        let Some(record) = &link.record else {
            return;
        };
        let now = self.setup.clock.now();
        self.setup.board.kept(&self.name, id, record, now);
    }
}

fn open_states(kind: Kind) -> Vec<String> {
    let words: Vec<&str> = match kind {
        Kind::Problem => ProblemState::ALL
            .iter()
            .filter(|state| !matches!(state, ProblemState::Resolved | ProblemState::Dismissed))
            .map(|state| state.word())
            .collect(),
        Kind::Request => RequestState::ALL
            .iter()
            .filter(|state| !matches!(state, RequestState::Fulfilled | RequestState::Cancelled))
            .map(|state| state.word())
            .collect(),
        Kind::Change | Kind::KnownError | Kind::Major | Kind::Action => Vec::new(),
    };
    words.into_iter().map(str::to_owned).collect()
}

fn of_problem(problem: &Problem) -> Wanted {
    let mut text = format!("{}\n", problem.description);
    for (name, value) in [
        ("Root cause", problem.root_cause.as_str()),
        ("Workaround", problem.workaround.as_str()),
        ("CIs", problem.cis.join(", ").as_str()),
    ] {
        if !value.is_empty() {
            writeln!(text, "{name}: {value}").ok();
        }
    }
    write!(
        text,
        "Incidents: {}\nProblem: {}",
        problem.incidents, problem.id
    )
    .ok();
    let or = |text: &SmolStr, other: &str| {
        if text.is_empty() {
            other.to_owned()
        } else {
            text.to_string()
        }
    };
    Wanted {
        id: problem.id,
        opened_at: problem.opened_at,
        updated_at: problem.updated_at,
        state: match problem.state {
            ProblemState::Candidate => StateWord::New,
            ProblemState::Investigating | ProblemState::KnownError => StateWord::InProgress,
            ProblemState::Resolved | ProblemState::Dismissed => StateWord::Resolved,
        },
        priority: Priority::P3,
        title: format!("{} {}", problem.id, problem.title),
        text,
        resolution: match problem.state {
            ProblemState::Dismissed => "It is no problem.".to_owned(),
            ProblemState::Candidate
            | ProblemState::Investigating
            | ProblemState::KnownError
            | ProblemState::Resolved => or(&problem.root_cause, "It is resolved."),
        },
    }
}

fn of_request(request: &Request) -> Wanted {
    let mut text = format!("{}\n", request.description);
    for (name, value) in [
        ("CIs", request.cis.join(", ").as_str()),
        ("Team", request.team.as_deref().unwrap_or_default()),
    ] {
        if !value.is_empty() {
            writeln!(text, "{name}: {value}").ok();
        }
    }
    write!(text, "Request: {}", request.id).ok();
    let priority = Priority::ALL
        .iter()
        .find(|it| it.word() == request.priority);
    Wanted {
        id: request.id,
        opened_at: request.opened_at,
        updated_at: request.updated_at,
        state: match request.state {
            RequestState::New => StateWord::New,
            RequestState::InProgress => StateWord::InProgress,
            RequestState::Fulfilled | RequestState::Cancelled => StateWord::Resolved,
        },
        priority: priority.copied().unwrap_or(Priority::P3),
        title: format!("{} {}", request.id, request.title),
        text,
        resolution: match request.state {
            RequestState::Cancelled => "It will not be done.".to_owned(),
            RequestState::New | RequestState::InProgress | RequestState::Fulfilled => {
                "It is done.".to_owned()
            }
        },
    }
}
