//! What the server answers, as types; also what `--output json` prints.

/// The data of an operation with one field.
macro_rules! data {
    ($($name:ident { $field:ident: $type:ty })+) => {
        $(#[derive(Debug, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            pub $field: $type,
        })+
    };
}

mod access;
mod vcs_pool;
mod hosts;

pub use access::{
    ApiKey, ApiKeyCreate, ApiKeyDelete, ApiKeys, Space, SpaceCreate, SpaceDelete, Spaces,
};
pub use hosts::*;

pub use vcs_pool::{
    NewVcsPool, OneVcsPool, VcsConnection, VcsPool, VcsPoolCreate, VcsPoolDelete, VcsPoolDetails,
    VcsPoolKey, VcsPoolLog, VcsPoolReset, VcsPoolUpdate, VcsPools, VcsRequest,
};

use gantry_protocol::{RunState, Secret};
use serde::{Deserialize, Serialize};

/// A run's or stack's state; one that this program is too old for stays readable.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum State {
    Known(RunState),
    Other(String),
}

impl State {
    /// The name as on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(state) => state.as_str(),
            Self::Other(name) => name,
        }
    }

    /// The state if this program knows it.
    pub fn known(&self) -> Option<RunState> {
        match self {
            Self::Known(state) => Some(*state),
            Self::Other(_) => None,
        }
    }
}

data! {
    ApiKeyUser { api_key_user: Option<Session> }
    Viewer { viewer: Option<User> }
    WorkerPools { worker_pools: Vec<Pool> }
    WorkerPoolCreate { worker_pool_create: NewPool }
    WorkerPool { worker_pool: Option<PoolDetails> }
    WorkerPoolSize { worker_pool: Option<ScaledPool> }
    WorkerPoolReset { worker_pool_reset: NewPool }
    WorkerPoolUpdate { worker_pool_update: OnlyId }
    WorkerPoolDelete { worker_pool_delete: OnlyId }
    WorkerPoolCycle { worker_pool_cycle: bool }
    WorkerDrainSet { worker_drain_set: Drained }
    WorkerApprove { worker_approve: OnlyId }
    WorkerRevoke { worker_revoke: OnlyId }
    WorkerQuarantineClear { worker_quarantine_clear: OnlyId }
    SearchStacks { search_stacks: StackPage }
    OneStack { stack: Option<Stack> }
    StackCreate { stack_create: NewStack }
    StackConfigAdd { stack_config_add: ConfigElement }
    RunTrigger { run_trigger: NewRun }
    TaskCreate { task_create: NewRun }
    RunConfirm { run_confirm: NewRun }
    RunDiscard { run_discard: NewRun }
    RunCancel { run_cancel: NewRun }
    RunReview { run_review: OnlyId }
    RunRetry { run_retry: NewRun }
    RunStop { run_stop: NewRun }
    UploadLocalWorkspace { upload_local_workspace: UploadPlace }
    RunProposeLocalWorkspace { run_propose_local_workspace: NewRun }
    RunPromote { run_promote: NewRun }
    RunTargetedReplan { run_targeted_replan: NewRun }
    RunPrioritizeSet { run_prioritize_set: OnlyId }
    StackLock { stack_lock: OnlyId }
    StackUnlock { stack_unlock: OnlyId }
    StackEnable { stack_enable: OnlyId }
    StackDisable { stack_disable: OnlyId }
    StackSyncCommit { stack_sync_commit: OnlyId }
    StackSetCurrentCommit { stack_set_current_commit: OnlyId }
    StackDelete { stack_delete: OnlyId }
    StackDriftDetectionSet { stack_drift_detection_set: DriftDetection }
    StackDriftDetectionDelete { stack_drift_detection_delete: Option<OnlyId> }
    UploadHeaders { entries: Vec<UploadHeader> }
    Policies { policies: Vec<Policy> }
    OnePolicy { policy: Option<Policy> }
    PolicySample { policy: Option<WithSample> }
    WithSample { evaluation_sample: Option<Sample> }
    Sample { input: String }
    Contexts { contexts: Vec<SharedContext> }
    OneContext { context: Option<SharedContext> }
    ContextCreate { context_create: SharedContext }
    ContextUpdate { context_update: SharedContext }
    ContextDelete { context_delete: OnlyId }
    ContextAttach { context_attach: OnlyId }
    ContextDetach { context_detach: OnlyId }
    ContextConfigAdd { context_config_add: ConfigElement }
    ContextConfigDelete { context_config_delete: Option<OnlyId> }
    PolicyCreate { policy_create: Policy }
    PolicyUpdate { policy_update: Policy }
    PolicyDelete { policy_delete: OnlyId }
    PolicyAttach { policy_attach: OnlyId }
    PolicyDetach { policy_detach: OnlyId }
    OnlyId { id: String }
    PolicySimulate { policy_simulate: String }
    StackRuns { stack: Option<WithRuns> }
    WithRuns { runs: Vec<Run> }
    StackRun { stack: Option<WithRun> }
    WithRun { run: Option<Run> }
    RunHistory { stack: Option<WithHistory> }
    WithHistory { run: Option<History> }
    History { history: Vec<Transition> }
    RunLogs { stack: Option<WithLogs> }
    WithLogs { run: Option<Logs> }
    Logs { logs: LogPage }
    RunChanges { stack: Option<WithChanges> }
    WithChanges { run: Option<ChangesOfRun> }
    ChangesOfRun { changes: Vec<Changes> }
    Changes { resources: Vec<Change> }
    StackEntities { stack: Option<WithEntities> }
    WithEntities { entities: Vec<Entity> }
    StackOutputs { stack: Option<WithOutputs> }
    WithOutputs { outputs: Vec<Output> }
    RunDocument { run_document: Signable }
    ApplyDocument { stack: Option<WithDocument> }
    WithDocument { run: Option<OneDocument> }
    OneDocument { document: Signable }
    StackEdge { node: Stack }
}

