//! What a process uses, and what it has started.

use std::fs;
use std::time::Instant;

use gantry_test_support::{Launcher, SHORT, wait_for};
use serde_json::{Value, json};

/// Figures of a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    descriptors: usize,
    /// In KiB.
    memory: u64,
}

impl Figures {
    pub(super) fn of(process: u32) -> Self {
        let descriptors = fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        Self {
            descriptors,
            memory: memory.unwrap(),
        }
    }

    pub(super) fn compared(self, before: Self, memory: u64, descriptors: usize) -> Vec<String> {
        let mut problems = Vec::new();
        if self.memory > before.memory + memory {
            problems.push(format!(
                "memory: {} KiB, before {}",
                self.memory, before.memory
            ));
        }
        if self.descriptors > before.descriptors + descriptors {
            problems.push(format!(
                "descriptors: {}, before {}",
                self.descriptors, before.descriptors
            ));
        }
        problems
    }

    pub(super) fn json(self) -> Value {
        json!({ "descriptors": self.descriptors, "rss_kib": self.memory })
    }
}

/// The figures once connections that are not used any more had time to go.
pub(super) fn settled(launcher: &Launcher, before: Figures, more: usize) -> Figures {
    let deadline = Instant::now() + SHORT;
    wait_for("the launcher to be idle", SHORT * 2, || {
        let now = Figures::of(launcher.process_id());
        match now.descriptors <= before.descriptors + more || Instant::now() >= deadline {
            true => Ok(now),
            false => Err(format!("{now:?}")),
        }
    })
}

/// Processes that an idle launcher still has, dead ones too.
pub(super) fn children(of: u32) -> Vec<String> {
    let deadline = Instant::now() + SHORT;
    let left = wait_for("the launcher's processes to end", SHORT * 2, || {
        let left = listed(of);
        match left.is_empty() || Instant::now() >= deadline {
            true => Ok(left),
            false => Err(left.join(", ")),
        }
    });
    let named = left.into_iter();
    named
        .map(|line| format!("process {line} is left"))
        .collect()
}

fn listed(of: u32) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((name, rest)) = stat.rsplit_once(") ") else {
            continue;
        };
        let parent = rest
            .split(' ')
            .nth(1)
            .and_then(|parent| parent.parse().ok());
        if parent == Some(of) {
            found.push(format!("{name}) {rest:.1}"));
        }
    }
    found
}
