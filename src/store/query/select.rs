//! A statement put together from fixed texts and bound values, for either engine.
//!
//! Texts are literals of this layer, values are always bound. Must not take a text that is not `'static`.

use sqlx::QueryBuilder;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use super::Page;
use crate::store::{Conn, StoreError, on};

#[derive(Debug)]
enum Part {
    Sql(&'static str),
    Text(String),
    Number(i64),
}

/// A statement in the making.
#[derive(Debug, Default)]
pub(super) struct Select {
    parts: Vec<Part>,
}

impl Select {
    /// Starts with a text.
    pub(super) fn new(sql: &'static str) -> Self {
        Self {
            parts: vec![Part::Sql(sql)],
        }
    }

    /// Adds a text.
    pub(super) fn sql(&mut self, sql: &'static str) -> &mut Self {
        self.parts.push(Part::Sql(sql));
        self
    }

    /// Adds a bound text.
    pub(super) fn text(&mut self, value: &str) -> &mut Self {
        self.parts.push(Part::Text(value.to_owned()));
        self
    }

    /// Adds a bound number.
    pub(super) fn number(&mut self, value: i64) -> &mut Self {
        self.parts.push(Part::Number(value));
        self
    }

    /// Adds `before ($1, $2, ...) after`, unless there are no values.
    pub(super) fn any_of<T: AsRef<str>>(
        &mut self,
        before: &'static str,
        values: &[T],
        after: &'static str,
    ) -> &mut Self {
        let parts = values
            .iter()
            .map(|value| Part::Text(value.as_ref().to_owned()));
        self.any_part(before, parts, after)
    }

    /// The same with numbers.
    pub(super) fn any_number(
        &mut self,
        before: &'static str,
        values: &[i64],
        after: &'static str,
    ) -> &mut Self {
        self.any_part(before, values.iter().copied().map(Part::Number), after)
    }

    fn any_part(
        &mut self,
        before: &'static str,
        values: impl ExactSizeIterator<Item = Part>,
        after: &'static str,
    ) -> &mut Self {
        if values.len() == 0 {
            return self;
        }
        self.sql(before);
        for (index, value) in values.enumerate() {
            self.sql(if index == 0 { " (" } else { ", " });
            self.parts.push(value);
        }
        self.sql(")").sql(after)
    }

    /// Adds the condition, order and limit of a page; `column` is what is sorted by, `id` breaks ties.
    pub(super) fn page(&mut self, page: Page, column: &'static str, id: &'static str) -> &mut Self {
        let (compare, direction) = if page.is_newest_first {
            (" < ", " DESC")
        } else {
            (" > ", " ASC")
        };
        if let Some(after) = page.after {
            if column == id {
                self.sql(" AND ").sql(id).sql(compare).number(after.id);
            } else {
                self.sql(" AND (").sql(column).sql(", ").sql(id).sql(")");
                self.sql(compare).sql("(").number(after.value);
                self.sql(", ").number(after.id).sql(")");
            }
        }
        self.sql(" ORDER BY ").sql(column).sql(direction);
        if column != id {
            self.sql(", ").sql(id).sql(direction);
        }
        // One more than wanted tells whether there is a next page.
        self.sql(" LIMIT ")
            .number(i64::from(page.limit).saturating_add(1))
    }

    /// Runs it and returns every row.
    pub(super) async fn fetch<R>(&self, conn: Conn<'_>) -> Result<Vec<R>, StoreError>
    where
        R: for<'r> sqlx::FromRow<'r, SqliteRow> + for<'r> sqlx::FromRow<'r, PgRow> + Send + Unpin,
    {
        on!(conn, c => {
            let mut query = QueryBuilder::new("");
            for part in &self.parts {
                match part {
                    Part::Sql(sql) => query.push(*sql),
                    Part::Text(text) => query.push_bind(text.clone()),
                    Part::Number(number) => query.push_bind(*number),
                };
            }
            Ok(query.build_query_as().fetch_all(c).await?)
        })
    }
}

/// A pattern that finds a text anywhere; for `lower(column) LIKE lower($1) ESCAPE '\'`.
pub(super) fn pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len().saturating_add(2));
    pattern.push('%');
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection as _, Row as _};

    use super::*;

    impl Select {
        /// How SQLite would run it on a new store, step by step.
        pub(in crate::store::query) async fn plan(&self) -> Vec<String> {
            let mut conn = sqlx::SqliteConnection::connect("sqlite::memory:")
                .await
                .unwrap();
            let mut steps = crate::store::MIGRATIONS.to_vec();
            steps.sort_unstable();
            for (_, _, sql) in steps {
                let step = crate::store::dialect::sqlite_form(sql);
                sqlx::raw_sql(step).execute(&mut conn).await.unwrap();
            }
            let mut query = QueryBuilder::<sqlx::Sqlite>::new("EXPLAIN QUERY PLAN ");
            for part in &self.parts {
                match part {
                    Part::Sql(sql) => query.push(*sql),
                    Part::Text(text) => query.push_bind(text.clone()),
                    Part::Number(number) => query.push_bind(*number),
                };
            }
            let rows = query.build().fetch_all(&mut conn).await.unwrap();
            rows.iter().map(|row| row.get("detail")).collect()
        }
    }

    #[test]
    fn wildcards_in_a_search_mean_themselves() {
        assert_eq!(pattern(r"50%_a\b"), r"%50\%\_a\\b%");
    }
}
