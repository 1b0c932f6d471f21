//! Maintenance windows as readers see them.

use super::select::Select;
use super::{Listed, Page, Position};
use crate::core::mute::window::Window;
use crate::core::time::Timestamp;
use crate::store::rows::row;
use crate::store::windows::{WINDOW_COLUMNS, WindowRow};
use crate::store::{Conn, StoreError};

/// A window with what it does now.
#[derive(Clone, Debug)]
pub struct WindowView {
    /// The window.
    pub window: Window,
    /// Whether it is over, or cancelled.
    pub is_over: bool,
    /// Begin and end of the occurrence of now, else of the next one, else of the last one.
    pub occurrence: Option<(Timestamp, Timestamp)>,
    /// Firing alerts that it keeps people from being told of.
    pub alerts: i64,
}

row! {
    struct ViewRow {
        ..window: WindowRow = WINDOW_COLUMNS;
        is_over: bool,
        starts_at: Option<i64>,
        ends_at: Option<i64>,
        alerts: i64,
    }
}

/// Windows by number; only those that are not over unless wanted.
///
/// # Errors
/// The database cannot be read.
pub async fn list(
    conn: Conn<'_>,
    is_over: Option<bool>,
    now: Timestamp,
    page: Page,
) -> Result<Listed<WindowView>, StoreError> {
    let mut select = start(now);
    select.sql(match is_over {
        None => " WHERE TRUE",
        Some(true) => " WHERE maintenance.is_over",
        Some(false) => " WHERE NOT maintenance.is_over",
    });
    select.page(page, "maintenance.id", "maintenance.id");
    let rows: Vec<ViewRow> = select.fetch(conn).await?;
    let views: Result<Vec<_>, _> = rows.into_iter().map(ViewRow::into_view).collect();
    Ok(Listed::of(views?, page, |view| Position {
        value: view.window.id.get(),
        id: view.window.id.get(),
    }))
}

/// One window by its number, or the newest of that name.
///
/// # Errors
/// The database cannot be read.
pub async fn find(
    conn: Conn<'_>,
    id: Option<i64>,
    name: &str,
    now: Timestamp,
) -> Result<Option<WindowView>, StoreError> {
    let mut select = start(now);
    match id {
        Some(id) => select.sql(" WHERE maintenance.id = ").number(id),
        None => select.sql(" WHERE maintenance.name = ").text(name),
    };
    select.sql(" ORDER BY maintenance.is_over, maintenance.id DESC LIMIT 1");
    let rows: Vec<ViewRow> = select.fetch(conn).await?;
    rows.into_iter().next().map(ViewRow::into_view).transpose()
}

/// The occurrence that matters is the one that ends next, else the one that ended last.
fn start(now: Timestamp) -> Select {
    let mut select = Select::new("SELECT ");
    select.sql(WINDOW_COLUMNS).sql(", maintenance.is_over");
    for column in ["starts_at", "ends_at"] {
        select
            .sql(", COALESCE((SELECT s.")
            .sql(column)
            .sql(" FROM silence s WHERE s.maintenance = maintenance.id AND s.ends_at > ")
            .number(now.as_millis())
            .sql(" ORDER BY s.ends_at LIMIT 1), (SELECT s.")
            .sql(column)
            .sql(" FROM silence s WHERE s.maintenance = maintenance.id ORDER BY s.ends_at DESC LIMIT 1))");
    }
    select.sql(
        ", (SELECT COUNT(DISTINCT a.alert) FROM silence s JOIN silence_alert a ON a.silence = s.id \
         WHERE s.maintenance = maintenance.id) FROM maintenance",
    );
    select
}

impl ViewRow {
    fn into_view(self) -> Result<WindowView, StoreError> {
        let times = self.starts_at.zip(self.ends_at);
        Ok(WindowView {
            window: self.window.into_core()?,
            is_over: self.is_over,
            occurrence: times.map(|(starts_at, ends_at)| {
                let starts_at = Timestamp::from_millis(starts_at);
                (starts_at, Timestamp::from_millis(ends_at))
            }),
            alerts: self.alerts,
        })
    }
}
