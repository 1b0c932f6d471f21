//! Where priorities come from, and service level clocks, as rows keyed by incident.
//!
//! Written whole when they change. Must not compute a due time or a priority.

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::SmolStr;
use sqlx::QueryBuilder;

use crate::core::ids::IncidentId;
use crate::core::incident::Owner;
use crate::core::priority::{Given, Standing, StandingChange};
use crate::core::severity::{Grade, Priority};
use crate::core::sla::clock::Target;
use crate::core::sla::{Clock, ClockKind, Clocks, SlaChange};
use crate::core::state::State;
use crate::core::time::{Span, Timestamp};

use super::bulk::{in_chunks, run_for_ids};
use super::rows::{incident_id, number, row};
use super::table::push_rows;
use super::{Conn, StoreError, Tx, on};

/// The rows of one batch; of several changes to one incident the last.
#[derive(Debug, Default)]
pub(super) struct PracticeRows {
    standings: BTreeMap<IncidentId, Option<Arc<Standing>>>,
    clocks: BTreeMap<IncidentId, Arc<Clocks>>,
}

impl PracticeRows {
    pub(super) fn stand(&mut self, change: StandingChange) {
        self.standings.insert(change.incident, change.standing);
    }

    pub(super) fn count(&mut self, change: SlaChange) {
        match change {
            SlaChange::Clocks(incident, clocks) => drop(self.clocks.insert(incident, clocks)),
            // The clock's own row says so.
            SlaChange::Breached(..) => {}
        }
    }

    pub(super) fn row_count(&self) -> usize {
        self.standings
            .len()
            .saturating_add(self.clocks.len().saturating_mul(2))
    }

    pub(super) async fn write(&self, tx: &mut Tx<'_>, partition: i64) -> Result<(), StoreError> {
        let gone = self.standings.iter().filter(|(_, it)| it.is_none());
        let gone: Vec<_> = gone.map(|(incident, _)| incident.get()).collect();
        run_for_ids(
            tx.lend(),
            "DELETE FROM incident_standing WHERE incident",
            &gone,
        )
        .await?;
        let standings = self.standings.iter();
        let standings = standings
            .filter_map(|(incident, standing)| standing.as_ref().map(|it| (*incident, it)));
        let standings: Vec<_> = standings.collect();
        upsert_standings(tx.lend(), partition, &standings).await?;
        let clocks = self.clocks.iter();
        let clocks = clocks.flat_map(|(incident, clocks)| {
            clocks.iter().map(|(kind, clock)| (*incident, kind, clock))
        });
        let clocks: Vec<_> = clocks.collect();
        upsert_clocks(tx.lend(), partition, &clocks).await?;
        Ok(())
    }
}

async fn upsert_standings(
    conn: Conn<'_>,
    partition: i64,
    rows: &[(IncidentId, &Arc<Standing>)],
) -> Result<(), StoreError> {
    in_chunks!(conn, rows, |rows| {
        let mut query = QueryBuilder::new(
            "INSERT INTO incident_standing (incident, partition, impact, urgency, given, given_by, given_reason, \
             given_at, lower_at) ",
        );
        push_rows(&mut query, rows, |row, (incident, standing)| {
            let given = standing.given.as_ref();
            row.push_bind(incident.get())
                .push_bind(partition)
                .push_bind(i64::from(standing.grade.impact))
                .push_bind(i64::from(standing.grade.urgency))
                .push_bind(given.map(|given| given.priority.word()))
                .push_bind(given.map(|given| given.by.as_str()))
                .push_bind(given.map(|given| &*given.reason))
                .push_bind(given.map(|given| given.at.as_millis()))
                .push_bind(standing.lower_at.map(Timestamp::as_millis));
        });
        query.push(
            " ON CONFLICT (incident) DO UPDATE SET impact = excluded.impact, urgency = excluded.urgency, \
             given = excluded.given, given_by = excluded.given_by, given_reason = excluded.given_reason, \
             given_at = excluded.given_at, lower_at = excluded.lower_at",
        );
        query
    });
    Ok(())
}

