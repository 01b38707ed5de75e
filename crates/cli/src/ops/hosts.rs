//! Operations about code hosts, about who is told of runs, and about a stack's states and settings.
//!
//! Never: an operation that the server's `schema.graphql` does not know; a test checks all of them.

use std::marker::PhantomData;

use super::Op;
use crate::model;

macro_rules! integration_fields {
    () => {
        "id name space vendor urlPrefix apiUrl username hasToken webhookUrl pollSeconds updatedAt"
    };
}

macro_rules! target_fields {
    () => {
        "id name space url states enabled updatedAt"
    };
}

operations! {
    /// All integrations that the caller sees.
    VCS_INTEGRATIONS: model::VcsIntegrations = "vcsIntegrations"
        concat!("{ vcsIntegrations { ", integration_fields!(), " } }");
    /// One integration and what it told of lately.
    VCS_INTEGRATION: model::OneVcsIntegration = "vcsIntegration"
        concat!("query($id: ID!) {
           vcsIntegration(id: $id) { ", integration_fields!(), " pushes { branch commit receivedAt outcome } }
         }");
    /// A new integration; the secret of its webhooks comes only with this answer.
    VCS_INTEGRATION_CREATE: model::VcsIntegrationCreate = "vcsIntegrationCreate"
        concat!("mutation($input: VcsIntegrationInput!) {
           vcsIntegrationCreate(input: $input) { webhookSecret integration { ", integration_fields!(), " } }
         }");
    /// Changes what is given.
    VCS_INTEGRATION_UPDATE: model::VcsIntegrationUpdate = "vcsIntegrationUpdate"
        concat!("mutation($id: ID!, $name: String, $apiUrl: String, $username: String, $token: String,
                          $webhookSecret: String, $pollSeconds: Int) {
           vcsIntegrationUpdate(id: $id, name: $name, apiUrl: $apiUrl, username: $username, token: $token,
                                webhookSecret: $webhookSecret, pollSeconds: $pollSeconds) { ",
           integration_fields!(), " }
         }");
    /// Deletes an integration.
    VCS_INTEGRATION_DELETE: model::VcsIntegrationDelete = "vcsIntegrationDelete"
        "mutation($id: ID!) { vcsIntegrationDelete(id: $id) { id } }";
    /// Whose token it is, and one repository that it sees.
    VCS_TEST: model::VcsTest = "vcsIntegration.viewer"
        "query($id: ID!) {
           vcsIntegration(id: $id) { apiUrl viewer repositories(first: 1) { nodes { name url defaultBranch } } }
         }";
    /// A page of repositories.
    VCS_REPOSITORIES: model::VcsRepositories = "vcsIntegration.repositories"
        "query($id: ID!, $first: Int!, $after: String, $search: String) {
           vcsIntegration(id: $id) {
             list: repositories(first: $first, after: $after, search: $search) {
               nodes { name url defaultBranch } endCursor
             }
           }
         }";
    /// A page of branches.
    VCS_BRANCHES: model::VcsBranches = "vcsIntegration.branches"
        "query($id: ID!, $repository: String!, $first: Int!, $after: String, $search: String) {
           vcsIntegration(id: $id) {
             list: branches(repository: $repository, first: $first, after: $after, search: $search) {
               nodes { name commit } endCursor
             }
           }
         }";

    /// Who is told of runs.
    NOTIFICATION_TARGETS: model::NotificationTargets = "notificationTargets"
        concat!("{ notificationTargets { ", target_fields!(), " } }");
    /// One target and how its newest messages went.
    NOTIFICATION_TARGET: model::OneNotificationTarget = "notificationTarget"
        concat!("query($id: ID!) {
           notificationTarget(id: $id) { ", target_fields!(),
           " deliveries { id runId state standing attempts answer createdAt } }
         }");
    /// A new target; its secret comes only with this answer.
    NOTIFICATION_TARGET_CREATE: model::NotificationTargetCreate = "notificationTargetCreate"
        concat!("mutation($name: String!, $url: String!, $states: [RunState!], $space: ID) {
           notificationTargetCreate(name: $name, url: $url, states: $states, space: $space) {
             secret target { ", target_fields!(), " }
           }
         }");
    /// Changes what is given.
    NOTIFICATION_TARGET_UPDATE: model::NotificationTargetUpdate = "notificationTargetUpdate"
        concat!("mutation($id: ID!, $name: String, $url: String, $states: [RunState!], $enabled: Boolean) {
           notificationTargetUpdate(id: $id, name: $name, url: $url, states: $states, enabled: $enabled) { ",
           target_fields!(), " }
         }");
    /// Deletes a target.
    NOTIFICATION_TARGET_DELETE: model::NotificationTargetDelete = "notificationTargetDelete"
        "mutation($id: ID!) { notificationTargetDelete(id: $id) { id } }";
    /// Sends a message again.
    NOTIFICATION_REDELIVER: model::NotificationRedeliver = "notificationRedeliver"
        "mutation($target: ID!, $delivery: ID!) {
           notificationRedeliver(target: $target, delivery: $delivery) { id }
         }";

    /// Versions of a stack's state, newest first.
    STATE_VERSIONS: model::StateVersions = "stack.stateVersions"
        "query($stack: ID!, $before: Int) {
           stack(id: $stack) { stateVersions(before: $before) { version serial lineage size createdAt runId } }
         }";
    /// Makes an older version the newest one again.
    STATE_ROLLBACK: model::StackStateRollback = "stackStateRollback"
        "mutation($stack: ID!, $version: Int!) {
           stackStateRollback(stack: $stack, version: $version) { version serial lineage size createdAt runId }
         }";
    /// Where a stack's state can be had for a minute.
    STATE_DOWNLOAD_URL: model::StateDownloadUrl = "stateDownloadUrl"
        "mutation($stack: ID!) { stateDownloadUrl(input: { stackId: $stack }) { url } }";
    /// All settings of a stack.
    STACK_SETTINGS: model::StackSettings = "stack.settings"
        "query($id: ID!) {
           stack(id: $id) {
             name repository: repositoryURL namespace branch projectRoot runnerImage autodeploy labels description
             space administrative localPreviewEnabled workerPool { id }
             afterApply beforeApply afterInit beforeInit afterPlan beforePlan afterPerform beforePerform
             afterDestroy beforeDestroy afterRun
             vendorConfig {
               __typename
               ... on StackConfigVendorTerraform { version workflowTool }
               ... on StackConfigVendorOpenTofu { version }
             }
           }
         }";
    /// Replaces a stack's settings.
    STACK_UPDATE: model::StackUpdate = "stackUpdate"
        "mutation($id: ID!, $input: StackInput!) { stackUpdate(id: $id, input: $input) { id name } }";
}
