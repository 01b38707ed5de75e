//! Runs in the API.
//!
//! Takes a run's record, gives its fields, its history newest first, and its logs page by page.

use async_graphql::{Context, Error, ID, Object, SimpleObject};
use gantry_protocol::socket::PlanSummary;

use super::changes::{RunChanges, RunChangesInput};
use super::commit::Commit;
use super::context::{look, operate};
use super::document::RunDocument;
use super::enums::{RunState, RunType};
use super::review::RunReviewRecord;
use crate::domain::{Cause, Contact, StateVersion, Urgency, is_leased};
use crate::logstore::LogPage;
use crate::store::reviews;
use crate::store::runs::{self, RunRecord, TransitionRow};

pub(super) struct Run(pub(super) RunRecord);

/// What a plan found.
#[derive(SimpleObject)]
pub(super) struct RunDelta {
    add_count: u32,
    change_count: u32,
    delete_count: u32,
    /// How many resources the plan changes in all.
    resources: u32,
}

/// One line of a run's history.
#[derive(SimpleObject)]
pub(super) struct RunStateTransition {
    has_logs: bool,
    note: Option<String>,
    state: RunState,
    state_version: u32,
    terminal: bool,
    timestamp: i64,
    username: Option<String>,
}

/// What somebody wrote about a run.
#[derive(SimpleObject)]
pub(super) struct RunComment {
    body: String,
    created_at: i64,
    username: String,
}

/// A page of the log of one state.
#[derive(SimpleObject)]
pub(super) struct RunLogs {
    exists: bool,
    finished: bool,
    has_more: bool,
    messages: Vec<RunLogMessage>,
    next_token: Option<String>,
}

/// A piece of a log, to be written as it is.
#[derive(SimpleObject)]
pub(super) struct RunLogMessage {
    message: String,
}

impl From<&PlanSummary> for RunDelta {
    fn from(plan: &PlanSummary) -> Self {
        Self {
            add_count: plan.add,
            change_count: plan.change,
            delete_count: plan.delete,
            resources: plan
                .add
                .saturating_add(plan.change)
                .saturating_add(plan.delete),
        }
    }
}

impl From<TransitionRow> for RunStateTransition {
    fn from(row: TransitionRow) -> Self {
        Self {
            // Clients look at this once, when the state is new: it has to be right from the start.
            has_logs: is_leased(row.state),
            note: row.note,
            state: row.state.into(),
            state_version: row.version.0,
            terminal: row.state.is_terminal(),
            timestamp: row.entered_at.seconds(),
            username: row.username,
        }
    }
}

impl From<LogPage> for RunLogs {
    fn from(page: LogPage) -> Self {
        let message = |message| RunLogMessage { message };
        Self {
            exists: page.exists,
            finished: page.finished,
            has_more: page.has_more,
            messages: page.messages.into_iter().map(message).collect(),
            next_token: page.next_token,
        }
    }
}

/// One run of a stack.
#[Object]
impl Run {
    async fn id(&self) -> ID {
        self.0.run.id.to_string().into()
    }

