//! What happens on a stream that is up.
//!
//! Takes requests, gives answers: pings at once, HTTP requests one after the other, requests that are taken back as soon
//! as the word comes. Never: two HTTP requests at a time, or a request that was taken while there was still time
//! and then left without an answer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use gantry_vcs_wire::Features;
use gantry_vcs_wire::wire::request::Request as Kind;
use gantry_vcs_wire::wire::response::Content;
use gantry_vcs_wire::wire::{HttpRequest, PingResponse, Request, Response};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Status, Streaming};
use tracing::warn;

use super::open::refused;
use super::reply::Reply;
use super::serve::serve;
use super::{Agent, Ended};

/// Requests that may wait on one stream. The protocol has one at a time; a gateway that sends more gets the rest
/// answered with an error.
const WAITING: usize = 4;
/// Small answers that may wait for room: who sends questions and reads no answers is not read either.
const OUTBOX: usize = 64;
/// How long the gateway may take to end a stream that we have ended.
const LAST_WORD: Duration = Duration::from_secs(3);

/// A stream that is up.
pub(super) struct Live {
    agent: Arc<Agent>,
    slot: usize,
    inbound: Streaming<Request>,
    out: mpsc::Sender<Response>,
    common: Features,
    /// Small answers that wait for room.
    outbox: VecDeque<Response>,
    waiting: VecDeque<(String, HttpRequest)>,
    current: Option<Current>,
}

/// The request that is being served.
struct Current {
    id: String,
    taken_back: CancellationToken,
    work: AbortOnDropHandle<()>,
}

/// What to do next.
enum Next {
    Heard(Result<Option<Request>, Status>),
    Room,
    Done,
    Drain,
    Gone,
}

impl Live {
    pub(super) fn new(
        agent: Arc<Agent>,
        slot: usize,
        inbound: Streaming<Request>,
        out: mpsc::Sender<Response>,
        common: Features,
    ) -> Self {
        Self {
            agent,
            slot,
            inbound,
            out,
            common,
            outbox: VecDeque::new(),
            waiting: VecDeque::new(),
            current: None,
        }
    }

    /// Serves until the stream ends or, once `drain` says so, until nothing is left to answer.
    pub(super) async fn run(mut self, drain: &CancellationToken) -> Ended {
        let mut draining = false;
        loop {
            if draining && self.is_idle() {
                return self.half_close().await;
            }
            match self.next(drain, draining).await {
                Next::Heard(Ok(Some(request))) => self.hear(request),
                Next::Heard(Ok(None)) => return Ended::ByGateway,
                Next::Heard(Err(status)) => return refused(&self.agent, &status),
                Next::Room => {}
                Next::Done => self.begin_next(),
                Next::Drain => draining = true,
                Next::Gone => return Ended::Failed("the connection is gone".into()),
            }
        }
    }

    async fn next(&mut self, drain: &CancellationToken, draining: bool) -> Next {
        tokio::select! {
            heard = self.inbound.message(), if self.outbox.len() < OUTBOX => Next::Heard(heard),
            room = self.out.reserve(), if !self.outbox.is_empty() => match (room, self.outbox.pop_front()) {
                (Ok(room), Some(response)) => {
                    room.send(response);
                    Next::Room
                }
                (Ok(_), None) => Next::Room,
                (Err(_), _) => Next::Gone,
            },
            () = done(&mut self.current), if self.current.is_some() => Next::Done,
            () = drain.cancelled(), if !draining => Next::Drain,
        }
    }

    fn is_idle(&self) -> bool {
        self.current.is_none() && self.waiting.is_empty() && self.outbox.is_empty()
    }

    fn hear(&mut self, request: Request) {
        let Request { id, request } = request;
        match request {
            Some(Kind::HttpRequest(http)) if self.current.is_none() => self.begin(id, http),
            Some(Kind::HttpRequest(_)) if self.waiting.len() >= WAITING => {
                let text = "this stream has requests waiting: one at a time";
                self.outbox.push_back(said(id, Content::Error(text.into())));
            }
            Some(Kind::HttpRequest(http)) => self.waiting.push_back((id, http)),
            Some(Kind::PingRequest(_)) => {
                let pong = said(id, Content::PingResponse(PingResponse {}));
                self.outbox.push_back(pong);
            }
            Some(Kind::CancelRequest(_)) => self.take_back(&id),
            // As documented: a request of a kind that is not known here gets an empty message.
            None => self.outbox.push_back(Response::default()),
        }
    }

    fn begin(&mut self, id: String, http: HttpRequest) {
        let taken_back = CancellationToken::new();
        let reply = Reply::new(id.clone(), self.out.clone(), self.common.chunks);
        let agent = Arc::clone(&self.agent);
        let work = serve(agent, self.slot, http, reply, taken_back.clone());
        self.current = Some(Current {
            id,
            taken_back,
            work: AbortOnDropHandle::new(tokio::spawn(work)),
        });
    }

    fn begin_next(&mut self) {
        self.current = None;
        if let Some((id, http)) = self.waiting.pop_front() {
            self.begin(id, http);
        }
    }

    fn take_back(&mut self, id: &str) {
        if let Some(current) = self.current.as_ref().filter(|current| current.id == id) {
            current.taken_back.cancel();
            return;
        }
        let before = self.waiting.len();
        self.waiting.retain(|(waiting, _)| waiting != id);
        if self.waiting.len() < before {
            let text = Content::Error(super::reply::TAKEN_BACK.into());
            self.outbox.push_back(said(id.to_owned(), text));
        }
    }

    /// Says that nothing more comes from here, and waits for the gateway to say the same.
    async fn half_close(mut self) -> Ended {
        drop(self.out);
        let ended = async {
            while let Ok(Some(request)) = self.inbound.message().await {
                if let Some(Kind::HttpRequest(_)) = request.request {
                    warn!(
                        slot = self.slot,
                        id = request.id,
                        "a request came after this agent had ended the stream"
                    );
                }
            }
        };
        let _ = tokio::time::timeout(LAST_WORD, ended).await;
        Ended::Drained
    }
}

/// Waits for the current request's end; only with one.
async fn done(current: &mut Option<Current>) {
    if let Some(current) = current
        && let Err(error) = (&mut current.work).await
    {
        warn!(%error, id = current.id, "serving a request ended by a defect");
    }
}

fn said(id: String, content: Content) -> Response {
    Response {
        id,
        content: Some(content),
    }
}
