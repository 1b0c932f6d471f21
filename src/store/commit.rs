//! Writing a batch of decisions: cursor, changes and timeline in one transaction.
//!
//! Of several changes to one record only the last is written. Must not decide anything, and must know every
//! [`Change`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;
use sqlx::QueryBuilder;

use crate::core::alert::Alert;
use crate::core::audit::AuditEntry;
use crate::core::bind::Binding;
use crate::core::decision::{Change, Decision, Entry};
use crate::core::heartbeat::Heartbeat;
use crate::core::identity::AlertKey;
use crate::core::ids::{AlertId, IncidentId, Seq};
use crate::core::incident::Incident;
use crate::core::observation::AlertText;
use crate::core::review::Review;
use crate::core::state::Remembered;
use crate::core::time::Timestamp;

use super::alert_rows::{update_repeated, upsert_alerts};
use super::alert_texts::{upsert_bindings, upsert_texts};
use super::answers;
use super::audit;
use super::bulk::{in_chunks, run_for_ids, run_for_pairs};
use super::dead_letters::NewDeadLetter;
use super::escalations::EscalationRows;
use super::flaps::FlapRows;
use super::folds::FoldRows;
use super::forest::ForestBatch;
use super::heartbeats;
use super::incident_rows::{insert_joins, set_events, upsert_incidents};
use super::inhibitions::InhibitionRows;
use super::outbox::TellRows;
use super::outcomes::OutcomeRows;
use super::overrides::OverrideRows;
use super::practice::PracticeRows;
use super::records::RecordRows;
use super::review;
use super::silences::SilenceRows;
use super::table::push_rows;
use super::tickets::TicketRows;
use super::variants::VariantRows;
use super::windows::WindowRows;
use super::{Conn, StoreError, Tx, cmdb};

/// Decisions that are committed together.
#[derive(Debug, Default)]
pub struct Batch {
    /// The last input that is decided with this batch.
    pub decided: Seq,
    sources: Vec<(i64, SmolStr)>,
    keys: Vec<(AlertId, i64, Timestamp, SmolStr)>,
    alerts: BTreeMap<AlertId, Alert>,
    repeats: BTreeMap<AlertId, Alert>,
    texts: BTreeMap<AlertId, Arc<AlertText>>,
    bindings: BTreeMap<AlertId, Arc<Binding>>,
    cmdb: Vec<(u64, Timestamp)>,
    forgotten_alerts: Vec<AlertId>,
    incidents: BTreeMap<IncidentId, (Incident, Option<SmolStr>)>,
    titles: BTreeMap<IncidentId, SmolStr>,
    forgotten_incidents: Vec<IncidentId>,
    moved: BTreeSet<(IncidentId, AlertId)>,
    joins: Vec<(IncidentId, AlertId, Timestamp)>,
    forest: ForestBatch,
    leaves: BTreeMap<(IncidentId, AlertId), i64>,
    answers: Vec<(u64, Remembered)>,
    silences: SilenceRows,
    windows: WindowRows,
    flaps: FlapRows,
    variants: VariantRows,
    inhibitions: InhibitionRows,
    folds: FoldRows,
    review: Option<Review>,
    overrides: OverrideRows,
    escalations: EscalationRows,
    tickets: TicketRows,
    practice: PracticeRows,
    outcomes: OutcomeRows,
    tells: TellRows,
    records: RecordRows,
    audit: Vec<(Option<Seq>, Timestamp, Box<AuditEntry>)>,
    heartbeats: BTreeMap<SmolStr, Option<Heartbeat>>,
    letters: Vec<(Timestamp, NewDeadLetter)>,
    entries: Vec<(Seq, Timestamp, Entry)>,
}

