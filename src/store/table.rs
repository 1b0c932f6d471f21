//! Rows as a table of values inside a statement.
//!
//! PostgreSQL prepares an expression for every value of a `VALUES` list at every run; one array per column (`UNNEST`)
//! costs it less than half, whatever the number of rows. SQLite has no arrays, and takes `VALUES`. Must not know a table of the schema.

use sqlx::{Postgres, QueryBuilder, Sqlite};

/// What both engines call a type of a column.
const BIGINTS: &str = "::BIGINT[]";
const TEXTS: &str = "::TEXT[]";
const BOOLEANS: &str = "::BOOLEAN[]";
/// What no engine takes for a statement: rows of which some lack a value must not be written shifted.
const UNEVEN: &str = "(rows of unequal length)";

/// An engine that can be given rows.
pub(super) trait Engine: sqlx::Database {
    /// Adds them to a statement, where a `SELECT` may stand.
    fn push(query: &mut QueryBuilder<Self>, columns: Vec<Column>);
}

/// Adds rows to a statement, where a `SELECT` may stand; each row pushes its values in the order of the columns.
pub(super) fn push_rows<DB: Engine, T>(
    query: &mut QueryBuilder<DB>,
    rows: impl IntoIterator<Item = T>,
    mut fill: impl FnMut(&mut Rows, T),
) {
    let mut made = Rows::default();
    let mut count = 0;
    for row in rows {
        made.next = 0;
        fill(&mut made, row);
        count += 1;
    }
    if made.columns.iter().all(|column| column.len() == count) {
        DB::push(query, made.columns);
    } else {
        query.push(UNEVEN);
    }
}

/// The values of rows, column by column.
#[derive(Debug, Default)]
pub(super) struct Rows {
    columns: Vec<Column>,
    next: usize,
}

impl Rows {
    /// Adds the next value of this row.
    pub(super) fn push_bind(&mut self, cell: impl Cell) -> &mut Self {
        match self.columns.get_mut(self.next) {
            Some(column) => cell.put(column),
            None => self.columns.push(cell.begin()),
        }
        self.next += 1;
        self
    }
}

/// The values of one column.
#[derive(Debug)]
pub(super) enum Column {
    /// Whole numbers.
    Int(Vec<Option<i64>>),
    /// Texts.
    Text(Vec<Option<String>>),
    /// Truths.
    Bool(Vec<bool>),
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Self::Int(values) => values.len(),
            Self::Text(values) => values.len(),
            Self::Bool(values) => values.len(),
        }
    }
}

/// A value that a column can hold.
pub(super) trait Cell: Sized {
    /// A column that begins with it.
    fn begin(self) -> Column;
    /// Adds it to a column of its type.
    fn put(self, column: &mut Column);
}

impl Cell for Option<i64> {
    fn begin(self) -> Column {
        Column::Int(vec![self])
    }
    fn put(self, column: &mut Column) {
        if let Column::Int(values) = column {
            values.push(self);
        }
    }
}

impl Cell for Option<String> {
    fn begin(self) -> Column {
        Column::Text(vec![self])
    }
    fn put(self, column: &mut Column) {
        if let Column::Text(values) = column {
            values.push(self);
        }
    }
}

impl Cell for bool {
    fn begin(self) -> Column {
        Column::Bool(vec![self])
    }
    fn put(self, column: &mut Column) {
        if let Column::Bool(values) = column {
            values.push(self);
        }
    }
}

/// Values that are kept as another type.
macro_rules! kept_as {
    ($($given:ty => $kept:ty, |$value:ident| $expression:expr;)*) => {$(
        impl Cell for $given {
            fn begin(self) -> Column {
                let $value = self;
                <$kept as Cell>::begin($expression)
            }
            fn put(self, column: &mut Column) {
                let $value = self;
                <$kept as Cell>::put($expression, column);
            }
        }
    )*};
}
kept_as! {
    i64 => Option<i64>, |value| Some(value);
    String => Option<String>, |value| Some(value);
    &str => Option<String>, |value| Some(value.to_owned());
    Option<&str> => Option<String>, |value| value.map(str::to_owned);
}

impl Engine for Postgres {
    fn push(query: &mut QueryBuilder<Self>, columns: Vec<Column>) {
        query.push("SELECT * FROM UNNEST");
        for (place, column) in columns.into_iter().enumerate() {
            query.push(if place == 0 { "(" } else { ", " });
            match column {
                Column::Int(values) => query.push_bind(values).push(BIGINTS),
                Column::Text(values) => query.push_bind(values).push(TEXTS),
                Column::Bool(values) => query.push_bind(values).push(BOOLEANS),
            };
        }
        query.push(")");
    }
}

impl Engine for Sqlite {
    fn push(query: &mut QueryBuilder<Self>, columns: Vec<Column>) {
        let count = columns.first().map_or(0, Column::len);
        let mut columns: Vec<_> = columns.into_iter().map(Values::from).collect();
        query.push_values(0..count, |mut row, _| {
            for column in &mut columns {
                match column {
                    Values::Int(values) => row.push_bind(values.next().flatten()),
                    Values::Text(values) => row.push_bind(values.next().flatten()),
                    Values::Bool(values) => row.push_bind(values.next().unwrap_or_default()),
                };
            }
        });
    }
}

/// A column that is given away value by value.
enum Values {
    Int(std::vec::IntoIter<Option<i64>>),
    Text(std::vec::IntoIter<Option<String>>),
    Bool(std::vec::IntoIter<bool>),
}

impl From<Column> for Values {
    fn from(column: Column) -> Self {
        match column {
            Column::Int(values) => Self::Int(values.into_iter()),
            Column::Text(values) => Self::Text(values.into_iter()),
            Column::Bool(values) => Self::Bool(values.into_iter()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_gets_rows_in_its_own_form() {
        let rows = [(1, "a"), (2, "b")];
        let fill = |row: &mut Rows, (id, name): (i64, &str)| {
            row.push_bind(id).push_bind(name);
        };
        let mut query = QueryBuilder::<Sqlite>::new("");
        push_rows(&mut query, rows, fill);
        assert_eq!(query.sql().as_str(), "VALUES (?, ?), (?, ?)");
        let mut query = QueryBuilder::<Postgres>::new("");
        push_rows(&mut query, rows, fill);
        let arrays = "SELECT * FROM UNNEST($1::BIGINT[], $2::TEXT[])";
        assert_eq!(query.sql().as_str(), arrays);
    }

    #[test]
    fn a_row_that_lacks_a_value_makes_the_statement_void() {
        let mut query = QueryBuilder::<Sqlite>::new("");
        push_rows(&mut query, [1, 2], |row, id| {
            row.push_bind(id);
            if id == 1 {
                row.push_bind("only here");
            }
        });
        assert_eq!(query.sql().as_str(), UNEVEN);
    }
}
