//! Which changes may have caused an incident: made to what it is about, or to what that depends on, shortly before.
//!
//! A suspicion is shown, never acted upon. It is looked for when a condition comes to an incident, and when a change is
//! heard of late. Must not confirm anything; a person does.

use std::sync::Arc;

use smol_str::SmolStr;

use super::given::held;
use super::{ItChange, LINKS_MAX, Link, Record, RecordChange, RecordGiven, RecordId, Role};
use crate::core::cmdb::ci::CiNumber;
use crate::core::correlate::node::NodeId;
use crate::core::decide::World;
use crate::core::decision::{Change, Decision};
use crate::core::draft::Draft;
use crate::core::ids::{IdFeed, IncidentId};
use crate::core::reason::Reason;
use crate::core::time::{Span, Timestamp};

/// A change may be noted a little after what it caused: clocks differ.
const SLACK: Span = Span::from_mins(2);
/// Conditions of one incident that a late change is compared with.
const NODES_MAX: usize = 64;
/// How well founded the suspicion is against a change of the very CI.
const SAME_CI: u32 = 10_000;

/// How a changed CI and a broken one hang together.
struct Tie {
    changed: CiNumber,
    broken: CiNumber,
    weight: u32,
}

/// Decides what a person says of a change.
pub(super) fn judge(
    world: World<'_>,
    given: &RecordGiven,
    (incident, change, role, reason): (IncidentId, RecordId, Role, &str),
    (now, ids): (Timestamp, &mut IdFeed),
) -> Decision {
    let Some(record) = held(world, change, given) else {
        return Decision::refused(Reason::UnknownRecord);
    };
    if world.state.incident(incident).is_none() && !given.is_past_incident {
        return Decision::refused(Reason::UnknownIncident);
    }
    let mut draft = Draft::new(world, now, ids, Reason::ChangeJudged);
    draft.judge_change(incident, &record, role, (reason, &given.actor));
    draft.decision.record = Some(change);
    draft.decision.incident = Some(incident);
    draft.finish()
}

