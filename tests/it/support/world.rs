//! A driver on virtual time: things happen at written times, deadlines are reached exactly when due.
//!
//! Every step is decided twice (same answer), written to a naive store, and followed by all invariants. Must not
//! sleep or read a clock.

use smol_str::SmolStr;
use watchbell::core::alert::{Alert, AlertStatus, EndedBy};
use watchbell::core::decide::{World, decide};
use watchbell::core::decision::{Change, Decision, Entry};
use watchbell::core::heartbeat::is_outdated;
use watchbell::core::ids::{IdFeed, IncidentId};
use watchbell::core::incident::{Incident, StateWord};
use watchbell::core::input::{Command, CommandGiven, Input};
use watchbell::core::limits::DEADLINES_PER_DECISION;
use watchbell::core::mute::plan;
use watchbell::core::reason::Reason;
use watchbell::core::reconcile::{Poll, compare};
use watchbell::core::records::{RecordGiven, RecordOrder};
use watchbell::core::review;
use watchbell::core::rules::{Rules, SourceRules};
use watchbell::core::state::State;
use watchbell::core::time::{Span, Timestamp};

use crate::support::claim::{SOURCE, Said, clock, key, t};
use crate::support::invariants;
use crate::support::ledger::Ledger;

/// A core with a clock.
#[derive(Clone)]
pub(crate) struct Bench {
    pub(crate) state: State,
    pub(crate) rules: Rules,
    pub(crate) now: Timestamp,
    pub(crate) ledger: Ledger,
    /// Every timeline entry so far.
    pub(crate) entries: Vec<(Timestamp, Entry)>,
    /// Every decision since somebody took them away.
    pub(crate) recorded: Vec<(Timestamp, Decision)>,
    /// How many decisions reached deadlines needed.
    pub(crate) deadline_decisions: usize,
    pub(crate) ids: IdFeed,
    steps: usize,
    told: usize,
}

impl Bench {
    /// Starts at midnight with the default rules.
    pub(crate) fn new() -> Self {
        Self::with(Rules::default())
    }

    /// Starts at midnight with these rules.
    pub(crate) fn with(rules: Rules) -> Self {
        Self {
            state: State::default(),
            rules,
            now: t("00:00"),
            ledger: Ledger::default(),
            entries: Vec::new(),
            recorded: Vec::new(),
            deadline_decisions: 0,
            ids: IdFeed::default(),
            steps: 0,
            told: 0,
        }
    }

    /// Starts at midnight with the usual source's own list being polled.
    pub(crate) fn polled() -> Self {
        let source = SourceRules {
            is_reconciled: true,
            ..SourceRules::default()
        };
        Self::with(Rules {
            sources: [(SmolStr::new(SOURCE), source)].into(),
            ..Rules::default()
        })
    }

    /// Lets time pass until then; deadlines on the way are reached when due.
    pub(crate) fn at(&mut self, time: &str) -> &mut Self {
        self.pass_until(t(time));
        self
    }

    /// Lets time pass.
    pub(crate) fn after(&mut self, span: Span) -> &mut Self {
        self.pass_until(self.now.plus(span));
        self
    }

    /// Lets time pass in one leap: the deadlines in between are only looked at in the end.
    pub(crate) fn leap(&mut self, span: Span) -> &mut Self {
        self.now = self.now.plus(span);
        self.reach_deadlines();
        self
    }

    /// Lets time pass while the engine is busy: what happens next is decided before overdue deadlines.
    pub(crate) fn stall(&mut self, span: Span) -> &mut Self {
        self.now = self.now.plus(span);
        self
    }

    fn pass_until(&mut self, until: Timestamp) {
        assert!(until >= self.now, "time runs forward: {}", clock(until));
        while let Some((at, _)) = self.state.next_deadline()
            && at <= until
        {
            self.now = self.now.max(at);
            self.reach_deadlines();
        }
        self.now = until;
    }

    /// Hears one claim.
    pub(crate) fn hear(&mut self, said: Said) -> Reason {
        self.happen(&said.input()).reason
    }

    /// Hears that an alert fires with that start.
    pub(crate) fn firing(&mut self, name: &str, start: &str) -> Reason {
        self.hear(crate::support::claim::firing(name).start(start))
    }

