//! What people change of a pool: its key, its words, who may join it.
//!
//! Takes a pool and inputs, changes its rows in one transaction. Never: a token shown again later, or a former key
//! that counts longer than was said.

use ulid::Ulid;

use super::manage::check_name;
use super::{Manage, OperationError, door};
use crate::clock::UnixMillis;
use crate::domain::EnrolmentRules;
use crate::pki::PoolCertificate;
use crate::store::launchers::{self, Launcher, Standing};
use crate::store::leases::Held;
use crate::store::pool_keys::{self, PoolKey};
use crate::store::pools::{self, Pool};

/// How long a former key counts after a reset, unless said otherwise: a working day and its evening.
pub const DEFAULT_OVERLAP_SECONDS: u32 = 24 * 3600;

/// The longest overlap: what a reset is for should not outlive a quarter.
const MAX_OVERLAP_SECONDS: u32 = 90 * 24 * 3600;

/// Refuses an overlap, in seconds, that is too long.
pub(super) fn check_overlap(overlap: u32) -> Result<(), OperationError> {
    if overlap <= MAX_OVERLAP_SECONDS {
        return Ok(());
    }
    let rule = "expected at most 90 days";
    let given = overlap.to_string();
    Err(OperationError::input("overlapSeconds", &given, rule))
}

/// What to change of a pool; nothing stays as it is.
#[derive(Clone, Debug, Default)]
pub struct PoolChange {
    /// Another name.
    pub name: Option<String>,
    /// Another description; an empty one takes it away.
    pub description: Option<String>,
    /// Other labels.
    pub labels: Option<Vec<String>>,
    /// Other rules for newcomers.
    pub enrolment: Option<EnrolmentRules>,
    /// Another limit of looks for drift at once; nothing inside is any number.
    pub drift_limit: Option<Option<u32>>,
}

impl Manage {
    /// Gives a pool another key; the text is the token for it, shown this once. The key before counts for `overlap`
    /// seconds more: its launchers get runs, and plans that they packed can be confirmed.
    pub async fn reset_pool(
        &self,
        id: &str,
        csr: &str,
        overlap: u32,
    ) -> Result<(Pool, String), OperationError> {
        check_overlap(overlap)?;
        let now = UnixMillis::now();
        let mut tx = self.app.store.begin().await?;
        let before = door::pool(&mut tx, &self.principal, id).await?;
        let id = before.id;
        let issued = self.app.keyring.issue(csr, id)?;
        let key = self.pool_key(self.app.store.new_id(), issued);
        if before.key.public_key == key.public_key {
            return Err(OperationError::SameKey {
                pool: id.to_string(),
            });
        }
        pool_keys::retire(&mut tx, id, now.plus(i64::from(overlap) * 1000)).await?;
        pool_keys::insert(&mut tx, id, &key).await?;
        let pool = Pool { key, ..before };
        self.record(&mut tx, "pool.reset", format!("pool:{id}"))
            .await?;
        self.app.store.commit(tx).await?;
        let token = self.token(&pool);
        Ok((pool, token))
    }

    /// Changes a pool's words and rules.
    pub async fn update_pool(&self, id: &str, change: PoolChange) -> Result<Pool, OperationError> {
        if let Some(name) = &change.name {
            check_name(name)?;
        }
        let mut tx = self.app.store.begin().await?;
        let before = door::pool(&mut tx, &self.principal, id).await?;
        let id = before.id;
        let description = match change.description {
            Some(text) => Some(text).filter(|text| !text.is_empty()),
            None => before.description.clone(),
        };
        let pool = Pool {
            name: change.name.unwrap_or_else(|| before.name.clone()),
            description,
            labels: change.labels.unwrap_or_else(|| before.labels.clone()),
            enrolment: change.enrolment.unwrap_or_else(|| before.enrolment.clone()),
            drift_limit: change.drift_limit.unwrap_or(before.drift_limit),
            ..before
        };
        pools::update(&mut tx, &pool).await?;
        self.record(&mut tx, "pool.update", format!("pool:{id}"))
            .await?;
        self.app.store.commit(tx).await?;
        Ok(pool)
    }

    /// Lets a launcher in that waits for it.
    pub async fn approve_worker(
        &self,
        pool: &str,
        id: &str,
    ) -> Result<(Launcher, Held), OperationError> {
        let (mut tx, launcher) = self.worker(pool, id).await?;
        if let Standing::Pending { .. } = launcher.standing {
            let at = UnixMillis::now();
            launchers::set_standing(&mut tx, launcher.id, &Standing::Active, at).await?;
        }
        self.finish(tx, launcher, "worker.approve").await
    }

    /// A key as its certificate has it.
    pub(super) fn pool_key(&self, id: Ulid, issued: PoolCertificate) -> PoolKey {
        PoolKey {
            id,
            csr: issued.csr_pem,
            certificate: issued.pem,
            public_key: issued.public_key_pem,
            created_by: self.principal.name().to_owned(),
            created_at: UnixMillis::now(),
            retires_at: None,
        }
    }

    /// The token for launchers with a pool's current key.
    pub(super) fn token(&self, pool: &Pool) -> String {
        let (keyring, base) = (&self.app.keyring, &self.app.base_url);
        keyring.token(pool.id, &pool.key.certificate, base).encode()
    }
}
