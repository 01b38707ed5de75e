//! Every GraphQL operation that this program sends, each with the type of its data.
//!
//! Never: an operation that the server's `schema.graphql` does not know; a test checks all of them.

use std::marker::PhantomData;

use crate::model;

/// An operation's text and the type of what it gives.
pub struct Op<D> {
    /// The operation's name, for errors.
    pub name: &'static str,
    /// GraphQL.
    pub text: &'static str,
    data: PhantomData<fn() -> D>,
}

macro_rules! operations {
    ($($(#[$doc:meta])* $constant:ident: $data:ty = $name:literal $text:expr;)+) => {
        $($(#[$doc])* pub const $constant: Op<$data> =
            Op { name: $name, text: $text, data: PhantomData };)+

        /// Name and text of each operation.
        #[cfg(test)]
        pub(super) const ALL: &[(&str, &str)] = &[$(($name, $text)),+];
    };
}

mod hosts;

pub use hosts::*;

macro_rules! run_fields {
    () => {
        "id type state title branch command createdAt triggeredBy finished attempt note imageDigest contactLost
         userProvidedMetadata flags
         commit { hash message authorName timestamp }
         delta { addCount changeCount deleteCount resources }"
    };
}

macro_rules! stack_fields {
    () => {
        "id name description state autodeploy branch repository projectRoot runnerImage labels createdAt
         managesStateFile
         workerPool { id name }
         vendorConfig {
           __typename
           ... on StackConfigVendorTerraform { version }
           ... on StackConfigVendorOpenTofu { version }
         }"
    };
}

macro_rules! policy_fields {
    () => {
        "id name description body type labels createdAt updatedAt"
    };
}

macro_rules! context_fields {
    () => {
        "id name description labels space createdAt updatedAt"
    };
}

macro_rules! space_fields {
    () => {
        "id name description parentSpace inheritEntities accessLevel"
    };
}

macro_rules! key_fields {
    () => {
        "id name role spaces creator createdAt lastUsedAt expiresAt"
    };
}

operations! {
    /// An API key for a session.
    API_KEY_USER: model::ApiKeyUser = "apiKeyUser"
        "mutation($id: ID!, $secret: String!) { apiKeyUser(id: $id, secret: $secret) { jwt validUntil } }";
    /// Who the session belongs to.
    VIEWER: model::Viewer = "viewer" "{ viewer { id name } }";

    /// All pools.
    WORKER_POOLS: model::WorkerPools = "workerPools"
        "{ workerPools { id name description pendingRuns busyWorkers workers { id busy drained status statusReason metadata lastSeenAt } } }";
    /// A new pool; its token comes only with this answer.
    WORKER_POOL_CREATE: model::WorkerPoolCreate = "workerPoolCreate"
        "mutation($name: String!, $csr: String!, $description: String, $labels: [String!]) {
           workerPoolCreate(name: $name, certificateSigningRequest: $csr, description: $description, labels: $labels) {
             id name config
           }
         }";

    /// One pool with its keys and rules.
    WORKER_POOL: model::WorkerPool = "workerPool"
        "query($id: ID!) {
           workerPool(id: $id) {
             id name description labels space createdAt schedulable pendingRuns busyWorkers
             keys { id createdAt createdBy certificateExpiresAt retiresAt }
             enrolment { approval addresses maxWorkers }
             workers { id busy drained status statusReason metadata lastSeenAt }
           }
         }";
    /// One pool as far as its size is concerned.
    WORKER_POOL_SIZE: model::WorkerPoolSize = "workerPool"
        "query($id: ID!) {
           workerPool(id: $id) {
             id schedulable pendingRuns workers { id busy drained status createdAt lastSeenAt }
           }
         }";
    /// Another key for a pool; its token comes only with this answer.
    WORKER_POOL_RESET: model::WorkerPoolReset = "workerPoolReset"
        "mutation($id: ID!, $csr: String!, $overlap: Int) {
           workerPoolReset(id: $id, certificateSigningRequest: $csr, overlapSeconds: $overlap) { id name config }
         }";
    /// Other words or rules for a pool.
    WORKER_POOL_UPDATE: model::WorkerPoolUpdate = "workerPoolUpdate"
        "mutation($id: ID!, $name: String, $description: String, $labels: [String!],
                  $enrolment: WorkerPoolEnrolmentInput, $drift: Int) {
           workerPoolUpdate(id: $id, name: $name, description: $description, labels: $labels,
                            enrolment: $enrolment, driftDetectionRunLimit: $drift) { id }
         }";
    /// Deletes a pool.
    WORKER_POOL_DELETE: model::WorkerPoolDelete = "workerPoolDelete"
        "mutation($id: ID!) { workerPoolDelete(id: $id) { id } }";
    /// Starts a pool's launchers anew.
    WORKER_POOL_CYCLE: model::WorkerPoolCycle = "workerPoolCycle"
        "mutation($id: ID!) { workerPoolCycle(id: $id) }";
    /// All pools of VCS agents.
    VCS_POOLS: model::VcsPools = "vcsAgentPools"
        "{ vcsAgentPools { id name description space activeConnections waitingRequests } }";
    /// One pool of VCS agents with its keys and agents.
    VCS_POOL: model::OneVcsPool = "vcsAgentPool"
        "query($id: ID!) {
           vcsAgentPool(id: $id) {
             id name description space createdBy createdAt activeConnections waitingRequests
             keys { id createdAt createdBy retiresAt }
             connections { id version metadata address connectedAt streaming streams requestsInFlight served strays }
           }
         }";
    /// What went through a pool lately.
    VCS_POOL_LOG: model::VcsPoolLog = "vcsAgentPool"
        "query($id: ID!, $first: Int) {
           vcsAgentPool(id: $id) {
             accessLog(first: $first) {
               id at purpose method path outcome detail status bytesSent bytesReceived milliseconds agent
             }
           }
         }";
    /// A new pool of VCS agents; its token comes only with this answer.
    VCS_POOL_CREATE: model::VcsPoolCreate = "vcsAgentPoolCreate"
        "mutation($name: String!, $description: String, $space: ID) {
           vcsAgentPoolCreate(name: $name, description: $description, space: $space) { id name config }
         }";
    /// Another key for a pool of VCS agents; its token comes only with this answer.
    VCS_POOL_RESET: model::VcsPoolReset = "vcsAgentPoolReset"
        "mutation($id: ID!, $overlap: Int) { vcsAgentPoolReset(id: $id, overlapSeconds: $overlap) { id name config } }";
    /// Other words for a pool of VCS agents.
    VCS_POOL_UPDATE: model::VcsPoolUpdate = "vcsAgentPoolUpdate"
        "mutation($id: ID!, $name: String, $description: String, $space: ID) {
           vcsAgentPoolUpdate(id: $id, name: $name, description: $description, space: $space) { id }
         }";
    /// Deletes a pool of VCS agents.
    VCS_POOL_DELETE: model::VcsPoolDelete = "vcsAgentPoolDelete"
        "mutation($id: ID!) { vcsAgentPoolDelete(id: $id) { id } }";
    /// Closes or opens a launcher.
    WORKER_DRAIN_SET: model::WorkerDrainSet = "workerDrainSet"
        "mutation($pool: ID!, $id: ID!, $drain: Boolean!) {
           workerDrainSet(workerPool: $pool, id: $id, drain: $drain) { id busy drained }
         }";
    /// Lets a launcher in.
    WORKER_APPROVE: model::WorkerApprove = "workerApprove"
        "mutation($pool: ID!, $id: ID!) { workerApprove(workerPool: $pool, id: $id) { id } }";
    /// Shuts a launcher out.
    WORKER_REVOKE: model::WorkerRevoke = "workerRevoke"
        "mutation($pool: ID!, $id: ID!) { workerRevoke(workerPool: $pool, id: $id) { id } }";
    /// Ends a quarantine.
    WORKER_QUARANTINE_CLEAR: model::WorkerQuarantineClear = "workerQuarantineClear"
        "mutation($pool: ID!, $id: ID!) { workerQuarantineClear(workerPool: $pool, id: $id) { id } }";

    /// A page of stacks.
    SEARCH_STACKS: model::SearchStacks = "searchStacks"
        concat!("query($input: SearchInput!) {
           searchStacks(input: $input) {
             edges { node { ", stack_fields!(), " } }
             pageInfo { endCursor hasNextPage }
           }
         }");
    /// One stack with its configuration.
    STACK: model::OneStack = "stack"
        concat!("query($id: ID!) {
           stack(id: $id) { ", stack_fields!(), " config { id type writeOnly checksum } blocker { id state } }
         }");
    /// A new stack.
    STACK_CREATE: model::StackCreate = "stackCreate"
        "mutation($input: StackInput!, $manageState: Boolean!, $slug: String) {
           stackCreate(input: $input, manageState: $manageState, slug: $slug) { id name }
         }";
    /// One variable or file of a stack.
    STACK_CONFIG_ADD: model::StackConfigAdd = "stackConfigAdd"
        "mutation($stack: ID!, $config: ConfigInput!) {
           stackConfigAdd(stack: $stack, config: $config) { id type writeOnly checksum }
         }";

    /// A new run.
    RUN_TRIGGER: model::RunTrigger = "runTrigger"
        "mutation($stack: ID!, $sha: String, $type: RunType) {
           runTrigger(stack: $stack, commitSha: $sha, runType: $type) { id state }
         }";
    /// A new task.
    TASK_CREATE: model::TaskCreate = "taskCreate"
        "mutation($stack: ID!, $command: String!, $skip: Boolean) {
           taskCreate(stack: $stack, command: $command, skipInitialization: $skip) { id state }
         }";
    /// Accepts a plan.
    RUN_CONFIRM: model::RunConfirm = "runConfirm"
        "mutation($stack: ID!, $run: ID!) { runConfirm(stack: $stack, run: $run) { id state } }";
    /// Refuses a plan.
    RUN_DISCARD: model::RunDiscard = "runDiscard"
        "mutation($stack: ID!, $run: ID!) { runDiscard(stack: $stack, run: $run) { id state } }";
    /// Takes back a run that has not started.
    RUN_CANCEL: model::RunCancel = "runCancel"
        "mutation($stack: ID!, $run: ID!) { runCancel(stack: $stack, run: $run) { id state } }";
    /// A reviewer's word about a run.
    RUN_REVIEW: model::RunReview = "runReview"
        "mutation($stack: ID!, $run: ID, $decision: RunReviewDecision!, $note: String) {
           runReview(stack: $stack, run: $run, decision: $decision, note: $note) { id }
         }";
    /// Makes a run again.
    RUN_RETRY: model::RunRetry = "runRetry"
        "mutation($stack: ID!, $run: ID!) { runRetry(stack: $stack, run: $run) { id state } }";
    /// Stops a run.
    RUN_STOP: model::RunStop = "runStop"
        "mutation($stack: ID!, $run: ID!, $note: String) {
           runStop(stack: $stack, run: $run, note: $note) { id state }
         }";

    /// A place for files.
    UPLOAD_LOCAL_WORKSPACE: model::UploadLocalWorkspace = "uploadLocalWorkspace"
        "mutation($stack: ID!) {
           uploadLocalWorkspace(stack: $stack) { id uploadUrl uploadHeaders { entries { key value } } }
         }";
    /// A preview of files that were sent.
    RUN_PROPOSE_LOCAL_WORKSPACE: model::RunProposeLocalWorkspace = "runProposeLocalWorkspace"
        "mutation($stack: ID!, $workspace: ID!, $overrides: [EnvironmentVariable!]!) {
           runProposeLocalWorkspace(stack: $stack, workspace: $workspace, environmentVarsOverrides: $overrides) {
             id state
           }
         }";
    /// A deployment of a preview's commit.
    RUN_PROMOTE: model::RunPromote = "runPromote"
        "mutation($stack: ID!, $run: ID!) { runPromote(stack: $stack, run: $run) { id state } }";
    /// A plan of some addresses.
    RUN_TARGETED_REPLAN: model::RunTargetedReplan = "runTargetedReplan"
        "mutation($stack: ID!, $run: ID!, $targets: [String!]!) {
           runTargetedReplan(stack: $stack, run: $run, targets: $targets) { id state }
         }";
    /// A run's place in the queue.
    RUN_PRIORITIZE_SET: model::RunPrioritizeSet = "runPrioritizeSet"
        "mutation($stack: ID!, $run: ID!, $to: Boolean!) {
           runPrioritizeSet(stack: $stack, run: $run, prioritize: $to) { id }
         }";
    /// A stack for oneself.
    STACK_LOCK: model::StackLock = "stackLock"
        "mutation($stack: ID!, $note: String) { stackLock(id: $stack, note: $note) { id } }";
    /// A stack for everybody.
    STACK_UNLOCK: model::StackUnlock = "stackUnlock"
        "mutation($stack: ID!) { stackUnlock(id: $stack) { id } }";
    /// A stack that takes runs.
    STACK_ENABLE: model::StackEnable = "stackEnable"
        "mutation($stack: ID!) { stackEnable(id: $stack) { id } }";
    /// A stack that takes none.
    STACK_DISABLE: model::StackDisable = "stackDisable"
        "mutation($stack: ID!) { stackDisable(id: $stack) { id } }";
    /// Back to the branch's head.
    STACK_SYNC_COMMIT: model::StackSyncCommit = "stackSyncCommit"
        "mutation($stack: ID!) { stackSyncCommit(id: $stack) { id } }";
    /// The commit that is deployed next.
    STACK_SET_CURRENT_COMMIT: model::StackSetCurrentCommit = "stackSetCurrentCommit"
        "mutation($stack: ID!, $sha: String!) { stackSetCurrentCommit(id: $stack, sha: $sha) { id } }";
    /// Deletes a stack.
    STACK_DELETE: model::StackDelete = "stackDelete"
        "mutation($stack: ID!, $destroy: Boolean!) { stackDelete(id: $stack, destroyResources: $destroy) { id } }";
    /// Looks at a stack on a schedule.
    DRIFT_SET: model::StackDriftDetectionSet = "stackDriftDetectionSet"
        "mutation($stack: ID!, $input: DriftDetectionInput!) {
           stackDriftDetectionSet(stack: $stack, input: $input) { schedule timezone reconcile nextSchedule }
         }";
    /// Looks no more.
    DRIFT_OFF: model::StackDriftDetectionDelete = "stackDriftDetectionDelete"
        "mutation($stack: ID!) { stackDriftDetectionDelete(stack: $stack) { id } }";

    /// All policies.
    POLICIES: model::Policies = "policies"
        concat!("{ policies { ", policy_fields!(), " } }");
    /// One policy and its newest evaluations.
    POLICY: model::OnePolicy = "policy"
        concat!("query($id: ID!) {
           policy(id: $id) { ", policy_fields!(), " evaluationRecords { key outcome timestamp } }
         }");
    /// What one evaluation was about.
    POLICY_SAMPLE: model::PolicySample = "policy.evaluationSample"
        "query($id: ID!, $key: String!) { policy(id: $id) { evaluationSample(key: $key) { input } } }";
    /// Contexts.
    CONTEXTS: model::Contexts = "contexts"
        concat!("{ contexts { ", context_fields!(), " } }");
    /// One context, what it holds and where it is attached.
    CONTEXT: model::OneContext = "context"
        concat!("query($id: ID!) { context(id: $id) { ", context_fields!(),
          " config { id type value writeOnly description }
            attachedStacks { stackId isAutoattached priority } } }");
    /// A new context.
    CONTEXT_CREATE: model::ContextCreate = "contextCreate"
        concat!("mutation($name: String!, $slug: String, $space: ID, $labels: [String!], $description: String,
                          $hooks: HooksInput) {
           contextCreate(name: $name, slug: $slug, space: $space, labels: $labels, description: $description,
                         hooks: $hooks) { ", context_fields!(), " }
         }");
    /// Another name, other labels or another description for a context.
    CONTEXT_UPDATE: model::ContextUpdate = "contextUpdate"
        concat!("mutation($id: ID!, $name: String, $labels: [String!], $description: String) {
           contextUpdate(id: $id, name: $name, labels: $labels, description: $description) { ",
           context_fields!(), " }
         }");
    /// Deletes a context.
    CONTEXT_DELETE: model::ContextDelete = "contextDelete"
        "mutation($id: ID!) { contextDelete(id: $id) { id } }";
    /// Attaches a context.
    CONTEXT_ATTACH: model::ContextAttach = "contextAttach"
        "mutation($id: ID!, $stack: ID!, $priority: Int) {
           contextAttach(id: $id, stack: $stack, priority: $priority) { id }
         }";
    /// Takes a context off.
    CONTEXT_DETACH: model::ContextDetach = "contextDetach"
        "mutation($id: ID!, $stack: ID!) { contextDetach(id: $id, stack: $stack) { id } }";
    /// A variable of a context.
    CONTEXT_CONFIG_ADD: model::ContextConfigAdd = "contextConfigAdd"
        "mutation($context: ID!, $config: ConfigInput!) {
           contextConfigAdd(context: $context, config: $config) { id type writeOnly checksum }
         }";
    /// Removes a variable or file of a context.
    CONTEXT_CONFIG_DELETE: model::ContextConfigDelete = "contextConfigDelete"
        "mutation($context: ID!, $id: ID!) { contextConfigDelete(context: $context, id: $id) { id } }";

    /// A new policy.
    POLICY_CREATE: model::PolicyCreate = "policyCreate"
        concat!("mutation($name: String!, $slug: String, $type: PolicyType!, $body: String!, $labels: [String!],
                 $description: String) {
           policyCreate(name: $name, slug: $slug, type: $type, body: $body, labels: $labels,
                        description: $description) { ", policy_fields!(), " }
         }");
    /// Another text, name or labels for a policy.
    POLICY_UPDATE: model::PolicyUpdate = "policyUpdate"
        concat!("mutation($id: ID!, $name: String, $body: String, $labels: [String!], $description: String) {
           policyUpdate(id: $id, name: $name, body: $body, labels: $labels, description: $description) { ",
           policy_fields!(), " }
         }");
    /// Deletes a policy.
    POLICY_DELETE: model::PolicyDelete = "policyDelete"
        "mutation($id: ID!) { policyDelete(id: $id) { id } }";
    /// Attaches a policy.
    POLICY_ATTACH: model::PolicyAttach = "policyAttach"
        "mutation($id: ID!, $stack: ID!) { policyAttach(id: $id, stack: $stack) { id } }";
    /// Takes a policy off.
    POLICY_DETACH: model::PolicyDetach = "policyDetach"
        "mutation($id: ID!, $stack: ID!) { policyDetach(id: $id, stack: $stack) { id } }";
    /// The spaces that the login sees.
    SPACES: model::Spaces = "spaces"
        concat!("{ spaces { ", space_fields!(), " } }");
    /// A new space.
    SPACE_CREATE: model::SpaceCreate = "spaceCreate"
        concat!("mutation($input: SpaceInput!) { spaceCreate(input: $input) { ", space_fields!(), " } }");
    /// Deletes a space.
    SPACE_DELETE: model::SpaceDelete = "spaceDelete"
        concat!("mutation($id: ID!) { spaceDelete(space: $id) { ", space_fields!(), " } }");
    /// Keys in use.
    API_KEYS: model::ApiKeys = "apiKeys"
        concat!("{ apiKeys { ", key_fields!(), " } }");
    /// A new key.
    API_KEY_CREATE: model::ApiKeyCreate = "apiKeyCreate"
        "mutation($input: ApiKeyInput!) { apiKeyCreate(input: $input) { id secret } }";
    /// Takes a key back.
    API_KEY_DELETE: model::ApiKeyDelete = "apiKeyDelete"
        concat!("mutation($id: ID!) { apiKeyDelete(id: $id) { ", key_fields!(), " } }");
    /// What a text would decide.
    POLICY_SIMULATE: model::PolicySimulate = "policySimulate"
        "mutation($body: String!, $input: String!, $type: PolicyType!) {
           policySimulate(body: $body, input: $input, type: $type)
         }";

    /// A run as it would be.
    RUN_DOCUMENT: model::RunDocument = "runDocument"
        "query($stack: ID!, $type: RunType, $sha: String, $by: String) {
           runDocument(stack: $stack, runType: $type, commitSha: $sha, triggeredBy: $by) { json phase attestation }
         }";
    /// A task as it would be.
    TASK_DOCUMENT: model::RunDocument = "runDocument"
        "query($stack: ID!, $command: String!, $skip: Boolean, $by: String) {
           runDocument(stack: $stack, command: $command, skipInitialization: $skip, triggeredBy: $by) {
             json phase attestation
           }
         }";
    /// The apply that a confirm would let happen.
    APPLY_DOCUMENT: model::ApplyDocument = "run.document"
        "query($stack: ID!, $run: ID!) {
           stack(id: $stack) { run(id: $run) { document { json phase attestation } } }
         }";

    /// A plan of some addresses as it would be.
    REPLAN_DOCUMENT: model::ApplyDocument = "run.replanDocument"
        "query($stack: ID!, $run: ID!, $targets: [String!]!) {
           stack(id: $stack) {
             run(id: $run) { document: replanDocument(targets: $targets) { json phase attestation } }
           }
         }";
    /// What a retry would make.
    RETRY_DOCUMENT: model::ApplyDocument = "run.retryDocument"
        "query($stack: ID!, $run: ID!, $by: String) {
           stack(id: $stack) {
             run(id: $run) { document: retryDocument(triggeredBy: $by) { json phase attestation } }
           }
         }";

    /// A page of a stack's runs, newest first.
    STACK_RUNS: model::StackRuns = "stack.runs"
        concat!("query($stack: ID!, $before: ID) {
           stack(id: $stack) { runs(before: $before) { ", run_fields!(), " } }
         }");
    /// One run.
    STACK_RUN: model::StackRun = "stack.run"
        concat!("query($stack: ID!, $run: ID!) { stack(id: $stack) { run(id: $run) { ", run_fields!(), " } } }");
    /// A run's states, newest first.
    RUN_HISTORY: model::RunHistory = "run.history"
        "query($stack: ID!, $run: ID!) {
           stack(id: $stack) {
             run(id: $run) {
               history { hasLogs note state stateVersion terminal timestamp username }
             }
           }
         }";
    /// A page of one state's logs.
    RUN_LOGS: model::RunLogs = "run.logs"
        "query($stack: ID!, $run: ID!, $state: RunState!, $version: Int, $token: String) {
           stack(id: $stack) {
             run(id: $run) {
               logs(state: $state, token: $token, stateVersion: $version) {
                 exists finished hasMore messages { message } nextToken
               }
             }
           }
         }";
    /// What a run's plan would change.
    RUN_CHANGES: model::RunChanges = "run.changesV3"
        "query($stack: ID!, $run: ID!) {
           stack(id: $stack) {
             run(id: $run) { changes: changesV3(input: {}) { resources { address previousAddress metadata { type } } } }
           }
         }";
    /// What is in a stack's newest state.
    STACK_ENTITIES: model::StackEntities = "stack.entities"
        "query($stack: ID!) {
           stack(id: $stack) { entities { address name parent type creator { id } updater { id } } }
         }";
    /// The outputs of a stack's newest state that its code does not mark as sensitive.
    STACK_OUTPUTS: model::StackOutputs = "stack.outputs"
        "query($stack: ID!) { stack(id: $stack) { outputs { name: id value } } }";
}

#[cfg(test)]
pub mod tests {
    use super::ALL;
    use apollo_compiler::validation::Valid;
    use apollo_compiler::{ExecutableDocument, Schema};

    /// The server's schema is the contract; it is committed beside the server.
    pub fn schema() -> Valid<Schema> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../server/schema.graphql");
        let text = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("{path}: {error}; `gantry-server schema` writes it"));
        Schema::parse_and_validate(text, path)
            .unwrap_or_else(|problems| panic!("{}", problems.errors))
    }

    #[test]
    fn the_server_knows_every_operation() {
        let schema = schema();
        for (name, operation) in ALL.iter().chain(super::hosts::ALL) {
            let checked = ExecutableDocument::parse_and_validate(&schema, *operation, *name);
            if let Err(problems) = checked {
                panic!("the server does not know `{name}`:\n{}", problems.errors);
            }
        }
    }
}
