//! Renewing leases.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use gantry_protocol::control::run::{Renew, Renewed};

use super::control::Control;
use super::problem::Refusal;
use super::session::Speaker;
use crate::clock::UnixMillis;
use crate::domain::{Actor, RunEvent};
use crate::store::leases::{self, LeaseRow, LeaseStanding};
use crate::store::runs::{self, RunRecord};
use crate::store::{StoreError, Tx, launchers};

pub(super) async fn renew(
    State(control): State<Arc<Control>>,
    speaker: Speaker,
    body: Result<Json<Renew>, JsonRejection>,
) -> Result<Json<Renewed>, Refusal> {
    let Json(asked) = body.map_err(|error| Refusal::malformed(error.body_text()))?;
    let now = UnixMillis::now();
    let mut lost = Vec::new();
    let mut restored = false;
    let mut tx = control.store.begin().await?;
    launchers::seen(&mut tx, speaker.launcher, now).await?;
    for lease in asked.leases {
        let held = leases::find(&mut tx, lease.run, lease.attempt).await?;
        match held.filter(|held| held.launcher == speaker.launcher) {
            Some(held) if held.standing != LeaseStanding::Ended => {
                leases::renew(&mut tx, lease.run, lease.attempt, speaker.launcher, now).await?;
                if held.standing == LeaseStanding::Lost {
                    restore(&mut tx, &held, now).await?;
                    restored = true;
                }
            }
            _ => lost.push(lease),
        }
    }
    if restored {
        control.store.commit(tx).await?;
    } else {
        // Nothing that anybody waits for has changed.
        tx.commit().await.map_err(StoreError::from)?;
    }
    Ok(Json(Renewed { lost }))
}

/// The launcher of a lost lease speaks again.
pub(super) async fn restore(
    tx: &mut Tx,
    lease: &LeaseRow,
    now: UnixMillis,
) -> Result<RunRecord, StoreError> {
    let (run, attempt) = (lease.run, lease.attempt);
    leases::stand(tx, run, attempt, LeaseStanding::Live, now).await?;
    let by = Actor::Launcher(lease.launcher);
    let event = RunEvent::ContactRestored(attempt);
    Ok(runs::apply(tx, run, &event, &by, None, now).await?.record)
}
