//! The launcher's end of the run socket.
//!
//! Takes a listening socket and the work order. Gives the worker's questions as [`Event`]s and carries
//! the answers back. Never: the order given twice, a connection that can't prove the session after the
//! first, a frame believed beyond its bounds, an answer lost because the worker was away.

mod connection;
mod listener;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use gantry_protocol::ids::Digest;
use gantry_protocol::socket::{Frame, FromLauncher, Phase, StateOp, StopKind, WorkOrder};
use tokio::sync::{Notify, mpsc, oneshot};

pub use listener::{Expect, Link, LinkError, listen};

/// State answers that are kept for a worker that was away. It has fewer requests open at a time; an older
/// one that it asks again is asked of the server again, which answers the same.
const STANDING_STATES: usize = 8;

/// What the worker wants.
#[derive(Debug)]
pub enum Event {
    /// A worker connected and waits: there is no order for it yet.
    Waiting,
    /// First connection: the order is about to be given, and is once `go` is used.
    Connected {
        /// Digest of the session key, to be journaled first.
        session: Digest,
        /// Lets the order go.
        go: oneshot::Sender<()>,
    },
    /// The order was given, or the worker showed that it has it.
    Given,
    /// The spool grew.
    Bell,
    /// May this phase begin?
    Ask {
        /// The phase.
        phase: Phase,
    },
    /// A managed-state request.
    State {
        /// Its id.
        id: u64,
        /// What.
        op: StateOp,
        /// Its body.
        body: Vec<u8>,
    },
}

/// Answers that stay true: given again after each reconnect, or when the worker asks again.
#[derive(Debug, Default)]
struct Standing {
    decisions: BTreeMap<Phase, FromLauncher>,
    states: BTreeMap<u64, (u16, Vec<u8>)>,
    stop: Option<StopKind>,
    acknowledged: BTreeMap<u32, u64>,
}

/// Who may connect.
enum Door {
    /// There is no order yet: who connects waits for it.
    Waiting,
    /// Nobody has connected: the next one gets the order.
    First(Box<WorkOrder>),
    /// The launcher before died while it gave the order: the worker has it and shows the key, or it has
    /// nothing and starts over. No tool runs before it has the order.
    Unsure(Box<WorkOrder>, Digest),
    /// Only who shows the key with this digest.
    Known(Digest),
}

struct Shared {
    door: Mutex<Door>,
    /// Rung when a waiting door gets its order.
    ordered: Notify,
    standing: Mutex<Standing>,
    /// The live connection's outgoing queue.
    out: Mutex<Option<mpsc::UnboundedSender<Frame<FromLauncher>>>>,
    events: mpsc::UnboundedSender<Event>,
}

/// Sends answers to the worker, whether it is connected now or not.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    /// Gives the order that a worker waits for. A door that had one keeps it: an order is never replaced.
    pub fn assign(&self, order: Box<WorkOrder>) {
        let mut door = lock(&self.shared.door);
        if matches!(*door, Door::Waiting) {
            *door = Door::First(order);
            drop(door);
            self.shared.ordered.notify_waiters();
        }
    }

    /// Answers [`Event::Ask`]. The first answer for a phase stands.
    pub fn decide(&self, phase: Phase, decision: FromLauncher) {
        let mut standing = lock(&self.shared.standing);
        let decision = standing.decisions.entry(phase).or_insert(decision).clone();
        drop(standing);
        self.send(decision.into());
    }

    /// Answers [`Event::State`].
    pub fn answer_state(&self, id: u64, status: u16, body: Vec<u8>) {
        let mut standing = lock(&self.shared.standing);
        standing.states.insert(id, (status, body.clone()));
        while standing.states.len() > STANDING_STATES {
            standing.states.pop_first();
        }
        drop(standing);
        self.send(Frame {
            message: FromLauncher::State { id, status },
            body,
        });
    }

    /// Asks to stop what runs. An interrupt can become a kill, never the reverse.
    pub fn stop(&self, kind: StopKind) {
        let mut standing = lock(&self.shared.standing);
        if standing.stop == Some(kind) || standing.stop == Some(StopKind::Kill) {
            return;
        }
        standing.stop = Some(kind);
        drop(standing);
        self.send(FromLauncher::Stop { kind }.into());
    }

    /// Says that log bytes below `offset` are stored.
    pub fn acknowledge(&self, section: u32, offset: u64) {
        lock(&self.shared.standing)
            .acknowledged
            .insert(section, offset);
        self.send(FromLauncher::LogAck { section, offset }.into());
    }

    fn send(&self, frame: Frame<FromLauncher>) {
        if let Some(out) = lock(&self.shared.out).as_ref() {
            // A connection that just ended gets the standing answers when the worker is back.
            let _ = out.send(frame);
        }
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handle")
    }
}

impl Standing {
    /// What a worker that is back has to hear again.
    fn frames(&self) -> Vec<Frame<FromLauncher>> {
        let acknowledged = self
            .acknowledged
            .iter()
            .map(|(&section, &offset)| Frame::from(FromLauncher::LogAck { section, offset }));
        let decisions = self.decisions.values().cloned().map(Frame::from);
        let states = self.states.iter().map(|(&id, (status, body))| Frame {
            message: FromLauncher::State {
                id,
                status: *status,
            },
            body: body.clone(),
        });
        let stop = self
            .stop
            .iter()
            .map(|&kind| Frame::from(FromLauncher::Stop { kind }));
        acknowledged
            .chain(decisions)
            .chain(states)
            .chain(stop)
            .collect()
    }
}

/// Locks a mutex whose holders never panic while they hold it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("invariant: no holder of this lock panics")
}
