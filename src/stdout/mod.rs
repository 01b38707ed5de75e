//! Logs of runs on the launcher's standard output, one JSON object a line.
//!
//! Takes masked log bytes as they are stored, gives records with `run_ulid`, `stack_id`, `ts` and `msg`. Never: a run
//! that waits for whoever reads standard output (what does not fit is dropped behind a record that counts it), a
//! byte that is not masked, anything else on standard output.

mod lines;
mod queue;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use gantry_protocol::ids::{RunId, StackId};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use lines::Lines;
use queue::{Pushed, Queue};

/// RFC 3339 in UTC with nanoseconds.
const STAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:9]Z");

/// Standard output, with a thread that writes to it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StandardOutput {
    queue: Arc<Queue>,
}

impl StandardOutput {
    /// Starts the thread.
    ///
    /// # Errors
    /// When standard output can't be duplicated or no thread can be started.
    pub fn start() -> io::Result<Self> {
        let out = io::stdout().as_fd().try_clone_to_owned()?;
        let queue = Queue::start(out.into())?;
        Ok(Self { queue })
    }

    /// The records of one run.
    pub fn run(&self, run: RunId, stack: &StackId) -> RunRecords {
        RunRecords {
            queue: Arc::clone(&self.queue),
            run,
            stack: stack.clone(),
            sections: BTreeMap::new(),
            dropped: 0,
        }
    }

    /// Waits until everything is written, `within` at most; nothing is taken any more.
    pub fn finish(&self, within: Duration) {
        self.queue.finish(within);
    }
}

/// Turns one run's masked bytes into records.
#[derive(Debug)]
pub struct RunRecords {
    queue: Arc<Queue>,
    run: RunId,
    stack: StackId,
    sections: BTreeMap<u32, Section>,
    /// Lines that had no room since the last one that had.
    dropped: u64,
}

#[derive(Debug, Default)]
struct Section {
    lines: Lines,
    /// Raw offset up to which it was told.
    told: u64,
}

#[derive(Serialize)]
struct Record<'a> {
    run_ulid: RunId,
    stack_id: &'a StackId,
    ts: &'a str,
    msg: &'a str,
    /// The line goes on in the next record of the run.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    partial: bool,
    /// How many lines are missing here.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<u64>,
}

impl RunRecords {
    /// Takes the masked bytes of a raw range of a section. A range that comes again is left out.
    pub fn take(&mut self, section: u32, range: (u64, u64), masked: &[u8]) {
        let state = self.sections.entry(section).or_default();
        if range.1 <= state.told {
            return;
        }
        state.told = range.1;
        let lines = state.lines.push(masked);
        self.tell(lines);
    }

    /// Ends a section: its last line may have no line feed.
    pub fn end(&mut self, section: u32) {
        let last = self.sections.remove(&section);
        let last = last.and_then(|mut section| section.lines.finish());
        self.tell(last.into_iter().collect());
    }

    fn tell(&mut self, lines: Vec<lines::Line>) {
        if lines.is_empty() {
            return;
        }
        let ts = stamp(OffsetDateTime::now_utc());
        for line in lines {
            if self.dropped > 0 && !self.tell_dropped(&ts) {
                self.dropped += 1;
                continue;
            }
            let record = self.record(&ts, &line.text, line.partial, None);
            match self.queue.push(record) {
                Pushed::Taken => {}
                Pushed::Full => self.dropped += 1,
            }
        }
    }

    /// Whether the gap could be told, and so whether there is room again.
    fn tell_dropped(&mut self, ts: &str) -> bool {
        let record = self.dropped_record(ts);
        let told = matches!(self.queue.push(record), Pushed::Taken);
        if told {
            self.dropped = 0;
        }
        told
    }

    fn dropped_record(&self, ts: &str) -> Vec<u8> {
        let count = self.dropped;
        let msg = format!(
            "[gantry: {count} lines are missing here: standard output was not read fast enough; the server has them]"
        );
        self.record(ts, &msg, false, Some(count))
    }

    fn record(&self, ts: &str, msg: &str, partial: bool, dropped: Option<u64>) -> Vec<u8> {
        let record = Record {
            run_ulid: self.run,
            stack_id: &self.stack,
            ts,
            msg,
            partial,
            dropped,
        };
        let mut line = serde_json::to_vec(&record).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

impl Drop for RunRecords {
    /// What had no room to the last is told whether there is room or not.
    fn drop(&mut self) {
        let sections: Vec<u32> = self.sections.keys().copied().collect();
        for section in sections {
            self.end(section);
        }
        if self.dropped > 0 {
            let record = self.dropped_record(&stamp(OffsetDateTime::now_utc()));
            self.queue.push_in_any_case(record);
        }
    }
}

fn stamp(now: OffsetDateTime) -> String {
    now.format(STAMP).unwrap_or_default()
}

#[cfg(test)]
mod tests;
