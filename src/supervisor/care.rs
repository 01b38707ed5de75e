//! The host beside the runs: room, leftovers, the engine's health.
//!
//! Takes the means of the host, gives what a look found. Everything slow happens in tasks of its own, one of
//! each kind at a time. Never: a wait in the supervisor's loop, a look without an end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::backoff::Backoff;
use crate::engine::{Breaker, Circuit, EngineError};
use crate::job::Host;
use crate::report::Chain;
use crate::room::{Keep, Means, Need, Place, Pressure, Shortage, Space, Swept, sweep};

/// Leftovers are swept this often…
const SWEEP: Duration = Duration::from_secs(600);

/// …and this often while the disk is short.
const SWEEP_SHORT: Duration = Duration::from_secs(60);

/// So many looks in a row without an answer mean that the engine is away.
const SILENT: u32 = 3;

/// What the host's owner wants.
#[derive(Debug, Clone)]
pub struct CareSettings {
    /// Where room is needed.
    pub places: Vec<Place>,
    /// How much.
    pub need: Need,
    /// What is kept for how long.
    pub keep: Keep,
}

/// What one look found.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) spaces: Vec<Space>,
    pub(super) shortage: Option<Shortage>,
    swept: Option<Swept>,
    engine: Result<(), EngineError>,
}

/// Looks, sweeps and probes.
#[derive(Debug)]
pub(super) struct Care {
    host: Arc<Host>,
    settings: CareSettings,
    looks: JoinSet<Looked>,
    probes: JoinSet<()>,
    swept_at: Option<Instant>,
    /// Strangers that were told of.
    told: BTreeSet<String>,
    silent: u32,
}

impl Care {
    pub(super) fn new(host: Arc<Host>, settings: CareSettings) -> Self {
        Self {
            host,
            settings,
            looks: JoinSet::new(),
            probes: JoinSet::new(),
            swept_at: None,
            told: BTreeSet::new(),
            silent: 0,
        }
    }

    /// Begins a look, unless one is going on.
    pub(super) fn look(&mut self, was_short: bool) {
        if !self.looks.is_empty() {
            return;
        }
        let every = if was_short { SWEEP_SHORT } else { SWEEP };
        let sweeps = self.swept_at.is_none_or(|at| at.elapsed() >= every);
        if sweeps {
            self.swept_at = Some(Instant::now());
        }
        let (host, settings) = (self.host.clone(), self.settings.clone());
        self.looks
            .spawn(async move { look(&host, &settings, was_short, sweeps).await });
    }

    /// What the next look found; waits for ever when none goes on.
    pub(super) async fn looked(&mut self) -> Looked {
        match self.looks.join_next().await {
            Some(looked) => looked.expect("invariant: a look does not panic"),
            None => std::future::pending().await,
        }
    }

    /// Takes note of what a look found.
    pub(super) fn note(&mut self, looked: &Looked) {
        match &looked.engine {
            Ok(()) => self.silent = 0,
            Err(error) => self.on_silence(error),
        }
        let Some(swept) = &looked.swept else { return };
        let metrics = &self.host.metrics;
        metrics.swept("container", swept.containers);
        metrics.swept("directory", swept.dirs);
        metrics.swept("image", swept.images);
        for name in &swept.strangers {
            if self.told.insert(name.clone()) {
                warn!(container = %name, "carries this launcher's label and belongs to no lease; it is removed when the longest time of a run is over");
            }
        }
        self.told.retain(|name| swept.strangers.contains(name));
    }

    fn on_silence(&mut self, error: &EngineError) {
        self.silent += 1;
        if self.silent == SILENT {
            self.host.breaker.silent(&Chain(error).to_string());
        }
    }

    /// Begins to ask an engine that misbehaves how it does, unless that goes on.
    pub(super) fn probe(&mut self) {
        while self.probes.try_join_next().is_some() {}
        if matches!(self.host.breaker.circuit(), Circuit::Open { .. }) && self.probes.is_empty() {
            let host = self.host.clone();
            self.probes
                .spawn(async move { probe(&host, &host.breaker).await });
        }
    }
}

async fn look(host: &Host, settings: &CareSettings, was_short: bool, sweeps: bool) -> Looked {
    let (mut spaces, mut shortage) = measure(settings, was_short);
    // Whether a new shortage lasts is only known after a sweep.
    let mut swept = None;
    if sweeps || (shortage.is_some() && !was_short) {
        swept = tidy(host, settings, shortage.is_some()).await;
        (spaces, shortage) = measure(settings, was_short);
    }
    let label = crate::container::LABEL_LAUNCHER;
    let listed = host
        .engine
        .list(label, &host.session.launcher().to_string())
        .await;
    Looked {
        spaces,
        shortage,
        swept,
        engine: listed.map(drop),
    }
}

fn measure(settings: &CareSettings, was_short: bool) -> (Vec<Space>, Option<Shortage>) {
    let looked = settings
        .places
        .iter()
        .filter_map(|place| match Space::look(place) {
            Ok(space) => Some(space),
            Err(error) => {
                warn!(path = %place.path.display(), %error, "can't be asked how much is free");
                None
            }
        });
    let spaces: Vec<_> = looked.collect();
    let shortage = settings.need.unmet(&spaces, was_short);
    (spaces, shortage)
}

async fn tidy(host: &Host, settings: &CareSettings, short: bool) -> Option<Swept> {
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    if let Err(error) = host.journal.forget_expired(now) {
        warn!(error = %Chain(&error), "housekeeping of the journal failed");
    }
    let means = Means {
        engine: &host.engine,
        data: &host.data,
        journal: &host.journal,
        ledger: &host.ledger,
        launcher: host.session.launcher(),
    };
    let pressure = if short {
        Pressure::Short
    } else {
        Pressure::None
    };
    let swept = sweep(&means, settings.keep, pressure, &|name| host.spares(name)).await;
    host.workers.sweep(&host.journal).await;
    match swept {
        Ok(swept) => Some(swept),
        Err(error) => {
            warn!(error = %Chain(&error), "nothing is swept");
            None
        }
    }
}

/// Asks until the engine answers and can make a container again.
async fn probe(host: &Host, breaker: &Breaker) {
    let mut backoff = Backoff::default();
    loop {
        tokio::time::sleep(backoff.wait()).await;
        match probe_once(host).await {
            Ok(()) => {
                info!("the container engine answers again");
                breaker.answered();
                return;
            }
            Err(error) => {
                tracing::debug!(error = %Chain(&error), "the container engine still fails")
            }
        }
    }
}

/// A container is made of the newest image that was pulled here, never started, and removed.
async fn probe_once(host: &Host) -> Result<(), EngineError> {
    host.engine.info().await?;
    let Some(image) = host.ledger.newest() else {
        return Ok(());
    };
    if host.engine.image(&image).await.is_err() {
        return Ok(());
    }
    let labels = host.images.helper_labels();
    host.engine
        .read_image_files(&image, &[], labels)
        .await
        .map(drop)
}
