//! Acting upon pushes that were told of.
//!
//! Takes pushes that wait, oldest first, and looks where their branches point now. What fails for a reason that
//! may pass is tried again, later and later, and given up with a word in the log. Never: two runs for one commit
//! of a branch, because a host told of it twice or was asked as well.

use std::sync::Arc;
use std::time::Duration;

use super::decide::{KIND, Question, Verdict};
use super::start;
use crate::announce::{self, Word};
use crate::app::App;
use crate::clock::UnixMillis;
use crate::code_hosts::{ReachError, Repository};
use crate::domain::{IntegrationId, Push, is_below, spellings};
use crate::error::chain;
use crate::operations::OperationError;
use crate::policies::OfStack;
use crate::store::commit::Commit;
use crate::store::pushes::{self, Waiting};
use crate::store::stacks::{self, Stack};
use crate::store::{StoreError, integrations, policies, runs, spaces};

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
    Reach(#[from] ReachError),
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
        match of_stack(app, &stack, waiting).await {
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

async fn of_stack(app: &App, stack: &Stack, waiting: &Waiting) -> Result<String, ActError> {
    let push = &waiting.push;
    let (url, space) = (&stack.settings.code.url, &stack.settings.space);
    let repository = Repository::of(app, url, space).await?;
    let head = match repository.branch_head(&push.branch).await {
        Ok(head) => head,
        Err(error) if error.is_no_branch() => return start::branch_gone(app, stack, push).await,
        Err(error) => return Err(error.into()),
    };
    let mut conn = app.store.read().await?;
    let before = pushes::told(&mut conn, &stack.id, &push.branch).await?;
    drop(conn);
    if before.as_ref() == Some(&head) {
        return Ok("it was told of this commit before".to_owned());
    }
    let commit = described(&repository, &push.branch, head).await;
    let before = before.as_deref().or(push.before.as_deref());
    let changed = changed(&repository, push, (before, &commit.hash)).await;
    match decided(app, stack, waiting, (&commit, changed.as_deref())).await? {
        Verdict::Nothing { reason, word } => {
            start::nothing(app, stack, &commit).await?;
            let outcome = format!("nothing started: {reason}");
            Ok(match word {
                Some(word) => told(app, stack, (&commit, &word), outcome).await?,
                None => outcome,
            })
        }
        Verdict::Track => start::track(app, stack, commit).await,
        Verdict::Start { run_type, asked } => {
            let wish = start::Wish {
                stack,
                push,
                commit,
                run_type,
                asked,
            };
            wish.start(app, &repository).await
        }
    }
}

/// Tells the code host about a push that started nothing. It is told once: the push is not acted upon again for it.
async fn told(
    app: &App,
    stack: &Stack,
    (commit, word): (&Commit, &Word),
    outcome: String,
) -> Result<String, StoreError> {
    Ok(match announce::ignored(app, stack, commit, word).await? {
        Ok(()) => outcome,
        Err(why) => {
            tracing::warn!(stack = %stack.id, commit = commit.hash, why, "a code host was not told that a push is ignored");
            format!("{outcome} (its check could not be set: {why})")
        }
    })
}

/// Every path that changed since the stack was told of this branch last, as far as that is known.
async fn changed(
    repository: &Repository<'_>,
    push: &Push,
    (before, head): (Option<&str>, &str),
) -> Option<Vec<String>> {
    // What a message about an older commit says has changed is not all that did.
    let is_newest = push.head.as_deref() == Some(head);
    if let Some(told) = push.changed.as_ref().filter(|_| is_newest) {
        return Some(told.clone());
    }
    match repository.changed(before?, head).await {
        Ok(changed) => changed,
        Err(error) => {
            let error = chain(&error);
            tracing::warn!(commit = head, error, "what a push changed is not known");
            None
        }
    }
}

async fn decided(
    app: &App,
    stack: &Stack,
    waiting: &Waiting,
    (commit, changed): (&Commit, Option<&[String]>),
) -> Result<Verdict, StoreError> {
    let mut conn = app.store.read().await?;
    let known = OfStack::find(&mut conn, stack).await?;
    let integration = integrations::find(&mut conn, &waiting.integration).await?;
    let unfinished = runs::unfinished(&mut conn, &stack.id).await?;
    let asked = policies::about(&mut conn, stack, KIND).await?;
    drop(conn);
    let question = Question {
        stack,
        push: &waiting.push,
        commit,
        changed,
        unfinished: &unfinished,
        known: &known,
        integration: integration.as_ref(),
    };
    question.answer(&app.judge, asked).await
}

/// The commit with its author and message, as far as the host tells.
async fn described(repository: &Repository<'_>, branch: &str, hash: String) -> Commit {
    let commit = Commit {
        hash,
        branch: branch.to_owned(),
        ..Commit::default()
    };
    match repository.details(&commit.hash).await {
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
