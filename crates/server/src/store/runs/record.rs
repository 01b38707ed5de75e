//! A run's row and what it means.
//!
//! Takes columns, gives values. Never: a decision.

use std::collections::BTreeMap;

use gantry_protocol::payload::{Hooks, Tool, UploadedArchive};
use gantry_protocol::socket::PlanSummary;
use gantry_protocol::{Attempt, PoolId, RunState};
use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;
use crate::domain::{
    Approval, Cause, Contact, Gate, Run, Scope, StateVersion, Stop, TaskInit, Urgency,
};
use crate::store::StoreError;
use crate::store::codes::{Code, from_json, parse, unreadable};
use crate::store::commit::Commit;

/// A run with everything that people and launchers want to know about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    /// Where it stands.
    pub run: Run,
    /// The pool whose launchers take it; fixed, because its workspace is sealed to that pool.
    pub pool: PoolId,
    /// What lists show.
    pub title: String,
    /// The commit it executes.
    pub commit: Commit,
    /// Who or what triggered it; none for a commit.
    pub triggered_by: Option<String>,
    /// Task only: the command.
    pub command: Option<String>,
    /// Entries that users attached, oldest first.
    pub metadata: Vec<String>,
    /// The stack's settings when the run was made.
    pub settings: RunSettings,
    /// The image that it executed in: repository and digest.
    pub image: Option<String>,
    /// What its plan found.
    pub plan: Option<PlanSummary>,
    /// Why it ended as it did, and what came too late.
    pub note: Option<String>,
    /// What the person who asked for a stop said.
    pub stop_note: Option<String>,
    /// Whether an approval policy keeps it in `QUEUED`.
    pub gate: Gate,
    /// Why it exists.
    pub cause: Cause,
    /// Whether a person moved it ahead.
    pub urgency: Urgency,
    /// Addresses that its newest plan is limited to; none is all of them.
    pub targets: Vec<String>,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it entered its state.
    pub entered_at: UnixMillis,
}

/// The settings of a stack that a run keeps from its trigger to its apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSettings {
    /// The stack's space.
    pub space: String,
    /// The stack's labels.
    pub labels: Vec<String>,
    /// Clone URL.
    pub url: String,
    /// `namespace/repository`.
    pub repository: String,
    /// The stack's own branch, also where the run's commit is of another.
    pub stack_branch: String,
    /// Directory of the tool's code below the checkout.
    pub project_root: String,
    /// Runner image, if the stack names one.
    pub runner_image: Option<String>,
    /// The tool.
    pub tool: Tool,
    /// Commands around the phases.
    pub hooks: Hooks,
    /// Whether the server keeps the tool's state.
    pub managed_state: bool,
    /// Files that a person uploaded in place of the commit's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<UploadedArchive>,
    /// Variables out of the repository's file and the trigger: the strongest of all.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}

/// One line of a run's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransitionRow {
    /// Its number; the first is 1.
    pub version: StateVersion,
    /// The state that was entered.
    pub state: RunState,
    /// When.
    pub entered_at: UnixMillis,
    /// The person who caused it.
    pub username: Option<String>,
    /// Why.
    pub note: Option<String>,
}

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    id: String,
    stack_id: String,
    pool_id: String,
    run_type: String,
    state: String,
    state_version: i64,
    attempt: i64,
    contact: String,
    approval: String,
    task_init: String,
    stop: String,
    stop_note: Option<String>,
    title: String,
    commit_info: String,
    triggered_by: Option<String>,
    command: Option<String>,
    metadata: String,
    settings: String,
    image: Option<String>,
    plan: Option<String>,
    note: Option<String>,
    gate: String,
    cause: String,
    urgency: String,
    scope: String,
    targets: String,
    created_at: i64,
    entered_at: i64,
}

impl Row {
    fn run(&self) -> Result<Run, StoreError> {
        Ok(Run {
            id: parse("run id", &self.id)?,
            stack: parse("stack id", &self.stack_id)?,
            run_type: parse("run_type", &self.run_type)?,
            state: parse("state", &self.state)?,
            version: StateVersion(number("state_version", self.state_version)?),
            attempt: Attempt(number("attempt", self.attempt)?),
            contact: Contact::decode(&self.contact)?,
            approval: Approval::decode(&self.approval)?,
            task_init: TaskInit::decode(&self.task_init)?,
            stop: Stop::decode(&self.stop)?,
            scope: Scope::decode(&self.scope)?,
        })
    }
}

impl TryFrom<Row> for RunRecord {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            run: row.run()?,
            pool: parse("pool id", &row.pool_id)?,
            title: row.title,
            commit: from_json("commit_info", &row.commit_info)?,
            triggered_by: row.triggered_by,
            command: row.command,
            metadata: from_json("metadata", &row.metadata)?,
            settings: from_json("settings", &row.settings)?,
            image: row.image,
            plan: row.plan.map(|text| from_json("plan", &text)).transpose()?,
            note: row.note,
            stop_note: row.stop_note,
            gate: Gate::decode(&row.gate)?,
            cause: Cause::decode(&row.cause)?,
            urgency: Urgency::decode(&row.urgency)?,
            targets: from_json("targets", &row.targets)?,
            created_at: UnixMillis(row.created_at),
            entered_at: UnixMillis(row.entered_at),
        })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct HistoryRow {
    state_version: i64,
    state: String,
    entered_at: i64,
    username: Option<String>,
    note: Option<String>,
}

impl TryFrom<HistoryRow> for TransitionRow {
    type Error = StoreError;

    fn try_from(row: HistoryRow) -> Result<Self, StoreError> {
        Ok(Self {
            version: StateVersion(number("state_version", row.state_version)?),
            state: parse("state", &row.state)?,
            entered_at: UnixMillis(row.entered_at),
            username: row.username,
            note: row.note,
        })
    }
}

fn number(column: &'static str, value: i64) -> Result<u32, StoreError> {
    u32::try_from(value).map_err(|_| unreadable(column, &value.to_string()))
}
