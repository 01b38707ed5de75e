//! Tests on real programs: this repository's rules, the launcher's parts on a real Docker Engine, and whole
//! runs from end to end.
#![expect(
    clippy::unwrap_used,
    reason = "a test's helper may panic like the test"
)]

mod e2e;
mod fuzz;
mod hostile;
mod host;
mod tidy;
