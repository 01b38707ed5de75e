//! One hand-over: from a waiting run and a launcher with room to a lease.
//!
//! Takes ids that were true a moment ago, checks them again inside the transaction. Never: a lease without
//! its message, or a message without its lease.

use gantry_protocol::control::envelope;
use gantry_protocol::control::inbox::{Content, SealedRun};
use gantry_protocol::payload::Stage;
use gantry_protocol::{LauncherId, PoolId, RunId, RunState};
use ulid::Ulid;

use super::Dispatcher;
use super::choose::{Room, Waiting, choose};
use super::payload::PayloadError;
use crate::clock::UnixMillis;
use crate::domain::{Actor, Cause, RunEnd, RunEvent};
use crate::pki;
use crate::store::launchers::{self, Intake, Standing};
use crate::store::logs::{self, SectionId};
use crate::store::runs::{self, RunRecord};
use crate::store::{StoreError, inbox, leases, pool_keys, pools};

impl Dispatcher {
    /// Pairs a pool's waiting runs with its available launchers.
    pub(super) async fn matches(
        &self,
        pool: PoolId,
        now: UnixMillis,
    ) -> Result<Vec<(RunId, LauncherId)>, StoreError> {
        let mut conn = self.store.read().await?;
        let mut available =
            launchers::available(&mut conn, pool, now.plus(-self.terms.fresh)).await?;
        let keys = pool_keys::valid(&mut conn, pool, now).await?;
        let counts = |key: Ulid| keys.iter().any(|known| known.id == key);
        available.retain(|launcher| counts(launcher.pool_key));
        if available.is_empty() {
            return Ok(Vec::new());
        }
        let mut rooms = Vec::new();
        for launcher in available {
            let busy = leases::held(&mut conn, launcher.id).await?.len();
            let busy = u32::try_from(busy).unwrap_or(u32::MAX);
            rooms.push(Room {
                launcher: launcher.id,
                key: launcher.pool_key,
                free: launcher.free_slots,
                busy,
            });
        }
        let mut waiting = leases::waiting_runs(&mut conn, pool).await?;
        if let Some(limit) = pools::get(&mut conn, pool).await?.drift_limit {
            let mut free = limit.saturating_sub(leases::drift_looks(&mut conn, pool).await?);
            waiting.retain(|run| match run.cause {
                Cause::Drift if free == 0 => false,
                Cause::Drift => {
                    free -= 1;
                    true
                }
                Cause::Asked => true,
            });
        }
        let mut all = Vec::with_capacity(waiting.len());
        for run in waiting {
            // With one key everybody has it. Whoever gets a workspace whose key is over says so, which is better
            // than to wait for nobody.
            let key = match keys.len() {
                0 | 1 => None,
                _ => pool_keys::of_workspace(&mut conn, run.run).await?,
            };
            let key = key.map(|key| key.id).filter(|key| counts(*key));
            all.push(Waiting { run, key });
        }
        Ok(choose(&all, &rooms))
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
        let mut conn = self.store.read().await?;
        let known = launchers::get(&mut conn, run.pool, launcher).await?;
        let key = pool_keys::find(&mut conn, known.pool_key).await?;
        drop(conn);
        let payload = match self.payload(run, stage, now).await? {
            Ok(payload) => payload,
            Err(error) => return Ok(Err(error)),
        };
        let opened = key.and_then(|key| Some((pki::public_key(&key.public_key)?, key.created_at)));
        let Some((key, token_made)) = opened else {
            return Ok(Err(PayloadError::PoolKey { pool: run.pool }));
        };
        let signer = self.keys.envelope_signer(token_made);
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
        RunState::ReplanRequested => Some(Stage::Replan),
        _ => None,
    }
}
