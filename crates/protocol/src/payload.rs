//! What a launcher needs to know to execute one lease of one run: the content of the sealed envelope.
//!
//! Everything is resolved by the server before the run becomes `READY`; the launcher takes no setting
//! from the checkout. Unknown fields are refused, because the whole document is signed for.

use serde::{Deserialize, Serialize};

use crate::ids::{Attempt, Digest, PoolId, RunId, StackId};
use crate::plan::PlannedChange;
use crate::run::RunType;
use crate::secret::Secret;

/// Which part of a run a lease executes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// From the start: source, init, then plan (and apply, with autodeploy and a grant) or the task.
    Start,
    /// After a confirm: restore the packed workspace, then apply.
    Apply,
    /// A plan of chosen addresses: restore the packed workspace, plan again, and wait again.
    Replan,
}

/// One lease's complete instructions. Travels only sealed to the pool key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunPayload {
    /// The run.
    pub run: RunId,
    /// The lease's attempt number.
    pub attempt: Attempt,
    /// The pool it is meant for.
    pub pool: PoolId,
    /// The stack's slug.
    pub stack: StackId,
    /// What else is known about the stack; nothing of it is executed.
    pub stack_facts: StackFacts,
    /// The name that the server's operator gave this installation.
    pub account_name: String,
    /// The stack's space.
    pub space: String,
    /// What the run is for.
    pub run_type: RunType,
    /// Which part of it this lease executes.
    pub stage: Stage,
    /// Who or what triggered it; empty for a commit.
    pub triggered_by: String,
    /// When it was made, in Unix milliseconds.
    pub created_at: i64,
    /// When it was handed over for this lease, in Unix milliseconds.
    pub updated_at: i64,
    /// Entries that users attached, oldest first.
    pub metadata: Vec<String>,
    /// Flags that policies of the server set on the run.
    pub flags: Vec<String>,
    /// The stack's labels.
    pub labels: Vec<String>,
    /// Where the code comes from.
    pub source: Source,
    /// What the code host says about the commit.
    pub commit: CommitFacts,
    /// Runner image reference; `None` lets the launcher's default stand.
    pub image: Option<String>,
    /// Which tool plans and applies.
    pub tool: Tool,
    /// Whether a plan with changes may ask for its apply at once.
    pub autodeploy: bool,
    /// Addresses that a person chose for the newest plan; empty is all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// Task only: leave the tool's init out.
    pub skip_init: bool,
    /// Task only: the command, given to `sh -c`.
    pub command: Option<String>,
    /// Whether the server keeps the tool's state.
    pub managed_state: bool,
    /// Environment, in the order in which it is set (a later entry of the same name wins).
    pub environment: Vec<Variable>,
    /// Files laid below `/mnt/workspace`.
    pub files: Vec<MountedFile>,
    /// Commands around the phases.
    pub hooks: Hooks,
    /// [`Stage::Apply`] and [`Stage::Replan`] only: what the restored workspace has to be.
    pub workspace: Option<PackedWorkspace>,
    /// The stack's salt, as text: with it values enter a signed document as digests that nobody can guess.
    pub salt: Secret,
}

/// What a stack is beside what its runs execute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackFacts {
    /// The name that people see.
    pub name: String,
    /// Its own branch, also where the run's commit is of another.
    pub branch: String,
    /// Whether it may manage others of its space.
    pub administrative: bool,
    /// The person who holds it, if one does.
    pub locked_by: Option<String>,
}

/// A commit as its author wrote it: claims of whoever pushed it, and empty where the code host did not say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitFacts {
    /// Author's name.
    pub author: String,
    /// The whole message, cut at the server's limit.
    pub message: String,
    /// When it was made, in Unix milliseconds; `None` where unknown.
    pub created_at: Option<i64>,
}

/// A commit of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Clone URL (`https`, `ssh`, or `file` where the host allows it).
    pub url: String,
    /// The name people use, such as `owner/repo`.
    pub repository: String,
    /// The branch that holds the commit.
    pub branch: String,
    /// Full commit hash: 40 lower-case hex digits (64 for SHA-256 repositories).
    pub commit: String,
    /// Directory of the tool's code below the checkout; empty for its root.
    pub project_root: String,
    /// Credentials for `https`, used on the host only, never handed to the container.
    pub credentials: Option<GitCredentials>,
    /// Files that a person uploaded; they stand in place of the commit's, and nothing is cloned. A launcher that
    /// does not know this member refuses the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<UploadedArchive>,
}

/// A tree of files that a person uploaded for one preview: a gzip'd tar with one directory at its top.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadedArchive {
    /// SHA-256 of the archive as it was uploaded.
    pub digest: Digest,
    /// Its length in bytes.
    pub bytes: u64,
}

/// User name and password (or token) for cloning over `https`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GitCredentials {
    /// User name.
    pub username: String,
    /// Password or token.
    pub password: Secret,
}

/// An infrastructure tool. A third tool joins here and in the worker's `tool` module.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolKind {
    /// HashiCorp Terraform.
    Terraform,
    /// OpenTofu.
    OpenTofu,
}

/// The tool that a stack asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Which one.
    pub kind: ToolKind,
    /// The version that the stack asks for; `None` takes what the image holds.
    pub version: Option<String>,
}

/// One environment variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Name.
    pub name: String,
    /// Value.
    pub value: Secret,
    /// Whether the value is masked in logs.
    pub secret: bool,
}

/// One file that the stack lays into the workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MountedFile {
    /// Path relative to `/mnt/workspace`.
    pub path: String,
    /// Content, standard base64.
    pub content: Secret,
    /// Whether the content is masked in logs.
    pub secret: bool,
}

/// Shell commands around the phases, each list in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hooks {
    /// Before the tool's init, in the shell whose exports the init inherits.
    pub before_init: Vec<String>,
    /// After a successful init.
    pub after_init: Vec<String>,
    /// Before the plan.
    pub before_plan: Vec<String>,
    /// After a successful plan.
    pub after_plan: Vec<String>,
    /// Before the apply.
    pub before_apply: Vec<String>,
    /// After a successful apply.
    pub after_apply: Vec<String>,
    /// Before a task's command.
    pub before_perform: Vec<String>,
    /// After a successful command.
    pub after_perform: Vec<String>,
    /// Before the destroy.
    pub before_destroy: Vec<String>,
    /// After a successful destroy.
    pub after_destroy: Vec<String>,
    /// After every run that a worker processed.
    pub after_run: Vec<String>,
}

/// The workspace that a plan left, as the packing launcher attested it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackedWorkspace {
    /// The attempt that packed it.
    pub attempt: Attempt,
    /// SHA-256 of the sealed blob.
    pub sealed: Digest,
    /// SHA-256 of the tool's plan file.
    pub plan: Digest,
    /// The packing launcher's signed attestation, exactly as it was stored with the blob: the restoring
    /// launcher believes this, not the fields above.
    pub attestation: String,
    /// What the plan changes, as the server knows it: the attestation has the digest of the true list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<PlannedChange>>,
}
