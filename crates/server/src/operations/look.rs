//! The handle for reading.
//!
//! Takes ids and searches, gives records through a connection that can't write. Never: a write-only value.

use std::sync::Arc;

use gantry_protocol::{RunId, StackId};
use sqlx::Sqlite;
use sqlx::pool::PoolConnection;

use super::{OperationError, door};
use crate::app::App;
use crate::auth::Principal;
use crate::domain::{StateVersion, is_leased};
use crate::logstore::LogPage;
use crate::store::pools::{self, Pool};
use crate::store::runs::{self, RunRecord};
use crate::store::stacks::{self, Stack};
use crate::store::{StoreError, stack_config::ConfigElement};
use crate::tfstate::Output;

/// Stacks read at once while a search goes through them.
const SEARCH_STEP: u32 = 200;

/// Reads.
#[derive(Clone, Debug)]
pub struct Look {
    pub(super) app: Arc<App>,
    pub(super) principal: Principal,
}

/// Which stacks a search wants.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// At most this many.
    pub first: usize,
    /// Only after this id.
    pub after: Option<String>,
    /// Only those whose id, name, repository or labels hold this text, whatever its case.
    pub text: Option<String>,
    /// Only those that fit each of these.
    pub filters: Vec<Filter>,
}

/// A condition on one field.
#[derive(Clone, Debug)]
pub struct Filter {
    /// The field's name in the API.
    pub field: String,
    /// One of these values.
    pub values: Vec<String>,
    /// Or none of them.
    pub exclude: bool,
}

impl Look {
    /// A connection that can't write.
    pub async fn read(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        self.app.store.read().await
    }

    /// The stack of this slug; nothing for a text that is no slug either.
    pub async fn stack(&self, id: &str) -> Result<Option<Stack>, StoreError> {
        door::find_stack(&mut *self.read().await?, &self.principal, id).await
    }

    /// The run of this id, if it belongs to the stack.
    pub async fn run(&self, stack: &StackId, id: &str) -> Result<Option<RunRecord>, StoreError> {
        let found = self.any_run(id).await?;
        Ok(found.filter(|record| record.run.stack == *stack))
    }

    /// The run of this id.
    pub async fn any_run(&self, id: &str) -> Result<Option<RunRecord>, StoreError> {
        door::find_run(&mut *self.read().await?, &self.principal, id).await
    }

    /// The pool of this id; nothing for a text that is no id either.
    pub async fn pool(&self, id: &str) -> Result<Option<Pool>, StoreError> {
        door::find_pool(&mut *self.read().await?, &self.principal, id).await
    }

    /// Every pool that the caller sees, oldest first.
    pub async fn pools(&self) -> Result<Vec<Pool>, StoreError> {
        let all = pools::list(&mut *self.read().await?).await?.into_iter();
        Ok(all
            .filter(|pool| self.principal.sees(&pool.space))
            .collect())
    }

    /// The stacks that a search finds, in order of their ids, and whether there are more.
    pub async fn search(&self, search: &Search) -> Result<(Vec<Stack>, bool), StoreError> {
        let mut conn = self.read().await?;
        let mut found = Vec::new();
        let mut after = search.after.clone();
        loop {
            let page = stacks::page(&mut conn, after.as_deref(), SEARCH_STEP).await?;
            let Some(last) = page.last() else {
                return Ok((found, false));
            };
            after = Some(last.id.to_string());
            let seen = |stack: &Stack| self.principal.sees(&stack.settings.space);
            let fitting = |stack: &Stack| seen(stack) && search.fits(stack);
            for stack in page.into_iter().filter(fitting) {
                if found.len() == search.first {
                    return Ok((found, true));
                }
                found.push(stack);
            }
        }
    }

    /// A page of the log of one state of a run.
    pub async fn log(
        &self,
        run: RunId,
        version: StateVersion,
        token: Option<&str>,
    ) -> Result<LogPage, OperationError> {
        let page = self.app.control.logs.read(run, version, token).await?;
        if page.exists {
            return Ok(page);
        }
        // A state that the run is still in may get its first line any moment.
        let record = runs::find(&mut *self.read().await?, run).await?;
        let finished = record
            .is_none_or(|record| record.run.version != version || !is_leased(record.run.state));
        Ok(LogPage { finished, ..page })
    }

    /// The outputs of a stack's newest managed state, but the sensitive ones.
    pub async fn outputs(&self, stack: &StackId) -> Result<Vec<Output>, OperationError> {
        Ok(self.app.control.state.outputs(stack).await?)
    }

    /// A stack's variables and files; write-only values are not in it.
    pub async fn config(&self, stack: &StackId) -> Result<Vec<ConfigElement>, StoreError> {
        crate::store::stack_config::list(&mut *self.read().await?, stack).await
    }
}

impl Search {
    fn fits(&self, stack: &Stack) -> bool {
        let text = self.text.as_deref().unwrap_or("").to_lowercase();
        let mut texts = vec![
            stack.id.as_str().to_owned(),
            stack.settings.name.clone(),
            stack.settings.code.full_name(),
        ];
        texts.extend(stack.settings.labels.iter().cloned());
        let named = texts
            .iter()
            .any(|candidate| candidate.to_lowercase().contains(&text));
        named && self.filters.iter().all(|filter| filter.fits(stack))
    }
}

impl Filter {
    fn fits(&self, stack: &Stack) -> bool {
        let settings = &stack.settings;
        let actual: Vec<String> = match self.field.as_str() {
            "repository" => vec![settings.code.full_name(), settings.code.url.clone()],
            // The CLI asks for `dir` and `dir/`.
            "projectRoot" => vec![
                settings.code.project_root.clone(),
                format!("{}/", settings.code.project_root),
            ],
            "branch" => vec![settings.code.branch.clone()],
            "name" => vec![settings.name.clone()],
            "label" | "labels" => settings.labels.clone(),
            "space" => vec![settings.space.clone()],
            "workerPool" => settings.pool.map(|id| id.to_string()).into_iter().collect(),
            _ => Vec::new(),
        };
        let hit = self.values.iter().any(|value| actual.contains(value));
        hit != self.exclude
    }

    /// Whether stacks have such a field.
    pub fn is_known(field: &str) -> bool {
        matches!(
            field,
            "repository"
                | "projectRoot"
                | "branch"
                | "name"
                | "label"
                | "labels"
                | "space"
                | "workerPool"
        )
    }
}
