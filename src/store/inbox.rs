//! The input log: what was accepted, in order, as it came.
//!
//! An input is acknowledged when its row is committed, and decided when the engine's cursor has passed it. Must not
//! interpret a body.

use bytes::Bytes;
use sqlx::QueryBuilder;

use crate::core::ids::Seq;
use crate::core::time::Timestamp;

use super::rows::row;
use super::{Conn, StoreError, Tx, on, pieces};

/// What kind of input a row is; decides how its body is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// A message of a source, as it came.
    Message,
    /// The difference that a poll of a source found, as JSON.
    Poll,
    /// A command, as JSON.
    Command,
    /// A deadline was reached.
    Deadline,
    /// The daemon started.
    Started,
}

impl InputKind {
    const ALL: [Self; 5] = [
        Self::Message,
        Self::Poll,
        Self::Command,
        Self::Deadline,
        Self::Started,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Poll => "poll",
            Self::Command => "command",
            Self::Deadline => "deadline",
            Self::Started => "started",
        }
    }
}

/// Bodies from here on are stored compressed: messages of many alerts repeat themselves.
const PACKED_FROM_BYTES: usize = 4 * 1024;

/// A body as it is stored: the very bytes that came, compressed if that pays.
#[derive(Clone, Debug, Default)]
pub struct StoredBody {
    bytes: Bytes,
    is_packed: bool,
    len: usize,
}

impl StoredBody {
    /// Takes a body as it came.
    pub fn new(body: Bytes) -> Self {
        let len = body.len();
        if len < PACKED_FROM_BYTES {
            return Self {
                bytes: body,
                is_packed: false,
                len,
            };
        }
        let packed = lz4_flex::compress_prepend_size(&body);
        Self {
            bytes: packed.into(),
            is_packed: true,
            len,
        }
    }

    /// The bytes as they came.
    ///
    /// # Errors
    /// The stored bytes are damaged.
    pub fn open(&self) -> Result<Bytes, StoreError> {
        if !self.is_packed {
            return Ok(self.bytes.clone());
        }
        let body = if pieces::is_so(&self.bytes) {
            pieces::open(&self.bytes).map_err(|error| StoreError::corrupt("input", "body", error))
        } else {
            lz4_flex::decompress_size_prepended(&self.bytes)
                .map_err(|error| StoreError::corrupt("input", "body", error))
        };
        Ok(body?.into())
    }

    /// Takes what a value is as JSON, compressed while it is written: a large one is never in memory as text.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn of_json(value: &impl serde::Serialize) -> serde_json::Result<Self> {
        let mut writer = pieces::Writer::default();
        serde_json::to_writer(&mut writer, value)?;
        let len = writer.written();
        let bytes: Bytes = writer.finish().into();
        Ok(Self {
            bytes,
            is_packed: true,
            len,
        })
    }

    /// The bytes as they are stored, and whether they are compressed.
    pub(super) fn stored(&self) -> (&[u8], bool) {
        (&self.bytes, self.is_packed)
    }

    /// A body that was stored before.
    pub(super) fn from_stored(bytes: Bytes, is_packed: bool) -> Self {
        Self {
            len: bytes.len(),
            bytes,
            is_packed,
        }
    }

    /// Whether both are one piece of memory.
    pub fn is_same(&self, other: &Self) -> bool {
        std::ptr::eq(self.bytes.as_ptr(), other.bytes.as_ptr()) && self.len == other.len
    }

    /// How many bytes came.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none came.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// An input to be appended; its position and time are given by the writer.
#[derive(Clone, Debug)]
pub struct NewInput {
    /// What kind.
    pub kind: InputKind,
    /// The source, for messages and polls.
    pub source: Option<String>,
    /// The declared type of the body.
    pub content_type: Option<String>,
    /// What came around the body, as JSON, for sources that read it.
    pub envelope: Option<String>,
    /// The body as it came, or JSON.
    pub body: StoredBody,
}

