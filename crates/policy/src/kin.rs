//! A process and all that it started, found and ended, whatever sessions and groups they made for themselves.
//!
//! Takes a process that became the subreaper of its descendants, so that none of them leaves it. Never: a process of
//! another tree, a wait for one that ends late.

use std::collections::HashSet;

use rustix::process::{Pid, Signal, kill_process};

/// Most looks for new descendants: each stops what it finds, and what is stopped starts nothing.
const LOOKS: usize = 256;

/// So many looks in a row that find nothing new tell that all are stopped: one may have been starting during the first.
const QUIET: usize = 2;

/// Stops all descendants of `root`, then kills them. They are not waited for.
pub(crate) fn end_descendants(root: Pid) {
    for pid in stopped(root) {
        // Who ended meanwhile is what it should be.
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// The same, and `root` itself.
pub(crate) fn end_with_descendants(root: Pid) {
    // It would see its children end, and go on.
    let _ = kill_process(root, Signal::STOP);
    end_descendants(root);
    let _ = kill_process(root, Signal::KILL);
}

/// All descendants of `root`, none of which can start another any more.
fn stopped(root: Pid) -> HashSet<Pid> {
    let (mut all, mut quiet) = (HashSet::new(), 0);
    for _ in 0..LOOKS {
        let before = all.len();
        for pid in descendants(root) {
            if all.insert(pid) {
                let _ = kill_process(pid, Signal::STOP);
            }
        }
        quiet = if all.len() == before { quiet + 1 } else { 0 };
        if quiet == QUIET {
            break;
        }
    }
    all
}

fn descendants(root: Pid) -> HashSet<Pid> {
    let (mut found, mut open) = (HashSet::new(), vec![root]);
    while let Some(pid) = open.pop() {
        open.extend(
            children(pid)
                .into_iter()
                .filter(|child| found.insert(*child)),
        );
    }
    found
}

/// Of every thread of `pid`.
fn children(pid: Pid) -> Vec<Pid> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    let lists = tasks.into_iter().flatten().flatten();
    let lists = lists.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let pids = lists.flat_map(|list| {
        let pids = list.split_whitespace().map(str::to_owned);
        pids.collect::<Vec<_>>()
    });
    let pids = pids.filter_map(|pid| pid.parse().ok().and_then(Pid::from_raw));
    pids.collect()
}
