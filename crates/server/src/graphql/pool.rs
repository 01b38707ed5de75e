//! Worker pools and their workers in the API.
//!
//! Takes a pool's record, gives its fields. The pool's token stands only in the answer that made it.

use std::sync::Arc;

use async_graphql::{Context, Enum, Error, ID, Object, SimpleObject};
use gantry_protocol::control::inbox::Condition;
use gantry_protocol::{PoolId, Secret};
use ipnet::IpNet;

use super::context::{app, look};
use super::pages::{Busy, PoolPage};
use super::schedulable::{SearchSchedulableRunsOutput, schedulable_page};
use super::search::{PageInfo, SearchInput};
use super::space::Space;
use crate::clock::UnixMillis;
use crate::domain::Admission;
use crate::pki;
use crate::store::launchers::{Intake, Launcher, Standing};
use crate::store::leases::{self, Held};
use crate::store::pool_keys::PoolKey;
use crate::store::pools::Pool;

/// A pool, at its place on a page of pools.
pub(super) struct WorkerPool {
    page: Arc<PoolPage>,
    place: usize,
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
    /// It enrolled, and waits until an administrator lets it in.
    Pending,
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
    /// Since when it has no run, Unix seconds; nothing while it has one.
    available_at: Option<i64>,
    last_seen_at: i64,
    /// Where it enrolled from.
    address: String,
    /// The key of the pool that it enrolled with.
    pool_key: ID,
}

/// One key of a pool.
#[derive(SimpleObject)]
pub(super) struct WorkerPoolKey {
    id: ID,
    created_at: i64,
    created_by: String,
    /// When its certificate ends, Unix seconds.
    certificate_expires_at: Option<i64>,
    /// When it ends since a reset; nothing for the current one.
    retires_at: Option<i64>,
}

/// Who may become a launcher of a pool.
#[derive(SimpleObject)]
pub(super) struct WorkerPoolEnrolment {
    /// Whether a newcomer waits until an administrator lets it in.
    approval: bool,
    /// Where newcomers may come from (CIDR); none for anywhere.
    addresses: Vec<String>,
    /// How many launchers the pool may have; nothing for any number.
    max_workers: Option<u32>,
}

impl WorkerPool {
    fn at(page: Arc<PoolPage>, place: usize) -> Self {
        Self {
            page,
            place,
            token: None,
        }
    }

    /// A pool that is shown by itself, as every reader sees it.
    pub(super) fn one(pool: Pool) -> Self {
        Self::at(Arc::new(PoolPage::new(vec![pool])), 0)
    }

    /// Pools that are shown together.
    pub(super) fn many(pools: Vec<Pool>) -> impl Iterator<Item = Self> {
        let page = Arc::new(PoolPage::new(pools));
        (0..page.pools.len()).map(move |place| Self::at(Arc::clone(&page), place))
    }

    /// The pool of this id, if it is on the page.
    pub(super) fn on(page: &Arc<PoolPage>, id: PoolId) -> Option<Self> {
        let place = page.pools.iter().position(|pool| pool.id == id)?;
        Some(Self::at(Arc::clone(page), place))
    }

    /// A pool as who made or reset it sees it, once.
    pub(super) fn with_token((pool, token): (Pool, String)) -> Self {
        Self {
            token: Some(Secret::new(token)),
            ..Self::one(pool)
        }
    }

    fn pool(&self) -> &Pool {
        &self.page.pools[self.place]
    }

    async fn launchers(&self, ctx: &Context<'_>) -> Result<&[Busy], Error> {
        self.page.launchers(ctx, self.pool().id).await
    }
}

impl From<&PoolKey> for WorkerPoolKey {
    fn from(key: &PoolKey) -> Self {
        Self {
            id: key.id.to_string().into(),
            created_at: key.created_at.seconds(),
            certificate_expires_at: pki::certificate_end(&key.certificate),
            created_by: key.created_by.clone(),
            retires_at: key.retires_at.map(UnixMillis::seconds),
        }
    }
}

