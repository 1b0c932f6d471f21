//! What one observation means: first firing, repeat, resolve, late, out of order.
//!
//! An episode is `(key, start)` with a tolerance, since peers of a pair round differently. A later start is a new
//! episode. A firing for an episode that the source itself ended is a late message until the source confirms it;
//! one for an episode that had only expired means that the source is back. Must not compare our clock with the
//! source's: starts are compared with starts, and only when the source said both.

use std::sync::Arc;

use smol_str::SmolStr;

use crate::core::alert::{Alert, AlertStatus, EndedBy, Late};
use crate::core::bind::{Subject, bind};
use crate::core::correlate::node::FLAP_WINDOW;
use crate::core::decide::World;
use crate::core::decision::{Change, Decision};
use crate::core::draft::Draft;
use crate::core::fold::{self, Outcome};
use crate::core::ids::{IdFeed, SourceId};
use crate::core::limits;
use crate::core::observation::{AlertText, Claim, Observation};
use crate::core::reason::Reason;
use crate::core::rules::SourceRules;
use crate::core::silence;
use crate::core::time::Timestamp;

/// Decides what one claim about one alert comes to; of what only counts, what it comes to for the one that counts it.
pub(super) fn observe(
    world: World<'_>,
    source: &SmolStr,
    observation: &Observation,
    now: Timestamp,
    ids: &mut IdFeed,
) -> Decision {
    if world.state.alert_by_key(observation.key.hash()).is_some() {
        return observe_one(world, source, observation, now, ids);
    }
    let (mut decision, changes) = match fold::look(world, source, observation, now) {
        Outcome::Apart => return observe_one(world, source, observation, now, ids),
        Outcome::Left(changes) => (Decision::because(Reason::Folded), changes),
        Outcome::Counted(changes) => (observe_one(world, source, observation, now, ids), changes),
        Outcome::Folded {
            observation,
            changes,
            first,
        } => {
            let mut decision = observe_one(world, source, &observation, now, ids);
            decision.reason = Reason::Folded;
            if let Some(label) = first {
                fold::begin(&mut decision, ids, &observation, &label);
            }
            (decision, changes)
        }
    };
    let changes = changes.into_iter().map(Change::Fold);
    decision.changes.extend(changes);
    decision
}

fn observe_one(
    world: World<'_>,
    source: &SmolStr,
    observation: &Observation,
    now: Timestamp,
    ids: &mut IdFeed,
) -> Decision {
    let turn = Turn {
        source,
        rules: world.rules.source(source),
        observation,
        now,
    };
    let mut draft = Draft::new(world, now, ids, Reason::RepeatOfOpenEpisode);
    let Some(known) = world.state.alert_by_key(observation.key.hash()) else {
        if turn.ends_nothing() {
            draft.decision.reason = Reason::OrphanResolve;
            return draft.finish();
        }
        draft.decision.reason = turn.first(&mut draft);
        return draft.finish();
    };
    let mut alert = known.clone();
    alert.count = alert.count.saturating_add(1);
    alert.last_seen_at = now;
    alert.undelivered = observation.undelivered;
    draft.decision.reason = match (known.status, observation.claim) {
        (AlertStatus::Firing, Claim::Firing) if turn.is_replaced(&draft, known) => {
            turn.replaced(&mut draft, &mut alert, known.last_seen_at)
        }
        (AlertStatus::Firing, Claim::Firing) => turn.firing_again(&mut draft, &mut alert),
        (AlertStatus::Firing, Claim::Resolved) if turn.is_replaced(&draft, known) => {
            turn.replaced_unseen(&mut draft, &mut alert, known.last_seen_at)
        }
        (AlertStatus::Firing, Claim::Resolved) => turn.resolved(&mut draft, &mut alert),
        (AlertStatus::Ended(by), Claim::Firing) => {
            turn.firing_after_end(&mut draft, &mut alert, by)
        }
        (AlertStatus::Ended(by), Claim::Resolved) => {
            turn.resolved_again(&mut draft, &mut alert, by)
        }
    };
    silence::alert_heard(&mut draft, Some(known), &alert, observation);
    draft.decision.incident = draft.decision.incident.or(alert.incident);
    let is_repeat = matches!(
        draft.decision.reason,
        Reason::RepeatOfOpenEpisode | Reason::TextChanged
    );
    if is_repeat {
        draft.decision.change(Change::AlertRepeated(alert));
    } else {
        draft.put_alert(alert);
    }
    draft.finish()
}

