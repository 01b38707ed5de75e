//! One connection of the run socket: proof first, then frames both ways.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use gantry_protocol::Secret;
use gantry_protocol::crypto::random_text;
use gantry_protocol::ids::Digest;
use gantry_protocol::socket::{Frame, FrameError, FromLauncher, FromWorker, frame};
use gantry_protocol::version;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

use super::{Door, Event, Shared, lock};

/// A connection that says nothing for this long is not a worker's.
const HELLO: Duration = Duration::from_secs(10);

/// A hello is short; before the proof nothing longer is read.
const MAX_HELLO: usize = 4096;

#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    #[error("reading or writing failed")]
    Io(#[from] io::Error),
    #[error("a frame is not valid")]
    Frame(#[from] FrameError),
    #[error("no hello within {HELLO:?}")]
    Silent,
    #[error("refused: {0}")]
    Refused(&'static str),
}

/// Serves one connection until it ends or a newer one takes its place.
pub(super) async fn serve(
    mut stream: UnixStream,
    shared: &Arc<Shared>,
) -> Result<(), ConnectionError> {
    let hello = tokio::time::timeout(HELLO, read(&mut stream, MAX_HELLO));
    let hello = hello.await.map_err(|_| ConnectionError::Silent)??;
    let welcome = match greeted(&mut stream, &hello.message, shared).await? {
        Ok(welcome) => welcome,
        Err(reason) => {
            write(
                &mut stream,
                &FromLauncher::Refused {
                    reason: reason.to_owned(),
                }
                .into(),
            )
            .await?;
            return Err(ConnectionError::Refused(reason));
        }
    };
    if let FromLauncher::Welcome { session, .. } = &welcome {
        journaled(digest_of(session), shared).await?;
    }
    write(&mut stream, &welcome.into()).await?;
    let _ = shared.events.send(Event::Given);
    let (sender, receiver) = mpsc::unbounded_channel();
    for standing in lock(&shared.standing).frames() {
        let _ = sender.send(standing);
    }
    // Replacing the queue ends the connection before this one: its receiver closes.
    *lock(&shared.out) = Some(sender);
    let _ = shared.events.send(Event::Bell);
    exchange(stream, receiver, shared).await
}

/// Decides who this is, once there is something to decide: a worker may be here before its order.
async fn greeted(
    stream: &mut UnixStream,
    hello: &FromWorker,
    shared: &Shared,
) -> Result<Result<FromLauncher, &'static str>, ConnectionError> {
    let mut told = false;
    loop {
        let mut ordered = std::pin::pin!(shared.ordered.notified());
        // Before the door is looked at, so that an order in between is not missed.
        ordered.as_mut().enable();
        if !matches!(*lock(&shared.door), Door::Waiting) {
            return Ok(greet(hello, shared));
        }
        if !std::mem::replace(&mut told, true) {
            write(stream, &FromLauncher::Wait.into()).await?;
            let _ = shared.events.send(Event::Waiting);
        }
        tokio::select! {
            () = ordered => {}
            gone = spoken(stream) => {
                gone?;
                return Err(ConnectionError::Refused("the connection did not wait for its order"));
            }
        }
    }
}

/// Waits until the peer says something or ends. A worker does neither before it has its order.
async fn spoken(stream: &UnixStream) -> io::Result<()> {
    loop {
        stream.readable().await?;
        match stream.try_read(&mut [0]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Decides who this is. The order leaves this process exactly once.
fn greet(hello: &FromWorker, shared: &Shared) -> Result<FromLauncher, &'static str> {
    let FromWorker::Hello {
        socket_version,
        session,
        ..
    } = hello
    else {
        return Err("the first message has to be a hello");
    };
    if !(version::SOCKET_OLDEST..=version::SOCKET).contains(socket_version) {
        return Err("this launcher does not speak the worker's version of the run socket");
    }
    let mut door = lock(&shared.door);
    let (order, known) = match &*door {
        Door::Waiting => return Err("there is no order yet"),
        Door::First(order) => (Some(order), None),
        Door::Unsure(order, digest) => (Some(order), Some(*digest)),
        Door::Known(digest) => (None, Some(*digest)),
    };
    match (session, order) {
        (Some(key), _) if Some(digest_of(key)) == known => {
            *door = Door::Known(digest_of(key));
            Ok(FromLauncher::Resumed)
        }
        (Some(_), _) => Err("the session key is not this run's"),
        (None, None) => Err("the order of this run was given before"),
        (None, Some(order)) => {
            let session = random_text();
            let order = order.clone();
            *door = Door::Known(digest_of(&session));
            Ok(FromLauncher::Welcome { session, order })
        }
    }
}

/// The key's digest is in the journal before the key leaves this process: a crash in between loses nothing.
async fn journaled(session: Digest, shared: &Shared) -> Result<(), ConnectionError> {
    let (go, gone) = oneshot::channel();
    let _ = shared.events.send(Event::Connected { session, go });
    gone.await
        .map_err(|_| ConnectionError::Refused("the run has ended"))
}

/// Digests are compared, not keys: timing tells nothing about the key.
fn digest_of(key: &Secret) -> Digest {
    Digest::of(key.expose().as_bytes())
}

async fn exchange(
    stream: UnixStream,
    mut outgoing: mpsc::UnboundedReceiver<Frame<FromLauncher>>,
    shared: &Shared,
) -> Result<(), ConnectionError> {
    let (mut reader, mut writer) = stream.into_split();
    let reading = async {
        loop {
            let frame = read(&mut reader, frame::MAX_HEADER).await?;
            deliver(frame, shared)?;
        }
    };
    let writing = async {
        while let Some(frame) = outgoing.recv().await {
            write(&mut writer, &frame).await?;
        }
        Ok(())
    };
    tokio::select! {
        ended = reading => ended,
        ended = writing => ended,
    }
}

fn deliver(frame: Frame<FromWorker>, shared: &Shared) -> Result<(), ConnectionError> {
    let event = match frame.message {
        FromWorker::Bell => Event::Bell,
        FromWorker::Ask { phase } => Event::Ask { phase },
        FromWorker::State { id, op } => Event::State {
            id,
            op,
            body: frame.body,
        },
        FromWorker::Hello { .. } => return Err(ConnectionError::Refused("a second hello")),
    };
    // The job is gone when nobody receives: the connection ends with it.
    shared
        .events
        .send(event)
        .map_err(|_| ConnectionError::Refused("the run has ended"))
}

async fn read<R: AsyncRead + Unpin>(
    reader: &mut R,
    max_header: usize,
) -> Result<Frame<FromWorker>, ConnectionError> {
    let mut prefix = [0; frame::PREFIX];
    reader.read_exact(&mut prefix).await?;
    let (header, body) = frame::lengths(prefix)?;
    if header > max_header || (max_header == MAX_HELLO && body > 0) {
        return Err(FrameError::TooLong { header, body }.into());
    }
    let header = read_exactly(reader, header).await?;
    let body = read_exactly(reader, body).await?;
    Ok(Frame::from_parts(&header, body)?)
}

/// Grows with what arrives, so that an announced length alone takes no memory.
async fn read_exactly<R: AsyncRead + Unpin>(reader: &mut R, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = reader.take(length as u64).read_to_end(&mut bytes).await?;
    if read == length {
        Ok(bytes)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

async fn write<W: AsyncWrite + Unpin>(
    writer: &mut W,
    frame: &Frame<FromLauncher>,
) -> Result<(), ConnectionError> {
    writer.write_all(&frame.head()?).await?;
    writer.write_all(&frame.body).await?;
    Ok(writer.flush().await?)
}

#[cfg(test)]
mod tests;
