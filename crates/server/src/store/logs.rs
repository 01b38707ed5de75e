//! Index of log bytes: sections by run, attempt and number; pieces by offset.
//!
//! Takes and gives rows. Never: a piece that does not begin exactly where its section ends, or a piece that
//! stands half in the table and half in an object.

use gantry_protocol::{Attempt, RunId, RunState};

use super::codes::{parse, unreadable};
use super::launchers::as_i64;
use super::{Conn, StoreError};
use crate::clock::UnixMillis;
use crate::domain::StateVersion;

/// Names one section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SectionId {
    /// The run.
    pub run: RunId,
    /// The attempt.
    pub attempt: Attempt,
    /// Its number; 0 is the launcher's own.
    pub section: u32,
}

/// A section and how far it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Which one.
    pub id: SectionId,
    /// The state during which it was written.
    pub state: RunState,
    /// That state's place in the run's history.
    pub version: StateVersion,
    /// Bytes of the tool's output that are covered.
    pub raw_offset: u64,
    /// Bytes kept.
    pub stored: u64,
    /// Bytes kept in rows rather than objects.
    pub inline: u64,
}

/// Where a piece's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the row.
    Inline(Vec<u8>),
    /// In the object of this key.
    Blob(String),
}

/// Consecutive stored bytes of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Stored offset of the first byte.
    pub start: u64,
    /// How many.
    pub length: u64,
    /// Where they are.
    pub place: Place,
}

#[derive(sqlx::FromRow)]
struct Row {
    run_id: String,
    attempt: i64,
    section: i64,
    state: String,
    state_version: i64,
    raw_offset: i64,
    stored_bytes: i64,
    inline_bytes: i64,
}

#[derive(sqlx::FromRow)]
struct ChunkRow {
    start: i64,
    length: i64,
    data: Option<Vec<u8>>,
    blob: Option<String>,
}

fn count(column: &'static str, value: i64) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| unreadable(column, &value.to_string()))
}

fn small(column: &'static str, value: i64) -> Result<u32, StoreError> {
    u32::try_from(value).map_err(|_| unreadable(column, &value.to_string()))
}

impl TryFrom<Row> for Section {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let id = SectionId {
            run: parse("run id", &row.run_id)?,
            attempt: Attempt(small("attempt", row.attempt)?),
            section: small("section", row.section)?,
        };
        Ok(Self {
            id,
            state: parse("state", &row.state)?,
            version: StateVersion(small("state_version", row.state_version)?),
            raw_offset: count("raw_offset", row.raw_offset)?,
            stored: count("stored_bytes", row.stored_bytes)?,
            inline: count("inline_bytes", row.inline_bytes)?,
        })
    }
}

impl TryFrom<ChunkRow> for Chunk {
    type Error = StoreError;

    fn try_from(row: ChunkRow) -> Result<Self, StoreError> {
        let place = match (row.data, row.blob) {
            (Some(data), None) => Place::Inline(data),
            (None, Some(key)) => Place::Blob(key),
            _ => return Err(unreadable("log_chunks.data", "")),
        };
        Ok(Self {
            start: count("start", row.start)?,
            length: count("length", row.length)?,
            place,
        })
    }
}

