//! The launcher's own networks and who is in them.
//!
//! Takes names of containers, gives each a network of its own. Never: a network with another container in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use gantry_protocol::Digest;
use tracing::{info, warn};

use super::firewall::{FirewallError, Rules};
use super::plan::{Busy, Plan, Wanted, plan};
use super::{DOCKER_ALONE, NetworkError, block, host};
use crate::container::{LABEL_LAUNCHER, Network, NetworkPool};
use crate::engine::{Docker, EngineError, ErrorKind, NetworkSpec};
use crate::report::Chain;

/// Another program may take a range between our look and our call; then it is looked again. Each try leaves one more
/// range alone, and a range of private addresses has many.
const TRIES: u32 = 64;

/// Digits that tell launchers of one host apart; bridges' names have 15 bytes.
const KEY: usize = 5;

/// What the launcher's own networks are made from.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// The launcher's directory: whose networks they are.
    pub data: &'a Path,
    /// Where addresses come from.
    pub pool: NetworkPool,
    /// Containers at a time.
    pub count: u32,
    /// Names of containers that the journal knows; they count as part of `count`.
    pub known: &'a BTreeSet<String>,
    /// Keep containers from link-local addresses.
    pub block_metadata: bool,
}

/// The networks and their holders.
#[derive(Debug)]
pub struct Slots {
    engine: Docker,
    wanted: Wanted,
    metadata: Option<Rules>,
    apart: Option<Rules>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    usable: BTreeMap<u32, NetworkSpec>,
    holders: BTreeMap<u32, String>,
}

