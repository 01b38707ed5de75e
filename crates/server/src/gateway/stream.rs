//! One stream of an agent, from its first request to its end.
//!
//! Takes requests from the registry, sends them, gives each its answer. Never: a second request before the first has
//! ended, or a request forgotten when the stream ends.

use std::sync::Arc;

use gantry_vcs_wire::wire::{
    CancelRequest, PingRequest, Request, Response, ResponseHead, request::Request as Kind,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tonic::{Code, Status, Streaming};
use ulid::Ulid;

use super::Shared;
use super::job::{End, Flow, Job};
use super::message;
use super::registry::Seat;
use super::session::{Session, Step};
use crate::clock::UnixMillis;
use crate::domain::VcsPoolId;
use crate::error::chain;
use crate::store::vcs_pools;

/// Messages that may wait to be sent: one request, its cancellation and a ping, with room to spare.
pub(super) const OUTBOX: usize = 8;

/// The sender of a stream.
pub(super) type Outbox = mpsc::Sender<Result<Request, Status>>;

/// A stream at work.
pub(super) struct Line {
    shared: Arc<Shared>,
    pool: VcsPoolId,
    /// The agent's name, for the access log.
    agent: String,
    key: Ulid,
    seat: Seat,
    session: Session,
    inbox: Streaming<Response>,
    outbox: Outbox,
    job: Option<Job>,
    flow: Option<Flow>,
    /// By when what nobody waits for has to have ended.
    abandoned: Option<Instant>,
    /// When an idle stream is asked for a sign of life, or has to have given one.
    sign: Instant,
    pings: u64,
    served: u64,
    /// Why it ends once it has nothing to do.
    leaving: Option<Status>,
}

/// What a stream waits for.
enum Event {
    /// The other side does not listen any more.
    Gone,
    /// Something to do.
    Job(Box<Job>),
    /// A piece of a body was handed on.
    Room,
    /// Something was said.
    Heard(Box<Response>),
    /// More was said at once than is taken.
    TooLarge,
    /// Nobody waits for the answer any more.
    Unwanted,
    /// A time is over.
    Alarm,
    /// The server stops.
    Stopping,
    /// The key may be over.
    Recheck,
}

/// How a stream goes on.
enum Next {
    On,
    End(Option<Status>),
}

/// What a stream is made of.
pub(super) struct Parts {
    pub(super) pool: VcsPoolId,
    pub(super) agent: String,
    pub(super) key: Ulid,
    pub(super) chunks: bool,
}

impl Line {
    /// A stream that was let in.
    pub(super) fn new(
        shared: Arc<Shared>,
        parts: Parts,
        seat: Seat,
        inbox: Streaming<Response>,
        outbox: Outbox,
    ) -> Self {
        let sign = Instant::now() + shared.settings.ping_every;
        Self {
            session: Session::new(parts.chunks),
            shared,
            pool: parts.pool,
            agent: parts.agent,
            key: parts.key,
            seat,
            inbox,
            outbox,
            job: None,
            flow: None,
            abandoned: None,
            sign,
            pings: 0,
            served: 0,
            leaving: None,
        }
    }

    /// Serves until the stream ends, however it ends.
    pub(super) async fn run(mut self) {
        let mut next = self.free();
        while matches!(next, Next::On) {
            let event = self.event().await;
            next = self.handle(event).await;
        }
        self.shared.registry.leave(self.pool, self.seat.id);
        // What was given meanwhile was never sent.
        self.seat.jobs.close();
        while let Ok(job) = self.seat.jobs.try_recv() {
            self.shared.registry.resubmit(self.pool, job);
        }
        if let Some(job) = self.job.take() {
            self.lost(job);
        }
        if let Some(flow) = self.flow.take() {
            flow.cut(End::Lost);
        }
        if let Next::End(Some(status)) = next {
            tracing::info!(pool = %self.pool, agent = self.agent, why = status.message(), "the stream of a VCS agent is closed");
            drop(self.outbox.try_send(Err(status)));
        }
    }

    /// A request that was sent on a stream that is gone.
    fn lost(&self, mut job: Job) {
        let stopping = self.shared.stopping.is_cancelled();
        if job.may_repeat() && !stopping {
            job.repeated = true;
            self.shared.registry.resubmit(self.pool, job);
        } else {
            job.end(End::Lost);
        }
    }

    async fn event(&mut self) -> Event {
        let alarm = self.alarm();
        let idle = self.is_free();
        let held = self.flow.as_ref().is_some_and(|flow| flow.held.is_some());
        let Self {
            seat,
            inbox,
            outbox,
            job,
            flow,
            shared,
            ..
        } = self;
        tokio::select! {
            () = outbox.closed() => Event::Gone,
            Some(job) = seat.jobs.recv(), if idle => Event::Job(Box::new(job)),
            event = read(flow) => event,
            heard = inbox.message(), if !held => match heard {
                Ok(Some(response)) => Event::Heard(Box::new(response)),
                Err(status) if status.code() == Code::OutOfRange => Event::TooLarge,
                Ok(None) | Err(_) => Event::Gone,
            },
            () = unwanted(job) => Event::Unwanted,
            () = sleep_until(alarm) => Event::Alarm,
            () = shared.stopping.cancelled(), if idle => Event::Stopping,
            () = seat.recheck.notified() => Event::Recheck,
        }
    }

    fn is_free(&self) -> bool {
        self.session.is_idle() && self.job.is_none() && self.flow.is_none()
    }

    /// The next moment at which something has to be done.
    fn alarm(&self) -> Instant {
        let asked = self.job.as_ref().map(|job| job.deadline);
        let flowing = self.flow.as_ref().map(|flow| flow.deadline);
        asked.or(flowing).or(self.abandoned).unwrap_or(self.sign)
    }

    async fn handle(&mut self, event: Event) -> Next {
        match event {
            Event::Gone => Next::End(None),
            Event::Stopping => Next::End(None),
            Event::Job(job) => self.start(*job),
            Event::Room => Next::On,
            Event::Heard(response) => {
                self.sign = Instant::now() + self.shared.settings.ping_every;
                let step = self.session.hear(*response);
                self.step(step)
            }
            Event::TooLarge => self.breach("more than 64 MiB in one piece"),
            Event::Unwanted => self.abandon(End::GivenUp),
            Event::Alarm => self.ring().await,
            Event::Recheck => self.recheck().await,
        }
    }

    /// Sends requests for as long as there are some and the stream is free.
    fn free(&mut self) -> Next {
        self.abandoned = None;
        if let Some(status) = self.leaving.take() {
            return Next::End(Some(status));
        }
        if self.shared.stopping.is_cancelled() {
            return Next::End(None);
        }
        self.sign = Instant::now() + self.shared.settings.ping_every;
        let (pool, id) = (self.pool, self.seat.id);
        match self.shared.registry.free(pool, id, self.served) {
            Some(job) => self.start(job),
            None => Next::On,
        }
    }

    fn start(&mut self, mut job: Job) -> Next {
        let permit = match self.outbox.try_reserve() {
            Ok(permit) => permit,
            // Not sent: another stream has it.
            Err(_) => {
                self.shared.registry.resubmit(self.pool, job);
                return Next::End(Some(Status::unavailable("the stream takes no messages")));
            }
        };
        let request = Request {
            id: job.id.clone(),
            request: Some(Kind::HttpRequest(job.message(&self.agent))),
        };
        self.session.ask(&job.id);
        permit.send(Ok(request));
        self.job = Some(job);
        Next::On
    }

    fn step(&mut self, step: Step) -> Next {
        match step {
            Step::Whole(answer) => {
                let head = message::head(answer.status, message::of_map(&answer.headers));
                if let Some(job) = self.job.take() {
                    match head {
                        Ok(head) => job.answer(head, answer.body.into()),
                        Err(what) => job.end(End::Breach(what)),
                    }
                }
                self.ended()
            }
            Step::Refused(text) => {
                if let Some(job) = self.job.take() {
                    job.end(End::Refused(&text));
                }
                self.ended()
            }
            Step::Head(head) => self.begin(&head),
            Step::Chunk(bytes) => {
                if let Some(flow) = &mut self.flow
                    && !bytes.is_empty()
                {
                    flow.hold(bytes);
                }
                Next::On
            }
            Step::End => {
                if let Some(flow) = self.flow.take() {
                    flow.whole();
                }
                self.ended()
            }
            Step::Cut(text) => {
                if let Some(flow) = self.flow.take() {
                    flow.cut(End::Refused(&text));
                }
                self.ended()
            }
            Step::Free => self.free(),
            Step::Pong | Step::Passed => Next::On,
            Step::Stray => {
                self.shared.registry.stray(self.pool, self.seat.id);
                tracing::debug!(pool = %self.pool, agent = self.agent, "a VCS agent said what nobody had asked for");
                Next::On
            }
            Step::Breach(what) => self.breach(what),
        }
    }

    fn begin(&mut self, head: &ResponseHead) -> Next {
        match message::head(head.status, message::of_list(&head.headers)) {
            Ok(head) => self.flow = self.job.take().map(|job| job.begin(head)),
            Err(what) => return self.breach(what),
        }
        Next::On
    }

    fn breach(&mut self, what: &'static str) -> Next {
        if let Some(job) = self.job.take() {
            job.end(End::Breach(what));
        }
        if let Some(flow) = self.flow.take() {
            flow.cut(End::Breach(what));
        }
        Next::End(Some(Status::failed_precondition(format!(
            "the stream is closed: an answer had {what}"
        ))))
    }

    fn ended(&mut self) -> Next {
        self.served += 1;
        self.free()
    }

    /// Ends what nobody waits for, or what has no time left; the stream stays busy until the agent has ended it too.
    fn abandon(&mut self, end: End<'_>) -> Next {
        let late = |deadline: Instant| Instant::now() >= deadline;
        if let Some(job) = self.job.take() {
            let end = if late(job.deadline) {
                End::Late("an agent had the request")
            } else {
                end
            };
            job.end(end);
        }
        if let Some(flow) = self.flow.take() {
            let end = if late(flow.deadline) {
                End::Late("its answer was coming in")
            } else {
                end
            };
            flow.cut(end);
        }
        self.abandoned = Some(Instant::now() + self.shared.settings.give_up);
        match self.session.abandon() {
            Some(id) => self.say(id, Kind::CancelRequest(CancelRequest {})),
            None => Next::On,
        }
    }

    async fn ring(&mut self) -> Next {
        if self.job.is_some() || self.flow.is_some() {
            return self.abandon(End::Late("an agent had the request"));
        }
        if self.abandoned.is_some() {
            return Next::End(Some(Status::deadline_exceeded(
                "the stream is closed: the agent went on for too long with a request that nobody waits for",
            )));
        }
        if self.session.is_pinged() {
            return Next::End(Some(Status::deadline_exceeded(
                "the stream is closed: the agent gave no sign of life",
            )));
        }
        if let end @ Next::End(_) = self.recheck().await {
            return end;
        }
        self.pings += 1;
        let id = format!("ping-{}", self.pings);
        self.session.ping(&id);
        self.sign = Instant::now() + self.shared.settings.ping_within;
        self.say(id, Kind::PingRequest(PingRequest {}))
    }

    /// Lets the agent go once its key is over. A database that fails is no reason to.
    async fn recheck(&mut self) -> Next {
        let valid = async {
            let mut conn = self.shared.store.read().await?;
            vcs_pools::valid_keys(&mut conn, self.pool, UnixMillis::now()).await
        };
        match valid.await {
            Ok(keys) if keys.iter().any(|key| key.id == self.key) => Next::On,
            Ok(_) => {
                let status = Status::unauthenticated(
                    "the key of this VCS agent pool is over: give the agent the pool's new token",
                );
                if self.is_free() {
                    return Next::End(Some(status));
                }
                self.leaving = Some(status);
                Next::On
            }
            Err(error) => {
                tracing::warn!(pool = %self.pool, error = chain(&error), "could not look at the key of a VCS agent");
                Next::On
            }
        }
    }

    fn say(&mut self, id: String, kind: Kind) -> Next {
        let message = Request {
            id,
            request: Some(kind),
        };
        match self.outbox.try_send(Ok(message)) {
            Ok(()) => Next::On,
            Err(_) => Next::End(Some(Status::unavailable("the stream takes no messages"))),
        }
    }
}

/// What the reader of a body does: makes room, or goes away.
async fn read(flow: &mut Option<Flow>) -> Event {
    match flow {
        Some(flow) => match flow.room().await {
            true => Event::Room,
            false => Event::Unwanted,
        },
        None => std::future::pending().await,
    }
}

async fn unwanted(job: &mut Option<Job>) {
    match job {
        Some(job) => job.unwanted().await,
        None => std::future::pending().await,
    }
}
