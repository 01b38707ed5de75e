//! Payloads, and the documents of them that people sign: one way to both, so that what is signed is what is sent.
//!
//! Takes a run as recorded, also one that does not exist yet. Never: a payload given to anybody but a launcher.

use gantry_protocol::control::workspace::WorkspaceAttestation;
use gantry_protocol::crypto::{jws, random_text};
use gantry_protocol::payload::{RunPayload, Stage};
use gantry_protocol::plan::{PlannedChange, digest_of};
use gantry_protocol::signature::{RunDocument, SignedPhase};
use gantry_protocol::{Attempt, RunId};

use super::Dispatcher;
use super::payload::{Handing, PayloadError, build};
use crate::clock::UnixMillis;
use crate::error::chain;
use crate::plans::PlanKeeperError;
use crate::store::runs::RunRecord;
use crate::store::{StoreError, plans, stack_salts};

/// What people sign before a lease of a run.
#[derive(Clone, Debug)]
pub struct Signable {
    /// The run as its launcher would get it.
    pub document: RunDocument,
    /// What a signature has to be for.
    pub phase: SignedPhase,
    /// Of an apply: what the launcher that planned signed, exactly as it was stored.
    pub attestation: Option<String>,
}

impl Dispatcher {
    /// What would have to be signed for the run's next lease, if it executed `stage` now.
    ///
    /// # Errors
    /// When the database fails; inside, when the run could not be handed to anybody.
    pub async fn signable(
        &self,
        record: &RunRecord,
        stage: Stage,
    ) -> Result<Result<Signable, PayloadError>, StoreError> {
        let payload = match self.signed_part(record, stage, UnixMillis::now()).await? {
            Ok(payload) => payload,
            Err(error) => return Ok(Err(error)),
        };
        Ok(Ok(Signable {
            document: RunDocument::of(&payload),
            phase: SignedPhase::of(payload.run_type, stage, payload.autodeploy),
            attestation: payload.workspace.map(|workspace| workspace.attestation),
        }))
    }

    /// The payload of a lease of `stage` of the run, made now.
    pub(super) async fn payload(
        &self,
        record: &RunRecord,
        stage: Stage,
        now: UnixMillis,
    ) -> Result<Result<RunPayload, PayloadError>, StoreError> {
        let mut payload = match self.signed_part(record, stage, now).await? {
            Ok(payload) => payload,
            Err(error) => return Ok(Err(error)),
        };
        if let (Stage::Apply, Some(workspace)) = (stage, payload.workspace.as_mut())
            && vouches_for_changes(&workspace.attestation)
        {
            workspace.changes = self.changes(payload.run, workspace.attempt).await?;
        }
        Ok(Ok(payload))
    }

    /// The payload without what its attestation vouches for, which nobody signs for beside it.
    async fn signed_part(
        &self,
        record: &RunRecord,
        stage: Stage,
        now: UnixMillis,
    ) -> Result<Result<RunPayload, PayloadError>, StoreError> {
        if let Err(error) = self.salted(record, now).await? {
            return Ok(Err(error));
        }
        let handing = Handing {
            account: &self.account,
            stage,
            now,
        };
        let mut conn = self.store.read().await?;
        build(&mut conn, &self.vault, record, handing).await
    }

    /// What the plan of an attempt changes, for a host that wants to know before it applies. One that has a policy
    /// refuses an apply whose list is gone, and no other one looks.
    async fn changes(
        &self,
        run: RunId,
        attempt: Attempt,
    ) -> Result<Option<Vec<PlannedChange>>, StoreError> {
        let row = plans::find(&mut *self.store.read().await?, run, attempt).await?;
        let Some(row) = row else {
            return Ok(None);
        };
        match self.plans.changes(&row).await {
            Ok(changes) => Ok(changes.filter(|changes| digest_of(changes).is_some())),
            Err(PlanKeeperError::Store(error)) => Err(error),
            Err(error) => {
                tracing::warn!(%run, error = chain(&error), "an apply goes without what its plan changes");
                Ok(None)
            }
        }
    }

    /// Sees to it that the run's stack has a salt.
    async fn salted(
        &self,
        record: &RunRecord,
        now: UnixMillis,
    ) -> Result<Result<(), PayloadError>, StoreError> {
        let stack = &record.run.stack;
        let mut conn = self.store.read().await?;
        if stack_salts::find(&mut conn, stack).await?.is_some() {
            return Ok(Ok(()));
        }
        drop(conn);
        let purpose = stack_salts::sealing_purpose(stack);
        let sealed = match self.vault.seal(&purpose, random_text().expose().as_bytes()) {
            Ok(sealed) => sealed,
            Err(source) => {
                let stack = stack.clone();
                return Ok(Err(PayloadError::Salt { stack, source }));
            }
        };
        let mut tx = self.store.begin().await?;
        stack_salts::keep(&mut tx, stack, &sealed, now).await?;
        self.store.commit(tx).await?;
        Ok(Ok(()))
    }
}

/// Whether the launcher that planned signed for its changes, too. Nobody could believe a list that it did not sign for, and
/// launchers of its age refuse payloads with members that they do not know. (It was verified when it was stored.)
fn vouches_for_changes(attestation: &str) -> bool {
    let claims = jws::unproven::<WorkspaceAttestation>(attestation);
    claims.is_some_and(|claims| claims.changes.is_some())
}
