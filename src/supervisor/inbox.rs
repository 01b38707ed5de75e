//! The inbox's long poll: messages come in order, each once to the supervisor.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gantry_protocol::control::inbox::{Message, Poll};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::warn;

use crate::backoff::Backoff;
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
    acknowledge: BTreeSet<u64>,
}

/// The polling task and the way to it.
#[derive(Debug)]
pub(super) struct Inbox {
    wish: watch::Sender<Wish>,
    messages: mpsc::Receiver<Message>,
    task: JoinHandle<()>,
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Inbox {
    pub(super) fn start(session: Arc<Session>) -> Self {
        let (wish, wishes) = watch::channel(Wish::default());
        let (sender, messages) = mpsc::channel(1);
        let poller = Poller {
            session,
            wishes,
            sender,
            told: wish.clone(),
        };
        Self {
            wish,
            messages,
            task: tokio::spawn(poller.run()),
        }
    }

    /// How many runs would be taken now. A change cuts a waiting poll short.
    pub(super) fn free_slots(&self, slots: u32) {
        self.wish.send_if_modified(|wish| {
            let changed = wish.free_slots != slots;
            wish.free_slots = slots;
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
        };
        match tokio::time::timeout(LEAVE, session.poll(&poll)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                warn!(error = %Chain(&error), "the server could not be told that this launcher ends")
            }
            Err(_) => warn!("the server could not be told in time that this launcher ends"),
        }
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> Message {
        self.messages
            .recv()
            .await
            .expect("invariant: the poller lives as long as the inbox")
    }
}

struct Poller {
    session: Arc<Session>,
    wishes: watch::Receiver<Wish>,
    told: watch::Sender<Wish>,
    sender: mpsc::Sender<Message>,
}

impl Poller {
    async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let wish = self.wishes.borrow_and_update().clone();
            let poll = Poll {
                acknowledge: wish.acknowledge.iter().copied().collect(),
                free_slots: wish.free_slots,
                wait_seconds: WAIT,
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
                    self.acknowledged(&wish);
                    if !self.deliver(batch.messages).await {
                        return;
                    }
                }
                Err(error) => {
                    let wait = backoff.wait();
                    warn!(error = %Chain(&error), wait_ms = wait.as_millis() as u64, "the inbox can't be read; trying again");
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
            if self.sender.send(message).await.is_err() {
                return false;
            }
        }
        true
    }
}
