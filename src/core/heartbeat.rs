//! Heartbeats: what has to be heard of again and again, and the alert when it is not.
//!
//! A ping moves the deadline on; a deadline that passes makes an alert of the source [`SOURCE`] fire, the next ping
//! ends it. Three things are pings: one that was sent to us, a firing alert that some heartbeat waits for (a
//! watchdog, which then is no alert itself), and any message of a source whose silence is watched. What was never
//! heard is new and not missing, except for silence, which is watched from when it was configured. A job may also say
//! that it begins, and has then [`HeartbeatRule::max_run`] to end; and that it failed, which is an alert at once. Must
//! not count the time in which nobody listened: after a start every heartbeat has its whole time again.

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::{SmolStr, format_smolstr};

use crate::core::decide::World;
use crate::core::decision::{Change, Decision, Entry};
use crate::core::episode;
use crate::core::identity::AlertKey;
use crate::core::ids::IdFeed;
use crate::core::limits;
use crate::core::observation::{AlertText, Claim, Observation};
use crate::core::reason::Reason;
use crate::core::severity::Severity;
use crate::core::time::{Span, Timestamp};

/// The source of the alerts about heartbeats; no other source may have this name.
pub const SOURCE: &str = "heartbeat";

/// The label by which the claim of a ping says that it is another signal than "done".
const SIGNAL: &str = "signal";
/// The name of the alert of a heartbeat whose labels do not say another.
pub const MISSING: &str = "HeartbeatMissing";
/// Its name when the job said that it failed.
const FAILED: &str = "HeartbeatFailed";
/// Its name when the job began and did not end.
const OVERRAN: &str = "HeartbeatOverran";

/// What a job says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// It is done, or alive.
    Done,
    /// It begins.
    Begun,
    /// It failed.
    Failed,
    /// Something to be kept that changes nothing.
    Noted,
}

impl Signal {
    /// Every signal.
    pub const ALL: [Self; 4] = [Self::Done, Self::Begun, Self::Failed, Self::Noted];

    /// Its word in paths and in what is stored.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Done => "success",
            Self::Begun => "start",
            Self::Failed => "fail",
            Self::Noted => "log",
        }
    }

    fn of(observation: &Observation) -> Self {
        let word = observation.text.label(SIGNAL).unwrap_or_default();
        let mut all = Self::ALL.into_iter();
        all.find(|signal| signal.word() == word)
            .unwrap_or(Self::Done)
    }
}

/// What is heard of again and again, as far as it was heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Its name.
    pub name: SmolStr,
    /// The last ping; before the first one, since when it is waited for.
    pub heard_at: Timestamp,
    /// Whether a ping ever came.
    pub is_seen: bool,
    /// Whether its alert fires.
    pub is_missing: bool,
    /// When it counts as missing; while it does, when that is claimed again.
    pub due_at: Timestamp,
    /// Since when its job runs, if it said that it begins and has not ended.
    pub begun_at: Option<Timestamp>,
    /// How long the last run took that said when it began.
    pub last_run: Option<Span>,
    /// What its job said when it failed; the alert says so again until the next ping.
    pub failure: Option<SmolStr>,
}

impl Heartbeat {
    /// When there is something to do, with a daemon that listens since `started_at`.
    pub fn due(&self, started_at: Option<Timestamp>) -> Timestamp {
        match started_at {
            Some(started_at) if !self.is_missing && self.last_sign() < started_at => {
                let lease = self.due_at.since(self.last_sign());
                self.due_at.max(started_at.plus(lease))
            }
            Some(_) | None => self.due_at,
        }
    }

    fn last_sign(&self) -> Timestamp {
        self.begun_at.unwrap_or(self.heard_at)
    }
}

/// What feeds a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Feed {
    /// Pings that are sent to us.
    Pings,
    /// A firing alert of a source with all of these labels; pings that are sent to us count too.
    Watchdog {
        /// The source.
        source: SmolStr,
        /// Names and values of labels.
        labels: Vec<(SmolStr, SmolStr)>,
    },
    /// Any message of a source.
    Messages {
        /// The source.
        source: SmolStr,
    },
}

