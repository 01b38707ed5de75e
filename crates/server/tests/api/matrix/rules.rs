//! Who may call which root field of the API, and what it is about.
//!
//! A field without a row here fails the test. A new row names the field, the least role, what the field works
//! on, and the rest of an operation that makes sense; `$names` in it are things of a space that the test makes.

/// Who may call a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Least {
    /// Also who has no token.
    Anyone,
    Reader,
    Writer,
    Admin,
    /// An admin whose key is for all spaces.
    Owner,
}

/// What comes of a call that is allowed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Own {
    /// Data and no error.
    Done,
    /// The one refusal that has nothing to do with rights.
    Says(&'static str),
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) field: &'static str,
    pub(super) least: Least,
    pub(super) rest: &'static str,
    pub(super) own: Own,
}

const fn rule(field: &'static str, least: Least, rest: &'static str, own: Own) -> Rule {
    Rule {
        field,
        least,
        rest,
        own,
    }
}

use Least::{Admin, Anyone, Owner, Reader, Writer};
use Own::{Done, Says};

const NO_REGISTRY: Own = Says("is not supported by this server");

pub(super) const QUERIES: &[Rule] = &[
    rule("viewer", Anyone, "{id}", Done),
    rule("debugInfo", Reader, "{selfHostedVersion}", Done),
    rule("stack", Reader, "(id: $stack){id,name}", Done),
    rule("runStack", Reader, "(runId: $run){id,name}", Done),
    rule(
        "searchStacks",
        Reader,
        "(input: {}){edges{node{id,name,workerPool{name},attachedPolicies{policyName},attachedContexts{contextName}}}}",
        Done,
    ),
    rule("stacks", Reader, "{id,name,entities{id}}", Done),
    rule("runDocument", Writer, "(stack: $stack){json}", Done),
    rule("workerPool", Reader, "(id: $pool){id,name}", Done),
    rule("workerPools", Reader, "{id,name}", Done),
    rule(
        "searchWorkerPools",
        Reader,
        "(input: {}){edges{node{id,name}}}",
        Done,
    ),
    rule(
        "publicWorkerPool",
        Reader,
        "{searchSchedulableRuns(input: {}){edges{node{stackId}}}}",
        Done,
    ),
    rule("policy", Reader, "(id: $policy){id,name,body}", Done),
    rule("policies", Reader, "{id,name}", Done),
    rule(
        "searchPolicies",
        Reader,
        "(input: {}){edges{node{id,name}}}",
        Done,
    ),
    rule(
        "context",
        Reader,
        "(id: $context){id,name,attachedStacks{stackName}}",
        Done,
    ),
    rule(
        "contexts",
        Reader,
        "{id,name,attachedStacks{stackName}}",
        Done,
    ),
    rule(
        "searchContexts",
        Reader,
        "(input: {}){edges{node{id,name}}}",
        Done,
    ),
    rule(
        "vcsIntegration",
        Reader,
        "(id: $integration){id,name,pushes{branch}}",
        Done,
    ),
    rule("vcsIntegrations", Reader, "{id,name}", Done),
    rule("vcsAgentPools", Reader, "{id,name,activeConnections}", Done),
    rule(
        "vcsAgentPool",
        Reader,
        "(id: $vcspool){id,name,connections{id},accessLog{id},keys{id}}",
        Done,
    ),
    rule(
        "notificationTarget",
        Reader,
        "(id: $target){id,name,deliveries{id}}",
        Done,
    ),
    rule("notificationTargets", Reader, "{id,name}", Done),
    rule("space", Reader, "(id: $space){id,name}", Done),
    rule("spaces", Reader, "{id,name}", Done),
    rule(
        "searchAuditTrailEntries",
        Admin,
        "(input: {first: 100}){edges{node{action,affectedResource{resourceId},body}}}",
        Done,
    ),
    rule("apiKeys", Owner, "{id,name}", Done),
    rule("apiKey", Owner, "(id: $key){id,name}", Done),
    rule("module", Reader, "(id: \"m\"){id}", Done),
    rule(
        "searchModules",
        Reader,
        "(input: {}){edges{node{id}}}",
        Done,
    ),
    rule("blueprint", Reader, "(id: \"b\"){id}", Done),
    rule(
        "searchBlueprints",
        Reader,
        "(input: {}){edges{node{id}}}",
        Done,
    ),
    rule("template", Reader, "(id: \"t\"){id}", Done),
    rule(
        "searchTemplates",
        Reader,
        "(input: {}){edges{node{id}}}",
        Done,
    ),
    rule("gpgKeys", Reader, "{id}", Done),
    rule(
        "terraformProvider",
        Reader,
        "(id: \"p\"){versions{id}}",
        Done,
    ),
];

