//! Making runs.
//!
//! Takes a stack and a wish, gives a queued run whose commit and settings are fixed. Never: a run of a commit
//! that nobody named and no branch points at.

use gantry_policy::PolicyKind;
use gantry_protocol::{RunId, RunType};

use super::runtime::settings_of;
use super::{Operate, OperationError, door};
use crate::clock::UnixMillis;
use crate::domain::stack::Availability;
use crate::domain::{Cause, Gate, MetadataEntry, Run, TaskInit};
use crate::error::chain;
use crate::store::commit::{Choice, Commit};
use crate::store::local_workspaces;
use crate::store::policies;
use crate::store::runs::{self, NewRun, RunRecord};
use crate::store::stacks::{self, Stack};
use crate::vcs_probe::is_full_hash;

/// The longest command of a task, in bytes.
const COMMAND_LIMIT: usize = 64 * 1024;

/// A wish for a run that plans.
#[derive(Clone, Debug)]
pub struct TriggerRequest<'a> {
    /// The stack.
    pub stack: &'a str,
    /// What the run is for.
    pub run_type: RunType,
    /// The commit; none takes the head of the stack's branch.
    pub commit: Option<&'a str>,
    /// YAML that changes settings for this run.
    pub runtime_config: Option<&'a str>,
    /// An entry for the run's metadata.
    pub metadata: Option<&'a MetadataEntry>,
}

/// A wish for a command.
#[derive(Clone, Debug)]
pub struct TaskRequest<'a> {
    /// The stack.
    pub stack: &'a str,
    /// The command.
    pub command: &'a str,
    /// Whether the tool's init comes first.
    pub task_init: TaskInit,
    /// An entry for the run's metadata.
    pub metadata: Option<&'a MetadataEntry>,
}

impl Operate {
    /// Makes a run that plans.
    pub async fn trigger(&self, wish: TriggerRequest<'_>) -> Result<RunRecord, OperationError> {
        self.create(self.planning(wish).await?).await
    }

    /// The run that a trigger makes.
    pub(super) async fn planning(
        &self,
        wish: TriggerRequest<'_>,
    ) -> Result<NewRun, OperationError> {
        match wish.run_type {
            RunType::Tracked | RunType::Proposed | RunType::Destroy => {}
            RunType::Task => {
                return Err(OperationError::Unsupported(
                    "`runTrigger` of a TASK (use `taskCreate`)",
                ));
            }
            RunType::Testing => {
                return Err(OperationError::Unsupported("a TESTING run of a stack"));
            }
        }
        let stack = self.stack(wish.stack).await?;
        let commit = match (wish.commit, wish.run_type) {
            (Some(hash), _) => named_commit(&stack, hash)?,
            // What is destroyed is what was deployed.
            (None, RunType::Destroy) => self.deployed(&stack).await?,
            (None, _) => self.next_commit(&stack).await?,
        };
        let short: String = commit.hash.chars().take(8).collect();
        let what = match wish.run_type {
            RunType::Proposed => "Preview",
            RunType::Destroy => "Destruction",
            RunType::Tracked | RunType::Task | RunType::Testing => "Deployment",
        };
        let title = format!("{what} of {} at {short}", commit.branch);
        let run = self.queued(&stack, wish.run_type, TaskInit::Run);
        let new = self.new_run(&stack, run, title, commit, None, wish.metadata)?;
        self.settled(&stack, new, wish.runtime_config).await
    }

    /// Makes a run of one command.
    pub async fn task(&self, wish: TaskRequest<'_>) -> Result<RunRecord, OperationError> {
        self.create(self.performing(wish).await?).await
    }

    /// The run that a task is.
    pub(super) async fn performing(&self, wish: TaskRequest<'_>) -> Result<NewRun, OperationError> {
        let command = wish.command;
        if command.trim().is_empty() || command.len() > COMMAND_LIMIT || command.contains('\0') {
            let rule = "expected a command of at most 64 KiB";
            return Err(OperationError::input("command", command, rule));
        }
        let stack = self.stack(wish.stack).await?;
        let commit = self.deployed(&stack).await?;
        let title: String = command
            .lines()
            .next()
            .unwrap_or("")
            .chars()
            .take(100)
            .collect();
        let run = self.queued(&stack, RunType::Task, wish.task_init);
        let command = Some(command.to_owned());
        let new = self.new_run(&stack, run, title, commit, command, wish.metadata)?;
        self.settled(&stack, new, None).await
    }

    pub(super) async fn stack(&self, id: &str) -> Result<Stack, OperationError> {
        let mut conn = self.app.store.read().await?;
        let stack = door::stack(&mut conn, &self.principal, id).await?;
        if stack.settings.pool.is_none() {
            return Err(OperationError::NoPool {
                stack: stack.id.to_string(),
            });
        }
        Ok(stack)
    }

    /// What was deployed last, as far as anything was.
    pub(super) async fn deployed(&self, stack: &Stack) -> Result<Commit, OperationError> {
        match &stack.tracked {
            Some(tracked) => Ok(tracked.commit.clone()),
            None => self.branch_head(stack).await,
        }
    }

    /// What a deployment takes that names no commit.
    async fn next_commit(&self, stack: &Stack) -> Result<Commit, OperationError> {
        match &stack.tracked {
            Some(tracked) if tracked.choice == Choice::Set => Ok(tracked.commit.clone()),
            Some(_) | None => self.branch_head(stack).await,
        }
    }

