//! The launcher's side of the run socket, played by a test.
//!
//! Takes the worker's frames, answers as the test says, remembers everything. Never: using the worker's
//! own code for the wire beyond the shared protocol crate.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use gantry_protocol::Secret;
use gantry_protocol::socket::frame::{PREFIX, lengths};
use gantry_protocol::socket::{Frame, FromLauncher, FromWorker, Phase, StateOp, WorkOrder};

/// How long any single condition may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// How often a condition is looked at when no message comes.
const AGAIN: Duration = Duration::from_millis(20);

/// The session key of every played run.
const SESSION: &str = "the session's key";

/// What the launcher does with an ask.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Grant,
    Park,
    Deny(&'static str),
}

/// What the test set and what was seen.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) order: Option<WorkOrder>,
    pub(crate) replies: BTreeMap<Phase, Reply>,
    pub(crate) messages: Vec<FromWorker>,
    pub(crate) state: Option<Vec<u8>>,
    pub(crate) lock: Option<Vec<u8>>,
    /// Status that writes are refused with.
    pub(crate) refuse_writes: Option<u16>,
    /// State requests of this kind are read but not answered.
    pub(crate) hold_state: Option<fn(&StateOp) -> bool>,
    pub(crate) welcomed: u32,
    stream: Option<UnixStream>,
    bound: u32,
}

impl Seen {
    pub(crate) fn asked(&self, phase: Phase) -> usize {
        let ask = FromWorker::Ask { phase };
        self.messages.iter().filter(|m| **m == ask).count()
    }

    pub(crate) fn state_ids(&self, wanted: impl Fn(&StateOp) -> bool) -> Vec<u64> {
        let ids = self.messages.iter().filter_map(|message| match message {
            FromWorker::State { id, op } if wanted(op) => Some(*id),
            _ => None,
        });
        ids.collect()
    }
}

/// A launcher that serves one run.
#[derive(Clone)]
pub(crate) struct Launcher {
    socket: PathBuf,
    shared: Arc<(Mutex<Seen>, Condvar)>,
}

impl Launcher {
    /// A launcher with its socket in `io`, bound.
    pub(crate) fn new(io: &Path, order: WorkOrder) -> Self {
        let launcher = Self {
            socket: io.join("launcher.sock"),
            shared: Arc::default(),
        };
        launcher.set(|seen| seen.order = Some(order));
        launcher.bind();
        launcher
    }

    /// Binds the socket and serves connections until [`Launcher::vanish`].
    pub(crate) fn bind(&self) {
        let _ = std::fs::remove_file(&self.socket);
        let listener = UnixListener::bind(&self.socket).unwrap();
        let mut turn = 0;
        self.set(|seen| turn = seen.bound);
        let launcher = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if launcher.lock().bound != turn {
                    return;
                }
                launcher.serve(stream.unwrap());
            }
        });
    }

    /// As if the launcher was killed: the connection breaks and the socket's name leads nowhere.
    pub(crate) fn vanish(&self) {
        self.set(|seen| {
            seen.bound += 1;
            if let Some(stream) = seen.stream.take() {
                let _ = stream.shutdown(std::net::Shutdown::Both);
            }
        });
        // Wakes the accepting thread, which sees that its turn is over.
        let _ = UnixStream::connect(&self.socket);
        let _ = std::fs::remove_file(&self.socket);
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.lock());
        self.shared.1.notify_all();
    }

    pub(crate) fn get<T>(&self, read: impl FnOnce(&Seen) -> T) -> T {
        read(&self.lock())
    }

    /// Waits until `reached`; it is asked again after every message of the worker, and now and then for
    /// what no message tells.
    pub(crate) fn wait(&self, what: &str, reached: impl Fn(&Seen) -> bool) {
        let until = Instant::now() + DEADLINE;
        let mut seen = self.lock();
        while !reached(&seen) {
            let left = until.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "waited for {what}; heard {:?}",
                seen.messages
            );
            seen = self.shared.1.wait_timeout(seen, left.min(AGAIN)).unwrap().0;
        }
    }

    /// Sends a message on the current connection.
    pub(crate) fn say(&self, message: FromLauncher) {
        let mut stream = self.lock().stream.as_ref().unwrap().try_clone().unwrap();
        send(&mut stream, &message.into()).unwrap();
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.shared.0.lock().unwrap()
    }

    fn serve(&self, mut stream: UnixStream) {
        while let Some(frame) = receive(&mut stream) {
            let answers = self.answer(&frame, &stream);
            for answer in answers {
                if send(&mut stream, &answer).is_err() {
                    return;
                }
            }
            self.set(|seen| seen.messages.push(frame.message));
        }
    }

    fn answer(&self, frame: &Frame<FromWorker>, stream: &UnixStream) -> Vec<Frame<FromLauncher>> {
        let mut seen = self.lock();
        let answer = match &frame.message {
            FromWorker::Hello { session, .. } => {
                seen.stream = Some(stream.try_clone().unwrap());
                Some(hello(&mut seen, session.as_ref()))
            }
            FromWorker::Bell => None,
            FromWorker::Ask { phase } => seen.replies.get(phase).map(|reply| match reply {
                Reply::Grant => FromLauncher::Grant { phase: *phase },
                Reply::Park => FromLauncher::Park { phase: *phase },
                Reply::Deny(reason) => FromLauncher::Deny {
                    phase: *phase,
                    reason: (*reason).to_owned(),
                },
            }),
            FromWorker::State { op, .. } if seen.hold_state.is_some_and(|held| held(op)) => None,
            FromWorker::State { id, op } => return vec![state(&mut seen, *id, op, &frame.body)],
        };
        answer.into_iter().map(Frame::from).collect()
    }
}

