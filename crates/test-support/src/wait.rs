//! Waiting for a condition of the real world.
//!
//! Takes what is waited for, gives its value. Never: a fixed pause instead of a look, a wait without an end.

use std::time::{Duration, Instant};

/// Enough for anything that only this machine has to do.
pub const SHORT: Duration = Duration::from_secs(30);

/// Enough for a run, also on a machine that is busy with other tests.
pub const LONG: Duration = Duration::from_secs(120);

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks until `look` gives a value; its error is what it saw instead.
///
/// # Panics
/// When `within` is over, naming what was waited for and what was seen last.
pub fn wait_for<T>(what: &str, within: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + within;
    loop {
        let seen = match look() {
            Ok(value) => return value,
            Err(seen) => seen,
        };
        if Instant::now() >= deadline {
            panic!(
                "waited {} s for {what}; last seen: {seen}",
                within.as_secs()
            );
        }
        pause();
    }
}

/// Lets a time pass that is itself what is tried: an outage, a process that stands still.
pub fn outage(lasts: Duration) {
    let until = Instant::now() + lasts;
    wait_for("an outage to be over", lasts * 2, || {
        match Instant::now() >= until {
            true => Ok(()),
            false => Err("it lasts".to_owned()),
        }
    });
}

#[expect(
    clippy::disallowed_methods,
    reason = "the pause between two looks at a condition that has a deadline"
)]
fn pause() {
    std::thread::sleep(PAUSE);
}
