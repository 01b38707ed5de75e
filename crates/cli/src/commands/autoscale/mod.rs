//! `gantry autoscale-hint`: how many launchers a pool wants, for scripts that set the size of a group of hosts.
//!
//! Takes what the server says of a pool, gives a number with its reason. Never: a change of anything.

mod size;

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use serde_json::json;

use crate::args::AutoscaleArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::model::{ScaledPool, ScaledWorker};
use crate::ops;

use size::{Bounds, Launcher, Stand, Wanted, wanted};

/// A launcher asks for runs all the time; one that has been silent for this many seconds is not there.
const SILENT: i64 = 180;

pub async fn hint(context: &Context, args: AutoscaleArgs) -> anyhow::Result<Exit> {
    let bounds = Bounds {
        min: args.min,
        max: args.max,
        per_launcher: args.per_launcher,
    };
    let most = args.max.unwrap_or(u32::MAX);
    ensure!(
        args.min <= most,
        "--min {} is more than --max {most}",
        args.min
    );
    let vars = json!({ "id": args.pool });
    let found = context.api()?.call(&ops::WORKER_POOL_SIZE, vars).await?;
    let missing = || format!("there is no pool `{}`", args.pool);
    let pool = found.worker_pool.with_context(missing)?;
    print(context, &pool, &wanted(&stand(&pool, now()), &bounds))?;
    Ok(Exit::Done)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs().cast_signed())
}

fn stand(pool: &ScaledPool, now: i64) -> Stand {
    let mut launchers: Vec<_> = pool.workers.iter().collect();
    launchers.sort_by_key(|worker| (worker.created_at, worker.id.clone()));
    Stand {
        pending: pool.pending_runs,
        has_room: pool.schedulable,
        launchers: launchers
            .into_iter()
            .map(|worker| launcher(worker, now))
            .collect(),
    }
}

fn launcher(worker: &ScaledWorker, now: i64) -> Launcher {
    if worker.busy {
        return Launcher::Busy;
    }
    if worker.last_seen_at < now - SILENT {
        return Launcher::Silent;
    }
    if worker.drained {
        return Launcher::Drained;
    }
    match worker.status.as_str() {
        "IDLE" => Launcher::Idle(worker.id.clone()),
        _ => Launcher::Closed,
    }
}

fn print(context: &Context, pool: &ScaledPool, wanted: &Wanted) -> anyhow::Result<()> {
    let lines = [
        ("wanted", wanted.size.to_string()),
        ("now", wanted.present.to_string()),
        ("because", wanted.reason.clone()),
        ("may go", wanted.may_go.join(", ")),
    ];
    let all = json!({ "pool": pool.id, "wanted": wanted.size, "now": wanted.present, "pendingRuns": pool.pending_runs,
        "busy": wanted.busy, "mayGo": wanted.may_go, "reason": wanted.reason });
    context.printer.details(&all, &lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(busy: bool, drained: bool, status: &str, last_seen_at: i64) -> ScaledWorker {
        ScaledWorker {
            id: "W".into(),
            busy,
            drained,
            status: status.into(),
            created_at: 0,
            last_seen_at,
        }
    }

    #[test]
    fn each_launcher_is_taken_for_what_it_is() {
        let now = 1_000_000;
        for (worker, expected) in [
            (
                worker(false, false, "IDLE", now),
                Launcher::Idle("W".into()),
            ),
            (worker(false, false, "PAUSED", now), Launcher::Closed),
            (worker(false, false, "A_NEW_ONE", now), Launcher::Closed),
            (worker(false, true, "DRAINED", now), Launcher::Drained),
            (worker(false, false, "IDLE", now - 600), Launcher::Silent),
            // A run on a host that is silent may still go on.
            (worker(true, true, "BUSY", now - 600), Launcher::Busy),
        ] {
            assert_eq!(launcher(&worker, now), expected, "{worker:?}");
        }
    }
}
