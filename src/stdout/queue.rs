//! A bounded queue of records and the thread that writes them.
//!
//! Takes whole records, writes them in order. Never: a caller that waits for the reader, more than [`BUDGET`] bytes
//! held, a record cut in two by the end of another.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing::warn;

/// Bytes of records that wait for the reader at most.
const BUDGET: usize = 4 << 20;

/// After it was full, records are taken again once this little waits: one gap instead of many.
const RESUME: usize = BUDGET / 2;

/// Whether a record was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It will be written, or nobody reads any more.
    Taken,
    /// There is no room.
    Full,
}

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Bytes that the thread has taken and not written yet.
    writing: usize,
    mode: Mode,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Mode {
    #[default]
    Open,
    /// Full, until much of it is written.
    Full,
    /// Nothing more is taken; what waits is written.
    Closing,
    /// Nobody reads.
    Broken,
}

impl Queue {
    /// Starts the thread that writes to `out`.
    pub(super) fn start(out: File) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self {
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let writer = Arc::clone(&queue);
        std::thread::Builder::new()
            .name("stdout".to_owned())
            .spawn(move || writer.write_all(out))?;
        Ok(queue)
    }

    pub(super) fn push(&self, record: Vec<u8>) -> Pushed {
        let mut state = self.lock();
        match state.mode {
            Mode::Closing | Mode::Broken => return Pushed::Taken,
            Mode::Full => return Pushed::Full,
            Mode::Open if state.bytes + state.writing + record.len() > BUDGET => {
                state.mode = Mode::Full;
                return Pushed::Full;
            }
            Mode::Open => {}
        }
        self.add(state, record);
        Pushed::Taken
    }

    /// For what must not be missing; as rare as ends of runs.
    pub(super) fn push_in_any_case(&self, record: Vec<u8>) {
        let state = self.lock();
        if !matches!(state.mode, Mode::Closing | Mode::Broken) {
            self.add(state, record);
        }
    }

    fn add(&self, mut state: MutexGuard<'_, State>, record: Vec<u8>) {
        state.bytes += record.len();
        state.waiting.push_back(record);
        self.changed.notify_all();
    }

    pub(super) fn finish(&self, within: Duration) {
        let mut state = self.lock();
        if state.mode != Mode::Broken {
            state.mode = Mode::Closing;
        }
        self.changed.notify_all();
        // Whoever does not read keeps no launcher from ending.
        drop(
            self.changed
                .wait_timeout_while(state, within, |state| {
                    state.mode != Mode::Broken && state.bytes + state.writing > 0
                })
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    fn write_all(&self, mut out: File) {
        while let Some(batch) = self.next() {
            if let Err(error) = write(&mut out, &batch) {
                let mut state = self.lock();
                *state = State {
                    mode: Mode::Broken,
                    ..State::default()
                };
                self.changed.notify_all();
                drop(state);
                warn!(%error, "nobody reads standard output any more: logs of runs are not written there until the launcher starts again");
                return;
            }
            let mut state = self.lock();
            state.writing = 0;
            if state.mode == Mode::Full && state.bytes <= RESUME {
                state.mode = Mode::Open;
            }
            self.changed.notify_all();
        }
    }

    /// The records that wait, as far as one write should take; `None` at the end.
    fn next(&self) -> Option<Vec<u8>> {
        const AT_ONCE: usize = 64 << 10;
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.mode == Mode::Closing {
                return None;
            }
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        let mut batch = Vec::new();
        while let Some(record) = state.waiting.pop_front() {
            state.bytes -= record.len();
            batch.extend_from_slice(&record);
            if batch.len() >= AT_ONCE {
                break;
            }
        }
        state.writing = batch.len();
        Some(batch)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes everything, also to a pipe that another process has set not to block.
fn write(out: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut ready = [PollFd::new(out.as_fd(), PollFlags::POLLOUT)];
                match poll(&mut ready, PollTimeout::NONE) {
                    Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