impl Draft<'_> {
    fn judge_change(
        &mut self,
        incident: IncidentId,
        record: &Arc<Record>,
        role: Role,
        (reason, actor): (&str, &SmolStr),
    ) {
        let id = record.id();
        let before = self.world.state.records().link(incident, id);
        let link = Link {
            role,
            score: before.map_or(0, |link| link.score),
            why: Arc::from(reason),
            by: Some(actor.clone()),
            at: self.now,
        };
        self.touch(incident);
        self.record(RecordChange::Linked(incident, id, link));
        let note = format!("{id} ({}): {}: {reason}", record.title(), role.word());
        self.tell(incident, Reason::ChangeJudged, actor, &note);
        let Some(change) = record.as_change() else {
            return;
        };
        let mut after = change.clone();
        after.caused.retain(|it| *it != incident);
        if role == Role::Confirmed {
            after.caused.push(incident);
        }
        if after != *change {
            after.updated_at = self.now;
            self.record(RecordChange::Put(Arc::new(Record::Change(after))));
        }
    }

    /// Looks for changes behind every condition that this decision brought to an incident.
    pub(in crate::core) fn suspect_changes(&mut self) {
        if !self.world.state.records().has_changes() {
            return;
        }
        for node in self.grove.touched() {
            let before = self.world.state.forest().node(node);
            let Some(after) = self.grove.node(node) else {
                continue;
            };
            let is_news = before.is_none_or(|before| before.incident != after.incident);
            if is_news && !after.has_ended() {
                self.suspect_for(node);
            }
        }
    }

    fn suspect_for(&mut self, node: NodeId) {
        let Some((incident, onset, ci)) = self
            .grove
            .node(node)
            .and_then(|node| Some((node.incident, node.onset, node.ci?)))
        else {
            return;
        };
        let onset = self
            .peek(incident)
            .map_or(onset, |incident| incident.opened_at.min(onset));
        let upstream = self.grove.upstream(ci);
        let reaches = upstream.iter().map(|reach| Tie {
            changed: reach.ci,
            broken: ci,
            weight: u32::from(reach.weight),
        });
        let own = Tie {
            changed: ci,
            broken: ci,
            weight: SAME_CI,
        };
        let mut found = Vec::new();
        let state = self.world.state;
        for tie in std::iter::once(own).chain(reaches) {
            let Some(id) = state.graph().ci(tie.changed).map(|ci| &ci.id) else {
                continue;
            };
            for change in state.records().changes_of(id) {
                if let Some(link) = self.weigh(change, onset, &tie) {
                    found.push((change.id, link));
                }
            }
        }
        self.link_changes(incident, found);
    }

    /// Looks for incidents that a change may have caused before it was heard of.
    pub(in crate::core) fn suspect_change(&mut self, change: &ItChange) {
        let Some(began) = change.began_at() else {
            return;
        };
        let state = self.world.state;
        let graph = state.graph();
        let cis: Vec<CiNumber> = change.cis.iter().filter_map(|ci| graph.find(ci)).collect();
        if cis.is_empty() {
            return;
        }
        let within = self.world.rules.records.suspect_within;
        // Numbers are given in the order of opening, so those before are not looked at.
        let mut incidents: Vec<_> = state
            .incidents_before(IncidentId::LAST)
            .take_while(|incident| incident.opened_at.plus(SLACK) >= began)
            .filter(|incident| incident.state.is_open())
            .filter(|incident| {
                let is_near = incident.opened_at.since(began) <= within;
                is_near || change.covers(incident.opened_at)
            })
            .map(|incident| (incident.id, incident.opened_at))
            .collect();
        incidents.reverse();
        for (incident, opened_at) in incidents {
            let nodes = self.grove.nodes_in(incident);
            let mut best: Option<Link> = None;
            for node in nodes.into_iter().take(NODES_MAX) {
                let broken = self
                    .grove
                    .node(node)
                    .and_then(|it| Some((it.ci?, it.onset)));
                let Some((broken, onset)) = broken else {
                    continue;
                };
                let upstream = self.grove.upstream(broken);
                for &changed in &cis {
                    let reach = upstream.get(changed).map(|reach| u32::from(reach.weight));
                    let weight = if changed == broken {
                        Some(SAME_CI)
                    } else {
                        reach
                    };
                    let Some(weight) = weight else {
                        continue;
                    };
                    let tie = Tie {
                        changed,
                        broken,
                        weight,
                    };
                    let link = self.weigh(change, opened_at.min(onset), &tie);
                    if let Some(link) = link
                        && best.as_ref().is_none_or(|best| best.score < link.score)
                    {
                        best = Some(link);
                    }
                }
            }
            if let Some(link) = best {
                self.link_changes(incident, vec![(change.id, link)]);
            }
        }
    }

    /// How much speaks for a change of one CI having broken another at that time; nothing when it was not near.
    fn weigh(&self, change: &ItChange, onset: Timestamp, tie: &Tie) -> Option<Link> {
        let within = self.world.rules.records.suspect_within;
        let began = change.began_at()?;
        let ago = onset.since(began);
        let is_near = ago <= within && began <= onset.plus(SLACK);
        if !is_near && !change.covers(onset) {
            return None;
        }
        let ago = ago.max(Span::ZERO);
        let span = within.as_millis().max(1);
        let fresh = span.saturating_sub(ago.as_millis().min(span) / 2);
        let score = i64::from(tie.weight).saturating_mul(fresh) / span;
        let graph = self.world.state.graph();
        let name = |ci| graph.ci(ci).map_or("", |ci| ci.name.as_str());
        let (changed, broken) = (name(tie.changed), name(tie.broken));
        let when = if change.covers(onset) {
            format!("was being made to {changed} when it began")
        } else {
            format!("was made to {changed} {} before it began", words(ago))
        };
        let how = if tie.changed == tie.broken {
            format!("{changed} itself is affected")
        } else {
            format!("{broken} depends on {changed}")
        };
        Some(Link {
            role: Role::Suspected,
            score: u16::try_from(score).unwrap_or(10_000),
            why: format!("{when}; {how}").into(),
            by: None,
            at: self.now,
        })
    }

    fn link_changes(&mut self, incident: IncidentId, mut found: Vec<(RecordId, Link)>) {
        found.sort_by(|(one, a), (other, b)| (b.score, one).cmp(&(a.score, other)));
        for (id, link) in found {
            let records = self.world.state.records();
            let linked_now = self.decision.changes.iter().filter_map(|change| {
                if let Change::Record(RecordChange::Linked(to, id, _)) = change {
                    return (*to == incident).then_some(*id);
                }
                None
            });
            let linked_now: Vec<RecordId> = linked_now.collect();
            let is_known = records.link(incident, id).is_some() || linked_now.contains(&id);
            let count = records
                .links(incident)
                .count()
                .saturating_add(linked_now.len());
            if is_known || count >= LINKS_MAX {
                continue;
            }
            let why = Arc::clone(&link.why);
            let title = records.get(id).map(|record| record.title().to_owned());
            self.touch(incident);
            self.record(RecordChange::Linked(incident, id, link));
            let title = title.map(|title| format!(" ({title})")).unwrap_or_default();
            self.say(Some(incident), None, Reason::ChangeSuspected).note =
                Some(format!("{id}{title} {why}").into());
        }
    }
}

/// A length of time for people.
fn words(span: Span) -> String {
    let secs = span.as_millis() / 1_000;
    match secs {
        ..=119 => format!("{secs} s"),
        120..=7_199 => format!("{} min", secs / 60),
        7_200..=172_799 => format!("{} h", secs / 3_600),
        _ => format!("{} days", secs / 86_400),
    }
}