    /// Hears that an alert ended.
    pub(crate) fn resolved(&mut self, name: &str, start: &str, end: &str) -> Reason {
        self.hear(crate::support::claim::resolved(name).start(start).end(end))
    }

    /// A person does something.
    pub(crate) fn command(&mut self, incident: i64, command: Command) -> Reason {
        self.order(incident, command).reason
    }

    /// A person does something; the whole decision.
    pub(crate) fn order(&mut self, incident: i64, command: Command) -> Decision {
        self.give(CommandGiven {
            incident: number(incident),
            command,
            actor: "ana".into(),
            expected_version: None,
            idempotency: None,
            past: None,
        })
    }

    /// A person does something, spelled out.
    /// Orders something about records.
    pub(crate) fn record(&mut self, order: RecordOrder) -> Decision {
        self.happen(&Input::RecordGiven(RecordGiven {
            order,
            actor: "ana".into(),
            past: None,
            is_past_incident: false,
        }))
    }

    pub(crate) fn give(&mut self, given: CommandGiven) -> Decision {
        self.happen(&Input::CommandGiven(given))
    }

    /// The usual source's own list is fetched and compared until nothing is left; alerts with whether it mutes them.
    pub(crate) fn poll(&mut self, active: &[(&str, bool)]) {
        self.poll_asked_at(self.now, None, active);
    }

    /// As [`Bench::poll`], of a source that says when it started.
    pub(crate) fn poll_since(&mut self, source_started_at: &str, active: &[(&str, bool)]) {
        self.poll_asked_at(self.now, Some(t(source_started_at)), active);
    }

    /// As [`Bench::poll`], with the time of asking and of the source's start.
    pub(crate) fn poll_asked_at(
        &mut self,
        asked_at: Timestamp,
        source_started_at: Option<Timestamp>,
        active: &[(&str, bool)],
    ) {
        let Some(source) = self.state.source(SOURCE) else {
            return;
        };
        let poll = Poll {
            asked_at,
            source_started_at,
            active: active
                .iter()
                .map(|(name, is_muted)| (key(name).hash(), *is_muted))
                .collect(),
        };
        // Each list takes so many at once; what is confirmed may have to be muted then, and renewed.
        let rounds_max = 4 + 3 * (self.state.alert_count() / DEADLINES_PER_DECISION);
        for _ in 0..rounds_max {
            let difference = compare(&self.state, source, &poll);
            if difference.is_empty() {
                return;
            }
            self.happen(&Input::SourcePolled(difference));
        }
        panic!("a handled difference is no difference any more");
    }

    /// The daemon stops for a while and starts again from the store.
    pub(crate) fn restart(&mut self, down_for: Span) {
        let started_at = self.state.started_at();
        self.state = self.ledger.load();
        assert_eq!(self.state.started_at(), None, "not before: {started_at:?}");
        self.now = self.now.plus(down_for);
        self.happen(&Input::Started);
    }

    /// Anything happens.
    pub(crate) fn happen(&mut self, input: &Input) -> Decision {
        let decision = self.step(input);
        self.reach_deadlines();
        decision
    }

    fn reach_deadlines(&mut self) {
        let records = self.state.alert_count() + self.state.incidents().count();
        let records = records + 5 * self.state.forest().len();
        // At one instant an alert may expire and be forgotten, its incident recover, close and be forgotten.
        let at_most = 8 * (1 + records / DEADLINES_PER_DECISION) + self.state.heartbeats().count();
        let at_most = at_most + 8 * (self.state.windows().len() + self.state.silences().len() + 1);
        for _ in 0..at_most {
            let world = World {
                state: &self.state,
                rules: &self.rules,
            };
            let next = self.state.next_deadline();
            let is_outdated =
                is_outdated(world) || plan::is_outdated(world) || review::is_outdated(world);
            if next.is_none_or(|(at, _)| at > self.now) && !is_outdated {
                let again = self.decide_twice(&Input::DeadlineReached);
                assert!(
                    again.changes.is_empty() && again.entries.is_empty(),
                    "a deadline that has not come changes nothing"
                );
                return;
            }
            self.deadline_decisions += 1;
            self.step(&Input::DeadlineReached);
        }
        panic!("deadlines do not come to an end at {}", clock(self.now));
    }

