//! Who gets which run, and what becomes of runs whose launcher fell silent.
//!
//! Takes waiting runs and launchers that said they have room, gives leases: each with the next attempt
//! number, a signed envelope and a message in the launcher's inbox, in one transaction. Never: a run handed
//! out twice under one attempt, a lease that expires because the *server* was away, a granted phase handed
//! out again.

mod bells;
mod choose;
mod document;
mod environment;
mod expiry;
mod hand_out;
mod payload;
mod terms;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gantry_protocol::PoolId;
use gantry_protocol::control::inbox::Content;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

pub use bells::Bells;
pub use choose::queue;
pub use document::Signable;
pub use environment::COMPUTED;
pub use expiry::Expired;
pub use payload::PayloadError;
pub use terms::Terms;

use crate::clock::UnixMillis;
use crate::error::chain;
use crate::pki::Keyring;
use crate::plans::PlanKeeper;
use crate::store::{Store, StoreError, inbox, launchers, leases};
use crate::vault::Vault;

/// How often silent leases are looked for.
const TICK: Duration = Duration::from_secs(2);

/// Hands runs out and takes them back.
#[derive(Clone, Debug)]
pub struct Dispatcher {
    store: Arc<Store>,
    vault: Arc<Vault>,
    plans: PlanKeeper,
    keys: Arc<Keyring>,
    bells: Arc<Bells>,
    terms: Terms,
    account: Arc<str>,
    /// Since when this server has been answering without a break.
    awake_since: Arc<Mutex<UnixMillis>>,
}

impl Dispatcher {
    /// A dispatcher of a server whose operator named it `account`, and that answers since `awake_since`.
    pub fn new(
        (store, vault, plans): (Arc<Store>, Arc<Vault>, PlanKeeper),
        keys: Arc<Keyring>,
        bells: Arc<Bells>,
        terms: Terms,
        account: Arc<str>,
        awake_since: UnixMillis,
    ) -> Self {
        let awake_since = Arc::new(Mutex::new(awake_since));
        Self {
            store,
            vault,
            plans,
            keys,
            bells,
            terms,
            account,
            awake_since,
        }
    }

    /// Hands out whatever can be handed out, and tells launchers of stops. Called after every change.
    ///
    /// # Errors
    /// When the database fails; what was handed out before stays so.
    pub async fn run_once(&self) -> Result<(), StoreError> {
        let pools = leases::pools_with_waiting_runs(&mut *self.store.read().await?).await?;
        for pool in pools {
            // One pool's trouble is not the others'.
            if let Err(error) = self.assign(pool).await {
                tracing::error!(%pool, error = chain(&error), "could not hand out a pool's runs");
            }
        }
        self.send_stops().await?;
        // People's messages (drain, cycle) are written by others; whoever waits for them is told here.
        for launcher in inbox::launchers_with_messages(&mut *self.store.read().await?).await? {
            self.bells.ring(launcher);
        }
        Ok(())
    }

    /// Does [`Dispatcher::run_once`] after every change of the database, and [`Dispatcher::expire`] at every
    /// tick, until `stopping`. Failures are logged and tried again at the next occasion.
    pub async fn run(&self, stopping: CancellationToken) {
        let mut changes = self.store.changes();
        let mut clock = tokio::time::interval(TICK);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ticked = UnixMillis::now();
        loop {
            // Marked as seen before looking: a change during the look causes another one.
            changes.borrow_and_update();
            if let Err(error) = self.run_once().await {
                tracing::error!(error = chain(&error), "could not hand out runs");
            }
            tokio::select! {
                () = stopping.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
                _ = clock.tick() => {
                    let now = UnixMillis::now();
                    self.tick(ticked, now).await;
                    ticked = now;
                }
            }
        }
    }

    async fn tick(&self, before: UnixMillis, now: UnixMillis) {
        if now.0 - before.0 > self.terms.lease / 2 {
            tracing::warn!(
                millis = now.0 - before.0,
                "the server did not run for a while; leases get a fresh term"
            );
            self.slept_until(now);
        }
        let done = match self.expire(now).await {
            Ok(_) => launchers::forget_nonces(&self.store, now).await,
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            tracing::error!(error = chain(&error), "could not look for silent launchers");
        }
    }

    /// Hands a pool's waiting runs to its launchers.
    ///
    /// # Errors
    /// See [`Dispatcher::run_once`].
    pub async fn assign(&self, pool: PoolId) -> Result<(), StoreError> {
        let now = UnixMillis::now();
        for (run, launcher) in self.matches(pool, now).await? {
            if let Err(error) = self.hand_out(run, launcher, now).await {
                tracing::error!(%run, error = chain(&error), "could not hand out a run");
            }
        }
        Ok(())
    }

    /// Puts stops that people asked for into the inboxes of the launchers that have the runs.
    async fn send_stops(&self) -> Result<(), StoreError> {
        let asked = leases::unsent_stops(&mut *self.store.read().await?).await?;
        for (lease, note) in asked {
            let mut tx = self.store.begin().await?;
            let (run, attempt) = (lease.run, lease.attempt);
            let content = Content::Stop { run, attempt, note };
            let about = Some((run, attempt));
            inbox::push(&mut tx, lease.launcher, &content, about, UnixMillis::now()).await?;
            leases::mark_stop_sent(&mut tx, run, attempt).await?;
            self.store.commit(tx).await?;
            self.bells.ring(lease.launcher);
        }
        Ok(())
    }

    fn awake_since(&self) -> UnixMillis {
        *self
            .awake_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The server did not answer for a while (a suspended machine, a stuck disk): leases get a fresh term.
    pub fn slept_until(&self, now: UnixMillis) {
        *self
            .awake_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = now;
    }
}
