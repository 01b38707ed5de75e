//! Runs that commits start, and those that a newer commit makes pointless.
//!
//! Takes a decision, gives a run in one transaction with the note that the stack was told. Never: a tracked run
//! on a stack that a person holds, a preview left behind that nobody waits for.

use std::collections::HashSet;

use gantry_policy::PolicyKind;
use gantry_protocol::{RunId, RunState, RunType};

use super::act::ActError;
use super::decide::{Asked, waits};
use crate::app::App;
use crate::clock::UnixMillis;
use crate::code_hosts::Repository;
use crate::domain::{Actor, Cause, Gate, Push, Run, RunEvent, TaskInit, Urgency};
use crate::operations::OperationError;
use crate::operations::check_open;
use crate::operations::runtime::{resolve, settings_of};
use crate::store::audit::{self, Deed};
use crate::store::commit::{Choice, Commit, TrackedCommit};
use crate::store::runs::{self, NewRun, RunRecord};
use crate::store::stacks::{self, Stack};
use crate::store::{StoreError, Tx, policies, pushes, run_flags};

/// A run that a push asks for.
pub(super) struct Wish<'a> {
    pub(super) stack: &'a Stack,
    pub(super) push: &'a Push,
    pub(super) commit: Commit,
    pub(super) run_type: RunType,
    /// What push policies want besides.
    pub(super) asked: Asked,
}

impl Wish<'_> {
    /// Makes the run, and says so in words.
    pub(super) async fn start(
        self,
        app: &App,
        repository: &Repository<'_>,
    ) -> Result<String, ActError> {
        let new = match self.new_run(app, repository).await {
            Ok(new) => new,
            // Trying again would not mend the file, or give the stack a pool.
            Err(
                error @ (OperationError::RuntimeConfig(_)
                | OperationError::NoPool { .. }
                | OperationError::Disabled { .. }
                | OperationError::Deleting { .. }),
            ) => {
                let stack = &self.stack.id;
                tracing::warn!(%stack, commit = self.commit.hash, %error, "a push starts no run");
                nothing(app, self.stack, &self.commit).await?;
                return Ok(format!("nothing started: {error}"));
            }
            Err(error) => return Err(error.into()),
        };
        self.add(app, new).await
    }

    async fn new_run(
        &self,
        app: &App,
        repository: &Repository<'_>,
    ) -> Result<NewRun, OperationError> {
        let stack = self.stack;
        check_open(stack)?;
        let missing = || OperationError::NoPool {
            stack: stack.id.to_string(),
        };
        let pool = stack.settings.pool.ok_or_else(missing)?;
        let of = (settings_of(stack), self.commit.clone());
        let applied = resolve(repository, stack, of, None).await?;
        let id = RunId::from_ulid(app.store.new_id());
        let approval = stack.settings.approval;
        Ok(NewRun {
            run: Run::queued(id, stack.id.clone(), self.run_type, approval, TaskInit::Run),
            pool,
            title: title(&self.commit),
            commit: self.commit.clone(),
            triggered_by: None,
            command: None,
            metadata: Vec::new(),
            settings: applied.settings,
            gate: Gate::Open,
            cause: Cause::Asked,
            overrides: Vec::new(),
            note: applied.note,
        })
    }

    async fn add(self, app: &App, mut new: NewRun) -> Result<String, ActError> {
        let (now, branch) = (UnixMillis::now(), self.commit.branch.as_str());
        let mut tx = app.store.begin().await?;
        let stack = stacks::get(&mut tx, &self.stack.id).await?;
        if !pushes::tell(&mut tx, &stack.id, (branch, &self.commit.hash), now).await? {
            return Ok("it was told of this commit before".to_owned());
        }
        let unwanted: HashSet<&str> = self.asked.cancel.iter().map(String::as_str).collect();
        end(&mut tx, &stack, (self.push, Some(&self.commit)), |old| {
            // A run makes others of its own type pointless, as long as they wait.
            let replaced = old.run.run_type == self.run_type && waits(old);
            (replaced && unwanted.contains(old.run.id.to_string().as_str()))
                || (self.run_type == RunType::Proposed && is_preview_of(old, branch))
        })
        .await?;
        if let Some(holder) = stack.locked_by.as_ref().filter(|_| self.is_tracked()) {
            app.store.commit(tx).await?;
            return Ok(format!("nothing started: `{holder}` holds the stack"));
        }
        let asked = policies::about(&mut tx, &stack, PolicyKind::Approval).await?;
        if !asked.is_empty() {
            new.gate = Gate::Closed;
        }
        let record = runs::create(&mut tx, &new, &Actor::Server, now).await?;
        for flags in &self.asked.flags {
            run_flags::note(&app.store, &mut tx, record.run.id, flags).await?;
        }
        if self.asked.urgency == Urgency::Prioritised {
            runs::set_urgency(&mut tx, record.run.id, self.asked.urgency).await?;
        }
        if self.is_tracked() {
            let tracked = TrackedCommit {
                commit: self.commit.clone(),
                set_by: None,
                choice: Choice::Deployed,
            };
            stacks::set_tracked(&mut tx, &stack.id, &tracked).await?;
        }
        self.record(app, &mut tx, record.run.id).await?;
        app.store.commit(tx).await?;
        if record.gate == Gate::Closed {
            app.judge.settle(record.run.id, None).await?;
        }
        Ok(format!("{} run {}", self.run_type, record.run.id))
    }

    fn is_tracked(&self) -> bool {
        self.run_type == RunType::Tracked
    }

    async fn record(&self, app: &App, tx: &mut Tx, run: RunId) -> Result<(), StoreError> {
        let deed = Deed {
            actor: &Actor::Server,
            action: "run.create",
            subject: format!("run:{run}"),
            detail: serde_json::json!({ "push": self.push.branch, "pusher": self.push.pusher,
                "commit": self.commit.hash }),
        };
        audit::record(&app.store, tx, deed).await
    }
}

