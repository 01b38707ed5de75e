//! Pools of VCS agents in the API.
//!
//! Takes a pool's record, gives its fields and what its agents do. The pool's token stands only in the answer that made it.

use async_graphql::{Context, Error, ID, Object, SimpleObject};
use gantry_protocol::Secret;

use super::context::look;
use crate::clock::UnixMillis;
use crate::gateway::{Agent, Busy};
use crate::store::vcs_pools::{VcsPool, VcsPoolKey};
use crate::store::vcs_requests::{AccessLine, Outcome};

/// Lines of an access log that are given at once at most: as many as are kept.
const LINES: u32 = 1000;

pub(super) struct VcsAgentPool {
    pool: VcsPool,
    token: Option<Secret>,
}

/// One key of a pool of VCS agents.
#[derive(SimpleObject)]
pub(super) struct VcsAgentPoolKey {
    id: ID,
    created_at: i64,
    created_by: String,
    /// When it ends since a reset; nothing for the current one.
    retires_at: Option<i64>,
}

/// An agent that is connected. Streams of an agent that does not name itself are taken together by address and metadata.
#[derive(SimpleObject)]
pub(super) struct VcsAgentConnection {
    id: ID,
    /// Its version, if it says so.
    version: Option<String>,
    /// Its tags: a JSON object, as text.
    metadata: String,
    /// Where it dialled from.
    address: Option<String>,
    connected_at: i64,
    /// Whether its answers come in parts, and requests can be taken back.
    streaming: bool,
    /// How many requests it can have at a time.
    streams: usize,
    requests_in_flight: usize,
    /// Oldest first.
    requests: Vec<VcsAgentRequestInFlight>,
    /// Requests that it has ended since it connected.
    served: u64,
    /// Messages of it that nobody had asked for.
    strays: u64,
}

/// A request that an agent has.
#[derive(SimpleObject)]
pub(super) struct VcsAgentRequestInFlight {
    id: ID,
    since: i64,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, async_graphql::Enum)]
#[graphql(remote = "crate::store::vcs_requests::Outcome")]
pub(super) enum VcsAgentRequestOutcome {
    /// The code host answered, whatever its status.
    Answered,
    /// An agent said no, or could not reach the code host.
    Refused,
    /// No agent was there.
    NoAgent,
    /// Too many were waiting.
    Full,
    /// It took too long.
    Late,
    /// The agent was lost.
    Lost,
    /// Whoever asked went away.
    GivenUp,
    /// It could not be sent, or the answer was none.
    Broken,
}

/// A request that went through a pool.
#[derive(SimpleObject)]
pub(super) struct VcsAgentRequest {
    /// As in the agent's log.
    id: ID,
    at: i64,
    purpose: String,
    method: String,
    /// Without the query.
    path: String,
    outcome: VcsAgentRequestOutcome,
    /// Why it ended so, unless it was answered.
    detail: Option<String>,
    /// The code host's status.
    status: Option<u16>,
    bytes_sent: u64,
    bytes_received: u64,
    milliseconds: u64,
    /// The agent that had it last.
    agent: Option<String>,
}

impl VcsAgentPool {
    /// A pool as every reader sees it.
    pub(super) fn listed(pool: VcsPool) -> Self {
        Self { pool, token: None }
    }

    /// A pool as who made or reset it sees it, once.
    pub(super) fn with_token((pool, token): (VcsPool, Secret)) -> Self {
        Self {
            pool,
            token: Some(token),
        }
    }
}

impl From<VcsPoolKey> for VcsAgentPoolKey {
    fn from(key: VcsPoolKey) -> Self {
        Self {
            id: key.id.to_string().into(),
            created_at: key.created_at.seconds(),
            created_by: key.created_by,
            retires_at: key.retires_at.map(UnixMillis::seconds),
        }
    }
}

