//! Between a daemon and its service manager: settings and credentials in, signs of life (`sd_notify`) out.
//!
//! Takes names and moments, gives values and messages. Never: a value in a message, or a sign of life from a thread of its own. It is a task among the daemon's
//! tasks, so a runtime that turns no more gives none, and the manager starts the daemon afresh. (The launcher's are given
//! by the turns of its one loop: `src/notify.rs` there.)
#![forbid(unsafe_code)]

pub mod duration;
pub mod probe;
mod reader;
mod settings;

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::task::JoinHandle;

pub use gantry_net::Mistake;
pub use reader::Reader;
pub use settings::{Environment, Source};

/// Signs of life while this is kept.
#[derive(Debug)]
pub struct Alive(Option<JoinHandle<()>>);

/// Says that the daemon serves now, with one line for people, and from then on that it lives, if the manager asks for it.
/// Needs a tokio runtime.
#[must_use = "signs of life end with the value"]
pub fn ready(status: &str) -> Alive {
    say(&[NotifyState::Ready, NotifyState::Status(status)]);
    let limit = sd_notify::watchdog_enabled();
    Alive(limit.map(|limit| tokio::spawn(live(limit / 3))))
}

/// One line for people: what the daemon is at.
pub fn status(line: &str) {
    say(&[NotifyState::Status(line)]);
}

/// Says that the daemon was told to stop.
pub fn stopping() {
    say(&[NotifyState::Stopping]);
}

impl Drop for Alive {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

async fn live(every: Duration) {
    let mut beat = tokio::time::interval(every.max(Duration::from_millis(50)));
    loop {
        beat.tick().await;
        say(&[NotifyState::Watchdog]);
    }
}

/// Without a manager there is nobody to tell.
fn say(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}
