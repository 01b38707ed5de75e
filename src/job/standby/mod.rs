//! Containers that are started before their run, each used once.
//!
//! Takes recipes (image, tool, class), gives a [`Standby`] to the run whose container would be the same. Never: one
//! that is used twice or that saw a secret before its run, more containers than runs may be at a time, one kept
//! while no run would be taken.

mod keep;
mod make;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

pub use keep::{end_all, keep, sweep};
pub(super) use make::{clear, discard};

use super::Host;
use super::tool_choice::Brought;
use super::vessel::AccountFiles;
use crate::container::{Class, Network};
use crate::engine::{ContainerId, ContainerSpec};
use crate::image::PulledImage;
use crate::link::Link;
use crate::workspace::RunDirs;

/// How names of waiting containers begin.
pub(super) const NAME: &str = "gantry-standby-";

/// Whether a container waits for its run, by its name.
pub(super) fn is_name(container: &str) -> bool {
    container.starts_with(NAME)
}

/// One that waited this long is replaced: what the default image's tag means may have changed.
const MAX_AGE: Duration = Duration::from_secs(30 * 60);

/// An image is kept ready this long for the apply of its plan.
const EXPECTED: Duration = Duration::from_secs(30 * 60);

/// A run that begins has the host for itself this long before the next container is started.
const AFTER_USE: Duration = Duration::from_secs(2);

/// What a waiting container is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recipe {
    pub(super) image: PulledImage,
    pub(super) tool: Option<Brought>,
    pub(super) class: Class,
}

/// A container that runs, has no order, and was never given one.
#[derive(Debug)]
pub(super) struct Standby {
    pub(super) name: String,
    pub(super) container: ContainerId,
    pub(super) dirs: RunDirs,
    pub(super) accounts: AccountFiles,
    pub(super) network: Network,
    pub(super) spec: ContainerSpec,
    pub(super) link: Link,
    recipe: Recipe,
    born: Instant,
}

/// The waiting containers of this host.
#[derive(Debug)]
pub struct Standbys {
    limit: u32,
    capacity: u32,
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug)]
struct Inner {
    /// Whether runs would be taken at all.
    open: bool,
    /// Containers of runs.
    busy: u32,
    /// Containers that are being made.
    making: u32,
    /// Containers that [`keep`] is removing.
    ending: u32,
    ready: Vec<Standby>,
    /// Recipes of plans that wait for their apply, and how long they are kept ready.
    expected: Vec<(Recipe, Instant)>,
    not_before: Instant,
}

/// A run's container counts as one of the host's as long as this lives.
#[derive(Debug)]
pub(super) struct Ticket(Arc<Standbys>);

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.lock().busy -= 1;
        self.0.changed.notify_waiters();
    }
}

impl Standbys {
    /// At most `limit` waiting containers, and at most `capacity` with those of runs.
    pub fn new(limit: u32, capacity: u32) -> Arc<Self> {
        let inner = Inner {
            open: false,
            busy: 0,
            making: 0,
            ending: 0,
            ready: Vec::new(),
            expected: Vec::new(),
            not_before: Instant::now(),
        };
        Arc::new(Self {
            limit,
            capacity,
            inner: Mutex::new(inner),
            changed: Notify::new(),
        })
    }

    /// Whether runs would be taken: a host that drains keeps nothing ready.
    pub fn open(&self, open: bool) {
        let mut inner = self.lock();
        if inner.open != open {
            inner.open = open;
            drop(inner);
            self.changed.notify_waiters();
        }
    }

    /// The apply of a plan may come: its container would be made so.
    pub(super) fn expect(&self, recipe: Recipe) {
        if self.limit == 0 {
            return;
        }
        let mut inner = self.lock();
        inner.expected.retain(|(other, _)| *other != recipe);
        inner.expected.push((recipe, Instant::now() + EXPECTED));
        drop(inner);
        self.changed.notify_waiters();
    }

    /// A run's container is about to be: a waiting one that `fits`, or the right to make another.
    pub(super) fn take(
        self: &Arc<Self>,
        fits: impl Fn(&Standby) -> bool,
    ) -> (Ticket, Option<Standby>) {
        let mut inner = self.lock();
        inner.busy += 1;
        inner.not_before = Instant::now() + AFTER_USE;
        let found = inner.ready.iter().position(fits);
        let standby = found.map(|index| inner.ready.remove(index));
        if let Some(standby) = &standby {
            inner
                .expected
                .retain(|(recipe, _)| *recipe != standby.recipe);
        }
        drop(inner);
        self.changed.notify_waiters();
        (Ticket(self.clone()), standby)
    }

    /// Ends waiting containers until those of runs and these are not more than the host's capacity.
    pub(super) async fn make_room(&self, host: &Host) {
        loop {
            let changed = self.changed.notified();
            let surplus = {
                let mut inner = self.lock();
                if inner.count() <= self.capacity {
                    return;
                }
                match inner.ready.is_empty() {
                    // Only ones that are being made: they are ended as soon as they are there.
                    true => None,
                    false => Some(inner.ready.remove(0)),
                }
            };
            match surplus {
                Some(standby) => make::discard(host, standby).await,
                None => changed.await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn count(&self) -> u32 {
        let ready = u32::try_from(self.ready.len()).unwrap_or(u32::MAX);
        self.busy + self.making + self.ending + ready
    }

    /// How many should wait now.
    fn wanted(&self, limit: u32, capacity: u32) -> usize {
        match self.open {
            true => limit.min(capacity.saturating_sub(self.busy)) as usize,
            false => 0,
        }
    }

    /// One that should not be here any more.
    fn surplus(&mut self, wanted: usize, now: Instant) -> Option<Standby> {
        let old = self
            .ready
            .iter()
            .position(|standby| now.duration_since(standby.born) >= MAX_AGE);
        let index = old.or((self.ready.len() > wanted).then_some(0))?;
        Some(self.ready.remove(index))
    }

    /// One that may go for a plan's recipe.
    fn unexpected(&mut self) -> Option<Standby> {
        let expected = &self.expected;
        let asked = |recipe: &Recipe| expected.iter().any(|(other, _)| other == recipe);
        let index = self
            .ready
            .iter()
            .position(|standby| !asked(&standby.recipe))?;
        Some(self.ready.remove(index))
    }

    /// A plan's recipe for which nothing waits yet.
    fn missing(&mut self, now: Instant) -> Option<Recipe> {
        self.expected.retain(|(_, until)| *until > now);
        let ready = &self.ready;
        let waits = |recipe: &Recipe| ready.iter().any(|standby| standby.recipe == *recipe);
        let recipes = self.expected.iter().map(|(recipe, _)| recipe);
        recipes.into_iter().find(|recipe| !waits(recipe)).cloned()
    }
}
