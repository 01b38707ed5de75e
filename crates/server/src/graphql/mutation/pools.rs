//! Making and deleting pools, and what people do to workers.

use async_graphql::{Context, Error, ID, Object};

use crate::graphql::context::manage;
use crate::graphql::pool::{Worker, WorkerPool};
use crate::operations::NewPool;

#[derive(Default)]
pub(super) struct PoolMutation;

#[Object]
impl PoolMutation {
    /// Makes a pool from a signing request (PEM, or base64 of it). `config` of the answer is the token for
    /// its launchers; it is shown this once.
    async fn worker_pool_create(
        &self,
        ctx: &Context<'_>,
        name: String,
        certificate_signing_request: String,
        description: Option<String>,
        labels: Option<Vec<String>>,
        space: Option<ID>,
    ) -> Result<WorkerPool, Error> {
        let new = NewPool {
            name,
            csr: certificate_signing_request,
            description,
            labels: labels.unwrap_or_default(),
            space: space.map(|id| id.to_string()),
        };
        let (pool, token) = manage(ctx)?.create_pool(new).await?;
        Ok(WorkerPool::created(pool, token))
    }

    /// Deletes a pool that no stack uses.
    async fn worker_pool_delete(&self, ctx: &Context<'_>, id: ID) -> Result<WorkerPool, Error> {
        Ok(WorkerPool::listed(manage(ctx)?.delete_pool(&id).await?))
    }

    /// Tells every worker of a pool to finish what it has and start anew.
    async fn worker_pool_cycle(&self, ctx: &Context<'_>, id: ID) -> Result<bool, Error> {
        manage(ctx)?.cycle_pool(&id).await?;
        Ok(true)
    }

    /// Closes or opens a worker to new runs.
    async fn worker_drain_set(
        &self,
        ctx: &Context<'_>,
        worker_pool: ID,
        id: ID,
        drain: bool,
    ) -> Result<Worker, Error> {
        let (launcher, held) = manage(ctx)?.drain_worker(&worker_pool, &id, drain).await?;
        Ok(Worker::new(launcher, held))
    }

    /// Shuts a worker out for good.
    async fn worker_revoke(
        &self,
        ctx: &Context<'_>,
        worker_pool: ID,
        id: ID,
    ) -> Result<Worker, Error> {
        let (launcher, held) = manage(ctx)?.revoke_worker(&worker_pool, &id).await?;
        Ok(Worker::new(launcher, held))
    }

    /// Lets a worker in again after a person has looked why two processes used its identity.
    async fn worker_quarantine_clear(
        &self,
        ctx: &Context<'_>,
        worker_pool: ID,
        id: ID,
    ) -> Result<Worker, Error> {
        let (launcher, held) = manage(ctx)?.clear_quarantine(&worker_pool, &id).await?;
        Ok(Worker::new(launcher, held))
    }
}