async fn upsert_clocks(
    conn: Conn<'_>,
    partition: i64,
    rows: &[(IncidentId, ClockKind, &Clock)],
) -> Result<(), StoreError> {
    in_chunks!(conn, rows, |rows| {
        let mut query = QueryBuilder::new(
            "INSERT INTO sla_clock (incident, clock, partition, rule, target, calendar, started_at, counted, since, \
             due_at, warn_at, warned, stopped_at, is_final, breached_at, owner_team, owner_assignee) ",
        );
        push_rows(&mut query, rows, |row, (incident, kind, clock)| {
            let target = clock.target.as_ref();
            let owner = clock.owner.as_deref();
            row.push_bind(incident.get())
                .push_bind(kind.word())
                .push_bind(partition)
                .push_bind(target.map(|target| target.rule.as_str()))
                .push_bind(target.map(|target| target.span.as_millis()))
                .push_bind(target.and_then(|target| target.calendar.as_deref()))
                .push_bind(clock.started_at.as_millis())
                .push_bind(clock.counted.as_millis())
                .push_bind(clock.since.map(Timestamp::as_millis))
                .push_bind(clock.due_at.map(Timestamp::as_millis))
                .push_bind(clock.warn_at.map(Timestamp::as_millis))
                .push_bind(i64::from(clock.warned))
                .push_bind(clock.stopped_at.map(Timestamp::as_millis))
                .push_bind(clock.is_final)
                .push_bind(clock.breached_at.map(Timestamp::as_millis))
                .push_bind(owner.and_then(|owner| owner.team.as_deref()))
                .push_bind(owner.and_then(|owner| owner.assignee.as_deref()));
        });
        query.push(
            " ON CONFLICT (incident, clock) DO UPDATE SET rule = excluded.rule, target = excluded.target, \
             calendar = excluded.calendar, counted = excluded.counted, since = excluded.since, \
             due_at = excluded.due_at, warn_at = excluded.warn_at, warned = excluded.warned, \
             stopped_at = excluded.stopped_at, is_final = excluded.is_final, breached_at = excluded.breached_at, \
             owner_team = excluded.owner_team, owner_assignee = excluded.owner_assignee",
        );
        query
    });
    Ok(())
}

row! {
    /// Where a priority comes from.
    pub(super) struct StandingRow {
        incident: i64,
        impact: i64,
        urgency: i64,
        given: Option<String>,
        given_by: Option<String>,
        given_reason: Option<String>,
        given_at: Option<i64>,
        lower_at: Option<i64>,
    }
}

/// The columns of [`StandingRow`], in its order.
pub(super) const STANDING_COLUMNS: &str =
    "s.incident, s.impact, s.urgency, s.given, s.given_by, s.given_reason, s.given_at, s.lower_at";

impl StandingRow {
    /// The core's value of it.
    pub(super) fn into_core(self) -> Result<(IncidentId, Standing), StoreError> {
        let given = self.given.map(|word| {
            let priority = Priority::from_word(&word)
                .ok_or_else(|| StoreError::corrupt("incident_standing", "given", &word))?;
            Ok::<_, StoreError>(Given {
                priority,
                by: self.given_by.unwrap_or_default().into(),
                reason: self.given_reason.unwrap_or_default().into(),
                at: Timestamp::from_millis(self.given_at.unwrap_or_default()),
            })
        });
        let standing = Standing {
            grade: Grade {
                impact: number("incident_standing", "impact", self.impact)?,
                urgency: number("incident_standing", "urgency", self.urgency)?,
            },
            given: given.transpose()?,
            lower_at: self.lower_at.map(Timestamp::from_millis),
        };
        Ok((incident_id(self.incident)?, standing))
    }
}