/// One observation with what is needed to judge it.
struct Turn<'a> {
    source: &'a SmolStr,
    rules: SourceRules,
    observation: &'a Observation,
    now: Timestamp,
}

/// How a claimed start compares with the known episode's.
enum Start {
    Older,
    Same,
    Newer,
    /// One of both was not said by the source.
    Unknown,
}

impl Turn<'_> {
    /// The end of an alert that nobody has heard of, told by its key alone: nothing could be shown of it, and without a
    /// start nothing that comes later could be told to be late.
    fn ends_nothing(&self) -> bool {
        let said = self.observation;
        said.claim == Claim::Resolved
            && said.text.is_blank()
            && said.starts_at.is_none()
            && said.ends_at.is_none()
    }

    /// An alert that nobody has heard of.
    fn first(&self, draft: &mut Draft<'_>) -> Reason {
        let is_firing = self.observation.claim == Claim::Firing;
        let ends_at = self.observation.ends_at;
        let said = self.observation.starts_at;
        let starts_at = said.or(ends_at.filter(|_| !is_firing));
        let mut alert = Alert {
            id: draft.ids.alert(),
            key: self.observation.key.hash(),
            source: self.source_id(draft),
            status: AlertStatus::Firing,
            severity: self.observation.severity,
            is_muted_upstream: false,
            undelivered: self.observation.undelivered,
            episode: 1,
            starts_at: starts_at.unwrap_or(self.now),
            is_start_ours: starts_at.is_none(),
            ends_at: None,
            first_seen_at: self.now,
            last_seen_at: self.now,
            lease_at: self.lease(),
            count: 1,
            count_before: 0,
            text_hash: self.observation.text_hash,
            incident: None,
            ci: None,
            late: Late::None,
        };
        self.bind(draft, &mut alert);
        let reason = if is_firing {
            draft.attach(&mut alert, Some(&self.observation.text));
            Reason::AlertOpened
        } else {
            alert.status = AlertStatus::Ended(EndedBy::Resolved);
            alert.episode = 0;
            alert.ends_at = Some(ends_at.unwrap_or(self.now).max(alert.starts_at));
            alert.lease_at = self.now;
            draft.say(None, Some(alert.id), Reason::OrphanResolve);
            draft.place_unseen(&mut alert, Some(&self.observation.text));
            Reason::OrphanResolve
        };
        let mut text = self.observation.text.clone();
        if text.is_blank() {
            let summary = self.observation.key.text().clone();
            text = Arc::new(AlertText {
                summary,
                ..AlertText::default()
            });
        }
        silence::alert_heard(draft, None, &alert, self.observation);
        let id = alert.id;
        draft.decision.change(Change::AlertAdded {
            alert,
            key: self.observation.key.clone(),
        });
        draft
            .decision
            .change(Change::AlertTextChanged { alert: id, text });
        reason
    }

    /// Firing, and claimed to fire.
    fn firing_again(&self, draft: &mut Draft<'_>, alert: &mut Alert) -> Reason {
        alert.lease_at = self.lease();
        let mut reason = Reason::RepeatOfOpenEpisode;
        let is_other_text = self.keep_text(draft, alert);
        if is_other_text {
            reason = Reason::TextChanged;
        }
        if alert.severity != self.observation.severity {
            let before = alert.severity;
            alert.severity = self.observation.severity;
            let entry = draft.say(alert.incident, Some(alert.id), Reason::SeverityChanged);
            entry.note = Some(format!("{} to {}", before.word(), alert.severity.word()).into());
            if let Some(incident) = alert.incident {
                draft.regrade(incident, alert.severity, alert.id);
                if is_other_text {
                    draft.retitle(incident, &self.observation.text.summary);
                }
            }
            reason = Reason::SeverityChanged;
        }
        match self.start(alert) {
            Start::Newer => {
                self.take_start(alert);
                alert.episode = alert.episode.saturating_add(1);
                reason = Reason::NewEpisodeWithoutResolve;
                draft.say(alert.incident, Some(alert.id), reason);
            }
            Start::Unknown => self.take_start(alert),
            Start::Older | Start::Same => {}
        }
        reason
    }

    /// Whether a firing alert is claimed to have begun anew, so long after it was heard of last that nobody would take
    /// both episodes for one: the end of the first was lost on its way.
    fn is_replaced(&self, draft: &Draft<'_>, known: &Alert) -> bool {
        let is_later = self
            .observation
            .starts_at
            .is_some_and(|at| at.since(known.starts_at) > FLAP_WINDOW);
        draft.correlates()
            && is_later
            && !known.is_start_ours
            && self.now.since(known.last_seen_at) > FLAP_WINDOW
    }

    /// Firing, and claimed to have begun anew long after.
    fn replaced(&self, draft: &mut Draft<'_>, alert: &mut Alert, heard_at: Timestamp) -> Reason {
        let reason = Reason::EpisodeReplaced;
        draft.end(alert, EndedBy::Expired, heard_at, reason);
        draft.begins_anew = true;
        if let Some(incident) = alert.incident {
            draft.resolve_if_over(incident);
        }
        alert.episode = alert.episode.saturating_add(1);
        self.take_start(alert);
        self.fire(draft, alert, Reason::NewEpisode);
        reason
    }

    /// Firing, and claimed to have begun anew and ended.
    fn replaced_unseen(
        &self,
        draft: &mut Draft<'_>,
        alert: &mut Alert,
        heard_at: Timestamp,
    ) -> Reason {
        let reason = Reason::EpisodeReplaced;
        draft.end(alert, EndedBy::Expired, heard_at, reason);
        if let Some(incident) = alert.incident {
            draft.resolve_if_over(incident);
        }
        self.take_start(alert);
        alert.status = AlertStatus::Ended(EndedBy::Resolved);
        let ends_at = self.observation.ends_at.unwrap_or(self.now);
        alert.ends_at = Some(ends_at.max(alert.starts_at));
        self.keep_text(draft, alert);
        draft.place_unseen(alert, Some(&self.observation.text));
        reason
    }

    /// Firing, and claimed to have ended.
    fn resolved(&self, draft: &mut Draft<'_>, alert: &mut Alert) -> Reason {
        let ends_at = self.observation.ends_at;
        match self.start(alert) {
            Start::Older if ends_at.is_none_or(|ends_at| ends_at < alert.starts_at) => {
                let reason = Reason::ResolveOfOlderEpisode;
                draft.say(alert.incident, Some(alert.id), reason);
                return reason;
            }
            Start::Newer => {
                self.take_start(alert);
                alert.episode = alert.episode.saturating_add(1);
            }
            Start::Unknown => self.take_start(alert),
            Start::Older | Start::Same => {}
        }
        self.keep_text(draft, alert);
        let ends_at = ends_at.unwrap_or(self.now);
        draft.end(alert, EndedBy::Resolved, ends_at, Reason::AlertResolved);
        Reason::AlertResolved
    }

    /// Over, and claimed to fire.
    fn firing_after_end(&self, draft: &mut Draft<'_>, alert: &mut Alert, by: EndedBy) -> Reason {
        // Without a start a message after an end of the source's own is a new episode; one after an end that we
        // made up is the old one, or the next repeat would undo what a person did.
        let is_known = match (self.start(alert), by) {
            (Start::Newer, _) => false,
            (Start::Older | Start::Same, _) => true,
            (Start::Unknown, EndedBy::Expired | EndedBy::Person) => true,
            (Start::Unknown, EndedBy::Resolved | EndedBy::Reconciled) => false,
        };
        if self.observation.is_retained && !matches!(self.start(alert), Start::Newer) {
            return Reason::RetainedAfterEnd;
        }
        if !is_known {
            alert.starts_at = self.observation.starts_at.unwrap_or(self.now);
            alert.is_start_ours = self.observation.starts_at.is_none();
            alert.episode = alert.episode.saturating_add(1);
            return self.fire(draft, alert, Reason::NewEpisode);
        }
        match by {
            EndedBy::Expired => self.fire(draft, alert, Reason::ExpiredEpisodeReturned),
            EndedBy::Resolved | EndedBy::Reconciled => self.late_firing(draft, alert),
            EndedBy::Person => self.firing_after_person(draft, alert),
        }
    }

    /// Over because a person said so, and still claimed to fire.
    fn firing_after_person(&self, draft: &mut Draft<'_>, alert: &mut Alert) -> Reason {
        let incident = alert.incident.and_then(|id| draft.peek(id));
        match incident.map(|incident| (incident.state.is_open(), incident.resolved_at)) {
            Some((true, _)) => self.fire(draft, alert, Reason::LateFiringConfirmed),
            Some((false, Some(at)))
                if self.now < at.plus(draft.world.rules.incident.reopen_window) =>
            {
                Reason::FiringAfterPersonResolved
            }
            Some((false, _)) | None => {
                self.fire(draft, alert, Reason::StillFiringAfterPersonResolved)
            }
        }
    }

    /// Over because the source said so, and now claimed to fire all the same.
    fn late_firing(&self, draft: &mut Draft<'_>, alert: &mut Alert) -> Reason {
        match alert.late {
            Late::None => {
                let mut window = self.rules.reorder_window;
                if self.rules.is_reconciled {
                    window = window.max(limits::POLL_ANSWERS);
                }
                alert.late = Late::Parked(self.now.plus(window));
                draft.say(alert.incident, Some(alert.id), Reason::LateFiringParked);
                Reason::LateFiringParked
            }
            Late::Parked(until) if self.now < until => Reason::LateFiringStillParked,
            Late::Parked(_) | Late::Discarded => {
                self.fire(draft, alert, Reason::LateFiringConfirmed)
            }
        }
    }

    /// Over, and claimed to be over.
    fn resolved_again(&self, draft: &mut Draft<'_>, alert: &mut Alert, by: EndedBy) -> Reason {
        let reason = match self.start(alert) {
            // It says nothing about the last episode, nor about a firing that is parked for it.
            Start::Older => return Reason::RepeatOfResolve,
            // A whole episode passed unseen. It is noted, so that its late firing is known to be late.
            Start::Newer => Reason::OrphanResolve,
            Start::Same | Start::Unknown => match by {
                EndedBy::Resolved => Reason::RepeatOfResolve,
                // What we had only assumed the source now says, and a firing from before it is late.
                EndedBy::Expired | EndedBy::Reconciled | EndedBy::Person => Reason::AlertResolved,
            },
        };
        if let Late::Parked(_) = alert.late {
            draft.say(alert.incident, Some(alert.id), Reason::LateFiringDiscarded);
        }
        alert.late = Late::None;
        if reason == Reason::RepeatOfResolve {
            return reason;
        }
        if reason == Reason::OrphanResolve || alert.is_start_ours {
            self.take_start(alert);
        }
        let ends_at = self.observation.ends_at.unwrap_or(self.now);
        alert.ends_at = Some(ends_at.max(alert.starts_at));
        alert.status = AlertStatus::Ended(EndedBy::Resolved);
        draft.say(alert.incident, Some(alert.id), reason);
        if reason == Reason::OrphanResolve {
            draft.place_unseen(alert, Some(&self.observation.text));
        }
        reason
    }

    /// Makes an ended alert fire.
    fn fire(&self, draft: &mut Draft<'_>, alert: &mut Alert, reason: Reason) -> Reason {
        alert.status = AlertStatus::Firing;
        // One whose end came first has had none yet.
        alert.episode = alert.episode.max(1);
        alert.ends_at = None;
        alert.late = Late::None;
        alert.lease_at = self.lease();
        alert.severity = self.observation.severity;
        // An older start that turns out to fire is the start now; else its resolve would be of an older episode.
        if let Start::Older | Start::Unknown = self.start(alert) {
            self.take_start(alert);
        }
        self.keep_text(draft, alert);
        let said_of = alert.incident;
        draft.attach(alert, Some(&self.observation.text));
        draft.say(alert.incident.or(said_of), Some(alert.id), reason);
        reason
    }

    /// Keeps the text if it changed; returns whether it did.
    fn keep_text(&self, draft: &mut Draft<'_>, alert: &mut Alert) -> bool {
        let is_known = alert.text_hash == self.observation.text_hash;
        if is_known || self.observation.text.is_blank() {
            return false;
        }
        alert.text_hash = self.observation.text_hash;
        let text = self.observation.text.clone();
        draft.decision.change(Change::AlertTextChanged {
            alert: alert.id,
            text,
        });
        self.bind(draft, alert);
        true
    }

    /// Looks for the CI that the alert is about; without a CMDB there is nothing to say.
    fn bind(&self, draft: &mut Draft<'_>, alert: &mut Alert) {
        let graph = draft.world.state.graph();
        let is_forced = draft.world.state.records().forced(alert.id).is_some();
        if graph.is_empty() || is_forced {
            return;
        }
        let binding = bind(graph, &self.subject(draft));
        alert.ci = binding.ci;
        draft.decision.change(Change::AlertBound {
            alert: alert.id,
            binding: Arc::new(binding),
        });
    }

    fn subject<'a>(&'a self, draft: &Draft<'a>) -> Subject<'a> {
        let text = &*self.observation.text;
        Subject {
            source: self.source,
            labels: &text.labels,
            annotations: &text.annotations,
            hint: text.ci_hint.as_deref(),
            rules: &draft.world.rules.cmdb.bind,
        }
    }

    fn start(&self, alert: &Alert) -> Start {
        let Some(starts_at) = self.observation.starts_at.filter(|_| !alert.is_start_ours) else {
            return Start::Unknown;
        };
        let later_by = starts_at.since(alert.starts_at);
        // Short episodes follow each other faster than the tolerance; what starts after the end is no second word of it.
        let is_after_end = self.observation.claim == Claim::Firing
            && !alert.is_firing()
            && later_by > limits::JITTER
            && alert.ends_at.is_some_and(|end| starts_at >= end);
        if later_by.abs() <= limits::EPISODE_TOLERANCE && !is_after_end {
            Start::Same
        } else if later_by.as_millis() > 0 {
            Start::Newer
        } else {
            Start::Older
        }
    }

    /// Takes the start that the source says, if it says one.
    fn take_start(&self, alert: &mut Alert) {
        if let Some(starts_at) = self.observation.starts_at {
            alert.starts_at = starts_at;
            alert.is_start_ours = false;
        }
    }

    /// Until when a firing claim is believed without a repeat.
    fn lease(&self) -> Timestamp {
        match self.observation.ends_at {
            Some(ends_at) if ends_at > self.now => ends_at,
            Some(_) | None => self.now.plus(self.rules.expire_after),
        }
    }

    fn source_id(&self, draft: &mut Draft<'_>) -> SourceId {
        let state = draft.world.state;
        state.source(self.source).unwrap_or_else(|| {
            let id = SourceId(u16::try_from(state.sources().len()).unwrap_or(u16::MAX));
            draft.decision.change(Change::SourceAdded {
                id,
                name: self.source.clone(),
            });
            id
        })
    }
}
