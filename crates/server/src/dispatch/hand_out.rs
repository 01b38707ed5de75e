//! One hand-over: from a waiting run and a launcher with room to a lease.
//!
//! Takes ids that were true a moment ago, checks them again inside the transaction. Never: a lease without
//! its message, or a message without its lease.

use gantry_protocol::control::envelope;
use gantry_protocol::control::inbox::{Content, SealedRun};
use gantry_protocol::payload::Stage;
use gantry_protocol::{LauncherId, PoolId, RunId, RunState};

use super::Dispatcher;
use super::choose::{Room, Waiting, choose};
use super::payload::PayloadError;
use crate::clock::UnixMillis;
use crate::domain::{Actor, RunEnd, RunEvent};
use crate::pki;
use crate::store::launchers::{self, Intake, Standing};
use crate::store::logs::{self, SectionId};
use crate::store::runs::{self, RunRecord};
use crate::store::{StoreError, inbox, leases, pools};

impl Dispatcher {
    /// Pairs a pool's waiting runs with its available launchers.
    pub(super) async fn matches(
        &self,
        pool: PoolId,
        now: UnixMillis,
    ) -> Result<Vec<(RunId, LauncherId)>, StoreError> {
        let mut conn = self.store.read().await?;
        let available = launchers::available(&mut conn, pool, now.plus(-self.terms.fresh)).await?;
        if available.is_empty() {
            return Ok(Vec::new());
        }
        let mut rooms = Vec::new();
        for launcher in available {
            let busy = leases::held(&mut conn, launcher.id).await?.len();
            let busy = u32::try_from(busy).unwrap_or(u32::MAX);
            rooms.push(Room {
                launcher: launcher.id,
                free: launcher.free_slots,
                busy,
            });
        }
        let waiting = leases::waiting_runs(&mut conn, pool).await?;
        let waiting: Vec<_> = waiting
            .into_iter()
            .map(|(run, run_type)| Waiting { run, run_type })
            .collect();
        Ok(choose(&waiting, &rooms))
    }

    /// Hands a run to a launcher, unless either has changed its mind.
    pub(super) async fn hand_out(
        &self,
        run: RunId,
        launcher: LauncherId,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        // Sealing takes milliseconds of computing: outside the transaction. The state version that it was
        // made for is checked inside.
        let before = runs::get(&mut *self.store.read().await?, run).await?;
        let Some(stage) = stage(before.run.state) else {
            return Ok(());
        };
        let sealed = self.seal(&before, stage, launcher, now).await?;
        let mut tx = self.store.begin().await?;
        let same = runs::get(&mut tx, run).await?.run == before.run;
        let willing = launchers::find(&mut tx, launcher)
            .await?
            .is_some_and(|known| {
                known.free_slots > 0
                    && known.intake == Intake::Open
                    && known.standing == Standing::Active
                    && known.pool == before.pool
            });
        if !same || !willing {
            return Ok(());
        }
        let by = Actor::Launcher(launcher);
        let leased = runs::apply(&mut tx, run, &RunEvent::Leased, &by, None, now)
            .await?
            .record
            .run;
        leases::insert(&mut tx, run, leased.attempt, launcher, stage, now).await?;
        let section = SectionId {
            run,
            attempt: leased.attempt,
            section: 0,
        };
        logs::open(&mut tx, section, leased.state, leased.version).await?;
        match sealed {
            Ok(sealed) => {
                let content = Content::Run(Box::new(sealed));
                let about = Some((run, leased.attempt));
                inbox::push(&mut tx, launcher, &content, about, now).await?;
                launchers::take_slot(&mut tx, launcher).await?;
            }
            Err(error) => {
                // Nobody could execute it: better a failed run with a reason than one that waits for ever.
                let note = crate::error::chain(&error);
                tracing::error!(%run, error = %note, "a run can't be handed out");
                let failed = RunEvent::Ended(leased.attempt, RunEnd::Failed);
                runs::apply(&mut tx, run, &failed, &by, Some(&note), now).await?;
                runs::add_note(&mut tx, run, &note).await?;
                let over = leases::LeaseStanding::Ended;
                leases::stand(&mut tx, run, leased.attempt, over, now).await?;
            }
        }
        self.store.commit(tx).await?;
        self.bells.ring(launcher);
        Ok(())
    }

    async fn seal(
        &self,
        run: &RunRecord,
        stage: Stage,
        launcher: LauncherId,
        now: UnixMillis,
    ) -> Result<Result<SealedRun, PayloadError>, StoreError> {
        let pool = pools::get(&mut *self.store.read().await?, run.pool).await?;
        let payload = match self.payload(run, stage, now).await? {
            Ok(payload) => payload,
            Err(error) => return Ok(Err(error)),
        };
        let Some(key) = pki::public_key(&pool.public_key) else {
            return Ok(Err(PayloadError::PoolKey { pool: pool.id }));
        };
        let signer = self.keys.envelope_signer(pool.created_at);
        let times = (now.seconds(), now.plus(self.terms.envelope).seconds());
        let sealed = envelope::issue(&payload, launcher, times, &key, signer);
        Ok(sealed.map_err(|source| PayloadError::Seal {
            run: run.run.id,
            source: Box::new(source),
        }))
    }
}

/// Which part of a run its next lease executes.
fn stage(state: RunState) -> Option<Stage> {
    match state {
        RunState::Ready => Some(Stage::Start),
        RunState::Confirmed => Some(Stage::Apply),
        _ => None,
    }
}
