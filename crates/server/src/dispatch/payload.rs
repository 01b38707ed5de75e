//! What a launcher is told about a run: everything, resolved and opened, for sealing to its pool.
//!
//! Takes the run as recorded and the stack's variables and files of this moment, gives the payload. Never:
//! written to a log, a file or the database before it is sealed.

use gantry_protocol::control::envelope::EnvelopeError;
use gantry_protocol::payload::{
    CommitFacts, GitCredentials, PackedWorkspace, RunPayload, Source, StackFacts, Stage,
};
use gantry_protocol::{PoolId, RunId, Secret, StackId};

use super::environment::Surroundings;
use crate::clock::UnixMillis;
use crate::domain::{Approval, ContextId, TaskInit};
use crate::logins::{self, LoginError};
use crate::store::commit::Commit;
use crate::store::runs::RunRecord;
use crate::store::stacks::{self, Stack};
use crate::store::{Conn, StoreError, artifacts, run_flags, stack_salts};
use crate::vault::{Vault, VaultError};

/// Why a run can't be handed to anybody.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// A write-only value does not open.
    #[error("`{name}` of stack `{stack}` can't be opened; set it again")]
    Config {
        /// The stack.
        stack: StackId,
        /// The variable or file.
        name: String,
        /// Why.
        source: VaultError,
    },
    /// A write-only value of a context does not open.
    #[error("`{name}` of context `{context}` can't be opened; set it again")]
    ContextConfig {
        /// The context.
        context: ContextId,
        /// The variable or file.
        name: String,
        /// Why.
        source: VaultError,
    },
    /// The login for its repository can't be had.
    #[error("run {run} has no login for its repository")]
    Login {
        /// The run.
        run: RunId,
        /// Why.
        source: LoginError,
    },
    /// The stack's salt does not open, or can't be sealed.
    #[error("the salt of stack `{stack}` can't be sealed or opened")]
    Salt {
        /// The stack.
        stack: StackId,
        /// Why.
        source: VaultError,
    },
    /// The workspace that the apply needs is gone.
    #[error("the workspace that run {run} packed after its plan is gone; trigger a new run")]
    Workspace {
        /// The run.
        run: RunId,
    },
    /// The pool's key in the database is damaged.
    #[error("the public key of worker pool {pool} is damaged in the database")]
    PoolKey {
        /// The pool.
        pool: PoolId,
    },
    /// Sealing failed.
    #[error("run {run} can't be sealed to its pool")]
    Seal {
        /// The run.
        run: RunId,
        /// Why.
        source: Box<EnvelopeError>,
    },
}

/// What a payload is of, beside the run's own record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handing<'a> {
    /// The name of this installation.
    pub(super) account: &'a str,
    /// Which part of the run the lease executes.
    pub(super) stage: Stage,
    /// The moment of the hand-over.
    pub(super) now: UnixMillis,
}

/// The payload of a run's next lease.
pub(super) async fn build(
    conn: &mut Conn,
    vault: &Vault,
    record: &RunRecord,
    handing: Handing<'_>,
) -> Result<Result<RunPayload, PayloadError>, StoreError> {
    let run = record.run.id;
    let workspace = match handing.stage {
        Stage::Start => None,
        Stage::Apply | Stage::Replan => match artifacts::newest_workspace(conn, run).await? {
            Some(row) => Some(PackedWorkspace {
                attempt: row.attempt,
                sealed: row.sealed,
                plan: row.plan,
                attestation: row.attestation,
                changes: None,
            }),
            None => return Ok(Err(PayloadError::Workspace { run })),
        },
    };
    let stack = stacks::get(conn, &record.run.stack).await?;
    let salt = match salt(conn, vault, &record.run.stack).await? {
        Ok(salt) => salt,
        Err(error) => return Ok(Err(error)),
    };
    let around = Surroundings::of(conn, vault, (record, &stack), handing.account).await?;
    let around = match around {
        Ok(around) => around,
        Err(error) => return Ok(Err(error)),
    };
    let settings = &record.settings;
    let login = match logins::find(conn, vault, &settings.url, &settings.space).await {
        Ok(login) => login,
        Err(LoginError::Store(error)) => return Err(error),
        Err(source) => return Ok(Err(PayloadError::Login { run, source })),
    };
    let resolved = Resolved {
        stack,
        workspace,
        around,
        login,
        salt,
        flags: run_flags::of(conn, run).await?,
    };
    Ok(Ok(assemble(record, handing, resolved)))
}

/// What stands in other rows than the run's.
struct Resolved {
    stack: Stack,
    workspace: Option<PackedWorkspace>,
    around: Surroundings,
    login: Option<GitCredentials>,
    salt: Secret,
    flags: Vec<String>,
}

fn assemble(record: &RunRecord, handing: Handing<'_>, resolved: Resolved) -> RunPayload {
    let settings = &record.settings;
    RunPayload {
        run: record.run.id,
        attempt: record.run.attempt.next(),
        pool: record.pool,
        stack: record.run.stack.clone(),
        stack_facts: stack_facts(record, resolved.stack),
        account_name: handing.account.to_owned(),
        space: settings.space.clone(),
        run_type: record.run.run_type,
        stage: handing.stage,
        triggered_by: record.triggered_by.clone().unwrap_or_default(),
        created_at: record.created_at.0,
        updated_at: handing.now.0,
        metadata: record.metadata.clone(),
        flags: resolved.flags,
        labels: settings.labels.clone(),
        source: Source {
            url: settings.url.clone(),
            repository: settings.repository.clone(),
            branch: record.commit.branch.clone(),
            commit: record.commit.hash.clone(),
            project_root: settings.project_root.clone(),
            credentials: resolved.login,
            archive: settings.archive,
        },
        commit: commit_facts(&record.commit),
        image: settings.runner_image.clone(),
        tool: settings.tool.clone(),
        // A plan of chosen addresses is a person's to decide about.
        autodeploy: record.run.approval == Approval::Automatic && handing.stage != Stage::Replan,
        targets: record.targets.clone(),
        skip_init: record.run.task_init == TaskInit::Skip,
        command: record.command.clone(),
        managed_state: settings.managed_state,
        environment: resolved.around.environment,
        files: resolved.around.files,
        hooks: resolved.around.hooks,
        workspace: resolved.workspace,
        salt: resolved.salt,
    }
}

/// The salt that the caller saw to.
async fn salt(
    conn: &mut Conn,
    vault: &Vault,
    stack: &StackId,
) -> Result<Result<Secret, PayloadError>, StoreError> {
    let sealed = stack_salts::find(conn, stack).await?;
    let sealed = sealed.ok_or_else(|| StoreError::NotFound {
        kind: "salt of stack",
        id: stack.to_string(),
    })?;
    let opened = vault.open_text(&stack_salts::sealing_purpose(stack), &sealed);
    Ok(opened.map_err(|source| PayloadError::Salt {
        stack: stack.clone(),
        source,
    }))
}

fn stack_facts(record: &RunRecord, stack: Stack) -> StackFacts {
    StackFacts {
        name: stack.settings.name,
        branch: record.settings.stack_branch.clone(),
        administrative: stack.settings.administrative,
        locked_by: stack.locked_by,
    }
}

fn commit_facts(commit: &Commit) -> CommitFacts {
    CommitFacts {
        author: commit.author_name.clone(),
        message: commit.message.clone(),
        // A commit of 1970 is one whose time nobody knows.
        created_at: (commit.timestamp != 0).then(|| commit.timestamp.saturating_mul(1000)),
    }
}
