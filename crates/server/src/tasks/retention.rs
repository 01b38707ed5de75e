//! What is kept for how long: logs and plans of ended runs and the runs themselves by age, managed states by number. The
//! default keeps everything.
//!
//! Takes the operator's bounds, removes a bounded batch at each turn, each thing in a transaction of its own. Never: anything of
//! a run that has not ended, a run that something needs (`spent_runs` in the database), a stack's newest state or the plan of the
//! run that wrote it, or a line of the audit trail.

use crate::app::App;
use crate::clock::UnixMillis;
use crate::logstore::LogError;
use crate::store::{StoreError, logs, spent, stacks, tfstate};

/// Runs, logs, plans and states that one turn removes at most, of each.
const BATCH: u32 = 200;

/// Stacks that are looked at together.
const STEP: u32 = 200;

/// A day in milliseconds.
const DAY: i64 = 24 * 3_600_000;

/// The operator's bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Days after a run's end that its logs are kept; none is for ever.
    pub log_days: Option<u32>,
    /// Days after a run's end that the documents of its plans are kept; none is for ever.
    pub plan_days: Option<u32>,
    /// Days after a run's end that it is kept itself, with all that belongs to it; none is for ever.
    pub run_days: Option<u32>,
    /// Versions of each stack's state that are kept; none is all.
    pub state_versions: Option<u32>,
}

/// Why a turn stopped early; it goes on at its next turn.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The object storage failed.
    #[error(transparent)]
    Objects(#[from] LogError),
}

/// One turn.
///
/// # Errors
/// See [`RetentionError`]; what was removed stays removed.
pub async fn turn(app: &App, bounds: Retention, now: UnixMillis) -> Result<(), RetentionError> {
    let before = |days: u32| now.plus(-DAY * i64::from(days));
    if let Some(days) = bounds.run_days {
        drop_runs(app, before(days)).await?;
    }
    if let Some(days) = bounds.log_days {
        drop_logs(app, before(days)).await?;
    }
    if let Some(days) = bounds.plan_days {
        drop_plans(app, before(days)).await?;
    }
    if let Some(kept) = bounds.state_versions {
        drop_states(app, u64::from(kept.max(1))).await?;
    }
    Ok(())
}

async fn drop_logs(app: &App, before: UnixMillis) -> Result<(), RetentionError> {
    let old = logs::of_ended_runs(&mut *app.store.read().await?, before, BATCH).await?;
    for run in old {
        // Objects first: a row without an object is found again, an object without a row never.
        for blob in logs::objects(&mut *app.store.read().await?, run).await? {
            app.blobs.delete(&blob).await.map_err(LogError::from)?;
        }
        let mut tx = app.store.begin().await?;
        logs::remove(&mut tx, run).await?;
        tx.commit().await.map_err(StoreError::from)?;
        tracing::info!(%run, "the logs of a run were removed: they were kept as long as they had to");
    }
    Ok(())
}

async fn drop_runs(app: &App, before: UnixMillis) -> Result<(), RetentionError> {
    let old = spent::runs(&mut *app.store.read().await?, before, BATCH).await?;
    for run in old {
        for blob in spent::objects(&mut *app.store.read().await?, run).await? {
            app.blobs.delete(&blob).await.map_err(LogError::from)?;
        }
        let mut tx = app.store.begin().await?;
        let removed = spent::remove_run(&mut tx, run).await?;
        tx.commit().await.map_err(StoreError::from)?;
        if removed {
            tracing::info!(%run, "the run was removed: it was kept as long as it had to");
        }
    }
    Ok(())
}

async fn drop_plans(app: &App, before: UnixMillis) -> Result<(), RetentionError> {
    let old = spent::plans(&mut *app.store.read().await?, before, BATCH).await?;
    for plan in old {
        app.blobs.delete(&plan.blob).await.map_err(LogError::from)?;
        let mut tx = app.store.begin().await?;
        spent::forget_plan(&mut tx, &plan).await?;
        tx.commit().await.map_err(StoreError::from)?;
    }
    Ok(())
}

async fn drop_states(app: &App, kept: u64) -> Result<(), RetentionError> {
    let (mut after, mut left): (Option<String>, u32) = (None, BATCH);
    loop {
        let page = stacks::page(&mut *app.store.read().await?, after.as_deref(), STEP).await?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = Some(last.id.to_string());
        for stack in &page {
            let mut conn = app.store.read().await?;
            let spent = tfstate::beyond(&mut conn, &stack.id, kept, left).await?;
            drop(conn);
            for row in &spent {
                app.blobs.delete(&row.blob).await.map_err(LogError::from)?;
                let mut tx = app.store.begin().await?;
                tfstate::remove(&mut tx, &stack.id, row.version).await?;
                tx.commit().await.map_err(StoreError::from)?;
            }
            left = left.saturating_sub(u32::try_from(spent.len()).unwrap_or(left));
            if left == 0 {
                return Ok(());
            }
        }
    }
}
