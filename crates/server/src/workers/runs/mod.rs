//! What launchers say about runs in their hands.
//!
//! Every path names run and attempt. [`held`] decides first whose they are: a run of another launcher does
//! not exist, an attempt below the newest is stale. Never: a write about a run that this did not pass.

mod grant;
mod log;
mod phase;
mod plan;
mod result;
mod state;
mod verdict;
mod workspace;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post, put};
use gantry_protocol::control::ProblemCode;
use gantry_protocol::plan::MAX_PLAN_DATA;
use gantry_protocol::{Attempt, RunId};

use super::control::Control;
use super::problem::Refusal;
use super::session::Speaker;
use crate::store::leases::{self, LeaseRow, LeaseStanding};
use crate::store::runs::{self, RunRecord};
use crate::store::{Conn, StoreError};
use crate::tfstate::MAX_STATE;

/// Largest accepted piece of a log in bytes.
const MAX_LOG: usize = 4 << 20;

pub(super) fn router() -> Router<Arc<Control>> {
    let run = "/runs/{run}/{attempt}";
    Router::new()
        .route(&format!("{run}/phase"), post(phase::enter))
        .route(&format!("{run}/grant"), post(grant::grant))
        .route(&format!("{run}/result"), post(result::result))
        .route(
            &format!("{run}/log/{{section}}"),
            get(log::position)
                .post(log::append)
                .layer(DefaultBodyLimit::max(MAX_LOG)),
        )
        .route(
            &format!("{run}/workspace"),
            get(workspace::get).put(workspace::put),
        )
        .route(&format!("{run}/upload"), get(workspace::get_upload))
        .route(
            &format!("{run}/plan"),
            put(plan::put).layer(DefaultBodyLimit::max(MAX_PLAN_DATA)),
        )
        .route(
            &format!("{run}/errored-state"),
            put(workspace::put_errored_state),
        )
        .route(
            &format!("{run}/state/{{verb}}"),
            post(state::state).layer(DefaultBodyLimit::max(MAX_STATE)),
        )
}

/// An attempt of a run in a launcher's hands.
#[derive(Debug)]
pub(super) struct Held {
    /// The run.
    pub(super) record: RunRecord,
    /// The lease.
    pub(super) lease: LeaseRow,
}

/// The run, if this attempt of it was given to the speaker and no newer one was issued.
pub(super) async fn held(
    conn: &mut Conn,
    speaker: Speaker,
    run: RunId,
    attempt: Attempt,
) -> Result<Held, Refusal> {
    let missing = || Refusal::not_found(format!("attempt {attempt} of run {run}"));
    let lease = leases::find(conn, run, attempt).await?;
    let lease = lease
        .filter(|lease| lease.launcher == speaker.launcher)
        .ok_or_else(missing)?;
    let record = runs::get(conn, run).await?;
    if attempt < record.run.attempt {
        return Err(stale(&record, attempt));
    }
    Ok(Held { record, lease })
}

impl Held {
    /// Refuses what only a lease that is not over may do.
    pub(super) fn current(self) -> Result<Self, Refusal> {
        if self.lease.standing != LeaseStanding::Ended {
            return Ok(self);
        }
        if self.record.run.state.is_terminal() {
            let (run, state) = (self.record.run.id, self.record.run.state);
            let text = format!("run {run} has already ended as {state}");
            return Err(Refusal::new(ProblemCode::Conflict, text));
        }
        // Taken back before a grant, or handed in: whoever goes on with it does so under a new attempt.
        Err(stale(&self.record, self.lease.attempt))
    }

    /// A request about a lease is a sign of life, and the end of a lost contact.
    pub(super) async fn alive(
        &mut self,
        tx: &mut crate::store::Tx,
        now: crate::clock::UnixMillis,
    ) -> Result<(), StoreError> {
        let (run, attempt) = (self.lease.run, self.lease.attempt);
        leases::renew(tx, run, attempt, self.lease.launcher, now).await?;
        if self.lease.standing == LeaseStanding::Lost {
            self.record = super::leases::restore(tx, &self.lease, now).await?;
            self.lease.standing = LeaseStanding::Live;
        }
        Ok(())
    }
}

fn stale(record: &RunRecord, attempt: Attempt) -> Refusal {
    let (run, newest) = (record.run.id, record.run.attempt);
    let text = format!("attempt {attempt} of run {run} is stale (newest: {newest}); stop it");
    Refusal::new(ProblemCode::StaleAttempt, text)
}