pub(super) const MUTATIONS: &[Rule] = &[
    rule(
        "apiKeyUser",
        Anyone,
        "(id: \"x\", secret: \"y\"){jwt}",
        Says("unauthorized"),
    ),
    rule(
        "oauthUser",
        Anyone,
        "(token: \"x\"){jwt}",
        Says("unauthorized: this server takes API keys only"),
    ),
    rule("runTrigger", Writer, "(stack: $stack){id}", Done),
    rule(
        "taskCreate",
        Writer,
        "(stack: $stack, command: \"ls\"){id}",
        Done,
    ),
    rule(
        "runConfirm",
        Writer,
        "(stack: $stack, run: $run){id}",
        Says("cannot confirm"),
    ),
    rule(
        "runDiscard",
        Writer,
        "(stack: $stack, run: $run){id}",
        Says("cannot discard"),
    ),
    rule("runCancel", Writer, "(stack: $stack, run: $run){id}", Done),
    rule(
        "runStop",
        Writer,
        "(stack: $stack, run: $run){id}",
        Says("cannot stop"),
    ),
    rule(
        "runRetry",
        Writer,
        "(stack: $stack, run: $run){id}",
        Says("only a run that failed"),
    ),
    rule(
        "runReview",
        Writer,
        "(stack: $stack, run: $run, decision: APPROVE){id}",
        Says("it waits for no review"),
    ),
    rule(
        "runPromote",
        Writer,
        "(stack: $stack, run: $run){id}",
        Says("promote"),
    ),
    rule(
        "runPrioritizeSet",
        Writer,
        "(stack: $stack, run: $run, prioritize: true){id}",
        Done,
    ),
    rule(
        "runTargetedReplan",
        Writer,
        "(stack: $stack, run: $run, targets: [\"a.b\"]){id}",
        Says("replan"),
    ),
    rule(
        "uploadLocalWorkspace",
        Writer,
        "(stack: $stack){id}",
        Says("preview"),
    ),
    rule(
        "runProposeLocalWorkspace",
        Writer,
        "(stack: $stack, workspace: \"w\", environmentVarsOverrides: []){id}",
        Says("preview"),
    ),
    rule("stackEnable", Writer, "(id: $stack){id}", Done),
    rule("stackDisable", Writer, "(id: $stack){id}", Done),
    rule(
        "stackDriftDetectionSet",
        Writer,
        "(stack: $stack, input: {schedule: [\"0 6 * * *\"]}){schedule}",
        Done,
    ),
    rule(
        "stackDriftDetectionDelete",
        Writer,
        "(stack: $stack){id}",
        Done,
    ),
    rule(
        "stackStateRollback",
        Admin,
        "(stack: $stack, version: 1){version}",
        Says("state version `1` does not exist"),
    ),
    rule("stackSyncCommit", Writer, "(id: $stack){id}", Done),
    rule(
        "stackSetCurrentCommit",
        Writer,
        "(id: $stack, sha: \"x\"){id}",
        Says("commit"),
    ),
    rule(
        "stackCreate",
        Admin,
        "(input: {name: $fresh, repository: \"file:///nowhere\", branch: \"main\", space: $space}, manageState: true){id}",
        Says("file:///nowhere"),
    ),
    rule(
        "stackUpdate",
        Admin,
        "(id: $stack, input: {name: $fresh, repository: \"https://git.example/a\", branch: \"main\"}){id}",
        Done,
    ),
    rule("stackDelete", Admin, "(id: $stack){id}", Done),
    rule("stackLock", Writer, "(id: $stack){id}", Done),
    rule("stackUnlock", Writer, "(id: $stack){id}", Done),
    rule(
        "stackConfigAdd",
        Writer,
        "(stack: $stack, config: {id: \"A\", type: ENVIRONMENT_VARIABLE, value: \"1\", writeOnly: false}){id}",
        Done,
    ),
    rule(
        "stackConfigDelete",
        Writer,
        "(stack: $stack, id: \"A\"){id}",
        Done,
    ),
    rule(
        "contextCreate",
        Admin,
        "(name: $fresh, space: $space){id}",
        Done,
    ),
    rule(
        "contextUpdate",
        Admin,
        "(id: $context, name: $fresh){id}",
        Done,
    ),
    rule(
        "stateDownloadUrl",
        Writer,
        "(input: {stackId: $stack}){url}",
        Says("this server keeps no state of stack"),
    ),
    rule("contextDelete", Admin, "(id: $context){id}", Done),
    rule(
        "contextAttach",
        Admin,
        "(id: $context, stack: $stack){id}",
        Done,
    ),
    rule(
        "contextDetach",
        Admin,
        "(id: $context, stack: $stack){id}",
        Says("is not attached"),
    ),
    rule(
        "contextConfigAdd",
        Writer,
        "(context: $context, config: {id: \"A\", type: ENVIRONMENT_VARIABLE, value: \"1\", writeOnly: false}){id}",
        Done,
    ),
    rule(
        "contextConfigDelete",
        Writer,
        "(context: $context, id: \"A\"){id}",
        Done,
    ),
    rule(
        "notificationTargetCreate",
        Admin,
        "(name: $fresh, space: $space, url: \"https://hooks.example/\"){target{id}}",
        Done,
    ),
    rule(
        "notificationTargetUpdate",
        Admin,
        "(id: $target, name: $fresh){id}",
        Done,
    ),
    rule("notificationTargetDelete", Admin, "(id: $target){id}", Done),
    rule(
        "notificationRedeliver",
        Admin,
        "(target: $target, delivery: \"01JB8M6Q7N4T0V2X5Y8Z9A1B2C\"){id}",
        Says("does not exist"),
    ),
    rule(
        "vcsAgentPoolCreate",
        Admin,
        "(name: $fresh, space: $space){id}",
        Done,
    ),
    rule(
        "vcsAgentPoolUpdate",
        Admin,
        "(id: $vcspool, name: $fresh){id}",
        Done,
    ),
    rule("vcsAgentPoolReset", Admin, "(id: $vcspool){id}", Done),
    rule("vcsAgentPoolDelete", Admin, "(id: $vcspool){id}", Done),
    rule(
        "vcsIntegrationCreate",
        Admin,
        "(input: {name: $fresh, space: $space, vendor: GIT, urlPrefix: \"https://git.example/\"}){integration{id}}",
        Done,
    ),
    rule(
        "vcsIntegrationUpdate",
        Admin,
        "(id: $integration, name: $fresh){id}",
        Done,
    ),
    rule(
        "vcsIntegrationDelete",
        Admin,
        "(id: $integration){id}",
        Done,
    ),
    rule(
        "policyCreate",
        Admin,
        "(name: $fresh, space: $space, type: GIT_PUSH, body: \"package spacelift\\ntrack { true }\"){id}",
        Done,
    ),
    rule(
        "policyUpdate",
        Admin,
        "(id: $policy, name: $fresh){id}",
        Done,
    ),
    rule("policyDelete", Admin, "(id: $policy){id}", Done),
    rule(
        "policyAttach",
        Admin,
        "(id: $policy, stack: $stack){id}",
        Done,
    ),
    rule(
        "policyDetach",
        Admin,
        "(id: $policy, stack: $stack){id}",
        Says("is not attached"),
    ),
    rule(
        "policySimulate",
        Writer,
        "(type: GIT_PUSH, input: \"{}\", body: \"package spacelift\\ntrack { true }\")",
        Done,
    ),
    rule(
        "workerPoolCreate",
        Admin,
        "(name: $fresh, space: $space, certificateSigningRequest: \"x\"){id}",
        Says("signing request"),
    ),
    rule(
        "workerPoolUpdate",
        Admin,
        "(id: $pool, name: $fresh){id}",
        Done,
    ),
    rule(
        "workerPoolReset",
        Admin,
        "(id: $pool, certificateSigningRequest: \"x\"){id}",
        Says("signing request"),
    ),
    rule("workerPoolDelete", Admin, "(id: $pool){id}", Done),
    rule("workerPoolCycle", Admin, "(id: $pool)", Done),
    rule(
        "workerDrainSet",
        Admin,
        "(workerPool: $pool, id: $worker, drain: true){id}",
        Done,
    ),
    rule(
        "workerApprove",
        Admin,
        "(workerPool: $pool, id: $worker){id}",
        Done,
    ),
    rule(
        "workerRevoke",
        Admin,
        "(workerPool: $pool, id: $worker){id}",
        Done,
    ),
    rule(
        "workerQuarantineClear",
        Admin,
        "(workerPool: $pool, id: $worker){id}",
        Done,
    ),
    rule(
        "spaceCreate",
        Owner,
        "(input: {name: $fresh, parentSpace: $space}){id}",
        Done,
    ),
    rule(
        "spaceUpdate",
        Owner,
        "(space: $child, input: {name: $fresh}){id}",
        Done,
    ),
    rule("spaceDelete", Owner, "(space: $child){id}", Done),
    rule(
        "apiKeyCreate",
        Owner,
        "(input: {name: $fresh, role: READER}){id}",
        Done,
    ),
    rule("apiKeyDelete", Owner, "(id: $key){id}", Done),
    rule("versionCreate", Writer, "(module: \"m\"){id}", NO_REGISTRY),
    rule(
        "versionDelete",
        Writer,
        "(module: \"m\", id: \"v\"){number}",
        NO_REGISTRY,
    ),
    rule(
        "versionProposeLocalWorkspace",
        Writer,
        "(module: \"m\", workspace: \"w\"){id}",
        NO_REGISTRY,
    ),
    rule(
        "blueprintCreateStack",
        Writer,
        "(id: \"b\", input: {}){stackID}",
        NO_REGISTRY,
    ),
    rule(
        "runExternalDependencyMarkAsCompleted",
        Writer,
        "(dependency: \"d\", status: FINISHED){phantom}",
        Says("external dependency"),
    ),
    rule(
        "gpgKeyCreate",
        Admin,
        "(name: \"n\", asciiArmor: \"a\"){id}",
        NO_REGISTRY,
    ),
    rule("gpgKeyRevoke", Admin, "(id: \"k\"){id}", NO_REGISTRY),
    rule(
        "terraformProviderVersionCreate",
        Admin,
        "(provider: \"p\", input: {number: \"1\", protocolVersions: [], shaSumsFileSHA: \"a\", signatureFileSHA: \"b\", signingKeyId: \"k\"}){version{id}}",
        NO_REGISTRY,
    ),
    rule(
        "terraformProviderVersionRegisterPlatform",
        Admin,
        "(version: \"v\", input: {architecture: \"a\", archiveChecksum: \"b\", binaryChecksum: \"c\", os: \"d\"})",
        NO_REGISTRY,
    ),
    rule(
        "terraformProviderVersionRegisterPlatformV2",
        Admin,
        "(version: \"v\", input: {architecture: \"a\", archiveChecksum: \"b\", binaryChecksum: \"c\", os: \"d\"}){uploadUrl}",
        NO_REGISTRY,
    ),
    rule(
        "terraformProviderVersionUpdate",
        Admin,
        "(version: \"v\", description: \"d\"){id}",
        NO_REGISTRY,
    ),
    rule(
        "terraformProviderVersionPublish",
        Admin,
        "(version: \"v\"){id}",
        NO_REGISTRY,
    ),
    rule(
        "terraformProviderVersionRevoke",
        Admin,
        "(version: \"v\"){id}",
        NO_REGISTRY,
    ),
    rule(
        "terraformProviderVersionDelete",
        Admin,
        "(version: \"v\"){id}",
        NO_REGISTRY,
    ),
    rule(
        "terraformProviderVersionUploadDocs",
        Admin,
        "(version: \"v\", archive: \"a\"){id}",
        NO_REGISTRY,
    ),
];
