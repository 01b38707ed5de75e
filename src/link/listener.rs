//! Binds the socket and accepts connections, one live at a time.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use gantry_protocol::ids::Digest;
use gantry_protocol::socket::{SOCKET_NAME, WorkOrder};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tracing::debug;

use super::{Door, Event, Handle, Shared, Standing, connection};

/// Connections that have not proved themselves yet: more than these wait in the kernel's queue.
const UNPROVED: usize = 8;

/// A listening socket with its task. Dropping it closes the socket.
#[derive(Debug)]
pub struct Link {
    /// Sends answers.
    pub handle: Handle,
    /// Receives questions.
    pub events: mpsc::UnboundedReceiver<Event>,
    task: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why the socket can't be bound.
#[derive(Debug, thiserror::Error)]
#[error("could not bind the run socket `{path}`")]
pub struct LinkError {
    path: PathBuf,
    source: io::Error,
}

/// Who is expected to connect.
#[derive(Debug)]
pub enum Expect {
    /// A new container: who connects waits for [`Handle::assign`].
    Later,
    /// An adopted one that may or may not have got the order and the key with this digest.
    Unsure(Box<WorkOrder>, Digest),
    /// An adopted one whose session key has this digest.
    Known(Digest),
}

/// Binds `dir`/[`SOCKET_NAME`] for the group `gid` and starts to accept.
///
/// # Errors
/// [`LinkError`].
pub fn listen(dir: &Path, gid: u32, expect: Expect) -> Result<Link, LinkError> {
    let path = dir.join(SOCKET_NAME);
    let listener = bind(dir, gid).map_err(|source| LinkError { path, source })?;
    let (events, receiver) = mpsc::unbounded_channel();
    let door = match expect {
        Expect::Later => Door::Waiting,
        Expect::Unsure(order, digest) => Door::Unsure(order, digest),
        Expect::Known(digest) => Door::Known(digest),
    };
    let shared = Arc::new(Shared {
        door: Mutex::new(door),
        ordered: Notify::new(),
        standing: Mutex::new(Standing::default()),
        out: Mutex::new(None),
        events,
    });
    let task = tokio::spawn(accept(listener, shared.clone()));
    Ok(Link {
        handle: Handle { shared },
        events: receiver,
        task,
    })
}

/// Through the directory's descriptor, so that a long data directory does not exceed a socket name.
fn bind(dir: &Path, gid: u32) -> io::Result<UnixListener> {
    let directory = fs::File::open(dir)?;
    let short = PathBuf::from(format!(
        "/proc/self/fd/{}/{SOCKET_NAME}",
        directory.as_raw_fd()
    ));
    match fs::remove_file(&short) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&short)?;
    chown(&short, None, Some(gid))?;
    fs::set_permissions(&short, fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

async fn accept(listener: UnixListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < UNPROVED => match accepted {
                Ok((stream, _)) => { connections.spawn(serve(stream, shared.clone())); }
                Err(error) => debug!(%error, "run socket: a connection could not be accepted"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: UnixStream, shared: Arc<Shared>) {
    if let Err(error) = connection::serve(stream, &shared).await {
        debug!(error = %crate::report::Chain(&error), "run socket: a connection ended");
    }
}
