//! Who is connected, and which stream gets which request.
//!
//! Takes streams and requests, pairs them: a free stream of the agent that has least to do, and of those the one that was
//! free longest; otherwise the request waits in its pool's queue. Never: a second request on a busy stream, or a request
//! in two places.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::GatewayError;
use super::job::{End, Job};
use crate::clock::UnixMillis;
use crate::domain::VcsPoolId;

/// One stream, for as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct StreamId(u64);

/// What an agent said of itself when it opened a stream.
#[derive(Clone, Debug)]
pub(super) struct About {
    /// The same for all streams of one agent, as far as that can be told.
    pub(super) agent: String,
    /// Its version, if it is one of ours.
    pub(super) version: Option<String>,
    /// Its tags.
    pub(super) tags: BTreeMap<String, String>,
    /// Where it dialled from.
    pub(super) address: Option<IpAddr>,
    /// When.
    pub(super) connected_at: UnixMillis,
    /// Whether answers come in parts.
    pub(super) parts: bool,
}

/// An agent that is connected.
#[derive(Clone, Debug)]
pub struct Agent {
    /// The same for all its streams.
    pub id: String,
    /// Its version, if it is one of ours.
    pub version: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Where it dialled from.
    pub address: Option<IpAddr>,
    /// When its oldest stream was opened.
    pub connected_at: UnixMillis,
    /// Whether its answers come in parts.
    pub parts: bool,
    /// Its streams.
    pub streams: usize,
    /// What it has to do, oldest first.
    pub busy: Vec<Busy>,
    /// Requests that its streams have ended.
    pub served: u64,
    /// Messages of it that nobody had asked for.
    pub strays: u64,
}

/// A request that an agent has.
#[derive(Clone, Debug)]
pub struct Busy {
    /// The request's id.
    pub request: String,
    /// Since when.
    pub since: UnixMillis,
}

#[derive(Debug)]
enum Standing {
    Free { since: Instant },
    Busy(Busy),
}

#[derive(Debug)]
struct Slot {
    about: About,
    jobs: mpsc::Sender<Job>,
    recheck: Arc<Notify>,
    standing: Standing,
    served: u64,
    strays: u64,
}

#[derive(Debug, Default)]
struct Pool {
    streams: HashMap<StreamId, Slot>,
    waiting: VecDeque<Job>,
    /// Since when no stream is there.
    alone: Option<Instant>,
}

/// Why a request is taken out of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Withdrawn {
    /// Its time is over.
    Late,
    /// Only if nobody was there for a while.
    Alone,
    /// The server stops.
    Stopping,
}

/// A stream's end of the registry.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) id: StreamId,
    pub(super) jobs: mpsc::Receiver<Job>,
    pub(super) recheck: Arc<Notify>,
}

/// All pools.
#[derive(Debug)]
pub(super) struct Registry {
    limit: usize,
    pools: Mutex<Pools>,
}

#[derive(Debug, Default)]
struct Pools {
    last: u64,
    by_id: HashMap<VcsPoolId, Pool>,
}

impl Pool {
    /// Gives a request to a free stream; gives it back if there is none.
    fn hand_out(&mut self, mut job: Job) -> Option<Job> {
        let mut load: HashMap<String, usize> = HashMap::new();
        for slot in self.streams.values() {
            if matches!(slot.standing, Standing::Busy(_)) {
                *load.entry(slot.about.agent.clone()).or_default() += 1;
            }
        }
        let mut free: Vec<(usize, Instant, StreamId)> = Vec::new();
        for (id, slot) in &self.streams {
            if let Standing::Free { since } = slot.standing {
                let load = load.get(&slot.about.agent).copied().unwrap_or(0);
                free.push((load, since, *id));
            }
        }
        free.sort_unstable();
        for (.., id) in free {
            let Some(slot) = self.streams.get_mut(&id) else {
                continue;
            };
            let busy = busy(&job);
            match slot.jobs.try_send(job) {
                Ok(()) => {
                    slot.standing = Standing::Busy(busy);
                    return None;
                }
                // It ends just now.
                Err(error) => job = error.into_inner(),
            }
        }
        Some(job)
    }
}

fn busy(job: &Job) -> Busy {
    Busy {
        request: job.id.clone(),
        since: UnixMillis::now(),
    }
}

impl Registry {
    /// At most `limit` requests of a pool wait.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            pools: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pools> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request comes.
    ///
    /// # Errors
    /// If too many are waiting.
    pub(super) fn submit(&self, pool: VcsPoolId, job: Job) -> Result<(), GatewayError> {
        let mut pools = self.lock();
        let pool = pools.by_id.entry(pool).or_default();
        // Who waits longer comes first, also for a stream that is free this moment.
        pool.waiting.retain(Job::is_wanted);
        if pool.waiting.len() >= self.limit {
            return Err(job.refuse(End::Full(pool.waiting.len())));
        }
        if let Some(job) = pool.hand_out(job) {
            if pool.streams.is_empty() {
                pool.alone.get_or_insert_with(Instant::now);
            }
            pool.waiting.push_back(job);
        }
        Ok(())
    }

    /// A request comes back from a stream that is gone; it was not done, or may be done again.
    pub(super) fn resubmit(&self, pool: VcsPoolId, job: Job) {
        if !job.is_wanted() {
            return;
        }
        let mut pools = self.lock();
        let pool = pools.by_id.entry(pool).or_default();
        if let Some(job) = pool.hand_out(job) {
            if pool.streams.is_empty() {
                // It was the last stream's: who waits for it is told soon, not at its deadline.
                pool.alone.get_or_insert_with(Instant::now);
            }
            pool.waiting.push_front(job);
        }
    }

