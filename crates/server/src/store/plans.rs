//! Plans as data: which attempt sent what, and what plan policies said about it.
//!
//! Takes and gives rows; the documents are sealed objects elsewhere. Never: a verdict kept for another plan than it was
//! given about.

use gantry_protocol::{Attempt, Digest, RunId};

use super::codes::{from_json, parse, to_json, unreadable};
use super::launchers::as_i64;
use super::{Conn, StoreError};
use crate::clock::UnixMillis;
use crate::domain::PlanVerdict;

/// What is kept of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanContent {
    /// A document.
    Document {
        /// Key of the sealed object.
        blob: String,
        /// Size of the document in bytes.
        size: u64,
    },
    /// None: why.
    Withheld(String),
}

/// The plan of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanRow {
    /// The run.
    pub run: RunId,
    /// The attempt that planned.
    pub attempt: Attempt,
    /// SHA-256 of what the launcher sent.
    pub digest: Digest,
    /// What is kept of it.
    pub content: PlanContent,
    /// What plan policies said, once they were asked.
    pub verdict: Option<PlanVerdict>,
}

#[derive(sqlx::FromRow)]
struct Columns {
    run_id: String,
    attempt: i64,
    digest: String,
    blob: Option<String>,
    withheld: Option<String>,
    size: i64,
    verdict: Option<String>,
}

impl TryFrom<Columns> for PlanRow {
    type Error = StoreError;

    fn try_from(row: Columns) -> Result<Self, StoreError> {
        let attempt = u32::try_from(row.attempt).map_err(|_| unreadable("attempt", ""))?;
        let content = match (row.blob, row.withheld) {
            (Some(blob), None) => PlanContent::Document {
                blob,
                size: u64::try_from(row.size).unwrap_or_default(),
            },
            (None, Some(why)) => PlanContent::Withheld(why),
            _ => return Err(unreadable("run_plans.blob", &row.run_id)),
        };
        let verdict = row
            .verdict
            .map(|text| from_json("run_plans.verdict", &text));
        Ok(Self {
            run: parse("run id", &row.run_id)?,
            attempt: Attempt(attempt),
            digest: parse("digest", &row.digest)?,
            content,
            verdict: verdict.transpose()?,
        })
    }
}

/// The plan of an attempt.
pub async fn find(
    conn: &mut Conn,
    run: RunId,
    attempt: Attempt,
) -> Result<Option<PlanRow>, StoreError> {
    let sql = "SELECT * FROM run_plans WHERE run_id = $1 AND attempt = $2";
    let row: Option<Columns> = sqlx::query_as(sql)
        .bind(run.to_string())
        .bind(attempt.0)
        .fetch_optional(conn)
        .await?;
    row.map(PlanRow::try_from).transpose()
}

/// The newest plan of any attempt of a run.
pub async fn newest(conn: &mut Conn, run: RunId) -> Result<Option<PlanRow>, StoreError> {
    let sql = "SELECT * FROM run_plans WHERE run_id = $1 ORDER BY attempt DESC LIMIT 1";
    let row: Option<Columns> = sqlx::query_as(sql)
        .bind(run.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(PlanRow::try_from).transpose()
}

/// Keeps a plan; an earlier one of the same attempt is replaced with what was said about it.
pub async fn put(conn: &mut Conn, row: &PlanRow, at: UnixMillis) -> Result<(), StoreError> {
    let sql = "INSERT INTO run_plans (run_id, attempt, digest, blob, withheld, size, verdict,
                 stored_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
               ON CONFLICT (run_id, attempt) DO UPDATE SET digest = excluded.digest,
                 blob = excluded.blob, withheld = excluded.withheld, size = excluded.size,
                 verdict = excluded.verdict, stored_at = excluded.stored_at";
    let (blob, withheld, size) = match &row.content {
        PlanContent::Document { blob, size } => (Some(blob), None, *size),
        PlanContent::Withheld(why) => (None, Some(why), 0),
    };
    sqlx::query(sql)
        .bind(row.run.to_string())
        .bind(row.attempt.0)
        .bind(row.digest.to_string())
        .bind(blob)
        .bind(withheld)
        .bind(as_i64(size))
        .bind(row.verdict.as_ref().map(to_json))
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Keeps what was said about a plan, if it is still that one.
pub async fn keep_verdict(
    conn: &mut Conn,
    row: &PlanRow,
    verdict: &PlanVerdict,
) -> Result<(), StoreError> {
    let sql = "UPDATE run_plans SET verdict = $4
               WHERE run_id = $1 AND attempt = $2 AND digest = $3";
    sqlx::query(sql)
        .bind(row.run.to_string())
        .bind(row.attempt.0)
        .bind(row.digest.to_string())
        .bind(to_json(verdict))
        .execute(conn)
        .await?;
    Ok(())
}
