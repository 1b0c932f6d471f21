//! Many rows in few statements.
//!
//! Each statement is two wake-ups of another thread, or a round trip to a server, so rows go in statements of a few
//! sizes, each built while the one before is under way. Must not know a table.

use sqlx::QueryBuilder;

use super::{Conn, StoreError};

/// Runs the statement that an expression builds of some rows, for all rows: `in_chunks!(conn, rows, |some| query)`.
macro_rules! in_chunks {
    ($conn:expr, $rows:expr, |$some:ident| $query:expr) => {
        $crate::store::on!($conn, c => {
            let mut chunks = $crate::store::bulk::chunks($rows);
            let mut build = || chunks.next().map(|$some| $query);
            let mut next = build();
            while let Some(mut query) = next {
                let run = query.build().execute(&mut *c);
                let (ran, built) = futures_util::future::join(run, async { build() }).await;
                ran?;
                next = built;
            }
        })
    };
}
pub(crate) use in_chunks;

/// Cuts rows into a few fixed sizes, so that each statement's text is one of few and stays prepared; few rows go in one
/// statement whatever their number.
pub(super) fn chunks<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let size = match rest.len() {
            0 => return None,
            few @ 1..=16 => few,
            17..=63 => 16,
            64..=255 => 64,
            256.. => 256,
        };
        let (chunk, others) = rest.split_at(size);
        rest = others;
        Some(chunk)
    })
}

/// Runs a statement that ends before ` IN (...)` for all rows of these ids.
pub(super) async fn run_for_ids(
    conn: Conn<'_>,
    sql: &'static str,
    ids: &[i64],
) -> Result<(), StoreError> {
    in_chunks!(conn, ids, |some| {
        let mut query = QueryBuilder::new(sql);
        query.push(" IN (");
        let mut list = query.separated(", ");
        for id in some {
            list.push_bind(*id);
        }
        query.push(")");
        query
    });
    Ok(())
}

/// Runs a statement that ends before ` IN (VALUES ...)` for all rows of these pairs.
pub(super) async fn run_for_pairs(
    conn: Conn<'_>,
    sql: &'static str,
    pairs: &[(i64, i64)],
) -> Result<(), StoreError> {
    in_chunks!(conn, pairs, |some| {
        let mut query = QueryBuilder::new(sql);
        query.push(" IN (");
        query.push_values(some, |mut row, (first, second)| {
            row.push_bind(*first).push_bind(*second);
        });
        query.push(")");
        query
    });
    Ok(())
}
