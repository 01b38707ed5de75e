//! The inbox: a long poll that hands over messages and offers room for runs.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use gantry_protocol::LauncherId;
use gantry_protocol::control::inbox::{Batch, Condition, Message, Poll};
use tokio::time::Instant;

use super::control::Control;
use super::problem::Refusal;
use super::session::Speaker;
use crate::clock::UnixMillis;
use crate::error::chain;
use crate::store::{StoreError, inbox, launchers};

/// Longest wait in seconds, below the idle time-outs of common proxies.
const MAX_WAIT: u32 = 55;

/// Most characters of a reason that are kept.
const MAX_REASON: usize = 1024;

/// Bytes of messages in one answer, unless a single one is longer.
const BUDGET: usize = 32 << 20;

pub(super) async fn poll(
    State(control): State<Arc<Control>>,
    speaker: Speaker,
    body: Result<Json<Poll>, JsonRejection>,
) -> Result<Json<Batch>, Refusal> {
    let Json(poll) = body.map_err(|error| Refusal::malformed(error.body_text()))?;
    let wait = Duration::from_secs(poll.wait_seconds.min(MAX_WAIT).into());
    let deadline = Instant::now() + wait;
    let bell = control.bells.of(speaker.launcher);
    let mut offer = Offer::made(&control, speaker);
    control.note_poll(speaker, &poll, offer.at).await?;
    if poll.free_slots > 0 {
        control.dispatcher.assign(speaker.pool).await?;
    }
    loop {
        let mut rung = std::pin::pin!(bell.notified());
        // From here on a ring is remembered, so nothing falls between the look and the wait.
        rung.as_mut().enable();
        control.still_speaks(speaker).await?;
        let messages = control.messages(speaker).await?;
        let over = !messages.is_empty()
            || tokio::select! {
                () = rung => false,
                () = tokio::time::sleep_until(deadline) => true,
                // A closing server doesn't keep its launchers waiting; they ask again.
                () = control.stopping.cancelled() => true,
            };
        if over {
            offer.stands = true;
            return Ok(Json(Batch { messages }));
        }
    }
}

/// What a poll offered, for as long as its sender is there: a launcher that was killed in its long poll gets
/// no run that would have to wait for its lease to run out.
struct Offer {
    control: Arc<Control>,
    launcher: LauncherId,
    at: UnixMillis,
    stands: bool,
}

impl Offer {
    fn made(control: &Arc<Control>, speaker: Speaker) -> Self {
        let (control, launcher) = (Arc::clone(control), speaker.launcher);
        Self {
            control,
            launcher,
            at: UnixMillis::now(),
            stands: false,
        }
    }

    async fn take_back(control: Arc<Control>, launcher: LauncherId, at: UnixMillis) {
        let taken = async {
            let mut tx = control.store.begin().await?;
            launchers::offer_broke_off(&mut tx, launcher, at).await?;
            tx.commit().await.map_err(StoreError::from)
        };
        if let Err(error) = taken.await {
            tracing::warn!(%launcher, error = chain(&error), "could not take an offer back");
        }
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        if !self.stands {
            let control = Arc::clone(&self.control);
            tokio::spawn(Self::take_back(control, self.launcher, self.at));
        }
    }
}

/// What a launcher says of itself is shown to people: not more of it than they read.
fn bounded(condition: &Condition) -> Condition {
    let short = |reason: &str| reason.chars().take(MAX_REASON).collect();
    match condition {
        Condition::Paused { reason } => Condition::Paused {
            reason: short(reason),
        },
        Condition::Unhealthy { reason } => Condition::Unhealthy {
            reason: short(reason),
        },
    }
}

impl Control {
    async fn note_poll(
        &self,
        speaker: Speaker,
        poll: &Poll,
        at: UnixMillis,
    ) -> Result<(), Refusal> {
        let mut tx = self.store.begin().await?;
        inbox::acknowledge(&mut tx, speaker.launcher, &poll.acknowledge).await?;
        // Runs that are handed over but not journaled yet may or may not be in the launcher's count.
        let unread = inbox::unread_runs(&mut tx, speaker.launcher).await?;
        let free = poll.free_slots.saturating_sub(unread);
        let condition = poll.condition.as_ref().map(bounded);
        launchers::offers(&mut tx, speaker.launcher, free, condition.as_ref(), at).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    async fn messages(&self, speaker: Speaker) -> Result<Vec<Message>, Refusal> {
        let mut conn = self.store.read().await?;
        Ok(inbox::pending(&mut conn, speaker.launcher, BUDGET).await?)
    }
}