/// Opens a section.
pub async fn open(
    conn: &mut Conn,
    id: SectionId,
    state: RunState,
    version: StateVersion,
) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO log_sections (run_id, attempt, section, state, state_version, raw_offset,
                 stored_bytes, inline_bytes)
               VALUES ($1, $2, $3, $4, $5, 0, 0, 0)";
    sqlx::query(sql)
        .bind(id.run.to_string())
        .bind(id.attempt.0)
        .bind(id.section)
        .bind(state.as_str())
        .bind(version.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// The section of this name.
pub async fn find(conn: &mut Conn, id: SectionId) -> Result<Option<Section>, StoreError> {
    let sql = "SELECT * FROM log_sections WHERE run_id = $1 AND attempt = $2 AND section = $3";
    let row: Option<Row> = sqlx::query_as(sql)
        .bind(id.run.to_string())
        .bind(id.attempt.0)
        .bind(id.section)
        .fetch_optional(conn)
        .await?;
    row.map(Section::try_from).transpose()
}

/// The section of a place in the run's history.
pub async fn of_version(
    conn: &mut Conn,
    run: RunId,
    version: StateVersion,
) -> Result<Option<Section>, StoreError> {
    let sql = "SELECT * FROM log_sections WHERE run_id = $1 AND state_version = $2";
    let row: Option<Row> = sqlx::query_as(sql)
        .bind(run.to_string())
        .bind(version.0)
        .fetch_optional(conn)
        .await?;
    row.map(Section::try_from).transpose()
}

/// All sections of one attempt, in order.
pub async fn of_attempt(
    conn: &mut Conn,
    run: RunId,
    attempt: Attempt,
) -> Result<Vec<Section>, StoreError> {
    let sql = "SELECT * FROM log_sections WHERE run_id = $1 AND attempt = $2 ORDER BY section";
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(run.to_string())
        .bind(attempt.0)
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(Section::try_from).collect()
}

/// The section whose raw bytes `from..to` a piece covers, if the section ends exactly at `from`: it grows,
/// and the piece is written. `None` leaves everything as it was.
pub async fn append(
    conn: &mut Conn,
    id: SectionId,
    range: std::ops::Range<u64>,
    length: u64,
    place: &Place,
) -> Result<Option<Section>, StoreError> {
    let inline = if matches!(place, Place::Inline(_)) {
        length
    } else {
        0
    };
    let sql = "UPDATE log_sections SET raw_offset = $5, stored_bytes = stored_bytes + $6,
                 inline_bytes = inline_bytes + $7
               WHERE run_id = $1 AND attempt = $2 AND section = $3 AND raw_offset = $4
               RETURNING *";
    let row: Option<Row> = sqlx::query_as(sql)
        .bind(id.run.to_string())
        .bind(id.attempt.0)
        .bind(id.section)
        .bind(as_i64(range.start))
        .bind(as_i64(range.end))
        .bind(as_i64(length))
        .bind(as_i64(inline))
        .fetch_optional(&mut *conn)
        .await?;
    let Some(section) = row.map(Section::try_from).transpose()? else {
        return Ok(None);
    };
    if length > 0 {
        insert_chunk(conn, id, section.stored - length, length, place).await?;
    }
    Ok(Some(section))
}

async fn insert_chunk(
    conn: &mut Conn,
    id: SectionId,
    start: u64,
    length: u64,
    place: &Place,
) -> Result<(), StoreError> {
    let (data, blob) = match place {
        Place::Inline(data) => (Some(data.as_slice()), None),
        Place::Blob(key) => (None, Some(key)),
    };
    let sql = "INSERT INTO log_chunks (run_id, attempt, section, start, length, data, blob)
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    sqlx::query(sql)
        .bind(id.run.to_string())
        .bind(id.attempt.0)
        .bind(id.section)
        .bind(as_i64(start))
        .bind(as_i64(length))
        .bind(data)
        .bind(blob)
        .execute(conn)
        .await?;
    Ok(())
}

/// Up to `limit` pieces that hold bytes from `offset` on, in order.
pub async fn chunks(
    conn: &mut Conn,
    id: SectionId,
    offset: u64,
    limit: u32,
) -> Result<Vec<Chunk>, StoreError> {
    let sql = "SELECT start, length, data, blob FROM log_chunks
               WHERE run_id = $1 AND attempt = $2 AND section = $3
                 AND start >= COALESCE((SELECT MAX(start) FROM log_chunks WHERE run_id = $1
                   AND attempt = $2 AND section = $3 AND start <= $4), 0)
               ORDER BY start LIMIT $5";
    let rows: Vec<ChunkRow> = sqlx::query_as(sql)
        .bind(id.run.to_string())
        .bind(id.attempt.0)
        .bind(id.section)
        .bind(as_i64(offset))
        .bind(limit)
        .fetch_all(conn)
        .await?;
    let chunks: Result<Vec<Chunk>, StoreError> = rows.into_iter().map(Chunk::try_from).collect();
    Ok(chunks?
        .into_iter()
        .filter(|chunk| chunk.start + chunk.length > offset)
        .collect())
}

/// The first unbroken row of pieces that still stand in the table: what one object can replace.
pub async fn inline_run(conn: &mut Conn, id: SectionId) -> Result<Vec<Chunk>, StoreError> {
    let sql = "SELECT start, length, data, blob FROM log_chunks
               WHERE run_id = $1 AND attempt = $2 AND section = $3 AND data IS NOT NULL
               ORDER BY start";
    let rows: Vec<ChunkRow> = sqlx::query_as(sql)
        .bind(id.run.to_string())
        .bind(id.attempt.0)
        .bind(id.section)
        .fetch_all(conn)
        .await?;
    let mut run: Vec<Chunk> = Vec::new();
    for row in rows {
        let chunk = Chunk::try_from(row)?;
        if run
            .last()
            .is_some_and(|last| last.start + last.length != chunk.start)
        {
            break;
        }
        run.push(chunk);
    }
    Ok(run)
}

/// Puts one object in the place of the `pieces` rows that begin at `start`; `false` when they are no longer
/// there, and nothing changes.
pub async fn replace(
    conn: &mut Conn,
    id: SectionId,
    range: std::ops::Range<u64>,
    pieces: u64,
    blob: &str,
) -> Result<bool, StoreError> {
    let sql = "DELETE FROM log_chunks WHERE run_id = $1 AND attempt = $2 AND section = $3
                 AND start >= $4 AND start < $5 AND data IS NOT NULL";
    let gone = sqlx::query(sql)
        .bind(id.run.to_string())
        .bind(id.attempt.0)
        .bind(id.section)
        .bind(as_i64(range.start))
        .bind(as_i64(range.end))
        .execute(&mut *conn)
        .await?;
    if gone.rows_affected() != pieces {
        return Ok(false);
    }
    let length = range.end - range.start;
    insert_chunk(conn, id, range.start, length, &Place::Blob(blob.to_owned())).await?;
    let sql = "UPDATE log_sections SET inline_bytes = inline_bytes - $4
               WHERE run_id = $1 AND attempt = $2 AND section = $3";
    sqlx::query(sql)
        .bind(id.run.to_string())
        .bind(id.attempt.0)
        .bind(id.section)
        .bind(as_i64(length))
        .execute(conn)
        .await?;
    Ok(true)
}

/// Attempts whose lease is over and that still have small pieces in the table.
pub async fn scattered(conn: &mut Conn) -> Result<Vec<(RunId, Attempt)>, StoreError> {
    let sql = "SELECT DISTINCT s.run_id, s.attempt FROM log_sections s
               JOIN leases l ON l.run_id = s.run_id AND l.attempt = s.attempt
               WHERE s.inline_bytes > 0 AND l.standing = 'ENDED' LIMIT 100";
    let rows: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(conn).await?;
    let name = |(run, attempt): &(String, i64)| {
        Ok((parse("run id", run)?, Attempt(small("attempt", *attempt)?)))
    };
    rows.iter().map(name).collect()
}

/// Up to `limit` runs that ended before `before` and still have logs, the longest ended first.
pub async fn of_ended_runs(
    conn: &mut Conn,
    before: UnixMillis,
    limit: u32,
) -> Result<Vec<RunId>, StoreError> {
    let sql = "SELECT id FROM runs WHERE logs = 'KEPT' AND entered_at < $1
                 AND state IN ('FINISHED', 'FAILED', 'STOPPED', 'DISCARDED', 'CANCELED', 'SKIPPED')
               ORDER BY entered_at LIMIT $2";
    let rows: Vec<(String,)> = sqlx::query_as(sql)
        .bind(before.0)
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(|(id,)| parse("run id", id)).collect()
}

/// Keys of the objects that hold a run's logs.
pub async fn objects(conn: &mut Conn, run: RunId) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT DISTINCT blob FROM log_chunks WHERE run_id = $1 AND blob IS NOT NULL";
    let rows: Vec<(String,)> = sqlx::query_as(sql)
        .bind(run.to_string())
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(|(blob,)| blob).collect())
}

/// Removes a run's logs, and remembers that.
pub async fn remove(conn: &mut Conn, run: RunId) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM log_chunks WHERE run_id = $1",
        "DELETE FROM log_sections WHERE run_id = $1",
        "UPDATE runs SET logs = 'REMOVED' WHERE id = $1",
    ] {
        let run = run.to_string();
        sqlx::query(sql).bind(run).execute(&mut *conn).await?;
    }
    Ok(())
}
