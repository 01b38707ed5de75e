//! Pools of VCS agents: making, changing and deleting them, and what is seen of their agents.
//!
//! Takes inputs, gives rows, and a token where a key was made. Never: a key kept in the clear, a token shown again later,
//! or a pool gone whose name stands in an endpoint.

use gantry_protocol::crypto::random_text;
use gantry_protocol::{Digest, Secret};
use gantry_vcs_wire::PoolToken;

use super::pools::check_overlap;
use super::{Look, Manage, OperationError, door};
use crate::clock::UnixMillis;
use crate::domain::{VcsPoolId, VcsPoolName};
use crate::gateway::Agent;
use crate::store::vcs_pools::{self, VcsPool, VcsPoolKey};
use crate::store::vcs_requests::{self, AccessLine};
use crate::store::{StoreError, Tx};

/// The longest description, in bytes.
const DESCRIPTION_LIMIT: usize = 2000;

/// A pool of VCS agents to make.
#[derive(Clone, Debug)]
pub struct NewVcsPool {
    /// Its name, which stands in `private://` endpoints.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// The space; none is the caller's.
    pub space: Option<String>,
}

/// What to change of a pool; nothing stays as it is.
#[derive(Clone, Debug, Default)]
pub struct VcsPoolChange {
    /// Another name, if no endpoint has the one it has.
    pub name: Option<String>,
    /// Another description; an empty one takes it away.
    pub description: Option<String>,
    /// Another space, if no endpoint has its name.
    pub space: Option<String>,
}

impl Look {
    /// The pool of VCS agents of this id; nothing for a text that is no id either.
    pub async fn vcs_pool(&self, id: &str) -> Result<Option<VcsPool>, StoreError> {
        door::find_vcs_pool(&mut *self.read().await?, &self.principal, id).await
    }

    /// Every pool of VCS agents that the caller sees, in order of the names.
    pub async fn vcs_pools(&self) -> Result<Vec<VcsPool>, StoreError> {
        let mut all = vcs_pools::list(&mut *self.read().await?).await?;
        all.retain(|pool| self.principal.sees(&pool.space));
        Ok(all)
    }

    /// The agents of a pool that are connected now.
    pub fn vcs_agents(&self, pool: VcsPoolId) -> Vec<Agent> {
        self.app.gateway.agents(&pool)
    }

    /// Requests of a pool that wait for an agent.
    pub fn vcs_waiting(&self, pool: VcsPoolId) -> usize {
        self.app.gateway.waiting(&pool)
    }

    /// The keys of a pool, newest first.
    pub async fn vcs_pool_keys(&self, pool: VcsPoolId) -> Result<Vec<VcsPoolKey>, StoreError> {
        vcs_pools::keys(&mut *self.read().await?, pool).await
    }

    /// The newest requests that went through a pool, newest first.
    pub async fn vcs_requests(
        &self,
        pool: VcsPoolId,
        first: u32,
    ) -> Result<Vec<AccessLine>, StoreError> {
        vcs_requests::newest(&mut *self.read().await?, pool, first).await
    }
}

impl Manage {
    /// Makes a pool of VCS agents; gives the token for them, which is shown this once.
    pub async fn create_vcs_pool(
        &self,
        new: NewVcsPool,
    ) -> Result<(VcsPool, Secret), OperationError> {
        let name: VcsPoolName = new.name.parse()?;
        let id = VcsPoolId::from_ulid(self.app.store.new_id());
        let (key, token) = self.vcs_key(id)?;
        let now = UnixMillis::now();
        let pool = VcsPool {
            id,
            name,
            description: description(new.description)?,
            space: new.space.unwrap_or_else(|| door::home(&self.principal)),
            created_by: self.principal.name().to_owned(),
            created_at: now,
            updated_at: now,
        };
        let mut tx = self.app.store.begin().await?;
        door::space(&mut tx, &self.principal, &pool.space).await?;
        vcs_pools::insert(&mut tx, &pool).await?;
        vcs_pools::insert_key(&mut tx, id, &key).await?;
        self.vcs_pool_done(tx, "vcs_pool.create", id).await?;
        Ok((pool, token))
    }

