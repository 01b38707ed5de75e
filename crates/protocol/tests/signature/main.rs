//! Run signatures: every bad run is refused with a sentence that names what is wrong.
#![expect(
    clippy::unwrap_used,
    reason = "a test's helper may panic like the test"
)]

mod fixtures;
mod keys;
mod runs;
mod tokens;
