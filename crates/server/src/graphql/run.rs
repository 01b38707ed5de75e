//! Runs in the API.
//!
//! Takes a run's record, gives its fields, its history newest first, and its logs page by page.

use std::sync::Arc;

use async_graphql::{Context, Error, ID, Object, SimpleObject};
use gantry_protocol::socket::PlanSummary;
use gantry_protocol::{RunId, StackId};

use super::changes::{RunChanges, RunChangesInput};
use super::commit::Commit;
use super::context::{look, operate};
use super::document::RunDocument;
use super::enums::{RunState, RunType};
use super::pages::RunPage;
use super::review::RunReviewRecord;
use crate::domain::{Cause, Contact, StateVersion, Urgency, is_leased};
use crate::logstore::LogPage;
use crate::store::runs::{RunRecord, TransitionRow};

/// A run, at its place on a page of runs.
#[derive(Clone)]
pub(super) struct Run {
    page: Arc<RunPage>,
    place: usize,
}

impl Run {
    /// A run that is shown by itself.
    pub(super) fn one(record: RunRecord) -> Self {
        Self {
            page: Arc::new(RunPage::new(vec![record])),
            place: 0,
        }
    }

    /// The runs of a page, in its order.
    pub(super) fn many(page: RunPage) -> impl Iterator<Item = Self> {
        let page = Arc::new(page);
        (0..page.runs.len()).map(move |place| Self {
            page: Arc::clone(&page),
            place,
        })
    }

    /// The stack that it belongs to.
    pub(super) fn stack(&self) -> &StackId {
        &self.record().run.stack
    }

    fn record(&self) -> &RunRecord {
        &self.page.runs[self.place]
    }

    /// Its id.
    pub(super) fn key(&self) -> RunId {
        self.record().run.id
    }
}

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

impl From<&TransitionRow> for RunStateTransition {
    fn from(row: &TransitionRow) -> Self {
        Self {
            // Clients look at this once, when the state is new: it has to be right from the start.
            has_logs: is_leased(row.state),
            note: row.note.clone(),
            state: row.state.into(),
            state_version: row.version.0,
            terminal: row.state.is_terminal(),
            timestamp: row.entered_at.seconds(),
            username: row.username.clone(),
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
        self.record().run.id.to_string().into()
    }

    async fn r#type(&self) -> RunType {
        self.record().run.run_type.into()
    }

    async fn state(&self) -> RunState {
        self.record().run.state.into()
    }

    async fn title(&self) -> &str {
        &self.record().title
    }

    async fn branch(&self) -> Option<&str> {
        Some(self.record().commit.branch.as_str()).filter(|branch| !branch.is_empty())
    }

    async fn command(&self) -> Option<&str> {
        self.record().command.as_deref()
    }

    async fn created_at(&self) -> i64 {
        self.record().created_at.seconds()
    }

    async fn triggered_by(&self) -> Option<&str> {
        self.record().triggered_by.as_deref()
    }

    async fn commit(&self) -> Commit {
        self.record().commit.clone().into()
    }

    async fn delta(&self) -> Option<RunDelta> {
        self.record().plan.as_ref().map(RunDelta::from)
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
        let changes = look(ctx)?.changes(self.record(), phase).await?;
        Ok(changes.into_iter().map(RunChanges::from).collect())
    }

    async fn finished(&self) -> bool {
        self.record().run.state.is_terminal()
    }

    /// Whether `runRetry` would make another one like it.
    async fn can_retry(&self) -> bool {
        self.record().run.can_be_retried() && self.record().settings.archive.is_none()
    }

    /// Nobody can write any yet.
    async fn comments(&self) -> Vec<RunComment> {
        Vec::new()
    }

    /// Whether it looks for differences between the world and what was deployed.
    async fn drift_detection(&self) -> bool {
        self.record().cause == Cause::Drift
    }

    /// Runs do not expire here.
    async fn expired(&self) -> bool {
        false
    }

