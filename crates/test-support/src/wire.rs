//! The network between launchers and the server, with faults on demand.
//!
//! Takes an address to pass bytes to, gives one that launchers dial. Never: a byte passed on while it is cut.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What happens to connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Bytes go through.
    Pass,
    /// Connections are closed, new ones too.
    Cut,
    /// Connections stay open, and nothing goes through.
    Hole,
}

#[derive(Debug)]
struct Shared {
    mode: Mutex<Mode>,
    target: Mutex<Option<SocketAddr>>,
    streams: Mutex<Vec<TcpStream>>,
    passed: AtomicU64,
    closed: AtomicBool,
}

/// A TCP proxy on loopback.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Wire {
    /// Listens; there is no target yet.
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen on loopback");
        let address = listener.local_addr().expect("the proxy's address");
        let shared = Arc::new(Shared {
            mode: Mutex::new(Mode::Pass),
            target: Mutex::new(None),
            streams: Mutex::default(),
            passed: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        });
        let for_thread = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &for_thread));
        Self { address, shared }
    }

    /// What launchers dial.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where bytes go from now on.
    pub fn connect_to(&self, target: SocketAddr) {
        *lock(&self.shared.target) = Some(target);
    }

    /// Closes every connection, now and until [`Wire::heal`].
    pub fn cut(&self) {
        *lock(&self.shared.mode) = Mode::Cut;
        self.drop_streams();
    }

    /// Lets connections stand and lets nothing through until [`Wire::heal`].
    pub fn swallow(&self) {
        *lock(&self.shared.mode) = Mode::Hole;
    }

    /// Passes again. Connections that lost bytes are closed.
    pub fn heal(&self) {
        self.drop_streams();
        *lock(&self.shared.mode) = Mode::Pass;
    }

    /// Bytes that went through so far, both ways.
    pub fn passed(&self) -> u64 {
        self.shared.passed.load(Ordering::Relaxed)
    }

    fn drop_streams(&self) {
        for stream in lock(&self.shared.streams).drain(..) {
            // Already closed by a peer is as good.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Default for Wire {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        self.cut();
        // Wakes the accepting thread so that it sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.closed.load(Ordering::Relaxed) {
            return;
        }
        let (Ok(near), Some(target)) = (stream, *lock(&shared.target)) else {
            continue;
        };
        // Held while the connection is registered: a cut can't slip in between.
        let mode = lock(&shared.mode);
        if *mode == Mode::Cut {
            continue;
        }
        let Ok(far) = TcpStream::connect(target) else {
            continue;
        };
        for (from, to) in [(&near, &far), (&far, &near)] {
            let ends = (from.try_clone(), to.try_clone(), from.try_clone());
            let (Ok(from), Ok(to), Ok(kept)) = ends else {
                continue;
            };
            lock(&shared.streams).push(kept);
            let shared = Arc::clone(shared);
            std::thread::spawn(move || copy(from, to, &shared));
        }
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let mut buffer = [0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let mode = *lock(&shared.mode);
        match mode {
            Mode::Cut => break,
            Mode::Hole => continue,
            Mode::Pass => {}
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
        shared.passed.fetch_add(read as u64, Ordering::Relaxed);
    }
    let _ = to.shutdown(Shutdown::Both);
}