fn hello(seen: &mut Seen, session: Option<&Secret>) -> FromLauncher {
    match session.map(Secret::expose) {
        None if seen.welcomed == 0 => {
            seen.welcomed += 1;
            let order = Box::new(seen.order.clone().unwrap());
            FromLauncher::Welcome {
                session: Secret::new(SESSION),
                order,
            }
        }
        Some(SESSION) => FromLauncher::Resumed,
        _ => FromLauncher::Refused {
            reason: "the order was given before".to_owned(),
        },
    }
}

/// A state store as the server's: one lock, newest state.
fn state(seen: &mut Seen, id: u64, op: &StateOp, sent: &[u8]) -> Frame<FromLauncher> {
    let (status, body) = match op {
        StateOp::Read => match &seen.state {
            Some(state) => (200, state.clone()),
            None => (204, Vec::new()),
        },
        StateOp::Write { lock_id } => {
            let held = seen.lock.as_deref().and_then(lock_id_of);
            match seen.refuse_writes {
                Some(status) => (status, Vec::new()),
                None if held != *lock_id => (409, Vec::new()),
                None => {
                    seen.state = Some(sent.to_vec());
                    (200, Vec::new())
                }
            }
        }
        StateOp::Lock => match &seen.lock {
            Some(held) if held != sent => (423, held.clone()),
            _ => {
                seen.lock = Some(sent.to_vec());
                (200, Vec::new())
            }
        },
        StateOp::Unlock => {
            seen.lock = None;
            (200, Vec::new())
        }
    };
    Frame {
        message: FromLauncher::State { id, status },
        body,
    }
}

fn lock_id_of(lock: &[u8]) -> Option<String> {
    let lock: serde_json::Value = serde_json::from_slice(lock).ok()?;
    Some(lock.get("ID")?.as_str()?.to_owned())
}

fn send(stream: &mut UnixStream, frame: &Frame<FromLauncher>) -> std::io::Result<()> {
    stream.write_all(&frame.head().unwrap())?;
    stream.write_all(&frame.body)
}

/// The next frame; `None` when the connection ended.
fn receive(stream: &mut UnixStream) -> Option<Frame<FromWorker>> {
    let mut prefix = [0; PREFIX];
    stream.read_exact(&mut prefix).ok()?;
    let (header, body) = lengths(prefix).unwrap();
    let mut parts = (vec![0; header], vec![0; body]);
    stream.read_exact(&mut parts.0).ok()?;
    stream.read_exact(&mut parts.1).ok()?;
    Some(Frame::from_parts(&parts.0, parts.1).unwrap())
}
