//! What people do to the launchers of a pool.
//!
//! Takes a pool and a launcher, changes its row and tells it through its inbox, in one transaction.

use gantry_protocol::LauncherId;
use gantry_protocol::control::inbox::Content;

use super::{Manage, OperationError, door};
use crate::clock::UnixMillis;
use crate::store::launchers::{self, Intake, Launcher, Standing};
use crate::store::leases::{self, Held};
use crate::store::{Tx, inbox};

impl Manage {
    /// Tells every launcher of a pool to finish what it has, end, and be started anew.
    pub async fn cycle_pool(&self, id: &str) -> Result<(), OperationError> {
        let at = UnixMillis::now();
        let mut tx = self.app.store.begin().await?;
        let id = door::pool(&mut tx, &self.principal, id).await?.id;
        for launcher in launchers::of_pool(&mut tx, id).await? {
            inbox::push(&mut tx, launcher.id, &Content::Cycle, None, at).await?;
        }
        self.record(&mut tx, "pool.cycle", format!("pool:{id}"))
            .await?;
        Ok(self.app.store.commit(tx).await?)
    }

    /// Closes or opens a launcher to new runs; gives it and how many runs it has.
    pub async fn drain_worker(
        &self,
        pool: &str,
        id: &str,
        drain: bool,
    ) -> Result<(Launcher, Held), OperationError> {
        let (mut tx, launcher) = self.worker(pool, id).await?;
        let intake = if drain { Intake::Drained } else { Intake::Open };
        launchers::set_intake(&mut tx, launcher.id, intake).await?;
        let message = Content::Drain { on: drain };
        inbox::push(&mut tx, launcher.id, &message, None, UnixMillis::now()).await?;
        self.finish(
            tx,
            launcher,
            if drain {
                "worker.drain"
            } else {
                "worker.undrain"
            },
        )
        .await
    }

    /// Shuts a launcher out for good.
    pub async fn revoke_worker(
        &self,
        pool: &str,
        id: &str,
    ) -> Result<(Launcher, Held), OperationError> {
        let (mut tx, launcher) = self.worker(pool, id).await?;
        let at = UnixMillis::now();
        launchers::set_standing(&mut tx, launcher.id, &Standing::Revoked { at }, at).await?;
        self.finish(tx, launcher, "worker.revoke").await
    }

    /// Lets a launcher in again that was shut out because two processes used its identity.
    pub async fn clear_quarantine(
        &self,
        pool: &str,
        id: &str,
    ) -> Result<(Launcher, Held), OperationError> {
        let (mut tx, launcher) = self.worker(pool, id).await?;
        let at = UnixMillis::now();
        launchers::set_standing(&mut tx, launcher.id, &Standing::Active, at).await?;
        self.finish(tx, launcher, "worker.quarantine.clear").await
    }

    pub(super) async fn worker(
        &self,
        pool: &str,
        id: &str,
    ) -> Result<(Tx, Launcher), OperationError> {
        let id: LauncherId = id.parse()?;
        let mut tx = self.app.store.begin().await?;
        let pool = door::pool(&mut tx, &self.principal, pool).await?.id;
        let launcher = launchers::get(&mut tx, pool, id).await?;
        Ok((tx, launcher))
    }

    pub(super) async fn finish(
        &self,
        mut tx: Tx,
        launcher: Launcher,
        action: &'static str,
    ) -> Result<(Launcher, Held), OperationError> {
        let after = launchers::get(&mut tx, launcher.pool, launcher.id).await?;
        let held = leases::held_by(&mut tx, &[launcher.id]).await?;
        let held = held.get(&launcher.id).copied().unwrap_or_default();
        self.record(&mut tx, action, format!("launcher:{}", launcher.id))
            .await?;
        self.app.store.commit(tx).await?;
        Ok((after, held))
    }
}
