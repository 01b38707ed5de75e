//! Spool → mask → server: every byte of a lease's log, once, in order.
//!
//! Takes commands from the job and raw bytes from the spool. Gives masked ranges to the server and
//! acknowledgements to the worker. Never: a byte acknowledged that the server has not stored durably, a
//! byte shipped that could still become part of a secret, a gap without its marker.
//!
//! What is stored also goes to standard output, where that is asked for.

mod narrator;
mod section;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gantry_protocol::control::run::Lease;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::warn;

pub use narrator::Narrator;
use section::{Section, Stepped};

use crate::link;
use crate::mask::Mask;
use crate::metrics::Metrics;
use crate::report::Chain;
use crate::session::{CallError, Session};
use crate::stdout::RunRecords;
use crate::workspace::{MAX_OFFSET, SpoolReader};

/// Looks at the spool at least this often, should a bell be lost.
const TICK: Duration = Duration::from_millis(500);

/// What the job tells the shipper.
#[derive(Debug)]
pub(crate) enum Command {
    /// A line of the launcher's own section.
    Say(String),
    /// The spool grew.
    Bell,
    /// From here on the worker's sections come from this spool, acknowledged to this worker.
    Spool(Box<SpoolReader>, link::Handle),
    /// The server knows this section.
    Open(u32),
    /// A section has this raw length and will grow no more; `None` for what the spool holds now.
    Close(u32, Option<u64>),
    /// Nothing more will come: end when everything is stored.
    Finish,
}

/// A lease's shipper: its task and the way to it.
#[derive(Debug)]
pub struct Shipper {
    commands: mpsc::UnboundedSender<Command>,
    task: JoinHandle<Result<(), CallError>>,
}

impl Shipper {
    /// Starts shipping for a lease.
    pub fn start(store: Store, mask: Mask) -> Self {
        let (commands, receiver) = mpsc::unbounded_channel();
        let work = Work {
            store,
            mask,
            commands: receiver,
            own: None,
            pending: String::new(),
            sections: BTreeMap::new(),
            spool: None,
            finishing: false,
        };
        Self {
            commands,
            task: tokio::spawn(work.run()),
        }
    }

    /// Writes lines into the launcher's own section.
    pub fn narrator(&self) -> Narrator {
        Narrator::new(self.commands.clone())
    }

    /// Takes the worker's sections from here on.
    pub fn spool(&self, reader: SpoolReader, worker: link::Handle) {
        self.tell(Command::Spool(Box::new(reader), worker));
    }

    /// The spool grew.
    pub fn bell(&self) {
        self.tell(Command::Bell);
    }

    /// The server knows this section: ship it.
    pub fn open(&self, section: u32) {
        self.tell(Command::Open(section));
    }

    /// The section will grow no more.
    pub fn close(&self, section: u32, end: Option<u64>) {
        self.tell(Command::Close(section, end));
    }

    /// Waits until everything is stored, however long the server is away.
    ///
    /// # Errors
    /// What the server refused for good.
    pub async fn finish(self) -> Result<(), CallError> {
        self.tell(Command::Finish);
        self.task
            .await
            .expect("invariant: the shipper's task is neither aborted nor panics")
    }

    /// Ends at once: the lease is no longer ours.
    pub fn abandon(self) {
        self.task.abort();
    }

    fn tell(&self, command: Command) {
        // A shipper that ended early holds its error for `finish`.
        let _ = self.commands.send(command);
    }
}

/// Where ranges go.
pub struct Store {
    /// The server.
    pub session: Arc<Session>,
    /// Whose log it is.
    pub lease: Lease,
    /// What is stored goes there too.
    pub records: Option<RunRecords>,
    /// What is stored is counted.
    pub metrics: Metrics,
}

impl Store {
    async fn stored(&self, section: u32) -> Result<u64, CallError> {
        let stored = self.session.log_stored(self.lease, section).await?;
        Ok(credible(stored.offset))
    }