/// A run as its launcher would get it, for signing.
#[derive(Debug, Deserialize)]
pub struct Signable {
    /// The document, JSON as text.
    pub json: String,
    pub phase: String,
    pub attestation: Option<String>,
}

/// A session's token and its end in Unix seconds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    pub jwt: Secret,
    pub valid_until: i64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct User {
    pub id: String,
    pub name: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pool {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub pending_runs: i64,
    pub busy_workers: i64,
    pub workers: Vec<Worker>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Worker {
    pub id: String,
    pub busy: bool,
    pub drained: bool,
    pub status: String,
    pub status_reason: Option<String>,
    /// JSON object as text.
    pub metadata: String,
    pub last_seen_at: i64,
}

impl Worker {
    /// The name of its host, as it says itself.
    pub fn host(&self) -> String {
        let metadata: serde_json::Value = serde_json::from_str(&self.metadata).unwrap_or_default();
        metadata["host"].as_str().unwrap_or_default().to_owned()
    }
}

/// A pool as far as its size is concerned.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaledPool {
    pub id: String,
    pub schedulable: bool,
    pub pending_runs: u32,
    pub workers: Vec<ScaledWorker>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaledWorker {
    pub id: String,
    pub busy: bool,
    pub drained: bool,
    pub status: String,
    pub created_at: i64,
    pub last_seen_at: i64,
}

/// A pool with its keys and rules.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolDetails {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub labels: Vec<String>,
    pub space: String,
    pub created_at: i64,
    pub schedulable: bool,
    pub pending_runs: u32,
    pub busy_workers: u32,
    /// Newest first; the first is the current one.
    pub keys: Vec<PoolKey>,
    pub enrolment: PoolEnrolment,
    pub workers: Vec<Worker>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolKey {
    pub id: String,
    pub created_at: i64,
    pub created_by: String,
    pub certificate_expires_at: Option<i64>,
    pub retires_at: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolEnrolment {
    pub approval: bool,
    pub addresses: Vec<String>,
    pub max_workers: Option<u32>,
}

/// What a drain finds.
#[derive(Debug, Deserialize)]
pub struct Drained {
    pub id: String,
    pub busy: bool,
    pub drained: bool,
}

#[derive(Debug, Deserialize)]
pub struct NewPool {
    pub id: String,
    pub name: String,
    /// The pool token.
    pub config: Option<Secret>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stack {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub state: State,
    pub autodeploy: bool,
    pub branch: String,
    pub repository: String,
    pub project_root: Option<String>,
    pub runner_image: Option<String>,
    pub labels: Vec<String>,
    /// Unix seconds.
    pub created_at: i64,
    pub manages_state_file: bool,
    pub worker_pool: Option<Named>,
    pub vendor_config: Vendor,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Vec<ConfigElement>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocker: Option<NewRun>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Named {
    pub id: String,
    pub name: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Vendor {
    #[serde(rename = "__typename")]
    pub kind: String,
    pub version: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StackPage {
    pub edges: Vec<StackEdge>,
    pub page_info: PageInfo,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PageInfo {
    pub end_cursor: String,
    pub has_next_page: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct NewStack {
    pub id: String,
    pub name: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigElement {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub write_only: bool,
    pub checksum: String,
}

/// Variables, files and hooks that stacks share.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SharedContext {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub labels: Vec<String>,
    pub space: String,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub updated_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Vec<ContextElement>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attached_stacks: Option<Vec<ContextStack>>,
}

/// A variable or file of a context.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContextElement {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// None for a write-only one.
    pub value: Option<String>,
    pub write_only: bool,
    pub description: Option<String>,
}

/// A stack that a context is attached to.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContextStack {
    pub stack_id: String,
    pub is_autoattached: bool,
    pub priority: i32,
}

/// A policy of the server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    /// Rego.
    pub body: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub labels: Vec<String>,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub updated_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation_records: Option<Vec<EvaluationRecord>>,
}

/// One evaluation of a policy.
#[derive(Debug, Serialize, Deserialize)]
pub struct EvaluationRecord {
    pub key: String,
    pub outcome: String,
    /// Unix seconds.
    pub timestamp: i64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct NewRun {
    pub id: String,
    pub state: State,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub state: State,
    pub title: String,
    pub branch: Option<String>,
    pub command: Option<String>,
    /// Unix seconds.
    pub created_at: i64,
    pub triggered_by: Option<String>,
    pub finished: bool,
    pub attempt: i64,
    pub note: Option<String>,
    pub image_digest: Option<String>,
    /// Whether its launcher fell silent after a grant; missing in answers of older servers.
    #[serde(default)]
    pub contact_lost: Option<bool>,
    /// What users attached, oldest first.
    pub user_provided_metadata: Vec<String>,
    /// What policies noted about it.
    #[serde(default)]
    pub flags: Vec<String>,
    pub commit: Commit,
    pub delta: Option<Delta>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Commit {
    pub hash: String,
    pub message: String,
    pub author_name: String,
    /// Unix seconds; 0 where unknown.
    pub timestamp: i64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delta {
    pub add_count: i64,
    pub change_count: i64,
    pub delete_count: i64,
    pub resources: i64,
}

/// One state that a run entered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transition {
    pub has_logs: bool,
    pub note: Option<String>,
    pub state: State,
    pub state_version: i64,
    pub terminal: bool,
    /// Unix seconds.
    pub timestamp: i64,
    pub username: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogPage {
    pub finished: bool,
    pub has_more: bool,
    pub messages: Vec<Message>,
    pub next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Message {
    pub message: String,
}

/// One resource that a plan changes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    pub address: String,
    pub previous_address: Option<String>,
    pub metadata: ChangeMetadata,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct ChangeMetadata {
    /// What happens to it, such as `ADD`.
    pub r#type: String,
}

/// One thing in a stack's state.
#[derive(Debug, Serialize, Deserialize)]
pub struct Entity {
    pub address: Option<String>,
    pub name: String,
    /// Address of its module.
    pub parent: Option<String>,
    /// A resource's type, `module` or `output`.
    pub r#type: String,
    pub creator: Option<RunId>,
    pub updater: Option<RunId>,
}

/// Which run.
#[derive(Debug, Serialize, Deserialize)]
pub struct RunId {
    pub id: String,
}

/// One output of a stack's state.
#[derive(Debug, Serialize, Deserialize)]
pub struct Output {
    pub name: String,
    /// JSON as text.
    pub value: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the server's schema has it, launchers included.
    #[test]
    fn a_pool_with_a_launcher_is_read() {
        let pool = r#"{"id": "P", "name": "prod", "description": null, "pendingRuns": 1, "busyWorkers": 0,
            "workers": [{"id": "L", "busy": false, "drained": false, "status": "PAUSED", "statusReason": "no room",
                         "metadata": "{\"host\":\"h1\"}", "lastSeenAt": 1790000000}]}"#;
        let pool: Pool = serde_json::from_str(pool).expect("a pool");
        assert_eq!(pool.workers[0].host(), "h1");
        assert_eq!(pool.workers[0].status_reason.as_deref(), Some("no room"));
    }
}

/// Where to send files.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UploadPlace {
    pub id: String,
    pub upload_url: String,
    pub upload_headers: UploadHeaders,
}

/// A header that goes with them.
#[derive(Debug, Deserialize)]
pub struct UploadHeader {
    pub key: String,
    pub value: String,
}

/// When a stack is looked at.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DriftDetection {
    pub schedule: Vec<String>,
    pub timezone: String,
    pub reconcile: bool,
    pub next_schedule: i64,
}
