//! Keeps the right number of containers waiting, one change at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::make::{self, MakeError, default_image};
use super::{NAME, Recipe, Standby, Standbys};
use crate::container::{Class, LABEL_LAUNCHER};
use crate::job::Host;
use crate::journal::Entry;
use crate::network::NetworkError;
use crate::report::Chain;

/// Age and room are looked at this often.
const TICK: Duration = Duration::from_secs(5);

/// After a failure the next attempt waits this long.
const AFTER_FAILURE: Duration = Duration::from_secs(60);

/// What is to be done now.
enum Step {
    End(Box<Standby>),
    Make(Option<Box<Recipe>>),
    Nothing,
}

/// Ends what an earlier process left waiting: none of it was ever given an order, or the journal would name it.
pub async fn sweep(host: &Host, entries: &[Entry]) {
    let used = |name: &str| {
        entries
            .iter()
            .any(|entry| entry.container.as_deref() == Some(name))
    };
    let launcher = host.session.launcher().to_string();
    match host.engine.list(LABEL_LAUNCHER, &launcher).await {
        Ok(listed) => {
            for row in listed {
                if row.name.starts_with(NAME) && !used(&row.name) {
                    info!(container = %row.name, "waited for a run of an earlier process; removed");
                    match host.engine.remove(&row.id).await {
                        Ok(()) => host.networks.release(&row.name),
                        Err(error) => {
                            warn!(container = %row.name, error = %Chain(&error), "can't be removed");
                        }
                    }
                }
            }
        }
        Err(error) => warn!(error = %Chain(&error), "waiting containers can't be listed"),
    }
    // Those through which an image's files were read: whoever read them is gone.
    let helper = format!("{LABEL_LAUNCHER}.helper");
    let helpers = host.engine.list(&helper, &launcher).await;
    for row in helpers.unwrap_or_default() {
        if let Err(error) = host.engine.remove(&row.id).await {
            warn!(container = %row.name, error = %Chain(&error), "can't be removed");
        }
    }
    match host.data.waiting() {
        Ok(left) => {
            for leftover in left.iter().flat_map(|dirs| host.data.remove_run(dirs)) {
                warn!(path = %leftover.path, reason = %leftover.reason, "could not be removed");
            }
        }
        Err(error) => warn!(error = %Chain(&error), "waiting directories can't be listed"),
    }
}

/// Keeps containers waiting until it is dropped.
pub async fn keep(host: Arc<Host>) {
    let standbys = &host.standbys;
    if standbys.limit == 0 {
        return;
    }
    loop {
        let changed = standbys.changed.notified();
        match standbys.step(Instant::now()) {
            Step::End(standby) => {
                make::discard(&host, *standby).await;
                standbys.lock().ending -= 1;
                standbys.changed.notify_waiters();
            }
            Step::Make(recipe) => {
                let made = match recipe_of(&host, recipe).await {
                    Ok(recipe) => make::make(&host, recipe).await,
                    Err(error) => Err(error),
                };
                standbys.made(made);
            }
            Step::Nothing => {
                let _ = tokio::time::timeout(TICK, changed).await;
            }
        }
    }
}

async fn recipe_of(host: &Host, asked: Option<Box<Recipe>>) -> Result<Recipe, MakeError> {
    if let Some(recipe) = asked {
        return Ok(*recipe);
    }
    let reference = host.default_image.as_deref().unwrap_or_default();
    Ok(Recipe {
        image: default_image(host, reference).await?,
        tool: None,
        class: Class::Reading,
    })
}

/// Ends all that wait, because this process is about to exit. [`keep`] still runs beside it.
pub async fn end_all(host: &Host) {
    let standbys = &host.standbys;
    standbys.open(false);
    loop {
        let changed = standbys.changed.notified();
        let (standby, at_work) = {
            let mut inner = standbys.lock();
            (inner.ready.pop(), inner.making + inner.ending)
        };
        match standby {
            Some(standby) => make::discard(host, standby).await,
            None if at_work == 0 => return,
            None => {
                let _ = tokio::time::timeout(TICK, changed).await;
            }
        }
    }
}

impl Standbys {
    fn step(&self, now: Instant) -> Step {
        let mut inner = self.lock();
        let wanted = inner.wanted(self.limit, self.capacity);
        if let Some(standby) = inner.surplus(wanted, now) {
            inner.ending += 1;
            return Step::End(Box::new(standby));
        }
        if now < inner.not_before {
            return Step::Nothing;
        }
        let missing = inner.missing(now);
        if inner.ready.len() + inner.making as usize >= wanted {
            // A plan's apply is surer to come than another first run.
            let Some(other) = missing.and_then(|_| inner.unexpected()) else {
                return Step::Nothing;
            };
            inner.ending += 1;
            return Step::End(Box::new(other));
        }
        inner.making += 1;
        Step::Make(missing.map(Box::new))
    }

    fn made(&self, made: Result<Standby, MakeError>) {
        let mut inner = self.lock();
        inner.making -= 1;
        match made {
            Ok(standby) => inner.ready.push(standby),
            // A container that is on its way out holds the network.
            Err(MakeError::Network(NetworkError::AllHeld { .. })) => {
                inner.not_before = Instant::now() + TICK;
            }
            Err(error) => {
                inner.not_before = Instant::now() + AFTER_FAILURE;
                // What can't be made is not tried for ever: the plan's apply starts its own container.
                inner.expected.clear();
                warn!(error = %Chain(&error), "no container can be kept waiting; trying again in a minute");
            }
        }
        drop(inner);
        self.changed.notify_waiters();
    }
}