    /// What decisions look at.
    pub(crate) fn world(&self) -> World<'_> {
        World {
            state: &self.state,
            rules: &self.rules,
        }
    }

    fn step(&mut self, input: &Input) -> Decision {
        let decision = self.decide_twice(input);
        self.state.apply(&decision);
        self.ledger.write(&decision);
        let (now, entries) = (self.now, decision.entries.iter().cloned());
        self.entries.extend(entries.map(|entry| (now, entry)));
        self.recorded.push((now, decision.clone()));
        self.steps += 1;
        // Checking costs as much as there is; of a crowd every hundredth step is checked.
        if self.state.alert_count() < 200 || self.steps.is_multiple_of(100) {
            invariants::check(&self.state, &self.ledger, self.now);
        }
        decision
    }

    fn decide_twice(&mut self, input: &Input) -> Decision {
        let world = World {
            state: &self.state,
            rules: &self.rules,
        };
        let mut ids = self.ids.clone();
        let first = decide(world, input, self.now, &mut ids);
        let second = decide(world, input, self.now, &mut self.ids);
        assert_eq!(first, second, "the same arguments give the same decision");
        assert_eq!(ids, self.ids, "and draw the same ids");
        if first.is_refused {
            let remembers = |change: &Change| {
                matches!(
                    change,
                    Change::CommandRemembered { .. } | Change::Audited(_)
                )
            };
            assert!(first.entries.is_empty() && first.changes.iter().all(remembers));
        }
        first
    }

    /// The alert of the usual source.
    pub(crate) fn alert(&self, name: &str) -> &Alert {
        self.state.alert_by_key(key(name).hash()).unwrap()
    }

    /// Whether the alert fires.
    pub(crate) fn is_firing(&self, name: &str) -> bool {
        self.alert(name).is_firing()
    }

    /// What ended the alert.
    pub(crate) fn ended_by(&self, name: &str) -> Option<EndedBy> {
        match self.alert(name).status {
            AlertStatus::Firing => None,
            AlertStatus::Ended(by) => Some(by),
        }
    }

    /// The incident with that number.
    pub(crate) fn incident(&self, id: i64) -> &Incident {
        self.state.incident(number(id)).unwrap()
    }

    /// Where the incident with that number stands; nowhere once it is forgotten.
    pub(crate) fn state_of(&self, id: i64) -> Option<StateWord> {
        let incident = self.state.incident(number(id));
        incident.map(|incident| incident.state.word())
    }

    /// How many incidents there are, and how many of them are open.
    pub(crate) fn incidents(&self) -> (usize, usize) {
        let open = self.state.incidents().filter(|it| it.state.is_open());
        (self.state.incidents().count(), open.count())
    }

    /// How often a reason stands in the timeline.
    pub(crate) fn count(&self, reason: Reason) -> usize {
        let entries = self.entries.iter();
        entries.filter(|(_, entry)| entry.reason == reason).count()
    }

    /// The timeline since the last look must read like this.
    pub(crate) fn reads(&mut self, expected: &[&str]) {
        let lines: Vec<String> = self.entries[self.told..]
            .iter()
            .map(|(at, entry)| self.line(*at, entry))
            .collect();
        assert_eq!(lines, expected);
        self.told = self.entries.len();
    }

    fn line(&self, at: Timestamp, entry: &Entry) -> String {
        let mut line = clock(at);
        if let Some(incident) = entry.incident {
            line.push_str(&format!(" {incident}"));
        }
        if let Some(name) = entry.alert.and_then(|id| self.ledger.names.get(&id)) {
            let name = name.rsplit(':').next().unwrap();
            line.push_str(&format!(" {name}"));
        }
        line.push_str(&format!(" {}", entry.reason));
        if let Some(note) = &entry.note {
            line.push_str(&format!(" ({note})"));
        }
        line
    }
}

fn number(id: i64) -> IncidentId {
    IncidentId::new(id).unwrap()
}