    async fn put(
        &mut self,
        section: u32,
        range: (u64, u64),
        masked: Vec<u8>,
    ) -> Result<u64, CallError> {
        let masked = Bytes::from(masked);
        let stored = self
            .session
            .store_log(self.lease, section, range, masked.clone())
            .await?;
        if let Some(records) = &mut self.records {
            records.take(section, range, &masked);
        }
        self.metrics.log_shipped(range.1 - range.0);
        Ok(credible(stored.offset))
    }

    /// Nothing more comes in this section.
    fn end(&mut self, section: u32) {
        if let Some(records) = &mut self.records {
            records.end(section);
        }
    }
}

/// A position that a log can have, whatever the server says.
fn credible(offset: u64) -> u64 {
    offset.min(MAX_OFFSET)
}

/// What stands where the server does not have any more what it had stored.
fn lost_by_the_server(bytes: u64) -> String {
    format!(
        "\n[gantry: {bytes} bytes of this log were lost on the server, which had stored them before]\n"
    )
}

struct Work {
    store: Store,
    mask: Mask,
    commands: mpsc::UnboundedReceiver<Command>,
    own: Option<u64>,
    pending: String,
    sections: BTreeMap<u32, Section>,
    spool: Option<(Box<SpoolReader>, link::Handle)>,
    finishing: bool,
}

impl Work {
    async fn run(mut self) -> Result<(), CallError> {
        loop {
            while let Ok(command) = self.commands.try_recv() {
                self.take(command);
            }
            self.own_section().await?;
            if self.worker_sections().await? {
                continue;
            }
            if self.finishing && self.pending.is_empty() && self.sections.is_empty() {
                return Ok(());
            }
            match tokio::time::timeout(TICK, self.commands.recv()).await {
                Ok(Some(command)) => self.take(command),
                // The job is gone without `finish`: the lease was given up.
                Ok(None) => return Ok(()),
                Err(_) => {}
            }
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Say(line) => {
                self.pending.push_str(&line);
                self.pending.push('\n');
            }
            Command::Bell => {}
            Command::Spool(reader, worker) => self.spool = Some((reader, worker)),
            Command::Open(number) => self.section(number).open = true,
            Command::Close(number, end) => self.section(number).close(end),
            Command::Finish => self.finishing = true,
        }
    }

    fn section(&mut self, number: u32) -> &mut Section {
        self.sections
            .entry(number)
            .or_insert_with(|| Section::new(number))
    }

    /// The launcher's own lines: masked line by line, for none is ever half written.
    async fn own_section(&mut self) -> Result<(), CallError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut text = std::mem::take(&mut self.pending);
        let mut from = match self.own {
            Some(offset) => offset,
            None => self.store.stored(0).await?,
        };
        let stored = match self.put_own(from, &text).await {
            Err(error) if error.is_conflict() => {
                let there = self.store.stored(0).await?;
                if there < from {
                    // Restored from a backup: what was said meanwhile is gone there and kept nowhere else.
                    text = format!("{}{text}", lost_by_the_server(from - there));
                }
                from = there;
                self.put_own(from, &text).await
            }
            other => other,
        };
        self.own = Some(stored?);
        Ok(())
    }

    async fn put_own(&mut self, from: u64, text: &str) -> Result<u64, CallError> {
        let to = from + text.len() as u64;
        let masked = self.mask.whole(text.as_bytes());
        self.store.put(0, (from, to), masked).await
    }

    /// One step of the oldest section; whether there may be more to do at once.
    async fn worker_sections(&mut self) -> Result<bool, CallError> {
        let Some((spool, worker)) = &mut self.spool else {
            return Ok(false);
        };
        let Some(mut first) = self.sections.first_entry() else {
            return Ok(false);
        };
        match first
            .get_mut()
            .step(spool, &self.mask, &mut self.store)
            .await?
        {
            Stepped::Stored(offset) => {
                let (number, left) = (*first.key(), first.get().is_left());
                worker.acknowledge(number, offset);
                if let Err(error) = spool.release(number, offset, left) {
                    warn!(section = number, error = %Chain(&error), "stored log segments stay on disk");
                }
                Ok(true)
            }
            Stepped::Done => {
                self.store.end(*first.key());
                first.remove();
                Ok(true)
            }
            Stepped::Idle => Ok(false),
        }
    }
}