    pub(super) async fn branch_head(&self, stack: &Stack) -> Result<Commit, OperationError> {
        let code = &stack.settings.code;
        let repository = self.source(stack).await?;
        let hash = repository.branch_head(&code.branch).await?;
        Ok(Commit {
            hash,
            branch: code.branch.clone(),
            ..Commit::default()
        })
    }

    /// The commit with its author, message and time, as far as the code host tells. A run does not depend on
    /// them: a host that does not answer costs the details, not the run.
    pub(super) async fn described(&self, stack: &Stack, commit: Commit) -> Commit {
        if commit.timestamp != 0 {
            return commit;
        }
        // What a hash stands for never changes.
        let known = stack.tracked.as_ref().map(|tracked| &tracked.commit);
        if let Some(known) = known.filter(|known| known.hash == commit.hash && known.timestamp != 0)
        {
            return Commit {
                branch: commit.branch,
                ..known.clone()
            };
        }
        let details = match self.source(stack).await {
            Ok(repository) => repository.details(&commit.hash).await.map_err(Into::into),
            Err(error) => Err(error),
        };
        match details {
            Ok(details) => Commit {
                author_name: details.author,
                message: details.message,
                timestamp: details.committed_at,
                ..commit
            },
            Err(error) => {
                let stack = &stack.id;
                tracing::warn!(%stack, commit = commit.hash, error = chain(&error), "a commit has no details");
                commit
            }
        }
    }

    pub(super) fn queued(&self, stack: &Stack, run_type: RunType, task_init: TaskInit) -> Run {
        let id = RunId::from_ulid(self.app.store.new_id());
        Run::queued(
            id,
            stack.id.clone(),
            run_type,
            stack.settings.approval,
            task_init,
        )
    }

    pub(super) fn new_run(
        &self,
        stack: &Stack,
        run: Run,
        title: String,
        commit: Commit,
        command: Option<String>,
        metadata: Option<&MetadataEntry>,
    ) -> Result<NewRun, OperationError> {
        let missing = || OperationError::NoPool {
            stack: stack.id.to_string(),
        };
        Ok(NewRun {
            run,
            pool: stack.settings.pool.ok_or_else(missing)?,
            title,
            commit,
            triggered_by: Some(self.principal.name().to_owned()),
            command,
            metadata: metadata
                .map(|entry| entry.as_str().to_owned())
                .into_iter()
                .collect(),
            settings: settings_of(stack),
            gate: Gate::Open,
            cause: Cause::Asked,
            overrides: Vec::new(),
            note: None,
        })
    }

    pub(super) async fn create(&self, new: NewRun) -> Result<RunRecord, OperationError> {
        self.create_with(new, &Beside::Nothing).await
    }

    /// Makes a run together with what has to happen in the same moment.
    pub(super) async fn create_with(
        &self,
        mut new: NewRun,
        beside: &Beside,
    ) -> Result<RunRecord, OperationError> {
        let at = UnixMillis::now();
        let mut tx = self.app.store.begin().await?;
        // The stack may have been deleted or taken while its host was asked for the branch.
        let stack = door::stack(&mut tx, &self.principal, new.run.stack.as_str()).await?;
        check_open(&stack)?;
        if new.run.run_type.takes_stack_lock() {
            self.check_holder(&stack)?;
        }
        if let Beside::Deletion = beside {
            stacks::check_idle(&mut tx, &stack.id).await?;
        }
        let asked = policies::about(&mut tx, &stack, PolicyKind::Approval).await?;
        if !asked.is_empty() {
            new.gate = Gate::Closed;
        }
        let record = runs::create(&mut tx, &new, &self.principal.actor(), at).await?;
        if record.run.run_type == RunType::Tracked {
            let tracked = self.tracked_by(&stack, &new.commit);
            stacks::set_tracked(&mut tx, &new.run.stack, &tracked).await?;
        }
        match beside {
            Beside::Nothing => {}
            Beside::Upload(id) => {
                if !local_workspaces::claim(&mut tx, id, new.run.id).await? {
                    return Err(OperationError::no_upload(id, &stack.id));
                }
            }
            Beside::Deletion => stacks::delete_after(&mut tx, &stack.id, new.run.id).await?,
        }
        self.record(&mut tx, "run.create", new.run.id).await?;
        self.app.store.commit(tx).await?;
        Ok(self.ask_approval(record).await?)
    }
}

/// What has to happen in the moment in which a run is made.
#[derive(Clone, Debug)]
pub(super) enum Beside {
    /// Nothing.
    Nothing,
    /// These uploaded files become its own.
    Upload(String),
    /// Its good end deletes the stack.
    Deletion,
}

/// Refuses if the stack takes no new runs.
pub(crate) fn check_open(stack: &Stack) -> Result<(), OperationError> {
    let stack_id = stack.id.to_string();
    match (stack.availability, stack.deleted_by) {
        (_, Some(run)) => Err(OperationError::Deleting {
            stack: stack_id,
            run,
        }),
        (Availability::Disabled, None) => Err(OperationError::Disabled { stack: stack_id }),
        (Availability::Enabled, None) => Ok(()),
    }
}

pub(super) fn named_commit(stack: &Stack, hash: &str) -> Result<Commit, OperationError> {
    let hash = hash.to_ascii_lowercase();
    if !is_full_hash(&hash) {
        return Err(OperationError::Commit(hash.chars().take(64).collect()));
    }
    let branch = stack.settings.code.branch.clone();
    Ok(Commit {
        hash,
        branch,
        ..Commit::default()
    })
}
