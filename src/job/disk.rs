//! How much disk a run uses, looked at from time to time while its container runs.
//!
//! Takes a container with its directories and limits; gives at most two words: over the limit, and far over it. The
//! file system's free space is asked every second; the run's files are counted when that shows that they could have
//! passed the limit, and now and then anyway. Never: a count on the asynchronous threads, one that takes more than a
//! twentieth of the time, or a container ended here.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::debug;

use crate::engine::{ContainerDisk, ContainerId, Docker};
use crate::report::Chain;
use crate::workspace::{RunDirs, Usage, free_bytes, held_bytes, usage};

/// The free space is looked at this often.
const LOOK: Duration = Duration::from_secs(1);

/// Without any sign, files are counted this often.
const AT_LEAST: Duration = Duration::from_secs(30);

/// Between two counts lies this many times what the last one took.
const SHARE: u32 = 20;

/// What a run may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct DiskLimits {
    /// Bytes of everything but the log.
    pub(super) disk: u64,
    /// Bytes of log in the spool that do not count.
    pub(super) log: u64,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// More than the run may use; why, for people.
    Limit(String),
    /// Twice as much: it goes on although it was told to stop.
    Twice,
}

/// Watches one container. Dropping it ends the watch.
#[derive(Debug)]
pub(super) struct DiskWatch {
    /// Receives what was found.
    pub(super) over: mpsc::UnboundedReceiver<Over>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Drop for DiskWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.abort();
    }
}

impl DiskWatch {
    pub(super) fn start(
        engine: Docker,
        container: ContainerId,
        dirs: &RunDirs,
        limits: DiskLimits,
    ) -> Self {
        let (found, over) = mpsc::unbounded_channel();
        let stop = Arc::new(AtomicBool::new(false));
        let watcher = Watcher {
            engine,
            container,
            workspace: dirs.workspace(),
            spool: dirs.spool(),
            limits,
            stop: stop.clone(),
        };
        let task = tokio::spawn(watcher.watch(found));
        Self { over, stop, task }
    }
}

struct Watcher {
    engine: Docker,
    container: ContainerId,
    workspace: PathBuf,
    spool: PathBuf,
    limits: DiskLimits,
    stop: Arc<AtomicBool>,
}

impl Watcher {
    async fn watch(self, found: mpsc::UnboundedSender<Over>) {
        let places = match self.engine.disk_of(&self.container).await {
            Ok(places) => places,
            // It ended already, or the engine is away: the workspace is watched all the same.
            Err(error) => {
                debug!(error = %Chain(&error), "where the container writes is not known");
                ContainerDisk::default()
            }
        };
        let mut pace = Pace::new(Instant::now(), self.limits.disk);
        let mut told = false;
        let mut look = tokio::time::interval(LOOK);
        loop {
            look.tick().await;
            if !pace.is_due(Instant::now(), self.free(&places)) {
                continue;
            }
            let began = Instant::now();
            let used = self.count(&places).await;
            pace.counted(Instant::now(), began.elapsed(), used.bytes());
            let over = match used {
                Usage::Stopped => return,
                Usage::TooDeep => Some(too_deep()),
                Usage::Bytes(bytes) if bytes <= self.limits.disk => None,
                Usage::Bytes(_) | Usage::Over => Some(too_much(self.limits.disk)),
            };
            let Some(over) = over else { continue };
            if !std::mem::replace(&mut told, true) {
                let _ = found.send(over);
            }
            if used != Usage::Over {
                continue;
            }
            let _ = found.send(Over::Twice);
            return;
        }
    }

    /// Counts up to twice the limit.
    async fn count(&self, places: &ContainerDisk) -> Usage {
        let most = self.limits.disk.saturating_mul(2);
        let root = match places.writable_root {
            true => self.engine.root_bytes(&self.container).await.unwrap_or(0),
            false => 0,
        };
        let (workspace, spool) = (self.workspace.clone(), self.spool.clone());
        let volumes = places.volumes.clone();
        let (log, stop) = (self.limits.log, self.stop.clone());
        let container = self.container.as_str().to_owned();
        let counting = tokio::task::spawn_blocking(move || {
            let mut roots = vec![workspace.as_path()];
            roots.extend(volumes.iter().map(PathBuf::as_path));
            let files = match usage(&roots, most, &stop) {
                Usage::Bytes(bytes) => bytes,
                other => return other,
            };
            let spool = match usage(&[&spool], most.saturating_add(log), &stop) {
                Usage::Bytes(bytes) => bytes.saturating_sub(log),
                other => return other,
            };
            let parts = [files, spool, root, held_bytes(&container)];
            let all = parts.into_iter().fold(0, u64::saturating_add);
            match all > most {
                true => Usage::Over,
                false => Usage::Bytes(all),
            }
        });
        counting.await.unwrap_or(Usage::Stopped)
    }