impl Batch {
    /// Adds what was decided for an input. The decision must have been applied to memory already.
    pub fn add(&mut self, seq: Seq, at: Timestamp, decision: Decision) {
        self.decided = seq;
        for change in decision.changes {
            match change {
                Change::SourceAdded { id, name } => self.sources.push((i64::from(id.0), name)),
                Change::AlertAdded { alert, key } => self.add_alert(alert, &key),
                Change::AlertChanged(alert) => {
                    self.repeats.remove(&alert.id);
                    self.alerts.insert(alert.id, alert);
                }
                Change::AlertRepeated(alert) => self.repeat_alert(alert),
                Change::AlertTextChanged { alert, text } => {
                    self.texts.insert(alert, text);
                }
                Change::AlertBound { alert, binding } => {
                    self.bindings.insert(alert, binding);
                }
                // Its rows were written before; now they become true.
                Change::GraphChanged(difference) => self.cmdb.push((difference.version, at)),
                Change::AlertForgotten(id) => self.forgotten_alerts.push(id),
                Change::IncidentChanged(incident) => self.put_incident(incident),
                // A title comes before the change of its incident, in the same decision.
                Change::TitleChanged { incident, title } => {
                    self.titles.insert(incident, title);
                }
                Change::AlertJoined {
                    incident,
                    alert,
                    at,
                } => self.joins.push((incident, alert, at)),
                Change::AlertMoved { incident, alert } => self.move_away((incident, alert)),
                Change::AlertLeft {
                    incident,
                    alert,
                    events,
                } => drop(self.leaves.insert((incident, alert), events)),
                Change::IncidentForgotten(id) => self.forgotten_incidents.push(id),
                Change::CommandRemembered { key, answer } => self.answers.push((key, answer)),
                Change::Silence(change) => self.silences.add(change),
                Change::Window(change) => self.windows.add(change),
                Change::Flap(change) => self.flaps.add(change),
                Change::Variant(change) => self.variants.add(change),
                Change::Inhibit(change) => self.inhibitions.add(change),
                Change::Fold(change) => self.folds.add(change),
                Change::OnCall(change) => self.overrides.add(change),
                Change::Escalate(change) => self.escalations.add(change),
                Change::Ticket(change) => self.tickets.add(seq, change),
                Change::Standing(change) => self.practice.stand(change),
                Change::Sla(change) => self.practice.count(change),
                Change::Outcome(change) => self.outcomes.add(change),
                Change::Tell(change) => self.tells.add(change),
                Change::Record(change) => self.records.add(change),
                Change::Audited(entry) => self.audit.push((Some(seq), at, entry)),
                Change::HeartbeatChanged(heartbeat) => {
                    let name = heartbeat.name.clone();
                    self.heartbeats.insert(name, Some(heartbeat));
                }
                Change::HeartbeatForgotten(name) => drop(self.heartbeats.insert(name, None)),
                Change::NodeChanged(node) => self.forest.node(node),
                Change::NodeForgotten(id) => self.forest.forget(id),
                Change::HabitChanged(habit) => self.forest.habit(habit),
                Change::CauseChanged { incident, cause } => self.forest.cause(incident, cause),
                noted @ Change::ChangeNoted { .. } => self.forest.change(noted),
                Change::Review(reached) => self.review = Some(reached),
                // All are found again at the next start.
                Change::DeadlinesTaken(_) | Change::Started(_) | Change::LabelsKept { .. } => {}
            }
        }
        self.entries
            .extend(decision.entries.into_iter().map(|entry| (seq, at, entry)));
    }

    fn add_alert(&mut self, alert: Alert, key: &AlertKey) {
        let source = i64::from(alert.source.0);
        self.keys
            .push((alert.id, source, alert.first_seen_at, key.text().clone()));
        self.alerts.insert(alert.id, alert);
    }

    fn repeat_alert(&mut self, alert: Alert) {
        if let Some(changed) = self.alerts.get_mut(&alert.id) {
            *changed = alert;
        } else {
            self.repeats.insert(alert.id, alert);
        }
    }

    fn put_incident(&mut self, incident: Incident) {
        let title = self.titles.remove(&incident.id);
        let held = self.incidents.remove(&incident.id);
        let held = held.and_then(|(_, title)| title);
        self.incidents
            .insert(incident.id, (incident, title.or(held)));
    }

    /// Adds a message that was received at that time and says nothing any more.
    pub fn put_aside(&mut self, at: Timestamp, letter: NewDeadLetter) {
        self.letters.push((at, letter));
    }

    /// What is put aside with it.
    pub(super) fn letters(&self) -> &[(Timestamp, NewDeadLetter)] {
        &self.letters
    }

    /// Forgets that an alert was in an incident.
    fn move_away(&mut self, pair: (IncidentId, AlertId)) {
        self.joins
            .retain(|&(incident, alert, _)| (incident, alert) != pair);
        self.leaves.remove(&pair);
        self.moved.insert(pair);
    }

    /// How many rows it will write; the engine stops filling a batch by this.
    pub fn row_count(&self) -> usize {
        self.alerts.len()
            + self.repeats.len()
            + self.texts.len()
            + self.bindings.len()
            + self.cmdb.len()
            + self.incidents.len()
            + self.entries.len()
            + self.joins.len()
            + self.moved.len()
            + self.forest.row_count()
            + self.silences.row_count()
            + self.windows.row_count()
            + self.flaps.row_count()
            + self.variants.row_count()
            + self.inhibitions.row_count()
            + self.folds.row_count()
            + self.overrides.row_count()
            + self.escalations.row_count()
            + self.tickets.row_count()
            + self.practice.row_count()
            + self.outcomes.row_count()
            + self.tells.row_count()
            + self.records.row_count()
            + self.audit.len()
            + self.heartbeats.len()
            + self.letters.len()
    }

    /// The targets that have something to do once this is committed, each once.
    pub fn told_targets(&self) -> Vec<SmolStr> {
        self.tells.targets()
    }

    /// Whether a reader has to compare alerts with silences once this is committed.
    pub fn wants_sweep(&self) -> bool {
        self.silences.wants_sweep()
    }

    /// Whether something waits to be done in another system once this is committed.
    pub fn wants_tickets(&self) -> bool {
        self.tickets.wants_work()
    }

