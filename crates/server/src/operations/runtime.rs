//! The settings of a run: its stack's, changed by the file in its repository and by what came with its trigger.
//!
//! Takes a stack and a commit, asks the code host, gives settings that are fixed from here on. Never: a file
//! that could not be read taken for one that is not there, or a commit believed to be on a branch.

use std::collections::BTreeMap;

use super::{Operate, OperationError};
use crate::code_hosts::{ReachError, Repository};
use crate::domain::stack::StateKeeper;
use crate::error::chain;
use crate::runtime_config::{
    self, Applied, IGNORE_LABEL, PATH, Settings, Trust, parse_file, parse_given,
};
use crate::store::commit::Commit;
use crate::store::runs::{NewRun, RunSettings};
use crate::store::stacks::Stack;
use crate::vcs_probe::Found;

impl Operate {
    /// The stack's repository.
    pub(super) async fn source(&self, stack: &Stack) -> Result<Repository<'_>, OperationError> {
        let settings = &stack.settings;
        Ok(Repository::of(&self.app, &settings.code.url, &settings.space).await?)
    }

    /// A new run with the settings that it will have, and its commit with what the host tells of it: asked for last, as
    /// it came along with the settings.
    pub(super) async fn settled(
        &self,
        stack: &Stack,
        new: NewRun,
        given: Option<&str>,
    ) -> Result<NewRun, OperationError> {
        let repository = self.source(stack).await?;
        let settings = (new.settings, new.commit.clone());
        let applied = resolve(&repository, stack, settings, given).await?;
        let commit = self.described(stack, new.commit).await;
        Ok(NewRun {
            commit,
            settings: applied.settings,
            note: applied.note,
            ..new
        })
    }
}

/// The settings of a run of `stack` at a commit.
pub(crate) async fn resolve(
    repository: &Repository<'_>,
    stack: &Stack,
    (settings, commit): (RunSettings, Commit),
    given: Option<&str>,
) -> Result<Applied, OperationError> {
    let slug = stack.id.as_str();
    let given = given.map(|text| parse_given(text, slug)).transpose()?;
    let (mut file, mut unread) = (Settings::default(), None);
    let labels = &stack.settings.labels;
    if !labels.iter().any(|label| label == IGNORE_LABEL) {
        let found = repository.file(&commit.hash, PATH).await;
        match found.map_err(|source| not_known(stack, source))? {
            Found::Text(text) => file = parse_file(&text, slug)?,
            Found::Nothing => {}
            Found::NoCommit => {
                unread = Some(format!(
                    "`{PATH}` was not read: the repository does not serve commit {}",
                    commit.hash
                ));
            }
        }
    }
    let trust = trust(repository, stack, (&file, &commit)).await?;
    let vendor = &stack.settings.vendor;
    let applied = runtime_config::apply(settings, vendor, (file, trust), given.unwrap_or_default());
    let notes: Vec<String> = unread.into_iter().chain(applied.note).collect();
    Ok(Applied {
        note: Some(notes.join("\n")).filter(|note| !note.is_empty()),
        ..applied
    })
}

/// No run starts with settings that are not known.
fn not_known(stack: &Stack, source: ReachError) -> OperationError {
    OperationError::ConfigUnread {
        stack: stack.id.to_string(),
        source: Box::new(source),
    }
}

async fn trust(
    repository: &Repository<'_>,
    stack: &Stack,
    (file, commit): (&Settings, &Commit),
) -> Result<Trust, OperationError> {
    let of = |on_branch| Trust::of(&stack.settings.labels, on_branch);
    // Only a file that could do harm is worth a look at the branch's history.
    if of(false) == Trust::Whole || !file.decides_what_runs() {
        return Ok(of(true));
    }
    let code = &stack.settings.code;
    // Mostly it is the head, which costs less to find out than the history.
    if repository.branch_head(&code.branch).await? == commit.hash {
        return Ok(Trust::Whole);
    }
    match repository.is_on_branch(&code.branch, &commit.hash).await {
        Ok(on_branch) => Ok(of(on_branch)),
        Err(error) => {
            let stack = &stack.id;
            tracing::warn!(%stack, commit = commit.hash, error = chain(&error), "a commit is not known to be on the stack's branch");
            Ok(of(false))
        }
    }
}

/// A stack's settings as its new runs begin with them.
pub(crate) fn settings_of(stack: &Stack) -> RunSettings {
    let settings = &stack.settings;
    RunSettings {
        space: settings.space.clone(),
        labels: settings.labels.clone(),
        url: settings.code.url.clone(),
        repository: settings.code.full_name(),
        stack_branch: settings.code.branch.clone(),
        project_root: settings.code.project_root.clone(),
        runner_image: settings.runner_image.clone(),
        tool: settings.vendor.tool(),
        hooks: settings.hooks.clone(),
        managed_state: stack.state_keeper == StateKeeper::Server,
        archive: None,
        environment: BTreeMap::new(),
    }
}