/// An input as stored.
#[derive(Clone, Debug)]
pub struct StoredInput {
    /// Its position.
    pub seq: Seq,
    /// Its recorded time.
    pub at: Timestamp,
    /// What was appended.
    pub input: NewInput,
}

/// Rows of one statement at most. Each number up to it is a statement of its own that stays prepared: to cut the rows of
/// a commit into few sizes would cost two wake-ups for each.
const ROWS_PER_STATEMENT: usize = 32;

/// Appends inputs with the given positions and time.
pub(super) async fn append(
    tx: &mut Tx<'_>,
    partition: i64,
    first: Seq,
    at: Timestamp,
    inputs: &[&NewInput],
) -> Result<(), StoreError> {
    let mut seq = first;
    for rows in inputs.chunks(ROWS_PER_STATEMENT) {
        insert(tx.lend(), partition, seq, at, rows).await?;
        let count = i64::try_from(rows.len()).unwrap_or(1);
        seq = Seq::new(seq.get().saturating_add(count));
    }
    Ok(())
}

async fn insert(
    conn: Conn<'_>,
    partition: i64,
    first: Seq,
    at: Timestamp,
    inputs: &[&NewInput],
) -> Result<(), StoreError> {
    on!(conn, c => {
        let mut query = QueryBuilder::new("INSERT INTO input (partition, seq, at, kind, source, content_type, is_packed, body, envelope) ");
        query.push_values(inputs.iter().zip(first.get()..), |mut row, (input, seq)| {
            row.push_bind(partition)
                .push_bind(seq)
                .push_bind(at.as_millis())
                .push_bind(input.kind.word())
                .push_bind(input.source.as_deref())
                .push_bind(input.content_type.as_deref())
                .push_bind(input.body.is_packed)
                .push_bind(&input.body.bytes[..])
                .push_bind(input.envelope.as_deref());
        });
        query.build().execute(c).await?;
    });
    Ok(())
}

row! {
    struct InputRow {
        seq: i64,
        at: i64,
        kind: String,
        source: Option<String>,
        content_type: Option<String>,
        is_packed: bool,
        body: Vec<u8>,
        envelope: Option<String>,
    }
}

/// Inputs after a position, in order, at most so many.
///
/// # Errors
/// The database cannot be read.
pub async fn list_after(
    conn: Conn<'_>,
    partition: i64,
    after: Seq,
    at_most: i64,
) -> Result<Vec<StoredInput>, StoreError> {
    let rows: Vec<InputRow> = on!(conn, c => sqlx::query_as(
        "SELECT seq, at, kind, source, content_type, is_packed, body, envelope FROM input WHERE partition = $1 AND seq > $2 \
         ORDER BY seq LIMIT $3"
    ).bind(partition).bind(after.get()).bind(at_most).fetch_all(c).await?);
    rows.into_iter()
        .map(|row| {
            let kind = InputKind::ALL
                .into_iter()
                .find(|kind| kind.word() == row.kind);
            Ok(StoredInput {
                seq: Seq::new(row.seq),
                at: Timestamp::from_millis(row.at),
                input: NewInput {
                    kind: kind.ok_or_else(|| StoreError::corrupt("input", "kind", &row.kind))?,
                    source: row.source,
                    content_type: row.content_type,
                    envelope: row.envelope,
                    body: StoredBody {
                        len: row.body.len(),
                        bytes: row.body.into(),
                        is_packed: row.is_packed,
                    },
                },
            })
        })
        .collect()
}

/// The last position and time of the log; zero when it is empty.
pub(super) async fn find_last(
    conn: Conn<'_>,
    partition: i64,
) -> Result<(Seq, Option<Timestamp>), StoreError> {
    let last: Option<(i64, i64)> = on!(conn, c => sqlx::query_as(
        "SELECT seq, at FROM input WHERE partition = $1 ORDER BY seq DESC LIMIT 1"
    ).bind(partition).fetch_optional(c).await?);
    Ok(last.map_or((Seq::default(), None), |(seq, at)| {
        (Seq::new(seq), Some(Timestamp::from_millis(at)))
    }))
}