impl Worker {
    pub(super) fn new(launcher: Launcher, held: Held) -> Self {
        let Held { leases, idle_since } = held;
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
        let (status, status_reason) = match &launcher.standing {
            Standing::Pending { .. } => (WorkerStatus::Pending, None),
            _ => status(launcher.condition, launcher.intake, leases > 0),
        };
        let quarantine = match launcher.standing {
            Standing::Quarantined { note, .. } => Some(note),
            Standing::Pending { .. } | Standing::Active | Standing::Revoked { .. } => None,
        };
        let idle = idle_since.unwrap_or(launcher.enrolled_at);
        Self {
            status,
            status_reason,
            id: launcher.id.to_string().into(),
            busy: leases > 0,
            drained: launcher.intake == Intake::Drained,
            metadata: serde_json::Value::Object(metadata).to_string(),
            quarantine,
            created_at: launcher.enrolled_at.seconds(),
            available_at: (leases == 0).then_some(idle.seconds()),
            address: launcher.address,
            pool_key: launcher.pool_key.to_string().into(),
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
        self.pool().id.to_string().into()
    }

    async fn name(&self) -> &str {
        &self.pool().name
    }

    async fn description(&self) -> Option<&str> {
        self.pool().description.as_deref()
    }

    async fn labels(&self) -> &[String] {
        &self.pool().labels
    }

    async fn space(&self) -> ID {
        self.pool().space.clone().into()
    }

    /// The token for the pool's launchers: only in the answers to `workerPoolCreate` and `workerPoolReset`.
    async fn config(&self) -> Option<&str> {
        self.token.as_ref().map(Secret::expose)
    }

    /// Runs that wait for a launcher.
    async fn pending_runs(&self, ctx: &Context<'_>) -> Result<u32, Error> {
        self.page.waiting(ctx, self.pool().id).await
    }

    /// Launchers that have a run.
    async fn busy_workers(&self, ctx: &Context<'_>) -> Result<usize, Error> {
        let all = self.launchers(ctx).await?.iter();
        Ok(all.filter(|(_, held)| held.leases > 0).count())
    }

    /// Whether a launcher could take a run now.
    async fn schedulable(&self, ctx: &Context<'_>) -> Result<bool, Error> {
        let fresh = app(ctx).control.settings.terms.fresh;
        let seen_after = UnixMillis::now().plus(-fresh);
        let mut all = self.launchers(ctx).await?.iter();
        Ok(all.any(|(launcher, _)| launcher.has_room(seen_after)))
    }

    async fn created_at(&self) -> i64 {
        self.pool().created_at.seconds()
    }

    /// A pool's own row is not changed often enough to keep a time of it.
    async fn updated_at(&self) -> i64 {
        self.pool().created_at.seconds()
    }

    async fn deleted(&self) -> bool {
        false
    }

    async fn space_details(&self, ctx: &Context<'_>) -> Result<Space, Error> {
        let space = &self.pool().space;
        Space::found(ctx, space, self.page.space(ctx, space).await?)
    }

    async fn workers_count(&self, ctx: &Context<'_>) -> Result<usize, Error> {
        Ok(self.launchers(ctx).await?.len())
    }

    #[graphql(name = "managedByK8sController")]
    async fn managed_by_k8s_controller(&self) -> bool {
        false
    }

    async fn enrolment(&self) -> WorkerPoolEnrolment {
        let rules = &self.pool().enrolment;
        WorkerPoolEnrolment {
            approval: rules.admission == Admission::Approval,
            addresses: rules.addresses.iter().map(IpNet::to_string).collect(),
            max_workers: rules.launchers,
        }
    }

    /// How many looks for drift its launchers do at once; nothing for any number.
    async fn drift_detection_run_limit(&self) -> Option<u32> {
        self.pool().drift_limit
    }

    /// The pool's keys, newest first; the first is the current one.
    async fn keys(&self, ctx: &Context<'_>) -> Result<Vec<WorkerPoolKey>, Error> {
        let keys = self.page.keys(ctx, self.pool().id).await?.iter();
        Ok(keys.map(WorkerPoolKey::from).collect())
    }

    /// When the certificate in the current token ends, Unix seconds.
    async fn certificate_expires_at(&self) -> Option<i64> {
        pki::certificate_end(&self.pool().key.certificate)
    }

    /// Runs that wait for a launcher of the pool, the next one first.
    async fn search_schedulable_runs(
        &self,
        ctx: &Context<'_>,
        input: SearchInput,
    ) -> Result<SearchSchedulableRunsOutput, Error> {
        let mut conn = look(ctx)?.read().await?;
        let waiting = leases::waiting_runs(&mut conn, self.pool().id).await?;
        schedulable_page(&mut conn, waiting, input).await
    }

    async fn workers(&self, ctx: &Context<'_>) -> Result<Vec<Worker>, Error> {
        let all = self.launchers(ctx).await?.iter().cloned();
        Ok(all
            .map(|(launcher, held)| Worker::new(launcher, held))
            .collect())
    }
}

/// A page of pools.
#[derive(SimpleObject)]
pub(super) struct SearchWorkerPoolsOutput {
    edges: Vec<SearchWorkerPoolsOutputEdge>,
    page_info: PageInfo,
}

/// One of them.
#[derive(SimpleObject)]
struct SearchWorkerPoolsOutputEdge {
    node: WorkerPool,
}

pub(super) async fn search(
    ctx: &Context<'_>,
    input: SearchInput,
) -> Result<SearchWorkerPoolsOutput, Error> {
    let wish = input.wish(&["name", "label", "labels", "space"], None)?;
    let values = |pool: &Pool, field: &str| match field {
        "name" => vec![pool.name.clone()],
        "space" => vec![pool.space.clone()],
        _ => pool.labels.clone(),
    };
    let all = look(ctx)?.pools().await?.into_iter();
    let fitting = all.filter(|pool| {
        wish.has_text(&[&pool.id.to_string(), &pool.name]) && wish.fits(|field| values(pool, field))
    });
    let (nodes, page_info) = wish.page(fitting, |pool| pool.id.to_string());
    let nodes = WorkerPool::many(nodes);
    let edges = nodes
        .map(|node| SearchWorkerPoolsOutputEdge { node })
        .collect();
    Ok(SearchWorkerPoolsOutput { edges, page_info })
}