/// Policy of one heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatRule {
    /// Its name, which is the payload of the key of its alert.
    pub name: SmolStr,
    /// Time between two pings.
    pub every: Span,
    /// How much later than that a ping may come.
    pub grace: Span,
    /// How long a run may take that said when it began.
    pub max_run: Span,
    /// How bad it is when none comes.
    pub severity: Severity,
    /// The text of the alert.
    pub text: Arc<AlertText>,
    /// What feeds it.
    pub feed: Feed,
}

impl HeartbeatRule {
    /// The name of the heartbeat by which a source's silence is watched.
    pub fn silence_name(source: &str) -> SmolStr {
        format_smolstr!("source/{source}")
    }

    /// How long it may take from one ping to the next.
    pub fn patience(&self) -> Span {
        Span::from_millis(
            self.every
                .as_millis()
                .saturating_add(self.grace.as_millis()),
        )
    }

    fn end(&self) -> Observation {
        observation(&self.name, Claim::Resolved, self.severity, Arc::default())
    }

    /// The claim that it is missing, or why else its alert fires.
    fn trouble(&self, held: &Heartbeat) -> Observation {
        let text = match (&held.failure, held.begun_at) {
            (Some(said), _) => self.said(FAILED, said.clone()),
            (None, Some(begun_at)) if begun_at.plus(self.max_run) <= held.due_at => {
                let name = &self.name;
                let said = format_smolstr!("Heartbeat {name} began and did not end in time");
                self.said(OVERRAN, said)
            }
            (None, Some(_) | None) => Arc::clone(&self.text),
        };
        // Only a ping ends it.
        let ends_at = Some(Timestamp::MAX);
        Observation {
            ends_at,
            ..observation(&self.name, Claim::Firing, self.severity, text)
        }
    }

    /// The text of its alert with another name, if it has none by the operator, and its first line as summary.
    fn said(&self, alertname: &'static str, said: SmolStr) -> Arc<AlertText> {
        let mut text = AlertText::clone(&self.text);
        for (name, value) in &mut text.labels {
            if name == "alertname" && value == MISSING {
                *value = SmolStr::new_static(alertname);
            }
        }
        let first = said.lines().next().unwrap_or_default();
        text.summary = SmolStr::new(first);
        if first.len() < said.len() {
            text.annotations = vec![("description".into(), said)];
        }
        Arc::new(text)
    }

    fn heard(&self, now: Timestamp, is_seen: bool) -> Heartbeat {
        Heartbeat {
            name: self.name.clone(),
            heard_at: now,
            is_seen,
            is_missing: false,
            due_at: now.plus(self.patience()),
            begun_at: None,
            last_run: None,
            failure: None,
        }
    }

    /// When it is due as the policy is now.
    fn due_at(&self, held: &Heartbeat) -> Timestamp {
        match held.begun_at {
            Some(begun_at) => begun_at.plus(self.max_run),
            None => held.heard_at.plus(self.patience()),
        }
    }
}

/// Every heartbeat that is waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heartbeats {
    rules: BTreeMap<SmolStr, HeartbeatRule>,
    watchdogs: BTreeMap<SmolStr, Vec<SmolStr>>,
    silences: BTreeMap<SmolStr, SmolStr>,
}

impl FromIterator<HeartbeatRule> for Heartbeats {
    fn from_iter<I: IntoIterator<Item = HeartbeatRule>>(rules: I) -> Self {
        let mut all = Self::default();
        for rule in rules {
            let name = rule.name.clone();
            match &rule.feed {
                Feed::Pings => {}
                Feed::Watchdog { source, .. } => {
                    let names = all.watchdogs.entry(source.clone()).or_default();
                    names.push(name.clone());
                }
                Feed::Messages { source } => {
                    all.silences.insert(source.clone(), name.clone());
                }
            }
            all.rules.insert(name, rule);
        }
        all
    }
}