    /// Whether the stack has no newer run of the same type.
    async fn is_most_recent(&self, ctx: &Context<'_>) -> Result<bool, Error> {
        Ok(!self.page.is_overtaken(ctx, self.key()).await?)
    }

    /// Whether a person moved it ahead in its pool's queue.
    async fn prioritized(&self) -> bool {
        self.record().urgency == Urgency::Prioritised
    }

    /// Whether it was made of uploaded files.
    async fn local_preview(&self) -> bool {
        self.record().settings.archive.is_some()
    }

    /// Whether its launcher is silent since it was allowed to change things; its late result still counts.
    async fn contact_lost(&self) -> bool {
        self.record().run.contact == Contact::Lost
    }

    /// Addresses that its newest plan is limited to; none is all of them.
    async fn targets(&self) -> &[String] {
        &self.record().targets
    }

    /// Whether approval policies have a say before it goes on.
    async fn needs_approval(&self, ctx: &Context<'_>) -> Result<bool, Error> {
        self.page.needs_approval(ctx, self.key()).await
    }

    /// What reviewers said, oldest first.
    async fn reviews(&self, ctx: &Context<'_>) -> Result<Vec<RunReviewRecord>, Error> {
        let rows = self.page.reviews(ctx, self.key()).await?.iter();
        Ok(rows.map(RunReviewRecord::from).collect())
    }

    /// How often the run was handed to a launcher.
    async fn attempt(&self) -> u32 {
        self.record().run.attempt.0
    }

    /// Why it ended as it did, and what came too late.
    async fn note(&self) -> Option<&str> {
        self.record().note.as_deref()
    }

    /// The image that it executed in: repository and digest.
    async fn image_digest(&self) -> Option<&str> {
        self.record().image.as_deref()
    }

    /// Entries that users attached, oldest first.
    async fn user_provided_metadata(&self) -> &[String] {
        &self.record().metadata
    }

    /// What policies noted about it, in the order in which it was noted first.
    async fn flags(&self, ctx: &Context<'_>) -> Result<&[String], Error> {
        self.page.flags(ctx, self.key()).await
    }

    /// The apply that a confirm would let happen, for signing; of an UNCONFIRMED run only.
    async fn document(&self, ctx: &Context<'_>) -> Result<RunDocument, Error> {
        let (stack, run) = (
            self.record().run.stack.as_str(),
            self.record().run.id.to_string(),
        );
        Ok(operate(ctx)?.document_of_run(stack, &run).await?.into())
    }

    /// The plan of only these addresses that would take the place of the one it waits with, for signing; of an
    /// UNCONFIRMED run only.
    async fn replan_document(
        &self,
        ctx: &Context<'_>,
        targets: Vec<String>,
    ) -> Result<RunDocument, Error> {
        let (stack, run) = (self.stack().as_str(), self.key().to_string());
        let operate = operate(ctx)?;
        let signable = operate.document_of_replan(stack, &run, &targets).await;
        Ok(signable?.into())
    }

    /// What `runRetry` would make, triggered by the caller or by who is named, for signing.
    async fn retry_document(
        &self,
        ctx: &Context<'_>,
        triggered_by: Option<String>,
    ) -> Result<RunDocument, Error> {
        let (stack, run) = (self.stack().as_str(), self.key().to_string());
        let operate = operate(ctx)?;
        let signable = operate.document_of_retry(stack, &run, triggered_by.as_deref());
        Ok(signable.await?.into())
    }

    /// Newest first.
    #[graphql(complexity = "10 * child_complexity")]
    async fn history(&self, ctx: &Context<'_>) -> Result<Vec<RunStateTransition>, Error> {
        let rows = self.page.history(ctx, self.key()).await?.iter();
        Ok(rows.map(RunStateTransition::from).collect())
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
            .log(self.record().run.id, version, token.as_deref())
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
        let rows = self.page.history(ctx, self.key()).await?;
        let found = rows.iter().find(|row| Some(row.state) == state.known());
        Ok(found.map(|row| row.version))
    }
}
