//! One request on its way, and the body of its answer.
//!
//! Takes what was asked, gives each asker exactly one answer or one error. Never: a body that ends early and looks whole.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use gantry_vcs_wire::wire::HttpRequest;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::log::Entry;
use super::{Answer, Ask, GatewayError, message};
use crate::store::vcs_requests::Outcome;

/// Pieces of an answer that may lie here before the agent is made to wait.
const AHEAD: usize = 4;

/// Where the answer goes.
pub(super) type Reply = oneshot::Sender<Result<Answer, GatewayError>>;

/// A request that waits for an agent, or for its answer.
pub(super) struct Job {
    /// Its id on the wire.
    pub(super) id: String,
    /// When it is too late.
    pub(super) deadline: Instant,
    /// Whether it was sent before and its stream was lost.
    pub(super) repeated: bool,
    about: About,
    request: HttpRequest,
    reply: Reply,
    entry: Entry,
}

impl fmt::Debug for Job {
    /// Headers and body may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job({} {})", self.id, self.about.request)
    }
}

/// What errors say of a request.
#[derive(Clone, Debug)]
struct About {
    pool: Arc<str>,
    request: String,
    limit: std::time::Duration,
}

impl About {
    fn late(&self, stage: &'static str) -> GatewayError {
        GatewayError::Late {
            pool: self.pool.to_string(),
            request: self.request.clone(),
            limit: self.limit,
            stage,
        }
    }

    fn lost(&self) -> GatewayError {
        GatewayError::Lost {
            pool: self.pool.to_string(),
            request: self.request.clone(),
        }
    }

    fn refused(&self, text: &str) -> GatewayError {
        GatewayError::Refused {
            pool: self.pool.to_string(),
            request: self.request.clone(),
            text: super::error::bounded(text),
        }
    }

    fn breach(&self, what: &'static str) -> GatewayError {
        GatewayError::Breach {
            pool: self.pool.to_string(),
            request: self.request.clone(),
            what,
        }
    }

    fn given_up(&self) -> GatewayError {
        GatewayError::GivenUp {
            request: self.request.clone(),
        }
    }
}

/// Why a request ends without an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum End<'a> {
    /// Its time is over; where it was.
    Late(&'static str),
    /// The stream that had it is gone.
    Lost,
    /// The agent said no.
    Refused(&'a str),
    /// The agent broke the protocol.
    Breach(&'static str),
    /// Nobody is there to send it.
    NoAgent,
    /// Too many are waiting.
    Full(usize),
    /// Whoever asked went away.
    GivenUp,
    /// The server stops.
    Stopping,
}

impl End<'_> {
    fn error(self, about: &About) -> GatewayError {
        let pool = about.pool.to_string();
        match self {
            Self::Late(stage) => about.late(stage),
            Self::Lost => about.lost(),
            Self::Refused(text) => about.refused(text),
            Self::Breach(what) => about.breach(what),
            Self::NoAgent => GatewayError::NoAgent { pool },
            Self::Full(waiting) => GatewayError::Full { pool, waiting },
            Self::GivenUp => about.given_up(),
            Self::Stopping => GatewayError::Stopping,
        }
    }
}

impl Job {
    /// Checks a request and gets it ready.
    pub(super) fn new(
        id: String,
        pool: Arc<str>,
        ask: Ask,
        reply: Reply,
        entry: Entry,
    ) -> Result<Self, GatewayError> {
        let request = format!("{} {}", ask.method, message::path_of(&ask.target));
        let about = About {
            pool,
            request,
            limit: ask.limit,
        };
        let deadline = Instant::now() + ask.limit;
        let request = match message::request(ask) {
            Ok(request) => request,
            Err(rule) => {
                let error = GatewayError::Unsendable {
                    pool: about.pool.to_string(),
                    request: about.request,
                    rule,
                };
                entry.failed(&error);
                return Err(error);
            }
        };
        Ok(Self {
            id,
            deadline,
            repeated: false,
            about,
            request,
            reply,
            entry,
        })
    }

    /// The message for the agent `name`; what can't be sent a second time is not kept.
    pub(super) fn message(&mut self, name: &str) -> HttpRequest {
        self.entry.carried_by(name);
        if self.may_repeat() {
            return self.request.clone();
        }
        std::mem::take(&mut self.request)
    }

    /// Whether another agent may be asked after the one that had it was lost: what only reads, once.
    pub(super) fn may_repeat(&self) -> bool {
        !self.repeated && matches!(self.request.method.as_str(), "GET" | "HEAD")
    }

    /// Whether anybody still waits.
    pub(super) fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    /// Ends once nobody waits any more.
    pub(super) async fn unwanted(&mut self) {
        self.reply.closed().await;
    }

    /// Ends it without an answer.
    pub(super) fn end(self, end: End<'_>) {
        let error = end.error(&self.about);
        self.entry.failed(&error);
        drop(self.reply.send(Err(error)));
    }

    /// Ends it, and gives the error to whoever holds it.
    pub(super) fn refuse(self, end: End<'_>) -> GatewayError {
        let error = end.error(&self.about);
        self.entry.failed(&error);
        error
    }

    /// Gives the whole answer.
    pub(super) fn answer(mut self, head: message::Head, body: Bytes) {
        self.entry.status(head.status);
        self.entry.received(body.len());
        let answer = Answer {
            status: head.status,
            headers: head.headers,
            body: Body {
                about: self.about.clone(),
                inner: Inner::Whole(body),
            },
        };
        match self.reply.send(Ok(answer)) {
            Ok(()) => self.entry.finish(Outcome::Answered, None),
            Err(_) => self.entry.failed(&self.about.given_up()),
        }
    }

    /// Gives the head of an answer whose body follows.
    pub(super) fn begin(mut self, head: message::Head) -> Flow {
        self.entry.status(head.status);
        let (parts, rest) = mpsc::channel(AHEAD);
        let answer = Answer {
            status: head.status,
            headers: head.headers,
            body: Body {
                about: self.about.clone(),
                inner: Inner::Parts(rest),
            },
        };
        // Nobody there any more shows as a closed flow.
        drop(self.reply.send(Ok(answer)));
        Flow {
            deadline: self.deadline,
            held: None,
            about: self.about,
            parts,
            entry: self.entry,
        }
    }
}

/// A piece of a body.
#[derive(Debug)]
pub(super) enum Part {
    Chunk(Bytes),
    Whole,
    Failed(GatewayError),
}

/// An answer whose body is coming in.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) deadline: Instant,
    /// What waits for room.
    pub(super) held: Option<Part>,
    about: About,
    parts: mpsc::Sender<Part>,
    entry: Entry,
}