    /// Writes everything but the cursor.
    pub(super) async fn write(&self, tx: &mut Tx<'_>, partition: i64) -> Result<(), StoreError> {
        self.write_new(tx, partition).await?;
        let alerts: Vec<_> = self.alerts.values().collect();
        upsert_alerts(tx.lend(), partition, &alerts).await?;
        let repeats: Vec<_> = self.repeats.values().collect();
        update_repeated(tx.lend(), &repeats).await?;
        let texts: Vec<_> = self.texts.iter().collect();
        upsert_texts(tx.lend(), partition, &texts).await?;
        let bindings: Vec<_> = self.bindings.iter().collect();
        upsert_bindings(tx.lend(), partition, &bindings).await?;
        for &(version, at) in &self.cmdb {
            cmdb::activate(tx, version, at).await?;
        }
        let incidents: Vec<_> = self.incidents.values().collect();
        upsert_incidents(tx.lend(), partition, &incidents).await?;
        let moved: Vec<_> = self
            .moved
            .iter()
            .map(|(incident, alert)| (incident.get(), alert.get()))
            .collect();
        run_for_pairs(
            tx.lend(),
            "DELETE FROM incident_alert WHERE (incident, alert)",
            &moved,
        )
        .await?;
        self.forest.write(tx, partition).await?;
        insert_joins(tx.lend(), partition, &self.joins).await?;
        let leaves: Vec<_> = self.leaves.iter().collect();
        set_events(tx.lend(), &leaves).await?;
        insert_entries(tx.lend(), partition, &self.entries).await?;
        let alerts: Vec<_> = self.forgotten_alerts.iter().map(|id| id.get()).collect();
        run_for_ids(
            tx.lend(),
            "UPDATE alert_state SET is_forgotten = TRUE WHERE id",
            &alerts,
        )
        .await?;
        let incidents: Vec<_> = self.forgotten_incidents.iter().map(|id| id.get()).collect();
        run_for_ids(
            tx.lend(),
            "UPDATE incident SET is_forgotten = TRUE WHERE id",
            &incidents,
        )
        .await?;
        self.write_parts(tx, partition).await
    }

    /// What the parts of the core write by themselves.
    async fn write_parts(&self, tx: &mut Tx<'_>, partition: i64) -> Result<(), StoreError> {
        self.silences.write(tx, partition).await?;
        self.windows.write(tx, partition).await?;
        self.flaps.write(tx, partition).await?;
        self.variants.write(tx, partition).await?;
        self.inhibitions.write(tx, partition).await?;
        self.folds.write(tx, partition).await?;
        if let Some(reached) = &self.review {
            review::write(tx, reached, partition).await?;
        }
        self.overrides.write(tx, partition).await?;
        self.escalations.write(tx, partition).await?;
        self.tickets.write(tx, partition).await?;
        self.practice.write(tx, partition).await?;
        self.outcomes.write(tx, partition).await?;
        self.tells.write(tx, partition).await?;
        self.records.write(tx, partition).await?;
        let audited: Vec<_> = self
            .audit
            .iter()
            .map(|(seq, at, entry)| (*seq, *at, &**entry))
            .collect();
        audit::append(tx, partition, &audited).await?;
        heartbeats::write(tx, partition, &self.heartbeats).await?;
        for (key, answer) in &self.answers {
            answers::insert(tx.lend(), partition, *key, answer).await?;
        }
        Ok(())
    }

    async fn write_new(&self, tx: &mut Tx<'_>, partition: i64) -> Result<(), StoreError> {
        in_chunks!(tx.lend(), &self.sources, |rows| {
            let mut query = QueryBuilder::new("INSERT INTO source (partition, id, name) ");
            push_rows(&mut query, rows, |row, (id, name)| {
                row.push_bind(partition)
                    .push_bind(*id)
                    .push_bind(name.as_str());
            });
            query
        });
        in_chunks!(tx.lend(), &self.keys, |rows| {
            let mut query = QueryBuilder::new(
                "INSERT INTO alert_key (id, partition, source, first_seen_at, key) ",
            );
            push_rows(&mut query, rows, |row, (id, source, first_seen_at, key)| {
                row.push_bind(id.get())
                    .push_bind(partition)
                    .push_bind(*source)
                    .push_bind(first_seen_at.as_millis())
                    .push_bind(key.as_str());
            });
            query
        });
        Ok(())
    }
}

async fn insert_entries(
    conn: Conn<'_>,
    partition: i64,
    rows: &[(Seq, Timestamp, Entry)],
) -> Result<(), StoreError> {
    in_chunks!(conn, rows, |rows| {
        let mut query = QueryBuilder::new(
            "INSERT INTO timeline (id, partition, seq, at, incident, alert, reason, state, actor, note) ",
        );
        push_rows(&mut query, rows, |row, (seq, at, entry)| {
            row.push_bind(entry.id)
                .push_bind(partition)
                .push_bind(seq.get())
                .push_bind(at.as_millis())
                .push_bind(entry.incident.map(IncidentId::get))
                .push_bind(entry.alert.map(AlertId::get))
                .push_bind(entry.reason.code())
                .push_bind(entry.state.map(|state| state.word()))
                .push_bind(entry.actor.as_deref())
                .push_bind(entry.note.as_deref());
        });
        query
    });
    Ok(())
}