    async fn r#type(&self) -> RunType {
        self.0.run.run_type.into()
    }

    async fn state(&self) -> RunState {
        self.0.run.state.into()
    }

    async fn title(&self) -> &str {
        &self.0.title
    }

    async fn branch(&self) -> Option<&str> {
        Some(self.0.commit.branch.as_str()).filter(|branch| !branch.is_empty())
    }

    async fn command(&self) -> Option<&str> {
        self.0.command.as_deref()
    }

    async fn created_at(&self) -> i64 {
        self.0.created_at.seconds()
    }

    async fn triggered_by(&self) -> Option<&str> {
        self.0.triggered_by.as_deref()
    }

    async fn commit(&self) -> Commit {
        self.0.commit.clone().into()
    }

    async fn delta(&self) -> Option<RunDelta> {
        self.0.plan.as_ref().map(RunDelta::from)
    }

    /// What its plan would change, resource by resource; after the apply the same. Nothing before, and where the plan did
    /// not leave its host as data.
    #[graphql(name = "changesV3")]
    async fn changes_v3(
        &self,
        ctx: &Context<'_>,
        input: RunChangesInput,
    ) -> Result<Vec<RunChanges>, Error> {
        let phase = input.phase.and_then(RunState::known);
        let changes = look(ctx)?.changes(&self.0, phase).await?;
        Ok(changes.into_iter().map(RunChanges::from).collect())
    }

    async fn finished(&self) -> bool {
        self.0.run.state.is_terminal()
    }

    /// Whether `runRetry` would make another one like it.
    async fn can_retry(&self) -> bool {
        self.0.run.can_be_retried() && self.0.settings.archive.is_none()
    }

    /// Nobody can write any yet.
    async fn comments(&self) -> Vec<RunComment> {
        Vec::new()
    }

    /// Whether it looks for differences between the world and what was deployed.
    async fn drift_detection(&self) -> bool {
        self.0.cause == Cause::Drift
    }

    /// Runs do not expire here.
    async fn expired(&self) -> bool {
        false
    }

    /// Whether the stack has no newer run of the same type.
    async fn is_most_recent(&self, ctx: &Context<'_>) -> Result<bool, Error> {
        let mut conn = look(ctx)?.read().await?;
        Ok(!runs::has_newer(&mut conn, &self.0).await?)
    }

    /// Whether a person moved it ahead in its pool's queue.
    async fn prioritized(&self) -> bool {
        self.0.urgency == Urgency::Prioritised
    }

    /// Whether it was made of uploaded files.
    async fn local_preview(&self) -> bool {
        self.0.settings.archive.is_some()
    }

    /// Whether its launcher is silent since it was allowed to change things; its late result still counts.
    async fn contact_lost(&self) -> bool {
        self.0.run.contact == Contact::Lost
    }

    /// Addresses that its newest plan is limited to; none is all of them.
    async fn targets(&self) -> &[String] {
        &self.0.targets
    }

    /// Whether approval policies have a say before it goes on.
    async fn needs_approval(&self, ctx: &Context<'_>) -> Result<bool, Error> {
        Ok(look(ctx)?.needs_approval(&self.0).await?)
    }

    /// What reviewers said, oldest first.
    async fn reviews(&self, ctx: &Context<'_>) -> Result<Vec<RunReviewRecord>, Error> {
        let mut conn = look(ctx)?.read().await?;
        let rows = reviews::list(&mut conn, self.0.run.id).await?;
        Ok(rows.into_iter().map(RunReviewRecord::from).collect())
    }

    /// How often the run was handed to a launcher.
    async fn attempt(&self) -> u32 {
        self.0.run.attempt.0
    }

    /// Why it ended as it did, and what came too late.
    async fn note(&self) -> Option<&str> {
        self.0.note.as_deref()
    }

    /// The image that it executed in: repository and digest.
    async fn image_digest(&self) -> Option<&str> {
        self.0.image.as_deref()
    }

    /// Entries that users attached, oldest first.
    async fn user_provided_metadata(&self) -> &[String] {
        &self.0.metadata
    }

    /// The apply that a confirm would let happen, for signing; of an UNCONFIRMED run only.
    async fn document(&self, ctx: &Context<'_>) -> Result<RunDocument, Error> {
        let (stack, run) = (self.0.run.stack.as_str(), self.0.run.id.to_string());
        Ok(operate(ctx)?.document_of_run(stack, &run).await?.into())
    }

    /// Newest first.
    #[graphql(complexity = "10 * child_complexity")]
    async fn history(&self, ctx: &Context<'_>) -> Result<Vec<RunStateTransition>, Error> {
        let mut conn = look(ctx)?.read().await?;
        let rows = runs::history(&mut conn, self.0.run.id).await?;
        Ok(rows.into_iter().map(RunStateTransition::from).collect())
    }

    /// A page of the log of one state, from the token of the page before.
    async fn logs(
        &self,
        ctx: &Context<'_>,
        state: RunState,
        token: Option<String>,
        state_version: Option<u32>,
    ) -> Result<RunLogs, Error> {
        let look = look(ctx)?;
        let version = match state_version {
            Some(version) => Some(StateVersion(version)),
            None => self.newest(ctx, state).await?,
        };
        let Some(version) = version else {
            return Ok(LogPage {
                finished: true,
                next_token: token,
                ..LogPage::default()
            }
            .into());
        };
        Ok(look
            .log(self.0.run.id, version, token.as_deref())
            .await?
            .into())
    }
}

impl Run {
    /// The newest time that the run was in a state: older clients name only the state.
    async fn newest(
        &self,
        ctx: &Context<'_>,
        state: RunState,
    ) -> Result<Option<StateVersion>, Error> {
        let mut conn = look(ctx)?.read().await?;
        let rows = runs::history(&mut conn, self.0.run.id).await?;
        let found = rows
            .into_iter()
            .find(|row| Some(row.state) == state.known());
        Ok(found.map(|row| row.version))
    }
}
