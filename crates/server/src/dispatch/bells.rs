//! Wakes the long poll of a launcher when its inbox has grown.
//!
//! In memory: with several servers, each rings its own and hears of the others' through the database.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use gantry_protocol::LauncherId;
use tokio::sync::Notify;

/// One bell per launcher that waits.
#[derive(Debug, Default)]
pub struct Bells {
    bells: Mutex<HashMap<LauncherId, Arc<Notify>>>,
}

impl Bells {
    /// The launcher's bell. Enable its `notified()` first, look at the inbox second, wait third.
    pub fn of(&self, launcher: LauncherId) -> Arc<Notify> {
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(bells.entry(launcher).or_default())
    }

    /// Wakes everybody who waits for this launcher's inbox.
    pub fn ring(&self, launcher: LauncherId) {
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = bells.get(&launcher) {
            bell.notify_waiters();
            // Nobody else holds it: the launcher may be gone for good.
            if Arc::strong_count(bell) == 1 {
                bells.remove(&launcher);
            }
        }
    }
}