    /// Free bytes of every file system that the container can write to.
    fn free(&self, places: &ContainerDisk) -> u64 {
        let mut paths = vec![self.workspace.as_path()];
        paths.extend(places.volumes.iter().map(PathBuf::as_path));
        let free = paths.into_iter().filter_map(free_bytes);
        free.fold(0, u64::saturating_add)
    }
}

impl Usage {
    /// What the next count has to reckon with.
    fn bytes(self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Over | Self::TooDeep | Self::Stopped => u64::MAX,
        }
    }
}

fn too_much(limit: u64) -> Over {
    let limit = limit >> 20;
    Over::Limit(format!(
        "it used more than {limit} MiB of disk (GANTRY_RUN_DISK_MB)"
    ))
}

fn too_deep() -> Over {
    Over::Limit(
        "its directories nest so deep that its use of disk can't be told (GANTRY_RUN_DISK_MB)"
            .to_owned(),
    )
}

/// When to count. Pure: clock and free space are arguments.
#[derive(Debug)]
struct Pace {
    limit: u64,
    next: Instant,
    last: Instant,
    used: u64,
    /// Free space at the last count; `None` before the first.
    free: Option<u64>,
    /// Least free space seen since.
    lowest: u64,
}

impl Pace {
    fn new(now: Instant, limit: u64) -> Self {
        Self {
            limit,
            next: now,
            last: now,
            used: 0,
            free: None,
            lowest: u64::MAX,
        }
    }

    /// Whether the run could be over its limit by now. Others may free what it takes, so half of its room is enough.
    fn is_due(&mut self, now: Instant, free: u64) -> bool {
        self.lowest = self.lowest.min(free);
        let Some(before) = self.free else {
            self.free = Some(free);
            return now >= self.next;
        };
        if now < self.next {
            return false;
        }
        let taken = before.saturating_sub(self.lowest);
        let room = self.limit.saturating_sub(self.used);
        let due = taken >= room / 2 || now.duration_since(self.last) >= AT_LEAST;
        if due {
            self.free = Some(free);
        }
        due
    }

    fn counted(&mut self, now: Instant, took: Duration, used: u64) {
        self.used = used;
        self.last = now;
        self.next = now + took * SHARE;
        self.lowest = self.free.unwrap_or(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MIB: u64 = 1 << 20;

    #[test]
    fn it_counts_when_the_disk_says_so_and_now_and_then() {
        let now = Instant::now();
        let mut pace = Pace::new(now, 100 * MIB);
        let took = SECOND / 100;
        assert!(pace.is_due(now, 1000 * MIB), "at first");
        pace.counted(now, took, 20 * MIB);
        // 80 MiB of room: 39 could not have passed the limit, 40 could.
        assert!(!pace.is_due(now + SECOND, 961 * MIB));
        assert!(pace.is_due(now + 2 * SECOND, 960 * MIB));
        pace.counted(now + 2 * SECOND, took, 20 * MIB);
        // Somebody else had written; from here it begins anew.
        assert!(!pace.is_due(now + 3 * SECOND, 950 * MIB));
        // What is given back meanwhile does not hide what was taken.
        assert!(!pace.is_due(now + 4 * SECOND, 925 * MIB));
        assert!(pace.is_due(now + 5 * SECOND, 915 * MIB));
        pace.counted(now + 5 * SECOND, took, 20 * MIB);
        assert!(!pace.is_due(now + 34 * SECOND, 915 * MIB));
        assert!(pace.is_due(now + 35 * SECOND, 915 * MIB), "now and then");
    }

    #[test]
    fn a_long_count_is_followed_by_a_longer_pause() {
        let now = Instant::now();
        let mut pace = Pace::new(now, 100 * MIB);
        assert!(pace.is_due(now, 1000 * MIB));
        pace.counted(now, 3 * SECOND, 0);
        assert!(!pace.is_due(now + 59 * SECOND, 0));
        assert!(pace.is_due(now + 60 * SECOND, 0));
    }
}
