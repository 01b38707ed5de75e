//! Asking repositories in turns where their branches point.
//!
//! Takes integrations that want it, gives pushes like those that webhooks tell of. A repository that does not
//! answer is asked less and less often. Never: a run because a repository is seen for the first time.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt as _;
use rand_core::{OsRng, RngCore};

use crate::app::App;
use crate::clock::UnixMillis;
use crate::code_hosts::Repository;
use crate::domain::{Push, is_below};
use crate::error::chain;
use crate::store::integrations::{self, Integration};
use crate::store::pushes::{self, Poll};
use crate::store::{StoreError, Tx};

/// Repositories that are asked at the same time.
const AT_ONCE: usize = 4;

/// The longest wait between two questions to one that does not answer, in milliseconds.
const LONGEST: i64 = 60 * 60 * 1000;

/// Asks every repository whose time has come.
///
/// # Errors
/// When the database fails.
pub async fn poll(app: Arc<App>) -> Result<(), StoreError> {
    let mut conn = app.store.read().await?;
    let mut polling = integrations::list(&mut conn).await?;
    polling.retain(|one| one.poll_seconds.is_some());
    if polling.is_empty() {
        return Ok(());
    }
    let urls = pushes::urls(&mut conn).await?;
    drop(conn);
    let now = UnixMillis::now();
    for integration in polling {
        let mut tx = app.store.begin().await?;
        for url in urls
            .iter()
            .filter(|url| is_below(url, &integration.url_prefix))
        {
            pushes::plan_poll(&mut tx, &integration.id, url, now).await?;
        }
        tx.commit().await?;
        let due = pushes::due_polls(&mut *app.store.read().await?, &integration.id, now).await?;
        let asked = due.into_iter().filter(|poll| urls.contains(&poll.url));
        let (app, integration) = (&app, &integration);
        let mut answers = futures_util::stream::iter(asked)
            .map(|poll| async move { one(app, integration, &poll).await })
            .buffer_unordered(AT_ONCE);
        while let Some(answer) = answers.next().await {
            answer?;
        }
    }
    Ok(())
}

async fn one(app: &App, integration: &Integration, poll: &Poll) -> Result<(), StoreError> {
    let branches = branches(app, integration, poll).await;
    let mut tx = app.store.begin().await?;
    let error = match &branches {
        Ok(branches) => {
            compare(app, &mut tx, poll, branches).await?;
            None
        }
        Err(error) => {
            tracing::warn!(integration = %integration.id, error, "a repository was not asked");
            Some(error.as_str())
        }
    };
    let next = UnixMillis::now().plus(wait(integration, poll, error.is_some()));
    pushes::polled(&mut tx, poll, error, next).await?;
    app.store.commit(tx).await
}

async fn branches(
    app: &App,
    integration: &Integration,
    poll: &Poll,
) -> Result<Vec<(String, String)>, String> {
    let asked = async {
        let repository = Repository::of(app, &poll.url, &integration.space).await?;
        repository.branches().await
    };
    asked.await.map_err(|error| chain(&error))
}

/// Keeps a push for each branch that moved since the repository answered last.
async fn compare(
    app: &App,
    tx: &mut Tx,
    poll: &Poll,
    branches: &[(String, String)],
) -> Result<(), StoreError> {
    let mut before: HashMap<String, String> = pushes::heads(tx, poll).await?.into_iter().collect();
    let mut moved: Vec<(&str, Option<&str>, Option<String>)> = Vec::new();
    for (branch, hash) in branches {
        let old = before.remove(branch);
        if old.as_ref() != Some(hash) {
            moved.push((branch, Some(hash), old));
        }
    }
    moved.extend(before.keys().map(|branch| (branch.as_str(), None, None)));
    for (branch, head, old) in moved {
        pushes::set_head(tx, poll, branch, head).await?;
        if !poll.known {
            continue;
        }
        let push = Push {
            urls: vec![poll.url.clone()],
            branch: branch.to_owned(),
            head: head.map(ToOwned::to_owned),
            pusher: String::new(),
            before: old,
            changed: None,
        };
        let id = app.store.new_id();
        let delivery = format!("asked {id}");
        let key = (id, &poll.integration, delivery.as_str());
        pushes::keep(tx, key, &push, UnixMillis::now()).await?;
    }
    Ok(())
}

/// Milliseconds until the next question: the integration's period, doubled with each failure, a tenth more or
/// less, so that not all repositories are asked in one moment.
fn wait(integration: &Integration, poll: &Poll, failed: bool) -> i64 {
    let period = i64::from(integration.poll_seconds.unwrap_or(60)).saturating_mul(1000);
    let doubled = match failed {
        true => period
            .saturating_mul(1 << (poll.failures + 1).min(16))
            .min(LONGEST.max(period)),
        false => period,
    };
    let tenth = (doubled / 10).max(1);
    let jitter = i64::from(OsRng.next_u32()) % (2 * tenth);
    doubled - tenth + jitter
}
