//! The access log: one line per request, written in the background.
//!
//! Takes what happens to requests, gives lines in the store. Never: a request without a line (but when the database can't
//! keep up, which is counted and said), a query string, or a request that waits for the disk.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Ask, GatewayError, message};
use crate::clock::UnixMillis;
use crate::domain::VcsPoolId;
use crate::error::chain;
use crate::store::vcs_requests::{self, AccessLine, Outcome};
use crate::store::{Store, StoreError};

/// Lines that may wait for the disk.
const WAITING: usize = 8192;

/// Lines that are written together.
const BATCH: usize = 256;

/// How long a line may wait for others.
const GATHER: Duration = Duration::from_millis(200);

/// Lines that are kept of each pool.
const KEPT: u32 = 1000;

/// How long, in milliseconds.
const DAYS: i64 = 7 * 24 * 3_600_000;

/// Where lines go.
#[derive(Debug)]
pub(super) struct AccessLog {
    lines: mpsc::Sender<AccessLine>,
    lost: Arc<AtomicU64>,
    closing: tokio_util::sync::CancellationToken,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl AccessLog {
    /// Starts the writer.
    pub(super) fn start(store: Arc<Store>) -> Self {
        let (lines, waiting) = mpsc::channel(WAITING);
        let (lost, closing) = (Arc::default(), tokio_util::sync::CancellationToken::new());
        let writer = tokio::spawn(write(store, waiting, Arc::clone(&lost), closing.clone()));
        Self {
            lines,
            lost,
            closing,
            writer: Mutex::new(Some(writer)),
        }
    }

    /// A request begins.
    pub(super) fn begin(&self, pool: VcsPoolId, id: String, ask: &Ask) -> Entry {
        let line = AccessLine {
            pool,
            id,
            at: UnixMillis::now(),
            purpose: ask.purpose.to_owned(),
            method: ask.method.as_str().chars().take(32).collect(),
            path: message::path_of(&ask.target),
            outcome: Outcome::GivenUp,
            detail: None,
            status: None,
            sent: ask.body.len() as u64,
            received: 0,
            millis: 0,
            agent: None,
        };
        Entry {
            line: Some(line),
            started: Instant::now(),
            lines: self.lines.clone(),
            lost: Arc::clone(&self.lost),
        }
    }

    /// Waits until what was logged so far is stored; what comes later is not.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        if let Some(writer) = self.writer.lock().await.take()
            && writer.await.is_err()
        {
            tracing::error!("the writer of the VCS access log panicked");
        }
    }
}

/// A line that is not written yet. It is written once, at the latest when this is dropped.
#[derive(Debug)]
pub(super) struct Entry {
    line: Option<AccessLine>,
    started: Instant,
    lines: mpsc::Sender<AccessLine>,
    lost: Arc<AtomicU64>,
}

impl Entry {
    /// An agent has the request.
    pub(super) fn carried_by(&mut self, agent: &str) {
        if let Some(line) = &mut self.line {
            line.agent = Some(agent.to_owned());
        }
    }

    /// The code host's status is known.
    pub(super) fn status(&mut self, status: StatusCode) {
        if let Some(line) = &mut self.line {
            line.status = Some(status.as_u16());
        }
    }

    /// More of the answer came.
    pub(super) fn received(&mut self, bytes: usize) {
        if let Some(line) = &mut self.line {
            line.received += bytes as u64;
        }
    }

    /// It ended with an error.
    pub(super) fn failed(self, error: &GatewayError) {
        let outcome = error.outcome();
        self.finish(outcome, Some(chain(error)));
    }

    /// It ended.
    pub(super) fn finish(mut self, outcome: Outcome, detail: Option<String>) {
        self.write(outcome, detail);
    }

    fn write(&mut self, outcome: Outcome, detail: Option<String>) {
        let Some(line) = self.line.take() else {
            return;
        };
        let millis = self.started.elapsed().as_millis();
        let line = AccessLine {
            outcome,
            detail,
            millis: u64::try_from(millis).unwrap_or(u64::MAX),
            ..line
        };
        tracing::debug!(
            pool = %line.pool, id = line.id, purpose = line.purpose, method = line.method, path = line.path,
            outcome = ?line.outcome, status = line.status, millis = line.millis, "VCS request"
        );
        if self.lines.try_send(line).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.write(Outcome::GivenUp, None);
    }
}

async fn write(
    store: Arc<Store>,
    mut lines: mpsc::Receiver<AccessLine>,
    lost: Arc<AtomicU64>,
    closing: tokio_util::sync::CancellationToken,
) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            biased;
            got = lines.recv_many(&mut batch, BATCH) => if got == 0 { return },
            () = closing.cancelled() => return,
        }
        if batch.len() < BATCH && !closing.is_cancelled() {
            // A burst of requests is one transaction.
            tokio::select! {
                () = tokio::time::sleep(GATHER) => {}
                () = closing.cancelled() => {}
            }
            while batch.len() < BATCH
                && let Ok(line) = lines.try_recv()
            {
                batch.push(line);
            }
        }
        if let Err(error) = store_batch(&store, &batch).await {
            tracing::error!(
                lines = batch.len(),
                error = chain(&error),
                "could not write the VCS access log"
            );
        }
        batch.clear();
        let gone = lost.swap(0, Ordering::Relaxed);
        if gone > 0 {
            tracing::warn!(
                lines = gone,
                "the VCS access log has gaps: the disk did not keep up"
            );
        }
    }
}

async fn store_batch(store: &Store, batch: &[AccessLine]) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    let mut pools = BTreeSet::new();
    for line in batch {
        vcs_requests::insert(&mut tx, line).await?;
        pools.insert(line.pool);
    }
    let before = UnixMillis::now().plus(-DAYS);
    for pool in pools {
        vcs_requests::forget(&mut tx, pool, KEPT, before).await?;
    }
    // Nobody waits for these lines: the loops of the server are not woken.
    Ok(tx.commit().await?)
}
