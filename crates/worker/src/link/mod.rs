//! The worker's side of the run socket.
//!
//! Takes asks and state requests, gives the launcher's answers, across any number of connections. Must
//! never happen here: a request that is forgotten because a connection broke, one answered twice, a
//! session key or an order on disk.

mod backoff;
mod connection;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gantry_protocol::Secret;
use gantry_protocol::socket::{Frame, FromWorker, Phase, StateOp, StopKind, WorkOrder};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::planner::Answer;
use crate::report;
use backoff::Backoff;

/// How long the last bell may take when the launcher is away: it reads the spool anyway.
const LAST_BELL: Duration = Duration::from_millis(250);

/// What the launcher says by itself.
#[derive(Debug)]
pub enum Said {
    /// The order; once.
    Order(Box<WorkOrder>),
    /// Log bytes below `offset` of `section` are stored.
    Stored {
        /// The section.
        section: u32,
        /// The raw offset.
        offset: u64,
    },
    /// Stop what runs.
    Stop(StopKind),
}

/// The launcher's answer to a state request.
#[derive(Debug)]
pub struct StateAnswer {
    /// HTTP status for the tool.
    pub status: u16,
    /// What the tool gets to read.
    pub body: Vec<u8>,
}

/// Tells the launcher that the spool grew. Ringing is cheap and may be done from any thread.
#[derive(Debug, Default)]
pub struct Bell {
    rung: AtomicBool,
    wake: Notify,
}

impl Bell {
    /// The spool grew.
    pub fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.wake.notify_one();
        }
    }

    fn is_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }

    fn take(&self) -> bool {
        self.rung.swap(false, Ordering::AcqRel)
    }
}

/// The link to the launcher; clones share it.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
}

struct Shared {
    socket: PathBuf,
    bell: Arc<Bell>,
    state: Mutex<State>,
    said: mpsc::UnboundedSender<Said>,
    /// Whether the launcher said to wait for the order.
    waits: AtomicBool,
    /// Told whenever a request was answered or a bell was sent.
    settled: Notify,
}

#[derive(Default)]
struct State {
    session: Option<Secret>,
    asking: Option<(Phase, oneshot::Sender<Answer>)>,
    requests: BTreeMap<u64, Request>,
    last_id: u64,
    /// Requests of the current connection that are still to be written.
    unsent: Vec<Arc<Frame<FromWorker>>>,
    last_error: Option<String>,
}

/// A state request that is not answered yet.
struct Request {
    frame: Arc<Frame<FromWorker>>,
    op: StateOp,
    answer: oneshot::Sender<StateAnswer>,
}

impl Link {
    /// Connects to `socket`, and again whenever the connection breaks, until the runtime ends.
    pub fn start(socket: PathBuf, bell: Arc<Bell>) -> (Self, mpsc::UnboundedReceiver<Said>) {
        let (said, heard) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            socket,
            bell,
            state: Mutex::default(),
            said,
            waits: AtomicBool::new(false),
            settled: Notify::new(),
        });
        tokio::spawn(keep_connected(Arc::clone(&shared)));
        (Self { shared }, heard)
    }

    /// Asks for a phase and waits for the answer, however long it takes.
    pub async fn ask(&self, phase: Phase) -> Answer {
        let (tell, answer) = oneshot::channel();
        {
            let mut state = self.shared.lock();
            state.asking = Some((phase, tell));
            state
                .unsent
                .push(Arc::new(FromWorker::Ask { phase }.into()));
        }
        self.shared.bell.wake.notify_one();
        // The sender stays in the state until an answer takes it out.
        answer
            .await
            .expect("invariant: an ask is dropped only when answered")
    }

    /// Takes back an ask that was not answered.
    pub fn withdraw(&self) {
        let mut state = self.shared.lock();
        state.asking = None;
        state
            .unsent
            .retain(|f| !matches!(f.message, FromWorker::Ask { .. }));
    }

    /// Forwards a state request and waits for the answer, however long it takes. Dropping the wait leaves
    /// the request with the launcher.
    pub async fn state(&self, op: StateOp, body: Vec<u8>) -> StateAnswer {
        let answer = self.shared.lock().request(op, body);
        self.shared.bell.wake.notify_one();
        answer
            .await
            .expect("invariant: a request is dropped only when answered")
    }

    /// Waits until what must not be lost (writes, locks, unlocks) is answered, at most `patience` long, and
    /// for a moment until the last bell is sent.
    pub async fn settle(&self, patience: Duration) {
        self.until(patience, || !self.shared.lock().owes()).await;
        self.until(LAST_BELL, || !self.shared.bell.is_rung()).await;
    }

    async fn until(&self, patience: Duration, reached: impl Fn() -> bool) {
        let reached = async {
            loop {
                let told = self.shared.settled.notified();
                if reached() {
                    return;
                }
                told.await;
            }
        };
        // Out of patience: the launcher reads the rest from the spool.
        let _ = tokio::time::timeout(patience, reached).await;
    }

    /// Whether a launcher is there and said to wait for the order.
    pub fn waits(&self) -> bool {
        self.shared.waits.load(Ordering::Acquire)
    }

    /// Why the newest attempt to connect failed, in words.
    pub fn last_error(&self) -> Option<String> {
        self.shared.lock().last_error.clone()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn request(&mut self, op: StateOp, body: Vec<u8>) -> oneshot::Receiver<StateAnswer> {
        self.last_id += 1;
        let id = self.last_id;
        let message = FromWorker::State { id, op: op.clone() };
        let frame = Arc::new(Frame { message, body });
        let (answer, waiting) = oneshot::channel();
        self.unsent.push(Arc::clone(&frame));
        self.requests.insert(id, Request { frame, op, answer });
        waiting
    }

    /// A new connection knows nothing: everything that waits for an answer is said again.
    fn repeat(&mut self) {
        let ask = self
            .asking
            .as_ref()
            .map(|(phase, _)| Arc::new(FromWorker::Ask { phase: *phase }.into()));
        let requests = self
            .requests
            .values()
            .map(|request| Arc::clone(&request.frame));
        self.unsent = ask.into_iter().chain(requests).collect();
    }

    fn answered(&mut self, phase: Phase, answer: Answer) {
        if let Some((_, tell)) = self.asking.take_if(|(asked, _)| *asked == phase) {
            // Nobody waits any more when a stop came first.
            let _ = tell.send(answer);
        }
    }

    fn state_answered(&mut self, id: u64, answer: StateAnswer) {
        let Some(request) = self.requests.remove(&id) else {
            return;
        };
        let granted = answer.status == 200;
        let unheard = request.answer.send(answer).is_err();
        if unheard && granted && request.op == StateOp::Lock {
            // The tool that asked is gone: nobody else would ever give this lock back.
            drop(self.request(StateOp::Unlock, request.frame.body.clone()));
        }
    }

    /// Whether a request is open whose answer matters even when nobody waits for it. A lock does: it has
    /// to be given back.
    fn owes(&self) -> bool {
        self.requests
            .values()
            .any(|request| request.op != StateOp::Read)
    }
}

async fn keep_connected(shared: Arc<Shared>) {
    let mut backoff = Backoff::default();
    loop {
        let error = connection::serve(&shared, || backoff.reset()).await;
        shared.lock().last_error = Some(report::chain(&error));
        tokio::time::sleep(backoff.pause()).await;
    }
}
