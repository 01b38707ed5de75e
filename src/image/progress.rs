//! A pull's progress in a few lines that people can read.
//!
//! Takes the engine's messages, gives text lines. Never: a flood; at most one line per tenth of the bytes.

use std::collections::HashMap;
use std::time::Duration;

use crate::engine::PullEvent;

/// Sums the layers up and tells each tenth once.
#[derive(Default)]
pub(super) struct Progress {
    layers: HashMap<String, (u64, u64)>,
    told: u64,
}

impl Progress {
    /// The line that `event` is worth, if any.
    pub(super) fn on(&mut self, event: &PullEvent) -> Option<String> {
        if event.status == "Downloading" && event.total > 0 {
            let key = event.layer.clone();
            self.layers.insert(key, (event.current, event.total));
        } else if let Some((current, total)) = self.layers.get_mut(&event.layer)
            && matches!(event.status.as_str(), "Download complete" | "Pull complete")
        {
            *current = *total;
        } else {
            return None;
        }
        let current: u64 = self.layers.values().map(|layer| layer.0).sum();
        let total: u64 = self.layers.values().map(|layer| layer.1).sum();
        let tenth = (current * 10).checked_div(total).unwrap_or(0);
        // New layers make the total grow, so the share may fall back: it is told only when it rises.
        if tenth <= self.told {
            return None;
        }
        self.told = tenth;
        Some(format!(
            "pulling image: {}0 % of {} in {} layers",
            tenth,
            megabytes(total),
            self.layers.len()
        ))
    }
}

pub(super) fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}

/// Seconds with one digit: how long a pull took.
pub(super) fn seconds(took: Duration) -> String {
    format!("{}.{} s", took.as_secs(), took.subsec_millis() / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(layer: &str, status: &str, current: u64, total: u64) -> PullEvent {
        PullEvent {
            layer: layer.into(),
            status: status.into(),
            current,
            total,
        }
    }

    #[test]
    fn a_thousand_messages_become_ten_lines() {
        let mut progress = Progress::default();
        let lines: Vec<String> = (0..=1000)
            .filter_map(|n| progress.on(&event("a", "Downloading", n * 1000, 1_000_000)))
            .collect();
        assert_eq!(lines.len(), 10, "{lines:?}");
        assert_eq!(lines[9], "pulling image: 100 % of 1.0 MB in 1 layers");
    }

    #[test]
    fn completion_counts_and_other_messages_do_not() {
        let mut progress = Progress::default();
        assert_eq!(progress.on(&event("a", "Waiting", 0, 0)), None);
        assert_eq!(progress.on(&event("a", "Downloading", 1, 2000)), None);
        assert_eq!(progress.on(&event("a", "Extracting", 1, 2000)), None);
        let done = progress.on(&event("a", "Download complete", 0, 0));
        assert!(done.is_some_and(|line| line.contains("100 %")));
        assert_eq!(progress.on(&event("b", "Downloading", 1, 9000)), None);
    }
}