row! {
    /// One clock.
    pub(super) struct ClockRow {
        incident: i64,
        clock: String,
        rule: Option<String>,
        target: Option<i64>,
        calendar: Option<String>,
        started_at: i64,
        counted: i64,
        since: Option<i64>,
        due_at: Option<i64>,
        warn_at: Option<i64>,
        warned: i64,
        stopped_at: Option<i64>,
        is_final: bool,
        breached_at: Option<i64>,
        owner_team: Option<String>,
        owner_assignee: Option<String>,
    }
}

/// The columns of [`ClockRow`], in its order.
pub(super) const CLOCK_COLUMNS: &str = "s.incident, s.clock, s.rule, s.target, s.calendar, s.started_at, s.counted, \
     s.since, s.due_at, s.warn_at, s.warned, s.stopped_at, s.is_final, s.breached_at, s.owner_team, s.owner_assignee";

impl ClockRow {
    /// Puts it where it belongs.
    pub(super) fn add_to(
        self,
        clocks: &mut BTreeMap<IncidentId, Clocks>,
    ) -> Result<(), StoreError> {
        let kind = ClockKind::ALL.into_iter();
        let kind = { kind }
            .find(|kind| kind.word() == self.clock)
            .ok_or_else(|| StoreError::corrupt("sla_clock", "clock", &self.clock))?;
        let at = |at: Option<i64>| at.map(Timestamp::from_millis);
        let target = self.rule.zip(self.target).map(|(rule, span)| Target {
            rule: SmolStr::new(rule),
            span: Span::from_millis(span),
            calendar: self.calendar.map(SmolStr::new),
        });
        let owner = Owner {
            assignee: self.owner_assignee.map(SmolStr::new),
            team: self.owner_team.map(SmolStr::new),
        };
        let clock = Clock {
            target,
            started_at: Timestamp::from_millis(self.started_at),
            counted: Span::from_millis(self.counted),
            since: at(self.since),
            due_at: at(self.due_at),
            warn_at: at(self.warn_at),
            warned: number("sla_clock", "warned", self.warned)?,
            stopped_at: at(self.stopped_at),
            is_final: self.is_final,
            breached_at: at(self.breached_at),
            owner: (owner != Owner::default()).then(|| Arc::new(owner)),
        };
        let held = clocks.entry(incident_id(self.incident)?).or_default();
        *held.place(kind) = Some(clock);
        Ok(())
    }
}

/// Reads what belongs to the incidents that the core holds.
pub(super) async fn load(
    mut conn: Conn<'_>,
    partition: i64,
    state: &mut State,
) -> Result<(), StoreError> {
    const HELD: &str =
        " s JOIN incident i ON i.id = s.incident WHERE NOT i.is_forgotten AND s.partition = ";
    let standings: Vec<StandingRow> = on!(conn.lend(), c => {
        let mut query = QueryBuilder::new("SELECT ");
        query.push(STANDING_COLUMNS).push(" FROM incident_standing").push(HELD).push_bind(partition);
        query.build_query_as().fetch_all(c).await?
    });
    for row in standings {
        let (incident, standing) = row.into_core()?;
        let standing = Some(Arc::new(standing));
        let change = StandingChange { incident, standing };
        state.practice_mut().standings.apply(&change);
    }
    let rows: Vec<ClockRow> = on!(conn, c => {
        let mut query = QueryBuilder::new("SELECT ");
        query.push(CLOCK_COLUMNS).push(" FROM sla_clock").push(HELD).push_bind(partition);
        query.build_query_as().fetch_all(c).await?
    });
    let mut clocks = BTreeMap::new();
    for row in rows {
        row.add_to(&mut clocks)?;
    }
    for (incident, clocks) in clocks {
        let change = SlaChange::Clocks(incident, Arc::new(clocks));
        state.practice_mut().sla.apply(&change);
    }
    Ok(())
}