impl From<Busy> for VcsAgentRequestInFlight {
    fn from(busy: Busy) -> Self {
        Self {
            id: busy.request.into(),
            since: busy.since.seconds(),
        }
    }
}

impl From<Agent> for VcsAgentConnection {
    fn from(agent: Agent) -> Self {
        Self {
            id: agent.id.into(),
            version: agent.version,
            metadata: serde_json::json!(agent.tags).to_string(),
            address: agent.address.map(|ip| ip.to_string()),
            connected_at: agent.connected_at.seconds(),
            streaming: agent.parts,
            streams: agent.streams,
            requests_in_flight: agent.busy.len(),
            requests: agent.busy.into_iter().map(Into::into).collect(),
            served: agent.served,
            strays: agent.strays,
        }
    }
}

impl From<AccessLine> for VcsAgentRequest {
    fn from(line: AccessLine) -> Self {
        let outcome: Outcome = line.outcome;
        Self {
            id: line.id.into(),
            at: line.at.seconds(),
            purpose: line.purpose,
            method: line.method,
            path: line.path,
            outcome: outcome.into(),
            detail: line.detail,
            status: line.status,
            bytes_sent: line.sent,
            bytes_received: line.received,
            milliseconds: line.millis,
            agent: line.agent,
        }
    }
}

/// Agents beside a code host, through which the server reaches it.
#[Object]
impl VcsAgentPool {
    async fn id(&self) -> ID {
        self.pool.id.to_string().into()
    }

    /// Stands in endpoints: `private://NAME/path`.
    async fn name(&self) -> &str {
        self.pool.name.as_str()
    }

    async fn description(&self) -> Option<&str> {
        self.pool.description.as_deref()
    }

    async fn space(&self) -> &str {
        &self.pool.space
    }

    async fn created_by(&self) -> &str {
        &self.pool.created_by
    }

    async fn created_at(&self) -> i64 {
        self.pool.created_at.seconds()
    }

    async fn updated_at(&self) -> i64 {
        self.pool.updated_at.seconds()
    }

    /// The token for its agents; only in the answer that made or reset the pool.
    async fn config(&self) -> Option<&str> {
        self.token.as_ref().map(Secret::expose)
    }

    /// Streams that agents have open now.
    async fn active_connections(&self, ctx: &Context<'_>) -> Result<usize, Error> {
        let agents = look(ctx)?.vcs_agents(self.pool.id);
        Ok(agents.iter().map(|agent| agent.streams).sum())
    }

    /// Requests that wait for an agent.
    async fn waiting_requests(&self, ctx: &Context<'_>) -> Result<usize, Error> {
        Ok(look(ctx)?.vcs_waiting(self.pool.id))
    }

    /// The agents that are connected now, oldest first.
    #[graphql(complexity = "10 * child_complexity")]
    async fn connections(&self, ctx: &Context<'_>) -> Result<Vec<VcsAgentConnection>, Error> {
        let agents = look(ctx)?.vcs_agents(self.pool.id);
        Ok(agents.into_iter().map(Into::into).collect())
    }

    /// Newest first; the first is the current one.
    async fn keys(&self, ctx: &Context<'_>) -> Result<Vec<VcsAgentPoolKey>, Error> {
        let keys = look(ctx)?.vcs_pool_keys(self.pool.id).await?;
        Ok(keys.into_iter().map(Into::into).collect())
    }

    /// What went through it lately, newest first; 100 if `first` is left out. The newest 1,000 of seven days are kept.
    #[graphql(complexity = "(first.unwrap_or(100).min(1000) as usize) * child_complexity / 4")]
    async fn access_log(
        &self,
        ctx: &Context<'_>,
        first: Option<u32>,
    ) -> Result<Vec<VcsAgentRequest>, Error> {
        let first = first.unwrap_or(100).min(LINES);
        let lines = look(ctx)?.vcs_requests(self.pool.id, first).await?;
        Ok(lines.into_iter().map(Into::into).collect())
    }
}