impl Heartbeats {
    /// The policy of a heartbeat.
    pub fn get(&self, name: &str) -> Option<&HeartbeatRule> {
        self.rules.get(name)
    }

    /// Every policy, by name.
    pub fn iter(&self) -> impl Iterator<Item = &HeartbeatRule> {
        self.rules.values()
    }

    /// Whether every message of a source has to be told, since its silence is watched.
    pub fn listens_to(&self, source: &str) -> bool {
        self.silences.contains_key(source)
    }

    /// The heartbeat that an alert of a source feeds: such an alert is no alert itself.
    fn fed_by(&self, source: &str, observation: &Observation) -> Option<SmolStr> {
        if source == SOURCE {
            let prefix = AlertKey::new(SOURCE, "");
            let name = observation.key.text().strip_prefix(prefix.text().as_str());
            return Some(SmolStr::new(name.unwrap_or_default()));
        }
        let names = self.watchdogs.get(source)?.iter();
        let mut fitting = names.filter(|name| match self.get(name).map(|rule| &rule.feed) {
            Some(Feed::Watchdog { labels, .. }) => labels
                .iter()
                .all(|(label, value)| observation.text.label(label) == Some(value)),
            Some(Feed::Pings | Feed::Messages { .. }) | None => false,
        });
        fitting.next().cloned()
    }
}

/// The claim about a heartbeat's alert; a ping that is sent to us is stored as the claim that nothing is missing.
pub fn observation(
    name: &str,
    claim: Claim,
    severity: Severity,
    text: Arc<AlertText>,
) -> Observation {
    Observation {
        key: AlertKey::new(SOURCE, name),
        claim,
        starts_at: None,
        ends_at: None,
        severity,
        text_hash: text_hash(&text),
        text,
        undelivered: 0,
        is_retained: false,
    }
}

/// What a job says about itself, as the claim that is decided; `said` is what came with it.
pub fn signal(name: &str, signal: Signal, said: SmolStr) -> Observation {
    if signal == Signal::Done {
        return observation(name, Claim::Resolved, Severity::Info, Arc::default());
    }
    let text = AlertText {
        summary: said,
        labels: vec![(SIGNAL.into(), signal.word().into())],
        ..AlertText::default()
    };
    let claim = match signal {
        Signal::Failed => Claim::Firing,
        Signal::Done | Signal::Begun | Signal::Noted => Claim::Resolved,
    };
    observation(name, claim, Severity::Info, Arc::new(text))
}