    /// Takes a request out of the queue, if it is there and the reason holds.
    pub(super) fn withdraw(
        &self,
        pool: VcsPoolId,
        id: &str,
        why: Withdrawn,
        grace: Duration,
    ) -> Option<GatewayError> {
        let mut pools = self.lock();
        let pool = pools.by_id.get_mut(&pool)?;
        let alone = pool.streams.is_empty();
        let long = pool.alone.is_some_and(|since| since.elapsed() >= grace);
        let end = match why {
            Withdrawn::Alone if alone && long => End::NoAgent,
            Withdrawn::Alone => return None,
            Withdrawn::Late if alone => End::NoAgent,
            Withdrawn::Late => End::Late("all agents were busy"),
            Withdrawn::Stopping => End::Stopping,
        };
        let at = pool.waiting.iter().position(|job| job.id == id)?;
        Some(pool.waiting.remove(at)?.refuse(end))
    }

    /// A stream is there; nothing if the pool has as many as it may have.
    pub(super) fn join(&self, pool: VcsPoolId, about: About, most: usize) -> Option<Seat> {
        let (sender, jobs) = mpsc::channel(1);
        let recheck = Arc::new(Notify::new());
        let mut pools = self.lock();
        pools.last += 1;
        let id = StreamId(pools.last);
        let pool = pools.by_id.entry(pool).or_default();
        if pool.streams.len() >= most {
            return None;
        }
        pool.alone = None;
        let slot = Slot {
            about,
            jobs: sender,
            recheck: Arc::clone(&recheck),
            // It says so itself by `free`.
            standing: Standing::Busy(Busy {
                request: String::new(),
                since: UnixMillis::now(),
            }),
            served: 0,
            strays: 0,
        };
        pool.streams.insert(id, slot);
        Some(Seat { id, jobs, recheck })
    }

    /// A stream has nothing to do: gives it the next request, or keeps it for one.
    pub(super) fn free(&self, pool: VcsPoolId, id: StreamId, served: u64) -> Option<Job> {
        let mut pools = self.lock();
        let pool = pools.by_id.get_mut(&pool)?;
        let slot = pool.streams.get_mut(&id)?;
        slot.served = served;
        while let Some(job) = pool.waiting.pop_front() {
            if job.is_wanted() {
                slot.standing = Standing::Busy(busy(&job));
                return Some(job);
            }
        }
        slot.standing = Standing::Free {
            since: Instant::now(),
        };
        None
    }

    /// A stream said something that nobody had asked for.
    pub(super) fn stray(&self, pool: VcsPoolId, id: StreamId) {
        let mut pools = self.lock();
        let slot = pools
            .by_id
            .get_mut(&pool)
            .and_then(|pool| pool.streams.get_mut(&id));
        if let Some(slot) = slot {
            slot.strays += 1;
        }
    }

    /// A stream is gone. A request that it was given and had not taken has to be taken from its seat after this.
    pub(super) fn leave(&self, pool: VcsPoolId, id: StreamId) {
        let mut pools = self.lock();
        let Some(entry) = pools.by_id.get_mut(&pool) else {
            return;
        };
        entry.streams.remove(&id);
        if entry.streams.is_empty() {
            if entry.waiting.is_empty() {
                pools.by_id.remove(&pool);
            } else {
                entry.alone = Some(Instant::now());
            }
        }
    }

    /// Every stream of a pool looks at its key again.
    pub(super) fn recheck(&self, pool: VcsPoolId) {
        if let Some(pool) = self.lock().by_id.get(&pool) {
            for slot in pool.streams.values() {
                slot.recheck.notify_one();
            }
        }
    }

    /// Requests that wait.
    pub(super) fn waiting(&self, pool: VcsPoolId) -> usize {
        let pools = self.lock();
        let waiting = pools.by_id.get(&pool).map(|pool| pool.waiting.iter());
        waiting.map_or(0, |jobs| jobs.filter(|job| job.is_wanted()).count())
    }

    /// The agents of a pool, oldest first.
    pub(super) fn agents(&self, pool: VcsPoolId) -> Vec<Agent> {
        let pools = self.lock();
        let mut agents: BTreeMap<String, Agent> = BTreeMap::new();
        let slots = pools.by_id.get(&pool).map(|pool| pool.streams.values());
        for slot in slots.into_iter().flatten() {
            let about = &slot.about;
            let agent = agents.entry(about.agent.clone()).or_insert_with(|| Agent {
                id: about.agent.clone(),
                version: about.version.clone(),
                tags: about.tags.clone(),
                address: about.address,
                connected_at: about.connected_at,
                parts: about.parts,
                streams: 0,
                busy: Vec::new(),
                served: 0,
                strays: 0,
            });
            agent.connected_at = agent.connected_at.min(about.connected_at);
            agent.streams += 1;
            agent.served += slot.served;
            agent.strays += slot.strays;
            if let Standing::Busy(busy) = &slot.standing
                && !busy.request.is_empty()
            {
                agent.busy.push(busy.clone());
            }
        }
        let mut agents: Vec<Agent> = agents.into_values().collect();
        for agent in &mut agents {
            agent.busy.sort_by_key(|busy| busy.since);
        }
        agents.sort_by(|a, b| (a.connected_at, &a.id).cmp(&(b.connected_at, &b.id)));
        agents
    }
}
