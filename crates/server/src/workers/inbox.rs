//! The inbox: a long poll that hands over messages and offers room for runs.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use gantry_protocol::control::inbox::{Batch, Message, Poll};
use tokio::time::Instant;

use super::control::Control;
use super::problem::Refusal;
use super::session::Speaker;
use crate::clock::UnixMillis;
use crate::store::{inbox, launchers};

/// Longest wait in seconds, below the idle time-outs of common proxies.
const MAX_WAIT: u32 = 55;

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
    control.note_poll(speaker, &poll).await?;
    if poll.free_slots > 0 {
        control.dispatcher.assign(speaker.pool).await?;
    }
    loop {
        let mut rung = std::pin::pin!(bell.notified());
        // From here on a ring is remembered, so nothing falls between the look and the wait.
        rung.as_mut().enable();
        control.still_speaks(speaker).await?;
        let messages = control.messages(speaker).await?;
        if !messages.is_empty() {
            return Ok(Json(Batch { messages }));
        }
        tokio::select! {
            () = rung => {}
            () = tokio::time::sleep_until(deadline) => return Ok(Json(Batch { messages })),
            // A closing server doesn't keep its launchers waiting; they ask again.
            () = control.stopping.cancelled() => return Ok(Json(Batch { messages })),
        }
    }
}

impl Control {
    async fn note_poll(&self, speaker: Speaker, poll: &Poll) -> Result<(), Refusal> {
        let mut tx = self.store.begin().await?;
        inbox::acknowledge(&mut tx, speaker.launcher, &poll.acknowledge).await?;
        // Runs that are handed over but not journaled yet may or may not be in the launcher's count.
        let unread = inbox::unread_runs(&mut tx, speaker.launcher).await?;
        let free = poll.free_slots.saturating_sub(unread);
        launchers::offers(&mut tx, speaker.launcher, free, UnixMillis::now()).await?;
        tx.commit().await.map_err(crate::store::StoreError::from)?;
        Ok(())
    }

    async fn messages(&self, speaker: Speaker) -> Result<Vec<Message>, Refusal> {
        let mut conn = self.store.read().await?;
        Ok(inbox::pending(&mut conn, speaker.launcher, BUDGET).await?)
    }
}
