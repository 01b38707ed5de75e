//! One connection to the launcher, from its first byte to its last.
//!
//! Takes frames to send, gives frames that arrived to the shared state. Must never happen here: a frame
//! cut in two by a wait that was abandoned and then continued (a broken connection is dropped whole).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gantry_protocol::socket::frame::{PREFIX, lengths};
use gantry_protocol::socket::{Frame, FrameError, FromLauncher, FromWorker};
use gantry_protocol::version::SOCKET;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, sleep_until, timeout};

use super::{Said, Shared, StateAnswer};
use crate::planner::Answer;

/// How long the launcher may take to answer the hello.
const GREETING: Duration = Duration::from_secs(15);

/// Bells are at least this far apart.
const BELL: Duration = Duration::from_millis(10);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("could not connect to the launcher at `{}`", socket.display())]
    Connect {
        socket: PathBuf,
        source: std::io::Error,
    },
    #[error("the connection to the launcher broke")]
    Broken(#[from] std::io::Error),
    #[error("the launcher sent what this worker does not understand")]
    Frame(#[from] FrameError),
    #[error("the launcher refused the connection: {0}")]
    Refused(String),
    #[error("the launcher did not answer the worker's hello in time")]
    Silent,
    #[error("the launcher answered the worker's hello with something else")]
    Unexpected,
}

/// Connects and exchanges frames until something breaks. Calls `greeted` once the launcher answered.
pub(super) async fn serve(shared: &Arc<Shared>, greeted: impl FnOnce()) -> LinkError {
    let connected = UnixStream::connect(&shared.socket).await;
    let stream = match connected {
        Ok(stream) => stream,
        Err(source) => {
            let socket = shared.socket.clone();
            return LinkError::Connect { socket, source };
        }
    };
    let (mut reader, mut writer) = stream.into_split();
    let greeting = timeout(GREETING, greet(shared, &mut reader, &mut writer));
    let greeting = match greeting.await {
        Ok(Ok(Greeting::Wait)) => {
            // The launcher keeps this container for a run that is yet to come: however long that takes.
            shared.waits.store(true, Ordering::Release);
            let answer = greeting_of(shared, &mut reader).await;
            shared.waits.store(false, Ordering::Release);
            answer
        }
        Ok(answer) => answer,
        Err(_) => Err(LinkError::Silent),
    };
    match greeting {
        Ok(Greeting::Done) => greeted(),
        Ok(Greeting::Wait) => return LinkError::Unexpected,
        Err(error) => return error,
    }
    shared.lock().repeat();
    // What grew while nobody listened is told once more.
    shared.bell.ring();
    let ended = tokio::select! {
        ended = receive_all(shared, &mut reader) => ended,
        ended = send_all(shared, &mut writer) => ended,
    };
    match ended {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

async fn greet(
    shared: &Shared,
    reader: &mut OwnedReadHalf,
    writer: &mut OwnedWriteHalf,
) -> Result<Greeting, LinkError> {
    let session = shared.lock().session.clone();
    let hello = FromWorker::Hello {
        socket_version: SOCKET,
        worker_version: env!("CARGO_PKG_VERSION").to_owned(),
        session,
    };
    send(writer, &hello.into()).await?;
    greeting_of(shared, reader).await
}

/// How the launcher took the hello.
enum Greeting {
    /// The connection stands.
    Done,
    /// The order is yet to come.
    Wait,
}

async fn greeting_of(shared: &Shared, reader: &mut OwnedReadHalf) -> Result<Greeting, LinkError> {
    let known = shared.lock().session.is_some();
    match (receive(reader).await?.message, known) {
        (FromLauncher::Welcome { session, order }, false) => {
            shared.lock().session = Some(session);
            let _ = shared.said.send(Said::Order(order));
            Ok(Greeting::Done)
        }
        (FromLauncher::Wait, false) => Ok(Greeting::Wait),
        (FromLauncher::Resumed, true) => Ok(Greeting::Done),
        (FromLauncher::Refused { reason }, _) => Err(LinkError::Refused(reason)),
        _ => Err(LinkError::Unexpected),
    }
}

async fn receive_all(
    shared: &Shared,
    reader: &mut OwnedReadHalf,
) -> Result<std::convert::Infallible, LinkError> {
    loop {
        let Frame { message, body } = receive(reader).await?;
        match message {
            FromLauncher::Grant { phase } => shared.lock().answered(phase, Answer::Grant),
            FromLauncher::Park { phase } => shared.lock().answered(phase, Answer::Park),
            FromLauncher::Deny { phase, reason } => {
                shared.lock().answered(phase, Answer::Deny(reason));
            }
            FromLauncher::LogAck { section, offset } => {
                say(shared, Said::Stored { section, offset })
            }
            FromLauncher::Stop { kind } => say(shared, Said::Stop(kind)),
            FromLauncher::State { id, status } => {
                shared
                    .lock()
                    .state_answered(id, StateAnswer { status, body });
                shared.settled.notify_waiters();
                shared.bell.wake.notify_one();
            }
            FromLauncher::Refused { reason } => return Err(LinkError::Refused(reason)),
            FromLauncher::Welcome { .. } | FromLauncher::Wait | FromLauncher::Resumed => {
                return Err(LinkError::Unexpected);
            }
        }
    }
}

fn say(shared: &Shared, said: Said) {
    // Nobody listens any more once the run has ended.
    let _ = shared.said.send(said);
}

async fn send_all(
    shared: &Shared,
    writer: &mut OwnedWriteHalf,
) -> Result<std::convert::Infallible, LinkError> {
    let mut bell_at = Instant::now();
    loop {
        let unsent = std::mem::take(&mut shared.lock().unsent);
        for frame in unsent {
            send(writer, &frame).await?;
        }
        if shared.bell.is_rung() && Instant::now() >= bell_at {
            shared.bell.take();
            send(writer, &FromWorker::Bell.into()).await?;
            bell_at = Instant::now() + BELL;
            shared.settled.notify_waiters();
        }
        let rung = shared.bell.is_rung();
        tokio::select! {
            () = shared.bell.wake.notified() => {}
            () = sleep_until(bell_at), if rung => {}
        }
    }
}

async fn send(writer: &mut OwnedWriteHalf, frame: &Frame<FromWorker>) -> Result<(), LinkError> {
    writer.write_all(&frame.head()?).await?;
    writer.write_all(&frame.body).await?;
    Ok(())
}

async fn receive(reader: &mut OwnedReadHalf) -> Result<Frame<FromLauncher>, LinkError> {
    let mut prefix = [0; PREFIX];
    reader.read_exact(&mut prefix).await?;
    let (header_len, body_len) = lengths(prefix)?;
    let header = read_part(reader, header_len).await?;
    let body = read_part(reader, body_len).await?;
    Ok(Frame::from_parts(&header, body)?)
}

/// Reads `len` bytes, growing as they arrive, so that an announced length alone takes no memory.
async fn read_part(reader: &mut OwnedReadHalf, len: usize) -> Result<Vec<u8>, LinkError> {
    let mut part = Vec::new();
    reader.take(len as u64).read_to_end(&mut part).await?;
    if part.len() < len {
        return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
    }
    Ok(part)
}
