//! The inbox's long poll: messages come in order, each once to the supervisor.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gantry_protocol::control::inbox::{Condition, Message, Poll};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::warn;

use crate::backoff::Backoff;
use crate::metrics::Metrics;
use crate::quiet::Quiet;
use crate::report::Chain;
use crate::session::Session;

/// How long the server holds a poll, in seconds: below the usual idle limits of proxies.
const WAIT: u32 = 25;

/// Longest time that ending waits for the server to take note.
const LEAVE: Duration = Duration::from_secs(2);

/// What the next poll says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Wish {
    free_slots: u32,
    condition: Option<Condition>,
    acknowledge: BTreeSet<u64>,
}

/// What comes from the server.
#[derive(Debug)]
pub(super) enum Heard {
    /// It answered for the first time.
    Answer,
    /// A message.
    Message(Box<Message>),
}

/// The polling task and the way to it.
#[derive(Debug)]
pub(super) struct Inbox {
    wish: watch::Sender<Wish>,
    heard: mpsc::Receiver<Heard>,
    task: JoinHandle<()>,
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Inbox {
    pub(super) fn start(session: Arc<Session>, metrics: Metrics) -> Self {
        let (wish, wishes) = watch::channel(Wish::default());
        let (sender, heard) = mpsc::channel(1);
        let poller = Poller {
            session,
            metrics,
            wishes,
            sender,
            told: wish.clone(),
        };
        Self {
            wish,
            heard,
            task: tokio::spawn(poller.run()),
        }
    }

    /// How many runs would be taken now, and why none. A change cuts a waiting poll short.
    pub(super) fn offer(&self, slots: u32, condition: Option<Condition>) {
        self.wish.send_if_modified(|wish| {
            let changed = (wish.free_slots, &wish.condition) != (slots, &condition);
            (wish.free_slots, wish.condition) = (slots, condition);
            changed
        });
    }

    /// The message is journaled: the next poll says so.
    pub(super) fn acknowledge(&self, id: u64) {
        self.wish.send_modify(|wish| {
            wish.acknowledge.insert(id);
        });
    }

    /// Tells the server that runs are no longer taken, so that it does not hand one to a process that is
    /// gone and waits for the lease to expire. A server that is away learns it that way.
    pub(super) async fn leave(&self, session: &Session) {
        let acknowledge = self.wish.borrow().acknowledge.iter().copied().collect();
        let poll = Poll {
            acknowledge,
            free_slots: 0,
            wait_seconds: 0,
            condition: None,
        };
        match tokio::time::timeout(LEAVE, session.poll(&poll)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                warn!(error = %Chain(&error), "the server could not be told that this launcher ends")
            }
            Err(_) => warn!("the server could not be told in time that this launcher ends"),
        }
    }

    /// What comes next.
    pub(super) async fn next(&mut self) -> Heard {
        self.heard
            .recv()
            .await
            .expect("invariant: the poller lives as long as the inbox")
    }
}

struct Poller {
    session: Arc<Session>,
    metrics: Metrics,
    wishes: watch::Receiver<Wish>,
    told: watch::Sender<Wish>,
    sender: mpsc::Sender<Heard>,
}

impl Poller {
    async fn run(mut self) {
        let (mut backoff, mut quiet) = (Backoff::default(), Quiet::default());
        // The first answer says that the launcher is there for its pool: it is not waited for.
        let mut answered = false;
        loop {
            let wish = self.wishes.borrow_and_update().clone();
            let poll = Poll {
                acknowledge: wish.acknowledge.iter().copied().collect(),
                free_slots: wish.free_slots,
                wait_seconds: if answered { WAIT } else { 0 },
                condition: wish.condition.clone(),
            };
            let answer = tokio::select! {
                answer = self.session.poll(&poll) => answer,
                // A cut poll loses nothing: messages come again until they are acknowledged.
                changed = self.wishes.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            };
            match answer {
                Ok(batch) => {
                    backoff.reset();
                    quiet.over();
                    self.acknowledged(&wish);
                    if !std::mem::replace(&mut answered, true)
                        && self.sender.send(Heard::Answer).await.is_err()
                    {
                        return;
                    }
                    if !self.deliver(batch.messages).await {
                        return;
                    }
                }
                Err(error) => {
                    self.metrics.inbox_error();
                    let wait = backoff.wait();
                    let error = Chain(&error).to_string();
                    if let Some(unsaid) = quiet.due(&error) {
                        warn!(%error, unsaid, "the inbox can't be read; trying again");
                    }
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    fn acknowledged(&mut self, wish: &Wish) {
        self.told.send_if_modified(|current| {
            current
                .acknowledge
                .retain(|id| !wish.acknowledge.contains(id));
            false
        });
    }

    async fn deliver(&mut self, messages: Vec<Message>) -> bool {
        for message in messages {
            let message = Heard::Message(Box::new(message));
            if self.sender.send(message).await.is_err() {
                return false;
            }
        }
        true
    }
}
