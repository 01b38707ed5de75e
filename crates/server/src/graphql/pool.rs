//! Worker pools and their workers in the API.
//!
//! Takes a pool's record, gives its fields. The pool's token stands only in the answer that made it.

use async_graphql::{Context, Enum, Error, ID, Object, SimpleObject};
use gantry_protocol::Secret;
use gantry_protocol::control::inbox::Condition;

use super::context::look;
use crate::store::launchers::{self, Intake, Launcher, Standing};
use crate::store::leases;
use crate::store::pools::Pool;
use crate::store::runs;

pub(super) struct WorkerPool {
    pool: Pool,
    token: Option<Secret>,
}

/// What a worker does. What keeps it from taking runs comes before what it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(super) enum WorkerStatus {
    /// It waits for runs.
    Idle,
    /// It has a run.
    Busy,
    /// A person drained it.
    Drained,
    /// It takes no runs by its own decision, and is well.
    Paused,
    /// It takes no runs because something that it needs does not work.
    Unhealthy,
}

/// A launcher of a pool.
#[derive(SimpleObject)]
pub(super) struct Worker {
    id: ID,
    busy: bool,
    drained: bool,
    /// A JSON object, as text.
    metadata: String,
    /// What it does, or why it does nothing.
    status: WorkerStatus,
    /// Why it takes no runs by its own decision: no room, an engine that fails. Nothing when it does.
    status_reason: Option<String>,
    /// Why it is shut out until a person looks; nothing when it is not.
    quarantine: Option<String>,
    created_at: i64,
    last_seen_at: i64,
}

impl WorkerPool {
    /// A pool as every reader sees it.
    pub(super) fn listed(pool: Pool) -> Self {
        Self { pool, token: None }
    }

    /// A pool as its maker sees it, once.
    pub(super) fn created(pool: Pool, token: String) -> Self {
        Self {
            pool,
            token: Some(Secret::new(token)),
        }
    }
}

impl Worker {
    pub(super) fn new(launcher: Launcher, leases: usize) -> Self {
        let about = &launcher.about;
        let mut metadata: serde_json::Map<String, serde_json::Value> = about
            .metadata
            .iter()
            .map(|(k, v)| (k.clone(), v.clone().into()))
            .collect();
        for (name, value) in [
            ("host", &about.host),
            ("arch", &about.arch),
            ("version", &about.version),
        ] {
            metadata.entry(name).or_insert_with(|| value.clone().into());
        }
        let quarantine = match launcher.standing {
            Standing::Quarantined { note, .. } => Some(note),
            Standing::Active | Standing::Revoked { .. } => None,
        };
        let (status, status_reason) = status(launcher.condition, launcher.intake, leases > 0);
        Self {
            status,
            status_reason,
            id: launcher.id.to_string().into(),
            busy: leases > 0,
            drained: launcher.intake == Intake::Drained,
            metadata: serde_json::Value::Object(metadata).to_string(),
            quarantine,
            created_at: launcher.enrolled_at.seconds(),
            last_seen_at: launcher.seen_at.seconds(),
        }
    }
}

fn status(
    condition: Option<Condition>,
    intake: Intake,
    busy: bool,
) -> (WorkerStatus, Option<String>) {
    match (condition, intake, busy) {
        (Some(Condition::Unhealthy { reason }), _, _) => (WorkerStatus::Unhealthy, Some(reason)),
        (_, Intake::Drained, _) => (WorkerStatus::Drained, None),
        (Some(Condition::Paused { reason }), ..) => (WorkerStatus::Paused, Some(reason)),
        (None, Intake::Open, true) => (WorkerStatus::Busy, None),
        (None, Intake::Open, false) => (WorkerStatus::Idle, None),
    }
}

/// A pool of launchers that share one key.
#[Object]
impl WorkerPool {
    async fn id(&self) -> ID {
        self.pool.id.to_string().into()
    }

    async fn name(&self) -> &str {
        &self.pool.name
    }

    async fn description(&self) -> Option<&str> {
        self.pool.description.as_deref()
    }

    async fn labels(&self) -> &[String] {
        &self.pool.labels
    }

    async fn space(&self) -> ID {
        self.pool.space.clone().into()
    }

    /// The token for the pool's launchers: only in the answer to `workerPoolCreate`.
    async fn config(&self) -> Option<&str> {
        self.token.as_ref().map(Secret::expose)
    }

    /// Runs that wait for a launcher.
    async fn pending_runs(&self, ctx: &Context<'_>) -> Result<u32, Error> {
        let mut conn = look(ctx)?.read().await?;
        Ok(runs::pending(&mut conn, self.pool.id).await?.0)
    }

    /// Launchers that have a run.
    async fn busy_workers(&self, ctx: &Context<'_>) -> Result<usize, Error> {
        let workers = self.all(ctx).await?;
        Ok(workers.iter().filter(|worker| worker.busy).count())
    }

    async fn workers(&self, ctx: &Context<'_>) -> Result<Vec<Worker>, Error> {
        self.all(ctx).await
    }
}

impl WorkerPool {
    async fn all(&self, ctx: &Context<'_>) -> Result<Vec<Worker>, Error> {
        let mut conn = look(ctx)?.read().await?;
        let mut workers = Vec::new();
        for launcher in launchers::of_pool(&mut conn, self.pool.id).await? {
            let held = leases::held(&mut conn, launcher.id).await?.len();
            workers.push(Worker::new(launcher, held));
        }
        Ok(workers)
    }
}