impl Slots {
    /// Makes the networks ready: those of an earlier start are used again, wrong and superfluous ones go.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub async fn open(engine: &Docker, setup: Setup<'_>) -> Result<Self, NetworkError> {
        let running = running(engine).await?;
        let wanted = wanted(&setup, &running);
        block::sweep().await;
        let prefix = wanted.bridge_prefix();
        let metadata = block::metadata(&wanted.key, &prefix);
        if !setup.block_metadata {
            metadata.lift().await;
        }
        let mut slots = Self {
            engine: engine.clone(),
            metadata: setup.block_metadata.then_some(metadata),
            apart: Some(block::apart(&wanted.key, &prefix)),
            wanted,
            state: Mutex::default(),
        };
        slots.settle(&running).await?;
        slots.hold(&running);
        slots.set_rules().await?;
        Ok(slots)
    }

    /// How many networks [`Slots::open`] would have, without making any.
    ///
    /// # Errors
    /// [`NetworkError`]: the range is taken, or the engine does not answer.
    pub async fn room(engine: &Docker, setup: &Setup<'_>) -> Result<usize, NetworkError> {
        let running = running(engine).await?;
        let wanted = wanted(setup, &running);
        let used = running.iter().map(|(network, _)| network.clone()).collect();
        let found = engine.networks().await?;
        let busy = host::busy(&wanted.bridge_prefix());
        Ok(plan(&wanted, &found, &used, &busy)?.usable.len())
    }

    /// See [`super::Networks::take`].
    pub(super) async fn take(&self, container: &str) -> Result<Network, NetworkError> {
        let mut strange = BTreeSet::new();
        loop {
            let (number, spec) = self.reserve(container, &strange)?;
            match self.ready(&spec, container).await {
                Ok(true) => return Ok(Network::parse(&spec.name)?),
                Ok(false) => {
                    warn!(network = %spec.name, "a container that this process did not start is in it; left alone");
                    self.release(container);
                    strange.insert(number);
                }
                Err(error) => {
                    self.release(container);
                    return Err(error);
                }
            }
        }
    }

    /// See [`super::Networks::release`].
    pub(super) fn release(&self, container: &str) {
        self.state().holders.retain(|_, holder| holder != container);
    }

    fn reserve(
        &self,
        container: &str,
        strange: &BTreeSet<u32>,
    ) -> Result<(u32, NetworkSpec), NetworkError> {
        let mut state = self.state();
        let State { usable, holders } = &mut *state;
        let held = holders.iter().find(|(_, holder)| *holder == container);
        let number = held.map(|(number, _)| *number);
        let is_free = |number: &&u32| !holders.contains_key(number) && !strange.contains(number);
        let Some(number) = number.or_else(|| usable.keys().find(is_free).copied()) else {
            let strangers = strange.iter().map(|number| usable[number].name.clone());
            return Err(NetworkError::AllHeld {
                count: usable.len(),
                holders: holders.values().cloned().chain(strangers).collect(),
            });
        };
        holders.insert(number, container.to_owned());
        Ok((number, usable[&number].clone()))
    }

    /// Whether nobody else is in it. Its rules stand then; they are looked at after it, as what stands without a
    /// network is swept away.
    async fn ready(&self, spec: &NetworkSpec, container: &str) -> Result<bool, NetworkError> {
        let alone = self.alone(spec, container).await?;
        let (metadata, apart) = tokio::join!(ensure(&self.metadata), ensure(&self.apart));
        metadata.map_err(NetworkError::Block)?;
        apart.map_err(NetworkError::Apart)?;
        Ok(alone)
    }

    /// One that was pruned away is made again.
    async fn alone(&self, spec: &NetworkSpec, container: &str) -> Result<bool, EngineError> {
        match self.engine.network(&spec.name).await {
            Ok(view) => Ok(view.containers.iter().all(|name| name == container)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound { .. }) => {
                info!(network = %spec.name, "was removed by somebody; made again");
                self.engine.create_network(spec).await?;
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Brings the engine's networks to what is wanted.
    async fn settle(&self, running: &Running) -> Result<(), NetworkError> {
        let used: BTreeSet<String> = running.iter().map(|(network, _)| network.clone()).collect();
        let mut tries = TRIES;
        let mut refused = Vec::new();
        loop {
            let found = self.engine.networks().await?;
            let mut busy = host::busy(&self.wanted.bridge_prefix());
            busy.extend_from_slice(&refused);
            let plan = plan(&self.wanted, &found, &used, &busy)?;
            match self.perform(&plan, &mut refused).await {
                Ok(()) => {
                    self.state().usable = plan.usable;
                    return Ok(());
                }
                Err(error) if tries > 1 && !error.is_transient() => {
                    tries -= 1;
                    warn!(error = %Chain(&error), "the runs' networks changed meanwhile; looking again");
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A range that the engine refuses goes to `refused`: it can hold ranges that no network shows.
    async fn perform(&self, plan: &Plan, refused: &mut Vec<Busy>) -> Result<(), EngineError> {
        for name in &plan.remove {
            info!(network = %name, "removed: not needed, or not as it should be");
            self.engine.remove_network(name).await?;
        }
        for spec in &plan.create {
            let created = self.engine.create_network(spec).await;
            created.inspect_err(|_| {
                refused.push(Busy {
                    range: spec.subnet.into(),
                    by: "the container engine, which refused it".to_owned(),
                });
            })?;
            info!(network = %spec.name, subnet = %spec.subnet, "made");
        }
        Ok(())
    }

    /// Containers of an earlier process keep their networks.
    fn hold(&self, running: &Running) {
        let mut state = self.state();
        let State { usable, holders } = &mut *state;
        for (number, spec) in usable {
            let holder = running.iter().find(|(network, _)| *network == spec.name);
            if let Some((_, container)) = holder {
                holders.insert(*number, container.clone());
            }
        }
    }

    /// Runs are kept apart wherever the launcher may set rules; where it may not, Docker's own are all there is.
    async fn set_rules(&mut self) -> Result<(), NetworkError> {
        if let Err(error) = self.set(&self.apart).await {
            warn!(error = %Chain(&error), "{DOCKER_ALONE}");
            self.apart = None;
        }
        self.set(&self.metadata).await.map_err(NetworkError::Block)
    }

    async fn set(&self, rules: &Option<Rules>) -> Result<(), FirewallError> {
        let bridge = self
            .state()
            .usable
            .values()
            .next()
            .map(|spec| spec.bridge.clone());
        match bridge.filter(|bridge| rules.is_some() && !host::has_interface(bridge)) {
            Some(bridge) => Err(FirewallError::Elsewhere { bridge }),
            None => ensure(rules).await,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ensure(rules: &Option<Rules>) -> Result<(), FirewallError> {
    match rules {
        Some(rules) => rules.ensure().await,
        None => Ok(()),
    }
}

/// Pairs of network and container.
type Running = Vec<(String, String)>;

fn wanted(setup: &Setup<'_>, running: &Running) -> Wanted {
    let owner = setup.data.display().to_string();
    let key = Digest::of(owner.as_bytes()).to_string();
    let key = key.trim_start_matches("sha256:").chars().take(KEY);
    let mut wanted = Wanted {
        owner,
        key: key.collect(),
        pool: setup.pool,
        count: setup.count as usize,
        mtu: host::mtu(),
    };
    let prefix = format!("gantry-{}-", wanted.key);
    let unknown = running.iter().filter(|&(network, container)| {
        network.starts_with(&prefix) && !setup.known.contains(container)
    });
    // A container of ours that nobody knows keeps its network to itself.
    wanted.count += unknown.count();
    wanted
}

/// Which of the launchers' containers run in which networks.
async fn running(engine: &Docker) -> Result<Running, EngineError> {
    let listed = engine.list_labelled(LABEL_LAUNCHER).await?;
    let running = listed.into_iter().filter(|container| container.running);
    let pairs = running.flat_map(|container| {
        let name = container.name;
        let networks = container.networks.into_iter();
        networks
            .map(move |network| (network, name.clone()))
            .collect::<Vec<_>>()
    });
    Ok(pairs.collect())
}
