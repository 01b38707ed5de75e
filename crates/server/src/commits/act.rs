//! Acting upon pushes that were told of.
//!
//! Takes pushes that wait, oldest first, and looks where their branches point now. What fails for a reason that
//! may pass is tried again, later and later, and given up with a word in the log. Never: two runs for one commit
//! of a branch, because a host told of it twice or was asked as well.

use std::sync::Arc;
use std::time::Duration;

use super::decide::{KIND, Question, Verdict};
use super::start;
use crate::app::App;
use crate::clock::UnixMillis;
use crate::domain::{IntegrationId, Push, is_below, spellings};
use crate::error::chain;
use crate::logins::{self, LoginError};
use crate::operations::OperationError;
use crate::store::commit::Commit;
use crate::store::pushes::{self, Waiting};
use crate::store::stacks::{self, Stack};
use crate::store::{StoreError, integrations, policies, runs, spaces};
use crate::vcs_probe::{ProbeError, SourceUrl};

/// Pushes that are looked at in one go.
const BATCH: u32 = 20;

/// The waits before a push is tried again; after the last it is given up.
const WAITS: [Duration; 7] = [
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    Duration::from_secs(60 * 60),
    Duration::from_secs(3 * 60 * 60),
];

/// Why a push could not be acted upon yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum ActError {
    /// The repository can't be asked.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// Its login can't be had.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A run can't be made.
    #[error(transparent)]
    Operation(#[from] OperationError),
}

/// Acts upon every push whose time has come.
///
/// # Errors
/// When the database fails; the rest waits.
pub async fn follow(app: Arc<App>) -> Result<(), StoreError> {
    loop {
        let now = UnixMillis::now();
        let due = pushes::due(&mut *app.store.read().await?, now, BATCH).await?;
        if due.is_empty() {
            return Ok(());
        }
        for waiting in due {
            let done = act(&app, &waiting).await;
            let mut tx = app.store.begin().await?;
            match (done, WAITS.get(waiting.attempts as usize)) {
                (Ok(outcome), _) => {
                    pushes::handled(&mut tx, waiting.id, &outcome, UnixMillis::now()).await?;
                }
                (Err(error), Some(wait)) => {
                    let reason = chain(&error);
                    tracing::warn!(integration = %waiting.integration, branch = waiting.push.branch, error = reason, "a push waits");
                    let until = UnixMillis::now().plus(wait.as_millis() as i64);
                    pushes::put_off(&mut tx, waiting.id, &reason, until).await?;
                }
                (Err(error), None) => {
                    let reason = format!("given up: {}", chain(&error));
                    tracing::error!(integration = %waiting.integration, branch = waiting.push.branch, error = reason, "a push was given up");
                    pushes::handled(&mut tx, waiting.id, &reason, UnixMillis::now()).await?;
                }
            }
            app.store.commit(tx).await?;
        }
    }
}

/// What the stacks of a push's repository made of it, in words.
async fn act(app: &App, waiting: &Waiting) -> Result<String, ActError> {
    let told = stacks_of(app, &waiting.integration, &waiting.push).await?;
    let (mut words, mut failed) = (Vec::new(), None);
    for stack in told {
        match of_stack(app, &stack, &waiting.push).await {
            Ok(outcome) => words.push(format!("{}: {outcome}", stack.id)),
            // The others' runs do not wait for this one.
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) => Err(error),
        None if words.is_empty() => Ok("no stack has this repository".to_owned()),
        None => Ok(words.join("; ")),
    }
}

async fn stacks_of(
    app: &App,
    integration: &IntegrationId,
    push: &Push,
) -> Result<Vec<Stack>, StoreError> {
    let mut conn = app.store.read().await?;
    let Some(integration) = integrations::find(&mut conn, integration).await? else {
        return Ok(Vec::new());
    };
    let mut urls: Vec<String> = push.urls.iter().flat_map(|url| spellings(url)).collect();
    urls.retain(|url| is_below(url, &integration.url_prefix));
    urls.sort();
    urls.dedup();
    let mut found = Vec::new();
    for id in pushes::stacks_at(&mut conn, &urls).await? {
        let stack = stacks::get(&mut conn, &id).await?;
        let lineage = spaces::lineage(&mut conn, &stack.settings.space).await?;
        if lineage.contains(&integration.space) {
            found.push(stack);
        }
    }
    Ok(found)
}

async fn of_stack(app: &App, stack: &Stack, push: &Push) -> Result<String, ActError> {
    let place = (
        stack.settings.code.url.as_str(),
        stack.settings.space.as_str(),
    );
    let url = logins::source(&app.store, &app.vault, &app.sources, place).await?;
    let head = match app.sources.branch_head(&url, &push.branch).await {
        Ok(head) => head,
        Err(ProbeError::NoBranch { .. }) => return start::branch_gone(app, stack, push).await,
        Err(error) => return Err(error.into()),
    };
    let mut conn = app.store.read().await?;
    if pushes::told(&mut conn, &stack.id, &push.branch)
        .await?
        .as_ref()
        == Some(&head)
    {
        return Ok("it was told of this commit before".to_owned());
    }
    drop(conn);
    let commit = described(app, &url, &push.branch, head).await;
    // What a message about an older commit says has changed is not all that did.
    let is_newest = push.head.as_ref() == Some(&commit.hash);
    let changed = push.changed.as_deref().filter(|_| is_newest);
    match decided(app, stack, (push, &commit, changed)).await? {
        Verdict::Nothing { reason, cancel } => {
            start::nothing(app, stack, (push, &commit), &cancel).await?;
            Ok(format!("nothing started: {reason}"))
        }
        Verdict::Start { run_type, cancel } => {
            let wish = start::Wish {
                stack,
                push,
                commit,
                run_type,
                cancel,
            };
            wish.start(app, &url).await
        }
    }
}

async fn decided(
    app: &App,
    stack: &Stack,
    (push, commit, changed): (&Push, &Commit, Option<&[String]>),
) -> Result<Verdict, StoreError> {
    let mut conn = app.store.read().await?;
    let unfinished = runs::unfinished(&mut conn, &stack.id).await?;
    let asked = policies::about(&mut conn, stack, KIND).await?;
    drop(conn);
    let question = Question {
        stack,
        push,
        commit,
        changed,
        unfinished: &unfinished,
    };
    question.answer(&app.judge, asked).await
}

/// The commit with its author and message, as far as the host tells.
async fn described(app: &App, url: &SourceUrl, branch: &str, hash: String) -> Commit {
    let commit = Commit {
        hash,
        branch: branch.to_owned(),
        ..Commit::default()
    };
    match app.sources.details(url, &commit.hash).await {
        Ok(details) => Commit {
            author_name: details.author,
            message: details.message,
            timestamp: details.committed_at,
            ..commit
        },
        Err(error) => {
            tracing::warn!(
                commit = commit.hash,
                error = chain(&error),
                "a pushed commit has no details"
            );
            commit
        }
    }
}