impl Flow {
    /// Takes the next piece; whoever reads gets it by [`Flow::room`].
    pub(super) fn hold(&mut self, bytes: Bytes) {
        self.entry.received(bytes.len());
        self.held = Some(Part::Chunk(bytes));
    }

    /// Hands on what is held, once there is room; false once nobody reads any more. Cancelling this loses nothing.
    pub(super) async fn room(&mut self) -> bool {
        if self.held.is_none() {
            self.parts.closed().await;
            return false;
        }
        let Ok(permit) = self.parts.reserve().await else {
            return false;
        };
        if let Some(part) = self.held.take() {
            permit.send(part);
        }
        true
    }

    /// The body is whole.
    pub(super) fn whole(self) {
        self.entry.finish(Outcome::Answered, None);
        last(self.parts, Part::Whole);
    }

    /// The body is cut.
    pub(super) fn cut(self, end: End<'_>) {
        let error = end.error(&self.about);
        self.entry.failed(&error);
        last(self.parts, Part::Failed(error));
    }
}

/// A reader may be slow: the last word waits for it, the agent does not.
fn last(parts: mpsc::Sender<Part>, part: Part) {
    if let Err(mpsc::error::TrySendError::Full(part)) = parts.try_send(part) {
        tokio::spawn(async move { parts.send(part).await });
    }
}

/// The body of an answer, as a stream of bytes. An error says that it is not whole.
#[derive(Debug)]
pub struct Body {
    about: About,
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    Whole(Bytes),
    Parts(mpsc::Receiver<Part>),
    Over,
}

impl Body {
    /// All of it, if it has at most `limit` bytes.
    ///
    /// # Errors
    /// If it is longer, or not whole.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes, GatewayError> {
        use futures_util::StreamExt as _;
        let mut all = BytesMut::new();
        while let Some(bytes) = self.next().await {
            let bytes = bytes?;
            if all.len() + bytes.len() > limit {
                return Err(self.about.breach("it is larger than what is expected here"));
            }
            if all.is_empty() && matches!(self.inner, Inner::Over) {
                return Ok(bytes);
            }
            all.extend_from_slice(&bytes);
        }
        Ok(all.freeze())
    }
}

impl Stream for Body {
    type Item = Result<Bytes, GatewayError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let (item, over) = match &mut this.inner {
            Inner::Over => (None, false),
            Inner::Whole(bytes) if bytes.is_empty() => (None, true),
            Inner::Whole(bytes) => (Some(Ok(std::mem::take(bytes))), true),
            Inner::Parts(rest) => match std::task::ready!(rest.poll_recv(context)) {
                Some(Part::Chunk(bytes)) => (Some(Ok(bytes)), false),
                Some(Part::Whole) => (None, true),
                Some(Part::Failed(error)) => (Some(Err(error)), true),
                None => (Some(Err(this.about.lost())), true),
            },
        };
        if over {
            this.inner = Inner::Over;
        }
        Poll::Ready(item)
    }
}