    /// Changes a pool's words or space.
    pub async fn update_vcs_pool(
        &self,
        id: &str,
        change: VcsPoolChange,
    ) -> Result<VcsPool, OperationError> {
        let mut tx = self.app.store.begin().await?;
        let old = door::vcs_pool(&mut tx, &self.principal, id).await?;
        let name = match &change.name {
            Some(name) => name.parse()?,
            None => old.name.clone(),
        };
        let space = change.space.unwrap_or_else(|| old.space.clone());
        if name != old.name || space != old.space {
            door::space(&mut tx, &self.principal, &space).await?;
            vcs_pools::check_unused(&mut tx, &old).await?;
        }
        let pool = VcsPool {
            name,
            space,
            description: match change.description {
                Some(text) => description(Some(text))?,
                None => old.description.clone(),
            },
            updated_at: UnixMillis::now(),
            ..old
        };
        vcs_pools::update(&mut tx, &pool).await?;
        self.vcs_pool_done(tx, "vcs_pool.update", pool.id).await?;
        Ok(pool)
    }

    /// Gives a pool another key; gives the token for it, which is shown this once. Agents with the key before are let
    /// in for `overlap` seconds more.
    pub async fn reset_vcs_pool(
        &self,
        id: &str,
        overlap: u32,
    ) -> Result<(VcsPool, Secret), OperationError> {
        check_overlap(overlap)?;
        let now = UnixMillis::now();
        let mut tx = self.app.store.begin().await?;
        let pool = door::vcs_pool(&mut tx, &self.principal, id).await?;
        let (key, token) = self.vcs_key(pool.id)?;
        vcs_pools::retire(&mut tx, pool.id, now.plus(i64::from(overlap) * 1000)).await?;
        vcs_pools::insert_key(&mut tx, pool.id, &key).await?;
        let pool = VcsPool {
            updated_at: now,
            ..pool
        };
        vcs_pools::update(&mut tx, &pool).await?;
        self.vcs_pool_done(tx, "vcs_pool.reset", pool.id).await?;
        Ok((pool, token))
    }

    /// Deletes a pool whose name stands in no endpoint; its agents are let go.
    pub async fn delete_vcs_pool(&self, id: &str) -> Result<VcsPool, OperationError> {
        let mut tx = self.app.store.begin().await?;
        let pool = door::vcs_pool(&mut tx, &self.principal, id).await?;
        vcs_pools::check_unused(&mut tx, &pool).await?;
        vcs_pools::delete(&mut tx, pool.id, UnixMillis::now()).await?;
        self.vcs_pool_done(tx, "vcs_pool.delete", pool.id).await?;
        Ok(pool)
    }

    /// A new key, and the token with it.
    fn vcs_key(&self, pool: VcsPoolId) -> Result<(VcsPoolKey, Secret), OperationError> {
        let address = self.app.gateway.address();
        let host = address.ok_or(OperationError::NoGateway)?.to_owned();
        let key = random_text();
        let row = VcsPoolKey {
            id: self.app.store.new_id(),
            hash: Digest::of(key.expose().as_bytes()),
            created_by: self.principal.name().to_owned(),
            created_at: UnixMillis::now(),
            retires_at: None,
        };
        let token = PoolToken {
            host,
            key,
            pool: pool.to_string(),
        };
        Ok((row, token.encode()))
    }

    /// Makes a change durable; agents whose key is over are let go at once.
    async fn vcs_pool_done(
        &self,
        mut tx: Tx,
        action: &'static str,
        id: VcsPoolId,
    ) -> Result<(), OperationError> {
        self.record(&mut tx, action, format!("vcs_pool:{id}"))
            .await?;
        self.app.store.commit(tx).await?;
        self.app.gateway.recheck(&id);
        Ok(())
    }
}

fn description(text: Option<String>) -> Result<Option<String>, OperationError> {
    let text = text.filter(|text| !text.is_empty());
    if text
        .as_ref()
        .is_some_and(|text| text.len() > DESCRIPTION_LIMIT)
    {
        let rule = "expected at most 2000 bytes";
        return Err(OperationError::input("description", "…", rule));
    }
    Ok(text)
}
