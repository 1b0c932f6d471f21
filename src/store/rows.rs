//! Rows as structs, and their conversion to and from core values.
//!
//! A conversion names the column that it cannot understand. Must not be used outside `store`, except for the row
//! structs that readers get.

use smol_str::SmolStr;

use crate::core::alert::{Alert, AlertStatus, EndedBy, Late};
use crate::core::identity::AlertKey;
use crate::core::ids::{AlertId, IncidentId, SourceId};
use crate::core::incident::{Incident, IncidentState, Owner, StateWord};
use crate::core::severity::{Priority, Severity};
use crate::core::time::Timestamp;

use super::StoreError;
use super::cmdb::read::ci_number;

/// Declares a row struct that both engines can fill, column by column in the order of the fields.
///
/// `..base: Row = COLUMNS;` in front of the fields says that the columns of another row come first.
macro_rules! row {
    ($(#[$doc:meta])* $vis:vis struct $name:ident { $($(#[$fdoc:meta])* $field:ident: $type:ty,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        $vis struct $name { $($(#[$fdoc])* pub $field: $type,)+ }

        impl<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow> for $name {
            fn from_row(row: &'r sqlx::sqlite::SqliteRow) -> Result<Self, sqlx::Error> {
                $crate::store::rows::row!(@fill row, $($field),+)
            }
        }

        impl<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow> for $name {
            fn from_row(row: &'r sqlx::postgres::PgRow) -> Result<Self, sqlx::Error> {
                $crate::store::rows::row!(@fill row, $($field),+)
            }
        }
    };
    (
        $(#[$doc:meta])*
        $vis:vis struct $name:ident {
            ..$base:ident: $base_type:ty = $columns:expr;
            $($field:ident: $type:ty,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        $vis struct $name { pub $base: $base_type, $(pub $field: $type,)+ }

        impl<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow> for $name {
            fn from_row(row: &'r sqlx::sqlite::SqliteRow) -> Result<Self, sqlx::Error> {
                $crate::store::rows::row!(@fill row, $base $columns, $($field),+)
            }
        }

        impl<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow> for $name {
            fn from_row(row: &'r sqlx::postgres::PgRow) -> Result<Self, sqlx::Error> {
                $crate::store::rows::row!(@fill row, $base $columns, $($field),+)
            }
        }
    };
    (@fill $row:ident, $($field:ident),+) => {{
        use sqlx::Row as _;
        let mut columns = 0_usize..;
        let mut next = || columns.next().unwrap_or_default();
        Ok(Self { $($field: $row.try_get(next())?,)+ })
    }};
    (@fill $row:ident, $base:ident $columns:expr, $($field:ident),+) => {{
        use sqlx::Row as _;
        let mut columns = $columns.split(',').count()..;
        let mut next = || columns.next().unwrap_or_default();
        Ok(Self { $base: sqlx::FromRow::from_row($row)?, $($field: $row.try_get(next())?,)+ })
    }};
}
pub(crate) use row;

row! {
    /// The narrow rows of an alert, joined.
    pub(super) struct AlertRow {
        id: i64,
        source: i64,
        first_seen_at: i64,
        key: String,
        status: String,
        ended_by: Option<String>,
        severity: String,
        is_muted_upstream: bool,
        undelivered: i64,
        episode: i64,
        starts_at: i64,
        is_start_ours: bool,
        ends_at: Option<i64>,
        last_seen_at: i64,
        lease_at: i64,
        count: i64,
        count_before: i64,
        text_hash: i64,
        incident: Option<i64>,
        late: String,
        late_until: Option<i64>,
        ci: Option<i64>,
    }
}

/// The columns of [`AlertRow`], in its order; `k` is `alert_key`, `s` is `alert_state`, `b` is
/// `alert_binding`.
pub(super) const ALERT_COLUMNS: &str = "k.id, k.source, k.first_seen_at, k.key, s.status, s.ended_by, s.severity, \
    s.is_muted_upstream, s.undelivered, s.episode, s.starts_at, s.is_start_ours, s.ends_at, s.last_seen_at, s.lease_at, s.count, \
    s.count_before, s.text_hash, s.incident, s.late, s.late_until, b.ci";

impl AlertRow {
    /// The core's value of it.
    pub(super) fn into_core(self) -> Result<Alert, StoreError> {
        let status = match (self.status.as_str(), self.ended_by.as_deref()) {
            ("firing", None) => AlertStatus::Firing,
            ("resolved", Some(word)) => {
                let by = EndedBy::ALL.into_iter().find(|by| by.word() == word);
                AlertStatus::Ended(
                    by.ok_or_else(|| StoreError::corrupt("alert_state", "ended_by", word))?,
                )
            }
            (status, _) => return Err(StoreError::corrupt("alert_state", "status", status)),
        };
        let late = match (self.late.as_str(), self.late_until) {
            ("none", _) => Late::None,
            ("parked", Some(until)) => Late::Parked(Timestamp::from_millis(until)),
            ("discarded", _) => Late::Discarded,
            (late, _) => return Err(StoreError::corrupt("alert_state", "late", late)),
        };
        Ok(Alert {
            id: alert_id(self.id)?,
            key: AlertKey::from_text(SmolStr::new(&self.key)).hash(),
            source: SourceId(number("alert_key", "source", self.source)?),
            status,
            severity: severity("alert_state", &self.severity)?,
            is_muted_upstream: self.is_muted_upstream,
            undelivered: number("alert_state", "undelivered", self.undelivered)?,
            episode: number("alert_state", "episode", self.episode)?,
            starts_at: Timestamp::from_millis(self.starts_at),
            is_start_ours: self.is_start_ours,
            ends_at: self.ends_at.map(Timestamp::from_millis),
            first_seen_at: Timestamp::from_millis(self.first_seen_at),
            last_seen_at: Timestamp::from_millis(self.last_seen_at),
            lease_at: Timestamp::from_millis(self.lease_at),
            count: self.count,
            count_before: self.count_before,
            text_hash: self.text_hash.cast_unsigned(),
            incident: self.incident.map(incident_id).transpose()?,
            ci: self
                .ci
                .map(|ci| ci_number("alert_binding", ci))
                .transpose()?,
            late,
        })
    }
}

row! {
    /// The header of an incident.
    pub(super) struct IncidentRow {
        id: i64,
        state: String,
        state_until: Option<i64>,
        hold_reason: Option<String>,
        severity: String,
        priority: String,
        firing: i64,
        total: i64,
        opened_at: i64,
        acknowledged_at: Option<i64>,
        resolved_at: Option<i64>,
        closed_at: Option<i64>,
        recovers_at: Option<i64>,
        reopen_count: i64,
        previous: Option<i64>,
        merged_into: Option<i64>,
        assignee: Option<String>,
        team: Option<String>,
        version: i64,
        settles_since: Option<i64>,
        announce_at: Option<i64>,
        announced_at: Option<i64>,
        joined_at: Option<i64>,
    }
}

/// The columns of [`IncidentRow`], in its order.
pub(super) const INCIDENT_COLUMNS: &str = "id, state, state_until, hold_reason, severity, priority, firing, total, \
    opened_at, acknowledged_at, resolved_at, closed_at, recovers_at, reopen_count, previous, merged_into, assignee, team, version, \
    settles_since, announce_at, announced_at, joined_at";

impl IncidentRow {
    /// The core's value of it.
    pub(super) fn into_core(self) -> Result<Incident, StoreError> {
        let until = self.state_until.map(Timestamp::from_millis);
        let word = StateWord::from_word(&self.state)
            .ok_or_else(|| StoreError::corrupt("incident", "state", &self.state))?;
        let end = || until.ok_or_else(|| StoreError::corrupt("incident", "state_until", "missing"));
        let state = match word {
            StateWord::New => IncidentState::New,
            StateWord::Acknowledged => IncidentState::Acknowledged { until },
            StateWord::InProgress => IncidentState::InProgress,
            StateWord::OnHold => IncidentState::OnHold {
                until,
                reason: self.hold_reason.unwrap_or_default().into(),
            },
            StateWord::Resolved => IncidentState::Resolved { close_at: end()? },
            StateWord::Closed => IncidentState::Closed {
                reopenable_until: end()?,
            },
        };
        let owner = Owner {
            assignee: self.assignee.map(SmolStr::from),
            team: self.team.map(SmolStr::from),
        };
        let priority = Priority::from_word(&self.priority)
            .ok_or_else(|| StoreError::corrupt("incident", "priority", &self.priority))?;
        Ok(Incident {
            id: incident_id(self.id)?,
            state,
            severity: severity("incident", &self.severity)?,
            priority,
            firing: number("incident", "firing", self.firing)?,
            total: number("incident", "total", self.total)?,
            opened_at: Timestamp::from_millis(self.opened_at),
            acknowledged_at: self.acknowledged_at.map(Timestamp::from_millis),
            resolved_at: self.resolved_at.map(Timestamp::from_millis),
            closed_at: self.closed_at.map(Timestamp::from_millis),
            recovers_at: self.recovers_at.map(Timestamp::from_millis),
            settles_since: self.settles_since.map(Timestamp::from_millis),
            announce_at: self.announce_at.map(Timestamp::from_millis),
            announced_at: self.announced_at.map(Timestamp::from_millis),
            joined_at: self.joined_at.map(Timestamp::from_millis),
            reopen_count: number("incident", "reopen_count", self.reopen_count)?,
            previous: self.previous.map(incident_id).transpose()?,
            merged_into: self.merged_into.map(incident_id).transpose()?,
            owner: (owner != Owner::default()).then(|| owner.into()),
            version: self.version,
        })
    }
}

/// The time that a state carries, and the reason of a hold.
pub(super) fn state_columns(state: &IncidentState) -> (Option<Timestamp>, Option<&str>) {
    match state {
        IncidentState::New | IncidentState::InProgress => (None, None),
        IncidentState::Acknowledged { until } => (*until, None),
        IncidentState::OnHold { until, reason } => (*until, Some(reason)),
        IncidentState::Resolved { close_at } => (Some(*close_at), None),
        IncidentState::Closed { reopenable_until } => (Some(*reopenable_until), None),
    }
}

/// The status columns of an alert.
pub(super) fn status_columns(status: AlertStatus) -> (&'static str, Option<&'static str>) {
    match status {
        AlertStatus::Firing => ("firing", None),
        AlertStatus::Ended(by) => ("resolved", Some(by.word())),
    }
}

/// The columns of a parked firing.
pub(super) fn late_columns(late: Late) -> (&'static str, Option<Timestamp>) {
    match late {
        Late::None => ("none", None),
        Late::Parked(until) => ("parked", Some(until)),
        Late::Discarded => ("discarded", None),
    }
}

/// An alert id from its column.
pub(super) fn alert_id(id: i64) -> Result<AlertId, StoreError> {
    AlertId::new(id).ok_or_else(|| StoreError::corrupt("alert", "id", id))
}

/// An incident number from its column.
pub(super) fn incident_id(id: i64) -> Result<IncidentId, StoreError> {
    IncidentId::new(id).ok_or_else(|| StoreError::corrupt("incident", "id", id))
}

pub(super) fn severity(table: &str, word: &str) -> Result<Severity, StoreError> {
    Severity::from_word(word).ok_or_else(|| StoreError::corrupt(table, "severity", word))
}

pub(super) fn number<T: TryFrom<i64>>(
    table: &str,
    column: &str,
    value: i64,
) -> Result<T, StoreError> {
    T::try_from(value).map_err(|_| StoreError::corrupt(table, column, value))
}
