//! A decision in the making: the records it has touched so far, on top of the state.
//!
//! One input may touch an incident many times (a thousand expiries); the draft keeps one working copy of each, so
//! that the decision carries it once. Must not apply anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::SmolStr;

use crate::core::alert::{Alert, AlertStatus, EndedBy, Late};
use crate::core::announce;
use crate::core::condition::Opener;
use crate::core::correlate::cause::Cause;
use crate::core::correlate::grove::Grove;
use crate::core::decide::World;
use crate::core::decision::{Change, Decision, Entry};
use crate::core::flap;
use crate::core::ids::{AlertId, IdFeed, IncidentId};
use crate::core::incident::{Incident, IncidentState};
use crate::core::mute;
use crate::core::mute::inhibit::Inhibition;
use crate::core::observation::AlertText;
use crate::core::priority::Standing;
use crate::core::reason::Reason;
use crate::core::severity::Severity;
use crate::core::silence;
use crate::core::sla::Clocks;
use crate::core::tell::Told;
use crate::core::ticket;
use crate::core::time::Timestamp;
use crate::core::variant;

/// A decision in the making.
pub(super) struct Draft<'a> {
    pub(super) world: World<'a>,
    pub(super) now: Timestamp,
    pub(super) ids: &'a mut IdFeed,
    pub(super) decision: Decision,
    /// The active conditions as this decision leaves them.
    pub(super) grove: Grove<'a>,
    /// The number that a new incident would get, while it is open whether one is needed.
    pub(super) provisional: Option<IncidentId>,
    /// Whether the alert being decided has nothing to do with its last episode.
    pub(super) begins_anew: bool,
    /// The alerts that this decision has changed, as far as conditions are followed.
    pub(super) alerts: BTreeMap<AlertId, Alert>,
    /// What the incidents opened here are opened for.
    pub(super) openers: BTreeMap<IncidentId, Opener>,
    /// What incidents are about, as far as it was judged anew.
    causes: BTreeMap<IncidentId, Arc<Cause>>,
    /// Where priorities come from, as far as this decision changes it.
    pub(super) standings: BTreeMap<IncidentId, Option<Arc<Standing>>>,
    /// Service level clocks, as far as this decision changes them.
    pub(super) clocks: BTreeMap<IncidentId, Arc<Clocks>>,
    /// What holds incidents, as far as this decision changes it.
    pub(super) inhibitions: BTreeMap<IncidentId, Option<Arc<Inhibition>>>,
    touched: BTreeMap<IncidentId, Incident>,
    /// Whether incidents are touched because of other rules: one that they leave as it is does not change.
    pub(super) is_review: bool,
    pub(super) joins: Vec<Change>,
    /// Which of the touched incidents are held as this decision leaves them; known from announcing on.
    pub(super) mutes: mute::View,
    /// Who was told of the incidents of this decision, as far as it changes that.
    pub(super) tolds: BTreeMap<IncidentId, Arc<Told>>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(
        world: World<'a>,
        now: Timestamp,
        ids: &'a mut IdFeed,
        reason: Reason,
    ) -> Self {
        Self {
            world,
            now,
            ids,
            decision: Decision::because(reason),
            grove: Grove::new(world.state),
            provisional: None,
            begins_anew: false,
            alerts: BTreeMap::new(),
            openers: BTreeMap::new(),
            causes: BTreeMap::new(),
            standings: BTreeMap::new(),
            clocks: BTreeMap::new(),
            inhibitions: BTreeMap::new(),
            touched: BTreeMap::new(),
            is_review: false,
            joins: Vec::new(),
            mutes: mute::View::default(),
            tolds: BTreeMap::new(),
        }
    }

    /// Adds an alert's record as it is now.
    pub(super) fn put_alert(&mut self, alert: Alert) {
        if self.correlates() {
            self.alerts.insert(alert.id, alert.clone());
        }
        self.decision.change(Change::AlertChanged(alert));
    }

    /// The decision; every touched incident is one version further.
    pub(super) fn finish(mut self) -> Decision {
        self.settle();
        self.ease();
        let touched: Vec<_> = self.touched.keys().copied().collect();
        for &id in &touched {
            self.prioritise(id, None);
        }
        self.suspect_changes();
        flap::look(&mut self);
        variant::look(&mut self);
        self.look_at_problems();
        self.inhibit();
        self.announce();
        self.inhibit_dependents();
        for &id in &touched {
            self.look_at_clocks(id);
            self.note_outcome(id);
        }
        self.look_at_majors();
        self.tell_people();
        ticket::look(&mut self);
        self.escalate();
        for (_, mut incident) in self.touched {
            let is_same = || self.world.state.incident(incident.id) == Some(&incident);
            let is_said = |it: &Entry| it.incident == Some(incident.id);
            if self.is_review && is_same() && !self.decision.entries.iter().any(is_said) {
                continue;
            }
            incident.version = incident.version.saturating_add(1);
            self.decision.change(Change::IncidentChanged(incident));
        }
        self.decision.changes.append(&mut self.joins);
        self.decision.looked_at = self.grove.work();
        self.decision.changes.extend(self.grove.into_changes());
        self.decision
    }

    /// Looks at the announcement of every incident that this decision touches; one that is held has to wait.
    fn announce(&mut self) {
        let rules = &self.world.rules.settle;
        let state = self.world.state;
        self.mutes = mute::View::of(state, &self.decision.changes);
        for incident in self.touched.values_mut() {
            let was_held = incident.is_waiting();
            let is_held = self.mutes.is_held(state, incident);
            let reason = match announce::look(incident, rules, is_held, self.now) {
                announce::Outcome::Same => continue,
                announce::Outcome::Held => Reason::AnnouncementHeld,
                announce::Outcome::Announced => Reason::IncidentAnnounced,
            };
            let released = self.mutes.released(incident.id);
            let entry = self.decision.entry(self.ids, Some(incident), None, reason);
            if reason == Reason::IncidentAnnounced && was_held {
                entry.note = Some(mute::was_held_by(state, incident.id, &released).into());
            }
        }
    }

    /// Whether nothing has been decided so far.
    pub(super) fn is_untouched(&self) -> bool {
        self.touched.is_empty() && !self.grove.is_touched() && self.decision.changes.is_empty()
    }

    /// The incidents that this decision touches so far.
    pub(super) fn touched_ids(&self) -> Vec<IncidentId> {
        self.touched.keys().copied().collect()
    }

    /// The incident as it is now, without touching it.
    pub(super) fn peek(&self, id: IncidentId) -> Option<&Incident> {
        self.touched
            .get(&id)
            .or_else(|| self.world.state.incident(id))
    }

    /// What an incident is about, as this decision leaves it.
    pub(super) fn cause_of(&self, id: IncidentId) -> Option<&Cause> {
        let judged = self.causes.get(&id).map(|cause| &**cause);
        judged.or_else(|| self.world.state.cause(id))
    }

    /// Whether this decision judged anew what an incident is about.
    pub(super) fn is_judged(&self, id: IncidentId) -> bool {
        self.causes.contains_key(&id)
    }

    /// Says what an incident is about.
    pub(super) fn put_cause(&mut self, incident: IncidentId, cause: Cause) {
        let cause = Arc::new(cause);
        self.causes.insert(incident, Arc::clone(&cause));
        self.decision
            .change(Change::CauseChanged { incident, cause });
    }

    /// The incident, to change.
    pub(super) fn touch(&mut self, id: IncidentId) -> Option<&mut Incident> {
        if !self.touched.contains_key(&id) {
            self.touched
                .insert(id, self.world.state.incident(id)?.clone());
        }
        self.touched.get_mut(&id)
    }

    /// Writes a timeline entry about an incident as it is in the draft.
    pub(super) fn say(
        &mut self,
        incident: Option<IncidentId>,
        alert: Option<AlertId>,
        reason: Reason,
    ) -> &mut Entry {
        let incident = incident.and_then(|id| {
            self.touched
                .get(&id)
                .or_else(|| self.world.state.incident(id))
        });
        self.decision.entry(self.ids, incident, alert, reason)
    }

    /// Whether an alert that fires again goes on in this incident: it is open, or inside its reopen window.
    pub(super) fn may_return_to(&self, id: IncidentId) -> bool {
        let reopen_window = self.world.rules.incident.reopen_window;
        self.peek(id).is_some_and(|incident| {
            let resolved_at = incident.resolved_at;
            incident.state.is_open()
                || resolved_at.is_some_and(|at| self.now < at.plus(reopen_window))
        })
    }

    /// Brings an alert that fires (again) to an incident: the one that explains it, its own open one, its last one
    /// inside the reopen window, or a new one.
    pub(super) fn attach(&mut self, alert: &mut Alert, text: Option<&AlertText>) {
        if self.take_as_request(alert, text) {
            return;
        }
        self.find_incident(alert, text);
        if let Some(incident) = alert.incident {
            self.match_known_errors(incident, alert, text);
        }
    }

    fn find_incident(&mut self, alert: &mut Alert, text: Option<&AlertText>) {
        let title = text.map(|text| &text.summary);
        let last = alert.incident.map(|id| self.survivor(id));
        let last = last.filter(|id| self.may_return_to(*id));
        let heir = text.and_then(|text| variant::heir(self, alert, text));
        if !self.correlates() {
            match last.or(heir) {
                Some(last) => self.enter(alert, last, title),
                None => self.open(alert, text),
            }
            return;
        }
        let last = last
            .filter(|id| !self.begins_anew && self.goes_on(alert.id, *id))
            .or(heir);
        let id = self.place(alert, text, last);
        if self.provisional.take() == Some(id) {
            self.open(alert, text);
        } else {
            self.enter(alert, id, title);
        }
    }

    /// Lets an alert fire in an incident that is there already.
    fn enter(&mut self, alert: &mut Alert, id: IncidentId, title: Option<&SmolStr>) {
        let (now, severity) = (self.now, alert.severity);
        if alert.incident != Some(id) {
            self.join(alert, id);
        }
        let Some(incident) = self.touch(id) else {
            return;
        };
        incident.firing = incident.firing.saturating_add(1);
        let was_recovering = incident.recovers_at.take().is_some();
        if incident.state.is_open() {
            if was_recovering {
                self.say(Some(id), Some(alert.id), Reason::RecoveryInterrupted);
            }
            self.regrade(id, severity, alert.id);
            self.go_on_recovering(id);
        } else {
            incident.enter(IncidentState::New, now);
            incident.reopen_count = incident.reopen_count.saturating_add(1);
            incident.severity = severity;
            self.prioritise_anew(id);
            self.title(id, title);
            self.say(Some(id), Some(alert.id), Reason::IncidentReopened);
        }
        self.decision.incident = Some(id);
    }

    /// An incident that is over but for stragglers does not stay open for one more of them.
    fn go_on_recovering(&mut self, id: IncidentId) {
        let recovers_at = self.now.plus(self.world.rules.incident.recover_after);
        if self.correlates()
            && self.is_nearly_over(id)
            && let Some(incident) = self.touch(id)
        {
            incident.recovers_at = Some(recovers_at);
        }
    }

    /// Makes an alert a member of an incident that explains it.
    pub(super) fn join(&mut self, alert: &mut Alert, id: IncidentId) {
        let counted = alert.count.saturating_sub(1);
        let from = self.depart(alert);
        self.move_to(alert, id, counted);
        let node = self.grove.node_of(alert.id);
        let node = node.and_then(|node| self.grove.node(node));
        let why = node.and_then(|node| node.link.as_ref().map(|link| link.why.clone()));
        self.say(Some(id), Some(alert.id), Reason::AlertCorrelated)
            .note = why;
        self.close_empty(from, id);
    }

    /// Takes an alert that begins anew out of its last incident while that is still open: one identity has one open
    /// incident. Returns the number of the one it left.
    fn depart(&mut self, alert: &mut Alert) -> Option<IncidentId> {
        let from = alert.incident.filter(|from| self.is_open(*from))?;
        self.decision.change(Change::AlertMoved {
            incident: from,
            alert: alert.id,
        });
        if let Some(incident) = self.touch(from) {
            incident.total = incident.total.saturating_sub(1);
        }
        alert.incident = None;
        Some(from)
    }

    /// An incident that has lost its last alert to another one is over.
    fn close_empty(&mut self, from: Option<IncidentId>, to: IncidentId) {
        let is_empty = |incident: &Incident| incident.total == 0;
        if let Some(from) = from.filter(|from| self.peek(*from).is_some_and(is_empty)) {
            self.merge_away(from, to);
        }
    }

    /// Opens a new incident for an alert.
    fn open(&mut self, alert: &mut Alert, text: Option<&AlertText>) {
        let previous = alert.incident;
        let id = self.ids.incident();
        self.note_opener(id, alert, text);
        let mut incident = Incident::open(id, alert.severity, self.now);
        incident.previous = previous;
        incident.firing = 1;
        self.insert(incident);
        self.prioritise_anew(id);
        self.title(id, text.map(|text| &text.summary));
        let reason = match previous {
            Some(_) => Reason::LinkedIncidentOpened,
            None => Reason::IncidentOpened,
        };
        // The message being decided counts for the incident that it opens.
        let counted = alert.count.saturating_sub(1);
        let from = self.depart(alert);
        self.move_to(alert, id, counted);
        let entry = self.say(Some(id), Some(alert.id), reason);
        entry.note = previous.map(|previous| format!("continues {previous}").into());
        self.close_empty(from, id);
        self.decision.incident = Some(id);
    }

    /// Puts a new incident into the draft.
    pub(super) fn insert(&mut self, incident: Incident) {
        self.touched.insert(incident.id, incident);
    }

    /// Makes an alert a member of an incident, and no longer of its last one, to which `counted` of its messages
    /// in all belong.
    pub(super) fn move_to(&mut self, alert: &mut Alert, id: IncidentId, counted: i64) {
        if let Some(previous) = alert.incident {
            let events = counted.saturating_sub(alert.count_before);
            self.decision.change(Change::AlertLeft {
                incident: previous,
                alert: alert.id,
                events,
            });
        }
        alert.incident = Some(id);
        alert.count_before = counted;
        let now = self.now;
        if let Some(incident) = self.touch(id) {
            incident.grow(now);
        }
        self.joins.push(Change::AlertJoined {
            incident: id,
            alert: alert.id,
            at: self.now,
        });
    }

    /// Ends the episode of a firing alert and lets its incident recover when it was the last.
    pub(super) fn end(
        &mut self,
        alert: &mut Alert,
        by: EndedBy,
        ends_at: Timestamp,
        reason: Reason,
    ) {
        let now = self.now;
        let recover_after = self.world.rules.incident.recover_after;
        alert.status = AlertStatus::Ended(by);
        alert.ends_at = Some(ends_at.max(alert.starts_at));
        alert.lease_at = now;
        alert.late = Late::None;
        alert.is_muted_upstream = false;
        silence::alert_ended(self, alert.id);
        self.request_alert_ended(alert.id);
        self.say(alert.incident, Some(alert.id), reason);
        let Some(incident) = alert.incident.and_then(|id| self.touch(id)) else {
            return;
        };
        let id = incident.id;
        incident.firing = incident.firing.saturating_sub(1);
        let (is_open, is_recovering) = (incident.state.is_open(), incident.recovers_at.is_some());
        self.end_at_node(alert.id);
        if is_open && !is_recovering && self.is_nearly_over(id) {
            if let Some(incident) = self.touch(id) {
                incident.recovers_at = Some(now.plus(recover_after));
            }
            self.say(Some(id), None, Reason::RecoveryStarted);
        }
        self.decision.incident = Some(id);
    }

    /// Resolves an incident in which nothing fires any more at once: that it recovered was not heard.
    pub(super) fn resolve_if_over(&mut self, id: IncidentId) {
        let close_at = self.now.plus(self.world.rules.incident.close_after);
        let is_over = |incident: &Incident| incident.firing == 0 && incident.state.is_open();
        if !self.peek(id).is_some_and(is_over) {
            return;
        }
        let now = self.now;
        if let Some(incident) = self.touch(id) {
            incident.enter(IncidentState::Resolved { close_at }, now);
        }
        self.say(Some(id), None, Reason::RecoverySustained);
    }

    /// Lets the incident's priority follow the severity of its alerts: up at once, down only when it has one alert.
    pub(super) fn regrade(&mut self, id: IncidentId, severity: Severity, alert: AlertId) {
        let Some(incident) = self.peek(id) else {
            return;
        };
        let is_worse = severity < incident.severity;
        let is_follower = incident.total == 1 && severity != incident.severity;
        if !is_worse && !is_follower {
            return;
        }
        let Some(incident) = self.touch(id) else {
            return;
        };
        incident.severity = severity;
        self.prioritise(id, Some(alert));
    }

    /// Lets the title of an incident follow the text of its only alert, which is worse or better now. Not with every
    /// text: one that counts something up would have incident and tickets written again with each repeat.
    pub(super) fn retitle(&mut self, id: IncidentId, summary: &SmolStr) {
        let is_followed = self
            .peek(id)
            .is_some_and(|incident| incident.total == 1 && incident.state.is_open());
        if is_followed && !summary.is_empty() {
            self.touch(id);
            self.title(id, Some(summary));
        }
    }

    pub(super) fn title(&mut self, incident: IncidentId, title: Option<&SmolStr>) {
        if let Some(title) = title {
            self.decision.change(Change::TitleChanged {
                incident,
                title: title.clone(),
            });
        }
    }
}
