//! Pools of VCS agents as the server gives them.

use gantry_protocol::Secret;
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VcsPools {
    pub vcs_agent_pools: Vec<VcsPool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OneVcsPool {
    pub vcs_agent_pool: Option<VcsPoolDetails>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VcsPoolLog {
    pub vcs_agent_pool: Option<WithAccessLog>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WithAccessLog {
    pub access_log: Vec<VcsRequest>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VcsPoolCreate {
    pub vcs_agent_pool_create: NewVcsPool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VcsPoolReset {
    pub vcs_agent_pool_reset: NewVcsPool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VcsPoolUpdate {
    pub vcs_agent_pool_update: super::OnlyId,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VcsPoolDelete {
    pub vcs_agent_pool_delete: super::OnlyId,
}

/// A pool whose key was just made.
#[derive(Debug, Deserialize)]
pub struct NewVcsPool {
    pub id: String,
    pub name: String,
    /// The token for its agents.
    pub config: Option<Secret>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VcsPool {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub space: String,
    pub active_connections: u32,
    pub waiting_requests: u32,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VcsPoolDetails {
    #[serde(flatten)]
    pub pool: VcsPool,
    pub created_by: String,
    pub created_at: i64,
    /// Newest first; the first is the current one.
    pub keys: Vec<VcsPoolKey>,
    pub connections: Vec<VcsConnection>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VcsPoolKey {
    pub id: String,
    pub created_at: i64,
    pub created_by: String,
    pub retires_at: Option<i64>,
}

/// An agent that is connected.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VcsConnection {
    pub id: String,
    pub version: Option<String>,
    /// A JSON object, as text.
    pub metadata: String,
    pub address: Option<String>,
    pub connected_at: i64,
    pub streaming: bool,
    pub streams: u32,
    pub requests_in_flight: u32,
    pub served: u64,
    pub strays: u64,
}

/// A request that went through a pool.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VcsRequest {
    pub id: String,
    pub at: i64,
    pub purpose: String,
    pub method: String,
    pub path: String,
    pub outcome: String,
    pub detail: Option<String>,
    pub status: Option<u16>,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub milliseconds: u64,
    pub agent: Option<String>,
}
