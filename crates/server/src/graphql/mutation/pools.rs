//! Making and deleting pools, and what people do to workers.

use async_graphql::{Context, Error, ID, InputObject, Object};
use ipnet::IpNet;

use crate::domain::{Admission, EnrolmentRules};
use crate::graphql::context::manage;
use crate::graphql::pool::{Worker, WorkerPool};
use crate::operations::{DEFAULT_OVERLAP_SECONDS, NewPool, OperationError, PoolChange};

#[derive(Default)]
pub(super) struct PoolMutation;

/// Who may become a launcher of a pool.
#[derive(InputObject)]
struct WorkerPoolEnrolmentInput {
    /// Whether a newcomer waits until an administrator lets it in.
    #[graphql(default)]
    approval: bool,
    /// Where newcomers may come from (CIDR); none for anywhere.
    #[graphql(default)]
    addresses: Vec<String>,
    /// How many launchers the pool may have; nothing for any number.
    max_workers: Option<u32>,
}

impl TryFrom<WorkerPoolEnrolmentInput> for EnrolmentRules {
    type Error = OperationError;

    fn try_from(input: WorkerPoolEnrolmentInput) -> Result<Self, OperationError> {
        let range = |text: &String| {
            let rule = "expected a range of addresses such as `10.0.0.0/8`";
            let parsed = text.parse::<IpNet>();
            parsed.map_err(|_| OperationError::input("enrolment.addresses", text, rule))
        };
        Ok(Self {
            admission: match input.approval {
                true => Admission::Approval,
                false => Admission::Open,
            },
            addresses: input
                .addresses
                .iter()
                .map(range)
                .collect::<Result<_, _>>()?,
            launchers: input.max_workers,
        })
    }
}

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
        let made = manage(ctx)?.create_pool(new).await?;
        Ok(WorkerPool::with_token(made))
    }

    /// Gives a pool another key by a new signing request. `config` of the answer is the token for it, shown this
    /// once. The key before counts for `overlapSeconds` more (a day otherwise): its launchers get runs until then,
    /// and plans that they packed can be confirmed.
    async fn worker_pool_reset(
        &self,
        ctx: &Context<'_>,
        id: ID,
        certificate_signing_request: String,
        overlap_seconds: Option<u32>,
    ) -> Result<WorkerPool, Error> {
        let overlap = overlap_seconds.unwrap_or(DEFAULT_OVERLAP_SECONDS);
        let manage = manage(ctx)?;
        let reset = manage.reset_pool(&id, &certificate_signing_request, overlap);
        Ok(WorkerPool::with_token(reset.await?))
    }

    /// Changes what is given of a pool. `enrolment` replaces the rules for newcomers as a whole;
    /// `driftDetectionRunLimit` is how many looks for drift the pool does at once, -1 for any number.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a part of a pool that can be changed alone"
    )]
    async fn worker_pool_update(
        &self,
        ctx: &Context<'_>,
        id: ID,
        name: Option<String>,
        description: Option<String>,
        labels: Option<Vec<String>>,
        enrolment: Option<WorkerPoolEnrolmentInput>,
        drift_detection_run_limit: Option<i32>,
    ) -> Result<WorkerPool, Error> {
        let change = PoolChange {
            name,
            description,
            labels,
            enrolment: enrolment.map(EnrolmentRules::try_from).transpose()?,
            drift_limit: drift_detection_run_limit.map(|limit| u32::try_from(limit).ok()),
        };
        let pool = manage(ctx)?.update_pool(&id, change).await?;
        Ok(WorkerPool::one(pool))
    }

    /// Lets a worker in that waits for it.
    async fn worker_approve(
        &self,
        ctx: &Context<'_>,
        worker_pool: ID,
        id: ID,
    ) -> Result<Worker, Error> {
        let (launcher, held) = manage(ctx)?.approve_worker(&worker_pool, &id).await?;
        Ok(Worker::new(launcher, held))
    }

    /// Deletes a pool that no stack uses.
    async fn worker_pool_delete(&self, ctx: &Context<'_>, id: ID) -> Result<WorkerPool, Error> {
        Ok(WorkerPool::one(manage(ctx)?.delete_pool(&id).await?))
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
