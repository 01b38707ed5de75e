//! `gantry pool drain` and `undrain`.
//!
//! Takes a pool and maybe one launcher, closes or opens; waits, if asked to, until none of them has a run. Never: a
//! success while one of them is busy, or was opened again by somebody else.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::json;

use crate::args::{DrainArgs, WorkerArgs};
use crate::client::Api;
use crate::context::Context;
use crate::exit::Exit;
use crate::model::{Drained, PoolDetails};
use crate::ops;

/// How often is asked whether the runs have ended.
const PAUSE: Duration = Duration::from_secs(2);

/// Closes launchers to new runs.
pub(super) async fn drain(context: &Context, args: DrainArgs) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let pool = &args.pool.id;
    let chosen = match args.worker {
        Some(worker) => vec![worker],
        None => {
            let all = super::details(&api, pool).await?.workers;
            all.into_iter().map(|worker| worker.id).collect()
        }
    };
    let mut busy = Vec::new();
    for worker in &chosen {
        // The answer says in one moment that it is closed and whether it has a run.
        let state = set(&api, pool, worker, true).await?;
        if state.busy {
            busy.push(state.id);
        }
    }
    if args.wait && !busy.is_empty() {
        wait(context, &api, pool, busy, args.timeout).await?;
        busy = Vec::new();
    }
    let lines = [
        ("pool", pool.clone()),
        ("drained", chosen.join(", ")),
        ("still busy", busy.join(", ")),
    ];
    let all = json!({ "pool": pool, "drained": chosen, "busy": busy });
    context.printer.details(&all, &lines)?;
    Ok(Exit::Done)
}

/// Opens a launcher to new runs again.
pub(super) async fn undrain(context: &Context, args: WorkerArgs) -> anyhow::Result<Exit> {
    let state = set(&context.api()?, &args.pool.id, &args.worker, false).await?;
    super::said(context, &state.id, "takes runs again")
}

async fn set(api: &Api, pool: &str, worker: &str, drain: bool) -> anyhow::Result<Drained> {
    let vars = json!({ "pool": pool, "id": worker, "drain": drain });
    let state = api
        .call(&ops::WORKER_DRAIN_SET, vars)
        .await?
        .worker_drain_set;
    if state.drained != drain {
        bail!("the server did not change launcher `{worker}` of pool `{pool}`");
    }
    Ok(state)
}

async fn wait(
    context: &Context,
    api: &Api,
    pool: &str,
    mut busy: Vec<String>,
    timeout: Duration,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + timeout;
    loop {
        let now = super::details(api, pool).await?;
        busy = still_busy(&now, busy)?;
        if busy.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            bail!(
                "launchers of pool `{pool}` still have runs after {} s: {}",
                timeout.as_secs(),
                busy.join(", ")
            );
        }
        context
            .printer
            .status(&format!("{} launchers have runs", busy.len()));
        tokio::time::sleep(PAUSE).await;
    }
}

fn still_busy(pool: &PoolDetails, watched: Vec<String>) -> anyhow::Result<Vec<String>> {
    let mut busy = Vec::new();
    for id in watched {
        let known = pool.workers.iter().find(|worker| worker.id == id);
        let known = known.with_context(|| {
            format!(
                "launcher `{id}` left pool `{}` while it was drained",
                pool.id
            )
        })?;
        if !known.drained {
            bail!(
                "launcher `{id}` of pool `{}` was opened to runs again",
                pool.id
            );
        }
        if known.busy {
            busy.push(id);
        }
    }
    Ok(busy)
}