fn text_hash(text: &AlertText) -> u64 {
    let mut bytes = Vec::from(text.summary.as_bytes());
    for (name, value) in text.labels.iter().chain(&text.annotations) {
        for part in [name, value] {
            bytes.push(0xff);
            bytes.extend_from_slice(part.as_bytes());
        }
    }
    bytes.push(0xff);
    bytes.extend_from_slice(text.ci_hint.as_deref().unwrap_or_default().as_bytes());
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

/// What an observation comes to if it is a ping; else nothing.
pub(super) fn decide_ping(
    world: World<'_>,
    source: &str,
    claimed: &Observation,
    now: Timestamp,
    ids: &mut IdFeed,
) -> Option<Decision> {
    let name = world.rules.heartbeats.fed_by(source, claimed)?;
    // The end of a watchdog is a bad sign; the deadline tells, since another replica may still be heard.
    if source != SOURCE && claimed.claim == Claim::Resolved {
        return Some(Decision::because(Reason::WatchdogEnded));
    }
    let signal = match source {
        SOURCE => Signal::of(claimed),
        _ => Signal::Done,
    };
    Some(match signal {
        Signal::Done => heard(world, &name, now, ids),
        Signal::Begun => begun(world, &name, now),
        Signal::Failed => failed(world, &name, &claimed.text.summary, now, ids),
        Signal::Noted => Decision::because(Reason::HeartbeatNoted),
    })
}

/// What a message of a source comes to whose silence is watched.
pub(super) fn decide_heard(
    world: World<'_>,
    source: &str,
    now: Timestamp,
    ids: &mut IdFeed,
) -> Decision {
    heard(world, &HeartbeatRule::silence_name(source), now, ids)
}

fn heard(world: World<'_>, name: &str, now: Timestamp, ids: &mut IdFeed) -> Decision {
    let Some(rule) = world.rules.heartbeats.get(name) else {
        return Decision::because(Reason::HeartbeatUnknown);
    };
    let held = world.state.heartbeat(name);
    let mut decision = if held.is_some_and(|held| held.is_missing) {
        end(world, rule, Reason::HeartbeatReturned, now, ids)
    } else {
        Decision::because(Reason::HeartbeatPinged)
    };
    let took = held.and_then(|held| held.begun_at.map(|begun_at| now.since(begun_at)));
    let last_run = took.or(held.and_then(|held| held.last_run));
    decision.change(Change::HeartbeatChanged(Heartbeat {
        last_run,
        ..rule.heard(now, true)
    }));
    decision
}

/// A job begins: until it ends only the time of its run counts. What is missing stays so until it has succeeded.
fn begun(world: World<'_>, name: &str, now: Timestamp) -> Decision {
    let Some(rule) = world.rules.heartbeats.get(name) else {
        return Decision::because(Reason::HeartbeatUnknown);
    };
    let held = world.state.heartbeat(name);
    let mut heartbeat = held.cloned().unwrap_or_else(|| rule.heard(now, false));
    heartbeat.begun_at = Some(now);
    if !heartbeat.is_missing {
        heartbeat.due_at = rule.due_at(&heartbeat);
    }
    let mut decision = Decision::because(Reason::HeartbeatBegun);
    decision.change(Change::HeartbeatChanged(heartbeat));
    decision
}

/// A job says that it failed; its alert fires until it says that it is done.
fn failed(
    world: World<'_>,
    name: &str,
    said: &SmolStr,
    now: Timestamp,
    ids: &mut IdFeed,
) -> Decision {
    let Some(rule) = world.rules.heartbeats.get(name) else {
        return Decision::because(Reason::HeartbeatUnknown);
    };
    let said = match said.is_empty() {
        true => format_smolstr!("Heartbeat {name} said that it failed"),
        false => said.clone(),
    };
    let held = world.state.heartbeat(name);
    let took = held.and_then(|held| held.begun_at.map(|begun_at| now.since(begun_at)));
    let failed = Heartbeat {
        last_run: took.or(held.and_then(|held| held.last_run)),
        failure: Some(said),
        is_missing: held.is_some_and(|held| held.is_missing),
        ..rule.heard(now, true)
    };
    let is_known = held.is_some_and(|held| held.failure == failed.failure);
    let said = (!is_known).then_some(Reason::HeartbeatFailed);
    miss(world, rule, &failed, said, now, ids)
}

/// Whether the policy asks for something else than the state holds; then deadlines are to be looked at.
pub fn is_outdated(world: World<'_>) -> bool {
    let rules = &world.rules.heartbeats;
    let is_gone = |heartbeat: &Heartbeat| rules.get(&heartbeat.name).is_none();
    world.state.heartbeats().any(is_gone) || adjusted(world, Timestamp::MAX).next().is_some()
}

/// What has to be done about heartbeats now: one that was removed, all that changed, or one that is missing.
pub(super) fn decide_due(world: World<'_>, now: Timestamp, ids: &mut IdFeed) -> Option<Decision> {
    let rules = &world.rules.heartbeats;
    let mut held = world.state.heartbeats();
    if let Some(gone) = held.find(|heartbeat| rules.get(&heartbeat.name).is_none()) {
        return Some(remove(world, gone, now, ids));
    }
    let mut changes = adjusted(world, now).peekable();
    if changes.peek().is_some() {
        let mut decision = Decision::because(Reason::DeadlinesChecked);
        changes.for_each(|heartbeat| decision.change(Change::HeartbeatChanged(heartbeat)));
        return Some(decision);
    }
    let started_at = world.state.started_at();
    let mut held = world.state.heartbeats();
    let late = held.find(|heartbeat| heartbeat.due(started_at) <= now)?;
    let rule = rules.get(&late.name)?;
    let reason = match late.begun_at {
        Some(_) => Reason::HeartbeatOverran,
        None => Reason::HeartbeatMissed,
    };
    let said = (!late.is_missing).then_some(reason);
    Some(miss(world, rule, late, said, now, ids))
}

/// Records that are not as the policy asks: silence that is not watched yet, and times that have changed.
fn adjusted(world: World<'_>, now: Timestamp) -> impl Iterator<Item = Heartbeat> {
    world.rules.heartbeats.iter().filter_map(move |rule| {
        let Some(held) = world.state.heartbeat(&rule.name) else {
            let is_awaited = matches!(rule.feed, Feed::Messages { .. });
            return is_awaited.then(|| rule.heard(now, false));
        };
        let due_at = rule.due_at(held);
        (!held.is_missing && held.due_at != due_at).then(|| Heartbeat {
            due_at,
            ..held.clone()
        })
    })
}

fn miss(
    world: World<'_>,
    rule: &HeartbeatRule,
    late: &Heartbeat,
    said: Option<Reason>,
    now: Timestamp,
    ids: &mut IdFeed,
) -> Decision {
    let claim = rule.trouble(late);
    let mut decision = episode::observe(world, &SmolStr::new_static(SOURCE), &claim, now, ids);
    if let Some(reason) = said {
        say(world, &mut decision, reason, ids);
        decision.reason = reason;
    }
    // Said again, so that an alert that a person ended comes back as that of any other source does.
    let again = rule.patience().max(limits::HEARTBEAT_REPEATED);
    decision.change(Change::HeartbeatChanged(Heartbeat {
        is_missing: true,
        due_at: now.plus(again),
        ..late.clone()
    }));
    decision
}

fn remove(world: World<'_>, gone: &Heartbeat, now: Timestamp, ids: &mut IdFeed) -> Decision {
    let mut decision = if gone.is_missing {
        let rule = HeartbeatRule {
            name: gone.name.clone(),
            every: Span::ZERO,
            grace: Span::ZERO,
            max_run: Span::ZERO,
            severity: Severity::Info,
            text: Arc::default(),
            feed: Feed::Pings,
        };
        end(world, &rule, Reason::HeartbeatRemoved, now, ids)
    } else {
        Decision::because(Reason::HeartbeatRemoved)
    };
    decision.change(Change::HeartbeatForgotten(gone.name.clone()));
    decision
}

/// Ends the alert of a missing heartbeat.
fn end(
    world: World<'_>,
    rule: &HeartbeatRule,
    reason: Reason,
    now: Timestamp,
    ids: &mut IdFeed,
) -> Decision {
    let claim = rule.end();
    if world.state.alert_by_key(claim.key.hash()).is_none() {
        return Decision::because(reason);
    }
    let mut decision = episode::observe(world, &SmolStr::new_static(SOURCE), &claim, now, ids);
    say(world, &mut decision, reason, ids);
    decision.reason = reason;
    decision
}

/// Adds an entry about the alert that a decision is about.
fn say(world: World<'_>, decision: &mut Decision, reason: Reason, ids: &mut IdFeed) {
    let mut alert = None;
    let mut state = decision
        .incident
        .and_then(|id| world.state.incident(id))
        .map(|incident| incident.state.word());
    for change in &decision.changes {
        if let Change::AlertAdded { alert: changed, .. }
        | Change::AlertChanged(changed)
        | Change::AlertRepeated(changed) = change
        {
            alert = Some(changed.id);
        } else if let Change::IncidentChanged(incident) = change {
            state = Some(incident.state.word());
        }
    }
    decision.entries.push(Entry {
        id: ids.entry(),
        incident: decision.incident,
        alert,
        reason,
        state,
        actor: None,
        note: None,
    });
}
