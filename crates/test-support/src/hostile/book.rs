//! What a hostile server remembers: whom it knows, what it has to say, what it was told, what it lies about.
//!
//! Takes requests' contents, gives answers' contents; no I/O. Never: anything forgotten that a launcher sent, because
//! what did *not* come is looked for in it.

use std::collections::BTreeMap;

use gantry_protocol::control::inbox::{Content, Message, Poll};
use gantry_protocol::control::run::{GrantAnswer, Lease, RunResult};
use gantry_protocol::{Attempt, LauncherId, RunId, RunState};

/// A packed workspace as a launcher stored it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The attestation's text.
    pub attestation: String,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
}

/// All that a launcher told of one lease.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Phases that it entered without a grant, in order.
    pub phases: Vec<RunState>,
    /// Phases that it asked a grant for, in order.
    pub grants: Vec<RunState>,
    /// Log sections as stored.
    pub logs: BTreeMap<u32, Vec<u8>>,
    /// The workspace that it stored.
    pub packed: Option<Packed>,
    /// Whether it asked for a workspace.
    pub fetched: bool,
    /// How it ended; more than once would be a fault.
    pub results: Vec<RunResult>,
    /// Every byte of every request about it, bodies and addresses.
    pub bytes: Vec<u8>,
    pub(super) offsets: BTreeMap<u32, u64>,
}

impl Told {
    /// Whether a text stands anywhere in what was told.
    pub fn has(&self, text: &str) -> bool {
        let mut parts = self.bytes.windows(text.len());
        parts.any(|part| part == text.as_bytes())
    }

    /// All log sections, one after the other.
    pub fn log(&self) -> String {
        let sections = self.logs.values();
        let text = sections.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        text.collect()
    }
}

/// A worker executable on offer.
#[derive(Clone, Debug)]
pub struct OfferedWorker {
    /// The manifest's text.
    pub manifest: String,
    /// What is sent as the executable, whatever digest is asked for.
    pub bytes: Vec<u8>,
}

/// What is answered otherwise than an honest server would.
#[derive(Clone, Debug)]
pub struct Lies {
    /// The answer to every question for a grant.
    pub grant: GrantAnswer,
    /// The workspace that is served to a run, instead of its own.
    pub workspaces: BTreeMap<RunId, Vec<u8>>,
    /// The managed state that every run reads; none when `None`.
    pub state: Option<String>,
    /// The worker on offer.
    pub worker: OfferedWorker,
    /// What is said of how much of a run's log section is stored, once each.
    pub positions: BTreeMap<(RunId, u32), u64>,
    /// Seconds that a session is said to live.
    pub session_seconds: u64,
    /// Seconds that a lease is said to live.
    pub lease_seconds: u64,
    /// The server's clock, in Unix seconds; the host's when `None`.
    pub clock: Option<i64>,
}

/// The server's memory.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) launcher: Option<LauncherId>,
    pub(super) epoch: u64,
    inbox: Vec<Message>,
    last_id: u64,
    pub(super) free_slots: u32,
    told: BTreeMap<(RunId, Attempt), Told>,
    pub(super) lies: Lies,
}

impl Book {
    pub(super) fn new(worker: OfferedWorker) -> Self {
        Self {
            launcher: None,
            epoch: 0,
            inbox: Vec::new(),
            last_id: 0,
            free_slots: 0,
            told: BTreeMap::new(),
            lies: Lies {
                grant: GrantAnswer::Granted { state_version: 1 },
                workspaces: BTreeMap::new(),
                state: None,
                worker,
                positions: BTreeMap::new(),
                session_seconds: 600,
                lease_seconds: 60,
                clock: None,
            },
        }
    }

    /// Puts messages into the inbox under new ids; gives the last.
    pub(super) fn send(&mut self, contents: Vec<Content>) -> u64 {
        for content in contents {
            self.last_id += 1;
            let id = self.last_id;
            self.inbox.push(Message { id, content });
        }
        self.last_id
    }

    /// Whether every message up to `id` was acknowledged.
    pub(super) fn taken(&self, id: u64) -> bool {
        self.inbox.iter().all(|message| message.id > id)
    }

    /// Takes note of a poll; gives what is not acknowledged.
    pub(super) fn poll(&mut self, poll: &Poll) -> Vec<Message> {
        self.inbox
            .retain(|message| !poll.acknowledge.contains(&message.id));
        self.free_slots = poll.free_slots;
        self.inbox.clone()
    }

    pub(super) fn told(&self, lease: Lease) -> Option<&Told> {
        self.told.get(&(lease.run, lease.attempt))
    }

    pub(super) fn note(&mut self, lease: Lease) -> &mut Told {
        self.told.entry((lease.run, lease.attempt)).or_default()
    }

    /// What is served as the packed workspace of a run: the lie, or the newest that was stored.
    pub(super) fn workspace(&self, run: RunId) -> Option<Vec<u8>> {
        if let Some(lie) = self.lies.workspaces.get(&run) {
            return Some(lie.clone());
        }
        let attempts = self.told.iter().rev().filter(|((of, _), _)| *of == run);
        let mut packed = attempts.filter_map(|(_, told)| told.packed.as_ref());
        packed.next().map(|packed| packed.sealed.clone())
    }

    /// Stores a log piece; gives how far the section is stored.
    pub(super) fn store_log(
        &mut self,
        lease: Lease,
        section: u32,
        (from, to): (u64, u64),
        bytes: &[u8],
    ) -> Result<u64, u64> {
        let told = self.note(lease);
        let at = told.offsets.entry(section).or_default();
        if from != *at {
            return Err(*at);
        }
        *at = to;
        told.logs.entry(section).or_default().extend(bytes);
        Ok(to)
    }

    /// How far a section is said to be stored.
    pub(super) fn log_position(&mut self, lease: Lease, section: u32) -> u64 {
        if let Some(lie) = self.lies.positions.remove(&(lease.run, section)) {
            self.note(lease).offsets.insert(section, lie);
            return lie;
        }
        self.note(lease)
            .offsets
            .entry(section)
            .or_default()
            .to_owned()
    }
}