/// A push that starts nothing: the stack was told all the same.
pub(super) async fn nothing(app: &App, stack: &Stack, commit: &Commit) -> Result<(), StoreError> {
    let mut tx = app.store.begin().await?;
    let told = (commit.branch.as_str(), commit.hash.as_str());
    pushes::tell(&mut tx, &stack.id, told, UnixMillis::now()).await?;
    app.store.commit(tx).await
}

/// A push whose commit deployments take from here on, and that starts none itself.
pub(super) async fn track(app: &App, stack: &Stack, commit: Commit) -> Result<String, ActError> {
    let mut tx = app.store.begin().await?;
    let told = (commit.branch.as_str(), commit.hash.as_str());
    if !pushes::tell(&mut tx, &stack.id, told, UnixMillis::now()).await? {
        return Ok("it was told of this commit before".to_owned());
    }
    let deed = Deed {
        actor: &Actor::Server,
        action: "stack.commit.set",
        subject: format!("stack:{}", stack.id),
        detail: serde_json::json!({ "push": commit.branch, "commit": commit.hash }),
    };
    let outcome = format!(
        "nothing started: deployments take {} from here on",
        commit.hash
    );
    let tracked = TrackedCommit {
        commit,
        set_by: Some("push policy".to_owned()),
        choice: Choice::Set,
    };
    stacks::set_tracked(&mut tx, &stack.id, &tracked).await?;
    audit::record(&app.store, &mut tx, deed).await?;
    app.store.commit(tx).await?;
    Ok(outcome)
}

/// A branch that is gone: nobody waits for its previews.
pub(super) async fn branch_gone(app: &App, stack: &Stack, push: &Push) -> Result<String, ActError> {
    let mut tx = app.store.begin().await?;
    pushes::untell(&mut tx, &stack.id, &push.branch).await?;
    let gone = |old: &RunRecord| is_preview_of(old, &push.branch);
    let ended = end(&mut tx, stack, (push, None), gone).await?;
    app.store.commit(tx).await?;
    Ok(format!("the branch is gone; {ended} previews were ended"))
}

/// Whether a run is a preview that a push to this branch started.
fn is_preview_of(record: &RunRecord, branch: &str) -> bool {
    record.run.run_type == RunType::Proposed
        && record.triggered_by.is_none()
        && record.commit.branch == branch
}

/// Takes back or stops those unfinished runs that fit, as far as their state lets it; how many.
async fn end(
    tx: &mut Tx,
    stack: &Stack,
    (push, newer): (&Push, Option<&Commit>),
    fits: impl Fn(&RunRecord) -> bool,
) -> Result<usize, StoreError> {
    let by = Actor::User(pusher(push));
    let note = match newer {
        Some(commit) => format!("replaced by a newer push: {}", commit.hash),
        None => format!("the branch `{}` is gone", push.branch),
    };
    let mut ended = 0;
    for old in runs::unfinished(tx, &stack.id).await? {
        let event = match old.run.state {
            RunState::Queued | RunState::Ready => RunEvent::Cancel,
            RunState::Unconfirmed => RunEvent::Discard,
            _ => RunEvent::Stop,
        };
        if !fits(&old) || old.run.apply_by(&event, &by).is_err() {
            continue;
        }
        runs::apply(tx, old.run.id, &event, &by, Some(&note), UnixMillis::now()).await?;
        ended += 1;
    }
    Ok(ended)
}

/// Who a run's history names.
fn pusher(push: &Push) -> String {
    let name: String = push
        .pusher
        .chars()
        .filter(|c| !c.is_control())
        .take(100)
        .collect();
    match name.trim() {
        "" => "push".to_owned(),
        name => format!("push by {name}"),
    }
}

/// The first line of the message, or the commit.
fn title(commit: &Commit) -> String {
    let line: String = commit
        .message
        .lines()
        .next()
        .unwrap_or("")
        .chars()
        .take(100)
        .collect();
    match line.trim() {
        "" => format!("Commit {}", commit.hash.chars().take(8).collect::<String>()),
        line => line.to_owned(),
    }
}
