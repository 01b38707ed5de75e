//! Code hosts, those who are told of runs, and states, as the server gives them.

use gantry_protocol::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{NewStack, OnlyId, State};

data! {
    VcsIntegrations { vcs_integrations: Vec<VcsIntegration> }
    OneVcsIntegration { vcs_integration: Option<VcsIntegration> }
    VcsIntegrationCreate { vcs_integration_create: NewVcsIntegration }
    VcsIntegrationUpdate { vcs_integration_update: VcsIntegration }
    VcsIntegrationDelete { vcs_integration_delete: OnlyId }
    VcsTest { vcs_integration: Option<VcsTested> }
    VcsRepositories { vcs_integration: Option<Listed<VcsRepository>> }
    VcsBranches { vcs_integration: Option<Listed<VcsBranch>> }
    NotificationTargets { notification_targets: Vec<NotificationTarget> }
    OneNotificationTarget { notification_target: Option<NotificationTarget> }
    NotificationTargetCreate { notification_target_create: NewNotificationTarget }
    NotificationTargetUpdate { notification_target_update: NotificationTarget }
    NotificationTargetDelete { notification_target_delete: OnlyId }
    NotificationRedeliver { notification_redeliver: OnlyId }
    StateVersions { stack: Option<WithStates> }
    WithStates { state_versions: Vec<StateVersion> }
    StackStateRollback { stack_state_rollback: StateVersion }
    StateDownloadUrl { state_download_url: StateUrl }
    StateUrl { url: Secret }
    StackSettings { stack: Option<Map<String, Value>> }
    StackUpdate { stack_update: NewStack }
}

/// How a code host is reached.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VcsIntegration {
    pub id: String,
    pub name: String,
    pub space: String,
    pub vendor: String,
    pub url_prefix: String,
    pub api_url: Option<String>,
    pub username: Option<String>,
    pub has_token: bool,
    pub webhook_url: Option<String>,
    pub poll_seconds: Option<u32>,
    pub updated_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pushes: Option<Vec<VcsPush>>,
}

/// A push that was told of.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VcsPush {
    pub branch: String,
    pub commit: Option<String>,
    pub received_at: i64,
    pub outcome: Option<String>,
}

/// An integration that was just made.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewVcsIntegration {
    pub integration: VcsIntegration,
    pub webhook_secret: Secret,
}

/// What a host said when it was tried.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VcsTested {
    pub api_url: Option<String>,
    pub viewer: String,
    pub repositories: Nodes<VcsRepository>,
}

/// A page under one name, whatever it is of.
#[derive(Debug, Deserialize)]
pub struct Listed<T> {
    pub list: Nodes<T>,
}

/// A page.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Nodes<T> {
    pub nodes: Vec<T>,
    pub end_cursor: Option<String>,
}

/// A repository of a code host.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VcsRepository {
    pub name: String,
    pub url: String,
    pub default_branch: Option<String>,
}

/// A branch of a repository.
#[derive(Debug, Deserialize, Serialize)]
pub struct VcsBranch {
    pub name: String,
    pub commit: String,
}

/// A server that is told of runs.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotificationTarget {
    pub id: String,
    pub name: String,
    pub space: String,
    pub url: String,
    pub states: Vec<String>,
    pub enabled: bool,
    pub updated_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliveries: Option<Vec<NotificationDelivery>>,
}

/// A message and how it went.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotificationDelivery {
    pub id: String,
    pub run_id: String,
    pub state: State,
    pub standing: String,
    pub attempts: u32,
    pub answer: Option<String>,
    pub created_at: i64,
}

/// A target that was just made.
#[derive(Debug, Deserialize)]
pub struct NewNotificationTarget {
    pub target: NotificationTarget,
    pub secret: Secret,
}

/// One version of a stack's managed state.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StateVersion {
    pub version: u64,
    pub serial: u64,
    pub lineage: String,
    pub size: u64,
    pub created_at: i64,
    pub run_id: String,
}
